/*
 * attach - the fabric object, and how boards come to know and forget each other.
 *
 * The main thread maps a peer's outbox read-only and posts an operation to the
 * mailbox of each lane; a lane serves it between two bursts, when it holds no
 * packet of anybody. The last lane to do so sends the operation back to the
 * main loop, which frees the old peer and calls `acknowledged`.
 *
 * Limits: FABRIC_ENDPOINTS_MAX peers. Main thread except fabric_lane_serve and
 * fabric_peer_fault (lane's thread).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "firmware/fabric/state.h"

_Static_assert(FABRIC_SMALL_BYTES % FABRIC_LINE == 0 && FABRIC_LARGE_BYTES % FABRIC_LINE == 0 &&
                   FABRIC_HEADROOM % FABRIC_LINE == 0,
               "payloads begin on a cache line");

/* ---- lane's side ---- */

void fabric_peer_fault(struct fabric_lane *lane, struct fabric_peer *peer, const char *reason)
{
    const struct fabric_config *config = &lane->fabric->config;

    if (__atomic_exchange_n(&peer->faulted, 1, __ATOMIC_RELAXED) == 0 && config->fault) {
        config->fault(peer->index, reason, config->data);
    }
}

static void lane_forget(struct fabric_lane *lane, struct fabric_lane_peer *lp)
{
    if (!lp->peer) {
        return;
    }
    for (unsigned l = 0; l < lp->peer->lanes && !lp->peer->datagram; l++) {
        fabric_out_take_back(lane, &lp->out[l]);
        __atomic_store_n(&lp->in[l].tail_word->value, 0, __ATOMIC_RELEASE);
    }
    lp->peer = NULL;
}

static void lane_learn(struct fabric_lane *lane, struct fabric_peer *peer)
{
    struct fabric_lane_peer *lp = &lane->peers[peer->index];
    const struct fabric_geometry *own = &lane->fabric->geometry;
    const struct fabric_geometry *other = &peer->geometry;
    uint8_t *base = lane->fabric->base;

    lp->peer = peer;
    if (peer->datagram) {
        lp->police_at_ns = fw_clock_ns();
        lp->police_tokens = MAX((int64_t)peer->police_pps / 10, 1) * FW_SEC;
        if (!lane->datagrams) {
            lane->datagrams = fabric_datagrams_new();
        }
        return;
    }
    for (unsigned l = 0; l < peer->lanes; l++) {
        struct fabric_out *out = &lp->out[l];
        struct fabric_in *in = &lp->in[l];
        uint32_t mine = fabric_geometry_ring(own, peer->index, l, lane->number);
        uint32_t theirs = fabric_geometry_ring(other, own->index, lane->number, l);
        const size_t ring_bytes = FABRIC_RING * sizeof(struct fabric_cell);

        in->peer = peer;
        in->ring = (const struct fabric_cell *)(peer->base + other->rings + theirs * ring_bytes);
        in->head_word = (const struct fabric_word *)(peer->base + other->heads) + theirs;
        in->tail_word = (struct fabric_word *)(base + own->tails) + mine;
        in->tail = (uint32_t)__atomic_load_n(&in->head_word->value, __ATOMIC_ACQUIRE);
        in->taken = 0;
        __atomic_store_n(&in->tail_word->value, FABRIC_TAIL_VALID | in->tail, __ATOMIC_RELEASE);

        out->ring = (struct fabric_cell *)(base + own->rings + mine * ring_bytes);
        out->head_word = (struct fabric_word *)(base + own->heads) + mine;
        out->tail_word = (const struct fabric_word *)(peer->base + other->tails) + theirs;
        out->sleep_word = (const struct fabric_word *)(peer->base + fabric_geometry_sleep(l));
        out->head = (uint32_t)out->head_word->value;
        out->tail = out->head;
        out->owed = out->head;
        out->rung = 0;
        out->doorbell = peer->doorbells[l];
        out->ready = false;
        out->dirty = false;
    }
}

static void lane_list_peers(struct fabric_lane *lane)
{
    lane->n_poll = lane->next_poll = 0;
    lane->n_datagram_peers = lane->next_datagram = 0;
    for (unsigned i = 0; i < lane->fabric->config.endpoints; i++) {
        struct fabric_lane_peer *lp = &lane->peers[i];

        if (!lp->peer) {
            continue;
        }
        if (lp->peer->datagram) {
            if (lane->number == 0) {
                lane->datagram_peers[lane->n_datagram_peers++] = (uint8_t)i;
            }
            continue;
        }
        for (unsigned l = 0; l < lp->peer->lanes; l++) {
            lane->poll[lane->n_poll++] = &lp->in[l];
        }
    }
}

