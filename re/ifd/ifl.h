/*
 * ifl - logical interfaces as the configuration names them.
 *
 * One reader of `interfaces` for ifd (which makes them), ikemd (which needs
 * their addresses) and nsd (which puts them into zones). Pure; any thread.
 * Limits: unit 0 of ports (VLANs have an issue of their own), units 0..16385 of
 * st0, unit 0 of lo0, 16 addresses a unit.
 */
#ifndef RE_IFL_H
#define RE_IFL_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "firmware/core/addr.h"
#include "messages.h" /* generated */
#include "re/conf/conf.h"

#define IFL_NAME_BYTES    24
#define IFL_ADDRESSES_MAX 16 /* list limit of ifl-state */
#define IFL_ETHER_MTU     1500
#define IFL_TUNNEL_MTU    9192
#define IFL_UNIT_MAX      16385

struct ifl_unit {
    char name[IFL_NAME_BYTES + 1];     /* xe-1/0/0.0, st0.3, lo0.0 */
    char physical[IFL_NAME_BYTES + 1]; /* xe-1/0/0, st0, lo0 */
    char device[16];                   /* in the RE's kernel: xe-1.0.0, st0.3, lo */
    enum bus_ifl_kind kind;
    uint8_t slot, pic, port;
    uint16_t unit;
    uint16_t mtu;
    bool disabled;
    bool inet, inet6; /* families configured */
    unsigned n_addresses;
    struct fw_prefix addresses[IFL_ADDRESSES_MAX];
};

/* "xe-1/0/0" (also ge-, et-), "st0", "lo0": fills kind and place; false for any other name. */
bool ifl_parse_physical(const char *name, struct ifl_unit *ret);
/* "xe-1/0/0.0"; without a unit, unit 0. */
bool ifl_parse(const char *name, struct ifl_unit *ret);

/* Every unit of the active configuration, in its order. What ifl_check would refuse is left out. */
GPtrArray *ifl_read(const struct conf_node *root);
/* By full name; a name without unit means unit 0. NULL: not configured. */
const struct ifl_unit *ifl_find(const GPtrArray *units, const char *name);
/* May `interfaces` be so? ret_path is set with the error. */
bool ifl_check(const struct conf_node *root, char **ret_path, GError **error);

#endif
