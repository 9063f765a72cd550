/*
 * command - the commands of operational mode: one table, command to RPC.
 *
 * A row is the words of a command (literals and <values>), the RPC that answers
 * it with its arguments, the template of its text form, and help. Words may be
 * abbreviated as long as they are unique. The table is data (command-table.c);
 * NETCONF and `display xml rpc` use the same rows. Main thread only.
 */
#ifndef MGD_COMMAND_H
#define MGD_COMMAND_H

#include <glib.h>
#include <stdbool.h>

#include "messages.h" /* generated */

enum command_action {
    COMMAND_RPC,
    COMMAND_CONFIGURATION, /* show configuration [path] */
    COMMAND_CONFIGURE,
    COMMAND_RESTART,
    COMMAND_SETTING,       /* set cli ...: the answer is fixed text */
    COMMAND_EXIT
};

struct command_row {
    const char *words;     /* "request chassis fpc slot <slot> offline" */
    const char *help;      /* of the last word */
    enum command_action action;
    const char *rpc;       /* COMMAND_RPC: name; RESTART: daemon; SETTING: text, %s the value */
    const char *arguments; /* "detail", "slot=$slot cmd=offline" */
    const char *template;  /* NULL: no text form beyond <output> */
    bool rest;             /* more words may follow: they are the callee's */
};

/* Ended by a row without words. */
extern const struct command_row command_table[];
/* Help of words that end no command, and of <values>: pairs of words and help, NULL ends. */
extern const char *const command_help[][2];

struct command {
    const struct command_row *row;
    struct bus_rpc_call call; /* COMMAND_RPC: complete */
    char *value;              /* the last <value> */
    GPtrArray *rest;          /* char*, unquoted words behind the command */
};

struct commands;

struct commands *commands_new(void);
void commands_free(struct commands *commands);

/* NULL with *error: unknown, ambiguous or incomplete. Free with command_free. */
struct command *command_parse(const struct commands *commands, const char *line, GError **error);
void command_free(struct command *command);

struct command_choice {
    char *word, *help;
    bool value; /* a place holder like <slot>: not inserted */
};

/* Words of a line into a list of char*; NULL with *error. A word of blanks only is quoted. */
GPtrArray *command_split(const char *line, GError **error);
/* What may stand for the last word of `line` ("" behind a blank); struct command_choice. When the
 * line has reached a row that takes the rest, *ret_rest is that row and *ret_from the number of
 * words before the rest. */
GPtrArray *command_choices(const struct commands *commands, const char *line,
                           const struct command_row **ret_rest, unsigned *ret_from);
GPtrArray *command_choices_new(void);
void command_choices_add(GPtrArray *choices, const char *word, const char *help, bool value);

#endif
