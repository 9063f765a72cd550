/*
 * vc-gateway - cells of others pass through here: captured, lost, delayed, passed on.
 *
 * A board without slot and control bus; hwd attaches it with everybody and tells
 * the boards to send their cells here. A cell keeps its header: the receiver
 * sees it as its source sent it, only later. Every cell is copied into an own
 * buffer; delayed ones wait there in order of their time, and when the pool is
 * empty cells are dropped and counted.
 *
 * Captures are pcapng with one Ethernet frame a cell. An L3 payload gets a head
 * of which the addresses are 02:00:00:00:00:ENDPOINT and the type is IP's; what
 * boards tell each other has the local experimental type 0x88b5 and the cell
 * type as its first byte.
 *
 * Threads: one lane; the main loop changes rules and captures under a lock that
 * the lane takes once a burst. Limits: RULES_MAX, CAPTURES_MAX.
 */
#include <pthread.h>
#include <string.h>

#include "firmware/boot/board.h"
#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "firmware/core/rng.h"
#include "firmware/core/timer.h"
#include "hw/ioc/ioc.h"

#define RULES_MAX    64
#define CAPTURES_MAX 16
#define DELAYED_MAX  4096 /* cells waiting; the outbox has twice as many buffers */
#define REPORT_NS    FW_SEC
#define IDLE_NS      FW_SEC
#define ANY          0xff
#define TYPE_LOCAL   0x88b5u /* IEEE 802 local experimental ethertype 1 */

struct delayed {
    int64_t due_ns;
    struct fabric_packet packet;
};

struct gateway {
    struct board *board;
    pthread_t thread;
    bool running, stop;
    GMutex lock; /* over rules and captures */
    unsigned n_rules;
    struct bus_fabric_impair rules[RULES_MAX];
    unsigned n_captures;
    struct ioc_capture *captures[CAPTURES_MAX];
    struct fw_timer *report;
    struct bus_gateway_report counters; /* lane's; read racily */
    unsigned n_delayed;
    struct delayed delayed[DELAYED_MAX]; /* a heap by due_ns */
};

static struct gateway gateway;

static void count(uint64_t *counter)
{
    __atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
}

/* ---------------------------------------------------------------- the heap of delayed cells */

