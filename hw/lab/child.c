/*
 * child - see child.h.
 *
 * The child reports an exec failure through a close-on-exec pipe, so that the
 * caller learns at once whether the program runs. Between fork and exec only
 * async-signal-safe calls are made on data prepared before.
 */
#include "hw/lab/child.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/core/error.h"
#include "firmware/core/log.h"

#define FD_ASIDE 64 /* descriptors are moved above this before they go to their places */
#define STDERR_KEPT 400

struct child {
    child_end_cb callback;
    void *data;
};

static GHashTable *children; /* pid -> struct child */

static gboolean on_signal(gint fd, GIOCondition condition, gpointer data)
{
    struct signalfd_siginfo info;
    pid_t pid;
    int status;

    while (read(fd, &info, sizeof(info)) > 0) {
    }
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        struct child *child = g_hash_table_lookup(children, GINT_TO_POINTER(pid));

        if (child) {
            struct child copy = *child;

            g_hash_table_remove(children, GINT_TO_POINTER(pid));
            copy.callback(pid, status, copy.data);
        }
    }
    return G_SOURCE_CONTINUE;
}

void child_init(void)
{
    sigset_t set;
    int fd;

    children = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        g_error("signalfd: %s", g_strerror(errno));
    }
    g_unix_fd_add(fd, G_IO_IN, on_signal, NULL);
}

/* In the child: never returns. */
static void child_become(const struct child_spec *spec, char **argv, char **env, int report)
{
    int aside[CHILD_FDS_MAX];
    sigset_t none;
    int saved;

    setsid();
    if (spec->netns >= 0 && setns(spec->netns, CLONE_NEWNET) != 0) {
        goto out;
    }
    report = fcntl(report, F_DUPFD_CLOEXEC, FD_ASIDE);
    for (unsigned n = 0; n < spec->n_fds; n++) {
        int fd = spec->fds[n] >= 0 ? spec->fds[n] : open("/dev/null", O_RDWR | O_CLOEXEC);

        aside[n] = fcntl(fd, F_DUPFD_CLOEXEC, FD_ASIDE);
        if (aside[n] < 0) {
            goto out;
        }
    }
    for (unsigned n = 0; n < spec->n_fds; n++) {
        if (dup2(aside[n], (int)n) < 0) {
            goto out;
        }
    }
    if (spec->terminal && ioctl(0, TIOCSCTTY, 0) != 0) {
        goto out;
    }
    if (spec->directory && chdir(spec->directory) != 0 && chdir("/") != 0) {
        goto out;
    }
    for (int n = 1; n < NSIG; n++) {
        signal(n, SIG_DFL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvpe(argv[0], argv, env);
out:
    saved = errno;
    if (write(report, &saved, sizeof(saved)) < 0) {
        _exit(126);
    }
    _exit(127);
}

static char **environment_of(const struct child_spec *spec)
{
    char **env = g_get_environ();

    for (unsigned n = 0; spec->env && spec->env[n]; n++) {
        const char *equals = strchr(spec->env[n], '=');

        if (equals) {
            g_autofree char *name = g_strndup(spec->env[n], (gsize)(equals - spec->env[n]));

            env = g_environ_setenv(env, name, equals + 1, TRUE);
        }
    }
    return env;
}

pid_t child_start(const struct child_spec *spec, child_end_cb callback, void *data, GError **error)
{
    g_auto(GStrv) env = environment_of(spec);
    int report[2];
    int failure = 0;
    ssize_t got;
    pid_t pid;

    if (pipe2(report, O_CLOEXEC) != 0) {
        fw_fail_errno(error, "cannot start %s", spec->argv[0]);
        return -1;
    }
    pid = fork();
    if (pid == 0) {
        child_become(spec, (char **)spec->argv, env, report[1]);
    }
    close(report[1]);
    if (pid < 0) {
        fw_fail_errno(error, "cannot start %s", spec->argv[0]);
        close(report[0]);
        return -1;
    }
    do {
        got = read(report[0], &failure, sizeof(failure));
    } while (got < 0 && errno == EINTR);
    close(report[0]);
    if (got == sizeof(failure)) {
        waitpid(pid, NULL, 0);
        errno = failure;
        fw_fail_errno(error, "cannot execute %s", spec->argv[0]);
        return -1;
    }
    if (callback) {
        struct child *child = g_new0(struct child, 1);

        child->callback = callback;
        child->data = data;
        g_hash_table_insert(children, GINT_TO_POINTER(pid), child);
    }
    return pid;
}

void child_forget(pid_t pid)
{
    g_hash_table_remove(children, GINT_TO_POINTER(pid));
}

bool child_run(const struct child_spec *spec, const char *input, GError **error)
{
    struct child_spec own = *spec;
    g_autoptr(GString) text = g_string_new(NULL);
    int in[2] = {-1, -1}, err[2] = {-1, -1};
    char buffer[512];
    int status = 0;
    ssize_t n;
    pid_t pid;

    if (pipe2(in, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) {
        return fw_fail_errno(error, "cannot start %s", spec->argv[0]);
    }
    own.n_fds = 3;
    own.fds[0] = in[0];
    own.fds[1] = err[1];
    own.fds[2] = err[1];
    pid = child_start(&own, NULL, NULL, error);
    close(in[0]);
    close(err[1]);
    if (pid > 0 && input && write(in[1], input, strlen(input)) < 0) {
        fw_debug("%s closed its input", spec->argv[0]);
    }
    close(in[1]);
    while (pid > 0 && (n = read(err[0], buffer, sizeof(buffer))) > 0) {
        if (text->len < STDERR_KEPT) {
            g_string_append_len(text, buffer, n);
        }
    }
    close(err[0]);
    if (pid < 0) {
        return false;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) {
        g_strdelimit(g_strchomp(text->str), "\n", ' ');
        return fw_fail(error, FW_ERROR_SYSTEM, "%s: %s", spec->argv[0],
                       *text->str ? text->str : "failed");
    }
    return true;
}

char *child_status_text(int status)
{
    if (WIFSIGNALED(status)) {
        return g_strdup_printf("signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
    }
    return g_strdup_printf("exit status %d", WEXITSTATUS(status));
}
