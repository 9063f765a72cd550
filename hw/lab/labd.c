/*
 * labd - one lab's daemon: PID 1 of the lab's PID namespace.
 *
 * Started by the keeper (hw/front/keeper.c) with a socket on descriptor 3. It
 * makes the namespaces and links, starts one vc-hwd a node and one vc-traffic a
 * traffic host, runs commands in lab hosts, and answers on RUN/labd.sock. When
 * it ends, the kernel ends everything else in the PID namespace; when the
 * keeper ends, the socket closes and labd ends too. Start-up problems go to the
 * keeper as the event LAB_FAILED, success as LAB_UP.
 */
#include "hw/lab/labd.h"

#include <errno.h>
#include <getopt.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "hw/lab/child.h"
#include "hw/lab/netns.h"

#define KEEPER_FD     3
#define END_GRACE_MS  3000 /* for hwds to end their boards in order */

static gboolean end_now(gpointer data)
{
    struct labd *labd = data;

    g_main_loop_quit(labd->loop);
    return G_SOURCE_REMOVE;
}

static gboolean end_check(gpointer data)
{
    struct labd *labd = data;

    for (unsigned n = 0; n < labd->n_nodes; n++) {
        if (labd->nodes[n].pid) {
            return G_SOURCE_CONTINUE;
        }
    }
    return end_now(data);
}

void labd_quit(struct labd *labd)
{
    if (labd->ending) {
        return;
    }
    labd->ending = true;
    server_event(labd->server, "LAB_ENDING", labd_object_end(labd_object()));
    for (unsigned n = 0; n < labd->n_nodes; n++) {
        labd_node_stop(&labd->nodes[n]);
    }
    g_timeout_add(END_GRACE_MS, end_now, labd);
    g_timeout_add(10, end_check, labd);
}

const char *labd_state(const struct labd *labd)
{
    const char *state = "online";

    if (labd->ending) {
        return "ending";
    }
    for (unsigned n = 0; n < labd->n_nodes; n++) {
        if (labd->nodes[n].state == NODE_OFF) {
            return "degraded";
        }
        if (labd->nodes[n].state == NODE_BOOTING) {
            state = "booting";
        }
    }
    return state;
}

void labd_check_online(struct labd *labd)
{
    JsonBuilder *b;

    if (labd->online_told || strcmp(labd_state(labd), "online") != 0) {
        return;
    }
    labd->online_told = true;
    b = labd_object();
    labd_text(b, "lab", labd->file->name);
    labd_number(b, "ms", (fw_clock_ns() - labd->started_ns) / FW_MS);
    server_event(labd->server, "LAB_ONLINE", labd_object_end(b));
}

static void on_client_gone(struct server_client *client, void *data)
{
    struct labd *labd = data;

    if (client == labd->keeper) {
        labd->keeper = NULL;
        labd_quit(labd);
        return;
    }
    labd_run_client_gone(labd, client);
}

static gboolean on_signal(gpointer data)
{
    labd_quit(data);
    return G_SOURCE_CONTINUE;
}

/* A private /proc, so that pids in it are the lab's. Some containers refuse it; then pids of the
 * lab are still right in our own tables. */
static void proc_mount(void)
{
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0) {
        fw_info("no private /proc: %s", g_strerror(errno));
    }
}

static void limits_raise(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* iproute2 lies where an ordinary user's PATH may not look. */
static void path_extend(void)
{
    const char *path = g_getenv("PATH");
    g_autofree char *longer = g_strconcat(path ? path : "/usr/bin:/bin",
                                          ":/usr/local/sbin:/usr/sbin:/sbin", NULL);

    g_setenv("PATH", longer, TRUE);
}

static bool labd_start(struct labd *labd, const char *file, GError **error)
{
    g_autofree char *socket = g_build_filename(labd->run, "labd.sock", NULL);

    labd->catalog = catalog_load(NULL, error);
    if (!labd->catalog) {
        return false;
    }
    labd->file = lab_file_load(file, labd->catalog, error);
    if (!labd->file || !netns_init(error) || !labd_plumb(labd, error)) {
        return false;
    }
    if (!server_listen(labd->server, socket, error)) {
        return false;
    }
    for (unsigned n = 0; n < labd->n_hosts; n++) {
        if (labd->hosts[n].file->type == LAB_TRAFFIC &&
            !labd_traffic_start(&labd->hosts[n], error)) {
            return false;
        }
    }
    for (unsigned n = 0; n < labd->n_nodes; n++) {
        if (!labd_node_start(&labd->nodes[n], error)) {
            return false;
        }
    }
    return true;
}

static char *own_directory(void)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);

    return self ? g_path_get_dirname(self) : g_strdup(".");
}

static int usage(void)
{
    fprintf(stderr, "usage: vc-labd --lab FILE --run DIR --disk DIR (started by vchassis up)\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"lab", required_argument, NULL, 'l'},
                                            {"run", required_argument, NULL, 'r'},
                                            {"disk", required_argument, NULL, 'd'},
                                            {NULL, 0, NULL, 0}};
    struct labd *labd = g_new0(struct labd, 1);
    g_autoptr(GError) error = NULL;
    const char *file = NULL;
    JsonBuilder *b;
    int option;
    bool ok;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'l') {
            file = optarg;
        } else if (option == 'r') {
            labd->run = g_strdup(optarg);
        } else if (option == 'd') {
            labd->disk = g_strdup(optarg);
        } else {
            return usage();
        }
    }
    if (!file || !labd->run || !labd->disk || optind != argc) {
        return usage();
    }
    fw_log_init("labd");
    signal(SIGPIPE, SIG_IGN);
    limits_raise();
    path_extend();
    if (getpid() == 1) {
        proc_mount();
    }
    labd->bin = g_getenv("VCHASSIS_LIBEXEC") ? g_strdup(g_getenv("VCHASSIS_LIBEXEC"))
                                             : own_directory();
    labd->started_ns = fw_clock_ns();
    labd->loop = g_main_loop_new(NULL, FALSE);
    labd->quitting = g_ptr_array_new();
    labd->commands = g_hash_table_new(NULL, NULL);
    labd->server = server_new("{\"vchassis\": {\"version\": \"" VCHASSIS_VERSION
                              "\", \"service\": \"labd\"}}", labd_command, on_client_gone, labd);
    child_init();
    g_unix_signal_add(SIGTERM, on_signal, labd);
    g_unix_signal_add(SIGINT, on_signal, labd);
    labd->keeper = server_adopt(labd->server, KEEPER_FD, true);
    ok = labd_start(labd, file, &error);
    b = labd_object();
    labd_text(b, ok ? "lab" : "reason", ok ? labd->file->name : error->message);
    server_event(labd->server, ok ? "LAB_UP" : "LAB_FAILED", labd_object_end(b));
    if (ok) {
        labd_check_online(labd); /* a lab of hosts alone is online at once */
    } else {
        labd_quit(labd);
    }
    g_main_loop_run(labd->loop);
    while (labd->quitting->len) {
        server_return(g_ptr_array_steal_index(labd->quitting, 0), NULL);
    }
    server_flush(labd->server);
    return ok ? 0 : 1;
}
