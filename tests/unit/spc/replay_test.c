/* replay_test - anti-replay windows: edges, jumps, big windows, extended numbers. */
#include <criterion/criterion.h>

#include "spc/ipsec/replay.h"

static uint64_t bitmap[512];
static struct ipsec_replay r;

static void start(uint32_t window, bool esn)
{
    memset(bitmap, 0, sizeof bitmap);
    cr_assert_leq(ipsec_replay_blocks(window), 512u);
    ipsec_replay_init(&r, window, esn, bitmap);
}

static bool take(uint64_t n)
{
    if (!ipsec_replay_check(&r, n)) {
        return false;
    }
    ipsec_replay_advance(&r, n);
    return true;
}

Test(replay, zero_never_and_each_number_once)
{
    start(64, false);
    cr_assert_not(take(0));
    for (uint64_t i = 1; i < 500; i++) {
        cr_assert(take(i));
        cr_assert_not(take(i));
    }
}

Test(replay, the_edges_of_the_window)
{
    static const uint32_t windows[] = {64, 128, 512, 1024, 2048, 4096, 8192};

    for (unsigned i = 0; i < sizeof windows / sizeof *windows; i++) {
        uint32_t size = windows[i];

        for (uint64_t top = size; top < size + 130; top += 7) {
            start(size, false);
            cr_assert(take(top + 1000));
            cr_assert(take(top + 1000 - size + 1), "oldest of %u", size);
            cr_assert_not(take(top + 1000 - size), "one too old of %u", size);
            cr_assert_not(take(top + 1000 - size + 1));
        }
    }
}

Test(replay, out_of_order_within_a_big_window)
{
    start(8192, false);
    for (uint64_t i = 8192; i > 0; i--) {
        cr_assert(take(i));
    }
    for (uint64_t i = 1; i <= 8192; i++) {
        cr_assert_not(take(i));
    }
}

Test(replay, a_jump_forgets_old_marks_and_only_those)
{
    start(64, false);
    for (uint64_t i = 1; i <= 64; i++) {
        cr_assert(take(i));
    }
    cr_assert(take(96));
    cr_assert_not(take(64));
    cr_assert_not(take(33));
    cr_assert(take(65));
    cr_assert(take(1000000));
    for (uint64_t i = 1000000 - 63; i < 1000000; i++) {
        cr_assert(take(i));
        cr_assert_not(take(i));
    }
    cr_assert(take(1000064));
    cr_assert_not(take(1000000));
}

Test(replay, agrees_with_a_plain_model)
{
    static bool seen[200000];
    uint64_t top = 0, x = 99;

    start(256, false);
    memset(seen, 0, sizeof seen);
    for (unsigned i = 0; i < 100000; i++) {
        uint64_t n;
        bool want;

        x = x * 6364136223846793005ull + 1442695040888963407ull;
        n = (top > 400 ? top - 400 : 0) + (x >> 33) % 420;
        if ((x >> 20) % 997 == 0) {
            n = top + (x >> 33) % 1000;
        }
        n = n < 199999 ? n : 199999;
        want = n > 0 && !seen[n] && (n > top || top - n < 256);
        cr_assert_eq(take(n), want);
        if (want) {
            seen[n] = true;
            top = n > top ? n : top;
        }
    }
}

Test(replay, extended_numbers_cross_the_32_bit_edge)
{
    uint64_t edge = (uint64_t)1 << 32;

    start(64, true);
    ipsec_replay_advance(&r, edge - 2);
    cr_assert_eq(ipsec_replay_number(&r, 0xffffffff), edge - 1);
    cr_assert_eq(ipsec_replay_number(&r, 3), edge + 3);
    ipsec_replay_advance(&r, edge + 5);
    cr_assert_eq(ipsec_replay_number(&r, 6), edge + 6);
    cr_assert_eq(ipsec_replay_number(&r, 0xfffffff0), edge - 16);
    cr_assert_eq(ipsec_replay_number(&r, 0x7fffffff), edge + 0x7fffffff);
    ipsec_replay_advance(&r, edge + 1000);
    cr_assert_eq(ipsec_replay_number(&r, 999), edge + 999);
    cr_assert_eq(ipsec_replay_number(&r, 1000 - 63), edge + 1000 - 63);
    cr_assert_eq(ipsec_replay_number(&r, 1000 - 64), 2 * edge + 1000 - 64);
}

Test(replay, no_window_checks_nothing_but_zero)
{
    ipsec_replay_init(&r, 0, false, NULL);
    cr_assert(take(5));
    cr_assert(take(5));
    cr_assert(take(1));
    cr_assert_not(take(0));
}
