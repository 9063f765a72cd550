/*
 * security_test - zones, address books, applications and policies as told to the cards.
 */
#include <criterion/criterion.h>

#include "re/nsd/policy.h"
#include "re/nsd/security.h"
#include "tests/unit/conf_put.h"

static const char base[] =
    "interfaces interface=xe-1/0/0 unit=0 family inet address=10.1.1.1/24\n"
    "interfaces interface=xe-1/0/1 unit=0 family inet address=192.0.2.1/24\n"
    "interfaces interface=st0 unit=0 family inet\n"
    "security zones security-zone=trust host-inbound-traffic system-services=all\n"
    "security zones security-zone=trust host-inbound-traffic system-services=ssh except!\n"
    "security zones security-zone=trust interfaces=xe-1/0/0.0\n"
    "security zones security-zone=vpn interfaces=st0.0 host-inbound-traffic system-services=ping\n"
    "security policies from-zone=trust to-zone=vpn policy=web match source-address+lan\n"
    "security policies from-zone=trust to-zone=vpn policy=web match destination-address+any\n"
    "security policies from-zone=trust to-zone=vpn policy=web match application+junos-http\n"
    "security policies from-zone=trust to-zone=vpn policy=web match application+own\n"
    "security policies from-zone=trust to-zone=vpn policy=web then permit\n"
    "security policies from-zone=trust to-zone=vpn policy=rest match source-address+any\n"
    "security policies from-zone=trust to-zone=vpn policy=rest match destination-address+far\n"
    "security policies from-zone=trust to-zone=vpn policy=rest match application+any\n"
    "security policies from-zone=trust to-zone=vpn policy=rest then reject\n"
    "security address-book=global address=lan ip-prefix:10.1.1.0/24\n"
    "security address-book=global address=a ip-prefix:10.2.2.7/32\n"
    "security address-book=global address-set=far address+a\n"
    "security address-book=global address-set=far address+lan\n"
    "applications application=own protocol:tcp\n"
    "applications application=own destination-port:8000-8010\n";

static struct security *security;
static GPtrArray *zones, *policies;

static void out_zone(const struct bus_zone_state *state, void *data)
{
    (void)data;
    g_ptr_array_add(zones, g_memdup2(state, sizeof *state));
}

static void out_policy(const struct bus_policy_state *state, void *data)
{
    (void)data;
    g_ptr_array_add(policies, g_memdup2(state, sizeof *state));
}

static void begin(void)
{
    const struct security_out out = {out_zone, out_policy, NULL};

    zones = g_ptr_array_new_with_free_func(g_free);
    policies = g_ptr_array_new_with_free_func(g_free);
    security = security_new(&out);
}

static void end(void)
{
    security_free(security);
    g_ptr_array_unref(zones);
    g_ptr_array_unref(policies);
}

static void configure(const char *text)
{
    struct conf_node *root = conf_from(text);
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;

    cr_assert(security_check(root, &path, &error), "%s", error ? error->message : "");
    security_configure(security, root);
    conf_free(root);
}

Test(security, policies_are_compiled_in_order, .init = begin, .fini = end)
{
    const struct bus_policy_state *state;

    configure(base);
    cr_assert_eq(zones->len, 2);
    cr_assert_eq(policies->len, 1);
    state = policies->pdata[0];
    cr_assert_eq(state->from_zone, 1);
    cr_assert_eq(state->to_zone, 2);
    cr_assert_eq(state->n_rules, 2);
    cr_assert_str_eq(state->rules[0].name, "web");
    cr_assert_eq(state->rules[0].id, 4);
    cr_assert_eq(state->rules[0].action, BUS_POLICY_ACTION_PERMIT);
    cr_assert_eq(state->rules[0].n_sources, 1);
    cr_assert_eq(fw_addr_to_v4(&state->rules[0].sources[0].addr), 0x0a010100);
    cr_assert_eq(state->rules[0].n_destinations, 0);
    cr_assert_eq(state->rules[0].n_applications, 2);
    cr_assert_eq(state->rules[0].applications[0].port_low, 80);
    cr_assert_eq(state->rules[0].applications[1].port_high, 8010);
    cr_assert_str_eq(state->rules[1].name, "rest");
    cr_assert_eq(state->rules[1].id, 5);
    cr_assert_eq(state->rules[1].action, BUS_POLICY_ACTION_REJECT);
    cr_assert_eq(state->rules[1].n_destinations, 2);
    cr_assert_eq(state->rules[1].n_applications, 0);
}

Test(security, nothing_is_told_twice, .init = begin, .fini = end)
{
    configure(base);
    g_ptr_array_set_size(zones, 0);
    g_ptr_array_set_size(policies, 0);
    configure(base);
    cr_assert_eq(zones->len, 0);
    cr_assert_eq(policies->len, 0);
}

