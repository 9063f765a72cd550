/*
 * bus_decode - arbitrary bytes at the decoder of any message: two bytes choose the type (modulo
 * their number), the rest is the body. What is taken must encode, and encode to the same bytes
 * again after another turn.
 */
#include "firmware/bus/bus.h"
#include "messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t first[1 << 20], second[1 << 20];
    struct fw_cursor c = fw_cursor(data, size);
    unsigned index = fw_cursor_u16(&c) % bus_n_types;
    const struct bus_struct *body = bus_types[index].body;
    GString *json;
    void *msg;

    if (c.failed) {
        return 0;
    }
    msg = g_malloc(body->size);
    if (bus_decode(body, &c, msg)) {
        struct fw_emit a = fw_emit(first, sizeof first);
        struct fw_emit b = fw_emit(second, sizeof second);

        bus_encode(body, msg, &a);
        g_assert(!a.failed);
        struct fw_cursor again = fw_cursor(first, fw_emit_len(&a));
        g_assert(bus_decode(body, &again, msg));
        g_assert(fw_cursor_left(&again) == 0);
        bus_encode(body, msg, &b);
        g_assert(fw_emit_len(&a) == fw_emit_len(&b));
        g_assert(memcmp(first, second, fw_emit_len(&a)) == 0);
        json = g_string_new(NULL);
        bus_to_json(body, msg, json);
        g_assert(g_utf8_validate(json->str, (gssize)json->len, NULL));
        g_string_free(json, TRUE);
    }
    g_free(msg);
    return 0;
}
