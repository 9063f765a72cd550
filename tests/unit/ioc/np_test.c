/*
 * np_test - the walk of a packet at an I/O card's port.
 */
#include <criterion/criterion.h>

#include "tests/unit/ioc/frames.h"

#define IFL 70

static struct fw_addr own[4];
static struct ioc_table_anchor anchors[8];
static struct ioc_table table;
static struct np_cache *cache;
static struct np_offload plain;
static struct np_result r;
static struct frame f;

static void setup(void)
{
    memset(&table, 0, sizeof(table));
    memset(anchors, 0, sizeof(anchors));
    memset(&plain, 0, sizeof(plain));
    table.host = 12;
    table.n_ports = 1;
    table.ports[0].ifl = IFL;
    table.ports[0].ifl_up = true;
    table.ports[0].link_up = true;
    memcpy(table.ports[0].mac, frame_own_mac, 6);
    table.has_central_point = true;
    table.central_point = 4;
    table.boards[4] = (struct ioc_table_board){.generation = 1, .online = true};
    table.boards[5] = (struct ioc_table_board){.generation = 9, .online = true};
    cr_assert(fw_addr_parse("192.0.2.1", &own[0]));
    cr_assert(fw_addr_parse("2001:db8::1", &own[1]));
    table.own = own;
    table.n_own = 2;
    anchors[3] = (struct ioc_table_anchor){
        .generation = 17, .endpoint = 5, .spu = 1, .thread = 6, .set = true};
    table.anchors = anchors;
    table.n_anchors = 4;
    cache = np_cache_new(64);
}

static void teardown(void)
{
    np_cache_free(cache);
}

TestSuite(np, .init = setup, .fini = teardown);

static bool classify(void)
{
    return np_classify(&table, cache, 0, f.data, f.bytes, &plain, &r);
}

static void dropped(enum ioc_counter why)
{
    bool passed = classify();

    cr_assert_not(passed, "passed as %s", ioc_counter_names[r.counter]);
    cr_assert_eq(r.counter, why, "%s instead of %s", ioc_counter_names[r.counter],
                 ioc_counter_names[why]);
}

static void passed(enum ioc_counter how, uint8_t type, uint8_t destination)
{
    bool ok = classify();

    cr_assert(ok, "dropped: %s", ioc_counter_names[r.counter]);
    cr_assert_eq(r.counter, how, "%s instead of %s", ioc_counter_names[r.counter],
                 ioc_counter_names[how]);
    cr_assert_eq(r.cell.type, type);
    cr_assert_eq(r.cell.destination, destination);
    cr_assert_eq(r.cell.ifl, IFL);
}

Test(np, arp_goes_to_the_host_whole)
{
    static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};
    struct fw_emit e;

    frame_begin(&e, &f, broadcast, 0x0806);
    fw_emit_reserve(&e, 46);
    f.bytes = 60;
    passed(IOC_NP_HOST, FABRIC_CELL_HOST_IN, 12);
    cr_assert_eq(r.skip, 0);
    cr_assert_eq(r.cell.length, 60);
    cr_assert(r.cell.flags & FABRIC_FLAG_L2);
}

Test(np, foreign_frames_are_dropped)
{
    static const uint8_t other[6] = {2, 2, 2, 2, 2, 2};
    struct fw_emit e;

    frame_begin(&e, &f, other, 0x0806);
    f.bytes = 60;
    dropped(IOC_L2_OTHER);
    f.bytes = 13;
    dropped(IOC_L2_SHORT);
    frame_begin(&e, &f, frame_own_mac, 0x8100);
    f.bytes = 60;
    dropped(IOC_L2_VLAN);
}

Test(np, a_port_without_interface_takes_nothing)
{
    frame_udp4(&f, "198.51.100.7", "203.0.113.5", 1000, 2000, "x", 1);
    table.ports[0].ifl = 0;
    dropped(IOC_NO_INTERFACE);
    table.ports[0].ifl = IFL;
    table.ports[0].ifl_up = false;
    dropped(IOC_INTERFACE_DOWN);
}

