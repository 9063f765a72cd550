/*
 * router - the switchboard of one Routing Engine. See bus.h.
 *
 * Ports are daemons (one address each) and the midplane (mask 0: every address
 * that is not of this RE: the cards and hwd). A frame is forwarded as bytes; only
 * subscriptions and retained events are decoded. What the router keeps:
 *
 *  - subscriptions by address, because cards share the midplane port;
 *  - the newest retained event of every object, in the order in which the objects
 *    first appeared, replayed to late subscribers;
 *  - calls under way, so that the end of a callee answers them and nobody can
 *    send a reply that was not asked for.
 *
 * Refused frames (forged source, malformed, unasked reply) are dropped and
 * counted. Descriptors do not travel through the router.
 *
 * Limits: CALLS_MAX calls under way (then BUSY), CALL_AGE for one of them,
 * OBJECTS_MAX retained objects, SUBSCRIPTIONS_MAX an address. Threads: main loop.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/bus/bus.h"
#include "firmware/bus/port.h"
#include "firmware/core/clock.h"
#include "firmware/core/log.h"
#include "messages.h"

#define CALLS_MAX         16384
#define CALL_AGE_NS       (600 * FW_SEC) /* longer than any timeout in use */
#define OBJECTS_MAX       200000
#define SUBSCRIPTIONS_MAX 128

struct router_port {
    struct bus_router *router;
    struct bus_port *port;
    uint16_t address;
    uint16_t mask;
    bool heard;            /* it has spoken: its role is up */
};

struct call {
    uint16_t caller, callee;
    uint32_t serial;
    int64_t since_ns;
};

struct object {
    struct bus_frame *frame;
    GList *link;           /* in its type's order */
};

struct state {             /* retained objects of one type */
    GHashTable *objects;   /* GBytes key -> struct object */
    GQueue order;          /* struct object * */
};

struct bus_router {
    GPtrArray *ports;           /* struct router_port * */
    GHashTable *subscriptions;  /* address -> GArray of uint16_t types */
    GHashTable *states;         /* type -> struct state */
    GHashTable *calls;          /* struct call, set */
    GHashTable *down;           /* addresses behind the midplane that went away, set */
    struct bus_conn *conn;
    unsigned n_objects;
    struct bus_router_counters counters;
};

/* ---- calls under way ---- */

static guint call_hash(gconstpointer p)
{
    const struct call *c = p;

    return c->serial * 2654435761u ^ ((guint)c->caller << 16 | c->callee);
}

static gboolean call_equal(gconstpointer a, gconstpointer b)
{
    const struct call *x = a, *y = b;

    return x->caller == y->caller && x->callee == y->callee && x->serial == y->serial;
}

static gboolean call_is_old(gpointer key, gpointer value, gpointer now)
{
    (void)value;
    return *(int64_t *)now - ((struct call *)key)->since_ns > CALL_AGE_NS;
}

/* ---- state ---- */

static void object_free(void *pointer)
{
    struct object *o = pointer;

    bus_frame_unref(o->frame);
    g_free(o);
}

static void state_free(void *pointer)
{
    struct state *s = pointer;

    g_queue_clear(&s->order);
    g_hash_table_unref(s->objects);
    g_free(s);
}

static struct state *state_of(struct bus_router *router, uint16_t type)
{
    struct state *s = g_hash_table_lookup(router->states, GUINT_TO_POINTER(type));

    if (!s) {
        s = g_new0(struct state, 1);
        s->objects = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
                                           (GDestroyNotify)g_bytes_unref, object_free);
        g_queue_init(&s->order);
        g_hash_table_insert(router->states, GUINT_TO_POINTER(type), s);
    }
    return s;
}

