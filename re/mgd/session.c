/*
 * session - command lines of cli.sock.
 *
 * A connection is a session: operational mode, and configuration mode with a
 * candidate of its own. One command at a time; its output goes out in pieces,
 * then the answer with the prompt (an empty prompt ends the session). A session
 * that ends drops its candidate. Main thread only.
 */
#include <errno.h>
#include <glib-unix.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "re/mgd/session.h"

#define OUTPUT_BYTES 32768u /* of one cli-output */

/* ------------------------------------------------------------------ answers */

static char *prompt(const struct session *s)
{
    const char *host =
        conf_leaf(conf_find(commit_active(s->mgd->commit), "system"), "host-name");

    host = host ? host : g_getenv("VCHASSIS_NODE");
    return g_strdup_printf("%s%s@%s%s ", s->candidate ? "[edit]\n" : "", s->user,
                           host ? host : "re0", s->candidate ? "#" : ">");
}

static void send_text(struct session *s, const char *text, gsize len)
{
    struct bus_cli_output *m = g_new0(struct bus_cli_output, 1);

    m->serial = s->header.serial;
    for (gsize at = 0; at < len; at += m->text.len) {
        m->text.len = (uint16_t)MIN(len - at, OUTPUT_BYTES);
        memcpy(m->text.data, text + at, m->text.len);
        if (!bus_send(s->conn, s->header.source, BUS_CLI_OUTPUT, m)) {
            break;
        }
    }
    g_free(m);
}

void session_done(struct session *s, GString *text, bool failed)
{
    struct bus_cli_done done = {.failed = failed};
    g_autofree char *line = prompt(s);

    if (text && s->pipes && !failed) {
        pipes_run(s->pipes, text);
    }
    if (text) {
        send_text(s, text->str, text->len);
    }
    g_clear_pointer(&s->pipes, pipes_free);
    g_clear_pointer(&s->command, command_free);
    if (!s->ending) {
        g_strlcpy(done.prompt, line, sizeof done.prompt);
    }
    s->busy = false;
    bus_reply(s->conn, &s->header, BUS_CLI_DONE, &done);
}

void session_say(struct session *s, const char *format, ...)
{
    g_autoptr(GString) text = g_string_new(NULL);
    va_list ap;

    va_start(ap, format);
    g_string_append_vprintf(text, format, ap);
    va_end(ap);
    session_done(s, text, false);
}

void session_fail(struct session *s, const GError *error)
{
    g_autoptr(GString) text = g_string_new(NULL);

    g_string_printf(text, "error: %s\n", error->message);
    session_done(s, text, true);
}

/* ------------------------------------------------------------------ operational commands */

static void show_rpc(struct session *s)
{
    const struct bus_rpc_call *call = &s->command->call;
    g_autoptr(GString) text = g_string_new(NULL);

    g_string_printf(text,
                    "<rpc-reply xmlns:junos=\"http://xml.juniper.net/junos/24.4R1/junos\">\n"
                    "    <rpc>\n        <%s>\n",
                    call->name);
    for (unsigned i = 0; i < call->n_arguments; i++) {
        const struct bus_rpc_argument *a = &call->arguments[i];
        g_autofree char *value = g_markup_escape_text(a->value, -1);

        if (*value) {
            g_string_append_printf(text, "            <%s>%s</%s>\n", a->name, value, a->name);
        } else {
            g_string_append_printf(text, "            <%s/>\n", a->name);
        }
    }
    g_string_append_printf(text, "        </%s>\n    </rpc>\n</rpc-reply>\n", call->name);
    session_done(s, text, false);
}

static void answered(xmlDoc *answer, const GError *error, void *data)
{
    struct session *s = data;
    g_autoptr(GString) text = g_string_new(NULL);
    const char *template;
    const xmlNode *root;

    if (error) {
        session_fail(s, error);
        return;
    }
    root = xmlDocGetRootElement(answer);
    switch (pipes_display(s->pipes)) {
    case DISPLAY_XML:
        render_xml(root, text);
        break;
    case DISPLAY_JSON:
        render_json(root, text);
        break;
    case DISPLAY_TEXT:
    case DISPLAY_SET:
    case DISPLAY_RPC:
        template = render_template(s->command->row->template ? s->command->row->template : "");
        render(template ? template : render_template("output"), root, text);
        break;
    }
    xmlFreeDoc(answer);
    session_done(s, text, false);
}

/* The nodes with the statements above them as XML or JSON. */
static void show_data(struct session *s, const GPtrArray *found, GString *text)
{
    struct conf_node *part = conf_data_part(found);
    xmlDoc *doc;

    if (pipes_display(s->pipes) == DISPLAY_JSON) {
        conf_data_json(s->mgd->schema, part, text);
    } else {
        doc = conf_data_xml(s->mgd->schema, part);
        render_xml(xmlDocGetRootElement(doc), text);
        xmlFreeDoc(doc);
    }
    conf_free(part);
}

