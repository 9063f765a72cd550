/*
 * A node's supervision with mock boards: boot, death, restart policy, watchdog, fabric fault,
 * requests of the RE. No process is started; the wire is the real one.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "hw/host/mock_host.h"
#include "hw/supervise/node.h"

static struct catalog_card spc = {.name = (char *)"SPC3", .kind = CATALOG_SPC,
                                  .description = (char *)"SPC3", .part_number = (char *)"1",
                                  .model_number = (char *)"m", .inventory_model = (char *)"m",
                                  .spus = 2, .threads = 28, .restart = true, .restart_limit = 2,
                                  .restart_window_s = 600, .watchdog_s = 3};
static struct catalog_card ioc = {.name = (char *)"IOC3", .kind = CATALOG_IOC,
                                  .description = (char *)"IOC3", .part_number = (char *)"2",
                                  .model_number = (char *)"m", .inventory_model = (char *)"m",
                                  .n_pics = 1,
                                  .pics = {{0, (char *)"12x 10GE SFP+", (char *)"xe", 12}},
                                  .restart = false, .watchdog_s = 3};
static struct catalog_card re = {.name = (char *)"RE3", .kind = CATALOG_RE,
                                 .description = (char *)"RE3", .part_number = (char *)"3",
                                 .model_number = (char *)"m", .inventory_model = (char *)"m",
                                 .restart = true, .restart_limit = 3, .restart_window_s = 600,
                                 .watchdog_s = 3};
static struct catalog_card cb = {.name = (char *)"SCB3", .kind = CATALOG_CB,
                                 .description = (char *)"SCB3", .part_number = (char *)"4",
                                 .model_number = (char *)"m", .inventory_model = (char *)"m",
                                 .planes = 2};
static struct catalog_chassis facts = {.name = (char *)"SRX5800", .model = (char *)"srx5800",
                                       .slots = 12, .control_boards = 2, .routing_engines = 1,
                                       .planes_max = 8};
static struct lab_file *file;
static HwMockHost *host;
static struct hw_node *node;
static GString *events;
static int port_pipe[2];

static void on_event(const char *name, JsonObject *data, void *user)
{
    if (strcmp(name, "BOARD_STAGE") != 0) {
        g_string_append_printf(events, "%s %s;", name,
                               json_object_get_string_member_with_default(data, "name", ""));
    }
    json_object_unref(data);
}

static void node_make(bool fabric)
{
    struct hw_node_config config = {.run = "/nowhere", .disk = "/nowhere", .epoch = 1,
                                    .ping_ns = FW_SEC / 50, .event = on_event};

    file = g_new0(struct lab_file, 1);
    file->n_nodes = 1;
    file->options.seed = 1;
    file->nodes[0] = (struct lab_node){.name = (char *)"left", .chassis = &facts, .n_cards = 5,
                                       .cards = {{LAB_CB, 0, &cb, 1},
                                                 {LAB_RE, 0, &re, 1},
                                                 {LAB_FPC, 0, &spc, 1},
                                                 {LAB_FPC, 1, &ioc, 1},
                                                 {LAB_FPC, 2, &spc, 1}}};
    events = g_string_new(NULL);
    host = hw_mock_host_new(fabric);
    config.file = file;
    config.lab = &file->nodes[0];
    config.host = HW_HOST(host);
    node = hw_node_new(&config);
    cr_assert_eq(pipe(port_pipe), 0);
    hw_node_port(node, "xe-1/0/3", BUS_PORT_KIND_TAP, port_pipe[0]);
    hw_node_go(node);
}

static void setup(void)
{
    node_make(false);
}

static void setup_fabric(void)
{
    node_make(true);
}

static void teardown(void)
{
    hw_node_free(node);
    g_object_unref(host);
    g_string_free(events, TRUE);
    g_free(file);
    close(port_pipe[1]);
}

static bool spin(bool (*condition)(void))
{
    int64_t deadline = fw_clock_ns() + 20 * FW_SEC;

    while (!condition() && fw_clock_ns() < deadline) {
        g_main_context_iteration(NULL, fw_clock_ns() < deadline);
    }
    return condition();
}

static HwUnit *unit_at(uint8_t slot)
{
    return hw_slot_unit(hw_chassis_slot_find(hw_node_chassis(node), slot));
}

static enum bus_fru_state state_at(uint8_t slot)
{
    return hw_unit_state(unit_at(slot));
}

static bool all_online(void)
{
    return state_at(0) == BUS_FRU_STATE_ONLINE && state_at(1) == BUS_FRU_STATE_ONLINE &&
           state_at(2) == BUS_FRU_STATE_ONLINE && state_at(0xf0) == BUS_FRU_STATE_ONLINE;
}

static bool spc_offline(void)
{
    return state_at(0) == BUS_FRU_STATE_OFFLINE;
}

static bool ioc_offline(void)
{
    return state_at(1) == BUS_FRU_STATE_OFFLINE;
}

static bool spc_again(void)
{
    return hw_unit_generation(unit_at(0)) == 2 && all_online();
}

static bool re_again(void)
{
    return hw_unit_generation(unit_at(0xf0)) == 2 && all_online();
}

static unsigned attached_count(uint8_t slot)
{
    struct hw_mock_board *board = hw_mock_host_board(host, slot);
    unsigned count = 0;

    for (unsigned n = 0; board && n < FABRIC_ENDPOINTS_MAX; n++) {
        count += board->generation[n] != 0;
    }
    return count;
}

static bool everybody_knows_everybody(void)
{
    return attached_count(0) == 3 && attached_count(1) == 3 && attached_count(2) == 3 &&
           attached_count(0xf0) == 3;
}

Test(node, boots_and_attaches_everybody_with_everybody, .init = setup, .fini = teardown)
{
    cr_assert(spin(all_online));
    cr_assert(spin(everybody_knows_everybody));
    cr_assert_eq(hw_mock_host_started(host), 4);
    cr_assert_eq(hw_mock_host_board(host, 0)->planes, 3);
    cr_assert_not_null(strstr(events->str, "BOARD_ONLINE fpc0;"));
    cr_assert_not_null(strstr(events->str, "BOARD_ONLINE re0;"));
}

Test(node, tells_a_board_what_it_is, .init = setup, .fini = teardown)
{
    cr_assert(spin(all_online));
    const struct bus_board_start *s = hw_mock_host_board(host, 1)->start;
    cr_assert_str_eq(s->card, "IOC3");
    cr_assert_str_eq(s->node, "left");
    cr_assert_eq(s->kind, BUS_BOARD_KIND_IOC);
    cr_assert_eq(s->endpoints, 14);
    cr_assert_eq(s->n_ports, 1);
    cr_assert_str_eq(s->ports[0].name, "xe-1/0/3");
    cr_assert_eq(s->ports[0].port, 3);
    cr_assert_eq(hw_mock_host_board(host, 0)->start->threads, 28);
    cr_assert_eq(hw_mock_host_board(host, 0xf0)->start->index, 12);
}

Test(node, a_dead_card_goes_offline_with_a_reason_and_returns, .init = setup, .fini = teardown)
{
    cr_assert(spin(all_online));
    hw_mock_host_die(host, hw_mock_host_board(host, 0), SIGKILL);
    cr_assert(spin(spc_offline));
    cr_assert_eq(hw_unit_reason(unit_at(0)), HW_REASON_SPU_FLOWD_DOWN);
    cr_assert_not_null(strstr(hw_unit_reason_text(unit_at(0)), "SPU flowd down"));
    cr_assert(spin(spc_again));
    cr_assert(spin(everybody_knows_everybody));
    cr_assert_gt(hw_mock_host_board(host, 1)->detaches, 0);
    cr_assert_eq(hw_unit_generation(unit_at(2)), 1);
}

Test(node, a_card_that_dies_too_often_stays_offline, .init = setup, .fini = teardown)
{
    for (unsigned n = 0; n < 3; n++) {
        cr_assert(spin(all_online));
        hw_mock_host_die(host, hw_mock_host_board(host, 0), 0x100);
        cr_assert(spin(spc_offline));
    }
    cr_assert_eq(hw_unit_reason(unit_at(0)), HW_REASON_RESET_THRESHOLD);
    cr_assert(hw_node_slot_online(node, 0, NULL));
    cr_assert(spin(all_online));
}

Test(node, a_card_without_restart_stays_offline, .init = setup, .fini = teardown)
{
    cr_assert(spin(all_online));
    hw_mock_host_die(host, hw_mock_host_board(host, 1), SIGSEGV);
    cr_assert(spin(ioc_offline));
    cr_assert_eq(hw_mock_host_started(host), 4);
    cr_assert_eq(hw_unit_reason(unit_at(1)), HW_REASON_ERROR);
}

Test(node, a_silent_card_is_unresponsive, .init = setup, .fini = teardown)
{
    cr_assert(spin(all_online));
    hw_mock_host_board(host, 1)->silent = true;
    cr_assert(spin(ioc_offline));
    cr_assert_eq(hw_unit_reason(unit_at(1)), HW_REASON_UNRESPONSIVE);
}

Test(node, a_card_that_never_starts_is_unresponsive, .init = setup, .fini = teardown)
{
    hw_mock_host_set_silent(host, true);
    cr_assert(spin(all_online)); /* the first four were started before */
    hw_mock_host_die(host, hw_mock_host_board(host, 0), 0);
    cr_assert(spin(spc_offline));
    hw_mock_host_set_silent(host, false);
    cr_assert(spin(all_online));
}

