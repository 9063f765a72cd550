/* editor_test - keys in, terminal text and events out. */
#include <criterion/criterion.h>
#include <string.h>

#include "re/cli/editor.h"

static struct cli_editor *editor;
static GString *out;

static void setup(void)
{
    editor = cli_editor_new();
    out = g_string_new(NULL);
}

static void teardown(void)
{
    cli_editor_free(editor);
    g_string_free(out, TRUE);
}

/* Types text; the event of the last byte. A space is inserted as the caller would. */
static enum cli_event type(const char *text)
{
    enum cli_event last = CLI_NOTHING;

    g_string_truncate(out, 0);
    for (; *text; text++) {
        last = cli_editor_feed(editor, (unsigned char)*text, out);
        if (last == CLI_SPACE) {
            cli_editor_insert(editor, " ", out);
        }
    }
    return last;
}

Test(editor, echoes_byte_for_byte, .init = setup, .fini = teardown)
{
    cr_assert_eq(type("show version\r"), CLI_LINE);
    cr_assert_str_eq(out->str, "show version\r\n");
    cr_assert_str_eq(cli_editor_text(editor), "show version");
}

Test(editor, edits_inside_the_line, .init = setup, .fini = teardown)
{
    type("shw");
    type("\002o"); /* left, insert */
    cr_assert_str_eq(cli_editor_text(editor), "show");
    cr_assert_str_eq(out->str, "\bow\b");
    type("\005 x\027"); /* end, word deleted */
    cr_assert_str_eq(cli_editor_text(editor), "show ");
    type("\001\004"); /* home, delete */
    cr_assert_str_eq(cli_editor_text(editor), "how ");
    type("\025");
    cr_assert_str_eq(cli_editor_text(editor), "");
}

Test(editor, arrow_keys, .init = setup, .fini = teardown)
{
    type("ab\033[D\033[DX\033[C\033[3~");
    cr_assert_str_eq(cli_editor_text(editor), "Xa");
    type("\033[HY\033[FZ");
    cr_assert_str_eq(cli_editor_text(editor), "YXaZ");
}

Test(editor, history, .init = setup, .fini = teardown)
{
    type("one\r");
    cli_editor_reset(editor);
    type("two\r");
    cli_editor_reset(editor);
    type("thr");
    type("\020");
    cr_assert_str_eq(cli_editor_text(editor), "two");
    type("\033[A");
    cr_assert_str_eq(cli_editor_text(editor), "one");
    type("\033[A");
    cr_assert_str_eq(out->str, "\a");
    type("\016\016");
    cr_assert_str_eq(cli_editor_text(editor), "thr");
}

Test(editor, help_and_completion_keys, .init = setup, .fini = teardown)
{
    cr_assert_eq(type("sh\t"), CLI_COMPLETE);
    cr_assert_eq(type("?"), CLI_HELP);
    cr_assert_str_eq(cli_editor_text(editor), "sh");
    cr_assert_eq(type(" \"a?"), CLI_NOTHING); /* in quotes ? is a character */
    cr_assert_str_eq(cli_editor_text(editor), "sh \"a?");
}

Test(editor, interrupt_and_end, .init = setup, .fini = teardown)
{
    cr_assert_eq(type("abc\003"), CLI_INTERRUPT);
    cr_assert_str_eq(cli_editor_text(editor), "");
    cr_assert_eq(type("\004"), CLI_END);
}

Test(editor, a_line_has_a_limit, .init = setup, .fini = teardown)
{
    for (int i = 0; i < CLI_LINE_MAX + 10; i++) {
        cli_editor_feed(editor, 'x', out);
    }
    cr_assert_eq(strlen(cli_editor_text(editor)), CLI_LINE_MAX);
}
