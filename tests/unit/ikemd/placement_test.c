/*
 * placement_test - the anchoring rules of the srx5000 reference, section C, with its worked
 * example. Ties are drawn by a scripted source.
 */
#include <criterion/criterion.h>

#include "re/ikemd/placement/placement.h"

static struct placement *p;
static uint32_t tie;

static uint32_t below(uint32_t bound)
{
    return tie % bound;
}

static struct fw_addr address(uint32_t host_order)
{
    return fw_addr_v4(host_order);
}

static void add(uint32_t tunnel, unsigned peer)
{
    struct fw_addr local = address(0x0a000001), remote = address(0xc0000200u + peer);

    placement_tunnel_set(p, tunnel, &local, &remote);
    placement_settle(p);
}

static void end(void)
{
    placement_free(p);
}

static void by_load(void)
{
    tie = 0;
    p = placement_new(PLACEMENT_LOAD_FACTOR, below);
}

static void by_gateways(void)
{
    tie = 0;
    p = placement_new(PLACEMENT_GATEWAYS, below);
}

Test(placement, no_spu_means_no_anchor, .init = by_load, .fini = end)
{
    add(500001, 1);
    cr_assert_eq(placement_find(p, 500001).anchor, 0);
    placement_spu_set(p, 1, 0, 24, 7);
    placement_settle(p);
    cr_assert_eq(placement_find(p, 500001).anchor, placement_anchor(1, 0, 0));
    cr_assert_eq(placement_find(p, 500001).generation, 7);
}

Test(placement, pair_stays_on_one_spu_and_spreads_over_threads, .init = by_load, .fini = end)
{
    struct placement_where first, where;
    unsigned seen = 0;

    placement_spu_set(p, 1, 0, 24, 1);
    placement_spu_set(p, 1, 1, 24, 1);
    add(500001, 1);
    first = placement_find(p, 500001);
    for (unsigned i = 0; i < 24; i++) {
        add(500001 + i, 1);
        where = placement_find(p, 500001 + i);
        cr_assert_eq(where.slot, first.slot);
        cr_assert_eq(where.spu, first.spu);
        cr_assert_eq(seen >> where.thread & 1, 0, "thread %u twice", where.thread);
        seen |= 1u << where.thread;
    }
    add(500099, 1);
    cr_assert_eq(placement_load(p, first.slot, first.spu, -1), 25);
}

/* Section C.1: gateways with 3, 3 and 1 tunnels on three SPUs. */
static void three_gateways(void)
{
    for (uint8_t spu = 1; spu < 4; spu++) {
        placement_spu_set(p, 0, spu, 8, 1);
    }
    for (unsigned i = 0; i < 3; i++) {
        add(500001 + i, 1);
    }
    for (unsigned i = 0; i < 3; i++) {
        add(500011 + i, 2);
    }
    add(500021, 3);
}

Test(placement, example_by_gateways_ties_over_all_three, .init = by_gateways, .fini = end)
{
    unsigned seen = 0;

    three_gateways();
    cr_assert_eq(
        placement_load(p, 0, 1, -1) * placement_load(p, 0, 2, -1) * placement_load(p, 0, 3, -1), 9);
    for (tie = 0; tie < 3; tie++) {
        add(500031, 4);
        seen |= 1u << placement_find(p, 500031).spu;
        placement_tunnel_remove(p, 500031);
    }
    cr_assert_eq(seen, 0xe);
}

Test(placement, example_by_load_factor_takes_the_least_loaded, .init = by_load, .fini = end)
{
    three_gateways();
    tie = 2;
    add(500031, 4);
    cr_assert_eq(placement_find(p, 500031).spu, placement_find(p, 500021).spu);
}

