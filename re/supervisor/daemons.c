/* daemons - see daemons.h. */
#include "re/supervisor/daemons.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "firmware/core/timer.h"

#define QUICK_MAX     5
#define QUICK_NS      FW_SEC
#define BACKOFF_MAX   (8 * FW_SEC)
#define RECORDS_BYTES (8u << 20) /* iked's records: 2,000 SAs of 4 KiB */

enum extra { EXTRA_NONE, EXTRA_FABRIC, EXTRA_RECORDS };

struct role_row {
    const char *name;
    enum bus_role role;
    enum extra extra;
    bool needed; /* for the board to be ready */
};

static const struct role_row rows[] = {{"mgd", BUS_ROLE_MGD, EXTRA_NONE, true},
                                       {"chassisd", BUS_ROLE_CHASSISD, EXTRA_NONE, true},
                                       {"ifd", BUS_ROLE_IFD, EXTRA_FABRIC, true},
                                       {"nsd", BUS_ROLE_NSD, EXTRA_NONE, true},
                                       {"ikemd", BUS_ROLE_IKEMD, EXTRA_NONE, true},
                                       {"iked", BUS_ROLE_IKED, EXTRA_RECORDS, true}};

struct daemon {
    struct daemons *all;
    const struct role_row *row;
    GPid pid; /* 0: not running */
    guint watch;
    struct fw_timer *restart;
    int64_t started_ns;
    int64_t changed_ns;
    unsigned quick, restarts;
    bool on_bus;
    const char *state;
};

struct daemons {
    const struct bus_board_start *start;
    struct bus_router *router;
    void (*ifd_started)(int fd, void *data);
    void (*changed)(const struct bus_daemon_state *state, void *data);
    void *data;
    char *directory; /* of the programs */
    char **environment;
    int records;
    bool ending;
    struct daemon daemons[G_N_ELEMENTS(rows)];
};

int64_t daemons_backoff_ns(unsigned quick)
{
    if (quick < QUICK_MAX) {
        return 0;
    }
    unsigned doublings = MIN(quick - QUICK_MAX, 6);

    return MIN((FW_SEC / 4) << doublings, BACKOFF_MAX);
}

static void tell(struct daemon *d, const char *state)
{
    struct bus_daemon_state m = {.pid = (uint32_t)d->pid, .restarts = d->restarts};

    d->state = state;
    d->changed_ns = fw_clock_ns();
    m.since_ns = d->changed_ns;
    g_strlcpy(m.name, d->row->name, sizeof m.name);
    g_strlcpy(m.state, state, sizeof m.state);
    d->all->changed(&m, d->all->data);
}

static void start_one(void *data);

static void died(GPid pid, gint status, gpointer data)
{
    struct daemon *d = data;
    int64_t lived = fw_clock_ns() - d->started_ns;

    (void)pid;
    d->watch = 0;
    d->pid = 0;
    d->on_bus = false;
    bus_router_remove(d->all->router, BUS_RE(d->row->role));
    if (d->all->ending) {
        return;
    }
    d->quick = lived < QUICK_NS ? d->quick + 1 : 0;
    d->restarts++;
    if (WIFSIGNALED(status)) {
        fw_warning("%s died of signal %d; it is started again", d->row->name, WTERMSIG(status));
    } else {
        fw_warning("%s ended with status %d; it is started again", d->row->name,
                   WEXITSTATUS(status));
    }
    tell(d, "restarting");
    fw_timer_arm(d->restart, daemons_backoff_ns(d->quick));
}

static int second_fd(struct daemon *d, int *ret_ours)
{
    int pair[2];

    *ret_ours = -1;
    switch (d->row->extra) {
    case EXTRA_NONE:
        return -1;
    case EXTRA_RECORDS:
        return fcntl(d->all->records, F_DUPFD_CLOEXEC, 10);
    case EXTRA_FABRIC:
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
            return -1;
        }
        *ret_ours = pair[0];
        return pair[1];
    }
    return -1;
}

/* In the child: only async-signal-safe calls. */
static void become(const char *program, const char *name, int bus, int extra, char **environment)
{
    char *argv[] = {(char *)program, (char *)name, NULL};

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    /* 3 and 4 may be taken by what we move: go through high numbers. */
    bus = fcntl(bus, F_DUPFD, 20);
    extra = extra >= 0 ? fcntl(extra, F_DUPFD, 20) : -1;
    dup2(bus, 3);
    if (extra >= 0) {
        dup2(extra, 4);
    }
    close_range(extra >= 0 ? 5 : 4, ~0u, 0);
    execve(program, argv, environment);
    _exit(127);
}

