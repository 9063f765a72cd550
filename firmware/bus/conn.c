/*
 * conn - a process's own connection: calls, replies, events. See bus.h.
 *
 * Pending calls are a table by serial; one timer stands at the earliest
 * deadline. A call that fails at once is failed from that same timer, so its
 * callback never runs before bus_call returns. A reply counts only when it
 * comes from the address that was called. On free, pending calls are forgotten.
 *
 * Limits: serials wrap after 2^32 calls. Threads: main loop.
 */
#include <stdarg.h>
#include <string.h>

#include "firmware/bus/bus.h"
#include "firmware/bus/port.h"
#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "firmware/core/secret.h"
#include "firmware/core/timer.h"
#include "messages.h"

struct pending {
    uint32_t serial;
    uint16_t destination;
    int64_t deadline_ns;
    bus_reply_cb callback;
    void *data;
    GError *error;          /* failed already: told at the next turn */
};

struct bus_conn {
    struct bus_port *port;
    uint16_t own;
    uint32_t epoch;
    uint32_t serial;
    struct bus_handler handler;
    void *data;
    GHashTable *calls;      /* serial -> struct pending */
    struct fw_timer *timer;
    unsigned holds;
    bool freed;
    uint64_t dropped;       /* frames of no use */
};

static const char *const error_texts[] = {"failed", "busy", "invalid", "unavailable",
                                          "unknown message type", "refused"};

static void pending_free(void *pointer)
{
    struct pending *p = pointer;

    g_clear_error(&p->error);
    g_free(p);
}

static void conn_release(struct bus_conn *conn)
{
    if (--conn->holds == 0) {
        g_free(conn);
    }
}

static void timer_set(struct bus_conn *conn)
{
    GHashTableIter iter;
    void *value;
    int64_t next = INT64_MAX;

    g_hash_table_iter_init(&iter, conn->calls);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        next = MIN(next, ((struct pending *)value)->deadline_ns);
    }
    if (next == INT64_MAX) {
        fw_timer_cancel(conn->timer);
    } else {
        fw_timer_arm(conn->timer, next - fw_clock_ns());
    }
}

/* Ends a call (stolen from the table) with its error. */
static void pending_fail(struct bus_conn *conn, struct pending *p)
{
    p->callback(conn, NULL, NULL, p->error, p->data);
    pending_free(p);
}

static gint pending_order(gconstpointer a, gconstpointer b)
{
    const struct pending *x = a, *y = b;

    return x->serial < y->serial ? -1 : x->serial > y->serial;
}

/* Ends every call that is due (or all, when `all`), oldest first. A callback may cancel or add. */
static void calls_end(struct bus_conn *conn, bool all, const char *why)
{
    int64_t now = fw_clock_ns();
    g_autoptr(GList) due = NULL;
    g_autoptr(GArray) serials = g_array_new(FALSE, FALSE, sizeof(uint32_t));
    GHashTableIter iter;
    void *value;

    g_hash_table_iter_init(&iter, conn->calls);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct pending *p = value;
        if (all || p->deadline_ns <= now) {
            due = g_list_prepend(due, p);
        }
    }
    due = g_list_sort(due, pending_order);
    for (GList *l = due; l; l = l->next) {
        g_array_append_val(serials, ((struct pending *)l->data)->serial);
    }
    for (unsigned i = 0; i < serials->len && !conn->freed; i++) {
        void *key = GUINT_TO_POINTER(g_array_index(serials, uint32_t, i));
        struct pending *p = g_hash_table_lookup(conn->calls, key);

        if (!p) {
            continue;
        }
        g_hash_table_steal(conn->calls, key);
        if (!p->error) {
            p->error = g_error_new(FW_ERROR, FW_ERROR_UNAVAILABLE, "%s", why);
        }
        pending_fail(conn, p);
    }
}

static void timer_fired(void *data)
{
    struct bus_conn *conn = data;

    conn->holds++;
    calls_end(conn, false, "no answer in time");
    if (!conn->freed) {
        timer_set(conn);
    }
    conn_release(conn);
}

static GError *error_from(const struct bus_error *e)
{
    static const enum fw_error_code codes[] = {
        FW_ERROR_SYSTEM,      FW_ERROR_BUSY,        FW_ERROR_INVALID,
        FW_ERROR_UNAVAILABLE, FW_ERROR_UNSUPPORTED, FW_ERROR_INVALID};
    unsigned code = e->code < G_N_ELEMENTS(codes) ? e->code : 0;
    g_autofree char *text = g_utf8_make_valid(*e->text ? e->text : error_texts[code], -1);

    return g_error_new_literal(FW_ERROR, codes[code], text);
}

