/*
 * vpn-proposal - algorithms named in proposals, through the one algorithm table.
 */
#include "firmware/crypto/alg.h"
#include "re/ikemd/vpn.h"

#include <string.h>

/* "aes-128-cbc, aes-256-cbc, ..." for messages, made from the table. */
static char *permitted_encryption(void)
{
    GString *text = g_string_new(NULL);

    for (int e = FW_ENC_NONE + 1; e < FW_ENC_COUNT; e++) {
        g_string_append_printf(text, "%s%s", text->len ? ", " : "", fw_enc_row(e)->config);
    }
    return g_string_free(text, FALSE);
}

static char *permitted_integrity(bool ike)
{
    GString *text = g_string_new(NULL);

    for (int i = FW_INTEG_NONE + 1; i < FW_INTEG_COUNT; i++) {
        const struct fw_integ_row *row = fw_integ_row(i);

        g_string_append_printf(text, "%s%s", text->len ? ", " : "",
                               ike ? row->ike_config : row->ipsec_config);
    }
    return g_string_free(text, FALSE);
}

static bool encryption_read(const struct conf_node *proposal, enum fw_enc *ret, char **ret_path,
                            GError **error)
{
    const char *name = conf_leaf(proposal, "encryption-algorithm");
    g_autofree char *permitted = permitted_encryption();

    *ret = name ? fw_enc_by_config(name) : FW_ENC_NONE;
    if (*ret != FW_ENC_NONE) {
        return true;
    }
    return vpn_refuse(proposal, name ? "encryption-algorithm" : NULL, ret_path, error,
                      "encryption-algorithm %s; permitted values: %s", name ? name : "is required",
                      permitted);
}

bool vpn_ike_proposal_read(const struct conf_node *proposal, struct bus_ike_proposal *ret,
                           char **ret_path, GError **error)
{
    const char *method = conf_leaf(proposal, "authentication-method");
    const char *group = conf_leaf(proposal, "dh-group");
    const char *hash = conf_leaf(proposal, "authentication-algorithm");
    g_autofree char *permitted = permitted_integrity(true);
    enum fw_integ integrity = hash ? fw_integ_by_ike_config(hash) : FW_INTEG_NONE;
    enum fw_enc encryption;
    bool aead;

    memset(ret, 0, sizeof *ret);
    if (method && strcmp(method, "pre-shared-keys") != 0) {
        return vpn_refuse(proposal, "authentication-method", ret_path, error,
                          "authentication-method %s does not exist here yet; permitted values: "
                          "pre-shared-keys",
                          method);
    }
    if (!encryption_read(proposal, &encryption, ret_path, error)) {
        return false;
    }
    aead = fw_enc_row(encryption)->aead;
    if (hash ? integrity == FW_INTEG_NONE : !aead) {
        return vpn_refuse(proposal, hash ? "authentication-algorithm" : NULL, ret_path, error,
                          "authentication-algorithm %s; permitted values: %s",
                          hash ? hash : "is required with CBC", permitted);
    }
    ret->group = group ? fw_group_by_config(group) : 0;
    if (ret->group == 0) {
        return vpn_refuse(proposal, group ? "dh-group" : NULL, ret_path, error,
                          "dh-group %s; permitted values: group19", group ? group : "is required");
    }
    ret->encryption = encryption;
    ret->integrity = aead ? FW_INTEG_NONE : integrity;
    /* The PRF follows the hash; combined ciphers have none of their own: SHA-256 then. */
    ret->prf = hash ? fw_prf_by_config(hash) : FW_PRF_SHA256;
    return true;
}

bool vpn_esp_proposal_read(const struct conf_node *proposal, struct bus_esp_proposal *ret,
                           char **ret_path, GError **error)
{
    static const char *const later[] = {"lifetime-kilobytes", NULL};
    const char *protocol = conf_leaf(proposal, "protocol");
    const char *hash = conf_leaf(proposal, "authentication-algorithm");
    g_autofree char *permitted = permitted_integrity(false);
    enum fw_integ integrity = hash ? fw_integ_by_ipsec_config(hash) : FW_INTEG_NONE;
    enum fw_enc encryption;
    bool aead;

    memset(ret, 0, sizeof *ret);
    if (protocol && strcmp(protocol, "esp") != 0) {
        return vpn_refuse(proposal, "protocol", ret_path, error,
                          "protocol %s does not exist here yet; permitted values: esp", protocol);
    }
    if (!vpn_absent(proposal, later, ret_path, error) ||
        !encryption_read(proposal, &encryption, ret_path, error)) {
        return false;
    }
    aead = fw_enc_row(encryption)->aead;
    if (aead && hash) {
        return vpn_refuse(proposal, "authentication-algorithm", ret_path, error,
                          "%s authenticates by itself; delete authentication-algorithm",
                          fw_enc_row(encryption)->config);
    }
    if (!aead && integrity == FW_INTEG_NONE) {
        return vpn_refuse(proposal, hash ? "authentication-algorithm" : NULL, ret_path, error,
                          "authentication-algorithm %s; permitted values: %s",
                          hash ? hash : "is required with CBC", permitted);
    }
    ret->encryption = encryption;
    ret->integrity = integrity;
    ret->esn = conf_has(proposal, "extended-sequence-number");
    return true;
}