void session_show_configuration(struct session *s, const struct conf_node *tree,
                                const GPtrArray *words)
{
    const struct curly_style style = {.secrets = true,
                                      .set = pipes_display(s->pipes) == DISPLAY_SET};
    g_autoptr(GPtrArray) path = statement_words_new(), found = g_ptr_array_new();
    g_autoptr(GString) text = g_string_new(NULL);
    g_autoptr(GError) error = NULL;

    for (unsigned i = 0; i < words->len; i++) {
        statement_words_add(path, words->pdata[i], false);
    }
    if (!statement_find(s->mgd->schema, (struct conf_node *)tree, path, found, &error)) {
        session_fail(s, error);
        return;
    }
    if (pipes_display(s->pipes) == DISPLAY_TEXT || style.set) {
        for (unsigned i = 0; i < found->len; i++) {
            const struct conf_node *node = found->pdata[i];

            if (found->len > 1 && !style.set && node->kind == CONF_LIST) {
                curly_write_entry(s->mgd->schema, node, &style, text);
            } else {
                curly_write(s->mgd->schema, node, &style, text);
            }
        }
    } else {
        show_data(s, found, text);
    }
    session_done(s, text, false);
}

static void restarted(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                      const GError *error, void *data)
{
    struct session *s = data;
    g_autoptr(GError) refusal = NULL;

    (void)conn;
    if (error || header->type == BUS_ERROR) {
        fw_fail(&refusal, FW_ERROR_UNAVAILABLE, "%s: %s", s->command->row->arguments,
                error ? error->message : ((const struct bus_error *)msg)->text);
        session_fail(s, refusal);
    } else {
        session_say(s, "%s restarted\n", s->command->row->arguments);
    }
}

static void operational(struct session *s, const char *line)
{
    g_autoptr(GError) error = NULL;
    struct bus_daemon_restart restart = {0};

    s->command = command_parse(s->mgd->commands, line, &error);
    if (!s->command) {
        session_fail(s, error);
        return;
    }
    switch (s->command->row->action) {
    case COMMAND_RPC:
        if (pipes_display(s->pipes) == DISPLAY_RPC) {
            show_rpc(s);
        } else {
            rpc_execute(s->mgd->rpc, &s->command->call, answered, s);
        }
        break;
    case COMMAND_CONFIGURATION:
        session_show_configuration(s, commit_active(s->mgd->commit), s->command->rest);
        break;
    case COMMAND_CONFIGURE:
        session_configure(s);
        break;
    case COMMAND_RESTART:
        g_strlcpy(restart.name, s->command->row->rpc, sizeof restart.name);
        bus_call(s->mgd->bus, BUS_ROUTER, BUS_DAEMON_RESTART, &restart, 0, restarted, s);
        break;
    case COMMAND_SETTING: {
        g_auto(GStrv) parts = g_strsplit(s->command->row->rpc, "%s", 2);

        session_say(s, "%s%s%s", parts[0] ? parts[0] : "",
                    parts[0] && parts[1] ? s->command->value : "",
                    parts[0] && *parts[0] ? "\n" : "");
        break;
    }
    case COMMAND_EXIT:
        s->ending = true;
        session_done(s, NULL, false);
        break;
    }
}

static void run_line(struct session *s, const struct bus_header *header,
                     const struct bus_cli_command *m)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *line = NULL;

    if (s->busy) {
        bus_reply_error(s->conn, header, 1, "the command before has not ended");
        return;
    }
    s->busy = true;
    s->header = *header;
    if (!s->user) {
        s->user = g_strdup(*m->user ? m->user : "user");
    }
    s->pipes = pipes_parse(m->line, &line, &error);
    if (!s->pipes) {
        session_fail(s, error);
        return;
    }
    g_strstrip(line);
    if (!*line) {
        session_done(s, NULL, false);
    } else if (s->candidate) {
        session_configuration_line(s, line);
    } else {
        operational(s, line);
    }
}

void session_operational(struct session *s, const char *line)
{
    operational(s, line);
}

/* ------------------------------------------------------------------ completion */

static GPtrArray *choices(struct session *s, const char *line)
{
    const char *bar = strrchr(line, '|');
    GPtrArray *list;
    const struct command_row *rest;
    unsigned from = 0;

    if (bar) {
        const char *last = bar + 1 + strspn(bar + 1, " ");

        list = command_choices_new();
        for (unsigned i = 0; pipe_help[i][0]; i++) {
            if (g_str_has_prefix(pipe_help[i][0], last)) {
                command_choices_add(list, pipe_help[i][0], pipe_help[i][1], false);
            }
        }
        return list;
    }
    if (s->candidate) {
        return session_configuration_choices(s, line);
    }
    list = command_choices(s->mgd->commands, line, &rest, &from);
    if (rest) {
        session_statement_choices(s, commit_active(s->mgd->commit), line, from, list);
    }
    return list;
}

