/*
 * vpn-tunnel - `security ipsec vpn` with what it refers to, as one message.
 */
#include "firmware/core/addr.h"
#include "firmware/crypto/alg.h"
#include "re/ifd/ifl.h"
#include "re/ikemd/vpn.h"

#include <string.h>

#define LIFETIME_ESP_S 3600 /* customary default */
#define REPLAY_DEFAULT 64
#define REPLAY_MIN     64
#define REPLAY_MAX     8192

static bool policy_read(const struct conf_node *root, const struct conf_node *policy,
                        struct bus_ike_tunnel *ret, char **ret_path, GError **error)
{
    const struct conf_node *ipsec = conf_find(root, "security ipsec");
    const struct conf_node *pfs = conf_child(policy, "perfect-forward-secrecy");
    const char *keys = conf_leaf(pfs, "keys");
    uint16_t group = keys ? fw_group_by_config(keys) : 0;
    uint64_t lifetime = 0;

    if (keys && group == 0) {
        return vpn_refuse(policy, "perfect-forward-secrecy keys", ret_path, error,
                          "perfect-forward-secrecy keys %s; permitted values: group19", keys);
    }
    conf_each (name, policy, "proposals") {
        const struct conf_node *proposal =
            name->value ? conf_entry(ipsec, "proposal", name->value) : NULL;
        struct bus_esp_proposal *next = &ret->proposals[ret->n_proposals];

        if (!proposal) {
            return vpn_refuse(policy, "proposals", ret_path, error,
                              "proposal %s is not defined under security ipsec",
                              name->value ? name->value : "");
        }
        if (ret->n_proposals == G_N_ELEMENTS(ret->proposals)) {
            return vpn_refuse(policy, "proposals", ret_path, error, "at most %zu proposals",
                              G_N_ELEMENTS(ret->proposals));
        }
        if (!vpn_esp_proposal_read(proposal, next, ret_path, error)) {
            return false;
        }
        next->group = group;
        ret->n_proposals++;
        if (lifetime == 0) {
            lifetime = conf_u64(proposal, "lifetime-seconds", LIFETIME_ESP_S);
        }
    }
    if (ret->n_proposals == 0) {
        return vpn_refuse(policy, NULL, ret_path, error, "proposals is required");
    }
    ret->lifetime_s = (uint32_t)lifetime;
    g_strlcpy(ret->policy, policy->value, sizeof ret->policy);
    return true;
}

static bool replay_read(const struct conf_node *root, const struct conf_node *vpn,
                        const struct conf_node *ike, struct bus_ike_tunnel *ret, char **ret_path,
                        GError **error)
{
    uint64_t window;

    if (conf_has(ike, "no-anti-replay")) {
        const struct conf_node *own = conf_child(ike, "anti-replay-window-size");

        if (own && !own->is_default) {
            return vpn_refuse(vpn, "ike no-anti-replay", ret_path, error,
                              "no-anti-replay excludes anti-replay-window-size");
        }
        ret->replay_window = 0;
        return true;
    }
    window = conf_u64(conf_find(root, "security ipsec"), "anti-replay-window-size", REPLAY_DEFAULT);
    window = conf_u64(ike, "anti-replay-window-size", window);
    if (window < REPLAY_MIN || window > REPLAY_MAX) {
        return vpn_refuse(vpn, "ike anti-replay-window-size", ret_path, error,
                          "anti-replay-window-size %" G_GUINT64_FORMAT "; permitted values: %d..%d",
                          window, REPLAY_MIN, REPLAY_MAX);
    }
    ret->replay_window = (uint16_t)window;
    return true;
}

static bool selector_add(const struct conf_node *vpn, const struct conf_node *node,
                         const char *statement, const char *local, const char *remote,
                         struct bus_ike_tunnel *ret, char **ret_path, GError **error)
{
    struct bus_traffic_selector *next = &ret->selectors[ret->n_selectors];

    if (ret->n_selectors == G_N_ELEMENTS(ret->selectors)) {
        return vpn_refuse(vpn, statement, ret_path, error, "at most %zu traffic selectors",
                          G_N_ELEMENTS(ret->selectors));
    }
    if (!local || !remote || !fw_prefix_parse(local, &next->local) ||
        !fw_prefix_parse(remote, &next->remote) ||
        next->local.addr.family != next->remote.addr.family) {
        return vpn_refuse(vpn, statement, ret_path, error,
                          "%s %s needs a local and a remote prefix of one family", statement,
                          node->value ? node->value : "");
    }
    next->local = fw_prefix_network(&next->local);
    next->remote = fw_prefix_network(&next->remote);
    ret->n_selectors++;
    return true;
}

static bool selectors_read(const struct conf_node *vpn, const struct conf_node *ike,
                           struct bus_ike_tunnel *ret, char **ret_path, GError **error)
{
    static const char *const later[] = {"term", "protocol", "source-port", "destination-port",
                                        NULL};
    const struct conf_node *proxy = conf_child(ike, "proxy-identity");

