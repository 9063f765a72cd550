/*
 * labfile - reads and checks a lab file.
 *
 * Sections are read in the order options, nodes, hosts, links, so that links
 * find their ends; each function reads one section. Duplicate keys and unknown
 * keys are refused by the tree reader.
 */
#include "hw/lab/labfile.h"

#include <string.h>
#include <unistd.h>

#include "firmware/core/error.h"
#include "hw/lab/yamltree.h"

struct reading {
    const struct yaml_tree *tree;
    const struct catalog *catalog;
    struct lab_file *lab;
    bool check_files;
    GError **error;
};

bool lab_name_valid(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > LAB_NAME_MAX || name[0] == '-' || name[0] == '.') {
        return false;
    }
    for (size_t n = 0; n < len; n++) {
        if (!g_ascii_isalnum(name[n]) && !strchr("-_.", name[n])) {
            return false;
        }
    }
    return true;
}

static bool name_check(const struct reading *r, const yaml_tree_node *node, const char *what,
                       const char *name)
{
    if (!lab_name_valid(name)) {
        return yaml_tree_fail(r->tree, node, r->error,
                              "%s name '%s' is not usable; take 1 to %d letters, digits, '-', '_' "
                              "or '.', beginning with a letter or digit", what, name, LAB_NAME_MAX);
    }
    return true;
}

/* ---- options ---- */

/* "0.05" -> 50 permille; at most three decimals, 0 to 10. */
static bool scale_parse(const char *text, uint32_t *ret)
{
    char *end;
    double value;

    if (!g_ascii_isdigit(text[0])) {
        return false;
    }
    value = g_ascii_strtod(text, &end);
    if (*end || value < 0 || value > 10) {
        return false;
    }
    *ret = (uint32_t)(value * 1000 + 0.5);
    return true;
}

static bool options_read(struct reading *r, const yaml_tree_node *map)
{
    static const char *const keys[] = {"model-scale", "seed", "spin", "lanes", "export-keys", NULL};
    struct lab_options *options = &r->lab->options;

    if (!yaml_tree_map(r->tree, map, "options", keys, r->error)) {
        return false;
    }
    for (unsigned n = 0; n < yaml_tree_count(map); n++) {
        const char *key;
        const yaml_tree_node *node = yaml_tree_pair(r->tree, map, n, &key, NULL);
        g_autofree char *what = g_strdup_printf("option %s", key);
        uint64_t number;

        if (strcmp(key, "model-scale") == 0) {
            const char *text = yaml_tree_string(r->tree, node, what, r->error);

            if (!text) {
                return false;
            }
            if (!scale_parse(text, &options->model_scale)) {
                return yaml_tree_fail(r->tree, node, r->error,
                                      "option model-scale is '%s'; a factor from 0 (at once) to 10 "
                                      "is wanted, 1 is as modelled", text);
            }
        } else if (strcmp(key, "seed") == 0) {
            if (!yaml_tree_unsigned(r->tree, node, what, 0, UINT64_MAX, &options->seed, r->error)) {
                return false;
            }
        } else if (strcmp(key, "lanes") == 0) {
            if (!yaml_tree_unsigned(r->tree, node, what, 0, 4, &number, r->error)) {
                return false;
            }
            options->lanes = (unsigned)number;
        } else {
            bool *flag = strcmp(key, "spin") == 0 ? &options->spin : &options->export_keys;

            if (!yaml_tree_bool(r->tree, node, what, flag, r->error)) {
                return false;
            }
        }
    }
    return true;
}

/* ---- nodes ---- */

static bool position_parse(const char *text, enum lab_position *ret_position, unsigned *ret_slot)
{
    const char *digits = text;
    guint64 slot;

    *ret_position = LAB_FPC;
    if (g_str_has_prefix(text, "cb") || g_str_has_prefix(text, "re")) {
        *ret_position = text[0] == 'c' ? LAB_CB : LAB_RE;
        digits = text + 2;
    }
    if (!g_ascii_isdigit(digits[0]) || (digits[0] == '0' && digits[1]) ||
        !g_ascii_string_to_unsigned(digits, 10, 0, 255, &slot, NULL)) {
        return false;
    }
    *ret_slot = (unsigned)slot;
    return true;
}

