/*
 * fabric_test - two boards in one process: cells, rings, pools, planes, faults, attachment.
 */
#include "tests/unit/fabric/pair.h"

Test(fabric, one_cell_arrives_whole, .fini = finish)
{
    struct fabric_packet p;

    pair(1, 1, 64);
    cr_assert(send_one(&a, 0, 2, 1000, 0x42));
    cr_assert_eq(receive_one(&b, 0, &p), 1);
    cr_assert_eq(p.cell.version, FABRIC_CELL_VERSION);
    cr_assert_eq(p.cell.source, 1);
    cr_assert_eq(p.cell.destination, 2);
    cr_assert_eq(p.cell.hops, 1);
    cr_assert_eq(p.cell.trace, 0x42);
    cr_assert_eq(p.cell.length, 1000);
    cr_assert_eq(p.data[0], 0x42);
    cr_assert_eq(p.data[999], 0x42);
    cr_assert_null(p.room);
    fabric_lane_release(fabric_lane(b.fabric, 0));
    cr_assert_eq(receive_one(&b, 0, &p), 0);
    cr_assert_eq(a.acks, 1);
    cr_assert_eq(a.last_generation, 7);
    cr_assert(a.last_attached);
}

Test(fabric, sizes_from_nothing_to_large, .fini = finish)
{
    static const uint32_t sizes[] = {0, 1, 63, 64, 65, 1500, 1920, 1921, 2048, 9000, 65535, 66432};
    struct fabric_packet p;

    pair(1, 1, 64);
    for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
        cr_assert(send_one(&a, 0, 2, sizes[i], i + 1), "%u bytes", sizes[i]);
        cr_assert_eq(receive_one(&b, 0, &p), 1, "%u bytes", sizes[i]);
        cr_assert_eq(p.cell.length, sizes[i]);
        for (uint32_t at = 0; at < sizes[i]; at++) {
            if (p.data[at] != i + 1) {
                cr_assert_fail("%u bytes: byte %u", sizes[i], at);
            }
        }
        fabric_lane_release(fabric_lane(b.fabric, 0));
    }
    cr_assert_not(fabric_lane_alloc(fabric_lane(a.fabric, 0), 66433, &p));
}

Test(fabric, payload_grows_into_the_headroom, .fini = finish)
{
    struct fabric_lane *lane;
    struct fabric_packet p;

    pair(1, 1, 64);
    lane = fabric_lane(a.fabric, 0);
    cr_assert(fabric_lane_alloc(lane, 100, &p));
    memset(p.room, 'p', 100);
    p.room -= FABRIC_HEADROOM;
    memset(p.room, 'h', FABRIC_HEADROOM);
    p.cell.type = FABRIC_CELL_PORT_OUT;
    p.cell.destination = 2;
    p.cell.length = 100 + FABRIC_HEADROOM;
    cr_assert_eq(fabric_lane_send(lane, &p, 1), 1);
    cr_assert_eq(receive_one(&b, 0, &p), 1);
    cr_assert_eq(p.data[0], 'h');
    cr_assert_eq(p.data[FABRIC_HEADROOM - 1], 'h');
    cr_assert_eq(p.data[FABRIC_HEADROOM], 'p');
    /* One byte more does not fit and is refused, not sent. */
    cr_assert(fabric_lane_alloc(lane, 100, &p));
    p.room -= p.room - p.data; /* where it was */
    p.room -= 4096;
    p.cell.type = FABRIC_CELL_PORT_OUT;
    p.cell.destination = 2;
    p.cell.length = 1;
    cr_assert_eq(fabric_lane_send(lane, &p, 1), 0);
    cr_assert_eq(b.faults, 0);
}

Test(fabric, own_lanes_are_peers_too, .fini = finish)
{
    struct fabric_packet p;
    struct fabric_lane *lane;

    make(&a, 1, 2, 64);
    lane = fabric_lane(a.fabric, 0);
    cr_assert(fabric_lane_alloc(lane, 10, &p));
    p.cell.type = FABRIC_CELL_FLOW;
    p.cell.destination = 1;
    p.cell.thread = 1; /* lane 1 of 2 */
    p.cell.length = 10;
    cr_assert_eq(fabric_lane_send(lane, &p, 1), 1);
    cr_assert_eq(receive_one(&a, 0, &p), 0);
    cr_assert_eq(receive_one(&a, 1, &p), 1);
    cr_assert_eq(p.cell.source, 1);
}

