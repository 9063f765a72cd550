/*
 * node - see node.h: the node as a whole, its ports, and the requests on it.
 */
#include "hw/supervise/node.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "firmware/core/rng.h"
#include "hw/supervise/internal.h"

#define PING_NS        FW_SEC
#define MEASURE_ROUNDS 5          /* ping rounds between two measurements */
#define END_NS         (3 * FW_SEC) /* patience at power-off, more than a board's grace */

/* ---------------------------------------------------------------- the model's signals */

static void on_unit_changed(HwChassis *chassis, HwUnit *unit, gpointer data)
{
    (void)chassis;
    hw_node_publish(data, unit);
}

static void on_planes_changed(HwChassis *chassis, gpointer data)
{
    struct hw_node *node = data;
    JsonObject *more;

    (void)chassis;
    hw_fabric_planes_tell(node, NULL);
    if (node->config.event) {
        more = json_object_new();
        json_object_set_int_member(more, "up", hw_chassis_planes(node->chassis));
        node->config.event("PLANES_CHANGED", more, node->config.user);
    }
}

/* ---------------------------------------------------------------- requests of the RE */

static void on_bus(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                   int *fds, unsigned n_fds, void *data)
{
    struct hw_node *node = data;
    g_autoptr(GError) error = NULL;
    bool ok = false;

    (void)fds;
    (void)n_fds;
    if (header->type == BUS_HW_SLOT_REQUEST) {
        const struct bus_hw_slot_request *r = msg;

        switch (r->what) {
        case 0:
            ok = hw_node_slot_offline(node, r->slot, r->reason ? r->reason : HW_REASON_CLI,
                                      &error);
            break;
        case 1:
            ok = hw_node_slot_online(node, r->slot, &error);
            break;
        case 2:
            ok = hw_node_slot_restart(node, r->slot,
                                      r->reason ? r->reason : HW_REASON_CLI_RESTART, &error);
            break;
        default:
            fw_fail(&error, FW_ERROR_INVALID, "slot request %u is unknown", r->what);
            break;
        }
    } else if (header->kind == BUS_CALL) {
        fw_fail(&error, FW_ERROR_INVALID, "the chassis does not know this call");
    }
    if (header->kind == BUS_CALL && ok) {
        bus_reply_ok(conn, header);
    } else if (header->kind == BUS_CALL) {
        bus_reply_error(conn, header, 2, "%s", error->message);
    }
}

static void on_bus_closed(struct bus_conn *conn, void *data)
{
    (void)conn;
    (void)data;
}

/* ---------------------------------------------------------------- rounds */

static void on_ping(void *data)
{
    struct hw_node *node = data;

    node->tick++;
    for (unsigned n = 0; n < FABRIC_ENDPOINTS_MAX; n++) {
        struct hw_supervised *s = &node->boards[n];

        if (s->board) {
            hw_supervised_ping(s);
            if (node->tick % MEASURE_ROUNDS == 0) {
                hw_supervised_measure(s);
            }
        }
    }
    hw_fabric_watch(node);
    fw_timer_arm(node->pinger, node->config.ping_ns ? node->config.ping_ns : PING_NS);
}

static void on_end_timer(void *data)
{
    struct hw_node *node = data;
    void (*done)(void *user) = node->end_done;

    node->end_done = NULL;
    if (done) {
        done(node->end_user);
    }
}

/* ---------------------------------------------------------------- life of the node */

static void port_free(void *pointer)
{
    struct hw_node_port *port = pointer;

    if (port->fd >= 0) {
        close(port->fd);
    }
    g_free(port);
}

/* All data boards of the lab share this machine. */
static unsigned boards_of_lab(const struct lab_file *file)
{
    unsigned count = 0;

    for (unsigned n = 0; n < file->n_nodes; n++) {
        for (unsigned c = 0; c < file->nodes[n].n_cards; c++) {
            count += file->nodes[n].cards[c].position == LAB_FPC;
        }
    }
    return count;
}

static void ports_make(struct hw_node *node, struct hw_supervised *s)
{
    const struct catalog_card *card = hw_unit_card(HW_UNIT(s->board));

    for (unsigned n = 0; n < card->n_pics; n++) {
        const struct catalog_pic *pic = &card->pics[n];

        for (unsigned p = 0; p < pic->ports; p++) {
            struct hw_node_port *port = g_new0(struct hw_node_port, 1);

            g_snprintf(port->name, sizeof port->name, "%s-%u/%u/%u", pic->media,
                       hw_supervised_slot(s), pic->number, p);
            port->kind = BUS_PORT_KIND_NONE;
            port->fd = -1;
            port->card = s;
            port->pic = (uint8_t)pic->number;
            port->port = (uint8_t)p;
            g_ptr_array_add(node->ports, port);
        }
    }
}

