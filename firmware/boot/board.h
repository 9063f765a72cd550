/*
 * board - the part of a board's program that talks to its supervisor.
 *
 * Used by spcd, iocd, the gateway and (for the control side) the RE supervisor.
 * board_main connects fd 3 (supervision) and, where there is one, fd 4 (bus),
 * waits for board-start, calls `start`, makes the fabric when the role wants
 * one, runs the boot stages with their modelled durations, attaches peers as
 * told, reports ready, locks the process down, answers pings, and ends when the
 * supervisor goes away. Main-loop thread only.
 */
#ifndef BOOT_BOARD_H
#define BOOT_BOARD_H

#include <stdbool.h>

#include "firmware/bus/bus.h"
#include "firmware/fabric/fabric.h"
#include "messages.h" /* generated */

#define BOARD_FD_BUS 4 /* the control bus, given at exec */

struct board {
    struct bus_conn *supervisor;
    struct bus_conn *bus;            /* NULL for a board without control bus */
    struct fabric *fabric;           /* NULL until made */
    const struct bus_board_start *config;
    int *port_fds;                   /* in the order of config->ports; the board's */
};

struct board_role {
    const char *name;                /* "spcd" */
    bool fabric;                     /* make an outbox */
    bool bus;                        /* fd 4 is a control bus of which the board is one end */
    bool wait_ready;                 /* the role says when it is ready: board_set_ready */
    bool lock_down;                  /* open nothing after ready (seccomp) */
    const uint16_t *subscriptions;   /* bus events wanted, 0-terminated, or NULL */
    /* Board has its configuration and its fabric; start threads. */
    bool (*start)(struct board *board, void *data, GError **error);
    /* Bus calls and events. */
    void (*message)(struct board *board, const struct bus_header *header, const void *msg,
                    void *data);
    /* Supervision messages that board.c does not handle (capture-start, port-link). */
    void (*supervision)(struct board *board, const struct bus_header *header, const void *msg,
                        int *fds, unsigned n_fds, void *data);
    void (*stop)(struct board *board, void *data);
    void *data;
};

/* Runs until the end; returns the exit status. */
int board_main(const struct board_role *role, int argc, char **argv);

/* With wait_ready: the role's own part of booting is done. Harmless when repeated. */
void board_set_ready(struct board *board);
/* close(2), for holders of passed descriptors; -1 is allowed. */
void board_close_fd(int fd);

#endif
