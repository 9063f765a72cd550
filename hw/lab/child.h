/*
 * child - starting and reaping processes; labd is init of its PID namespace.
 *
 * A child gets exactly the descriptors named, in a network namespace of its
 * choice. SIGCHLD comes by signalfd; every dead process is reaped, known ones
 * are reported to their callback, orphans of the lab silently. Main-loop
 * thread only; the process has no other thread (fork).
 */
#ifndef LAB_CHILD_H
#define LAB_CHILD_H

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#define CHILD_FDS_MAX 8

struct child_spec {
    const char *const *argv;     /* argv[0] is looked up in PATH unless it has a slash */
    const char *const *env;      /* NAME=VALUE to add or replace, NULL-terminated, or NULL */
    const char *directory;       /* to start in, or NULL */
    int netns;                   /* network namespace, or -1 for the caller's */
    unsigned n_fds;
    int fds[CHILD_FDS_MAX];      /* descriptor i of the child is fds[i]; -1: /dev/null */
    bool terminal;               /* descriptor 0 becomes the controlling terminal */
};

/* status as waitpid gives it. The child is forgotten before the call. */
typedef void (*child_end_cb)(pid_t pid, int status, void *data);

/* Once, before the first child. */
void child_init(void);
/* -1 with error when it could not be executed. The child leads a session of its own. */
pid_t child_start(const struct child_spec *spec, child_end_cb callback, void *data, GError **error);
/* The callback does not run any more. */
void child_forget(pid_t pid);
/* Runs a command to its end (blocking; for set-up only): false with its stderr when it fails. */
bool child_run(const struct child_spec *spec, const char *input, GError **error);
/* Text of a wait status: "exit status 1", "signal 9 (Killed)". g_free. */
char *child_status_text(int status);

#endif
