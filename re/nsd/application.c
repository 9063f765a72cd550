/*
 * application - see application.h.
 */
#include "re/nsd/application.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <glib.h>

#define ANY_LOW   0
#define ANY_HIGH  65535
#define SET_DEPTH 4 /* sets within sets; the real box allows as few */

static const struct {
    const char *name;
    uint8_t protocol;
    uint16_t low, high;
} predefined[] = {
    {"junos-icmp-all", IPPROTO_ICMP, ANY_LOW, ANY_HIGH},
    {"junos-icmp-ping", IPPROTO_ICMP, 8, 8},
    {"junos-ping", IPPROTO_ICMP, 8, 8},
    {"junos-icmp6-all", IPPROTO_ICMPV6, ANY_LOW, ANY_HIGH},
    {"junos-pingv6", IPPROTO_ICMPV6, 128, 128},
    {"junos-tcp-any", IPPROTO_TCP, ANY_LOW, ANY_HIGH},
    {"junos-udp-any", IPPROTO_UDP, ANY_LOW, ANY_HIGH},
    {"junos-ftp", IPPROTO_TCP, 21, 21},
    {"junos-ssh", IPPROTO_TCP, 22, 22},
    {"junos-telnet", IPPROTO_TCP, 23, 23},
    {"junos-smtp", IPPROTO_TCP, 25, 25},
    {"junos-dns-tcp", IPPROTO_TCP, 53, 53},
    {"junos-dns-udp", IPPROTO_UDP, 53, 53},
    {"junos-tftp", IPPROTO_UDP, 69, 69},
    {"junos-http", IPPROTO_TCP, 80, 80},
    {"junos-pop3", IPPROTO_TCP, 110, 110},
    {"junos-ntp", IPPROTO_UDP, 123, 123},
    {"junos-imap", IPPROTO_TCP, 143, 143},
    {"junos-bgp", IPPROTO_TCP, 179, 179},
    {"junos-ldap", IPPROTO_TCP, 389, 389},
    {"junos-https", IPPROTO_TCP, 443, 443},
    {"junos-ike", IPPROTO_UDP, 500, 500},
    {"junos-ike-nat", IPPROTO_UDP, 4500, 4500},
    {"junos-syslog", IPPROTO_UDP, 514, 514},
    {"junos-radius", IPPROTO_UDP, 1812, 1812},
    {"junos-ospf", 89, ANY_LOW, ANY_HIGH},
    {"junos-gre", IPPROTO_GRE, ANY_LOW, ANY_HIGH},
};

static bool add(struct bus_policy_rule *rule, uint8_t protocol, uint16_t low, uint16_t high,
                const char **ret_why)
{
    if (rule->n_applications == G_N_ELEMENTS(rule->applications)) {
        *ret_why = "a policy has room for 32 applications";
        return false;
    }
    rule->applications[rule->n_applications++] =
        (struct bus_policy_application){protocol, low, high};
    return true;
}

static bool protocol_parse(const char *text, uint8_t *ret)
{
    static const struct {
        const char *name;
        uint8_t protocol;
    } names[] = {{"icmp", IPPROTO_ICMP}, {"icmp6", IPPROTO_ICMPV6}, {"tcp", IPPROTO_TCP},
                 {"udp", IPPROTO_UDP},   {"gre", IPPROTO_GRE},      {"ospf", 89},
                 {"esp", IPPROTO_ESP},   {"ah", IPPROTO_AH},        {"sctp", IPPROTO_SCTP}};
    guint64 number;

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strcmp(names[i].name, text) == 0) {
            *ret = names[i].protocol;
            return true;
        }
    }
    if (!g_ascii_string_to_unsigned(text, 10, 0, 255, &number, NULL)) {
        return false;
    }
    *ret = (uint8_t)number;
    return true;
}

/* "80", "8000-8100". */
static bool ports_parse(const char *text, uint16_t *ret_low, uint16_t *ret_high)
{
    g_auto(GStrv) ends = g_strsplit(text, "-", 2);
    guint64 low, high;

    if (!ends[0] || !g_ascii_string_to_unsigned(ends[0], 10, 0, ANY_HIGH, &low, NULL)) {
        return false;
    }
    high = low;
    if (ends[1] && !g_ascii_string_to_unsigned(ends[1], 10, low, ANY_HIGH, &high, NULL)) {
        return false;
    }
    *ret_low = (uint16_t)low;
    *ret_high = (uint16_t)high;
    return true;
}

static bool configured_add(const struct conf_node *application, struct bus_policy_rule *rule,
                           const char **ret_why)
{
    const char *protocol = conf_leaf(application, "protocol");
    const char *ports = conf_leaf(application, "destination-port");
    const char *type = conf_leaf(application, "icmp-type");
    uint16_t low = ANY_LOW, high = ANY_HIGH;
    uint8_t number;

    *ret_why = "the application needs a protocol";
    if (!protocol || !protocol_parse(protocol, &number)) {
        return false;
    }
    *ret_why = "source ports do not exist here yet; delete source-port of the application";
    if (conf_has(application, "source-port")) {
        return false;
    }
    *ret_why = "the application's destination-port is no port or range of ports";
    if (!ports) {
        ports = type;
    }
    if (ports && !ports_parse(ports, &low, &high)) {
        return false;
    }
    return add(rule, number, low, high, ret_why);
}

static bool add_deep(const struct conf_node *root, const char *name, struct bus_policy_rule *rule,
                     const char **ret_why, unsigned depth)
{
    const struct conf_node *applications = conf_child(root, "applications");
    const struct conf_node *own = conf_entry(applications, "application", name);
    const struct conf_node *set = conf_entry(applications, "application-set", name);

    if (own) {
        return configured_add(own, rule, ret_why);
    }
    if (set) {
        if (depth == SET_DEPTH) {
            *ret_why = "application sets contain each other too deeply";
            return false;
        }
        conf_each (member, set, "application") {
            if (member->value && !add_deep(root, member->value, rule, ret_why, depth + 1)) {
                return false;
            }
        }
        conf_each (member, set, "application-set") {
            if (member->value && !add_deep(root, member->value, rule, ret_why, depth + 1)) {
                return false;
            }
        }
        return true;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(predefined); i++) {
        if (strcmp(predefined[i].name, name) == 0) {
            return add(rule, predefined[i].protocol, predefined[i].low, predefined[i].high,
                       ret_why);
        }
    }
    *ret_why = "the application is not defined";
    return false;
}

bool application_add(const struct conf_node *root, const char *name, struct bus_policy_rule *rule,
                     const char **ret_why)
{
    return strcmp(name, "any") == 0 || add_deep(root, name, rule, ret_why, 0);
}
