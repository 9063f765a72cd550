/*
 * syntax - see syntax.h. Interface names: xe-, ge-, et- with FPC/PIC/PORT of
 * the largest chassis, st0, lo0; whether the port is there is another question.
 */
#include "re/mgd/syntax.h"

#include <glib.h>
#include <string.h>

#include "firmware/core/addr.h"

#define FPC_MAX  11 /* SRX5800 */
#define PIC_MAX  3
#define PORT_MAX 95

static bool address_of(const char *value, int family)
{
    struct fw_addr addr;

    return fw_addr_parse(value, &addr) && (family == 0 || addr.family == family);
}

static bool prefix_of(const char *value, int family, bool slash)
{
    struct fw_prefix prefix;

    return (!slash || strchr(value, '/')) && fw_prefix_parse(value, &prefix) &&
           (family == 0 || prefix.addr.family == family);
}

static bool is_address(const char *value)
{
    return address_of(value, 0);
}

static bool is_ipv4_address(const char *value)
{
    return address_of(value, FW_FAMILY_V4);
}

static bool is_ipv6_address(const char *value)
{
    return address_of(value, FW_FAMILY_V6);
}

static bool is_prefix(const char *value)
{
    return prefix_of(value, 0, false);
}

static bool is_ipv4_interface(const char *value)
{
    return prefix_of(value, FW_FAMILY_V4, true);
}

static bool is_ipv6_interface(const char *value)
{
    return prefix_of(value, FW_FAMILY_V6, true);
}

static bool is_host_name(const char *value)
{
    const char *allowed = "-._";

    for (const char *p = value; *p; p++) {
        if (!g_ascii_isalnum(*p) && !strchr(allowed, *p)) {
            return false;
        }
    }
    return value[0] != 0 && value[0] != '-' && value[0] != '.';
}

static bool is_hexadecimal(const char *value)
{
    return value[0] && strspn(value, "0123456789abcdefABCDEF") == strlen(value) &&
           strlen(value) % 2 == 0;
}

/* A decimal number without leading zeroes up to `most`; *end behind it. */
static bool take_number(const char *p, unsigned most, const char **end)
{
    unsigned value = 0;
    const char *start = p;

    while (g_ascii_isdigit(*p) && p - start < 6) {
        value = value * 10 + (unsigned)(*p++ - '0');
    }
    *end = p;
    return p > start && (*start != '0' || p == start + 1) && value <= most;
}

static bool take_interface(const char *p, const char **end)
{
    if (g_str_has_prefix(p, "st0") || g_str_has_prefix(p, "lo0")) {
        *end = p + 3;
        return true;
    }
    if (!g_str_has_prefix(p, "xe-") && !g_str_has_prefix(p, "ge-") &&
        !g_str_has_prefix(p, "et-")) {
        return false;
    }
    return take_number(p + 3, FPC_MAX, &p) && *p++ == '/' && take_number(p, PIC_MAX, &p) &&
           *p++ == '/' && take_number(p, PORT_MAX, end);
}

static bool is_interface(const char *value)
{
    const char *end;

    return take_interface(value, &end) && *end == 0;
}

static bool is_interface_unit(const char *value)
{
    const char *end;

    if (!take_interface(value, &end)) {
        return false;
    }
    return *end == 0 || (*end == '.' && take_number(end + 1, 16385, &end) && *end == 0);
}

static bool is_tunnel_unit(const char *value)
{
    return g_str_has_prefix(value, "st0") && is_interface_unit(value);
}

static bool is_next_hop(const char *value)
{
    return is_address(value) || is_interface_unit(value);
}

static const struct mgd_syntax table[] = {
    {"address", "an IP address", is_address},
    {"ipv4-address", "an IPv4 address", is_ipv4_address},
    {"ipv6-address", "an IPv6 address", is_ipv6_address},
    {"prefix", "ADDRESS/LENGTH", is_prefix},
    {"ipv4-interface", "IPV4-ADDRESS/LENGTH", is_ipv4_interface},
    {"ipv6-interface", "IPV6-ADDRESS/LENGTH", is_ipv6_interface},
    {"host-name", "letters, digits, hyphens, dots and underscores", is_host_name},
    {"hexadecimal", "an even number of hexadecimal digits", is_hexadecimal},
    {"interface", "xe-FPC/PIC/PORT, ge-FPC/PIC/PORT, et-FPC/PIC/PORT, st0, lo0", is_interface},
    {"interface-unit", "INTERFACE.UNIT, for instance xe-1/0/0.0", is_interface_unit},
    {"tunnel-unit", "st0.UNIT", is_tunnel_unit},
    {"next-hop", "an IP address or st0.UNIT", is_next_hop},
};

const struct mgd_syntax *mgd_syntax_find(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        if (strcmp(table[i].name, name) == 0) {
            return &table[i];
        }
    }
    return NULL;
}
