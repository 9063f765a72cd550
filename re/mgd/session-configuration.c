/*
 * session-configuration - configuration mode: set, delete, activate, deactivate, show, commit
 * [check | and-quit], rollback [N], run, exit. Every edit works on a copy of the candidate, so a
 * refused one leaves it as it was.
 */
#include <string.h>

#include "firmware/core/error.h"
#include "firmware/core/secret.h"
#include "re/mgd/session.h"
#include "re/mgd/store.h"

static const char *const verbs[][2] = {{"activate", "Put a statement into use again"},
                                       {"commit", "Make the candidate active"},
                                       {"deactivate", "Keep a statement but do not use it"},
                                       {"delete", "Remove a statement"},
                                       {"exit", "Leave configuration mode"},
                                       {"quit", "Leave configuration mode"},
                                       {"rollback", "Take an earlier configuration"},
                                       {"run", "A command of operational mode"},
                                       {"set", "Add or change a statement"},
                                       {"show", "Show the candidate"},
                                       {NULL, NULL}};

/* Lines of the file it came from mean nothing any more. */
static void forget_lines(struct conf_node *node)
{
    node->line = 0;
    for (struct conf_node *n = node->first; n; n = n->next) {
        forget_lines(n);
    }
}

void session_configure(struct session *s)
{
    s->candidate = conf_copy(commit_active(s->mgd->commit));
    forget_lines(s->candidate);
    s->changed = false;
    session_say(s, "Entering configuration mode\n");
}

static void leave(struct session *s, const char *before)
{
    bool changed = s->changed;

    g_clear_pointer(&s->candidate, conf_free);
    s->changed = false;
    session_say(s, "%s%sExiting configuration mode\n", before,
                changed ? "The configuration has been changed but not committed\n" : "");
}

static void edit(struct session *s, const char *line)
{
    struct conf_node *copy = conf_copy(s->candidate);
    g_autoptr(GError) error = NULL;

    if (!curly_edit(s->mgd->schema, copy, line, &error)) {
        conf_free(copy);
        session_fail(s, error);
        return;
    }
    conf_free(s->candidate);
    s->candidate = copy;
    s->changed = true;
    session_done(s, NULL, false);
}

static void committed(const GError *error, void *data)
{
    struct session *s = data;

    if (error) {
        session_fail(s, error);
    } else if (s->check) {
        session_say(s, "configuration check succeeds\n");
    } else {
        s->changed = false;
        if (s->leave) {
            leave(s, "commit complete\n");
        } else {
            session_say(s, "commit complete\n");
        }
    }
}

static void commit(struct session *s, const GPtrArray *words)
{
    const char *how = words->len > 1 ? words->pdata[1] : "";
    g_autoptr(GError) error = NULL;

    if (words->len > 2 || (*how && strcmp(how, "check") != 0 && strcmp(how, "and-quit") != 0)) {
        fw_fail(&error, FW_ERROR_INVALID, "syntax error: commit \"%s\"; permitted: check, and-quit",
                how);
        session_fail(s, error);
        return;
    }
    s->check = strcmp(how, "check") == 0;
    s->leave = strcmp(how, "and-quit") == 0;
    commit_start(s->mgd->commit, s->candidate, s->check, s->user, committed, s);
}

static void rollback(struct session *s, const GPtrArray *words)
{
    guint64 number = 0;
    g_autoptr(GError) error = NULL;
    struct conf_node *root = NULL;
    gsize len;
    char *text;

    if (words->len > 1 && !g_ascii_string_to_unsigned(words->pdata[1], 10, 0, STORE_ROLLBACKS,
                                                      &number, NULL)) {
        fw_fail(&error, FW_ERROR_INVALID, "syntax error: rollback \"%s\"; permitted: 0..%u",
                (const char *)words->pdata[1], STORE_ROLLBACKS);
    } else if (number == 0) {
        root = conf_copy(commit_active(s->mgd->commit));
    } else {
        text = store_read(s->mgd->directory, (unsigned)number, &len, &error);
        if (text) {
            root = curly_read(s->mgd->schema, "rollback", text, len, &error);
            fw_wipe(text, len);
            g_free(text);
        }
    }
    if (!root) {
        session_fail(s, error);
        return;
    }
    conf_free(s->candidate);
    forget_lines(root);
    s->candidate = root;
    s->changed = !conf_equal(root, commit_active(s->mgd->commit));
    session_say(s, "load complete\n");
}

