/*
 * up - start a lab; down - end one; wipe - remove its disks.
 *
 * In the foreground the command itself is the keeper. Detached, a child that
 * left the terminal is, and the command watches the boot as any client would.
 * Until the lab is online a failure or a signal takes everything away again.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "hw/front/front.h"
#include "hw/lab/labfile.h"

#define BOOT_TIMEOUT_S 600 /* the modelled five minutes, twice */
#define DOWN_WAIT_MS   15000

static const char up_usage[] =
    "usage: vchassis up LAB [--detach] [--no-wait] [--model-scale F] [--seed N] [--timeout S]\n"
    "                   [--quiet] [--json]\n"
    "Starts a lab and shows how its cards come online. LAB is a lab file, or the name of a lab\n"
    "that comes with vchassis (site-to-site, strongswan ...). Ctrl-C ends the lab.\n"
    "  --detach         leave it running in the background once it is online\n"
    "  --no-wait        with --detach: do not wait until it is online\n"
    "  --model-scale F  factor of modelled boot times, 0 is at once (instead of the lab's option)\n"
    "  --seed N         of the model random stream (instead of the lab's option)\n"
    "  --timeout S      give up when it is not online after S seconds (600)\n"
    "  --quiet          only say when it is online;  --json  events as JSON lines\n"
    "Exit status: 0 it ran (and ended in order), 1 it did not start or broke, 2 usage.\n";

static const char down_usage[] =
    "usage: vchassis down [LAB | --lab LAB | --all]\n"
    "Ends a running lab: no process, namespace or device stays; the nodes' disks do.\n"
    "Exit status: 0 ended, 1 no such lab or it could not be ended, 2 usage.\n";

static const char wipe_usage[] =
    "usage: vchassis wipe LAB\n"
    "Removes the disks (configuration, logs, keys) of all nodes of a lab that does not run.\n"
    "Exit status: 0 removed or nothing there, 1 it runs or could not be removed, 2 usage.\n";

static volatile sig_atomic_t ended_by; /* signal that asks us to end */

static void on_signal(int number)
{
    ended_by = number;
}

static void signals_catch(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

struct options {
    const char *lab;
    bool detach, wait, quiet, json;
    int64_t timeout_s;
};

/* ---- watching a boot ---- */

/* Why the client's lab is not online now, NULL when it is. pidfd may be -1. */
static char *boot_watch(struct front_client *client, int pidfd, struct progress *progress,
                        const struct options *options, bool until_up)
{
    int64_t deadline = fw_clock_ns() + options->timeout_s * FW_SEC;

    while (!(until_up ? progress_up(progress) : progress_online(progress))) {
        struct pollfd wait[2] = {{.fd = front_client_fd(client), .events = POLLIN},
                                 {.fd = pidfd, .events = POLLIN}};

        if (ended_by) {
            return g_strdup("interrupted; the lab was taken down");
        }
        if (progress_failure(progress)) {
            return g_strdup(progress_failure(progress));
        }
        if (fw_clock_ns() > deadline) {
            return g_strdup_printf("the lab was not online after %d s and was taken down; see "
                                   "vchassis log, or give a longer --timeout",
                                   (int)options->timeout_s);
        }
        if (poll(wait, pidfd >= 0 ? 2 : 1, 500) < 0) {
            continue;
        }
        if (wait[0].revents && !front_client_read(client, 0)) {
            if (progress_failure(progress)) {
                continue;
            }
            return g_strdup("labd ended while the lab was starting");
        }
        if (pidfd >= 0 && wait[1].revents && !wait[0].revents) {
            return g_strdup("labd ended while the lab was starting");
        }
    }
    return NULL;
}

static int foreground(const struct lab_file *lab, const char *path, const struct options *options)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *why = NULL;
    g_autofree char *log = NULL;
    struct keeper *keeper;
    struct progress *progress;

    signals_catch();
    keeper = keeper_start(lab, path, &error);
    if (!keeper) {
        return front_fail("up", "%s", error->message);
    }
    progress = progress_new(options->quiet, options->json);
    front_client_on_event(keeper_client(keeper), progress_event, progress);
    why = boot_watch(keeper_client(keeper), keeper_pidfd(keeper), progress, options, false);
    if (!why) {
        struct pollfd wait[2] = {{.fd = front_client_fd(keeper_client(keeper)), .events = POLLIN},
                                 {.fd = keeper_pidfd(keeper), .events = POLLIN}};
        unsigned n_drained = 0;

        if (!options->json) {
            printf("lab %s is online; Ctrl-C ends it\n", lab->name);
            fflush(stdout);
        }
        while (!ended_by && !wait[1].revents) {
            if (poll(wait, 2, -1) > 0 && wait[0].revents &&
                !front_client_read(keeper_client(keeper), 0)) {
                break;
            }
        }
        while (front_client_read(keeper_client(keeper), 0) && wait[1].revents && n_drained++ < 64) {
        }
        if (!ended_by && !progress_ended(progress)) {
            why = g_strdup("labd ended; everything of the lab is gone");
        }
    }
    keeper_end(keeper, true, why ? &log : NULL);
    progress_free(progress);
    if (!why) {
        if (!options->json) {
            printf("lab %s has ended\n", lab->name);
        }
        return FRONT_OK;
    }
    front_fail("up", "%s", why);
    if (log && *log) {
        fprintf(stderr, "%s", log);
    }
    return FRONT_FAILED;
}

