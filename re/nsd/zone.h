/*
 * zone - security zones as the configuration names them, and what they let in to the box.
 *
 * The one reader of `security zones`: nsd gives zones their ids and checks,
 * ifd computes the host-inbound bits of its interfaces with zone_host_inbound.
 * As on the real box, host-inbound-traffic at the interface replaces that of
 * the zone. Pure; any thread.
 */
#ifndef RE_ZONE_H
#define RE_ZONE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "messages.h" /* generated */
#include "re/conf/conf.h"

#define ZONE_NAME_BYTES 63

struct zone_interface {
    char name[25];         /* xe-1/0/0.0 */
    uint32_t host_inbound; /* in effect here: 1 << enum bus_host_service */
};

struct zone {
    char name[ZONE_NAME_BYTES + 1];
    uint32_t host_inbound;        /* of the zone */
    GArray *interfaces;           /* struct zone_interface */
    const struct conf_node *node; /* valid while the tree is */
};

/* All zones, in configuration order; elements are struct zone. */
GPtrArray *zone_read(const struct conf_node *root);
const struct zone *zone_find(const GPtrArray *zones, const char *name);
/* The zone an interface ("xe-1/0/0.0") is in, or NULL, and the services let in there. */
const struct zone *zone_of_interface(const GPtrArray *zones, const char *ifl,
                                     uint32_t *ret_host_inbound);

/* May `security zones` be so? Interfaces must be configured and in one zone only. */
bool zone_check(const struct conf_node *root, char **ret_path, GError **error);

#endif
