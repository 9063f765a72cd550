/*
 * conf - the tree itself: build, look up, copy, compare; see conf.h.
 *
 * Children are a doubly linked list in the user's order. A parent with more
 * than INDEX_FROM children also has a hash table over (name, key), so that
 * building a list of 10,000 entries stays linear. Any single thread.
 */
#include "re/conf/conf.h"

#include "firmware/core/secret.h"

#define INDEX_FROM 24 /* children; below it a walk is as fast as a hash */

static bool has_key(const struct conf_node *node)
{
    return node->kind == CONF_LIST || node->kind == CONF_LEAF_LIST;
}

static guint child_hash(gconstpointer p)
{
    const struct conf_node *node = p;
    guint h = g_str_hash(node->name);

    return has_key(node) && node->value ? h * 31 + g_str_hash(node->value) : h;
}

static gboolean child_same(gconstpointer pa, gconstpointer pb)
{
    const struct conf_node *a = pa, *b = pb;

    return strcmp(a->name, b->name) == 0 && has_key(a) == has_key(b) &&
           (!has_key(a) || g_strcmp0(a->value, b->value) == 0);
}

struct conf_node *conf_new(void)
{
    return g_new0(struct conf_node, 1);
}

static void free_text(char *text, bool secret)
{
    if (text && secret) {
        fw_wipe(text, strlen(text));
    }
    g_free(text);
}

static void unlink_node(struct conf_node *node)
{
    struct conf_node *parent = node->parent;

    if (!parent) {
        return;
    }
    if (parent->index) {
        g_hash_table_remove(parent->index, node);
    }
    *(node->previous ? &node->previous->next : &parent->first) = node->next;
    *(node->next ? &node->next->previous : &parent->last) = node->previous;
    node->parent = node->next = node->previous = NULL;
}

void conf_free(struct conf_node *node)
{
    if (!node) {
        return;
    }
    unlink_node(node);
    if (node->index) {
        g_hash_table_destroy(node->index);
        node->index = NULL;
    }
    while (node->first) {
        conf_free(node->first);
    }
    free_text(node->value, node->secret);
    g_free(node->name);
    g_free(node->comment);
    g_free(node);
}

static void append(struct conf_node *parent, struct conf_node *node, unsigned n_siblings)
{
    node->parent = parent;
    node->previous = parent->last;
    *(parent->last ? &parent->last->next : &parent->first) = node;
    parent->last = node;
    if (parent->index) {
        g_hash_table_add(parent->index, node);
    } else if (n_siblings >= INDEX_FROM) {
        parent->index = g_hash_table_new(child_hash, child_same);
        for (struct conf_node *n = parent->first; n; n = n->next) {
            g_hash_table_add(parent->index, n);
        }
    }
}

/* ret_n: children walked, when there is no index. */
static struct conf_node *find_child(const struct conf_node *parent, const struct conf_node *like,
                                    unsigned *ret_n)
{
    struct conf_node *n;

    *ret_n = 0;
    if (parent->index) {
        return g_hash_table_lookup(parent->index, like);
    }
    for (n = parent->first; n; n = n->next) {
        if (child_same(n, like)) {
            return n;
        }
        ++*ret_n;
    }
    return NULL;
}

struct conf_node *conf_add(struct conf_node *parent, enum conf_kind kind, const char *name,
                           const char *value)
{
    struct conf_node like = {.name = (char *)name, .value = (char *)value, .kind = kind};
    unsigned n_siblings;
    struct conf_node *node = find_child(parent, &like, &n_siblings);

    if (node) {
        if (kind == CONF_LEAF) {
            conf_set_value(node, value);
        }
        return node;
    }
    node = g_new0(struct conf_node, 1);
    node->name = g_strdup(name);
    node->value = g_strdup(value);
    node->kind = kind;
    append(parent, node, n_siblings);
    return node;
}

void conf_set_value(struct conf_node *node, const char *value)
{
    char *old = node->value;

    node->value = g_strdup(value);
    free_text(old, node->secret);
}

struct conf_node *conf_copy(const struct conf_node *node)
{
    struct conf_node *copy = g_new0(struct conf_node, 1);
    unsigned n = 0;

