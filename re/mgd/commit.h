/*
 * commit - the active configuration, and how it is replaced.
 *
 * A commit validates an expanded copy by the schema, asks every registered
 * daemon whose subtrees change (check; any of them may refuse, naming the
 * statement), then tells them (apply), writes the disk and is done. Daemons that
 * register later, or again, get the active configuration to apply. A daemon
 * that is away is no veto: it gets the result when it comes. One commit at a
 * time. Main thread only.
 */
#ifndef MGD_COMMIT_H
#define MGD_COMMIT_H

#include <glib.h>
#include <stdbool.h>

#include "firmware/bus/bus.h"
#include "messages.h" /* generated */
#include "re/conf/conf.h"
#include "re/mgd/schema.h"

struct commit;

/* Called once per commit_start, later or before it returns; error NULL: it is active (or, for a
 * check, it would be accepted). */
typedef void (*commit_done_cb)(const GError *error, void *data);

/* directory: of the store. bus may be NULL (no daemons: tests, first boot). */
struct commit *commit_new(const struct schema *schema, struct bus_conn *bus,
                          const char *directory);
void commit_free(struct commit *commit);

/* Boot: the active configuration from the disk, else a first commit of `file` (NULL or "": none),
 * which waits for the daemons. What cannot be read, or is refused, is logged, remembered for
 * commit_boot_error, and leaves an empty configuration. */
void commit_boot(struct commit *commit, const char *file);
const char *commit_boot_error(const struct commit *commit);

const struct conf_node *commit_active(const struct commit *commit);
/* Wall clock time of the last commit, 0 for none since the start; who made it. */
int64_t commit_time_ns(const struct commit *commit);
const char *commit_user(const struct commit *commit);

/* candidate is copied. check_only: nothing changes. */
void commit_start(struct commit *commit, const struct conf_node *candidate, bool check_only,
                  const char *user, commit_done_cb done, void *data);
/* Forget the callback of a session that ends; the commit goes on. */
void commit_forget(struct commit *commit, void *data);

/* From the bus. */
void commit_register(struct commit *commit, uint16_t address,
                     const struct bus_config_register *message);
void commit_role(struct commit *commit, const struct bus_role_state *state);

#endif
