/* traffic_packet - see traffic_packet.h. */
#include "hw/lab/traffic_packet.h"

#include <string.h>

#define MAGIC         0x56435446u /* "VCTF" */
#define ETHERTYPE_IP  0x0800u
#define ETHERTYPE_ARP 0x0806u
#define PROTO_ICMP    1
#define PROTO_UDP     17
#define TTL           64

static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* RFC 1071 sum, not yet folded. */
static uint32_t sum_add(uint32_t sum, const uint8_t *data, size_t len)
{
    size_t n;

    for (n = 0; n + 1 < len; n += 2) {
        sum += (uint32_t)data[n] << 8 | data[n + 1];
    }
    if (n < len) {
        sum += (uint32_t)data[n] << 8;
    }
    return sum;
}

static uint16_t sum_fold(uint32_t sum)
{
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    return (uint16_t)~sum;
}

static uint8_t pattern_byte(uint32_t flow, uint64_t sequence, size_t at)
{
    return (uint8_t)(flow + sequence * 131 + at * 7);
}

/* ---- reading ---- */

static void parse_arp(struct fw_cursor *c, struct traffic_frame *ret)
{
    uint16_t hardware = fw_cursor_u16(c), protocol = fw_cursor_u16(c);
    uint8_t hardware_len = fw_cursor_u8(c), protocol_len = fw_cursor_u8(c);
    uint16_t op = fw_cursor_u16(c);
    uint32_t source, target;

    fw_cursor_copy(c, ret->source_mac, 6);
    source = fw_cursor_u32(c);
    fw_cursor_take(c, 6);
    target = fw_cursor_u32(c);
    if (c->failed || hardware != 1 || protocol != ETHERTYPE_IP || hardware_len != 6 ||
        protocol_len != 4 || (op != 1 && op != 2)) {
        return;
    }
    ret->source = fw_addr_v4(source);
    ret->destination = fw_addr_v4(target);
    ret->kind = op == 1 ? TRAFFIC_ARP_REQUEST : TRAFFIC_ARP_REPLY;
}

static void parse_udp(struct fw_cursor *c, struct traffic_frame *ret)
{
    struct fw_cursor body;
    uint16_t len;
    uint8_t name_len;
    size_t rest;
    const uint8_t *pattern;

    ret->source_port = fw_cursor_u16(c);
    ret->destination_port = fw_cursor_u16(c);
    len = fw_cursor_u16(c);
    fw_cursor_u16(c);
    body = fw_cursor_sub(c, len >= 8 ? len - 8u : 0);
    if (fw_cursor_u32(&body) != MAGIC) {
        return;
    }
    ret->flow = fw_cursor_u32(&body);
    ret->sequence = fw_cursor_u64(&body);
    ret->sent_ns = (int64_t)fw_cursor_u64(&body);
    name_len = fw_cursor_u8(&body);
    if (name_len > TRAFFIC_NAME_MAX || !fw_cursor_copy(&body, ret->name, name_len)) {
        return;
    }
    rest = fw_cursor_left(&body);
    pattern = fw_cursor_take(&body, rest);
    ret->kind = TRAFFIC_FLOW;
    for (size_t n = 0; n < rest; n++) {
        if (pattern[n] != pattern_byte(ret->flow, ret->sequence, n)) {
            ret->kind = TRAFFIC_CORRUPT;
            return;
        }
    }
}

static void parse_icmp(struct fw_cursor *c, struct traffic_frame *ret)
{
    size_t len = fw_cursor_left(c);
    const uint8_t *message = fw_cursor_take(c, len);

    if (len >= 8 && message[0] == 8 && message[1] == 0) {
        ret->kind = TRAFFIC_ECHO_REQUEST;
        ret->icmp = message;
        ret->icmp_len = len;
    }
}

static void parse_ip(struct fw_cursor *c, struct traffic_frame *ret)
{
    const uint8_t *start = c->at;
    uint8_t version_len = fw_cursor_u8(c), protocol;
    uint16_t total, fragment;
    size_t header = (version_len & 15u) * 4u;
    struct fw_cursor body;

    fw_cursor_u8(c);
    total = fw_cursor_u16(c);
    fw_cursor_u16(c);
    fragment = fw_cursor_u16(c);
    fw_cursor_u8(c);
    protocol = fw_cursor_u8(c);
    fw_cursor_u16(c);
    ret->source = fw_addr_v4(fw_cursor_u32(c));
    ret->destination = fw_addr_v4(fw_cursor_u32(c));
    if (c->failed || version_len >> 4 != 4 || header != 20 || total < 20 || (fragment & 0x3fff) ||
        sum_fold(sum_add(0, start, 20)) != 0) {
        return;
    }
    body = fw_cursor_sub(c, total - 20u);
    if (body.failed) {
        return;
    }
    if (protocol == PROTO_UDP) {
        parse_udp(&body, ret);
    } else if (protocol == PROTO_ICMP) {
        parse_icmp(&body, ret);
    }
}