Test(fabric, a_flow_thread_is_served_by_one_lane, .fini = finish)
{
    struct fabric_packet p;

    pair(2, 3, 512);
    for (unsigned spu = 0; spu < 2; spu++) {
        for (unsigned thread = 0; thread < 7; thread++) {
            for (unsigned hash = 0; hash < 5; hash++) {
                struct fabric_lane *lane = fabric_lane(a.fabric, hash % 2);

                cr_assert(fabric_lane_alloc(lane, 1, &p));
                p.cell.type = FABRIC_CELL_PACKET;
                p.cell.destination = 2;
                p.cell.spu = (uint8_t)spu;
                p.cell.thread = (uint8_t)thread;
                p.cell.hash = hash * 77;
                p.cell.length = 1;
                cr_assert_eq(fabric_lane_send(lane, &p, 1), 1);
                cr_assert_eq(receive_one(&b, fabric_lane_of(spu, thread, 3), &p), 1);
                fabric_lane_release(fabric_lane(b.fabric, fabric_lane_of(spu, thread, 3)));
            }
        }
    }
}

Test(fabric, ring_wraps_many_times, .fini = finish)
{
    struct fabric_packet burst[FABRIC_BURST];
    uint32_t next = 0, expected = 0;

    pair(1, 1, 300);
    for (unsigned turn = 0; turn < 2000; turn++) {
        unsigned n = 0, got;

        while (n < 1 + turn % FABRIC_BURST &&
               fabric_lane_alloc(fabric_lane(a.fabric, 0), 8, &burst[n])) {
            burst[n].cell.type = FABRIC_CELL_PORT_OUT;
            burst[n].cell.destination = 2;
            burst[n].cell.length = 8;
            burst[n].cell.trace = next + n;
            n++;
        }
        n = fabric_lane_send(fabric_lane(a.fabric, 0), burst, n);
        next += n;
        got = fabric_lane_receive(fabric_lane(b.fabric, 0), burst, FABRIC_BURST);
        cr_assert_eq(got, n);
        for (unsigned i = 0; i < got; i++) {
            cr_assert_eq(burst[i].cell.trace, expected + i);
        }
        expected += got;
        fabric_lane_release(fabric_lane(b.fabric, 0));
    }
    cr_assert_gt(next, 20 * FABRIC_RING);
}

Test(fabric, full_ring_drops_and_recovers, .fini = finish)
{
    struct fabric_packet burst[FABRIC_BURST];
    struct fabric_counters c;
    unsigned sent = 0, got = 0, n;

    pair(1, 1, 4096);
    for (unsigned i = 0; i < FABRIC_RING + 50; i++) {
        sent += send_one(&a, 0, 2, 20, i);
    }
    cr_assert_eq(sent, FABRIC_RING);
    fabric_lane_counters(a.fabric, 0, &c);
    cr_assert_eq(c.ring_full, 50);
    while ((n = fabric_lane_receive(fabric_lane(b.fabric, 0), burst, FABRIC_BURST)) > 0) {
        got += n;
        fabric_lane_release(fabric_lane(b.fabric, 0));
    }
    cr_assert_eq(got, FABRIC_RING);
    cr_assert(send_one(&a, 0, 2, 20, 1));
    cr_assert_eq(receive_one(&b, 0, burst), 1);
}

Test(fabric, empty_pool_is_counted_and_refills, .fini = finish)
{
    struct fabric_packet p[40];
    struct fabric_counters c;
    unsigned n = 0;

    pair(1, 1, 32);
    while (n < 40 && fabric_lane_alloc(fabric_lane(a.fabric, 0), 10, &p[n])) {
        n++;
    }
    cr_assert_eq(n, 32);
    fabric_lane_counters(a.fabric, 0, &c);
    cr_assert_eq(c.no_buffer, 1);
    for (unsigned i = 0; i < n; i++) {
        fabric_lane_free(fabric_lane(a.fabric, 0), &p[i]);
    }
    /* Half of a small pool at most is under way to one peer. */
    n = 0;
    for (unsigned i = 0; i < 32; i++) {
        n += send_one(&a, 0, 2, 10, i);
    }
    cr_assert_eq(n, 16);
    while (fabric_lane_receive(fabric_lane(b.fabric, 0), p, 40) > 0) {
        fabric_lane_release(fabric_lane(b.fabric, 0));
    }
    for (n = 0; n < 32; n++) { /* all of them came back */
        cr_assert(fabric_lane_alloc(fabric_lane(a.fabric, 0), 10, &p[n]));
    }
}

