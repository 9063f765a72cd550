/*
 * Every message: random values survive the wire; cut and lengthened bodies; what is refused; JSON.
 */
#include <criterion/criterion.h>

#include "firmware/bus/bus.h"
#include "firmware/core/rng.h"
#include "messages.h"

#define ROOM (1u << 20)

static void fill(const struct bus_struct *body, uint8_t *msg);

static struct fw_addr some_addr(void)
{
    struct fw_addr a = {0};
    static const uint8_t families[] = {FW_FAMILY_NONE, FW_FAMILY_V4, FW_FAMILY_V6};

    a.family = families[fw_rng_model_below(3)];
    for (size_t i = 0; i < fw_addr_size(&a); i++) {
        a.bytes[i] = (uint8_t)fw_rng_model_u64();
    }
    return a;
}

static void fill_value(const struct bus_field *f, enum bus_field_type type, uint8_t *p)
{
    uint64_t chance = fw_rng_model_u64();
    uint16_t len;

    switch (type) {
    case BUS_FIELD_BOOL:
        *(bool *)p = chance & 1;
        break;
    case BUS_FIELD_ENUM:
        *p = (uint8_t)(chance % f->limit);
        break;
    case BUS_FIELD_U8:
        *p = (uint8_t)chance;
        break;
    case BUS_FIELD_U16:
        memcpy(p, &chance, 2);
        break;
    case BUS_FIELD_U32:
        memcpy(p, &chance, 4);
        break;
    case BUS_FIELD_U64:
    case BUS_FIELD_I64:
        memcpy(p, &chance, 8);
        break;
    case BUS_FIELD_ADDR: {
        struct fw_addr a = some_addr();
        memcpy(p, &a, sizeof a);
        break;
    }
    case BUS_FIELD_PREFIX: {
        struct fw_prefix x = {.addr = some_addr()};
        x.len = (uint8_t)fw_rng_model_below(8 * (uint32_t)fw_addr_size(&x.addr) + 1);
        memcpy(p, &x, sizeof x);
        break;
    }
    case BUS_FIELD_MAC:
        memcpy(p, &chance, 6);
        break;
    case BUS_FIELD_STRING:
        for (uint32_t i = fw_rng_model_below(f->limit + 1); i > 0; i--) {
            p[i - 1] = (uint8_t)(1 + fw_rng_model_below(255));
        }
        break;
    case BUS_FIELD_BYTES:
    case BUS_FIELD_SECRET:
        len = (uint16_t)fw_rng_model_below(f->limit + 1);
        memcpy(p, &len, 2);
        for (unsigned i = 0; i < len; i++) {
            p[2 + i] = (uint8_t)fw_rng_model_u64();
        }
        break;
    case BUS_FIELD_STRUCT:
        fill(f->of, p);
        break;
    case BUS_FIELD_LIST:
        break;
    }
}

static void fill(const struct bus_struct *body, uint8_t *msg)
{
    for (unsigned i = 0; i < body->n_fields; i++) {
        const struct bus_field *f = &body->fields[i];

        if (f->type != BUS_FIELD_LIST) {
            fill_value(f, f->type, msg + f->offset);
            continue;
        }
        unsigned n = fw_rng_model_below(MIN(f->limit, 8) + 1);
        memcpy(msg + f->count_offset, &n, sizeof n);
        for (unsigned j = 0; j < n; j++) {
            fill_value(f, f->element, msg + f->offset + (size_t)j * f->element_size);
        }
    }
}

