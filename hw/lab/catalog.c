/*
 * catalog - reads the facts of chassis and cards.
 *
 * Every *.yaml of one directory, in name order; each has `cards:` and/or
 * `chassis:`, mappings from a name to its facts. Unknown keys and values out
 * of range are refused, so that a misspelt fact never passes as a default.
 */
#include "hw/lab/catalog.h"

#include <string.h>

#include "firmware/core/error.h"
#include "hw/lab/yamltree.h"

struct catalog {
    GPtrArray *cards;   /* struct catalog_card *, owned */
    GPtrArray *chassis; /* struct catalog_chassis *, owned */
};

static const char *const kind_names[] = {"spc", "ioc", "re", "cb"};
static const char *const stage_names[] = {"seated", "power", "diagnostics", "image",
                                          "boot", "online", NULL};

const char *catalog_kind_name(enum catalog_kind kind)
{
    return kind_names[kind];
}

static void card_free(gpointer data)
{
    struct catalog_card *card = data;

    for (unsigned n = 0; n < card->n_pics; n++) {
        g_free(card->pics[n].type);
        g_free(card->pics[n].media);
    }
    g_free(card->name);
    g_free(card->description);
    g_free(card->model_number);
    g_free(card->inventory_model);
    g_free(card->part_number);
    g_free(card->revision);
    g_free(card->clei);
    g_free(card->cpu);
    g_free(card);
}

static void chassis_free(gpointer data)
{
    struct catalog_chassis *chassis = data;

    g_free(chassis->name);
    g_free(chassis->model);
    g_free(chassis->description);
    g_free(chassis->midplane);
    g_free(chassis->midplane_part);
    g_strfreev(chassis->cards);
    g_free(chassis);
}

void catalog_free(struct catalog *catalog)
{
    if (!catalog) {
        return;
    }
    g_ptr_array_unref(catalog->cards);
    g_ptr_array_unref(catalog->chassis);
    g_free(catalog);
}

char *catalog_directory(void)
{
    const char *data = g_getenv("VCHASSIS_DATA");
    g_autofree char *self = NULL;
    g_autofree char *bin = NULL;

    if (data) {
        return g_build_filename(data, "catalog", NULL);
    }
    self = g_file_read_link("/proc/self/exe", NULL);
    bin = g_path_get_dirname(self ? self : "/usr/local/lib/vchassis/bin/x");
    return g_build_filename(bin, "..", "share", "vchassis", "catalog", NULL);
}

/* ---- fields ---- */

/* One place of a file being read: where we are, and the first error. */
struct reading {
    const struct yaml_tree *tree;
    const yaml_tree_node *map;
    const char *what; /* "card SPC3" */
    GError **error;
    bool failed;
};

/* A text that may be empty; wanted when `needed`. */
static char *read_text(struct reading *r, const char *key, bool needed)
{
    const yaml_tree_node *node = yaml_tree_get(r->tree, r->map, key);
    g_autofree char *what = NULL;
    const char *text;

    if (r->failed) {
        return g_strdup("");
    }
    if (!node) {
        if (needed) {
            r->failed = true;
            yaml_tree_fail(r->tree, r->map, r->error, "%s has no '%s'; add it", r->what, key);
        }
        return g_strdup("");
    }
    what = g_strdup_printf("'%s' of %s", key, r->what);
    text = needed ? yaml_tree_string(r->tree, node, what, r->error)
                  : yaml_tree_string(r->tree, node, what, NULL);
    if (!text && needed) {
        r->failed = true;
    }
    return g_strdup(text ? text : "");
}

static unsigned read_number(struct reading *r, const char *key, unsigned max, unsigned missing)
{
    const yaml_tree_node *node = yaml_tree_get(r->tree, r->map, key);
    g_autofree char *what = NULL;
    uint64_t value = 0;

    if (r->failed || !node) {
        return missing;
    }
    what = g_strdup_printf("'%s' of %s", key, r->what);
    if (!yaml_tree_unsigned(r->tree, node, what, 0, max, &value, r->error)) {
        r->failed = true;
        return missing;
    }
    return (unsigned)value;
}