void traffic_frame_parse(const uint8_t *frame, size_t len, struct traffic_frame *ret)
{
    struct fw_cursor c = fw_cursor(frame, len);
    uint16_t type;

    memset(ret, 0, sizeof(*ret));
    fw_cursor_take(&c, TRAFFIC_VNET_BYTES);
    fw_cursor_take(&c, 6);
    fw_cursor_copy(&c, ret->source_mac, 6);
    type = fw_cursor_u16(&c);
    if (c.failed) {
        return;
    }
    if (type == ETHERTYPE_ARP) {
        parse_arp(&c, ret);
    } else if (type == ETHERTYPE_IP) {
        parse_ip(&c, ret);
    }
}

/* ---- writing ---- */

static void emit_ether(struct fw_emit *e, const uint8_t *to, const uint8_t *from, uint16_t type)
{
    fw_emit_reserve(e, TRAFFIC_VNET_BYTES);
    fw_emit_bytes(e, to, 6);
    fw_emit_bytes(e, from, 6);
    fw_emit_u16(e, type);
}

static void emit_ip(struct fw_emit *e, const struct fw_addr *from, const struct fw_addr *to,
                    uint8_t protocol, uint16_t total)
{
    size_t start = fw_emit_len(e);

    fw_emit_u8(e, 0x45);
    fw_emit_u8(e, 0);
    fw_emit_u16(e, total);
    fw_emit_u16(e, 0);
    fw_emit_u16(e, 0x4000); /* do not fragment */
    fw_emit_u8(e, TTL);
    fw_emit_u8(e, protocol);
    fw_emit_u16(e, 0);
    fw_emit_u32(e, fw_addr_to_v4(from));
    fw_emit_u32(e, fw_addr_to_v4(to));
    if (!e->failed) {
        fw_emit_patch_u16(e, start + 10, sum_fold(sum_add(0, e->start + start, 20)));
    }
}

void traffic_arp_emit(struct fw_emit *e, unsigned op, const uint8_t mac[6],
                      const struct fw_addr *own, const uint8_t *target_mac,
                      const struct fw_addr *target)
{
    static const uint8_t nobody[6];

    emit_ether(e, target_mac ? target_mac : broadcast, mac, ETHERTYPE_ARP);
    fw_emit_u16(e, 1);
    fw_emit_u16(e, ETHERTYPE_IP);
    fw_emit_u8(e, 6);
    fw_emit_u8(e, 4);
    fw_emit_u16(e, (uint16_t)op);
    fw_emit_bytes(e, mac, 6);
    fw_emit_u32(e, fw_addr_to_v4(own));
    fw_emit_bytes(e, target_mac ? target_mac : nobody, 6);
    fw_emit_u32(e, fw_addr_to_v4(target));
}

void traffic_echo_emit(struct fw_emit *e, const uint8_t mac[6],
                       const struct traffic_frame *request)
{
    size_t start;

    emit_ether(e, request->source_mac, mac, ETHERTYPE_IP);
    emit_ip(e, &request->destination, &request->source, PROTO_ICMP,
            (uint16_t)(20 + request->icmp_len));
    start = fw_emit_len(e);
    fw_emit_bytes(e, request->icmp, request->icmp_len);
    if (e->failed) {
        return;
    }
    e->start[start] = 0; /* echo reply */
    fw_emit_patch_u16(e, start + 2, 0);
    fw_emit_patch_u16(e, start + 2, sum_fold(sum_add(0, e->start + start, request->icmp_len)));
}

void traffic_flow_emit(struct fw_emit *e, const struct traffic_send *send)
{
    size_t name_len = strnlen(send->name, TRAFFIC_NAME_MAX);
    size_t rest = send->size - (20 + 8 + 25 + name_len);
    uint16_t udp_len = (uint16_t)(send->size - 20);
    uint8_t *pattern;
    size_t start;
    uint32_t sum;
    uint16_t checksum;

    emit_ether(e, send->destination_mac, send->source_mac, ETHERTYPE_IP);
    emit_ip(e, &send->source, &send->destination, PROTO_UDP, send->size);
    start = fw_emit_len(e);
    fw_emit_u16(e, send->source_port);
    fw_emit_u16(e, send->destination_port);
    fw_emit_u16(e, udp_len);
    fw_emit_u16(e, 0);
    fw_emit_u32(e, MAGIC);
    fw_emit_u32(e, send->flow);
    fw_emit_u64(e, send->sequence);
    fw_emit_u64(e, (uint64_t)send->sent_ns);
    fw_emit_u8(e, (uint8_t)name_len);
    fw_emit_bytes(e, send->name, name_len);
    pattern = fw_emit_reserve(e, rest);
    if (!pattern) {
        return;
    }
    for (size_t n = 0; n < rest; n++) {
        pattern[n] = pattern_byte(send->flow, send->sequence, n);
    }
    /* The pseudo header lies in the IP header: addresses, protocol, length. */
    sum = sum_add(PROTO_UDP + (uint32_t)udp_len, e->start + start - 8, 8);
    checksum = sum_fold(sum_add(sum, e->start + start, udp_len));
    fw_emit_patch_u16(e, start + 6, checksum ? checksum : 0xffff);
}