/* Keeps (or ends) the object an event speaks of. */
static void state_keep(struct bus_router *router, const struct bus_type *type, const void *msg,
                       const uint8_t *data, size_t len)
{
    struct state *s = state_of(router, type->number);
    GBytes *key = bus_object_key(type, BUS_SUBSCRIBERS, msg);
    struct object *o = key ? g_hash_table_lookup(s->objects, key) : NULL;
    bool gone = type->gone >= 0 &&
                *((const bool *)msg + type->body->fields[type->gone].offset);

    if (!key) {
        return;
    }
    if (gone) {
        if (o) {
            g_queue_delete_link(&s->order, o->link);
            g_hash_table_remove(s->objects, key);
            router->n_objects--;
        }
    } else if (o) {
        bus_frame_unref(o->frame);
        o->frame = bus_frame_new(data, len, BUS_EVENT, NULL, NULL, 0);
    } else if (router->n_objects >= OBJECTS_MAX) {
        router->counters.state_full++;
    } else {
        o = g_new0(struct object, 1);
        o->frame = bus_frame_new(data, len, BUS_EVENT, NULL, NULL, 0);
        g_queue_push_tail(&s->order, o);
        o->link = g_queue_peek_tail_link(&s->order);
        g_hash_table_insert(s->objects, g_bytes_ref(key), o);
        router->n_objects++;
    }
    g_bytes_unref(key);
}

/* ---- delivery ---- */

static struct router_port *port_of(struct bus_router *router, uint16_t address)
{
    struct router_port *wide = NULL;

    for (unsigned i = 0; i < router->ports->len; i++) {
        struct router_port *p = router->ports->pdata[i];

        if (p->mask && (address & p->mask) == (p->address & p->mask)) {
            return p;
        }
        if (!p->mask) {
            wide = p;
        }
    }
    return address >> 8 != BUS_SLOT_RE0 ? wide : NULL;
}

static bool source_fits(const struct router_port *p, uint16_t source)
{
    if (p->mask) {
        return (source & p->mask) == (p->address & p->mask);
    }
    return source >> 8 != BUS_SLOT_RE0 && source != BUS_SUBSCRIBERS;
}

/* The bytes with another destination, out of one port. msg of a retained event names the object. */
static enum bus_sent deliver(struct bus_router *router, struct router_port *p,
                             uint16_t destination, const struct bus_header *h,
                             const struct bus_type *type, const void *msg, const uint8_t *data,
                             size_t len)
{
    GBytes *key = msg && type->retained ? bus_object_key(type, destination, msg) : NULL;
    struct bus_frame *frame = bus_frame_new(data, len, h->kind, key, NULL, 0);

    frame->data[22] = (uint8_t)(destination >> 8);
    frame->data[23] = (uint8_t)destination;
    enum bus_sent sent = bus_port_send(p->port, frame);
    bus_frame_unref(frame);
    if (sent != BUS_SENT) {
        router->counters.dropped++;
    }
    return sent;
}

/* An answer made here, in the name of the one that was called. */
static void answer(struct bus_router *router, uint16_t caller, uint16_t callee, uint32_t serial,
                   uint16_t number, const void *msg)
{
    uint8_t buffer[1024];
    struct fw_emit e = fw_emit(buffer, sizeof buffer);
    struct bus_header h = {.version = BUS_SCHEMA_VERSION, .type = number, .kind = BUS_REPLY,
                           .serial = serial, .source = callee, .destination = caller};
    const struct bus_type *type = bus_type_find(number);
    struct router_port *p = port_of(router, caller);

    bus_header_encode(&h, &e);
    bus_encode(type->body, msg, &e);
    fw_emit_patch_u32(&e, 0, (uint32_t)fw_emit_len(&e));
    if (p && !e.failed) {
        deliver(router, p, caller, &h, type, NULL, buffer, fw_emit_len(&e));
    }
}

static void answer_error(struct bus_router *router, uint16_t caller, uint16_t callee,
                         uint32_t serial, uint16_t code, const char *text)
{
    struct bus_error e = {.code = code};

    g_snprintf(e.text, sizeof e.text, "%s", text);
    answer(router, caller, callee, serial, BUS_ERROR, &e);
}

