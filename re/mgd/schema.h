/*
 * schema - the grammar of the configuration, read from the YANG module.
 *
 * libyang loads the module (its text is in the program); this folder then works
 * on a light tree of its own: a schema node per statement, with how it is
 * written, its help, and how to check a value. Everything else in mgd (parsers,
 * printers, completion, validation) is driven by it. Main thread only.
 */
#ifndef MGD_SCHEMA_H
#define MGD_SCHEMA_H

#include <glib.h>
#include <stdbool.h>

#include "re/conf/conf.h"

struct lysc_node;
struct ly_ctx;
struct mgd_syntax;

struct schema_node {
    const char *name;
    const char *help;               /* description */
    enum conf_kind kind;
    bool flag;                      /* leaf without value */
    bool elided, grouped, joined, single_line, secret; /* see vchassis-junos.yang */
    bool presence;                  /* container that means something when empty */
    const char *refers;             /* path of the list a value must name an entry of, or NULL */
    const char *standard;           /* default value, or NULL */
    bool mandatory;                 /* leaf that must be there, leaf-list with at least one value */
    bool choice_mandatory;          /* one branch of its choice must be there */
    const void *choice, *branch;    /* of a YANG choice: siblings of other branches exclude it */
    const struct mgd_syntax *syntax;
    const struct lysc_node *yang;
    const struct lysc_node *value;  /* leaf whose type a value or key has; NULL: takes no value */
    struct schema_node *parent;
    GPtrArray *children;            /* struct schema_node, schema order; keys are left out */
};

struct schema;

struct schema *schema_new(GError **error);
void schema_free(struct schema *schema);
struct ly_ctx *schema_context(const struct schema *schema);
/* The node above `system`, `interfaces`, ... */
const struct schema_node *schema_root(const struct schema *schema);

/* The child of that name, elided ones too; NULL: none. */
const struct schema_node *schema_child(const struct schema_node *node, const char *name);
/* The child that is written without its keyword, or NULL. */
const struct schema_node *schema_elided(const struct schema_node *node);
/* The schema of a configuration node (which may be the root). */
const struct schema_node *schema_of(const struct schema *schema, const struct conf_node *conf);

/* Does the value (of a leaf, leaf-list or list key) fit the type? */
bool schema_check(const struct schema *schema, const struct schema_node *node, const char *value);
/* "group1, group2, ..." or "180..86400" or "1 to 32 characters"; free with g_free. */
char *schema_permitted(const struct schema_node *node);
/* Enumeration words of the value, in order, with their descriptions; NULL when it has none.
 * Elements are struct lysc_type_bitenum_item; ret_n counts. */
unsigned schema_words(const struct schema_node *node, unsigned i, const char **ret_word,
                      const char **ret_help);

/* Name of a list's key leaf ("name"). */
const char *schema_key(const struct schema_node *list);
/* Is the value a number? */
bool schema_is_number(const struct schema_node *node);

/* The path as it is written in a set command: "interfaces xe-1/0/0 unit 0". */
char *schema_path(const struct schema *schema, const struct conf_node *conf);
/* Turn the path of conf_path, or one that goes on with statements that are not there, into the
 * written form; *ret_node (may be NULL) gets the deepest node that is there. */
char *schema_path_written(const struct schema *schema, const struct conf_node *root,
                          const char *path, const struct conf_node **ret_node);

/* Add what is missing and has a default, marked is_default, to statements that are there; what is
 * inactive is taken away. */
void schema_expand(const struct schema *schema, struct conf_node *root);

#endif
