/*
 * session - one connection of cli.sock; shared by session.c and
 * session-configuration.c only.
 */
#ifndef MGD_SESSION_H
#define MGD_SESSION_H

#include "re/mgd/conf-data.h"
#include "re/mgd/curly.h"
#include "re/mgd/mgd.h"
#include "re/mgd/pipe.h"
#include "re/mgd/render.h"
#include "re/mgd/statement.h"

struct session {
    struct mgd *mgd;
    struct bus_conn *conn;
    char *user;
    bool busy;
    bool ending;                 /* the answer carries no prompt */
    struct bus_header header;    /* of the command under way */
    struct pipes *pipes;
    struct command *command;
    struct conf_node *candidate; /* configuration mode */
    bool changed;
    bool leave;                  /* commit and-quit */
    bool check;                  /* commit check */
};

/* The end of the command under way; text may be NULL. */
void session_done(struct session *s, GString *text, bool failed);
void session_say(struct session *s, const char *format, ...) G_GNUC_PRINTF(2, 3);
void session_fail(struct session *s, const GError *error);
/* A line of operational mode (run ... in configuration mode). */
void session_operational(struct session *s, const char *line);
void session_show_configuration(struct session *s, const struct conf_node *tree,
                                const GPtrArray *words);

/* session-configuration.c */
void session_configure(struct session *s);
void session_configuration_line(struct session *s, const char *line);
GPtrArray *session_configuration_choices(struct session *s, const char *line);
/* Statements behind the first `from` words of the line. */
void session_statement_choices(struct session *s, const struct conf_node *conf, const char *line,
                               unsigned from, GPtrArray *list);

#endif