Test(fabric, plane_down_stops_both_ends, .fini = finish)
{
    struct fabric_counters c;
    struct fabric_packet p;

    pair(1, 1, 64);
    fabric_planes(a.fabric, 0x2);
    fabric_planes(b.fabric, 0x2);
    cr_assert(send_one(&a, 0, 2, 10, 1));
    cr_assert_eq(receive_one(&b, 0, &p), 1);
    cr_assert_eq(p.cell.plane, 1);
    /* The receiver knows before the sender does. */
    fabric_planes(b.fabric, 0x4);
    cr_assert(send_one(&a, 0, 2, 10, 2));
    cr_assert_eq(receive_one(&b, 0, &p), 0);
    fabric_lane_counters(b.fabric, 0, &c);
    cr_assert_eq(c.plane_down, 1);
    fabric_planes(a.fabric, 0);
    cr_assert_not(send_one(&a, 0, 2, 10, 3));
    fabric_lane_counters(a.fabric, 0, &c);
    cr_assert_eq(c.plane_down, 1);
    cr_assert_eq(b.faults, 0);
}

Test(fabric, too_many_hops_are_dropped, .fini = finish)
{
    struct fabric_lane *lane;
    struct fabric_counters c;
    struct fabric_packet in, out;
    unsigned hops = 0;

    make(&a, 1, 1, 64);
    lane = fabric_lane(a.fabric, 0);
    cr_assert(send_one(&a, 0, 1, 10, 1));
    while (receive_one(&a, 0, &in) == 1) { /* a board that sends everything on to itself */
        hops++;
        cr_assert_leq(hops, FABRIC_HOPS_MAX);
        cr_assert(fabric_lane_alloc(lane, 10, &out));
        out.cell = in.cell;
        fabric_lane_release(lane);
        fabric_lane_send(lane, &out, 1);
    }
    cr_assert_eq(hops, FABRIC_HOPS_MAX);
    fabric_lane_counters(a.fabric, 0, &c);
    cr_assert_eq(c.hop_limit, 1);
}

/* ---- nonsense ---- */

enum damage { OFFSET, LENGTH, SOURCE, DESTINATION, TYPE, VERSION, PLANE };

static void damaged(enum damage what, const char *reason)
{
    struct fabric_packet p, first;
    struct fabric_geometry g;
    struct fabric_cell *cell;
    uint8_t *base;

    pair(1, 1, 64);
    cr_assert(fabric_geometry_compute(1, ENDPOINTS, 1, 64, 4, &g));
    cr_assert(fabric_lane_alloc(fabric_lane(a.fabric, 0), 10, &first));
    /* Buffer 0, colour 0: the payload stands behind the headroom of the first small buffer. */
    base = first.room - FABRIC_HEADROOM - g.small;
    first.cell.type = FABRIC_CELL_PORT_OUT;
    first.cell.destination = 2;
    first.cell.length = 10;
    cr_assert_eq(fabric_lane_send(fabric_lane(a.fabric, 0), &first, 1), 1);
    cell = (struct fabric_cell *)(base + g.rings) +
           (size_t)fabric_geometry_ring(&g, 2, 0, 0) * FABRIC_RING;
    cr_assert_eq(cell->length, 10);
    switch (what) {
    case OFFSET:
        cell->reserved[FABRIC_SLOT_OFFSET] = g.bytes - 4;
        break;
    case LENGTH:
        cell->length = FABRIC_SMALL_BYTES;
        break;
    case SOURCE:
        cell->source = 3;
        break;
    case DESTINATION:
        cell->destination = 1;
        break;
    case TYPE:
        cell->type = 99;
        break;
    case VERSION:
        cell->version = 9;
        break;
    case PLANE:
        cell->plane = 8;
        break;
    }
    cr_assert_eq(receive_one(&b, 0, &p), 0);
    cr_assert_eq(b.faults, 1);
    cr_assert_eq(b.fault_index, 1);
    cr_assert_str_eq(b.fault_reason, reason);
    /* Nothing goes to it or comes from it any more, and it is reported once. */
    fabric_lane_release(fabric_lane(b.fabric, 0));
    cr_assert(send_one(&a, 0, 2, 10, 1));
    cr_assert_eq(receive_one(&b, 0, &p), 0);
    cr_assert_not(send_one(&b, 0, 1, 10, 1));
    cr_assert_eq(b.faults, 1);
}

