/*
 * board - see board.h.
 *
 * Order of things: board-start -> role's fabric and threads -> board-outbox -> modelled stages and
 * fabric-attach side by side -> all stages done -> board-ready -> lock-down. Attachments may come
 * at any time later too (insertion). The supervisor's end of file is the end of the power supply:
 * the process ends at once.
 *
 * Main-loop thread only; the role's lanes are its own business.
 */
#include "firmware/boot/board.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "firmware/boot/lockdown.h"
#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "firmware/core/rng.h"
#include "firmware/core/timer.h"

#define FD_SUPERVISOR 3

struct life {
    const struct board_role *role;
    struct board board;
    struct bus_board_start *start;
    GMainLoop *loop;
    struct fw_timer *stage_timer;
    unsigned stage;      /* next stage to report */
    bool stages_done;
    bool role_ready;
    bool ready;
    int status;
};

/* What each stage is called for people. */
static const char *const stage_details[] = {"seated in its slot",   "power on",
                                            "running diagnostics",  "loading the image",
                                            "booting",              "in service"};

static void end_with(struct life *life, int status)
{
    life->status = status;
    g_main_loop_quit(life->loop);
}

static void supervisor_send(struct life *life, uint16_t type, const void *msg)
{
    bus_send(life->board.supervisor, BUS_HWD, type, msg);
}

static struct life *the_life; /* one board per process: needed by reports from lanes */

static gboolean report_fault(gpointer message)
{
    supervisor_send(the_life, BUS_FABRIC_FAULT, message);
    g_free(message);
    return G_SOURCE_REMOVE;
}

static void fabric_fault(uint8_t index, const char *reason, void *data)
{
    /* Any lane's thread: the report is made on the main loop. */
    struct bus_fabric_fault *fault = g_new0(struct bus_fabric_fault, 1);

    (void)data;
    fault->index = index;
    g_strlcpy(fault->reason, reason, sizeof fault->reason);
    g_idle_add(report_fault, fault);
}

static void fabric_acknowledged(uint8_t index, uint32_t generation, bool attached, void *data)
{
    struct bus_fabric_ack ack = {.index = index, .generation = generation, .attached = attached};

    supervisor_send(data, BUS_FABRIC_ACK, &ack);
}

static bool make_fabric(struct life *life, GError **error)
{
    const struct bus_board_start *s = life->start;
    struct fabric_config config = {.index = s->index,
                                   .endpoints = s->endpoints,
                                   .lanes = s->lanes,
                                   .small_buffers = s->small_buffers,
                                   .large_buffers = s->large_buffers,
                                   .spin = s->spin,
                                   .fault = fabric_fault,
                                   .acknowledged = fabric_acknowledged,
                                   .data = life};

    life->board.fabric = fabric_new(&config, error);
    return life->board.fabric != NULL;
}

static void send_outbox(struct life *life)
{
    struct fabric *fabric = life->board.fabric;
    struct bus_board_outbox outbox = {
        .generation = 1, .lanes = life->start->lanes, .bytes = fabric_outbox_bytes(fabric)};
    int fds[1 + FABRIC_LANES_MAX] = {fabric_outbox_fd(fabric)};

    for (unsigned i = 0; i < life->start->lanes; i++) {
        fds[1 + i] = fabric_doorbell_fd(fabric, i);
    }
    bus_send_fds(life->board.supervisor, BUS_HWD, BUS_BOARD_OUTBOX, &outbox, fds,
                 1 + life->start->lanes);
}

static void check_ready(struct life *life)
{
    struct bus_board_ready ready = {0};
    g_autoptr(GError) error = NULL;

    if (life->ready || !life->stages_done || (life->role->wait_ready && !life->role_ready)) {
        return;
    }
    life->ready = true;
    supervisor_send(life, BUS_BOARD_READY, &ready);
    if (life->role->lock_down && !boot_lockdown(&error)) {
        fw_warning("not locked down: %s", error->message);
    }
}

static void next_stage(void *data)
{
    struct life *life = data;
    struct bus_board_stage stage = {.stage = (uint8_t)life->stage};

    if (life->stage < BUS_BOOT_STAGE_COUNT - 1) {
        int64_t ms = life->stage < life->start->n_stage_ms ? life->start->stage_ms[life->stage] : 0;

        g_strlcpy(stage.detail, stage_details[life->stage], sizeof stage.detail);
        supervisor_send(life, BUS_BOARD_STAGE, &stage);
        life->stage++;
        fw_timer_arm(life->stage_timer, fw_clock_modelled_ns(ms * FW_MS));
        return;
    }
    life->stages_done = true;
    check_ready(life);
}

void board_set_ready(struct board *board)
{
    (void)board;
    the_life->role_ready = true;
    check_ready(the_life);
}

void board_close_fd(int fd)
{
    if (fd >= 0) {
        close(fd);
    }
}

static void bus_message(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                        int *fds, unsigned n_fds, void *data)
{
    struct life *life = data;

    (void)conn;
    (void)fds;
    (void)n_fds;
    if (life->start && life->role->message) {
        life->role->message(&life->board, header, msg, life->role->data);
    }
}

static void bus_closed(struct bus_conn *conn, void *data)
{
    (void)conn;
    (void)data;
    fw_warning("the control bus is gone");
}

static const struct bus_handler bus_handler = {bus_message, bus_closed};

