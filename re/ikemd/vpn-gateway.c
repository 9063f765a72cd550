/*
 * vpn-gateway - `security ike gateway` with what it refers to, as one message.
 */
#include "firmware/core/addr.h"
#include "re/ifd/ifl.h"
#include "re/ikemd/vpn.h"

#include <string.h>

#define LIFETIME_IKE_S  28800 /* customary default */
#define NAT_KEEPALIVE_S 20

enum id_type { ID_IPV4 = 1, ID_FQDN = 2, ID_RFC822 = 3, ID_IPV6 = 5, ID_KEY_ID = 11 };
enum dpd_mode { DPD_OPTIMIZED, DPD_PROBE_IDLE, DPD_ALWAYS_SEND, DPD_OFF };

static void identity_set(struct bus_ike_identity *ret, enum id_type type, const void *data,
                         size_t len)
{
    ret->type = (uint8_t)type;
    ret->value.len = (uint16_t)MIN(len, sizeof ret->value.data);
    memcpy(ret->value.data, data, ret->value.len);
}

static void identity_from_addr(struct bus_ike_identity *ret, const struct fw_addr *addr)
{
    identity_set(ret, addr->family == FW_FAMILY_V6 ? ID_IPV6 : ID_IPV4, addr->bytes,
                 fw_addr_size(addr));
}

static bool identity_text(const struct conf_node *identity, const char *kind, const char *leaf,
                          enum id_type type, struct bus_ike_identity *ret)
{
    const struct conf_node *node = conf_child(identity, kind);
    /* The schema nests the text one deeper (hostname identity-hostname X); a flat leaf is the same.
     */
    const char *text = node ? conf_leaf(node, leaf) : NULL;
    struct fw_addr addr;

    if (node && !text) {
        text = node->value;
    }
    if (!text) {
        return false;
    }
    if (type == ID_IPV4 || type == ID_IPV6) {
        if (!fw_addr_parse(text, &addr)) {
            return false;
        }
        identity_from_addr(ret, &addr);
    } else {
        identity_set(ret, type, text, strlen(text));
    }
    return true;
}

static bool identity_read(const struct conf_node *gateway, const char *statement,
                          const struct fw_addr *otherwise, struct bus_ike_identity *ret,
                          char **ret_path, GError **error)
{
    const struct conf_node *identity = conf_child(gateway, statement);

    if (!identity) {
        identity_from_addr(ret, otherwise);
        return true;
    }
    if (identity_text(identity, "inet", "identity-ipv4", ID_IPV4, ret) ||
        identity_text(identity, "inet6", "identity-ipv6", ID_IPV6, ret) ||
        identity_text(identity, "hostname", "identity-hostname", ID_FQDN, ret) ||
        identity_text(identity, "user-at-hostname", "identity-user", ID_RFC822, ret) ||
        identity_text(identity, "key-id", "string-key-id", ID_KEY_ID, ret)) {
        return true;
    }
    return vpn_refuse(gateway, statement, ret_path, error,
                      "%s is not usable; permitted values: inet, inet6, hostname, "
                      "user-at-hostname, key-id",
                      statement);
}

static bool key_hexadecimal(const char *text, struct bus_ike_gateway *ret)
{
    size_t digits = strlen(text);

    if (digits % 2 != 0 || digits / 2 > sizeof ret->psk.data) {
        return false;
    }
    for (size_t i = 0; i < digits / 2; i++) {
        int high = g_ascii_xdigit_value(text[2 * i]), low = g_ascii_xdigit_value(text[2 * i + 1]);

        if (high < 0 || low < 0) {
            return false;
        }
        ret->psk.data[i] = (uint8_t)(high << 4 | low);
    }
    ret->psk.len = (uint16_t)(digits / 2);
    return true;
}