static void delayed_push(struct gateway *g, int64_t due_ns, const struct fabric_packet *packet)
{
    unsigned at = g->n_delayed++;

    while (at > 0 && g->delayed[(at - 1) / 2].due_ns > due_ns) {
        g->delayed[at] = g->delayed[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    g->delayed[at].due_ns = due_ns;
    g->delayed[at].packet = *packet;
}

static void delayed_pop(struct gateway *g, struct fabric_packet *ret)
{
    struct delayed last = g->delayed[--g->n_delayed];
    unsigned at = 0, child;

    *ret = g->delayed[0].packet;
    while ((child = 2 * at + 1) < g->n_delayed) {
        if (child + 1 < g->n_delayed &&
            g->delayed[child + 1].due_ns < g->delayed[child].due_ns) {
            child++;
        }
        if (g->delayed[child].due_ns >= last.due_ns) {
            break;
        }
        g->delayed[at] = g->delayed[child];
        at = child;
    }
    g->delayed[at] = last;
}

/* ---------------------------------------------------------------- the lane */

static void capture_cell(struct gateway *g, const struct fabric_packet *packet)
{
    const struct fabric_cell *cell = &packet->cell;
    uint8_t head[15];
    struct fw_emit e = fw_emit(head, sizeof head);
    bool whole = cell->flags & FABRIC_FLAG_L2 || cell->type == FABRIC_CELL_PORT_OUT;
    bool told = cell->type == FABRIC_CELL_NP_INSTALL || cell->type == FABRIC_CELL_NP_REMOVE ||
                cell->type == FABRIC_CELL_CP_NOTE;

    if (g->n_captures == 0) {
        return;
    }
    if (told || !whole) {
        const uint8_t address[5] = {2, 0, 0, 0, 0};

        fw_emit_bytes(&e, address, 5);
        fw_emit_u8(&e, cell->destination);
        fw_emit_bytes(&e, address, 5);
        fw_emit_u8(&e, cell->source);
        if (told) {
            fw_emit_u16(&e, TYPE_LOCAL);
            fw_emit_u8(&e, cell->type);
        } else {
            fw_emit_u16(&e, cell->length && packet->data[0] >> 4 == 6 ? 0x86dd : 0x0800);
        }
    }
    for (unsigned n = 0; n < g->n_captures; n++) {
        bool ok = ioc_capture_frame(g->captures[n], false, head, (uint32_t)fw_emit_len(&e),
                                    packet->data, cell->length);

        count(ok ? &g->counters.captured : &g->counters.capture_dropped);
    }
}

static const struct bus_fabric_impair *rule_for(const struct gateway *g,
                                                const struct fabric_cell *cell)
{
    for (unsigned n = 0; n < g->n_rules; n++) {
        const struct bus_fabric_impair *rule = &g->rules[n];

        if ((rule->source == ANY || rule->source == cell->source) &&
            (rule->destination == ANY || rule->destination == cell->destination)) {
            return rule;
        }
    }
    return NULL;
}

/* A received cell; true: *ret is to be sent now. */
static bool cell_take(struct gateway *g, struct fabric_lane *lane,
                      const struct fabric_packet *packet, struct fabric_packet *ret)
{
    const struct bus_fabric_impair *rule = rule_for(g, &packet->cell);

    if (packet->cell.destination == g->board->config->index) {
        return false; /* nobody speaks to the gateway itself */
    }
    capture_cell(g, packet);
    if (rule && rule->drop_permille && fw_rng_model_below(1000) < rule->drop_permille) {
        count(&g->counters.impaired);
        return false;
    }
    if ((rule && rule->delay_us && g->n_delayed == DELAYED_MAX) ||
        !fabric_lane_alloc(lane, packet->cell.length, ret)) {
        count(&g->counters.no_buffer);
        return false;
    }
    memcpy(ret->room, packet->data, packet->cell.length);
    ret->cell = packet->cell;
    if (rule && rule->delay_us) {
        delayed_push(g, fw_clock_ns() + (int64_t)rule->delay_us * 1000, ret);
        return false;
    }
    return true;
}

static void burst_send(struct gateway *g, struct fabric_lane *lane, struct fabric_packet *packets,
                       unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        count(&g->counters.forwarded);
    }
    if (n > 0) {
        fabric_lane_send(lane, packets, n);
    }
}

static void *lane_run(void *data)
{
    struct gateway *g = data;
    struct fabric_lane *lane = fabric_lane(g->board->fabric, 0);
    struct fabric_packet in[FABRIC_BURST], out[FABRIC_BURST];

    while (!__atomic_load_n(&g->stop, __ATOMIC_ACQUIRE)) {
        unsigned n = fabric_lane_receive(lane, in, FABRIC_BURST), n_out = 0;
        int64_t wait_ns = IDLE_NS;

        g_mutex_lock(&g->lock);
        for (unsigned i = 0; i < n; i++) {
            n_out += cell_take(g, lane, &in[i], &out[n_out]);
        }
        for (unsigned i = 0; i < g->n_captures; i++) {
            if (ioc_capture_flush(g->captures[i])) {
                wait_ns = 10 * FW_MS; /* its reader is slow */
            }
        }
        g_mutex_unlock(&g->lock);
        burst_send(g, lane, out, n_out);
        fabric_lane_release(lane);
        n_out = 0;
        while (n_out < FABRIC_BURST && g->n_delayed > 0 &&
               g->delayed[0].due_ns <= fw_clock_ns()) {
            delayed_pop(g, &out[n_out++]);
        }
        burst_send(g, lane, out, n_out);
        if (g->n_delayed > 0) {
            wait_ns = MIN(wait_ns, MAX(g->delayed[0].due_ns - fw_clock_ns(), 0));
        }
        if (wait_ns > 0) {
            fabric_lane_wait(lane, NULL, NULL, 0, wait_ns);
        }
    }
    return NULL;
}

/* ---------------------------------------------------------------- the main loop */

static void rule_set(struct gateway *g, const struct bus_fabric_impair *rule)
{
    g_mutex_lock(&g->lock);
    for (unsigned n = 0; n < g->n_rules; n++) {
        if (g->rules[n].source == rule->source && g->rules[n].destination == rule->destination) {
            memmove(&g->rules[n], &g->rules[n + 1], (g->n_rules - n - 1) * sizeof *rule);
            g->n_rules--;
            break;
        }
    }
    if (g->n_rules < RULES_MAX && (rule->drop_permille || rule->delay_us)) {
        g->rules[g->n_rules++] = *rule;
    }
    g_mutex_unlock(&g->lock);
}

static void capture_add(struct gateway *g, const struct bus_capture_start *start, int *fds,
                        unsigned n_fds)
{
    g_autoptr(GError) error = NULL;
    struct ioc_capture *capture;

    if (n_fds != 1 || g->n_captures == CAPTURES_MAX) {
        fw_warning("fabric capture %u: %u descriptors, %u captures run", start->id, n_fds,
                   g->n_captures);
        return;
    }
    capture = ioc_capture_new(start->id, fds[0], start->name, &error);
    if (!capture) {
        fw_warning("%s", error->message);
        return;
    }
    fds[0] = -1;
    g_mutex_lock(&g->lock);
    g->captures[g->n_captures++] = capture;
    g_mutex_unlock(&g->lock);
}

static void capture_remove(struct gateway *g, uint32_t id)
{
    struct ioc_capture *gone = NULL;

    g_mutex_lock(&g->lock);
    for (unsigned n = 0; n < g->n_captures && !gone; n++) {
        if (ioc_capture_id(g->captures[n]) == id) {
            gone = g->captures[n];
            g->captures[n] = g->captures[--g->n_captures];
        }
    }
    g_mutex_unlock(&g->lock);
    ioc_capture_free(gone);
}

static void supervision(struct board *board, const struct bus_header *header, const void *msg,
                        int *fds, unsigned n_fds, void *data)
{
    struct gateway *g = data;

    (void)board;
    switch (header->type) {
    case BUS_FABRIC_IMPAIR:
        rule_set(g, msg);
        break;
    case BUS_CAPTURE_START:
        capture_add(g, msg, fds, n_fds);
        break;
    case BUS_CAPTURE_STOP:
        capture_remove(g, ((const struct bus_capture_stop *)msg)->id);
        break;
    default:
        break;
    }
}

static void on_report(void *data)
{
    struct gateway *g = data;
    struct bus_gateway_report report = {
        .forwarded = __atomic_load_n(&g->counters.forwarded, __ATOMIC_RELAXED),
        .impaired = __atomic_load_n(&g->counters.impaired, __ATOMIC_RELAXED),
        .no_buffer = __atomic_load_n(&g->counters.no_buffer, __ATOMIC_RELAXED),
        .captured = __atomic_load_n(&g->counters.captured, __ATOMIC_RELAXED),
        .capture_dropped = __atomic_load_n(&g->counters.capture_dropped, __ATOMIC_RELAXED)};

    bus_send(g->board->supervisor, BUS_HWD, BUS_GATEWAY_REPORT, &report);
    fw_timer_arm(g->report, REPORT_NS);
}

static bool start(struct board *board, void *data, GError **error)
{
    struct gateway *g = data;

    g->board = board;
    g_mutex_init(&g->lock);
    if (pthread_create(&g->thread, NULL, lane_run, g) != 0) {
        return fw_fail(error, FW_ERROR_SYSTEM, "the gateway's lane does not start");
    }
    g->running = true;
    g->report = fw_timer_new(on_report, g);
    fw_timer_arm(g->report, REPORT_NS);
    return true;
}

static void stop(struct board *board, void *data)
{
    struct gateway *g = data;

    if (g->running) {
        __atomic_store_n(&g->stop, true, __ATOMIC_RELEASE);
        fabric_lane_wake(board->fabric, 0);
        pthread_join(g->thread, NULL);
    }
    fw_timer_free(g->report);
    while (g->n_captures > 0) {
        ioc_capture_free(g->captures[--g->n_captures]);
    }
}

int main(int argc, char **argv)
{
    static const struct board_role role = {.name = "gateway", .fabric = true, .lock_down = true,
                                           .start = start, .supervision = supervision,
                                           .stop = stop, .data = &gateway};

    return board_main(&role, argc, argv);
}
