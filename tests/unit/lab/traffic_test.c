/*
 * traffic_test - a flow's statistics for every way packets can arrive, and the frames of a traffic
 * host written and read back.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "hw/lab/traffic_flow.h"
#include "hw/lab/traffic_packet.h"

#define MS 1000000

static struct traffic_receiver r;

static void setup(void)
{
    traffic_receiver_init(&r);
}

/* A packet a millisecond, 2 ms on the way. */
static void arrive(uint64_t sequence)
{
    traffic_receiver_note(&r, sequence, (int64_t)sequence * MS, (int64_t)sequence * MS + 2 * MS);
}

Test(traffic, in_order, .init = setup)
{
    for (uint64_t n = 0; n < 100; n++) {
        arrive(n);
    }
    cr_assert_eq(r.received, 100);
    cr_assert_eq(traffic_receiver_lost(&r), 0);
    cr_assert_eq(r.duplicated + r.reordered, 0);
    cr_assert_eq(r.outage_ns, 0);
    cr_assert_eq(r.latency_min_ns, 2 * MS);
    cr_assert_eq(r.latency_max_ns, 2 * MS);
    cr_assert_eq(traffic_receiver_mean_ns(&r), 2 * MS);
}

Test(traffic, loss_and_outage, .init = setup)
{
    arrive(0);
    arrive(1);
    arrive(50);
    cr_assert_eq(traffic_receiver_lost(&r), 48);
    cr_assert_eq(r.outage_ns, 49 * MS);
    arrive(20); /* fills one gap, late */
    cr_assert_eq(traffic_receiver_lost(&r), 47);
    cr_assert_eq(r.reordered, 1);
}

Test(traffic, first_packets_lost_count, .init = setup)
{
    arrive(3);
    cr_assert_eq(traffic_receiver_lost(&r), 3);
    cr_assert_eq(r.outage_ns, 0);
}

Test(traffic, duplicates, .init = setup)
{
    arrive(0);
    arrive(1);
    arrive(1);
    arrive(0);
    cr_assert_eq(r.received, 2);
    cr_assert_eq(r.duplicated, 2);
    cr_assert_eq(r.reordered, 0);
    cr_assert_eq(traffic_receiver_lost(&r), 0);
}

Test(traffic, a_paused_sender_is_no_outage, .init = setup)
{
    traffic_receiver_note(&r, 0, 0, 0);
    traffic_receiver_note(&r, 1, 1000 * MS, 1000 * MS);
    cr_assert_eq(r.outage_ns, 0);
    /* held on the way: one millisecond apart when sent, half a second when it came */
    traffic_receiver_note(&r, 2, 1001 * MS, 1500 * MS);
    cr_assert_eq(r.outage_ns, 499 * MS);
}

Test(traffic, window_forgets_the_old, .init = setup)
{
    arrive(0);
    arrive(TRAFFIC_WINDOW + 10);
    cr_assert_eq(traffic_receiver_lost(&r), TRAFFIC_WINDOW + 9);
    arrive(5); /* below the window: cannot be told */
    cr_assert_eq(r.received, 2);
    cr_assert_eq(r.reordered, 1);
    arrive(11); /* the lowest in the window, and its place was cleared */
    cr_assert_eq(r.received, 3);
    arrive(11);
    cr_assert_eq(r.duplicated, 1);
}

Test(traffic, due)
{
    cr_assert_eq(traffic_due(1000, 0), 1);
    cr_assert_eq(traffic_due(1000, 10 * MS), 11);
    cr_assert_eq(traffic_due(1000, -5), 0);
    cr_assert_eq(traffic_due(3, 1000 * MS), 4);
    cr_assert_eq(traffic_due(10000000, INT64_C(86400) * 1000 * MS), UINT64_C(864000000001));
}

/* ---- frames ---- */

static const uint8_t mac_a[6] = {2, 0, 0, 0, 0, 1}, mac_b[6] = {2, 0, 0, 0, 0, 2};
static uint8_t buffer[TRAFFIC_FRAME_MAX];

static size_t flow_frame(uint16_t size)
{
    struct traffic_send send = {.source = fw_addr_v4(0x0a010101), .destination = fw_addr_v4(
                                    0x0a020202), .source_port = 1000, .destination_port = 2000,
                                .size = size, .flow = 77, .sequence = 123456789012, .sent_ns = 42,
                                .name = "f1"};
    struct fw_emit e = fw_emit(buffer, sizeof(buffer));

    memcpy(send.source_mac, mac_a, 6);
    memcpy(send.destination_mac, mac_b, 6);
    traffic_flow_emit(&e, &send);
    cr_assert(!e.failed);
    return fw_emit_len(&e);
}

