/*
 * lane - buffers and bursts of cells, the packet path of the fabric.
 *
 * Sending writes the header into a ring of own memory and publishes each
 * touched ring once per burst; one full fence, then the doorbells of lanes
 * that sleep. Buffers come back when the consumer's tail has passed them:
 * looked at only when a ring is nearly full or a pool is empty, so the newest
 * buffers, still in the cache, are used again. Buffers never used before come
 * from a rising index last, which keeps the touched memory of an idle board
 * small.
 *
 * Receiving copies a header before looking at it. Whatever is wrong costs the
 * sender its attachment here (fabric_peer_fault).
 *
 * Limits: FABRIC_RING cells under way per lane pair, less when the pool is
 * small, so that one stuck peer cannot hold all buffers. Lane's thread only.
 */
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "firmware/fabric/state.h"

/* What was read from shared memory must not be read again. */
#define COPIED() __asm__ volatile("" ::: "memory")
/* Buffers that alloc asks for in advance: the consumer's cache still has them. */
#define AHEAD 16
/* Ring slots likewise. */
#define SLOTS_AHEAD 8
/* Payloads begin at different cache sets; all at the same would not fit the first-level cache. */
#define COLOURS 16u
#define COLOUR_BYTES FABRIC_LINE

/* Ask for a line in order to write it. */
static inline void fetch_to_write(const void *line)
{
#if defined(__x86_64__)
    __asm__ volatile("prefetchw %0" ::"m"(*(const char *)line));
#else
    __builtin_prefetch(line, 1);
#endif
}

/* ---- pools ---- */

static inline uint8_t *buffer_start(const struct fabric_lane *lane, uint32_t buffer,
                                    uint32_t *ret_size)
{
    if (buffer & FABRIC_BUFFER_LARGE) {
        *ret_size = FABRIC_LARGE_BYTES;
        return lane->pools[FABRIC_POOL_LARGE].base +
               (size_t)(buffer & ~FABRIC_BUFFER_LARGE) * FABRIC_LARGE_BYTES;
    }
    *ret_size = FABRIC_SMALL_BYTES;
    return lane->pools[FABRIC_POOL_SMALL].base + (size_t)buffer * FABRIC_SMALL_BYTES;
}

static inline bool pool_get(struct fabric_pool *pool, uint32_t *ret)
{
    if (pool->n_free > 0) {
        *ret = pool->free[--pool->n_free];
        if (pool->n_free > AHEAD) {
            uint32_t m = pool->free[pool->n_free - AHEAD];

            fetch_to_write(pool->base + (size_t)m * pool->size + FABRIC_HEADROOM +
                           m % COLOURS * COLOUR_BYTES);
        }
        return true;
    }
    if (pool->fresh < pool->count) {
        *ret = pool->fresh++;
        return true;
    }
    return false;
}

void fabric_pool_put(struct fabric_lane *lane, uint32_t buffer)
{
    struct fabric_pool *pool =
        &lane->pools[buffer & FABRIC_BUFFER_LARGE ? FABRIC_POOL_LARGE : FABRIC_POOL_SMALL];

    pool->free[pool->n_free++] = buffer & ~FABRIC_BUFFER_LARGE;
}

/* Buffers of the cells that the consumer has finished with. */
static void out_reclaim(struct fabric_lane *lane, struct fabric_out *out, uint32_t tail)
{
    while (out->tail != tail) {
        if (out->tail == out->owed) {
            fabric_pool_put(lane, out->ring[out->tail % FABRIC_RING].reserved[FABRIC_SLOT_BUFFER]);
            out->owed++;
        }
        out->tail++;
    }
}

