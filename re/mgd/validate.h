/*
 * validate - is a configuration complete and consistent by the schema?
 *
 * Values were checked when they were read; here come what concerns several
 * statements: mandatory ones, must rules, limits of lists, and names that must
 * be defined elsewhere. libyang validates a throw-away tree. Main thread only.
 */
#ifndef MGD_VALIDATE_H
#define MGD_VALIDATE_H

#include <glib.h>
#include <stdbool.h>

#include "re/conf/conf.h"
#include "re/mgd/schema.h"

/* root without inactive statements (schema_expand). The error begins with the statement's path;
 * *ret_node (may be NULL) is the node at fault, when it is known. */
bool validate(const struct schema *schema, const struct conf_node *root,
              const struct conf_node **ret_node, GError **error);

#endif
