/*
 * table - see table.h.
 */
#include "re/ifd/table.h"

#include <string.h>

#include "firmware/core/error.h"
#include "firmware/core/mac.h"
#include "re/nsd/zone.h"

#define SLOTS             24
#define PREFERENCE_DIRECT 0
#define PREFERENCE_STATIC 5
#define NO_SLOT           0xff

struct static_route {
    struct fw_prefix prefix;
    struct fw_addr next_hop;
    char ifl[IFL_NAME_BYTES + 1]; /* st0.N */
    uint8_t preference;
    bool discard;
};

struct table {
    struct table_out out;
    char *node;
    GPtrArray *ifls;       /* struct table_ifl */
    GArray *statics;       /* struct static_route */
    GArray *routes;        /* struct table_route */
    GHashTable *indices;   /* name -> index, of this and earlier runs */
    GHashTable *stale;     /* index -> name: published by an earlier run, not configured yet */
    GHashTable *published; /* route text -> struct bus_route_state */
    GHashTable *zones;     /* name -> id */
    GHashTable *tunnels;   /* tunnel id -> struct bus_tunnel_interface_state */
    GHashTable *carrier;   /* set of slot << 16 | pic << 8 | port */
    struct bus_fpc_state cards[SLOTS];
    bool configured;
};

struct table *table_new(const char *node, const struct table_out *out)
{
    struct table *t = g_new0(struct table, 1);

    t->out = *out;
    t->node = g_strdup(node);
    t->ifls = g_ptr_array_new_with_free_func(g_free);
    t->statics = g_array_new(FALSE, TRUE, sizeof(struct static_route));
    t->routes = g_array_new(FALSE, TRUE, sizeof(struct table_route));
    t->indices = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    t->stale = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
    t->published = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    t->zones = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    t->carrier = g_hash_table_new(g_direct_hash, g_direct_equal);
    t->tunnels = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
    return t;
}

void table_free(struct table *t)
{
    if (t) {
        g_free(t->node);
        g_ptr_array_unref(t->ifls);
        g_array_unref(t->statics);
        g_array_unref(t->routes);
        g_hash_table_unref(t->indices);
        g_hash_table_unref(t->stale);
        g_hash_table_unref(t->published);
        g_hash_table_unref(t->zones);
        g_hash_table_unref(t->tunnels);
        g_hash_table_unref(t->carrier);
        g_free(t);
    }
}

const GPtrArray *table_ifls(const struct table *t)
{
    return t->ifls;
}

const GArray *table_routes(const struct table *t)
{
    return t->routes;
}

struct table_ifl *table_by_index(const struct table *t, uint16_t ifl)
{
    for (unsigned i = 0; i < t->ifls->len; i++) {
        struct table_ifl *entry = t->ifls->pdata[i];

        if (entry->index == ifl) {
            return entry;
        }
    }
    return NULL;
}

struct table_ifl *table_by_link(const struct table *t, int link)
{
    for (unsigned i = 0; i < t->ifls->len; i++) {
        struct table_ifl *entry = t->ifls->pdata[i];

        if (entry->link == link && link != 0) {
            return entry;
        }
    }
    return NULL;
}

static struct table_ifl *ifl_by_name(const struct table *t, const char *name)
{
    for (unsigned i = 0; i < t->ifls->len; i++) {
        struct table_ifl *entry = t->ifls->pdata[i];

        if (strcmp(entry->unit.name, name) == 0) {
            return entry;
        }
    }
    return NULL;
}

uint8_t table_central_point(const struct table *t)
{
    for (uint8_t slot = 0; slot < SLOTS; slot++) {
        if (t->cards[slot].central_point && t->cards[slot].online) {
            return slot;
        }
    }
    return NO_SLOT;
}

/* ------------------------------------------------------------------ what an earlier run left */

void table_restore(struct table *t, const struct bus_ifl_state *state)
{
    if (t->configured) {
        return;
    }
    if (state->gone) {
        g_hash_table_remove(t->stale, GUINT_TO_POINTER(state->ifl));
        return;
    }
    g_hash_table_replace(t->indices, g_strdup(state->name), GUINT_TO_POINTER(state->ifl));
    g_hash_table_replace(t->stale, GUINT_TO_POINTER(state->ifl), g_strdup(state->name));
}

