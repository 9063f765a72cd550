/*
 * netns - network namespaces as descriptors, and what is put into them.
 *
 * No names in /run/netns: a namespace lives as long as a descriptor or process
 * of the lab holds it. Main-loop thread of labd only (setns is per thread).
 */
#ifndef LAB_NETNS_H
#define LAB_NETNS_H

#include <glib.h>
#include <stdbool.h>

#include "hw/lab/labfile.h"

/* labd's own namespace is remembered to come back to. */
bool netns_init(GError **error);
/* A new namespace, IPv6 off unless asked for, no forwarding, lo up; -1 on error. */
int netns_new(bool ipv6, GError **error);
/* A TAP with a virtio-net header in the namespace; its descriptor, -1 on error. */
int netns_tap(int netns, const char *name, GError **error);
/* Carrier of a TAP as its host sees it. */
void netns_tap_carrier(int tap, bool up);
/* A veth pair between two namespaces. */
bool netns_veth(int a, const char *name_a, int b, const char *name_b, GError **error);
/* Addresses and routes of a host; interfaces eth0 .. eth(n_interfaces - 1) are there. */
bool netns_configure(int netns, const struct lab_host *host, unsigned n_interfaces, GError **error);

#endif
