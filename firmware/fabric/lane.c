/*
 * lane - buffers and bursts of cells, the packet path of the fabric.
 *
 * Sending writes header and descriptor into own memory and publishes each
 * touched ring once per burst; one full fence, then the doorbells of lanes
 * that sleep. Buffers come back when the consumer's tail has passed them:
 * looked at only when a ring is nearly full or a pool is empty, so the newest
 * buffers, still in the cache, are used again. Buffers never used before come
 * from a rising index last, which keeps the touched memory of an idle board
 * small.
 *
 * Receiving copies descriptor and header before looking at them. Whatever is
 * wrong costs the sender its attachment here (fabric_peer_fault).
 *
 * Limits: FABRIC_RING cells under way per lane pair, less when the pool is
 * small, so that one stuck peer cannot hold all buffers. Lane's thread only.
 */
#include <string.h>
#include <unistd.h>

#include "firmware/fabric/state.h"

/* What was read from shared memory must not be read again. */
#define COPIED() __asm__ volatile("" ::: "memory")
/* Buffers that alloc asks for in advance: the consumer's cache still has them. */
#define AHEAD 8
/* Descriptors likewise. */
#define DESCRIPTORS_AHEAD 16
/* Payloads begin at different cache sets; all at the same would not fit the first-level cache. */
#define COLOURS 16u
#define COLOUR_BYTES (2u * FABRIC_LINE)

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

static inline bool pool_get(struct fabric_pool *pool, uint32_t *ret)
{
    if (pool->n_free > 0) {
        *ret = pool->free[--pool->n_free];
        if (pool->n_free > AHEAD) {
            uint32_t m = pool->free[pool->n_free - AHEAD];
            const uint8_t *next = pool->base + (size_t)m * pool->size +
                                  FABRIC_HEADROOM + m % COLOURS * COLOUR_BYTES;

            fetch_to_write(next);
            fetch_to_write(next + FABRIC_LINE);
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
            fabric_pool_put(lane, out->ring[out->tail % FABRIC_RING].buffer);
            out->owed++;
        }
        out->tail++;
    }
}

