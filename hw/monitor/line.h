/*
 * line - one line of the monitor's JSON, read with limits.
 *
 * A request is an object {"execute": NAME, "arguments": {...}}. Length, depth
 * and characters are checked before the JSON parser sees a byte, because it
 * recurses. Arguments are read by the field table of the schema's command: an
 * unknown, missing or ill-typed one is one sentence. Pure; any thread.
 */
#ifndef HW_MONITOR_LINE_H
#define HW_MONITOR_LINE_H

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stddef.h>

#include "firmware/bus/bus.h"

#define MONITOR_LINE_MAX  60000 /* what a bus message carries */
#define MONITOR_DEPTH_MAX 32    /* brackets within brackets: no command needs more than 3 */

/* Length (max), UTF-8 and depth are within the limits. */
bool monitor_line_check(const char *line, size_t len, size_t max, GError **error);

struct monitor_request {
    JsonParser *parser;  /* owns the tree */
    const char *name;    /* of the command */
    JsonObject *arguments; /* NULL: none */
    JsonNode *id;        /* NULL: none */
};

/* False with one sentence; nothing to free then. */
bool monitor_line_parse(const char *line, size_t len, struct monitor_request *ret, GError **error);
void monitor_request_clear(struct monitor_request *request);

/* Fill the zeroed struct of `in` from arguments (NULL: none were given). Types: bool, unsigned
 * and signed numbers, string, enum. */
bool monitor_arguments_read(const struct bus_struct *in, JsonObject *arguments, void *ret,
                            GError **error);

#endif
