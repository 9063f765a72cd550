/*
 * world - a services card without processes: its lanes are run by the test's own thread, and the
 * test plays the I/O card and the Routing Engine on the other side of a real fabric.
 */
#ifndef TEST_SPC_WORLD_H
#define TEST_SPC_WORLD_H

#include "firmware/core/addr.h"
#include "firmware/fabric/fabric.h"
#include "messages.h"
#include "spc/flow/lane.h"
#include "spc/ipsec/ipsec.h"
#include "tests/unit/spc/packet.h"

#define WORLD_ENDPOINTS 8
#define WORLD_SPC       1
#define WORLD_IOC       2
#define WORLD_RE        (WORLD_ENDPOINTS - 2)
#define WORLD_IFL_A     70 /* 10.0.1.1/24, zone 1, port 0 */
#define WORLD_IFL_B     71 /* 10.0.2.1/24, zone 2, port 1 */
#define WORLD_IFL_ST0   90 /* zone 3, tunnel WORLD_TUNNEL */
#define WORLD_TUNNEL    500001u
#define WORLD_ANCHOR    5

struct world {
    struct fabric *spc, *ioc, *re;
    unsigned n_lanes;
    uint8_t spus, threads;
    struct flow_lane *lanes;
    struct flow_thread *all;
    struct flow_store *store;
    struct flow_tables *tables;
};

struct seen { /* a cell that came to the I/O card or the Routing Engine */
    struct fabric_cell cell;
    uint8_t data[FABRIC_LARGE_BYTES];
};

struct world *world_new(unsigned lanes, uint8_t spus, uint8_t threads);
void world_free(struct world *w);
/* Interfaces A, B, st0 and their routes, policies A -> B and A <-> st0, neighbours .2 of each. */
void world_configure(struct world *w);
void world_apply(struct world *w, uint16_t type, const void *msg);
/* Build tables and give them to all lanes. */
void world_tables(struct world *w);
void world_neighbour(struct world *w, uint16_t ifl, const char *address, bool gone);
void world_route(struct world *w, const char *prefix, const char *next_hop, uint16_t ifl);
/* Interface A or B moves to another zone. */
void world_zone(struct world *w, uint16_t ifl, uint16_t zone);
/* One permit rule for everything. */
void world_permit(struct world *w, uint16_t from, uint16_t to);
/* Send as the I/O card (or the Routing Engine) and run the lanes until nothing moves. */
void world_inject(struct world *w, struct fabric *from, const struct fabric_cell *cell,
                  const uint8_t *data, uint32_t bytes);
void world_run(struct world *w);
/* Next cell of this type at an endpoint (others are dropped); NULL: none. Valid until the next. */
const struct seen *world_take(struct world *w, struct fabric *at, uint8_t type);
uint64_t world_counter(const struct world *w, enum flow_counter which);
/* Install an SA at its thread, as spcd does. */
void world_sa(struct world *w, struct ipsec_sa *sa);

#endif
