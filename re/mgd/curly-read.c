/*
 * curly-read - configuration text into a tree; see curly.h.
 */
#include "firmware/core/error.h"
#include "re/mgd/curly.h"
#include "re/mgd/lexer.h"
#include "re/mgd/statement.h"

struct reader {
    const struct schema *schema;
    const char *file;
    struct lexer lexer;
    GPtrArray *words;
    bool inactive;            /* the statement began with inactive: */
    unsigned line;            /* of the statement */
    struct place blocks[CONF_DEPTH_MAX + 1];
    unsigned depth;
};

static bool fail_at(const struct reader *r, unsigned line, const char *problem, GError **error)
{
    return fw_fail(error, FW_ERROR_INVALID, "%s:%u: syntax error: %s", r->file, line, problem);
}

static void statement_clear(struct reader *r)
{
    g_ptr_array_set_size(r->words, 0);
    r->inactive = false;
    r->line = 0;
}

static void add_word(struct reader *r, bool list_member)
{
    if (r->words->len == 0) {
        r->line = r->lexer.line;
        if (!r->lexer.quoted && strcmp(r->lexer.word->str, "inactive:") == 0) {
            r->inactive = true;
            return;
        }
    }
    statement_words_add(r->words, r->lexer.word->str, list_member);
}

static bool read_list(struct reader *r, GError **error)
{
    enum mgd_token token;

    while ((token = lexer_next(&r->lexer)) == TOKEN_WORD) {
        add_word(r, true);
    }
    if (token == TOKEN_BAD) {
        return fail_at(r, r->lexer.line, r->lexer.problem, error);
    }
    return token == TOKEN_LIST_END || fail_at(r, r->lexer.line, "] is missing", error);
}

/* The words up to here are a statement; opens: a block follows. */
static bool statement_done(struct reader *r, bool opens, GError **error)
{
    struct place place;
    struct conf_node *last;

    if (r->words->len == 0) {
        return fail_at(r, r->lexer.line, "a statement is missing", error);
    }
    if (!statement_set(r->schema, &r->blocks[r->depth], r->words, r->line, &place, &last, error)) {
        g_prefix_error(error, "%s:%u: ", r->file, r->line);
        return false;
    }
    if (last) {
        last->inactive = r->inactive;
        if (r->lexer.comment->len) {
            g_free(last->comment);
            last->comment = g_strdup(r->lexer.comment->str);
        }
    }
    g_string_truncate(r->lexer.comment, 0);
    if (opens) {
        if (last && (last->kind == CONF_LEAF || last->kind == CONF_LEAF_LIST)) {
            return fail_at(r, r->lexer.line, "{ after a statement that has none; write ;", error);
        }
        if (r->depth == CONF_DEPTH_MAX) {
            return fail_at(r, r->lexer.line, "blocks are nested too deep", error);
        }
        r->blocks[++r->depth] = place;
    }
    statement_clear(r);
    return true;
}

static bool read_blocks(struct reader *r, GError **error)
{
    for (;;) {
        switch (lexer_next(&r->lexer)) {
        case TOKEN_WORD:
            add_word(r, false);
            break;
        case TOKEN_LIST:
            if (!read_list(r, error)) {
                return false;
            }
            break;
        case TOKEN_OPEN:
            if (!statement_done(r, true, error)) {
                return false;
            }
            break;
        case TOKEN_END:
            if (!statement_done(r, false, error)) {
                return false;
            }
            break;
        case TOKEN_CLOSE:
            if (r->words->len) {
                return fail_at(r, r->lexer.line, "; is missing before }", error);
            }
            if (r->depth == 0) {
                return fail_at(r, r->lexer.line, "} without {", error);
            }
            r->depth--;
            g_string_truncate(r->lexer.comment, 0);
            break;
        case TOKEN_LIST_END:
            return fail_at(r, r->lexer.line, "] without [", error);
        case TOKEN_BAD:
            return fail_at(r, r->lexer.line, r->lexer.problem, error);
        case TOKEN_NEWLINE:
            break;
        case TOKEN_EOF:
            if (r->words->len) {
                return fail_at(r, r->line, "; or { is missing at the end", error);
            }
            return r->depth == 0 || fail_at(r, r->lexer.line, "} is missing at the end", error);
        }
    }
}

/* ------------------------------------------------------------------ set lines */

