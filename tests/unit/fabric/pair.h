/*
 * pair - two boards in one process, for the tests of the fabric.
 *
 * The tests' thread plays every lane in turn.
 */
#ifndef TESTS_FABRIC_PAIR_H
#define TESTS_FABRIC_PAIR_H

#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/fabric/fabric.h"
#include "firmware/fabric/layout.h"

#define ENDPOINTS 6
#define DEADLINE  (20 * FW_SEC)

struct side {
    struct fabric *fabric;
    unsigned lanes;
    unsigned faults, acks;
    uint8_t fault_index;
    char fault_reason[120];
    bool last_attached;
    uint32_t last_generation;
};

static struct side a, b;

static inline void on_fault(uint8_t index, const char *reason, void *data)
{
    struct side *side = data;

    side->faults++;
    side->fault_index = index;
    g_strlcpy(side->fault_reason, reason, sizeof(side->fault_reason));
}

static inline void on_ack(uint8_t index, uint32_t generation, bool attached, void *data)
{
    struct side *side = data;

    (void)index;
    side->acks++;
    side->last_generation = generation;
    side->last_attached = attached;
}

static inline void make(struct side *side, uint8_t index, uint8_t lanes, uint32_t small)
{
    struct fabric_config config = {.index = index,
                                   .endpoints = ENDPOINTS,
                                   .lanes = lanes,
                                   .small_buffers = small,
                                   .large_buffers = 4u * lanes,
                                   .fault = on_fault,
                                   .acknowledged = on_ack,
                                   .data = side};
    GError *error = NULL;

    memset(side, 0, sizeof(*side));
    side->lanes = lanes;
    side->fabric = fabric_new(&config, &error);
    cr_assert_not_null(side->fabric);
}

static inline void serve(struct side *side)
{
    for (unsigned l = 0; l < side->lanes; l++) {
        fabric_lane_release(fabric_lane(side->fabric, l));
    }
    while (g_main_context_iteration(NULL, FALSE)) {
    }
}

static inline void attach_one(struct side *to, const struct side *peer, uint8_t index,
                              uint32_t generation)
{
    int bells[FABRIC_LANES_MAX];
    GError *error = NULL;
    bool ok;

    for (unsigned l = 0; l < peer->lanes; l++) {
        bells[l] = dup(fabric_doorbell_fd(peer->fabric, l));
    }
    ok = fabric_attach(to->fabric, index, generation, dup(fabric_outbox_fd(peer->fabric)),
                       fabric_outbox_bytes(peer->fabric), bells, peer->lanes, &error);
    cr_assert(ok, "%s", error ? error->message : "");
    serve(to);
}

static inline void pair(uint8_t lanes_a, uint8_t lanes_b, uint32_t small)
{
    make(&a, 1, lanes_a, small);
    make(&b, 2, lanes_b, small);
    attach_one(&a, &b, 2, 7);
    attach_one(&b, &a, 1, 8);
}

static inline void finish(void)
{
    fabric_free(a.fabric);
    fabric_free(b.fabric);
    a.fabric = b.fabric = NULL;
}

static inline bool send_one(struct side *from, unsigned lane, uint8_t to, uint32_t bytes,
                            uint32_t mark)
{
    struct fabric_lane *l = fabric_lane(from->fabric, lane);
    struct fabric_packet p;

    if (!fabric_lane_alloc(l, bytes, &p)) {
        return false;
    }
    p.cell.type = FABRIC_CELL_PORT_OUT;
    p.cell.destination = to;
    p.cell.length = bytes;
    p.cell.trace = mark;
    memset(p.room, (int)(mark & 0xff), bytes);
    return fabric_lane_send(l, &p, 1) == 1;
}

static inline unsigned receive_one(struct side *at, unsigned lane, struct fabric_packet *ret)
{
    return fabric_lane_receive(fabric_lane(at->fabric, lane), ret, 1);
}

#endif
