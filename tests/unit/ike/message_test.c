/* Messages: a captured one, round trips of our own, legality. */
#include <criterion/criterion.h>
#include <string.h>

#include "re/ike/message.h"
#include "tests/unit/ike/captured.h"

static enum ike_verdict parse(const uint8_t *bytes, size_t n, struct ike_header *h,
                              struct ike_payloads *ps)
{
    struct fw_cursor c = fw_cursor(bytes, n);
    enum ike_verdict v = ike_header_parse(&c, h);

    return v == IKE_VERDICT_OK ? ike_payloads_parse(&c, h->next, ps) : v;
}

Test(ike_message, captured)
{
    struct ike_header h;
    struct ike_payloads ps;
    struct ike_notification n;
    const struct ike_suite gcm = {FW_ENC_AES_GCM_128, FW_INTEG_NONE, FW_PRF_SHA256, 19};
    const struct ike_suite cbc = {FW_ENC_AES_CBC_256, FW_INTEG_SHA256_128, FW_PRF_SHA256, 19};
    const struct ike_suite other = {FW_ENC_AES_CBC_192, FW_INTEG_SHA256_128, FW_PRF_SHA256, 19};
    struct ike_suite ours[2] = {cbc, gcm};
    struct ike_choice choice;
    const struct ike_payload *sa, *ke;
    const uint8_t *data;
    uint16_t group;
    size_t len;

    cr_assert_eq(parse(captured_init, sizeof captured_init, &h, &ps), IKE_VERDICT_OK);
    cr_assert_eq(h.exchange, IKE_SA_INIT);
    cr_assert_eq(h.flags, IKE_FLAG_INITIATOR);
    cr_assert_eq(ike_rules_check(IKE_SA_INIT, false, false, &ps), IKE_VERDICT_OK);
    cr_assert(ike_notify_find(&ps, IKE_N_NAT_DETECTION_SOURCE_IP, &n));
    cr_assert_eq(n.n_data, 20);
    sa = ike_payloads_find(&ps, IKE_P_SA);
    cr_assert_eq(ike_sa_choose(fw_cursor(sa->body, sa->len), 0, ours, 2, &choice), IKE_CHOOSE_OK);
    cr_assert_eq(choice.ike.enc, FW_ENC_AES_CBC_256); /* our order decides */
    cr_assert_eq(choice.number, 2);
    cr_assert_eq(ike_sa_choose(fw_cursor(sa->body, sa->len), 0, &gcm, 1, &choice), IKE_CHOOSE_OK);
    cr_assert_eq(choice.number, 1);
    cr_assert_eq(ike_sa_choose(fw_cursor(sa->body, sa->len), 0, &other, 1, &choice),
                 IKE_CHOOSE_NONE);
    ke = ike_payloads_find(&ps, IKE_P_KE);
    cr_assert(ike_ke_parse(fw_cursor(ke->body, ke->len), &group, &data, &len));
    cr_assert_eq(group, 19);
    cr_assert_eq(len, 64);
}

Test(ike_message, captured_cut_anywhere)
{
    struct ike_header h;
    struct ike_payloads ps;

    for (size_t n = 0; n < sizeof captured_init; n++) {
        cr_assert_neq(parse(captured_init, n, &h, &ps), IKE_VERDICT_OK);
    }
}

Test(ike_message, header)
{
    uint8_t bytes[sizeof captured_init];
    struct ike_header h;
    struct ike_payloads ps;

    memcpy(bytes, captured_init, sizeof bytes);
    bytes[17] = 0x10; /* IKEv1 */
    cr_assert_eq(parse(bytes, sizeof bytes, &h, &ps), IKE_VERDICT_VERSION);
    bytes[17] = 0x2f; /* a later minor version is understood */
    cr_assert_eq(parse(bytes, sizeof bytes, &h, &ps), IKE_VERDICT_OK);
    bytes[27]++;
    cr_assert_eq(parse(bytes, sizeof bytes, &h, &ps), IKE_VERDICT_SHORT);
}

