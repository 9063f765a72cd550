/*
 * ifl - see ifl.h.
 */
#include "re/ifd/ifl.h"

#include <stdio.h>
#include <string.h>

#include "firmware/core/error.h"

bool ifl_parse_physical(const char *name, struct ifl_unit *ret)
{
    unsigned slot, pic, port;
    int used = 0;

    if (strlen(name) >= sizeof ret->physical) {
        return false;
    }
    memset(ret, 0, sizeof *ret);
    g_strlcpy(ret->physical, name, sizeof ret->physical);
    if (strcmp(name, "st0") == 0) {
        ret->kind = BUS_IFL_KIND_TUNNEL;
        ret->mtu = IFL_TUNNEL_MTU;
        return true;
    }
    if (strcmp(name, "lo0") == 0) {
        ret->kind = BUS_IFL_KIND_LOOPBACK;
        ret->mtu = 65535;
        return true;
    }
    if ((strncmp(name, "xe-", 3) != 0 && strncmp(name, "ge-", 3) != 0 &&
         strncmp(name, "et-", 3) != 0) ||
        sscanf(name + 3, "%2u/%2u/%2u%n", &slot, &pic, &port, &used) != 3 || name[3 + used] != 0 ||
        slot > 23 || pic > 7 || port > 63) {
        return false;
    }
    ret->kind = BUS_IFL_KIND_ETHER;
    ret->slot = (uint8_t)slot;
    ret->pic = (uint8_t)pic;
    ret->port = (uint8_t)port;
    ret->mtu = IFL_ETHER_MTU;
    return true;
}

static bool unit_set(struct ifl_unit *ret, const char *text)
{
    guint64 unit;

    if (!g_ascii_string_to_unsigned(text, 10, 0, IFL_UNIT_MAX, &unit, NULL) ||
        (ret->kind != BUS_IFL_KIND_TUNNEL && unit != 0)) {
        return false;
    }
    ret->unit = (uint16_t)unit;
    if ((size_t)snprintf(ret->name, sizeof ret->name, "%.17s.%u", ret->physical, ret->unit) >=
        sizeof ret->name) {
        return false;
    }
    switch (ret->kind) {
    case BUS_IFL_KIND_ETHER:
        snprintf(ret->device, sizeof ret->device, "%.2s-%u.%u.%u", ret->physical, ret->slot,
                 ret->pic, ret->port);
        break;
    case BUS_IFL_KIND_TUNNEL:
        snprintf(ret->device, sizeof ret->device, "st0.%u", ret->unit);
        break;
    case BUS_IFL_KIND_LOOPBACK:
        snprintf(ret->device, sizeof ret->device, "lo");
        break;
    }
    return true;
}

bool ifl_parse(const char *name, struct ifl_unit *ret)
{
    const char *dot = strchr(name, '.');
    g_autofree char *physical = dot ? g_strndup(name, (size_t)(dot - name)) : g_strdup(name);

    return ifl_parse_physical(physical, ret) && unit_set(ret, dot ? dot + 1 : "0");
}

/* Addresses of one family; true when each fits and is an address of that family. */
static bool addresses_read(const struct conf_node *family, enum fw_family wanted,
                           struct ifl_unit *ret, const struct conf_node **ret_bad)
{
    conf_each (node, family, "address") {
        struct fw_prefix prefix;

        if (!node->value || !fw_prefix_parse(node->value, &prefix) ||
            prefix.addr.family != wanted || ret->n_addresses == IFL_ADDRESSES_MAX) {
            *ret_bad = node;
            return false;
        }
        ret->addresses[ret->n_addresses++] = prefix;
    }
    return true;
}

static uint16_t mtu_read(const struct conf_node *family, uint16_t otherwise)
{
    uint64_t mtu = conf_u64(family, "mtu", otherwise);

    return mtu < 68 || mtu > 9192 ? otherwise : (uint16_t)mtu;
}

/* false with *ret_bad the statement at fault and *ret_why a reason, or NULL for "not an address".
 */
static bool unit_read(const struct conf_node *physical, const struct conf_node *unit,
                      struct ifl_unit *ret, const struct conf_node **ret_bad, const char **ret_why)
{
    const struct conf_node *family = conf_child(unit, "family");
    const struct conf_node *inet = conf_child(family, "inet");
    const struct conf_node *inet6 = conf_child(family, "inet6");

