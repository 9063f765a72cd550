/* Narrowing of traffic selectors. */
#include <criterion/criterion.h>
#include <string.h>

#include "re/ike/message.h"

static struct ike_selector pair(const char *local, const char *remote)
{
    struct ike_selector s = {0};

    fw_prefix_parse(local, &s.local);
    fw_prefix_parse(remote, &s.remote);
    return s;
}

static struct ike_range range(const char *low, const char *high)
{
    struct ike_range r = {.port_high = 0xffff};
    struct fw_addr a;

    fw_addr_parse(low, &a);
    r.family = a.family;
    memcpy(r.low, a.bytes, 16);
    fw_addr_parse(high, &a);
    memcpy(r.high, a.bytes, 16);
    return r;
}

static const char *text(const struct fw_prefix *p)
{
    static char buffers[4][FW_ADDR_TEXT];
    static unsigned at;

    return fw_prefix_text(p, buffers[at++ % 4]);
}

Test(ike_ts, narrow)
{
    struct ike_selector ours = pair("10.1.0.0/16", "0.0.0.0/0"), got[IKE_SELECTORS_MAX];
    struct ike_range local = range("0.0.0.0", "255.255.255.255");
    struct ike_range remote = range("10.2.0.0", "10.2.0.255");

    cr_assert_eq(ike_ts_narrow(&ours, 1, &local, 1, &remote, 1, got), 1);
    cr_assert_str_eq(text(&got[0].local), "10.1.0.0/16");
    cr_assert_str_eq(text(&got[0].remote), "10.2.0.0/24");
    local = range("10.2.0.0", "10.2.255.255");
    cr_assert_eq(ike_ts_narrow(&ours, 1, &local, 1, &remote, 1, got), 0);
}

Test(ike_ts, a_range_that_is_no_prefix)
{
    struct ike_selector ours = pair("0.0.0.0/0", "0.0.0.0/0"), got[IKE_SELECTORS_MAX];
    struct ike_range odd = range("10.0.0.1", "10.0.0.6"), one = range("10.0.0.255", "10.0.0.255");
    struct ike_range backwards = range("10.0.0.6", "10.0.0.1");

    cr_assert_eq(ike_ts_narrow(&ours, 1, &odd, 1, &one, 1, got), 1);
    cr_assert_str_eq(text(&got[0].local), "10.0.0.2/31");
    cr_assert_str_eq(text(&got[0].remote), "10.0.0.255/32");
    cr_assert_eq(ike_ts_narrow(&ours, 1, &backwards, 1, &one, 1, got), 0);
}

Test(ike_ts, protocols_and_ports_are_not_ours)
{
    struct ike_selector ours = pair("0.0.0.0/0", "0.0.0.0/0"), got[IKE_SELECTORS_MAX];
    struct ike_range all[2] = {range("10.0.0.1", "10.0.0.1"), range("10.0.0.0", "10.0.0.255")};

    all[0].protocol = 6;
    all[0].port_low = all[0].port_high = 22;
    cr_assert_eq(ike_ts_narrow(&ours, 1, all, 1, all + 1, 1, got), 0);
    cr_assert_eq(ike_ts_narrow(&ours, 1, all, 2, all + 1, 1, got), 1);
    cr_assert_str_eq(text(&got[0].local), "10.0.0.0/24");
}

Test(ike_ts, pairs_stay_pairs)
{
    struct ike_selector ours[2] = {pair("10.1.0.0/24", "10.2.0.0/24"),
                                   pair("10.3.0.0/24", "10.4.0.0/24")};
    struct ike_selector got[IKE_SELECTORS_MAX];
    struct ike_range all = range("0.0.0.0", "255.255.255.255");
    struct fw_prefix side[IKE_SELECTORS_MAX];

    cr_assert_eq(ike_ts_narrow(ours, 2, &all, 1, &all, 1, got), 2);
    cr_assert_str_eq(text(&got[1].local), "10.3.0.0/24");
    cr_assert_str_eq(text(&got[1].remote), "10.4.0.0/24");
    cr_assert_eq(ike_ts_side(got, 2, false, side), 2);
    got[1].remote = got[0].remote;
    cr_assert_eq(ike_ts_side(got, 2, false, side), 1);
}

Test(ike_ts, payload_round_trip)
{
    struct fw_prefix p[2];
    struct ike_range back[IKE_RANGES_MAX];
    uint8_t buffer[256];
    struct ike_builder b = ike_chain_begin(buffer, sizeof buffer);
    unsigned n;

    fw_prefix_parse("10.1.2.3/23", &p[0]);
    fw_prefix_parse("fd00::/64", &p[1]);
    ike_ts_emit(&b, IKE_P_TSI, p, 2);
    cr_assert(ike_ts_parse(fw_cursor(buffer + 4, fw_emit_len(&b.e) - 4), back, &n));
    cr_assert_eq(n, 2);
    cr_assert_eq(back[0].low[2], 2);
    cr_assert_eq(back[0].high[2], 3);
    cr_assert_eq(back[1].family, FW_FAMILY_V6);
    cr_assert_eq(back[1].high[15], 0xff);
    for (size_t cut = 0; cut < fw_emit_len(&b.e) - 4; cut++) {
        cr_assert_not(ike_ts_parse(fw_cursor(buffer + 4, cut), back, &n));
    }
    buffer[4] = 255;
    cr_assert_not(ike_ts_parse(fw_cursor(buffer + 4, fw_emit_len(&b.e) - 4), back, &n));
}