void table_restore_route(struct table *t, const struct bus_route_state *state)
{
    char text[FW_ADDR_TEXT];

    if (!t->configured && !state->gone) {
        fw_prefix_text(&state->prefix, text);
        g_hash_table_replace(t->published, g_strdup(text), g_memdup2(state, sizeof *state));
    }
}

/* ------------------------------------------------------------------ configuration */

/* One `route P` entry; false with why it cannot be. */
static bool static_read(const struct conf_node *node, const GPtrArray *units,
                        struct static_route *ret, const char **ret_why)
{
    const struct conf_node *hop = conf_child(node, "next-hop");
    uint64_t preference = conf_u64(node, "preference", PREFERENCE_STATIC);
    const struct ifl_unit *unit;
    bool discard = conf_has(node, "discard");
    struct fw_prefix network;

    memset(ret, 0, sizeof *ret);
    *ret_why = "the destination is no prefix";
    if (!node->value || !fw_prefix_parse(node->value, &ret->prefix)) {
        return false;
    }
    *ret_why = "the destination has host bits set";
    network = fw_prefix_network(&ret->prefix);
    if (!fw_addr_equal(&ret->prefix.addr, &network.addr)) {
        return false;
    }
    ret->preference = (uint8_t)MIN(preference, 255);
    *ret_why = "a next hop is required; permitted: next-hop ADDRESS, next-hop st0.UNIT, discard";
    if ((hop != NULL) == discard) {
        return false;
    }
    if (discard) {
        ret->discard = true;
        return true;
    }
    *ret_why = "several next hops do not exist here yet; give one";
    if (conf_next(hop)) {
        return false;
    }
    *ret_why = "the next hop is of another family than the destination";
    if (fw_addr_parse(hop->value, &ret->next_hop)) {
        return ret->next_hop.family == ret->prefix.addr.family;
    }
    *ret_why = "the next hop is neither an address nor a configured unit of st0";
    unit = ifl_find(units, hop->value);
    if (!unit || unit->kind != BUS_IFL_KIND_TUNNEL) {
        return false;
    }
    g_strlcpy(ret->ifl, unit->name, sizeof ret->ifl);
    return true;
}

bool table_check(const struct conf_node *root, char **ret_path, GError **error)
{
    g_autoptr(GPtrArray) units = ifl_read(root);
    const struct conf_node *list = conf_find(root, "routing-options static");

    if (!ifl_check(root, ret_path, error)) {
        return false;
    }
    conf_each (node, list, "route") {
        struct static_route route;
        const char *why;

        if (!static_read(node, units, &route, &why)) {
            *ret_path = conf_path(node);
            return fw_fail(error, FW_ERROR_INVALID, "static route %s: %s",
                           node->value ? node->value : "", why);
        }
    }
    return true;
}

static uint16_t index_of(struct table *t, const char *name)
{
    gpointer known = g_hash_table_lookup(t->indices, name);
    uint16_t index = 1;

    if (known) {
        return (uint16_t)GPOINTER_TO_UINT(known);
    }
    for (;; index++) {
        GHashTableIter iter;
        gpointer value;
        bool taken = false;

        g_hash_table_iter_init(&iter, t->indices);
        while (!taken && g_hash_table_iter_next(&iter, NULL, &value)) {
            taken = GPOINTER_TO_UINT(value) == index;
        }
        if (!taken) {
            break;
        }
    }
    g_hash_table_insert(t->indices, g_strdup(name), GUINT_TO_POINTER(index));
    return index;
}

static void ifl_gone(struct table *t, uint16_t index, const char *name, enum bus_ifl_kind kind)
{
    struct bus_ifl_state state = {.ifl = index, .kind = kind, .gone = true};

    g_strlcpy(state.name, name, sizeof state.name);
    t->out.ifl(&state, t->out.data);
}

