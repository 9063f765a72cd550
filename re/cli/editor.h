/*
 * editor - a line editor for a terminal in raw mode.
 *
 * Pure: bytes from the keyboard go in one by one, what to write to the terminal comes out as text,
 * events say what the caller has to do. Printable keys at the end of the line are echoed byte for
 * byte and nothing else is written, so that programs that drive the CLI see what they sent; the
 * line is redrawn (with backspaces, never with escape sequences) only when it is edited inside.
 *
 * Keys: arrows, ^A ^E ^B ^F move; ^H DEL ^D ^K ^U ^W delete; ^P ^N and up/down walk the history;
 * Tab completes, Space completes the word before it, ? helps, ^C drops the line, ^L repeats it.
 * One thread.
 */
#ifndef CLI_EDITOR_H
#define CLI_EDITOR_H

#include <glib.h>
#include <stdbool.h>

#define CLI_LINE_MAX    4000 /* as the message cli-command */
#define CLI_HISTORY_MAX 500

enum cli_event {
    CLI_NOTHING,
    CLI_LINE,      /* Enter: cli_editor_text is the line; call cli_editor_reset for the next */
    CLI_COMPLETE,  /* Tab */
    CLI_SPACE,     /* Space at the end of a word: complete it, then call cli_editor_insert(" ") */
    CLI_HELP,      /* ? outside quotes */
    CLI_INTERRUPT, /* ^C: the line was dropped */
    CLI_END        /* ^D on an empty line */
};

struct cli_editor;

struct cli_editor *cli_editor_new(void);
void cli_editor_free(struct cli_editor *editor);
/* One byte from the keyboard; appends to out what the terminal must be sent. */
enum cli_event cli_editor_feed(struct cli_editor *editor, unsigned char byte, GString *out);
/* The line so far; valid until the next call. */
const char *cli_editor_text(const struct cli_editor *editor);
/* The part before the cursor. g_free. */
char *cli_editor_before_cursor(const struct cli_editor *editor);
/* Insert at the cursor as if typed (completion). */
void cli_editor_insert(struct cli_editor *editor, const char *text, GString *out);
/* Prompt and line again, after other output. */
void cli_editor_redraw(const struct cli_editor *editor, const char *prompt, GString *out);
/* An empty line; the last one goes to the history when it is not empty or a repetition. */
void cli_editor_reset(struct cli_editor *editor);

#endif
