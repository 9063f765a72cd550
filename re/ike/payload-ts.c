/*
 * payload-ts - traffic selector payloads (RFC 7296 section 3.13).
 *
 *   TS payload: number(1) 0(3) selectors
 *   selector:   type(1) protocol(1) length(2) port low(2) port high(2) low high
 */
#include "re/ike/message.h"

enum { TS_IPV4 = 7, TS_IPV6 = 8 };

bool ike_ts_parse(struct fw_cursor c, struct ike_range *ret, unsigned *ret_n)
{
    uint8_t n = fw_cursor_u8(&c);

    fw_cursor_take(&c, 3);
    if (c.failed || n == 0 || n > IKE_RANGES_MAX) {
        return false;
    }
    for (unsigned i = 0; i < n; i++) {
        struct ike_range r = {0};
        uint8_t type = fw_cursor_u8(&c);
        uint16_t length;
        struct fw_cursor body;
        size_t size = type == TS_IPV4 ? 4 : type == TS_IPV6 ? 16 : 0;

        r.protocol = fw_cursor_u8(&c);
        length = fw_cursor_u16(&c);
        if (c.failed || length < 8) {
            return false;
        }
        body = fw_cursor_sub(&c, length - 4u);
        r.port_low = fw_cursor_u16(&body);
        r.port_high = fw_cursor_u16(&body);
        fw_cursor_copy(&body, r.low, size);
        fw_cursor_copy(&body, r.high, size);
        if (body.failed || (size && fw_cursor_left(&body))) {
            return false;
        }
        r.family = type == TS_IPV4 ? FW_FAMILY_V4 : type == TS_IPV6 ? FW_FAMILY_V6 : FW_FAMILY_NONE;
        ret[i] = r;
    }
    *ret_n = n;
    return fw_cursor_left(&c) == 0 && !c.failed;
}

void ike_ts_emit(struct ike_builder *b, uint8_t payload, const struct fw_prefix *prefixes,
                 unsigned n)
{
    struct fw_emit *e = &b->e;

    ike_payload_begin(b, payload);
    fw_emit_u8(e, (uint8_t)n);
    fw_emit_bytes(e, (const uint8_t[3]){0}, 3);
    for (unsigned i = 0; i < n; i++) {
        struct fw_prefix low = fw_prefix_network(&prefixes[i]);
        struct fw_addr high = low.addr;
        size_t size = fw_addr_size(&high);

        for (size_t bit = low.len; bit < size * 8; bit++) {
            high.bytes[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
        }
        fw_emit_u8(e, size == 4 ? TS_IPV4 : TS_IPV6);
        fw_emit_u8(e, 0);
        fw_emit_u16(e, (uint16_t)(8 + 2 * size));
        fw_emit_u16(e, 0);
        fw_emit_u16(e, 0xffff);
        fw_emit_bytes(e, low.addr.bytes, size);
        fw_emit_bytes(e, high.bytes, size);
    }
    ike_payload_end(b);
}