static void ifls_configure(struct table *t, const struct conf_node *root)
{
    g_autoptr(GPtrArray) units = ifl_read(root);
    g_autoptr(GPtrArray) zones = zone_read(root);
    GPtrArray *next = g_ptr_array_new_with_free_func(g_free);

    for (unsigned i = 0; i < units->len; i++) {
        const struct ifl_unit *unit = units->pdata[i];
        struct table_ifl *entry = ifl_by_name(t, unit->name);
        const struct zone *zone;

        if (entry) {
            g_ptr_array_remove(t->ifls, entry); /* the free function is taken off below */
        } else {
            entry = g_new0(struct table_ifl, 1);
            entry->index = index_of(t, unit->name);
            entry->fd = -1;
        }
        entry->unit = *unit;
        if (unit->kind == BUS_IFL_KIND_ETHER) {
            fw_mac_port(t->node, unit->slot, unit->pic, unit->port, entry->mac);
        }
        zone = zone_of_interface(zones, unit->name, &entry->host_inbound);
        g_strlcpy(entry->zone, zone ? zone->name : "", sizeof entry->zone);
        g_hash_table_remove(t->stale, GUINT_TO_POINTER(entry->index));
        g_ptr_array_add(next, entry);
    }
    for (unsigned i = 0; i < t->ifls->len; i++) {
        struct table_ifl *entry = t->ifls->pdata[i];

        if (entry->is_told) {
            ifl_gone(t, entry->index, entry->unit.name, entry->unit.kind);
        }
        t->out.leave(entry, t->out.data);
        g_hash_table_remove(t->indices, entry->unit.name);
        g_free(entry);
    }
    g_ptr_array_unref(t->ifls);
    t->ifls = next;
}

static void statics_configure(struct table *t, const struct conf_node *root)
{
    g_autoptr(GPtrArray) units = ifl_read(root);
    const struct conf_node *list = conf_find(root, "routing-options static");

    g_array_set_size(t->statics, 0);
    conf_each (node, list, "route") {
        struct static_route route;
        const char *why;

        if (static_read(node, units, &route, &why)) {
            g_array_append_val(t->statics, route);
        }
    }
}

void table_configure(struct table *t, const struct conf_node *root)
{
    GHashTableIter iter;
    gpointer index, name;

    g_ptr_array_set_free_func(t->ifls, NULL);
    ifls_configure(t, root);
    statics_configure(t, root);
    if (!t->configured) {
        g_hash_table_iter_init(&iter, t->stale);
        while (g_hash_table_iter_next(&iter, &index, &name)) {
            struct ifl_unit unit;

            ifl_gone(t, (uint16_t)GPOINTER_TO_UINT(index), name,
                     ifl_parse(name, &unit) ? unit.kind : BUS_IFL_KIND_ETHER);
            g_hash_table_remove(t->indices, name);
        }
        g_hash_table_remove_all(t->stale);
        t->configured = true;
    }
}

/* ------------------------------------------------------------------ the world */

void table_card(struct table *t, const struct bus_fpc_state *state)
{
    if (state->slot < SLOTS) {
        t->cards[state->slot] = *state;
    }
}

static gpointer port_key(uint8_t slot, uint8_t pic, uint8_t port)
{
    return GUINT_TO_POINTER((guint)slot << 16 | (guint)pic << 8 | port | 1u << 24);
}

void table_port(struct table *t, const struct bus_port_state *state)
{
    gpointer key = port_key(state->slot, state->pic, state->port);

    if (state->up && !state->gone) {
        g_hash_table_add(t->carrier, key);
    } else {
        g_hash_table_remove(t->carrier, key);
    }
}

void table_zone(struct table *t, const struct bus_zone_state *state)
{
    GHashTableIter iter;
    gpointer id;

    /* The id is the key: a zone of that id under another name is no more. */
    g_hash_table_iter_init(&iter, t->zones);
    while (g_hash_table_iter_next(&iter, NULL, &id)) {
        if (GPOINTER_TO_UINT(id) == state->zone) {
            g_hash_table_iter_remove(&iter);
        }
    }
    if (!state->gone) {
        g_hash_table_replace(t->zones, g_strdup(state->name), GUINT_TO_POINTER(state->zone));
    }
}

void table_tunnel(struct table *t, const struct bus_tunnel_interface_state *state)
{
    if (state->gone) {
        g_hash_table_remove(t->tunnels, GUINT_TO_POINTER(state->tunnel));
    } else {
        g_hash_table_replace(t->tunnels, GUINT_TO_POINTER(state->tunnel),
                             g_memdup2(state, sizeof *state));
    }
}