static gboolean op_done(gpointer data)
{
    struct fabric_op *op = data;
    struct fabric *fabric = op->fabric;

    fabric->ops = g_list_remove(fabric->ops, op);
    if (op->detach) {
        struct fabric_peer *peer = op->detach;

        if (peer->base && !peer->self) {
            munmap((void *)(uintptr_t)peer->base, peer->geometry.bytes);
        }
        for (unsigned l = 0; l < FABRIC_LANES_MAX; l++) {
            if (peer->doorbells[l] >= 0 && !peer->self) {
                close(peer->doorbells[l]);
            }
        }
        if (peer->socket >= 0) {
            close(peer->socket);
        }
        g_free(peer);
    }
    if (fabric->config.acknowledged && op->index != fabric->config.index) {
        fabric->config.acknowledged(op->index, op->generation, op->attach != NULL,
                                    fabric->config.data);
    }
    g_free(op);
    return G_SOURCE_REMOVE;
}

void fabric_lane_serve(struct fabric_lane *lane)
{
    g_assert(lane->n_held == 0);
    for (;;) {
        struct fabric_op *op;

        g_mutex_lock(&lane->mailbox_lock);
        op = g_queue_pop_head(&lane->mailbox);
        if (!op) {
            __atomic_store_n(&lane->pending, 0, __ATOMIC_RELEASE);
        }
        g_mutex_unlock(&lane->mailbox_lock);
        if (!op) {
            break;
        }
        lane_forget(lane, &lane->peers[op->index]);
        if (op->attach) {
            lane_learn(lane, op->attach);
        }
        lane_list_peers(lane);
        if (__atomic_sub_fetch(&op->remaining, 1, __ATOMIC_ACQ_REL) == 0) {
            g_idle_add(op_done, op);
        }
    }
}

/* ---- main thread's side ---- */

static void fabric_post(struct fabric *fabric, uint8_t index, uint32_t generation,
                        struct fabric_peer *attach)
{
    struct fabric_op *op = g_new0(struct fabric_op, 1);

    op->fabric = fabric;
    op->attach = attach;
    op->detach = fabric->peers[index];
    op->index = index;
    op->generation = generation;
    op->remaining = fabric->config.lanes;
    fabric->peers[index] = attach;
    fabric->ops = g_list_append(fabric->ops, op);
    for (unsigned l = 0; l < fabric->config.lanes; l++) {
        struct fabric_lane *lane = fabric->lanes[l];

        g_mutex_lock(&lane->mailbox_lock);
        g_queue_push_tail(&lane->mailbox, op);
        __atomic_store_n(&lane->pending, 1, __ATOMIC_RELEASE);
        g_mutex_unlock(&lane->mailbox_lock);
        fabric_lane_wake(fabric, l);
    }
}

static struct fabric_peer *peer_new(uint8_t index, uint32_t generation, unsigned lanes)
{
    struct fabric_peer *peer = g_new0(struct fabric_peer, 1);

    peer->index = index;
    peer->generation = generation;
    peer->lanes = (uint8_t)lanes;
    peer->socket = -1;
    for (unsigned l = 0; l < FABRIC_LANES_MAX; l++) {
        peer->doorbells[l] = -1;
    }
    return peer;
}

static bool attach_allowed(const struct fabric *fabric, uint8_t index, unsigned lanes,
                           GError **error)
{
    if (index >= fabric->config.endpoints || index == fabric->config.index) {
        return fw_fail(error, FW_ERROR_INVALID, "fabric endpoint %u cannot be attached here",
                       index);
    }
    if (lanes < 1 || lanes > FABRIC_LANES_MAX) {
        return fw_fail(error, FW_ERROR_INVALID, "fabric endpoint %u has %u lanes, 1 to %d can be",
                       index, lanes, FABRIC_LANES_MAX);
    }
    return true;
}

bool fabric_attach(struct fabric *fabric, uint8_t index, uint32_t generation, int outbox_fd,
                   uint32_t bytes, const int *doorbells, unsigned lanes, GError **error)
{
    struct fabric_geometry geometry;
    struct fabric_peer *peer;
    void *base;

    if (!attach_allowed(fabric, index, lanes, error) ||
        !fabric_outbox_read(outbox_fd, bytes, &geometry, error)) {
        return false;
    }
    if (geometry.index != index || geometry.lanes != lanes ||
        geometry.endpoints != fabric->config.endpoints) {
        return fw_fail(error, FW_ERROR_INVALID,
                       "outbox is of endpoint %u of %u with %u lanes, not of endpoint %u of %u "
                       "with %u lanes",
                       geometry.index, geometry.endpoints, geometry.lanes, index,
                       fabric->config.endpoints, lanes);
    }
    base = mmap(NULL, bytes, PROT_READ, MAP_SHARED, outbox_fd, 0);
    if (base == MAP_FAILED) {
        return fw_fail_errno(error, "cannot map the outbox of endpoint %u", index);
    }
    peer = peer_new(index, generation, lanes);
    peer->geometry = geometry;
    peer->base = base;
    for (unsigned l = 0; l < lanes; l++) {
        peer->doorbells[l] = doorbells[l];
    }
    close(outbox_fd);
    fabric_post(fabric, index, generation, peer);
    return true;
}