static void publish(struct bus_router *router, const struct bus_header *h,
                    const struct bus_type *type, const void *msg, const uint8_t *data, size_t len)
{
    GHashTableIter iter;
    void *key, *value;

    if (type->retained) {
        state_keep(router, type, msg, data, len);
    }
    g_hash_table_iter_init(&iter, router->subscriptions);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        uint16_t address = (uint16_t)GPOINTER_TO_UINT(key);
        GArray *types = value;
        struct router_port *p = NULL;

        for (unsigned i = 0; i < types->len && !p; i++) {
            /* Nobody hears himself, but the router's process hears the router. */
            if (g_array_index(types, uint16_t, i) == h->type &&
                (address != h->source || address == BUS_ROUTER)) {
                p = port_of(router, address);
            }
        }
        if (p) {
            deliver(router, p, address, h, type, msg, data, len);
        }
    }
}

static void publish_own(struct bus_router *router, uint16_t number, const void *msg)
{
    uint8_t buffer[512];
    struct fw_emit e = fw_emit(buffer, sizeof buffer);
    struct bus_header h = {.version = BUS_SCHEMA_VERSION, .type = number, .kind = BUS_EVENT,
                           .source = BUS_ROUTER, .destination = BUS_SUBSCRIBERS};
    const struct bus_type *type = bus_type_find(number);

    bus_header_encode(&h, &e);
    bus_encode(type->body, msg, &e);
    fw_emit_patch_u32(&e, 0, (uint32_t)fw_emit_len(&e));
    publish(router, &h, type, msg, buffer, fw_emit_len(&e));
}

static void publish_role(struct bus_router *router, uint16_t address, bool up)
{
    struct bus_role_state s = {.address = address, .up = up};

    publish_own(router, BUS_ROLE_STATE, &s);
}

static void replay(struct bus_router *router, struct router_port *p, uint16_t address,
                   uint16_t number)
{
    const struct bus_type *type = bus_type_find(number);
    struct state *s = g_hash_table_lookup(router->states, GUINT_TO_POINTER(number));
    void *msg;

    if (!s) {
        return;
    }
    msg = g_malloc(type->body->size);
    for (GList *l = s->order.head; l; l = l->next) {
        struct object *o = l->data;
        struct fw_cursor c = fw_cursor(o->frame->data, o->frame->len);
        struct bus_header h;

        if (bus_header_decode(&c, o->frame->len, &h) && bus_decode(type->body, &c, msg)) {
            deliver(router, p, address, &h, type, msg, o->frame->data, o->frame->len);
        }
    }
    g_free(msg);
}

static void subscribe(struct bus_router *router, struct router_port *p, const struct bus_header *h,
                      const struct bus_subscribe *s)
{
    void *key = GUINT_TO_POINTER(h->source);
    GArray *types = g_hash_table_lookup(router->subscriptions, key);
    struct bus_ok ok = {0};

    if (!types) {
        types = g_array_new(FALSE, FALSE, sizeof(uint16_t));
        g_hash_table_insert(router->subscriptions, key, types);
    }
    for (unsigned i = 0; i < s->n_types; i++) {
        const struct bus_type *type = bus_type_find(s->types[i]);
        if (!type || type->kind != BUS_EVENT || types->len >= SUBSCRIPTIONS_MAX) {
            answer_error(router, h->source, BUS_ROUTER, h->serial, 2, "not an event type");
            return;
        }
    }
    answer(router, h->source, BUS_ROUTER, h->serial, BUS_OK, &ok);
    for (unsigned i = 0; i < s->n_types; i++) {
        bool known = false;

        for (unsigned j = 0; j < types->len; j++) {
            known = known || g_array_index(types, uint16_t, j) == s->types[i];
        }
        if (!known) {
            g_array_append_val(types, s->types[i]);
        }
        replay(router, p, h->source, s->types[i]);
    }
}

