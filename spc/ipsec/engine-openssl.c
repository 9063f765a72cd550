/*
 * engine-openssl - AES-GCM, and AES-CBC with HMAC-SHA-2, by OpenSSL's EVP.
 *
 * Contexts are made with the key; a packet only sets IV and data. The IV of CBC
 * is the cipher of the packet's number (NIST SP 800-38A appendix C), so no two
 * are the same and nobody without the key can tell the next.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

#include "firmware/core/secret.h"
#include "spc/ipsec/engine.h"

struct ipsec_key {
    EVP_CIPHER_CTX *cipher;
    EVP_CIPHER_CTX *ivs;  /* CBC, sealing: ECB over packet numbers */
    EVP_MAC_CTX *mac;     /* CBC */
    bool aead;
    unsigned icv;
};

static const char *cipher_name(enum fw_enc enc)
{
    switch (enc) {
    case FW_ENC_AES_CBC_128:
        return "AES-128-CBC";
    case FW_ENC_AES_CBC_192:
        return "AES-192-CBC";
    case FW_ENC_AES_CBC_256:
        return "AES-256-CBC";
    case FW_ENC_AES_GCM_128:
        return "AES-128-GCM";
    case FW_ENC_AES_GCM_192:
        return "AES-192-GCM";
    case FW_ENC_AES_GCM_256:
        return "AES-256-GCM";
    case FW_ENC_NONE:
    case FW_ENC_COUNT:
        break;
    }
    return NULL;
}

static bool ossl_supports(enum fw_enc enc, enum fw_integ integ)
{
    if (!cipher_name(enc)) {
        return false;
    }
    return fw_enc_row(enc)->aead ? integ == FW_INTEG_NONE
                                 : integ != FW_INTEG_NONE && integ < FW_INTEG_COUNT;
}

static EVP_CIPHER_CTX *cipher_new(const char *name, const uint8_t *key, bool encrypt)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, name, NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

    if (!cipher || !ctx || EVP_CipherInit_ex2(ctx, cipher, key, NULL, encrypt, NULL) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        ctx = NULL;
    } else {
        EVP_CIPHER_CTX_set_padding(ctx, 0);
    }
    EVP_CIPHER_free(cipher);
    return ctx;
}

static EVP_MAC_CTX *mac_new(enum fw_integ integ, const uint8_t *key)
{
    const struct fw_integ_row *row = fw_integ_row(integ);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)row->digest, 0),
        OSSL_PARAM_construct_end(),
    };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;

    if (ctx && EVP_MAC_init(ctx, key, row->key_bytes, params) != 1) {
        EVP_MAC_CTX_free(ctx);
        ctx = NULL;
    }
    EVP_MAC_free(mac);
    return ctx;
}

static void ossl_key_free(struct ipsec_key *k)
{
    if (k) {
        EVP_CIPHER_CTX_free(k->cipher); /* these erase what they held */
        EVP_CIPHER_CTX_free(k->ivs);
        EVP_MAC_CTX_free(k->mac);
        fw_wipe(k, sizeof *k);
        g_free(k);
    }
}

static struct ipsec_key *ossl_key_new(enum fw_enc enc, enum fw_integ integ, const uint8_t *key,
                                      const uint8_t *integrity_key, bool seal)
{
    static const char *const ecb[] = {"AES-128-ECB", "AES-192-ECB", "AES-256-ECB"};
    const struct fw_enc_row *row = fw_enc_row(enc);
    struct ipsec_key *k = g_new0(struct ipsec_key, 1);

    k->aead = row->aead;
    k->icv = row->aead ? row->icv_bytes : fw_integ_row(integ)->icv_bytes;
    k->cipher = cipher_new(cipher_name(enc), key, seal);
    if (!row->aead) {
        k->mac = mac_new(integ, integrity_key);
        k->ivs = seal ? cipher_new(ecb[row->key_bytes / 8 - 2], key, true) : NULL;
    }
    if (!k->cipher || (!row->aead && (!k->mac || (seal && !k->ivs)))) {
        ossl_key_free(k);
        return NULL;
    }
    return k;
}

static void ossl_prefetch(const struct ipsec_key *k, uint32_t bytes)
{
    __builtin_prefetch(k);
}

/* ---- GCM ---- */

