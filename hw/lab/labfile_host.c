/* labfile_host - the hosts section of a lab file; see labfile.c. */
#include <string.h>

#include "hw/lab/labfile_parts.h"

static bool address_read(struct lab_reading *r, const yaml_tree_node *node, const char *host,
                         struct fw_prefix *ret)
{
    const char *text = yaml_tree_string(r->tree, node, "an address", r->error);

    if (!text) {
        return false;
    }
    if (!strchr(text, '/') || !fw_prefix_parse(text, ret)) {
        return yaml_tree_fail(r->tree, node, r->error,
                              "host %s: '%s' is no address with a prefix length; write for example "
                              "10.1.1.10/24", host, text);
    }
    return true;
}

static bool routes_read(struct lab_reading *r, struct lab_host *host, const yaml_tree_node *list)
{
    static const char *const keys[] = {"prefix", "via", NULL};

    if (!yaml_tree_list(r->tree, list, "routes", r->error)) {
        return false;
    }
    for (unsigned n = 0; n < yaml_tree_count(list); n++) {
        const yaml_tree_node *map = yaml_tree_item(r->tree, list, n);
        const char *prefix, *via;

        if (!yaml_tree_map(r->tree, map, "a route", keys, r->error)) {
            return false;
        }
        if (n == LAB_ROUTES_MAX) {
            return yaml_tree_fail(r->tree, map, r->error, "host %s has more than %d routes",
                                  host->name, LAB_ROUTES_MAX);
        }
        prefix = yaml_tree_string(r->tree, yaml_tree_get(r->tree, map, "prefix"),
                                  "the route's prefix", r->error);
        via = prefix ? yaml_tree_string(r->tree, yaml_tree_get(r->tree, map, "via"),
                                        "the route's via", r->error)
                     : NULL;
        if (!via) {
            return false;
        }
        if (!fw_prefix_parse(prefix, &host->routes[n].prefix) ||
            !fw_addr_parse(via, &host->routes[n].via) ||
            host->routes[n].via.family != host->routes[n].prefix.addr.family) {
            return yaml_tree_fail(r->tree, map, r->error,
                                  "host %s: the route to '%s' via '%s' is not usable; write for "
                                  "example {prefix: 10.2.0.0/16, via: 10.1.1.1}", host->name,
                                  prefix, via);
        }
        host->n_routes = n + 1;
    }
    return true;
}

static bool host_type_read(struct lab_reading *r, struct lab_host *host, const yaml_tree_node *node)
{
    const char *type;

    if (!node) {
        return true;
    }
    type = yaml_tree_string(r->tree, node, "the host's type", r->error);
    if (!type) {
        return false;
    }
    if (strcmp(type, "host") == 0) {
        host->type = LAB_HOST;
    } else if (strcmp(type, "traffic") == 0) {
        host->type = LAB_TRAFFIC;
    } else {
        return yaml_tree_fail(r->tree, node, r->error,
                              "host %s has the unknown type '%s'; permitted are host, traffic",
                              host->name, type);
    }
    return true;
}

static bool addresses_read(struct lab_reading *r, struct lab_host *host, const yaml_tree_node *list)
{
    if (!yaml_tree_list(r->tree, list, "addresses", r->error)) {
        return false;
    }
    for (unsigned n = 0; n < yaml_tree_count(list); n++) {
        const yaml_tree_node *item = yaml_tree_item(r->tree, list, n);

        if (n == LAB_ADDRESSES_MAX) {
            return yaml_tree_fail(r->tree, item, r->error, "host %s has more than %d addresses",
                                  host->name, LAB_ADDRESSES_MAX);
        }
        if (!address_read(r, item, host->name, &host->addresses[n])) {
            return false;
        }
        host->n_addresses = n + 1;
    }
    return true;
}

static bool gateway_read(struct lab_reading *r, struct lab_host *host, const yaml_tree_node *node)
{
    const char *text = yaml_tree_string(r->tree, node, "the gateway", r->error);
    bool reachable = false;

    if (!text) {
        return false;
    }
    if (!fw_addr_parse(text, &host->gateway)) {
        return yaml_tree_fail(r->tree, node, r->error,
                              "host %s: the gateway '%s' is no address; write for example 10.1.1.1",
                              host->name, text);
    }
    for (unsigned n = 0; n < host->n_addresses; n++) {
        struct fw_prefix network = fw_prefix_network(&host->addresses[n]);

        reachable = reachable || fw_prefix_contains(&network, &host->gateway);
    }
    if (!reachable) {
        return yaml_tree_fail(r->tree, node, r->error,
                              "host %s: the gateway %s is in none of its networks; correct it or "
                              "the addresses", host->name, text);
    }
    return true;
}

static bool host_read(struct lab_reading *r, const char *name, const yaml_tree_node *key,
                      const yaml_tree_node *map)
{
    static const char *const keys[] = {"type", "addresses", "gateway", "routes", NULL};
    g_autofree char *what = g_strdup_printf("host %s", name);
    const yaml_tree_node *addresses, *gateway, *routes;
    struct lab_host *host;

    if (!lab_name_check(r, key, "host", name) ||
        !yaml_tree_map(r->tree, map, what, keys, r->error)) {
        return false;
    }
    if (lab_file_node(r->lab, name)) {
        return yaml_tree_fail(r->tree, key, r->error,
                              "'%s' is a node and a host; give one of them another name", name);
    }
    if (r->lab->n_hosts == LAB_HOSTS_MAX) {
        return yaml_tree_fail(r->tree, key, r->error, "more than %d hosts; split the lab",
                              LAB_HOSTS_MAX);
    }
    host = &r->lab->hosts[r->lab->n_hosts++];
    host->name = g_strdup(name);
    host->line = yaml_tree_line(key);
    addresses = yaml_tree_get(r->tree, map, "addresses");
    gateway = yaml_tree_get(r->tree, map, "gateway");
    routes = yaml_tree_get(r->tree, map, "routes");
    if (!host_type_read(r, host, yaml_tree_get(r->tree, map, "type")) ||
        (addresses && !addresses_read(r, host, addresses)) ||
        (gateway && !gateway_read(r, host, gateway)) ||
        (routes && !routes_read(r, host, routes))) {
        return false;
    }
    if (host->type == LAB_TRAFFIC && host->n_routes) {
        return yaml_tree_fail(r->tree, routes, r->error,
                              "host %s: a traffic host has no routes, only a gateway; remove them",
                              name);
    }
    if (host->type == LAB_TRAFFIC && host->n_addresses == 0) {
        return yaml_tree_fail(r->tree, key, r->error,
                              "host %s: a traffic host needs an address; add 'addresses: [...]'",
                              name);
    }
    return true;
}

bool lab_hosts_read(struct lab_reading *r, const yaml_tree_node *map)
{
    if (!yaml_tree_map(r->tree, map, "hosts", NULL, r->error)) {
        return false;
    }
    for (unsigned n = 0; n < yaml_tree_count(map); n++) {
        const char *name;
        const yaml_tree_node *key;
        const yaml_tree_node *node = yaml_tree_pair(r->tree, map, n, &name, &key);

        if (!host_read(r, name, key, node)) {
            return false;
        }
    }
    return true;
}
