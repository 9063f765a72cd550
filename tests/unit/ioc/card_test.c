/*
 * card_test - a whole I/O card but for its main program: two lanes, two ports, a services card and
 * a Routing Engine played by the test on the other side of the fabric.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "tests/unit/ioc/frames.h"

#define ENDPOINTS 14
#define IOC       1
#define SPC       4
#define HOST      12
#define IFL       70
#define DEADLINE  (10 * FW_SEC)

static struct ioc *card;
static struct fabric *spc, *host;
static int wire[2]; /* far ends of the ports */
static unsigned acks;

static void on_ack(uint8_t index, uint32_t generation, bool attached, void *data)
{
    (void)index;
    (void)generation;
    (void)attached;
    (void)data;
    acks++;
}

static struct fabric *board(uint8_t index, uint8_t lanes)
{
    struct fabric_config config = {.index = index,
                                   .endpoints = ENDPOINTS,
                                   .lanes = lanes,
                                   .small_buffers = 256u * lanes,
                                   .large_buffers = 8u * lanes,
                                   .acknowledged = on_ack};

    return fabric_new(&config, NULL);
}

static void join(struct fabric *to, struct fabric *peer, uint8_t index, unsigned lanes)
{
    int bells[FABRIC_LANES_MAX];

    for (unsigned l = 0; l < lanes; l++) {
        bells[l] = dup(fabric_doorbell_fd(peer, l));
    }
    cr_assert(fabric_attach(to, index, 1, dup(fabric_outbox_fd(peer)), fabric_outbox_bytes(peer),
                            bells, lanes, NULL));
}

static void turn(void)
{
    fabric_lane_release(fabric_lane(spc, 0));
    fabric_lane_release(fabric_lane(host, 0));
    while (g_main_context_iteration(NULL, FALSE)) {
    }
}

static void tell_fpc(uint32_t generation, bool online)
{
    struct bus_fpc_state m = {.slot = SPC,
                              .index = SPC,
                              .online = online,
                              .generation = generation,
                              .central_point = true};

    ioc_state_fpc(card, &m);
}

/* The lanes have taken the newest snapshot. */
static void settle(void)
{
    int64_t until = fw_clock_ns() + DEADLINE;

    turn();
    for (unsigned l = 0; l < card->n_lanes; l++) {
        while (__atomic_load_n(&card->lanes[l].seen, __ATOMIC_ACQUIRE) != card->table->sequence) {
            cr_assert_lt(fw_clock_ns(), until);
            turn();
        }
    }
}

static void setup(void)
{
    struct bus_board_start *start = g_new0(struct bus_board_start, 1);
    struct bus_ifl_state *ifl = g_new0(struct bus_ifl_state, 1);
    int64_t until = fw_clock_ns() + DEADLINE;
    struct fw_addr own;

    acks = 0;
    card = g_new0(struct ioc, 1);
    card->slot = card->index = IOC;
    card->endpoints = ENDPOINTS;
    card->n_lanes = 2;
    card->n_ports = start->n_ports = 2;
    card->fabric = board(IOC, 2);
    spc = board(SPC, 1);
    host = board(HOST, 1);
    for (unsigned i = 0; i < 2; i++) {
        int fds[2];

        cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds), 0);
        card->ports[i].fd = fds[0];
        card->ports[i].datagram = true;
        card->ports[i].port = (uint8_t)i;
        g_snprintf(card->ports[i].name, sizeof(card->ports[i].name), "xe-1/0/%u", i);
        wire[i] = fds[1];
        start->ports[i].kind = BUS_PORT_KIND_DATAGRAM;
        memcpy(start->ports[i].mac, frame_own_mac, 6);
    }
    ioc_state_new(card, start);
    cr_assert(ioc_lanes_start(card, NULL));
    join(card->fabric, spc, SPC, 1);
    join(card->fabric, host, HOST, 1);
    join(spc, card->fabric, IOC, 2);
    join(host, card->fabric, IOC, 2);
    while (acks < 4) {
        cr_assert_lt(fw_clock_ns(), until);
        turn();
    }
    ifl->kind = BUS_IFL_KIND_ETHER;
    ifl->slot = IOC;
    ifl->up = true;
    ifl->n_addresses = 1;
    cr_assert(fw_addr_parse("192.0.2.1", &own));
    ifl->addresses[0].prefix.addr = own;
    for (uint8_t i = 0; i < 2; i++) {
        ifl->ifl = IFL + i;
        ifl->port = i;
        g_snprintf(ifl->name, sizeof(ifl->name), "xe-1/0/%u.0", i);
        ioc_state_ifl(card, ifl);
    }
    tell_fpc(1, true);
    settle();
    g_free(start);
    g_free(ifl);
}

