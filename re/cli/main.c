/*
 * cli - the command line of the Routing Engine: a thin client of mgd.
 *
 *   vc-cli --socket PATH [--user NAME] [COMMAND]
 *
 * With COMMAND: one command, its output, exit status 1 when it failed. With a terminal: the line
 * editor (editor.h), a pager, completion and help. Without a terminal: lines from standard input,
 * no prompt, no pager, no echo. Grammar, commands and rendering are mgd's; nothing is known here.
 *
 * One main loop: the socket and standard input. A mgd that goes away ends the session with one
 * sentence.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glib-unix.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include "firmware/bus/bus.h"
#include "firmware/core/log.h"
#include "messages.h" /* generated */
#include "re/cli/editor.h"

#define COMMAND_TIMEOUT_MS (30 * 60 * 1000) /* a ping or a commit may take its time */
#define CLI_ADDRESS        BUS_RE(0x40)
#define MORE               "---(more)---"

struct cli {
    GMainLoop *loop;
    struct bus_conn *bus;
    struct cli_editor *editor;
    bool tty;           /* editor and pager */
    bool one_shot;
    bool busy;          /* a command is under way: keys wait, but for ^C */
    bool dropped;       /* its output is not wanted any more */
    bool ended;         /* end of input: leave when the command is done */
    char *user;
    char *prompt;
    GString *typed;     /* keys, or input lines, not used yet */
    GString *output;    /* of the command, held for the pager */
    const char *page;   /* what the pager has not shown yet, NULL: not paging */
    enum cli_event asked;
    int status;
    struct termios saved;
};

static struct cli cli;

static void put(const char *text, gsize n)
{
    while (n) {
        ssize_t done = write(STDOUT_FILENO, text, n);

        if (done < 0 && errno == EAGAIN) {
            struct pollfd p = {STDOUT_FILENO, POLLOUT, 0};

            poll(&p, 1, 1000);
            continue;
        }
        if (done <= 0) {
            g_main_loop_quit(cli.loop);
            return;
        }
        text += done;
        n -= (gsize)done;
    }
}

/* Text of commands: in raw mode the terminal needs its carriage returns from us. */
static void put_text(const char *text, gsize n)
{
    if (!cli.tty) {
        put(text, n);
        return;
    }
    while (n) {
        const char *end = memchr(text, '\n', n);
        gsize part = end ? (gsize)(end - text) : n;

        put(text, part);
        if (!end) {
            return;
        }
        put("\r\n", 2);
        text += part + 1;
        n -= part + 1;
    }
}

static void raw(bool on)
{
    struct termios t = cli.saved;

    if (!cli.tty) {
        return;
    }
    if (on) {
        cfmakeraw(&t);
    }
    tcsetattr(STDIN_FILENO, TCSADRAIN, &t);
}

static void leave(int status)
{
    cli.status = status;
    g_main_loop_quit(cli.loop);
}

static void next(void);

/* ---------------------------------------------------------------- pager */

static unsigned rows(void)
{
    struct winsize w;

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row > 2 ? w.ws_row : 24;
}

static void show_lines(unsigned n)
{
    while (n-- && *cli.page) {
        const char *end = strchr(cli.page, '\n');
        gsize part = end ? (gsize)(end - cli.page) + 1 : strlen(cli.page);

        put_text(cli.page, part);
        cli.page += part;
    }
    if (*cli.page) {
        put(MORE, strlen(MORE));
        return;
    }
    cli.page = NULL;
    g_string_truncate(cli.output, 0);
    next();
}

static void pager_key(unsigned char key)
{
    put("\r              \r", 16);
    switch (key) {
    case '\r':
    case '\n':
        show_lines(1);
        return;
    case 'q':
    case 'Q':
    case 0x03:
        cli.page += strlen(cli.page);
        show_lines(0);
        return;
    default:
        show_lines(rows() - 1);
        return;
    }
}

/* ---------------------------------------------------------------- commands */

/* A prompt may have lines above it ("[edit security]"): only the last one is drawn again. */
static const char *prompt_line(void)
{
    const char *last = strrchr(cli.prompt, '\n');

    return last ? last + 1 : cli.prompt;
}

static void prompt(void)
{
    g_autoptr(GString) out = g_string_new(NULL);

    if (cli.tty) {
        put("\r\n", 2);
        put_text(cli.prompt, (gsize)(prompt_line() - cli.prompt));
        cli_editor_redraw(cli.editor, prompt_line(), out);
        put(out->str, out->len);
    }
}

/* ^C while a command is under way: its output is dropped; a second one leaves the CLI. */
static void give_up(void)
{
    static const char text[] = "^C\r\nwaiting for the command to end; ^C again leaves the CLI\r\n";

    if (cli.dropped) {
        put("^C\r\n", 4);
        leave(1);
        return;
    }
    cli.dropped = true;
    put(text, strlen(text));
}

