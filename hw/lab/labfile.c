/*
 * labfile - reads and checks a lab file: the whole, and its options.
 *
 * Sections are read in the order options, nodes, hosts, links, so that links
 * find their ends; labfile_node.c, labfile_host.c and labfile_link.c read one
 * each. Duplicate keys and unknown keys are refused by the tree reader.
 */
#include "hw/lab/labfile.h"

#include <string.h>

#include "firmware/core/error.h"
#include "hw/lab/labfile_parts.h"

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

bool lab_name_check(const struct lab_reading *r, const yaml_tree_node *node, const char *what,
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

static bool options_read(struct lab_reading *r, const yaml_tree_node *map)
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

/* ---- the whole ---- */

static bool lab_read(struct lab_reading *r)
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
    if (!text || !lab_name_check(r, name, "lab", text)) {
        return false;
    }
    r->lab->name = g_strdup(text);
    if (!nodes) {
        return yaml_tree_fail(r->tree, root, r->error, "the lab has no nodes; add 'nodes:'");
    }
    return (!options || options_read(r, options)) && lab_nodes_read(r, nodes) &&
           (!hosts || lab_hosts_read(r, hosts)) && (!links || lab_links_read(r, links));
}

struct lab_file *lab_file_parse(const char *text, size_t len, const char *path, bool check_files,
                                const struct catalog *catalog, GError **error)
{
    struct lab_reading r = {.catalog = catalog, .check_files = check_files, .error = error};
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
