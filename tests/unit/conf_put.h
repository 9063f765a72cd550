/*
 * conf_put - configuration trees for tests, a statement a line.
 *
 * Words separated by blanks: `name` a container, `name=key` a list entry,
 * `name:value` a leaf, `name+value` a leaf-list value, `name!` a flag.
 *   conf_put(root, "interfaces interface=st0 unit=0 family inet");
 */
#ifndef TESTS_CONF_PUT_H
#define TESTS_CONF_PUT_H

#include <string.h>

#include "re/conf/conf.h"

static inline struct conf_node *conf_put(struct conf_node *root, const char *statement)
{
    g_auto(GStrv) words = g_strsplit(statement, " ", -1);
    struct conf_node *at = root;

    for (unsigned i = 0; words[i]; i++) {
        size_t name = strcspn(words[i], "=:+!");
        char sort = words[i][name];
        enum conf_kind kind = sort == '='   ? CONF_LIST
                              : sort == ':' ? CONF_LEAF
                              : sort == '+' ? CONF_LEAF_LIST
                              : sort == '!' ? CONF_LEAF
                                            : CONF_CONTAINER;
        const char *value = sort && sort != '!' ? words[i] + name + 1 : NULL;

        words[i][name] = 0;
        at = conf_add(at, kind, words[i], value);
    }
    return at;
}

/* Lines of statements; empty ones are skipped. */
static inline struct conf_node *conf_from(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    struct conf_node *root = conf_new();

    for (unsigned i = 0; lines[i]; i++) {
        if (*lines[i]) {
            conf_put(root, lines[i]);
        }
    }
    return root;
}

#endif