static void done(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                 const GError *error, void *data)
{
    bool first = data != NULL;

    (void)conn;
    cli.busy = false;
    if (cli.dropped) {
        g_string_truncate(cli.output, 0);
        cli.dropped = false;
    }
    if (error || header->type != BUS_CLI_DONE) {
        fprintf(stderr, "%serror: %s\n", cli.tty ? "\r" : "",
                error ? error->message : ((const struct bus_error *)msg)->text);
        leave(1);
        return;
    }
    const struct bus_cli_done *m = msg;

    g_free(cli.prompt);
    cli.prompt = g_strdup(m->prompt);
    /* Of lines from a file one that failed counts; at a terminal the last one. */
    cli.status = (m->failed && !first) || (!cli.tty && cli.status) ? 1 : 0;
    if (!*m->prompt || cli.one_shot) { /* no prompt: the session is over */
        put_text(cli.output->str, cli.output->len);
        leave(cli.status);
        return;
    }
    if (cli.tty && !first) {
        cli.page = cli.output->str;
        show_lines(rows() - 1);
        return;
    }
    next();
}

static void send_line(const char *line, bool first)
{
    g_autofree struct bus_cli_command *m = g_new0(struct bus_cli_command, 1);

    g_strlcpy(m->line, line, sizeof m->line);
    g_strlcpy(m->user, cli.user, sizeof m->user);
    cli.busy = true;
    bus_call(cli.bus, BUS_RE(BUS_ROLE_MGD), BUS_CLI_COMMAND, m, COMMAND_TIMEOUT_MS, done,
             first ? &cli : NULL);
}

/* ---------------------------------------------------------------- completion and help */

static void show_choices(const struct bus_cli_completions *m)
{
    g_autoptr(GString) out = g_string_new("\r\n");

    if (m->n_choices) {
        g_string_append(out, "Possible completions:\r\n");
    } else {
        g_string_append(out, "No valid completions\r\n");
    }
    for (unsigned i = 0; i < m->n_choices; i++) {
        g_string_append_printf(out, "  %-20s %s\r\n", m->choices[i].word, m->choices[i].help);
    }
    cli_editor_redraw(cli.editor, prompt_line(), out);
    put(out->str, out->len);
}

static void completed(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                      const GError *error, void *data)
{
    const struct bus_cli_completions *m = msg;
    g_autoptr(GString) out = g_string_new(NULL);
    enum cli_event asked = cli.asked;

    (void)conn;
    (void)data;
    cli.busy = cli.dropped = false;
    if (error || header->type != BUS_CLI_COMPLETIONS) {
        m = NULL;
    }
    switch (asked) {
    case CLI_SPACE: {
        g_autofree char *word = g_strchomp(g_strdup(m ? m->insert : ""));

        /* Only a completion that ends the word: a part of one is left to Tab. */
        if (m && m->n_choices == 1 && *word) {
            cli_editor_insert(cli.editor, word, out);
        }
        cli_editor_insert(cli.editor, " ", out);
        break;
    }
    case CLI_COMPLETE:
        if (m && *m->insert) {
            cli_editor_insert(cli.editor, m->insert, out);
        } else if (m) {
            show_choices(m);
        }
        break;
    case CLI_HELP:
        if (m) {
            show_choices(m);
        }
        break;
    default:
        break;
    }
    put(out->str, out->len);
    next();
}

static void ask(enum cli_event what)
{
    g_autofree struct bus_cli_complete *m = g_new0(struct bus_cli_complete, 1);
    g_autofree char *text = cli_editor_before_cursor(cli.editor);

    g_strlcpy(m->line, text, sizeof m->line);
    m->help = what == CLI_HELP;
    cli.asked = what;
    cli.busy = true;
    bus_call(cli.bus, BUS_RE(BUS_ROLE_MGD), BUS_CLI_COMPLETE, m, 0, completed, NULL);
}

/* ---------------------------------------------------------------- input */

static void key(unsigned char byte)
{
    g_autoptr(GString) out = g_string_new(NULL);
    enum cli_event event = cli_editor_feed(cli.editor, byte, out);

    put(out->str, out->len);
    switch (event) {
    case CLI_NOTHING:
        return;
    case CLI_LINE: {
        g_autofree char *line = g_strstrip(g_strdup(cli_editor_text(cli.editor)));

        cli_editor_reset(cli.editor);
        if (*line) {
            send_line(line, false);
        } else {
            prompt();
        }
        return;
    }
    case CLI_INTERRUPT:
        prompt();
        return;
    case CLI_END:
        put("\r\n", 2);
        leave(0);
        return;
    case CLI_COMPLETE:
    case CLI_SPACE:
    case CLI_HELP:
        ask(event);
        return;
    }
}

