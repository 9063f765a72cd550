/*
 * curly - configuration text: reading both forms, writing both forms.
 *
 * Reading takes bytes from outside: limits of the lexer, CONF_DEPTH_MAX levels
 * of blocks. Errors name file, line, statement and permitted values. Main
 * thread only.
 */
#ifndef MGD_CURLY_H
#define MGD_CURLY_H

#include <glib.h>
#include <stdbool.h>

#include "re/conf/conf.h"
#include "re/mgd/schema.h"

/* A new tree from curly text, or, when the first word is set, from set lines. NULL with *error. */
struct conf_node *curly_read(const struct schema *schema, const char *file, const char *text,
                             size_t len, GError **error);
/* Apply one edit line, `set ...`, `delete ...`, `activate ...` or `deactivate ...`, to root. After
 * an error root may hold a part: give a copy. */
bool curly_edit(const struct schema *schema, struct conf_node *root, const char *line,
                GError **error);

struct curly_style {
    bool set;     /* set lines instead of blocks */
    bool secrets; /* false: SECRET-DATA in place of keys */
};

/* Text of everything below `node`; for set lines the path from the root is written too. */
void curly_write(const struct schema *schema, const struct conf_node *node,
                 const struct curly_style *style, GString *out);

/* The node itself, with its name, as curly text. */
void curly_write_entry(const struct schema *schema, const struct conf_node *node,
                       const struct curly_style *style, GString *out);

#endif