static bool tunnel_up(const struct table *t, uint16_t ifl)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, t->tunnels);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct bus_tunnel_interface_state *state = value;

        if (state->ifl == ifl && state->up) {
            return true;
        }
    }
    return false;
}

/* ------------------------------------------------------------------ telling */

static void ifl_look(const struct table *t, struct table_ifl *entry)
{
    const struct bus_fpc_state *card;

    entry->present = true;
    switch (entry->unit.kind) {
    case BUS_IFL_KIND_ETHER:
        card = &t->cards[MIN(entry->unit.slot, SLOTS - 1)];
        entry->present = !card->gone && card->kind == BUS_BOARD_KIND_IOC;
        entry->up = entry->present && card->online &&
                    g_hash_table_contains(
                        t->carrier, port_key(entry->unit.slot, entry->unit.pic, entry->unit.port));
        break;
    case BUS_IFL_KIND_TUNNEL:
        entry->up = tunnel_up(t, entry->index);
        break;
    case BUS_IFL_KIND_LOOPBACK:
        entry->up = true;
        break;
    }
    entry->up = entry->up && !entry->unit.disabled;
}

static void ifl_tell(struct table *t, struct table_ifl *entry)
{
    struct bus_ifl_state state;

    memset(&state, 0, sizeof state); /* padding too: compared as bytes */
    state.ifl = entry->index;
    g_strlcpy(state.name, entry->unit.name, sizeof state.name);
    state.kind = entry->unit.kind;
    state.slot = entry->unit.slot;
    state.pic = entry->unit.pic;
    state.port = entry->unit.port;
    memcpy(state.mac, entry->mac, sizeof state.mac);
    state.mtu = entry->unit.mtu;
    state.up = entry->up;
    state.zone = (uint16_t)GPOINTER_TO_UINT(g_hash_table_lookup(t->zones, entry->zone));
    state.host_inbound = entry->host_inbound;
    for (unsigned i = 0; i < entry->unit.n_addresses; i++) {
        state.addresses[state.n_addresses++].prefix = entry->unit.addresses[i];
    }
    if (!entry->is_told || memcmp(&state, &entry->told, sizeof state) != 0) {
        entry->told = state;
        entry->is_told = true;
        t->out.ifl(&state, t->out.data);
    }
}

/* Packets may be sent that way: for st0 also without an SA, its traffic asks for one. */
static bool ifl_usable(const struct table_ifl *entry)
{
    return entry->unit.kind == BUS_IFL_KIND_TUNNEL ? !entry->unit.disabled : entry->up;
}

static void route_add(GArray *routes, const struct fw_prefix *prefix, enum table_protocol protocol,
                      uint8_t preference, const struct fw_addr *next_hop, uint16_t ifl,
                      bool resolved)
{
    struct table_route route = {.prefix = *prefix,
                                .protocol = protocol,
                                .preference = preference,
                                .ifl = ifl,
                                .resolved = resolved};

    if (next_hop) {
        route.next_hop = *next_hop;
    }
    g_array_append_val(routes, route);
}

static void routes_direct(const struct table *t, GArray *routes)
{
    for (unsigned i = 0; i < t->ifls->len; i++) {
        const struct table_ifl *entry = t->ifls->pdata[i];

        for (unsigned j = 0; j < entry->unit.n_addresses && ifl_usable(entry); j++) {
            const struct fw_prefix *address = &entry->unit.addresses[j];
            struct fw_prefix network = fw_prefix_network(address);
            struct fw_prefix own = {address->addr, (uint8_t)(fw_addr_size(&address->addr) * 8)};

            route_add(routes, &network, TABLE_DIRECT, PREFERENCE_DIRECT, NULL, entry->index, true);
            if (network.len != own.len) {
                route_add(routes, &own, TABLE_LOCAL, PREFERENCE_DIRECT, NULL, entry->index, true);
            }
        }
    }
}

