/*
 * server - see server.h.
 *
 * A client is referenced by its main-loop sources and by its open requests, so
 * a late answer to one that left is dropped quietly.
 */
#include "hw/lab/server.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "hw/monitor/line.h"

#define FLUSH_NS FW_SEC

struct server {
    char *greeting;
    server_command_cb command;
    server_gone_cb gone;
    void *data;
    int listener;
    guint listener_source;
    GList *clients; /* struct server_client */
};

struct server_client {
    struct server *server;
    unsigned refs;
    int fd; /* -1 once gone */
    bool events;
    GString *in;
    GString *out;
    guint read_source;
    guint write_source;
    unsigned n_fds;
    int fds[SERVER_FDS_MAX]; /* received, not yet claimed */
};

static void client_unref(struct server_client *client)
{
    if (--client->refs > 0) {
        return;
    }
    g_string_free(client->in, TRUE);
    g_string_free(client->out, TRUE);
    g_free(client);
}

static void client_close(struct server_client *client)
{
    struct server *server = client->server;

    if (client->fd < 0) {
        return;
    }
    close(client->fd);
    client->fd = -1;
    for (unsigned n = 0; n < client->n_fds; n++) {
        close(client->fds[n]);
    }
    client->n_fds = 0;
    g_clear_handle_id(&client->read_source, g_source_remove);
    g_clear_handle_id(&client->write_source, g_source_remove);
    server->clients = g_list_remove(server->clients, client);
    if (server->gone) {
        server->gone(client, server->data);
    }
    client_unref(client);
}

/* ---- writing ---- */

/* false: the client is closed now. */
static bool client_write(struct server_client *client)
{
    while (client->out->len) {
        ssize_t n = send(client->fd, client->out->str, client->out->len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            return true;
        }
        if (n < 0) {
            client_close(client);
            return false;
        }
        g_string_erase(client->out, 0, n);
    }
    return true;
}

static gboolean on_writable(gint fd, GIOCondition condition, gpointer data)
{
    struct server_client *client = data;

    if (!client_write(client)) {
        return G_SOURCE_REMOVE;
    }
    if (client->out->len) {
        return G_SOURCE_CONTINUE;
    }
    client->write_source = 0;
    return G_SOURCE_REMOVE;
}

static void client_send(struct server_client *client, const char *text)
{
    if (client->fd < 0) {
        return;
    }
    g_string_append(client->out, text);
    g_string_append_c(client->out, '\n');
    if (client->out->len > SERVER_QUEUE_MAX) {
        client_close(client);
        return;
    }
    if (!client->write_source && client_write(client) && client->out->len) {
        client->write_source = g_unix_fd_add(client->fd, G_IO_OUT, on_writable, client);
    }
}

static char *object_text(JsonObject *object)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_OBJECT);

    json_node_take_object(node, object);
    return json_to_string(node, FALSE);
}

/* ---- requests ---- */

static void request_free(struct server_request *request)
{
    for (unsigned n = 0; n < request->n_fds; n++) {
        if (request->fds[n] >= 0) {
            close(request->fds[n]);
        }
    }
    g_clear_pointer(&request->id, json_node_unref);
    client_unref(request->client);
    g_free(request);
}

static void request_answer(struct server_request *request, const char *key, JsonNode *value)
{
    JsonObject *object = json_object_new();
    g_autofree char *text = NULL;

    json_object_set_member(object, key, value);
    if (request->id) {
        json_object_set_member(object, "id", json_node_copy(request->id));
    }
    text = object_text(object);
    client_send(request->client, text);
    request_free(request);
}

bool server_request_alive(const struct server_request *request)
{
    return request->client->fd >= 0;
}

void server_return_node(struct server_request *request, JsonNode *value, bool failed)
{
    request_answer(request, failed ? "error" : "return", value);
}

void server_return(struct server_request *request, JsonNode *value)
{
    if (!value) {
        value = json_node_new(JSON_NODE_OBJECT);
        json_node_take_object(value, json_object_new());
    }
    request_answer(request, "return", value);
}

