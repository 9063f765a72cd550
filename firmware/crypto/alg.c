/*
 * alg - see alg.h. The rows.
 *
 * Standards: RFC 3602 (CBC), 4106 and 5282 (GCM), 4868 (HMAC-SHA-2), 2404, 7296 appendix of
 * transforms; names of shows and configuration follow the srx5000 reference, sections E.11, E.12,
 * I.
 */
#include "firmware/crypto/alg.h"

#include <string.h>

#define ESP_CBC "AES-CBC [RFC3602]"
#define ESP_GCM "AES-GCM with 16 octet ICV [RFC4106]"

static const struct fw_enc_row enc_rows[FW_ENC_COUNT] = {
    [FW_ENC_NONE] = {0, 0, 0, 0, 0, 0, 0, false, "none", "none", "none", "none", "NULL", "NULL"},
    [FW_ENC_AES_CBC_128] = {12, 128, 16, 0, 16, 16, 0, false, "aes-128-cbc", "aes128-cbc",
                            "aes-cbc (128 bits)", "aes-cbc-128", ESP_CBC, "AES-CBC-128 [RFC3602]"},
    [FW_ENC_AES_CBC_192] = {12, 192, 24, 0, 16, 16, 0, false, "aes-192-cbc", "aes192-cbc",
                            "aes-cbc (192 bits)", "aes-cbc-192", ESP_CBC, "AES-CBC-192 [RFC3602]"},
    [FW_ENC_AES_CBC_256] = {12, 256, 32, 0, 16, 16, 0, false, "aes-256-cbc", "aes256-cbc",
                            "aes-cbc (256 bits)", "aes-cbc-256", ESP_CBC, "AES-CBC-256 [RFC3602]"},
    [FW_ENC_AES_GCM_128] = {20, 128, 16, 4, 8, 1, 16, true, "aes-128-gcm", "aes128-gcm",
                            "aes-gcm (128 bits)", "aes-gcm-128", ESP_GCM,
                            "AES-GCM-128 with 16 octet ICV [RFC5282]"},
    [FW_ENC_AES_GCM_192] = {20, 192, 24, 4, 8, 1, 16, true, "aes-192-gcm", "aes192-gcm",
                            "aes-gcm (192 bits)", "aes-gcm-192", ESP_GCM,
                            "AES-GCM-192 with 16 octet ICV [RFC5282]"},
    [FW_ENC_AES_GCM_256] = {20, 256, 32, 4, 8, 1, 16, true, "aes-256-gcm", "aes256-gcm",
                            "aes-gcm (256 bits)", "aes-gcm-256", ESP_GCM,
                            "AES-GCM-256 with 16 octet ICV [RFC5282]"},
};

static const struct fw_integ_row integ_rows[FW_INTEG_COUNT] = {
    [FW_INTEG_NONE] = {0, 0, 0, "none", "none", "none", NULL, "NULL", "NONE [RFC4306]"},
    [FW_INTEG_SHA256_128] = {12, 32, 16, "sha-256", "hmac-sha-256-128", "hmac-sha256-128", "SHA256",
                             "HMAC-SHA-256-128 [RFC4868]", "HMAC_SHA2_256_128 [RFC4868]"},
    [FW_INTEG_SHA384_192] = {13, 48, 24, "sha-384", "hmac-sha-384", "hmac-sha384-192", "SHA384",
                             "HMAC-SHA-384-192 [RFC4868]", "HMAC_SHA2_384_192 [RFC4868]"},
    [FW_INTEG_SHA512_256] = {14, 64, 32, "sha-512", "hmac-sha-512", "hmac-sha512-256", "SHA512",
                             "HMAC-SHA-512-256 [RFC4868]", "HMAC_SHA2_512_256 [RFC4868]"},
    [FW_INTEG_SHA1_96] = {2, 20, 12, "sha1", "hmac-sha1-96", "hmac-sha1-96", "SHA1",
                          "HMAC-SHA-1-96 [RFC2404]", "HMAC_SHA1_96 [RFC2404]"},
};

static const struct fw_prf_row prf_rows[FW_PRF_COUNT] = {
    [FW_PRF_NONE] = {0, 0, "none", "none", NULL},
    [FW_PRF_SHA1] = {2, 20, "sha1", "hmac-sha1", "SHA1"},
    [FW_PRF_SHA256] = {5, 32, "sha-256", "hmac-sha256", "SHA256"},
    [FW_PRF_SHA384] = {6, 48, "sha-384", "hmac-sha384", "SHA384"},
    [FW_PRF_SHA512] = {7, 64, "sha-512", "hmac-sha512", "SHA512"},
};

