/*
 * transport_test - datagrams, the gateway, threads and waiting.
 */
#include "tests/unit/fabric/pair.h"

/* ---- datagrams ---- */

static void datagram_pair(uint8_t lanes_b, uint32_t pps)
{
    GError *error = NULL;
    int fds[2];

    make(&a, 1, 1, 64);
    make(&b, 2, lanes_b, 64u * lanes_b);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds), 0);
    cr_assert(fabric_attach_datagram(a.fabric, 2, 1, fds[0], lanes_b, 0, &error));
    cr_assert(fabric_attach_datagram(b.fabric, 1, 1, fds[1], 1, pps, &error));
    serve(&a);
    serve(&b);
    cr_assert_eq(a.acks, 1);
}

Test(transport, cells_pass_as_datagrams, .fini = finish)
{
    struct fabric_packet p;

    datagram_pair(1, 0);
    cr_assert(send_one(&a, 0, 2, 1000, 0x44));
    cr_assert(send_one(&a, 0, 2, 0, 0x45));
    cr_assert(send_one(&a, 0, 2, 60000, 0x46));
    cr_assert_eq(receive_one(&b, 0, &p), 1);
    cr_assert_eq(p.cell.trace, 0x44);
    cr_assert_eq(p.cell.source, 1);
    cr_assert_eq(p.data[999], 0x44);
    cr_assert_eq(receive_one(&b, 0, &p), 1);
    cr_assert_eq(p.cell.length, 0);
    cr_assert_eq(receive_one(&b, 0, &p), 1);
    cr_assert_eq(p.cell.length, 60000);
    cr_assert_eq(p.data[59999], 0x46);
    cr_assert_eq(receive_one(&b, 0, &p), 0);
    cr_assert(send_one(&b, 0, 1, 10, 1));
    cr_assert_eq(receive_one(&a, 0, &p), 1);
}

Test(transport, datagrams_reach_the_right_lane, .fini = finish)
{
    struct fabric_packet p;

    datagram_pair(2, 0);
    cr_assert(fabric_lane_alloc(fabric_lane(a.fabric, 0), 5, &p));
    p.cell.type = FABRIC_CELL_FLOW;
    p.cell.destination = 2;
    p.cell.thread = 1;
    p.cell.length = 5;
    memcpy(p.room, "hello", 5);
    cr_assert_eq(fabric_lane_send(fabric_lane(a.fabric, 0), &p, 1), 1);
    cr_assert_eq(receive_one(&b, 0, &p), 0); /* handed on */
    cr_assert_eq(receive_one(&b, 1, &p), 1);
    cr_assert_eq(p.cell.source, 1);
    cr_assert_eq(memcmp(p.data, "hello", 5), 0);
}

Test(transport, datagrams_are_policed, .fini = finish)
{
    struct fabric_packet p[FABRIC_BURST];
    struct fabric_counters c;
    unsigned n;

    datagram_pair(1, 100); /* ten at once */
    for (unsigned i = 0; i < 40; i++) {
        cr_assert(send_one(&a, 0, 2, 10, i));
    }
    n = fabric_lane_receive(fabric_lane(b.fabric, 0), p, FABRIC_BURST);
    fabric_lane_counters(b.fabric, 0, &c);
    cr_assert_eq(n + c.policed, 40);
    cr_assert_geq(n, 10);
    cr_assert_geq(c.policed, 1);
}

Test(transport, a_short_datagram_is_a_fault, .fini = finish)
{
    struct fabric_packet p;
    GError *error = NULL;
    int fds[2];

    make(&b, 2, 1, 64);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
    cr_assert(fabric_attach_datagram(b.fabric, 1, 1, fds[1], 1, 0, &error));
    serve(&b);
    cr_assert_eq(send(fds[0], "nonsense", 8, 0), 8);
    cr_assert_eq(receive_one(&b, 0, &p), 0);
    cr_assert_eq(b.faults, 1);
    close(fds[0]);
}

/* ---- the gateway ---- */

