/*
 * wire - what boards tell their supervisor.
 *
 * A board is emulated hardware with a program that may have gone mad: every
 * message is checked against what hwd itself knows, and concerns nobody but the
 * board that sent it, except a fabric-fault, which counts only when its sender
 * is attached to the one it accuses.
 */
#include <string.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "firmware/fabric/state.h"
#include "hw/supervise/internal.h"

static void on_stage(struct hw_supervised *s, const struct bus_board_stage *stage)
{
    JsonObject *more;

    if (s->ending || s->ready) {
        return;
    }
    hw_board_set_stage(s->board, (enum bus_boot_stage)stage->stage, stage->detail);
    more = json_object_new();
    json_object_set_string_member(more, "stage", bus_boot_stage_names[stage->stage]);
    json_object_set_string_member(more, "detail", stage->detail);
    json_object_set_int_member(more, "elapsed-ms", (fw_clock_ns() - s->started_ns) / FW_MS);
    hw_node_event(s, "BOARD_STAGE", more);
}

/* The outbox says itself whose it is; that must be the sender's place. */
static bool outbox_fits(struct hw_supervised *s, const struct bus_board_outbox *outbox, int fd,
                        GError **error)
{
    struct fabric_geometry geometry;

    if (!fabric_outbox_read(fd, outbox->bytes, &geometry, error)) {
        return false;
    }
    if (geometry.index != hw_supervised_index(s) || geometry.lanes != outbox->lanes ||
        geometry.endpoints != hw_chassis_endpoints(s->node->chassis)) {
        return fw_fail(error, FW_ERROR_INVALID, "the outbox is another endpoint's");
    }
    return true;
}

static void on_outbox(struct hw_supervised *s, const struct bus_board_outbox *outbox, int *fds,
                      unsigned n_fds)
{
    g_autoptr(GError) error = NULL;
    bool datagram = outbox->bytes == 0 && n_fds == 0;

    if (s->ending) {
        return;
    }
    if (outbox->lanes < 1 || outbox->lanes > FABRIC_LANES_MAX ||
        (!datagram && n_fds != 1u + outbox->lanes)) {
        hw_supervised_fail(s, HW_REASON_MAJOR_ERRORS, "fabric: outbox without its descriptors",
                           false);
        return;
    }
    if (!datagram && !outbox_fits(s, outbox, fds[0], &error)) {
        g_autofree char *text = g_strdup_printf("fabric: %s", error->message);

        hw_supervised_fail(s, HW_REASON_MAJOR_ERRORS, text, false);
        return;
    }
    hw_fabric_leave(s); /* ifd may have restarted */
    hw_fabric_join(s, outbox->bytes, outbox->lanes, fds, n_fds);
    hw_fabric_planes_tell(s->node, s);
}

static void on_fault(struct hw_supervised *reporter, const struct bus_fabric_fault *fault)
{
    struct hw_node *node = reporter->node;
    struct hw_supervised *s = fault->index < FABRIC_ENDPOINTS_MAX ? &node->boards[fault->index]
                                                                  : NULL;
    JsonObject *more;

    if (!s || !s->board || s == reporter || s->ending || !s->member.incarnation ||
        !hw_fabric_attached(reporter, fault->index)) {
        return;
    }
    fw_error("%s: nonsense in its fabric outbox, found by %s: %s", hw_unit_name(HW_UNIT(s->board)),
             hw_unit_name(HW_UNIT(reporter->board)), fault->reason);
    more = json_object_new();
    json_object_set_string_member(more, "reporter", hw_unit_name(HW_UNIT(reporter->board)));
    json_object_set_string_member(more, "reason-text", fault->reason);
    hw_node_event(s, "FABRIC_FAULT", more);
    if (s->role->fabric_elsewhere) {
        hw_fabric_leave(s); /* the daemon that owns the outbox is its supervisor's matter */
        hw_supervised_send(s, BUS_FABRIC_FAULT, fault, NULL, 0);
    } else {
        hw_supervised_fail(s, HW_REASON_MAJOR_ERRORS, "fabric: nonsense in outbox", false);
    }
}

static void on_daemon(struct hw_supervised *s, const struct bus_daemon_state *state)
{
    JsonObject *more = json_object_new();
    unsigned n;

    for (n = 0; n < s->daemons->len; n++) {
        struct bus_daemon_state *known = &g_array_index(s->daemons, struct bus_daemon_state, n);

        if (strcmp(known->name, state->name) == 0) {
            *known = *state;
            break;
        }
    }
    if (n == s->daemons->len && n < 64) {
        g_array_append_vals(s->daemons, state, 1);
    }
    json_object_set_string_member(more, "daemon", state->name);
    json_object_set_string_member(more, "state", state->state);
    json_object_set_int_member(more, "pid", state->pid);
    json_object_set_int_member(more, "restarts", state->restarts);
    hw_node_event(s, "DAEMON_STATE", more);
}

static void on_message(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                       int *fds, unsigned n_fds, void *data)
{
    struct hw_supervised *s = data;

    if (s->conn != conn) {
        return;
    }
    switch (header->type) {
    case BUS_BOARD_STAGE:
        on_stage(s, msg);
        break;
    case BUS_BOARD_OUTBOX:
        on_outbox(s, msg, fds, n_fds);
        break;
    case BUS_BOARD_READY:
        s->ready = true;
        hw_supervised_check(s);
        break;
    case BUS_BOARD_PONG:
        if (((const struct bus_board_pong *)msg)->count == s->ping) {
            s->unanswered = 0;
        }
        break;
    case BUS_FABRIC_ACK:
        hw_fabric_acknowledged(s, msg);
        break;
    case BUS_FABRIC_FAULT:
        on_fault(s, msg);
        break;
    case BUS_DAEMON_STATE:
        on_daemon(s, msg);
        break;
    case BUS_GATEWAY_REPORT:
        if (hw_board_kind(s->board) == BUS_BOARD_KIND_GATEWAY) {
            s->node->gateway_report = *(const struct bus_gateway_report *)msg;
        }
        break;
    default:
        break; /* not for us from a board */
    }
}

/* A board that lets go of its supervisor is at its end; a process that hangs there is helped. */
static void on_closed(struct bus_conn *conn, void *data)
{
    struct hw_supervised *s = data;

    if (s->conn == conn) {
        hw_fabric_leave(s);
        s->conn = NULL;
        bus_conn_free(conn);
        if (s->guest && !fw_timer_armed(s->grace)) {
            fw_timer_arm(s->grace, FW_SEC);
        }
    }
}

void hw_supervised_connect(struct hw_supervised *s, int fd)
{
    static const struct bus_handler handler = {on_message, on_closed};

    s->conn = bus_conn_new(fd, BUS_HWD, &handler, s);
    bus_conn_set_epoch(s->conn, s->node->config.epoch);
}