Test(placement, more_threads_attract_more_tunnels, .init = by_load, .fini = end)
{
    placement_spu_set(p, 1, 0, 24, 1);
    placement_spu_set(p, 2, 0, 8, 1);
    for (unsigned i = 0; i < 320; i++) {
        add(500001 + i, i);
    }
    cr_assert_eq(placement_load(p, 1, 0, -1), 240);
    cr_assert_eq(placement_load(p, 2, 0, -1), 80);
    cr_assert_eq(placement_load(p, 1, 0, 5), 10);
}

Test(placement, insertion_moves_nothing, .init = by_load, .fini = end)
{
    placement_spu_set(p, 1, 0, 24, 1);
    add(500001, 1);
    add(500002, 2);
    placement_spu_set(p, 2, 0, 24, 1);
    placement_settle(p);
    cr_assert_eq(placement_load(p, 1, 0, -1), 2);
    add(500003, 3);
    cr_assert_eq(placement_find(p, 500003).slot, 2);
}

Test(placement, lost_card_goes_to_survivors, .init = by_load, .fini = end)
{
    placement_spu_set(p, 1, 0, 24, 1);
    placement_spu_set(p, 2, 0, 24, 5);
    add(500001, 1);
    add(500002, 2);
    placement_card_lost(p, 1);
    placement_settle(p);
    cr_assert_eq(placement_find(p, 500001).slot, 2);
    cr_assert_eq(placement_find(p, 500002).slot, 2);
    cr_assert_eq(placement_find(p, 500001).generation, 5);
    placement_card_lost(p, 2);
    placement_settle(p);
    cr_assert_eq(placement_find(p, 500001).anchor, 0);
    placement_spu_set(p, 2, 0, 24, 6);
    placement_settle(p);
    cr_assert_eq(placement_find(p, 500001).generation, 6);
}

Test(placement, new_generation_shows, .init = by_load, .fini = end)
{
    placement_spu_set(p, 1, 0, 24, 1);
    add(500001, 1);
    placement_spu_set(p, 1, 0, 24, 2);
    cr_assert_eq(placement_find(p, 500001).anchor, 0);
    placement_settle(p);
    cr_assert_eq(placement_find(p, 500001).generation, 2);
}

Test(placement, restore_after_restart, .init = by_load, .fini = end)
{
    struct fw_addr local = address(0x0a000001), remote = address(0xc0000201);

    cr_assert_not(placement_tunnel_restore(p, 500001, &local, &remote, 1, 1, 9));
    placement_spu_set(p, 1, 0, 24, 1);
    placement_spu_set(p, 1, 1, 24, 1);
    cr_assert(placement_tunnel_restore(p, 500001, &local, &remote, 1, 1, 9));
    cr_assert_not(placement_tunnel_restore(p, 500002, &local, &remote, 1, 0, 3));
    add(500001, 1);
    cr_assert_eq(placement_find(p, 500001).thread, 9);
    cr_assert_eq(placement_find(p, 500001).spu, 1);
}

Test(placement, other_pair_moves_a_tunnel, .init = by_load, .fini = end)
{
    placement_spu_set(p, 1, 0, 24, 1);
    placement_spu_set(p, 2, 0, 24, 1);
    add(500001, 1);
    add(500002, 1);
    add(500002, 2);
    cr_assert_neq(placement_find(p, 500001).slot, placement_find(p, 500002).slot);
}

Test(placement, anchor_ids_are_distinct_and_fit_12_bits)
{
    uint8_t slot, spu, thread;

    cr_assert(placement_place(placement_anchor(11, 1, 27), &slot, &spu, &thread));
    cr_assert_eq(slot, 11);
    cr_assert_eq(spu, 1);
    cr_assert_eq(thread, 27);
    cr_assert_not(placement_place(0, &slot, &spu, &thread));
    cr_assert_eq(placement_anchor(0, 0, 0), 1);
    cr_assert_eq(placement_anchor(1, 0, 0), 129);
    cr_assert_leq(placement_anchor(30, 3, 31), 4095);
    cr_assert_eq(placement_anchor(31, 0, 0), 0);
    cr_assert_eq(placement_anchor(0, 4, 0), 0);
}
