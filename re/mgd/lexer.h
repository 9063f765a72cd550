/*
 * lexer - configuration text and command lines into tokens.
 *
 * Words are runs of anything but blanks and { } [ ] ; " # ; a quoted text is
 * one word, with \" \\ \n inside. Slash-star comments are handed out as
 * annotations, # runs to the end of the line and is dropped. One owner, one
 * thread; bytes come from outside: a word is at most CONF_VALUE_MAX long.
 */
#ifndef MGD_LEXER_H
#define MGD_LEXER_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

enum mgd_token {
    TOKEN_WORD,
    TOKEN_OPEN,     /* { */
    TOKEN_CLOSE,    /* } */
    TOKEN_LIST,     /* [ */
    TOKEN_LIST_END, /* ] */
    TOKEN_END,      /* ; */
    TOKEN_NEWLINE,  /* only when asked for */
    TOKEN_EOF,
    TOKEN_BAD       /* lexer.problem says why */
};

struct lexer {
    const char *at, *end;
    unsigned line;
    bool newlines;       /* hand out TOKEN_NEWLINE */
    GString *word;       /* of TOKEN_WORD */
    bool quoted;         /* TOKEN_WORD came in quotes */
    GString *comment;    /* last annotation since it was cleared; len 0: none */
    const char *problem;
};

void lexer_init(struct lexer *lexer, const char *text, size_t len, bool newlines);
/* Wipes the last word: it may be a key. */
void lexer_clear(struct lexer *lexer);
enum mgd_token lexer_next(struct lexer *lexer);

#endif
