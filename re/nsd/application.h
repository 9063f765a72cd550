/*
 * application - predefined and configured applications.
 *
 * Pure; any thread. The predefined ones are a table; `applications` adds to it.
 */
#ifndef RE_APPLICATION_H
#define RE_APPLICATION_H

#include <stdbool.h>

#include "messages.h" /* generated */
#include "re/conf/conf.h"

/* Adds what a name means to rule->applications ("any": nothing, which means all). False: the name
 * is unknown, or the rule's list is full, or sets contain each other (ret_why). */
bool application_add(const struct conf_node *root, const char *name, struct bus_policy_rule *rule,
                     const char **ret_why);

#endif
