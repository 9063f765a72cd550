/*
 * vpn - `security ike` and `security ipsec` as messages for iked.
 *
 * vpn_check says whether a configuration may be, with the statement at fault
 * and what would be permitted; vpn_read makes the calls that ikemd sends to
 * iked, complete but for what only ikemd knows at run time (tunnel id, st0 index,
 * anchor). What exists on the real box and not yet here is refused by name.
 * Pure; any single thread. Follows: srx5000 reference, sections F.1, F.2, I.1.
 */
#ifndef RE_VPN_H
#define RE_VPN_H

#include <glib.h>
#include <stdbool.h>

#include "messages.h" /* generated */
#include "re/conf/conf.h"

struct vpn_config {
    GPtrArray *gateways; /* struct bus_ike_gateway, wiped when freed */
    GPtrArray *tunnels;  /* struct bus_ike_tunnel; tunnel, ifl, anchor are 0 */
};

bool vpn_check(const struct conf_node *root, char **ret_path, GError **error);
/* Of a configuration that vpn_check accepts; what it would refuse is left out. */
struct vpn_config *vpn_read(const struct conf_node *root);
void vpn_free(struct vpn_config *config);
const struct bus_ike_gateway *vpn_gateway(const struct vpn_config *config, const char *name);
const struct bus_ike_tunnel *vpn_tunnel(const struct vpn_config *config, const char *name);

/* The two halves, each fills one message; false with the statement at fault (vpn-gateway.c,
 * vpn-tunnel.c). */
bool vpn_gateway_read(const struct conf_node *root, const struct conf_node *gateway,
                      const GPtrArray *units, struct bus_ike_gateway *ret, char **ret_path,
                      GError **error);
bool vpn_tunnel_read(const struct conf_node *root, const struct conf_node *vpn,
                     const GPtrArray *units, struct bus_ike_tunnel *ret, char **ret_path,
                     GError **error);
/* One proposal each. */
bool vpn_ike_proposal_read(const struct conf_node *proposal, struct bus_ike_proposal *ret,
                           char **ret_path, GError **error);
bool vpn_esp_proposal_read(const struct conf_node *proposal, struct bus_esp_proposal *ret,
                           char **ret_path, GError **error);

/* Refuse `node`, at its child `statement` when not NULL; always false. */
bool vpn_refuse(const struct conf_node *node, const char *statement, char **ret_path,
                GError **error, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The list entry that a reference names, else NULL with the error set. */
const struct conf_node *vpn_reference(const struct conf_node *root, const struct conf_node *node,
                                      const char *statement, const char *list_path,
                                      const char *list, char **ret_path, GError **error);
/* Refuses the first of the NULL-terminated statements that node has. */
bool vpn_absent(const struct conf_node *node, const char *const *statements, char **ret_path,
                GError **error);

#endif
