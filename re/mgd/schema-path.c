/*
 * schema-path - paths as they are written, and the expansion of a configuration
 * into what daemons get; see schema.h.
 */
#include "re/mgd/schema.h"

#include <string.h>

static void append_word(GString *path, const char *word)
{
    if (path->len) {
        g_string_append_c(path, ' ');
    }
    g_string_append(path, word);
}

static void append_path(const struct schema *schema, const struct conf_node *conf, GString *path)
{
    const struct schema_node *s;

    if (!conf->parent) {
        return;
    }
    append_path(schema, conf->parent, path);
    s = schema_of(schema, conf);
    if (!s || !s->elided) {
        append_word(path, conf->name);
    }
    if (conf->kind == CONF_LIST && conf->value) {
        append_word(path, conf->value);
    }
}

char *schema_path(const struct schema *schema, const struct conf_node *conf)
{
    GString *path = g_string_new(NULL);

    append_path(schema, conf, path);
    return g_string_free(path, FALSE);
}

char *schema_path_written(const struct schema *schema, const struct conf_node *root,
                          const char *path, const struct conf_node **ret_node)
{
    g_auto(GStrv) words = g_strsplit(path, " ", -1);
    const struct schema_node *s = schema_root(schema);
    const struct conf_node *at = root;
    GString *written = g_string_new(NULL);

    for (unsigned i = 0; words[i]; i++) {
        const struct schema_node *child = s ? schema_child(s, words[i]) : NULL;
        const char *key = NULL;
        const struct conf_node *next;

        if (words[i][0] == 0) {
            continue;
        }
        if (!child || !child->elided) {
            append_word(written, words[i]);
        }
        if (child && (child->kind == CONF_LIST || child->kind == CONF_LEAF_LIST) && words[i + 1]) {
            key = words[++i];
            append_word(written, key);
        }
        next = at && child ? conf_get(at, child->name, key) : NULL;
        if (next && ret_node) {
            *ret_node = next;
        }
        at = next;
        s = child;
    }
    return g_string_free(written, FALSE);
}

/* Is another branch of the same choice there? */
static bool excluded(const struct conf_node *conf, const struct schema_node *s,
                     const struct schema_node *leaf)
{
    if (!leaf->choice) {
        return false;
    }
    for (const struct conf_node *n = conf->first; n; n = n->next) {
        const struct schema_node *other = schema_child(s, n->name);

        if (other && other->choice == leaf->choice && other->branch != leaf->branch) {
            return true;
        }
    }
    return false;
}

static void expand(const struct schema_node *s, struct conf_node *conf)
{
    struct conf_node *next;

    for (struct conf_node *n = conf->first; n; n = next) {
        const struct schema_node *child = schema_child(s, n->name);

        next = n->next;
        if (n->inactive) {
            conf_free(n);
        } else if (child) {
            expand(child, n);
        }
    }
    for (unsigned i = 0; i < s->children->len; i++) {
        const struct schema_node *leaf = s->children->pdata[i];

        if (leaf->kind == CONF_LEAF && leaf->standard && !conf_child(conf, leaf->name) &&
            !excluded(conf, s, leaf)) {
            conf_add(conf, CONF_LEAF, leaf->name, leaf->standard)->is_default = true;
        }
    }
}

void schema_expand(const struct schema *schema, struct conf_node *root)
{
    expand(schema_root(schema), root);
}
