/* tables_test - longest prefix match, checksums, views, and what a snapshot answers. */
#include <criterion/criterion.h>

#include "spc/flow/checksum.h"
#include "spc/flow/lpm.h"
#include "tests/unit/spc/world.h"

static struct fw_prefix prefix(const char *text)
{
    struct fw_prefix p;

    cr_assert(fw_prefix_parse(text, &p));
    return p;
}

static int64_t find(const struct flow_lpm *lpm, const char *text)
{
    struct fw_addr a = addr(text);

    return flow_lpm_find(lpm, &a);
}

Test(lpm, the_longest_prefix_wins)
{
    struct flow_lpm_route routes[] = {
        {prefix("10.1.2.3/32"), 1}, {prefix("10.0.0.0/8"), 2},   {prefix("10.1.0.0/16"), 3},
        {prefix("10.1.2.0/23"), 4}, {prefix("192.0.2.128/25"), 5}, {prefix("fd00::/8"), 6},
        {prefix("fd00:1::/32"), 7}, {prefix("fd00:1::5/128"), 8},
    };
    struct flow_lpm *lpm = flow_lpm_new(routes, G_N_ELEMENTS(routes));

    cr_assert_eq(find(lpm, "10.1.2.3"), 1);
    cr_assert_eq(find(lpm, "10.1.2.4"), 4);
    cr_assert_eq(find(lpm, "10.1.3.255"), 4);
    cr_assert_eq(find(lpm, "10.1.4.0"), 3);
    cr_assert_eq(find(lpm, "10.2.0.0"), 2);
    cr_assert_eq(find(lpm, "11.0.0.0"), -1);
    cr_assert_eq(find(lpm, "192.0.2.127"), -1);
    cr_assert_eq(find(lpm, "192.0.2.200"), 5);
    cr_assert_eq(find(lpm, "fd99::1"), 6);
    cr_assert_eq(find(lpm, "fd00:1::4"), 7);
    cr_assert_eq(find(lpm, "fd00:1::5"), 8);
    cr_assert_eq(find(lpm, "fe80::1"), -1);
    flow_lpm_free(lpm);
}

Test(lpm, a_default_route_takes_the_rest)
{
    struct flow_lpm_route routes[] = {{prefix("10.1.0.0/16"), 1}, {prefix("0.0.0.0/0"), 0}};
    struct flow_lpm *lpm = flow_lpm_new(routes, 2);

    cr_assert_eq(find(lpm, "203.0.113.9"), 0);
    cr_assert_eq(find(lpm, "10.2.0.1"), 0);
    cr_assert_eq(find(lpm, "10.1.255.1"), 1);
    cr_assert_eq(find(lpm, "::1"), -1);
    flow_lpm_free(lpm);
    lpm = flow_lpm_new(NULL, 0);
    cr_assert_eq(find(lpm, "10.1.255.1"), -1);
    flow_lpm_free(lpm);
}

Test(lpm, agrees_with_a_linear_search)
{
    struct flow_lpm_route routes[300];
    struct flow_lpm *lpm;
    uint32_t x = 12345;

    for (unsigned i = 0; i < 300; i++) {
        x = x * 1664525u + 1013904223u;
        routes[i].prefix.addr = fw_addr_v4(0x0a000000u | (x >> 8 & 0xffff) << 4);
        routes[i].prefix.len = (uint8_t)(8 + i % 25);
        routes[i].prefix = fw_prefix_network(&routes[i].prefix);
        routes[i].value = i;
        for (unsigned j = 0; j < i; j++) {
            if (memcmp(&routes[j].prefix, &routes[i].prefix, sizeof routes[j].prefix) == 0) {
                routes[i].prefix.addr = fw_addr_v4(0x0b000000u + i);
                routes[i].prefix.len = 32;
            }
        }
    }
    lpm = flow_lpm_new(routes, 300);
    for (unsigned i = 0; i < 5000; i++) {
        struct fw_addr a;
        int64_t want = -1;
        int best = -1;

        x = x * 1664525u + 1013904223u;
        a = fw_addr_v4(0x0a000000u | (x >> 7 & 0xfffff));
        for (unsigned j = 0; j < 300; j++) {
            if (fw_prefix_contains(&routes[j].prefix, &a) && routes[j].prefix.len > best) {
                best = routes[j].prefix.len;
                want = routes[j].value;
            }
        }
        cr_assert_eq(flow_lpm_find(lpm, &a), want);
    }
    flow_lpm_free(lpm);
}

