/*
 * netlink - the RE's kernel: links, addresses, routes and neighbours.
 *
 * A small rtnetlink client. Requests are made and acknowledged one at a time
 * on their own socket (the kernel answers at once); neighbour events arrive on
 * another socket through a callback. Replies are read through the cursor.
 * Main-loop thread only. Standards: rtnetlink(7).
 */
#ifndef RE_NETLINK_H
#define RE_NETLINK_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "firmware/core/addr.h"

struct netlink;

/* A neighbour the kernel knows (gone: no longer). */
typedef void (*netlink_neighbour_cb)(int index, const struct fw_addr *address, const uint8_t mac[6],
                                     bool gone, void *data);

struct netlink *netlink_new(netlink_neighbour_cb neighbour, void *data, GError **error);
void netlink_free(struct netlink *netlink);

/* Administrative state, MTU (0: leave) and address (NULL: leave) of a link. */
bool netlink_link_set(struct netlink *netlink, int index, bool up, uint32_t mtu, const uint8_t *mac,
                      GError **error);
/* Not forwarding, no source filter, no IPv6 address of the kernel's own making. */
bool netlink_link_quiet(struct netlink *netlink, int index, GError **error);
bool netlink_link_delete(struct netlink *netlink, int index, GError **error);
/* Adding what is there and deleting what is not is a success. */
bool netlink_address(struct netlink *netlink, int index, const struct fw_prefix *prefix, bool add,
                     GError **error);
/* gateway none: directly by index; index 0: discard. */
bool netlink_route(struct netlink *netlink, const struct fw_prefix *prefix,
                   const struct fw_addr *gateway, int index, bool add, GError **error);
/* Have the kernel resolve a neighbour. */
bool netlink_neighbour_use(struct netlink *netlink, int index, const struct fw_addr *address,
                           GError **error);

/* Reads one datagram of neighbour messages; for tests and fuzzing. False: malformed. */
bool netlink_parse(const void *bytes, size_t len, netlink_neighbour_cb neighbour, void *data);

#endif