Test(node, nonsense_in_an_outbox_ends_its_board_only, .init = setup, .fini = teardown)
{
    struct bus_fabric_fault fault = {.index = 0, .reason = "ring out of bounds"};

    cr_assert(spin(all_online));
    cr_assert(spin(everybody_knows_everybody));
    bus_send(hw_mock_host_board(host, 1)->supervisor, BUS_HWD, BUS_FABRIC_FAULT, &fault);
    cr_assert(spin(spc_offline));
    cr_assert_eq(hw_unit_reason(unit_at(0)), HW_REASON_MAJOR_ERRORS);
    cr_assert_str_eq(hw_unit_reason_text(unit_at(0)), "fabric: nonsense in outbox");
    cr_assert_eq(state_at(1), BUS_FRU_STATE_ONLINE);
    cr_assert_eq(state_at(2), BUS_FRU_STATE_ONLINE);
    cr_assert_eq(hw_mock_host_started(host), 4);
    cr_assert_not_null(strstr(events->str, "FABRIC_FAULT fpc0;BOARD_OFFLINE fpc0;"));
}

static bool re_asked;
static void on_reply(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                     const GError *error, void *data)
{
    re_asked = true;
    *(bool *)data = msg != NULL && !error;
}

static bool was_asked(void)
{
    return re_asked;
}