/* A sub-mapping with the given keys; NULL when missing or wrong. */
static const yaml_tree_node *read_map(struct reading *r, const char *key, const char *const *keys)
{
    const yaml_tree_node *node = yaml_tree_get(r->tree, r->map, key);
    g_autofree char *what = g_strdup_printf("'%s' of %s", key, r->what);

    if (r->failed || !node) {
        return NULL;
    }
    if (!yaml_tree_map(r->tree, node, what, keys, r->error)) {
        r->failed = true;
        return NULL;
    }
    return node;
}

/* ---- cards ---- */

static void card_read_pics(struct reading *r, struct catalog_card *card)
{
    static const char *const keys[] = {"pic", "type", "media", "ports", NULL};
    const yaml_tree_node *list = yaml_tree_get(r->tree, r->map, "pics");
    unsigned ports = 0;

    if (r->failed || !list) {
        return;
    }
    if (!yaml_tree_list(r->tree, list, "'pics'", r->error)) {
        r->failed = true;
        return;
    }
    for (unsigned n = 0; n < yaml_tree_count(list); n++) {
        struct reading pic = *r;
        struct catalog_pic *p = &card->pics[n];

        pic.map = yaml_tree_item(r->tree, list, n);
        pic.what = "a PIC";
        if (n == CATALOG_PICS_MAX) {
            r->failed = true;
            yaml_tree_fail(r->tree, pic.map, r->error, "%s has more than %d PICs", r->what,
                           CATALOG_PICS_MAX);
            return;
        }
        if (!yaml_tree_map(r->tree, pic.map, "a PIC", keys, r->error)) {
            r->failed = true;
            return;
        }
        p->number = read_number(&pic, "pic", CATALOG_PICS_MAX - 1, n);
        p->type = read_text(&pic, "type", true);
        p->media = read_text(&pic, "media", false);
        p->ports = read_number(&pic, "ports", CATALOG_PORTS_MAX, 0);
        card->n_pics = n + 1;
        ports += p->ports;
        if (!pic.failed && ports > CATALOG_PORTS_MAX) {
            yaml_tree_fail(r->tree, pic.map, r->error, "%s has more than %d ports", r->what,
                           CATALOG_PORTS_MAX);
            pic.failed = true;
        }
        if (!pic.failed && p->ports && !*p->media) {
            yaml_tree_fail(r->tree, pic.map, r->error, "a PIC with ports needs 'media'; add it");
            pic.failed = true;
        }
        if (pic.failed) {
            r->failed = true;
            return;
        }
        if (!p->ports) {
            g_clear_pointer(&p->media, g_free);
        }
    }
}

static void card_read_failure(struct reading *r, struct catalog_card *card)
{
    static const char *const keys[] = {"policy", "restart", "limit", "window", "watchdog", NULL};
    const yaml_tree_node *map = read_map(r, "failure", keys);
    struct reading f = *r;
    g_autofree char *policy = NULL;
    const yaml_tree_node *restart;

    card->restart_window_s = 600;
    card->watchdog_s = 5;
    if (!map) {
        return;
    }
    f.map = map;
    f.what = "'failure'";
    policy = read_text(&f, "policy", true);
    card->restart_limit = read_number(&f, "limit", 1000, 5);
    card->restart_window_s = read_number(&f, "window", 86400, 600);
    card->watchdog_s = read_number(&f, "watchdog", 3600, 5);
    restart = yaml_tree_get(r->tree, map, "restart");
    if (restart && !f.failed) {
        f.failed = !yaml_tree_bool(r->tree, restart, "'restart'", &card->restart, r->error);
    }
    if (!f.failed && strcmp(policy, "isolate") == 0) {
        card->failure = CATALOG_FAILURE_ISOLATE;
    } else if (!f.failed && strcmp(policy, "restart-data-plane") == 0) {
        card->failure = CATALOG_FAILURE_RESTART_DATA_PLANE;
    } else if (!f.failed) {
        yaml_tree_fail(r->tree, map, r->error,
                       "failure policy '%s' is unknown; permitted are isolate, restart-data-plane",
                       policy);
        f.failed = true;
    }
    r->failed = f.failed;
}