static void bus_make(struct hw_node *node)
{
    static const struct bus_handler handler = {on_bus, on_bus_closed};
    int pair[2];

    node->relay = hw_relay_new();
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        g_error("no socket pair for the midplane");
    }
    hw_relay_add(node->relay, BUS_SLOT_HWD, pair[0]);
    node->bus = bus_conn_new(pair[1], BUS_HWD, &handler, node);
    bus_conn_set_epoch(node->bus, node->config.epoch);
}

struct hw_node *hw_node_new(const struct hw_node_config *config)
{
    struct hw_node *node = g_new0(struct hw_node, 1);

    node->config = *config;
    node->run = g_strdup(config->run);
    node->disk = g_strdup(config->disk);
    node->seed = config->file->options.seed;
    if (!node->seed) {
        fw_rng_secure(&node->seed, sizeof node->seed);
    }
    g_object_ref(config->host);
    fw_clock_set_model_scale(config->file->options.model_scale);
    hw_fabric_init(node);
    node->ports = g_ptr_array_new_with_free_func(port_free);
    node->rules = g_array_new(FALSE, FALSE, sizeof(struct bus_fabric_impair));
    node->chassis = hw_chassis_new(config->lab, &config->file->options, g_get_num_processors(),
                                   boards_of_lab(config->file));
    bus_make(node);
    for (unsigned n = 0; n < hw_chassis_n_slots(node->chassis); n++) {
        HwUnit *unit = hw_slot_unit(hw_chassis_slot(node->chassis, n));

        if (unit && HW_IS_BOARD(unit)) {
            struct hw_supervised *s = &node->boards[hw_board_index(HW_BOARD(unit))];

            if (s->board) {
                continue; /* a second Routing Engine does not route: it stays without power */
            }
            hw_supervised_init(s, node, HW_BOARD(unit));
            ports_make(node, s);
        }
    }
    g_signal_connect(node->chassis, "unit-changed", G_CALLBACK(on_unit_changed), node);
    g_signal_connect(node->chassis, "planes-changed", G_CALLBACK(on_planes_changed), node);
    node->pinger = fw_timer_new(on_ping, node);
    node->end_timer = fw_timer_new(on_end_timer, node);
    return node;
}

void hw_node_free(struct hw_node *node)
{
    if (!node) {
        return;
    }
    node->ending = true;
    g_signal_handlers_disconnect_by_data(node->chassis, node);
    hw_fabric_clear(node);
    for (unsigned n = 0; n < FABRIC_ENDPOINTS_MAX; n++) {
        hw_supervised_clear(&node->boards[n]);
    }
    fw_timer_free(node->pinger);
    fw_timer_free(node->end_timer);
    bus_conn_free(node->bus);
    hw_relay_free(node->relay);
    g_ptr_array_unref(node->ports);
    g_array_unref(node->rules);
    g_object_unref(node->chassis);
    g_object_unref(node->config.host);
    g_free(node->run);
    g_free(node->disk);
    g_free(node);
}

HwChassis *hw_node_chassis(struct hw_node *node)
{
    return node->chassis;
}

const struct hw_node_config *hw_node_config(struct hw_node *node)
{
    return &node->config;
}

void hw_node_go(struct hw_node *node)
{
    for (unsigned n = 0; n < hw_chassis_n_slots(node->chassis); n++) {
        HwUnit *unit = hw_slot_unit(hw_chassis_slot(node->chassis, n));

        if (unit && HW_IS_CONTROL_BOARD(unit)) {
            hw_control_board_power(HW_CONTROL_BOARD(unit), true, HW_REASON_NONE);
        }
    }
    for (unsigned n = 0; n < FABRIC_ENDPOINTS_MAX; n++) {
        if (node->boards[n].board) {
            hw_supervised_start(&node->boards[n]);
        }
    }
    fw_timer_arm(node->pinger, node->config.ping_ns ? node->config.ping_ns : PING_NS);
}

