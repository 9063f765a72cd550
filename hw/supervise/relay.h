/*
 * relay - the midplane's control bus: frames between the RE, the cards and hwd.
 *
 * One port a slot (the upper byte of an address). A frame's source must belong
 * to its port; others are dropped and counted. Frames for BUS_SUBSCRIBERS go to
 * the RE, whose router knows who subscribed. Queues are bounded: over the bound
 * a call is answered BUSY, a plain event is dropped and counted, a retained
 * event replaces an older one for the same object.
 *
 * What the relay remembers: calls under way, so that the end of a board answers
 * them; and each card's subscriptions, which a new RE's router is told again.
 *
 * Main-loop thread only.
 */
#ifndef HW_SUPERVISE_RELAY_H
#define HW_SUPERVISE_RELAY_H

#include <stdbool.h>
#include <stdint.h>

struct hw_relay;

struct hw_relay_counters {
    uint64_t frames;    /* passed on */
    uint64_t dropped;   /* queue full, or nobody in that slot */
    uint64_t forged;    /* source does not belong to the port */
    uint64_t malformed;
    uint64_t busy;      /* calls refused */
};

struct hw_relay *hw_relay_new(void);
void hw_relay_free(struct hw_relay *relay);
/* Takes fd, the relay's end of the socket of whoever sits in the slot. */
void hw_relay_add(struct hw_relay *relay, uint8_t slot, int fd);
/* Calls under way to it are answered with an error. */
void hw_relay_remove(struct hw_relay *relay, uint8_t slot);
void hw_relay_count(const struct hw_relay *relay, struct hw_relay_counters *ret);

#endif