static void teardown(void)
{
    ioc_lanes_stop(card);
    ioc_state_free(card);
    fabric_free(card->fabric);
    fabric_free(spc);
    fabric_free(host);
    for (unsigned i = 0; i < 2; i++) {
        close(card->ports[i].fd);
        close(wire[i]);
    }
    g_free(card);
}

TestSuite(card, .init = setup, .fini = teardown);

static void put(unsigned port, const struct frame *f)
{
    uint8_t wired[IOC_VNET_BYTES + sizeof(f->data)] = {0};

    memcpy(wired + IOC_VNET_BYTES, f->data, f->bytes);
    cr_assert_eq(send(wire[port], wired, IOC_VNET_BYTES + f->bytes, 0),
                 (ssize_t)(IOC_VNET_BYTES + f->bytes));
}

static void take(struct fabric *at, struct fabric_packet *ret)
{
    int64_t until = fw_clock_ns() + DEADLINE;
    struct fabric_lane *lane = fabric_lane(at, 0);

    fabric_lane_release(lane);
    while (fabric_lane_receive(lane, ret, 1) == 0) {
        cr_assert_lt(fw_clock_ns(), until, "nothing came");
        fabric_lane_wait(lane, NULL, NULL, 0, FW_SEC);
    }
}

static uint64_t counter(const char *name)
{
    struct bus_statistics *s = g_new0(struct bus_statistics, 1);
    uint64_t value = UINT64_MAX;

    ioc_statistics(card, s);
    ioc_port_statistics(card, s);
    for (unsigned i = 0; i < s->n_counters; i++) {
        if (strcmp(s->counters[i].name, name) == 0) {
            value = s->counters[i].value;
        }
    }
    g_free(s);
    cr_assert_neq(value, UINT64_MAX, "no counter %s", name);
    return value;
}

static void counted(const char *name, uint64_t value)
{
    int64_t until = fw_clock_ns() + DEADLINE;

    while (counter(name) != value) {
        cr_assert_lt(fw_clock_ns(), until, "%s is %lu", name, counter(name));
    }
}

Test(card, arp_reaches_the_host_and_flows_the_central_point)
{
    static const uint8_t broadcast[6] = {255, 255, 255, 255, 255, 255};
    struct fabric_packet p;
    struct fw_emit e;
    struct frame f;

    frame_begin(&e, &f, broadcast, 0x0806);
    f.bytes = 60;
    put(1, &f);
    take(host, &p);
    cr_assert_eq(p.cell.type, FABRIC_CELL_HOST_IN);
    cr_assert_eq(p.cell.port, 1);
    cr_assert_eq(p.cell.ifl, IFL + 1);
    cr_assert_eq(p.cell.length, 60);
    cr_assert_eq(memcmp(p.data, f.data, 60), 0);
    frame_udp4(&f, "198.51.100.7", "203.0.113.5", 1000, 2000, "hello", 5);
    put(0, &f);
    take(spc, &p);
    cr_assert_eq(p.cell.type, FABRIC_CELL_FIRST);
    cr_assert_eq(p.cell.ifl, IFL);
    cr_assert_eq(p.cell.length, 33);
    cr_assert_eq(memcmp(p.data, f.data + 14, 33), 0);
    counted("np-to-host", 1);
    counted("xe-1/0/1.input-packets", 1);
    counted("xe-1/0/0.input-bytes", 47);
}