/* ---- frames in ---- */

static void forward_call(struct bus_router *router, const struct bus_header *h,
                         const struct bus_type *type, const uint8_t *data, size_t len)
{
    bool down = g_hash_table_contains(router->down, GUINT_TO_POINTER(h->destination));
    struct router_port *to = down ? NULL : port_of(router, h->destination);
    struct call call = {h->source, h->destination, h->serial, fw_clock_ns()};
    struct call *entry;

    if (!to) {
        answer_error(router, h->source, h->destination, h->serial, 3,
                     "the board or daemon that was called is not running");
        return;
    }
    if (g_hash_table_size(router->calls) >= CALLS_MAX) {
        g_hash_table_foreach_remove(router->calls, call_is_old, &call.since_ns);
    }
    if (g_hash_table_size(router->calls) >= CALLS_MAX) {
        answer_error(router, h->source, h->destination, h->serial, 1, "too many calls under way");
        return;
    }
    switch (deliver(router, to, h->destination, h, type, NULL, data, len)) {
    case BUS_SENT:
        entry = g_new(struct call, 1);
        *entry = call;
        g_hash_table_add(router->calls, entry);
        break;
    case BUS_SENT_FULL:
        answer_error(router, h->source, h->destination, h->serial, 1,
                     "the one that was called does not keep up");
        break;
    case BUS_SENT_GONE:
        answer_error(router, h->source, h->destination, h->serial, 3,
                     "the board or daemon that was called is gone");
        break;
    }
}

static void router_frame(struct bus_port *port, const uint8_t *data, size_t len, int *fds,
                         unsigned n_fds, void *user)
{
    struct router_port *p = user;
    struct bus_router *router = p->router;
    struct fw_cursor c = fw_cursor(data, len);
    struct bus_header h;
    void *msg = NULL;

    (void)port;
    (void)fds;
    (void)n_fds;
    if (!bus_header_decode(&c, len, &h)) {
        router->counters.malformed++;
        return;
    }
    if (!source_fits(p, h.source)) {
        router->counters.forged++;
        return;
    }
    if (!p->mask) {
        g_hash_table_remove(router->down, GUINT_TO_POINTER(h.source)); /* it lives again */
    }
    if (!p->heard && p->mask == 0xffff) {
        p->heard = true;
        publish_role(router, p->address, true);
    }
    const struct bus_type *type = bus_type_find(h.type);
    if (!type || type->kind != h.kind) {
        router->counters.malformed++;
        if (h.kind == BUS_CALL) {
            answer_error(router, h.source, h.destination, h.serial, 4, "unknown message type");
        }
        return;
    }
    bool own = h.kind == BUS_CALL && h.type == BUS_SUBSCRIBE && h.destination == BUS_ROUTER;
    if (own || h.kind == BUS_EVENT) {
        msg = g_malloc(type->body->size);
        if (!bus_decode(type->body, &c, msg)) {
            router->counters.malformed++;
            if (own) {
                answer_error(router, h.source, h.destination, h.serial, 2, "malformed");
            }
            g_free(msg);
            return;
        }
    }
    if (own) {
        subscribe(router, p, &h, msg);
    } else if (h.kind == BUS_CALL) {
        forward_call(router, &h, type, data, len);
    } else if (h.kind == BUS_REPLY) {
        struct call call = {.caller = h.destination, .callee = h.source, .serial = h.serial};
        struct router_port *to = port_of(router, h.destination);

        if (!g_hash_table_remove(router->calls, &call)) {
            router->counters.unasked++;
        } else if (to) {
            deliver(router, to, h.destination, &h, type, NULL, data, len);
        }
    } else if (h.destination == BUS_SUBSCRIBERS) {
        publish(router, &h, type, msg, data, len);
    } else {
        struct router_port *to = port_of(router, h.destination);

        if (to) {
            deliver(router, to, h.destination, &h, type, msg, data, len);
        } else {
            router->counters.dropped++;
        }
    }
    if (msg) {
        bus_wipe(type->body, msg);
        g_free(msg);
    }
}

