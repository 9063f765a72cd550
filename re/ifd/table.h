/*
 * table - interfaces and routes: what is configured, and what of it holds now.
 *
 * In: configuration, cards (fpc-state), carrier (port-state), zones
 * (zone-state), tunnels (tunnel-interface-state). Out, from table_update: ifl-state and
 * route-state, only what changed, with `gone` for what is no more. An index once given to a name
 * stays its own; retained ifl-states of an earlier run (table_restore) bring theirs back. Pure; any
 * single thread.
 */
#ifndef RE_TABLE_H
#define RE_TABLE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "messages.h" /* generated */
#include "re/conf/conf.h"
#include "re/ifd/ifl.h"

struct table_ifl {
    struct ifl_unit unit;
    uint16_t index;
    uint8_t mac[6];
    uint32_t host_inbound;
    char zone[64]; /* name, empty: none */
    bool present;  /* its hardware is there */
    bool up;
    bool is_told;
    struct bus_ifl_state told;
    int fd, link; /* the owner's: device and its kernel index; -1, 0 */
};

enum table_protocol { TABLE_DIRECT, TABLE_LOCAL, TABLE_STATIC };

struct table_route {
    struct fw_prefix prefix;
    struct fw_addr next_hop; /* none: directly attached */
    uint16_t ifl;            /* 0: discard */
    enum table_protocol protocol;
    uint8_t preference;
    bool active; /* resolved and the best of its prefix */
    bool resolved;
    int64_t since_ns;
};

struct table_out {
    void (*ifl)(const struct bus_ifl_state *state, void *data);
    void (*route)(const struct bus_route_state *state, void *data);
    /* The interface leaves the configuration: close its device. */
    void (*leave)(struct table_ifl *ifl, void *data);
    void *data;
};

struct table;

struct table *table_new(const char *node, const struct table_out *out);
void table_free(struct table *table);
/* Retained events of an earlier run; before the first table_configure. */
void table_restore(struct table *table, const struct bus_ifl_state *state);
void table_restore_route(struct table *table, const struct bus_route_state *state);

/* May `interfaces` and `routing-options` be so? */
bool table_check(const struct conf_node *root, char **ret_path, GError **error);
void table_configure(struct table *table, const struct conf_node *root);
void table_card(struct table *table, const struct bus_fpc_state *state);
void table_port(struct table *table, const struct bus_port_state *state);
void table_zone(struct table *table, const struct bus_zone_state *state);
void table_tunnel(struct table *table, const struct bus_tunnel_interface_state *state);
/* Publishes what changed; nothing before the first table_configure. */
void table_update(struct table *table, int64_t now_ns);

/* FPC slot with the central point, or 0xff. */
uint8_t table_central_point(const struct table *table);
/* In order of configuration; elements struct table_ifl. */
const GPtrArray *table_ifls(const struct table *table);
/* Elements struct table_route, as computed by the last table_update. */
const GArray *table_routes(const struct table *table);
struct table_ifl *table_by_index(const struct table *table, uint16_t ifl);
struct table_ifl *table_by_link(const struct table *table, int link);

#endif