/* ---- detached ---- */

/* The keeper in the background; never returns. Says "\n" or a sentence on report. */
static void daemon_run(const struct lab_file *lab, const char *path, const struct options *options,
                       int report)
{
    g_autoptr(GError) error = NULL;
    struct progress *progress = progress_new(true, false);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    g_autofree char *why = NULL;
    struct keeper *keeper;

    setsid();
    signals_catch();
    dup2(null, 0);
    dup2(null, 1);
    dup2(null, 2);
    if (chdir("/") != 0) {
        _exit(1);
    }
    keeper = keeper_start(lab, path, &error);
    if (keeper) {
        front_client_on_event(keeper_client(keeper), progress_event, progress);
        why = boot_watch(keeper_client(keeper), keeper_pidfd(keeper), progress, options, true);
    }
    dprintf(report, "%s\n", !keeper ? error->message : why ? why : "");
    close(report);
    if (!keeper) {
        _exit(1);
    }
    while (!why && !ended_by) {
        struct pollfd wait[2] = {{.fd = front_client_fd(keeper_client(keeper)), .events = POLLIN},
                                 {.fd = keeper_pidfd(keeper), .events = POLLIN}};

        if (poll(wait, 2, -1) > 0 &&
            (wait[1].revents || !front_client_read(keeper_client(keeper), 0))) {
            break;
        }
    }
    keeper_end(keeper, true, NULL);
    _exit(0);
}

/* Waits until the run directory is gone; false when it stays. */
static bool gone_wait(const char *run, int64_t timeout_ms)
{
    int64_t deadline = fw_clock_ns() + timeout_ms * FW_MS;

    while (access(run, F_OK) == 0) {
        if (fw_clock_ns() > deadline) {
            return false;
        }
        poll(NULL, 0, 10);
    }
    return true;
}

/* Is this process the labd of that run directory, and not one that got its number later? */
static bool is_labd_of(pid_t pid, const char *run)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/cmdline", (int)pid);
    g_autofree char *text = NULL;
    gsize len, at;
    bool run_given = false;

    if (pid <= 1 || !g_file_get_contents(path, &text, &len, NULL)) {
        return false;
    }
    for (at = 0; at < len; at += strlen(text + at) + 1) {
        run_given = run_given || strcmp(text + at, run) == 0;
    }
    return run_given && g_str_has_suffix(text, "vc-labd");
}

