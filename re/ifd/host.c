/*
 * host - see host.h.
 */
#include "re/ifd/host.h"

#include <string.h>

#include "firmware/core/log.h"
#include "re/ifd/device.h"

struct kernel_route {
    struct fw_prefix prefix;
    struct fw_addr next_hop;
    int link; /* 0: discard */
};

struct applied {
    char name[IFL_NAME_BYTES + 1];
    unsigned n;
    struct fw_prefix addresses[IFL_ADDRESSES_MAX];
    bool up;
};

struct host {
    struct netlink *netlink;
    struct table *table;
    struct punt *punt;
    GArray *closing;    /* int: descriptors the next map closes */
    GArray *routes;     /* struct kernel_route, as installed */
    GPtrArray *applied; /* struct applied: what the kernel's links have */
    bool prepared;
};

struct host *host_new(struct netlink *netlink, struct table *table)
{
    struct host *h = g_new0(struct host, 1);

    h->netlink = netlink;
    h->table = table;
    h->closing = g_array_new(FALSE, FALSE, sizeof(int));
    h->routes = g_array_new(FALSE, FALSE, sizeof(struct kernel_route));
    h->applied = g_ptr_array_new_with_free_func(g_free);
    return h;
}

void host_free(struct host *h)
{
    if (h) {
        g_array_unref(h->closing);
        g_array_unref(h->routes);
        g_ptr_array_unref(h->applied);
        g_free(h);
    }
}

void host_set_punt(struct host *h, struct punt *punt)
{
    h->punt = punt;
}

static void complain(GError **error, const char *what)
{
    if (*error) {
        fw_warning("%s: %s", what, (*error)->message);
        g_clear_error(error);
    }
}

static struct applied *applied_of(struct host *h, const char *name)
{
    struct applied *a;

    for (unsigned i = 0; i < h->applied->len; i++) {
        a = h->applied->pdata[i];
        if (strcmp(a->name, name) == 0) {
            return a;
        }
    }
    a = g_new0(struct applied, 1);
    g_strlcpy(a->name, name, sizeof a->name);
    g_ptr_array_add(h->applied, a);
    return a;
}

/* Once: nothing in this namespace forwards, and IPv6 is silent where nobody asked for it. */
static void prepare(struct host *h)
{
    g_autoptr(GError) error = NULL;
    int lo = device_index("lo");

    if (h->prepared) {
        return;
    }
    h->prepared = true;
    device_setting("ipv4/ip_forward", "0");
    device_setting("ipv4/conf/all/rp_filter", "0");
    device_setting("ipv4/conf/default/rp_filter", "0");
    device_setting("ipv6/conf/all/forwarding", "0");
    device_setting("ipv6/conf/default/accept_ra", "0");
    device_setting("ipv6/conf/default/autoconf", "0");
    device_setting("ipv6/conf/default/disable_ipv6", "1");
    if (lo != 0) {
        netlink_link_set(h->netlink, lo, true, 0, NULL, &error);
        complain(&error, "lo");
    }
}

void host_leave(struct host *h, struct table_ifl *ifl)
{
    g_autoptr(GError) error = NULL;
    struct applied *a = applied_of(h, ifl->unit.name);

    if (ifl->fd >= 0) {
        netlink_link_delete(h->netlink, ifl->link, &error);
        g_array_append_val(h->closing, ifl->fd);
    } else if (ifl->link != 0) {
        for (unsigned i = 0; i < a->n; i++) {
            netlink_address(h->netlink, ifl->link, &a->addresses[i], false, NULL);
        }
    }
    complain(&error, ifl->unit.name);
    ifl->fd = -1;
    ifl->link = 0;
    g_ptr_array_remove(h->applied, a);
}

static void device_make(struct host *h, struct table_ifl *ifl)
{
    g_autoptr(GError) error = NULL;
    bool tap = ifl->unit.kind == BUS_IFL_KIND_ETHER;
    char path[64];

    if (ifl->unit.kind == BUS_IFL_KIND_LOOPBACK) {
        ifl->link = device_index("lo");
        return;
    }
    ifl->fd = device_open(ifl->unit.device, tap, &ifl->link, &error);
    if (ifl->fd < 0) {
        fw_error("interface %s: %s", ifl->unit.name, error->message);
        ifl->link = 0;
        return;
    }
    if (!ifl->unit.inet6) {
        g_snprintf(path, sizeof path, "ipv6/conf/%s/disable_ipv6", ifl->unit.device);
        device_setting(path, "1");
    }
    netlink_link_quiet(h->netlink, ifl->link, &error);
    complain(&error, ifl->unit.name);
    netlink_link_set(h->netlink, ifl->link, false, ifl->unit.mtu, tap ? ifl->mac : NULL, &error);
    complain(&error, ifl->unit.name);
}

static bool address_in(const struct fw_prefix *list, unsigned n, const struct fw_prefix *wanted)
{
    for (unsigned i = 0; i < n; i++) {
        if (list[i].len == wanted->len && fw_addr_equal(&list[i].addr, &wanted->addr)) {
            return true;
        }
    }
    return false;
}

