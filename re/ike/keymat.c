/*
 * keymat - keys of IKE and CHILD SAs and the AUTH value (RFC 7296 sections 2.14, 2.15, 2.17, 2.18).
 */
#include "re/ike/internal.h"

static const char key_pad[] = "Key Pad for IKEv2";

static void put_spi(uint8_t *ret, uint64_t spi)
{
    for (int i = 0; i < 8; i++) {
        ret[i] = (uint8_t)(spi >> (56 - 8 * i));
    }
}

/*
 * A nonce as HMAC key is used whole for HMAC PRFs (section 2.14 speaks of fixed-key PRFs only).
 */
bool ike_keys_derive(struct ike_sa *sa, const struct ike_sa *old, const struct fw_secret *shared)
{
    const struct fw_prf_row *prf = fw_prf_row(sa->suite.prf);
    const struct fw_enc_row *enc = fw_enc_row(sa->suite.enc);
    size_t n_integ = enc->aead ? 0 : fw_integ_row(sa->suite.integ)->key_bytes;
    size_t n_enc = (size_t)enc->key_bytes + enc->salt_bytes;
    uint8_t nonces[2 * IKE_NONCE_MAX];
    size_t n_nonces = (size_t)sa->ni.len + sa->nr.len;
    uint8_t skeyseed[FW_PRF_MAX];
    uint8_t spis[16];
    uint8_t all[3 * FW_PRF_MAX + 2 * FW_PRF_MAX + 2 * IKE_ESP_KEY_MAX];
    size_t n_all = 3u * prf->bytes + 2 * n_integ + 2 * n_enc;
    struct fw_bytes seed[2] = {{nonces, n_nonces}, {spis, sizeof spis}};
    bool ok;

    memcpy(nonces, sa->ni.data, sa->ni.len);
    memcpy(nonces + sa->ni.len, sa->nr.data, sa->nr.len);
    put_spi(spis, sa->spi_i);
    put_spi(spis + 8, sa->spi_r);
    if (old) {
        struct fw_bytes pieces[2] = {{shared->data, shared->len}, {nonces, n_nonces}};

        ok = fw_prf_compute(old->suite.prf, old->keys.sk_d, fw_prf_row(old->suite.prf)->bytes,
                            pieces, 2, skeyseed);
        /* the new SA's PRF expands it (section 2.18) */
        ok = ok && fw_prf_plus(sa->suite.prf, skeyseed, fw_prf_row(old->suite.prf)->bytes, seed, 2,
                               all, n_all);
    } else {
        struct fw_bytes piece = {shared->data, shared->len};

        ok = fw_prf_compute(sa->suite.prf, nonces, n_nonces, &piece, 1, skeyseed) &&
             fw_prf_plus(sa->suite.prf, skeyseed, prf->bytes, seed, 2, all, n_all);
    }
    if (ok) {
        struct fw_cursor c = fw_cursor(all, n_all);

        fw_cursor_copy(&c, sa->keys.sk_d, prf->bytes);
        fw_cursor_copy(&c, sa->keys.ai, n_integ);
        fw_cursor_copy(&c, sa->keys.ar, n_integ);
        fw_cursor_copy(&c, sa->keys.ei, n_enc);
        fw_cursor_copy(&c, sa->keys.er, n_enc);
        fw_cursor_copy(&c, sa->keys.pi, prf->bytes);
        fw_cursor_copy(&c, sa->keys.pr, prf->bytes);
        sa->has_keys = true;
    }
    fw_wipe(all, sizeof all);
    fw_wipe(skeyseed, sizeof skeyseed);
    return ok;
}

size_t ike_esp_key_len(const struct ike_esp_suite *s)
{
    const struct fw_enc_row *enc = fw_enc_row(s->enc);

    return (size_t)enc->key_bytes + enc->salt_bytes;
}

bool ike_child_keys(const struct ike_sa *sa, const struct ike_nego *n, uint8_t key_i[],
                    uint8_t integ_i[], uint8_t key_r[], uint8_t integ_r[])
{
    size_t n_key = ike_esp_key_len(&n->esp);
    size_t n_integ = fw_enc_row(n->esp.enc)->aead ? 0 : fw_integ_row(n->esp.integ)->key_bytes;
    uint8_t all[2 * (IKE_ESP_KEY_MAX + FW_PRF_MAX)];
    struct fw_bytes seed[3];
    unsigned n_seed = 0;
    bool ok;

    if (n->shared) {
        seed[n_seed++] = (struct fw_bytes){n->shared->data, n->shared->len};
    }
    seed[n_seed++] = (struct fw_bytes){n->ni.data, n->ni.len};
    seed[n_seed++] = (struct fw_bytes){n->nr.data, n->nr.len};
    ok = fw_prf_plus(sa->suite.prf, sa->keys.sk_d, fw_prf_row(sa->suite.prf)->bytes, seed, n_seed,
                     all, 2 * (n_key + n_integ));
    if (ok) {
        struct fw_cursor c = fw_cursor(all, 2 * (n_key + n_integ));

        fw_cursor_copy(&c, key_i, n_key);
        fw_cursor_copy(&c, integ_i, n_integ);
        fw_cursor_copy(&c, key_r, n_key);
        fw_cursor_copy(&c, integ_r, n_integ);
    }
    fw_wipe(all, sizeof all);
    return ok;
}

bool ike_auth_compute(const struct ike_sa *sa, bool of_initiator, const struct ike_id *id,
                      const uint8_t *psk, size_t psk_len, uint8_t *ret)
{
    size_t n_prf = fw_prf_row(sa->suite.prf)->bytes;
    const uint8_t *sk_p = of_initiator ? sa->keys.pi : sa->keys.pr;
    const GByteArray *message = of_initiator ? sa->init_request : sa->init_response;
    const struct ike_nonce *nonce = of_initiator ? &sa->nr : &sa->ni;
    uint8_t id_head[4] = {id->type, 0, 0, 0};
    struct fw_bytes id_pieces[2] = {{id_head, 4}, {id->data, id->len}};
    struct fw_bytes pad = {key_pad, sizeof key_pad - 1};
    uint8_t maced_id[FW_PRF_MAX], key[FW_PRF_MAX];
    bool ok;

    if (!message) {
        return false;
    }
    ok = fw_prf_compute(sa->suite.prf, sk_p, n_prf, id_pieces, 2, maced_id) &&
         fw_prf_compute(sa->suite.prf, psk, psk_len, &pad, 1, key);
    if (ok) {
        struct fw_bytes pieces[3] = {
            {message->data, message->len}, {nonce->data, nonce->len}, {maced_id, n_prf}};

        ok = fw_prf_compute(sa->suite.prf, key, n_prf, pieces, 3, ret);
    }
    fw_wipe(key, sizeof key);
    fw_wipe(maced_id, sizeof maced_id);
    return ok;
}
