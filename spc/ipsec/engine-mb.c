/*
 * engine-mb - AES-GCM by libipsec-mb's direct API: one call a packet, about 50 ns for a small one.
 *
 * The manager (about 30 KiB of state, tables of function pointers) is made with
 * the first key, so that a card without SAs does not pay for it; the direct
 * GCM functions only read it, so lanes share it.
 */
#include "spc/ipsec/engine.h"

#ifdef HAVE_IPSEC_MB

#include <intel-ipsec-mb.h>
#include <string.h>

#include "firmware/core/secret.h"
#include "spc/ipsec/slab.h"

/* Nothing but what the cipher reads: a packet touches some ten lines of it. */
struct ipsec_key {
    struct gcm_key_data data;
};

static IMB_MGR *mgr; /* made with the first key, on the main thread; lanes only read it */

static bool mb_start(void)
{
    if (!mgr) {
        mgr = alloc_mb_mgr(0);
        if (mgr) {
            init_mb_mgr_auto(mgr, NULL);
        }
    }
    return mgr;
}

static struct ipsec_slab slab = {.size = sizeof(struct ipsec_key)};

static void mb_key_free(struct ipsec_key *k)
{
    ipsec_slab_give(&slab, k); /* erases */
}

/* The round keys come first; behind them the powers of the hash key, the first one last: a packet
 * of n blocks uses the last n of them, up to all. */
static void mb_prefetch(const struct ipsec_key *k, uint32_t bytes)
{
    const char *p = (const char *)k;
    uint32_t end = sizeof k->data, powers = (bytes / 16 + 4) * 16;

    for (unsigned at = 0; at < 256; at += 64) {
        __builtin_prefetch(p + at);
    }
    for (unsigned at = powers < end - 256 ? (end - powers) & ~63u : 256; at < end; at += 64) {
        __builtin_prefetch(p + at);
    }
}

/* Written at once and read at once: a wide load behind narrow stores would wait for them. */
typedef uint32_t words __attribute__((vector_size(16)));

/* RFC 4106 section 5: SPI and sequence number, the upper half between them with ESN. */
static uint64_t aad_make(const struct ipsec_job *job, words *ret)
{
    uint32_t h[2];

    memcpy(h, job->header, 8);
    if (!job->esn) {
        *ret = (words){h[0], h[1]};
        return 8;
    }
    *ret = (words){h[0], __builtin_bswap32((uint32_t)(job->sequence >> 32)), h[1]};
    return 12;
}

static inline void seal(aes_gcm_enc_dec_t run, struct ipsec_key *k, const struct ipsec_job *job)
{
    struct gcm_context_data context;
    uint64_t count = __builtin_bswap64(job->sequence);
    words nonce = {job->salt, (uint32_t)count, (uint32_t)(count >> 32)}, aad;
    uint64_t aad_len = aad_make(job, &aad);

    memcpy(job->iv, &count, 8); /* the packet's number: never twice with one key */
    run(&k->data, &context, job->out, job->in, job->bytes, (const uint8_t *)&nonce,
        (const uint8_t *)&aad, aad_len, job->ret_tag, 16);
}

static inline bool open_checked(aes_gcm_enc_dec_t run, struct ipsec_key *k,
                                const struct ipsec_job *job)
{
    struct gcm_context_data context;
    uint32_t iv[2];
    uint8_t tag[16];
    words nonce, aad;
    uint64_t aad_len = aad_make(job, &aad);

    memcpy(iv, job->iv, 8);
    nonce = (words){job->salt, iv[0], iv[1]};
    run(&k->data, &context, job->out, job->in, job->bytes, (const uint8_t *)&nonce,
        (const uint8_t *)&aad, aad_len, tag, 16);
    return fw_equal_ct(tag, job->tag, 16);
}

/* The functions of one key length. */
#define MB_ROW(bits)                                                                               \
    static bool mb_supports_##bits(enum fw_enc enc, enum fw_integ integ)                           \
    {                                                                                              \
        return enc == FW_ENC_AES_GCM_##bits && integ == FW_INTEG_NONE;                             \
    }                                                                                              \
    static struct ipsec_key *mb_key_##bits(enum fw_enc enc, enum fw_integ integ,                   \
                                           const uint8_t *key, const uint8_t *integrity_key,       \
                                           bool sealing)                                           \
    {                                                                                              \
        struct ipsec_key *k = mb_start() ? ipsec_slab_take(&slab) : NULL;                          \
                                                                                                   \
        if (k) {                                                                                   \
            IMB_AES##bits##_GCM_PRE(mgr, key, &k->data);                                           \
        }                                                                                          \
        return k;                                                                                  \
    }                                                                                              \
    static bool mb_seal_##bits(struct ipsec_key *k, const struct ipsec_job *job)                   \
    {                                                                                              \
        seal(mgr->gcm##bits##_enc, k, job);                                                        \
        return true;                                                                               \
    }                                                                                              \
    static bool mb_open_##bits(struct ipsec_key *k, const struct ipsec_job *job)                   \
    {                                                                                              \
        return open_checked(mgr->gcm##bits##_dec, k, job);                                         \
    }
MB_ROW(128)
MB_ROW(192)
MB_ROW(256)

#define MB_ENGINE(bits)                                                                            \
    {                                                                                              \
        "ipsec-mb", mb_supports_##bits, mb_key_##bits, mb_key_free, mb_prefetch, mb_seal_##bits,   \
            mb_open_##bits                                                                         \
    }
const struct ipsec_engine ipsec_engine_mb[3] = {MB_ENGINE(128), MB_ENGINE(192), MB_ENGINE(256)};

#endif
