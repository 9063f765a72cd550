/*
 * yamltree - see yamltree.h.
 *
 * libyaml's document loader keeps the nodes in one array and refers by index,
 * so anchors may make a cycle; readers descend by the keys they know only and
 * are bounded by their own depth. The event limits below keep a hostile file
 * from growing: it is bounded by YAML_TREE_MAX bytes and aliases share nodes.
 */
#include "hw/lab/yamltree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "firmware/core/error.h"

struct yaml_tree {
    yaml_document_t document;
    char *path;
};

/* libyaml's functions do not take const though they do not write. */
static yaml_document_t *document_of(const struct yaml_tree *tree)
{
    return (yaml_document_t *)&tree->document;
}

bool yaml_tree_fail(const struct yaml_tree *tree, const yaml_tree_node *node, GError **error,
                    const char *format, ...)
{
    va_list ap;
    g_autofree char *text = NULL;

    va_start(ap, format);
    text = g_strdup_vprintf(format, ap);
    va_end(ap);
    return fw_fail(error, FW_ERROR_INVALID, "%s:%u: %s", tree->path, yaml_tree_line(node), text);
}

unsigned yaml_tree_line(const yaml_tree_node *node)
{
    return node ? (unsigned)node->start_mark.line + 1 : 1;
}

struct yaml_tree *yaml_tree_parse(const char *text, size_t len, const char *path, GError **error)
{
    yaml_parser_t parser;
    struct yaml_tree *tree;
    yaml_node_t *root;

