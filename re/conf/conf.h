/*
 * conf - the configuration tree that mgd owns and daemons receive.
 *
 * A light ordered tree of statements. A node has a name, and for a list entry
 * its key value (all lists here have one key, as in Junos text: `gateway gw1`),
 * for a leaf its value, for a leaf-list one node per value. Flags (no value)
 * are leaves with value NULL. Comments, inactive and line numbers ride along.
 * The tree knows no schema; mgd checks it against the YANG module before
 * anybody else sees it, and fills in the defaults of the schema in what it
 * sends to daemons, so a daemon never repeats a default.
 *
 * Shapes that differ from the text: `xe-1/0/0 { }` under `interfaces` is list
 * `interface` with key xe-1/0/0; `system-services { ping; }` is one list entry
 * `system-services` with key `ping` each, `interfaces { xe-1/0/0.0; }` of a zone
 * the same; `from-zone A to-zone B` is list `from-zone` with key A, below it list
 * `to-zone` with key B, below it list `policy`; `family inet` is container
 * `family`, below it container `inet`. The schema is re/mgd/schema/.
 *
 * One owner per tree: conf_free frees all below. Any single thread.
 */
#ifndef RE_CONF_H
#define RE_CONF_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/core/cursor.h"
#include "firmware/core/emit.h"

#define CONF_DEPTH_MAX 32             /* of nesting: the schema's own depth is about 12 */
#define CONF_BYTES_MAX (16u << 20)    /* serialised: 10,000 tunnels are about 5 MiB */
#define CONF_VALUE_MAX 4000           /* bytes of a name, value, comment: as a command line */

enum conf_kind { CONF_CONTAINER, CONF_LIST, CONF_LEAF, CONF_LEAF_LIST };

struct conf_node {
    char *name;              /* statement name; NULL for the root */
    char *value;             /* list key, leaf value; NULL for containers and flags */
    enum conf_kind kind;
    bool inactive;
    bool is_default;         /* put in by mgd, not by the user */
    bool secret;             /* value is shown as "SECRET-DATA" to those who may not see it */
    unsigned line;           /* in the file it came from, 0 unknown */
    char *comment;           /* annotation, or NULL */
    struct conf_node *parent;
    struct conf_node *first, *last, *next, *previous;
    GHashTable *index;       /* of the children, once they are many; private to conf.c */
};

struct conf_node *conf_new(void);                 /* an empty root */
void conf_free(struct conf_node *node);           /* unlinks, wipes secrets, frees all below */
/* Append a child, or find it: containers, list entries and equal leaf-list values are found,
 * a leaf that is there gets the new value. Not called for more than CONF_DEPTH_MAX levels. */
struct conf_node *conf_add(struct conf_node *parent, enum conf_kind kind, const char *name,
                           const char *value);
/* A copy of the node and all below, without parent. */
struct conf_node *conf_copy(const struct conf_node *node);
/* Append a node without parent; the caller knows that there is none like it. */
void conf_adopt(struct conf_node *parent, struct conf_node *node);
/* Replace the value (wiped when secret); value NULL makes a flag. */
void conf_set_value(struct conf_node *node, const char *value);
/* A child by name and, for lists and leaf-lists, value; inactive ones too. NULL: none. */
struct conf_node *conf_get(const struct conf_node *parent, const char *name, const char *value);
/* The same statements, values and flags in the same order (lines do not matter). */
bool conf_equal(const struct conf_node *a, const struct conf_node *b);

/* The first active child of that name, or NULL. parent NULL is allowed (gives NULL). */
const struct conf_node *conf_child(const struct conf_node *parent, const char *name);
/* The list entry with that key. */
const struct conf_node *conf_entry(const struct conf_node *parent, const char *list,
                                   const char *key);
/* The next active sibling of the same name (list entries, leaf-list values). */
const struct conf_node *conf_next(const struct conf_node *node);
/* Follow names separated by blanks; a list entry is written as two words (list, key). */
const struct conf_node *conf_find(const struct conf_node *root, const char *path);
/* Value of a leaf child, or NULL. */
const char *conf_leaf(const struct conf_node *parent, const char *name);
/* A flag or container child is there and active. */
bool conf_has(const struct conf_node *parent, const char *name);
uint64_t conf_u64(const struct conf_node *parent, const char *name, uint64_t otherwise);

/* for (const struct conf_node *n = conf_child(p, "gateway"); n; n = conf_next(n)) */
#define conf_each(n, parent, name)                                                                 \
    for (const struct conf_node *n = conf_child((parent), (name)); n; n = conf_next(n))

/* "security ike gateway gw1", for messages; free with g_free. */
char *conf_path(const struct conf_node *node);

/* Binary form for the bus; wipe it before it is freed, it may hold keys. NULL: the tree exceeds
 * a limit above. The reader takes bytes from outside and the same limits. */
GByteArray *conf_serialise(const struct conf_node *root);
struct conf_node *conf_deserialise(struct fw_cursor *c);   /* NULL: malformed */

#endif