Test(fabric, bad_offset_is_a_fault, .fini = finish)
{
    damaged(OFFSET, "payload outside the buffers");
}

Test(fabric, bad_length_is_a_fault, .fini = finish)
{
    damaged(LENGTH, "payload outside the buffers");
}

Test(fabric, wrong_source_is_a_fault, .fini = finish)
{
    damaged(SOURCE, "cell source");
}

Test(fabric, wrong_destination_is_a_fault, .fini = finish)
{
    damaged(DESTINATION, "cell destination");
}

Test(fabric, wrong_type_is_a_fault, .fini = finish)
{
    damaged(TYPE, "cell type");
}

Test(fabric, wrong_version_is_a_fault, .fini = finish)
{
    damaged(VERSION, "cell version");
}

Test(fabric, wrong_plane_is_a_fault, .fini = finish)
{
    damaged(PLANE, "cell plane");
}

Test(fabric, a_board_gone_mad_is_noticed, .fini = finish)
{
    struct fabric_packet p;

    pair(1, 1, 64);
    fabric_corrupt(a.fabric);
    cr_assert_eq(receive_one(&b, 0, &p), 0);
    cr_assert_eq(b.faults, 1);
    cr_assert_eq(a.faults, 0);
}

/* ---- attach, detach, seals ---- */

Test(fabric, detach_in_flight_brings_the_buffers_back, .fini = finish)
{
    struct fabric_packet p[64];
    unsigned n;

    pair(1, 1, 64);
    for (unsigned i = 0; i < 20; i++) {
        cr_assert(send_one(&a, 0, 2, 10, i));
    }
    fabric_detach(a.fabric, 2, 9);
    cr_assert_not(fabric_attached(a.fabric, 2));
    serve(&a);
    cr_assert_eq(a.last_generation, 9);
    cr_assert_not(a.last_attached);
    for (n = 0; n < 64; n++) {
        cr_assert(fabric_lane_alloc(fabric_lane(a.fabric, 0), 10, &p[n]));
        memset(p[n].room - 64, 0xee, 74); /* written again */
    }
    /* The other end has not heard of it yet: it finds nothing, and no fault. */
    cr_assert_eq(fabric_lane_receive(fabric_lane(b.fabric, 0), p, 64), 0);
    cr_assert_eq(b.faults, 0);
    fabric_lane_release(fabric_lane(b.fabric, 0));
    cr_assert_not(send_one(&a, 0, 2, 10, 1));
}

Test(fabric, detach_waits_for_the_release, .fini = finish)
{
    struct fabric_packet p;

    pair(1, 1, 64);
    cr_assert(send_one(&a, 0, 2, 10, 0x33));
    cr_assert_eq(receive_one(&b, 0, &p), 1);
    fabric_detach(b.fabric, 1, 9);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    cr_assert_eq(b.acks, 1); /* only the attach */
    cr_assert_eq(p.data[9], 0x33); /* still mapped */
    serve(&b);
    cr_assert_eq(b.acks, 2);
}

Test(fabric, the_same_peer_attaches_again, .fini = finish)
{
    struct fabric_packet p;

    pair(1, 1, 64);
    for (unsigned i = 0; i < 5; i++) {
        cr_assert(send_one(&a, 0, 2, 10, i));
    }
    fabric_detach(b.fabric, 1, 9);
    serve(&b);
    cr_assert_not(send_one(&a, 0, 2, 10, 1)); /* the consumer is gone: detached, not stuck */
    attach_one(&b, &a, 1, 10);
    cr_assert_eq(receive_one(&b, 0, &p), 0);
    cr_assert(send_one(&a, 0, 2, 10, 77));
    cr_assert_eq(receive_one(&b, 0, &p), 1);
    cr_assert_eq(p.cell.trace, 77);
    cr_assert_eq(b.faults, 0);
}