static bool card_fits(const struct reading *r, const yaml_tree_node *node,
                      const struct lab_node *owner, const char *position,
                      const struct lab_card *card)
{
    static const char *const wanted[] = {"a services or I/O card", "a control board",
                                         "a Routing Engine"};
    const struct catalog_chassis *chassis = owner->chassis;
    unsigned positions = card->position == LAB_FPC ? chassis->slots
                         : card->position == LAB_CB ? chassis->control_boards
                                                    : chassis->routing_engines;
    enum catalog_kind kind = card->card->kind;
    bool right = card->position == LAB_FPC ? kind == CATALOG_SPC || kind == CATALOG_IOC
                 : card->position == LAB_CB ? kind == CATALOG_CB
                                            : kind == CATALOG_RE;

    if (card->slot >= positions) {
        return yaml_tree_fail(r->tree, node, r->error,
                              "node %s: a %s has no position %s; the last one is %s%u", owner->name,
                              chassis->name, position,
                              card->position == LAB_FPC ? ""
                              : card->position == LAB_CB ? "cb" : "re", positions - 1);
    }
    if (card->position == LAB_RE && card->slot != 0) {
        return yaml_tree_fail(r->tree, node, r->error,
                              "node %s: only re0 runs in one chassis; remove %s", owner->name,
                              position);
    }
    if (!catalog_chassis_takes(chassis, card->card->name)) {
        g_autofree char *list = g_strjoinv(", ", chassis->cards);

        return yaml_tree_fail(r->tree, node, r->error,
                              "node %s: a %s does not take the card %s; permitted are %s",
                              owner->name, chassis->name, card->card->name, list);
    }
    if (!right) {
        return yaml_tree_fail(r->tree, node, r->error,
                              "node %s: the card %s does not go into position %s, which takes %s; "
                              "move it", owner->name, card->card->name, position,
                              wanted[card->position]);
    }
    return true;
}

static bool cards_read(struct reading *r, struct lab_node *node, const yaml_tree_node *map)
{
    const struct lab_card *shared_cb, *shared_fpc;

    if (!yaml_tree_map(r->tree, map, "cards", NULL, r->error)) {
        return false;
    }
    for (unsigned n = 0; n < yaml_tree_count(map); n++) {
        const char *position;
        const yaml_tree_node *key;
        const yaml_tree_node *value = yaml_tree_pair(r->tree, map, n, &position, &key);
        struct lab_card card = {.line = yaml_tree_line(key)};
        const char *name;

        if (!position_parse(position, &card.position, &card.slot)) {
            return yaml_tree_fail(r->tree, key, r->error,
                                  "node %s: '%s' is no position of a card; write a slot number, "
                                  "cb0 or re0", node->name, position);
        }
        name = yaml_tree_string(r->tree, value, "the card", r->error);
        if (!name) {
            return false;
        }
        card.card = catalog_card(r->catalog, name);
        if (!card.card) {
            g_autofree char *list = catalog_card_names(r->catalog, -1);

            return yaml_tree_fail(r->tree, value, r->error,
                                  "node %s: the card %s in position %s is not in the catalogue; "
                                  "known are %s", node->name, name, position, list);
        }
        if (!card_fits(r, value, node, position, &card)) {
            return false;
        }
        if (node->n_cards == LAB_CARDS_MAX) {
            return yaml_tree_fail(r->tree, value, r->error, "node %s has more than %d cards",
                                  node->name, LAB_CARDS_MAX);
        }
        node->cards[node->n_cards++] = card;
    }
    if (!lab_node_card(node, LAB_CB, 0) || !lab_node_card(node, LAB_RE, 0)) {
        const char *what = lab_node_card(node, LAB_CB, 0) ? "re0" : "cb0";

        return yaml_tree_fail(r->tree, map, r->error,
                              "node %s has no %s and cannot start; add '%s: CARD' to its cards",
                              node->name, what, what);
    }
    shared_cb = node->chassis->shared_cb < 0
                    ? NULL
                    : lab_node_card(node, LAB_CB, (unsigned)node->chassis->shared_cb);
    shared_fpc = lab_node_card(node, LAB_FPC, (unsigned)node->chassis->shared_fpc);
    if (shared_cb && shared_fpc) {
        return yaml_tree_fail(r->tree, map, r->error,
                              "node %s: cb%u and FPC %u share one slot, which is occupied twice; "
                              "remove one of the two cards", node->name, shared_cb->slot,
                              shared_fpc->slot);
    }
    return true;
}