Test(ike_message, proposals_round_trip)
{
    const struct ike_suite suites[] = {
        {FW_ENC_AES_GCM_256, FW_INTEG_NONE, FW_PRF_SHA384, 19},
        {FW_ENC_AES_CBC_128, FW_INTEG_SHA256_128, FW_PRF_SHA256, 19},
    };
    const struct ike_esp_suite esp[] = {
        {FW_ENC_AES_GCM_128, FW_INTEG_NONE, 19, false},
        {FW_ENC_AES_CBC_256, FW_INTEG_SHA1_96, 0, true},
    };
    uint8_t buffer[1024];

    for (unsigned i = 0; i < 2; i++) {
        struct ike_builder b = ike_chain_begin(buffer, sizeof buffer);
        struct ike_choice choice;
        struct fw_cursor body;

        ike_sa_emit(&b, suites, 2, 1, 0x1122334455667788u, 8);
        body = fw_cursor(buffer + 4, fw_emit_len(&b.e) - 4);
        cr_assert_eq(ike_sa_choose(body, 8, &suites[i], 1, &choice), IKE_CHOOSE_OK);
        cr_assert_eq(choice.number, i + 1);
        cr_assert_eq(choice.spi, 0x1122334455667788u);
        cr_assert_not(ike_sa_is_answer(body));
        cr_assert_eq(ike_sa_choose(body, 0, &suites[i], 1, &choice), IKE_CHOOSE_NONE);

        b = ike_chain_begin(buffer, sizeof buffer);
        ike_esp_emit(&b, esp, 2, 1, 0xdeadbeef, true);
        body = fw_cursor(buffer + 4, fw_emit_len(&b.e) - 4);
        cr_assert_eq(ike_esp_choose(body, &esp[i], 1, true, &choice), IKE_CHOOSE_OK);
        cr_assert_eq(choice.number, i + 1);
        cr_assert_eq(choice.spi, 0xdeadbeef);
        cr_assert_eq(choice.esp.esn, esp[i].esn);

        b = ike_chain_begin(buffer, sizeof buffer);
        ike_esp_emit(&b, &esp[i], 1, 1, 700, true);
        cr_assert(ike_sa_is_answer(fw_cursor(buffer + 4, fw_emit_len(&b.e) - 4)));
    }
}

/* Transforms that are valid elsewhere but not here. */
Test(ike_message, proposals_that_do_not_fit)
{
    const struct ike_suite gcm = {FW_ENC_AES_GCM_128, FW_INTEG_NONE, FW_PRF_SHA256, 19};
    /* proposal 1, IKE: GCM-128, HMAC-SHA-256-128, PRF, group 19: integrity beside AEAD */
    static const uint8_t with_integrity[] = {0, 0, 0, 44, 1, 1, 0, 4, /* proposal */
                                             3, 0, 0, 12, 1, 0, 0, 20, 0x80, 14, 0, 128, /* GCM */
                                             3, 0, 0, 8,  3, 0, 0, 12, /* integrity */
                                             3, 0, 0, 8,  2, 0, 0, 5,  /* PRF */
                                             0, 0, 0, 8,  4, 0, 0, 19};
    uint8_t bytes[sizeof with_integrity];
    struct ike_choice choice;

    cr_assert_eq(
        ike_sa_choose(fw_cursor(with_integrity, sizeof with_integrity), 0, &gcm, 1, &choice),
        IKE_CHOOSE_NONE);
    memcpy(bytes, with_integrity, sizeof bytes);
    bytes[27] = 0; /* NONE goes with AEAD */
    cr_assert_eq(ike_sa_choose(fw_cursor(bytes, sizeof bytes), 0, &gcm, 1, &choice), IKE_CHOOSE_OK);
    bytes[19] = 0; /* key length 0 */
    cr_assert_eq(ike_sa_choose(fw_cursor(bytes, sizeof bytes), 0, &gcm, 1, &choice),
                 IKE_CHOOSE_NONE);
    bytes[19] = 128;
    bytes[24] = 9; /* a kind of transform that nobody knows */
    cr_assert_eq(ike_sa_choose(fw_cursor(bytes, sizeof bytes), 0, &gcm, 1, &choice),
                 IKE_CHOOSE_NONE);
    bytes[24] = 3;
    bytes[7] = 5; /* more transforms than there are */
    cr_assert_eq(ike_sa_choose(fw_cursor(bytes, sizeof bytes), 0, &gcm, 1, &choice),
                 IKE_CHOOSE_SYNTAX);
    bytes[7] = 4;
    for (size_t at = 0; at < sizeof bytes; at++) { /* lengths in turn: never beyond the end */
        uint8_t was = bytes[at];

        for (unsigned v = 0; v < 256; v += 15) {
            bytes[at] = (uint8_t)v;
            ike_sa_choose(fw_cursor(bytes, sizeof bytes), 0, &gcm, 1, &choice);
        }
        bytes[at] = was;
    }
}

