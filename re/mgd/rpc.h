/*
 * rpc - the executor: every show and request is an RPC that some daemon, or mgd
 * itself, answers with one XML tree.
 *
 * Daemons register the names they answer; answers come in pages and are parsed
 * with limits. NETCONF and the command line use the same executor. Main thread.
 */
#ifndef MGD_RPC_H
#define MGD_RPC_H

#include <glib.h>
#include <libxml/tree.h>
#include <stdbool.h>

#include "firmware/bus/bus.h"
#include "messages.h" /* generated */

#define RPC_ANSWER_MAX (64u << 20) /* bytes of one answer: 50,000 SAs in detail */

struct rpc;

/* The answer; the callee frees the document. NULL with error. Runs once, later or at once. */
typedef void (*rpc_done_cb)(xmlDoc *answer, const GError *error, void *data);
/* An RPC of mgd's own: NULL with *error for a refusal. */
typedef xmlDoc *(*rpc_own)(const struct bus_rpc_call *call, GError **error, void *data);

/* One that answers later, with rpc_own_finish(token, ...) exactly once. */
typedef void (*rpc_own_later)(const struct bus_rpc_call *call, void *token, void *data);

struct rpc *rpc_new(struct bus_conn *bus);
void rpc_free(struct rpc *rpc);
void rpc_own_add(struct rpc *rpc, const char *name, rpc_own run, void *data);
void rpc_own_later_add(struct rpc *rpc, const char *name, rpc_own_later run, void *data);
/* Takes answer; error is copied. */
void rpc_own_finish(void *token, xmlDoc *answer, const GError *error);
void rpc_register(struct rpc *rpc, uint16_t address, const struct bus_rpc_register *message);
/* call is copied. */
void rpc_execute(struct rpc *rpc, const struct bus_rpc_call *call, rpc_done_cb done, void *data);
/* Forget the calls whose data is `data`: their callbacks do not run. */
void rpc_forget(struct rpc *rpc, void *data);

#endif
