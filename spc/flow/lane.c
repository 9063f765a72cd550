/* lane - making and running a host worker's share of a services card; see lane.h. */
#include "spc/flow/lane.h"

#include <glib.h>
#include <string.h>
#include <sys/mman.h>

#include "firmware/core/clock.h"
#include "spc/cp/cp.h"
#include "spc/ipsec/ipsec.h"

struct flow_thread *flow_threads_new(struct fabric *fabric, uint8_t slot, uint8_t spus,
                                     uint8_t threads, uint8_t lanes, struct flow_lane *lane)
{
    unsigned n = (unsigned)spus * threads;
    struct flow_thread *all = g_new0(struct flow_thread, n);

    for (unsigned i = 0; i < lanes; i++) {
        lane[i].fabric = fabric_lane(fabric, i);
        lane[i].number = i;
        lane[i].slot = slot;
        lane[i].spus = spus;
        lane[i].threads = threads;
        lane[i].lanes = lanes;
        lane[i].thread = all;
    }
    for (unsigned i = 0; i < n; i++) {
        all[i].spu = (uint8_t)(i / threads);
        all[i].thread = (uint8_t)(i % threads);
        all[i].lane = &lane[fabric_lane_of(all[i].spu, all[i].thread, lanes)];
        if (!all[i].lane->first) {
            all[i].lane->first = &all[i];
        }
        all[i].sessions = flow_sessions_new();
        all[i].ipsec = ipsec_thread_new();
    }
    lane[fabric_lane_of(0, 0, lanes)].cp = cp_new();
    return all;
}

void flow_threads_free(struct flow_thread *all, struct flow_lane *lane, uint8_t lanes)
{
    for (unsigned i = 0; i < (unsigned)lane->spus * lane->threads; i++) {
        flow_sessions_free(all[i].sessions);
        ipsec_thread_free(all[i].ipsec);
    }
    for (unsigned i = 0; i < lanes; i++) {
        cp_free(lane[i].cp);
    }
    g_free(all);
}

/* ---- events ---- */

void flow_post(struct flow_lane *lane, const struct flow_event *event)
{
    uint32_t tail = __atomic_load_n(&lane->event_tail, __ATOMIC_ACQUIRE);

    if (lane->event_head - tail < FLOW_EVENTS) {
        lane->events[lane->event_head % FLOW_EVENTS] = *event;
        __atomic_store_n(&lane->event_head, lane->event_head + 1, __ATOMIC_RELEASE);
        lane->event_posted = true;
    }
}

bool flow_lane_event_take(struct flow_lane *lane, struct flow_event *ret)
{
    uint32_t head = __atomic_load_n(&lane->event_head, __ATOMIC_ACQUIRE);

    if (lane->event_tail == head) {
        return false;
    }
    *ret = lane->events[lane->event_tail % FLOW_EVENTS];
    __atomic_store_n(&lane->event_tail, lane->event_tail + 1, __ATOMIC_RELEASE);
    return true;
}

/* ---- packets ---- */

void flow_drop(struct flow_thread *t, struct fabric_packet *p, enum flow_counter why)
{
    flow_count(t->counters, why, 1);
    fabric_lane_free(t->lane->fabric, p);
}

bool flow_own(struct flow_thread *t, struct fabric_packet *p, uint32_t extra)
{
    struct fabric_packet own;

    if (p->room && p->cell.length + extra <= p->capacity) {
        return true;
    }
    if (!fabric_lane_alloc(t->lane->fabric, p->cell.length + extra, &own)) {
        flow_drop(t, p, FLOW_NO_BUFFER);
        return false;
    }
    memcpy(own.room, p->data, p->cell.length);
    own.cell = p->cell;
    fabric_lane_free(t->lane->fabric, p);
    *p = own;
    return true;
}

void flow_send(struct flow_lane *lane, struct fabric_packet *p)
{
    lane->out[lane->n_out++] = *p;
    p->room = NULL;
    if (lane->n_out == FABRIC_BURST) {
        flow_lane_flush(lane);
    }
}