/* All cells under way return to us; the consumer, if it still looks, finds them taken back. */
void fabric_out_take_back(struct fabric_lane *lane, struct fabric_out *out)
{
    for (uint32_t i = out->owed; i != out->head; i++) {
        __atomic_store_n(&out->ring[i % FABRIC_RING].version, 0, __ATOMIC_RELAXED);
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* before the buffers are written again */
    out_reclaim(lane, out, out->head);
    out->ready = false;
}

/* Read the consumer's tail: reclaim, and notice that it came, went or lies. */
static void out_refresh(struct fabric_lane *lane, struct fabric_lane_peer *lp,
                        struct fabric_out *out)
{
    uint64_t word = __atomic_load_n(&out->tail_word->value, __ATOMIC_ACQUIRE);
    uint32_t tail = (uint32_t)word;

    if (!(word & FABRIC_TAIL_VALID)) {
        if (out->ready) {
            fabric_out_take_back(lane, out);
        }
        return;
    }
    if (!out->ready) {
        /* No buffer of ours is under way. A tail left from an earlier outbox is not near; between a
         * near one and our head lie cells that were taken back, which count as ring space only. */
        if (out->head - tail <= FABRIC_RING) {
            out->tail = tail;
            out->ready = true;
        }
        return;
    }
    if (out->head - tail > out->head - out->tail) {
        fabric_peer_fault(lane, lp->peer, "consumer index outside the ring");
        fabric_out_take_back(lane, out);
        return;
    }
    out_reclaim(lane, out, tail);
}

static void lane_reclaim(struct fabric_lane *lane)
{
    for (unsigned i = 0; i < lane->fabric->config.endpoints; i++) {
        struct fabric_lane_peer *lp = &lane->peers[i];

        if (!lp->peer || lp->peer->datagram) {
            continue;
        }
        for (unsigned l = 0; l < lp->peer->lanes; l++) {
            if (lp->out[l].ready && lp->out[l].head != lp->out[l].tail) {
                out_refresh(lane, lp, &lp->out[l]);
            }
        }
    }
}

bool fabric_lane_alloc(struct fabric_lane *lane, uint32_t bytes, struct fabric_packet *ret)
{
    bool large = bytes > FABRIC_SMALL_BYTES - FABRIC_HEADROOM;
    struct fabric_pool *pool = &lane->pools[large ? FABRIC_POOL_LARGE : FABRIC_POOL_SMALL];
    uint32_t n, colour, size;
    uint8_t *start;

    if (bytes > FABRIC_LARGE_BYTES - FABRIC_HEADROOM) {
        fabric_count(&lane->counters.no_buffer, 1);
        return false;
    }
    if (!pool_get(pool, &n)) {
        lane_reclaim(lane);
        if (!pool_get(pool, &n)) {
            fabric_count(&lane->counters.no_buffer, 1);
            return false;
        }
    }
    ret->buffer = large ? n | FABRIC_BUFFER_LARGE : n;
    start = buffer_start(lane, ret->buffer, &size);
    colour = n % COLOURS * COLOUR_BYTES;
    if (colour > size - FABRIC_HEADROOM - bytes) {
        colour = 0;
    }
    memset(&ret->cell, 0, sizeof(ret->cell));
    ret->room = start + FABRIC_HEADROOM + colour;
    ret->data = ret->room;
    ret->capacity = size - FABRIC_HEADROOM - colour;
    ret->where = 0;
    return true;
}

void fabric_lane_free(struct fabric_lane *lane, struct fabric_packet *packet)
{
    if (packet->room) {
        fabric_pool_put(lane, packet->buffer);
        packet->room = NULL;
        packet->data = NULL;
    }
}

/* ---- sending ---- */

unsigned fabric_cell_lane(const struct fabric_cell *cell, unsigned lanes)
{
    switch (cell->type) {
    case FABRIC_CELL_PACKET:
    case FABRIC_CELL_FIRST:
    case FABRIC_CELL_FLOW:
    case FABRIC_CELL_ENCRYPT:
    case FABRIC_CELL_DECRYPT:
    case FABRIC_CELL_HOST_OUT:
    case FABRIC_CELL_CP_NOTE:
        return fabric_lane_of(cell->spu, cell->thread, lanes);
    default:
        return lanes == 1 ? 0 : cell->hash % lanes;
    }
}

void fabric_lane_publish(struct fabric_lane *lane)
{
    if (lane->n_dirty == 0) {
        return;
    }
    for (unsigned i = 0; i < lane->n_dirty; i++) {
        struct fabric_out *out = lane->dirty[i];

        __atomic_store_n(&out->head_word->value, out->head, __ATOMIC_RELEASE);
        out->dirty = false;
    }
    /* The heads are visible before the sleep words are read; the sleeper does the reverse. */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < lane->n_dirty; i++) {
        struct fabric_out *out = lane->dirty[i];
        uint64_t sleeps = __atomic_load_n(&out->sleep_word->value, __ATOMIC_RELAXED);

        if ((sleeps & 1) && sleeps != out->rung) {
            uint64_t one = 1;

            out->rung = sleeps;
            if (write(out->doorbell, &one, sizeof(one)) == (ssize_t)sizeof(one)) {
                fabric_count(&lane->counters.wakeups, 1);
            }
        }
    }
    lane->n_dirty = 0;
}

