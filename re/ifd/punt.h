/*
 * punt - packets between the fabric and the Routing Engine's kernel.
 *
 * One lane thread: HOST_IN cells go into the TAP of their port (frames as they
 * came, L3 packets behind a header made here) or the TUN of their st0 unit;
 * what the kernel sends leaves as PORT_OUT to the I/O card, or as HOST_OUT to
 * the central point. The main thread gives the lane a new map whenever devices
 * or cards change; the lane takes it at its next turn and hands the old one back.
 * Descriptors that left the map are closed only then.
 */
#ifndef RE_PUNT_H
#define RE_PUNT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "firmware/fabric/fabric.h"

struct punt_device {
    int fd;
    uint16_t ifl;
    bool tap;   /* else TUN */
    bool inet6; /* IPv6 may leave */
    uint8_t slot, pic, port;
    uint8_t mac[6];
};

struct punt_map {
    unsigned n_devices;
    uint8_t central_point; /* endpoint index (FPC slot), 0xff none */
    GArray *close;         /* int: descriptors to close with the map that last held them, or NULL */
    struct punt_device devices[];
};

struct punt_counters {
    uint64_t host_in, host_out, no_device, write_failed, malformed, no_card, no_buffer, quiet;
};

struct punt;

/* Starts the lane's thread (lane 0 of the fabric, which stays the caller's). */
struct punt *punt_new(struct fabric *fabric, GError **error);
/* Stops and joins; closes what the maps say. */
void punt_free(struct punt *punt);
/* Takes the map. */
void punt_set_map(struct punt *punt, struct punt_map *map);
struct punt_map *punt_map_new(unsigned n_devices);
void punt_counters(const struct punt *punt, struct punt_counters *ret);

#endif