Test(np, unknown_flow_goes_to_the_central_point_without_padding)
{
    frame_udp4(&f, "198.51.100.7", "203.0.113.5", 1000, 2000, "x", 1);
    f.bytes = 60; /* padded on the wire */
    passed(IOC_NP_FIRST, FABRIC_CELL_FIRST, 4);
    cr_assert_eq(r.skip, 14);
    cr_assert_eq(r.cell.length, 29);
    cr_assert_not(r.cell.flags & FABRIC_FLAG_L2);
    table.has_central_point = false;
    dropped(IOC_NO_CENTRAL_POINT);
}

Test(np, known_flow_goes_to_its_owner)
{
    struct np_session s = {.session = 77, .generation = 3, .spu = 1, .thread = 2};

    frame_udp4(&f, "198.51.100.7", "203.0.113.5", 1000, 2000, "x", 1);
    s.tuple.family = FW_FAMILY_V4;
    s.tuple.protocol = 17;
    s.tuple.source_port = 1000;
    s.tuple.destination_port = 2000;
    s.tuple.ifl = IFL;
    memcpy(s.tuple.source, "\306\063\144\007", 4);
    memcpy(s.tuple.destination, "\313\000\161\005", 4);
    cr_assert_eq(np_cache_install(cache, &s, 5, 9), IOC_NP_INSTALLED);
    passed(IOC_NP_HIT, FABRIC_CELL_PACKET, 5);
    cr_assert_eq(r.cell.session, 77);
    cr_assert_eq(r.cell.generation, 3);
    cr_assert_eq(r.cell.spu, 1);
    cr_assert_eq(r.cell.thread, 2);
    /* The owner's card came back as another one: the entry dies. */
    table.boards[5].generation = 10;
    passed(IOC_NP_FIRST, FABRIC_CELL_FIRST, 4);
    cr_assert(r.stale);
    cr_assert_eq(np_cache_count(cache), 0);
    passed(IOC_NP_FIRST, FABRIC_CELL_FIRST, 4);
    cr_assert_not(r.stale);
    /* By another interface it is another flow. */
    cr_assert_eq(np_cache_install(cache, &s, 5, 10), IOC_NP_INSTALLED);
    table.ports[0].ifl = IFL + 1;
    cr_assert(classify());
    cr_assert_eq(r.counter, IOC_NP_FIRST);
    cr_assert(np_cache_remove(cache, &s));
    cr_assert_not(np_cache_remove(cache, &s));
}

Test(np, icmp_echo_is_known_by_its_identifier)
{
    static const uint8_t echo[12] = {8, 0, 0, 0, 0x12, 0x34, 0, 1};
    struct np_session s = {.session = 5, .spu = 0, .thread = 4};

    frame_ip4(&f, "198.51.100.7", "203.0.113.5", 1, echo, sizeof(echo));
    s.tuple.family = FW_FAMILY_V4;
    s.tuple.protocol = 1;
    s.tuple.source_port = s.tuple.destination_port = 0x1234;
    s.tuple.ifl = IFL;
    memcpy(s.tuple.source, "\306\063\144\007", 4);
    memcpy(s.tuple.destination, "\313\000\161\005", 4);
    np_cache_install(cache, &s, 5, 9);
    passed(IOC_NP_HIT, FABRIC_CELL_PACKET, 5);
}