bool fabric_attach_datagram(struct fabric *fabric, uint8_t index, uint32_t generation, int fd,
                            unsigned lanes, uint32_t police_pps, GError **error)
{
    struct fabric_peer *peer;
    int flags;

    if (!attach_allowed(fabric, index, lanes, error)) {
        return false;
    }
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        return fw_fail_errno(error, "socket to endpoint %u", index);
    }
    peer = peer_new(index, generation, lanes);
    peer->datagram = true;
    peer->socket = fd;
    peer->police_pps = police_pps;
    fabric_post(fabric, index, generation, peer);
    return true;
}

void fabric_detach(struct fabric *fabric, uint8_t index, uint32_t generation)
{
    if (index < fabric->config.endpoints && index != fabric->config.index) {
        fabric_post(fabric, index, generation, NULL);
    }
}

bool fabric_attached(const struct fabric *fabric, uint8_t index)
{
    return index < fabric->config.endpoints && fabric->peers[index] != NULL;
}

void fabric_route_via(struct fabric *fabric, uint8_t index, uint8_t via)
{
    if (index < fabric->config.endpoints && via < fabric->config.endpoints) {
        __atomic_store_n(&fabric->via[index], via, __ATOMIC_RELAXED);
    }
}

void fabric_planes(struct fabric *fabric, uint16_t up)
{
    uint64_t table = 0;
    uint8_t list[FABRIC_PLANES_MAX];
    unsigned n = 0;

    for (unsigned p = 0; p < FABRIC_PLANES_MAX; p++) {
        if (up >> p & 1) {
            list[n++] = (uint8_t)p;
        }
    }
    for (unsigned i = 0; i < 16; i++) {
        table |= (uint64_t)(n ? list[i % n] : 15) << (i * 4);
    }
    __atomic_store_n(&fabric->planes_up, up, __ATOMIC_RELAXED);
    __atomic_store_n(&fabric->plane_table, table, __ATOMIC_RELAXED);
}

void fabric_corrupt(struct fabric *fabric)
{
    const struct fabric_geometry *g = &fabric->geometry;
    unsigned n = (unsigned)g->endpoints * FABRIC_LANES_MAX * g->lanes;

    for (unsigned i = 0; i < n; i++) {
        struct fabric_word *head = (struct fabric_word *)(fabric->base + g->heads) + i;

        if (i / (FABRIC_LANES_MAX * g->lanes) != g->index) {
            __atomic_store_n(&head->value, head->value + 2 * FABRIC_RING, __ATOMIC_RELEASE);
        }
    }
    for (unsigned i = 0; i < g->endpoints; i++) {
        for (unsigned l = 0; fabric->peers[i] && l < fabric->peers[i]->lanes; l++) {
            uint64_t one = 1;

            if (fabric->peers[i]->doorbells[l] >= 0 &&
                write(fabric->peers[i]->doorbells[l], &one, sizeof(one)) < 0) {
                break;
            }
        }
    }
}

static void pool_init(struct fabric_pool *pool, uint8_t *base, uint32_t size, uint32_t count)
{
    pool->base = base;
    pool->size = size;
    pool->count = count;
    pool->free = g_new(uint32_t, count + 1u);
}

static void lane_new(struct fabric *fabric, unsigned number)
{
    const struct fabric_geometry *g = &fabric->geometry;
    struct fabric_lane *lane = g_new0(struct fabric_lane, 1);

    fabric->lanes[number] = lane;
    lane->fabric = fabric;
    lane->number = number;
    pool_init(&lane->pools[FABRIC_POOL_SMALL],
              fabric->base + g->small + (size_t)number * g->small_per_lane * FABRIC_SMALL_BYTES,
              FABRIC_SMALL_BYTES, g->small_per_lane);
    pool_init(&lane->pools[FABRIC_POOL_LARGE],
              fabric->base + g->large + (size_t)number * g->large_per_lane * FABRIC_LARGE_BYTES,
              FABRIC_LARGE_BYTES, g->large_per_lane);
    lane->out_limit = CLAMP(g->small_per_lane / 2, 1, FABRIC_RING);
    lane->sleep_word = (struct fabric_word *)(fabric->base + fabric_geometry_sleep(number));
    lane->doorbell = fabric->doorbells[number];
    g_mutex_init(&lane->mailbox_lock);
    g_queue_init(&lane->mailbox);
}

