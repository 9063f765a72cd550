/*
 * host - makes the RE's kernel agree with the table.
 *
 * Opens and closes devices, sets addresses, carrier and static routes, and
 * gives the lane its map. host_update may be called at any time; it changes
 * only what differs. Main-loop thread only.
 */
#ifndef RE_HOST_H
#define RE_HOST_H

#include "re/ifd/netlink.h"
#include "re/ifd/punt.h"
#include "re/ifd/table.h"

struct host;

struct host *host_new(struct netlink *netlink, struct table *table);
void host_free(struct host *host);
/* The lane exists now. */
void host_set_punt(struct host *host, struct punt *punt);
/* The interface leaves the table: its device goes. */
void host_leave(struct host *host, struct table_ifl *ifl);
void host_update(struct host *host);

#endif
