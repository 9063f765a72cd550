/*
 * engine - implementations of ESP ciphers behind one interface, by priority.
 *
 * libipsec-mb where it was built in and the algorithm is its own, else OpenSSL.
 * A key is made on the main thread (expansion allocates) and used by one lane.
 * seal and open: the lane's thread; no allocation, no system call.
 * Standards: RFC 4106 (AES-GCM in ESP), RFC 3602 and 4868 (AES-CBC, HMAC-SHA-256-128).
 */
#ifndef IPSEC_ENGINE_H
#define IPSEC_ENGINE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "firmware/crypto/alg.h"

#define IPSEC_IV_MAX  16
#define IPSEC_ICV_MAX 32

/* One packet's work. in and out may be the same place. */
struct ipsec_job {
    const uint8_t *in;      /* plain text with ESP trailer, or cipher text */
    uint8_t *out;
    uint32_t bytes;
    const uint8_t *header;  /* SPI and low sequence number as on the wire, 8 bytes; the IV, the
                             * cipher text and the tag follow without gap in the packet */
    uint64_t sequence;      /* whole */
    uint32_t salt;          /* of the nonce, as on the wire; AEAD only */
    bool esn;
    uint8_t *iv;            /* on the wire; seal writes it */
    const uint8_t *tag;     /* open: received */
    uint8_t *ret_tag;       /* seal */
};

struct ipsec_key;

struct ipsec_engine {
    const char *name;
    bool (*supports)(enum fw_enc enc, enum fw_integ integ);
    /* NULL: out of memory or refused by the library. The salt behind the key is the caller's. */
    struct ipsec_key *(*key_new)(enum fw_enc enc, enum fw_integ integ, const uint8_t *key,
                                 const uint8_t *integrity_key, bool seal);
    void (*key_free)(struct ipsec_key *key); /* wipes */
    /* Ask for what of the key a packet of this length will touch. */
    void (*prefetch)(const struct ipsec_key *key, uint32_t bytes);
    bool (*seal)(struct ipsec_key *key, const struct ipsec_job *job);
    /* False: not authentic (out then holds nothing of use). */
    bool (*open)(struct ipsec_key *key, const struct ipsec_job *job);
};

/* Best engine for the algorithms, or NULL. name: only this one (NULL: any). */
const struct ipsec_engine *ipsec_engine_find(enum fw_enc enc, enum fw_integ integ,
                                             const char *name);

extern const struct ipsec_engine ipsec_engine_openssl;
#ifdef HAVE_IPSEC_MB
extern const struct ipsec_engine ipsec_engine_mb[3]; /* one a key length */
#endif

#endif
