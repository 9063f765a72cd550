/*
 * store - the newest retained event of every object, and snapshots built from them.
 *
 * Objects are kept as copies of their messages, found by their keys; only the
 * addresses and prefixes of the keys are looked at, byte by byte, since unused
 * bytes of fw_addr are zero. Main thread only.
 */
#include <glib.h>
#include <string.h>

#include "spc/flow/tables-private.h"

enum kind { IFL, ROUTE, NEIGHBOUR, POLICY, TUNNEL, ANCHOR, BOARD, KINDS };

struct flow_store {
    uint8_t slot, host;
    uint32_t generation;
    GHashTable *objects[KINDS]; /* GBytes (key) -> message */
};

struct flow_store *flow_store_new(uint8_t slot, uint8_t host_endpoint)
{
    struct flow_store *store = g_new0(struct flow_store, 1);

    store->slot = slot;
    store->host = host_endpoint;
    for (unsigned i = 0; i < KINDS; i++) {
        store->objects[i] = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
                                                  (GDestroyNotify)g_bytes_unref, g_free);
    }
    return store;
}

void flow_store_free(struct flow_store *store)
{
    if (!store) {
        return;
    }
    for (unsigned i = 0; i < KINDS; i++) {
        g_hash_table_unref(store->objects[i]);
    }
    g_free(store);
}

static bool put(struct flow_store *store, enum kind kind, const void *key, size_t key_len,
                const void *msg, size_t len, bool gone)
{
    GBytes *bytes = g_bytes_new(key, key_len);

    if (gone) {
        g_hash_table_remove(store->objects[kind], bytes);
        g_bytes_unref(bytes);
    } else {
        g_hash_table_replace(store->objects[kind], bytes, g_memdup2(msg, len));
    }
    return true;
}

bool flow_store_apply(struct flow_store *store, uint16_t type, const void *msg)
{
    uint8_t key[32] = {0};

    switch (type) {
    case BUS_IFL_STATE: {
        const struct bus_ifl_state *m = msg;

        return put(store, IFL, &m->ifl, sizeof m->ifl, m, sizeof *m, m->gone);
    }
    case BUS_ROUTE_STATE: {
        const struct bus_route_state *m = msg;

        memcpy(key, &m->prefix.addr, sizeof m->prefix.addr);
        key[31] = m->prefix.len;
        return put(store, ROUTE, key, sizeof key, m, sizeof *m, m->gone);
    }
    case BUS_NEIGHBOUR_STATE: {
        const struct bus_neighbour_state *m = msg;

        memcpy(key, &m->address, sizeof m->address);
        memcpy(key + 30, &m->ifl, 2);
        return put(store, NEIGHBOUR, key, sizeof key, m, sizeof *m, m->gone);
    }
    case BUS_ZONE_STATE:
        return true; /* ids are all we need, and interfaces carry them */
    case BUS_POLICY_STATE: {
        const struct bus_policy_state *m = msg;
        uint16_t zones[2] = {m->from_zone, m->to_zone};

        return put(store, POLICY, zones, sizeof zones, m, sizeof *m, m->gone);
    }
    case BUS_TUNNEL_INTERFACE_STATE: {
        const struct bus_tunnel_interface_state *m = msg;

        return put(store, TUNNEL, &m->tunnel, sizeof m->tunnel, m, sizeof *m, m->gone);
    }
    case BUS_ANCHOR_STATE: {
        const struct bus_anchor_state *m = msg;

        return put(store, ANCHOR, &m->anchor, sizeof m->anchor, m, sizeof *m, m->gone);
    }
    case BUS_FPC_STATE: {
        const struct bus_fpc_state *m = msg;

        return put(store, BOARD, &m->slot, sizeof m->slot, m, sizeof *m, m->gone);
    }
    default:
        return false;
    }
}

/* ---- building ---- */

static void build_own(struct flow_tables *t, const struct bus_ifl_state *m, struct flow_ifl *row)
{
    for (unsigned i = 0; i < m->n_addresses; i++) {
        const struct fw_addr *a = &m->addresses[i].prefix.addr;
        struct flow_own own = {.address = *a, .ifl = m->ifl};

        g_array_append_val(t->own, own);
        if (a->family == FW_FAMILY_V4 && row->v4.family == 0) {
            row->v4 = *a;
        } else if (a->family == FW_FAMILY_V6 && row->v6.family == 0) {
            row->v6 = *a;
        }
    }
}

static void build_ifl(struct flow_tables *t, const struct bus_ifl_state *m)
{
    struct flow_ifl *row;

    if (m->ifl >= t->ifls->len) {
        g_array_set_size(t->ifls, m->ifl + 1u);
    }
    row = &g_array_index(t->ifls, struct flow_ifl, m->ifl);
    *row = (struct flow_ifl){.set = true,
                             .up = m->up,
                             .kind = m->kind,
                             .slot = m->slot,
                             .pic = m->pic,
                             .port = m->port,
                             .ifl = m->ifl,
                             .mtu = m->mtu,
                             .zone = m->zone,
                             .host_inbound = m->host_inbound};
    memcpy(row->mac, m->mac, sizeof row->mac);
    build_own(t, m, row);
}

static void build_routes(struct flow_tables *t, GHashTable *routes)
{
    g_autoptr(GArray) prefixes = g_array_new(FALSE, FALSE, sizeof(struct flow_lpm_route));
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, routes);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct bus_route_state *m = value;
        struct flow_lpm_route entry = {m->prefix, t->routes->len};
        struct flow_route route = {.next_hop = m->next_hop, .ifl = m->ifl};

        g_array_append_val(prefixes, entry);
        g_array_append_val(t->routes, route);
    }
    t->lpm = flow_lpm_new((const struct flow_lpm_route *)(void *)prefixes->data, prefixes->len);
}