Test(card, sessions_reach_every_lane_and_die_with_their_card)
{
    struct np_session s = {.session = 9, .generation = 2, .thread = 3};
    struct fabric_lane *lane = fabric_lane(spc, 0);
    struct fabric_packet p;
    struct frame f;

    s.tuple.family = FW_FAMILY_V4;
    s.tuple.protocol = 17;
    s.tuple.source_port = 1000;
    s.tuple.destination_port = 2000;
    memcpy(s.tuple.source, "\306\063\144\007", 4);
    memcpy(s.tuple.destination, "\313\000\161\005", 4);
    for (uint16_t i = 0; i < 2; i++) { /* one session for each port, both by the same lane */
        s.tuple.ifl = (uint16_t)(IFL + i);
        cr_assert(fabric_lane_alloc(lane, sizeof(s), &p));
        memcpy(p.room, &s, sizeof(s));
        p.cell.type = FABRIC_CELL_NP_INSTALL;
        p.cell.destination = IOC;
        p.cell.length = sizeof(s);
        cr_assert_eq(fabric_lane_send(lane, &p, 1), 1);
    }
    counted("np-cache-installed", 4);
    frame_udp4(&f, "198.51.100.7", "203.0.113.5", 1000, 2000, "hello", 5);
    for (unsigned i = 0; i < 2; i++) {
        put(i, &f);
        take(spc, &p);
        cr_assert_eq(p.cell.type, FABRIC_CELL_PACKET);
        cr_assert_eq(p.cell.session, 9);
        cr_assert_eq(p.cell.generation, 2);
        cr_assert_eq(p.cell.thread, 3);
        cr_assert_eq(p.cell.ifl, IFL + i);
    }
    tell_fpc(2, true);
    settle();
    put(0, &f);
    take(spc, &p);
    cr_assert_eq(p.cell.type, FABRIC_CELL_FIRST);
    counted("np-cache-owner-gone", 1);
    fabric_lane_release(lane);
    cr_assert(fabric_lane_alloc(lane, 8, &p)); /* too short for a session */
    p.cell.type = FABRIC_CELL_NP_INSTALL;
    p.cell.destination = IOC;
    p.cell.length = 8;
    cr_assert_eq(fabric_lane_send(lane, &p, 1), 1);
    counted("np-install-malformed", 1);
}

static ssize_t wire_read(unsigned port, uint8_t *buffer, size_t size)
{
    struct pollfd p = {wire[port], POLLIN, 0};

    cr_assert_eq(poll(&p, 1, (int)(DEADLINE / FW_MS)), 1, "nothing came");
    return recv(wire[port], buffer, size, 0);
}

static void send_out(uint8_t port, uint32_t bytes, uint8_t gso)
{
    struct fabric_lane *lane = fabric_lane(spc, 0);
    struct fabric_packet p;

    cr_assert(fabric_lane_alloc(lane, bytes, &p));
    memset(p.room, 0x5a, bytes);
    p.cell.type = FABRIC_CELL_PORT_OUT;
    p.cell.destination = IOC;
    p.cell.length = bytes;
    p.cell.port = port;
    p.cell.hash = port;
    if (gso) {
        p.cell.gso = gso;
        p.cell.gso_size = 1448;
        p.cell.headers = 66;
        p.cell.flags = FABRIC_FLAG_CSUM;
        p.cell.csum_start = 34;
        p.cell.csum_offset = 16;
    }
    cr_assert_eq(fabric_lane_send(lane, &p, 1), 1);
}