/* All cells under way return to us; the consumer, if it still looks, finds them taken back. */
void fabric_out_take_back(struct fabric_lane *lane, struct fabric_out *out)
{
    for (uint32_t i = out->owed; i != out->head; i++) {
        __atomic_store_n(&out->ring[i % FABRIC_RING].bytes, 0, __ATOMIC_RELAXED);
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
    const uint32_t before = sizeof(struct fabric_cell) + FABRIC_HEADROOM;
    unsigned which = FABRIC_POOL_SMALL;
    struct fabric_pool *pool;
    uint8_t *start;
    uint32_t n, colour;

    if (bytes > FABRIC_SMALL_BYTES - before) {
        which = FABRIC_POOL_LARGE;
    }
    pool = &lane->pools[which];
    if (bytes > pool->size - before) {
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
    start = pool->base + (size_t)n * pool->size;
    memset(&ret->cell, 0, sizeof(ret->cell));
    colour = n % COLOURS * COLOUR_BYTES;
    if (colour > pool->size - before - bytes) {
        colour = 0;
    }
    ret->room = start + before + colour;
    ret->data = ret->room;
    ret->capacity = pool->size - before - colour;
    ret->buffer = which == FABRIC_POOL_LARGE ? n | FABRIC_BUFFER_LARGE : n;
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

/* The header goes right before the payload; false when the packet is not inside its buffer. */
static inline bool packet_place(struct fabric_lane *lane, const struct fabric_packet *p,
                                uint8_t **ret_cell)
{
    const struct fabric_pool *pool =
        &lane->pools[p->buffer & FABRIC_BUFFER_LARGE ? FABRIC_POOL_LARGE : FABRIC_POOL_SMALL];
    const uint8_t *start = pool->base + (size_t)(p->buffer & ~FABRIC_BUFFER_LARGE) * pool->size;
    size_t before = (size_t)(p->room - start);

    if (before < sizeof(struct fabric_cell) || before > pool->size ||
        p->cell.length > pool->size - before) {
        return false;
    }
    *ret_cell = p->room - sizeof(struct fabric_cell);
    return true;
}

/* Put a cell into a ring; false: counted, and the buffer is still the caller's. */
static inline bool out_put(struct fabric_lane *lane, struct fabric_lane_peer *lp,
                           struct fabric_out *out, const struct fabric_packet *p, uint8_t *at)
{
    struct fabric_descriptor *d;

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
            return false;
        }
        if (out->head - out->tail >= lane->out_limit) {
            fabric_count(&lane->counters.ring_full, 1);
            return false;
        }
    }
    memcpy(at, &p->cell, sizeof(p->cell));
    d = &out->ring[out->head % FABRIC_RING];
    d->offset = (uint32_t)(at - lane->fabric->base);
    d->bytes = (uint32_t)sizeof(p->cell) + p->cell.length;
    d->buffer = p->buffer;
    d->zero = 0;
    out->head++;
    if (out->head % (FABRIC_LINE / sizeof(*d)) == 0) {
        fetch_to_write(&out->ring[(out->head + DESCRIPTORS_AHEAD) % FABRIC_RING]);
    }
    if (!out->dirty) {
        out->dirty = true;
        lane->dirty[lane->n_dirty++] = out;
    }
    return true;
}

void fabric_lane_pass(struct fabric_lane *lane, unsigned to, struct fabric_packet *packet)
{
    struct fabric_lane_peer *self = &lane->peers[lane->fabric->config.index];
    uint8_t *at;

    if (!packet_place(lane, packet, &at) ||
        !out_put(lane, self, &self->out[to], packet, at)) {
        fabric_lane_free(lane, packet);
    }
}

/* One cell into a ring or the datagram queue. True when it is on its way there; otherwise the
 * reason was counted and the buffer is still the caller's. */
static inline bool packet_send(struct fabric_lane *lane, struct fabric_packet *p,
                               uint64_t planes)
{
    struct fabric *fabric = lane->fabric;
    struct fabric_cell *cell = &p->cell;
    struct fabric_lane_peer *lp;
    uint8_t *at, plane;

    if (cell->destination >= fabric->config.endpoints || !packet_place(lane, p, &at)) {
        fabric_count(&lane->counters.malformed, 1);
        return false;
    }
    if (cell->hops >= FABRIC_HOPS_MAX) {
        fabric_count(&lane->counters.hop_limit, 1);
        return false;
    }
    lp = &lane->peers[__atomic_load_n(&fabric->via[cell->destination], __ATOMIC_RELAXED)];
    if (!lp->peer || __atomic_load_n(&lp->peer->faulted, __ATOMIC_RELAXED)) {
        fabric_count(&lane->counters.detached, 1);
        return false;
    }
    plane = (uint8_t)(planes >> ((cell->hash & 15) * 4) & 15);
    if (plane >= FABRIC_PLANES_MAX && !fabric->gateway) {
        fabric_count(&lane->counters.plane_down, 1);
        return false;
    }
    if (lp->peer->datagram) {
        memcpy(at, cell, sizeof(*cell));
        fabric_datagram_queue(lane, lp->peer, at, sizeof(*cell) + cell->length, p->buffer);
    } else if (!out_put(lane, lp, &lp->out[fabric_cell_lane(cell, lp->peer->lanes)], p, at)) {
        return false;
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
    unsigned sent = 0, queued = 0;

    for (unsigned i = 0; i < n; i++) {
        struct fabric_packet *p = &packets[i];

        if (!p->room) {
            continue;
        }
        if (!packet_send(lane, p, planes)) {
            fabric_pool_put(lane, p->buffer);
        } else {
            queued++;
        }
        p->room = NULL;
        p->data = NULL;
    }
    fabric_lane_publish(lane);
    sent = queued;
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

/* Header and payload must lie inside one buffer. */
static inline bool descriptor_fits(const struct fabric_geometry *g, uint32_t offset,
                                   uint32_t bytes)
{
    uint32_t size, at;

    if (bytes < sizeof(struct fabric_cell) || offset < g->small) {
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
    return bytes <= size - at;
}

/* The usual case of fabric_cell_check and fabric_cell_refused in one go: nothing is wrong. */
static inline bool cell_good(const struct fabric_cell *c, uint8_t source, uint8_t own,
                             uint16_t planes_up, uint32_t payload)
{
    return (c->version == FABRIC_CELL_VERSION) & (c->source == source) &
           (c->destination == own) & ((uint8_t)(c->type - 1) < FABRIC_CELL_CP_NOTE) &
           (c->plane < FABRIC_PLANES_MAX) & (planes_up >> (c->plane & 15)) &
           (c->gso <= FABRIC_GSO_UDP) & (c->hops <= FABRIC_HOPS_MAX) & (c->length == payload);
}

/* A cell that is not plainly good. True: to be delivered all the same; otherwise counted. */
static bool in_examine(struct fabric_lane *lane, struct fabric_in *in, uint32_t index,
                       const char *wrong, const struct fabric_cell *cell, uint32_t payload)
{
    if (!wrong) {
        wrong = fabric_cell_check(lane->fabric, in->peer, cell, payload);
    }
    if (!wrong) {
        return !fabric_cell_refused(lane, cell);
    }
    /* Taken back while we looked? */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&in->ring[index % FABRIC_RING].bytes, __ATOMIC_RELAXED) != 0) {
        fabric_count(&lane->counters.malformed, 1);
        fabric_peer_fault(lane, in->peer, wrong);
    }
    return false;
}

static unsigned in_receive(struct fabric_lane *lane, struct fabric_in *in,
                           struct fabric_packet *ret, unsigned max)
{
    const struct fabric_peer *peer = in->peer;
    const uint8_t own = lane->fabric->config.index;
    uint16_t planes_up = __atomic_load_n(&lane->fabric->planes_up, __ATOMIC_RELAXED);
    struct {
        uint32_t offset, bytes;
    } d[FABRIC_BURST];
    uint32_t at = in->tail + in->taken;
    uint32_t n = (uint32_t)__atomic_load_n(&in->head_word->value, __ATOMIC_ACQUIRE) - at;
    unsigned got = 0;

    if (n == 0 || __atomic_load_n(&peer->faulted, __ATOMIC_RELAXED)) {
        return 0;
    }
    if (n > FABRIC_RING) {
        fabric_count(&lane->counters.malformed, 1);
        fabric_peer_fault(lane, in->peer, "producer index outside the ring");
        return 0;
    }
    n = MIN(n, max);
    if (in->taken == 0) {
        lane->held[lane->n_held++] = in;
    }
    in->taken += n;
    for (uint32_t i = 0; i < n; i++) {
        const struct fabric_descriptor *from = &in->ring[(at + i) % FABRIC_RING];

        d[i].offset = __atomic_load_n(&from->offset, __ATOMIC_RELAXED);
        d[i].bytes = __atomic_load_n(&from->bytes, __ATOMIC_RELAXED);
        if (descriptor_fits(&peer->geometry, d[i].offset, d[i].bytes)) {
            __builtin_prefetch(peer->base + d[i].offset);
            __builtin_prefetch(peer->base + d[i].offset + FABRIC_LINE);
        } else if (d[i].bytes != 0) {
            d[i].bytes = UINT32_MAX;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        const uint8_t *cell = peer->base + d[i].offset;
        uint32_t payload = d[i].bytes - (uint32_t)sizeof(struct fabric_cell);
        struct fabric_packet *p = &ret[got];

        if (d[i].bytes == 0) {
            continue; /* taken back */
        }
        if (__builtin_expect(__atomic_load_n(&peer->faulted, __ATOMIC_RELAXED), 0)) {
            break;
        }
        if (d[i].bytes == UINT32_MAX) {
            in_examine(lane, in, at + i, "descriptor outside the buffers", NULL, 0);
            continue;
        }
        memcpy(&p->cell, cell, sizeof(p->cell));
        COPIED();
        if (!cell_good(&p->cell, peer->index, own, planes_up, payload) &&
            !in_examine(lane, in, at + i, NULL, &p->cell, payload)) {
            continue;
        }
        p->data = cell + sizeof(p->cell);
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
