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

struct ipsec_key {
    struct gcm_key_data data;
    aes_gcm_enc_dec_t seal, open;
    uint32_t salt; /* in the order of the wire */
};

static IMB_MGR *manager(void)
{
    static IMB_MGR *mgr;

    if (!mgr) {
        mgr = alloc_mb_mgr(0);
        if (mgr) {
            init_mb_mgr_auto(mgr, NULL);
        }
    }
    return mgr;
}

static bool mb_supports(enum fw_enc enc, enum fw_integ integ)
{
    return integ == FW_INTEG_NONE && (enc == FW_ENC_AES_GCM_128 || enc == FW_ENC_AES_GCM_192 ||
                                      enc == FW_ENC_AES_GCM_256);
}

static struct ipsec_key *mb_key_new(enum fw_enc enc, enum fw_integ integ, const uint8_t *key,
                                    const uint8_t *integrity_key, bool seal)
{
    IMB_MGR *mgr = manager();
    struct ipsec_key *k;

    (void)integ;
    (void)integrity_key;
    (void)seal;
    if (!mgr || posix_memalign((void **)&k, 64, sizeof *k) != 0) {
        return NULL;
    }
    memset(k, 0, sizeof *k);
    switch (enc) {
    case FW_ENC_AES_GCM_128:
        IMB_AES128_GCM_PRE(mgr, key, &k->data);
        k->seal = mgr->gcm128_enc;
        k->open = mgr->gcm128_dec;
        break;
    case FW_ENC_AES_GCM_192:
        IMB_AES192_GCM_PRE(mgr, key, &k->data);
        k->seal = mgr->gcm192_enc;
        k->open = mgr->gcm192_dec;
        break;
    default:
        IMB_AES256_GCM_PRE(mgr, key, &k->data);
        k->seal = mgr->gcm256_enc;
        k->open = mgr->gcm256_dec;
        break;
    }
    memcpy(&k->salt, key + fw_enc_row(enc)->key_bytes, sizeof k->salt);
    return k;
}

static void mb_key_free(struct ipsec_key *k)
{
    if (k) {
        fw_wipe(k, sizeof *k);
        free(k);
    }
}

/* The round keys come first; behind them the powers of the hash key, the first one last: a packet
 * of n blocks uses the last n of them, up to all. */
static void mb_prefetch(const struct ipsec_key *k, uint32_t bytes)
{
    const char *p = (const char *)k;
    uint32_t end = sizeof k->data, powers = (bytes / 16 + 4) * 16;

    __builtin_prefetch(&k->seal);
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

static bool mb_seal(struct ipsec_key *k, const struct ipsec_job *job)
{
    struct gcm_context_data context;
    uint64_t count = __builtin_bswap64(job->sequence);
    words nonce = {k->salt, (uint32_t)count, (uint32_t)(count >> 32)}, aad;
    uint64_t aad_len = aad_make(job, &aad);

    memcpy(job->iv, &count, 8); /* the packet's number: never twice with one key */
    k->seal(&k->data, &context, job->out, job->in, job->bytes, (const uint8_t *)&nonce,
            (const uint8_t *)&aad, aad_len, job->ret_tag, 16);
    return true;
}

static bool mb_open(struct ipsec_key *k, const struct ipsec_job *job)
{
    struct gcm_context_data context;
    uint32_t iv[2];
    uint8_t tag[16];
    words nonce, aad;
    uint64_t aad_len = aad_make(job, &aad);

    memcpy(iv, job->iv, 8);
    nonce = (words){k->salt, iv[0], iv[1]};
    k->open(&k->data, &context, job->out, job->in, job->bytes, (const uint8_t *)&nonce,
            (const uint8_t *)&aad, aad_len, tag, 16);
    return fw_equal_ct(tag, job->tag, 16);
}

const struct ipsec_engine ipsec_engine_mb = {"ipsec-mb",  mb_supports, mb_key_new, mb_key_free,
                                             mb_prefetch, mb_seal,     mb_open};

#endif
