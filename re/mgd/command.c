/*
 * command - the word tree made of the table, and parsing with it; see command.h.
 */
#include "re/mgd/command.h"

#include <string.h>

#include "firmware/core/error.h"
#include "re/mgd/lexer.h"

struct word {
    char *text; /* literal, or <name> */
    const char *help;
    const struct command_row *row; /* a command may end here */
    GPtrArray *children;
};

struct commands {
    struct word *root;
};

static void word_free(gpointer data)
{
    struct word *w = data;

    g_free(w->text);
    g_ptr_array_unref(w->children);
    g_free(w);
}

static struct word *word_new(const char *text)
{
    struct word *w = g_new0(struct word, 1);

    w->text = g_strdup(text);
    w->help = "";
    w->children = g_ptr_array_new_with_free_func(word_free);
    return w;
}

static bool is_value(const struct word *w)
{
    return w->text[0] == '<';
}

static const char *help_find(const char *words)
{
    for (unsigned i = 0; command_help[i][0]; i++) {
        if (strcmp(command_help[i][0], words) == 0) {
            return command_help[i][1];
        }
    }
    return "";
}

static struct word *child(struct word *parent, const char *text)
{
    for (unsigned i = 0; i < parent->children->len; i++) {
        struct word *w = parent->children->pdata[i];

        if (strcmp(w->text, text) == 0) {
            return w;
        }
    }
    g_ptr_array_add(parent->children, word_new(text));
    return parent->children->pdata[parent->children->len - 1];
}

static int by_text(gconstpointer a, gconstpointer b)
{
    const struct word *x = *(struct word *const *)a, *y = *(struct word *const *)b;

    /* Values behind the literals: a literal wins. */
    return is_value(x) != is_value(y) ? (int)is_value(x) - (int)is_value(y)
                                      : strcmp(x->text, y->text);
}

static void sort(struct word *w)
{
    g_ptr_array_sort(w->children, by_text);
    for (unsigned i = 0; i < w->children->len; i++) {
        sort(w->children->pdata[i]);
    }
}

struct commands *commands_new(void)
{
    struct commands *commands = g_new0(struct commands, 1);

    commands->root = word_new("");
    for (const struct command_row *row = command_table; row->words; row++) {
        g_auto(GStrv) words = g_strsplit(row->words, " ", -1);
        g_autoptr(GString) path = g_string_new(NULL);
        struct word *at = commands->root;

        for (unsigned i = 0; words[i]; i++) {
            g_string_append_printf(path, "%s%s", i ? " " : "", words[i]);
            at = child(at, words[i]);
            if (!*at->help) {
                at->help = help_find(is_value(at) ? at->text : path->str);
            }
        }
        at->row = row;
        if (!is_value(at)) {
            at->help = row->help;
        }
    }
    sort(commands->root);
    return commands;
}

void commands_free(struct commands *commands)
{
    if (commands) {
        word_free(commands->root);
        g_free(commands);
    }
}

/* ------------------------------------------------------------------ lines */

GPtrArray *command_split(const char *line, GError **error)
{
    GPtrArray *words = g_ptr_array_new_with_free_func(g_free);
    static const char marks[] = {'{', '}', '[', ']', ';'};
    struct lexer lexer;
    enum mgd_token token;

    lexer_init(&lexer, line, strlen(line), false);
    while ((token = lexer_next(&lexer)) != TOKEN_EOF && token != TOKEN_BAD) {
        if (token == TOKEN_WORD) {
            g_ptr_array_add(words, g_strdup(lexer.word->str));
        } else {
            g_ptr_array_add(words, g_strdup_printf("%c", marks[token - TOKEN_OPEN]));
        }
    }
    if (token == TOKEN_BAD) {
        fw_fail(error, FW_ERROR_INVALID, "syntax error: %s", lexer.problem);
        g_clear_pointer(&words, g_ptr_array_unref);
    }
    lexer_clear(&lexer);
    return words;
}

/* The child a typed word means: exact, else the only one it abbreviates, else a value. */
static const struct word *match(const struct word *at, const char *typed, unsigned *ret_n)
{
    const struct word *found = NULL, *value = NULL;

    *ret_n = 0;
    for (unsigned i = 0; i < at->children->len; i++) {
        const struct word *w = at->children->pdata[i];

        if (is_value(w)) {
            value = w;
        } else if (strcmp(w->text, typed) == 0) {
            *ret_n = 1;
            return w;
        } else if (g_str_has_prefix(w->text, typed)) {
            found = w;
            ++*ret_n;
        }
    }
    if (*ret_n == 0 && value) {
        *ret_n = 1;
        return value;
    }
    return *ret_n == 1 ? found : NULL;
}

static char *names(const struct word *at, const char *prefix)
{
    GString *text = g_string_new(NULL);

    for (unsigned i = 0; i < at->children->len; i++) {
        const struct word *w = at->children->pdata[i];

        if (g_str_has_prefix(w->text, prefix) || is_value(w)) {
            g_string_append_printf(text, "%s%s", text->len ? ", " : "", w->text);
        }
    }
    return g_string_free(text, FALSE);
}