Test(fabric, a_restarted_peer_attaches, .fini = finish)
{
    struct fabric_packet p;

    pair(1, 1, 64);
    for (unsigned i = 0; i < 5; i++) {
        cr_assert(send_one(&a, 0, 2, 10, i));
        cr_assert(send_one(&b, 0, 1, 10, i));
    }
    cr_assert_eq(receive_one(&a, 0, &p), 1);
    fabric_lane_release(fabric_lane(a.fabric, 0));
    /* b dies with cells under way in both directions and comes back with a new outbox. */
    fabric_free(b.fabric);
    make(&b, 2, 1, 64);
    attach_one(&b, &a, 1, 11);
    attach_one(&a, &b, 2, 12);
    cr_assert_eq(receive_one(&a, 0, &p), 0);
    cr_assert_eq(receive_one(&b, 0, &p), 0);
    cr_assert(send_one(&a, 0, 2, 10, 100));
    cr_assert(send_one(&b, 0, 1, 10, 101));
    cr_assert_eq(receive_one(&b, 0, &p), 1);
    cr_assert_eq(p.cell.trace, 100);
    cr_assert_eq(receive_one(&a, 0, &p), 1);
    cr_assert_eq(p.cell.trace, 101);
    cr_assert_eq(a.faults, 0);
    cr_assert_eq(b.faults, 0);
}

static int unsealed(uint32_t bytes, int seals)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    cr_assert_eq(ftruncate(fd, bytes), 0);
    if (seals) {
        cr_assert_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
    }
    return fd;
}

Test(fabric, missing_seals_are_refused, .fini = finish)
{
    GError *error = NULL;
    uint32_t bytes;
    int fd, bell = 0;

    make(&a, 1, 1, 64);
    bytes = fabric_outbox_bytes(a.fabric);
    cr_assert(fabric_outbox_check(fabric_outbox_fd(a.fabric), bytes, &error));
    cr_assert_not(fabric_outbox_check(fabric_outbox_fd(a.fabric), bytes + 4096, &error));
    g_clear_error(&error);
    fd = unsealed(bytes, 0);
    cr_assert_not(fabric_outbox_check(fd, bytes, &error));
    cr_assert_not_null(strstr(error->message, "seals"));
    g_clear_error(&error);
    cr_assert_not(fabric_attach(a.fabric, 2, 1, fd, bytes, &bell, 1, &error));
    g_clear_error(&error);
    close(fd);
    fd = unsealed(bytes, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    cr_assert_not(fabric_outbox_check(fd, bytes, &error));
    g_clear_error(&error);
    close(fd);
    /* All seals, but empty: the header is not one. */
    fd = unsealed(bytes, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | 0x10);
    cr_assert_not(fabric_outbox_check(fd, bytes, &error));
    cr_assert_not_null(strstr(error->message, "header"));
    g_clear_error(&error);
    close(fd);
}

Test(fabric, others_cannot_map_an_outbox_writable, .fini = finish)
{
    int fd;

    make(&a, 1, 1, 64);
    fd = fabric_outbox_fd(a.fabric);
    cr_assert_eq(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    cr_assert_lt(pwrite(fd, "x", 1, 0), 0);
    cr_assert_lt(ftruncate(fd, 0), 0);
}

Test(fabric, an_idle_outbox_stays_small, .fini = finish)
{
    uint32_t bytes, touched = 0;
    unsigned char *pages;
    void *map;

    make(&a, 1, 1, 4096);
    make(&b, 2, 1, 4096);
    attach_one(&a, &b, 2, 7);
    attach_one(&b, &a, 1, 8);
    bytes = fabric_outbox_bytes(a.fabric);
    map = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fabric_outbox_fd(a.fabric), 0);
    pages = g_malloc0(bytes / 4096);
    cr_assert_eq(mincore(map, bytes, pages), 0);
    for (uint32_t i = 0; i < bytes / 4096; i++) {
        touched += pages[i] & 1;
    }
    munmap(map, bytes);
    g_free(pages);
    cr_assert_leq(touched, 5, "%u pages", touched);
}
