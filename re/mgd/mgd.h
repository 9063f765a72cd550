/*
 * mgd - the management daemon: what its parts share.
 *
 * One instance a process, owned by main. Main thread only.
 */
#ifndef MGD_MGD_H
#define MGD_MGD_H

#include <glib.h>

#include "firmware/bus/bus.h"
#include "re/mgd/command.h"
#include "re/mgd/commit.h"
#include "re/mgd/flow.h"
#include "re/mgd/rpc.h"
#include "re/mgd/schema.h"

struct mgd {
    struct schema *schema;
    struct commands *commands;
    struct bus_conn *bus;
    struct commit *commit;
    struct rpc *rpc;
    struct flow *flow;
    char *directory;     /* of the configuration files */
    GPtrArray *sessions; /* struct session */
    guint listener;      /* source of cli.sock */
    int listen_fd;
    char *listen_path;
};

/* cli.sock in the run directory. */
bool session_listen(struct mgd *mgd, const char *run, GError **error);
void session_close_all(struct mgd *mgd);

/* RPCs that mgd answers itself. */
void own_rpcs_add(struct mgd *mgd);

#endif
