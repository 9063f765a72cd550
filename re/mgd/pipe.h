/*
 * pipe - what follows a command behind |.
 *
 * match, except (regular expressions), count, last [N], no-more, display
 * xml|json|set. Display decides how the answer is rendered; the others work on
 * the text, in the order they were written. Pure; any thread.
 */
#ifndef MGD_PIPE_H
#define MGD_PIPE_H

#include <glib.h>
#include <stdbool.h>

#define PIPES_MAX 16 /* in one command */

enum pipe_display { DISPLAY_TEXT, DISPLAY_XML, DISPLAY_JSON, DISPLAY_SET, DISPLAY_RPC };

struct pipes;

/* Cuts the line at the first unquoted |; *ret_command is what stands before. NULL with *error. */
struct pipes *pipes_parse(const char *line, char **ret_command, GError **error);
void pipes_free(struct pipes *pipes);
enum pipe_display pipes_display(const struct pipes *pipes);
/* Filter the whole text. */
void pipes_run(const struct pipes *pipes, GString *text);
/* What may follow | : pairs of word and help; NULL ends. */
extern const char *const pipe_help[][2];

#endif
