/*
 * worker - one host thread per lane: packets, orders, timers; see spcd.h.
 *
 * A turn: a burst from the fabric, orders from the main thread, ageing once a
 * second while there is something to age, then sleep when nothing came.
 */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <glib-unix.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "spc/spcd.h"

static bool ring_put(struct spc_ring *ring, struct spc_order *order)
{
    uint32_t tail = __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE);

    if (ring->head - tail == SPC_ORDERS) {
        return false;
    }
    ring->orders[ring->head % SPC_ORDERS] = order;
    __atomic_store_n(&ring->head, ring->head + 1, __ATOMIC_RELEASE);
    return true;
}

static struct spc_order *ring_take(struct spc_ring *ring)
{
    uint32_t head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
    struct spc_order *order;

    if (ring->tail == head) {
        return NULL;
    }
    order = ring->orders[ring->tail % SPC_ORDERS];
    __atomic_store_n(&ring->tail, ring->tail + 1, __ATOMIC_RELEASE);
    return order;
}

/* ---- the lane's thread ---- */

/* False: stop. */
static bool obey(struct flow_lane *lane, struct spc_order *order)
{
    struct flow_thread *t = flow_lane_thread(lane, order->spu, order->thread);

    switch (order->kind) {
    case SPC_ORDER_TABLES:
        flow_lane_tables(lane, order->tables);
        return true;
    case SPC_ORDER_INSERT:
        order->done = t && ipsec_insert(t, order->sa, &order->old);
        return true;
    case SPC_ORDER_REMOVE:
        order->sa = t ? ipsec_remove(t, order->direction, order->tunnel, order->spi) : NULL;
        return true;
    case SPC_ORDER_SESSIONS:
        order->done = spc_show_sessions(lane, order);
        return true;
    case SPC_ORDER_STOP:
        return false;
    }
    return true;
}

static int64_t time_to_tick(const struct flow_lane *lane)
{
    return flow_lane_busy(lane) ? FW_SEC - fw_clock_ns() % FW_SEC : -1;
}

static gpointer work(gpointer data)
{
    struct spc_worker *worker = data;
    struct flow_lane *lane = &worker->spcd->lanes[worker->number];
    struct fabric_packet packets[FABRIC_BURST];
    bool go_on = true;

    while (go_on) {
        unsigned n = fabric_lane_receive(lane->fabric, packets, FABRIC_BURST);
        struct spc_order *order;
        bool tell = false;

        if (n > 0) {
            flow_lane_burst(lane, packets, n);
        }
        fabric_lane_release(lane->fabric);
        while ((order = ring_take(&worker->orders)) != NULL) {
            lane->now_ns = fw_clock_ns();
            go_on &= obey(lane, order);
            flow_lane_flush(lane);
            ring_put(&worker->answers, order); /* has room: no more are under way than fit */
            tell = true;
        }
        flow_lane_tick(lane);
        if (tell || lane->event_posted) {
            uint64_t one = 1;

            lane->event_posted = false;
            while (write(worker->spcd->wake_fd, &one, sizeof one) < 0 && errno == EINTR) {
            }
        }
        if (n == 0 && !tell) {
            fabric_lane_wait(lane->fabric, NULL, NULL, 0, time_to_tick(lane));
        }
    }
    return NULL;
}

/* ---- main thread ---- */

static void pump(struct spc_worker *worker)
{
    bool woken = false;

    while (worker->under_way < SPC_ORDERS && !g_queue_is_empty(&worker->waiting) &&
           ring_put(&worker->orders, g_queue_peek_head(&worker->waiting))) {
        g_queue_pop_head(&worker->waiting);
        worker->under_way++;
        woken = true;
    }
    if (woken) {
        fabric_lane_wake(worker->spcd->board->fabric, worker->number);
    }
}

void spc_worker_order(struct spc_worker *worker, struct spc_order *order)
{
    g_queue_push_tail(&worker->waiting, order);
    pump(worker);
}

void spc_workers_collect(struct spcd *spcd)
{
    for (unsigned i = 0; i < spcd->n_lanes; i++) {
        struct spc_worker *worker = &spcd->workers[i];
        struct spc_order *order;
        struct flow_event event;

        while ((order = ring_take(&worker->answers)) != NULL) {
            worker->under_way--;
            spc_control_done(spcd, order);
        }
        while (flow_lane_event_take(&spcd->lanes[i], &event)) {
            spc_control_event(spcd, &event);
        }
        pump(worker);
    }
}

static gboolean woken_up(gint fd, GIOCondition condition, gpointer data)
{
    uint64_t count;

    (void)condition;
    if (read(fd, &count, sizeof count) == (ssize_t)sizeof count) {
        spc_workers_collect(data);
    }
    return G_SOURCE_CONTINUE;
}

bool spc_workers_start(struct spcd *spcd, GError **error)
{
    spcd->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (spcd->wake_fd < 0) {
        return fw_fail_errno(error, "eventfd");
    }
    spcd->wake_source = g_unix_fd_add(spcd->wake_fd, G_IO_IN, woken_up, spcd);
    for (unsigned i = 0; i < spcd->n_lanes; i++) {
        struct spc_worker *worker = &spcd->workers[i];
        g_autofree char *name = g_strdup_printf("lane %u", i);

        worker->spcd = spcd;
        worker->number = i;
        g_queue_init(&worker->waiting);
        flow_lane_tables(&spcd->lanes[i], spcd->tables);
        worker->thread = g_thread_try_new(name, work, worker, error);
        if (!worker->thread) {
            return false;
        }
    }
    return true;
}

void spc_workers_stop(struct spcd *spcd)
{
    static struct spc_order stop = {.kind = SPC_ORDER_STOP}; /* comes back as an answer */

    for (unsigned i = 0; i < spcd->n_lanes; i++) {
        struct spc_worker *worker = &spcd->workers[i];

        while (worker->thread && !ring_put(&worker->orders, &stop)) {
            g_thread_yield();
        }
        if (worker->thread) {
            fabric_lane_wake(spcd->board->fabric, i);
            g_thread_join(worker->thread);
            worker->thread = NULL;
        }
    }
    if (spcd->wake_source) {
        g_source_remove(spcd->wake_source);
        close(spcd->wake_fd);
        spcd->wake_source = 0;
    }
}