/* Ends a running lab from outside. */
static bool lab_end(const char *name, GError **error)
{
    g_autofree char *run = lab_run_directory(name);
    struct front_record record = front_record_read(run);
    struct front_client *client = front_client_lab(name, NULL);

    if (access(run, F_OK) != 0) {
        return fw_fail(error, FW_ERROR_NOT_FOUND,
                       "no lab %s is running; vchassis ps lists those that do", name);
    }
    if (client) {
        front_client_send(client, "quit", NULL, NULL, 0, NULL);
        gone_wait(run, DOWN_WAIT_MS);
        front_client_free(client);
    }
    if (access(run, F_OK) == 0 && is_labd_of(record.labd, run)) {
        kill(record.labd, SIGKILL);
        gone_wait(run, DOWN_WAIT_MS);
    }
    if (access(run, F_OK) == 0) { /* the keeper is gone: its work is ours */
        return front_tree_remove(run, error);
    }
    return true;
}

static int detached(const struct lab_file *lab, const char *path, const struct options *options)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *why = NULL;
    struct front_client *client = NULL;
    struct progress *progress;
    char text[1024] = "";
    size_t len = 0;
    ssize_t n;
    int report[2];

    signals_catch();
    fflush(NULL);
    if (pipe2(report, O_CLOEXEC) != 0) {
        return front_fail("up", "%s", g_strerror(errno));
    }
    if (fork() == 0) {
        close(report[0]);
        daemon_run(lab, path, options, report[1]);
    }
    close(report[1]);
    while (len < sizeof(text) - 1 &&
           ((n = read(report[0], text + len, sizeof(text) - 1 - len)) > 0 ||
            (n < 0 && errno == EINTR))) {
        len += n > 0 ? (size_t)n : 0;
    }
    close(report[0]);
    text[len] = '\0';
    if (len == 0) {
        return front_fail("up", "the lab's keeper ended unexpectedly");
    }
    if (text[0] != '\n') {
        return front_fail("up", "%s", g_strchomp(text));
    }
    if (!options->wait) {
        return FRONT_OK;
    }
    progress = progress_new(options->quiet, options->json);
    client = front_client_lab(lab->name, &error);
    if (client) {
        g_autoptr(JsonNode) subscribed = NULL;

        front_client_on_event(client, progress_event, progress);
        subscribed = front_client_call(client, "subscribe", NULL, 0, NULL);
        progress_catch_up(progress, client);
        why = boot_watch(client, -1, progress, options, false);
    } else {
        why = g_strdup(error->message);
    }
    front_client_free(client);
    progress_free(progress);
    if (why) {
        lab_end(lab->name, NULL);
        return front_fail("up", "%s", why);
    }
    if (!options->json) {
        printf("lab %s is online; vchassis down %s ends it\n", lab->name, lab->name);
    }
    return FRONT_OK;
}

/* ---- the verbs ---- */