Test(transport, the_gateway_passes_cells_of_others, .fini = finish)
{
    struct fabric_packet in, out;
    struct side gateway;

    make(&a, 1, 1, 64);
    make(&b, 2, 1, 64);
    make(&gateway, ENDPOINTS - 1, 1, 64);
    attach_one(&a, &gateway, ENDPOINTS - 1, 1);
    attach_one(&b, &gateway, ENDPOINTS - 1, 1);
    attach_one(&gateway, &a, 1, 1);
    attach_one(&gateway, &b, 2, 1);
    fabric_route_via(a.fabric, 2, ENDPOINTS - 1);
    cr_assert(send_one(&a, 0, 2, 10, 5));
    cr_assert_eq(receive_one(&gateway, 0, &in), 1);
    cr_assert_eq(in.cell.destination, 2);
    cr_assert(fabric_lane_alloc(fabric_lane(gateway.fabric, 0), 10, &out));
    out.cell = in.cell;
    memcpy(out.room, in.data, 10);
    cr_assert_eq(fabric_lane_send(fabric_lane(gateway.fabric, 0), &out, 1), 1);
    fabric_lane_release(fabric_lane(gateway.fabric, 0));
    cr_assert_eq(receive_one(&b, 0, &in), 1);
    cr_assert_eq(in.cell.source, 1);
    cr_assert_eq(in.cell.hops, 1);
    cr_assert_eq(b.faults, 0);
    fabric_free(gateway.fabric);
}

/* ---- threads ---- */

#define STREAM 200000u
static uint32_t produced = UINT32_MAX; /* how many were sent, once that is known */

static gpointer producer(gpointer data)
{
    struct fabric_lane *lane = fabric_lane(a.fabric, 0);
    struct fabric_packet burst[FABRIC_BURST];
    int64_t until = fw_clock_ns() + DEADLINE;
    uint32_t next = 0, sent = 0;

    (void)data;
    while (next < STREAM && fw_clock_ns() < until) {
        unsigned n = 0;

        while (n < FABRIC_BURST && next + n < STREAM &&
               fabric_lane_alloc(lane, sizeof(uint32_t), &burst[n])) {
            uint32_t value = next + n;

            burst[n].cell.type = FABRIC_CELL_PORT_OUT;
            burst[n].cell.destination = 2;
            burst[n].cell.length = sizeof(value);
            memcpy(burst[n].room, &value, sizeof(value));
            n++;
        }
        next += n;
        sent += fabric_lane_send(lane, burst, n);
        fabric_lane_release(lane);
        if (next % 7 == 0) {
            fabric_lane_wait(lane, NULL, NULL, 0, 1000); /* let the other end fall asleep */
        }
    }
    __atomic_store_n(&produced, sent, __ATOMIC_RELEASE);
    fabric_lane_wake(b.fabric, 0);
    return NULL;
}

Test(transport, threads_lose_and_reorder_nothing_that_was_sent, .fini = finish)
{
    struct fabric_lane *lane;
    struct fabric_packet burst[FABRIC_BURST];
    int64_t until = fw_clock_ns() + DEADLINE;
    uint32_t next = 0, received = 0;
    GThread *thread;

    pair(1, 1, 1024);
    lane = fabric_lane(b.fabric, 0);
    thread = g_thread_new("producer", producer, NULL);
    while (received != __atomic_load_n(&produced, __ATOMIC_ACQUIRE) && fw_clock_ns() < until) {
        unsigned n = fabric_lane_receive(lane, burst, FABRIC_BURST);

        for (unsigned i = 0; i < n; i++) {
            uint32_t value;

            memcpy(&value, burst[i].data, sizeof(value));
            if (value < next) {
                cr_assert_fail("%u behind %u", value, next);
            }
            next = value + 1;
            received++;
        }
        fabric_lane_release(lane);
        if (n == 0) {
            /* A lost wake-up would cost the deadline. */
            fabric_lane_wait(lane, NULL, NULL, 0, DEADLINE);
        }
    }
    g_thread_join(thread);
    cr_assert_eq(received, produced);
    cr_assert_gt(received, STREAM / 10);
    cr_assert_eq(b.faults, 0);
}

Test(transport, wait_tells_which_descriptor_is_ready, .fini = finish)
{
    bool ready[2] = {true, true};
    int fds[2][2], watch[2];

    make(&a, 1, 1, 64);
    cr_assert_eq(pipe(fds[0]), 0);
    cr_assert_eq(pipe(fds[1]), 0);
    watch[0] = fds[0][0];
    watch[1] = fds[1][0];
    cr_assert_eq(write(fds[1][1], "x", 1), 1);
    fabric_lane_wait(fabric_lane(a.fabric, 0), watch, ready, 2, DEADLINE);
    cr_assert_not(ready[0]);
    cr_assert(ready[1]);
    fabric_lane_wake(a.fabric, 0);
    fabric_lane_wait(fabric_lane(a.fabric, 0), watch, ready, 1, DEADLINE);
    cr_assert_not(ready[0]);
    for (unsigned i = 0; i < 2; i++) {
        close(fds[i][0]);
        close(fds[i][1]);
    }
}
