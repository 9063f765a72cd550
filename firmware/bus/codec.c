/*
 * codec - wire and JSON forms of messages, driven by the generated tables.
 *
 * One walk over the field table of a struct serves every message. The decoder
 * takes bytes from outside: it accepts exactly what the encoder could have
 * written (booleans are 0 or 1, enum values are known, strings hold no zero
 * byte), except that a body may end at any field boundary (an older sender:
 * the rest is zero) and may have bytes behind the last field (a newer one).
 *
 * Limits: those of the schema; a nested struct is below 64 KiB. No allocation.
 * Any thread.
 */
#include <stdio.h>
#include <string.h>

#include "firmware/bus/bus.h"
#include "firmware/core/secret.h"
#include "messages.h"

const struct bus_type *bus_type_find(uint16_t number)
{
    unsigned low = 0;
    unsigned high = bus_n_types;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (bus_types[middle].number == number) {
            return &bus_types[middle];
        }
        if (bus_types[middle].number < number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

const struct bus_type *bus_type_by_name(const char *name)
{
    for (unsigned i = 0; i < bus_n_types; i++) {
        if (strcmp(bus_types[i].name, name) == 0) {
            return &bus_types[i];
        }
    }
    return NULL;
}

/* ---- encode ---- */

static void addr_encode(const struct fw_addr *a, struct fw_emit *e)
{
    fw_emit_u8(e, a->family);
    if (a->family != FW_FAMILY_NONE && fw_addr_size(a) == 0) {
        e->failed = true;
    }
    fw_emit_bytes(e, a->bytes, fw_addr_size(a));
}

static void counted_encode(const void *data, size_t len, size_t limit, struct fw_emit *e)
{
    if (len > limit) {
        e->failed = true;
        return;
    }
    fw_emit_u16(e, (uint16_t)len);
    fw_emit_bytes(e, data, len);
}

static void nested_encode(const struct bus_struct *of, const void *value, struct fw_emit *e)
{
    size_t at = fw_emit_len(e);

    fw_emit_u16(e, 0);
    bus_encode(of, value, e);
    if (e->failed) {
        return;
    }
    size_t len = fw_emit_len(e) - at - 2;
    if (len > UINT16_MAX) {
        e->failed = true;
        return;
    }
    fw_emit_patch_u16(e, at, (uint16_t)len);
}

/* The memory form of bytes and secret: uint16_t len directly followed by the data. */
static size_t blob_len(const void *value)
{
    uint16_t len;

    memcpy(&len, value, sizeof len);
    return len;
}

static void value_encode(const struct bus_field *f, enum bus_field_type type, const uint8_t *value,
                         struct fw_emit *e)
{
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;

    switch (type) {
    case BUS_FIELD_BOOL:
        fw_emit_u8(e, *(const bool *)value ? 1 : 0);
        break;
    case BUS_FIELD_ENUM:
        if (*value >= f->limit) {
            e->failed = true;
        }
        fw_emit_u8(e, *value);
        break;
    case BUS_FIELD_U8:
        fw_emit_u8(e, *value);
        break;
    case BUS_FIELD_U16:
        memcpy(&u16, value, sizeof u16);
        fw_emit_u16(e, u16);
        break;
    case BUS_FIELD_U32:
        memcpy(&u32, value, sizeof u32);
        fw_emit_u32(e, u32);
        break;
    case BUS_FIELD_U64:
    case BUS_FIELD_I64:
        memcpy(&u64, value, sizeof u64);
        fw_emit_u64(e, u64);
        break;
    case BUS_FIELD_ADDR:
        addr_encode((const struct fw_addr *)value, e);
        break;
    case BUS_FIELD_PREFIX: {
        const struct fw_prefix *p = (const struct fw_prefix *)value;

        if (p->len > 8 * fw_addr_size(&p->addr)) {
            e->failed = true;
        }
        addr_encode(&p->addr, e);
        fw_emit_u8(e, p->len);
        break;
    }
    case BUS_FIELD_MAC:
        fw_emit_bytes(e, value, 6);
        break;
    case BUS_FIELD_STRING:
        counted_encode(value, strnlen((const char *)value, f->limit + 1), f->limit, e);
        break;
    case BUS_FIELD_BYTES:
    case BUS_FIELD_SECRET:
        counted_encode(value + 2, blob_len(value), f->limit, e);
        break;
    case BUS_FIELD_STRUCT:
        nested_encode(f->of, value, e);
        break;
    case BUS_FIELD_LIST:
        g_assert_not_reached();
    }
}

static unsigned list_count(const struct bus_field *f, const uint8_t *msg)
{
    unsigned n;

    memcpy(&n, msg + f->count_offset, sizeof n);
    return n;
}

void bus_encode(const struct bus_struct *body, const void *msg, struct fw_emit *e)
{
    const uint8_t *base = msg;

    for (unsigned i = 0; i < body->n_fields && !e->failed; i++) {
        const struct bus_field *f = &body->fields[i];

        if (f->type != BUS_FIELD_LIST) {
            value_encode(f, f->type, base + f->offset, e);
            continue;
        }
        unsigned n = list_count(f, base);
        if (n > f->limit) {
            e->failed = true;
            return;
        }
        fw_emit_u16(e, (uint16_t)n);
        for (unsigned j = 0; j < n && !e->failed; j++) {
            value_encode(f, f->element, base + f->offset + (size_t)j * f->element_size, e);
        }
    }
}

/* ---- decode ---- */

static void addr_decode(struct fw_cursor *c, struct fw_addr *ret)
{
    ret->family = fw_cursor_u8(c);
    if (ret->family != FW_FAMILY_NONE && fw_addr_size(ret) == 0) {
        c->failed = true;
        return;
    }
    fw_cursor_copy(c, ret->bytes, fw_addr_size(ret));
}

static const uint8_t *counted_decode(struct fw_cursor *c, size_t limit, size_t *ret_len)
{
    size_t len = fw_cursor_u16(c);

    if (len > limit) {
        c->failed = true;
    }
    *ret_len = len;
    return fw_cursor_take(c, len);
}

static void fields_decode(const struct bus_struct *body, struct fw_cursor *c, uint8_t *ret);

static void value_decode(const struct bus_field *f, enum bus_field_type type, struct fw_cursor *c,
                         uint8_t *ret)
{
    const uint8_t *data;
    size_t len;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;

    switch (type) {
    case BUS_FIELD_BOOL:
        u8 = fw_cursor_u8(c);
        if (u8 > 1) {
            c->failed = true;
        }
        *(bool *)ret = u8 == 1;
        break;
    case BUS_FIELD_ENUM:
        *ret = fw_cursor_u8(c);
        if (*ret >= f->limit) {
            c->failed = true;
        }
        break;
    case BUS_FIELD_U8:
        *ret = fw_cursor_u8(c);
        break;
    case BUS_FIELD_U16:
        u16 = fw_cursor_u16(c);
        memcpy(ret, &u16, sizeof u16);
        break;
    case BUS_FIELD_U32:
        u32 = fw_cursor_u32(c);
        memcpy(ret, &u32, sizeof u32);
        break;
    case BUS_FIELD_U64:
    case BUS_FIELD_I64:
        u64 = fw_cursor_u64(c);
        memcpy(ret, &u64, sizeof u64);
        break;
    case BUS_FIELD_ADDR:
        addr_decode(c, (struct fw_addr *)ret);
        break;
    case BUS_FIELD_PREFIX: {
        struct fw_prefix *p = (struct fw_prefix *)ret;

        addr_decode(c, &p->addr);
        p->len = fw_cursor_u8(c);
        if (p->len > 8 * fw_addr_size(&p->addr)) {
            c->failed = true;
        }
        break;
    }
    case BUS_FIELD_MAC:
        fw_cursor_copy(c, ret, 6);
        break;
    case BUS_FIELD_STRING:
        data = counted_decode(c, f->limit, &len);
        if (!data || memchr(data, 0, len)) {
            c->failed = true;
            return;
        }
        memcpy(ret, data, len); /* the byte behind is zero already */
        break;
    case BUS_FIELD_BYTES:
    case BUS_FIELD_SECRET:
        data = counted_decode(c, f->limit, &len);
        if (!data) {
            return;
        }
        u16 = (uint16_t)len;
        memcpy(ret, &u16, sizeof u16);
        memcpy(ret + 2, data, len);
        break;
    case BUS_FIELD_STRUCT: {
        len = fw_cursor_u16(c);
        struct fw_cursor sub = fw_cursor_sub(c, len);

        fields_decode(f->of, &sub, ret);
        if (sub.failed) {
            c->failed = true;
        }
        break;
    }
    case BUS_FIELD_LIST:
        g_assert_not_reached();
    }
}

static void list_decode(const struct bus_field *f, struct fw_cursor *c, uint8_t *msg)
{
    unsigned n = fw_cursor_u16(c);

    if (n > f->limit) {
        c->failed = true;
        return;
    }
    for (unsigned j = 0; j < n && !c->failed; j++) {
        value_decode(f, f->element, c, msg + f->offset + (size_t)j * f->element_size);
    }
    memcpy(msg + f->count_offset, &n, sizeof n);
}

static void fields_decode(const struct bus_struct *body, struct fw_cursor *c, uint8_t *ret)
{
    for (unsigned i = 0; i < body->n_fields; i++) {
        const struct bus_field *f = &body->fields[i];

        if (fw_cursor_left(c) == 0) {
            return; /* an older sender, or failed */
        }
        if (f->type == BUS_FIELD_LIST) {
            list_decode(f, c, ret);
        } else {
            value_decode(f, f->type, c, ret + f->offset);
        }
    }
}

bool bus_decode(const struct bus_struct *body, struct fw_cursor *c, void *ret)
{
    memset(ret, 0, body->size);
    fields_decode(body, c, ret);
    if (c->failed) {
        bus_wipe(body, ret);
        return false;
    }
    return true;
}

void bus_wipe(const struct bus_struct *body, void *msg)
{
    fw_wipe(msg, body->size);
}

/* ---- JSON ---- */

static void text_to_json(const char *text, GString *out)
{
    g_string_append_c(out, '"');
    for (const char *p = text; *p;) {
        gunichar ch = g_utf8_get_char_validated(p, -1);

        if (ch == (gunichar)-1 || ch == (gunichar)-2) {
            g_string_append(out, "\\ufffd");
            p++;
            continue;
        }
        if (ch == '"' || ch == '\\') {
            g_string_append_c(out, '\\');
            g_string_append_c(out, (char)ch);
        } else if (ch < 0x20 || ch == 0x7f) {
            g_string_append_printf(out, "\\u%04x", ch);
        } else {
            g_string_append_unichar(out, ch);
        }
        p = g_utf8_next_char(p);
    }
    g_string_append_c(out, '"');
}

static void value_to_json(const struct bus_field *f, enum bus_field_type type,
                          const uint8_t *value, GString *out)
{
    char text[FW_ADDR_TEXT];
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;

    switch (type) {
    case BUS_FIELD_BOOL:
        g_string_append(out, *(const bool *)value ? "true" : "false");
        break;
    case BUS_FIELD_ENUM:
        g_string_append_printf(out, "\"%s\"", *value < f->limit ? f->enum_names[*value] : "?");
        break;
    case BUS_FIELD_U8:
        g_string_append_printf(out, "%u", *value);
        break;
    case BUS_FIELD_U16:
        memcpy(&u16, value, sizeof u16);
        g_string_append_printf(out, "%u", u16);
        break;
    case BUS_FIELD_U32:
        memcpy(&u32, value, sizeof u32);
        g_string_append_printf(out, "%u", u32);
        break;
    case BUS_FIELD_U64:
        memcpy(&u64, value, sizeof u64);
        g_string_append_printf(out, "%" G_GUINT64_FORMAT, u64);
        break;
    case BUS_FIELD_I64:
        memcpy(&u64, value, sizeof u64);
        g_string_append_printf(out, "%" G_GINT64_FORMAT, (gint64)u64);
        break;
    case BUS_FIELD_ADDR:
        if (((const struct fw_addr *)value)->family == FW_FAMILY_NONE) {
            g_string_append(out, "null");
        } else {
            g_string_append_printf(out, "\"%s\"",
                                   fw_addr_text((const struct fw_addr *)value, text));
        }
        break;
    case BUS_FIELD_PREFIX:
        if (((const struct fw_prefix *)value)->addr.family == FW_FAMILY_NONE) {
            g_string_append(out, "null");
        } else {
            g_string_append_printf(out, "\"%s\"",
                                   fw_prefix_text((const struct fw_prefix *)value, text));
        }
        break;
    case BUS_FIELD_MAC:
        g_string_append_printf(out, "\"%02x:%02x:%02x:%02x:%02x:%02x\"", value[0], value[1],
                               value[2], value[3], value[4], value[5]);
        break;
    case BUS_FIELD_STRING:
        text_to_json((const char *)value, out);
        break;
    case BUS_FIELD_BYTES:
        g_string_append_c(out, '"');
        for (size_t i = 0; i < blob_len(value) && i < f->limit; i++) {
            g_string_append_printf(out, "%02x", value[2 + i]);
        }
        g_string_append_c(out, '"');
        break;
    case BUS_FIELD_SECRET:
        g_string_append(out, "null");
        break;
    case BUS_FIELD_STRUCT:
        bus_to_json(f->of, value, out);
        break;
    case BUS_FIELD_LIST:
        g_assert_not_reached();
    }
}

void bus_to_json(const struct bus_struct *body, const void *msg, GString *out)
{
    const uint8_t *base = msg;

    g_string_append_c(out, '{');
    for (unsigned i = 0; i < body->n_fields; i++) {
        const struct bus_field *f = &body->fields[i];

        g_string_append_printf(out, "%s\"%s\": ", i ? ", " : "", f->name);
        if (f->type != BUS_FIELD_LIST) {
            value_to_json(f, f->type, base + f->offset, out);
            continue;
        }
        g_string_append_c(out, '[');
        for (unsigned j = 0; j < list_count(f, base) && j < f->limit; j++) {
            if (j) {
                g_string_append(out, ", ");
            }
            value_to_json(f, f->element, base + f->offset + (size_t)j * f->element_size, out);
        }
        g_string_append_c(out, ']');
    }
    g_string_append_c(out, '}');
}

/* ---- header ---- */

void bus_header_encode(const struct bus_header *h, struct fw_emit *e)
{
    fw_emit_u32(e, h->length);
    fw_emit_u32(e, h->epoch);
    fw_emit_u16(e, h->version);
    fw_emit_u16(e, h->type);
    fw_emit_u8(e, h->kind);
    fw_emit_u8(e, h->flags);
    fw_emit_u16(e, 0);
    fw_emit_u32(e, h->serial);
    fw_emit_u16(e, h->source);
    fw_emit_u16(e, h->destination);
}

bool bus_header_decode(struct fw_cursor *c, size_t frame_len, struct bus_header *ret)
{
    struct bus_header h;

    h.length = fw_cursor_u32(c);
    h.epoch = fw_cursor_u32(c);
    h.version = fw_cursor_u16(c);
    h.type = fw_cursor_u16(c);
    h.kind = fw_cursor_u8(c);
    h.flags = fw_cursor_u8(c);
    fw_cursor_u16(c);
    h.serial = fw_cursor_u32(c);
    h.source = fw_cursor_u16(c);
    h.destination = fw_cursor_u16(c);
    if (c->failed || h.length != frame_len || frame_len > BUS_FRAME_MAX || h.kind > BUS_EVENT ||
        h.version >> 8 != BUS_SCHEMA_VERSION >> 8) {
        return false;
    }
    *ret = h;
    return true;
}
