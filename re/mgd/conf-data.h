/*
 * conf-data - a configuration as XML and as JSON, and completion of statements.
 *
 * XML: <configuration>, statement names as elements, the key as the first
 * child. JSON: plain objects, lists as arrays, numbers as numbers. Main thread.
 */
#ifndef MGD_CONF_DATA_H
#define MGD_CONF_DATA_H

#include <glib.h>
#include <libxml/tree.h>

#include "re/conf/conf.h"
#include "re/mgd/schema.h"

/* A tree of the nodes (struct conf_node, of one tree), their copies, with the statements above. */
struct conf_node *conf_data_part(const GPtrArray *nodes);
xmlDoc *conf_data_xml(const struct schema *schema, const struct conf_node *root);
void conf_data_json(const struct schema *schema, const struct conf_node *root, GString *out);

/* Statements that may stand for `last` behind `words` (char*) from word `from` on; names that are
 * in conf (may be NULL) are offered as keys. Appends struct command_choice. */
void conf_data_choices(const struct schema *schema, const struct conf_node *conf,
                       const GPtrArray *words, unsigned from, const char *last,
                       GPtrArray *choices);

#endif
