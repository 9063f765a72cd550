/*
 * flow_test - the walk of packets through one services card: sessions, policies, host-inbound,
 * neighbours, sizes.
 */
#include <criterion/criterion.h>

#include "spc/flow/checksum.h"
#include "tests/unit/spc/world.h"

static struct world *w;
static uint8_t buffer[FABRIC_LARGE_BYTES];

static void setup(void)
{
    w = world_new(2, 2, 3);
    world_configure(w);
}

static void teardown(void)
{
    world_free(w);
}

TestSuite(flow, .init = setup, .fini = teardown);

static void first(uint16_t ifl, uint32_t bytes)
{
    struct fabric_cell cell = {.type = FABRIC_CELL_FIRST, .ifl = ifl};

    world_inject(w, w->ioc, &cell, buffer, bytes);
}

Test(flow, forwards_and_installs_the_session_at_the_cards)
{
    uint32_t n = packet_make(buffer, "10.0.1.2", "10.0.2.2", FLOW_PROTO_UDP, 1000, 2000, 100);
    struct np_session np[2];
    const struct seen *s;

    first(WORLD_IFL_A, n);
    for (unsigned i = 0; i < 2; i++) {
        s = world_take(w, w->ioc, FABRIC_CELL_NP_INSTALL);
        cr_assert_not_null(s);
        cr_assert_eq(s->cell.length, sizeof np[i]);
        memcpy(&np[i], s->data, sizeof np[i]);
    }
    cr_assert_eq(np[0].tuple.ifl, WORLD_IFL_A);
    cr_assert_eq(np[0].tuple.source_port, 1000);
    cr_assert_eq(np[1].tuple.ifl, WORLD_IFL_B);
    cr_assert_eq(np[1].tuple.source_port, 2000);
    s = world_take(w, w->ioc, FABRIC_CELL_PORT_OUT);
    cr_assert_not_null(s);
    cr_assert_eq(s->cell.length, 114);
    cr_assert_eq(s->cell.port, 1);
    cr_assert_eq(memcmp(s->data, "\x02\xaa\xaa\xaa\xaa\x47", 6), 0);
    cr_assert_eq(memcmp(s->data + 6, "\x02\x5c\x01\x02\x00\x01\x08\x00", 8), 0);
    cr_assert_eq(s->data[14 + 8], 63);
    cr_assert(packet_sound(s->data + 14, 100));

    /* Back, by the way the card was told. */
    struct fabric_cell cell = {.type = FABRIC_CELL_PACKET,
                               .ifl = WORLD_IFL_B,
                               .spu = np[1].spu,
                               .thread = np[1].thread};
    n = packet_make(buffer, "10.0.2.2", "10.0.1.2", FLOW_PROTO_UDP, 2000, 1000, 60);
    world_inject(w, w->ioc, &cell, buffer, n);
    s = world_take(w, w->ioc, FABRIC_CELL_PORT_OUT);
    cr_assert_not_null(s);
    cr_assert_eq(s->cell.port, 0);
    cr_assert_eq(world_counter(w, FLOW_SESSION_CREATED), 1);
    cr_assert_eq(world_counter(w, FLOW_FORWARDED), 2);
}

Test(flow, central_point_knows_the_owner_of_both_directions)
{
    uint32_t n = packet_make(buffer, "10.0.1.2", "10.0.2.2", FLOW_PROTO_TCP, 1000, 2000, 60);

    first(WORLD_IFL_A, n);
    n = packet_make(buffer, "10.0.2.2", "10.0.1.2", FLOW_PROTO_TCP, 2000, 1000, 60);
    first(WORLD_IFL_B, n);
    cr_assert_eq(world_counter(w, FLOW_CP_FIRST), 1);
    cr_assert_eq(world_counter(w, FLOW_CP_KNOWN), 1);
    cr_assert_eq(world_counter(w, FLOW_SESSION_CREATED), 1);
    cr_assert_eq(world_counter(w, FLOW_FORWARDED), 2);
}

Test(flow, nothing_matched_is_denied)
{
    uint32_t n = packet_make(buffer, "10.0.2.2", "10.0.1.2", FLOW_PROTO_UDP, 5, 6, 60);

    first(WORLD_IFL_B, n);
    cr_assert_eq(world_counter(w, FLOW_DEFAULT_DENY), 1);
    cr_assert_null(world_take(w, w->ioc, FABRIC_CELL_PORT_OUT));
}

