/*
 * life - a board from power-on to its end, and what follows.
 *
 *   start -> (wire.c: stages, outbox, ready) -> online -> end or failure -> offline
 *     ^------------------- restart by the catalogue's policy ----------------|
 *
 * An end has one of three causes: it was ordered (`ending`), it failed by
 * verdict (watchdog, nonsense in the outbox: `ending` with SIGKILL), or the
 * process died by itself. The state becomes offline when the process is gone,
 * never before: what is shown as offline does nothing any more.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "hw/supervise/internal.h"

#define GRACE_NS   (2 * FW_SEC)    /* between board-end and SIGKILL */
#define RESTART_NS (2 * FW_SEC)    /* modelled: a power cycle, own choice */
#define QUEUE      4096            /* supervision frames toward a board */

static const struct hw_role roles[BUS_BOARD_KIND_COUNT] = {
    [BUS_BOARD_KIND_RE] = {"vc-re", "re", HW_REASON_ERROR, true, true, false},
    [BUS_BOARD_KIND_SPC] = {"vc-spcd", "spcd", HW_REASON_SPU_FLOWD_DOWN, true, false, true},
    [BUS_BOARD_KIND_IOC] = {"vc-iocd", "iocd", HW_REASON_ERROR, true, false, true},
    [BUS_BOARD_KIND_GATEWAY] = {"vc-gateway", "gateway", HW_REASON_ERROR, false, false, false},
    [BUS_BOARD_KIND_NONE] = {NULL, NULL, HW_REASON_ERROR, false, false, false},
};

/* As people call the place; the gateway has none. */
static const char *label_of(struct hw_supervised *s)
{
    HwSlot *slot = hw_chassis_slot_find(s->node->chassis, hw_supervised_slot(s));

    return slot ? hw_slot_label(slot) : hw_unit_name(HW_UNIT(s->board));
}

static void on_restart(void *data)
{
    hw_supervised_start(data);
}

static void on_grace(void *data)
{
    struct hw_supervised *s = data;

    if (s->guest) {
        fw_warning("%s does not end; it is killed", hw_unit_name(HW_UNIT(s->board)));
        hw_host_kill(s->node->config.host, s->guest);
    }
}

void hw_supervised_init(struct hw_supervised *s, struct hw_node *node, HwBoard *board)
{
    s->node = node;
    s->board = board;
    s->role = &roles[hw_board_kind(board)];
    s->restart = fw_timer_new(on_restart, s);
    s->grace = fw_timer_new(on_grace, s);
    s->daemons = g_array_new(FALSE, FALSE, sizeof(struct bus_daemon_state));
    s->member.outbox = -1;
}

void hw_supervised_clear(struct hw_supervised *s)
{
    if (!s->board) {
        return;
    }
    if (s->guest) {
        hw_host_forget(s->node->config.host, s->guest);
        s->guest = NULL;
    }
    g_clear_pointer(&s->conn, bus_conn_free);
    fw_timer_free(s->restart);
    fw_timer_free(s->grace);
    g_array_unref(s->daemons);
    g_free(s->end_text);
    hw_node_capture_forget(s->node, s);
    if (hw_board_kind(s->board) == BUS_BOARD_KIND_GATEWAY) {
        g_object_unref(s->board); /* no slot holds it */
    }
    s->board = NULL;
}

/* ---------------------------------------------------------------- the end */

/* Everything that stood for the process is taken away; the model still says what it said. */
static void dismantle(struct hw_supervised *s)
{
    fw_timer_cancel(s->grace);
    hw_fabric_leave(s);
    g_clear_pointer(&s->conn, bus_conn_free);
    hw_relay_remove(s->node->relay, hw_supervised_slot(s));
    hw_board_set_pid(s->board, 0);
    g_array_set_size(s->daemons, 0);
    s->guest = NULL;
    s->ready = false;
    s->cpu_percent = 0;
    s->memory_kib = 0;
    hw_node_capture_forget(s->node, s);
}

static void go_offline(struct hw_supervised *s, uint16_t reason, const char *text)
{
    HwUnit *unit = HW_UNIT(s->board);
    JsonObject *more = json_object_new();

    hw_unit_power_off(unit, reason, text);
    fw_warning("%s offline: ---%s---", label_of(s), hw_unit_reason_text(unit));
    json_object_set_int_member(more, "reason", reason);
    json_object_set_string_member(more, "reason-text", hw_unit_reason_text(unit));
    json_object_set_string_member(more, "state", "offline");
    hw_node_event(s, "BOARD_OFFLINE", more);
}

