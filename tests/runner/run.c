/*
 * run - the verb `vchassis test`: finds scenarios, runs each in a child of its own, several at a
 * time, ends those that take too long, and reports.
 *
 * A scenario is a .lua file; a comment "-- timeout: SECONDS" in its first lines sets its limit
 * (120 s otherwise). The child is the leader of a process group and a subreaper, so a scenario
 * that dies takes its labs with it: the group is killed, the keepers of its labs clean up.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <poll.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "firmware/core/rng.h"
#include "tests/runner/runner.h"

#define TIMEOUT_DEFAULT_S 120
#define GRACE_S           10

struct child {
    char *file;
    char *directory;
    pid_t pid; /* 0: not started, -1: ended */
    int pipe;
    GString *lines;
    int64_t started_ns;
    int64_t limit_ns;
    bool terminated, timed_out;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

static void usage(FILE *out)
{
    fputs("usage: vchassis test PATH... [--tap FILE|-] [--junit FILE] [--seed N] [-j N]\n"
          "                     [--artifacts DIR] [--verbose]\n"
          "Runs Lua scenarios (files, or directories of .lua files).\n"
          "  --tap FILE       TAP version 13 to FILE, or to standard output with -\n"
          "  --junit FILE     JUnit XML to FILE\n"
          "  --seed N         seed of the labs' model random stream (default: drawn, printed)\n"
          "  -j N             scenarios at a time (default 1)\n"
          "  --artifacts DIR  keep logs, captures and lab state of every scenario below DIR\n"
          "  --verbose        show what scenarios say while they run\n"
          "Exit status: 0 all passed, 1 a test failed, 2 nothing ran, 3 infrastructure (a lab did\n"
          "not boot, a script does not load), 4 time limit, 77 everything was skipped.\n",
          out);
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool find_files(const char *path, GPtrArray *files, GError **error)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        return fw_fail_errno(error, "%s", path);
    }
    if (!S_ISDIR(st.st_mode)) {
        g_ptr_array_add(files, g_strdup(path));
        return true;
    }
    g_autoptr(GDir) dir = g_dir_open(path, 0, error);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    if (!dir) {
        return false;
    }
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *sub = g_build_filename(path, name, NULL);

        if (name[0] != '.' &&
            (g_str_has_suffix(name, ".lua") || g_file_test(sub, G_FILE_TEST_IS_DIR))) {
            g_ptr_array_add(names, g_steal_pointer(&sub));
        }
    }
    g_ptr_array_sort(names, by_name);
    for (guint i = 0; i < names->len; i++) {
        if (!find_files(names->pdata[i], files, error)) {
            return false;
        }
    }
    return true;
}

static int64_t limit_of(const char *file)
{
    FILE *f = fopen(file, "r");
    char line[256];
    long seconds = TIMEOUT_DEFAULT_S;

    for (int i = 0; f && i < 20 && fgets(line, sizeof line, f); i++) {
        const char *at = strstr(line, "-- timeout:");

        if (at) {
            seconds = strtol(at + 11, NULL, 10);
        }
    }
    if (f) {
        fclose(f);
    }
    return (seconds > 0 ? seconds : TIMEOUT_DEFAULT_S) * FW_SEC;
}

static void start_child(struct child *c, const struct runner_options *options)
{
    int fds[2];
    g_autofree char *log = g_build_filename(c->directory, "output.log", NULL);

    g_mkdir_with_parents(c->directory, 0755);
    if (pipe2(fds, O_CLOEXEC) != 0) {
        perror("pipe");
        exit(RUNNER_INFRASTRUCTURE);
    }
    c->started_ns = fw_clock_ns();
    c->limit_ns = limit_of(c->file);
    c->lines = g_string_new(NULL);
    fflush(stdout);
    c->pid = fork();
    if (c->pid == 0) {
        setpgid(0, 0);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        signal(SIGINT, SIG_DFL);
        signal(SIGTERM, SIG_DFL);
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        int out = options->verbose ? STDERR_FILENO
                                   : open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        dup2(null, STDIN_FILENO);
        dup2(out, STDOUT_FILENO);
        dup2(out, STDERR_FILENO);
        setvbuf(stdout, NULL, _IOLBF, 0);
        exit(runner_script(c->file, c->directory, options->seed, fds[1]));
    }
    close(fds[1]);
    c->pipe = fds[0];
    fcntl(c->pipe, F_SETFL, O_NONBLOCK);
}

