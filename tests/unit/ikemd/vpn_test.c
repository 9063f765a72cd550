/*
 * vpn_test - what ikemd accepts, what it refuses with which words, and what it makes of it.
 */
#include <criterion/criterion.h>

#include "firmware/crypto/alg.h"
#include "re/ikemd/vpn.h"
#include "tests/unit/conf_put.h"

static const char good[] = "interfaces interface=xe-1/0/1 unit=0 family inet address=192.0.2.1/24\n"
                           "interfaces interface=st0 unit=0 family inet\n"
                           "security ike proposal=p1 authentication-method:pre-shared-keys\n"
                           "security ike proposal=p1 dh-group:group19\n"
                           "security ike proposal=p1 encryption-algorithm:aes-256-gcm\n"
                           "security ike proposal=p1 lifetime-seconds:7200\n"
                           "security ike proposal=p2 dh-group:group19\n"
                           "security ike proposal=p2 encryption-algorithm:aes-128-cbc\n"
                           "security ike proposal=p2 authentication-algorithm:sha-256\n"
                           "security ike policy=pol proposals+p1\n"
                           "security ike policy=pol proposals+p2\n"
                           "security ike policy=pol pre-shared-key ascii-text:secret\n"
                           "security ike gateway=gw-a ike-policy:pol\n"
                           "security ike gateway=gw-a address+192.0.2.2\n"
                           "security ike gateway=gw-a external-interface:xe-1/0/1.0\n"
                           "security ike gateway=gw-a version:v2-only\n"
                           "security ipsec proposal=e1 protocol:esp\n"
                           "security ipsec proposal=e1 encryption-algorithm:aes-256-gcm\n"
                           "security ipsec proposal=e1 lifetime-seconds:1800\n"
                           "security ipsec policy=epol perfect-forward-secrecy keys:group19\n"
                           "security ipsec policy=epol proposals+e1\n"
                           "security ipsec vpn=v1 bind-interface:st0.0\n"
                           "security ipsec vpn=v1 ike gateway:gw-a\n"
                           "security ipsec vpn=v1 ike ipsec-policy:epol\n"
                           "security ipsec vpn=v1 establish-tunnels:immediately\n";

/* Refused at `path`, with `words` in the text, once `line` is added to the good configuration. */
static void refused(const char *line, const char *path, const char *words)
{
    struct conf_node *root = conf_from(good);
    g_autoptr(GError) error = NULL;
    g_autofree char *at = NULL;

    conf_put(root, line);
    cr_assert_not(vpn_check(root, &at, &error), "accepted: %s", line);
    cr_assert_str_eq(at, path);
    cr_assert_not_null(strstr(error->message, words), "%s: %s", line, error->message);
    conf_free(root);
}

static void accepted(const char *line)
{
    struct conf_node *root = conf_from(good);
    g_autoptr(GError) error = NULL;
    g_autofree char *at = NULL;

    conf_put(root, line);
    cr_assert(vpn_check(root, &at, &error), "%s: %s", line, error ? error->message : "");
    conf_free(root);
}

Test(vpn, good_configuration_becomes_messages)
{
    struct conf_node *root = conf_from(good);
    g_autoptr(GError) error = NULL;
    g_autofree char *at = NULL;
    struct vpn_config *config;
    const struct bus_ike_gateway *gateway;
    const struct bus_ike_tunnel *tunnel;

    cr_assert(vpn_check(root, &at, &error), "%s", error ? error->message : "");
    config = vpn_read(root);
    conf_free(root);
    gateway = vpn_gateway(config, "gw-a");
    tunnel = vpn_tunnel(config, "v1");
    cr_assert_not_null(gateway);
    cr_assert_not_null(tunnel);
    cr_assert_eq(fw_addr_to_v4(&gateway->local), 0xc0000201);
    cr_assert_eq(fw_addr_to_v4(&gateway->remote), 0xc0000202);
    cr_assert_eq(gateway->local_id.type, 1);
    cr_assert_eq(gateway->local_id.value.len, 4);
    cr_assert_eq(gateway->psk.len, 6);
    cr_assert_eq(memcmp(gateway->psk.data, "secret", 6), 0);
    cr_assert_eq(gateway->n_proposals, 2);
    cr_assert_eq(gateway->proposals[0].encryption, FW_ENC_AES_GCM_256);
    cr_assert_eq(gateway->proposals[0].integrity, FW_INTEG_NONE);
    cr_assert_eq(gateway->proposals[0].prf, FW_PRF_SHA256);
    cr_assert_eq(gateway->proposals[0].group, 19);
    cr_assert_eq(gateway->proposals[1].encryption, FW_ENC_AES_CBC_128);
    cr_assert_eq(gateway->proposals[1].integrity, FW_INTEG_SHA256_128);
    cr_assert_eq(gateway->lifetime_s, 7200);
    cr_assert(gateway->nat_traversal);
    cr_assert_eq(gateway->dpd_mode, 3);
    cr_assert_str_eq(tunnel->gateway, "gw-a");
    cr_assert_str_eq(tunnel->ifl_name, "st0.0");
    cr_assert_str_eq(tunnel->policy, "epol");
    cr_assert_eq(tunnel->n_proposals, 1);
    cr_assert_eq(tunnel->proposals[0].encryption, FW_ENC_AES_GCM_256);
    cr_assert_eq(tunnel->proposals[0].group, 19);
    cr_assert_eq(tunnel->lifetime_s, 1800);
    cr_assert_eq(tunnel->establish, BUS_ESTABLISH_IMMEDIATELY);
    cr_assert_eq(tunnel->replay_window, 64);
    cr_assert_eq(tunnel->n_selectors, 0);
    vpn_free(config);
}

