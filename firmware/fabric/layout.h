/*
 * layout - every word of an outbox, and who writes it.
 *
 *      0  struct fabric_outbox_header, then one sleep word per own lane
 *   4096  heads: one 64-byte line per (destination endpoint, destination lane, own lane)
 *         tails: one 64-byte line per (source endpoint, source lane, own lane)
 *         rings: FABRIC_RING cell headers per (destination endpoint, destination lane, own lane)
 *         small buffers, lane by lane; then large buffers, lane by lane
 *
 * All of it is written by the owner only. The producer's index (head) lies with
 * the producer, the consumer's (tail) with the consumer. Indices count up
 * without wrapping at the ring; slot = index % FABRIC_RING. A destination or
 * source lane is counted up to FABRIC_LANES_MAX, because an outbox is made
 * before its peers are known.
 *
 * A consumer that attaches sets its tail to the producer's head and marks it
 * valid; a producer sends only after it has seen that, so neither needs to know
 * who attached first. A consumer that detaches clears the mark.
 *
 * A ring slot is the cell's header itself, one cache line, walked in order; its
 * reserved words say where the payload lies (FABRIC_SLOT_*). A cell that was
 * taken back (the producer detached) has version 0 and is skipped.
 *
 * Readers trust nothing here: geometry is copied and checked at attach, a
 * header is copied before it is looked at.
 */
#ifndef FABRIC_LAYOUT_H
#define FABRIC_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/fabric/fabric.h"

#define FABRIC_OUTBOX_MAGIC   0x76634f42u /* "vcOB" */
#define FABRIC_OUTBOX_VERSION 1
#define FABRIC_LINE           64
#define FABRIC_PAGE           4096u
#define FABRIC_BUFFERS_MAX    65536u /* of each size in one outbox: keeps it below 4 GiB */

struct fabric_outbox_header {
    uint32_t magic;
    uint16_t version;
    uint8_t index;
    uint8_t endpoints;
    uint8_t lanes;
    uint8_t reserved[3];
    uint32_t small_per_lane;
    uint32_t large_per_lane;
    uint32_t bytes;
};
_Static_assert(sizeof(struct fabric_outbox_header) == 24, "shared memory layout");

/* One word on a cache line of its own. */
struct fabric_word {
    _Alignas(FABRIC_LINE) uint64_t value;
};
_Static_assert(sizeof(struct fabric_word) == FABRIC_LINE, "shared memory layout");

/* tails: valid mark above the 32-bit index */
#define FABRIC_TAIL_VALID ((uint64_t)1 << 32)

/* Uses of the reserved words of a header in a ring. */
#define FABRIC_SLOT_OFFSET 0 /* of the payload, from the start of the outbox */
#define FABRIC_SLOT_BUFFER 1 /* owner's note: its buffer number */

/* Where things lie, computed from the header's numbers. */
struct fabric_geometry {
    uint8_t index, endpoints, lanes;
    uint32_t small_per_lane, large_per_lane;
    uint32_t heads, tails, rings, small, large, bytes; /* offsets; bytes is the end */
};

/* False when the numbers are out of bounds. */
bool fabric_geometry_compute(uint8_t index, uint8_t endpoints, uint8_t lanes,
                             uint32_t small_per_lane, uint32_t large_per_lane,
                             struct fabric_geometry *ret);

static inline uint32_t fabric_geometry_sleep(unsigned lane)
{
    return (uint32_t)(FABRIC_LINE * (1 + lane));
}

/* Number of the ring (and of the head) from own lane `from` to lane `to` of endpoint `index`;
 * the same number addresses the tail of what own lane `from` took from lane `to` of `index`. */
static inline uint32_t fabric_geometry_ring(const struct fabric_geometry *g, unsigned index,
                                            unsigned to, unsigned from)
{
    return (index * FABRIC_LANES_MAX + to) * g->lanes + from;
}

#endif