Test(flow, policy_rules_go_in_order)
{
    struct bus_policy_state *m = g_new0(struct bus_policy_state, 1);

    m->from_zone = 1;
    m->to_zone = 2;
    m->n_rules = 2;
    m->rules[0].action = BUS_POLICY_ACTION_DENY;
    m->rules[0].n_applications = 1;
    m->rules[0].applications[0] =
        (struct bus_policy_application){FLOW_PROTO_UDP, 2000, 2010};
    m->rules[0].n_sources = 1;
    cr_assert(fw_prefix_parse("10.0.1.0/25", &m->rules[0].sources[0]));
    m->rules[1].action = BUS_POLICY_ACTION_PERMIT;
    world_apply(w, BUS_POLICY_STATE, m);
    world_tables(w);
    first(WORLD_IFL_A, packet_make(buffer, "10.0.1.2", "10.0.2.2", FLOW_PROTO_UDP, 1, 2010, 60));
    cr_assert_eq(world_counter(w, FLOW_POLICY_DENY), 1);
    first(WORLD_IFL_A, packet_make(buffer, "10.0.1.2", "10.0.2.2", FLOW_PROTO_UDP, 1, 2011, 60));
    first(WORLD_IFL_A, packet_make(buffer, "10.0.1.200", "10.0.2.2", FLOW_PROTO_UDP, 1, 2010, 60));
    first(WORLD_IFL_A, packet_make(buffer, "10.0.1.2", "10.0.2.2", FLOW_PROTO_TCP, 1, 2010, 60));
    cr_assert_eq(world_counter(w, FLOW_POLICY_DENY), 1);
    cr_assert_eq(world_counter(w, FLOW_SESSION_CREATED), 3);
    g_free(m);
}

Test(flow, host_inbound)
{
    const struct seen *s;

    first(WORLD_IFL_A, packet_make(buffer, "10.0.1.2", "10.0.1.1", FLOW_PROTO_ICMP, 0x0800, 9, 84));
    s = world_take(w, w->re, FABRIC_CELL_HOST_IN);
    cr_assert_not_null(s);
    cr_assert_eq(s->cell.ifl, WORLD_IFL_A);
    cr_assert_eq(s->cell.length, 84);
    cr_assert_eq(s->data[8], 64); /* not forwarded: TTL as it came */
    /* the box's other address, too, by the ingress interface's rights */
    first(WORLD_IFL_A, packet_make(buffer, "10.0.1.2", "10.0.2.1", FLOW_PROTO_ICMP, 0x0800, 9, 84));
    cr_assert_not_null(world_take(w, w->re, FABRIC_CELL_HOST_IN));
    first(WORLD_IFL_A, packet_make(buffer, "10.0.1.2", "10.0.1.1", FLOW_PROTO_UDP, 500, 500, 84));
    first(WORLD_IFL_A, packet_make(buffer, "10.0.1.2", "10.0.1.1", FLOW_PROTO_TCP, 5000, 22, 84));
    cr_assert_null(world_take(w, w->re, FABRIC_CELL_HOST_IN));
    cr_assert_eq(world_counter(w, FLOW_HOST_DENIED), 2);
    cr_assert_eq(world_counter(w, FLOW_HOST_DENIED_IKE), 1);
}

Test(flow, host_inbound_of_fragments)
{
    uint32_t bytes = packet_make(buffer, "10.0.1.2", "10.0.1.1", FLOW_PROTO_UDP, 500, 500, 84);

    buffer[6] = 0x20; /* the first of several: its port is read */
    first(WORLD_IFL_A, bytes);
    cr_assert_null(world_take(w, w->re, FABRIC_CELL_HOST_IN));
    cr_assert_eq(world_counter(w, FLOW_HOST_DENIED_IKE), 1);
    buffer[6] = 0;
    buffer[7] = 4; /* a later one says nothing; without the first it is of no use */
    first(WORLD_IFL_A, bytes);
    cr_assert_not_null(world_take(w, w->re, FABRIC_CELL_HOST_IN));
    cr_assert_eq(world_counter(w, FLOW_HOST_DENIED), 1);
}

