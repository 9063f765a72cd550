/*
 * ifd_test - vc-ifd on a bench: this process plays supervisor, mgd, hwd and one I/O card.
 *
 * In a network namespace of its own; skipped where none can be made. Packets go through the real
 * fabric and the real kernel: ARP, echo, neighbours, and silence of IPv6.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/if_arp.h>
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/bus/bus.h"
#include "firmware/core/clock.h"
#include "firmware/core/mac.h"
#include "firmware/fabric/fabric.h"
#include "messages.h" /* generated */
#include "tests/unit/conf_put.h"

#define DEADLINE_NS (20 * FW_SEC)
#define IOC_SLOT    1
#define SPC_SLOT    0
#define RE_INDEX    12
#define ENDPOINTS   14

static const char config[] =
    "interfaces interface=xe-1/0/0 unit=0 family inet address=10.1.1.1/24\n"
    "interfaces interface=st0 unit=0 family inet address=10.255.0.1/30\n"
    "routing-options static route=10.2.2.0/24 next-hop+st0.0\n"
    "security zones security-zone=trust host-inbound-traffic system-services=ping\n"
    "security zones security-zone=trust interfaces=xe-1/0/0.0\n";

static pid_t ifd;
static struct bus_router *router;
static struct bus_conn *mgd, *world, *hwd;
static struct fabric *fabrics[2]; /* by slot: services card, I/O card */
static struct fabric_lane *lane;  /* of the I/O card */
static unsigned attached_there;   /* bit per slot */
static bool applied;
static struct bus_ifl_state port, tunnel;
static struct bus_neighbour_state neighbour;
static struct bus_route_state route;
static uint8_t frame[2048]; /* last one out */
static struct fabric_cell cell;
static size_t frame_len;

/* ------------------------------------------------------------------ mgd */

static void answered(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                     const GError *error, void *data)
{
    applied = !error && header->type == BUS_CONFIG_VERDICT;
}

static void tree_send(void)
{
    struct conf_node *root = conf_from(config);
    GByteArray *bytes = conf_serialise(root);
    struct bus_config_begin begin = {1, BUS_COMMIT_PHASE_APPLY, bytes->len};
    g_autofree struct bus_config_chunk *chunk = g_new0(struct bus_config_chunk, 1);
    struct bus_config_end end = {1};
    uint16_t to = BUS_RE(BUS_ROLE_IFD);

    chunk->transaction = 1;
    chunk->data.len = (uint16_t)bytes->len;
    memcpy(chunk->data.data, bytes->data, bytes->len);
    bus_call(mgd, to, BUS_CONFIG_BEGIN, &begin, 0, answered, NULL);
    bus_call(mgd, to, BUS_CONFIG_CHUNK, chunk, 0, answered, NULL);
    bus_call(mgd, to, BUS_CONFIG_END, &end, 0, answered, NULL);
    g_byte_array_unref(bytes);
    conf_free(root);
}

static void mgd_message(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                        int *fds, unsigned n_fds, void *data)
{
    if (header->kind == BUS_CALL) {
        bus_reply_ok(conn, header);
    }
    if (header->type == BUS_CONFIG_REGISTER) {
        tree_send();
    }
}

/* ------------------------------------------------------------------ the rest of the chassis */

static void world_message(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                          int *fds, unsigned n_fds, void *data)
{
    const struct bus_ifl_state *state = msg;

    switch (header->type) {
    case BUS_IFL_STATE:
        *(state->kind == BUS_IFL_KIND_TUNNEL ? &tunnel : &port) = *state;
        break;
    case BUS_NEIGHBOUR_STATE:
        neighbour = *(const struct bus_neighbour_state *)msg;
        break;
    case BUS_ROUTE_STATE:
        if (((const struct bus_route_state *)msg)->prefix.len == 24 &&
            fw_addr_to_v4(&((const struct bus_route_state *)msg)->prefix.addr) == 0x0a020200) {
            route = *(const struct bus_route_state *)msg;
        }
        break;
    default:
        break;
    }
}

static void hwd_message(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                        int *fds, unsigned n_fds, void *data)
{
    if (header->type == BUS_BOARD_OUTBOX) {
        const struct bus_board_outbox *m = msg;

        cr_assert_eq(n_fds, 2);
        cr_assert(fabric_outbox_check(fds[0], m->bytes, NULL));
        for (uint8_t slot = 0; slot < 2; slot++) {
            struct bus_fabric_attach attach = {.index = slot,
                                               .slot = slot,
                                               .generation = 1,
                                               .lanes = 1,
                                               .bytes = fabric_outbox_bytes(fabrics[slot])};
            int ours[2] = {fabric_outbox_fd(fabrics[slot]), fabric_doorbell_fd(fabrics[slot], 0)};
            int doorbell = dup(fds[1]);

            cr_assert(fabric_attach(fabrics[slot], RE_INDEX, 1, dup(fds[0]), m->bytes, &doorbell,
                                    m->lanes, NULL));
            bus_send_fds(hwd, BUS_RE(BUS_ROLE_IFD), BUS_FABRIC_ATTACH, &attach, ours, 2);
        }
    } else if (header->type == BUS_FABRIC_ACK) {
        const struct bus_fabric_ack *ack = msg;

        attached_there |= ack->attached ? 1u << ack->index : 0;
    }
}

