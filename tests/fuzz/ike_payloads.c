/*
 * ike_payloads - arbitrary bytes as a payload chain (first byte: type of the first payload), and
 * every body at every body parser. What is accepted must be within its limits.
 */
#include "re/ike/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void body(const uint8_t *p, size_t n)
{
    static const struct ike_suite ike = {FW_ENC_AES_CBC_128, FW_INTEG_SHA256_128, FW_PRF_SHA256,
                                         19};
    static const struct ike_esp_suite esp = {FW_ENC_AES_GCM_128, FW_INTEG_NONE, 19, false};
    struct fw_cursor c = fw_cursor(p, n);
    struct ike_range ranges[IKE_RANGES_MAX];
    struct ike_selector any[IKE_SELECTORS_MAX], pairs[IKE_SELECTORS_MAX];
    uint32_t spis[IKE_SPIS_MAX];
    struct ike_notification note;
    struct ike_choice choice;
    const uint8_t *part;
    uint16_t group;
    uint8_t byte;
    unsigned count;
    size_t len;
    struct ike_id id;
    char text[64];

    ike_sa_choose(c, 0, &ike, 1, &choice);
    ike_sa_choose(c, 8, &ike, 1, &choice);
    ike_esp_choose(c, &esp, 1, true, &choice);
    ike_esp_choose(c, &esp, 1, false, &choice);
    ike_sa_is_answer(c);
    if (ike_ke_parse(c, &group, &part, &len)) {
        g_assert(part >= p && part + len == p + n);
    }
    if (ike_id_parse(c, &id)) {
        g_assert(id.len > 0 && id.len <= IKE_ID_MAX);
        ike_id_text(&id, text, sizeof text);
    }
    if (ike_auth_parse(c, &byte, &part, &len)) {
        g_assert(part + len == p + n);
    }
    if (ike_notify_parse(c, &note)) {
        g_assert(note.data + note.n_data == p + n);
    }
    if (ike_delete_parse(c, &byte, spis, &count)) {
        g_assert(count <= IKE_SPIS_MAX);
    }
    if (ike_ts_parse(c, ranges, &count)) {
        unsigned n_any = ike_ts_any(any);
        unsigned got = ike_ts_narrow(any, n_any, ranges, count, ranges, count, pairs);

        g_assert(got <= IKE_SELECTORS_MAX);
        for (unsigned i = 0; i < got; i++) {
            g_assert(pairs[i].local.len <= 32 && pairs[i].remote.len <= 32);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t exchanges[] = {IKE_SA_INIT, IKE_AUTH, IKE_CREATE_CHILD_SA,
                                        IKE_INFORMATIONAL};
    struct ike_payloads ps;
    struct ike_header h;
    struct fw_cursor c = fw_cursor(data, size);

    ike_header_parse(&c, &h);
    body(data, size);
    if (size == 0) {
        return 0;
    }
    c = fw_cursor(data + 1, size - 1);
    if (ike_payloads_parse(&c, data[0], &ps) == IKE_VERDICT_OK) {
        g_assert(ps.n <= IKE_PAYLOADS_MAX);
        for (unsigned i = 0; i < ps.n; i++) {
            body(ps.p[i].body, ps.p[i].len);
        }
        for (unsigned i = 0; i < 16; i++) {
            ike_rules_check(exchanges[i / 4], i & 1, i & 2, &ps);
        }
    }
    return 0;
}
