/* packet - see packet.h. */
#include "tests/unit/spc/packet.h"

#include <glib.h>
#include <string.h>

#include "spc/flow/checksum.h"

struct fw_addr addr(const char *text)
{
    struct fw_addr a;

    g_assert(fw_addr_parse(text, &a));
    return a;
}

static void put16(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static uint16_t l4_sum(const uint8_t *ip, uint32_t bytes)
{
    uint32_t header = (ip[0] & 15u) * 4;
    uint8_t tail[4] = {0, ip[9], (uint8_t)((bytes - header) >> 8), (uint8_t)(bytes - header)};
    uint64_t sum = ip[9] == FLOW_PROTO_ICMP ? 0 : flow_sum(tail, 4, flow_sum(ip + 12, 8, 0));

    return flow_sum_fold(flow_sum(ip + header, bytes - header, sum));
}

uint32_t packet_make(uint8_t *p, const char *source, const char *destination, uint8_t protocol,
                     uint16_t source_port, uint16_t destination_port, uint32_t bytes)
{
    struct fw_addr s = addr(source), d = addr(destination);
    unsigned sum_at = 0;
    uint16_t sum;

    memset(p, 0, bytes);
    p[0] = 0x45;
    put16(p + 2, bytes);
    put16(p + 4, 77);
    p[8] = 64;
    p[9] = protocol;
    memcpy(p + 12, s.bytes, 4);
    memcpy(p + 16, d.bytes, 4);
    sum = flow_checksum(p, 20);
    memcpy(p + 10, &sum, 2);
    for (uint32_t i = 40; i < bytes; i++) {
        p[i] = (uint8_t)(i * 7);
    }
    put16(p + 20, source_port);
    put16(p + 22, protocol == FLOW_PROTO_ICMP ? 0 : destination_port);
    if (protocol == FLOW_PROTO_UDP) {
        put16(p + 24, bytes - 20);
        sum_at = 26;
    } else if (protocol == FLOW_PROTO_TCP) {
        p[32] = 0x50;
        p[33] = FLOW_TCP_ACK;
        sum_at = 36;
    } else if (protocol == FLOW_PROTO_ICMP) {
        put16(p + 24, destination_port);
        sum_at = 22;
    }
    if (sum_at) {
        sum = l4_sum(p, bytes);
        memcpy(p + sum_at, &sum, 2);
    }
    return bytes;
}

void packet_df(uint8_t *p)
{
    uint16_t sum;

    p[6] |= 0x40;
    put16(p + 10, 0);
    sum = flow_checksum(p, 20);
    memcpy(p + 10, &sum, 2);
}

bool packet_sound(const uint8_t *p, uint32_t bytes)
{
    if (bytes < 20 || (uint32_t)(p[2] << 8 | p[3]) != bytes || flow_checksum(p, 20) != 0) {
        return false;
    }
    if ((p[6] & 0x3f) || p[7] || (p[9] != FLOW_PROTO_TCP && p[9] != FLOW_PROTO_UDP)) {
        return true;
    }
    return l4_sum(p, bytes) == 0;
}