Test(np, esp_goes_to_the_anchor_of_its_spi)
{
    static const uint8_t esp[24] = {0x00, 0x31, 0x23, 0x45, 0, 0, 0, 1};
    static const uint8_t unknown[24] = {0x00, 0x21, 0x23, 0x45, 0, 0, 0, 1};
    static const uint8_t far[24] = {0xff, 0xf1, 0x23, 0x45, 0, 0, 0, 1};

    frame_ip4(&f, "198.51.100.7", "192.0.2.1", 50, esp, sizeof(esp));
    passed(IOC_NP_DECRYPT, FABRIC_CELL_DECRYPT, 5);
    cr_assert_eq(r.cell.spu, 1);
    cr_assert_eq(r.cell.thread, 6);
    cr_assert_eq(r.cell.generation, 17);
    cr_assert_eq(r.cell.length, 44);
    cr_assert_eq(r.skip, 14);
    frame_ip4(&f, "198.51.100.7", "192.0.2.1", 50, unknown, sizeof(unknown));
    dropped(IOC_ESP_ANCHOR);
    frame_ip4(&f, "198.51.100.7", "192.0.2.1", 50, far, sizeof(far));
    dropped(IOC_ESP_ANCHOR);
    frame_ip4(&f, "198.51.100.7", "192.0.2.1", 50, esp, 7);
    dropped(IOC_ESP_SHORT);
    /* Not to us: a packet like any other. */
    frame_ip4(&f, "198.51.100.7", "192.0.2.2", 50, esp, sizeof(esp));
    passed(IOC_NP_FIRST, FABRIC_CELL_FIRST, 4);
    /* The anchor's card is gone. */
    frame_ip4(&f, "198.51.100.7", "192.0.2.1", 50, esp, sizeof(esp));
    table.boards[5].online = false;
    dropped(IOC_ESP_ANCHOR);
}

Test(np, esp_in_udp_keepalive_and_ike_are_told_apart)
{
    static const uint8_t esp[24] = {0x00, 0x31, 0x23, 0x45, 0, 0, 0, 1};
    static const uint8_t ike[32] = {0, 0, 0, 0, 1, 2, 3, 4};

    frame_udp4(&f, "198.51.100.7", "192.0.2.1", 4500, 4500, esp, sizeof(esp));
    passed(IOC_NP_DECRYPT, FABRIC_CELL_DECRYPT, 5);
    cr_assert_eq(r.cell.length, 20 + 8 + 24);
    frame_udp4(&f, "198.51.100.7", "192.0.2.1", 4500, 4500, "\xff", 1);
    dropped(IOC_ESP_KEEPALIVE);
    frame_udp4(&f, "198.51.100.7", "192.0.2.1", 4500, 4500, ike, sizeof(ike));
    passed(IOC_NP_FIRST, FABRIC_CELL_FIRST, 4);
    frame_udp4(&f, "198.51.100.7", "192.0.2.1", 4500, 4500, "ab", 2);
    dropped(IOC_ESP_SHORT);
    frame_udp4(&f, "198.51.100.7", "192.0.2.1", 500, 500, ike, sizeof(ike));
    passed(IOC_NP_FIRST, FABRIC_CELL_FIRST, 4);
    frame_udp4(&f, "198.51.100.7", "203.0.113.5", 4500, 4500, esp, sizeof(esp));
    passed(IOC_NP_FIRST, FABRIC_CELL_FIRST, 4);
}

Test(np, esp_over_ipv6_goes_to_the_anchor_too)
{
    static const uint8_t esp[24] = {0x00, 0x31, 0x23, 0x45, 0, 0, 0, 1};

    frame_ip6(&f, "2001:db8::7", "2001:db8::1", 50, 64, esp, sizeof(esp));
    passed(IOC_NP_DECRYPT, FABRIC_CELL_DECRYPT, 5);
    cr_assert_eq(r.cell.length, 64);
}