struct fabric *fabric_new(const struct fabric_config *config, GError **error)
{
    struct fabric *fabric = g_new0(struct fabric, 1);
    struct fabric_peer *self;

    fabric->config = *config;
    fabric->outbox_fd = -1;
    fabric->gateway = config->endpoints > 1 && config->index == config->endpoints - 1;
    for (unsigned i = 0; i < FABRIC_ENDPOINTS_MAX; i++) {
        fabric->via[i] = (uint8_t)i;
    }
    for (unsigned l = 0; l < FABRIC_LANES_MAX; l++) {
        fabric->doorbells[l] = -1;
    }
    fabric->planes_up = 0xffff; /* plane_table 0: plane 0 */
    if (!fabric_geometry_compute(config->index, config->endpoints, config->lanes,
                                 config->small_buffers / MAX(config->lanes, 1),
                                 config->large_buffers / MAX(config->lanes, 1),
                                 &fabric->geometry)) {
        fw_fail(error, FW_ERROR_INVALID,
                "fabric endpoint %u of %u with %u lanes and %u + %u buffers cannot be made",
                config->index, config->endpoints, config->lanes, config->small_buffers,
                config->large_buffers);
        fabric_free(fabric);
        return NULL;
    }
    if (!fabric_outbox_create(fabric, error)) {
        fabric_free(fabric);
        return NULL;
    }
    for (unsigned l = 0; l < config->lanes; l++) {
        fabric->doorbells[l] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (fabric->doorbells[l] < 0) {
            fw_fail_errno(error, "cannot make a doorbell");
            fabric_free(fabric);
            return NULL;
        }
    }
    self = peer_new(config->index, 0, config->lanes);
    self->self = true;
    self->geometry = fabric->geometry;
    self->base = fabric->base;
    memcpy(self->doorbells, fabric->doorbells, sizeof(self->doorbells));
    fabric->peers[config->index] = self;
    for (unsigned l = 0; l < config->lanes; l++) {
        lane_new(fabric, l);
    }
    for (unsigned l = 0; l < config->lanes; l++) {
        lane_learn(fabric->lanes[l], self);
        lane_list_peers(fabric->lanes[l]);
    }
    return fabric;
}

void fabric_free(struct fabric *fabric)
{
    if (!fabric) {
        return;
    }
    /* The lanes' threads have ended: what they did not serve is done here. */
    fabric->config.acknowledged = NULL;
    for (unsigned i = 0; i < fabric->config.endpoints && i < FABRIC_ENDPOINTS_MAX; i++) {
        if (fabric->peers[i]) {
            struct fabric_op *op = g_new0(struct fabric_op, 1);

            op->fabric = fabric;
            op->detach = fabric->peers[i];
            fabric->ops = g_list_append(fabric->ops, op);
        }
    }
    while (fabric->ops) {
        struct fabric_op *op = fabric->ops->data;

        g_idle_remove_by_data(op);
        op_done(op);
    }
    for (unsigned l = 0; l < FABRIC_LANES_MAX; l++) {
        struct fabric_lane *lane = fabric->lanes[l];

        if (lane) {
            g_queue_clear(&lane->mailbox);
            g_mutex_clear(&lane->mailbox_lock);
            fabric_datagrams_free(lane->datagrams);
            g_free(lane->pools[FABRIC_POOL_SMALL].free);
            g_free(lane->pools[FABRIC_POOL_LARGE].free);
            g_free(lane);
        }
        if (fabric->doorbells[l] >= 0) {
            close(fabric->doorbells[l]);
        }
    }
    if (fabric->base) {
        munmap(fabric->base, fabric->geometry.bytes);
    }
    if (fabric->outbox_fd >= 0) {
        close(fabric->outbox_fd);
    }
    g_free(fabric);
}

int fabric_outbox_fd(const struct fabric *fabric)
{
    return fabric->outbox_fd;
}

uint32_t fabric_outbox_bytes(const struct fabric *fabric)
{
    return fabric->geometry.bytes;
}

int fabric_doorbell_fd(const struct fabric *fabric, unsigned lane)
{
    return lane < fabric->config.lanes ? fabric->doorbells[lane] : -1;
}

struct fabric_lane *fabric_lane(struct fabric *fabric, unsigned lane)
{
    return lane < fabric->config.lanes ? fabric->lanes[lane] : NULL;
}
