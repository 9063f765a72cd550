/*
 * exec - run a command in a lab host (or in a node's network namespace).
 *
 * Without a terminal the command gets our own descriptors. With one it gets a
 * pseudo terminal of its own, because a terminal belongs to one session; this
 * process copies between the two and follows the window's size.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "firmware/core/error.h"
#include "hw/front/front.h"

static const char usage_text[] =
    "usage: vchassis exec [--lab LAB] [--no-terminal] HOST [--] COMMAND [ARGUMENT...]\n"
    "Runs a command in the network namespace of a lab host or node, with this directory and\n"
    "environment. Its exit status is this one's; 128 + N when signal N ended it.\n"
    "  --no-terminal  no pseudo terminal, also when input and output are one\n"
    "Exit status besides: 125 it could not be run, 2 usage.\n";

#define NOT_RUN 125

static volatile sig_atomic_t last_signal;
static volatile sig_atomic_t resized;

static void on_signal(int number)
{
    if (number == SIGWINCH) {
        resized = 1;
    } else {
        last_signal = number;
    }
}

struct terminal {
    int master;           /* -1: none */
    struct termios saved;
};

static void terminal_size(const struct terminal *terminal)
{
    struct winsize size;

    if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) == 0) {
        ioctl(terminal->master, TIOCSWINSZ, &size);
    }
}

/* A pseudo terminal; its other end in *ret_slave. */
static bool terminal_open(struct terminal *terminal, int *ret_slave, GError **error)
{
    struct termios raw;
    char name[64];

    terminal->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal->master < 0 || grantpt(terminal->master) != 0 ||
        unlockpt(terminal->master) != 0 ||
        ptsname_r(terminal->master, name, sizeof(name)) != 0 ||
        (*ret_slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0 ||
        tcgetattr(STDIN_FILENO, &terminal->saved) != 0) {
        return fw_fail_errno(error, "no pseudo terminal; try --no-terminal");
    }
    tcsetattr(*ret_slave, TCSANOW, &terminal->saved);
    terminal_size(terminal);
    raw = terminal->saved;
    cfmakeraw(&raw);
    tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
    return true;
}

static void terminal_close(struct terminal *terminal)
{
    if (terminal->master >= 0) {
        tcsetattr(STDIN_FILENO, TCSADRAIN, &terminal->saved);
        close(terminal->master);
    }
}

/* false: nothing comes any more. */
static bool copy(int from, int to)
{
    char buffer[4096];
    ssize_t n = read(from, buffer, sizeof(buffer));
    ssize_t done = 0;

    if (n <= 0) {
        return n < 0 && errno == EINTR;
    }
    while (done < n) {
        ssize_t put = write(to, buffer + done, (size_t)(n - done));

        if (put < 0 && errno != EINTR) {
            return false;
        }
        done += put > 0 ? put : 0;
    }
    return true;
}

static void on_event(const char *name, JsonObject *data, void *user)
{
    if (strcmp(name, "EXEC") == 0 && data) {
        *(int64_t *)user = front_json_number(data, "pid");
    }
}

/* Until the command has ended; its status. */
static int attend(struct front_client *client, unsigned number, struct terminal *terminal,
                  const int64_t *pid)
{
    bool input = terminal->master >= 0, output = terminal->master >= 0;
    g_autoptr(GError) error = NULL;
    JsonNode *value = NULL;
    int status;

    while (!front_client_answer(client, number, &value, &error)) {
        struct pollfd wait[3] = {{.fd = front_client_fd(client), .events = POLLIN},
                                 {.fd = output ? terminal->master : -1, .events = POLLIN},
                                 {.fd = input ? STDIN_FILENO : -1, .events = POLLIN}};

        if (poll(wait, 3, 200) < 0 && errno != EINTR) {
            break;
        }
        if (resized && terminal->master >= 0) {
            resized = 0;
            terminal_size(terminal);
        }
        if (last_signal && *pid) {
            g_autofree char *args = g_strdup_printf("{\"pid\":%" G_GINT64_FORMAT ",\"signal\":%d}",
                                                    *pid, (int)last_signal);

            front_client_send(client, "kill", args, NULL, 0, NULL);
            last_signal = 0;
        }
        if (wait[1].revents) {
            output = copy(terminal->master, STDOUT_FILENO);
        }
        if (wait[2].revents) {
            input = copy(STDIN_FILENO, terminal->master);
        }
        if (wait[0].revents && !front_client_read(client, 0)) {
            fprintf(stderr, "vchassis exec: the lab has ended\r\n");
            return NOT_RUN;
        }
    }
    while (output) { /* what it wrote at last */
        struct pollfd wait = {.fd = terminal->master, .events = POLLIN};

        output = poll(&wait, 1, 0) > 0 && copy(terminal->master, STDOUT_FILENO);
    }
    if (!value) {
        fprintf(stderr, "vchassis exec: %s\r\n", error ? error->message : "no answer");
        return NOT_RUN;
    }
    status = (int)front_json_number(json_node_get_object(value), "status");
    json_node_unref(value);
    return status;
}

