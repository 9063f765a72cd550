/* split_test - large frames into segments, checksums completed, fragments of fragments. */
#include <criterion/criterion.h>

#include "spc/flow/checksum.h"
#include "tests/unit/spc/world.h"

static struct world *w;
static uint8_t whole[FABRIC_LARGE_BYTES];
static unsigned n_pieces;
static uint32_t gathered;

static void setup(void)
{
    w = world_new(1, 1, 1);
    world_configure(w);
}

static void teardown(void)
{
    world_free(w);
}

TestSuite(split, .init = setup, .fini = teardown);

static struct fabric_packet load(uint32_t bytes)
{
    struct fabric_packet p;

    cr_assert(fabric_lane_alloc(w->lanes[0].fabric, bytes, &p));
    memcpy(p.room, whole, bytes);
    p.cell.length = bytes;
    return p;
}

/* Segments of a TCP frame of sequence number 1000: payload in order, flags where they belong. */
static void tcp_piece(struct flow_thread *t, struct fabric_packet *p, void *data)
{
    const uint32_t *total = data;
    const uint8_t *tcp = p->room + 20;
    uint32_t payload = p->cell.length - 40;
    bool last = gathered + payload == *total;

    cr_assert(packet_sound(p->room, p->cell.length));
    cr_assert_eq((uint32_t)(tcp[4] << 24 | tcp[5] << 16 | tcp[6] << 8 | tcp[7]), 1000 + gathered);
    cr_assert_eq(p->room[4] << 8 | p->room[5], 77 + (int)n_pieces);
    cr_assert_eq(tcp[13], FLOW_TCP_ACK | (last ? 0x08 | FLOW_TCP_FIN : 0) |
                              (n_pieces == 0 ? 0x80 : 0));
    cr_assert_eq(memcmp(tcp + 20, whole + 40 + gathered, payload), 0);
    cr_assert_eq(p->cell.gso, FABRIC_GSO_NONE);
    cr_assert_not(p->cell.flags & FABRIC_FLAG_CSUM);
    gathered += payload;
    n_pieces++;
    fabric_lane_free(t->lane->fabric, p);
}

Test(split, tcp_segments)
{
    uint32_t n = packet_make(whole, "10.0.1.2", "10.0.2.2", FLOW_PROTO_TCP, 7, 8, 40 + 10000);
    uint32_t total = 10000;
    struct fabric_packet p;
    struct flow_view v;

    whole[26] = 1000 >> 8;
    whole[27] = 1000 & 255;
    whole[33] = FLOW_TCP_ACK | 0x08 | FLOW_TCP_FIN | 0x80;
    p = load(n);
    p.cell.gso = FABRIC_GSO_TCP4;
    p.cell.gso_size = 1448;
    p.cell.flags = FABRIC_FLAG_CSUM;
    cr_assert_eq(flow_view_parse(p.data, n, &v), FLOW_OK);
    flow_gso_split(&w->all[0], &p, &v, tcp_piece, &total);
    cr_assert_eq(gathered, 10000);
    cr_assert_eq(n_pieces, 7);
}

static void udp_piece(struct flow_thread *t, struct fabric_packet *p, void *data)
{
    uint32_t payload = p->cell.length - 28;

    (void)data;
    cr_assert(packet_sound(p->room, p->cell.length));
    cr_assert_eq((uint32_t)(p->room[24] << 8 | p->room[25]), payload + 8);
    cr_assert_eq(memcmp(p->room + 28, whole + 28 + gathered, payload), 0);
    gathered += payload;
    n_pieces++;
    fabric_lane_free(t->lane->fabric, p);
}

Test(split, udp_segments)
{
    uint32_t n = packet_make(whole, "10.0.1.2", "10.0.2.2", FLOW_PROTO_UDP, 7, 8, 28 + 2500);
    struct fabric_packet p = load(n);
    struct flow_view v;

    p.cell.gso = FABRIC_GSO_UDP;
    p.cell.gso_size = 1000;
    cr_assert_eq(flow_view_parse(p.data, n, &v), FLOW_OK);
    flow_gso_split(&w->all[0], &p, &v, udp_piece, NULL);
    cr_assert_eq(gathered, 2500);
    cr_assert_eq(n_pieces, 3);
}

Test(split, nonsense_is_counted)
{
    uint32_t n = packet_make(whole, "10.0.1.2", "10.0.2.2", FLOW_PROTO_TCP, 7, 8, 3000);
    struct fabric_packet p;
    struct flow_view v;

    p = load(n);
    cr_assert_eq(flow_view_parse(p.data, n, &v), FLOW_OK);
    p.cell.gso = FABRIC_GSO_TCP4;
    flow_gso_split(&w->all[0], &p, &v, udp_piece, NULL); /* segment size 0 */
    p = load(n);
    p.cell.gso = FABRIC_GSO_UDP;
    p.cell.gso_size = 1000;
    flow_gso_split(&w->all[0], &p, &v, udp_piece, NULL); /* not UDP */
    whole[32] = 0x10;
    p = load(n);
    p.cell.gso = FABRIC_GSO_TCP4;
    p.cell.gso_size = 1000;
    flow_gso_split(&w->all[0], &p, &v, udp_piece, NULL); /* header of 4 bytes */
    cr_assert_eq(world_counter(w, FLOW_GSO_MALFORMED), 3);
    cr_assert_eq(n_pieces, 0);
}

Test(split, checksum_completion)
{
    uint32_t n = packet_make(whole, "10.0.1.2", "10.0.2.2", FLOW_PROTO_UDP, 7, 8, 101);
    uint8_t pseudo[4] = {0, FLOW_PROTO_UDP, 0, 81};
    struct fabric_packet p;
    uint16_t part;

    /* What a sender leaves: the folded sum of the pseudo header, not complemented. */
    part = (uint16_t)~flow_sum_fold(flow_sum(pseudo, 4, flow_sum(whole + 12, 8, 0)));
    memcpy(whole + 26, &part, 2);
    p = load(n);
    p.cell.flags = FABRIC_FLAG_CSUM;
    p.cell.csum_start = 20;
    p.cell.csum_offset = 6;
    cr_assert(flow_checksum_complete(&p));
    cr_assert(packet_sound(p.room, n));
    cr_assert_eq(p.cell.flags, 0);
    p.cell.flags = FABRIC_FLAG_CSUM;
    p.cell.csum_start = 100;
    cr_assert_not(flow_checksum_complete(&p));
    fabric_lane_free(w->lanes[0].fabric, &p);
}