void session_configuration_line(struct session *s, const char *line)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) words = command_split(line, &error);
    const char *verb = words && words->len ? words->pdata[0] : "";

    if (!words) {
        session_fail(s, error);
        return;
    }
    if (strcmp(verb, "set") == 0 || strcmp(verb, "delete") == 0 || strcmp(verb, "activate") == 0 ||
        strcmp(verb, "deactivate") == 0) {
        edit(s, line);
    } else if (strcmp(verb, "show") == 0) {
        g_ptr_array_remove_index(words, 0);
        session_show_configuration(s, s->candidate, words);
    } else if (strcmp(verb, "commit") == 0) {
        commit(s, words);
    } else if (strcmp(verb, "rollback") == 0) {
        rollback(s, words);
    } else if (strcmp(verb, "exit") == 0 || strcmp(verb, "quit") == 0) {
        leave(s, "");
    } else if (strcmp(verb, "run") == 0 && words->len > 1) {
        session_operational(s, line + strcspn(line, " \t"));
    } else {
        fw_fail(&error, FW_ERROR_INVALID,
                "syntax error: unknown command \"%s\"; permitted: activate, commit, deactivate, "
                "delete, exit, rollback, run, set, show",
                verb);
        session_fail(s, error);
    }
}

/* ------------------------------------------------------------------ completion */

/* Cuts off the word that is being typed; *ret_last gets it. */
static GPtrArray *split_typed(const char *line, char **ret_last)
{
    GPtrArray *words = command_split(line, NULL);

    *ret_last = NULL;
    if (words && words->len && !g_ascii_isspace(line[strlen(line) - 1])) {
        *ret_last = g_strdup(words->pdata[words->len - 1]);
        g_ptr_array_remove_index(words, words->len - 1);
    }
    if (!*ret_last) {
        *ret_last = g_strdup("");
    }
    return words;
}

void session_statement_choices(struct session *s, const struct conf_node *conf, const char *line,
                               unsigned from, GPtrArray *list)
{
    g_autofree char *last = NULL;
    g_autoptr(GPtrArray) words = split_typed(line, &last);

    if (words) {
        conf_data_choices(s->mgd->schema, conf, words, from, last, list);
    }
}

GPtrArray *session_configuration_choices(struct session *s, const char *line)
{
    GPtrArray *list = command_choices_new();
    g_autofree char *last = NULL;
    g_autoptr(GPtrArray) words = split_typed(line, &last);
    const char *verb = words && words->len ? words->pdata[0] : "";

    if (!words) {
        return list;
    }
    if (words->len == 0) {
        for (unsigned i = 0; verbs[i][0]; i++) {
            if (g_str_has_prefix(verbs[i][0], last)) {
                command_choices_add(list, verbs[i][0], verbs[i][1], false);
            }
        }
    } else if (strcmp(verb, "run") == 0) {
        const struct command_row *rest;
        unsigned from;

        g_ptr_array_unref(list);
        list = command_choices(s->mgd->commands, line + strcspn(line, " \t"), &rest, &from);
    } else if (strcmp(verb, "commit") == 0) {
        command_choices_add(list, "and-quit", "Leave configuration mode afterwards", false);
        command_choices_add(list, "check", "Only see whether it would be accepted", false);
    } else if (strcmp(verb, "rollback") != 0 && strcmp(verb, "exit") != 0) {
        conf_data_choices(s->mgd->schema, s->candidate, words, 1, last, list);
    }
    return list;
}
