/*
 * split - one packet into several: segments of a large frame, IPv4 fragments.
 *
 * A large frame came from a host with segmentation offload; the first header is
 * the pattern of all segments. Pieces are made one after the other and handed
 * on at once, so no list is kept. Standards: RFC 791 (fragments), RFC 9293
 * (sequence numbers, FIN and PSH on the last, CWR on the first segment).
 */
#include <glib.h>
#include <string.h>

#include "spc/flow/checksum.h"
#include "spc/flow/lane.h"

#define TCP_CWR 0x80
#define TCP_PSH 0x08

static uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void put_u16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)get_u16(p) << 16 | get_u16(p + 2);
}

static void put_u32(uint8_t *p, uint32_t v)
{
    put_u16(p, v >> 16);
    put_u16(p + 2, v & 0xffff);
}

bool flow_checksum_complete(struct fabric_packet *p)
{
    uint32_t start = p->cell.csum_start, at = start + p->cell.csum_offset;
    uint16_t sum;

    if (!(p->cell.flags & FABRIC_FLAG_CSUM)) {
        return true;
    }
    p->cell.flags = (uint8_t)(p->cell.flags & ~FABRIC_FLAG_CSUM);
    if (start >= p->cell.length || at + 2 > p->cell.length) {
        return false;
    }
    sum = flow_checksum(p->room + start, p->cell.length - start);
    if (sum == 0) {
        sum = 0xffff; /* 0 would mean "none" to UDP; to others the two are the same */
    }
    memcpy(p->room + at, &sum, 2);
    return true;
}

static void finish_ip(uint8_t *ip, uint32_t bytes)
{
    if (ip[0] >> 4 == 4) {
        uint16_t sum;

        put_u16(ip + 2, bytes);
        put_u16(ip + 10, 0);
        sum = flow_checksum(ip, (ip[0] & 15u) * 4);
        memcpy(ip + 10, &sum, 2);
    } else {
        put_u16(ip + 4, bytes - 40);
    }
}

/* The whole checksum of TCP or UDP, with the pseudo header. */
static void finish_l4(uint8_t *ip, uint32_t header, uint32_t bytes, uint8_t protocol)
{
    uint8_t tail[4] = {0, protocol, (uint8_t)((bytes - header) >> 8), (uint8_t)(bytes - header)};
    unsigned at = header + (protocol == FLOW_PROTO_TCP ? 16 : 6);
    uint64_t sum = ip[0] >> 4 == 4 ? flow_sum(ip + 12, 8, 0) : flow_sum(ip + 8, 32, 0);
    uint16_t folded;

    put_u16(ip + at, 0);
    folded = flow_sum_fold(flow_sum(ip + header, bytes - header, flow_sum(tail, 4, sum)));
    if (folded == 0) {
        folded = 0xffff;
    }
    memcpy(ip + at, &folded, 2);
}

void flow_gso_split(struct flow_thread *t, struct fabric_packet *p, const struct flow_view *v,
                    flow_piece piece, void *data)
{
    bool tcp = p->cell.gso == FABRIC_GSO_TCP4 || p->cell.gso == FABRIC_GSO_TCP6;
    uint8_t protocol = tcp ? FLOW_PROTO_TCP : FLOW_PROTO_UDP;
    uint32_t headers = v->header + 8u, size = p->cell.gso_size, at, n = 0;

    if (tcp && v->bytes >= v->header + 20u) {
        headers = v->header + (p->data[v->header + 12] >> 4) * 4u;
    }
    if (size == 0 || v->fragment || v->tuple.protocol != protocol || headers > v->bytes ||
        headers < v->header + (tcp ? 20u : 8u)) {
        flow_drop(t, p, FLOW_GSO_MALFORMED);
        return;
    }
    flow_count(t->counters, FLOW_GSO_SPLIT, 1);
    for (at = headers; at < v->bytes || n == 0; at += size, n++) {
        uint32_t chunk = MIN(size, v->bytes - at), bytes = headers + chunk;
        bool last = at + chunk == v->bytes;
        struct fabric_packet s;
        uint8_t *ip;

        if (!fabric_lane_alloc(t->lane->fabric, bytes + 64, &s)) {
            flow_count(t->counters, FLOW_NO_BUFFER, 1);
            break;
        }
        s.cell = p->cell;
        s.cell.gso = FABRIC_GSO_NONE;
        s.cell.gso_size = 0;
        s.cell.headers = 0;
        s.cell.flags = (uint8_t)(s.cell.flags & ~FABRIC_FLAG_CSUM);
        s.cell.length = bytes;
        ip = s.room;
        memcpy(ip, p->data, headers);
        memcpy(ip + headers, p->data + at, chunk);
        if (ip[0] >> 4 == 4) {
            put_u16(ip + 4, get_u16(ip + 4) + n);
        }
        if (tcp) {
            uint8_t *l4 = ip + v->header;

            put_u32(l4 + 4, get_u32(l4 + 4) + at - headers);
            if (n > 0) {
                l4[13] &= (uint8_t)~TCP_CWR;
            }
            if (!last) {
                l4[13] &= (uint8_t)~(FLOW_TCP_FIN | TCP_PSH);
            }
        } else {
            put_u16(ip + v->header + 4, bytes - v->header);
        }
        finish_ip(ip, bytes);
        finish_l4(ip, v->header, bytes, protocol);
        piece(t, &s, data);
    }
    fabric_lane_free(t->lane->fabric, p);
}

void flow_fragment(struct flow_thread *t, struct fabric_packet *p, const struct flow_view *v,
                   uint16_t mtu, flow_piece piece, void *data)
{
    uint32_t step = mtu > v->header ? (mtu - v->header) & ~7u : 0;
    uint16_t field = v->tuple.family == FW_FAMILY_V4 ? get_u16(p->data + 6) : 0;

    if (step == 0 || v->tuple.family != FW_FAMILY_V4 ||
        !flow_own(t, p, 0)) {
        flow_drop(t, p, FLOW_MTU);
        return;
    }
    if (!flow_checksum_complete(p)) {
        flow_drop(t, p, FLOW_GSO_MALFORMED);
        return;
    }
    flow_count(t->counters, FLOW_FRAGMENTED, 1);
    for (uint32_t at = v->header; at < v->bytes; at += step) {
        uint32_t chunk = MIN(step, v->bytes - at);
        bool last = at + chunk == v->bytes;
        struct fabric_packet f;

        if (!fabric_lane_alloc(t->lane->fabric, v->header + chunk + 64, &f)) {
            flow_count(t->counters, FLOW_NO_BUFFER, 1);
            break;
        }
        f.cell = p->cell;
        f.cell.length = v->header + chunk;
        memcpy(f.room, p->room, v->header);
        memcpy(f.room + v->header, p->room + at, chunk);
        put_u16(f.room + 6, ((field & 0x1fff) + (at - v->header) / 8) |
                                (last ? field & 0x2000 : 0x2000));
        finish_ip(f.room, f.cell.length);
        piece(t, &f, data);
    }
    fabric_lane_free(t->lane->fabric, p);
}
