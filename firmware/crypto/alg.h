/*
 * alg - the one table of algorithms.
 *
 * Names in configuration and shows (srx5000 reference, section I), IKE
 * transform numbers (IANA "IKEv2 Parameters"), sizes. Rows are data; engines
 * implement them. Read-only, any thread.
 */
#ifndef CRYPTO_ALG_H
#define CRYPTO_ALG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fw_enc { FW_ENC_NONE, FW_ENC_AES_CBC_128, FW_ENC_AES_CBC_192, FW_ENC_AES_CBC_256,
              FW_ENC_AES_GCM_128, FW_ENC_AES_GCM_192, FW_ENC_AES_GCM_256, FW_ENC_COUNT };
enum fw_integ { FW_INTEG_NONE, FW_INTEG_SHA256_128, FW_INTEG_SHA384_192, FW_INTEG_SHA512_256,
                FW_INTEG_SHA1_96, FW_INTEG_COUNT };
enum fw_prf { FW_PRF_NONE, FW_PRF_SHA1, FW_PRF_SHA256, FW_PRF_SHA384, FW_PRF_SHA512,
              FW_PRF_COUNT };

struct fw_enc_row {
    uint16_t ike_id;          /* transform ENCR */
    uint16_t key_bits;        /* key length attribute, 0 when the transform has none */
    uint8_t key_bytes;        /* without salt */
    uint8_t salt_bytes;       /* 4 for GCM (RFC 4106, 5282) */
    uint8_t iv_bytes;         /* explicit IV on the wire */
    uint8_t block_bytes;      /* padding granularity of the cipher */
    uint8_t icv_bytes;        /* AEAD tag, 0 otherwise */
    bool aead;
    const char *config;       /* aes-256-gcm, in configuration */
    const char *ike_show;     /* aes256-gcm, show security ike */
    const char *ipsec_show;   /* aes-gcm (256 bits) detail */
    const char *ipsec_brief;  /* aes-gcm-256 in the brief list */
    const char *wireshark_esp;/* name in tshark's esp_sa table */
    const char *wireshark_ike;/* name in tshark's ikev2_decryption_table */
};
struct fw_integ_row {
    uint16_t ike_id;          /* transform INTEG */
    uint8_t key_bytes;
    uint8_t icv_bytes;
    const char *ike_config;   /* sha-256 */
    const char *ipsec_config; /* hmac-sha-256-128 */
    const char *show;         /* hmac-sha256-128 */
    const char *digest;       /* OpenSSL name */
    const char *wireshark_esp;
    const char *wireshark_ike;
};
struct fw_prf_row {
    uint16_t ike_id;
    uint8_t bytes;            /* output and preferred key length */
    const char *config;       /* sha-256: the prf follows the configured hash */
    const char *show;         /* hmac-sha256 */
    const char *digest;
};

const struct fw_enc_row *fw_enc_row(enum fw_enc e);
const struct fw_integ_row *fw_integ_row(enum fw_integ i);
const struct fw_prf_row *fw_prf_row(enum fw_prf p);
/* FW_*_NONE when unknown. key_bits 0 matches no AES row. */
enum fw_enc fw_enc_by_ike(uint16_t ike_id, uint16_t key_bits);
enum fw_integ fw_integ_by_ike(uint16_t ike_id);
enum fw_prf fw_prf_by_ike(uint16_t ike_id);
enum fw_enc fw_enc_by_config(const char *name);
enum fw_integ fw_integ_by_ike_config(const char *name);   /* also gives the prf's hash */
enum fw_integ fw_integ_by_ipsec_config(const char *name);
enum fw_prf fw_prf_by_config(const char *name);

/* DH groups by IANA number; 19 (P-256) here, others are rows to come (issue "IKE complete"). */
bool fw_group_known(uint16_t group);
size_t fw_group_public_bytes(uint16_t group);   /* KE data length: 64 for group 19 (RFC 5903) */
size_t fw_group_shared_bytes(uint16_t group);   /* 32 for group 19 */
uint16_t fw_group_by_config(const char *name);  /* "group19" -> 19, 0 unknown */

#endif
