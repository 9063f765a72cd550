/* The hardware model: state machine, restart policy, planes, serial numbers. */
#include <criterion/criterion.h>
#include <string.h>

#include "firmware/core/clock.h"
#include "hw/model/chassis.h"

static struct catalog_card spc = {.name = "SPC3", .kind = CATALOG_SPC, .spus = 2, .threads = 28,
                                  .temperature_c = 41, .restart = true, .restart_limit = 2,
                                  .restart_window_s = 100};
static struct catalog_card cb = {.name = "SCB3", .kind = CATALOG_CB, .planes = 2,
                                 .temperature_c = 33};
static struct catalog_card re = {.name = "RE3", .kind = CATALOG_RE};
static struct catalog_chassis facts = {.name = "SRX5800", .model = "srx5800", .slots = 12,
                                       .control_boards = 3, .routing_engines = 2,
                                       .planes_max = 8};
static struct lab_node node = {.name = (char *)"left", .chassis = &facts, .n_cards = 4,
                               .cards = {{LAB_CB, 0, &cb, 1},
                                         {LAB_CB, 1, &cb, 1},
                                         {LAB_RE, 0, &re, 1},
                                         {LAB_FPC, 3, &spc, 1}}};
static struct lab_options options = {.seed = 7};
static HwChassis *chassis;
static unsigned changes, plane_changes;

static void on_unit(HwChassis *c, HwUnit *unit, gpointer data)
{
    changes++;
}

static void on_planes(HwChassis *c, gpointer data)
{
    plane_changes++;
}

static void setup(void)
{
    chassis = hw_chassis_new(&node, &options, 4, 2);
    changes = plane_changes = 0;
    g_signal_connect(chassis, "unit-changed", G_CALLBACK(on_unit), NULL);
    g_signal_connect(chassis, "planes-changed", G_CALLBACK(on_planes), NULL);
}

static void teardown(void)
{
    g_clear_object(&chassis);
}

static HwUnit *unit_at(uint8_t slot)
{
    return hw_slot_unit(hw_chassis_slot_find(chassis, slot));
}

Test(chassis, seats_what_the_lab_says, .init = setup, .fini = teardown)
{
    cr_assert_eq(hw_chassis_n_slots(chassis), 17);
    cr_assert_null(unit_at(0));
    cr_assert_not_null(unit_at(3));
    cr_assert_null(hw_chassis_slot_find(chassis, 12));
    cr_assert_eq(hw_board_kind(HW_BOARD(unit_at(3))), BUS_BOARD_KIND_SPC);
    cr_assert_eq(hw_board_index(HW_BOARD(unit_at(HW_SLOT_RE0))), 12);
    cr_assert_eq(hw_board_lanes(HW_BOARD(unit_at(3))), 2);
    cr_assert_str_eq(hw_slot_label(hw_chassis_slot_find(chassis, HW_SLOT_CB0 + 1)), "CB 1");
    cr_assert_eq(hw_unit_state(unit_at(3)), BUS_FRU_STATE_OFFLINE);
    cr_assert_eq(hw_unit_reason(unit_at(3)), HW_REASON_NO_POWER);
}

Test(chassis, occupied_slot_takes_nothing, .init = setup, .fini = teardown)
{
    HwSlot *slot = hw_chassis_slot_find(chassis, 3);
    HwUnit *unit = hw_slot_unit(slot);

    cr_assert_not(hw_slot_insert(slot, unit));
    g_autoptr(HwUnit) taken = hw_slot_remove(slot);
    cr_assert_eq(taken, unit);
    cr_assert_null(hw_slot_unit(slot));
    cr_assert(hw_slot_insert(slot, unit));
}

Test(chassis, serials_follow_from_seed_and_place, .init = setup, .fini = teardown)
{
    g_autofree char *serial = g_strdup(hw_unit_serial(unit_at(3)));

    cr_assert_eq(strlen(serial), 8);
    cr_assert_str_neq(serial, hw_unit_serial(unit_at(HW_SLOT_RE0)));
    g_object_unref(chassis);
    chassis = hw_chassis_new(&node, &options, 4, 2);
    cr_assert_str_eq(serial, hw_unit_serial(unit_at(3)));
    options.seed = 8;
    g_object_unref(chassis);
    chassis = hw_chassis_new(&node, &options, 4, 2);
    options.seed = 7;
    cr_assert_str_neq(serial, hw_unit_serial(unit_at(3)));
}