Test(security, removed_zone_and_policies_are_gone, .init = begin, .fini = end)
{
    configure(base);
    configure("interfaces interface=xe-1/0/0 unit=0\n"
              "security zones security-zone=vpn interfaces=xe-1/0/0.0\n");
    cr_assert_eq(zones->len, 3);
    cr_assert(((struct bus_zone_state *)zones->pdata[2])->gone);
    cr_assert_eq(((struct bus_zone_state *)zones->pdata[2])->zone, 1);
    cr_assert_eq(policies->len, 2);
    cr_assert(((struct bus_policy_state *)policies->pdata[1])->gone);
}

Test(security, restart_keeps_ids, .init = begin, .fini = end)
{
    struct bus_zone_state vpn = {.zone = 1, .name = "vpn"}, old = {.zone = 3, .name = "old"};

    security_restore_zone(security, &vpn);
    security_restore_zone(security, &old);
    configure(base);
    cr_assert_eq(((struct bus_policy_state *)policies->pdata[0])->to_zone, 1);
    cr_assert_eq(((struct bus_policy_state *)policies->pdata[0])->from_zone, 2);
    cr_assert(((struct bus_zone_state *)zones->pdata[zones->len - 1])->gone);
    cr_assert_eq(((struct bus_zone_state *)zones->pdata[zones->len - 1])->zone, 3);
}

Test(security, host_inbound_of_interface_replaces_that_of_zone)
{
    struct conf_node *root = conf_from(base);
    g_autoptr(GPtrArray) read = zone_read(root);
    uint32_t bits;

    conf_free(root);
    cr_assert_str_eq(zone_of_interface(read, "xe-1/0/0.0", &bits)->name, "trust");
    cr_assert(bits & 1u << BUS_HOST_SERVICE_IKE);
    cr_assert_not(bits & 1u << BUS_HOST_SERVICE_SSH);
    cr_assert_str_eq(zone_of_interface(read, "st0.0", &bits)->name, "vpn");
    cr_assert_eq(bits, 1u << BUS_HOST_SERVICE_PING);
    cr_assert_null(zone_of_interface(read, "xe-1/0/1.0", &bits));
    cr_assert_eq(bits, 0);
}

static void refused(const char *line, const char *path, const char *words)
{
    struct conf_node *root = conf_from(base);
    g_autoptr(GError) error = NULL;
    g_autofree char *at = NULL;

    conf_put(root, line);
    cr_assert_not(security_check(root, &at, &error), "accepted: %s", line);
    cr_assert_str_eq(at, path);
    cr_assert_not_null(strstr(error->message, words), "%s: %s", line, error->message);
    conf_free(root);
}

#define WEB      "security policies from-zone=trust to-zone=vpn policy=web "
#define WEB_PATH "security policies from-zone trust to-zone vpn policy web "

Test(security, refusals)
{
    refused(WEB "match source-address+nope", WEB_PATH "source-address", "in no address book");
    refused(WEB "match application+nope", WEB_PATH "application", "not defined");
    refused("security policies from-zone=dmz to-zone=vpn", "security policies from-zone dmz",
            "no such security-zone");
    refused("security policies from-zone=vpn to-zone=dmz",
            "security policies from-zone vpn to-zone dmz", "no such security-zone");
    refused("security zones security-zone=vpn interfaces=xe-1/0/0.0",
            "security zones security-zone vpn interfaces xe-1/0/0.0", "already in zone trust");
    refused("security zones security-zone=vpn interfaces=xe-1/0/7.0",
            "security zones security-zone vpn interfaces xe-1/0/7.0", "is not configured");
    refused("security zones security-zone=junos-host", "security zones security-zone junos-host",
            "reserved");
    refused("security policies from-zone=vpn to-zone=trust policy=p then permit",
            "security policies from-zone vpn to-zone trust policy p source-address", "is required");
    refused(WEB "then permit tunnel ipsec-vpn:v", WEB_PATH "then permit tunnel", "need kmd");
    refused("security address-book=global address-set=far address-set+far",
            "security policies from-zone trust to-zone vpn policy rest destination-address",
            "too deeply");
    refused("security policies default-policy permit-all!", "security policies",
            "permit-all do not exist");
}

Test(security, book_of_the_zone_comes_before_the_global_one, .init = begin, .fini = end)
{
    g_autofree char *text =
        g_strconcat(base,
                    "security address-book=near attach zone=trust\n"
                    "security address-book=near address=lan ip-prefix:172.16.0.0/12\n",
                    NULL);

    configure(text);
    cr_assert_eq(
        fw_addr_to_v4(&((struct bus_policy_state *)policies->pdata[0])->rules[0].sources[0].addr),
        0xac100000);
}