Test(flow, packets_wait_for_their_neighbour)
{
    struct flow_event event;
    bool asked = false;

    for (unsigned i = 0; i < 6; i++) {
        first(WORLD_IFL_A,
              packet_make(buffer, "10.0.1.2", "10.0.2.9", FLOW_PROTO_UDP, 7, 8, 60 + i));
    }
    cr_assert_eq(world_counter(w, FLOW_NEIGHBOUR_HELD), 4);
    cr_assert_eq(world_counter(w, FLOW_NEIGHBOUR_FULL), 2);
    for (unsigned l = 0; l < 2; l++) {
        while (flow_lane_event_take(&w->lanes[l], &event)) {
            struct fw_addr want = addr("10.0.2.9");

            cr_assert_eq(event.kind, FLOW_EVENT_NEIGHBOUR);
            cr_assert(fw_addr_equal(&event.address, &want));
            cr_assert(!asked);
            asked = true;
        }
    }
    cr_assert(asked);
    world_neighbour(w, WORLD_IFL_B, "10.0.2.9", false);
    world_tables(w);
    for (unsigned i = 0; i < 4; i++) {
        const struct seen *s = world_take(w, w->ioc, FABRIC_CELL_PORT_OUT);

        cr_assert_not_null(s);
        cr_assert_eq(s->cell.length, 74 + i);
        cr_assert(packet_sound(s->data + 14, 60 + i));
    }
    cr_assert_null(world_take(w, w->ioc, FABRIC_CELL_PORT_OUT));
}

Test(flow, ttl_ends_with_an_answer)
{
    uint32_t n = packet_make(buffer, "10.0.1.2", "10.0.2.2", FLOW_PROTO_UDP, 7, 8, 60);
    struct fw_addr own = addr("10.0.1.1");
    const struct seen *s;
    uint16_t sum;

    buffer[8] = 1;
    buffer[10] = buffer[11] = 0;
    sum = flow_checksum(buffer, 20);
    memcpy(buffer + 10, &sum, 2);
    first(WORLD_IFL_A, n);
    cr_assert_eq(world_counter(w, FLOW_TTL), 1);
    s = world_take(w, w->ioc, FABRIC_CELL_PORT_OUT);
    cr_assert_not_null(s);
    cr_assert_eq(s->data[14 + 9], FLOW_PROTO_ICMP);
    cr_assert_eq(s->data[14 + 20], 11);
    cr_assert_eq(memcmp(s->data + 14 + 12, own.bytes, 4), 0);
    cr_assert(packet_sound(s->data + 14, s->cell.length - 14));
    cr_assert_eq(flow_checksum(s->data + 34, s->cell.length - 34), 0);
}

Test(flow, too_big_with_df_tells_the_mtu)
{
    uint32_t n = packet_make(buffer, "10.0.1.2", "10.0.2.2", FLOW_PROTO_UDP, 7, 8, 1600);
    const struct seen *s;

    packet_df(buffer);
    first(WORLD_IFL_A, n);
    cr_assert_eq(world_counter(w, FLOW_MTU), 1);
    s = world_take(w, w->ioc, FABRIC_CELL_PORT_OUT);
    cr_assert_not_null(s);
    cr_assert_eq(s->data[14 + 20], 3);
    cr_assert_eq(s->data[14 + 21], 4);
    cr_assert_eq(s->data[14 + 26] << 8 | s->data[14 + 27], 1500);
}

Test(flow, too_big_without_df_is_fragmented)
{
    uint32_t n = packet_make(buffer, "10.0.1.2", "10.0.2.2", FLOW_PROTO_UDP, 7, 8, 3100);
    uint8_t whole[3100];
    uint32_t have = 20;

    first(WORLD_IFL_A, n);
    for (bool more = true; more;) {
        const struct seen *s = world_take(w, w->ioc, FABRIC_CELL_PORT_OUT);
        const uint8_t *ip;
        uint32_t bytes, at;

        cr_assert_not_null(s);
        ip = s->data + 14;
        bytes = s->cell.length - 14;
        cr_assert_leq(bytes, 1500);
        cr_assert(packet_sound(ip, bytes));
        at = (uint32_t)((ip[6] & 0x1f) << 8 | ip[7]) * 8 + 20;
        more = ip[6] & 0x20;
        cr_assert_leq(at + bytes - 20, sizeof whole);
        memcpy(whole + at, ip + 20, bytes - 20);
        have += bytes - 20;
    }
    cr_assert_eq(have, n);
    cr_assert_eq(memcmp(whole + 20, buffer + 20, n - 20), 0);
}

