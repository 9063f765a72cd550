/*
 * vc-re against a hand-made hwd, with this very program as the daemons: all are started with a bus,
 * the board becomes ready, a killed daemon comes back and is reported, nobody outlives the
 * supervisor.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/bus/bus.h"
#include "firmware/core/clock.h"
#include "messages.h"

static const char *const names[] = {"mgd", "chassisd", "ifd", "nsd", "ikemd", "iked"};
static const enum bus_role roles[] = {BUS_ROLE_MGD, BUS_ROLE_CHASSISD, BUS_ROLE_IFD,
                                      BUS_ROLE_NSD, BUS_ROLE_IKEMD,    BUS_ROLE_IKED};

static struct {
    struct bus_conn *conn;
    GHashTable *pids; /* name -> pid */
    bool ready;
    unsigned restarts;
    pid_t re;
    char *directory;
    int midplane;
} t;

static void message(struct bus_conn *conn, const struct bus_header *h, const void *msg, int *fds,
                    unsigned n_fds, void *data)
{
    if (h->type == BUS_BOARD_READY) {
        t.ready = true;
    }
    if (h->type == BUS_DAEMON_STATE) {
        const struct bus_daemon_state *m = msg;

        if (strcmp(m->state, "running") == 0) {
            g_hash_table_insert(t.pids, g_strdup(m->name), GUINT_TO_POINTER(m->pid));
        }
        t.restarts = MAX(t.restarts, m->restarts);
    }
}

static gboolean wake(gpointer unused)
{
    return G_SOURCE_CONTINUE;
}

#define turn_until(condition)                                                                      \
    do {                                                                                           \
        int64_t deadline = fw_clock_ns() + 20 * FW_SEC;                                            \
        guint waker = g_timeout_add(20, wake, NULL);                                               \
        while (!(condition) && fw_clock_ns() < deadline) {                                         \
            g_main_context_iteration(NULL, TRUE);                                                  \
        }                                                                                          \
        g_source_remove(waker);                                                                    \
        cr_assert(condition);                                                                      \
    } while (0)

/* Started as vc-NAME this program is a daemon: it says hello on its bus and stays. */
__attribute__((constructor)) static void be_a_daemon(int argc, char **argv)
{
    const char *name = argc > 0 ? strrchr(argv[0], '/') : NULL;
    bool four, good;
    struct bus_header h = {.version = BUS_SCHEMA_VERSION, .type = BUS_SUBSCRIBE, .serial = 1,
                           .destination = BUS_ROUTER};
    uint8_t bytes[64];
    struct fw_emit e = fw_emit(bytes, sizeof bytes);

    if (!name || strncmp(name, "/vc-", 4) != 0) {
        return;
    }
    name += 4;
    four = strcmp(name, "ifd") == 0 || strcmp(name, "iked") == 0;
    good = fcntl(3, F_GETFD) >= 0 && (fcntl(4, F_GETFD) >= 0) == four &&
           g_strcmp0(g_getenv("VCHASSIS_NODE"), "n1") == 0;
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        if (strcmp(names[i], name) == 0) {
            h.source = BUS_RE(roles[i]);
        }
    }
    bus_header_encode(&h, &e);
    fw_emit_u16(&e, 0);
    fw_emit_patch_u32(&e, 0, (uint32_t)fw_emit_len(&e));
    if (good && send(3, bytes, fw_emit_len(&e), 0) > 0) {
        pause();
    }
    _exit(9);
}

static void make_daemons(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_strdup_printf("%s/vc-%s", t.directory, names[i]);

        cr_assert_eq(symlink(self, path), 0);
    }
}