    conf_each (node, vpn, "traffic-selector") {
        if (!vpn_absent(node, later, ret_path, error) ||
            !selector_add(vpn, node, "traffic-selector", conf_leaf(node, "local-ip"),
                          conf_leaf(node, "remote-ip"), ret, ret_path, error)) {
            return false;
        }
    }
    if (!conf_leaf(proxy, "local") && !conf_leaf(proxy, "remote")) {
        return true;
    }
    if (ret->n_selectors > 0) {
        return vpn_refuse(vpn, "ike proxy-identity", ret_path, error,
                          "proxy-identity and traffic-selector are alternatives");
    }
    return selector_add(vpn, proxy, "ike proxy-identity", conf_leaf(proxy, "local"),
                        conf_leaf(proxy, "remote"), ret, ret_path, error);
}

static bool enum_read(const struct conf_node *vpn, const char *statement, const char *const *names,
                      uint8_t otherwise, uint8_t *ret, char **ret_path, GError **error)
{
    const char *value = conf_leaf(vpn, statement);
    g_autofree char *permitted = NULL;

    *ret = otherwise;
    if (!value) {
        return true;
    }
    for (unsigned i = 0; names[i]; i++) {
        if (strcmp(names[i], value) == 0) {
            *ret = (uint8_t)i;
            return true;
        }
    }
    permitted = g_strjoinv(", ", (char **)names);
    return vpn_refuse(vpn, statement, ret_path, error, "%s %s; permitted values: %s", statement,
                      value, permitted);
}

bool vpn_tunnel_read(const struct conf_node *root, const struct conf_node *vpn,
                     const GPtrArray *units, struct bus_ike_tunnel *ret, char **ret_path,
                     GError **error)
{
    static const char *const later[] = {"ha-link-encryption",
                                        "multi-sa",
                                        "copy-outer-dscp",
                                        "vpn-monitor",
                                        "manual",
                                        "distribution-profile",
                                        "no-icmp-packet-too-big",
                                        "passive-mode-tunneling",
                                        "udp-encapsulate",
                                        NULL};
    static const char *const later_ike[] = {"idle-time", NULL};
    static const char *const df_names[] = {"clear", "set", "copy", NULL};
    const char *bind = conf_leaf(vpn, "bind-interface");
    const struct conf_node *ike = conf_child(vpn, "ike");
    const struct conf_node *gateway, *policy;
    const struct ifl_unit *unit;

    if (!vpn->value || strlen(vpn->value) >= sizeof ret->vpn) {
        return vpn_refuse(vpn, NULL, ret_path, error, "the name has at most 32 characters");
    }
    g_strlcpy(ret->vpn, vpn->value, sizeof ret->vpn);
    if (!vpn_absent(vpn, later, ret_path, error)) {
        return false;
    }
    if (!bind) {
        return vpn_refuse(vpn, NULL, ret_path, error,
                          "bind-interface is required: policy-based VPNs need kmd");
    }
    unit = ifl_find(units, bind);
    if (!unit || unit->kind != BUS_IFL_KIND_TUNNEL) {
        return vpn_refuse(vpn, "bind-interface", ret_path, error,
                          "bind-interface %s is no configured unit of st0; add interfaces st0 unit",
                          bind);
    }
    g_strlcpy(ret->ifl_name, unit->name, sizeof ret->ifl_name);
    if (!ike) {
        return vpn_refuse(vpn, NULL, ret_path, error, "ike is required");
    }
    if (!vpn_absent(ike, later_ike, ret_path, error)) {
        return false;
    }
    gateway = conf_leaf(ike, "gateway") ? conf_entry(conf_find(root, "security ike"), "gateway",
                                                     conf_leaf(ike, "gateway"))
                                        : NULL;
    if (!gateway) {
        return vpn_refuse(vpn, "ike gateway", ret_path, error,
                          "ike gateway %s is not defined under security ike",
                          conf_leaf(ike, "gateway") ? conf_leaf(ike, "gateway") : "");
    }
    g_strlcpy(ret->gateway, gateway->value, sizeof ret->gateway);
    policy = conf_leaf(ike, "ipsec-policy") ? conf_entry(conf_find(root, "security ipsec"),
                                                         "policy", conf_leaf(ike, "ipsec-policy"))
                                            : NULL;
    if (!policy) {
        return vpn_refuse(vpn, "ike ipsec-policy", ret_path, error,
                          "ike ipsec-policy %s is not defined under security ipsec",
                          conf_leaf(ike, "ipsec-policy") ? conf_leaf(ike, "ipsec-policy") : "");
    }
    return policy_read(root, policy, ret, ret_path, error) &&
           replay_read(root, vpn, ike, ret, ret_path, error) &&
           selectors_read(vpn, ike, ret, ret_path, error) &&
           enum_read(vpn, "establish-tunnels", bus_establish_names, BUS_ESTABLISH_ON_TRAFFIC,
                     &ret->establish, ret_path, error) &&
           enum_read(vpn, "df-bit", df_names, 0, &ret->df, ret_path, error);
}