/* The other data-plane boards restart too: what the catalogue calls restart-data-plane. */
static void data_plane_restart(struct hw_supervised *failed)
{
    struct hw_node *node = failed->node;

    for (unsigned i = 0; i < FABRIC_ENDPOINTS_MAX; i++) {
        struct hw_supervised *s = &node->boards[i];

        if (s->board && s != failed && s->guest && !s->ending && s->role->data_plane) {
            hw_supervised_end(s, HW_REASON_POWER_CYCLE, true);
        }
    }
}

/* After a failure: offline, and the restart policy. */
static void failed(struct hw_supervised *s, uint16_t reason, const char *text)
{
    const struct catalog_card *card = hw_unit_card(HW_UNIT(s->board));
    bool too_often, again = hw_board_failed(s->board, fw_clock_ns(), &too_often);

    if (too_often) {
        g_autofree char *both = g_strdup_printf("%s: %s",
                                                hw_reason_text(HW_REASON_RESET_THRESHOLD), text);

        go_offline(s, HW_REASON_RESET_THRESHOLD, both);
    } else {
        go_offline(s, reason, text);
    }
    if (again) {
        fw_timer_arm(s->restart, fw_clock_modelled_ns(RESTART_NS));
    }
    if (card->failure == CATALOG_FAILURE_RESTART_DATA_PLANE) {
        data_plane_restart(s);
    }
}

static bool anybody_left(struct hw_node *node)
{
    for (unsigned i = 0; i < FABRIC_ENDPOINTS_MAX; i++) {
        if (node->boards[i].board && node->boards[i].guest) {
            return true;
        }
    }
    return false;
}

static void on_ended(int status, void *data)
{
    struct hw_supervised *s = data;
    struct hw_node *node = s->node;
    g_autofree char *how = hw_host_status_text(status);
    g_autofree char *text = g_steal_pointer(&s->end_text);
    uint16_t reason = s->end_reason;
    bool ordered = s->ending, was_ready = s->ready, again = s->again, fault = s->fault;

    s->ending = s->again = s->fault = false;
    dismantle(s);
    if (node->ending) {
        hw_unit_power_off(HW_UNIT(s->board), HW_REASON_NO_POWER, NULL);
        if (!anybody_left(node) && node->end_done) {
            fw_timer_arm(node->end_timer, 0);
        }
        return;
    }
    if (!ordered) {
        reason = was_ready ? s->role->death_reason : HW_REASON_DID_NOT_BOOT;
        g_free(text);
        text = g_strdup_printf("%s: %s %s", hw_reason_text(reason), s->role->program, how);
        fault = true;
    }
    if (fault) {
        failed(s, reason, text ? text : hw_reason_text(reason));
        return;
    }
    go_offline(s, reason, text);
    if (again) {
        fw_timer_arm(s->restart, fw_clock_modelled_ns(RESTART_NS));
    }
}

void hw_supervised_end(struct hw_supervised *s, uint16_t reason, bool again)
{
    struct bus_board_end end = {.reason = reason};

    fw_timer_cancel(s->restart);
    if (!s->guest) {
        return;
    }
    s->ending = true;
    s->again = again;
    s->fault = false;
    s->end_reason = reason;
    g_clear_pointer(&s->end_text, g_free);
    hw_unit_set_state(HW_UNIT(s->board), BUS_FRU_STATE_ANNOUNCE_OFFLINE, reason, NULL);
    hw_supervised_send(s, BUS_BOARD_END, &end, NULL, 0);
    fw_timer_arm(s->grace, GRACE_NS);
}

void hw_supervised_fail(struct hw_supervised *s, uint16_t reason, const char *text, bool policy)
{
    if (!s->guest || s->fault || (s->ending && !s->again)) {
        return;
    }
    s->ending = true;
    s->again = false;
    s->fault = policy;
    s->end_reason = reason;
    g_free(s->end_text);
    s->end_text = g_strdup(text ? text : hw_reason_text(reason));
    hw_unit_set_state(HW_UNIT(s->board), BUS_FRU_STATE_ANNOUNCE_OFFLINE, reason, text);
    hw_fabric_leave(s);
    hw_host_kill(s->node->config.host, s->guest);
}