/* False when the payload is not inside the packet's buffer. */
static inline bool packet_inside(const struct fabric_lane *lane, const struct fabric_packet *p)
{
    uint32_t size;
    size_t before = (size_t)(p->room - buffer_start(lane, p->buffer, &size));

    return before <= size && p->cell.length <= size - before;
}

/* Put a cell into a ring; returns its header there, or NULL: counted, and the buffer is still the
 * caller's. */
static inline uint8_t *out_put(struct fabric_lane *lane, struct fabric_lane_peer *lp,
                               struct fabric_out *out, const struct fabric_packet *p)
{
    struct fabric_cell *slot;

    if (!out->ready || out->head - out->tail + FABRIC_BURST >= lane->out_limit) {
        if (!out->dirty) {
            out_refresh(lane, lp, out);
        }
        if (out->dirty && out->head - out->tail >= lane->out_limit) {
            fabric_lane_publish(lane); /* what is in it becomes visible, then one more look */
            out_refresh(lane, lp, out);
        }
        if (!out->ready) {
            fabric_count(&lane->counters.detached, 1);
            return NULL;
        }
        if (out->head - out->tail >= lane->out_limit) {
            fabric_count(&lane->counters.ring_full, 1);
            return NULL;
        }
    }
    fetch_to_write(&out->ring[(out->head + SLOTS_AHEAD) % FABRIC_RING]);
    slot = &out->ring[out->head % FABRIC_RING];
    memcpy(slot, &p->cell, sizeof(*slot));
    slot->reserved[FABRIC_SLOT_OFFSET] = (uint32_t)(p->room - lane->fabric->base);
    slot->reserved[FABRIC_SLOT_BUFFER] = p->buffer;
    out->head++;
    if (!out->dirty) {
        out->dirty = true;
        lane->dirty[lane->n_dirty++] = out;
    }
    return (uint8_t *)slot;
}

void fabric_lane_pass(struct fabric_lane *lane, unsigned to, struct fabric_packet *packet)
{
    struct fabric_lane_peer *self = &lane->peers[lane->fabric->config.index];

    if (!packet_inside(lane, packet) || !out_put(lane, self, &self->out[to], packet)) {
        fabric_lane_free(lane, packet);
    }
}

/* The peer that takes cells for a destination, or NULL. */
static inline struct fabric_lane_peer *lane_peer_for(struct fabric_lane *lane, uint8_t destination)
{
    const struct fabric *fabric = lane->fabric;
    struct fabric_lane_peer *lp;

    if (destination >= fabric->config.endpoints) {
        return NULL;
    }
    lp = &lane->peers[__atomic_load_n(&fabric->via[destination], __ATOMIC_RELAXED)];
    return lp->peer && !__atomic_load_n(&lp->peer->faulted, __ATOMIC_RELAXED) ? lp : NULL;
}

/* One cell into a ring or the datagram queue. True when it is on its way there; otherwise the
 * reason was counted and the buffer is still the caller's. */
static inline bool packet_send(struct fabric_lane *lane, struct fabric_lane_peer *lp,
                               struct fabric_packet *p, uint64_t planes)
{
    const struct fabric *fabric = lane->fabric;
    const struct fabric_cell *cell = &p->cell;
    uint8_t *at, plane = (uint8_t)(planes >> ((cell->hash & 15) * 4) & 15);

    if (!lp) {
        fabric_count(&lane->counters.detached, 1);
        return false;
    }
    if (!packet_inside(lane, p)) {
        fabric_count(&lane->counters.malformed, 1);
        return false;
    }
    if (cell->hops >= FABRIC_HOPS_MAX) {
        fabric_count(&lane->counters.hop_limit, 1);
        return false;
    }
    if (plane >= FABRIC_PLANES_MAX && !fabric->gateway) {
        fabric_count(&lane->counters.plane_down, 1);
        return false;
    }
    if (lp->peer->datagram) {
        at = fabric_datagram_queue(lane, lp->peer, p);
    } else {
        unsigned lanes = lp->peer->lanes;

        at = out_put(lane, lp, &lp->out[lanes == 1 ? 0 : fabric_cell_lane(cell, lanes)], p);
        if (!at) {
            return false;
        }
    }
    /* Filled in here and not in *cell: a wide copy right behind narrow stores would stall. */
    at[offsetof(struct fabric_cell, version)] = FABRIC_CELL_VERSION;
    if (!fabric->gateway) {
        at[offsetof(struct fabric_cell, plane)] = plane;
        at[offsetof(struct fabric_cell, source)] = fabric->config.index;
        at[offsetof(struct fabric_cell, hops)] = (uint8_t)(cell->hops + 1);
    }
    return true;
}