/* Use what was typed as far as nothing is under way. */
static void use_typed(void)
{
    while (cli.typed->len && !cli.busy) {
        if (!cli.tty) {
            char *end = memchr(cli.typed->str, '\n', cli.typed->len);

            if (!end && !cli.ended) {
                return;
            }
            gsize n = end ? (gsize)(end - cli.typed->str) : cli.typed->len;
            g_autofree char *line = g_strstrip(g_strndup(cli.typed->str, n));

            g_string_erase(cli.typed, 0, (gssize)(end ? n + 1 : n));
            if (*line) {
                send_line(line, false);
            }
            continue;
        }
        unsigned char byte = (unsigned char)cli.typed->str[0];

        g_string_erase(cli.typed, 0, 1);
        if (cli.page) {
            pager_key(byte);
        } else {
            key(byte);
        }
    }
    if (cli.ended && !cli.busy && cli.typed->len == 0) {
        leave(cli.status);
    }
}

/* A command ended: its prompt, and what was typed meanwhile. */
static void next(void)
{
    if (cli.asked == CLI_NOTHING) {
        prompt();
    }
    cli.asked = CLI_NOTHING;
    use_typed();
}

static gboolean on_input(gint fd, GIOCondition condition, gpointer data)
{
    char buffer[4096];
    ssize_t n = read(fd, buffer, sizeof buffer);

    (void)condition;
    (void)data;
    if (n <= 0) {
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return G_SOURCE_CONTINUE;
        }
        cli.ended = true;
        use_typed();
        return G_SOURCE_REMOVE;
    }
    if (cli.tty && cli.busy) {
        const char *stop = memrchr(buffer, 0x03, (size_t)n);

        if (stop) { /* what was typed before it goes */
            n -= stop + 1 - buffer;
            memmove(buffer, stop + 1, (size_t)n);
            g_string_truncate(cli.typed, 0);
            give_up();
        }
    }
    g_string_append_len(cli.typed, buffer, n);
    use_typed();
    return G_SOURCE_CONTINUE;
}

static void message(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                    int *fds, unsigned n_fds, void *data)
{
    (void)conn;
    (void)fds;
    (void)n_fds;
    (void)data;
    if (header->type == BUS_CLI_OUTPUT) {
        const struct bus_cli_output *m = msg;

        if (cli.tty || cli.one_shot) {
            g_string_append_len(cli.output, (const char *)m->text.data, m->text.len);
        } else {
            put((const char *)m->text.data, m->text.len);
        }
    }
}

static void closed(struct bus_conn *conn, void *data)
{
    (void)conn;
    (void)data;
    fprintf(stderr, "%serror: mgd went away; start the CLI again\n", cli.tty ? "\r\n" : "");
    leave(1);
}

/* ---------------------------------------------------------------- start */

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof address.sun_path) {
        fprintf(stderr, "cli: %s: the path is too long for a socket\n", path);
        return -1;
    }
    g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        fprintf(stderr, "cli: %s: %s; is the Routing Engine up?\n", path, g_strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

static gboolean on_signal(gpointer data)
{
    (void)data;
    leave(1);
    return G_SOURCE_CONTINUE;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"socket", required_argument, NULL, 's'},
                                          {"user", required_argument, NULL, 'u'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    static const struct bus_handler handler = {message, closed};
    const char *path = NULL, *user = NULL;
    int option, fd;

    while ((option = getopt_long(argc, argv, "+h", longs, NULL)) != -1) {
        switch (option) {
        case 's':
            path = optarg;
            break;
        case 'u':
            user = optarg;
            break;
        default:
            fputs("usage: vc-cli --socket PATH [--user NAME] [COMMAND]\n",
                  option == 'h' ? stdout : stderr);
            return option == 'h' ? 0 : 2;
        }
    }
    if (!path) {
        fputs("cli: --socket is missing\n", stderr);
        return 2;
    }
    fw_log_init("cli");
    signal(SIGPIPE, SIG_IGN);
    fd = connect_to(path);
    if (fd < 0) {
        return 1;
    }
    cli.user = g_strdup(user ? user : g_get_user_name());
    cli.prompt = g_strdup("> ");
    cli.loop = g_main_loop_new(NULL, FALSE);
    cli.editor = cli_editor_new();
    cli.typed = g_string_new(NULL);
    cli.output = g_string_new(NULL);
    cli.bus = bus_conn_new(fd, CLI_ADDRESS, &handler, NULL);
    cli.one_shot = optind < argc;
    cli.tty = !cli.one_shot && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    if (cli.one_shot) {
        g_autofree char *line = g_strjoinv(" ", argv + optind);

        send_line(line, false);
    } else {
        if (cli.tty) {
            tcgetattr(STDIN_FILENO, &cli.saved);
            raw(true);
        }
        send_line("", true); /* asks for the first prompt */
        g_unix_fd_add(STDIN_FILENO, G_IO_IN | G_IO_HUP, on_input, NULL);
    }
    g_unix_signal_add(SIGTERM, on_signal, NULL);
    g_unix_signal_add(SIGHUP, on_signal, NULL);
    g_main_loop_run(cli.loop);
    raw(false);
    bus_conn_free(cli.bus);
    cli_editor_free(cli.editor);
    g_string_free(cli.typed, TRUE);
    g_string_free(cli.output, TRUE);
    g_free(cli.user);
    g_free(cli.prompt);
    return cli.status;
}