/* "slot=$slot cmd=offline" with the values that were typed. */
static void arguments(struct command *command, GHashTable *values)
{
    g_auto(GStrv) parts = g_strsplit(command->row->arguments, " ", -1);
    struct bus_rpc_call *call = &command->call;

    g_strlcpy(call->name, command->row->rpc, sizeof call->name);
    for (unsigned i = 0; parts[i] && call->n_arguments < G_N_ELEMENTS(call->arguments); i++) {
        struct bus_rpc_argument *a = &call->arguments[call->n_arguments];
        char *value = strchr(parts[i], '=');
        const char *text = value ? value + 1 : "";

        if (!*parts[i]) {
            continue;
        }
        if (value) {
            *value = 0;
        }
        if (*text == '$') {
            text = g_hash_table_lookup(values, text + 1);
        }
        g_strlcpy(a->name, parts[i], sizeof a->name);
        g_strlcpy(a->value, text ? text : "", sizeof a->value);
        call->n_arguments++;
    }
}

void command_free(struct command *command)
{
    if (command) {
        g_ptr_array_unref(command->rest);
        g_free(command->value);
        g_free(command);
    }
}

struct command *command_parse(const struct commands *commands, const char *line, GError **error)
{
    g_autoptr(GPtrArray) words = command_split(line, error);
    g_autoptr(GHashTable) values = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    const struct word *at = commands->root;
    struct command *command;
    const char *value = NULL;
    unsigned i, n;

    if (!words) {
        return NULL;
    }
    for (i = 0; i < words->len && !(at->row && at->row->rest); i++) {
        const char *typed = words->pdata[i];
        const struct word *next = match(at, typed, &n);
        g_autofree char *permitted = names(at, n > 1 ? typed : "");

        if (!next && n > 1) {
            fw_fail(error, FW_ERROR_INVALID, "\"%s\" is ambiguous: %s", typed, permitted);
            return NULL;
        }
        if (!next) {
            fw_fail(error, FW_ERROR_INVALID, "%s: \"%s\"; permitted: %s",
                    i == 0 ? "syntax error: unknown command" : "syntax error", typed,
                    *permitted ? permitted : "nothing more");
            return NULL;
        }
        if (is_value(next)) {
            value = typed;
            g_hash_table_replace(values, g_strndup(next->text + 1, strlen(next->text) - 2),
                                 words->pdata[i]);
        }
        at = next;
    }
    if (!at->row) {
        g_autofree char *permitted = names(at, "");

        fw_fail(error, FW_ERROR_INVALID, "syntax error: the command is not complete; permitted: %s",
                permitted);
        return NULL;
    }
    command = g_new0(struct command, 1);
    command->row = at->row;
    command->value = g_strdup(value);
    command->rest = g_ptr_array_new_with_free_func(g_free);
    for (; i < words->len; i++) {
        g_ptr_array_add(command->rest, g_strdup(words->pdata[i]));
    }
    if (at->row->action == COMMAND_RPC) {
        arguments(command, values);
    }
    return command;
}

/* ------------------------------------------------------------------ completion */

static void choice_free(gpointer data)
{
    struct command_choice *c = data;

    g_free(c->word);
    g_free(c->help);
    g_free(c);
}

GPtrArray *command_choices_new(void)
{
    return g_ptr_array_new_with_free_func(choice_free);
}

void command_choices_add(GPtrArray *choices, const char *word, const char *help, bool value)
{
    struct command_choice *c = g_new0(struct command_choice, 1);

    c->word = g_strdup(word);
    c->help = g_strdup(help);
    c->value = value;
    g_ptr_array_add(choices, c);
}

GPtrArray *command_choices(const struct commands *commands, const char *line,
                           const struct command_row **ret_rest, unsigned *ret_from)
{
    g_autoptr(GPtrArray) words = command_split(line, NULL);
    GPtrArray *choices = command_choices_new();
    const struct word *at = commands->root;
    const char *last = "";
    unsigned i, n;

    *ret_rest = NULL;
    if (!words) {
        return choices;
    }
    n = words->len;
    if (n > 0 && !g_ascii_isspace(line[strlen(line) - 1])) {
        last = words->pdata[--n];
    }
    for (i = 0; i < n && !(at->row && at->row->rest); i++) {
        unsigned matches;

        at = match(at, words->pdata[i], &matches);
        if (!at) {
            return choices;
        }
    }
    if (at->row && at->row->rest) {
        *ret_rest = at->row;
        *ret_from = i;
        return choices;
    }
    for (i = 0; i < at->children->len; i++) {
        const struct word *w = at->children->pdata[i];

        if (is_value(w) || g_str_has_prefix(w->text, last)) {
            command_choices_add(choices, w->text, w->help, is_value(w));
        }
    }
    if (at->row && !*last) {
        command_choices_add(choices, "<[Enter]>", "Execute this command", true);
        command_choices_add(choices, "|", "Pipe through a command", true);
    }
    return choices;
}
