/* The algorithm table against itself and against the names in use. */
#include <criterion/criterion.h>
#include <string.h>

#include "firmware/crypto/alg.h"

Test(alg, every_cipher_is_found_by_its_names)
{
    for (int e = FW_ENC_NONE + 1; e < FW_ENC_COUNT; e++) {
        const struct fw_enc_row *row = fw_enc_row((enum fw_enc)e);

        cr_assert_eq((int)fw_enc_by_ike(row->ike_id, row->key_bits), e);
        cr_assert_eq((int)fw_enc_by_config(row->config), e);
        cr_assert_eq(row->key_bits, 8 * row->key_bytes);
        cr_assert_eq(row->aead, row->icv_bytes != 0);
        cr_assert_not_null(row->wireshark_ike);
        cr_assert_eq((int)fw_enc_by_ike(row->ike_id, 0), FW_ENC_NONE);
    }
    cr_assert_eq((int)fw_enc_by_ike(21, 128), FW_ENC_NONE); /* GMAC: no cipher */
    cr_assert_eq((int)fw_enc_by_config("aes-512-gcm"), FW_ENC_NONE);
}

Test(alg, every_hash_is_found_by_its_names)
{
    for (int i = FW_INTEG_NONE + 1; i < FW_INTEG_COUNT; i++) {
        const struct fw_integ_row *row = fw_integ_row((enum fw_integ)i);

        cr_assert_eq((int)fw_integ_by_ike(row->ike_id), i);
        cr_assert_eq((int)fw_integ_by_ike_config(row->ike_config), i);
        cr_assert_eq((int)fw_integ_by_ipsec_config(row->ipsec_config), i);
        cr_assert_neq((int)fw_prf_by_config(row->ike_config), FW_PRF_NONE);
    }
    for (int p = FW_PRF_NONE + 1; p < FW_PRF_COUNT; p++) {
        cr_assert_eq((int)fw_prf_by_ike(fw_prf_row((enum fw_prf)p)->ike_id), p);
    }
    cr_assert_eq((int)fw_integ_by_ike(0), FW_INTEG_NONE);
}

Test(alg, groups)
{
    cr_assert(fw_group_known(19));
    cr_assert_eq(fw_group_public_bytes(19), 64);
    cr_assert_eq(fw_group_shared_bytes(19), 32);
    cr_assert_eq(fw_group_by_config("group19"), 19);
    cr_assert_not(fw_group_known(0));
    cr_assert_eq(fw_group_public_bytes(9999), 0);
}

Test(alg, out_of_range_is_none)
{
    cr_assert_str_eq(fw_enc_row((enum fw_enc)77)->config, "none");
    cr_assert_str_eq(fw_integ_row((enum fw_integ)77)->show, "none");
    cr_assert_eq(fw_prf_row((enum fw_prf)77)->bytes, 0);
}
