/*
 * crypto - implementations behind one interface.
 *
 * Symmetric work is synchronous (it is short); public-key work goes through
 * jobs: submit now, the callback comes later on the main loop, from a worker
 * thread here or from a card's crypto engine (another issue). A job survives
 * neither its crypto object nor fw_crypto_cancel; both make sure that the
 * callback does not run afterwards.
 *
 * Implementation: OpenSSL 3 libcrypto. Keys are wiped.
 */
#ifndef CRYPTO_CRYPTO_H
#define CRYPTO_CRYPTO_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/core/secret.h"
#include "firmware/crypto/alg.h"

#define FW_PRF_MAX    64
#define FW_DH_MAX     512

struct fw_bytes { /* one of several pieces hashed one after the other */
    const void *data;
    size_t len;
};

/* prf(key, pieces...) into ret (fw_prf_row(p)->bytes). */
bool fw_prf_compute(enum fw_prf p, const void *key, size_t key_len, const struct fw_bytes *pieces,
                    unsigned n_pieces, uint8_t *ret);
/* prf+ of RFC 7296 section 2.13. */
bool fw_prf_plus(enum fw_prf p, const void *key, size_t key_len, const struct fw_bytes *seed,
                 unsigned n_seed, uint8_t *ret, size_t n);
/* HMAC truncated to the row's icv_bytes. */
bool fw_integ_compute(enum fw_integ i, const void *key, const struct fw_bytes *pieces,
                      unsigned n_pieces, uint8_t *ret);
/* AEAD with a 12-byte nonce (salt | iv). In place is allowed. tag: icv_bytes. */
bool fw_aead_seal(enum fw_enc e, const void *key, const uint8_t nonce[12], const void *aad,
                  size_t aad_len, const void *plain, size_t n, uint8_t *ret, uint8_t *ret_tag);
bool fw_aead_open(enum fw_enc e, const void *key, const uint8_t nonce[12], const void *aad,
                  size_t aad_len, const void *sealed, size_t n, const uint8_t *tag, uint8_t *ret);
/* CBC without padding: n is a multiple of the block. In place is allowed. */
bool fw_cbc_encrypt(enum fw_enc e, const void *key, const uint8_t *iv, const void *plain, size_t n,
                    uint8_t *ret);
bool fw_cbc_decrypt(enum fw_enc e, const void *key, const uint8_t *iv, const void *sealed,
                    size_t n, uint8_t *ret);
/* SHA-1, used by NAT detection (RFC 7296 section 2.23). */
bool fw_sha1(const struct fw_bytes *pieces, unsigned n_pieces, uint8_t ret[20]);

enum fw_job_kind {
    FW_JOB_DH_GENERATE, /* -> private (secret), public */
    FW_JOB_DH_DERIVE    /* private, peer's public -> shared secret */
};

struct fw_job {
    enum fw_job_kind kind;
    uint16_t group;
    uint8_t public_value[FW_DH_MAX]; /* own (generate) or peer's (derive) */
    size_t public_len;
    struct fw_secret *private_value; /* owned by the job */
    struct fw_secret *shared;        /* result; take it by setting NULL */
    bool failed;                     /* bad point, wrong length, engine gone */
    uint64_t id;                     /* set by submit */
    void (*done)(struct fw_job *job, void *data); /* main loop; the job is freed after it returns */
    void *data;
};

struct fw_crypto;
/* workers 0: jobs run on the main loop at its next turn (exchange tests, stepped time). */
struct fw_crypto *fw_crypto_new(unsigned workers);
void fw_crypto_free(struct fw_crypto *crypto);
struct fw_job *fw_job_new(enum fw_job_kind kind, uint16_t group);
void fw_job_free(struct fw_job *job);
/* Takes the job; returns its id. */
uint64_t fw_crypto_submit(struct fw_crypto *crypto, struct fw_job *job);
void fw_crypto_cancel(struct fw_crypto *crypto, uint64_t id);
/* The work itself, at once, in the calling thread (workers and tests). */
void fw_job_run(struct fw_job *job);

#endif
