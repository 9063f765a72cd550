/* relay - see relay.h. */
#include "hw/supervise/relay.h"

#include <glib.h>

#include "firmware/bus/bus.h"
#include "firmware/bus/port.h"
#include "messages.h"

#define SLOTS             256
#define CALLS_MAX         16384 /* under way; more is a sender gone mad: BUSY */
#define SUBSCRIPTIONS_MAX 16    /* subscribe calls of one card */
#define QUEUE_FRAMES      4096  /* toward one board */

struct seat {
    struct hw_relay *relay;
    uint8_t slot;
    struct bus_port *port;
    GPtrArray *subscriptions; /* GBytes: subscribe calls as they came */
};

struct call {
    uint16_t caller, callee;
    uint32_t serial;
};

struct hw_relay {
    struct seat *seats[SLOTS];
    GHashTable *calls; /* struct call, set */
    struct hw_relay_counters counters;
};

static guint call_hash(gconstpointer pointer)
{
    const struct call *c = pointer;

    return c->serial * 2654435761u ^ ((guint)c->caller << 16 | c->callee);
}

static gboolean call_equal(gconstpointer a, gconstpointer b)
{
    const struct call *x = a, *y = b;

    return x->caller == y->caller && x->callee == y->callee && x->serial == y->serial;
}

/* The object of a retained event, only worth decoding when something is queued already. */
static GBytes *object_key(struct seat *to, const struct bus_header *header, struct fw_cursor *body)
{
    const struct bus_type *type = bus_type_find(header->type);
    g_autofree void *msg = NULL;
    GBytes *key;

    if (!type || !type->retained || bus_port_queued(to->port) == 0) {
        return NULL;
    }
    msg = g_malloc0(type->body->size);
    if (!bus_decode(type->body, body, msg)) {
        return NULL;
    }
    key = bus_object_key(type, header->destination, msg);
    bus_wipe(type->body, msg);
    return key;
}

static enum bus_sent pass(struct seat *to, const struct bus_header *header,
                          struct fw_cursor *body, const uint8_t *data, size_t len)
{
    struct bus_frame *frame = bus_frame_new(data, len, (enum bus_kind)header->kind,
                                            object_key(to, header, body), NULL, 0);
    enum bus_sent sent = frame ? bus_port_send(to->port, frame) : BUS_SENT_FULL;

    if (frame) {
        bus_frame_unref(frame);
    }
    if (sent == BUS_SENT) {
        to->relay->counters.frames++;
    } else {
        to->relay->counters.dropped++;
    }
    return sent;
}

static void answer_error(struct hw_relay *relay, const struct call *call, uint16_t code,
                         const char *text)
{
    struct seat *to = relay->seats[call->caller >> 8];
    struct bus_header header = {.version = BUS_SCHEMA_VERSION, .type = BUS_ERROR,
                                .kind = BUS_REPLY, .serial = call->serial,
                                .source = call->callee, .destination = call->caller};
    struct bus_error error = {.code = code};
    uint8_t buffer[sizeof error + 64];
    struct fw_emit e = fw_emit(buffer, sizeof buffer);
    struct fw_cursor none = fw_cursor(NULL, 0);

    if (!to) {
        return;
    }
    g_strlcpy(error.text, text, sizeof error.text);
    bus_header_encode(&header, &e);
    bus_encode(&bus_struct_error, &error, &e);
    fw_emit_patch_u32(&e, 0, (uint32_t)fw_emit_len(&e));
    if (!e.failed) {
        pass(to, &header, &none, buffer, fw_emit_len(&e));
    }
}

static void call_pass(struct hw_relay *relay, struct seat *to, const struct bus_header *header,
                      struct fw_cursor *body, const uint8_t *data, size_t len)
{
    struct call call = {header->source, header->destination, header->serial};
    enum bus_sent sent;

    if (!to) {
        answer_error(relay, &call, 3, "the board that was called is not in service");
        return;
    }
    if (g_hash_table_size(relay->calls) >= CALLS_MAX) {
        relay->counters.busy++;
        answer_error(relay, &call, 1, "too many calls under way on the midplane");
        return;
    }
    sent = pass(to, header, body, data, len);
    if (sent == BUS_SENT) {
        g_hash_table_add(relay->calls, g_memdup2(&call, sizeof call));
    } else if (sent == BUS_SENT_FULL) {
        relay->counters.busy++;
        answer_error(relay, &call, 1, "the board that was called does not keep up");
    } else {
        answer_error(relay, &call, 3, "the board that was called is gone");
    }
}