static bool card_read(struct catalog *catalog, const struct yaml_tree *tree,
                      const yaml_tree_node *node, const char *name, GError **error)
{
    static const char *const keys[] = {
        "kind", "description", "model-number", "inventory-model", "part-number", "revision",
        "clei", "cpu", "pics", "spus", "threads", "lanes", "planes", "temperature", "memory",
        "small-buffers", "large-buffers", "stages", "failure", "own-choice", NULL};
    g_autofree char *what = g_strdup_printf("card %s", name);
    struct reading r = {tree, node, what, error, false};
    g_autofree char *kind = NULL;
    struct catalog_card *card;
    const yaml_tree_node *stages;

    if (!yaml_tree_map(tree, node, what, keys, error)) {
        return false;
    }
    if (catalog_card(catalog, name)) {
        return yaml_tree_fail(tree, node, error, "card %s is described twice; remove one", name);
    }
    card = g_new0(struct catalog_card, 1);
    card->name = g_strdup(name);
    kind = read_text(&r, "kind", true);
    card->description = read_text(&r, "description", true);
    card->model_number = read_text(&r, "model-number", true);
    card->inventory_model = read_text(&r, "inventory-model", false);
    if (!*card->inventory_model) {
        g_free(card->inventory_model);
        card->inventory_model = g_strdup(card->model_number);
    }
    card->part_number = read_text(&r, "part-number", false);
    card->revision = read_text(&r, "revision", false);
    card->clei = read_text(&r, "clei", false);
    card->cpu = read_text(&r, "cpu", false);
    card->spus = read_number(&r, "spus", 8, 0);
    card->threads = read_number(&r, "threads", 64, 0);
    card->lanes = read_number(&r, "lanes", 4, 0);
    card->planes = read_number(&r, "planes", 8, 0);
    card->temperature_c = read_number(&r, "temperature", 120, 25);
    card->memory_mib = read_number(&r, "memory", 1u << 20, 0);
    card->small_buffers = read_number(&r, "small-buffers", 1u << 17, 0);
    card->large_buffers = read_number(&r, "large-buffers", 1u << 12, 0);
    stages = read_map(&r, "stages", stage_names);
    if (stages) {
        struct reading s = r;

        s.map = stages;
        s.what = "'stages'";
        for (unsigned n = 0; n < CATALOG_STAGES; n++) {
            card->stage_ms[n] = read_number(&s, stage_names[n], 300000, 0);
        }
        r.failed = s.failed;
    }
    card_read_pics(&r, card);
    card_read_failure(&r, card);
    if (!r.failed) {
        unsigned n;

        for (n = 0; n < G_N_ELEMENTS(kind_names) && strcmp(kind, kind_names[n]) != 0; n++) {
        }
        if (n == G_N_ELEMENTS(kind_names)) {
            r.failed = true;
            yaml_tree_fail(tree, node, error,
                           "%s has the unknown kind '%s'; permitted are spc, ioc, re, cb", what,
                           kind);
        } else {
            card->kind = (enum catalog_kind)n;
        }
    }
    if (!r.failed && card->kind == CATALOG_SPC && (!card->spus || !card->threads)) {
        r.failed = true;
        yaml_tree_fail(tree, node, error, "%s is a services card; give 'spus' and 'threads'", what);
    }
    if (r.failed) {
        card_free(card);
        return false;
    }
    g_ptr_array_add(catalog->cards, card);
    return true;
}

/* ---- chassis ---- */