static bool gcm_start(struct ipsec_key *k, const struct ipsec_job *job)
{
    uint8_t nonce[12], aad[12];
    int aad_len = 8, n;

    memcpy(nonce, &job->salt, 4);
    memcpy(nonce + 4, job->iv, 8);
    memcpy(aad, job->header, 4);
    if (job->esn) {
        for (unsigned i = 0; i < 4; i++) {
            aad[4 + i] = (uint8_t)(job->sequence >> (56 - 8 * i));
        }
        aad_len = 12;
    }
    memcpy(aad + aad_len - 4, job->header + 4, 4);
    return EVP_CipherInit_ex2(k->cipher, NULL, NULL, nonce, -1, NULL) == 1 &&
           EVP_CipherUpdate(k->cipher, NULL, &n, aad, aad_len) == 1 &&
           EVP_CipherUpdate(k->cipher, job->out, &n, job->in, (int)job->bytes) == 1;
}

static bool gcm_seal(struct ipsec_key *k, const struct ipsec_job *job)
{
    int n;

    for (unsigned i = 0; i < 8; i++) {
        job->iv[i] = (uint8_t)(job->sequence >> (56 - 8 * i));
    }
    return gcm_start(k, job) &&
           EVP_CipherFinal_ex(k->cipher, job->out + job->bytes, &n) == 1 &&
           EVP_CIPHER_CTX_ctrl(k->cipher, EVP_CTRL_AEAD_GET_TAG, (int)k->icv, job->ret_tag) == 1;
}

static bool gcm_open(struct ipsec_key *k, const struct ipsec_job *job)
{
    uint8_t tag[IPSEC_ICV_MAX];
    int n;

    memcpy(tag, job->tag, k->icv);
    return gcm_start(k, job) &&
           EVP_CIPHER_CTX_ctrl(k->cipher, EVP_CTRL_AEAD_SET_TAG, (int)k->icv, tag) == 1 &&
           EVP_CipherFinal_ex(k->cipher, job->out + job->bytes, &n) == 1;
}

/* ---- CBC and HMAC: encrypt, then authenticate header, IV and cipher text (and ESN's half) ---- */

static bool mac_compute(struct ipsec_key *k, const struct ipsec_job *job, const uint8_t *text,
                        uint8_t ret[64])
{
    uint8_t high[4];
    size_t n;

    for (unsigned i = 0; i < 4; i++) {
        high[i] = (uint8_t)(job->sequence >> (56 - 8 * i));
    }
    return EVP_MAC_init(k->mac, NULL, 0, NULL) == 1 &&
           EVP_MAC_update(k->mac, job->header, 8) == 1 &&
           EVP_MAC_update(k->mac, job->iv, 16) == 1 &&
           EVP_MAC_update(k->mac, text, job->bytes) == 1 &&
           (!job->esn || EVP_MAC_update(k->mac, high, 4) == 1) &&
           EVP_MAC_final(k->mac, ret, &n, 64) == 1;
}

static bool cbc_run(struct ipsec_key *k, const struct ipsec_job *job)
{
    int n;

    return EVP_CipherInit_ex2(k->cipher, NULL, NULL, job->iv, -1, NULL) == 1 &&
           EVP_CipherUpdate(k->cipher, job->out, &n, job->in, (int)job->bytes) == 1;
}

static bool cbc_seal(struct ipsec_key *k, const struct ipsec_job *job)
{
    uint8_t number[16] = {0}, mac[64];
    int n;

    for (unsigned i = 0; i < 8; i++) {
        number[8 + i] = (uint8_t)(job->sequence >> (56 - 8 * i));
    }
    if (EVP_CipherUpdate(k->ivs, job->iv, &n, number, 16) != 1 || !cbc_run(k, job) ||
        !mac_compute(k, job, job->out, mac)) {
        return false;
    }
    memcpy(job->ret_tag, mac, k->icv);
    return true;
}

static bool cbc_open(struct ipsec_key *k, const struct ipsec_job *job)
{
    uint8_t mac[64];

    return mac_compute(k, job, job->in, mac) && fw_equal_ct(mac, job->tag, k->icv) &&
           cbc_run(k, job);
}

static bool ossl_seal(struct ipsec_key *k, const struct ipsec_job *job)
{
    return k->aead ? gcm_seal(k, job) : cbc_seal(k, job);
}

static bool ossl_open(struct ipsec_key *k, const struct ipsec_job *job)
{
    return k->aead ? gcm_open(k, job) : cbc_open(k, job);
}

const struct ipsec_engine ipsec_engine_openssl = {"openssl",     ossl_supports, ossl_key_new,
                                                  ossl_key_free, ossl_prefetch, ossl_seal,
                                                  ossl_open};