int front_up(int argc, char **argv)
{
    static const struct option longs[] = {
        {"detach", no_argument, NULL, 'd'},         {"no-wait", no_argument, NULL, 'n'},
        {"wait", no_argument, NULL, 'w'},           {"model-scale", required_argument, NULL, 'm'},
        {"seed", required_argument, NULL, 's'},     {"timeout", required_argument, NULL, 't'},
        {"quiet", no_argument, NULL, 'q'},          {"json", no_argument, NULL, 'j'},
        {"lab", required_argument, NULL, 'l'},      {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    struct options options = {.wait = true, .timeout_s = BOOT_TIMEOUT_S};
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    struct catalog *catalog;
    struct lab_file *lab = NULL;
    int option, status = FRONT_FAILED;

    while ((option = getopt_long(argc, argv, "dhq", longs, NULL)) != -1) {
        switch (option) {
        case 'd':
            options.detach = true;
            break;
        case 'n':
            options.wait = false;
            break;
        case 'w':
            options.wait = true;
            break;
        case 'm':
            g_setenv("VCHASSIS_MODEL_SCALE", optarg, TRUE);
            break;
        case 's':
            g_setenv("VCHASSIS_SEED", optarg, TRUE);
            break;
        case 't':
            options.timeout_s = g_ascii_strtoll(optarg, NULL, 10);
            break;
        case 'q':
            options.quiet = true;
            break;
        case 'j':
            options.json = true;
            break;
        case 'l':
            options.lab = optarg;
            break;
        case 'h':
            return front_usage(up_usage, true);
        default:
            return front_usage(up_usage, false);
        }
    }
    if (!options.lab && optind < argc) {
        options.lab = argv[optind++];
    }
    if (!options.lab || optind != argc || options.timeout_s <= 0) {
        return front_usage(up_usage, false);
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    path = front_lab_path(options.lab);
    if (g_file_test(path, G_FILE_TEST_EXISTS)) { /* the keeper may leave this directory */
        char *absolute = g_canonicalize_filename(path, NULL);

        g_free(path);
        path = absolute;
    } else if (!strchr(path, '/')) {
        g_autofree char *labs = front_labs_text();

        return front_fail("up", "there is no file '%s' and no lab of that name; with vchassis "
                          "come %s", path, labs);
    }
    catalog = catalog_load(NULL, &error);
    lab = catalog ? lab_file_load(path, catalog, &error) : NULL;
    if (!lab) {
        front_fail("up", "%s", error->message);
    } else {
        status = options.detach ? detached(lab, path, &options) : foreground(lab, path, &options);
    }
    lab_file_free(lab);
    catalog_free(catalog);
    return status;
}

int front_down(int argc, char **argv)
{
    static const struct option longs[] = {{"lab", required_argument, NULL, 'l'},
                                          {"all", no_argument, NULL, 'a'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    g_autoptr(GError) error = NULL;
    g_autofree char *name = NULL;
    const char *wanted = NULL;
    bool all = false;
    int option;

    while ((option = getopt_long(argc, argv, "ah", longs, NULL)) != -1) {
        if (option == 'l') {
            wanted = optarg;
        } else if (option == 'a') {
            all = true;
        } else {
            return front_usage(down_usage, option == 'h');
        }
    }
    if (!wanted && optind < argc) {
        wanted = argv[optind++];
    }
    if (optind != argc || (all && wanted)) {
        return front_usage(down_usage, false);
    }
    if (all) {
        g_auto(GStrv) labs = front_running_labs();

        for (unsigned n = 0; labs[n]; n++) {
            if (!lab_end(labs[n], &error)) {
                return front_fail("down", "%s", error->message);
            }
        }
        return FRONT_OK;
    }
    name = front_select_lab(wanted, &error);
    if (!name || !lab_end(name, &error)) {
        return front_fail("down", "%s", error->message);
    }
    return FRONT_OK;
}

int front_wipe(int argc, char **argv)
{
    static const struct option longs[] = {{"lab", required_argument, NULL, 'l'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    g_autoptr(GError) error = NULL;
    g_autofree char *disk = NULL;
    const char *name = NULL;
    struct front_client *client;
    int option;

    while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (option != 'l') {
            return front_usage(wipe_usage, option == 'h');
        }
        name = optarg;
    }
    if (!name && optind < argc) {
        name = argv[optind++];
    }
    if (!name || optind != argc) {
        return front_usage(wipe_usage, false);
    }
    if (!lab_name_valid(name)) {
        return front_fail("wipe", "'%s' is no lab name; give the name that stands behind 'lab:'",
                          name);
    }
    client = front_client_lab(name, NULL);
    if (client) {
        front_client_free(client);
        return front_fail("wipe", "lab %s is running; end it with vchassis down %s first", name,
                          name);
    }
    disk = lab_disk_root(name);
    if (access(disk, F_OK) != 0) {
        return FRONT_OK;
    }
    return front_tree_remove(disk, &error) ? FRONT_OK : front_fail("wipe", "%s", error->message);
}