void server_error(struct server_request *request, const char *format, ...)
{
    JsonObject *object = json_object_new();
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);
    g_autofree char *text = NULL;
    va_list ap;

    va_start(ap, format);
    text = g_strdup_vprintf(format, ap);
    va_end(ap);
    json_object_set_string_member(object, "class", "GenericError");
    json_object_set_string_member(object, "desc", text);
    json_node_take_object(node, object);
    request_answer(request, "error", node);
}

static void line_run(struct server_client *client, const char *line, size_t len)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    struct server_request *request = g_new0(struct server_request, 1);
    JsonObject *object = NULL, *args = NULL;
    const char *name = NULL;
    g_autoptr(GError) error = NULL;
    gint64 n_fds = 0;

    request->client = client;
    client->refs++;
    if (!monitor_line_check(line, len, SERVER_LINE_MAX, &error)) {
        server_error(request, "%s", error->message);
        return;
    }
    if (json_parser_load_from_data(parser, line, (gssize)len, NULL)) {
        JsonNode *root = json_parser_get_root(parser);

        object = root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
    }
    if (!object) {
        server_error(request, "this is not a JSON object in one line");
        return;
    }
    if (json_object_has_member(object, "id")) {
        request->id = json_node_copy(json_object_get_member(object, "id"));
    }
    name = json_object_get_string_member_with_default(object, "execute", NULL);
    n_fds = json_object_get_int_member_with_default(object, "fds", 0);
    if (json_object_has_member(object, "arguments")) {
        JsonNode *node = json_object_get_member(object, "arguments");

        args = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
        if (!args) {
            server_error(request, "arguments is not an object");
            return;
        }
    }
    if (!name) {
        server_error(request, "the request has no execute; write {\"execute\": \"COMMAND\"}");
        return;
    }
    if (n_fds < 0 || n_fds > client->n_fds) {
        server_error(request, "%s: fds is %d but %u descriptors came", name, (int)n_fds,
                     client->n_fds);
        return;
    }
    request->n_fds = (unsigned)n_fds;
    memcpy(request->fds, client->fds, sizeof(int) * request->n_fds);
    client->n_fds -= request->n_fds;
    memmove(client->fds, client->fds + request->n_fds, sizeof(int) * client->n_fds);
    if (args) {
        client->server->command(request, name, args, client->server->data);
    } else {
        g_autoptr(JsonObject) empty = json_object_new();

        client->server->command(request, name, empty, client->server->data);
    }
}

/* ---- reading ---- */

/* Descriptors of a control message; more than fit are closed at once. */
static void fds_collect(struct server_client *client, struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        size_t count;

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t n = 0; n < count; n++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + n * sizeof(int), sizeof(fd));
            if (client->n_fds < SERVER_FDS_MAX) {
                client->fds[client->n_fds++] = fd;
            } else {
                close(fd);
            }
        }
    }
}

static gboolean on_readable(gint fd, GIOCondition condition, gpointer data)
{
    struct server_client *client = data;
    union {
        char bytes[CMSG_SPACE(sizeof(int) * SERVER_FDS_MAX)];
        struct cmsghdr align;
    } control;
    char buffer[16384];
    struct iovec part = {buffer, sizeof(buffer)};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    char *end;
    gboolean alive;

    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        return G_SOURCE_CONTINUE;
    }
    if (n <= 0) {
        client->read_source = 0;
        client_close(client);
        return G_SOURCE_REMOVE;
    }
    fds_collect(client, &message);
    g_string_append_len(client->in, buffer, n);
    client->refs++;
    while (client->fd >= 0 && (end = memchr(client->in->str, '\n', client->in->len))) {
        size_t len = (size_t)(end - client->in->str);
        g_autofree char *line = g_strndup(client->in->str, len);

        g_string_erase(client->in, 0, (gssize)len + 1);
        if (len > 0) {
            line_run(client, line, len);
        }
    }
    if (client->fd >= 0 && client->in->len > SERVER_LINE_MAX) {
        client_close(client);
    }
    alive = client->fd >= 0;
    client_unref(client);
    return alive ? G_SOURCE_CONTINUE : G_SOURCE_REMOVE;
}

