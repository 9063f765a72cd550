/*
 * np - the network processor: where does this frame go?
 *
 * One frame in, one cell header or one drop reason out; the order of the
 * decisions is that of docs/internals/contracts.md, "A packet's walk". Every
 * byte of the frame is read through a cursor; what does not add up is dropped
 * and counted by name. L3 cells carry the IP packet without Ethernet header and
 * padding; offsets of the offload move with it.
 *
 * Limits: no VLAN tags; IP multicast and broadcast are not forwarded; at most
 * EXTENSIONS_MAX IPv6 extension headers; fragments go to the central point by
 * their addresses. Lane's thread; pure but for the cache.
 * Standards: RFC 791, RFC 8200, RFC 1122 (source addresses), RFC 3948 (port 4500).
 */
#include <string.h>

#include "firmware/core/cursor.h"
#include "hw/ioc/ioc.h"

const char *const ioc_counter_names[IOC_COUNTERS_N] = {
#define X(name, text) text,
    IOC_COUNTERS(X)
#undef X
};

/* Linux sends no TCP segment below 48 bytes (tcp_min_snd_mss); less only multiplies our work. */
#define GSO_SIZE_MIN 48

#define ETHER_IP4  0x0800
#define ETHER_IP6  0x86dd
#define ETHER_VLAN 0x8100
#define ETHER_QINQ 0x88a8

#define PROTO_HOP_BY_HOP 0
#define PROTO_ICMP       1
#define PROTO_TCP        6
#define PROTO_UDP        17
#define PROTO_ROUTING    43
#define PROTO_FRAGMENT   44
#define PROTO_ESP        50
#define PROTO_ICMP6      58
#define PROTO_OPTIONS    60
#define PROTO_SCTP       132

#define PORT_ESP_UDP     4500 /* RFC 3948 */
#define EXTENSIONS_MAX   8    /* more than any honest sender uses */
#define ND_FIRST         133  /* router solicitation */
#define ND_LAST          137  /* redirect */
#define ANCHOR_SHIFT     20   /* SPI = anchor id << 20 | random */

/* virtio_net_hdr_v1 (little endian in the standard, native on a TAP) */
#define VNET_NEEDS_CSUM  1
#define VNET_DATA_VALID  2
#define VNET_GSO_NONE    0
#define VNET_GSO_TCP4    1
#define VNET_GSO_UDP     3
#define VNET_GSO_TCP6    4
#define VNET_GSO_ECN     0x80

/* ---- offload header ---- */

struct vnet {
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset, buffers;
};
_Static_assert(sizeof(struct vnet) == IOC_VNET_BYTES, "virtio_net_hdr_v1");

bool np_offload_parse(const uint8_t bytes[IOC_VNET_BYTES], uint32_t frame_bytes,
                      struct np_offload *ret)
{
    struct np_offload o = {0};
    struct vnet v;

    memcpy(&v, bytes, sizeof(v));
    switch (v.gso_type & ~VNET_GSO_ECN) {
    case VNET_GSO_NONE:
        o.gso = FABRIC_GSO_NONE;
        break;
    case VNET_GSO_TCP4:
        o.gso = FABRIC_GSO_TCP4;
        break;
    case VNET_GSO_TCP6:
        o.gso = FABRIC_GSO_TCP6;
        break;
    case VNET_GSO_UDP:
        o.gso = FABRIC_GSO_UDP;
        break;
    default:
        return false;
    }
    if (o.gso != FABRIC_GSO_NONE) {
        if (v.gso_size < GSO_SIZE_MIN || v.hdr_len > frame_bytes || !(v.flags & VNET_NEEDS_CSUM)) {
            return false;
        }
        o.gso_size = v.gso_size;
        o.headers = v.hdr_len;
    }
    if (v.flags & VNET_NEEDS_CSUM) {
        if (v.csum_start < IOC_ETHER_BYTES ||
            (uint32_t)v.csum_start + v.csum_offset + 2 > frame_bytes) {
            return false;
        }
        o.csum_start = v.csum_start;
        o.csum_offset = v.csum_offset;
        o.flags = FABRIC_FLAG_CSUM | FABRIC_FLAG_CSUM_GOOD;
    } else if (v.flags & VNET_DATA_VALID) {
        o.flags = FABRIC_FLAG_CSUM_GOOD;
    }
    *ret = o;
    return true;
}

