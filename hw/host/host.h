/*
 * host - HwHost, what runs a board: a process here, or a mock in this process.
 *
 * A host is told the board's program and its ends of two sockets (supervision,
 * control bus); from then on the board speaks the same wire wherever it runs.
 * The end of a board comes as a callback with a wait status, exactly once,
 * never from inside hw_host_start or hw_host_kill. Main-loop thread only.
 */
#ifndef HW_HOST_HOST_H
#define HW_HOST_HOST_H

#include <glib-object.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HW_TYPE_HOST (hw_host_get_type())
G_DECLARE_INTERFACE(HwHost, hw_host, HW, HOST, GObject)

struct hw_host_board {
    const char *program;  /* "vc-spcd" */
    const char *label;    /* argument: the name in the log, "left fpc0 spcd" */
    int supervision;      /* the board's end; taken over by the host when it starts */
    int bus;              /* the same, or -1 */
};

/* status as waitpid gives it. The guest is gone after the call. */
typedef void (*hw_host_ended_cb)(int status, void *data);

struct hw_guest; /* a board that runs; the host's */

struct _HwHostInterface {
    GTypeInterface parent;
    struct hw_guest *(*start)(HwHost *host, const struct hw_host_board *board,
                              hw_host_ended_cb ended, void *data, GError **error);
    void (*kill)(HwHost *host, struct hw_guest *guest);
    void (*forget)(HwHost *host, struct hw_guest *guest);
    uint32_t (*pid)(HwHost *host, struct hw_guest *guest);
};

/* NULL with error when it cannot start; the descriptors stay the caller's then. */
struct hw_guest *hw_host_start(HwHost *host, const struct hw_host_board *board,
                               hw_host_ended_cb ended, void *data, GError **error);
/* Ends it at once (SIGKILL); `ended` tells when it is over. */
void hw_host_kill(HwHost *host, struct hw_guest *guest);
/* Ends it, and the callback does not run: for the end of the supervisor itself. */
void hw_host_forget(HwHost *host, struct hw_guest *guest);
/* Process id, 0 when it has none of its own. */
uint32_t hw_host_pid(HwHost *host, struct hw_guest *guest);

/* "killed by signal 9", "exit status 1", for messages. g_free. */
char *hw_host_status_text(int status);

#endif
