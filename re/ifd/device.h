/*
 * device - TAP and TUN devices of the Routing Engine, in its network namespace.
 *
 * A device lives as long as its descriptor: nothing is left behind. Frames
 * carry a virtio_net_hdr in front, so that offloaded checksums and large
 * packets pass as the fabric hands them over. Main-loop thread only.
 */
#ifndef RE_DEVICE_H
#define RE_DEVICE_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* A TAP (Ethernet) or TUN (IP) device; the descriptor does not block. -1 with the error. */
int device_open(const char *name, bool tap, int *ret_index, GError **error);
/* Carrier of a device; a kernel that cannot is no error. */
void device_carrier(int fd, bool up);
/* 0 when there is no such device. */
int device_index(const char *name);
/* Write a setting below /proc/sys/net; failures are ignored (the lane filters as well). */
void device_setting(const char *path, const char *value);

#endif