Test(ike_message, sealing)
{
    const struct ike_sk_key keys[2] = {
        {FW_ENC_AES_GCM_256, FW_INTEG_NONE, (const uint8_t *)"0123456789abcdef0123456789abcdefsalt",
         NULL},
        {FW_ENC_AES_CBC_128, FW_INTEG_SHA256_128, (const uint8_t *)"0123456789abcdef",
         (const uint8_t *)"0123456789abcdef0123456789abcdef"},
    };
    struct ike_header h = {.spi_i = 1, .spi_r = 2, .exchange = IKE_INFORMATIONAL, .message_id = 9};
    uint8_t iv[16] = {5}, message[256], plain[256];

    for (unsigned k = 0; k < 2; k++) {
        for (size_t n = 0; n < 40; n++) {
            uint8_t chain[40] = {0};
            struct fw_cursor c;
            struct ike_payloads ps;
            struct ike_header back;
            size_t got, len = ike_sk_seal(&keys[k], &h, IKE_P_NOTIFY, chain, n, iv, message,
                                          sizeof message);

            cr_assert_gt(len, 0);
            c = fw_cursor(message, len);
            cr_assert_eq(ike_header_parse(&c, &back), IKE_VERDICT_OK);
            cr_assert_eq(ike_payloads_parse(&c, back.next, &ps), IKE_VERDICT_OK);
            cr_assert_eq(ps.inner_first, IKE_P_NOTIFY);
            cr_assert_eq(ike_sk_open(&keys[k], message, len, &ps.p[0], plain, &got),
                         IKE_VERDICT_OK);
            cr_assert_eq(got, n);
            for (size_t at = 0; at < len; at++) {
                message[at] ^= 0x80;
                cr_assert_eq(ike_sk_open(&keys[k], message, len, &ps.p[0], plain, &got),
                             IKE_VERDICT_INTEGRITY);
                message[at] ^= 0x80;
            }
        }
    }
    cr_assert_eq(ike_sk_seal(&keys[0], &h, 0, plain, 40, iv, message, 60), 0); /* no room */
}

Test(ike_message, identities)
{
    uint8_t buffer[256];
    struct ike_id ids[] = {{1, 4, {192, 0, 2, 1}}, {2, 6, "a.test"}, {11, 3, {0, 255, 7}}};
    char text[64];

    for (unsigned i = 0; i < 3; i++) {
        struct ike_builder b = ike_chain_begin(buffer, sizeof buffer);
        struct ike_id back;

        ike_id_emit(&b, IKE_P_IDI, &ids[i]);
        cr_assert(ike_id_parse(fw_cursor(buffer + 4, fw_emit_len(&b.e) - 4), &back));
        cr_assert(ike_id_equal(&ids[i], &back));
    }
    cr_assert_str_eq(ike_id_text(&ids[0], text, sizeof text), "192.0.2.1");
    cr_assert_str_eq(ike_id_text(&ids[1], text, sizeof text), "a.test");
    cr_assert_str_eq(ike_id_text(&ids[1], text, 4), "a.t");
    cr_assert_str_eq(ike_id_text(&ids[2], text, sizeof text), "???");
    cr_assert_not(ike_id_parse(fw_cursor("\1\0\0\0abc", 7), &ids[0])); /* three bytes of IPv4 */
    memset(buffer, 2, sizeof buffer);
    cr_assert_not(ike_id_parse(fw_cursor(buffer, 4 + IKE_ID_MAX + 1), &ids[0]));
}

Test(ike_message, deletes)
{
    static const uint8_t lie[] = {3, 4, 0, 2, 1, 2, 3, 4};
    static const uint8_t spi_of_ike[] = {1, 4, 0, 1, 1, 2, 3, 4};
    uint32_t spis[IKE_SPIS_MAX], many[40] = {7};
    uint8_t buffer[256], protocol;
    unsigned n;
    struct ike_builder b = ike_chain_begin(buffer, sizeof buffer);

    cr_assert_not(ike_delete_parse(fw_cursor(lie, sizeof lie), &protocol, spis, &n));
    cr_assert_not(ike_delete_parse(fw_cursor(spi_of_ike, sizeof spi_of_ike), &protocol, spis, &n));
    ike_delete_esp_emit(&b, many, 40);
    cr_assert(ike_delete_parse(fw_cursor(buffer + 4, fw_emit_len(&b.e) - 4), &protocol, spis, &n));
    cr_assert_eq(n, IKE_SPIS_MAX);
    cr_assert_eq(spis[0], 7);
}