void flow_lane_flush(struct flow_lane *lane)
{
    if (lane->n_out > 0) {
        fabric_lane_send(lane->fabric, lane->out, lane->n_out);
        lane->n_out = 0;
    }
}

void flow_send_thread(struct flow_thread *t, struct fabric_packet *p, uint8_t slot, uint8_t spu,
                      uint8_t thread)
{
    if (!flow_own(t, p, 0)) {
        return;
    }
    p->cell.destination = slot;
    p->cell.spu = spu;
    p->cell.thread = thread;
    flow_send(t->lane, p);
}

/* ---- bursts ---- */

static void dispatch(struct flow_lane *lane, struct fabric_packet *p)
{
    struct flow_thread *t = flow_lane_thread_of(lane, p);

    if (!t) {
        return;
    }
    switch ((enum fabric_cell_type)p->cell.type) {
    case FABRIC_CELL_PACKET:
    case FABRIC_CELL_FLOW:
        flow_packet(t, p);
        return;
    case FABRIC_CELL_FIRST:
    case FABRIC_CELL_HOST_OUT:
        cp_packet(t, p);
        return;
    case FABRIC_CELL_CP_NOTE:
        cp_note(t, p);
        return;
    case FABRIC_CELL_ENCRYPT:
    case FABRIC_CELL_DECRYPT:
    case FABRIC_CELL_PORT_OUT:
    case FABRIC_CELL_HOST_IN:
    case FABRIC_CELL_NP_INSTALL:
    case FABRIC_CELL_NP_REMOVE:
        break;
    }
    flow_drop(t, p, FLOW_CELL_UNEXPECTED);
}

/* Cells of one kind stand together, since they come from one ring; ESP goes by runs of them. */
void flow_lane_burst(struct flow_lane *lane, struct fabric_packet *packets, unsigned n)
{
    unsigned run;

    lane->now_ns = fw_clock_ns();
    for (unsigned i = 0; i < n; i += run) {
        uint8_t type = packets[i].cell.type;

        for (run = 1; i + run < n && packets[i + run].cell.type == type; run++) {
        }
        if (type == FABRIC_CELL_ENCRYPT) {
            ipsec_encrypt_burst(lane, &packets[i], run);
        } else if (type == FABRIC_CELL_DECRYPT) {
            ipsec_decrypt_burst(lane, &packets[i], run);
        } else {
            for (unsigned k = 0; k < run; k++) {
                dispatch(lane, &packets[i + k]);
            }
        }
    }
    flow_lane_flush(lane);
}

void flow_lane_tables(struct flow_lane *lane, const struct flow_tables *tables)
{
    lane->tables = tables;
    lane->generation = flow_tables_generation(tables);
    lane->now_ns = fw_clock_ns();
    flow_holds_retry(lane);
    flow_lane_flush(lane);
}

bool flow_lane_busy(const struct flow_lane *lane)
{
    unsigned n = (unsigned)lane->spus * lane->threads;

    if (lane->n_holds > 0 || (lane->cp && cp_busy(lane->cp))) {
        return true;
    }
    for (unsigned i = 0; i < n; i++) {
        if (lane->thread[i].lane == lane && flow_sessions_busy(lane->thread[i].sessions)) {
            return true;
        }
    }
    return false;
}

void flow_lane_tick(struct flow_lane *lane)
{
    unsigned n = (unsigned)lane->spus * lane->threads;
    int64_t now_s;

    lane->now_ns = fw_clock_ns();
    now_s = lane->now_ns / FW_SEC;
    if (now_s == lane->tick_s) {
        return;
    }
    lane->tick_s = now_s;
    flow_holds_retry(lane);
    for (unsigned i = 0; i < n; i++) {
        struct flow_thread *t = &lane->thread[i];
        struct flow_session *session;

        if (t->lane != lane) {
            continue;
        }
        while ((session = flow_sessions_expired(t->sessions, now_s)) != NULL) {
            flow_session_end(t, session);
        }
    }
    if (lane->cp) {
        cp_tick(lane->cp, now_s);
    }
    flow_lane_flush(lane);
}
