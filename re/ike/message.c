/* message - header, chain and builder; see message.h. */
#include "re/ike/message.h"

/*
 * Header (RFC 7296 section 3.1): SPI i (8), SPI r (8), next payload, version, exchange, flags,
 * message id (4), length (4).
 */
enum ike_verdict ike_header_parse(struct fw_cursor *c, struct ike_header *ret)
{
    size_t all = fw_cursor_left(c);
    struct ike_header h;

    h.spi_i = fw_cursor_u64(c);
    h.spi_r = fw_cursor_u64(c);
    h.next = fw_cursor_u8(c);
    h.version = fw_cursor_u8(c);
    h.exchange = fw_cursor_u8(c);
    h.flags = fw_cursor_u8(c);
    h.message_id = fw_cursor_u32(c);
    h.length = fw_cursor_u32(c);
    if (c->failed) {
        return IKE_VERDICT_SHORT;
    }
    if (h.version >> 4 != 2) {
        return IKE_VERDICT_VERSION;
    }
    if (h.length != all || all > IKE_DATAGRAM_MAX || h.spi_i == 0) {
        return IKE_VERDICT_SHORT;
    }
    *ret = h;
    return IKE_VERDICT_OK;
}

static bool payload_known(uint8_t type)
{
    return type >= IKE_P_SA && type <= IKE_P_EAP;
}

enum ike_verdict ike_payloads_parse(struct fw_cursor *c, uint8_t first, struct ike_payloads *ret)
{
    uint8_t type = first;

    ret->n = 0;
    ret->inner_first = IKE_P_NONE;
    ret->unsupported = 0;
    while (type != IKE_P_NONE) {
        uint8_t next = fw_cursor_u8(c);
        uint8_t critical = fw_cursor_u8(c);
        uint16_t length = fw_cursor_u16(c);
        size_t body_len = length >= 4 ? length - 4u : 0;
        const uint8_t *body = fw_cursor_take(c, body_len);

        if (c->failed || length < 4) {
            return IKE_VERDICT_SYNTAX;
        }
        if (payload_known(type)) {
            if (ret->n == IKE_PAYLOADS_MAX) {
                return IKE_VERDICT_SYNTAX;
            }
            ret->p[ret->n++] = (struct ike_payload){type, body, body_len};
        } else if (critical & 0x80) {
            ret->unsupported = type;
            return IKE_VERDICT_CRITICAL;
        }
        if (type == IKE_P_SK) {
            ret->inner_first = next;
            break;
        }
        type = next;
    }
    return fw_cursor_left(c) == 0 ? IKE_VERDICT_OK : IKE_VERDICT_SYNTAX;
}

const struct ike_payload *ike_payloads_find(const struct ike_payloads *ps, uint8_t type)
{
    for (unsigned i = 0; i < ps->n; i++) {
        if (ps->p[i].type == type) {
            return &ps->p[i];
        }
    }
    return NULL;
}

void ike_header_emit(struct fw_emit *e, const struct ike_header *h)
{
    fw_emit_u64(e, h->spi_i);
    fw_emit_u64(e, h->spi_r);
    fw_emit_u8(e, h->next);
    fw_emit_u8(e, 0x20);
    fw_emit_u8(e, h->exchange);
    fw_emit_u8(e, h->flags);
    fw_emit_u32(e, h->message_id);
    fw_emit_u32(e, h->length);
}

struct ike_builder ike_chain_begin(void *buffer, size_t size)
{
    return (struct ike_builder){fw_emit(buffer, size), SIZE_MAX, 0, IKE_P_NONE};
}

struct ike_builder ike_clear_begin(void *buffer, size_t size, const struct ike_header *h)
{
    struct ike_builder b = ike_chain_begin(buffer, size);

    ike_header_emit(&b.e, h);
    b.next_at = 16;
    return b;
}

size_t ike_clear_end(struct ike_builder *b)
{
    size_t n = fw_emit_len(&b->e);

    fw_emit_patch_u32(&b->e, 24, (uint32_t)n);
    return b->e.failed ? 0 : n;
}

void ike_payload_begin(struct ike_builder *b, uint8_t type)
{
    size_t at = fw_emit_len(&b->e);

    if (!fw_emit_reserve(&b->e, 4)) {
        return;
    }
    if (b->next_at == SIZE_MAX) {
        b->first = type;
    } else {
        b->e.start[b->next_at] = type;
    }
    b->next_at = at;
    b->payload_at = at;
}

void ike_payload_end(struct ike_builder *b)
{
    size_t n = fw_emit_len(&b->e) - b->payload_at;

    if (n > UINT16_MAX) {
        b->e.failed = true;
        return;
    }
    fw_emit_patch_u16(&b->e, b->payload_at + 2, (uint16_t)n);
}
