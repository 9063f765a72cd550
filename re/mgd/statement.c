/*
 * statement - see statement.h.
 */
#include "re/mgd/statement.h"

#include <string.h>

#include "firmware/core/error.h"
#include "firmware/core/secret.h"

#define EXPECTED_MAX 40 /* names listed in a message */

static void word_free(gpointer data)
{
    struct statement_word *word = data;

    fw_wipe(word->text, strlen(word->text));
    g_free(word->text);
    g_free(word);
}

GPtrArray *statement_words_new(void)
{
    return g_ptr_array_new_with_free_func(word_free);
}

void statement_words_add(GPtrArray *words, const char *text, bool list_member)
{
    struct statement_word *word = g_new0(struct statement_word, 1);

    word->text = g_strdup(text);
    word->list_member = list_member;
    g_ptr_array_add(words, word);
}

/* ------------------------------------------------------------------ messages */

static char *expected(const struct schema_node *s)
{
    GString *text = g_string_new(NULL);
    const struct schema_node *elided = schema_elided(s);

    for (unsigned i = 0; i < s->children->len && i < EXPECTED_MAX; i++) {
        const struct schema_node *child = s->children->pdata[i];

        if (!child->elided) {
            g_string_append_printf(text, "%s%s", text->len ? ", " : "", child->name);
        }
    }
    if (elided) {
        g_autofree char *values = schema_permitted(elided);

        g_string_append_printf(text, "%s%s", text->len ? ", " : "", values);
    }
    return g_string_free(text, FALSE);
}

static char *where(const struct schema *schema, const struct conf_node *conf,
                   const struct schema_node *s)
{
    g_autofree char *path = schema_path(schema, conf);

    return g_strdup_printf("%s%s%s", path, *path && s && !s->elided ? " " : "",
                           s && !s->elided ? s->name : "");
}

static bool fail_unknown(const struct schema *schema, const struct conf_node *conf,
                         const struct schema_node *s, const char *word, GError **error)
{
    g_autofree char *path = where(schema, conf, NULL), *names = expected(s);

    return fw_fail(error, FW_ERROR_INVALID,
                   "syntax error: %s%s\"%s\" is no statement here; permitted: %s", path,
                   *path ? ": " : "", word, *names ? names : "nothing more");
}

static bool fail_value(const struct schema *schema, const struct conf_node *conf,
                       const struct schema_node *s, const char *value, GError **error)
{
    g_autofree char *path = where(schema, conf, s), *permitted = schema_permitted(s);

    if (!value) {
        return fw_fail(error, FW_ERROR_INVALID,
                       "syntax error: %s: a value is missing; permitted: %s", path, permitted);
    }
    return fw_fail(error, FW_ERROR_INVALID, "%s: \"%s\" is not valid; permitted: %s", path,
                   s->secret ? "the value" : value, permitted);
}

/* ------------------------------------------------------------------ the walk */

struct walk {
    const struct schema *schema;
    const GPtrArray *words;
    unsigned at, line;
    bool abbreviations; /* a beginning of one name stands for it */
};

static const struct statement_word *word_now(const struct walk *w)
{
    return w->at < w->words->len ? w->words->pdata[w->at] : NULL;
}

/* A new branch of a choice replaces the others. */
static void exclude(struct conf_node *conf, const struct schema_node *up,
                    const struct schema_node *s)
{
    struct conf_node *next;

    if (!s->choice) {
        return;
    }
    for (struct conf_node *n = conf->first; n; n = next) {
        const struct schema_node *other = schema_child(up, n->name);

        next = n->next;
        if (other && other->choice == s->choice && other->branch != s->branch) {
            conf_free(n);
        }
    }
}

static struct conf_node *make(struct walk *w, struct conf_node *conf, const struct schema_node *s,
                              const char *value)
{
    struct conf_node *node;

    exclude(conf, s->parent, s);
    node = conf_add(conf, s->kind, s->name, value);
    node->secret = s->secret;
    if (node->line == 0 || s->kind == CONF_LEAF) {
        node->line = w->line;
    }
    return node;
}

/* Values of a leaf-list or of a list written as `[ a b ]`; at least one. */
static bool make_several(struct walk *w, struct conf_node *conf, const struct schema_node *s,
                         struct conf_node **ret_last, GError **error)
{
    const struct statement_word *word = word_now(w);
    bool first = true;

    for (; word && (first || word->list_member); first = false) {
        bool single = !word->list_member;

        if (!schema_check(w->schema, s, word->text)) {
            return fail_value(w->schema, conf, s, word->text, error);
        }
        *ret_last = make(w, conf, s, word->text);
        w->at++;
        word = single ? NULL : word_now(w);
    }
    return first ? fail_value(w->schema, conf, s, NULL, error) : true;
}