static void reply_received(struct bus_conn *conn, const struct bus_header *h, const void *msg)
{
    void *key = GUINT_TO_POINTER(h->serial);
    struct pending *p = g_hash_table_lookup(conn->calls, key);

    if (!p || p->destination != h->source) {
        conn->dropped++;
        return;
    }
    g_hash_table_steal(conn->calls, key);
    if (!p->error && !msg) {
        p->error = g_error_new(FW_ERROR, FW_ERROR_INVALID, "the answer is malformed");
    } else if (!p->error && h->type == BUS_ERROR) {
        p->error = error_from(msg);
    }
    p->callback(conn, h, p->error ? NULL : msg, p->error, p->data);
    pending_free(p);
}

static void conn_frame(struct bus_port *port, const uint8_t *data, size_t len, int *fds,
                       unsigned n_fds, void *user)
{
    struct bus_conn *conn = user;
    struct fw_cursor c = fw_cursor(data, len);
    struct bus_header h;
    void *msg = NULL;

    (void)port;
    if (!bus_header_decode(&c, len, &h) || (conn->epoch && h.epoch && h.epoch != conn->epoch)) {
        conn->dropped++;
        return;
    }
    conn->holds++;
    const struct bus_type *type = bus_type_find(h.type);
    if (type && type->kind == h.kind) {
        msg = g_malloc0(type->body->size);
        if (!bus_decode(type->body, &c, msg)) {
            g_clear_pointer(&msg, g_free);
        }
    }
    if (h.kind == BUS_REPLY) {
        reply_received(conn, &h, msg);
    } else if (msg && conn->handler.message) {
        conn->handler.message(conn, &h, msg, fds, n_fds, conn->data);
    } else if (h.kind == BUS_CALL) {
        bool known = type && type->kind == BUS_CALL;
        bus_reply_error(conn, &h, known && !msg ? 2 : 4, "message type %u is %s", h.type,
                        known && !msg ? "malformed" : "not known here");
    } else {
        conn->dropped++;
    }
    if (msg) {
        bus_wipe(type->body, msg);
        g_free(msg);
    }
    conn_release(conn);
}

static void conn_gone(struct bus_port *port, void *user)
{
    struct bus_conn *conn = user;

    (void)port;
    conn->holds++;
    calls_end(conn, true, "the other side is gone");
    if (!conn->freed && conn->handler.closed) {
        conn->handler.closed(conn, conn->data);
    }
    conn_release(conn);
}

struct bus_conn *bus_conn_new(int fd, uint16_t own, const struct bus_handler *handler, void *data)
{
    static const struct bus_port_handler port_handler = {conn_frame, conn_gone};
    struct bus_conn *conn = g_new0(struct bus_conn, 1);

    conn->own = own;
    conn->holds = 1;
    if (handler) {
        conn->handler = *handler;
    }
    conn->data = data;
    conn->calls = g_hash_table_new_full(NULL, NULL, NULL, pending_free);
    conn->timer = fw_timer_new(timer_fired, conn);
    conn->port = bus_port_new(fd, &port_handler, conn);
    return conn;
}

void bus_conn_free(struct bus_conn *conn)
{
    if (!conn || conn->freed) {
        return;
    }
    conn->freed = true;
    bus_port_free(conn->port);
    conn->port = NULL;
    fw_timer_free(conn->timer);
    g_hash_table_unref(conn->calls);
    conn_release(conn);
}

int bus_conn_fd(const struct bus_conn *conn)
{
    return bus_port_fd(conn->port);
}

void bus_conn_set_own(struct bus_conn *conn, uint16_t own)
{
    conn->own = own;
}

void bus_conn_set_epoch(struct bus_conn *conn, uint32_t epoch)
{
    conn->epoch = epoch;
}

void bus_conn_set_bound(struct bus_conn *conn, unsigned frames)
{
    bus_port_set_bound(conn->port, frames);
}

unsigned bus_conn_queued(const struct bus_conn *conn)
{
    return bus_port_queued(conn->port);
}