static bool config_read(struct reading *r, struct lab_node *node, const yaml_tree_node *value)
{
    const char *text = yaml_tree_string(r->tree, value, "the configuration", r->error);
    g_autofree char *base = NULL;

    if (!text) {
        return false;
    }
    base = g_path_get_dirname(r->lab->path);
    node->config = g_canonicalize_filename(text, base);
    if (strlen(node->config) >= 240) {
        return yaml_tree_fail(r->tree, value, r->error,
                              "node %s: the path of the configuration is longer than 239 bytes; "
                              "move the lab to a shorter path", node->name);
    }
    if (r->check_files && access(node->config, R_OK) != 0) {
        return yaml_tree_fail(r->tree, value, r->error,
                              "node %s: the configuration %s cannot be read; create it or correct "
                              "the name (it is relative to the lab file)", node->name,
                              node->config);
    }
    return true;
}

static bool node_read(struct reading *r, const char *name, const yaml_tree_node *key,
                      const yaml_tree_node *map)
{
    static const char *const keys[] = {"chassis", "config", "cards", NULL};
    g_autofree char *what = g_strdup_printf("node %s", name);
    const yaml_tree_node *chassis_node, *config;
    struct lab_node *node;
    const char *chassis;

    if (!name_check(r, key, "node", name) ||
        !yaml_tree_map(r->tree, map, what, keys, r->error)) {
        return false;
    }
    if (r->lab->n_nodes == LAB_NODES_MAX) {
        return yaml_tree_fail(r->tree, key, r->error, "more than %d nodes; split the lab",
                              LAB_NODES_MAX);
    }
    node = &r->lab->nodes[r->lab->n_nodes++];
    node->name = g_strdup(name);
    node->line = yaml_tree_line(key);
    chassis_node = yaml_tree_get(r->tree, map, "chassis");
    if (!chassis_node) {
        return yaml_tree_fail(r->tree, key, r->error,
                              "node %s has no chassis; add 'chassis: SRX5800'", name);
    }
    chassis = yaml_tree_string(r->tree, chassis_node, "the chassis", r->error);
    if (!chassis) {
        return false;
    }
    node->chassis = catalog_chassis(r->catalog, chassis);
    if (!node->chassis) {
        g_autofree char *list = catalog_chassis_names(r->catalog);

        return yaml_tree_fail(r->tree, chassis_node, r->error,
                              "node %s: the chassis %s is not in the catalogue; known are %s", name,
                              chassis, list);
    }
    config = yaml_tree_get(r->tree, map, "config");
    if (config && !config_read(r, node, config)) {
        return false;
    }
    if (!yaml_tree_get(r->tree, map, "cards")) {
        return yaml_tree_fail(r->tree, key, r->error,
                              "node %s has no cards; add 'cards: {cb0: SCB3, re0: RE3, ...}'", name);
    }
    return cards_read(r, node, yaml_tree_get(r->tree, map, "cards"));
}

static bool nodes_read(struct reading *r, const yaml_tree_node *map)
{
    if (!yaml_tree_map(r->tree, map, "nodes", NULL, r->error)) {
        return false;
    }
    for (unsigned n = 0; n < yaml_tree_count(map); n++) {
        const char *name;
        const yaml_tree_node *key;
        const yaml_tree_node *node = yaml_tree_pair(r->tree, map, n, &name, &key);

        if (!node_read(r, name, key, node)) {
            return false;
        }
    }
    return true;
}

/* ---- hosts ---- */