static bool chassis_read(struct catalog *catalog, const struct yaml_tree *tree,
                         const yaml_tree_node *node, const char *name, GError **error)
{
    static const char *const keys[] = {
        "model", "description", "midplane", "midplane-part", "slots", "control-boards",
        "routing-engines", "shared-slot", "planes-max", "node1-offset", "cards", "own-choice",
        NULL};
    static const char *const shared_keys[] = {"cb", "fpc", NULL};
    g_autofree char *what = g_strdup_printf("chassis %s", name);
    struct reading r = {tree, node, what, error, false};
    struct catalog_chassis *chassis;
    const yaml_tree_node *shared, *list;

    if (!yaml_tree_map(tree, node, what, keys, error)) {
        return false;
    }
    if (catalog_chassis(catalog, name)) {
        return yaml_tree_fail(tree, node, error, "chassis %s is described twice; remove one", name);
    }
    chassis = g_new0(struct catalog_chassis, 1);
    chassis->name = g_strdup(name);
    chassis->model = read_text(&r, "model", true);
    chassis->description = read_text(&r, "description", true);
    chassis->midplane = read_text(&r, "midplane", false);
    chassis->midplane_part = read_text(&r, "midplane-part", false);
    chassis->slots = read_number(&r, "slots", CATALOG_SLOTS_MAX, 0);
    chassis->control_boards = read_number(&r, "control-boards", CATALOG_BOARDS_MAX, 1);
    chassis->routing_engines = read_number(&r, "routing-engines", CATALOG_BOARDS_MAX, 1);
    chassis->planes_max = read_number(&r, "planes-max", 8, 8);
    chassis->node1_offset = read_number(&r, "node1-offset", 64, chassis->slots);
    chassis->shared_cb = -1;
    shared = read_map(&r, "shared-slot", shared_keys);
    if (shared) {
        struct reading s = r;

        s.map = shared;
        s.what = "'shared-slot'";
        chassis->shared_cb = (int)read_number(&s, "cb", CATALOG_BOARDS_MAX, 0);
        chassis->shared_fpc = (int)read_number(&s, "fpc", CATALOG_SLOTS_MAX, 0);
        r.failed = s.failed;
    }
    list = yaml_tree_get(tree, node, "cards");
    if (!r.failed && list) {
        r.failed = !yaml_tree_list(tree, list, "'cards'", error);
    }
    if (!r.failed && list) {
        chassis->cards = g_new0(char *, yaml_tree_count(list) + 1);
        for (unsigned n = 0; n < yaml_tree_count(list) && !r.failed; n++) {
            const char *card = yaml_tree_string(tree, yaml_tree_item(tree, list, n), "a card name",
                                                error);

            r.failed = !card;
            if (card) {
                chassis->cards[chassis->n_cards++] = g_strdup(card);
            }
        }
    }
    if (!r.failed && !chassis->slots) {
        r.failed = true;
        yaml_tree_fail(tree, node, error, "%s has no 'slots'; give their number", what);
    }
    if (r.failed) {
        chassis_free(chassis);
        return false;
    }
    g_ptr_array_add(catalog->chassis, chassis);
    return true;
}

/* ---- files ---- */

typedef bool (*entry_reader)(struct catalog *catalog, const struct yaml_tree *tree,
                             const yaml_tree_node *node, const char *name, GError **error);

static bool section_read(struct catalog *catalog, const struct yaml_tree *tree, const char *key,
                         entry_reader reader, GError **error)
{
    const yaml_tree_node *map = yaml_tree_get(tree, yaml_tree_root(tree), key);

    if (!map) {
        return true;
    }
    if (!yaml_tree_map(tree, map, key, NULL, error)) {
        return false;
    }
    for (unsigned n = 0; n < yaml_tree_count(map); n++) {
        const char *name;
        const yaml_tree_node *node = yaml_tree_pair(tree, map, n, &name, NULL);

        if (!reader(catalog, tree, node, name, error)) {
            return false;
        }
    }
    return true;
}