/* One frame out. GError: why not. */
static bool conn_send(struct bus_conn *conn, enum bus_kind kind, uint16_t source,
                      uint16_t destination, uint32_t serial, uint16_t number, const void *msg,
                      const int *fds, unsigned n_fds, GError **error)
{
    static uint8_t buffer[BUS_FRAME_MAX];
    static const uint64_t nothing; /* stands for a message without fields */
    const struct bus_type *type = bus_type_find(number);
    struct fw_emit e = fw_emit(buffer, sizeof buffer);
    struct bus_header h = {.epoch = conn->epoch, .version = BUS_SCHEMA_VERSION, .type = number,
                           .kind = (uint8_t)kind, .serial = serial, .source = source,
                           .destination = destination};

    if (conn->freed) {
        return fw_fail(error, FW_ERROR_UNAVAILABLE, "the connection is closed");
    }
    if (!type || type->kind != kind || (!msg && type->body->n_fields) || n_fds > BUS_FDS_MAX) {
        g_critical("bus: message type %u cannot be sent like this", number);
        return fw_fail(error, FW_ERROR_INVALID, "no such message");
    }
    bus_header_encode(&h, &e);
    bus_encode(type->body, msg ? msg : &nothing, &e);
    size_t len = fw_emit_len(&e);
    fw_emit_patch_u32(&e, 0, (uint32_t)len);
    if (e.failed) {
        fw_wipe(buffer, len);
        fw_warning("bus: a %s does not fit its limits", type->name);
        return fw_fail(error, FW_ERROR_INVALID, "the %s does not fit its limits", type->name);
    }
    GBytes *key = type->retained ? bus_object_key(type, destination, msg) : NULL;
    struct bus_frame *frame = bus_frame_new(buffer, len, kind, key, fds, n_fds);
    fw_wipe(buffer, len);
    if (!frame) {
        return fw_fail_errno(error, "duplicating a descriptor");
    }
    enum bus_sent sent = bus_port_send(conn->port, frame);
    bus_frame_unref(frame);
    if (sent == BUS_SENT_FULL) {
        return fw_fail(error, FW_ERROR_BUSY, "the send queue is full");
    }
    if (sent == BUS_SENT_GONE) {
        return fw_fail(error, FW_ERROR_UNAVAILABLE, "the other side is gone");
    }
    return true;
}

bool bus_send(struct bus_conn *conn, uint16_t destination, uint16_t type, const void *msg)
{
    return bus_send_fds(conn, destination, type, msg, NULL, 0);
}

bool bus_send_fds(struct bus_conn *conn, uint16_t destination, uint16_t type, const void *msg,
                  const int *fds, unsigned n_fds)
{
    return conn_send(conn, BUS_EVENT, conn->own, destination, 0, type, msg, fds, n_fds, NULL);
}

void bus_call(struct bus_conn *conn, uint16_t destination, uint16_t type, const void *msg,
              unsigned timeout_ms, bus_reply_cb callback, void *data)
{
    struct pending *p;

    g_return_if_fail(!conn->freed);
    do {
        conn->serial++;
    } while (conn->serial == 0 ||
             g_hash_table_contains(conn->calls, GUINT_TO_POINTER(conn->serial)));
    p = g_new0(struct pending, 1);
    p->serial = conn->serial;
    p->destination = destination;
    p->callback = callback;
    p->data = data;
    p->deadline_ns = fw_clock_ns() + (timeout_ms ? timeout_ms : BUS_CALL_TIMEOUT_MS) * FW_MS;
    if (!conn_send(conn, BUS_CALL, conn->own, destination, p->serial, type, msg, NULL, 0,
                   &p->error)) {
        p->deadline_ns = 0;
    }
    g_hash_table_insert(conn->calls, GUINT_TO_POINTER(p->serial), p);
    if (fw_timer_deadline_ns(conn->timer) > p->deadline_ns) {
        fw_timer_arm(conn->timer, p->deadline_ns - fw_clock_ns());
    }
}

void bus_cancel(struct bus_conn *conn, void *data)
{
    GHashTableIter iter;
    void *value;

    g_hash_table_iter_init(&iter, conn->calls);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (((struct pending *)value)->data == data) {
            g_hash_table_iter_remove(&iter);
        }
    }
}

bool bus_reply(struct bus_conn *conn, const struct bus_header *request, uint16_t type,
               const void *msg)
{
    return conn_send(conn, BUS_REPLY, request->destination, request->source, request->serial, type,
                     msg, NULL, 0, NULL);
}

bool bus_reply_ok(struct bus_conn *conn, const struct bus_header *request)
{
    return bus_reply(conn, request, BUS_OK, NULL);
}

bool bus_reply_error(struct bus_conn *conn, const struct bus_header *request, uint16_t code,
                     const char *format, ...)
{
    struct bus_error e = {.code = code};
    va_list args;

    va_start(args, format);
    g_vsnprintf(e.text, sizeof e.text, format, args);
    va_end(args);
    return bus_reply(conn, request, BUS_ERROR, &e);
}

static void subscribed(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                       const GError *error, void *data)
{
    (void)conn;
    (void)header;
    (void)msg;
    (void)data;
    if (error) {
        fw_warning("bus: subscribing failed: %s", error->message);
    }
}

void bus_subscribe(struct bus_conn *conn, const uint16_t *types)
{
    struct bus_subscribe *s = g_new0(struct bus_subscribe, 1);

    while (*types) {
        s->n_types = 0;
        while (*types && s->n_types < G_N_ELEMENTS(s->types)) {
            s->types[s->n_types++] = *types++;
        }
        bus_call(conn, BUS_ROUTER, BUS_SUBSCRIBE, s, 0, subscribed, NULL);
    }
    g_free(s);
}