static void on_frame(struct bus_port *port, const uint8_t *data, size_t len, int *fds,
                     unsigned n_fds, void *data_pointer)
{
    struct seat *from = data_pointer;
    struct hw_relay *relay = from->relay;
    struct fw_cursor c = fw_cursor(data, len);
    struct bus_header header;
    struct seat *to;

    (void)port;
    (void)fds;
    (void)n_fds;
    if (!bus_header_decode(&c, len, &header) || header.kind > BUS_EVENT) {
        relay->counters.malformed++;
        return;
    }
    if (header.source >> 8 != from->slot) {
        relay->counters.forged++;
        return;
    }
    to = relay->seats[header.destination == BUS_SUBSCRIBERS ? BUS_SLOT_RE0
                                                            : header.destination >> 8];
    if (header.kind == BUS_CALL && header.type == BUS_SUBSCRIBE && from->slot != BUS_SLOT_RE0 &&
        from->subscriptions->len < SUBSCRIPTIONS_MAX) {
        g_ptr_array_add(from->subscriptions, g_bytes_new(data, len));
    }
    if (header.kind == BUS_CALL) {
        call_pass(relay, to, &header, &c, data, len);
        return;
    }
    if (header.kind == BUS_REPLY) {
        struct call call = {header.destination, header.source, header.serial};

        g_hash_table_remove(relay->calls, &call);
    }
    if (to && to != from) {
        pass(to, &header, &c, data, len);
    } else {
        relay->counters.dropped++;
    }
}

static void on_gone(struct bus_port *port, void *data)
{
    struct seat *seat = data;

    (void)port;
    hw_relay_remove(seat->relay, seat->slot);
}

struct hw_relay *hw_relay_new(void)
{
    struct hw_relay *relay = g_new0(struct hw_relay, 1);

    relay->calls = g_hash_table_new_full(call_hash, call_equal, g_free, NULL);
    return relay;
}

void hw_relay_free(struct hw_relay *relay)
{
    if (!relay) {
        return;
    }
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        hw_relay_remove(relay, (uint8_t)slot);
    }
    g_hash_table_unref(relay->calls);
    g_free(relay);
}

/* A new RE knows no subscriber: the cards' wishes are told again, in their own words. */
static void subscriptions_replay(struct hw_relay *relay, struct seat *re)
{
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        struct seat *seat = relay->seats[slot];

        for (unsigned n = 0; seat && n < seat->subscriptions->len; n++) {
            gsize len;
            const uint8_t *data = g_bytes_get_data(seat->subscriptions->pdata[n], &len);
            struct fw_cursor c = fw_cursor(data, len);
            struct bus_header header;

            if (bus_header_decode(&c, len, &header)) {
                pass(re, &header, &c, data, len);
            }
        }
    }
}

void hw_relay_add(struct hw_relay *relay, uint8_t slot, int fd)
{
    static const struct bus_port_handler handler = {on_frame, on_gone};
    struct seat *seat = g_new0(struct seat, 1);

    hw_relay_remove(relay, slot);
    seat->relay = relay;
    seat->slot = slot;
    seat->subscriptions = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    seat->port = bus_port_new(fd, &handler, seat);
    bus_port_set_bound(seat->port, QUEUE_FRAMES);
    relay->seats[slot] = seat;
    if (slot == BUS_SLOT_RE0) {
        subscriptions_replay(relay, seat);
    }
}

void hw_relay_remove(struct hw_relay *relay, uint8_t slot)
{
    struct seat *seat = relay->seats[slot];
    g_autoptr(GArray) ended = NULL;
    GHashTableIter iter;
    void *key;

    if (!seat) {
        return;
    }
    relay->seats[slot] = NULL;
    bus_port_free(seat->port);
    g_ptr_array_unref(seat->subscriptions);
    g_free(seat);
    ended = g_array_new(FALSE, FALSE, sizeof(struct call));
    g_hash_table_iter_init(&iter, relay->calls);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        struct call call = *(struct call *)key;

        if (call.callee >> 8 == slot) {
            g_array_append_val(ended, call);
        }
        if (call.callee >> 8 == slot || call.caller >> 8 == slot) {
            g_hash_table_iter_remove(&iter);
        }
    }
    for (unsigned n = 0; n < ended->len; n++) {
        answer_error(relay, &g_array_index(ended, struct call, n), 3,
                     "the board that was called went out of service");
    }
}

void hw_relay_count(const struct hw_relay *relay, struct hw_relay_counters *ret)
{
    *ret = relay->counters;
}