void np_offload_write(const struct fabric_cell *cell, uint8_t ret_bytes[IOC_VNET_BYTES])
{
    struct vnet v = {0};

    if (cell->flags & FABRIC_FLAG_CSUM) {
        v.flags = VNET_NEEDS_CSUM;
        v.csum_start = cell->csum_start;
        v.csum_offset = cell->csum_offset;
    } else if (cell->flags & FABRIC_FLAG_CSUM_GOOD) {
        v.flags = VNET_DATA_VALID;
    }
    switch ((enum fabric_gso)cell->gso) {
    case FABRIC_GSO_NONE:
        break;
    case FABRIC_GSO_TCP4:
        v.gso_type = VNET_GSO_TCP4;
        break;
    case FABRIC_GSO_TCP6:
        v.gso_type = VNET_GSO_TCP6;
        break;
    case FABRIC_GSO_UDP:
        v.gso_type = VNET_GSO_UDP;
        break;
    }
    if (v.gso_type) {
        v.gso_size = cell->gso_size;
        v.hdr_len = cell->headers;
    }
    memcpy(ret_bytes, &v, sizeof(v));
}

/* ---- a packet being looked at ---- */

struct look {
    const struct ioc_table *table;
    struct np_cache *cache;
    const struct ioc_table_port *port;
    struct np_result *ret;
    struct np_tuple tuple;
    struct fw_cursor l4;     /* behind the IP headers */
    uint8_t hop_limit;
    bool fragment;
    bool nd;
};

static bool drop(struct look *l, enum ioc_counter why)
{
    l->ret->counter = why;
    return false;
}

static bool to_host(struct look *l, uint32_t bytes)
{
    l->ret->counter = IOC_NP_HOST;
    l->ret->skip = 0;
    l->ret->cell.type = FABRIC_CELL_HOST_IN;
    l->ret->cell.destination = l->table->host;
    l->ret->cell.flags |= FABRIC_FLAG_L2;
    l->ret->cell.length = bytes;
    return true;
}

static bool to_anchor(struct look *l, uint32_t spi)
{
    const struct ioc_table *t = l->table;
    uint32_t id = spi >> ANCHOR_SHIFT;
    const struct ioc_table_anchor *a = id < t->n_anchors ? &t->anchors[id] : NULL;
    struct fabric_cell *cell = &l->ret->cell;

    if (!a || !a->set || !t->boards[a->endpoint].online) {
        return drop(l, IOC_ESP_ANCHOR);
    }
    l->ret->counter = IOC_NP_DECRYPT;
    cell->type = FABRIC_CELL_DECRYPT;
    cell->destination = a->endpoint;
    cell->spu = a->spu;
    cell->thread = a->thread;
    cell->generation = a->generation;
    return true;
}

static bool to_central_point(struct look *l, enum ioc_counter why)
{
    const struct ioc_table *t = l->table;

    if (!t->has_central_point) {
        return drop(l, IOC_NO_CENTRAL_POINT);
    }
    l->ret->counter = why;
    l->ret->cell.type = FABRIC_CELL_FIRST;
    l->ret->cell.destination = t->central_point;
    l->ret->cell.spu = 0;
    l->ret->cell.thread = 0;
    return true;
}

static bool tuple_is_multicast(uint8_t family, const uint8_t *address)
{
    if (family == FW_FAMILY_V4) {
        return address[0] >= 224; /* class D, class E and the limited broadcast */
    }
    return address[0] == 0xff;
}

static uint16_t checksum(const uint8_t *data, size_t bytes)
{
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < bytes; i += 2) {
        sum += (uint32_t)(data[i] << 8 | data[i + 1]);
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)~sum;
}

/*  0                   1                   2                   3
 * |Version|  IHL  |Type of Service|          Total Length         |
 * |         Identification        |Flags|      Fragment Offset    |
 * |  Time to Live |    Protocol   |         Header Checksum       |
 * |                       Source Address                          |
 * |                    Destination Address                        |   RFC 791, 3.1 */
static bool look_ip4(struct look *l, const uint8_t *packet, uint32_t bytes, uint32_t *ret_bytes)
{
    struct fw_cursor c = fw_cursor(packet, bytes);
    uint8_t first = fw_cursor_u8(&c);
    uint32_t header = (first & 15u) * 4;
    uint16_t total, offset;

    fw_cursor_u8(&c);
    total = fw_cursor_u16(&c);
    fw_cursor_u16(&c);
    offset = fw_cursor_u16(&c);
    l->hop_limit = fw_cursor_u8(&c);
    l->tuple.protocol = fw_cursor_u8(&c);
    fw_cursor_u16(&c);
    fw_cursor_copy(&c, l->tuple.source, 4);
    fw_cursor_copy(&c, l->tuple.destination, 4);
    if (c.failed || first >> 4 != 4 || header < 20 || header > bytes) {
        return drop(l, IOC_IP4_HEADER);
    }
    if (total < header || total > bytes) {
        return drop(l, IOC_IP4_LENGTH);
    }
    if (checksum(packet, header) != 0) {
        return drop(l, IOC_IP4_CHECKSUM);
    }
    if (l->tuple.source[0] >= 224 || l->tuple.source[0] == 127 || l->tuple.source[0] == 0) {
        return drop(l, IOC_IP4_SOURCE);
    }
    l->tuple.family = FW_FAMILY_V4;
    l->fragment = (offset & 0x3fff) != 0; /* more fragments, or an offset */
    l->l4 = fw_cursor(packet + header, total - header);
    *ret_bytes = total;
    return true;
}