Test(card, frames_leave_with_their_offload)
{
    static uint8_t buffer[70000];

    send_out(0, 60, 0);
    cr_assert_eq(wire_read(0, buffer, sizeof(buffer)), 72);
    cr_assert_eq(buffer[0], 0);
    cr_assert_eq(buffer[12], 0x5a);
    send_out(1, 40000, FABRIC_GSO_TCP4);
    cr_assert_eq(wire_read(1, buffer, sizeof(buffer)), 40012);
    cr_assert_eq(memcmp(buffer, "\001\001\102\000\250\005\042\000\020\000\000\000", 12), 0);
    cr_assert_eq(buffer[40011], 0x5a);
    send_out(9, 60, 0);
    counted("port-unknown", 1);
    send_out(0, 13, 0);
    counted("port-oversize", 1);
    counted("xe-1/0/1.output-bytes", 40000);
}

Test(card, large_frames_come_in_whole)
{
    static uint8_t wired[IOC_VNET_BYTES + 20000];
    struct fabric_packet p;
    struct frame f;

    frame_ip4(&f, "198.51.100.7", "203.0.113.5", 6, "\003\350\007\320", 4);
    f.data[16] = 19986 >> 8;
    f.data[17] = 19986 & 0xff;
    frame_fix_checksum(&f);
    memset(wired, 0x77, sizeof(wired));
    memcpy(wired, "\001\001\066\000\264\005\042\000\020\000\000\000", 12);
    memcpy(wired + 12, f.data, 38);
    cr_assert_eq(send(wire[0], wired, sizeof(wired), 0), (ssize_t)sizeof(wired));
    take(spc, &p);
    cr_assert_eq(p.cell.length, 19986);
    cr_assert_eq(p.cell.gso, FABRIC_GSO_TCP4);
    cr_assert_eq(p.cell.gso_size, 1460);
    cr_assert_eq(p.cell.csum_start, 20);
    cr_assert_eq(memcmp(p.data, wired + 26, 19986), 0);
}

Test(card, a_link_that_is_down_carries_nothing)
{
    struct bus_port_link down = {.port = 0, .up = false};
    struct fabric_packet p;
    struct frame f;

    ioc_state_link(card, &down);
    settle();
    frame_udp4(&f, "198.51.100.7", "203.0.113.5", 1000, 2000, "hello", 5);
    put(0, &f);
    counted("port-link-down", 1);
    send_out(0, 60, 0);
    counted("port-link-down", 2);
    down.up = true;
    ioc_state_link(card, &down);
    settle();
    put(0, &f);
    take(spc, &p);
    cr_assert_eq(p.cell.type, FABRIC_CELL_FIRST);
}

Test(card, a_capture_ends_with_its_pipe)
{
    struct ioc_capture *capture;
    struct fabric_packet p;
    uint8_t buffer[4096];
    struct pollfd end;
    size_t bytes = 0;
    struct frame f;
    ssize_t n;
    int fds[2];
    int64_t until = fw_clock_ns() + DEADLINE;

    cr_assert_eq(pipe(fds), 0);
    cr_assert_eq(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    capture = ioc_capture_new(5, fds[1], "xe-1/0/0", NULL);
    cr_assert(ioc_state_capture_start(card, 0, 0, capture));
    settle();
    frame_udp4(&f, "198.51.100.7", "203.0.113.5", 1000, 2000, "hello", 5);
    put(0, &f);
    take(spc, &p);
    send_out(0, 60, 0);
    counted("xe-1/0/0.output-packets", 1);
    ioc_state_capture_stop(card, 5);
    do { /* until the writer's end is closed */
        cr_assert_lt(fw_clock_ns(), until);
        end = (struct pollfd){fds[0], POLLIN, 0};
        turn();
        poll(&end, 1, 20);
        n = read(fds[0], buffer + bytes, sizeof(buffer) - bytes);
        bytes += n > 0 ? (size_t)n : 0;
    } while (n != 0);
    close(fds[0]);
    /* head; frame of 47 bytes and padding; frame of 60 */
    cr_assert_eq(bytes, 28 + 20 + 12 + 8 + 4 + (28 + 48 + 16) + (28 + 60 + 16), "%zu", bytes);
}
