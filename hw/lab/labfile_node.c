/* labfile_node - the nodes section of a lab file; see labfile.c. */
#include <string.h>
#include <unistd.h>

#include "hw/lab/labfile_parts.h"

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

static bool card_fits(const struct lab_reading *r, const yaml_tree_node *node,
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

static bool cards_read(struct lab_reading *r, struct lab_node *node, const yaml_tree_node *map)
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

static bool config_read(struct lab_reading *r, struct lab_node *node, const yaml_tree_node *value)
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

static bool node_read(struct lab_reading *r, const char *name, const yaml_tree_node *key,
                      const yaml_tree_node *map)
{
    static const char *const keys[] = {"chassis", "config", "cards", NULL};
    g_autofree char *what = g_strdup_printf("node %s", name);
    const yaml_tree_node *chassis_node, *config;
    struct lab_node *node;
    const char *chassis;

    if (!lab_name_check(r, key, "node", name) ||
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
                              "node %s has no cards; add 'cards: {cb0: SCB3, re0: RE3, ...}'",
                              name);
    }
    return cards_read(r, node, yaml_tree_get(r->tree, map, "cards"));
}

bool lab_nodes_read(struct lab_reading *r, const yaml_tree_node *map)
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