static bool key_read(const struct conf_node *policy, struct bus_ike_gateway *ret, char **ret_path,
                     GError **error)
{
    const struct conf_node *key = conf_child(policy, "pre-shared-key");
    const char *ascii = conf_leaf(key, "ascii-text");
    const char *hex = conf_leaf(key, "hexadecimal");

    if (!ascii && !hex) {
        return vpn_refuse(policy, NULL, ret_path, error,
                          "pre-shared-key is required with pre-shared-keys; permitted: "
                          "ascii-text, hexadecimal");
    }
    if (ascii) {
        size_t len = strlen(ascii);

        if (len == 0 || len > sizeof ret->psk.data) {
            return vpn_refuse(policy, "pre-shared-key ascii-text", ret_path, error,
                              "the key has 1 to 255 characters");
        }
        memcpy(ret->psk.data, ascii, len);
        ret->psk.len = (uint16_t)len;
        return true;
    }
    if (!key_hexadecimal(hex, ret) || ret->psk.len == 0) {
        return vpn_refuse(policy, "pre-shared-key hexadecimal", ret_path, error,
                          "the key is an even number of hexadecimal digits");
    }
    return true;
}

static bool policy_read(const struct conf_node *root, const struct conf_node *policy,
                        struct bus_ike_gateway *ret, char **ret_path, GError **error)
{
    static const char *const later[] = {"certificate", "seeded-pre-shared-key", "blocklist", NULL};
    const struct conf_node *ike = conf_find(root, "security ike");
    const char *mode = conf_leaf(policy, "mode");
    uint64_t lifetime = 0;

    if (!vpn_absent(policy, later, ret_path, error)) {
        return false;
    }
    if (mode && strcmp(mode, "main") != 0) {
        return vpn_refuse(policy, "mode", ret_path, error,
                          "mode %s is a matter of IKEv1; permitted values: main", mode);
    }
    if (conf_u64(policy, "reauth-frequency", 0) != 0) {
        return vpn_refuse(policy, "reauth-frequency", ret_path, error,
                          "reauthentication does not exist here yet; permitted values: 0");
    }
    conf_each (name, policy, "proposals") {
        const struct conf_node *proposal =
            name->value ? conf_entry(ike, "proposal", name->value) : NULL;

        if (!proposal) {
            return vpn_refuse(policy, "proposals", ret_path, error,
                              "proposal %s is not defined under security ike",
                              name->value ? name->value : "");
        }
        if (ret->n_proposals == G_N_ELEMENTS(ret->proposals)) {
            return vpn_refuse(policy, "proposals", ret_path, error, "at most %zu proposals",
                              G_N_ELEMENTS(ret->proposals));
        }
        if (!vpn_ike_proposal_read(proposal, &ret->proposals[ret->n_proposals++], ret_path,
                                   error)) {
            return false;
        }
        if (lifetime == 0) {
            lifetime = conf_u64(proposal, "lifetime-seconds", LIFETIME_IKE_S);
        }
    }
    if (ret->n_proposals == 0) {
        return vpn_refuse(policy, NULL, ret_path, error, "proposals is required");
    }
    ret->lifetime_s = (uint32_t)lifetime;
    return key_read(policy, ret, ret_path, error);
}

static bool unit_has(const struct ifl_unit *unit, const struct fw_addr *addr)
{
    for (unsigned i = 0; i < unit->n_addresses; i++) {
        if (fw_addr_equal(&unit->addresses[i].addr, addr)) {
            return true;
        }
    }
    return false;
}

static bool addresses_read(const struct conf_node *gateway, const GPtrArray *units,
                           struct bus_ike_gateway *ret, char **ret_path, GError **error)
{
    const struct conf_node *remote = conf_child(gateway, "address");
    const char *external = conf_leaf(gateway, "external-interface");
    const char *local = conf_leaf(gateway, "local-address");
    const struct ifl_unit *unit;