static bool address_read(struct reading *r, const yaml_tree_node *node, const char *host,
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

static bool routes_read(struct reading *r, struct lab_host *host, const yaml_tree_node *list)
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

static bool host_type_read(struct reading *r, struct lab_host *host, const yaml_tree_node *node)
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

static bool addresses_read(struct reading *r, struct lab_host *host, const yaml_tree_node *list)
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

static bool gateway_read(struct reading *r, struct lab_host *host, const yaml_tree_node *node)
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

static bool host_read(struct reading *r, const char *name, const yaml_tree_node *key,
                      const yaml_tree_node *map)
{
    static const char *const keys[] = {"type", "addresses", "gateway", "routes", NULL};
    g_autofree char *what = g_strdup_printf("host %s", name);
    const yaml_tree_node *addresses, *gateway, *routes;
    struct lab_host *host;

    if (!name_check(r, key, "host", name) ||
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

static bool hosts_read(struct reading *r, const yaml_tree_node *map)
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

/* ---- links ---- */

/* "xe-1/0/0" into its parts. */
static bool port_parse(const char *port, char *ret_media, size_t media_size, unsigned *ret)
{
    const char *dash = strchr(port, '-');
    g_auto(GStrv) parts = NULL;

    if (!dash || dash == port || (size_t)(dash - port) >= media_size) {
        return false;
    }
    parts = g_strsplit(dash + 1, "/", 4);
    if (g_strv_length(parts) != 3) {
        return false;
    }
    for (unsigned n = 0; n < 3; n++) {
        guint64 value;

        if ((parts[n][0] == '0' && parts[n][1]) ||
            !g_ascii_string_to_unsigned(parts[n], 10, 0, 255, &value, NULL)) {
            return false;
        }
        ret[n] = (unsigned)value;
    }
    memcpy(ret_media, port, (size_t)(dash - port));
    ret_media[dash - port] = '\0';
    return true;
}

static bool port_check(const struct reading *r, const yaml_tree_node *node, const char *port,
                       struct lab_end *end)
{
    const struct lab_card *card;
    unsigned parts[3];
    char media[8];

    if (strlen(port) >= sizeof(end->port) || !port_parse(port, media, sizeof(media), parts)) {
        return yaml_tree_fail(r->tree, node, r->error,
                              "'%s' is no port name; write for example xe-1/0/0 "
                              "(FPC slot/PIC/port)", port);
    }
    card = lab_node_card(end->node, LAB_FPC, parts[0]);
    if (!card || card->card->kind != CATALOG_IOC) {
        return yaml_tree_fail(r->tree, node, r->error,
                              "node %s has no I/O card in slot %u for the port %s; add one there or "
                              "correct the port", end->node->name, parts[0], port);
    }
    for (unsigned n = 0; n < card->card->n_pics; n++) {
        const struct catalog_pic *pic = &card->card->pics[n];

        if (pic->number == parts[1] && pic->media && strcmp(pic->media, media) == 0 &&
            parts[2] < pic->ports) {
            end->slot = parts[0];
            end->pic = parts[1];
            end->number = parts[2];
            g_strlcpy(end->port, port, sizeof(end->port));
            return true;
        }
    }
    return yaml_tree_fail(r->tree, node, r->error,
                          "the %s in slot %u of node %s has no port %s; see its PICs in "
                          "the catalogue", card->card->name, parts[0], end->node->name, port);
}

static unsigned host_links(const struct lab_file *lab, const struct lab_host *host)
{
    unsigned count = 0;

    for (unsigned n = 0; n < lab->n_links; n++) {
        count += lab->links[n].ends[0].host == host;
        count += lab->links[n].ends[1].host == host;
    }
    return count;
}

static bool end_read(struct reading *r, const yaml_tree_node *node, struct lab_end *end)
{
    const char *text = yaml_tree_string(r->tree, node, "an end of a link", r->error);
    g_autofree char *name = NULL;
    const char *colon;

    if (!text) {
        return false;
    }
    colon = strchr(text, ':');
    name = colon ? g_strndup(text, (gsize)(colon - text)) : g_strdup(text);
    end->node = lab_file_node(r->lab, name);
    end->host = lab_file_host(r->lab, name);
    if (!end->node && !end->host) {
        return yaml_tree_fail(r->tree, node, r->error,
                              "'%s' is neither a node nor a host of this lab; correct the name or "
                              "add it", name);
    }
    if (end->node && !colon) {
        return yaml_tree_fail(r->tree, node, r->error,
                              "%s is a node; name its port as well, for example %s:xe-1/0/0", name,
                              name);
    }
    if (end->host && colon) {
        return yaml_tree_fail(r->tree, node, r->error,
                              "%s is a host, whose interfaces are numbered eth0, eth1 ... in the "
                              "order of the links; write only %s", name, name);
    }
    if (end->node) {
        const struct lab_link *other;

        if (!port_check(r, node, colon + 1, end)) {
            return false;
        }
        other = lab_file_port_link(r->lab, end->node, end->port);
        if (other) {
            return yaml_tree_fail(r->tree, node, r->error,
                                  "port %s of node %s is already used by link %s; take another one",
                                  end->port, end->node->name, other->name);
        }
        return true;
    }
    if (end->host->type == LAB_TRAFFIC && host_links(r->lab, end->host) > 0) {
        return yaml_tree_fail(r->tree, node, r->error,
                              "%s is a traffic host and has one link already; add another host",
                              name);
    }
    g_snprintf(end->port, sizeof(end->port), "eth%u", host_links(r->lab, end->host));
    return true;
}

static bool link_read(struct reading *r, const yaml_tree_node *map)
{
    static const char *const keys[] = {"name", "ends", NULL};
    const yaml_tree_node *name_node, *ends;
    struct lab_link *link;
    const char *name;

    if (!yaml_tree_map(r->tree, map, "a link", keys, r->error)) {
        return false;
    }
    name_node = yaml_tree_get(r->tree, map, "name");
    ends = yaml_tree_get(r->tree, map, "ends");
    if (!name_node || !ends) {
        return yaml_tree_fail(r->tree, map, r->error,
                              "a link has no %s; write {name: middle, ends: [A, B]}",
                              name_node ? "ends" : "name");
    }
    name = yaml_tree_string(r->tree, name_node, "the link's name", r->error);
    if (!name || !name_check(r, name_node, "link", name) ||
        !yaml_tree_list(r->tree, ends, "ends", r->error)) {
        return false;
    }
    for (unsigned n = 0; n < r->lab->n_links; n++) {
        if (strcmp(r->lab->links[n].name, name) == 0) {
            return yaml_tree_fail(r->tree, name_node, r->error,
                                  "two links are called %s; rename one", name);
        }
    }
    if (yaml_tree_count(ends) != 2) {
        return yaml_tree_fail(r->tree, ends, r->error, "link %s has %u ends; two are wanted", name,
                              yaml_tree_count(ends));
    }
    if (r->lab->n_links == LAB_LINKS_MAX) {
        return yaml_tree_fail(r->tree, map, r->error, "more than %d links; split the lab",
                              LAB_LINKS_MAX);
    }
    /* Counted at once: the second end must see the first one as used. */
    link = &r->lab->links[r->lab->n_links++];
    link->name = g_strdup(name);
    link->line = yaml_tree_line(map);
    for (unsigned n = 0; n < 2; n++) {
        struct lab_end end = {0};

        if (!end_read(r, yaml_tree_item(r->tree, ends, n), &end)) {
            return false;
        }
        link->ends[n] = end;
    }
    if ((link->ends[0].host && link->ends[0].host->type == LAB_TRAFFIC && link->ends[1].host) ||
        (link->ends[1].host && link->ends[1].host->type == LAB_TRAFFIC && link->ends[0].host)) {
        return yaml_tree_fail(r->tree, ends, r->error,
                              "link %s: a traffic host is linked to a port of a node only; link it "
                              "to one", name);
    }
    return true;
}

static bool links_read(struct reading *r, const yaml_tree_node *list)
{
    if (!yaml_tree_list(r->tree, list, "links", r->error)) {
        return false;
    }
    for (unsigned n = 0; n < yaml_tree_count(list); n++) {
        if (!link_read(r, yaml_tree_item(r->tree, list, n))) {
            return false;
        }
    }
    return true;
}

/* ---- the whole ---- */

static bool lab_read(struct reading *r)
{
    static const char *const keys[] = {"lab", "options", "nodes", "hosts", "links", NULL};
    const yaml_tree_node *root = yaml_tree_root(r->tree);
    const yaml_tree_node *name, *options, *nodes, *hosts, *links;
    const char *text;

    if (!yaml_tree_map(r->tree, root, "the lab", keys, r->error)) {
        return false;
    }
    name = yaml_tree_get(r->tree, root, "lab");
    options = yaml_tree_get(r->tree, root, "options");
    nodes = yaml_tree_get(r->tree, root, "nodes");
    hosts = yaml_tree_get(r->tree, root, "hosts");
    links = yaml_tree_get(r->tree, root, "links");
    if (!name) {
        return yaml_tree_fail(r->tree, root, r->error, "the lab has no name; add 'lab: NAME'");
    }
    text = yaml_tree_string(r->tree, name, "the lab's name", r->error);
    if (!text || !name_check(r, name, "lab", text)) {
        return false;
    }
    r->lab->name = g_strdup(text);
    if (!nodes) {
        return yaml_tree_fail(r->tree, root, r->error, "the lab has no nodes; add 'nodes:'");
    }
    return (!options || options_read(r, options)) && nodes_read(r, nodes) &&
           (!hosts || hosts_read(r, hosts)) && (!links || links_read(r, links));
}

struct lab_file *lab_file_parse(const char *text, size_t len, const char *path, bool check_files,
                                const struct catalog *catalog, GError **error)
{
    struct reading r = {.catalog = catalog, .check_files = check_files, .error = error};
    struct yaml_tree *tree = yaml_tree_parse(text, len, path, error);
    bool ok;

    if (!tree) {
        return NULL;
    }
    r.tree = tree;
    r.lab = g_new0(struct lab_file, 1);
    r.lab->path = g_canonicalize_filename(path, NULL);
    r.lab->options.model_scale = 1000;
    ok = lab_read(&r);
    yaml_tree_free(tree);
    if (!ok) {
        lab_file_free(r.lab);
        return NULL;
    }
    return r.lab;
}

/* Whoever starts a lab may replace two options without touching the file: `up --seed`,
 * `up --model-scale` and the scenario runner do. */
static bool environment_apply(struct lab_options *options, GError **error)
{
    const char *seed = g_getenv("VCHASSIS_SEED");
    const char *scale = g_getenv("VCHASSIS_MODEL_SCALE");
    guint64 value;

    if (seed && *seed) {
        if (!g_ascii_string_to_unsigned(seed, 10, 0, UINT64_MAX, &value, NULL)) {
            return fw_fail(error, FW_ERROR_INVALID, "the seed '%s' is no number; give one", seed);
        }
        options->seed = value;
    }
    if (scale && *scale && !scale_parse(scale, &options->model_scale)) {
        return fw_fail(error, FW_ERROR_INVALID,
                       "the model scale '%s' is not usable; give a factor from 0 (at once) to 10",
                       scale);
    }
    return true;
}

struct lab_file *lab_file_load(const char *path, const struct catalog *catalog, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autofree char *text = NULL;
    struct lab_file *lab;
    gsize len;

    if (!g_file_get_contents(path, &text, &len, &problem)) {
        fw_fail(error, FW_ERROR_NOT_FOUND, "the lab file %s cannot be read (%s); correct the name",
                path, problem->message);
        return NULL;
    }
    lab = lab_file_parse(text, len, path, true, catalog, error);
    if (lab && !environment_apply(&lab->options, error)) {
        g_clear_pointer(&lab, lab_file_free);
    }
    return lab;
}

void lab_file_free(struct lab_file *lab)
{
    if (!lab) {
        return;
    }
    for (unsigned n = 0; n < lab->n_nodes; n++) {
        g_free(lab->nodes[n].name);
        g_free(lab->nodes[n].config);
    }
    for (unsigned n = 0; n < lab->n_hosts; n++) {
        g_free(lab->hosts[n].name);
    }
    for (unsigned n = 0; n < lab->n_links; n++) {
        g_free(lab->links[n].name);
    }
    g_free(lab->name);
    g_free(lab->path);
    g_free(lab);
}

/* ---- look-up ---- */

const struct lab_node *lab_file_node(const struct lab_file *lab, const char *name)
{
    for (unsigned n = 0; n < lab->n_nodes; n++) {
        if (strcmp(lab->nodes[n].name, name) == 0) {
            return &lab->nodes[n];
        }
    }
    return NULL;
}

const struct lab_host *lab_file_host(const struct lab_file *lab, const char *name)
{
    for (unsigned n = 0; n < lab->n_hosts; n++) {
        if (strcmp(lab->hosts[n].name, name) == 0) {
            return &lab->hosts[n];
        }
    }
    return NULL;
}

const struct lab_link *lab_file_port_link(const struct lab_file *lab, const struct lab_node *node,
                                          const char *port)
{
    for (unsigned n = 0; n < lab->n_links; n++) {
        for (unsigned e = 0; e < 2; e++) {
            const struct lab_end *end = &lab->links[n].ends[e];

            if (end->node == node && strcmp(end->port, port) == 0) {
                return &lab->links[n];
            }
        }
    }
    return NULL;
}

const struct lab_card *lab_node_card(const struct lab_node *node, enum lab_position position,
                                     unsigned slot)
{
    for (unsigned n = 0; n < node->n_cards; n++) {
        if (node->cards[n].position == position && node->cards[n].slot == slot) {
            return &node->cards[n];
        }
    }
    return NULL;
}