static bool step(struct walk *w, struct place *place, const struct schema_node *s,
                 struct conf_node **ret_last, GError **error)
{
    const struct statement_word *word = word_now(w);

    switch (s->kind) {
    case CONF_CONTAINER:
        *ret_last = place->conf = make(w, place->conf, s, NULL);
        place->schema = s;
        return true;
    case CONF_LIST:
        if (s->grouped && !word) { /* its block follows */
            place->schema = s;
            place->in_group = true;
            *ret_last = NULL;
            return true;
        }
        if (word && word->list_member) {
            return make_several(w, place->conf, s, ret_last, error);
        }
        if (!word || !schema_check(w->schema, s, word->text)) {
            return fail_value(w->schema, place->conf, s, word ? word->text : NULL, error);
        }
        *ret_last = place->conf = make(w, place->conf, s, word->text);
        place->schema = s;
        w->at++;
        return true;
    case CONF_LEAF_LIST:
        return make_several(w, place->conf, s, ret_last, error);
    case CONF_LEAF:
        break;
    }
    if (s->flag) {
        *ret_last = make(w, place->conf, s, NULL);
        return true;
    }
    if (!word || word->list_member || !schema_check(w->schema, s, word->text)) {
        return fail_value(w->schema, place->conf, s, word ? word->text : NULL, error);
    }
    *ret_last = make(w, place->conf, s, word->text);
    w->at++;
    return true;
}

static const struct schema_node *abbreviated(const struct schema_node *s, const char *text)
{
    const struct schema_node *found = NULL;

    for (unsigned i = 0; i < s->children->len; i++) {
        const struct schema_node *child = s->children->pdata[i];

        if (!child->elided && g_str_has_prefix(child->name, text)) {
            if (found) {
                return NULL;
            }
            found = child;
        }
    }
    return found;
}

/* The schema node a word leads to; the word is consumed unless it is a value itself. */
static const struct schema_node *choose(struct walk *w, const struct schema_node *s)
{
    const struct statement_word *word = word_now(w);
    const struct schema_node *child = word->list_member ? NULL : schema_child(s, word->text);

    if (child && !child->elided) {
        w->at++;
        return child;
    }
    child = schema_elided(s);
    if (!child && w->abbreviations && (child = abbreviated(s, word->text))) {
        w->at++;
    }
    return child;
}

bool statement_set(const struct schema *schema, const struct place *from, const GPtrArray *words,
                   unsigned line, struct place *ret, struct conf_node **ret_last, GError **error)
{
    struct walk w = {.schema = schema, .words = words, .line = line};
    struct place place = *from;
    struct conf_node *last = NULL;

    if (place.in_group) { /* the statement is an entry of the list */
        const struct schema_node *list = place.schema;

        place.in_group = false;
        if (!step(&w, &place, list, &last, error)) {
            return false;
        }
    }
    while (w.at < words->len) {
        const struct statement_word *word = word_now(&w);
        const struct schema_node *s = choose(&w, place.schema);

        if (!s) {
            return fail_unknown(schema, place.conf, place.schema, word->text, error);
        }
        if (!step(&w, &place, s, &last, error)) {
            return false;
        }
    }
    *ret = place;
    if (ret_last) {
        *ret_last = last;
    }
    return true;
}

/* ------------------------------------------------------------------ finding */

static void append_all(struct conf_node *conf, const char *name, GPtrArray *found)
{
    for (struct conf_node *n = conf ? conf->first : NULL; n; n = n->next) {
        if (strcmp(n->name, name) == 0) {
            g_ptr_array_add(found, n);
        }
    }
}

bool statement_find(const struct schema *schema, struct conf_node *root, const GPtrArray *words,
                    GPtrArray *found, GError **error)
{
    struct walk w = {.schema = schema, .words = words, .abbreviations = true};
    const struct schema_node *s = schema_root(schema);
    struct conf_node *conf = root;

    while (w.at < words->len) {
        const struct statement_word *word = word_now(&w);
        const struct schema_node *child = choose(&w, s);
        bool keyed;

        if (!child) {
            return fail_unknown(schema, conf ? conf : root, s, word->text, error);
        }
        keyed = child->kind == CONF_LIST || child->kind == CONF_LEAF_LIST ||
                (child->kind == CONF_LEAF && !child->flag);
        if (keyed && w.at < words->len) {
            const struct statement_word *key = word_now(&w);
            struct conf_node *next = conf ? conf_get(conf, child->name, key->text) : NULL;

            if (next && child->kind == CONF_LEAF && g_strcmp0(next->value, key->text) != 0) {
                next = NULL;
            }
            conf = next;
            w.at++;
        } else if (keyed) {
            append_all(conf, child->name, found);
            return true;
        } else {
            conf = conf ? conf_get(conf, child->name, NULL) : NULL;
        }
        s = child;
    }
    if (conf) {
        g_ptr_array_add(found, conf);
    }
    return true;
}
