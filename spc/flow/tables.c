/* tables - lookups in a snapshot; see tables.h. */
#include "spc/flow/tables.h"

#include <string.h>

#include "spc/flow/tables-private.h"

uint32_t flow_tables_generation(const struct flow_tables *t)
{
    return t->generation;
}

uint8_t flow_tables_host(const struct flow_tables *t)
{
    return t->host;
}

const struct flow_ifl *flow_tables_ifl(const struct flow_tables *t, uint16_t ifl)
{
    const struct flow_ifl *row;

    if (ifl >= t->ifls->len) {
        return NULL;
    }
    row = &g_array_index(t->ifls, struct flow_ifl, ifl);
    return row->set ? row : NULL;
}

const struct flow_ifl *flow_tables_own(const struct flow_tables *t, const struct fw_addr *address)
{
    for (unsigned i = 0; i < t->own->len; i++) {
        const struct flow_own *own = &g_array_index(t->own, struct flow_own, i);

        if (memcmp(&own->address, address, sizeof *address) == 0) {
            return flow_tables_ifl(t, own->ifl);
        }
    }
    return NULL;
}

const struct flow_board *flow_tables_board(const struct flow_tables *t, uint8_t slot)
{
    return slot < FABRIC_ENDPOINTS_MAX && t->boards[slot].set ? &t->boards[slot] : NULL;
}

bool flow_tables_central_point(const struct flow_tables *t, uint8_t *ret_slot)
{
    if (t->has_central_point) {
        *ret_slot = t->central_point;
    }
    return t->has_central_point;
}

unsigned flow_tables_owners(const struct flow_tables *t, const struct flow_owner **ret)
{
    *ret = (const struct flow_owner *)(void *)t->owners->data;
    return t->owners->len;
}

bool flow_tables_neighbour(const struct flow_tables *t, struct flow_adjacency *a)
{
    uint32_t at = flow_neighbour_hash(a->ifl, &a->next_hop) & t->neighbour_mask;

    for (; t->neighbours[at].address.family; at = (at + 1) & t->neighbour_mask) {
        const struct flow_neighbour *n = &t->neighbours[at];

        if (n->ifl == a->ifl && memcmp(&n->address, &a->next_hop, sizeof n->address) == 0) {
            memcpy(a->ether, n->mac, 6);
            a->resolved = true;
            return true;
        }
    }
    return false;
}

static enum flow_counter port_adjacency(const struct flow_tables *t, const struct flow_ifl *ifl,
                                        struct flow_adjacency *ret)
{
    if (!flow_tables_board(t, ifl->slot) || !flow_tables_board(t, ifl->slot)->online) {
        return FLOW_CARD_OFFLINE;
    }
    ret->out = FLOW_OUT_PORT;
    ret->slot = ifl->slot;
    ret->pic = ifl->pic;
    ret->port = ifl->port;
    memcpy(ret->ether + 6, ifl->mac, 6);
    flow_tables_neighbour(t, ret);
    return FLOW_OK;
}

static bool selectors_match(const struct flow_tunnel *row, const struct fw_addr *source,
                            const struct fw_addr *destination)
{
    for (unsigned i = 0; i < row->n_selectors; i++) {
        if (fw_prefix_contains(&row->selectors[i].local, source) &&
            fw_prefix_contains(&row->selectors[i].remote, destination)) {
            return true;
        }
    }
    return row->n_selectors == 0;
}

/* Of several tunnels at one st0 unit: one that is up and takes the packet, else any. */
static const struct flow_tunnel *tunnel_at(const struct flow_tables *t, uint16_t ifl,
                                           const struct fw_addr *source,
                                           const struct fw_addr *destination)
{
    const struct flow_tunnel *best = NULL;
    int best_score = -1;

    for (unsigned i = 0; i < t->tunnels->len; i++) {
        const struct flow_tunnel *row = &g_array_index(t->tunnels, struct flow_tunnel, i);
        int score;

        if (row->ifl != ifl) {
            continue;
        }
        score = (selectors_match(row, source, destination) ? 2 : 0) + (row->up ? 1 : 0);
        if (score > best_score) {
            best = row;
            best_score = score;
        }
    }
    return best;
}

enum flow_counter flow_tables_tunnel(const struct flow_tables *t, uint16_t ifl,
                                     const struct fw_addr *source,
                                     const struct fw_addr *destination,
                                     struct flow_adjacency *ret)
{
    const struct flow_ifl *row = flow_tables_ifl(t, ifl);
    const struct flow_tunnel *tunnel;
    const struct flow_anchor *anchor;

    if (!row || row->kind != BUS_IFL_KIND_TUNNEL) {
        return FLOW_NO_INTERFACE;
    }
    tunnel = tunnel_at(t, ifl, source, destination);
    if (!tunnel) {
        return FLOW_NO_TUNNEL;
    }
    if (tunnel->anchor == 0 || tunnel->anchor >= t->anchors->len) {
        return FLOW_NO_ANCHOR;
    }
    anchor = &g_array_index(t->anchors, struct flow_anchor, tunnel->anchor);
    if (!anchor->set) {
        return FLOW_NO_ANCHOR;
    }
    if (!flow_tables_board(t, anchor->slot) || !flow_tables_board(t, anchor->slot)->online) {
        return FLOW_CARD_OFFLINE;
    }
    ret->generation = t->generation;
    ret->out = FLOW_OUT_TUNNEL;
    ret->ifl = ifl;
    ret->mtu = row->mtu;
    ret->slot = anchor->slot;
    ret->spu = anchor->spu;
    ret->thread = anchor->thread;
    ret->anchor_generation = anchor->generation;
    ret->tunnel = tunnel->tunnel;
    return FLOW_OK;
}

enum flow_counter flow_tables_resolve(const struct flow_tables *t, const struct fw_addr *source,
                                      const struct fw_addr *destination,
                                      struct flow_adjacency *ret)
{
    int64_t found = flow_lpm_find(t->lpm, destination);
    const struct flow_route *route;
    const struct flow_ifl *ifl;

    memset(ret, 0, sizeof *ret);
    if (found < 0) {
        return FLOW_NO_ROUTE;
    }
    route = &g_array_index(t->routes, struct flow_route, (guint)found);
    if (route->ifl == 0) {
        return FLOW_ROUTE_DISCARD;
    }
    ifl = flow_tables_ifl(t, route->ifl);
    if (!ifl) {
        return FLOW_NO_INTERFACE;
    }
    ret->generation = t->generation;
    ret->ifl = ifl->ifl;
    ret->mtu = ifl->mtu;
    ret->next_hop = route->next_hop.family ? route->next_hop : *destination;
    switch ((enum bus_ifl_kind)ifl->kind) {
    case BUS_IFL_KIND_ETHER:
        return ifl->up ? port_adjacency(t, ifl, ret) : FLOW_INTERFACE_DOWN;
    case BUS_IFL_KIND_TUNNEL:
        return flow_tables_tunnel(t, ifl->ifl, source, destination, ret);
    case BUS_IFL_KIND_LOOPBACK:
        break;
    }
    return FLOW_NO_ROUTE;
}