static void link_agree(struct host *h, struct table_ifl *ifl)
{
    g_autoptr(GError) error = NULL;
    struct applied *a = applied_of(h, ifl->unit.name);
    const struct ifl_unit *unit = &ifl->unit;

    if (ifl->fd >= 0) {
        device_carrier(ifl->fd, ifl->up);
    }
    if (ifl->fd >= 0 && a->up == unit->disabled) {
        a->up = !unit->disabled;
        netlink_link_set(h->netlink, ifl->link, a->up, unit->mtu, NULL, &error);
        complain(&error, unit->name);
    }
    for (unsigned i = 0; i < a->n; i++) {
        if (!address_in(unit->addresses, unit->n_addresses, &a->addresses[i])) {
            netlink_address(h->netlink, ifl->link, &a->addresses[i], false, &error);
            complain(&error, unit->name);
        }
    }
    for (unsigned i = 0; i < unit->n_addresses; i++) {
        if (!address_in(a->addresses, a->n, &unit->addresses[i])) {
            netlink_address(h->netlink, ifl->link, &unit->addresses[i], true, &error);
            complain(&error, unit->name);
        }
    }
    memcpy(a->addresses, unit->addresses, sizeof a->addresses);
    a->n = unit->n_addresses;
}

static bool device_wanted(const struct table_ifl *ifl)
{
    return ifl->present && (ifl->unit.kind != BUS_IFL_KIND_TUNNEL || ifl->unit.n_addresses > 0);
}

/* ------------------------------------------------------------------ routes */

static bool kernel_route_same(const struct kernel_route *a, const struct kernel_route *b)
{
    return a->prefix.len == b->prefix.len && fw_addr_equal(&a->prefix.addr, &b->prefix.addr) &&
           fw_addr_equal(&a->next_hop, &b->next_hop) && a->link == b->link;
}

static bool kernel_route_in(const GArray *list, const struct kernel_route *route)
{
    for (unsigned i = 0; i < list->len; i++) {
        if (kernel_route_same(&g_array_index(list, struct kernel_route, i), route)) {
            return true;
        }
    }
    return false;
}

static GArray *routes_wanted(const struct host *h)
{
    const GArray *routes = table_routes(h->table);
    GArray *wanted = g_array_new(FALSE, FALSE, sizeof(struct kernel_route));

    for (unsigned i = 0; i < routes->len; i++) {
        const struct table_route *route = &g_array_index(routes, struct table_route, i);
        struct kernel_route next = {.prefix = route->prefix, .next_hop = route->next_hop};
        const struct table_ifl *via;

        if (!route->active || route->protocol != TABLE_STATIC) {
            continue;
        }
        via = route->ifl ? table_by_index(h->table, route->ifl) : NULL;
        if (route->ifl != 0 && (!via || via->link == 0)) {
            continue; /* an st0 unit without a device: nothing of the box itself goes there */
        }
        next.link = via ? via->link : 0;
        g_array_append_val(wanted, next);
    }
    return wanted;
}

static void routes_agree(struct host *h)
{
    g_autoptr(GError) error = NULL;
    GArray *wanted = routes_wanted(h);
    GArray *have = g_array_new(FALSE, FALSE, sizeof(struct kernel_route));

    for (unsigned i = 0; i < h->routes->len; i++) {
        const struct kernel_route *route = &g_array_index(h->routes, struct kernel_route, i);

        if (!kernel_route_in(wanted, route)) {
            netlink_route(h->netlink, &route->prefix, &route->next_hop, route->link, false, NULL);
        } else {
            g_array_append_vals(have, route, 1);
        }
    }
    for (unsigned i = 0; i < wanted->len; i++) {
        const struct kernel_route *route = &g_array_index(wanted, struct kernel_route, i);

        if (!kernel_route_in(have, route) &&
            netlink_route(h->netlink, &route->prefix, &route->next_hop, route->link, true,
                          &error)) {
            g_array_append_vals(have, route, 1);
        }
        complain(&error, "static route");
    }
    g_array_unref(wanted);
    g_array_unref(h->routes);
    h->routes = have;
}

/* ------------------------------------------------------------------ lane */

static void map_give(struct host *h)
{
    const GPtrArray *ifls = table_ifls(h->table);
    struct punt_map *map;
    unsigned n = 0;

    if (!h->punt) {
        return;
    }
    map = punt_map_new(ifls->len);
    for (unsigned i = 0; i < ifls->len; i++) {
        const struct table_ifl *ifl = ifls->pdata[i];
        struct punt_device *device = &map->devices[n];

        if (ifl->fd < 0) {
            continue;
        }
        device->fd = ifl->fd;
        device->ifl = ifl->index;
        device->tap = ifl->unit.kind == BUS_IFL_KIND_ETHER;
        device->inet6 = ifl->unit.inet6;
        device->slot = ifl->unit.slot;
        device->pic = ifl->unit.pic;
        device->port = ifl->unit.port;
        memcpy(device->mac, ifl->mac, sizeof device->mac);
        n++;
    }
    map->n_devices = n;
    map->central_point = table_central_point(h->table);
    if (h->closing->len > 0) {
        map->close = h->closing;
        h->closing = g_array_new(FALSE, FALSE, sizeof(int));
    }
    punt_set_map(h->punt, map);
}

void host_update(struct host *h)
{
    const GPtrArray *ifls = table_ifls(h->table);

    prepare(h);
    for (unsigned i = 0; i < ifls->len; i++) {
        struct table_ifl *ifl = ifls->pdata[i];

        if (!device_wanted(ifl)) {
            if (ifl->link != 0) {
                host_leave(h, ifl);
            }
            continue;
        }
        if (ifl->link == 0) {
            device_make(h, ifl);
        }
        if (ifl->link != 0) {
            link_agree(h, ifl);
        }
    }
    routes_agree(h);
    map_give(h);
}
