/*
 * chassis_test - fpc-state made from hw-slot-state, and where the central point goes.
 */
#include <criterion/criterion.h>

#include "re/chassisd/chassis.h"

#include <string.h>

static struct chassis chassis;
static struct bus_fpc_state last[CHASSIS_FPCS];
static unsigned published;
static int64_t clock_ns;

static void publish(const struct bus_fpc_state *state, void *data)
{
    (void)data;
    last[state->slot] = *state;
    published++;
}

static void begin(void)
{
    published = 0;
    memset(last, 0, sizeof last);
    chassis_init(&chassis, publish, NULL);
}

static void end(void)
{
    chassis_clear(&chassis);
}

static void card(uint8_t slot, enum bus_board_kind kind, enum bus_fru_state state,
                 uint32_t generation)
{
    struct bus_hw_slot_state hw = {.slot = slot,
                                   .kind = kind,
                                   .state = state,
                                   .generation = generation,
                                   .spus = kind == BUS_BOARD_KIND_SPC ? 2 : 0,
                                   .threads = 28,
                                   .index = slot,
                                   .since_ns = ++clock_ns};

    if (kind != BUS_BOARD_KIND_NONE) {
        g_strlcpy(hw.card, "card", sizeof hw.card);
    }
    chassis_slot(&chassis, &hw, clock_ns);
    chassis_update(&chassis);
}

Test(chassis, card_in_service_is_published, .init = begin, .fini = end)
{
    card(3, BUS_BOARD_KIND_SPC, BUS_FRU_STATE_READY, 1);
    cr_assert_eq(published, 1);
    cr_assert_not(last[3].online);
    cr_assert_not(last[3].central_point);
    card(3, BUS_BOARD_KIND_SPC, BUS_FRU_STATE_ONLINE, 1);
    cr_assert(last[3].online);
    cr_assert(last[3].central_point);
    cr_assert_eq(last[3].spus, 2);
    cr_assert_eq(last[3].threads, 28);
    card(3, BUS_BOARD_KIND_SPC, BUS_FRU_STATE_ONLINE, 1);
    cr_assert_eq(published, 2, "an event that changes nothing was told");
}

Test(chassis, central_point_stays_until_its_card_leaves, .init = begin, .fini = end)
{
    card(5, BUS_BOARD_KIND_SPC, BUS_FRU_STATE_ONLINE, 1);
    card(2, BUS_BOARD_KIND_SPC, BUS_FRU_STATE_ONLINE, 1);
    card(1, BUS_BOARD_KIND_IOC, BUS_FRU_STATE_ONLINE, 1);
    cr_assert(last[5].central_point);
    cr_assert_not(last[2].central_point);
    card(5, BUS_BOARD_KIND_SPC, BUS_FRU_STATE_OFFLINE, 1);
    cr_assert(last[2].central_point);
    cr_assert_not(last[5].central_point);
    cr_assert_not(last[1].central_point);
}

Test(chassis, pic_texts, .init = begin, .fini = end)
{
    card(0, BUS_BOARD_KIND_SPC, BUS_FRU_STATE_ONLINE, 1);
    card(4, BUS_BOARD_KIND_SPC, BUS_FRU_STATE_ONLINE, 1);
    cr_assert_str_eq(chassis_pic_text(&chassis, chassis.slots[0], 0), "SPU Cp-Flow");
    cr_assert_str_eq(chassis_pic_text(&chassis, chassis.slots[0], 1), "SPU Flow");
    cr_assert_str_eq(chassis_pic_text(&chassis, chassis.slots[4], 0), "SPU Flow");
}

Test(chassis, removed_card_is_gone, .init = begin, .fini = end)
{
    card(1, BUS_BOARD_KIND_IOC, BUS_FRU_STATE_ONLINE, 1);
    card(1, BUS_BOARD_KIND_NONE, BUS_FRU_STATE_EMPTY, 1);
    cr_assert(last[1].gone);
    card(1, BUS_BOARD_KIND_NONE, BUS_FRU_STATE_EMPTY, 1);
    cr_assert_eq(published, 2);
}

Test(chassis, older_event_is_ignored, .init = begin, .fini = end)
{
    struct bus_hw_slot_state old = {.slot = 1, .kind = BUS_BOARD_KIND_SPC, .since_ns = 0};

    card(1, BUS_BOARD_KIND_NONE, BUS_FRU_STATE_EMPTY, 1);
    cr_assert_not(chassis_slot(&chassis, &old, clock_ns));
}

Test(chassis, restart_keeps_the_central_point, .init = begin, .fini = end)
{
    struct bus_fpc_state before = {
        .slot = 5, .kind = BUS_BOARD_KIND_SPC, .online = true, .central_point = true};

    chassis_restore(&chassis, &before);
    struct bus_hw_slot_state low = {.slot = 2,
                                    .kind = BUS_BOARD_KIND_SPC,
                                    .state = BUS_FRU_STATE_ONLINE,
                                    .since_ns = ++clock_ns};
    struct bus_hw_slot_state high = low;

    high.slot = 5;
    chassis_slot(&chassis, &low, clock_ns);
    chassis_slot(&chassis, &high, clock_ns);
    chassis_update(&chassis);
    cr_assert_eq(chassis.central_point, 5);
}

Test(chassis, load_averages_follow, .init = begin, .fini = end)
{
    struct bus_hw_slot_state hw = {.slot = 0, .kind = BUS_BOARD_KIND_SPC, .cpu = 100};

    chassis_slot(&chassis, &hw, 1000000000);
    cr_assert_eq((int)chassis.loads[0].cpu[0], 100);
    hw.cpu = 0;
    chassis_slot(&chassis, &hw, 31000000000);
    cr_assert_eq((int)(chassis.loads[0].cpu[0] + 0.5), 50);
    cr_assert_eq((int)(chassis.loads[0].cpu[1] + 0.5), 90);
}
