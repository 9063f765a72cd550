/*
 * daemons - the daemons of one Routing Engine: role table, start, restart policy.
 *
 * A daemon is a program vc-NAME beside this one, with fd 3 = bus and what its row adds. One that
 * dies is started again at once; after QUICK_MAX deaths within a second of their start each, with a
 * back-off that doubles up to 8 s. Main-loop thread only.
 */
#ifndef RE_SUPERVISOR_DAEMONS_H
#define RE_SUPERVISOR_DAEMONS_H

#include <glib.h>
#include <stdbool.h>

#include "firmware/bus/bus.h"
#include "messages.h" /* generated */

struct daemons;

/* The delay before the next start of a daemon whose last `quick` lives were all short. Pure. */
int64_t daemons_backoff_ns(unsigned quick);

/* start stays the caller's and must live as long. ifd_started: a new ifd has the other end of
 * fd. */
struct daemons *daemons_new(const struct bus_board_start *start, struct bus_router *router,
                            void (*ifd_started)(int fd, void *data),
                            void (*changed)(const struct bus_daemon_state *state, void *data),
                            void *data);
bool daemons_start(struct daemons *daemons, GError **error);
/* SIGTERM now, start again when it is gone. */
bool daemons_restart(struct daemons *daemons, const char *name, GError **error);
/* The router says that a role came or went. */
void daemons_bus_state(struct daemons *daemons, unsigned role, bool up);
/* Everything the board needs to be in service is on the bus. */
bool daemons_ready(const struct daemons *daemons);
/* SIGKILL to all. */
void daemons_free(struct daemons *daemons);

#endif
