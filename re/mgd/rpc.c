/*
 * rpc - see rpc.h.
 */
#include "re/mgd/rpc.h"

#include <libxml/parser.h>
#include <string.h>

#include "firmware/core/error.h"

#define ANSWER_MS 15000 /* a daemon's time for a page; it may ask cards itself */

struct own {
    rpc_own run;
    rpc_own_later later;
    void *data;
};

struct rpc {
    struct bus_conn *bus;
    GHashTable *addresses; /* name -> address */
    GHashTable *owns;      /* name -> struct own */
    GPtrArray *pending;    /* struct pending */
};

struct pending {
    struct rpc *rpc;
    struct bus_rpc_call call;
    uint16_t address;
    GString *xml;
    rpc_done_cb done; /* NULL: forgotten (an own one that answers later is then still awaited) */
    bool own;
    void *data;
};

static void pending_free(gpointer data)
{
    struct pending *p = data;

    bus_cancel(p->rpc->bus, p);
    g_string_free(p->xml, TRUE);
    g_free(p);
}

struct rpc *rpc_new(struct bus_conn *bus)
{
    struct rpc *rpc = g_new0(struct rpc, 1);

    rpc->bus = bus;
    rpc->addresses = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    rpc->owns = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    rpc->pending = g_ptr_array_new_with_free_func(pending_free);
    return rpc;
}

void rpc_free(struct rpc *rpc)
{
    if (rpc) {
        g_ptr_array_unref(rpc->pending);
        g_hash_table_destroy(rpc->addresses);
        g_hash_table_destroy(rpc->owns);
        g_free(rpc);
    }
}

void rpc_own_add(struct rpc *rpc, const char *name, rpc_own run, void *data)
{
    struct own *own = g_new0(struct own, 1);

    own->run = run;
    own->data = data;
    g_hash_table_replace(rpc->owns, g_strdup(name), own);
}

void rpc_own_later_add(struct rpc *rpc, const char *name, rpc_own_later run, void *data)
{
    struct own *own = g_new0(struct own, 1);

    own->later = run;
    own->data = data;
    g_hash_table_replace(rpc->owns, g_strdup(name), own);
}

void rpc_register(struct rpc *rpc, uint16_t address, const struct bus_rpc_register *message)
{
    for (unsigned i = 0; i < message->n_names; i++) {
        g_hash_table_replace(rpc->addresses, g_strdup(message->names[i].path),
                             GUINT_TO_POINTER(address));
    }
}

static void finish(struct pending *p, xmlDoc *answer, GError *error)
{
    rpc_done_cb done = p->done;
    void *data = p->data;

    g_ptr_array_remove_fast(p->rpc->pending, p);
    if (done) {
        done(answer, error, data);
    } else {
        xmlFreeDoc(answer);
    }
    g_clear_error(&error);
}

void rpc_own_finish(void *token, xmlDoc *answer, const GError *error)
{
    finish(token, answer, error ? g_error_copy(error) : NULL);
}

static void fail(struct pending *p, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void fail(struct pending *p, const char *format, ...)
{
    g_autofree char *text = NULL;
    GError *error = NULL;
    va_list ap;

    va_start(ap, format);
    text = g_strdup_vprintf(format, ap);
    va_end(ap);
    fw_fail(&error, FW_ERROR_UNAVAILABLE, "%s", text);
    finish(p, NULL, error);
}

static void page_call(struct pending *p);

static void parse(struct pending *p)
{
    xmlDoc *answer = xmlReadMemory(p->xml->str, (int)p->xml->len, "answer.xml", NULL,
                                   XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
                                       XML_PARSE_NOBLANKS);

    if (!answer || !xmlDocGetRootElement(answer)) {
        xmlFreeDoc(answer);
        fail(p, "the answer to %s is malformed", p->call.name);
        return;
    }
    finish(p, answer, NULL);
}

static void page(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                 const GError *error, void *data)
{
    struct pending *p = data;
    const struct bus_rpc_reply *reply = msg;

    (void)conn;
    if (error) {
        fail(p, "the daemon that answers %s is not there: %s", p->call.name, error->message);
        return;
    }
    if (header->type != BUS_RPC_REPLY) {
        fail(p, "%s",
             header->type == BUS_ERROR ? ((const struct bus_error *)msg)->text
                                       : "an answer of another kind");
        return;
    }
    if (reply->error[0]) {
        fail(p, "%s", reply->error);
        return;
    }
    g_string_append_len(p->xml, (const char *)reply->xml.data, reply->xml.len);
    if (p->xml->len > RPC_ANSWER_MAX) {
        fail(p, "the answer to %s exceeds %u bytes", p->call.name, RPC_ANSWER_MAX);
    } else if (!reply->more) {
        parse(p);
    } else if (reply->xml.len == 0) {
        fail(p, "the answer to %s does not go on", p->call.name);
    } else {
        p->call.offset = (uint32_t)p->xml->len;
        p->call.token = reply->token;
        page_call(p);
    }
}

static void page_call(struct pending *p)
{
    bus_call(p->rpc->bus, p->address, BUS_RPC_CALL, &p->call, ANSWER_MS, page, p);
}

void rpc_execute(struct rpc *rpc, const struct bus_rpc_call *call, rpc_done_cb done, void *data)
{
    const struct own *own = g_hash_table_lookup(rpc->owns, call->name);
    GError *error = NULL;
    struct pending *p;

    if (own && own->run) {
        xmlDoc *answer = own->run(call, &error, own->data);

        done(answer, error, data);
        g_clear_error(&error);
        return;
    }
    p = g_new0(struct pending, 1);
    p->rpc = rpc;
    p->call = *call;
    p->xml = g_string_new(NULL);
    p->done = done;
    p->data = data;
    p->address = (uint16_t)GPOINTER_TO_UINT(g_hash_table_lookup(rpc->addresses, call->name));
    g_ptr_array_add(rpc->pending, p);
    if (own) {
        p->own = true;
        own->later(call, p, own->data);
        return;
    }
    if (p->address == 0) {
        fail(p, "no daemon answers %s; try again when all are up", call->name);
        return;
    }
    page_call(p);
}

void rpc_forget(struct rpc *rpc, void *data)
{
    for (unsigned i = rpc->pending->len; i > 0; i--) {
        struct pending *p = rpc->pending->pdata[i - 1];

        if (p->data == data && p->own) {
            p->done = NULL;
        } else if (p->data == data) {
            g_ptr_array_remove_index_fast(rpc->pending, i - 1);
        }
    }
}