static void closed(struct bus_conn *conn, void *data)
{
}

/* ------------------------------------------------------------------ the card */

/* IPv6 must never leave; everything else is kept for the test to see. */
static void card_turn(struct fabric_lane *own)
{
    struct fabric_packet packets[FABRIC_BURST];
    unsigned n = fabric_lane_receive(own, packets, FABRIC_BURST);

    for (unsigned i = 0; i < n; i++) {
        const struct fabric_packet *p = &packets[i];

        cell = p->cell;
        frame_len = MIN(p->cell.length, sizeof frame);
        memcpy(frame, p->data, frame_len);
        cr_assert_not(p->cell.flags & FABRIC_FLAG_L2 && frame[12] == 0x86 && frame[13] == 0xdd,
                      "the RE spoke IPv6");
    }
    fabric_lane_release(own);
    fabric_lane_wait(own, NULL, NULL, 0, FW_MS);
}

static bool wait_for(bool (*condition)(void))
{
    int64_t until = fw_clock_ns() + DEADLINE_NS;

    while (!condition() && fw_clock_ns() < until) {
        while (g_main_context_iteration(NULL, FALSE)) {
        }
        card_turn(fabric_lane(fabrics[SPC_SLOT], 0));
        card_turn(lane);
    }
    return condition();
}

static void card_send(uint8_t flags, uint16_t ifl, const void *bytes, size_t len)
{
    struct fabric_packet packet;

    cr_assert(fabric_lane_alloc(lane, (uint32_t)len, &packet));
    memcpy(packet.room, bytes, len);
    packet.cell.type = FABRIC_CELL_HOST_IN;
    packet.cell.destination = RE_INDEX;
    packet.cell.flags = flags;
    packet.cell.ifl = ifl;
    packet.cell.length = (uint32_t)len;
    cr_assert_eq(fabric_lane_send(lane, &packet, 1), 1);
    frame_len = 0;
}

/* ------------------------------------------------------------------ set up */

static bool is_up(void)
{
    return applied && attached_there == 3 && port.up && tunnel.ifl != 0 &&
           fabric_attached(fabrics[SPC_SLOT], RE_INDEX) &&
           fabric_attached(fabrics[IOC_SLOT], RE_INDEX);
}

static struct bus_conn *conn_to_router(uint16_t address, const struct bus_handler *handler)
{
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    bus_router_add(router, pair[0], address, 0xffff);
    return bus_conn_new(pair[1], address, handler, NULL);
}

static void spawn(int bus, int supervision)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *directory = g_path_get_dirname(self);
    g_autofree char *program = g_build_filename(directory, "../bin/vc-ifd", NULL);
    char *argv[] = {"vc-ifd", NULL};
    char *environment[] = {"VCHASSIS_NODE=bench", NULL};

    ifd = fork();
    if (ifd == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        bus = fcntl(bus, F_DUPFD, 20);
        supervision = fcntl(supervision, F_DUPFD, 20);
        dup2(bus, 3);
        dup2(supervision, 4);
        execve(program, argv, environment);
        _exit(127);
    }
    cr_assert_gt(ifd, 0);
}

static void cards_announce(void)
{
    struct bus_fpc_state ioc = {.slot = IOC_SLOT,
                                .kind = BUS_BOARD_KIND_IOC,
                                .online = true,
                                .index = IOC_SLOT,
                                .lanes = 1};
    struct bus_fpc_state spc = {
        .slot = SPC_SLOT, .kind = BUS_BOARD_KIND_SPC, .online = true, .central_point = true};

    struct bus_port_state carrier = {.slot = IOC_SLOT, .up = true};

    bus_send(world, BUS_SUBSCRIBERS, BUS_PORT_STATE, &carrier);
    bus_send(world, BUS_SUBSCRIBERS, BUS_FPC_STATE, &ioc);
    bus_send(world, BUS_SUBSCRIBERS, BUS_FPC_STATE, &spc);
}

