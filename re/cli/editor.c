/* editor - see editor.h. */
#include "re/cli/editor.h"

#include <string.h>

enum escape { ESCAPE_NONE, ESCAPE_SEEN, ESCAPE_BRACKET, ESCAPE_PARAMETER };

struct cli_editor {
    GString *line;
    gsize cursor;
    GPtrArray *history;
    guint at;       /* in the history; its length = the line being typed */
    char *parked;   /* the line being typed while the history is walked */
    enum escape escape;
    char parameter; /* of ESC [ N ~ */
};

struct cli_editor *cli_editor_new(void)
{
    struct cli_editor *e = g_new0(struct cli_editor, 1);

    e->line = g_string_new(NULL);
    e->history = g_ptr_array_new_with_free_func(g_free);
    return e;
}

void cli_editor_free(struct cli_editor *e)
{
    if (e) {
        g_string_free(e->line, TRUE);
        g_ptr_array_unref(e->history);
        g_free(e->parked);
        g_free(e);
    }
}

const char *cli_editor_text(const struct cli_editor *e)
{
    return e->line->str;
}

char *cli_editor_before_cursor(const struct cli_editor *e)
{
    return g_strndup(e->line->str, e->cursor);
}

static void back(GString *out, gsize n)
{
    while (n--) {
        g_string_append_c(out, '\b');
    }
}

/* Write what is behind the cursor, wipe `shorter` old characters, return to the cursor. */
static void draw_tail(const struct cli_editor *e, gsize shorter, GString *out)
{
    g_string_append(out, e->line->str + e->cursor);
    for (gsize i = 0; i < shorter; i++) {
        g_string_append_c(out, ' ');
    }
    back(out, e->line->len - e->cursor + shorter);
}

void cli_editor_insert(struct cli_editor *e, const char *text, GString *out)
{
    gsize n = strlen(text);

    if (e->line->len + n > CLI_LINE_MAX) {
        g_string_append_c(out, '\a');
        return;
    }
    g_string_insert(e->line, (gssize)e->cursor, text);
    e->cursor += n;
    g_string_append(out, text);
    if (e->cursor < e->line->len) {
        draw_tail(e, 0, out);
    }
}

void cli_editor_redraw(const struct cli_editor *e, const char *prompt, GString *out)
{
    g_string_append(out, prompt);
    g_string_append(out, e->line->str);
    back(out, e->line->len - e->cursor);
}

void cli_editor_reset(struct cli_editor *e)
{
    guint n = e->history->len;

    if (e->line->len && (n == 0 || strcmp(e->history->pdata[n - 1], e->line->str) != 0)) {
        g_ptr_array_add(e->history, g_strdup(e->line->str));
        if (e->history->len > CLI_HISTORY_MAX) {
            g_ptr_array_remove_index(e->history, 0);
        }
    }
    g_string_truncate(e->line, 0);
    e->cursor = 0;
    e->at = e->history->len;
    g_clear_pointer(&e->parked, g_free);
}

/* Delete [from, to) of the line; the cursor ends at from. */
static void delete_range(struct cli_editor *e, gsize from, gsize to, GString *out)
{
    if (from == to) {
        return;
    }
    if (e->cursor > from) {
        back(out, e->cursor - from);
    } else {
        g_string_append_len(out, e->line->str + e->cursor, (gssize)(from - e->cursor));
    }
    g_string_erase(e->line, (gssize)from, (gssize)(to - from));
    e->cursor = from;
    draw_tail(e, to - from, out);
}

static void move_to(struct cli_editor *e, gsize to, GString *out)
{
    if (to < e->cursor) {
        back(out, e->cursor - to);
    } else {
        g_string_append_len(out, e->line->str + e->cursor, (gssize)(to - e->cursor));
    }
    e->cursor = to;
}

static void replace_line(struct cli_editor *e, const char *text, GString *out)
{
    gsize old = e->line->len;

    move_to(e, 0, out);
    g_string_assign(e->line, text);
    g_string_append(out, text);
    e->cursor = e->line->len;
    if (old > e->line->len) {
        draw_tail(e, old - e->line->len, out);
    }
}

static void walk_history(struct cli_editor *e, bool older, GString *out)
{
    if (older ? e->at == 0 : e->at >= e->history->len) {
        g_string_append_c(out, '\a');
        return;
    }
    if (e->at == e->history->len) {
        g_free(e->parked);
        e->parked = g_strdup(e->line->str);
    }
    e->at += older ? -1 : 1;
    replace_line(e,
                 e->at < e->history->len ? e->history->pdata[e->at] : e->parked ? e->parked : "",
                 out);
}

static gsize word_start(const struct cli_editor *e)
{
    gsize at = e->cursor;

    while (at > 0 && e->line->str[at - 1] == ' ') {
        at--;
    }
    while (at > 0 && e->line->str[at - 1] != ' ') {
        at--;
    }
    return at;
}

