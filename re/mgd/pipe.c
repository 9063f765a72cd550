/*
 * pipe - see pipe.h.
 */
#include "re/mgd/pipe.h"

#include <string.h>

#include "firmware/core/error.h"
#include "re/mgd/command.h"

#define LAST_LINES 10 /* of `last` without a number */

enum kind { PIPE_MATCH, PIPE_EXCEPT, PIPE_COUNT, PIPE_LAST, PIPE_NO_MORE };

struct pipe {
    enum kind kind;
    GRegex *regex;
    unsigned lines;
};

struct pipes {
    struct pipe pipes[PIPES_MAX];
    unsigned n;
    enum pipe_display display;
};

const char *const pipe_help[][2] = {{"count", "Count lines"},
                                    {"display", "Another form: xml, json, set"},
                                    {"except", "Lines that do not match"},
                                    {"last", "The last lines"},
                                    {"match", "Lines that match"},
                                    {"no-more", "Without pages"},
                                    {NULL, NULL}};

void pipes_free(struct pipes *pipes)
{
    for (unsigned i = 0; pipes && i < pipes->n; i++) {
        if (pipes->pipes[i].regex) {
            g_regex_unref(pipes->pipes[i].regex);
        }
    }
    g_free(pipes);
}

static bool display_set(struct pipes *pipes, const GPtrArray *words, GError **error)
{
    const char *form = words->len > 1 ? words->pdata[1] : "";

    if (strcmp(form, "xml") == 0) {
        pipes->display = words->len > 2 && strcmp(words->pdata[2], "rpc") == 0 ? DISPLAY_RPC
                                                                               : DISPLAY_XML;
    } else if (strcmp(form, "json") == 0) {
        pipes->display = DISPLAY_JSON;
    } else if (strcmp(form, "set") == 0) {
        pipes->display = DISPLAY_SET;
    } else {
        return fw_fail(error, FW_ERROR_INVALID,
                       "syntax error: display \"%s\"; permitted: xml, json, set", form);
    }
    return true;
}

static bool pipe_add(struct pipes *pipes, const GPtrArray *words, GError **error)
{
    const char *verb = words->len ? words->pdata[0] : "";
    const char *argument = words->len > 1 ? words->pdata[1] : NULL;
    struct pipe *pipe;

    if (strcmp(verb, "display") == 0) {
        return display_set(pipes, words, error);
    }
    if (pipes->n == PIPES_MAX) {
        return fw_fail(error, FW_ERROR_INVALID, "more than %u pipes", PIPES_MAX);
    }
    pipe = &pipes->pipes[pipes->n];
    *pipe = (struct pipe){.lines = LAST_LINES};
    if (strcmp(verb, "match") == 0 || strcmp(verb, "grep") == 0 || strcmp(verb, "except") == 0) {
        pipe->kind = strcmp(verb, "except") == 0 ? PIPE_EXCEPT : PIPE_MATCH;
        if (!argument) {
            return fw_fail(error, FW_ERROR_INVALID, "syntax error: %s: a pattern is missing", verb);
        }
        pipe->regex = g_regex_new(argument, G_REGEX_CASELESS | G_REGEX_RAW, 0, error);
        if (!pipe->regex) {
            return false;
        }
    } else if (strcmp(verb, "count") == 0) {
        pipe->kind = PIPE_COUNT;
    } else if (strcmp(verb, "last") == 0) {
        guint64 lines = LAST_LINES;

        pipe->kind = PIPE_LAST;
        if (argument && !g_ascii_string_to_unsigned(argument, 10, 1, 100000, &lines, NULL)) {
            return fw_fail(error, FW_ERROR_INVALID,
                           "syntax error: last \"%s\"; permitted: 1..100000", argument);
        }
        pipe->lines = (unsigned)lines;
    } else if (strcmp(verb, "no-more") == 0) {
        pipe->kind = PIPE_NO_MORE;
    } else {
        return fw_fail(error, FW_ERROR_INVALID,
                       "syntax error: | \"%s\"; permitted: count, display, except, last, match, "
                       "no-more",
                       verb);
    }
    pipes->n++;
    return true;
}

/* The next | outside quotes, or the end. */
static const char *cut(const char *p)
{
    bool quoted = false;

    for (; *p && (quoted || *p != '|'); p++) {
        if (*p == '\\' && p[1]) {
            p++;
        } else if (*p == '"') {
            quoted = !quoted;
        }
    }
    return p;
}

struct pipes *pipes_parse(const char *line, char **ret_command, GError **error)
{
    struct pipes *pipes = g_new0(struct pipes, 1);
    const char *end = cut(line);
    g_autofree char *command = g_strndup(line, (gsize)(end - line));

    while (*end) {
        const char *from = end + 1;
        g_autofree char *text = NULL;
        g_autoptr(GPtrArray) words = NULL;

        end = cut(from);
        text = g_strndup(from, (gsize)(end - from));
        words = command_split(text, error);
        if (!words || !pipe_add(pipes, words, error)) {
            pipes_free(pipes);
            return NULL;
        }
    }
    *ret_command = g_steal_pointer(&command);
    return pipes;
}

enum pipe_display pipes_display(const struct pipes *pipes)
{
    return pipes->display;
}

static void filter(const struct pipe *pipe, GString *text)
{
    GString *kept = g_string_new(NULL);
    gsize at = 0;

    while (at < text->len) {
        const char *line = text->str + at;
        const char *end = memchr(line, '\n', text->len - at);
        gsize len = end ? (gsize)(end - line) : text->len - at;

        if (g_regex_match_full(pipe->regex, line, (gssize)len, 0, 0, NULL, NULL) ==
            (pipe->kind == PIPE_MATCH)) {
            g_string_append_len(kept, line, (gssize)len);
            g_string_append_c(kept, '\n');
        }
        at += len + 1;
    }
    g_string_assign(text, kept->str);
    g_string_free(kept, TRUE);
}

static unsigned count_lines(const GString *text)
{
    unsigned n = 0;

    for (gsize i = 0; i < text->len; i++) {
        n += text->str[i] == '\n' || i + 1 == text->len;
    }
    return n;
}

static void keep_last(GString *text, unsigned lines)
{
    gsize at = text->len;

    while (at > 0) {
        if (text->str[at - 1] == '\n' && at != text->len && --lines == 0) {
            break;
        }
        at--;
    }
    g_string_erase(text, 0, (gssize)at);
}

void pipes_run(const struct pipes *pipes, GString *text)
{
    for (unsigned i = 0; i < pipes->n; i++) {
        const struct pipe *pipe = &pipes->pipes[i];

        switch (pipe->kind) {
        case PIPE_MATCH:
        case PIPE_EXCEPT:
            filter(pipe, text);
            break;
        case PIPE_COUNT: {
            unsigned n = count_lines(text);

            g_string_printf(text, "Count: %u lines\n", n);
            break;
        }
        case PIPE_LAST:
            keep_last(text, pipe->lines);
            break;
        case PIPE_NO_MORE:
            break;
        }
    }
}
