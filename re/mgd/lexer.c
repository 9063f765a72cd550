/*
 * lexer - see lexer.h.
 */
#include "re/mgd/lexer.h"

#include <string.h>

#include "firmware/core/secret.h"
#include "re/conf/conf.h"

void lexer_init(struct lexer *lexer, const char *text, size_t len, bool newlines)
{
    *lexer = (struct lexer){.at = text, .end = text + len, .line = 1, .newlines = newlines};
    lexer->word = g_string_sized_new(256);
    lexer->comment = g_string_new(NULL);
}

void lexer_clear(struct lexer *lexer)
{
    fw_wipe(lexer->word->str, lexer->word->allocated_len);
    g_string_free(lexer->word, TRUE);
    g_string_free(lexer->comment, TRUE);
}

static enum mgd_token bad(struct lexer *lexer, const char *problem)
{
    lexer->problem = problem;
    return TOKEN_BAD;
}

static bool take_comment(struct lexer *lexer)
{
    const char *from = lexer->at + 2;

    for (const char *p = from; p + 1 < lexer->end; p++) {
        if (*p == '\n') {
            lexer->line++;
        }
        if (p[0] == '*' && p[1] == '/') {
            g_autofree char *text = g_strndup(from, (gsize)(p - from));

            g_strstrip(text);
            if (strlen(text) <= CONF_VALUE_MAX && g_utf8_validate(text, -1, NULL)) {
                g_string_assign(lexer->comment, text);
            }
            lexer->at = p + 2;
            return true;
        }
    }
    return false;
}

static enum mgd_token take_quoted(struct lexer *lexer)
{
    lexer->at++;
    lexer->quoted = true;
    for (; lexer->at < lexer->end && *lexer->at != '"'; lexer->at++) {
        char c = *lexer->at;

        if (c == '\\' && lexer->at + 1 < lexer->end) {
            c = *++lexer->at;
            c = c == 'n' ? '\n' : c;
        } else if (c == '\n') {
            return bad(lexer, "a quoted text does not end on its line");
        }
        g_string_append_c(lexer->word, c);
        if (lexer->word->len > CONF_VALUE_MAX) {
            return bad(lexer, "a text is longer than 4000 bytes");
        }
    }
    if (lexer->at == lexer->end) {
        return bad(lexer, "a quoted text does not end");
    }
    lexer->at++;
    return TOKEN_WORD;
}

static enum mgd_token take_word(struct lexer *lexer)
{
    const char *from = lexer->at;

    if (*from == 0) {
        return bad(lexer, "a zero byte");
    }
    while (lexer->at < lexer->end && !strchr(" \t\r\n{}[];\"#", *lexer->at)) {
        lexer->at++;
    }
    if (lexer->at - from > CONF_VALUE_MAX) {
        return bad(lexer, "a word is longer than 4000 bytes");
    }
    g_string_append_len(lexer->word, from, lexer->at - from);
    return TOKEN_WORD;
}

static enum mgd_token take(struct lexer *lexer)
{
    static const struct {
        char c;
        enum mgd_token token;
    } marks[] = {{'{', TOKEN_OPEN}, {'}', TOKEN_CLOSE},    {'[', TOKEN_LIST},
                 {']', TOKEN_LIST_END}, {';', TOKEN_END}};

    for (;;) {
        if (lexer->at == lexer->end) {
            return TOKEN_EOF;
        }
        if (*lexer->at == '\n') {
            lexer->line++;
            lexer->at++;
            if (lexer->newlines) {
                return TOKEN_NEWLINE;
            }
        } else if (*lexer->at == ' ' || *lexer->at == '\t' || *lexer->at == '\r') {
            lexer->at++;
        } else if (*lexer->at == '#') {
            while (lexer->at < lexer->end && *lexer->at != '\n') {
                lexer->at++;
            }
        } else if (*lexer->at == '/' && lexer->at + 1 < lexer->end && lexer->at[1] == '*') {
            if (!take_comment(lexer)) {
                return bad(lexer, "a comment does not end");
            }
        } else {
            break;
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(marks); i++) {
        if (*lexer->at == marks[i].c) {
            lexer->at++;
            return marks[i].token;
        }
    }
    return *lexer->at == '"' ? take_quoted(lexer) : take_word(lexer);
}

enum mgd_token lexer_next(struct lexer *lexer)
{
    enum mgd_token token;

    lexer->quoted = false;
    g_string_truncate(lexer->word, 0);
    token = take(lexer);
    if (token == TOKEN_WORD && (memchr(lexer->word->str, 0, lexer->word->len) ||
                                !g_utf8_validate(lexer->word->str, -1, NULL))) {
        return bad(lexer, "a word is no UTF-8 text");
    }
    return token;
}