void hw_node_end(struct hw_node *node, void (*done)(void *user), void *user)
{
    bool any = false;

    if (node->ending) {
        return;
    }
    node->ending = true;
    node->end_done = done;
    node->end_user = user;
    fw_timer_cancel(node->pinger);
    for (unsigned n = 0; n < FABRIC_ENDPOINTS_MAX; n++) {
        struct hw_supervised *s = &node->boards[n];

        if (s->board && s->guest) {
            hw_supervised_end(s, HW_REASON_NO_POWER, false);
            any = true;
        } else if (s->board) {
            fw_timer_cancel(s->restart);
        }
    }
    fw_timer_arm(node->end_timer, any ? END_NS : 0);
}

/* ---------------------------------------------------------------- ports */

static struct hw_node_port *port_find(struct hw_node *node, const char *name)
{
    for (guint n = 0; n < node->ports->len; n++) {
        struct hw_node_port *port = node->ports->pdata[n];

        if (strcmp(port->name, name) == 0) {
            return port;
        }
    }
    return NULL;
}

void hw_node_port(struct hw_node *node, const char *name, enum bus_port_kind kind, int fd)
{
    struct hw_node_port *port = port_find(node, name);

    if (!port) {
        fw_error("port %s is not on any card of this node", name);
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    if (port->fd >= 0) {
        close(port->fd);
    }
    port->kind = kind;
    port->fd = fd;
}

void hw_node_link(struct hw_node *node, const char *name, bool up)
{
    struct hw_node_port *port = port_find(node, name);
    struct bus_port_link link;

    if (!port) {
        return;
    }
    port->up = up;
    port->up_known = true;
    link = (struct bus_port_link){.pic = port->pic, .port = port->port, .up = up};
    if (port->card->guest && port->fd >= 0) {
        hw_supervised_send(port->card, BUS_PORT_LINK, &link, NULL, 0);
    }
}

static struct hw_supervised *slot_board(struct hw_node *node, uint8_t slot, GError **error)
{
    struct hw_supervised *s = hw_node_board(node, slot);
    HwSlot *place = hw_chassis_slot_find(node->chassis, slot);

    if (node->ending) {
        fw_fail(error, FW_ERROR_UNAVAILABLE, "the chassis is powering off");
        return NULL;
    }
    if (!s) {
        fw_fail(error, FW_ERROR_NOT_FOUND,
                place && !hw_slot_unit(place) ? "slot %u is empty"
                : place                       ? "slot %u holds nothing that can do this"
                                              : "the chassis has no slot %u",
                slot);
    }
    return s;
}

bool hw_node_capture_start(struct hw_node *node, const char *name, int fd, uint32_t *ret_id,
                           GError **error)
{
    struct hw_node_port *port = port_find(node, name);
    struct hw_node_capture *capture;
    struct bus_capture_start start = {0};

    if (strcmp(name, "fabric") == 0) {
        return hw_detour_capture_start(node, fd, ret_id, error);
    }
    if (!port || port->fd < 0) {
        return fw_fail(error, FW_ERROR_NOT_FOUND,
                       port ? "port %s has no link in this lab" : "no card has a port %s", name);
    }
    if (!port->card->guest || !port->card->ready) {
        return fw_fail(error, FW_ERROR_UNAVAILABLE, "the card of port %s is not in service", name);
    }
    capture = hw_node_capture_new(node, port->card, error);
    if (!capture) {
        return false;
    }
    start.id = capture->id;
    start.pic = port->pic;
    start.port = port->port;
    g_strlcpy(start.name, port->name, sizeof start.name);
    if (!hw_supervised_send(port->card, BUS_CAPTURE_START, &start, &fd, 1)) {
        capture->id = 0;
        return fw_fail(error, FW_ERROR_BUSY, "the card of port %s does not keep up; try again",
                       name);
    }
    *ret_id = start.id;
    return true;
}

struct hw_node_capture *hw_node_capture_new(struct hw_node *node, struct hw_supervised *board,
                                            GError **error)
{
    for (unsigned n = 0; n < NODE_CAPTURES_MAX; n++) {
        struct hw_node_capture *capture = &node->captures[n];

        if (!capture->id) {
            capture->id = ++node->capture_ids;
            capture->board = board;
            capture->waiting = -1;
            return capture;
        }
    }
    fw_fail(error, FW_ERROR_BUSY, "%u captures run already; stop one", NODE_CAPTURES_MAX);
    return NULL;
}

void hw_node_capture_forget(struct hw_node *node, struct hw_supervised *board)
{
    for (unsigned n = 0; n < NODE_CAPTURES_MAX; n++) {
        struct hw_node_capture *capture = &node->captures[n];

        if (capture->id && capture->board == board) {
            if (capture->waiting >= 0) {
                close(capture->waiting);
            }
            capture->id = 0;
        }
    }
}

bool hw_node_capture_stop(struct hw_node *node, uint32_t id, GError **error)
{
    struct bus_capture_stop stop = {.id = id};

    for (unsigned n = 0; id && n < NODE_CAPTURES_MAX; n++) {
        struct hw_node_capture *capture = &node->captures[n];

        if (capture->id == id) {
            if (capture->waiting >= 0) {
                close(capture->waiting);
            } else {
                hw_supervised_send(capture->board, BUS_CAPTURE_STOP, &stop, NULL, 0);
            }
            capture->id = 0;
            return true;
        }
    }
    return fw_fail(error, FW_ERROR_NOT_FOUND, "no capture has the id %u", id);
}

bool hw_node_fabric_impair(struct hw_node *node, uint8_t source, uint8_t destination,
                           unsigned drop_permille, uint32_t delay_us, GError **error)
{
    struct bus_fabric_impair rule = {.source = 0xff, .destination = 0xff,
                                     .drop_permille = (uint16_t)drop_permille,
                                     .delay_us = delay_us};
    struct hw_supervised *s;

    if (source != 0xff) {
        s = slot_board(node, source, error);
        if (!s) {
            return false;
        }
        rule.source = hw_supervised_index(s);
    }
    if (destination != 0xff) {
        s = slot_board(node, destination, error);
        if (!s) {
            return false;
        }
        rule.destination = hw_supervised_index(s);
    }
    return hw_detour_impair(node, &rule, error);
}

/* ---------------------------------------------------------------- slots */

/* A control board: its planes go and come with it. */
static HwControlBoard *slot_passive(struct hw_node *node, uint8_t slot)
{
    HwSlot *place = hw_chassis_slot_find(node->chassis, slot);
    HwUnit *unit = place ? hw_slot_unit(place) : NULL;

    return unit && HW_IS_CONTROL_BOARD(unit) ? HW_CONTROL_BOARD(unit) : NULL;
}

bool hw_node_slot_offline(struct hw_node *node, uint8_t slot, uint16_t reason, GError **error)
{
    HwControlBoard *passive = slot_passive(node, slot);
    struct hw_supervised *s;

    if (passive) {
        hw_control_board_power(passive, false, reason);
        return true;
    }
    s = slot_board(node, slot, error);
    if (!s) {
        return false;
    }
    if (s->guest) {
        hw_supervised_end(s, reason, false);
    } else {
        fw_timer_cancel(s->restart); /* it waited for its restart */
    }
    return true;
}

bool hw_node_slot_online(struct hw_node *node, uint8_t slot, GError **error)
{
    HwControlBoard *passive = slot_passive(node, slot);
    struct hw_supervised *s;

    if (passive) {
        hw_control_board_power(passive, true, HW_REASON_NONE);
        return true;
    }
    s = slot_board(node, slot, error);
    if (!s) {
        return false;
    }
    hw_board_forgive(s->board);
    if (!s->guest) {
        hw_supervised_start(s);
    } else if (s->ending) {
        s->again = true;
        s->fault = false;
    }
    return true;
}

bool hw_node_slot_restart(struct hw_node *node, uint8_t slot, uint16_t reason, GError **error)
{
    struct hw_supervised *s = slot_board(node, slot, error);

    if (!s) {
        return false;
    }
    hw_board_forgive(s->board);
    if (s->guest) {
        hw_supervised_end(s, reason, true);
    } else {
        hw_supervised_start(s);
    }
    return true;
}

bool hw_node_board_kill(struct hw_node *node, uint8_t slot, GError **error)
{
    struct hw_supervised *s = slot_board(node, slot, error);

    if (!s) {
        return false;
    }
    if (!s->guest) {
        return fw_fail(error, FW_ERROR_UNAVAILABLE, "slot %u runs no process", slot);
    }
    hw_host_kill(node->config.host, s->guest);
    return true;
}

bool hw_node_board_misbehave(struct hw_node *node, uint8_t slot, GError **error)
{
    struct hw_supervised *s = slot_board(node, slot, error);
    struct bus_board_misbehave misbehave = {0};

    if (!s) {
        return false;
    }
    if (!s->guest || !hw_supervised_send(s, BUS_BOARD_MISBEHAVE, &misbehave, NULL, 0)) {
        return fw_fail(error, FW_ERROR_UNAVAILABLE, "slot %u runs no process", slot);
    }
    return true;
}