Test(np, ipv4_headers_are_checked)
{
    struct frame good;

    frame_udp4(&good, "198.51.100.7", "203.0.113.5", 1000, 2000, "abcdef", 6);
    f = good;
    f.data[14] = 0x55;
    dropped(IOC_IP4_HEADER);
    f = good;
    f.data[14] = 0x44;
    dropped(IOC_IP4_HEADER);
    f = good;
    f.data[14] = 0x4f; /* 60 bytes of header in a packet of 34 */
    dropped(IOC_IP4_HEADER);
    f = good;
    f.data[17]++; /* longer than what is there */
    frame_fix_checksum(&f);
    dropped(IOC_IP4_LENGTH);
    f = good;
    f.data[17] = 19;
    frame_fix_checksum(&f);
    dropped(IOC_IP4_LENGTH);
    f = good;
    f.data[24] ^= 1;
    dropped(IOC_IP4_CHECKSUM);
    f = good;
    f.data[22] = 0;
    frame_fix_checksum(&f);
    dropped(IOC_IP_TTL);
    f = good;
    f.data[26] = 127;
    frame_fix_checksum(&f);
    dropped(IOC_IP4_SOURCE);
    f = good;
    f.data[30] = 224;
    frame_fix_checksum(&f);
    dropped(IOC_IP_MULTICAST);
    f = good;
    f.data[17] = 20 + 7;
    frame_fix_checksum(&f);
    dropped(IOC_L4_SHORT);
    f = good;
    memset(f.data, 0xff, 6);
    dropped(IOC_L2_BROADCAST);
    for (f = good; f.bytes > 14; f.bytes--) { /* cut anywhere: never passed */
        if (f.bytes < good.bytes) {
            cr_assert_not(classify(), "%u bytes", f.bytes);
        }
    }
}

Test(np, fragments_go_to_the_central_point_by_address)
{
    uint32_t hash;

    frame_udp4(&f, "198.51.100.7", "203.0.113.5", 1000, 2000, "abcdefgh", 8);
    f.data[20] = 0x20; /* the first of several */
    frame_fix_checksum(&f);
    passed(IOC_FRAGMENT, FABRIC_CELL_FIRST, 4);
    hash = r.cell.hash;
    f.data[20] = 0x00;
    f.data[21] = 0x10; /* a later one: the same way */
    frame_fix_checksum(&f);
    passed(IOC_FRAGMENT, FABRIC_CELL_FIRST, 4);
    cr_assert_eq(r.cell.hash, hash);
}

Test(np, ipv6_headers_are_checked)
{
    static const uint8_t udp[16] = {0x03, 0xe8, 0x07, 0xd0, 0, 16};
    static const uint8_t options[24] = {17, 0, 1, 4, 0, 0, 0, 0, 0x03, 0xe8, 0x07, 0xd0, 0, 16};
    struct frame good;

    frame_ip6(&good, "2001:db8::7", "2001:db8:5::1", 17, 64, udp, sizeof(udp));
    f = good;
    passed(IOC_NP_FIRST, FABRIC_CELL_FIRST, 4);
    cr_assert_eq(r.cell.length, 56);
    f.data[14] = 0x45;
    dropped(IOC_IP6_HEADER);
    f = good;
    f.data[19]++;
    dropped(IOC_IP6_LENGTH);
    f = good;
    f.data[22] = 0xff;
    dropped(IOC_IP6_SOURCE);
    f = good;
    f.data[21] = 0;
    dropped(IOC_IP_TTL);
    frame_ip6(&f, "2001:db8::7", "2001:db8:5::1", 0, 64, options, sizeof(options));
    passed(IOC_NP_FIRST, FABRIC_CELL_FIRST, 4);
    f.data[14 + 40 + 1] = 200; /* extension header longer than the packet */
    dropped(IOC_IP6_EXTENSION);
    frame_ip6(&f, "2001:db8::7", "2001:db8:5::1", 44, 64, options, sizeof(options));
    passed(IOC_FRAGMENT, FABRIC_CELL_FIRST, 4);
}