Test(flow, large_frames_stay_large)
{
    struct fabric_cell cell = {.type = FABRIC_CELL_FIRST,
                               .ifl = WORLD_IFL_A,
                               .flags = FABRIC_FLAG_CSUM,
                               .gso = FABRIC_GSO_TCP4,
                               .gso_size = 1448,
                               .csum_start = 20,
                               .csum_offset = 16,
                               .headers = 40};
    uint32_t n = packet_make(buffer, "10.0.1.2", "10.0.2.2", FLOW_PROTO_TCP, 7, 8, 20000);
    const struct seen *s;

    packet_df(buffer);
    world_inject(w, w->ioc, &cell, buffer, n);
    s = world_take(w, w->ioc, FABRIC_CELL_PORT_OUT);
    cr_assert_not_null(s);
    cr_assert_eq(s->cell.length, n + 14);
    cr_assert_eq(s->cell.gso, FABRIC_GSO_TCP4);
    cr_assert_eq(s->cell.gso_size, 1448);
    cr_assert_eq(s->cell.csum_start, 34);
    cr_assert_eq(s->cell.headers, 54);
    cr_assert(s->cell.flags & FABRIC_FLAG_CSUM);
}

Test(flow, a_session_follows_the_tables)
{
    uint32_t n = packet_make(buffer, "10.0.1.2", "192.0.2.7", FLOW_PROTO_UDP, 7, 8, 60);
    struct bus_policy_state *gone = g_new0(struct bus_policy_state, 1);
    const struct seen *s;

    first(WORLD_IFL_A, n);
    cr_assert_not_null(world_take(w, w->ioc, FABRIC_CELL_PORT_OUT));
    /* Another next hop: the session goes on, to the other neighbour. */
    world_route(w, "192.0.2.0/24", "10.0.2.3", WORLD_IFL_B);
    world_neighbour(w, WORLD_IFL_B, "10.0.2.3", false);
    world_tables(w);
    first(WORLD_IFL_A, n);
    cr_assert_not_null(world_take(w, w->ioc, FABRIC_CELL_PORT_OUT));
    cr_assert_eq(world_counter(w, FLOW_SESSION_CREATED), 1);
    /* No policy: the session ends, the I/O cards forget it. */
    gone->from_zone = 1;
    gone->to_zone = 2;
    gone->gone = true;
    world_apply(w, BUS_POLICY_STATE, gone);
    world_tables(w);
    first(WORLD_IFL_A, n);
    cr_assert_eq(world_counter(w, FLOW_SESSION_INVALID), 1);
    cr_assert_eq(world_counter(w, FLOW_DEFAULT_DENY), 1);
    s = world_take(w, w->ioc, FABRIC_CELL_NP_REMOVE);
    cr_assert_not_null(s);
    g_free(gone);
}

Test(flow, a_card_that_is_gone_takes_no_packets)
{
    struct bus_fpc_state ioc = {
        .slot = WORLD_IOC, .kind = BUS_BOARD_KIND_IOC, .online = false, .generation = 1};

    world_apply(w, BUS_FPC_STATE, &ioc);
    world_tables(w);
    first(WORLD_IFL_A, packet_make(buffer, "10.0.1.2", "10.0.2.2", FLOW_PROTO_UDP, 7, 8, 60));
    cr_assert_eq(world_counter(w, FLOW_CARD_OFFLINE), 1);
}

Test(flow, a_session_whose_owner_is_gone_is_given_to_another)
{
    struct bus_fpc_state other = {.slot = 3,
                                  .kind = BUS_BOARD_KIND_SPC,
                                  .online = true,
                                  .generation = 1,
                                  .spus = 4,
                                  .threads = 64};

    world_apply(w, BUS_FPC_STATE, &other);
    world_tables(w);
    for (uint16_t i = 0; i < 60; i++) { /* to 6 threads here and 256 there */
        first(WORLD_IFL_A, packet_make(buffer, "10.0.1.2", "10.0.2.2", FLOW_PROTO_UDP, i, 8, 60));
    }
    cr_assert_lt(world_counter(w, FLOW_SESSION_CREATED), 30);
    other.online = false;
    world_apply(w, BUS_FPC_STATE, &other);
    world_tables(w);
    for (uint16_t i = 0; i < 60; i++) {
        first(WORLD_IFL_A, packet_make(buffer, "10.0.1.2", "10.0.2.2", FLOW_PROTO_UDP, i, 8, 60));
    }
    cr_assert_eq(world_counter(w, FLOW_SESSION_CREATED), 60);
}