/* ---- the server ---- */

struct server *server_new(const char *greeting, server_command_cb command, server_gone_cb gone,
                          void *data)
{
    struct server *server = g_new0(struct server, 1);

    server->greeting = g_strdup(greeting);
    server->command = command;
    server->gone = gone;
    server->data = data;
    server->listener = -1;
    return server;
}

struct server_client *server_adopt(struct server *server, int fd, bool events)
{
    struct server_client *client = g_new0(struct server_client, 1);

    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    client->server = server;
    client->refs = 1;
    client->fd = fd;
    client->events = events;
    client->in = g_string_new(NULL);
    client->out = g_string_new(NULL);
    client->read_source = g_unix_fd_add(fd, G_IO_IN | G_IO_HUP, on_readable, client);
    server->clients = g_list_append(server->clients, client);
    client_send(client, server->greeting);
    return client;
}

static gboolean on_connection(gint fd, GIOCondition condition, gpointer data)
{
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (client >= 0) {
        server_adopt(data, client, false);
    }
    return G_SOURCE_CONTINUE;
}

bool server_listen(struct server *server, const char *path, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (g_strlcpy(address.sun_path, path, sizeof(address.sun_path)) >= sizeof(address.sun_path)) {
        return fw_fail(error, FW_ERROR_INVALID,
                       "%s is too long for a socket; set VCHASSIS_RUN_DIR to a shorter directory",
                       path);
    }
    server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (server->listener < 0 ||
        bind(server->listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        chmod(path, 0600) != 0 || listen(server->listener, 32) != 0) {
        return fw_fail_errno(error, "cannot listen on %s", path);
    }
    server->listener_source = g_unix_fd_add(server->listener, G_IO_IN, on_connection, server);
    return true;
}

void server_subscribe(struct server_client *client)
{
    client->events = true;
}

static char *event_text(const char *name, JsonNode *data)
{
    JsonObject *object = json_object_new();
    JsonObject *stamp = json_object_new();
    int64_t now = fw_clock_wall_ns();

    json_object_set_string_member(object, "event", name);
    json_object_set_member(object, "data", data);
    json_object_set_int_member(stamp, "seconds", now / FW_SEC);
    json_object_set_int_member(stamp, "microseconds", now % FW_SEC / 1000);
    json_object_set_object_member(object, "timestamp", stamp);
    return object_text(object);
}

void server_event(struct server *server, const char *name, JsonNode *data)
{
    g_autofree char *text = event_text(name, data);
    GList *next;

    for (GList *at = server->clients; at; at = next) {
        struct server_client *client = at->data;

        next = at->next;
        if (client->events) {
            client_send(client, text);
        }
    }
}

void server_tell(struct server_client *client, const char *name, JsonNode *data)
{
    g_autofree char *text = event_text(name, data);

    client_send(client, text);
}

void server_flush(struct server *server)
{
    int64_t deadline = fw_clock_ns() + FLUSH_NS;

    while (server->clients) {
        struct server_client *client = server->clients->data;

        while (client->out->len && fw_clock_ns() < deadline) {
            struct pollfd wait = {.fd = client->fd, .events = POLLOUT};

            poll(&wait, 1, 100);
            if (!client_write(client)) {
                break;
            }
        }
        if (server->clients && server->clients->data == client) {
            server->gone = NULL;
            client_close(client);
        }
    }
}

void server_free(struct server *server)
{
    if (!server) {
        return;
    }
    server->gone = NULL;
    while (server->clients) {
        client_close(server->clients->data);
    }
    g_clear_handle_id(&server->listener_source, g_source_remove);
    if (server->listener >= 0) {
        close(server->listener);
    }
    g_free(server->greeting);
    g_free(server);
}