static bool file_read(struct catalog *catalog, const char *path, GError **error)
{
    static const char *const keys[] = {"chassis", "cards", NULL};
    g_autofree char *text = NULL;
    struct yaml_tree *tree;
    gsize len;
    bool ok;

    if (!g_file_get_contents(path, &text, &len, error)) {
        return false;
    }
    tree = yaml_tree_parse(text, len, path, error);
    if (!tree) {
        return false;
    }
    ok = yaml_tree_map(tree, yaml_tree_root(tree), "the catalogue file", keys, error) &&
         section_read(catalog, tree, "cards", card_read, error) &&
         section_read(catalog, tree, "chassis", chassis_read, error);
    yaml_tree_free(tree);
    return ok;
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

struct catalog *catalog_load(const char *directory, GError **error)
{
    g_autofree char *own = directory ? NULL : catalog_directory();
    const char *path = directory ? directory : own;
    GDir *dir = g_dir_open(path, 0, NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    struct catalog *catalog;
    const char *name;

    if (!dir) {
        fw_fail(error, FW_ERROR_NOT_FOUND,
                "the catalogue directory %s cannot be read; build or install vchassis, "
                "or set VCHASSIS_DATA to the directory that holds catalog/", path);
        return NULL;
    }
    while ((name = g_dir_read_name(dir))) {
        if (g_str_has_suffix(name, ".yaml") && name[0] != '.') {
            g_ptr_array_add(names, g_build_filename(path, name, NULL));
        }
    }
    g_dir_close(dir);
    g_ptr_array_sort(names, by_name);
    catalog = g_new0(struct catalog, 1);
    catalog->cards = g_ptr_array_new_with_free_func(card_free);
    catalog->chassis = g_ptr_array_new_with_free_func(chassis_free);
    for (unsigned n = 0; n < names->len; n++) {
        if (!file_read(catalog, names->pdata[n], error)) {
            catalog_free(catalog);
            return NULL;
        }
    }
    for (unsigned n = 0; n < catalog->chassis->len; n++) {
        const struct catalog_chassis *chassis = catalog->chassis->pdata[n];

        for (unsigned c = 0; c < chassis->n_cards; c++) {
            if (!catalog_card(catalog, chassis->cards[c])) {
                fw_fail(error, FW_ERROR_INVALID,
                        "%s: chassis %s takes the card %s, which no file describes; add its row",
                        path, chassis->name, chassis->cards[c]);
                catalog_free(catalog);
                return NULL;
            }
        }
    }
    return catalog;
}

/* ---- look-up ---- */

const struct catalog_card *catalog_card(const struct catalog *catalog, const char *name)
{
    for (unsigned n = 0; n < catalog->cards->len; n++) {
        const struct catalog_card *card = catalog->cards->pdata[n];

        if (strcmp(card->name, name) == 0) {
            return card;
        }
    }
    return NULL;
}

const struct catalog_chassis *catalog_chassis(const struct catalog *catalog, const char *name)
{
    for (unsigned n = 0; n < catalog->chassis->len; n++) {
        const struct catalog_chassis *chassis = catalog->chassis->pdata[n];

        if (strcmp(chassis->name, name) == 0) {
            return chassis;
        }
    }
    return NULL;
}

char *catalog_card_names(const struct catalog *catalog, int kind)
{
    GString *out = g_string_new(NULL);

    for (unsigned n = 0; n < catalog->cards->len; n++) {
        const struct catalog_card *card = catalog->cards->pdata[n];

        if (kind < 0 || card->kind == (enum catalog_kind)kind) {
            g_string_append_printf(out, "%s%s", out->len ? ", " : "", card->name);
        }
    }
    return g_string_free(out, FALSE);
}

char *catalog_chassis_names(const struct catalog *catalog)
{
    GString *out = g_string_new(NULL);

    for (unsigned n = 0; n < catalog->chassis->len; n++) {
        const struct catalog_chassis *chassis = catalog->chassis->pdata[n];

        g_string_append_printf(out, "%s%s", out->len ? ", " : "", chassis->name);
    }
    return g_string_free(out, FALSE);
}

bool catalog_chassis_takes(const struct catalog_chassis *chassis, const char *card)
{
    for (unsigned n = 0; n < chassis->n_cards; n++) {
        if (strcmp(chassis->cards[n], card) == 0) {
            return true;
        }
    }
    return false;
}

uint32_t catalog_card_boot_ms(const struct catalog_card *card)
{
    uint32_t sum = 0;

    for (unsigned n = 0; n < CATALOG_STAGES; n++) {
        sum += card->stage_ms[n];
    }
    return sum;
}