Test(codec, random_values_survive)
{
    uint8_t *first = g_malloc(ROOM), *second = g_malloc(ROOM);

    fw_rng_model_seed(1);
    for (unsigned t = 0; t < bus_n_types; t++) {
        const struct bus_struct *body = bus_types[t].body;
        void *msg = g_malloc(body->size), *back = g_malloc(body->size);

        for (int round = 0; round < 10; round++) {
            struct fw_emit a = fw_emit(first, ROOM), b = fw_emit(second, ROOM);

            memset(msg, 0, body->size);
            fill(body, msg);
            bus_encode(body, msg, &a);
            cr_assert(!a.failed, "%s", body->name);
            struct fw_cursor c = fw_cursor(first, fw_emit_len(&a));
            cr_assert(bus_decode(body, &c, back), "%s", body->name);
            cr_assert_eq(fw_cursor_left(&c), 0);
            bus_encode(body, back, &b);
            cr_assert_eq(fw_emit_len(&a), fw_emit_len(&b));
            cr_assert(memcmp(first, second, fw_emit_len(&a)) == 0, "%s", body->name);
            /* Every prefix is taken or refused, never more than that. */
            for (size_t cut = 0; cut < MIN(fw_emit_len(&a), 200); cut++) {
                struct fw_cursor part = fw_cursor(first, cut);
                bus_decode(body, &part, back);
            }
        }
        g_free(msg);
        g_free(back);
    }
    g_free(first);
    g_free(second);
}

Test(codec, shorter_means_zero_and_longer_is_cut)
{
    struct bus_fpc_state m = {
        .slot = 3, .kind = BUS_BOARD_KIND_SPC, .online = true, .generation = 9};
    struct bus_fpc_state back;
    uint8_t bytes[200];
    struct fw_emit e = fw_emit(bytes, sizeof bytes);

    bus_encode(&bus_struct_fpc_state, &m, &e);
    struct fw_cursor two = fw_cursor(bytes, 2);
    cr_assert(bus_decode(&bus_struct_fpc_state, &two, &back));
    cr_assert_eq(back.slot, 3);
    cr_assert_eq(back.kind, BUS_BOARD_KIND_SPC);
    cr_assert_eq(back.generation, 0);
    fw_emit_u32(&e, 0xdeadbeef);
    struct fw_cursor more = fw_cursor(bytes, fw_emit_len(&e));
    cr_assert(bus_decode(&bus_struct_fpc_state, &more, &back));
    cr_assert_eq(back.generation, 9);
    struct fw_cursor middle = fw_cursor(bytes, 5); /* within `generation` */
    cr_assert_not(bus_decode(&bus_struct_fpc_state, &middle, &back));
    cr_assert_eq(back.slot, 0, "a malformed message leaves nothing behind");
}

Test(codec, a_list_element_may_grow)
{
    /* route-state's neighbour: ifl-state with one address whose struct has two bytes more. */
    uint8_t bytes[600];
    struct fw_emit e = fw_emit(bytes, sizeof bytes);
    struct bus_policy_state *m = g_new0(struct bus_policy_state, 1);

    fw_emit_u16(&e, 1);
    fw_emit_u16(&e, 2);
    fw_emit_u16(&e, 2); /* two rules */
    for (int i = 0; i < 2; i++) {
        fw_emit_u16(&e, 2 + 1 + 4 + 1 + 6 + 2);
        fw_emit_u16(&e, 1);
        fw_emit_u8(&e, 'a');
        fw_emit_u32(&e, 7);
        fw_emit_u8(&e, BUS_POLICY_ACTION_DENY);
        fw_emit_u16(&e, 0);
        fw_emit_u16(&e, 0);
        fw_emit_u16(&e, 0);
        fw_emit_u16(&e, 0xffff); /* unknown here */
    }
    struct fw_cursor c = fw_cursor(bytes, fw_emit_len(&e));
    cr_assert(bus_decode(&bus_struct_policy_state, &c, m));
    cr_assert_eq(m->n_rules, 2);
    cr_assert_str_eq(m->rules[1].name, "a");
    cr_assert_eq(m->rules[1].action, BUS_POLICY_ACTION_DENY);
    g_free(m);
}

Test(codec, refuses_what_no_encoder_writes)
{
    struct bus_fpc_state state;
    struct bus_error error;
    const uint8_t bad_enum[] = {1, BUS_BOARD_KIND_COUNT};
    const uint8_t bad_bool[] = {1, 0, 2};
    const uint8_t zero_in_string[] = {0, 1, 0, 2, 'a', 0};
    const uint8_t long_string[] = {0, 1, 2, 1};
    struct fw_cursor c = fw_cursor(bad_enum, sizeof bad_enum);

    cr_assert_not(bus_decode(&bus_struct_fpc_state, &c, &state));
    c = fw_cursor(bad_bool, sizeof bad_bool);
    cr_assert_not(bus_decode(&bus_struct_fpc_state, &c, &state));
    c = fw_cursor(zero_in_string, sizeof zero_in_string);
    cr_assert_not(bus_decode(&bus_struct_error, &c, &error));
    c = fw_cursor(long_string, sizeof long_string);
    cr_assert_not(bus_decode(&bus_struct_error, &c, &error));
}