/* Everything an address leaves behind: subscriptions, calls to it (answered) and from it. */
static void address_end(struct bus_router *router, uint16_t address)
{
    g_autoptr(GArray) ended = g_array_new(FALSE, FALSE, sizeof(struct call));
    GHashTableIter iter;
    void *key;

    g_hash_table_remove(router->subscriptions, GUINT_TO_POINTER(address));
    g_hash_table_iter_init(&iter, router->calls);
    while (g_hash_table_iter_next(&iter, &key, NULL)) {
        struct call call = *(struct call *)key;

        if (call.callee == address) {
            g_array_append_val(ended, call);
        }
        if (call.callee == address || call.caller == address) {
            g_hash_table_iter_remove(&iter);
        }
    }
    for (unsigned i = 0; i < ended->len; i++) {
        struct call *call = &g_array_index(ended, struct call, i);

        answer_error(router, call->caller, call->callee, call->serial, 3,
                     "the board or daemon that was called went away");
    }
}

static void router_gone(struct bus_port *port, void *user)
{
    struct router_port *p = user;
    struct bus_router *router = p->router;

    (void)port;
    if (p->mask) {
        bus_router_remove(router, p->address);
    } else {
        fw_error("bus: the midplane is gone");
        g_ptr_array_remove(router->ports, p);
    }
}

static void router_port_free(void *pointer)
{
    struct router_port *p = pointer;

    bus_port_free(p->port);
    g_free(p);
}

struct bus_router *bus_router_new(const struct bus_handler *self, void *data)
{
    struct bus_router *router = g_new0(struct bus_router, 1);
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        fw_error("bus: no socket for the router itself");
        g_free(router);
        return NULL;
    }
    router->ports = g_ptr_array_new_with_free_func(router_port_free);
    router->subscriptions = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_array_unref);
    router->states = g_hash_table_new_full(NULL, NULL, NULL, state_free);
    router->calls = g_hash_table_new_full(call_hash, call_equal, g_free, NULL);
    router->down = g_hash_table_new(NULL, NULL);
    bus_router_add(router, pair[0], BUS_ROUTER, 0xffff);
    router->conn = bus_conn_new(pair[1], BUS_ROUTER, self, data);
    return router;
}

void bus_router_free(struct bus_router *router)
{
    if (!router) {
        return;
    }
    bus_conn_free(router->conn);
    g_ptr_array_unref(router->ports);
    g_hash_table_unref(router->subscriptions);
    g_hash_table_unref(router->states);
    g_hash_table_unref(router->calls);
    g_hash_table_unref(router->down);
    g_free(router);
}

void bus_router_add(struct bus_router *router, int fd, uint16_t address, uint16_t mask)
{
    static const struct bus_port_handler handler = {router_frame, router_gone};
    struct router_port *p = g_new0(struct router_port, 1);

    p->router = router;
    p->address = address;
    p->mask = mask;
    p->port = bus_port_new(fd, &handler, p);
    g_ptr_array_add(router->ports, p);
}

void bus_router_remove(struct bus_router *router, uint16_t address)
{
    bool role = false;

    for (unsigned i = router->ports->len; i-- > 0;) {
        struct router_port *p = router->ports->pdata[i];

        if (p->mask && p->address == address) {
            role = role || p->heard;
            g_ptr_array_remove_index(router->ports, i);
        }
    }
    if (!role && address >> 8 != BUS_SLOT_RE0) {
        g_hash_table_add(router->down, GUINT_TO_POINTER(address));
    }
    address_end(router, address);
    if (role) {
        publish_role(router, address, false);
    }
}

struct bus_conn *bus_router_conn(struct bus_router *router)
{
    return router->conn;
}

void bus_router_count(const struct bus_router *router, struct bus_router_counters *ret)
{
    *ret = router->counters;
}
