/*
 * keeper - the parent of labd outside its namespaces.
 *
 * It locks and makes the run directory, clones labd into new PID, mount and
 * network namespaces (and a user namespace for an ordinary user, or for root in
 * a container without the right), waits for it, and removes the run directory
 * however labd ended. labd dies with the keeper (parent-death signal, closed
 * socket). The lock is held for the keeper's life: a directory without a locked
 * lock is left from a killed keeper and is cleared.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "hw/front/front.h"
#include "hw/lab/labfile.h"

#define CHILD_SOCKET  3
#define END_WAIT_MS   8000 /* labd's own grace is shorter */
#define PATH_OVERHEAD 40   /* "/NODE/monitor.sock" behind the run directory */
#define SOCKET_PATH   107

struct keeper {
    char *run;
    int lock; /* the run directory, locked */
    pid_t labd;
    int pidfd;
    struct front_client *client;
};

/* ---- the run directory ---- */

static bool root_prepare(const char *root, GError **error)
{
    struct stat st;

    if (g_mkdir_with_parents(root, 0700) != 0) {
        return fw_fail_errno(error, "cannot make the run directory %s; set VCHASSIS_RUN_DIR to a "
                                    "directory you may write to", root);
    }
    if (stat(root, &st) != 0 || (st.st_uid != geteuid() && !g_getenv("VCHASSIS_RUN_DIR"))) {
        return fw_fail(error, FW_ERROR_INVALID,
                       "%s belongs to somebody else; set VCHASSIS_RUN_DIR to a directory of yours",
                       root);
    }
    return true;
}

/* The run directory, locked, empty; -1 when the lab runs already. */
static int run_lock(const char *run, const char *name, GError **error)
{
    for (unsigned n = 0; n < 3; n++) {
        struct stat by_fd, by_name;
        int fd;

        if (mkdir(run, 0700) != 0 && errno != EEXIST) {
            fw_fail_errno(error, "cannot make %s", run);
            return -1;
        }
        fd = open(run, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) {
            fw_fail_errno(error, "cannot open %s", run);
            return -1;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            close(fd);
            fw_fail(error, FW_ERROR_BUSY,
                    "lab %s is running already; end it with vchassis down %s", name, name);
            return -1;
        }
        /* Somebody may have removed it between open and lock: then it is another one. */
        if (fstat(fd, &by_fd) == 0 && stat(run, &by_name) == 0 && by_fd.st_ino == by_name.st_ino) {
            g_autofree char *left = g_build_filename(run, "labd.sock", NULL);
            g_autofree char *record = g_build_filename(run, "lab.json", NULL);

            if (access(left, F_OK) != 0 && access(record, F_OK) != 0) {
                return fd;
            }
            if (!front_tree_remove(run, error)) { /* left by a keeper that was killed */
                close(fd);
                return -1;
            }
        }
        close(fd);
    }
    fw_fail(error, FW_ERROR_BUSY, "lab %s is being started or ended elsewhere; try again", name);
    return -1;
}

/* ---- can this machine do it? ---- */

static bool tun_check(GError **error)
{
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

    if (fd < 0) {
        bool missing = errno == ENOENT || errno == ENODEV || errno == ENXIO;

        return fw_fail(error, FW_ERROR_UNSUPPORTED, "/dev/net/tun cannot be opened (%s); %s",
                       g_strerror(errno),
                       missing ? "load the module with `modprobe tun`, or give the container "
                                 "--device /dev/net/tun"
                               : "as root run `chmod 666 /dev/net/tun`, or run vchassis as root");
    }
    close(fd);
    return true;
}

static bool clone_refused(GError **error)
{
    g_autofree char *apparmor = NULL;
    g_autofree char *debian = NULL;
    int number = errno;

    g_file_get_contents("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", &apparmor, NULL,
                        NULL);
    g_file_get_contents("/proc/sys/kernel/unprivileged_userns_clone", &debian, NULL, NULL);
    if (number == ENOSPC) {
        return fw_fail(error, FW_ERROR_UNSUPPORTED,
                       "the kernel allows no more namespaces; as root raise "
                       "user.max_user_namespaces, user.max_pid_namespaces and "
                       "user.max_net_namespaces with sysctl");
    }
    if (debian && debian[0] == '0') {
        return fw_fail(error, FW_ERROR_UNSUPPORTED,
                       "the kernel refuses namespaces to ordinary users; as root run `sysctl "
                       "kernel.unprivileged_userns_clone=1`, or run vchassis as root");
    }
    if (apparmor && apparmor[0] == '1') {
        return fw_fail(error, FW_ERROR_UNSUPPORTED,
                       "AppArmor refuses namespaces to ordinary users; as root run `sysctl "
                       "kernel.apparmor_restrict_unprivileged_userns=0`, or run vchassis as root");
    }
    return fw_fail(error, FW_ERROR_UNSUPPORTED,
                   "the kernel refuses new namespaces (%s); run vchassis as root, and in a "
                   "container with --privileged (or --cap-add SYS_ADMIN and without the default "
                   "seccomp profile)", g_strerror(number));
}

