/*
 * zone - see zone.h.
 */
#include "re/nsd/zone.h"

#include <string.h>

#include "firmware/core/error.h"
#include "re/ifd/ifl.h"

#define SERVICES_ALL (((uint32_t)1 << BUS_HOST_SERVICE_COUNT) - 1)

/* system-services whose names differ from the bits' names, or that mean several. */
static uint32_t service_bits(const char *name)
{
    if (strcmp(name, "all") == 0 || strcmp(name, "any-service") == 0) {
        return SERVICES_ALL;
    }
    for (unsigned i = 0; i < BUS_HOST_SERVICE_COUNT; i++) {
        if (i != BUS_HOST_SERVICE_OTHER && strcmp(name, bus_host_service_names[i]) == 0) {
            return (uint32_t)1 << i;
        }
    }
    return 0;
}

/* The two lists of one host-inbound-traffic; `except` takes away from `all`. */
static uint32_t inbound_read(const struct conf_node *inbound)
{
    uint32_t with = 0, without = 0;

    conf_each (service, inbound, "system-services") {
        if (service->value) {
            *(conf_has(service, "except") ? &without : &with) |= service_bits(service->value);
        }
    }
    conf_each (protocol, inbound, "protocols") {
        if (protocol->value && strcmp(protocol->value, "all") == 0) {
            with |= (uint32_t)1 << BUS_HOST_SERVICE_OTHER;
        }
    }
    return with & ~without;
}

static void zone_free(gpointer data)
{
    struct zone *zone = data;

    g_array_unref(zone->interfaces);
    g_free(zone);
}

static struct zone *zone_read_one(const struct conf_node *node)
{
    struct zone *zone = g_new0(struct zone, 1);
    const struct conf_node *inbound = conf_child(node, "host-inbound-traffic");

    g_strlcpy(zone->name, node->value ? node->value : "", sizeof zone->name);
    zone->node = node;
    zone->interfaces = g_array_new(FALSE, TRUE, sizeof(struct zone_interface));
    zone->host_inbound = inbound_read(inbound);
    conf_each (member, node, "interfaces") {
        struct zone_interface entry = {.host_inbound = zone->host_inbound};
        const struct conf_node *own = conf_child(member, "host-inbound-traffic");
        struct ifl_unit unit;

        if (!member->value || !ifl_parse(member->value, &unit)) {
            continue;
        }
        g_strlcpy(entry.name, unit.name, sizeof entry.name);
        if (own) {
            entry.host_inbound = inbound_read(own);
        }
        g_array_append_val(zone->interfaces, entry);
    }
    return zone;
}

GPtrArray *zone_read(const struct conf_node *root)
{
    GPtrArray *zones = g_ptr_array_new_with_free_func(zone_free);
    const struct conf_node *all = conf_find(root, "security zones");

    conf_each (node, all, "security-zone") {
        g_ptr_array_add(zones, zone_read_one(node));
    }
    return zones;
}

const struct zone *zone_find(const GPtrArray *zones, const char *name)
{
    for (unsigned i = 0; i < zones->len; i++) {
        const struct zone *zone = zones->pdata[i];

        if (strcmp(zone->name, name) == 0) {
            return zone;
        }
    }
    return NULL;
}

const struct zone *zone_of_interface(const GPtrArray *zones, const char *ifl,
                                     uint32_t *ret_host_inbound)
{
    for (unsigned i = 0; i < zones->len; i++) {
        const struct zone *zone = zones->pdata[i];

        for (unsigned j = 0; j < zone->interfaces->len; j++) {
            const struct zone_interface *entry =
                &g_array_index(zone->interfaces, struct zone_interface, j);

            if (strcmp(entry->name, ifl) == 0) {
                *ret_host_inbound = entry->host_inbound;
                return zone;
            }
        }
    }
    *ret_host_inbound = 0;
    return NULL;
}

bool zone_check(const struct conf_node *root, char **ret_path, GError **error)
{
    g_autoptr(GPtrArray) units = ifl_read(root);
    g_autoptr(GHashTable) owner = g_hash_table_new(g_str_hash, g_str_equal);
    const struct conf_node *all = conf_find(root, "security zones");

    conf_each (node, all, "security-zone") {
        if (!node->value || strlen(node->value) > ZONE_NAME_BYTES) {
            *ret_path = conf_path(node);
            return fw_fail(error, FW_ERROR_INVALID,
                           "zone %s: a zone name has at most %u characters",
                           node->value ? node->value : "", ZONE_NAME_BYTES);
        }
        if (strcmp(node->value, "junos-host") == 0) {
            *ret_path = conf_path(node);
            return fw_fail(error, FW_ERROR_INVALID,
                           "zone junos-host: the name is reserved for the box itself");
        }
        conf_each (member, node, "interfaces") {
            const struct ifl_unit *unit = member->value ? ifl_find(units, member->value) : NULL;
            const char *other;

            if (!unit) {
                *ret_path = conf_path(member);
                return fw_fail(error, FW_ERROR_INVALID,
                               "zone %s: interface %s is not configured; add it under interfaces",
                               node->value, member->value ? member->value : "");
            }
            other = g_hash_table_lookup(owner, unit->name);
            if (other) {
                *ret_path = conf_path(member);
                return fw_fail(error, FW_ERROR_INVALID,
                               "zone %s: interface %s is already in zone %s", node->value,
                               unit->name, other);
            }
            g_hash_table_insert(owner, (gpointer)unit->name, node->value);
        }
    }
    return true;
}