static void begin(void)
{
    static const struct bus_handler router_handler = {world_message, closed};
    static const struct bus_handler mgd_handler = {mgd_message, closed};
    static const struct bus_handler world_handler = {world_message, closed};
    static const struct bus_handler hwd_handler = {hwd_message, closed};
    static const uint16_t types[] = {BUS_IFL_STATE, BUS_NEIGHBOUR_STATE, BUS_ROUTE_STATE, 0};
    static const uint16_t mgd_types[] = {BUS_ROLE_STATE, 0};
    struct fabric_config own = {
        .endpoints = ENDPOINTS, .lanes = 1, .small_buffers = 256, .large_buffers = 8};
    struct bus_board_start start = {.node = "bench",
                                    .index = RE_INDEX,
                                    .endpoints = ENDPOINTS,
                                    .lanes = 1,
                                    .small_buffers = 256,
                                    .large_buffers = 8};
    int bus[2], supervision[2];

    if (unshare(CLONE_NEWNET) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        cr_skip_test("no network namespace: %s", strerror(errno));
    }
    if (access("/dev/net/tun", R_OK | W_OK) != 0) {
        cr_skip_test("/dev/net/tun: %s", strerror(errno));
    }
    router = bus_router_new(&router_handler, NULL);
    mgd = conn_to_router(BUS_RE(BUS_ROLE_MGD), &mgd_handler);
    world = conn_to_router(BUS_RE(BUS_ROLE_CHASSISD), &world_handler);
    bus_subscribe(world, types);
    bus_subscribe(mgd, mgd_types); /* a role is up once it has spoken */
    for (own.index = 0; own.index < 2; own.index++) {
        fabrics[own.index] = fabric_new(&own, NULL);
        cr_assert_not_null(fabrics[own.index]);
    }
    lane = fabric_lane(fabrics[IOC_SLOT], 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, bus), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, supervision), 0);
    spawn(bus[1], supervision[1]);
    close(bus[1]);
    close(supervision[1]);
    bus_router_add(router, bus[0], BUS_RE(BUS_ROLE_IFD), 0xffff);
    hwd = bus_conn_new(supervision[0], BUS_HWD, &hwd_handler, NULL);
    bus_send(hwd, BUS_RE(BUS_ROLE_IFD), BUS_BOARD_START, &start);
    cards_announce();
    cr_assert(wait_for(is_up), "attached %x, port up %d, st0 %u", attached_there, port.up,
              tunnel.ifl);
}

static void end(void)
{
    if (ifd > 0) {
        kill(ifd, SIGKILL);
        waitpid(ifd, NULL, 0);
    }
}

/* ------------------------------------------------------------------ tests */

static const uint8_t alice[6] = {0x02, 0xaa, 0, 0, 0, 1};

static size_t arp_request(uint8_t *f, const uint8_t *sender, uint32_t target)
{
    struct fw_emit e = fw_emit(f, 60);

    fw_emit_bytes(&e, (const uint8_t[]){255, 255, 255, 255, 255, 255}, 6);
    fw_emit_bytes(&e, alice, 6);
    fw_emit_u16(&e, ETHERTYPE_ARP);
    fw_emit_u16(&e, ARPHRD_ETHER);
    fw_emit_u16(&e, ETHERTYPE_IP);
    fw_emit_u8(&e, 6);
    fw_emit_u8(&e, 4);
    fw_emit_u16(&e, ARPOP_REQUEST);
    fw_emit_bytes(&e, alice, 6);
    fw_emit_bytes(&e, sender, 4);
    fw_emit_bytes(&e, (const uint8_t[6]){0}, 6);
    fw_emit_u32(&e, target);
    return fw_emit_len(&e);
}

static uint16_t checksum(const uint8_t *p, size_t len)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < len; i += 2) {
        sum += (uint32_t)p[i] << 8 | p[i + 1];
    }
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

static size_t echo_request(uint8_t *p, uint32_t from, uint32_t to)
{
    struct fw_emit e = fw_emit(p, 28);

    fw_emit_bytes(&e, (const uint8_t[]){0x45, 0, 0, 28, 0, 1, 0, 0, 64, IPPROTO_ICMP, 0, 0}, 12);
    fw_emit_u32(&e, from);
    fw_emit_u32(&e, to);
    fw_emit_bytes(&e, (const uint8_t[]){8, 0, 0, 0, 0x12, 0x34, 0, 1}, 8);
    fw_emit_patch_u16(&e, 10, checksum(p, 20));
    fw_emit_patch_u16(&e, 22, checksum(p + 20, 8));
    return 28;
}

static bool arp_reply_seen(void)
{
    return frame_len >= 42 && frame[12] == 8 && frame[13] == 6 && frame[21] == ARPOP_REPLY;
}