Test(vpn, version_must_be_v2_only)
{
    refused("security ike gateway=gw-a version:v1-only", "security ike gateway gw-a version",
            "gateway gw-a: version v2-only is required until IKEv1 exists; permitted values: "
            "v2-only");
}

Test(vpn, algorithms_name_the_permitted_ones)
{
    refused("security ike proposal=p1 dh-group:group14", "security ike proposal p1 dh-group",
            "permitted values: group19");
    refused("security ike proposal=p1 encryption-algorithm:3des-cbc",
            "security ike proposal p1 encryption-algorithm", "aes-128-cbc");
    refused("security ike proposal=p1 authentication-method:rsa-signatures",
            "security ike proposal p1 authentication-method", "permitted values: pre-shared-keys");
    refused("security ike proposal=p1 encryption-algorithm:aes-256-cbc", "security ike proposal p1",
            "required with CBC");
    refused("security ipsec proposal=e1 protocol:ah", "security ipsec proposal e1 protocol",
            "permitted values: esp");
    refused("security ipsec proposal=e1 authentication-algorithm:hmac-sha-256-128",
            "security ipsec proposal e1 authentication-algorithm", "authenticates by itself");
    refused("security ipsec policy=epol perfect-forward-secrecy keys:group14",
            "security ipsec policy epol perfect-forward-secrecy keys", "group19");
    refused("security ipsec proposal=e1 lifetime-kilobytes:64000",
            "security ipsec proposal e1 lifetime-kilobytes", "does not exist here yet");
}

Test(vpn, references_must_exist)
{
    refused("security ike gateway=gw-a ike-policy:nope", "security ike gateway gw-a ike-policy",
            "ike-policy nope is not defined");
    refused("security ike policy=pol proposals+nope", "security ike policy pol proposals",
            "proposal nope is not defined");
    refused("security ipsec policy=epol proposals+nope", "security ipsec policy epol proposals",
            "proposal nope is not defined");
    refused("security ipsec vpn=v1 ike gateway:nope", "security ipsec vpn v1 ike gateway",
            "ike gateway nope is not defined");
    refused("security ipsec vpn=v1 ike ipsec-policy:nope", "security ipsec vpn v1 ike ipsec-policy",
            "ipsec-policy nope is not defined");
    refused("security ipsec vpn=v1 bind-interface:st0.7", "security ipsec vpn v1 bind-interface",
            "st0.7 is no configured unit");
    refused("security ike gateway=gw-a external-interface:xe-2/0/0.0",
            "security ike gateway gw-a external-interface", "is not configured");
    refused("security ike gateway=gw-a local-address:192.0.2.9",
            "security ike gateway gw-a local-address", "no address of xe-1/0/1.0");
    refused("security ike policy=pol proposal-set:standard", "security ike policy pol proposal-set",
            "name proposals instead");
    refused("security ike gateway=gw-a address+192.0.2.3", "security ike gateway gw-a address",
            "backup addresses");
}