static void add_result(GPtrArray *results, const char *file, const char *name,
                       enum runner_exit outcome, double seconds, const char *message)
{
    static const char *const words[] = {"ok     ", "FAILED ", "nothing", "BROKEN ", "TIMEOUT"};
    struct runner_result *r = g_new0(struct runner_result, 1);

    r->file = g_strdup(file);
    r->name = g_strdup(name);
    r->outcome = outcome;
    r->seconds = seconds;
    r->message = message && *message ? g_strdup(message) : NULL;
    g_ptr_array_add(results, r);
    printf("%s %s: %s (%.1f s)%s%s\n", outcome == RUNNER_SKIPPED ? "skipped" : words[outcome], file,
           name, seconds, r->message ? "\n        " : "", r->message ? r->message : "");
    fflush(stdout);
}

/* Result lines of the child: outcome TAB seconds TAB name TAB message (with \n as \\n). */
static void finish_child(struct child *c, int status, GPtrArray *results)
{
    g_auto(GStrv) lines = g_strsplit(c->lines->str, "\n", -1);
    double took = (double)(fw_clock_ns() - c->started_ns) / 1e9;
    bool bad = false;
    unsigned n = 0;

    for (char **line = lines; *line; line++) {
        g_auto(GStrv) word = g_strsplit(*line, "\t", 4);

        if (g_strv_length(word) == 4) {
            g_autofree char *message = g_strcompress(word[3]);
            int outcome = atoi(word[0]);

            add_result(results, c->file, word[2], outcome, g_ascii_strtod(word[1], NULL), message);
            bad |= outcome != RUNNER_PASSED && outcome != RUNNER_SKIPPED;
            n++;
        }
    }
    g_autofree char *base = g_path_get_basename(c->file);

    if (c->timed_out && !bad) {
        g_autofree char *text = g_strdup_printf("did not end within %d s; see %s/output.log",
                                                (int)(c->limit_ns / FW_SEC), c->directory);

        add_result(results, c->file, base, RUNNER_TIMEOUT, took, text);
    } else if (WIFSIGNALED(status)) {
        g_autofree char *text = g_strdup_printf("the scenario process died of signal %d",
                                                WTERMSIG(status));

        add_result(results, c->file, base, RUNNER_INFRASTRUCTURE, took, text);
    } else if ((n == 0 || !bad) && WEXITSTATUS(status) != 0 &&
               WEXITSTATUS(status) != RUNNER_SKIPPED) {
        g_autofree char *text = g_strdup_printf("ended with status %d; see %s/output.log",
                                                WEXITSTATUS(status), c->directory);

        add_result(results, c->file, base, RUNNER_INFRASTRUCTURE, took, text);
    } else if (n == 0) {
        add_result(results, c->file, base, RUNNER_INFRASTRUCTURE, took, "the file holds no test");
    }
}

static void read_child(struct child *c)
{
    char buffer[4096];
    ssize_t n;

    while ((n = read(c->pipe, buffer, sizeof buffer)) > 0) {
        g_string_append_len(c->lines, buffer, n);
    }
}

/* Ends what has to end; returns the number of children still running. */
static unsigned watch_children(struct child *children, unsigned n, GPtrArray *results)
{
    unsigned running = 0;

    for (unsigned i = 0; i < n; i++) {
        struct child *c = &children[i];
        int64_t now = fw_clock_ns();
        int status;

        if (c->pid <= 0) {
            continue;
        }
        read_child(c);
        if (waitpid(c->pid, &status, WNOHANG) == c->pid) {
            read_child(c);
            kill(-c->pid, SIGKILL);
            close(c->pipe);
            c->pid = -1;
            finish_child(c, status, results);
            g_string_free(c->lines, TRUE);
            continue;
        }
        if (!c->terminated && (now - c->started_ns > c->limit_ns || interrupted)) {
            c->terminated = true;
            c->timed_out = !interrupted;
            kill(c->pid, SIGTERM);
        } else if (c->terminated && now - c->started_ns > c->limit_ns + GRACE_S * FW_SEC) {
            kill(-c->pid, SIGKILL);
        }
        running++;
    }
    return running;
}