/* ---- labd ---- */

struct launch {
    const char *program;
    char *const *argv;
    int socket;   /* becomes CHILD_SOCKET */
    int log;      /* standard output and error */
    int mapped[2]; /* the child waits until the parent has written the id maps */
    int report[2]; /* errno when exec failed */
};

/* In the clone; never returns. */
static void launch_child(struct launch *l)
{
    sigset_t none;
    int null, saved;
    char byte;

    close(l->mapped[1]);
    if (read(l->mapped[0], &byte, 1) != 1) { /* the parent gave up */
        _exit(127);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setsid();
    if (chdir("/") != 0) {
        _exit(127);
    }
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    l->socket = fcntl(l->socket, F_DUPFD_CLOEXEC, 16);
    l->report[1] = fcntl(l->report[1], F_DUPFD_CLOEXEC, 16);
    if (null < 0 || dup2(null, 0) < 0 || dup2(l->log, 1) < 0 || dup2(l->log, 2) < 0 ||
        dup2(l->socket, CHILD_SOCKET) < 0) {
        _exit(127);
    }
    for (int n = 1; n < NSIG; n++) {
        signal(n, SIG_DFL);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(l->program, l->argv);
    saved = errno;
    if (write(l->report[1], &saved, sizeof(saved)) < 0) {
        _exit(126);
    }
    _exit(127);
}

static bool map_write(pid_t pid, const char *file, const char *text, GError **error)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/%s", (int)pid, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

    if (!ok) {
        fw_fail_errno(error, "the kernel refuses the id map of a user namespace (%s); run vchassis "
                             "as root", file);
    }
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

/* Root inside the namespace is whoever runs vchassis. */
static bool ids_map(pid_t pid, GError **error)
{
    g_autofree char *uid = g_strdup_printf("0 %u 1\n", (unsigned)geteuid());
    g_autofree char *gid = g_strdup_printf("0 %u 1\n", (unsigned)getegid());

    return map_write(pid, "uid_map", uid, error) && map_write(pid, "setgroups", "deny", error) &&
           map_write(pid, "gid_map", gid, error);
}

/* With a user namespace only where the right is not there without. */
static pid_t labd_clone(bool *ret_user)
{
    unsigned long flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | SIGCHLD;
    pid_t pid = -1;

    *ret_user = geteuid() != 0;
    if (!*ret_user) {
        pid = (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);
        if (pid >= 0 || errno != EPERM) {
            return pid;
        }
        *ret_user = true;
    }
    return (pid_t)syscall(SYS_clone, flags | CLONE_NEWUSER, 0, 0, 0, 0);
}

static bool labd_launch(struct keeper *keeper, struct launch *l, GError **error)
{
    int failure = 0;
    bool user;
    ssize_t n;

    keeper->labd = labd_clone(&user);
    if (keeper->labd == 0) {
        launch_child(l);
    }
    if (keeper->labd < 0) {
        keeper->labd = 0;
        return clone_refused(error);
    }
    keeper->pidfd = (int)syscall(SYS_pidfd_open, keeper->labd, 0);
    close(l->report[1]);
    l->report[1] = -1;
    if (keeper->pidfd < 0) {
        return fw_fail_errno(error, "the kernel has no pidfd_open; use Linux 5.3 or newer");
    }
    if (user && !ids_map(keeper->labd, error)) {
        return false;
    }
    if (write(l->mapped[1], "", 1) != 1) {
        return fw_fail_errno(error, "labd did not start");
    }
    do {
        n = read(l->report[0], &failure, sizeof(failure));
    } while (n < 0 && errno == EINTR);
    if (n == sizeof(failure)) {
        errno = failure;
        return fw_fail_errno(error, "cannot execute %s; build or install vchassis", l->program);
    }
    return true;
}

static void close_pair(int *pair)
{
    for (unsigned n = 0; n < 2; n++) {
        if (pair[n] >= 0) {
            close(pair[n]);
        }
    }
}

static bool labd_start(struct keeper *keeper, const struct lab_file *lab, const char *path,
                       GError **error)
{
    g_autofree char *bin = front_program_directory();
    g_autofree char *program = g_build_filename(bin, "vc-labd", NULL);
    g_autofree char *log = g_build_filename(keeper->run, "labd.log", NULL);
    g_autofree char *disk = lab_disk_root(lab->name);
    g_autofree char *file = g_canonicalize_filename(path, NULL);
    char *argv[] = {program, "--lab", file, "--run", keeper->run, "--disk", disk, NULL};
    struct launch l = {program, argv, -1, -1, {-1, -1}, {-1, -1}};
    int pair[2] = {-1, -1};
    bool ok = false;

    l.log = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (l.log < 0 || pipe2(l.mapped, O_CLOEXEC) != 0 || pipe2(l.report, O_CLOEXEC) != 0 ||
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        fw_fail_errno(error, "labd did not start");
    } else {
        l.socket = pair[1];
        ok = labd_launch(keeper, &l, error);
    }
    if (ok) {
        keeper->client = front_client_new(pair[0]);
        pair[0] = -1;
    }
    close_pair(pair);
    close_pair(l.mapped);
    close_pair(l.report);
    if (l.log >= 0) {
        close(l.log);
    }
    return ok;
}

static bool record_write(const struct keeper *keeper, const struct lab_file *lab, GError **error)
{
    g_autofree char *path = g_build_filename(keeper->run, "lab.json", NULL);
    g_autofree char *name = front_json_quote(lab->name);
    g_autofree char *file = front_json_quote(lab->path);
    g_autofree char *text =
        g_strdup_printf("{\"lab\": %s, \"file\": %s, \"keeper\": %d, \"labd\": %d}\n", name, file,
                        (int)getpid(), (int)keeper->labd);

    return g_file_set_contents(path, text, -1, error);
}

struct keeper *keeper_start(const struct lab_file *lab, const char *lab_path, GError **error)
{
    struct keeper *keeper = g_new0(struct keeper, 1);
    g_autofree char *root = lab_run_root();

    keeper->pidfd = keeper->lock = -1;
    keeper->run = lab_run_directory(lab->name);
    if (strlen(keeper->run) + PATH_OVERHEAD > SOCKET_PATH) {
        fw_fail(error, FW_ERROR_INVALID,
                "%s is too long for sockets; set VCHASSIS_RUN_DIR to a shorter directory",
                keeper->run);
    } else if (root_prepare(root, error) &&
               (keeper->lock = run_lock(keeper->run, lab->name, error)) >= 0 &&
               (lab->n_nodes == 0 || tun_check(error)) &&
               labd_start(keeper, lab, lab_path, error) && record_write(keeper, lab, error)) {
        return keeper;
    }
    keeper_end(keeper, false, NULL);
    return NULL;
}

struct front_client *keeper_client(const struct keeper *keeper)
{
    return keeper->client;
}

int keeper_pidfd(const struct keeper *keeper)
{
    return keeper->pidfd;
}

const char *keeper_run(const struct keeper *keeper)
{
    return keeper->run;
}

/* Waits for labd's end; false when it takes too long. */
static bool end_wait(const struct keeper *keeper, int timeout_ms)
{
    struct pollfd wait = {.fd = keeper->pidfd, .events = POLLIN};
    int64_t deadline = fw_clock_ns() + timeout_ms * FW_MS;

    while (fw_clock_ns() < deadline) {
        if (poll(&wait, 1, (int)((deadline - fw_clock_ns()) / FW_MS) + 1) > 0) {
            return true;
        }
    }
    return false;
}

void keeper_end(struct keeper *keeper, bool orderly, char **ret_log)
{
    if (keeper->labd > 0) {
        if (orderly && keeper->client) {
            front_client_send(keeper->client, "quit", NULL, NULL, 0, NULL);
        }
        if (!orderly || !end_wait(keeper, END_WAIT_MS)) {
            kill(keeper->labd, SIGKILL);
        }
        while (waitpid(keeper->labd, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    if (keeper->lock >= 0) {
        if (ret_log) {
            g_autofree char *log = g_build_filename(keeper->run, "labd.log", NULL);

            g_file_get_contents(log, ret_log, NULL, NULL);
        }
        front_tree_remove(keeper->run, NULL);
        close(keeper->lock);
    }
    if (keeper->pidfd >= 0) {
        close(keeper->pidfd);
    }
    front_client_free(keeper->client);
    g_free(keeper->run);
    g_free(keeper);
}