/* |Version| Traffic Class |           Flow Label                  |
 * |         Payload Length        |  Next Header  |   Hop Limit   |
 * |                 Source and Destination Address                |   RFC 8200, 3 */
static bool look_ip6(struct look *l, const uint8_t *packet, uint32_t bytes, uint32_t *ret_bytes)
{
    struct fw_cursor c = fw_cursor(packet, bytes);
    uint32_t first = fw_cursor_u32(&c);
    uint16_t payload = fw_cursor_u16(&c);
    uint8_t next = fw_cursor_u8(&c);

    l->hop_limit = fw_cursor_u8(&c);
    fw_cursor_copy(&c, l->tuple.source, 16);
    fw_cursor_copy(&c, l->tuple.destination, 16);
    if (c.failed || first >> 28 != 6) {
        return drop(l, IOC_IP6_HEADER);
    }
    if (payload == 0 || payload > fw_cursor_left(&c)) {
        return drop(l, IOC_IP6_LENGTH);
    }
    if (l->tuple.source[0] == 0xff) {
        return drop(l, IOC_IP6_SOURCE);
    }
    l->tuple.family = FW_FAMILY_V6;
    l->l4 = fw_cursor_sub(&c, payload);
    *ret_bytes = 40u + payload;
    for (unsigned i = 0;; i++) {
        uint32_t length;
        uint8_t header = next;

        if (header == PROTO_FRAGMENT) {
            next = fw_cursor_u8(&l->l4);
            l->fragment = true;
            if (!fw_cursor_take(&l->l4, 7)) {
                return drop(l, IOC_IP6_EXTENSION);
            }
            break;
        }
        if (header != PROTO_HOP_BY_HOP && header != PROTO_ROUTING && header != PROTO_OPTIONS) {
            break;
        }
        next = fw_cursor_u8(&l->l4);
        length = fw_cursor_u8(&l->l4) * 8u + 6u;
        if (!fw_cursor_take(&l->l4, length) || i == EXTENSIONS_MAX) {
            return drop(l, IOC_IP6_EXTENSION);
        }
    }
    l->tuple.protocol = next;
    return true;
}

/* Ports of the tuple; also tells neighbour discovery. False: too short for its protocol. */
static bool look_l4(struct look *l)
{
    struct fw_cursor c = l->l4;

    switch (l->tuple.protocol) {
    case PROTO_TCP:
    case PROTO_UDP:
    case PROTO_SCTP:
        if (fw_cursor_left(&c) < (l->tuple.protocol == PROTO_TCP ? 20u : 8u)) {
            return false;
        }
        l->tuple.source_port = fw_cursor_u16(&c);
        l->tuple.destination_port = fw_cursor_u16(&c);
        return true;
    case PROTO_ICMP:
    case PROTO_ICMP6: {
        uint8_t type = fw_cursor_u8(&c);
        bool six = l->tuple.protocol == PROTO_ICMP6;

        if (fw_cursor_left(&c) < 7) {
            return false;
        }
        l->nd = six && type >= ND_FIRST && type <= ND_LAST && l->hop_limit == 255;
        if (six ? type == 128 || type == 129 : type == 8 || type == 0) {
            fw_cursor_take(&c, 3);
            l->tuple.source_port = l->tuple.destination_port = fw_cursor_u16(&c);
        }
        return true;
    }
    default:
        return true;
    }
}

/* ESP to an own address, plain or in UDP. True: *ret is the answer. */
static bool look_esp(struct look *l, bool *ret)
{
    struct fw_cursor c = l->l4;
    uint32_t spi;

    if (l->tuple.protocol == PROTO_UDP && l->tuple.destination_port == PORT_ESP_UDP) {
        fw_cursor_take(&c, 8);
        if (fw_cursor_left(&c) == 1 && *c.at == 0xff) {
            *ret = drop(l, IOC_ESP_KEEPALIVE);
            return true;
        }
        spi = fw_cursor_u32(&c);
        if (!c.failed && spi == 0) {
            return false; /* non-ESP marker: IKE */
        }
    } else if (l->tuple.protocol == PROTO_ESP) {
        spi = fw_cursor_u32(&c);
    } else {
        return false;
    }
    fw_cursor_u32(&c);
    *ret = c.failed ? drop(l, IOC_ESP_SHORT) : to_anchor(l, spi);
    return true;
}