static void build_neighbours(struct flow_tables *t, GHashTable *neighbours)
{
    uint32_t size = 16;
    GHashTableIter iter;
    gpointer value;

    while (size < g_hash_table_size(neighbours) * 2) {
        size *= 2;
    }
    t->neighbours = g_new0(struct flow_neighbour, size);
    t->neighbour_mask = size - 1;
    g_hash_table_iter_init(&iter, neighbours);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct bus_neighbour_state *m = value;
        uint32_t at = flow_neighbour_hash(m->ifl, &m->address) & t->neighbour_mask;

        while (t->neighbours[at].address.family) {
            at = (at + 1) & t->neighbour_mask;
        }
        t->neighbours[at].address = m->address;
        t->neighbours[at].ifl = m->ifl;
        memcpy(t->neighbours[at].mac, m->mac, 6);
    }
}

static void build_tunnel(struct flow_tables *t, const struct bus_tunnel_interface_state *m)
{
    struct flow_tunnel row = {.tunnel = m->tunnel,
                              .ifl = m->ifl,
                              .anchor = m->anchor,
                              .up = m->up,
                              .n_selectors = m->n_selectors};

    memcpy(row.selectors, m->selectors, sizeof row.selectors);
    g_array_append_val(t->tunnels, row);
}

static void build_anchor(struct flow_tables *t, const struct bus_anchor_state *m)
{
    struct flow_anchor *row;

    if (m->anchor >= t->anchors->len) {
        g_array_set_size(t->anchors, m->anchor + 1u);
    }
    row = &g_array_index(t->anchors, struct flow_anchor, m->anchor);
    *row = (struct flow_anchor){true, m->slot, m->spu, m->thread, m->generation};
}

static void build_board(struct flow_tables *t, const struct bus_fpc_state *m)
{
    if (m->slot >= FABRIC_ENDPOINTS_MAX) {
        return;
    }
    t->boards[m->slot] = (struct flow_board){.set = true,
                                             .online = m->online,
                                             .spus = m->spus,
                                             .threads = m->threads,
                                             .generation = m->generation};
    if (m->online && m->central_point && (!t->has_central_point || m->slot < t->central_point)) {
        t->has_central_point = true;
        t->central_point = m->slot;
    }
}

static void build_owners(struct flow_tables *t)
{
    for (uint8_t slot = 0; slot < FABRIC_ENDPOINTS_MAX; slot++) {
        const struct flow_board *b = &t->boards[slot];

        if (!b->online) {
            continue;
        }
        for (unsigned i = 0; i < (unsigned)b->spus * b->threads; i++) {
            struct flow_owner owner = {slot, (uint8_t)(i % b->spus), (uint8_t)(i / b->spus)};

            g_array_append_val(t->owners, owner);
        }
    }
}

static int by_tunnel(const void *a, const void *b)
{
    const struct flow_tunnel *x = a, *y = b;

    return x->tunnel < y->tunnel ? -1 : x->tunnel > y->tunnel;
}

struct flow_tables *flow_store_build(struct flow_store *store)
{
    struct flow_tables *t = g_new0(struct flow_tables, 1);
    GHashTableIter iter;
    gpointer value;

    t->generation = ++store->generation;
    t->slot = store->slot;
    t->host = store->host;
    t->ifls = g_array_new(FALSE, TRUE, sizeof(struct flow_ifl));
    t->own = g_array_new(FALSE, TRUE, sizeof(struct flow_own));
    t->routes = g_array_new(FALSE, TRUE, sizeof(struct flow_route));
    t->tunnels = g_array_new(FALSE, TRUE, sizeof(struct flow_tunnel));
    t->anchors = g_array_new(FALSE, TRUE, sizeof(struct flow_anchor));
    t->owners = g_array_new(FALSE, TRUE, sizeof(struct flow_owner));
    t->policies = g_ptr_array_new_with_free_func(g_free);
#define EACH(kind, build, type)                                                                    \
    g_hash_table_iter_init(&iter, store->objects[kind]);                                           \
    while (g_hash_table_iter_next(&iter, NULL, &value)) {                                          \
        build(t, (const struct type *)value);                                                      \
    }
    EACH(IFL, build_ifl, bus_ifl_state)
    EACH(TUNNEL, build_tunnel, bus_tunnel_interface_state)
    EACH(ANCHOR, build_anchor, bus_anchor_state)
    EACH(BOARD, build_board, bus_fpc_state)
#undef EACH
    g_array_sort(t->tunnels, by_tunnel);
    build_owners(t);
    build_routes(t, store->objects[ROUTE]);
    build_neighbours(t, store->objects[NEIGHBOUR]);
    g_hash_table_iter_init(&iter, store->objects[POLICY]);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        g_ptr_array_add(t->policies, flow_policy_new(value));
    }
    return t;
}

void flow_tables_free(struct flow_tables *t)
{
    if (!t) {
        return;
    }
    g_array_unref(t->ifls);
    g_array_unref(t->own);
    g_array_unref(t->routes);
    g_array_unref(t->tunnels);
    g_array_unref(t->anchors);
    g_array_unref(t->owners);
    g_ptr_array_unref(t->policies);
    g_free(t->neighbours);
    flow_lpm_free(t->lpm);
    g_free(t);
}
