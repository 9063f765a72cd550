/*
 * frames - Ethernet frames for the tests of the I/O card.
 *
 * Built with the emitter from a few words; the IPv4 header checksum is right.
 */
#ifndef TESTS_IOC_FRAMES_H
#define TESTS_IOC_FRAMES_H

#include <string.h>

#include "firmware/core/addr.h"
#include "firmware/core/emit.h"
#include "hw/ioc/ioc.h"

static const uint8_t frame_own_mac[6] = {0x02, 0x5c, 1, 1, 0, 0};
static const uint8_t frame_peer_mac[6] = {0x02, 0, 0, 0, 0, 9};

struct frame {
    uint8_t data[2048];
    uint32_t bytes;
};

static inline void frame_begin(struct fw_emit *e, struct frame *f, const uint8_t *to,
                               uint16_t type)
{
    memset(f, 0, sizeof(*f));
    *e = fw_emit(f->data, sizeof(f->data));
    fw_emit_bytes(e, to, 6);
    fw_emit_bytes(e, frame_peer_mac, 6);
    fw_emit_u16(e, type);
}

static inline void frame_fix_checksum(struct frame *f)
{
    uint8_t *ip = f->data + 14;
    uint32_t sum = 0;

    ip[10] = ip[11] = 0;
    for (unsigned i = 0; i < (ip[0] & 15u) * 4; i += 2) {
        sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
    }
    while (sum >> 16) {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    ip[10] = (uint8_t)(~sum >> 8);
    ip[11] = (uint8_t)~sum;
}

static inline void frame_addr(struct fw_emit *e, const char *text)
{
    struct fw_addr a;

    if (fw_addr_parse(text, &a)) {
        fw_emit_bytes(e, a.bytes, fw_addr_size(&a));
    }
}

/* payload: what follows the IPv4 header. */
static inline void frame_ip4(struct frame *f, const char *from, const char *to, uint8_t protocol,
                             const void *payload, uint16_t bytes)
{
    struct fw_emit e;

    frame_begin(&e, f, frame_own_mac, 0x0800);
    fw_emit_u8(&e, 0x45);
    fw_emit_u8(&e, 0);
    fw_emit_u16(&e, (uint16_t)(20 + bytes));
    fw_emit_u32(&e, 0x12340000);
    fw_emit_u8(&e, 64);
    fw_emit_u8(&e, protocol);
    fw_emit_u16(&e, 0);
    frame_addr(&e, from);
    frame_addr(&e, to);
    fw_emit_bytes(&e, payload, bytes);
    f->bytes = (uint32_t)fw_emit_len(&e);
    frame_fix_checksum(f);
}

static inline void frame_ip6(struct frame *f, const char *from, const char *to, uint8_t next,
                             uint8_t hop_limit, const void *payload, uint16_t bytes)
{
    struct fw_emit e;

    frame_begin(&e, f, frame_own_mac, 0x86dd);
    fw_emit_u32(&e, 0x60000000);
    fw_emit_u16(&e, bytes);
    fw_emit_u8(&e, next);
    fw_emit_u8(&e, hop_limit);
    frame_addr(&e, from);
    frame_addr(&e, to);
    fw_emit_bytes(&e, payload, bytes);
    f->bytes = (uint32_t)fw_emit_len(&e);
}

/* UDP with a payload; the checksum is left zero. */
static inline void frame_udp4(struct frame *f, const char *from, const char *to, uint16_t sport,
                              uint16_t dport, const void *payload, uint16_t bytes)
{
    uint8_t udp[1500];
    struct fw_emit e = fw_emit(udp, sizeof(udp));

    fw_emit_u16(&e, sport);
    fw_emit_u16(&e, dport);
    fw_emit_u16(&e, (uint16_t)(8 + bytes));
    fw_emit_u16(&e, 0);
    fw_emit_bytes(&e, payload, bytes);
    frame_ip4(f, from, to, 17, udp, (uint16_t)fw_emit_len(&e));
}

#endif