Test(vpn, key_is_required)
{
    struct conf_node *root = conf_from(good);
    g_autoptr(GError) error = NULL;
    g_autofree char *at = NULL;
    struct conf_node *key =
        (struct conf_node *)conf_find(root, "security ike policy pol pre-shared-key");

    conf_free(key);
    cr_assert_not(vpn_check(root, &at, &error));
    cr_assert_str_eq(at, "security ike policy pol");
    cr_assert_not_null(strstr(error->message, "pre-shared-key is required"));
    conf_free(root);
}

Test(vpn, replay_window)
{
    accepted("security ipsec vpn=v1 ike anti-replay-window-size:8192");
    refused("security ipsec vpn=v1 ike anti-replay-window-size:63",
            "security ipsec vpn v1 ike anti-replay-window-size", "permitted values: 64..8192");
    refused("security ipsec anti-replay-window-size:9000",
            "security ipsec vpn v1 ike anti-replay-window-size", "64..8192");
}

Test(vpn, replay_window_of_the_vpn_wins)
{
    struct conf_node *root = conf_from(good);
    struct vpn_config *config;

    conf_put(root, "security ipsec anti-replay-window-size:512");
    config = vpn_read(root);
    cr_assert_eq(vpn_tunnel(config, "v1")->replay_window, 512);
    vpn_free(config);
    conf_put(root, "security ipsec vpn=v1 ike anti-replay-window-size:1024");
    config = vpn_read(root);
    cr_assert_eq(vpn_tunnel(config, "v1")->replay_window, 1024);
    vpn_free(config);
    conf_free(root);
}

Test(vpn, selectors)
{
    struct conf_node *root = conf_from(good);
    struct vpn_config *config;

    conf_put(root, "security ipsec vpn=v1 traffic-selector=t1 local-ip:10.1.1.0/24");
    conf_put(root, "security ipsec vpn=v1 traffic-selector=t1 remote-ip:10.2.2.5/24");
    config = vpn_read(root);
    cr_assert_eq(vpn_tunnel(config, "v1")->n_selectors, 1);
    cr_assert_eq(fw_addr_to_v4(&vpn_tunnel(config, "v1")->selectors[0].remote.addr), 0x0a020200);
    vpn_free(config);
    conf_free(root);
    refused("security ipsec vpn=v1 traffic-selector=t2 local-ip:10.1.1.0/24",
            "security ipsec vpn v1 traffic-selector", "needs a local and a remote prefix");
}

Test(vpn, identities_and_hexadecimal_key)
{
    struct conf_node *root = conf_from(good);
    struct vpn_config *config;
    const struct bus_ike_gateway *gateway;

    conf_free((struct conf_node *)conf_find(root, "security ike policy pol pre-shared-key"));
    conf_put(root, "security ike policy=pol pre-shared-key hexadecimal:00ff10");
    conf_put(root, "security ike gateway=gw-a local-identity hostname identity-hostname:a.example");
    conf_put(root, "security ike gateway=gw-a dead-peer-detection always-send!");
    config = vpn_read(root);
    gateway = vpn_gateway(config, "gw-a");
    cr_assert_not_null(gateway);
    cr_assert_eq(gateway->psk.len, 3);
    cr_assert_eq(gateway->psk.data[1], 0xff);
    cr_assert_eq(gateway->local_id.type, 2);
    cr_assert_eq(gateway->local_id.value.len, 9);
    cr_assert_eq(gateway->remote_id.type, 1);
    cr_assert_eq(gateway->dpd_mode, 2);
    vpn_free(config);
    conf_free(root);
}

Test(vpn, one_vpn_a_unit)
{
    struct conf_node *root = conf_from(good);
    g_autoptr(GError) error = NULL;
    g_autofree char *at = NULL;

    conf_put(root, "security ipsec vpn=v2 bind-interface:st0.0");
    conf_put(root, "security ipsec vpn=v2 ike gateway:gw-a");
    conf_put(root, "security ipsec vpn=v2 ike ipsec-policy:epol");
    cr_assert_not(vpn_check(root, &at, &error));
    cr_assert_str_eq(at, "security ipsec vpn v2 bind-interface");
    conf_free(root);
}

Test(vpn, statements_of_later_issues_are_refused_by_name)
{
    refused("security ipsec vpn=v1 vpn-monitor optimized!", "security ipsec vpn v1 vpn-monitor",
            "vpn-monitor does not exist here yet");
    refused("security ike gateway=gw-a dynamic hostname:x", "security ike gateway gw-a dynamic",
            "dynamic does not exist here yet");
}
