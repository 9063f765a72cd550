/* view - see view.h. */
#include "spc/flow/view.h"

#include <string.h>

#include "firmware/core/cursor.h"
#include "spc/flow/checksum.h"

const char *const flow_counter_names[FLOW_COUNTERS_N] = {
#define X(name, text) [FLOW_##name] = text,
    FLOW_COUNTERS(X)
#undef X
};

static uint32_t mix(uint32_t h)
{
    h ^= h >> 16;
    h *= 0x7feb352du;
    h ^= h >> 15;
    h *= 0x846ca68bu;
    return h ^ h >> 16;
}

uint32_t flow_tuple_hash(const struct np_tuple *tuple)
{
    uint64_t s[2], d[2];
    uint32_t a, b;

    memcpy(s, tuple->source, 16);
    memcpy(d, tuple->destination, 16);
    s[0] ^= s[1] * 0x9e3779b97f4a7c15ull;
    d[0] ^= d[1] * 0x9e3779b97f4a7c15ull;
    a = mix((uint32_t)(s[0] ^ s[0] >> 32) + tuple->source_port * 0x9e3779b1u);
    b = mix((uint32_t)(d[0] ^ d[0] >> 32) + tuple->destination_port * 0x9e3779b1u);
    return mix((a + b) ^ tuple->protocol);
}

struct np_tuple flow_tuple_reverse(const struct np_tuple *tuple)
{
    struct np_tuple r = *tuple;

    memcpy(r.source, tuple->destination, sizeof r.source);
    memcpy(r.destination, tuple->source, sizeof r.destination);
    r.source_port = tuple->destination_port;
    r.destination_port = tuple->source_port;
    return r;
}

static struct fw_addr address(uint8_t family, const uint8_t *bytes)
{
    struct fw_addr a = {.family = family};

    memcpy(a.bytes, bytes, family == FW_FAMILY_V4 ? 4 : 16);
    return a;
}

struct fw_addr flow_tuple_source(const struct np_tuple *tuple)
{
    return address(tuple->family, tuple->source);
}

struct fw_addr flow_tuple_destination(const struct np_tuple *tuple)
{
    return address(tuple->family, tuple->destination);
}

static enum flow_counter view_ports(struct fw_cursor c, struct flow_view *v)
{
    struct np_tuple *t = &v->tuple;

    switch (t->protocol) {
    case FLOW_PROTO_TCP:
        t->source_port = fw_cursor_u16(&c);
        t->destination_port = fw_cursor_u16(&c);
        fw_cursor_take(&c, 9);
        v->tcp_flags = fw_cursor_u8(&c);
        fw_cursor_take(&c, 6);
        break;
    case FLOW_PROTO_UDP:
        t->source_port = fw_cursor_u16(&c);
        t->destination_port = fw_cursor_u16(&c);
        fw_cursor_take(&c, 4);
        break;
    case FLOW_PROTO_ICMP:
    case FLOW_PROTO_ICMP6: {
        bool echo;

        v->icmp_type = fw_cursor_u8(&c);
        fw_cursor_take(&c, 3);
        echo = t->protocol == FLOW_PROTO_ICMP ? v->icmp_type == 0 || v->icmp_type == 8
                                              : v->icmp_type == 128 || v->icmp_type == 129;
        t->source_port = echo ? fw_cursor_u16(&c) : 0;
        t->destination_port = t->source_port;
        break;
    }
    default:
        break;
    }
    return c.failed ? FLOW_L4_SHORT : FLOW_OK;
}

static enum flow_counter view_v4(struct fw_cursor c, uint8_t first, struct flow_view *v)
{
    unsigned header = (first & 15u) * 4;
    uint16_t fragment;
    const uint8_t *addresses;

    v->tos = fw_cursor_u8(&c);
    v->bytes = fw_cursor_u16(&c);
    fw_cursor_u16(&c);
    fragment = fw_cursor_u16(&c);
    v->ttl = fw_cursor_u8(&c);
    v->tuple.protocol = fw_cursor_u8(&c);
    fw_cursor_u16(&c);
    addresses = fw_cursor_take(&c, 8);
    if (c.failed || header < 20 || v->bytes < header || !fw_cursor_take(&c, header - 20) ||
        v->bytes - header > fw_cursor_left(&c)) {
        return FLOW_IP_MALFORMED;
    }
    v->tuple.family = FW_FAMILY_V4;
    memcpy(v->tuple.source, addresses, 4);
    memcpy(v->tuple.destination, addresses + 4, 4);
    v->header = (uint16_t)header;
    v->df = fragment & 0x4000;
    v->fragment = fragment & 0x3fff;
    v->later = fragment & 0x1fff;
    if (v->fragment) {
        return FLOW_OK;
    }
    return view_ports(fw_cursor_sub(&c, v->bytes - header), v);
}

static enum flow_counter view_v6(struct fw_cursor c, uint8_t first, struct flow_view *v)
{
    uint8_t second = fw_cursor_u8(&c);
    const uint8_t *addresses;

    v->tos = (uint8_t)(first << 4 | second >> 4);
    fw_cursor_u16(&c);
    v->bytes = 40u + fw_cursor_u16(&c);
    v->tuple.protocol = fw_cursor_u8(&c);
    v->ttl = fw_cursor_u8(&c);
    addresses = fw_cursor_take(&c, 32);
    if (c.failed || v->bytes - 40 > fw_cursor_left(&c)) {
        return FLOW_IP_MALFORMED;
    }
    v->tuple.family = FW_FAMILY_V6;
    memcpy(v->tuple.source, addresses, 16);
    memcpy(v->tuple.destination, addresses + 16, 16);
    v->header = 40;
    v->df = true;
    switch (v->tuple.protocol) {
    case 0:   /* hop-by-hop options */
    case 43:  /* routing */
    case 44:  /* fragment */
    case 60:  /* destination options */
    case 135: /* mobility */
        return FLOW_IP6_EXTENSION;
    default:
        return view_ports(fw_cursor_sub(&c, v->bytes - 40), v);
    }
}

enum flow_counter flow_view_parse(const uint8_t *data, uint32_t bytes, struct flow_view *ret)
{
    struct fw_cursor c = fw_cursor(data, bytes);
    uint8_t first = fw_cursor_u8(&c);
    enum flow_counter why = FLOW_IP_MALFORMED;

    memset(ret, 0, sizeof *ret);
    if (first >> 4 == 4) {
        why = view_v4(c, first, ret);
    } else if (first >> 4 == 6) {
        why = view_v6(c, first, ret);
    }
    ret->hash = flow_tuple_hash(&ret->tuple);
    return why;
}

void flow_ttl_decrement(uint8_t *packet)
{
    if (packet[0] >> 4 == 4) {
        uint8_t word[2] = {(uint8_t)(packet[8] - 1), packet[9]};
        uint16_t value;

        memcpy(&value, word, 2);
        flow_checksum_replace(packet + 10, packet + 8, value);
    } else {
        packet[7]--;
    }
}
