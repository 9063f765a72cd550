/*
 * rpc - see rpc.h.
 *
 * An answer is kept under a token until its last page is fetched; the oldest go when there are more
 * than ANSWERS_MAX. A daemon that answers late keeps the token (`struct pending`) meanwhile.
 */
#include "re/shell/rpc.h"

#include <string.h>

#include "firmware/core/error.h"
#include "firmware/core/log.h"

#define PAGE_MAX    60000 /* bytes of XML in one rpc-reply */
#define ANSWERS_MAX 16    /* shows that somebody left half read */

struct answer {
    uint32_t token;
    char *text;
    size_t len;
};

struct pending {
    struct bus_conn *conn;
    struct bus_header header;
};

static GQueue answers = G_QUEUE_INIT;
static uint32_t last_token;

static void answer_free(struct answer *answer)
{
    g_free(answer->text);
    g_free(answer);
}

static void send_page(struct bus_conn *conn, const struct bus_header *header,
                      struct answer *answer, size_t offset)
{
    g_autofree struct bus_rpc_reply *reply = g_new0(struct bus_rpc_reply, 1);
    size_t n = offset < answer->len ? MIN(answer->len - offset, PAGE_MAX) : 0;

    memcpy(reply->xml.data, answer->text + MIN(offset, answer->len), n);
    reply->xml.len = (uint16_t)n;
    reply->token = answer->token;
    reply->more = offset + n < answer->len;
    bus_reply(conn, header, BUS_RPC_REPLY, reply);
    if (!reply->more) {
        g_queue_remove(&answers, answer);
        answer_free(answer);
    }
}

static void send_error(struct bus_conn *conn, const struct bus_header *header, const char *text)
{
    g_autofree struct bus_rpc_reply *reply = g_new0(struct bus_rpc_reply, 1);

    g_strlcpy(reply->error, text, sizeof reply->error);
    bus_reply(conn, header, BUS_RPC_REPLY, reply);
}

void re_rpc_finish(void *token, struct re_xml *xml, const GError *error)
{
    struct pending *pending = token;

    if (error) {
        send_error(pending->conn, &pending->header, error->message);
    } else {
        struct answer *answer = g_new0(struct answer, 1);

        answer->token = ++last_token ? last_token : ++last_token;
        answer->text = g_strdup(re_xml_text(xml));
        answer->len = strlen(answer->text);
        g_queue_push_tail(&answers, answer);
        if (g_queue_get_length(&answers) > ANSWERS_MAX) {
            answer_free(g_queue_pop_head(&answers));
        }
        send_page(pending->conn, &pending->header, answer, 0);
    }
    g_free(pending);
}

static void serve_page(struct bus_conn *conn, const struct bus_header *header,
                       const struct bus_rpc_call *call)
{
    for (GList *l = answers.head; l; l = l->next) {
        struct answer *answer = l->data;

        if (answer->token == call->token && call->offset <= answer->len) {
            send_page(conn, header, answer, call->offset);
            return;
        }
    }
    send_error(conn, header, "the rest of this answer is gone; ask again");
}

void re_rpc_serve(struct bus_conn *conn, const struct bus_header *header,
                  const struct bus_rpc_call *call, const struct re_role *role)
{
    const struct re_rpc *rpc = role->rpcs;
    g_autoptr(GError) error = NULL;

    if (call->offset > 0) {
        serve_page(conn, header, call);
        return;
    }
    while (rpc && rpc->name && strcmp(rpc->name, call->name) != 0) {
        rpc++;
    }
    if (!rpc || !rpc->name) {
        g_autofree char *text = g_strdup_printf("%s: %s has no such RPC", call->name, role->name);

        send_error(conn, header, text);
        return;
    }
    struct pending *pending = g_new0(struct pending, 1);
    struct re_xml *xml = re_xml_new();

    pending->conn = conn;
    pending->header = *header;
    if (rpc->run(call, xml, &error, role->data, pending)) {
        re_rpc_finish(pending, xml, NULL);
    } else if (error) {
        re_rpc_finish(pending, NULL, error);
    } /* else: the daemon answers later */
    re_xml_free(xml);
}

void re_rpc_forget_all(void)
{
    g_queue_clear_full(&answers, (GDestroyNotify)answer_free);
}

const char *re_rpc_argument(const struct bus_rpc_call *call, const char *name)
{
    for (unsigned i = 0; i < call->n_arguments; i++) {
        if (strcmp(call->arguments[i].name, name) == 0) {
            return call->arguments[i].value;
        }
    }
    return NULL;
}