Test(node, the_re_switches_slots, .init = setup, .fini = teardown)
{
    struct bus_hw_slot_request request = {.slot = 0, .what = 0};
    bool ok = false;

    cr_assert(spin(all_online));
    re_asked = false;
    bus_call(hw_mock_host_board(host, 0xf0)->bus, BUS_HWD, BUS_HW_SLOT_REQUEST, &request, 0,
             on_reply, &ok);
    cr_assert(spin(was_asked));
    cr_assert(ok);
    cr_assert(spin(spc_offline));
    cr_assert_eq(hw_unit_reason(unit_at(0)), HW_REASON_CLI);
    cr_assert_eq(hw_mock_host_started(host), 4);
    request.slot = 7; /* empty */
    re_asked = false;
    bus_call(hw_mock_host_board(host, 0xf0)->bus, BUS_HWD, BUS_HW_SLOT_REQUEST, &request, 0,
             on_reply, &ok);
    cr_assert(spin(was_asked));
    cr_assert_not(ok);
    request.slot = 0;
    request.what = 1;
    re_asked = false;
    bus_call(hw_mock_host_board(host, 0xf0)->bus, BUS_HWD, BUS_HW_SLOT_REQUEST, &request, 0,
             on_reply, &ok);
    cr_assert(spin(was_asked));
    cr_assert(ok);
    cr_assert(spin(spc_again));
}

Test(node, restart_is_offline_then_online, .init = setup, .fini = teardown)
{
    cr_assert(spin(all_online));
    cr_assert(hw_node_slot_restart(node, 0, HW_REASON_CLI_RESTART, NULL));
    cr_assert(spin(spc_again));
    cr_assert_eq(hw_board_failures(HW_BOARD(unit_at(0))), 0);
}

Test(node, the_re_dies_and_cards_go_on, .init = setup, .fini = teardown)
{
    cr_assert(spin(all_online));
    hw_mock_host_die(host, hw_mock_host_board(host, 0xf0), SIGKILL);
    cr_assert(spin(re_again));
    cr_assert_eq(hw_unit_generation(unit_at(0)), 1);
    cr_assert_eq(hw_unit_generation(unit_at(1)), 1);
    cr_assert(spin(everybody_knows_everybody));
}

static bool ended;
static void on_node_ended(void *user)
{
    ended = true;
}

static bool has_ended(void)
{
    return ended;
}

Test(node, power_off_ends_every_board, .init = setup, .fini = teardown)
{
    cr_assert(spin(all_online));
    hw_node_end(node, on_node_ended, NULL);
    cr_assert(spin(has_ended));
    cr_assert_null(hw_mock_host_board(host, 0));
    cr_assert_null(hw_mock_host_board(host, 0xf0));
    cr_assert_not(hw_node_slot_online(node, 0, NULL));
}