Test(checksum, example_of_rfc_1071)
{
    const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    uint16_t sum = flow_checksum(data, sizeof data);
    uint8_t bytes[2];

    memcpy(bytes, &sum, 2);
    cr_assert_eq(bytes[0], 0x22); /* complement of ddf2 */
    cr_assert_eq(bytes[1], 0x0d);
}

Test(checksum, the_incremental_update_is_the_full_sum)
{
    uint8_t p[20];
    uint32_t x = 7;

    for (unsigned round = 0; round < 2000; round++) {
        uint16_t sum, value;

        for (unsigned i = 0; i < sizeof p; i++) {
            x = x * 1664525u + 1013904223u;
            p[i] = (uint8_t)(x >> 24);
        }
        p[0] = 0x45; /* never all zero, so the two forms of zero cannot differ */
        p[10] = p[11] = 0;
        sum = flow_checksum(p, 20);
        memcpy(p + 10, &sum, 2);
        value = (uint16_t)(x >> 3);
        flow_checksum_replace(p + 10, p + 8, value);
        cr_assert_eq(flow_checksum(p, 20), 0);
    }
}

Test(checksum, ttl_goes_down_and_the_header_stays_sound)
{
    uint8_t p[60];

    packet_make(p, "10.0.0.1", "10.0.0.2", FLOW_PROTO_UDP, 1, 2, 60);
    for (unsigned i = 63; i > 0; i--) {
        flow_ttl_decrement(p);
        cr_assert_eq(p[8], i);
        cr_assert(packet_sound(p, 60));
    }
}

Test(view, both_directions_have_one_hash)
{
    struct flow_view a, b;
    uint8_t p[60];

    packet_make(p, "10.0.0.1", "10.0.0.2", FLOW_PROTO_UDP, 1, 2, 60);
    cr_assert_eq(flow_view_parse(p, 60, &a), FLOW_OK);
    packet_make(p, "10.0.0.2", "10.0.0.1", FLOW_PROTO_UDP, 2, 1, 60);
    cr_assert_eq(flow_view_parse(p, 60, &b), FLOW_OK);
    cr_assert_eq(a.hash, b.hash);
    b.tuple = flow_tuple_reverse(&b.tuple);
    cr_assert_eq(memcmp(&a.tuple, &b.tuple, sizeof a.tuple), 0);
    packet_make(p, "10.0.0.2", "10.0.0.1", FLOW_PROTO_UDP, 2, 3, 60);
    cr_assert_eq(flow_view_parse(p, 60, &b), FLOW_OK);
    cr_assert_neq(a.hash, b.hash);
}

Test(view, ipv6_and_its_extension_headers)
{
    uint8_t p[60] = {0x60, 0, 0, 0, 0, 20, FLOW_PROTO_UDP, 9};
    struct flow_view v;

    p[8] = 0xfd;
    p[23] = 1;
    p[24] = 0xfd;
    p[39] = 2;
    p[41] = 7;
    p[43] = 8;
    cr_assert_eq(flow_view_parse(p, 60, &v), FLOW_OK);
    cr_assert_eq(v.tuple.family, FW_FAMILY_V6);
    cr_assert_eq(v.tuple.source_port, 7);
    cr_assert_eq(v.tuple.destination_port, 8);
    cr_assert_eq(v.ttl, 9);
    cr_assert_eq(flow_view_parse(p, 59, &v), FLOW_IP_MALFORMED);
    p[6] = 44;
    cr_assert_eq(flow_view_parse(p, 60, &v), FLOW_IP6_EXTENSION);
}

Test(view, fragments_have_no_ports)
{
    struct flow_view v;
    uint8_t p[60];

    packet_make(p, "10.0.0.1", "10.0.0.2", FLOW_PROTO_UDP, 1, 2, 60);
    p[6] = 0x20;
    cr_assert_eq(flow_view_parse(p, 60, &v), FLOW_OK);
    cr_assert(v.fragment && !v.later);
    cr_assert_eq(v.tuple.source_port, 0);
    p[6] = 0;
    p[7] = 3;
    cr_assert_eq(flow_view_parse(p, 60, &v), FLOW_OK);
    cr_assert(v.fragment && v.later);
}
