/*
 * payload-sk - the encrypted payload (RFC 7296 section 3.14; RFC 5282 for AEAD).
 *
 *   header(28) next(1) 0(1) length(2) | IV | sealed chain, padding, pad length(1) | ICV
 *
 * AEAD: nonce = salt (behind the key) | IV, associated data = all before the IV. Otherwise: CBC,
 * then HMAC over the whole message up to the ICV.
 */
#include "re/ike/message.h"

size_t ike_sk_seal(const struct ike_sk_key *k, const struct ike_header *h, uint8_t first,
                   const uint8_t *chain, size_t n_chain, const uint8_t *iv, uint8_t *ret,
                   size_t room)
{
    const struct fw_enc_row *enc = fw_enc_row(k->enc);
    size_t icv = enc->aead ? enc->icv_bytes : fw_integ_row(k->integ)->icv_bytes;
    size_t block = enc->block_bytes ? enc->block_bytes : 1;
    size_t pad = (block - (n_chain + 1) % block) % block;
    size_t n_plain = n_chain + pad + 1;
    size_t n_sk = 4 + enc->iv_bytes + n_plain + icv;
    size_t n = IKE_HEADER_BYTES + n_sk;
    struct fw_emit e = fw_emit(ret, room);
    struct ike_header head = *h;
    uint8_t *plain, *tag;
    bool ok;

    if (n_sk > UINT16_MAX || enc->iv_bytes == 0) {
        return 0;
    }
    head.next = IKE_P_SK;
    head.length = (uint32_t)n;
    ike_header_emit(&e, &head);
    fw_emit_u8(&e, first);
    fw_emit_u8(&e, 0);
    fw_emit_u16(&e, (uint16_t)n_sk);
    fw_emit_bytes(&e, iv, enc->iv_bytes);
    plain = fw_emit_reserve(&e, n_plain);
    tag = fw_emit_reserve(&e, icv);
    if (e.failed) {
        return 0;
    }
    if (n_chain) {
        memcpy(plain, chain, n_chain);
    }
    plain[n_plain - 1] = (uint8_t)pad;
    if (enc->aead) {
        uint8_t nonce[12];

        memcpy(nonce, k->key + enc->key_bytes, 4);
        memcpy(nonce + 4, iv, 8);
        ok = fw_aead_seal(k->enc, k->key, nonce, ret, IKE_HEADER_BYTES + 4, plain, n_plain, plain,
                          tag);
    } else {
        struct fw_bytes all = {ret, n - icv};

        ok = fw_cbc_encrypt(k->enc, k->key, iv, plain, n_plain, plain) &&
             fw_integ_compute(k->integ, k->integ_key, &all, 1, tag);
    }
    return ok ? n : 0;
}

enum ike_verdict ike_sk_open(const struct ike_sk_key *k, const uint8_t *message, size_t n_message,
                             const struct ike_payload *sk, uint8_t *ret, size_t *ret_n)
{
    const struct fw_enc_row *enc = fw_enc_row(k->enc);
    size_t icv = enc->aead ? enc->icv_bytes : fw_integ_row(k->integ)->icv_bytes;
    size_t least = enc->iv_bytes + icv + 1;
    const uint8_t *iv = sk->body;
    const uint8_t *sealed = iv + enc->iv_bytes;
    size_t n;

    if (sk->len < least || sk->body + sk->len != message + n_message) {
        return IKE_VERDICT_INTEGRITY;
    }
    n = sk->len - enc->iv_bytes - icv;
    if (enc->aead) {
        uint8_t nonce[12];

        memcpy(nonce, k->key + enc->key_bytes, 4);
        memcpy(nonce + 4, iv, 8);
        if (!fw_aead_open(k->enc, k->key, nonce, message, (size_t)(iv - message), sealed, n,
                          sealed + n, ret)) {
            return IKE_VERDICT_INTEGRITY;
        }
    } else {
        struct fw_bytes all = {message, n_message - icv};
        uint8_t expected[FW_PRF_MAX];

        if (enc->block_bytes == 0 || n % enc->block_bytes ||
            !fw_integ_compute(k->integ, k->integ_key, &all, 1, expected) ||
            !fw_equal_ct(expected, sealed + n, icv) ||
            !fw_cbc_decrypt(k->enc, k->key, iv, sealed, n, ret)) {
            return IKE_VERDICT_INTEGRITY;
        }
    }
    if ((size_t)ret[n - 1] + 1 > n) {
        return IKE_VERDICT_INTEGRITY;
    }
    *ret_n = n - 1 - ret[n - 1];
    return IKE_VERDICT_OK;
}