static bool echo_reply_seen(void)
{
    return frame_len >= 42 && frame[12] == 8 && frame[13] == 0 && frame[34] == 0;
}

static bool alice_known(void)
{
    return neighbour.ifl != 0 && fw_addr_to_v4(&neighbour.address) == 0x0a01010a;
}

static bool asks_for_77(void)
{
    return frame_len >= 42 && frame[13] == 6 && frame[21] == ARPOP_REQUEST && frame[41] == 77;
}

static bool st0_up(void)
{
    return tunnel.up;
}

Test(ifd, arp_echo_and_neighbours, .init = begin, .fini = end)
{
    static const uint8_t sender[4] = {10, 1, 1, 10};
    uint8_t bytes[64], mac[6];
    size_t len = arp_request(bytes, sender, 0x0a010101);

    fw_mac_port("bench", IOC_SLOT, 0, 0, mac);
    card_send(FABRIC_FLAG_L2, 0, bytes, len);
    cr_assert(wait_for(arp_reply_seen), "no ARP reply");
    cr_assert_eq(cell.type, FABRIC_CELL_PORT_OUT);
    cr_assert_eq(cell.pic, 0);
    cr_assert_eq(cell.port, 0);
    cr_assert_eq(cell.flags & FABRIC_FLAG_L2, FABRIC_FLAG_L2);
    cr_assert_eq(memcmp(frame, alice, 6), 0);
    cr_assert_eq(memcmp(frame + 6, mac, 6), 0);
    cr_assert_eq(memcmp(port.mac, mac, 6), 0);
    cr_assert(wait_for(alice_known), "neighbour not told");
    cr_assert_eq(memcmp(neighbour.mac, alice, 6), 0);
    cr_assert_eq(neighbour.ifl, port.ifl);

    len = echo_request(bytes, 0x0a01010a, 0x0a010101);
    card_send(0, port.ifl, bytes, len);
    cr_assert(wait_for(echo_reply_seen), "no echo reply");
    cr_assert_eq(frame[14 + 19], 10);
}

Test(ifd, neighbour_request_makes_the_kernel_ask, .init = begin, .fini = end)
{
    struct bus_neighbour_request request = {.ifl = port.ifl, .address = fw_addr_v4(0x0a01014d)};

    frame_len = 0;
    bus_send(world, BUS_SUBSCRIBERS, BUS_NEIGHBOUR_REQUEST, &request);
    cr_assert(wait_for(asks_for_77), "no ARP request");
}

Test(ifd, frames_for_unknown_ports_and_short_cells_are_harmless, .init = begin, .fini = end)
{
    static const uint8_t sender[4] = {10, 1, 1, 10};
    uint8_t bytes[64];
    size_t len = arp_request(bytes, sender, 0x0a010101);

    card_send(FABRIC_FLAG_L2, 999, bytes, 3);
    card_send(0, 999, bytes, 28);
    card_send(0, port.ifl, bytes, 1);
    card_send(FABRIC_FLAG_L2, 0, bytes, len);
    cr_assert(wait_for(arp_reply_seen), "no ARP reply behind the bad ones");
}

Test(ifd, tunnel_state_reaches_st0, .init = begin, .fini = end)
{
    struct bus_tunnel_interface_state state = {.tunnel = 500001, .ifl = tunnel.ifl, .up = true};

    cr_assert_not(tunnel.up);
    cr_assert_eq(route.ifl, tunnel.ifl);
    bus_send(world, BUS_SUBSCRIBERS, BUS_TUNNEL_INTERFACE_STATE, &state);
    cr_assert(wait_for(st0_up));
}

static bool datagram_seen(void)
{
    return frame_len >= 20 && cell.type == FABRIC_CELL_HOST_OUT;
}

Test(ifd, what_the_box_sends_into_st0_goes_to_the_central_point, .init = begin, .fini = end)
{
    struct bus_tunnel_interface_state state = {.tunnel = 500001, .ifl = tunnel.ifl, .up = true};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    bus_send(world, BUS_SUBSCRIBERS, BUS_TUNNEL_INTERFACE_STATE, &state);
    cr_assert(wait_for(st0_up));
    frame_len = 0;
    to.sin_addr.s_addr = htonl(0x0a020207); /* behind the static route by st0.0 */
    cr_assert_eq(sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to), 1);
    cr_assert(wait_for(datagram_seen), "nothing came");
    cr_assert_eq(cell.out_ifl, tunnel.ifl);
    cr_assert_eq(cell.flags & FABRIC_FLAG_L2, 0);
    cr_assert_eq(frame[0] >> 4, 4);
    cr_assert_eq(frame[19], 7);
    cr_assert_eq(frame[15], 1, "the source is st0's address");
    close(fd);
}
