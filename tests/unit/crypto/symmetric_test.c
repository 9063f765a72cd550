/* Published vectors: RFC 4231, 3602; GCM specification (McGrew, Viega) case 4; FIPS 180. */
#include <criterion/criterion.h>
#include <string.h>

#include "firmware/crypto/crypto.h"

static size_t unhex(const char *text, uint8_t *ret)
{
    size_t n = 0;

    for (; text[0] && text[1]; text += 2) {
        unsigned v;

        sscanf(text, "%2x", &v);
        ret[n++] = (uint8_t)v;
    }
    return n;
}

static void expect(const uint8_t *got, const char *hex)
{
    uint8_t want[256];
    size_t n = unhex(hex, want);

    cr_assert_arr_eq(got, want, n);
}

Test(symmetric, hmac_sha2_rfc4231_case_2)
{
    struct fw_bytes two[2] = {{"what do ya want ", 16}, {"for nothing?", 12}};
    uint8_t out[FW_PRF_MAX];

    cr_assert(fw_prf_compute(FW_PRF_SHA256, "Jefe", 4, two, 2, out));
    expect(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    cr_assert(fw_prf_compute(FW_PRF_SHA384, "Jefe", 4, two, 2, out));
    expect(out, "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
                "8e2240ca5e69e2c78b3239ecfab21649");
    cr_assert(fw_prf_compute(FW_PRF_SHA512, "Jefe", 4, two, 2, out));
    expect(out, "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554");
    cr_assert_not(fw_prf_compute(FW_PRF_NONE, "Jefe", 4, two, 2, out));
}

Test(symmetric, integrity_is_the_truncated_hmac)
{
    uint8_t key[32], full[FW_PRF_MAX], cut[FW_PRF_MAX] = {0};
    struct fw_bytes piece = {"abc", 3};

    memset(key, 0x0b, sizeof key);
    cr_assert(fw_prf_compute(FW_PRF_SHA256, key, 32, &piece, 1, full));
    cr_assert(fw_integ_compute(FW_INTEG_SHA256_128, key, &piece, 1, cut));
    cr_assert_arr_eq(full, cut, 16);
    cr_assert_eq(cut[16], 0);
}

Test(symmetric, prf_plus_chains_its_blocks)
{
    uint8_t key[32] = {1}, out[80], block[FW_PRF_MAX];
    struct fw_bytes seed = {"seed", 4};
    struct fw_bytes first[2] = {{"seed", 4}, {"\1", 1}};
    struct fw_bytes second[3] = {{block, 32}, {"seed", 4}, {"\2", 1}};

    cr_assert(fw_prf_plus(FW_PRF_SHA256, key, 32, &seed, 1, out, sizeof out));
    cr_assert(fw_prf_compute(FW_PRF_SHA256, key, 32, first, 2, block));
    cr_assert_arr_eq(out, block, 32);
    cr_assert(fw_prf_compute(FW_PRF_SHA256, key, 32, second, 3, block));
    cr_assert_arr_eq(out + 32, block, 32);
    cr_assert_not(fw_prf_plus(FW_PRF_SHA256, key, 32, &seed, 1, out, 255 * 32 + 1));
}

Test(symmetric, gcm_case_4)
{
    uint8_t key[16], nonce[12], aad[20], plain[64], sealed[64], tag[16], back[64];
    size_t n = unhex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
                     plain);

    unhex("feffe9928665731c6d6a8f9467308308", key);
    unhex("cafebabefacedbaddecaf888", nonce);
    unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2", aad);
    cr_assert(fw_aead_seal(FW_ENC_AES_GCM_128, key, nonce, aad, 20, plain, n, sealed, tag));
    expect(sealed, "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
                   "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091");
    expect(tag, "5bc94fbc3221a5db94fae95ae7121a47");
    cr_assert(fw_aead_open(FW_ENC_AES_GCM_128, key, nonce, aad, 20, sealed, n, tag, back));
    cr_assert_arr_eq(back, plain, n);
    tag[15] ^= 1;
    cr_assert_not(fw_aead_open(FW_ENC_AES_GCM_128, key, nonce, aad, 20, sealed, n, tag, back));
    cr_assert_eq(back[0], 0); /* nothing of it is left */
    cr_assert_not(fw_aead_seal(FW_ENC_AES_CBC_128, key, nonce, aad, 20, plain, n, sealed, tag));
}

Test(symmetric, cbc_rfc3602_case_2)
{
    uint8_t key[16], iv[16], plain[32], sealed[32];

    unhex("c286696d887c9aa0611bbb3e2025a45a", key);
    unhex("562e17996d093d28ddb3ba695a2e6f58", iv);
    unhex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", plain);
    cr_assert(fw_cbc_encrypt(FW_ENC_AES_CBC_128, key, iv, plain, 32, sealed));
    expect(sealed, "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1");
    cr_assert(fw_cbc_decrypt(FW_ENC_AES_CBC_128, key, iv, sealed, 32, sealed));
    cr_assert_arr_eq(sealed, plain, 32);
    cr_assert_not(fw_cbc_encrypt(FW_ENC_AES_CBC_128, key, iv, plain, 31, sealed));
    cr_assert_not(fw_cbc_encrypt(FW_ENC_AES_GCM_128, key, iv, plain, 32, sealed));
}

Test(symmetric, sha1_of_abc)
{
    struct fw_bytes pieces[2] = {{"a", 1}, {"bc", 2}};
    uint8_t out[20];

    cr_assert(fw_sha1(pieces, 2, out));
    expect(out, "a9993e364706816aba3e25717850c26c9cd0d89d");
}