Test(codec, encoder_keeps_the_limits)
{
    struct bus_sa_install *m = g_new0(struct bus_sa_install, 1);
    uint8_t bytes[4096];
    struct fw_emit e = fw_emit(bytes, sizeof bytes);

    m->key.len = sizeof m->key.data + 1;
    bus_encode(&bus_struct_sa_install, m, &e);
    cr_assert(e.failed);
    m->key.len = 0;
    m->direction = BUS_DIRECTION_COUNT;
    e = fw_emit(bytes, sizeof bytes);
    bus_encode(&bus_struct_sa_install, m, &e);
    cr_assert(e.failed);
    g_free(m);
}

Test(codec, json_hides_secrets_and_escapes)
{
    struct bus_ike_gateway *m = g_new0(struct bus_ike_gateway, 1);
    g_autoptr(GString) json = g_string_new(NULL);

    g_strlcpy(m->name, "g\"w\n\xff", sizeof m->name);
    memcpy(m->psk.data, "hunter2", 7);
    m->psk.len = 7;
    fw_addr_parse("192.0.2.1", &m->local);
    bus_to_json(&bus_struct_ike_gateway, m, json);
    cr_assert_not_null(strstr(json->str, "\"name\": \"g\\\"w\\u000a\\ufffd\""));
    cr_assert_not_null(strstr(json->str, "\"local\": \"192.0.2.1\""));
    cr_assert_not_null(strstr(json->str, "\"remote\": null"));
    cr_assert_not_null(strstr(json->str, "\"psk\": null"));
    cr_assert_null(strstr(json->str, "hunter2"));
    g_free(m);
}

Test(codec, header)
{
    struct bus_header h = {.length = 24, .epoch = 5, .version = BUS_SCHEMA_VERSION, .type = BUS_OK,
                           .kind = BUS_REPLY, .serial = 77, .source = BUS_ROUTER,
                           .destination = BUS_HWD};
    struct bus_header back;
    uint8_t bytes[24];
    struct fw_emit e = fw_emit(bytes, sizeof bytes);

    bus_header_encode(&h, &e);
    cr_assert_eq(fw_emit_len(&e), BUS_HEADER_BYTES);
    struct fw_cursor c = fw_cursor(bytes, sizeof bytes);
    cr_assert(bus_header_decode(&c, 24, &back));
    cr_assert_eq(back.serial, 77);
    cr_assert_eq(back.destination, BUS_HWD);
    c = fw_cursor(bytes, sizeof bytes);
    cr_assert_not(bus_header_decode(&c, 25, &back), "the length must be that of the frame");
    bytes[8] ^= 1;
    c = fw_cursor(bytes, sizeof bytes);
    cr_assert_not(bus_header_decode(&c, 24, &back), "another major version");
    bytes[8] ^= 1;
    bytes[12] = 3;
    c = fw_cursor(bytes, sizeof bytes);
    cr_assert_not(bus_header_decode(&c, 24, &back), "no such kind");
}

Test(codec, types_are_found)
{
    for (unsigned i = 0; i < bus_n_types; i++) {
        cr_assert_eq(bus_type_find(bus_types[i].number), &bus_types[i]);
        cr_assert_eq(bus_type_by_name(bus_types[i].name), &bus_types[i]);
    }
    cr_assert_null(bus_type_find(0));
    cr_assert_null(bus_type_find(0xffff));
    cr_assert_null(bus_type_by_name("no-such-message"));
    cr_assert_eq(bus_type_find(BUS_ROUTE_STATE)->n_keys, 1);
    cr_assert_geq(bus_type_find(BUS_ROUTE_STATE)->gone, 0);
}