/* The interface whose network holds the next hop; the longest wins. */
static const struct table_ifl *hop_resolve(const struct table *t, const struct fw_addr *hop)
{
    const struct table_ifl *best = NULL;
    int best_len = -1;

    for (unsigned i = 0; i < t->ifls->len; i++) {
        const struct table_ifl *entry = t->ifls->pdata[i];

        for (unsigned j = 0; j < entry->unit.n_addresses && ifl_usable(entry); j++) {
            const struct fw_prefix *address = &entry->unit.addresses[j];

            if (address->len > best_len && fw_prefix_contains(address, hop)) {
                best = entry;
                best_len = address->len;
            }
        }
    }
    return best;
}

static void routes_static(const struct table *t, GArray *routes)
{
    for (unsigned i = 0; i < t->statics->len; i++) {
        const struct static_route *route = &g_array_index(t->statics, struct static_route, i);
        const struct table_ifl *via = NULL;

        if (!route->discard) {
            via = route->ifl[0] ? ifl_by_name(t, route->ifl) : hop_resolve(t, &route->next_hop);
            if (via && !ifl_usable(via)) {
                via = NULL;
            }
        }
        route_add(routes, &route->prefix, TABLE_STATIC, route->preference, &route->next_hop,
                  via ? via->index : 0, via || route->discard);
    }
}

static bool route_same(const struct table_route *a, const struct table_route *b)
{
    return a->protocol == b->protocol && a->ifl == b->ifl && a->resolved == b->resolved &&
           fw_addr_equal(&a->next_hop, &b->next_hop) && a->prefix.len == b->prefix.len &&
           fw_addr_equal(&a->prefix.addr, &b->prefix.addr);
}

/* Best of each prefix, ages kept from the routes of before. */
static void routes_choose(GArray *routes, const GArray *before, int64_t now_ns)
{
    for (unsigned i = 0; i < routes->len; i++) {
        struct table_route *route = &g_array_index(routes, struct table_route, i);

        route->active = route->resolved;
        for (unsigned j = 0; j < routes->len && route->active; j++) {
            const struct table_route *other = &g_array_index(routes, struct table_route, j);

            if (j != i && other->resolved && other->prefix.len == route->prefix.len &&
                fw_addr_equal(&other->prefix.addr, &route->prefix.addr) &&
                (other->preference < route->preference ||
                 (other->preference == route->preference && j < i))) {
                route->active = false;
            }
        }
        route->since_ns = now_ns;
        for (unsigned j = 0; j < before->len; j++) {
            const struct table_route *old = &g_array_index(before, struct table_route, j);

            if (route_same(route, old)) {
                route->since_ns = old->since_ns;
            }
        }
    }
}

static void routes_tell(struct table *t)
{
    GHashTable *next = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    GHashTableIter iter;
    gpointer key, value;

    for (unsigned i = 0; i < t->routes->len; i++) {
        const struct table_route *route = &g_array_index(t->routes, struct table_route, i);
        const struct bus_route_state *old;
        struct bus_route_state state;
        char text[FW_ADDR_TEXT];

        if (!route->active) {
            continue;
        }
        memset(&state, 0, sizeof state); /* padding too: compared as bytes */
        state.prefix.addr = route->prefix.addr;
        state.prefix.len = route->prefix.len;
        state.next_hop = route->next_hop;
        state.ifl = route->ifl;
        old = g_hash_table_lookup(t->published, fw_prefix_text(&state.prefix, text));
        if (!old || memcmp(old, &state, sizeof state) != 0) {
            t->out.route(&state, t->out.data);
        }
        g_hash_table_remove(t->published, text);
        g_hash_table_replace(next, g_strdup(text), g_memdup2(&state, sizeof state));
    }
    g_hash_table_iter_init(&iter, t->published);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        struct bus_route_state *state = value;

        state->gone = true;
        t->out.route(state, t->out.data);
    }
    g_hash_table_unref(t->published);
    t->published = next;
}

void table_update(struct table *t, int64_t now_ns)
{
    GArray *before = t->routes;

    if (!t->configured) {
        return;
    }
    for (unsigned i = 0; i < t->ifls->len; i++) {
        ifl_look(t, t->ifls->pdata[i]);
        ifl_tell(t, t->ifls->pdata[i]);
    }
    t->routes = g_array_new(FALSE, TRUE, sizeof(struct table_route));
    routes_direct(t, t->routes);
    routes_static(t, t->routes);
    routes_choose(t->routes, before, now_ns);
    g_array_unref(before);
    routes_tell(t);
}