    if (!remote) {
        return vpn_refuse(gateway, NULL, ret_path, error, "address is required");
    }
    if (conf_next(remote)) {
        return vpn_refuse(gateway, "address", ret_path, error,
                          "backup addresses do not exist here yet; give one address");
    }
    if (!remote->value || !fw_addr_parse(remote->value, &ret->remote)) {
        return vpn_refuse(gateway, "address", ret_path, error,
                          "address %s is no IPv4 or IPv6 address",
                          remote->value ? remote->value : "");
    }
    if (!external) {
        return vpn_refuse(gateway, NULL, ret_path, error, "external-interface is required");
    }
    unit = ifl_find(units, external);
    if (!unit) {
        return vpn_refuse(gateway, "external-interface", ret_path, error,
                          "external-interface %s is not configured under interfaces", external);
    }
    if (local) {
        if (!fw_addr_parse(local, &ret->local) || !unit_has(unit, &ret->local)) {
            return vpn_refuse(gateway, "local-address", ret_path, error,
                              "local-address %s is no address of %s", local, unit->name);
        }
        if (ret->local.family != ret->remote.family) {
            return vpn_refuse(gateway, "local-address", ret_path, error,
                              "local-address %s is of another family than the peer's address",
                              local);
        }
        return true;
    }
    for (unsigned i = 0; i < unit->n_addresses; i++) {
        if (unit->addresses[i].addr.family == ret->remote.family) {
            ret->local = unit->addresses[i].addr;
            return true;
        }
    }
    return vpn_refuse(gateway, "external-interface", ret_path, error,
                      "external-interface %s has no address of the peer's family", unit->name);
}

static void liveness_read(const struct conf_node *gateway, struct bus_ike_gateway *ret)
{
    const struct conf_node *dpd = conf_child(gateway, "dead-peer-detection");

    ret->nat_traversal = !conf_has(gateway, "no-nat-traversal");
    ret->nat_keepalive_s = (uint16_t)conf_u64(gateway, "nat-keepalive", NAT_KEEPALIVE_S);
    ret->dpd_mode = DPD_OFF;
    if (dpd && !dpd->is_default) {
        ret->dpd_mode = conf_has(dpd, "always-send")         ? DPD_ALWAYS_SEND
                        : conf_has(dpd, "probe-idle-tunnel") ? DPD_PROBE_IDLE
                                                             : DPD_OPTIMIZED;
    }
    ret->dpd_interval_s = (uint16_t)conf_u64(dpd, "interval", 10);
    ret->dpd_threshold = (uint8_t)conf_u64(dpd, "threshold", 5);
}

bool vpn_gateway_read(const struct conf_node *root, const struct conf_node *gateway,
                      const GPtrArray *units, struct bus_ike_gateway *ret, char **ret_path,
                      GError **error)
{
    static const char *const later[] = {
        "dynamic",           "aaa",         "xauth", "advpn", "general-ikeid",
        "tcp-encap-profile", "ppk-profile", NULL};
    const char *version = conf_leaf(gateway, "version");
    const struct conf_node *policy;

    if (!gateway->value || strlen(gateway->value) >= sizeof ret->name) {
        return vpn_refuse(gateway, NULL, ret_path, error, "the name has at most 32 characters");
    }
    g_strlcpy(ret->name, gateway->value, sizeof ret->name);
    if (!version || strcmp(version, "v2-only") != 0) {
        return vpn_refuse(gateway, "version", ret_path, error,
                          "version v2-only is required until IKEv1 exists; permitted values: "
                          "v2-only");
    }
    if (!vpn_absent(gateway, later, ret_path, error)) {
        return false;
    }
    policy = vpn_reference(root, gateway, "ike-policy", "security ike", "policy", ret_path, error);
    if (!policy || !policy_read(root, policy, ret, ret_path, error) ||
        !addresses_read(gateway, units, ret, ret_path, error)) {
        return false;
    }
    liveness_read(gateway, ret);
    return identity_read(gateway, "local-identity", &ret->local, &ret->local_id, ret_path, error) &&
           identity_read(gateway, "remote-identity", &ret->remote, &ret->remote_id, ret_path,
                         error);
}
