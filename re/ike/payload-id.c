/*
 * payload-id - key exchange, identification and authentication payloads
 * (RFC 7296 sections 3.4, 3.5, 3.8).
 *
 *   KE:   group(2) 0(2) data
 *   ID:   type(1) 0(3) data
 *   AUTH: method(1) 0(3) data
 */
#include "re/ike/message.h"

#include <stdio.h>

bool ike_ke_parse(struct fw_cursor c, uint16_t *ret_group, const uint8_t **ret_data, size_t *ret_n)
{
    uint16_t group = fw_cursor_u16(&c);
    size_t n;

    fw_cursor_u16(&c);
    n = fw_cursor_left(&c);
    if (c.failed || n == 0) {
        return false;
    }
    *ret_group = group;
    *ret_data = c.at;
    *ret_n = n;
    return true;
}

void ike_ke_emit(struct ike_builder *b, uint16_t group, const uint8_t *data, size_t n)
{
    ike_payload_begin(b, IKE_P_KE);
    fw_emit_u16(&b->e, group);
    fw_emit_u16(&b->e, 0);
    fw_emit_bytes(&b->e, data, n);
    ike_payload_end(b);
}

bool ike_id_parse(struct fw_cursor c, struct ike_id *ret)
{
    uint8_t type = fw_cursor_u8(&c);
    size_t n;

    fw_cursor_take(&c, 3);
    n = fw_cursor_left(&c);
    if (c.failed || n == 0 || n > IKE_ID_MAX || type == 0) {
        return false;
    }
    if ((type == 1 && n != 4) || (type == 5 && n != 16)) {
        return false;
    }
    memset(ret, 0, sizeof *ret);
    ret->type = type;
    ret->len = (uint8_t)n;
    return fw_cursor_copy(&c, ret->data, n);
}

void ike_id_emit(struct ike_builder *b, uint8_t payload, const struct ike_id *id)
{
    ike_payload_begin(b, payload);
    fw_emit_u8(&b->e, id->type);
    fw_emit_bytes(&b->e, (const uint8_t[3]){0}, 3);
    fw_emit_bytes(&b->e, id->data, id->len);
    ike_payload_end(b);
}

bool ike_id_equal(const struct ike_id *a, const struct ike_id *b)
{
    return a->type == b->type && a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

struct ike_id ike_id_of_addr(const struct fw_addr *a)
{
    struct ike_id id = {0};

    id.type = a->family == FW_FAMILY_V4 ? 1 : a->family == FW_FAMILY_V6 ? 5 : 0;
    id.len = (uint8_t)fw_addr_size(a);
    memcpy(id.data, a->bytes, id.len);
    return id;
}

char *ike_id_text(const struct ike_id *id, char *buffer, size_t n)
{
    struct fw_addr a = {0};
    char text[FW_ADDR_TEXT];

    if (id->type == 1 || id->type == 5) {
        a.family = id->type == 1 ? FW_FAMILY_V4 : FW_FAMILY_V6;
        memcpy(a.bytes, id->data, fw_addr_size(&a));
        snprintf(buffer, n, "%s", fw_addr_text(&a, text));
        return buffer;
    }
    size_t used = 0;
    for (unsigned i = 0; i < id->len && used + 1 < n; i++) {
        uint8_t c = id->data[i];

        buffer[used++] = c >= 0x20 && c < 0x7f ? (char)c : '?';
    }
    if (n) {
        buffer[used] = 0;
    }
    return buffer;
}

bool ike_auth_parse(struct fw_cursor c, uint8_t *ret_method, const uint8_t **ret_data,
                    size_t *ret_n)
{
    uint8_t method = fw_cursor_u8(&c);

    fw_cursor_take(&c, 3);
    if (c.failed) {
        return false;
    }
    *ret_method = method;
    *ret_data = c.at;
    *ret_n = fw_cursor_left(&c);
    return true;
}

void ike_auth_emit(struct ike_builder *b, const uint8_t *data, size_t n)
{
    ike_payload_begin(b, IKE_P_AUTH);
    fw_emit_u8(&b->e, 2); /* shared key message integrity code */
    fw_emit_bytes(&b->e, (const uint8_t[3]){0}, 3);
    fw_emit_bytes(&b->e, data, n);
    ike_payload_end(b);
}
