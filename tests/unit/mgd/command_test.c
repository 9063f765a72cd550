/*
 * Commands: abbreviations, values, refusals, completion; pipes.
 */
#include <criterion/criterion.h>

#include "re/mgd/command.h"
#include "re/mgd/pipe.h"
#include "re/mgd/render.h"

static struct commands *commands;

static void setup(void)
{
    commands = commands_new();
}

static void teardown(void)
{
    commands_free(commands);
}

static void means(const char *line, const char *rpc, const char *arguments)
{
    GError *error = NULL;
    struct command *command = command_parse(commands, line, &error);
    g_autoptr(GString) text = g_string_new(NULL);

    cr_assert_not_null(command, "%s: %s", line, error ? error->message : "");
    for (unsigned i = 0; i < command->call.n_arguments; i++) {
        g_string_append_printf(text, "%s%s=%s", i ? " " : "", command->call.arguments[i].name,
                               command->call.arguments[i].value);
    }
    cr_assert_str_eq(command->call.name, rpc);
    cr_assert_str_eq(text->str, arguments, "%s: %s", line, text->str);
    command_free(command);
}

static void refused(const char *line, const char *message)
{
    GError *error = NULL;
    struct command *command = command_parse(commands, line, &error);

    cr_assert_null(command, "accepted: %s", line);
    cr_assert_str_eq(error->message, message, "%s", error->message);
    g_error_free(error);
}

Test(command, words_become_rpcs, .init = setup, .fini = teardown)
{
    means("show version", "get-software-information", "");
    means("sh ver", "get-software-information", "");
    means("show security ike security-associations detail",
          "get-ike-security-associations-information", "detail=");
    means("show security ike security-associations index 5 detail",
          "get-ike-security-associations-information", "index=5 detail=");
    means("show security ike security-associations 192.0.2.1",
          "get-ike-security-associations-information", "peer-address=192.0.2.1");
    means("request chassis fpc slot 3 offline", "request-chassis-fpc", "slot=3 cmd=offline");
    means("show interfaces xe-1/0/0 terse", "get-interface-information",
          "interface-name=xe-1/0/0 terse=");
}

Test(command, refusals_are_one_sentence, .init = setup, .fini = teardown)
{
    refused("frob", "syntax error: unknown command: \"frob\"; permitted: clear, configure, exit, "
                    "quit, request, restart, set, show");
    refused("show system frob",
            "syntax error: \"frob\"; permitted: commit, processes");
    refused("show c", "\"c\" is ambiguous: chassis, configuration");
    refused("show version frob", "syntax error: \"frob\"; permitted: nothing more");
    refused("show chassis",
            "syntax error: the command is not complete; permitted: fpc, hardware");
    refused("show \"version", "syntax error: a quoted text does not end");
}

Test(command, every_row_parses_and_has_help_and_template, .init = setup, .fini = teardown)
{
    for (const struct command_row *row = command_table; row->words; row++) {
        struct command *command = command_parse(commands, row->words, NULL);

        cr_assert_not_null(command, "%s", row->words);
        cr_assert_eq(command->row, row, "%s", row->words);
        cr_assert(*row->help, "%s", row->words);
        cr_assert(!row->template || render_template(row->template), "%s", row->words);
        command_free(command);
    }
}

static char *offered(const char *line)
{
    const struct command_row *rest;
    unsigned from;
    g_autoptr(GPtrArray) choices = command_choices(commands, line, &rest, &from);
    GString *text = g_string_new(rest ? "rest" : NULL);

    for (unsigned i = 0; i < choices->len; i++) {
        const struct command_choice *c = choices->pdata[i];

        g_string_append_printf(text, "%s%s", i ? " " : "", c->word);
        cr_assert(*c->help, "%s has no help", c->word);
    }
    return g_string_free(text, FALSE);
}

Test(command, completion, .init = setup, .fini = teardown)
{
    static const char *const lines[][2] = {
        {"sh", "show"},
        {"show c", "chassis configuration"},
        {"show chassis fpc ", "pic-status <fpc-slot> <[Enter]> |"},
        {"show configuration ", "rest"},
        {"show nothing ", ""},
        {"request chassis fpc slot 1 o", "offline online"},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(lines); i++) {
        g_autofree char *is = offered(lines[i][0]);

        cr_assert_str_eq(is, lines[i][1], "%s: %s", lines[i][0], is);
    }
}

static void piped(const char *line, const char *command, const char *result)
{
    GError *error = NULL;
    g_autofree char *before = NULL;
    struct pipes *pipes = pipes_parse(line, &before, &error);
    g_autoptr(GString) text = g_string_new("one\ntwo | x\nthree\n");

    cr_assert_not_null(pipes, "%s", error ? error->message : "");
    cr_assert_str_eq(g_strstrip(before), command);
    pipes_run(pipes, text);
    cr_assert_str_eq(text->str, result, "%s: %s", line, text->str);
    pipes_free(pipes);
}

Test(pipe, filters_chain)
{
    piped("show x", "show x", "one\ntwo | x\nthree\n");
    piped("show x | match t", "show x", "two | x\nthree\n");
    piped("show x|match \"o \\\\|\" | count", "show x", "Count: 1 lines\n");
    piped("show x | except ^t.*", "show x", "one\n");
    piped("show x | last 2 | except two", "show x", "three\n");
    piped("show x | last 1", "show x", "three\n");
    piped("show x | match nothing | count", "show x", "Count: 0 lines\n");
    piped("show \"a|b\" | no-more", "show \"a|b\"", "one\ntwo | x\nthree\n");
}

static void bad_pipe(const char *line, const char *message)
{
    GError *error = NULL;
    g_autofree char *before = NULL;

    cr_assert_null(pipes_parse(line, &before, &error));
    cr_assert_str_eq(error->message, message);
    g_error_free(error);
}

Test(pipe, refusals)
{
    bad_pipe("x | frob", "syntax error: | \"frob\"; permitted: count, display, except, last, "
                         "match, no-more");
    bad_pipe("x | match", "syntax error: match: a pattern is missing");
    bad_pipe("x | last 0", "syntax error: last \"0\"; permitted: 1..100000");
    bad_pipe("x | display y", "syntax error: display \"y\"; permitted: xml, json, set");
}
