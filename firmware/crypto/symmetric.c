/*
 * symmetric - HMAC, prf+, AEAD and CBC over OpenSSL 3 (crypto.h).
 *
 * Every call makes its own context, so any thread may call. Results of failed
 * calls are wiped; a failed AEAD open leaves no plain text behind.
 * Standards: RFC 2104, 7296 section 2.13, NIST SP 800-38A and 38D.
 */
#include "firmware/crypto/crypto.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <string.h>

static EVP_MAC *hmac(void)
{
    static EVP_MAC *mac;

    if (g_once_init_enter(&mac)) {
        g_once_init_leave(&mac, EVP_MAC_fetch(NULL, "HMAC", NULL));
    }
    return mac;
}

/* HMAC over the pieces; ret has room for FW_PRF_MAX bytes, n is the digest's full length. */
static bool hmac_compute(const char *digest, const void *key, size_t key_len,
                         const struct fw_bytes *pieces, unsigned n_pieces, uint8_t *ret, size_t n)
{
    static const uint8_t empty[1];
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(hmac());
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)digest, 0),
        OSSL_PARAM_construct_end(),
    };
    size_t written = 0;
    bool ok = ctx && EVP_MAC_init(ctx, key_len ? key : empty, key_len, params) == 1;

    for (unsigned i = 0; ok && i < n_pieces; i++) {
        ok = pieces[i].len == 0 || EVP_MAC_update(ctx, pieces[i].data, pieces[i].len) == 1;
    }
    ok = ok && EVP_MAC_final(ctx, ret, &written, FW_PRF_MAX) == 1 && written == n;
    EVP_MAC_CTX_free(ctx);
    return ok;
}

bool fw_prf_compute(enum fw_prf p, const void *key, size_t key_len, const struct fw_bytes *pieces,
                    unsigned n_pieces, uint8_t *ret)
{
    const struct fw_prf_row *row = fw_prf_row(p);
    uint8_t full[FW_PRF_MAX];
    bool ok =
        row->digest && hmac_compute(row->digest, key, key_len, pieces, n_pieces, full, row->bytes);

    if (ok) {
        memcpy(ret, full, row->bytes);
    }
    fw_wipe(full, sizeof full);
    return ok;
}

/* T1 = prf(K, S | 0x01), Tn = prf(K, Tn-1 | S | n); n is one byte, so at most 255 blocks. */
bool fw_prf_plus(enum fw_prf p, const void *key, size_t key_len, const struct fw_bytes *seed,
                 unsigned n_seed, uint8_t *ret, size_t n)
{
    const struct fw_prf_row *row = fw_prf_row(p);
    struct fw_bytes pieces[10];
    uint8_t block[FW_PRF_MAX];
    uint8_t count = 0;
    size_t done = 0;
    bool ok = row->digest && n_seed <= G_N_ELEMENTS(pieces) - 2 && n <= 255u * row->bytes;

    while (ok && done < n) {
        unsigned used = 0;
        size_t take = MIN(n - done, row->bytes);

        if (count) {
            pieces[used++] = (struct fw_bytes){block, row->bytes};
        }
        for (unsigned i = 0; i < n_seed; i++) {
            pieces[used++] = seed[i];
        }
        count++;
        pieces[used++] = (struct fw_bytes){&count, 1};
        ok = fw_prf_compute(p, key, key_len, pieces, used, block);
        if (ok) {
            memcpy(ret + done, block, take);
            done += take;
        }
    }
    fw_wipe(block, sizeof block);
    if (!ok) {
        fw_wipe(ret, done);
    }
    return ok;
}

bool fw_integ_compute(enum fw_integ i, const void *key, const struct fw_bytes *pieces,
                      unsigned n_pieces, uint8_t *ret)
{
    const struct fw_integ_row *row = fw_integ_row(i);
    uint8_t full[FW_PRF_MAX];
    bool ok = row->digest && hmac_compute(row->digest, key, row->key_bytes, pieces, n_pieces, full,
                                          row->key_bytes);

    if (ok) {
        memcpy(ret, full, row->icv_bytes);
    }
    fw_wipe(full, sizeof full);
    return ok;
}

