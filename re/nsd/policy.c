/*
 * policy - see policy.h.
 *
 * An address name is looked for in the address book attached to the zone, in
 * the zone's own (old style), then in the global one.
 */
#include "re/nsd/policy.h"

#include <string.h>

#include "firmware/bus/bus.h"
#include "firmware/core/addr.h"
#include "firmware/core/error.h"
#include "re/nsd/application.h"
#include "re/nsd/zone.h"

#define SET_DEPTH 4 /* address sets within sets */

struct side {
    const struct conf_node *root;
    const char *zone;
    struct fw_prefix *list;
    unsigned *n;
    unsigned limit;
};

static void pair_free(gpointer data)
{
    struct policy_pair *pair = data;

    g_free(pair->state);
    g_free(pair);
}

/* ------------------------------------------------------------------ addresses */

static bool prefix_add(const struct side *side, const char *text, const char **ret_why)
{
    struct fw_prefix prefix;

    *ret_why = "the address book entry is no prefix";
    if (!text || !fw_prefix_parse(text, &prefix)) {
        return false;
    }
    *ret_why = "a policy has room for 32 addresses each way";
    if (*side->n == side->limit) {
        return false;
    }
    side->list[(*side->n)++] = fw_prefix_network(&prefix);
    return true;
}

/* True when the book has the name (and adding it went well, else *ret_why is set). */
static bool book_add(const struct side *side, const struct conf_node *book, const char *name,
                     const char **ret_why, unsigned depth)
{
    const struct conf_node *address = conf_entry(book, "address", name);
    const struct conf_node *set = conf_entry(book, "address-set", name);
    static const char *const kinds[] = {"address", "address-set"};

    *ret_why = NULL;
    if (address) {
        return prefix_add(side, conf_leaf(address, "ip-prefix"), ret_why);
    }
    if (!set) {
        return false;
    }
    if (depth == SET_DEPTH) {
        *ret_why = "address sets contain each other too deeply";
        return false;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(kinds); i++) {
        conf_each (member, set, kinds[i]) {
            if (!book_add(side, book, member->value ? member->value : "", ret_why, depth + 1)) {
                if (!*ret_why) {
                    *ret_why = "a member of the address set is not defined";
                }
                return false;
            }
        }
    }
    return true;
}

static bool address_add(const struct side *side, const char *name, const char **ret_why)
{
    const struct conf_node *security = conf_child(side->root, "security");
    const struct conf_node *zone =
        conf_entry(conf_child(security, "zones"), "security-zone", side->zone);

    if (strcmp(name, "any") == 0) {
        return true;
    }
    if (strcmp(name, "any-ipv4") == 0) {
        return prefix_add(side, "0.0.0.0/0", ret_why);
    }
    if (strcmp(name, "any-ipv6") == 0) {
        return prefix_add(side, "::/0", ret_why);
    }
    conf_each (book, security, "address-book") {
        bool attached = conf_entry(conf_child(book, "attach"), "zone", side->zone) != NULL;

        if (attached) {
            if (book_add(side, book, name, ret_why, 0)) {
                return true;
            }
            if (*ret_why) {
                return false;
            }
        }
    }
    if (book_add(side, conf_child(zone, "address-book"), name, ret_why, 0)) {
        return true;
    }
    if (*ret_why) {
        return false;
    }
    if (book_add(side, conf_entry(security, "address-book", "global"), name, ret_why, 0)) {
        return true;
    }
    if (!*ret_why) {
        *ret_why = "the address is in no address book of the zone";
    }
    return false;
}

/* ------------------------------------------------------------------ policies */

static bool refuse(const struct conf_node *node, const char *statement, char **ret_path,
                   GError **error, const char *name, const char *why)
{
    g_autofree char *at = conf_path(node);

    *ret_path = g_strdup_printf("%s %s", at, statement);
    return fw_fail(error, FW_ERROR_INVALID, "policy %s: %s%s%s: %s", node->value, statement,
                   name ? " " : "", name ? name : "", why);
}

static bool match_read(const struct conf_node *root, const struct conf_node *policy,
                       const struct policy_pair *pair, struct bus_policy_rule *rule,
                       char **ret_path, GError **error)
{
    const struct conf_node *match = conf_child(policy, "match");
    const struct side sides[] = {
        {root, pair->from, rule->sources, &rule->n_sources, G_N_ELEMENTS(rule->sources)},
        {root, pair->to, rule->destinations, &rule->n_destinations,
         G_N_ELEMENTS(rule->destinations)}};
    static const char *const statements[] = {"source-address", "destination-address"};
    const char *why;

    for (unsigned i = 0; i < G_N_ELEMENTS(sides); i++) {
        const struct conf_node *first = conf_child(match, statements[i]);
        bool any = false;

        if (!first) {
            return refuse(policy, statements[i], ret_path, error, NULL, "is required");
        }
        conf_each (name, match, statements[i]) {
            if (!name->value || !address_add(&sides[i], name->value, &why)) {
                return refuse(policy, statements[i], ret_path, error, name->value,
                              name->value ? why : "is empty");
            }
            any = any || strcmp(name->value, "any") == 0;
        }
        if (any) {
            *sides[i].n = 0;
        }
    }
    if (!conf_child(match, "application")) {
        return refuse(policy, "application", ret_path, error, NULL, "is required");
    }
    conf_each (name, match, "application") {
        if (!name->value || !application_add(root, name->value, rule, &why)) {
            return refuse(policy, "application", ret_path, error, name->value,
                          name->value ? why : "is empty");
        }
    }
    conf_each (name, match, "application") {
        if (name->value && strcmp(name->value, "any") == 0) {
            rule->n_applications = 0;
        }
    }
    return true;
}

