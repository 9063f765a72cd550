/*
 * tables-private - the snapshot's inside, shared by store.c (builds) and tables.c (reads).
 */
#ifndef FLOW_TABLES_PRIVATE_H
#define FLOW_TABLES_PRIVATE_H

#include <glib.h>

#include "spc/flow/tables.h"

struct flow_own {
    struct fw_addr address;
    uint16_t ifl;
};

struct flow_route {
    struct fw_addr next_hop;
    uint16_t ifl; /* 0: discard */
};

struct flow_neighbour {
    struct fw_addr address; /* family 0: free */
    uint16_t ifl;
    uint8_t mac[6];
};

struct flow_policy { /* of a pair of zones */
    uint16_t from, to;
    unsigned n_rules;
    struct flow_rule {
        uint32_t id;
        uint8_t action; /* enum bus_policy_action */
        char name[FLOW_POLICY_TEXT];
        uint8_t n_sources, n_destinations, n_applications;
        const struct fw_prefix *sources, *destinations; /* in the policy's own memory */
        const struct bus_policy_application *applications;
    } rules[];
};

struct flow_tables {
    uint32_t generation;
    uint8_t slot, host;
    bool has_central_point;
    uint8_t central_point;
    struct flow_board boards[FABRIC_ENDPOINTS_MAX];
    GArray *ifls;       /* struct flow_ifl, by number */
    GArray *own;        /* struct flow_own */
    GArray *routes;     /* struct flow_route */
    GArray *tunnels;    /* struct flow_tunnel, by id */
    GArray *anchors;    /* struct flow_anchor, by id */
    GArray *owners;     /* struct flow_owner */
    GPtrArray *policies; /* struct flow_policy */
    struct flow_neighbour *neighbours; /* open addressing */
    uint32_t neighbour_mask;
    struct flow_lpm *lpm;
};

static inline uint32_t flow_neighbour_hash(uint16_t ifl, const struct fw_addr *address)
{
    uint64_t w[2];

    memcpy(w, address->bytes, sizeof w);
    w[0] ^= w[1] * 0x9e3779b97f4a7c15ull;
    w[0] = (w[0] + ifl) * 0x9e3779b97f4a7c15ull;
    return (uint32_t)(w[0] >> 32);
}

/* policy.c: one block of memory that holds everything; free with g_free. */
struct flow_policy *flow_policy_new(const struct bus_policy_state *m);

#endif