    if (len > YAML_TREE_MAX) {
        fw_fail(error, FW_ERROR_INVALID, "%s: larger than %u bytes; this is not a description",
                path, YAML_TREE_MAX);
        return NULL;
    }
    if (!yaml_parser_initialize(&parser)) {
        g_error("out of memory");
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    tree = g_new0(struct yaml_tree, 1);
    tree->path = g_strdup(path);
    if (!yaml_parser_load(&parser, &tree->document)) {
        size_t line = parser.problem_mark.line + 1;

        fw_fail(error, FW_ERROR_INVALID, "%s:%zu: this is no valid YAML (%s%s%s); correct the line",
                path, line, parser.problem ? parser.problem : "unreadable",
                parser.context ? " " : "", parser.context ? parser.context : "");
        yaml_parser_delete(&parser);
        g_free(tree->path);
        g_free(tree);
        return NULL;
    }
    yaml_parser_delete(&parser);
    root = yaml_document_get_root_node(&tree->document);
    if (!root || root->type != YAML_MAPPING_NODE) {
        fw_fail(error, FW_ERROR_INVALID, "%s:%u: a mapping (key: value lines) is wanted here",
                path, yaml_tree_line(root));
        yaml_tree_free(tree);
        return NULL;
    }
    return tree;
}

void yaml_tree_free(struct yaml_tree *tree)
{
    if (!tree) {
        return;
    }
    yaml_document_delete(&tree->document);
    g_free(tree->path);
    g_free(tree);
}

const yaml_tree_node *yaml_tree_root(const struct yaml_tree *tree)
{
    return yaml_document_get_root_node(document_of(tree));
}

static const yaml_tree_node *node_at(const struct yaml_tree *tree, int index)
{
    return yaml_document_get_node(document_of(tree), index);
}

static const char *scalar_text(const yaml_tree_node *node)
{
    if (!node || node->type != YAML_SCALAR_NODE ||
        memchr(node->data.scalar.value, 0, node->data.scalar.length)) {
        return NULL;
    }
    return (const char *)node->data.scalar.value;
}

unsigned yaml_tree_count(const yaml_tree_node *node)
{
    if (node->type == YAML_MAPPING_NODE) {
        return (unsigned)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
    }
    if (node->type == YAML_SEQUENCE_NODE) {
        return (unsigned)(node->data.sequence.items.top - node->data.sequence.items.start);
    }
    return 0;
}

const yaml_tree_node *yaml_tree_pair(const struct yaml_tree *tree, const yaml_tree_node *map,
                                     unsigned n, const char **ret_key,
                                     const yaml_tree_node **ret_key_node)
{
    const yaml_node_pair_t *pair = &map->data.mapping.pairs.start[n];
    const yaml_tree_node *key = node_at(tree, pair->key);

    *ret_key = scalar_text(key);
    if (ret_key_node) {
        *ret_key_node = key;
    }
    return node_at(tree, pair->value);
}

const yaml_tree_node *yaml_tree_item(const struct yaml_tree *tree, const yaml_tree_node *list,
                                     unsigned n)
{
    return node_at(tree, list->data.sequence.items.start[n]);
}

const yaml_tree_node *yaml_tree_get(const struct yaml_tree *tree, const yaml_tree_node *map,
                                    const char *key)
{
    for (unsigned n = 0; n < yaml_tree_count(map); n++) {
        const char *k;
        const yaml_tree_node *value = yaml_tree_pair(tree, map, n, &k, NULL);

        if (k && strcmp(k, key) == 0) {
            return value;
        }
    }
    return NULL;
}

bool yaml_tree_map(const struct yaml_tree *tree, const yaml_tree_node *node, const char *what,
                   const char *const *keys, GError **error)
{
    GHashTable *seen;
    bool ok = true;

    if (!node || node->type != YAML_MAPPING_NODE) {
        return yaml_tree_fail(tree, node, error,
                              "%s is not a mapping; write it as key: value lines", what);
    }
    seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (unsigned n = 0; ok && n < yaml_tree_count(node); n++) {
        const char *key;
        const yaml_tree_node *key_node;

        yaml_tree_pair(tree, node, n, &key, &key_node);
        if (!key || !*key) {
            ok = yaml_tree_fail(tree, key_node, error,
                                "a key of %s is not a plain word; write key: value", what);
        } else if (!g_hash_table_add(seen, (gpointer)key)) {
            ok = yaml_tree_fail(tree, key_node, error, "'%s' appears twice in %s; remove one", key,
                                what);
        } else if (keys && !g_strv_contains(keys, key)) {
            g_autofree char *list = g_strjoinv(", ", (char **)keys);

            ok = yaml_tree_fail(tree, key_node, error, "unknown key '%s' in %s; permitted are %s",
                                key, what, list);
        }
    }
    g_hash_table_destroy(seen);
    return ok;
}

bool yaml_tree_list(const struct yaml_tree *tree, const yaml_tree_node *node, const char *what,
                    GError **error)
{
    if (!node || node->type != YAML_SEQUENCE_NODE) {
        return yaml_tree_fail(tree, node, error, "%s is not a list; write it as [a, b]", what);
    }
    return true;
}

const char *yaml_tree_string(const struct yaml_tree *tree, const yaml_tree_node *node,
                             const char *what, GError **error)
{
    const char *text = scalar_text(node);

    if (!text || !*text) {
        yaml_tree_fail(tree, node, error, "%s has no value; write one word behind it", what);
        return NULL;
    }
    return text;
}

bool yaml_tree_unsigned(const struct yaml_tree *tree, const yaml_tree_node *node, const char *what,
                        uint64_t min, uint64_t max, uint64_t *ret, GError **error)
{
    const char *text = yaml_tree_string(tree, node, what, error);
    uint64_t value;

    if (!text) {
        return false;
    }
    if (!g_ascii_string_to_unsigned(text, 10, min, max, &value, NULL)) {
        return yaml_tree_fail(tree, node, error,
                              "%s is '%s'; a number from %" G_GUINT64_FORMAT
                              " to %" G_GUINT64_FORMAT " is wanted", what, text, min, max);
    }
    *ret = value;
    return true;
}

bool yaml_tree_bool(const struct yaml_tree *tree, const yaml_tree_node *node, const char *what,
                    bool *ret, GError **error)
{
    const char *text = yaml_tree_string(tree, node, what, error);

    if (!text) {
        return false;
    }
    if (strcmp(text, "true") == 0 || strcmp(text, "yes") == 0 || strcmp(text, "on") == 0) {
        *ret = true;
    } else if (strcmp(text, "false") == 0 || strcmp(text, "no") == 0 || strcmp(text, "off") == 0) {
        *ret = false;
    } else {
        return yaml_tree_fail(tree, node, error, "%s is '%s'; permitted are true and false", what,
                              text);
    }
    return true;
}