Test(traffic, flow_round_trip)
{
    struct traffic_frame frame;
    size_t len = flow_frame(512);

    cr_assert_eq(len, TRAFFIC_VNET_BYTES + 14 + 512);
    traffic_frame_parse(buffer, len, &frame);
    cr_assert_eq(frame.kind, TRAFFIC_FLOW);
    cr_assert_eq(frame.flow, 77);
    cr_assert_eq(frame.sequence, 123456789012);
    cr_assert_eq(frame.sent_ns, 42);
    cr_assert_str_eq(frame.name, "f1");
    cr_assert_eq(frame.source_port, 1000);
    cr_assert_eq(frame.destination_port, 2000);
    cr_assert_eq(fw_addr_to_v4(&frame.destination), 0x0a020202);
}

Test(traffic, a_changed_byte_is_seen)
{
    struct traffic_frame frame;
    size_t len = flow_frame(200);

    buffer[len - 1] ^= 1;
    traffic_frame_parse(buffer, len, &frame);
    cr_assert_eq(frame.kind, TRAFFIC_CORRUPT);
    len = flow_frame(200);
    buffer[TRAFFIC_VNET_BYTES + 14 + 12] ^= 1; /* source address: the header sum is wrong */
    traffic_frame_parse(buffer, len, &frame);
    cr_assert_eq(frame.kind, TRAFFIC_OTHER);
}

Test(traffic, no_prefix_of_a_frame_is_taken)
{
    struct traffic_frame frame;
    size_t len = flow_frame(300);

    for (size_t n = 0; n < len; n++) {
        traffic_frame_parse(buffer, n, &frame);
        cr_assert_eq(frame.kind, TRAFFIC_OTHER);
    }
}

Test(traffic, arp_round_trip)
{
    struct fw_addr own = fw_addr_v4(0x0a010101), target = fw_addr_v4(0x0a010102);
    struct fw_emit e = fw_emit(buffer, sizeof(buffer));
    struct traffic_frame frame;

    traffic_arp_emit(&e, 1, mac_a, &own, NULL, &target);
    cr_assert(!e.failed);
    traffic_frame_parse(buffer, fw_emit_len(&e), &frame);
    cr_assert_eq(frame.kind, TRAFFIC_ARP_REQUEST);
    cr_assert(memcmp(frame.source_mac, mac_a, 6) == 0);
    cr_assert(fw_addr_equal(&frame.source, &own));
    cr_assert(fw_addr_equal(&frame.destination, &target));
    e = fw_emit(buffer, sizeof(buffer));
    traffic_arp_emit(&e, 2, mac_b, &target, mac_a, &own);
    traffic_frame_parse(buffer, fw_emit_len(&e), &frame);
    cr_assert_eq(frame.kind, TRAFFIC_ARP_REPLY);
    cr_assert(memcmp(buffer + TRAFFIC_VNET_BYTES, mac_a, 6) == 0);
}

/* An echo request as ping 10.1.1.10 sent it to a TAP (virtio-net header in front). */
static const uint8_t echo[] = {
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x5d, 0x11, 0x22,
    0x33, 0x44, 0x02, 0x5c, 0x01, 0x01, 0x00, 0x00, 0x08, 0x00, 0x45, 0x00, 0x00, 0x24, 0x12, 0x34,
    0x40, 0x00, 0x40, 0x01, 0x12, 0x99, 0x0a, 0x01, 0x01, 0x01, 0x0a, 0x01, 0x01, 0x0a, 0x08, 0x00,
    0x9f, 0x34, 0x00, 0x07, 0x00, 0x01, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17};

Test(traffic, echo_is_answered)
{
    struct traffic_frame frame, answer;
    struct fw_emit e = fw_emit(buffer, sizeof(buffer));
    uint32_t sum = 0;

    traffic_frame_parse(echo, sizeof(echo), &frame);
    cr_assert_eq(frame.kind, TRAFFIC_ECHO_REQUEST);
    cr_assert_eq(fw_addr_to_v4(&frame.destination), 0x0a01010a);
    traffic_echo_emit(&e, mac_b, &frame);
    cr_assert_eq(fw_emit_len(&e), sizeof(echo));
    traffic_frame_parse(buffer, sizeof(echo), &answer);
    cr_assert_eq(fw_addr_to_v4(&answer.destination), 0x0a010101);
    cr_assert_eq(buffer[46], 0);
    for (size_t n = 46; n < sizeof(echo); n += 2) {
        sum += (uint32_t)buffer[n] << 8 | buffer[n + 1];
    }
    cr_assert_eq((sum & 0xffff) + (sum >> 16), 0xffff);
    cr_assert(memcmp(buffer + 54, echo + 54, 8) == 0);
}