static void setup(void)
{
    static const struct bus_handler handler = {message, NULL};
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *here = g_path_get_dirname(self);
    g_autofree char *program = g_build_filename(here, "..", "bin", "vc-re", NULL);
    struct bus_board_start *start = g_new0(struct bus_board_start, 1);
    int supervision[2], midplane[2];

    t.directory = g_dir_make_tmp("supervisor-XXXXXX", NULL);
    t.pids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    make_daemons();
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, supervision), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, midplane), 0);
    t.re = fork();
    if (t.re == 0) {
        int a = fcntl(supervision[1], F_DUPFD, 100), b = fcntl(midplane[1], F_DUPFD, 100);

        g_setenv("VCHASSIS_LIBEXEC", t.directory, TRUE);
        dup2(a, 3);
        dup2(b, 4);
        close_range(5, ~0u, 0);
        execl(program, "vc-re", NULL);
        _exit(127);
    }
    close(supervision[1]);
    close(midplane[1]);
    t.midplane = midplane[0];
    t.conn = bus_conn_new(supervision[0], BUS_HWD, &handler, NULL);
    g_strlcpy(start->node, "n1", sizeof start->node);
    start->slot = BUS_SLOT_RE0;
    start->lanes = 1;
    start->endpoints = 14;
    cr_assert(bus_send(t.conn, 0, BUS_BOARD_START, start));
    g_free(start);
}

static bool all_gone(void)
{
    GHashTableIter iter;
    void *pid;

    g_hash_table_iter_init(&iter, t.pids);
    while (g_hash_table_iter_next(&iter, NULL, &pid)) {
        if (kill((pid_t)GPOINTER_TO_UINT(pid), 0) == 0 || errno != ESRCH) {
            return false;
        }
    }
    return true;
}

static void teardown(void)
{
    GDir *dir = g_dir_open(t.directory, 0, NULL);
    const char *name;

    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(t.directory, name, NULL);
        g_unlink(path);
    }
    g_dir_close(dir);
    g_rmdir(t.directory);
    close(t.midplane);
}

TestSuite(supervisor, .init = setup, .fini = teardown);

Test(supervisor, starts_all_and_takes_them_along)
{
    turn_until(t.ready);
    cr_assert_eq(g_hash_table_size(t.pids), G_N_ELEMENTS(names));
    bus_conn_free(t.conn);
    cr_assert_eq(waitpid(t.re, NULL, 0), t.re);
    turn_until(all_gone());
}

Test(supervisor, a_dead_daemon_is_started_again)
{
    void *old;

    turn_until(t.ready);
    old = g_hash_table_lookup(t.pids, "nsd");
    cr_assert_eq(kill((pid_t)GPOINTER_TO_UINT(old), SIGKILL), 0);
    turn_until(g_hash_table_lookup(t.pids, "nsd") != old);
    cr_assert_eq(t.restarts, 1);
    bus_conn_free(t.conn);
    waitpid(t.re, NULL, 0);
}

Test(supervisor, even_kill_leaves_nobody_behind)
{
    turn_until(t.ready);
    kill(t.re, SIGKILL);
    waitpid(t.re, NULL, 0);
    turn_until(all_gone());
    bus_conn_free(t.conn);
}

static void restarted(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                      const GError *error, void *data)
{
    *(int *)data = error ? -1 : 1;
}

Test(supervisor, daemon_restart_is_a_call)
{
    struct bus_conn *midplane = bus_conn_new(t.midplane, BUS_HWD, NULL, NULL);
    struct bus_daemon_restart m = {.name = "iked"};
    void *old;
    int answer = 0;

    turn_until(t.ready);
    old = g_hash_table_lookup(t.pids, "iked");
    bus_call(midplane, BUS_ROUTER, BUS_DAEMON_RESTART, &m, 0, restarted, &answer);
    turn_until(answer == 1 && g_hash_table_lookup(t.pids, "iked") != old);
    g_strlcpy(m.name, "nobody", sizeof m.name);
    answer = 0;
    bus_call(midplane, BUS_ROUTER, BUS_DAEMON_RESTART, &m, 0, restarted, &answer);
    turn_until(answer == -1);
    bus_conn_free(midplane);
    t.midplane = -1;
    bus_conn_free(t.conn);
    waitpid(t.re, NULL, 0);
}