/* IANA number, KE bytes, shared secret bytes, name in configuration. */
static const struct {
    uint16_t number;
    uint16_t public_bytes;
    uint16_t shared_bytes;
    const char *config;
} group_rows[] = {
    {19, 64, 32, "group19"}, /* RFC 5903, P-256 */
};
#define GROUPS (sizeof group_rows / sizeof group_rows[0])

const struct fw_enc_row *fw_enc_row(enum fw_enc e)
{
    return &enc_rows[(unsigned)e < FW_ENC_COUNT ? e : FW_ENC_NONE];
}

const struct fw_integ_row *fw_integ_row(enum fw_integ i)
{
    return &integ_rows[(unsigned)i < FW_INTEG_COUNT ? i : FW_INTEG_NONE];
}

const struct fw_prf_row *fw_prf_row(enum fw_prf p)
{
    return &prf_rows[(unsigned)p < FW_PRF_COUNT ? p : FW_PRF_NONE];
}

enum fw_enc fw_enc_by_ike(uint16_t ike_id, uint16_t key_bits)
{
    for (int e = FW_ENC_NONE + 1; e < FW_ENC_COUNT; e++) {
        if (enc_rows[e].ike_id == ike_id && enc_rows[e].key_bits == key_bits) {
            return (enum fw_enc)e;
        }
    }
    return FW_ENC_NONE;
}

enum fw_integ fw_integ_by_ike(uint16_t ike_id)
{
    for (int i = FW_INTEG_NONE + 1; i < FW_INTEG_COUNT; i++) {
        if (integ_rows[i].ike_id == ike_id) {
            return (enum fw_integ)i;
        }
    }
    return FW_INTEG_NONE;
}

enum fw_prf fw_prf_by_ike(uint16_t ike_id)
{
    for (int p = FW_PRF_NONE + 1; p < FW_PRF_COUNT; p++) {
        if (prf_rows[p].ike_id == ike_id) {
            return (enum fw_prf)p;
        }
    }
    return FW_PRF_NONE;
}

enum fw_enc fw_enc_by_config(const char *name)
{
    for (int e = FW_ENC_NONE + 1; e < FW_ENC_COUNT; e++) {
        if (strcmp(enc_rows[e].config, name) == 0) {
            return (enum fw_enc)e;
        }
    }
    return FW_ENC_NONE;
}

enum fw_integ fw_integ_by_ike_config(const char *name)
{
    for (int i = FW_INTEG_NONE + 1; i < FW_INTEG_COUNT; i++) {
        if (strcmp(integ_rows[i].ike_config, name) == 0) {
            return (enum fw_integ)i;
        }
    }
    return FW_INTEG_NONE;
}

enum fw_integ fw_integ_by_ipsec_config(const char *name)
{
    for (int i = FW_INTEG_NONE + 1; i < FW_INTEG_COUNT; i++) {
        if (strcmp(integ_rows[i].ipsec_config, name) == 0) {
            return (enum fw_integ)i;
        }
    }
    return FW_INTEG_NONE;
}

enum fw_prf fw_prf_by_config(const char *name)
{
    for (int p = FW_PRF_NONE + 1; p < FW_PRF_COUNT; p++) {
        if (strcmp(prf_rows[p].config, name) == 0) {
            return (enum fw_prf)p;
        }
    }
    return FW_PRF_NONE;
}

bool fw_group_known(uint16_t group)
{
    return fw_group_public_bytes(group) != 0;
}

size_t fw_group_public_bytes(uint16_t group)
{
    for (size_t i = 0; i < GROUPS; i++) {
        if (group_rows[i].number == group) {
            return group_rows[i].public_bytes;
        }
    }
    return 0;
}

size_t fw_group_shared_bytes(uint16_t group)
{
    for (size_t i = 0; i < GROUPS; i++) {
        if (group_rows[i].number == group) {
            return group_rows[i].shared_bytes;
        }
    }
    return 0;
}

uint16_t fw_group_by_config(const char *name)
{
    for (size_t i = 0; i < GROUPS; i++) {
        if (strcmp(group_rows[i].config, name) == 0) {
            return group_rows[i].number;
        }
    }
    return 0;
}