static void complete(struct session *s, const struct bus_header *header,
                     const struct bus_cli_complete *m)
{
    struct bus_cli_completions *answer = g_new0(struct bus_cli_completions, 1);
    g_autoptr(GPtrArray) list = choices(s, m->line);
    const char *last = strrchr(m->line, ' ');
    g_autofree char *common = NULL;
    unsigned n_words = 0;
    size_t typed;

    last = last ? last + 1 : m->line;
    typed = strlen(last);
    for (unsigned i = 0; i < list->len; i++) {
        const struct command_choice *c = list->pdata[i];

        if (answer->n_choices < G_N_ELEMENTS(answer->choices)) {
            struct bus_completion *to = &answer->choices[answer->n_choices++];

            g_strlcpy(to->word, c->word, sizeof to->word);
            g_strlcpy(to->help, c->help, sizeof to->help);
        }
        if (c->value || !g_str_has_prefix(c->word, last)) {
            continue;
        }
        n_words++;
        if (!common) {
            common = g_strdup(c->word);
            continue;
        }
        for (char *p = common, *q = c->word;; p++, q++) {
            if (*p != *q || !*p) {
                *p = 0;
                break;
            }
        }
    }
    if (!m->help && common && strlen(common) >= typed) {
        g_snprintf(answer->insert, sizeof answer->insert, "%s%s", common + typed,
                   n_words == 1 ? " " : "");
    }
    bus_reply(s->conn, header, BUS_CLI_COMPLETIONS, answer);
    g_free(answer);
}

/* ------------------------------------------------------------------ connections */

static void session_free(struct session *s)
{
    rpc_forget(s->mgd->rpc, s);
    bus_cancel(s->mgd->bus, s);
    commit_forget(s->mgd->commit, s);
    conf_free(s->candidate);
    pipes_free(s->pipes);
    command_free(s->command);
    bus_conn_free(s->conn);
    g_free(s->user);
    g_free(s);
}

static void message(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                    int *fds, unsigned n_fds, void *data)
{
    (void)fds;
    (void)n_fds;
    switch (header->type) {
    case BUS_CLI_COMMAND:
        run_line(data, header, msg);
        break;
    case BUS_CLI_COMPLETE:
        complete(data, header, msg);
        break;
    default:
        if (header->kind == BUS_CALL) {
            bus_reply_error(conn, header, 4, "only commands are answered here");
        }
        break;
    }
}

static void closed(struct bus_conn *conn, void *data)
{
    struct session *s = data;
    struct mgd *mgd = s->mgd;

    (void)conn;
    g_ptr_array_remove_fast(mgd->sessions, s);
    session_free(s);
}

static gboolean accepting(gint fd, GIOCondition condition, gpointer data)
{
    static const struct bus_handler handler = {message, closed};
    struct mgd *mgd = data;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct session *s;

    (void)condition;
    if (client < 0) {
        return G_SOURCE_CONTINUE;
    }
    s = g_new0(struct session, 1);
    s->mgd = mgd;
    s->conn = bus_conn_new(client, BUS_RE(BUS_ROLE_MGD), &handler, s);
    bus_conn_set_bound(s->conn, 4096); /* output of one large show */
    g_ptr_array_add(mgd->sessions, s);
    return G_SOURCE_CONTINUE;
}

bool session_listen(struct mgd *mgd, const char *run, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    mgd->listen_path = g_build_filename(run, "cli.sock", NULL);
    mgd->sessions = g_ptr_array_new();
    if (strlen(mgd->listen_path) >= sizeof address.sun_path) {
        return fw_fail(error, FW_ERROR_INVALID,
                       "%s: too long for a socket; use a shorter VCHASSIS_RUN_DIR",
                       mgd->listen_path);
    }
    g_strlcpy(address.sun_path, mgd->listen_path, sizeof address.sun_path);
    mgd->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    unlink(mgd->listen_path); /* of a mgd that was killed */
    if (mgd->listen_fd < 0 ||
        bind(mgd->listen_fd, (struct sockaddr *)&address, sizeof address) < 0 ||
        chmod(mgd->listen_path, 0600) < 0 || listen(mgd->listen_fd, 64) < 0) {
        return fw_fail_errno(error, "%s", mgd->listen_path);
    }
    mgd->listener = g_unix_fd_add(mgd->listen_fd, G_IO_IN, accepting, mgd);
    return true;
}

void session_close_all(struct mgd *mgd)
{
    if (mgd->listener) {
        g_source_remove(mgd->listener);
        close(mgd->listen_fd);
        unlink(mgd->listen_path);
    }
    for (unsigned i = 0; mgd->sessions && i < mgd->sessions->len; i++) {
        session_free(mgd->sessions->pdata[i]);
    }
    g_clear_pointer(&mgd->sessions, g_ptr_array_unref);
    g_clear_pointer(&mgd->listen_path, g_free);
}