static const EVP_CIPHER *cipher(enum fw_enc e)
{
    switch (e) {
    case FW_ENC_AES_CBC_128:
        return EVP_aes_128_cbc();
    case FW_ENC_AES_CBC_192:
        return EVP_aes_192_cbc();
    case FW_ENC_AES_CBC_256:
        return EVP_aes_256_cbc();
    case FW_ENC_AES_GCM_128:
        return EVP_aes_128_gcm();
    case FW_ENC_AES_GCM_192:
        return EVP_aes_192_gcm();
    case FW_ENC_AES_GCM_256:
        return EVP_aes_256_gcm();
    case FW_ENC_NONE:
    case FW_ENC_COUNT:
        break;
    }
    return NULL;
}

bool fw_aead_seal(enum fw_enc e, const void *key, const uint8_t nonce[12], const void *aad,
                  size_t aad_len, const void *plain, size_t n, uint8_t *ret, uint8_t *ret_tag)
{
    const struct fw_enc_row *row = fw_enc_row(e);
    EVP_CIPHER_CTX *ctx;
    uint8_t last[16];
    int len = 0;
    bool ok;

    if (!row->aead || n > INT_MAX || aad_len > INT_MAX) {
        return false;
    }
    ctx = EVP_CIPHER_CTX_new();
    ok = ctx && EVP_EncryptInit_ex(ctx, cipher(e), NULL, key, nonce) == 1 &&
         (aad_len == 0 || EVP_EncryptUpdate(ctx, NULL, &len, aad, (int)aad_len) == 1) &&
         (n == 0 || EVP_EncryptUpdate(ctx, ret, &len, plain, (int)n) == 1) &&
         EVP_EncryptFinal_ex(ctx, last, &len) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, row->icv_bytes, ret_tag) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

bool fw_aead_open(enum fw_enc e, const void *key, const uint8_t nonce[12], const void *aad,
                  size_t aad_len, const void *sealed, size_t n, const uint8_t *tag, uint8_t *ret)
{
    const struct fw_enc_row *row = fw_enc_row(e);
    EVP_CIPHER_CTX *ctx;
    uint8_t last[16];
    int len = 0;
    bool ok;

    if (!row->aead || n > INT_MAX || aad_len > INT_MAX) {
        return false;
    }
    ctx = EVP_CIPHER_CTX_new();
    ok = ctx && EVP_DecryptInit_ex(ctx, cipher(e), NULL, key, nonce) == 1 &&
         EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, row->icv_bytes, (void *)tag) == 1 &&
         (aad_len == 0 || EVP_DecryptUpdate(ctx, NULL, &len, aad, (int)aad_len) == 1) &&
         (n == 0 || EVP_DecryptUpdate(ctx, ret, &len, sealed, (int)n) == 1) &&
         EVP_DecryptFinal_ex(ctx, last, &len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    if (!ok) {
        fw_wipe(ret, n);
    }
    return ok;
}

static bool cbc(enum fw_enc e, const void *key, const uint8_t *iv, const void *in, size_t n,
                uint8_t *ret, int encrypt)
{
    const struct fw_enc_row *row = fw_enc_row(e);
    EVP_CIPHER_CTX *ctx;
    uint8_t last[16];
    int len = 0;
    bool ok;

    if (row->aead || row->block_bytes == 0 || n % row->block_bytes || n > INT_MAX) {
        return false;
    }
    ctx = EVP_CIPHER_CTX_new();
    ok = ctx && EVP_CipherInit_ex(ctx, cipher(e), NULL, key, iv, encrypt) == 1 &&
         EVP_CIPHER_CTX_set_padding(ctx, 0) == 1 &&
         (n == 0 || EVP_CipherUpdate(ctx, ret, &len, in, (int)n) == 1) &&
         EVP_CipherFinal_ex(ctx, last, &len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return ok;
}

bool fw_cbc_encrypt(enum fw_enc e, const void *key, const uint8_t *iv, const void *plain, size_t n,
                    uint8_t *ret)
{
    return cbc(e, key, iv, plain, n, ret, 1);
}

bool fw_cbc_decrypt(enum fw_enc e, const void *key, const uint8_t *iv, const void *sealed, size_t n,
                    uint8_t *ret)
{
    return cbc(e, key, iv, sealed, n, ret, 0);
}

bool fw_sha1(const struct fw_bytes *pieces, unsigned n_pieces, uint8_t ret[20])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) == 1;

    for (unsigned i = 0; ok && i < n_pieces; i++) {
        ok = EVP_DigestUpdate(ctx, pieces[i].data, pieces[i].len) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(ctx, ret, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}