static void begin(struct life *life, const struct bus_board_start *start, int *fds, unsigned n_fds)
{
    g_autoptr(GError) error = NULL;

    if (life->start) {
        fw_warning("a second board-start is ignored");
        return;
    }
    life->start = g_new(struct bus_board_start, 1);
    *life->start = *start;
    life->board.config = life->start;
    if (start->lanes == 0 || start->lanes > FABRIC_LANES_MAX || n_fds != start->n_ports) {
        fw_error("board-start: %u lanes, %u ports, %u descriptors", start->lanes, start->n_ports,
                 n_fds);
        end_with(life, 1);
        return;
    }
    fw_clock_set_model_scale(start->model_scale);
    /* Every board has a stream of its own, all from the lab's seed. */
    const uint64_t mix = UINT64_C(0x9e3779b97f4a7c15) * (start->slot + 1u);
    fw_rng_model_seed(start->seed ? start->seed ^ mix : 0);
    life->board.port_fds = g_new(int, n_fds + 1);
    for (unsigned i = 0; i < n_fds; i++) {
        life->board.port_fds[i] = fds[i];
        fds[i] = -1;
    }
    if (life->role->bus) {
        const uint16_t own = BUS_ADDRESS(start->slot, BUS_ROLE_BOARD);
        life->board.bus = bus_conn_new(BOARD_FD_BUS, own, &bus_handler, life);
        bus_conn_set_epoch(life->board.bus, start->epoch);
    }
    if ((life->role->fabric && !make_fabric(life, &error)) ||
        !life->role->start(&life->board, life->role->data, &error)) {
        fw_error("%s", error ? error->message : "the board does not start");
        end_with(life, 1);
        return;
    }
    if (life->board.fabric) {
        send_outbox(life);
    }
    if (life->board.bus && life->role->subscriptions) {
        bus_subscribe(life->board.bus, life->role->subscriptions);
    }
    next_stage(life);
}

static void attach(struct life *life, const struct bus_fabric_attach *m, int *fds, unsigned n_fds)
{
    g_autoptr(GError) error = NULL;
    bool ok;

    if (!life->board.fabric) {
        return;
    }
    if (m->transport == BUS_TRANSPORT_DATAGRAM) {
        ok = n_fds == 1 && fabric_attach_datagram(life->board.fabric, m->index, m->generation,
                                                  fds[0], m->lanes, 0, &error);
    } else {
        ok = n_fds == 1u + m->lanes &&
             fabric_attach(life->board.fabric, m->index, m->generation, fds[0], m->bytes, fds + 1,
                           m->lanes, &error);
    }
    if (ok) {
        fabric_route_via(life->board.fabric, m->index,
                         m->via_gateway ? (uint8_t)(life->start->endpoints - 1) : m->index);
        for (unsigned i = 0; i < n_fds; i++) {
            fds[i] = -1;
        }
    } else {
        fw_warning("endpoint %u not attached: %s", m->index,
                   error ? error->message : "wrong number of descriptors");
    }
}

static void supervision(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                        int *fds, unsigned n_fds, void *data)
{
    struct life *life = data;

    (void)conn;
    switch (header->type) {
    case BUS_BOARD_START:
        begin(life, msg, fds, n_fds);
        return;
    case BUS_BOARD_PING: {
        const struct bus_board_ping *ping = msg;
        struct bus_board_pong pong = {.count = ping->count};

        supervisor_send(life, BUS_BOARD_PONG, &pong);
        return;
    }
    case BUS_BOARD_END:
        end_with(life, 0);
        return;
    default:
        break;
    }
    if (!life->start) {
        fw_warning("%u before board-start is ignored", header->type);
        return;
    }
    if (life->board.fabric) {
        switch (header->type) {
        case BUS_FABRIC_ATTACH:
            attach(life, msg, fds, n_fds);
            return;
        case BUS_FABRIC_DETACH: {
            const struct bus_fabric_detach *m = msg;

            fabric_detach(life->board.fabric, m->index, m->generation);
            return;
        }
        case BUS_FABRIC_PLANES:
            fabric_planes(life->board.fabric, ((const struct bus_fabric_planes *)msg)->up);
            return;
        case BUS_BOARD_MISBEHAVE:
            fabric_corrupt(life->board.fabric);
            return;
        default:
            break;
        }
    }
    if (life->role->supervision) {
        life->role->supervision(&life->board, header, msg, fds, n_fds, life->role->data);
    }
}

static void supervisor_closed(struct bus_conn *conn, void *data)
{
    (void)conn;
    end_with(data, 0);
}

int board_main(const struct board_role *role, int argc, char **argv)
{
    static const struct bus_handler supervision_handler = {supervision, supervisor_closed};
    struct life life = {.role = role};

    (void)argc;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, role->name);
    signal(SIGPIPE, SIG_IGN);
    fw_log_init(argv[1] && *argv[1] ? argv[1] : role->name);
    the_life = &life;
    life.loop = g_main_loop_new(NULL, FALSE);
    life.stage_timer = fw_timer_new(next_stage, &life);
    life.board.supervisor = bus_conn_new(FD_SUPERVISOR, 0, &supervision_handler, &life);
    g_main_loop_run(life.loop);
    if (life.start && role->stop) {
        role->stop(&life.board, role->data); /* its lanes have ended */
        fabric_free(life.board.fabric);
    }
    bus_conn_free(life.board.bus);
    bus_conn_free(life.board.supervisor);
    fw_timer_free(life.stage_timer);
    g_free(life.board.port_fds);
    g_free(life.start);
    g_main_loop_unref(life.loop);
    return life.status;
}
