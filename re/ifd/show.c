/*
 * show - see show.h.
 */
#include "re/ifd/show.h"

#include <string.h>

#include "firmware/core/clock.h"

static const char *const protocol_names[] = {
    [TABLE_DIRECT] = "Direct", [TABLE_LOCAL] = "Local", [TABLE_STATIC] = "Static"};

static const char *up_down(bool up)
{
    return up ? "up" : "down";
}

static void families(struct re_xml *xml, const struct ifl_unit *unit)
{
    static const struct {
        enum fw_family family;
        const char *name;
    } kinds[] = {{FW_FAMILY_V4, "inet"}, {FW_FAMILY_V6, "inet6"}};
    char text[FW_ADDR_TEXT];

    for (unsigned k = 0; k < G_N_ELEMENTS(kinds); k++) {
        if (!(kinds[k].family == FW_FAMILY_V4 ? unit->inet : unit->inet6)) {
            continue;
        }
        re_xml_open(xml, "address-family");
        re_xml_leaf(xml, "address-family-name", "%s", kinds[k].name);
        for (unsigned i = 0; i < unit->n_addresses; i++) {
            if (unit->addresses[i].addr.family == kinds[k].family) {
                re_xml_open(xml, "interface-address");
                re_xml_leaf(xml, "ifa-local", "%s", fw_prefix_text(&unit->addresses[i], text));
                re_xml_close(xml);
            }
        }
        re_xml_close(xml);
    }
}

static void logical(struct re_xml *xml, const struct table_ifl *ifl)
{
    re_xml_open(xml, "logical-interface");
    re_xml_leaf(xml, "name", "%s", ifl->unit.name);
    re_xml_leaf(xml, "admin-status", "%s", up_down(!ifl->unit.disabled));
    re_xml_leaf(xml, "oper-status", "%s", up_down(ifl->up));
    families(xml, &ifl->unit);
    re_xml_close(xml);
}

static bool wanted(const struct table_ifl *ifl, const char *only)
{
    return ifl->present &&
           (!only || strcmp(only, ifl->unit.name) == 0 || strcmp(only, ifl->unit.physical) == 0);
}

void show_interfaces(struct re_xml *xml, const struct table *table, const char *only)
{
    const GPtrArray *ifls = table_ifls(table);

    re_xml_open(xml, "interface-information");
    re_xml_attribute(xml, "style", "terse");
    for (unsigned i = 0; i < ifls->len; i++) {
        const struct table_ifl *first = ifls->pdata[i];
        bool up = false, seen = false;

        for (unsigned j = 0; j < ifls->len; j++) {
            const struct table_ifl *other = ifls->pdata[j];

            if (strcmp(other->unit.physical, first->unit.physical) == 0) {
                seen = seen || (j < i && wanted(other, only));
                up = up || other->up;
            }
        }
        if (seen || !wanted(first, only)) {
            continue;
        }
        re_xml_open(xml, "physical-interface");
        re_xml_leaf(xml, "name", "%s", first->unit.physical);
        re_xml_leaf(xml, "admin-status", "%s", up_down(!first->unit.disabled));
        re_xml_leaf(xml, "oper-status", "%s", up_down(up));
        for (unsigned j = i; j < ifls->len; j++) {
            const struct table_ifl *other = ifls->pdata[j];

            if (strcmp(other->unit.physical, first->unit.physical) == 0 && wanted(other, only)) {
                logical(xml, other);
            }
        }
        re_xml_close(xml);
    }
    re_xml_close(xml);
}

/* 00:01:02, 1d 02:03:04, 1w2d 03:04:05 */
static char *age_text(int64_t age_ns)
{
    uint64_t s = age_ns > 0 ? (uint64_t)(age_ns / FW_SEC) : 0;
    uint64_t days = s / 86400;
    g_autofree char *clock = g_strdup_printf("%02u:%02u:%02u", (unsigned)(s / 3600 % 24),
                                             (unsigned)(s / 60 % 60), (unsigned)(s % 60));

    if (days >= 7) {
        return g_strdup_printf("%uw%ud %s", (unsigned)(days / 7), (unsigned)(days % 7), clock);
    }
    return days > 0 ? g_strdup_printf("%ud %s", (unsigned)days, clock) : g_steal_pointer(&clock);
}