static void start_one(void *data)
{
    struct daemon *d = data;
    g_autofree char *program = g_strdup_printf("%s/vc-%s", d->all->directory, d->row->name);
    int pair[2], ours, extra;
    pid_t parent = getpid();

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        fw_error("%s: socketpair: %s", d->row->name, g_strerror(errno));
        fw_timer_arm(d->restart, FW_SEC);
        return;
    }
    extra = second_fd(d, &ours);
    d->started_ns = fw_clock_ns();
    d->pid = fork();
    if (d->pid == 0) {
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        if (getppid() != parent) {
            _exit(0);
        }
        become(program, d->row->name, pair[1], extra, d->all->environment);
    }
    close(pair[1]);
    if (extra >= 0) {
        close(extra);
    }
    if (d->pid < 0) {
        fw_error("%s: fork: %s", d->row->name, g_strerror(errno));
        d->pid = 0;
        close(pair[0]);
        if (ours >= 0) {
            close(ours);
        }
        fw_timer_arm(d->restart, FW_SEC);
        return;
    }
    d->watch = g_child_watch_add(d->pid, died, d);
    bus_router_add(d->all->router, pair[0], BUS_RE(d->row->role), 0xffff);
    if (ours >= 0) {
        d->all->ifd_started(ours, d->all->data);
    }
    tell(d, "running");
}

static char **make_environment(const struct bus_board_start *s)
{
    char **e = g_get_environ();

    e = g_environ_setenv(e, "VCHASSIS_NODE", s->node, TRUE);
    e = g_environ_setenv(e, "VCHASSIS_DISK", s->disk, TRUE);
    e = g_environ_setenv(e, "VCHASSIS_RUN", s->run, TRUE);
    e = g_environ_setenv(e, "VCHASSIS_CONFIG", s->config, TRUE);
    e = g_environ_setenv(e, "VCHASSIS_MODEL", s->model, TRUE);
    e = g_environ_setenv(e, "VCHASSIS_EXPORT_KEYS", s->export_keys ? "1" : "0", TRUE);

    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {{"VCHASSIS_SEED", s->seed},
                   {"VCHASSIS_MODEL_SCALE", s->model_scale},
                   {"VCHASSIS_EPOCH", s->epoch}};

    for (unsigned i = 0; i < G_N_ELEMENTS(numbers); i++) {
        g_autofree char *text = g_strdup_printf("%" G_GUINT64_FORMAT, numbers[i].value);

        e = g_environ_setenv(e, numbers[i].name, text, TRUE);
    }
    return e;
}

struct daemons *daemons_new(const struct bus_board_start *start, struct bus_router *router,
                            void (*ifd_started)(int fd, void *data),
                            void (*changed)(const struct bus_daemon_state *state, void *data),
                            void *data)
{
    struct daemons *all = g_new0(struct daemons, 1);
    const char *libexec = g_getenv("VCHASSIS_LIBEXEC");
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);

    all->start = start;
    all->router = router;
    all->ifd_started = ifd_started;
    all->changed = changed;
    all->data = data;
    all->directory = libexec ? g_strdup(libexec) : g_path_get_dirname(self ? self : ".");
    all->environment = make_environment(start);
    all->records = -1;
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct daemon *d = &all->daemons[i];

        d->all = all;
        d->row = &rows[i];
        d->state = "stopped";
        d->restart = fw_timer_new(start_one, d);
    }
    return all;
}

bool daemons_start(struct daemons *all, GError **error)
{
    all->records = memfd_create("iked-records", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (all->records < 0 || ftruncate(all->records, RECORDS_BYTES) != 0 ||
        fcntl(all->records, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        return fw_fail_errno(error, "memory for iked's records");
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        start_one(&all->daemons[i]);
    }
    return true;
}

bool daemons_restart(struct daemons *all, const char *name, GError **error)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct daemon *d = &all->daemons[i];

        if (strcmp(d->row->name, name) != 0) {
            continue;
        }
        if (d->pid) {
            kill(d->pid, SIGTERM);
        } else {
            fw_timer_arm(d->restart, 0);
        }
        return true;
    }
    return fw_fail(error, FW_ERROR_NOT_FOUND, "no daemon %s on this Routing Engine", name);
}

void daemons_bus_state(struct daemons *all, unsigned role, bool up)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].role == role) {
            all->daemons[i].on_bus = up;
        }
    }
}

bool daemons_ready(const struct daemons *all)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (rows[i].needed && !all->daemons[i].on_bus) {
            return false;
        }
    }
    return true;
}

void daemons_free(struct daemons *all)
{
    all->ending = true;
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        struct daemon *d = &all->daemons[i];

        if (d->pid) {
            kill(d->pid, SIGKILL);
        }
        if (d->watch) {
            g_source_remove(d->watch);
        }
        fw_timer_free(d->restart);
    }
    if (all->records >= 0) {
        close(all->records);
    }
    g_strfreev(all->environment);
    g_free(all->directory);
    g_free(all);
}