static bool in_quotes(const struct cli_editor *e)
{
    bool inside = false;

    for (gsize i = 0; i < e->cursor; i++) {
        inside ^= e->line->str[i] == '"' && (i == 0 || e->line->str[i - 1] != '\\');
    }
    return inside;
}

static void final_key(struct cli_editor *e, unsigned char byte, GString *out)
{
    switch (byte) {
    case 'A':
        walk_history(e, true, out);
        break;
    case 'B':
        walk_history(e, false, out);
        break;
    case 'C':
        move_to(e, MIN(e->cursor + 1, e->line->len), out);
        break;
    case 'D':
        move_to(e, e->cursor ? e->cursor - 1 : 0, out);
        break;
    case 'H':
        move_to(e, 0, out);
        break;
    case 'F':
        move_to(e, e->line->len, out);
        break;
    case '~':
        if (e->parameter == '3') {
            delete_range(e, e->cursor, MIN(e->cursor + 1, e->line->len), out);
        } else if (e->parameter == '1' || e->parameter == '7') {
            move_to(e, 0, out);
        } else if (e->parameter == '4' || e->parameter == '8') {
            move_to(e, e->line->len, out);
        }
        break;
    default:
        break;
    }
}

/* True when the byte belonged to an escape sequence. */
static bool feed_escape(struct cli_editor *e, unsigned char byte, GString *out)
{
    switch (e->escape) {
    case ESCAPE_NONE:
        if (byte == 0x1b) {
            e->escape = ESCAPE_SEEN;
            return true;
        }
        return false;
    case ESCAPE_SEEN:
        e->escape = byte == '[' || byte == 'O' ? ESCAPE_BRACKET : ESCAPE_NONE;
        e->parameter = 0;
        return true;
    case ESCAPE_BRACKET:
    case ESCAPE_PARAMETER:
        if ((byte >= '0' && byte <= '9') || byte == ';') {
            if (e->escape == ESCAPE_BRACKET) {
                e->parameter = (char)byte;
            }
            e->escape = ESCAPE_PARAMETER;
            return true;
        }
        e->escape = ESCAPE_NONE;
        final_key(e, byte, out);
        return true;
    }
    return false;
}

static enum cli_event feed_control(struct cli_editor *e, unsigned char byte, GString *out)
{
    switch (byte) {
    case '\r':
    case '\n':
        g_string_append(out, "\r\n");
        return CLI_LINE;
    case '\t':
        return CLI_COMPLETE;
    case 0x01:
        move_to(e, 0, out);
        break;
    case 0x05:
        move_to(e, e->line->len, out);
        break;
    case 0x02:
        move_to(e, e->cursor ? e->cursor - 1 : 0, out);
        break;
    case 0x06:
        move_to(e, MIN(e->cursor + 1, e->line->len), out);
        break;
    case 0x08:
    case 0x7f:
        delete_range(e, e->cursor ? e->cursor - 1 : 0, e->cursor, out);
        break;
    case 0x04:
        if (e->line->len == 0) {
            return CLI_END;
        }
        delete_range(e, e->cursor, MIN(e->cursor + 1, e->line->len), out);
        break;
    case 0x0b:
        delete_range(e, e->cursor, e->line->len, out);
        break;
    case 0x15:
    case 0x18:
        delete_range(e, 0, e->line->len, out);
        break;
    case 0x17:
        delete_range(e, word_start(e), e->cursor, out);
        break;
    case 0x10:
        walk_history(e, true, out);
        break;
    case 0x0e:
        walk_history(e, false, out);
        break;
    case 0x03:
        g_string_append(out, "^C\r\n");
        g_string_truncate(e->line, 0);
        e->cursor = 0;
        e->at = e->history->len;
        return CLI_INTERRUPT;
    case 0x0c:
        g_string_append(out, "\r\n");
        return CLI_INTERRUPT;
    default:
        break;
    }
    return CLI_NOTHING;
}

enum cli_event cli_editor_feed(struct cli_editor *e, unsigned char byte, GString *out)
{
    char text[2] = {(char)byte, 0};

    if (feed_escape(e, byte, out)) {
        return CLI_NOTHING;
    }
    if (byte < 0x20 || byte == 0x7f) {
        return feed_control(e, byte, out);
    }
    if (byte == '?' && !in_quotes(e)) {
        return CLI_HELP;
    }
    if (byte == ' ' && e->cursor == e->line->len && e->cursor > 0 &&
        e->line->str[e->cursor - 1] != ' ' && !in_quotes(e)) {
        return CLI_SPACE;
    }
    cli_editor_insert(e, text, out);
    return CLI_NOTHING;
}
