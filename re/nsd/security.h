/*
 * security - zones and policies with their ids, and what of them was told.
 *
 * Ids once given stay; retained events of an earlier run bring theirs back.
 * No input or output of its own; any single thread.
 */
#ifndef RE_SECURITY_H
#define RE_SECURITY_H

#include <glib.h>
#include <stdbool.h>

#include "messages.h" /* generated */
#include "re/conf/conf.h"
#include "re/nsd/zone.h"

struct security_out {
    void (*zone)(const struct bus_zone_state *state, void *data);
    void (*policy)(const struct bus_policy_state *state, void *data);
    void *data;
};

struct security;

struct security *security_new(const struct security_out *out);
void security_free(struct security *security);
/* Retained events of an earlier run; before the first security_configure. */
void security_restore_zone(struct security *security, const struct bus_zone_state *state);
void security_restore_policy(struct security *security, const struct bus_policy_state *state);

bool security_check(const struct conf_node *root, char **ret_path, GError **error);
/* Tells what changed. */
void security_configure(struct security *security, const struct conf_node *root);
/* As configured last; the nodes in it are not valid. */
const GPtrArray *security_zones(const struct security *security);

#endif