/* ---------------------------------------------------------------- the beginning */

static bool sockets_make(int pair[2], GError **error)
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return fw_fail_errno(error, "no socket pair");
    }
    return true;
}

static bool process_start(struct hw_supervised *s, GError **error)
{
    struct hw_node *node = s->node;
    g_autofree char *label = g_strdup_printf("%s %s %s", node->config.lab->name,
                                             hw_unit_name(HW_UNIT(s->board)), s->role->word);
    struct hw_host_board board = {.program = s->role->program, .label = label, .bus = -1};
    int supervision[2], bus[2] = {-1, -1};

    if (!sockets_make(supervision, error)) {
        return false;
    }
    if (s->role->bus && !sockets_make(bus, error)) {
        close(supervision[0]);
        close(supervision[1]);
        return false;
    }
    board.supervision = supervision[1];
    board.bus = bus[1];
    s->guest = hw_host_start(node->config.host, &board, on_ended, s, error);
    if (!s->guest) {
        for (unsigned n = 0; n < 2; n++) {
            close(supervision[n]);
            if (bus[n] >= 0) {
                close(bus[n]);
            }
        }
        return false;
    }
    hw_supervised_connect(s, supervision[0]);
    bus_conn_set_bound(s->conn, QUEUE);
    if (bus[0] >= 0) {
        hw_relay_add(node->relay, hw_supervised_slot(s), bus[0]);
    }
    return true;
}

void hw_supervised_start(struct hw_supervised *s)
{
    g_autoptr(GError) error = NULL;

    if (s->guest || s->node->ending) {
        return;
    }
    fw_timer_cancel(s->restart);
    if (!hw_unit_power_on(HW_UNIT(s->board))) {
        return;
    }
    s->ready = s->ending = s->again = s->fault = false;
    s->unanswered = 0;
    s->started_ns = fw_clock_ns();
    if (!process_start(s, &error)) {
        fw_error("%s does not start: %s", hw_unit_name(HW_UNIT(s->board)), error->message);
        failed(s, HW_REASON_DID_NOT_BOOT, error->message);
        return;
    }
    hw_board_set_pid(s->board, hw_host_pid(s->node->config.host, s->guest));
    hw_supervised_tell_start(s);
    if (hw_supervised_slot(s) == BUS_SLOT_RE0) {
        hw_node_publish_all(s->node); /* a new router knows nothing of the hardware */
    }
    hw_unit_changed(HW_UNIT(s->board));
}

void hw_supervised_check(struct hw_supervised *s)
{
    HwUnit *unit = HW_UNIT(s->board);
    JsonObject *more;

    if (!s->ready || s->ending || hw_unit_state(unit) == BUS_FRU_STATE_ONLINE ||
        !hw_fabric_settled(s)) {
        return;
    }
    hw_board_set_stage(s->board, BUS_BOOT_STAGE_ONLINE, "in service");
    if (!hw_unit_set_state(unit, BUS_FRU_STATE_ONLINE, HW_REASON_NONE, NULL)) {
        return;
    }
    fw_info("%s online", label_of(s));
    more = json_object_new();
    json_object_set_string_member(more, "state", "online");
    json_object_set_int_member(more, "boot-ms", (fw_clock_ns() - s->started_ns) / FW_MS);
    hw_node_event(s, "BOARD_ONLINE", more);
    hw_detour_online(s);
}

void hw_supervised_ping(struct hw_supervised *s)
{
    unsigned patience = hw_unit_card(HW_UNIT(s->board))->watchdog_s;
    struct bus_board_ping ping;

    if (!s->guest || !s->conn || (s->ending && !s->again)) {
        return;
    }
    /* Counted in rounds, not time: when this process was stopped, nobody else is to blame. */
    if (s->unanswered >= (patience ? patience : 5)) {
        hw_supervised_fail(s, HW_REASON_UNRESPONSIVE, NULL, true);
        return;
    }
    ping.count = ++s->ping;
    s->unanswered++;
    hw_supervised_send(s, BUS_BOARD_PING, &ping, NULL, 0);
}

bool hw_supervised_send(struct hw_supervised *s, uint16_t type, const void *msg, const int *fds,
                        unsigned n_fds)
{
    return s->conn && bus_send_fds(s->conn, BUS_ADDRESS(hw_supervised_slot(s), BUS_ROLE_BOARD),
                                   type, msg, fds, n_fds);
}