static bool look_ip(struct look *l, const uint8_t *frame, uint32_t frame_bytes, bool six)
{
    const uint8_t *packet = frame + IOC_ETHER_BYTES;
    struct fabric_cell *cell = &l->ret->cell;
    struct np_cache_hit hit;
    uint32_t bytes;
    bool answer;

    if (six ? !look_ip6(l, packet, frame_bytes - IOC_ETHER_BYTES, &bytes)
            : !look_ip4(l, packet, frame_bytes - IOC_ETHER_BYTES, &bytes)) {
        return false;
    }
    if (l->hop_limit == 0) {
        return drop(l, IOC_IP_TTL);
    }
    if (!l->fragment && !look_l4(l)) {
        return drop(l, IOC_L4_SHORT);
    }
    if (l->nd) {
        return to_host(l, frame_bytes);
    }
    if (tuple_is_multicast(l->tuple.family, l->tuple.destination)) {
        return drop(l, IOC_IP_MULTICAST);
    }
    if (frame[0] & 1) {
        return drop(l, IOC_L2_BROADCAST);
    }
    l->ret->skip = IOC_ETHER_BYTES;
    cell->length = bytes;
    if (cell->flags & FABRIC_FLAG_CSUM) {
        cell->csum_start = (uint16_t)(cell->csum_start - IOC_ETHER_BYTES);
        if ((uint32_t)cell->csum_start + cell->csum_offset + 2 > bytes) {
            return drop(l, IOC_PORT_VNET);
        }
    }
    if (cell->gso != FABRIC_GSO_NONE) {
        cell->headers = cell->headers > IOC_ETHER_BYTES
                            ? (uint16_t)(cell->headers - IOC_ETHER_BYTES)
                            : 0;
    }
    l->tuple.ifl = l->port->ifl;
    if (l->fragment) {
        l->tuple.source_port = l->tuple.destination_port = 0;
        cell->hash = np_tuple_hash(&l->tuple);
        return to_central_point(l, IOC_FRAGMENT);
    }
    cell->hash = np_tuple_hash(&l->tuple);
    if (ioc_table_is_own(l->table, l->tuple.family, l->tuple.destination) &&
        look_esp(l, &answer)) {
        return answer;
    }
    if (np_cache_find(l->cache, &l->tuple, l->table->boards, &hit, &l->ret->stale)) {
        l->ret->counter = IOC_NP_HIT;
        cell->type = FABRIC_CELL_PACKET;
        cell->destination = hit.endpoint;
        cell->spu = hit.spu;
        cell->thread = hit.thread;
        cell->session = hit.session;
        cell->generation = hit.generation;
        return true;
    }
    return to_central_point(l, IOC_NP_FIRST);
}

bool np_classify(const struct ioc_table *table, struct np_cache *cache, unsigned port,
                 const uint8_t *frame, uint32_t bytes, const struct np_offload *offload,
                 struct np_result *ret)
{
    struct look l = {
        .table = table, .cache = cache, .port = &table->ports[port], .ret = ret};
    struct fw_cursor c = fw_cursor(frame, bytes);
    const uint8_t *to = fw_cursor_take(&c, FW_MAC_BYTES);
    uint16_t type;

    memset(ret, 0, sizeof(*ret));
    fw_cursor_take(&c, FW_MAC_BYTES);
    type = fw_cursor_u16(&c);
    if (c.failed) {
        return drop(&l, IOC_L2_SHORT);
    }
    if (!l.port->ifl) {
        return drop(&l, IOC_NO_INTERFACE);
    }
    if (!l.port->ifl_up) {
        return drop(&l, IOC_INTERFACE_DOWN);
    }
    if (!(to[0] & 1) && memcmp(to, l.port->mac, FW_MAC_BYTES) != 0) {
        return drop(&l, IOC_L2_OTHER);
    }
    ret->cell.ifl = l.port->ifl;
    ret->cell.flags = offload->flags;
    ret->cell.gso = offload->gso;
    ret->cell.gso_size = offload->gso_size;
    ret->cell.headers = offload->headers;
    ret->cell.csum_start = offload->csum_start;
    ret->cell.csum_offset = offload->csum_offset;
    switch (type) {
    case ETHER_VLAN:
    case ETHER_QINQ:
        return drop(&l, IOC_L2_VLAN);
    case ETHER_IP4:
        return look_ip(&l, frame, bytes, false);
    case ETHER_IP6:
        return look_ip(&l, frame, bytes, true);
    default:
        return to_host(&l, bytes);
    }
}
