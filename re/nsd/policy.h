/*
 * policy - security policies compiled to what flow threads match on.
 *
 * Address book entries and sets become prefixes, applications become protocol
 * and port ranges, in the order of configuration. Pure; any thread. Limits: 32
 * prefixes each way and 32 ports a policy, 64 policies a pair of zones (the
 * lists of policy-state). Follows: srx5000 reference, F.3.
 */
#ifndef RE_POLICY_H
#define RE_POLICY_H

#include <glib.h>
#include <stdbool.h>

#include "messages.h" /* generated */
#include "re/conf/conf.h"

struct policy_pair {
    char from[64], to[64];          /* zone names */
    struct bus_policy_state *state; /* zone ids and policy ids are 0 */
};

/* Elements are struct policy_pair. NULL with the statement at fault. */
GPtrArray *policy_compile(const struct conf_node *root, char **ret_path, GError **error);

#endif
