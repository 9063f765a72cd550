/*
 * port - one end of a SOCK_SEQPACKET socket: bounded send queue, bounded reads.
 *
 * What the connection and the router have in common; private to firmware/bus.
 * Frames are reference-counted immutable bytes, wiped when the last holder lets
 * go. Main-loop thread only.
 */
#ifndef BUS_PORT_H
#define BUS_PORT_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/bus/bus.h"

struct bus_frame {
    unsigned refs;
    enum bus_kind kind;
    GBytes *key;      /* retained event: destination, type and object; else NULL */
    int *fds;         /* own duplicates, closed with the frame */
    unsigned n_fds;
    size_t len;
    uint8_t data[];
};

/* A copy of the bytes; takes key; duplicates the descriptors. NULL when duplicating fails. */
struct bus_frame *bus_frame_new(const uint8_t *data, size_t len, enum bus_kind kind, GBytes *key,
                                const int *fds, unsigned n_fds);
void bus_frame_unref(struct bus_frame *frame);

/* Names the object of a retained event; NULL when msg does not encode. */
GBytes *bus_object_key(const struct bus_type *type, uint16_t destination, const void *msg);

struct bus_port;

struct bus_port_handler {
    /* One frame as received. The callee takes a descriptor by setting its entry to -1. */
    void (*frame)(struct bus_port *port, const uint8_t *data, size_t len, int *fds,
                  unsigned n_fds, void *data_pointer);
    void (*gone)(struct bus_port *port, void *data);
};

enum bus_sent { BUS_SENT, BUS_SENT_FULL, BUS_SENT_GONE };

/* Takes fd. */
struct bus_port *bus_port_new(int fd, const struct bus_port_handler *handler, void *data);
/* Allowed in callbacks. Queued frames get one last chance to leave. */
void bus_port_free(struct bus_port *port);
int bus_port_fd(const struct bus_port *port);
void bus_port_set_bound(struct bus_port *port, unsigned frames);
unsigned bus_port_queued(const struct bus_port *port);
/* Borrows the frame. A retained event takes the place of a queued one for the same object, and may
 * exceed the bound (objects are bounded); replies may too (the caller waits for them). */
enum bus_sent bus_port_send(struct bus_port *port, struct bus_frame *frame);

#endif