Test(flow, an_interface_without_zone_forwards_nothing)
{
    world_zone(w, WORLD_IFL_B, 0);
    world_permit(w, 1, 0);
    world_tables(w);
    first(WORLD_IFL_A, packet_make(buffer, "10.0.1.2", "10.0.2.2", FLOW_PROTO_UDP, 7, 8, 60));
    cr_assert_eq(world_counter(w, FLOW_NO_ZONE), 1);
    cr_assert_eq(world_counter(w, FLOW_SESSION_CREATED), 0);
}

Test(flow, what_is_malformed_is_counted)
{
    packet_make(buffer, "10.0.1.2", "10.0.2.2", FLOW_PROTO_UDP, 7, 8, 60);
    first(WORLD_IFL_A, 40); /* shorter than its length says */
    buffer[0] = 0x44;
    first(WORLD_IFL_A, 60);
    buffer[0] = 0x35;
    first(WORLD_IFL_A, 60);
    cr_assert_eq(world_counter(w, FLOW_IP_MALFORMED), 3);
    packet_make(buffer, "10.0.1.2", "10.0.2.2", FLOW_PROTO_TCP, 7, 8, 60);
    buffer[3] = 30;
    first(WORLD_IFL_A, 60);
    cr_assert_eq(world_counter(w, FLOW_L4_SHORT), 1);
}

Test(flow, routing_engine_traffic_into_a_tunnel_needs_no_policy_and_gets_its_answer)
{
    struct fabric_cell out = {.type = FABRIC_CELL_HOST_OUT, .out_ifl = WORLD_IFL_ST0};
    uint32_t n = packet_make(buffer, "10.9.0.1", "10.8.0.1", FLOW_PROTO_TCP, 4000, 179, 60);

    world_inject(w, w->re, &out, buffer, n);
    cr_assert_eq(world_counter(w, FLOW_SESSION_CREATED), 1);
    cr_assert_eq(world_counter(w, FLOW_NO_OUTBOUND_SA), 1);
    n = packet_make(buffer, "10.8.0.1", "10.9.0.1", FLOW_PROTO_TCP, 179, 4000, 60);
    struct fabric_cell back = {
        .type = FABRIC_CELL_FIRST, .ifl = WORLD_IFL_ST0, .flags = FABRIC_FLAG_INNER};
    world_inject(w, w->ioc, &back, buffer, n);
    cr_assert_not_null(world_take(w, w->re, FABRIC_CELL_HOST_IN));
}

Test(flow, sessions_age)
{
    struct flow_sessions *s = flow_sessions_new();
    struct flow_session *a = flow_sessions_take(s), *b;
    unsigned wing;

    a->seen_s = 1000;
    a->timeout_s = 600; /* longer than the wheel */
    a->wings[0].hash = a->wings[1].hash = 5;
    a->wings[0].tuple.family = a->wings[1].tuple.family = FW_FAMILY_V4;
    a->wings[0].tuple.source_port = 1;
    a->wings[1].tuple.source_port = 2;
    flow_sessions_insert(s, a);
    cr_assert_eq(flow_sessions_find(s, &a->wings[1].tuple, 5, &wing), a);
    cr_assert_eq(wing, 1);
    cr_assert_null(flow_sessions_expired(s, 1500));
    a->seen_s = 1400;
    cr_assert_null(flow_sessions_expired(s, 1999));
    b = flow_sessions_expired(s, 2001);
    cr_assert_eq(b, a);
    flow_sessions_remove(s, b);
    cr_assert_null(flow_sessions_find(s, &a->wings[0].tuple, 5, &wing));
    cr_assert_null(flow_sessions_expired(s, 2010));
    cr_assert_not(flow_sessions_busy(s));
    flow_sessions_free(s);
}

Test(flow, the_session_table_ends_as_a_counted_drop)
{
    struct flow_sessions *s = flow_sessions_new();

    for (unsigned i = 0; i < FLOW_SESSIONS_MAX; i++) {
        cr_assert_not_null(flow_sessions_take(s));
    }
    cr_assert_null(flow_sessions_take(s));
    flow_sessions_free(s);
}
