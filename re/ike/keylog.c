/*
 * keylog - lines for the key tables of Wireshark and tshark: esp_sa, ikev2_decryption_table.
 *
 * They let anybody who has them read the traffic; the caller says so in its log. The second
 * table's fields: SPIi, SPIr, SK_ei, SK_er, "cipher", SK_ai, SK_ar, "integrity".
 */
#include "re/ike/internal.h"

static void hex(GString *s, const uint8_t *data, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        g_string_append_printf(s, "%02x", data[i]);
    }
}

char *ike_keylog_esp(const struct ike_action *install)
{
    const struct fw_enc_row *enc = fw_enc_row(install->suite.enc);
    enum fw_integ integ = enc->aead ? FW_INTEG_NONE : install->suite.integ;
    bool out = install->direction == IKE_OUTBOUND;
    char local[FW_ADDR_TEXT], remote[FW_ADDR_TEXT];
    GString *s = g_string_new(NULL);

    fw_addr_text(&install->local, local);
    fw_addr_text(&install->remote, remote);
    g_string_append_printf(s, "\"%s\",\"%s\",\"%s\",\"0x%08x\",\"%s\",\"0x",
                           install->local.family == FW_FAMILY_V6 ? "IPv6" : "IPv4",
                           out ? local : remote, out ? remote : local, install->spi,
                           enc->wireshark_esp);
    hex(s, install->key, install->key_len);
    g_string_append_printf(s, "\",\"%s\",\"", fw_integ_row(integ)->wireshark_esp);
    if (install->integ_key_len) {
        g_string_append(s, "0x");
        hex(s, install->integ_key, install->integ_key_len);
    }
    g_string_append(s, "\"\n");
    return g_string_free(s, FALSE);
}

char *ike_keylog_ike(const struct ike *ike, uint32_t sa_index)
{
    struct ike_sa *sa = g_hash_table_lookup(ike->by_index, GUINT_TO_POINTER(sa_index));
    GString *s;

    if (!sa || !sa->has_keys) {
        return NULL;
    }
    const struct fw_enc_row *enc = fw_enc_row(sa->suite.enc);
    enum fw_integ integ = enc->aead ? FW_INTEG_NONE : sa->suite.integ;
    size_t n_key = (size_t)enc->key_bytes + enc->salt_bytes;

    s = g_string_new(NULL);
    g_string_append_printf(s, "%016" G_GINT64_MODIFIER "x,%016" G_GINT64_MODIFIER "x,", sa->spi_i,
                           sa->spi_r);
    hex(s, sa->keys.ei, n_key);
    g_string_append_c(s, ',');
    hex(s, sa->keys.er, n_key);
    g_string_append_printf(s, ",\"%s\",", enc->wireshark_ike);
    hex(s, sa->keys.ai, fw_integ_row(integ)->key_bytes);
    g_string_append_c(s, ',');
    hex(s, sa->keys.ar, fw_integ_row(integ)->key_bytes);
    g_string_append_printf(s, ",\"%s\"\n", fw_integ_row(integ)->wireshark_ike);
    return g_string_free(s, FALSE);
}
