/*
 * process_host - see process_host.h.
 *
 * fork and exec: between them the child only makes system calls. The parent
 * has one thread with a main loop; PR_SET_PDEATHSIG is about that thread.
 */
#include "hw/host/process_host.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/core/error.h"

#define FD_SUPERVISION 3
#define FD_BUS         4
#define FD_ABOVE       16 /* where descriptors wait until 3 and 4 are free */

struct _HwProcessHost {
    GObject parent;
    char *directory;
    int null;
};

struct hw_guest {
    pid_t pid;
    guint watch;
    hw_host_ended_cb ended;
    void *data;
};

static void process_host_interface(HwHostInterface *interface);

G_DEFINE_TYPE_WITH_CODE(HwProcessHost, hw_process_host, G_TYPE_OBJECT,
                        G_IMPLEMENT_INTERFACE(HW_TYPE_HOST, process_host_interface))

static void child_run(const char *path, char *const argv[], int null, int supervision, int bus,
                      pid_t parent)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent) {
        _exit(127);
    }
    setsid(); /* a terminal's Ctrl-C is for the front, not for boards */
    supervision = fcntl(supervision, F_DUPFD_CLOEXEC, FD_ABOVE);
    bus = bus >= 0 ? fcntl(bus, F_DUPFD_CLOEXEC, FD_ABOVE) : -1;
    if (dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0 ||
        dup2(supervision, FD_SUPERVISION) < 0 || (bus >= 0 && dup2(bus, FD_BUS) < 0)) {
        _exit(127);
    }
    if (syscall(SYS_close_range, bus >= 0 ? FD_BUS + 1 : FD_BUS, ~0U, 0) != 0) {
        /* A kernel before 5.9: everything else is close-on-exec by rule. */
        if (bus < 0) {
            close(FD_BUS);
        }
    }
    execv(path, argv);
    _exit(127);
}

static void on_ended(GPid pid, gint status, gpointer data)
{
    struct hw_guest *guest = data;
    hw_host_ended_cb ended = guest->ended;
    void *user = guest->data;

    (void)pid;
    g_free(guest);
    if (ended) {
        ended(status, user);
    }
}

static struct hw_guest *process_start(HwHost *host, const struct hw_host_board *board,
                                      hw_host_ended_cb ended, void *data, GError **error)
{
    HwProcessHost *self = HW_PROCESS_HOST(host);
    g_autofree char *path = g_build_filename(self->directory, board->program, NULL);
    char *argv[] = {path, (char *)board->label, NULL};
    struct hw_guest *guest;
    pid_t parent = getpid(), pid;

    if (access(path, X_OK) != 0) {
        fw_fail_errno(error, "program %s", path);
        return NULL;
    }
    pid = fork();
    if (pid < 0) {
        fw_fail_errno(error, "no process for %s", board->program);
        return NULL;
    }
    if (pid == 0) {
        child_run(path, argv, self->null, board->supervision, board->bus, parent);
    }
    close(board->supervision);
    if (board->bus >= 0) {
        close(board->bus);
    }
    guest = g_new0(struct hw_guest, 1);
    guest->pid = pid;
    guest->ended = ended;
    guest->data = data;
    guest->watch = g_child_watch_add(pid, on_ended, guest);
    return guest;
}

static void process_kill(HwHost *host, struct hw_guest *guest)
{
    (void)host;
    kill(guest->pid, SIGKILL); /* not reaped yet: the number is still this process's */
}

static void process_forget(HwHost *host, struct hw_guest *guest)
{
    (void)host;
    guest->ended = NULL;
    kill(guest->pid, SIGKILL);
}

static uint32_t process_pid(HwHost *host, struct hw_guest *guest)
{
    (void)host;
    return (uint32_t)guest->pid;
}

static void process_host_interface(HwHostInterface *interface)
{
    interface->start = process_start;
    interface->kill = process_kill;
    interface->forget = process_forget;
    interface->pid = process_pid;
}

static void hw_process_host_finalize(GObject *object)
{
    HwProcessHost *self = HW_PROCESS_HOST(object);

    close(self->null);
    g_free(self->directory);
    G_OBJECT_CLASS(hw_process_host_parent_class)->finalize(object);
}

static void hw_process_host_class_init(HwProcessHostClass *class)
{
    G_OBJECT_CLASS(class)->finalize = hw_process_host_finalize;
}

static void hw_process_host_init(HwProcessHost *self)
{
    self->null = open("/dev/null", O_RDWR | O_CLOEXEC);
}

HwProcessHost *hw_process_host_new(const char *directory)
{
    HwProcessHost *self = g_object_new(HW_TYPE_PROCESS_HOST, NULL);
    const char *libexec = g_getenv("VCHASSIS_LIBEXEC");

    if (directory || libexec) {
        self->directory = g_strdup(directory ? directory : libexec);
    } else {
        g_autofree char *exe = g_file_read_link("/proc/self/exe", NULL);

        self->directory = exe ? g_path_get_dirname(exe) : g_strdup(".");
    }
    return self;
}