Test(node, captures_reach_the_card, .init = setup, .fini = teardown)
{
    g_autoptr(GError) error = NULL;
    uint32_t id;

    cr_assert(spin(all_online));
    cr_assert(hw_node_capture_start(node, "xe-1/0/3", port_pipe[1], &id, NULL));
    cr_assert_not(hw_node_capture_start(node, "xe-1/0/4", port_pipe[1], &id, &error));
    g_clear_error(&error);
    cr_assert_not(hw_node_capture_start(node, "xe-9/0/4", port_pipe[1], &id, &error));
    g_clear_error(&error);
    cr_assert(hw_node_capture_stop(node, id, NULL));
    cr_assert_not(hw_node_capture_stop(node, id, &error));
    cr_assert(hw_node_slot_restart(node, 2, HW_REASON_CLI_RESTART, NULL));
    while (hw_mock_host_board(host, 1)->captures[1] == 0) {
        cr_assert(g_main_context_iteration(NULL, TRUE));
    }
    cr_assert_eq(hw_mock_host_board(host, 1)->captures[0], (int)id);
    cr_assert_eq(hw_mock_host_board(host, 1)->captures[1], (int)id);
}

static bool gateway_captures(void)
{
    struct hw_mock_board *gateway = hw_mock_host_board(host, HW_SLOT_GATEWAY);

    return gateway && gateway->captures[0] != 0;
}

Test(node, a_fabric_capture_starts_the_gateway, .init = setup, .fini = teardown)
{
    uint32_t id, second;

    cr_assert(spin(all_online));
    cr_assert_null(hw_mock_host_board(host, HW_SLOT_GATEWAY));
    cr_assert(hw_node_capture_start(node, "fabric", port_pipe[1], &id, NULL));
    cr_assert(hw_node_capture_start(node, "fabric", port_pipe[1], &second, NULL));
    cr_assert(hw_node_capture_stop(node, second, NULL)); /* before the gateway is there */
    cr_assert(spin(gateway_captures));
    cr_assert_eq(hw_mock_host_board(host, HW_SLOT_GATEWAY)->captures[0], (int)id);
    cr_assert_eq(hw_mock_host_board(host, HW_SLOT_GATEWAY)->start->index, 13);
    cr_assert_eq(attached_count(HW_SLOT_GATEWAY), 4);
    cr_assert_eq(hw_mock_host_started(host), 5);
    cr_assert_eq(all_online(), true);
}

static bool gateway_rules(void)
{
    struct hw_mock_board *gateway = hw_mock_host_board(host, HW_SLOT_GATEWAY);

    return gateway && gateway->rules == 1 && gateway->start;
}

Test(node, fabric_rules_survive_the_gateway, .init = setup, .fini = teardown)
{
    struct hw_mock_board *gateway;

    cr_assert(spin(all_online));
    cr_assert_not(hw_node_fabric_impair(node, 5, 0xff, 10, 0, NULL)); /* slot 5 is empty */
    cr_assert(hw_node_fabric_impair(node, 0, 0xf0, 10, 0, NULL));
    cr_assert(hw_node_fabric_impair(node, 0, 0xf0, 20, 0, NULL)); /* the same pair */
    cr_assert(spin(gateway_rules));
    gateway = hw_mock_host_board(host, HW_SLOT_GATEWAY);
    cr_assert_eq(gateway->rule.source, 0);
    cr_assert_eq(gateway->rule.destination, 12);
    cr_assert_eq(gateway->rule.drop_permille, 20);
    gateway->rules = 0;
    hw_mock_host_die(host, gateway, SIGKILL);
    cr_assert(spin(gateway_rules));
    cr_assert_eq(hw_mock_host_started(host), 6);
}

/* ---- datagram transport: cells cross between two mock boards ---- */

static bool got_cell;
static char got[8];

static bool cell_came(void)
{
    struct fabric_packet packet;
    struct hw_mock_board *to = hw_mock_host_board(host, 2);
    struct fabric_lane *lane = fabric_lane(to->fabric, 0);

    if (!got_cell && fabric_lane_receive(lane, &packet, 1) == 1) {
        got_cell = packet.cell.length == 5 && packet.cell.source == 0;
        memcpy(got, packet.data, MIN(packet.cell.length, sizeof got - 1));
    }
    fabric_lane_release(lane);
    return got_cell;
}

Test(node, a_cell_crosses_by_datagram, .init = setup_fabric, .fini = teardown)
{
    struct fabric_packet packet;
    struct fabric_lane *lane;

    cr_assert(spin(all_online));
    cr_assert(spin(everybody_knows_everybody));
    lane = fabric_lane(hw_mock_host_board(host, 0)->fabric, 0);
    cr_assert(fabric_lane_alloc(lane, 5, &packet));
    memcpy(packet.room, "hello", 5);
    packet.cell = (struct fabric_cell){.type = FABRIC_CELL_PACKET, .destination = 2, .length = 5};
    cr_assert_eq(fabric_lane_send(lane, &packet, 1), 1);
    cr_assert(spin(cell_came));
    cr_assert_str_eq(got, "hello");
}