static bool action_read(const struct conf_node *policy, struct bus_policy_rule *rule,
                        char **ret_path, GError **error)
{
    const struct conf_node *then = conf_child(policy, "then");
    const struct conf_node *permit = conf_child(then, "permit");

    if (permit && conf_child(permit, "tunnel")) {
        return refuse(policy, "then permit tunnel", ret_path, error, NULL,
                      "policy-based VPNs need kmd; bind the VPN to an st0 unit");
    }
    for (unsigned i = 0; i < BUS_POLICY_ACTION_COUNT; i++) {
        if (conf_has(then, bus_policy_action_names[i])) {
            rule->action = (uint8_t)i;
            return true;
        }
    }
    return refuse(policy, "then", ret_path, error, NULL,
                  "an action is required; permitted values: permit, deny, reject");
}

static bool pair_compile(const struct conf_node *root, const struct conf_node *list,
                         struct policy_pair *pair, char **ret_path, GError **error)
{
    conf_each (policy, list, "policy") {
        struct bus_policy_rule *rule = &pair->state->rules[pair->state->n_rules];

        if (pair->state->n_rules == G_N_ELEMENTS(pair->state->rules)) {
            return refuse(policy, "match", ret_path, error, NULL,
                          "a pair of zones has room for 64 policies");
        }
        g_strlcpy(rule->name, policy->value ? policy->value : "", sizeof rule->name);
        if (!match_read(root, policy, pair, rule, ret_path, error) ||
            !action_read(policy, rule, ret_path, error)) {
            return false;
        }
        pair->state->n_rules++;
    }
    return true;
}

/* A pair of zones travels in one message. */
static bool pair_fits(const struct conf_node *to, const struct policy_pair *pair, char **ret_path,
                      GError **error)
{
    g_autofree uint8_t *frame = g_malloc(BUS_FRAME_MAX - BUS_HEADER_BYTES);
    struct fw_emit e = fw_emit(frame, BUS_FRAME_MAX - BUS_HEADER_BYTES);

    bus_encode(&bus_struct_policy_state, pair->state, &e);
    if (!e.failed) {
        return true;
    }
    *ret_path = conf_path(to);
    return fw_fail(error, FW_ERROR_INVALID,
                   "policies from %s to %s: their addresses and applications are too many",
                   pair->from, pair->to);
}

static bool zone_known(const struct conf_node *node, const GPtrArray *zones, const char *name,
                       char **ret_path, GError **error)
{
    if (name && zone_find(zones, name)) {
        return true;
    }
    *ret_path = conf_path(node);
    return fw_fail(error, FW_ERROR_INVALID, "%s %s: there is no such security-zone", node->name,
                   name ? name : "");
}

GPtrArray *policy_compile(const struct conf_node *root, char **ret_path, GError **error)
{
    g_autoptr(GPtrArray) zones = zone_read(root);
    g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(pair_free);
    const struct conf_node *policies = conf_find(root, "security policies");
    const char *otherwise = conf_leaf(policies, "default-policy");

    if (conf_child(policies, "global") || (otherwise && strcmp(otherwise, "deny-all") != 0) ||
        conf_has(conf_child(policies, "default-policy"), "permit-all")) {
        *ret_path = g_strdup("security policies");
        fw_fail(error, FW_ERROR_INVALID,
                "global policies and default-policy permit-all do not exist here yet; name both "
                "zones");
        return NULL;
    }
    conf_each (from, policies, "from-zone") {
        if (!zone_known(from, zones, from->value, ret_path, error)) {
            return NULL;
        }
        conf_each (to, from, "to-zone") {
            struct policy_pair *pair;

            if (!zone_known(to, zones, to->value, ret_path, error)) {
                return NULL;
            }
            pair = g_new0(struct policy_pair, 1);
            g_ptr_array_add(pairs, pair);
            g_strlcpy(pair->from, from->value, sizeof pair->from);
            g_strlcpy(pair->to, to->value, sizeof pair->to);
            pair->state = g_new0(struct bus_policy_state, 1);
            if (!pair_compile(root, to, pair, ret_path, error) ||
                !pair_fits(to, pair, ret_path, error)) {
                return NULL;
            }
        }
    }
    return g_steal_pointer(&pairs);
}