static int overall(const GPtrArray *results)
{
    bool passed = false, failed = false, broken = false, timeout = false;

    for (guint i = 0; i < results->len; i++) {
        enum runner_exit o = ((struct runner_result *)results->pdata[i])->outcome;

        passed |= o == RUNNER_PASSED;
        failed |= o == RUNNER_FAILED;
        broken |= o == RUNNER_INFRASTRUCTURE;
        timeout |= o == RUNNER_TIMEOUT;
    }
    return failed          ? RUNNER_FAILED
           : timeout       ? RUNNER_TIMEOUT
           : broken        ? RUNNER_INFRASTRUCTURE
           : passed        ? RUNNER_PASSED
           : results->len  ? RUNNER_SKIPPED
                           : RUNNER_NOTHING;
}

static int run_all(GPtrArray *files, const struct runner_options *options)
{
    g_autoptr(GPtrArray) results =
        g_ptr_array_new_with_free_func((GDestroyNotify)runner_result_free);
    g_autofree struct child *children = g_new0(struct child, files->len);
    g_autoptr(GError) error = NULL;
    unsigned next = 0;

    for (guint i = 0; i < files->len; i++) {
        g_autofree char *base = g_path_get_basename(files->pdata[i]);
        g_autofree char *unique = g_strdup_printf("%02u-%s", i + 1, base);

        children[i].file = files->pdata[i];
        children[i].directory = g_build_filename(options->artifacts, unique, NULL);
    }
    for (;;) {
        unsigned running = watch_children(children, files->len, results);
        struct pollfd fds[64];
        nfds_t n = 0;

        while (running < options->jobs && next < files->len && !interrupted) {
            start_child(&children[next++], options);
            running++;
        }
        if (running == 0) {
            break;
        }
        for (unsigned i = 0; i < files->len && n < G_N_ELEMENTS(fds); i++) {
            if (children[i].pid > 0) {
                fds[n++] = (struct pollfd){children[i].pipe, POLLIN, 0};
            }
        }
        poll(fds, n, 50);
    }
    for (guint i = 0; i < files->len; i++) {
        g_free(children[i].directory);
    }
    if (!runner_report(results, options, &error)) {
        fprintf(stderr, "vchassis test: %s\n", error->message);
        return RUNNER_INFRASTRUCTURE;
    }
    return overall(results);
}

int front_test(int argc, char **argv)
{
    static const struct option longs[] = {
        {"tap", required_argument, NULL, 't'},   {"junit", required_argument, NULL, 'u'},
        {"seed", required_argument, NULL, 's'},  {"jobs", required_argument, NULL, 'j'},
        {"artifacts", required_argument, NULL, 'a'}, {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};
    struct runner_options options = {.jobs = 1};
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GError) error = NULL;
    g_autofree char *made = NULL;
    int option;

    while ((option = getopt_long(argc, argv, "j:vh", longs, NULL)) != -1) {
        switch (option) {
        case 't':
            options.tap = optarg;
            break;
        case 'u':
            options.junit = optarg;
            break;
        case 's':
            options.seed = strtoull(optarg, NULL, 0);
            break;
        case 'j':
            options.jobs = (unsigned)CLAMP(atoi(optarg), 1, 64);
            break;
        case 'a':
            options.artifacts = optarg;
            break;
        case 'v':
            options.verbose = true;
            break;
        case 'h':
            usage(stdout);
            return 0;
        default:
            usage(stderr);
            return RUNNER_NOTHING;
        }
    }
    if (optind == argc) {
        usage(stderr);
        return RUNNER_NOTHING;
    }
    for (; optind < argc; optind++) {
        if (!find_files(argv[optind], files, &error)) {
            fprintf(stderr, "vchassis test: %s\n", error->message);
            return RUNNER_NOTHING;
        }
    }
    if (!options.artifacts) {
        made = g_dir_make_tmp("vchassis-test-XXXXXX", &error);
        if (!made) {
            fprintf(stderr, "vchassis test: %s\n", error->message);
            return RUNNER_INFRASTRUCTURE;
        }
        options.artifacts = made;
    } else {
        made = g_canonicalize_filename(options.artifacts, NULL);
        options.artifacts = made;
    }
    if (options.seed == 0) {
        options.seed = fw_rng_secure_u32() | 1u;
    }
    printf("seed %llu, artifacts in %s\n", (unsigned long long)options.seed, options.artifacts);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    return run_all(files, &options);
}
