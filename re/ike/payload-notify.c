/*
 * payload-notify - notify and delete payloads (RFC 7296 sections 3.10, 3.11).
 *
 *   N: protocol(1) SPI size(1) type(2) SPI data
 *   D: protocol(1) SPI size(1) number(2) SPIs
 */
#include "re/ike/message.h"

bool ike_notify_parse(struct fw_cursor c, struct ike_notification *ret)
{
    struct ike_notification n = {0};
    uint8_t spi_len;

    n.protocol = fw_cursor_u8(&c);
    spi_len = fw_cursor_u8(&c);
    n.type = fw_cursor_u16(&c);
    if (spi_len == 4) {
        n.spi = fw_cursor_u32(&c);
    } else {
        fw_cursor_take(&c, spi_len);
    }
    if (c.failed) {
        return false;
    }
    n.data = c.at;
    n.n_data = fw_cursor_left(&c);
    *ret = n;
    return true;
}

bool ike_notify_find(const struct ike_payloads *ps, uint16_t type, struct ike_notification *ret)
{
    for (unsigned i = 0; i < ps->n; i++) {
        struct ike_notification n;

        if (ps->p[i].type == IKE_P_NOTIFY &&
            ike_notify_parse(fw_cursor(ps->p[i].body, ps->p[i].len), &n) && n.type == type) {
            *ret = n;
            return true;
        }
    }
    return false;
}

bool ike_notify_error(const struct ike_payloads *ps, struct ike_notification *ret)
{
    for (unsigned i = 0; i < ps->n; i++) {
        struct ike_notification n;

        if (ps->p[i].type == IKE_P_NOTIFY &&
            ike_notify_parse(fw_cursor(ps->p[i].body, ps->p[i].len), &n) &&
            n.type < IKE_N_FIRST_STATUS) {
            *ret = n;
            return true;
        }
    }
    return false;
}

void ike_notify_emit(struct ike_builder *b, uint16_t type, const void *data, size_t n)
{
    ike_payload_begin(b, IKE_P_NOTIFY);
    fw_emit_u8(&b->e, IKE_PROTO_NONE);
    fw_emit_u8(&b->e, 0);
    fw_emit_u16(&b->e, type);
    fw_emit_bytes(&b->e, data, n);
    ike_payload_end(b);
}

void ike_notify_rekey_emit(struct ike_builder *b, uint16_t type, uint32_t spi)
{
    ike_payload_begin(b, IKE_P_NOTIFY);
    fw_emit_u8(&b->e, IKE_PROTO_ESP);
    fw_emit_u8(&b->e, 4);
    fw_emit_u16(&b->e, type);
    fw_emit_u32(&b->e, spi);
    ike_payload_end(b);
}

bool ike_delete_parse(struct fw_cursor c, uint8_t *ret_protocol, uint32_t *ret_spis,
                      unsigned *ret_n)
{
    uint8_t protocol = fw_cursor_u8(&c);
    uint8_t spi_len = fw_cursor_u8(&c);
    uint16_t n = fw_cursor_u16(&c);
    unsigned kept = 0;

    if (c.failed || (size_t)spi_len * n != fw_cursor_left(&c)) {
        return false;
    }
    if (protocol == IKE_PROTO_IKE ? spi_len != 0 : spi_len != 4) {
        return false;
    }
    for (unsigned i = 0; spi_len && i < n; i++) {
        uint32_t spi = fw_cursor_u32(&c);

        if (kept < IKE_SPIS_MAX) {
            ret_spis[kept++] = spi;
        }
    }
    *ret_protocol = protocol;
    *ret_n = kept;
    return true;
}

void ike_delete_ike_emit(struct ike_builder *b)
{
    ike_payload_begin(b, IKE_P_DELETE);
    fw_emit_u8(&b->e, IKE_PROTO_IKE);
    fw_emit_u8(&b->e, 0);
    fw_emit_u16(&b->e, 0);
    ike_payload_end(b);
}

void ike_delete_esp_emit(struct ike_builder *b, const uint32_t *spis, unsigned n)
{
    ike_payload_begin(b, IKE_P_DELETE);
    fw_emit_u8(&b->e, IKE_PROTO_ESP);
    fw_emit_u8(&b->e, 4);
    fw_emit_u16(&b->e, (uint16_t)n);
    for (unsigned i = 0; i < n; i++) {
        fw_emit_u32(&b->e, spis[i]);
    }
    ike_payload_end(b);
}
