/*
 * monitor - the JSON monitor of a node, and the same commands through labd.
 *
 * Commands, their arguments and answers stand in messages.schema. A connection
 * to RUN/monitor.sock is greeted, its requests are answered in order, and it
 * gets events after `qmp_capabilities` or `subscribe`. Descriptors come with a
 * command by SCM_RIGHTS. Main-loop thread only; nothing blocks.
 */
#ifndef HW_MONITOR_MONITOR_H
#define HW_MONITOR_MONITOR_H

#include <json-glib/json-glib.h>
#include <stdbool.h>

#include "hw/supervise/node.h"

struct monitor;

/* quit: run when a client asks for the end of the node. */
struct monitor *monitor_new(struct hw_node *node, void (*quit)(void *user), void *user);
/* Serves this socket too. */
bool monitor_listen(struct monitor *monitor, const char *path, GError **error);
void monitor_free(struct monitor *monitor);

/* One command. The answer is returned (free with json_node_unref), or NULL with error.
 * A descriptor that is taken is set to -1. */
JsonNode *monitor_execute(struct monitor *monitor, const char *name, JsonObject *arguments,
                          int *fds, unsigned n_fds, GError **error);
/* The line of a node-call; the answer line, never NULL. g_free. */
char *monitor_execute_line(struct monitor *monitor, const char *line, size_t len, int *fds,
                           unsigned n_fds);

/* To every client that wants events. data: borrowed. */
void monitor_event(struct monitor *monitor, const char *name, JsonObject *data);

#endif
