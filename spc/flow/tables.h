/*
 * tables - what all lanes of a services card read: one immutable snapshot.
 *
 * The main thread keeps the newest retained bus event of every object in a
 * store and builds a snapshot when something changed; lanes swap to it between
 * bursts and acknowledge; only then is the old one freed (spc/control.c).
 *
 * Store: main thread. Snapshot: any thread, read-only.
 */
#ifndef FLOW_TABLES_H
#define FLOW_TABLES_H

#include <stdbool.h>
#include <stdint.h>

#include "firmware/fabric/fabric.h"
#include "messages.h" /* generated */
#include "spc/flow/counter.h"
#include "spc/flow/lpm.h"
#include "spc/flow/view.h"

#define FLOW_ETHER_BYTES   14u
#define FLOW_POLICY_TEXT   72
#define FLOW_SELECTORS_MAX 8

struct flow_ifl {
    bool set;
    bool up;
    uint8_t kind;              /* enum bus_ifl_kind */
    uint8_t slot, pic, port;
    uint8_t mac[6];
    uint16_t ifl, mtu, zone;
    uint32_t host_inbound;
    struct fw_addr v4, v6;     /* first own address of each family, or none */
};

struct flow_tunnel {
    uint32_t tunnel;
    uint16_t ifl, anchor;
    bool up;
    unsigned n_selectors;
    struct bus_traffic_selector selectors[FLOW_SELECTORS_MAX];
};

struct flow_anchor {
    bool set;
    uint8_t slot, spu, thread;
    uint32_t generation;
};

struct flow_board {
    bool set, online;
    uint8_t spus, threads;
    uint32_t generation;
};

struct flow_owner {            /* a flow RT thread somewhere in the chassis */
    uint8_t slot, spu, thread;
};

/* How packets to one destination leave. A value; kept in sessions and SAs with its generation. */
enum flow_out { FLOW_OUT_NONE, FLOW_OUT_PORT, FLOW_OUT_TUNNEL, FLOW_OUT_HOST };

struct flow_adjacency {
    uint32_t generation;       /* of the tables it was computed from; 0: never */
    uint8_t out;               /* enum flow_out */
    bool resolved;             /* port: the neighbour is known, ether is complete */
    uint16_t ifl;
    uint16_t mtu;
    uint8_t slot;              /* of the port, or of the tunnel's anchor */
    uint8_t pic, port;         /* port */
    uint8_t spu, thread;       /* tunnel: anchor */
    uint8_t ether[FLOW_ETHER_BYTES]; /* port: header but for the type */
    uint32_t tunnel;
    uint32_t anchor_generation;
    struct fw_addr next_hop;   /* port: whose MAC address is needed */
};

struct flow_verdict {
    enum flow_counter why;     /* FLOW_OK: permitted */
    uint32_t id;               /* policy id */
    const char *name;          /* of the policy, "" for default deny; lives with the tables */
};

struct flow_tables;

/* ---- store (main thread) ---- */

struct flow_store;

struct flow_store *flow_store_new(uint8_t slot, uint8_t host_endpoint);
void flow_store_free(struct flow_store *store);
/* Takes in a bus event; true when it is one of ours (and the tables are to be built again). */
bool flow_store_apply(struct flow_store *store, uint16_t type, const void *msg);
/* Builds a snapshot of what is known. Free with flow_tables_free. */
struct flow_tables *flow_store_build(struct flow_store *store);
void flow_tables_free(struct flow_tables *tables);

/* ---- reading (any thread) ---- */

uint32_t flow_tables_generation(const struct flow_tables *t);
uint8_t flow_tables_host(const struct flow_tables *t);
/* NULL when there is no such interface. */
const struct flow_ifl *flow_tables_ifl(const struct flow_tables *t, uint16_t ifl);
/* Interface that has this address, or NULL. */
const struct flow_ifl *flow_tables_own(const struct flow_tables *t, const struct fw_addr *address);
const struct flow_board *flow_tables_board(const struct flow_tables *t, uint8_t slot);
/* Slot of the central point; false when there is none. */
bool flow_tables_central_point(const struct flow_tables *t, uint8_t *ret_slot);
/* All flow threads of the chassis that are in service. */
unsigned flow_tables_owners(const struct flow_tables *t, const struct flow_owner **ret);
/* Where packets from `source` to `destination` leave; FLOW_OK with *ret filled, or the reason. */
enum flow_counter flow_tables_resolve(const struct flow_tables *t, const struct fw_addr *source,
                                      const struct fw_addr *destination,
                                      struct flow_adjacency *ret);
/* Out of this st0 unit, whatever the route table says. */
enum flow_counter flow_tables_tunnel(const struct flow_tables *t, uint16_t ifl,
                                     const struct fw_addr *source,
                                     const struct fw_addr *destination,
                                     struct flow_adjacency *ret);
/* Completes a port adjacency when its neighbour is known. */
bool flow_tables_neighbour(const struct flow_tables *t, struct flow_adjacency *adjacency);
struct flow_verdict flow_tables_policy(const struct flow_tables *t, uint16_t from_zone,
                                       uint16_t to_zone, const struct flow_view *view);

#endif
