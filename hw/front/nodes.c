/*
 * nodes - verbs that reach into one node: cli, log, ctl; and link.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/core/error.h"
#include "hw/front/front.h"
#include "hw/lab/labfile.h"

#define LOG_LINES     50
#define LOG_TAIL_MAX  (4 * 1024 * 1024) /* bytes looked at for the last lines */
#define FOLLOW_MS     200

static const char cli_usage[] =
    "usage: vchassis cli [--lab LAB] NODE ['COMMAND']\n"
    "The command line of a node, or one command.\n"
    "Exit status: that of the command line: 0 done, 1 the command failed; 2 usage.\n";

static const char log_usage[] =
    "usage: vchassis log [--lab LAB] [--lines N] [--follow] NODE\n"
    "Prints the last lines of a node's log (of a lab that does not run, too, with --lab).\n"
    "  --lines N  how many (50; 0: all);  --follow  go on until Ctrl-C\n"
    "Exit status: 0 printed, 1 there is none, 2 usage.\n";

static const char ctl_usage[] =
    "usage: vchassis ctl [--lab LAB] NODE [COMMAND [ARGUMENTS]]\n"
    "The JSON monitor of a node ('labd': of the lab itself). With a command prints its answer;\n"
    "ARGUMENTS is a JSON object. Without, copies lines between it and standard input and output.\n"
    "Exit status: 0 answered, 1 refused or not there, 2 usage.\n";

static const char link_usage[] =
    "usage: vchassis link [--lab LAB] NAME up|down\n"
    "Plugs or unplugs a link of the lab file.\n"
    "Exit status: 0 done, 1 no such link, 2 usage.\n";

/* Options every verb here has. `more` are the verb's own, returned by their letter. */
struct common {
    const char *lab;
    bool follow;
    uint64_t lines;
};

/* -1: go on; else the exit status. */
static int options_read(int argc, char **argv, const char *usage, struct common *ret)
{
    static const struct option longs[] = {{"lab", required_argument, NULL, 'l'},
                                          {"lines", required_argument, NULL, 'n'},
                                          {"follow", no_argument, NULL, 'f'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    bool log = usage == log_usage;
    int option;

    *ret = (struct common){.lines = LOG_LINES};
    while ((option = getopt_long(argc, argv, "+fn:h", longs, NULL)) != -1) {
        if (option == 'l') {
            ret->lab = optarg;
        } else if (option == 'n' && log) {
            if (!front_number("log", "--lines", optarg, 0, &ret->lines)) {
                return FRONT_USAGE;
            }
        } else if (option == 'f' && log) {
            ret->follow = true;
        } else {
            return front_usage(usage, option == 'h');
        }
    }
    return -1;
}

/* A node's file in the run directory; says so when lab or node are not there. */
static char *node_socket(const char *lab, const char *node, const char *leaf, GError **error)
{
    g_autofree char *run = lab_run_directory(lab);
    g_autofree char *directory = NULL;
    g_autofree char *path = NULL;

    if (!lab_name_valid(node)) {
        fw_fail(error, FW_ERROR_INVALID, "'%s' is no node name; vchassis ps lists the nodes", node);
        return NULL;
    }
    directory = g_build_filename(run, node, NULL);
    path = g_build_filename(directory, leaf, NULL);
    if (access(run, F_OK) != 0) {
        fw_fail(error, FW_ERROR_NOT_FOUND, "no lab %s is running; start it with vchassis up", lab);
    } else if (access(directory, F_OK) != 0) {
        fw_fail(error, FW_ERROR_NOT_FOUND,
                "lab %s has no node %s; vchassis ps lists its nodes", lab, node);
    } else if (access(path, F_OK) != 0) {
        fw_fail(error, FW_ERROR_UNAVAILABLE,
                "node %s of lab %s has no %s now; vchassis ps shows its state", node, lab, leaf);
    } else {
        return g_steal_pointer(&path);
    }
    return NULL;
}

int front_cli(int argc, char **argv)
{
    struct common common;
    g_autoptr(GError) error = NULL;
    g_autofree char *lab = NULL;
    g_autofree char *socket = NULL;
    g_autofree char *bin = front_program_directory();
    g_autofree char *program = g_build_filename(bin, "vc-cli", NULL);
    int status = options_read(argc, argv, cli_usage, &common);

    if (status >= 0) {
        return status;
    }
    if (argc - optind < 1 || argc - optind > 2) {
        return front_usage(cli_usage, false);
    }
    lab = front_select_lab(common.lab, &error);
    socket = lab ? node_socket(lab, argv[optind], "cli.sock", &error) : NULL;
    if (!socket) {
        return front_fail("cli", "%s", error->message);
    }
    execl(program, program, "--socket", socket, argv[optind + 1], (char *)NULL);
    return front_fail("cli", "%s: %s; build or install vchassis", program, g_strerror(errno));
}

/* ---- log ---- */

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    interrupted = number;
}

/* Where the last `lines` lines begin. */
static off_t tail_start(int fd, off_t size, uint64_t lines)
{
    off_t from = size > LOG_TAIL_MAX ? size - LOG_TAIL_MAX : 0;
    g_autofree char *text = NULL;
    ssize_t len, n;

    if (lines == 0) {
        return 0;
    }
    text = g_malloc((gsize)(size - from) + 1);
    len = pread(fd, text, (size_t)(size - from), from);
    for (n = len - 1; n > 0; n--) {
        if (text[n - 1] == '\n' && --lines == 0) {
            break;
        }
    }
    return from + MAX(n, 0);
}

static bool rest_print(int fd, off_t *at)
{
    char buffer[16384];
    ssize_t n;

    while ((n = pread(fd, buffer, sizeof(buffer), *at)) > 0) {
        if (fwrite(buffer, 1, (size_t)n, stdout) != (size_t)n) {
            return false;
        }
        *at += n;
    }
    return fflush(stdout) == 0;
}

int front_log(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal};
    struct common common;
    g_autoptr(GError) error = NULL;
    g_autofree char *lab = NULL;
    g_autofree char *disk = NULL;
    g_autofree char *path = NULL;
    struct stat st;
    off_t at;
    int fd, status = options_read(argc, argv, log_usage, &common);

    if (status >= 0) {
        return status;
    }
    if (argc - optind != 1 || !lab_name_valid(argv[optind])) {
        return front_usage(log_usage, false);
    }
    lab = front_select_lab(common.lab, &error);
    if (!lab) {
        return front_fail("log", "%s", error->message);
    }
    disk = lab_disk_directory(lab, argv[optind]);
    path = g_build_filename(disk, "var", "log", "messages", NULL);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        return front_fail("log", "node %s of lab %s has no log (%s: %s)", argv[optind], lab, path,
                          g_strerror(errno));
    }
    sigaction(SIGINT, &action, NULL);
    at = tail_start(fd, st.st_size, common.lines);
    while (rest_print(fd, &at) && common.follow && !interrupted) {
        poll(NULL, 0, FOLLOW_MS);
    }
    close(fd);
    return FRONT_OK;
}