static char *request_text(const char *host, char **words, bool terminal)
{
    JsonBuilder *b = json_builder_begin_object(json_builder_new());
    g_autofree char *directory = g_get_current_dir();
    g_auto(GStrv) env = g_get_environ();
    g_autoptr(JsonNode) node = NULL;

    json_builder_set_member_name(b, "where");
    json_builder_add_string_value(b, host);
    json_builder_set_member_name(b, "directory");
    json_builder_add_string_value(b, directory);
    json_builder_set_member_name(b, "terminal");
    json_builder_add_boolean_value(b, terminal);
    json_builder_set_member_name(b, "argv");
    json_builder_begin_array(b);
    for (; *words; words++) {
        json_builder_add_string_value(b, *words);
    }
    json_builder_end_array(b);
    json_builder_set_member_name(b, "env");
    json_builder_begin_array(b);
    for (unsigned n = 0; env[n]; n++) {
        /* PATH stays labd's, which finds the system's programs. */
        if (!g_str_has_prefix(env[n], "PATH=") && g_utf8_validate(env[n], -1, NULL)) {
            json_builder_add_string_value(b, env[n]);
        }
    }
    json_builder_end_array(b);
    node = json_builder_get_root(json_builder_end_object(b));
    g_object_unref(b);
    return json_to_string(node, FALSE);
}

static void signals_catch(void)
{
    struct sigaction action = {.sa_handler = on_signal};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGQUIT, &action, NULL);
    sigaction(SIGWINCH, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static int run(struct front_client *client, const char *host, char **words, bool terminal_wanted)
{
    struct terminal terminal = {.master = -1};
    int fds[3] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO};
    g_autofree char *request = request_text(host, words, terminal_wanted);
    g_autoptr(GError) error = NULL;
    int64_t pid = 0;
    int slave = -1, status = NOT_RUN;
    unsigned number;

    signals_catch();
    front_client_on_event(client, on_event, &pid);
    if (terminal_wanted && !terminal_open(&terminal, &slave, &error)) {
        front_fail("exec", "%s", error->message);
        return NOT_RUN;
    }
    if (slave >= 0) {
        fds[0] = fds[1] = fds[2] = slave;
    }
    number = front_client_send(client, "exec", request, fds, 3, &error);
    if (slave >= 0) {
        close(slave);
    }
    if (number) {
        status = attend(client, number, &terminal, &pid);
    }
    terminal_close(&terminal);
    if (!number) {
        front_fail("exec", "%s", error->message);
    }
    return status;
}

int front_exec(int argc, char **argv)
{
    static const struct option longs[] = {{"lab", required_argument, NULL, 'l'},
                                          {"no-terminal", no_argument, NULL, 'n'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    g_autoptr(GError) error = NULL;
    g_autofree char *lab = NULL;
    const char *wanted = NULL, *host;
    struct front_client *client;
    bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    int option, status;

    while ((option = getopt_long(argc, argv, "+h", longs, NULL)) != -1) {
        switch (option) {
        case 'l':
            wanted = optarg;
            break;
        case 'n':
            terminal = false;
            break;
        case 'h':
            return front_usage(usage_text, true);
        default:
            return front_usage(usage_text, false);
        }
    }
    if (optind == argc) {
        return front_usage(usage_text, false);
    }
    host = argv[optind++];
    if (optind < argc && strcmp(argv[optind], "--") == 0) {
        optind++;
    }
    if (optind == argc) {
        return front_usage(usage_text, false);
    }
    lab = front_select_lab(wanted, &error);
    client = lab ? front_client_lab(lab, &error) : NULL;
    if (!client) {
        front_fail("exec", "%s", error->message);
        return NOT_RUN;
    }
    status = run(client, host, argv + optind, terminal);
    front_client_free(client);
    return status;
}
