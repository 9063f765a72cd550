/*
 * yamltree - a YAML document as a tree whose nodes know their line.
 *
 * Built by libyaml; read by the lab file and the catalogue reader. Getters
 * check the type and set one sentence "FILE:LINE: what is wrong; remedy".
 * `what` names the place in messages ("node left", "options"). Strings belong
 * to the tree. Limit: YAML_TREE_MAX bytes, the first document.
 * Any thread, one at a time per tree.
 */
#ifndef LAB_YAMLTREE_H
#define LAB_YAMLTREE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define YAML_TREE_MAX (1u << 20) /* bytes: a larger description is a mistake */

struct yaml_tree;
typedef struct yaml_node_s yaml_tree_node;

/* path only names the file in messages. NULL on error. */
struct yaml_tree *yaml_tree_parse(const char *text, size_t len, const char *path, GError **error);
void yaml_tree_free(struct yaml_tree *tree);

/* The root, which is a mapping (checked by parse). */
const yaml_tree_node *yaml_tree_root(const struct yaml_tree *tree);
unsigned yaml_tree_line(const yaml_tree_node *node);
/* "FILE:LINE: " and the text; returns false. */
bool yaml_tree_fail(const struct yaml_tree *tree, const yaml_tree_node *node, GError **error,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));

/* A mapping, all of whose keys are plain, different and in `keys` (NULL: any). */
bool yaml_tree_map(const struct yaml_tree *tree, const yaml_tree_node *node, const char *what,
                   const char *const *keys, GError **error);
bool yaml_tree_list(const struct yaml_tree *tree, const yaml_tree_node *node, const char *what,
                    GError **error);
unsigned yaml_tree_count(const yaml_tree_node *node);
/* Pair n of a mapping; the key's node in *ret_key when wanted. */
const yaml_tree_node *yaml_tree_pair(const struct yaml_tree *tree, const yaml_tree_node *map,
                                     unsigned n, const char **ret_key,
                                     const yaml_tree_node **ret_key_node);
const yaml_tree_node *yaml_tree_item(const struct yaml_tree *tree, const yaml_tree_node *list,
                                     unsigned n);
/* NULL when the mapping has no such key. */
const yaml_tree_node *yaml_tree_get(const struct yaml_tree *tree, const yaml_tree_node *map,
                                    const char *key);

/* A scalar, not empty. NULL with error otherwise. */
const char *yaml_tree_string(const struct yaml_tree *tree, const yaml_tree_node *node,
                             const char *what, GError **error);
bool yaml_tree_unsigned(const struct yaml_tree *tree, const yaml_tree_node *node, const char *what,
                        uint64_t min, uint64_t max, uint64_t *ret, GError **error);
bool yaml_tree_bool(const struct yaml_tree *tree, const yaml_tree_node *node, const char *what,
                    bool *ret, GError **error);

#endif