Test(np, neighbour_discovery_goes_to_the_host)
{
    static const uint8_t solicit[24] = {135};

    frame_ip6(&f, "fe80::7", "ff02::1:ff00:1", 58, 255, solicit, sizeof(solicit));
    memcpy(f.data, "\x33\x33\xff\x00\x00\x01", 6);
    passed(IOC_NP_HOST, FABRIC_CELL_HOST_IN, 12);
    cr_assert_eq(r.cell.length, f.bytes);
    f.data[21] = 64; /* forwarded by somebody: not neighbour discovery */
    dropped(IOC_IP_MULTICAST);
}

Test(np, offload_moves_with_the_payload)
{
    static const uint8_t syn[40] = {0x03, 0xe8, 0x07, 0xd0};
    uint8_t vnet[IOC_VNET_BYTES] = {1, 1, 54, 0, 0xb4, 5, 34, 0, 16, 0};

    frame_ip4(&f, "198.51.100.7", "203.0.113.5", 6, syn, sizeof(syn));
    cr_assert(np_offload_parse(vnet, f.bytes, &plain));
    passed(IOC_NP_FIRST, FABRIC_CELL_FIRST, 4);
    cr_assert_eq(r.cell.gso, FABRIC_GSO_TCP4);
    cr_assert_eq(r.cell.gso_size, 1460);
    cr_assert_eq(r.cell.headers, 40);
    cr_assert_eq(r.cell.csum_start, 20);
    cr_assert_eq(r.cell.csum_offset, 16);
    cr_assert(r.cell.flags & FABRIC_FLAG_CSUM);
    /* and back: offsets of a frame */
    r.cell.csum_start += 14;
    r.cell.headers += 14;
    memset(vnet, 0xee, sizeof(vnet));
    np_offload_write(&r.cell, vnet);
    cr_assert_eq(memcmp(vnet, "\001\001\066\000\264\005\042\000\020\000\000\000", 12), 0);
}

Test(np, nonsense_in_the_offload_is_refused)
{
    struct np_offload o;
    uint8_t vnet[IOC_VNET_BYTES] = {0};

    cr_assert(np_offload_parse(vnet, 60, &o));
    vnet[1] = 2;
    cr_assert_not(np_offload_parse(vnet, 60, &o));
    vnet[1] = 1; /* segmentation without a size */
    cr_assert_not(np_offload_parse(vnet, 60, &o));
    vnet[0] = 1; /* one frame that would become thousands */
    vnet[6] = 34;
    vnet[8] = 16;
    vnet[4] = 47;
    cr_assert_not(np_offload_parse(vnet, 60, &o));
    vnet[4] = 48;
    cr_assert(np_offload_parse(vnet, 60, &o));
    memset(vnet, 0, sizeof(vnet));
    vnet[0] = 1;
    vnet[6] = 57;
    vnet[8] = 2; /* the checksum would lie at 59..60 of 60 bytes */
    cr_assert_not(np_offload_parse(vnet, 60, &o));
    vnet[6] = 56;
    cr_assert(np_offload_parse(vnet, 60, &o));
    vnet[6] = 4; /* within the Ethernet header */
    cr_assert_not(np_offload_parse(vnet, 60, &o));
}

Test(np_cache, a_full_group_gives_one_up, .init = setup, .fini = teardown)
{
    unsigned replaced = 0;

    for (unsigned i = 0; i < 1000; i++) {
        struct np_session s = {.session = i, .tuple = {.family = FW_FAMILY_V4, .protocol = 17}};
        struct np_cache_hit hit;
        bool stale;

        s.tuple.source_port = (uint16_t)i;
        replaced += np_cache_install(cache, &s, 5, 9) == IOC_NP_REPLACED;
        cr_assert(np_cache_find(cache, &s.tuple, table.boards, &hit, &stale));
        cr_assert_eq(hit.session, i);
    }
    cr_assert_leq(np_cache_count(cache), 64);
    cr_assert_geq(np_cache_count(cache), 48); /* the hash spreads */
    cr_assert_eq(np_cache_count(cache) + replaced, 1000);
}
