/*
 * vpn - see vpn.h. The whole, and the words for refusals.
 */
#include "re/ikemd/vpn.h"

#include <string.h>

#include "firmware/bus/bus.h"
#include "firmware/core/error.h"
#include "re/ifd/ifl.h"

bool vpn_refuse(const struct conf_node *node, const char *statement, char **ret_path,
                GError **error, const char *format, ...)
{
    g_autofree char *at = conf_path(node);
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    *ret_path = statement ? g_strdup_printf("%s %s", at, statement) : g_steal_pointer(&at);
    return fw_fail(error, FW_ERROR_INVALID, "%s %s: %s", node->name, node->value ? node->value : "",
                   text);
}

const struct conf_node *vpn_reference(const struct conf_node *root, const struct conf_node *node,
                                      const char *statement, const char *list_path,
                                      const char *list, char **ret_path, GError **error)
{
    const char *name = conf_leaf(node, statement);
    const struct conf_node *entry;

    if (!name) {
        vpn_refuse(node, NULL, ret_path, error, "%s is required", statement);
        return NULL;
    }
    entry = conf_entry(conf_find(root, list_path), list, name);
    if (!entry) {
        vpn_refuse(node, statement, ret_path, error, "%s %s is not defined under %s", statement,
                   name, list_path);
    }
    return entry;
}

bool vpn_absent(const struct conf_node *node, const char *const *statements, char **ret_path,
                GError **error)
{
    for (; *statements; statements++) {
        const struct conf_node *child = conf_child(node, *statements);

        if (child && !child->is_default) {
            return vpn_refuse(node, *statements, ret_path, error, "%s does not exist here yet",
                              *statements);
        }
    }
    return true;
}

static bool check_proposals(const struct conf_node *root, char **ret_path, GError **error)
{
    struct bus_ike_proposal ike;
    struct bus_esp_proposal esp;
    const struct conf_node *list = conf_find(root, "security ike");

    conf_each (proposal, list, "proposal") {
        if (!vpn_ike_proposal_read(proposal, &ike, ret_path, error)) {
            return false;
        }
    }
    list = conf_find(root, "security ipsec");
    conf_each (proposal, list, "proposal") {
        if (!vpn_esp_proposal_read(proposal, &esp, ret_path, error)) {
            return false;
        }
    }
    return true;
}

static bool check_policies(const struct conf_node *root, char **ret_path, GError **error)
{
    static const char *const paths[] = {"security ike", "security ipsec"};

    for (unsigned i = 0; i < G_N_ELEMENTS(paths); i++) {
        const struct conf_node *list = conf_find(root, paths[i]);

        conf_each (policy, list, "policy") {
            const struct conf_node *set = conf_child(policy, "proposal-set");

            if (set) {
                return vpn_refuse(policy, "proposal-set", ret_path, error,
                                  "proposal-set %s needs algorithms that do not exist here yet; "
                                  "name proposals instead",
                                  set->value ? set->value : "");
            }
            conf_each (name, policy, "proposals") {
                if (!name->value || !conf_entry(list, "proposal", name->value)) {
                    return vpn_refuse(policy, "proposals", ret_path, error,
                                      "proposal %s is not defined under %s",
                                      name->value ? name->value : "", paths[i]);
                }
            }
        }
    }
    return true;
}

static void gateway_free(gpointer data)
{
    bus_wipe(&bus_struct_ike_gateway, data);
    g_free(data);
}

/* error NULL: leave out what is wrong, never fail. */
static bool read_all(const struct conf_node *root, struct vpn_config *config, char **ret_path,
                     GError **error)
{
    g_autoptr(GPtrArray) units = ifl_read(root);
    const struct conf_node *list = conf_find(root, "security ike");

    conf_each (node, list, "gateway") {
        struct bus_ike_gateway *gateway = g_new0(struct bus_ike_gateway, 1);

        if (vpn_gateway_read(root, node, units, gateway, ret_path, error)) {
            g_ptr_array_add(config->gateways, gateway);
        } else {
            gateway_free(gateway);
            if (error) {
                return false;
            }
            g_clear_pointer(ret_path, g_free);
        }
    }
    list = conf_find(root, "security ipsec");
    conf_each (node, list, "vpn") {
        struct bus_ike_tunnel *tunnel = g_new0(struct bus_ike_tunnel, 1);

        if (vpn_tunnel_read(root, node, units, tunnel, ret_path, error)) {
            g_ptr_array_add(config->tunnels, tunnel);
        } else {
            g_free(tunnel);
            if (error) {
                return false;
            }
            g_clear_pointer(ret_path, g_free);
        }
    }
    return true;
}

static struct vpn_config *config_new(void)
{
    struct vpn_config *config = g_new0(struct vpn_config, 1);

    config->gateways = g_ptr_array_new_with_free_func(gateway_free);
    config->tunnels = g_ptr_array_new_with_free_func(g_free);
    return config;
}

void vpn_free(struct vpn_config *config)
{
    if (config) {
        g_ptr_array_unref(config->gateways);
        g_ptr_array_unref(config->tunnels);
        g_free(config);
    }
}

/* A point-to-point st0 unit carries one VPN. */
static bool check_bindings(const struct conf_node *root, const struct vpn_config *config,
                           char **ret_path, GError **error)
{
    for (unsigned i = 0; i < config->tunnels->len; i++) {
        const struct bus_ike_tunnel *a = config->tunnels->pdata[i];

        for (unsigned j = 0; j < i; j++) {
            const struct bus_ike_tunnel *b = config->tunnels->pdata[j];

            if (strcmp(a->ifl_name, b->ifl_name) == 0) {
                const struct conf_node *vpn =
                    conf_entry(conf_find(root, "security ipsec"), "vpn", a->vpn);

                return vpn_refuse(vpn, "bind-interface", ret_path, error,
                                  "%s is already bound by vpn %s; an st0 unit carries one VPN "
                                  "until multipoint exists",
                                  a->ifl_name, b->vpn);
            }
        }
    }
    return true;
}

bool vpn_check(const struct conf_node *root, char **ret_path, GError **error)
{
    g_autoptr(GError) own = NULL;
    struct vpn_config *config = config_new();
    bool good = check_proposals(root, ret_path, &own) && check_policies(root, ret_path, &own) &&
                read_all(root, config, ret_path, &own) &&
                check_bindings(root, config, ret_path, &own);

    vpn_free(config);
    if (!good) {
        g_propagate_error(error, g_steal_pointer(&own));
    }
    return good;
}

struct vpn_config *vpn_read(const struct conf_node *root)
{
    struct vpn_config *config = config_new();
    char *path = NULL;

    read_all(root, config, &path, NULL);
    return config;
}

const struct bus_ike_gateway *vpn_gateway(const struct vpn_config *config, const char *name)
{
    for (unsigned i = 0; i < config->gateways->len; i++) {
        const struct bus_ike_gateway *gateway = config->gateways->pdata[i];

        if (strcmp(gateway->name, name) == 0) {
            return gateway;
        }
    }
    return NULL;
}

const struct bus_ike_tunnel *vpn_tunnel(const struct vpn_config *config, const char *name)
{
    for (unsigned i = 0; i < config->tunnels->len; i++) {
        const struct bus_ike_tunnel *tunnel = config->tunnels->pdata[i];

        if (strcmp(tunnel->vpn, name) == 0) {
            return tunnel;
        }
    }
    return NULL;
}