static bool activation(const struct schema *schema, struct conf_node *root, const GPtrArray *words,
                       const char *verb, GError **error)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new();

    if (!statement_find(schema, root, words, found, error)) {
        return false;
    }
    if (found->len == 0 || words->len == 0) {
        return fw_fail(error, FW_ERROR_NOT_FOUND, "%s: statement not found", verb);
    }
    for (unsigned i = 0; i < found->len; i++) {
        struct conf_node *node = found->pdata[i];

        if (strcmp(verb, "delete") == 0) {
            struct conf_node *up = node->parent;

            conf_free(node);
            /* What held only this goes too, unless it means something when empty. */
            while (up->parent && !up->first && up->kind == CONF_CONTAINER &&
                   !schema_of(schema, up)->presence) {
                struct conf_node *empty = up;

                up = up->parent;
                conf_free(empty);
            }
        } else {
            node->inactive = strcmp(verb, "deactivate") == 0;
        }
    }
    return true;
}

static bool edit(const struct schema *schema, struct conf_node *root, GPtrArray *words,
                 unsigned line, GError **error)
{
    struct place from = {root, schema_root(schema), false}, place;
    const struct statement_word *first = words->pdata[0];
    g_autofree char *verb = g_strdup(first->text);

    g_ptr_array_remove_index(words, 0);
    if (strcmp(verb, "set") == 0) {
        if (words->len == 0) {
            return fw_fail(error, FW_ERROR_INVALID, "syntax error: set: a statement is missing");
        }
        return statement_set(schema, &from, words, line, &place, NULL, error);
    }
    if (strcmp(verb, "delete") == 0 || strcmp(verb, "activate") == 0 ||
        strcmp(verb, "deactivate") == 0) {
        return activation(schema, root, words, verb, error);
    }
    return fw_fail(error, FW_ERROR_INVALID,
                   "syntax error: \"%s\" is unknown; permitted: set, delete, activate, deactivate",
                   verb);
}

/* One line of words at the lexer; false at a problem. *ret_more: there was a line. */
static bool read_line(struct reader *r, bool *ret_more, GError **error)
{
    enum mgd_token token;
    bool in_list = false;

    statement_clear(r);
    while ((token = lexer_next(&r->lexer)) != TOKEN_NEWLINE && token != TOKEN_EOF) {
        switch (token) {
        case TOKEN_WORD:
            r->line = r->lexer.line;
            statement_words_add(r->words, r->lexer.word->str, in_list);
            break;
        case TOKEN_LIST:
            in_list = true;
            break;
        case TOKEN_LIST_END:
            in_list = false;
            break;
        case TOKEN_BAD:
            return fail_at(r, r->lexer.line, r->lexer.problem, error);
        default:
            return fail_at(r, r->lexer.line, "{, } and ; do not belong in a set line", error);
        }
    }
    *ret_more = token != TOKEN_EOF || r->words->len;
    return true;
}

static bool read_set(struct reader *r, struct conf_node *root, GError **error)
{
    bool more;

    do {
        if (!read_line(r, &more, error)) {
            return false;
        }
        if (r->words->len && !edit(r->schema, root, r->words, r->line, error)) {
            g_prefix_error(error, "%s:%u: ", r->file, r->line);
            return false;
        }
    } while (more);
    return true;
}

static bool looks_like_set(const char *text, size_t len)
{
    struct lexer lexer;
    bool set;

    lexer_init(&lexer, text, len, false);
    set = lexer_next(&lexer) == TOKEN_WORD && strcmp(lexer.word->str, "set") == 0;
    lexer_clear(&lexer);
    return set;
}

struct conf_node *curly_read(const struct schema *schema, const char *file, const char *text,
                             size_t len, GError **error)
{
    bool set = looks_like_set(text, len);
    struct reader *r = g_new0(struct reader, 1);
    struct conf_node *root = conf_new();
    bool good;

    r->schema = schema;
    r->file = file;
    r->words = statement_words_new();
    r->blocks[0] = (struct place){root, schema_root(schema), false};
    lexer_init(&r->lexer, text, len, set);
    good = set ? read_set(r, root, error) : read_blocks(r, error);
    lexer_clear(&r->lexer);
    g_ptr_array_unref(r->words);
    g_free(r);
    if (!good) {
        conf_free(root);
        return NULL;
    }
    return root;
}

bool curly_edit(const struct schema *schema, struct conf_node *root, const char *line,
                GError **error)
{
    struct reader *r = g_new0(struct reader, 1);
    bool more, good;

    r->schema = schema;
    r->file = "command";
    r->words = statement_words_new();
    lexer_init(&r->lexer, line, strlen(line), true);
    good = read_line(r, &more, error) && r->words->len &&
           edit(schema, root, r->words, 0, error);
    lexer_clear(&r->lexer);
    g_ptr_array_unref(r->words);
    g_free(r);
    return good;
}
