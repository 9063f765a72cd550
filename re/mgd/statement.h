/*
 * statement - one statement's words into the configuration tree.
 *
 * The same walk serves curly text, set and delete lines and paths of shows:
 * from a place in the tree (node and schema) the words lead down; what is
 * missing is made, values are checked against the schema. Errors say the
 * statement path and the permitted values in one sentence; the caller puts the
 * file and line before. After an error the tree may hold a part of the
 * statement: callers work on a copy or a new tree. Main thread only.
 */
#ifndef MGD_STATEMENT_H
#define MGD_STATEMENT_H

#include <glib.h>
#include <stdbool.h>

#include "re/conf/conf.h"
#include "re/mgd/schema.h"

struct statement_word {
    char *text;
    bool list_member; /* was written between [ ] */
};

struct place {
    struct conf_node *conf;
    const struct schema_node *schema;
    bool in_group; /* inside the block of a grouped list: conf is its parent, schema the list */
};

/* Words of a statement; free with g_ptr_array_unref (texts are wiped). */
GPtrArray *statement_words_new(void);
void statement_words_add(GPtrArray *words, const char *text, bool list_member);

/* Walk down from `from`, making what is missing. *ret is where a block that follows goes on;
 * *ret_last (may be NULL) the deepest node made or found, NULL for the keyword of a group. */
bool statement_set(const struct schema *schema, const struct place *from, const GPtrArray *words,
                   unsigned line, struct place *ret, struct conf_node **ret_last, GError **error);

/* Find without making: appends struct conf_node* to `found` (several for a leaf-list or list named
 * without a key). Words that the grammar does not know are an error; known but absent is not.
 * Statement names may be abbreviated. */
bool statement_find(const struct schema *schema, struct conf_node *root, const GPtrArray *words,
                    GPtrArray *found, GError **error);

#endif