unsigned fabric_lane_send(struct fabric_lane *lane, struct fabric_packet *packets, unsigned n)
{
    uint64_t planes = __atomic_load_n(&lane->fabric->plane_table, __ATOMIC_RELAXED);
    struct fabric_lane_peer *lp = NULL;
    unsigned sent = 0, destination = UINT_MAX;

    for (unsigned i = 0; i < n; i++) {
        struct fabric_packet *p = &packets[i];

        if (!p->room) {
            continue;
        }
        if (p->cell.destination != destination) {
            destination = p->cell.destination;
            lp = lane_peer_for(lane, p->cell.destination);
        }
        if (packet_send(lane, lp, p, planes)) {
            sent++;
        } else {
            fabric_pool_put(lane, p->buffer);
        }
        p->room = NULL;
        p->data = NULL;
    }
    fabric_lane_publish(lane);
    if (lane->datagrams) {
        sent -= fabric_datagram_flush(lane);
    }
    fabric_count(&lane->counters.sent, sent);
    return sent;
}

/* ---- receiving ---- */

const char *fabric_cell_check(const struct fabric *fabric, const struct fabric_peer *peer,
                              const struct fabric_cell *cell, uint32_t payload)
{
    unsigned last = fabric->config.endpoints - 1u;

    if (cell->version != FABRIC_CELL_VERSION) {
        return "cell version";
    }
    if (cell->length != payload) {
        return "cell length";
    }
    if (cell->type < FABRIC_CELL_PACKET || cell->type > FABRIC_CELL_CP_NOTE) {
        return "cell type";
    }
    /* The gateway carries for others; our own lanes pass on what came by datagram. */
    if (cell->source != peer->index &&
        !((peer->index == last || peer->self) && cell->source < fabric->config.endpoints)) {
        return "cell source";
    }
    if (cell->destination != fabric->config.index &&
        !(fabric->gateway && cell->destination < fabric->config.endpoints)) {
        return "cell destination";
    }
    if (cell->plane >= FABRIC_PLANES_MAX) {
        return "cell plane";
    }
    if (cell->gso > FABRIC_GSO_UDP) {
        return "cell segmentation type";
    }
    return NULL;
}

bool fabric_cell_refused(struct fabric_lane *lane, const struct fabric_cell *cell)
{
    uint16_t up = __atomic_load_n(&lane->fabric->planes_up, __ATOMIC_RELAXED);

    if (!(up >> cell->plane & 1)) {
        fabric_count(&lane->counters.plane_down, 1);
        return true;
    }
    if (cell->hops > FABRIC_HOPS_MAX) {
        fabric_count(&lane->counters.hop_limit, 1);
        return true;
    }
    return false;
}

/* The payload must lie inside one buffer. */
static inline bool payload_fits(const struct fabric_geometry *g, const struct fabric_cell *c)
{
    uint32_t offset = c->reserved[FABRIC_SLOT_OFFSET], size, at;

    if (offset < g->small) {
        return false;
    }
    if (offset < g->large) {
        size = FABRIC_SMALL_BYTES;
        at = (offset - g->small) % FABRIC_SMALL_BYTES;
    } else if (offset < g->large + (uint64_t)g->lanes * g->large_per_lane * FABRIC_LARGE_BYTES) {
        size = FABRIC_LARGE_BYTES;
        at = (offset - g->large) % FABRIC_LARGE_BYTES;
    } else {
        return false;
    }
    return c->length <= size - at;
}

/* The usual case of fabric_cell_check and fabric_cell_refused in one go: nothing is wrong. */
static inline bool cell_good(const struct fabric_cell *c, uint8_t source, uint8_t own,
                             uint16_t planes_up)
{
    return (c->version == FABRIC_CELL_VERSION) & (c->source == source) &
           (c->destination == own) & ((uint8_t)(c->type - 1) < FABRIC_CELL_CP_NOTE) &
           (c->plane < FABRIC_PLANES_MAX) & (planes_up >> (c->plane & 15)) &
           (c->gso <= FABRIC_GSO_UDP) & (c->hops <= FABRIC_HOPS_MAX);
}