    *ret_why = NULL;
    *ret_bad = physical;
    if (!physical->value || !ifl_parse_physical(physical->value, ret)) {
        *ret_why = "unknown interface; permitted: xe-FPC/PIC/PORT, ge-FPC/PIC/PORT, "
                   "et-FPC/PIC/PORT, st0, lo0";
        return false;
    }
    *ret_bad = unit;
    if (!unit->value || !unit_set(ret, unit->value)) {
        *ret_why = ret->kind == BUS_IFL_KIND_TUNNEL
                       ? "the unit is out of range; permitted: 0..16385"
                       : "only unit 0 is possible until VLANs exist; permitted: 0";
        return false;
    }
    ret->disabled = conf_has(physical, "disable") || conf_has(unit, "disable");
    ret->inet = inet != NULL;
    ret->inet6 = inet6 != NULL;
    ret->mtu = mtu_read(inet, ret->mtu);
    return addresses_read(inet, FW_FAMILY_V4, ret, ret_bad) &&
           addresses_read(inet6, FW_FAMILY_V6, ret, ret_bad);
}

GPtrArray *ifl_read(const struct conf_node *root)
{
    GPtrArray *units = g_ptr_array_new_with_free_func(g_free);
    const struct conf_node *interfaces = conf_child(root, "interfaces");

    conf_each (physical, interfaces, "interface") {
        conf_each (unit, physical, "unit") {
            struct ifl_unit found;
            const struct conf_node *bad;
            const char *why;

            if (unit_read(physical, unit, &found, &bad, &why)) {
                g_ptr_array_add(units, g_memdup2(&found, sizeof found));
            }
        }
    }
    return units;
}

const struct ifl_unit *ifl_find(const GPtrArray *units, const char *name)
{
    struct ifl_unit wanted;

    if (!ifl_parse(name, &wanted)) {
        return NULL;
    }
    for (unsigned i = 0; i < units->len; i++) {
        const struct ifl_unit *unit = units->pdata[i];

        if (strcmp(unit->name, wanted.name) == 0) {
            return unit;
        }
    }
    return NULL;
}

static bool address_is_of(const struct fw_prefix *prefix, const struct ifl_unit *unit)
{
    for (unsigned i = 0; i < unit->n_addresses; i++) {
        if (fw_addr_equal(&unit->addresses[i].addr, &prefix->addr)) {
            return true;
        }
    }
    return false;
}

/* One port under two media names, or one unit twice. */
static bool same_place(const struct ifl_unit *a, const struct ifl_unit *b)
{
    return a->kind == b->kind && a->unit == b->unit &&
           (a->kind != BUS_IFL_KIND_ETHER ||
            (a->slot == b->slot && a->pic == b->pic && a->port == b->port));
}

static bool check_unit(const struct conf_node *physical, const struct conf_node *unit,
                       GPtrArray *seen, char **ret_path, GError **error)
{
    g_autofree struct ifl_unit *found = g_new0(struct ifl_unit, 1);
    const struct conf_node *bad;
    const char *why;
    char text[FW_ADDR_TEXT];

    if (!unit_read(physical, unit, found, &bad, &why)) {
        *ret_path = conf_path(bad);
        if (why) {
            return fw_fail(error, FW_ERROR_INVALID, "interface %s%s%s: %s", physical->value,
                           bad == unit ? " unit " : "", bad == unit ? unit->value : "", why);
        }
        return fw_fail(error, FW_ERROR_INVALID,
                       "interface %s: address %s is no address of this family or one of more "
                       "than %u",
                       found->name, bad->value ? bad->value : "", IFL_ADDRESSES_MAX);
    }
    for (unsigned i = 0; i < seen->len; i++) {
        const struct ifl_unit *other = seen->pdata[i];

        if (same_place(other, found)) {
            *ret_path = conf_path(unit);
            return fw_fail(error, FW_ERROR_INVALID, "interface %s: the port is also %s",
                           found->name, other->name);
        }
        for (unsigned j = 0; j < found->n_addresses; j++) {
            if (address_is_of(&found->addresses[j], other)) {
                *ret_path = conf_path(unit);
                return fw_fail(error, FW_ERROR_INVALID,
                               "interface %s: address %s is also configured on %s", found->name,
                               fw_addr_text(&found->addresses[j].addr, text), other->name);
            }
        }
    }
    g_ptr_array_add(seen, g_steal_pointer(&found));
    return true;
}

bool ifl_check(const struct conf_node *root, char **ret_path, GError **error)
{
    g_autoptr(GPtrArray) seen = g_ptr_array_new_with_free_func(g_free);
    const struct conf_node *interfaces = conf_child(root, "interfaces");

    conf_each (physical, interfaces, "interface") {
        conf_each (unit, physical, "unit") {
            if (!check_unit(physical, unit, seen, ret_path, error)) {
                return false;
            }
        }
    }
    return true;
}
