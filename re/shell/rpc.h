/*
 * rpc - answers of a daemon's RPCs, page by page.
 *
 * Private to re/shell; daemons use re_rpc_argument and re_rpc_finish of shell.h. Main loop.
 */
#ifndef RE_SHELL_RPC_H
#define RE_SHELL_RPC_H

#include "re/shell/shell.h"

/* Run the RPC, or send the next page of an answer kept under call->token. */
void re_rpc_serve(struct bus_conn *conn, const struct bus_header *header,
                  const struct bus_rpc_call *call, const struct re_role *role);
void re_rpc_forget_all(void);

#endif