/* A cell that is not plainly good. True: to be delivered all the same; otherwise counted. */
static bool in_examine(struct fabric_lane *lane, struct fabric_in *in, uint32_t index,
                       const struct fabric_cell *cell)
{
    const char *wrong = payload_fits(&in->peer->geometry, cell)
                            ? fabric_cell_check(lane->fabric, in->peer, cell, cell->length)
                            : "payload outside the buffers";

    if (!wrong) {
        return !fabric_cell_refused(lane, cell);
    }
    /* Taken back before, or while we looked? */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&in->ring[index % FABRIC_RING].version, __ATOMIC_RELAXED) != 0) {
        fabric_count(&lane->counters.malformed, 1);
        fabric_peer_fault(lane, in->peer, wrong);
    }
    return false;
}

static unsigned in_receive(struct fabric_lane *lane, struct fabric_in *in,
                           struct fabric_packet *ret, unsigned max)
{
    struct fabric_peer *peer = in->peer;
    const uint8_t own = lane->fabric->config.index;
    uint16_t planes_up = __atomic_load_n(&lane->fabric->planes_up, __ATOMIC_RELAXED);
    uint32_t at = in->tail + in->taken;
    uint32_t n = (uint32_t)__atomic_load_n(&in->head_word->value, __ATOMIC_ACQUIRE) - at;
    unsigned got = 0;

    if (n == 0 || __atomic_load_n(&peer->faulted, __ATOMIC_RELAXED)) {
        return 0;
    }
    if (n > FABRIC_RING) {
        fabric_count(&lane->counters.malformed, 1);
        fabric_peer_fault(lane, peer, "producer index outside the ring");
        return 0;
    }
    n = MIN(n, max);
    if (in->taken == 0) {
        lane->held[lane->n_held++] = in;
    }
    in->taken += n;
    for (uint32_t i = 0; i < n; i++) {
        struct fabric_packet *p = &ret[got];

        if (i + SLOTS_AHEAD < n) { /* not beyond: the producer is about to write there */
            __builtin_prefetch(&in->ring[(at + i + SLOTS_AHEAD) % FABRIC_RING]);
        }
        memcpy(&p->cell, &in->ring[(at + i) % FABRIC_RING], sizeof(p->cell));
        COPIED();
        if (!(cell_good(&p->cell, peer->index, own, planes_up) &&
              payload_fits(&peer->geometry, &p->cell)) &&
            !in_examine(lane, in, at + i, &p->cell)) {
            if (__atomic_load_n(&peer->faulted, __ATOMIC_RELAXED)) {
                break;
            }
            continue;
        }
        p->data = peer->base + p->cell.reserved[FABRIC_SLOT_OFFSET];
        __builtin_prefetch(p->data);
        p->room = NULL;
        p->capacity = 0;
        p->buffer = 0;
        p->where = peer->index;
        got++;
    }
    return got;
}

unsigned fabric_lane_receive(struct fabric_lane *lane, struct fabric_packet *ret, unsigned max)
{
    unsigned got = 0, start = lane->next_poll;

    max = MIN(max, FABRIC_BURST);
    for (unsigned i = 0; i < lane->n_poll && got < max; i++) {
        unsigned which = start + i;

        if (which >= lane->n_poll) {
            which -= lane->n_poll;
        }
        got += in_receive(lane, lane->poll[which], ret + got, max - got);
        if (got == max) {
            lane->next_poll = which + 1 < lane->n_poll ? which + 1 : 0;
        }
    }
    if (lane->n_datagram_peers > 0 && got < max) {
        got += fabric_datagram_receive(lane, ret + got, max - got);
    }
    if (got > 0) {
        fabric_count(&lane->counters.received, got);
    }
    return got;
}

void fabric_lane_release(struct fabric_lane *lane)
{
    for (unsigned i = 0; i < lane->n_held; i++) {
        struct fabric_in *in = lane->held[i];

        in->tail += in->taken;
        in->taken = 0;
        __atomic_store_n(&in->tail_word->value, FABRIC_TAIL_VALID | in->tail, __ATOMIC_RELEASE);
    }
    lane->n_held = 0;
    if (__atomic_load_n(&lane->pending, __ATOMIC_ACQUIRE)) {
        fabric_lane_serve(lane);
    }
}

void fabric_lane_counters(const struct fabric *fabric, unsigned lane, struct fabric_counters *ret)
{
    const uint64_t *from = (const uint64_t *)&fabric->lanes[lane]->counters;
    uint64_t *to = (uint64_t *)ret;

    for (size_t i = 0; i < sizeof(*ret) / sizeof(uint64_t); i++) {
        to[i] = __atomic_load_n(&from[i], __ATOMIC_RELAXED);
    }
}