static void route_entry(struct re_xml *xml, const struct table *table,
                        const struct table_route *route, int64_t now_ns)
{
    const struct table_ifl *via = route->ifl ? table_by_index(table, route->ifl) : NULL;
    g_autofree char *age = age_text(now_ns - route->since_ns);
    char text[FW_ADDR_TEXT];

    re_xml_open(xml, "rt-entry");
    if (route->active) {
        re_xml_leaf(xml, "active-tag", "*");
        re_xml_flag(xml, "current-active");
    }
    re_xml_leaf(xml, "protocol-name", "%s", protocol_names[route->protocol]);
    re_xml_leaf(xml, "preference", "%u", route->preference);
    re_xml_leaf(xml, "age", "%s", age);
    if (route->ifl == 0) {
        re_xml_leaf(xml, "nh-type", "Discard");
    } else if (route->protocol == TABLE_LOCAL) {
        re_xml_leaf(xml, "nh-type", "Local");
        re_xml_open(xml, "nh");
        re_xml_leaf(xml, "nh-local-interface", "%s", via ? via->unit.name : "");
        re_xml_close(xml);
    } else {
        re_xml_open(xml, "nh");
        re_xml_flag(xml, "selected-next-hop");
        if (route->next_hop.family != FW_FAMILY_NONE) {
            re_xml_leaf(xml, "to", "%s", fw_addr_text(&route->next_hop, text));
        }
        re_xml_leaf(xml, "via", "%s", via ? via->unit.name : "");
        re_xml_close(xml);
    }
    re_xml_close(xml);
}

static int prefix_order(gconstpointer a, gconstpointer b)
{
    const struct table_route *x = *(struct table_route *const *)a;
    const struct table_route *y = *(struct table_route *const *)b;
    int order = memcmp(x->prefix.addr.bytes, y->prefix.addr.bytes, sizeof x->prefix.addr.bytes);

    if (order == 0) {
        order = (int)x->prefix.len - (int)y->prefix.len;
    }
    return order != 0 ? order : (int)x->preference - (int)y->preference;
}

static bool prefix_same(const struct table_route *a, const struct table_route *b)
{
    return a->prefix.len == b->prefix.len && fw_addr_equal(&a->prefix.addr, &b->prefix.addr);
}

static void route_table(struct re_xml *xml, const struct table *table, enum fw_family family,
                        const char *name, int64_t now_ns)
{
    const GArray *routes = table_routes(table);
    g_autoptr(GPtrArray) list = g_ptr_array_new();
    unsigned destinations = 0, total = 0, active = 0, hidden = 0;
    const struct table_route *before = NULL;

    for (unsigned i = 0; i < routes->len; i++) {
        struct table_route *route = &g_array_index(routes, struct table_route, i);

        if (route->prefix.addr.family == family) {
            total++;
            active += route->active;
            hidden += !route->resolved;
            if (route->resolved) {
                g_ptr_array_add(list, route);
            }
        }
    }
    if (total == 0) {
        return;
    }
    g_ptr_array_sort(list, prefix_order);
    for (unsigned i = 0; i < list->len; i++) {
        destinations += i == 0 || !prefix_same(list->pdata[i], list->pdata[i - 1]);
    }
    re_xml_open(xml, "route-table");
    re_xml_leaf(xml, "table-name", "%s", name);
    re_xml_leaf(xml, "destination-count", "%u", destinations + hidden);
    re_xml_leaf(xml, "total-route-count", "%u", total);
    re_xml_leaf(xml, "active-route-count", "%u", active);
    re_xml_leaf(xml, "holddown-route-count", "0");
    re_xml_leaf(xml, "hidden-route-count", "%u", hidden);
    for (unsigned i = 0; i < list->len; i++) {
        const struct table_route *route = list->pdata[i];
        char text[FW_ADDR_TEXT];

        if (!before || !prefix_same(route, before)) {
            if (before) {
                re_xml_close(xml);
            }
            re_xml_open(xml, "rt");
            re_xml_leaf(xml, "rt-destination", "%s", fw_prefix_text(&route->prefix, text));
        }
        route_entry(xml, table, route, now_ns);
        before = route;
    }
    if (before) {
        re_xml_close(xml);
    }
    re_xml_close(xml);
}

void show_routes(struct re_xml *xml, const struct table *table, int64_t now_ns)
{
    re_xml_open(xml, "route-information");
    route_table(xml, table, FW_FAMILY_V4, "inet.0", now_ns);
    route_table(xml, table, FW_FAMILY_V6, "inet6.0", now_ns);
    re_xml_close(xml);
}