/* ---- ctl ---- */

static bool copy_all(int from, int to)
{
    char buffer[16384];
    ssize_t n = read(from, buffer, sizeof(buffer));

    return n > 0 && write(to, buffer, (size_t)n) == n;
}

static int relay(struct front_client *client)
{
    bool input = true;

    for (;;) {
        struct pollfd wait[2] = {{.fd = front_client_fd(client), .events = POLLIN},
                                 {.fd = input ? STDIN_FILENO : -1, .events = POLLIN}};

        /* After the end of input: what is answered within a moment is still shown. */
        if (poll(wait, 2, input ? -1 : 500) <= 0) {
            return FRONT_OK;
        }
        if (wait[0].revents && !copy_all(front_client_fd(client), STDOUT_FILENO)) {
            return FRONT_OK;
        }
        if (wait[1].revents) {
            input = copy_all(STDIN_FILENO, front_client_fd(client));
        }
    }
}

int front_ctl(int argc, char **argv)
{
    struct common common;
    g_autoptr(GError) error = NULL;
    g_autofree char *lab = NULL;
    g_autofree char *socket = NULL;
    g_autoptr(JsonNode) answer = NULL;
    struct front_client *client;
    int status = options_read(argc, argv, ctl_usage, &common);
    char **words = argv + optind;

    if (status >= 0) {
        return status;
    }
    words = argv + optind;
    if (argc - optind < 1 || argc - optind > 3) {
        return front_usage(ctl_usage, false);
    }
    lab = front_select_lab(common.lab, &error);
    if (lab && strcmp(words[0], "labd") != 0) {
        socket = node_socket(lab, words[0], "monitor.sock", &error);
    } else if (lab) {
        g_autofree char *run = lab_run_directory(lab);

        socket = g_build_filename(run, "labd.sock", NULL);
    }
    client = socket ? front_client_connect(socket, &error) : NULL;
    if (!client) {
        return front_fail("ctl", "%s", error->message);
    }
    if (argc - optind == 1) {
        status = relay(client);
    } else {
        if (words[2]) {
            g_autoptr(JsonParser) parser = json_parser_new();

            if (!json_parser_load_from_data(parser, words[2], -1, NULL) ||
                !json_parser_get_root(parser) ||
                !JSON_NODE_HOLDS_OBJECT(json_parser_get_root(parser))) {
                front_client_free(client);
                return front_fail("ctl", "'%s' is no JSON object", words[2]);
            }
        }
        answer = front_client_call(client, words[1], words[2], 0, &error);
        if (answer) {
            front_json_print(answer);
        }
        status = answer ? FRONT_OK : front_fail("ctl", "%s", error->message);
    }
    front_client_free(client);
    return status;
}

/* ---- link ---- */

int front_link(int argc, char **argv)
{
    struct common common;
    g_autoptr(GError) error = NULL;
    g_autofree char *lab = NULL;
    g_autofree char *name = NULL;
    g_autofree char *args = NULL;
    g_autoptr(JsonNode) answer = NULL;
    struct front_client *client;
    int status = options_read(argc, argv, link_usage, &common);

    if (status >= 0) {
        return status;
    }
    if (argc - optind != 2 ||
        (strcmp(argv[optind + 1], "up") != 0 && strcmp(argv[optind + 1], "down") != 0)) {
        return front_usage(link_usage, false);
    }
    lab = front_select_lab(common.lab, &error);
    client = lab ? front_client_lab(lab, &error) : NULL;
    if (!client) {
        return front_fail("link", "%s", error->message);
    }
    name = front_json_quote(argv[optind]);
    args = g_strdup_printf("{\"link\":%s,\"up\":%s}", name,
                           strcmp(argv[optind + 1], "up") == 0 ? "true" : "false");
    answer = front_client_call(client, "link-set", args, 0, &error);
    front_client_free(client);
    return answer ? FRONT_OK : front_fail("link", "%s", error->message);
}