Test(unit, walks_the_states_of_a_boot, .init = setup, .fini = teardown)
{
    HwUnit *unit = unit_at(3);
    HwBoard *board = HW_BOARD(unit);

    cr_assert_eq(hw_unit_temperature(unit), 24);
    cr_assert(hw_unit_power_on(unit));
    cr_assert_not(hw_unit_power_on(unit));
    cr_assert_eq(hw_unit_generation(unit), 1);
    cr_assert_eq(hw_unit_state(unit), BUS_FRU_STATE_PRESENT);
    cr_assert_eq(hw_unit_temperature(unit), 41);
    hw_board_set_stage(board, BUS_BOOT_STAGE_DIAGNOSTICS, "d");
    cr_assert_eq(hw_unit_state(unit), BUS_FRU_STATE_DIAGNOSTIC);
    hw_board_set_stage(board, BUS_BOOT_STAGE_BOOT, "b");
    cr_assert_eq(hw_unit_state(unit), BUS_FRU_STATE_READY);
    hw_board_set_stage(board, BUS_BOOT_STAGE_ONLINE, "o");
    cr_assert_eq(hw_unit_state(unit), BUS_FRU_STATE_ANNOUNCE_ONLINE);
    cr_assert(hw_unit_set_state(unit, BUS_FRU_STATE_ONLINE, HW_REASON_NONE, NULL));
    cr_assert_eq(changes, 5, "%u changes", changes);
    hw_unit_power_off(unit, HW_REASON_CLI, NULL);
    cr_assert_eq(hw_unit_state(unit), BUS_FRU_STATE_OFFLINE);
    cr_assert_str_eq(hw_unit_reason_text(unit), "Offlined by cli command");
    cr_assert(hw_unit_power_on(unit));
    cr_assert_eq(hw_unit_generation(unit), 2);
    cr_assert_eq(hw_unit_reason(unit), HW_REASON_NONE);
}

Test(unit, refuses_steps_not_in_the_table, .init = setup, .fini = teardown)
{
    HwUnit *unit = unit_at(3);

    cr_assert_not(hw_unit_set_state(unit, BUS_FRU_STATE_ONLINE, HW_REASON_NONE, NULL));
    cr_assert_eq(hw_unit_state(unit), BUS_FRU_STATE_OFFLINE);
    cr_assert_eq(changes, 0);
    cr_assert_not(hw_fru_step_allowed(BUS_FRU_STATE_EMPTY, BUS_FRU_STATE_ONLINE));
    cr_assert_not(hw_fru_step_allowed(BUS_FRU_STATE_ONLINE, BUS_FRU_STATE_READY));
    cr_assert_not(hw_fru_step_allowed((enum bus_fru_state)99, BUS_FRU_STATE_READY));
    /* Whatever happens, every state but empty has a way out of service. */
    for (unsigned s = 0; s < BUS_FRU_STATE_COUNT; s++) {
        cr_assert_eq(hw_fru_step_allowed((enum bus_fru_state)s, BUS_FRU_STATE_OFFLINE),
                     s != BUS_FRU_STATE_EMPTY && s != BUS_FRU_STATE_OFFLINE, "state %u", s);
    }
}

Test(board, gives_up_after_the_limit_within_the_window, .init = setup, .fini = teardown)
{
    HwBoard *board = HW_BOARD(unit_at(3));
    bool too_often;

    cr_assert(hw_board_failed(board, 1 * FW_SEC, &too_often));
    cr_assert(hw_board_failed(board, 2 * FW_SEC, &too_often));
    cr_assert_not(hw_board_failed(board, 3 * FW_SEC, &too_often));
    cr_assert(too_often);
    /* The first two are older than the window now. */
    cr_assert(hw_board_failed(board, 102 * FW_SEC + 1, &too_often));
    hw_board_forgive(board);
    cr_assert(hw_board_failed(board, 103 * FW_SEC, &too_often));
    cr_assert_eq(hw_board_failures(board), 5);
    spc.restart = false;
    cr_assert_not(hw_board_failed(board, 500 * FW_SEC, &too_often));
    cr_assert_not(too_often);
    spc.restart = true;
}

Test(planes, follow_the_control_boards, .init = setup, .fini = teardown)
{
    cr_assert_eq(hw_chassis_planes(chassis), 0);
    hw_control_board_power(HW_CONTROL_BOARD(unit_at(HW_SLOT_CB0)), true, HW_REASON_NONE);
    hw_control_board_power(HW_CONTROL_BOARD(unit_at(HW_SLOT_CB0 + 1)), true, HW_REASON_NONE);
    cr_assert_eq(hw_chassis_planes(chassis), 0xf);
    cr_assert_eq(plane_changes, 2);
    cr_assert(hw_chassis_plane_set(chassis, 1, false));
    cr_assert_eq(hw_chassis_planes(chassis), 0xd);
    cr_assert_not(hw_chassis_plane_set(chassis, 4, true));
    cr_assert_not(hw_chassis_plane_set(chassis, 200, true));
    hw_control_board_power(HW_CONTROL_BOARD(unit_at(HW_SLOT_CB0 + 1)), false, HW_REASON_CLI);
    cr_assert_eq(hw_chassis_planes(chassis), 0x1);
    cr_assert_eq(plane_changes, 4);
    cr_assert_eq(hw_unit_state(unit_at(HW_SLOT_CB0 + 1)), BUS_FRU_STATE_OFFLINE);
}