    copy->name = g_strdup(node->name);
    copy->value = g_strdup(node->value);
    copy->comment = g_strdup(node->comment);
    copy->kind = node->kind;
    copy->inactive = node->inactive;
    copy->is_default = node->is_default;
    copy->secret = node->secret;
    copy->line = node->line;
    for (const struct conf_node *child = node->first; child; child = child->next) {
        append(copy, conf_copy(child), n++);
    }
    return copy;
}

void conf_adopt(struct conf_node *parent, struct conf_node *node)
{
    append(parent, node, 0);
}

struct conf_node *conf_get(const struct conf_node *parent, const char *name, const char *value)
{
    struct conf_node like = {.name = (char *)name, .value = (char *)value, .kind = CONF_LIST};
    struct conf_node *node;
    unsigned n;

    if (!parent) {
        return NULL;
    }
    node = find_child(parent, &like, &n);
    if (!node) {
        like.kind = CONF_LEAF;
        node = find_child(parent, &like, &n);
    }
    return node;
}

const struct conf_node *conf_child(const struct conf_node *parent, const char *name)
{
    if (!parent) {
        return NULL;
    }
    for (const struct conf_node *n = parent->first; n; n = n->next) {
        if (!n->inactive && strcmp(n->name, name) == 0) {
            return n;
        }
    }
    return NULL;
}

const struct conf_node *conf_entry(const struct conf_node *parent, const char *list,
                                   const char *key)
{
    struct conf_node like = {.name = (char *)list, .value = (char *)key, .kind = CONF_LIST};
    const struct conf_node *node;
    unsigned n;

    if (!parent || !key) {
        return NULL;
    }
    node = find_child(parent, &like, &n);
    return node && !node->inactive ? node : NULL;
}

const struct conf_node *conf_next(const struct conf_node *node)
{
    if (!node) {
        return NULL;
    }
    for (const struct conf_node *n = node->next; n; n = n->next) {
        if (!n->inactive && strcmp(n->name, node->name) == 0) {
            return n;
        }
    }
    return NULL;
}

const struct conf_node *conf_find(const struct conf_node *root, const char *path)
{
    g_auto(GStrv) words = g_strsplit(path, " ", -1);
    const struct conf_node *at = root;

    for (unsigned i = 0; at && words[i]; i++) {
        const struct conf_node *child;

        if (words[i][0] == 0) {
            continue;
        }
        child = conf_child(at, words[i]);
        if (child && child->kind == CONF_LIST && words[i + 1]) {
            child = conf_entry(at, words[i], words[i + 1]);
            i++;
        }
        at = child;
    }
    return at;
}

const char *conf_leaf(const struct conf_node *parent, const char *name)
{
    const struct conf_node *node = conf_child(parent, name);

    return node ? node->value : NULL;
}

bool conf_has(const struct conf_node *parent, const char *name)
{
    return conf_child(parent, name) != NULL;
}

uint64_t conf_u64(const struct conf_node *parent, const char *name, uint64_t otherwise)
{
    const char *text = conf_leaf(parent, name);
    guint64 value;

    return text && g_ascii_string_to_unsigned(text, 10, 0, G_MAXUINT64, &value, NULL) ? value
                                                                                      : otherwise;
}

char *conf_path(const struct conf_node *node)
{
    GString *path = g_string_new(NULL);

    for (; node && node->name; node = node->parent) {
        if (path->len) {
            g_string_prepend_c(path, ' ');
        }
        if (has_key(node) && node->value) {
            g_string_prepend(path, node->value);
            g_string_prepend_c(path, ' ');
        }
        g_string_prepend(path, node->name);
    }
    return g_string_free(path, FALSE);
}

bool conf_equal(const struct conf_node *a, const struct conf_node *b)
{
    const struct conf_node *x, *y;

    if (g_strcmp0(a->name, b->name) != 0 || g_strcmp0(a->value, b->value) != 0 ||
        g_strcmp0(a->comment, b->comment) != 0 || a->kind != b->kind ||
        a->inactive != b->inactive || a->is_default != b->is_default || a->secret != b->secret) {
        return false;
    }
    for (x = a->first, y = b->first; x && y; x = x->next, y = y->next) {
        if (!conf_equal(x, y)) {
            return false;
        }
    }
    return !x && !y;
}
