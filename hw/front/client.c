/*
 * client - one connection to labd or to a node's monitor: JSON lines.
 *
 * Requests carry a number as id; answers are kept until asked for, events go to
 * a callback as they are read. Descriptors travel beside the line of their
 * request.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "hw/front/front.h"
#include "hw/lab/labfile.h"

#define CALL_TIMEOUT_MS 20000
#define FDS_MAX 8

struct front_client {
    int fd;
    bool gone;
    unsigned number;
    GString *in;
    GHashTable *answers; /* number -> JsonNode, the whole answer object */
    front_event_cb event;
    void *user;
};

struct front_client *front_client_new(int fd)
{
    struct front_client *client = g_new0(struct front_client, 1);

    client->fd = fd;
    client->in = g_string_new(NULL);
    client->answers = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)json_node_unref);
    return client;
}

struct front_client *front_client_connect(const char *path, GError **error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (g_strlcpy(address.sun_path, path, sizeof(address.sun_path)) >= sizeof(address.sun_path)) {
        fw_fail(error, FW_ERROR_INVALID, "%s is too long for a socket", path);
        return NULL;
    }
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        fw_fail_errno(error, "nobody answers on %s", path);
        if (fd >= 0) {
            close(fd);
        }
        return NULL;
    }
    return front_client_new(fd);
}

struct front_client *front_client_lab(const char *lab, GError **error)
{
    g_autofree char *run = lab_run_directory(lab);
    g_autofree char *path = g_build_filename(run, "labd.sock", NULL);

    return front_client_connect(path, error);
}

void front_client_free(struct front_client *client)
{
    if (!client) {
        return;
    }
    close(client->fd);
    g_string_free(client->in, TRUE);
    g_hash_table_destroy(client->answers);
    g_free(client);
}

int front_client_fd(const struct front_client *client)
{
    return client->fd;
}

void front_client_on_event(struct front_client *client, front_event_cb callback, void *user)
{
    client->event = callback;
    client->user = user;
}

/* ---- sending ---- */

static bool send_all(struct front_client *client, const char *text, size_t len, const int *fds,
                     unsigned n_fds)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int) * FDS_MAX)];
        struct cmsghdr align;
    } control = {0};
    struct iovec part = {(char *)text, len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (n_fds) {
        struct cmsghdr *c;

        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
    }
    while (part.iov_len) {
        ssize_t n = sendmsg(client->fd, &message, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return false;
        }
        part.iov_base = (char *)part.iov_base + n;
        part.iov_len -= (size_t)n;
        message.msg_control = NULL;
        message.msg_controllen = 0;
    }
    return true;
}

unsigned front_client_send(struct front_client *client, const char *command, const char *args,
                           const int *fds, unsigned n_fds, GError **error)
{
    unsigned number = ++client->number;
    g_autofree char *name = front_json_quote(command);
    g_autofree char *line =
        g_strdup_printf("{\"execute\":%s,\"arguments\":%s,\"fds\":%u,\"id\":%u}\n", name,
                        args ? args : "{}", n_fds, number);

    if (n_fds > FDS_MAX || !send_all(client, line, strlen(line), fds, n_fds)) {
        fw_fail(error, FW_ERROR_UNAVAILABLE, "the lab does not answer any more");
        return 0;
    }
    return number;
}

/* ---- receiving ---- */

static void line_take(struct front_client *client, const char *line, size_t len)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonNode *root;
    JsonObject *object;

    if (!json_parser_load_from_data(parser, line, (gssize)len, NULL)) {
        return;
    }
    root = json_parser_get_root(parser);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        return;
    }
    object = json_node_get_object(root);
    if (json_object_has_member(object, "event")) {
        JsonNode *data = json_object_get_member(object, "data");

        if (client->event) {
            client->event(front_json_text(object, "event"),
                          data && JSON_NODE_HOLDS_OBJECT(data) ? json_node_get_object(data) : NULL,
                          client->user);
        }
    } else if (json_object_has_member(object, "return") ||
               json_object_has_member(object, "error")) {
        g_hash_table_insert(client->answers,
                            GUINT_TO_POINTER((unsigned)front_json_number(object, "id")),
                            json_node_copy(root));
    }
}

bool front_client_read(struct front_client *client, int timeout_ms)
{
    struct pollfd wait = {.fd = client->fd, .events = POLLIN};
    char buffer[16384];
    ssize_t n;
    char *end;

    if (client->gone) {
        return false;
    }
    if (poll(&wait, 1, timeout_ms) <= 0) {
        return true;
    }
    n = recv(client->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (n <= 0) {
        client->gone = true;
        return false;
    }
    g_string_append_len(client->in, buffer, n);
    while ((end = memchr(client->in->str, '\n', client->in->len))) {
        size_t len = (size_t)(end - client->in->str);
        g_autofree char *line = g_strndup(client->in->str, len);

        g_string_erase(client->in, 0, (gssize)len + 1);
        line_take(client, line, len);
    }
    return true;
}

bool front_client_answer(struct front_client *client, unsigned number, JsonNode **ret,
                         GError **error)
{
    JsonNode *answer = g_hash_table_lookup(client->answers, GUINT_TO_POINTER(number));
    JsonObject *object;
    JsonNode *value;

    if (!answer) {
        return false;
    }
    object = json_node_get_object(answer);
    value = json_object_get_member(object, "error");
    *ret = NULL;
    if (value) {
        const char *why = JSON_NODE_HOLDS_OBJECT(value)
                              ? front_json_text(json_node_get_object(value), "desc")
                              : NULL;

        fw_fail(error, FW_ERROR_INVALID, "%s", why && *why ? why : "refused");
    } else {
        *ret = json_node_copy(json_object_get_member(object, "return"));
    }
    g_hash_table_remove(client->answers, GUINT_TO_POINTER(number));
    return true;
}

static JsonNode *answer_wait(struct front_client *client, unsigned number, unsigned timeout_ms,
                             GError **error)
{
    int64_t deadline = fw_clock_ns() + (timeout_ms ? timeout_ms : CALL_TIMEOUT_MS) * FW_MS;
    JsonNode *value = NULL;

    while (!front_client_answer(client, number, &value, error)) {
        int64_t left = (deadline - fw_clock_ns()) / FW_MS;

        if (left <= 0) {
            fw_fail(error, FW_ERROR_UNAVAILABLE, "the lab did not answer in time");
            return NULL;
        }
        if (!front_client_read(client, (int)left)) {
            fw_fail(error, FW_ERROR_UNAVAILABLE, "the lab has ended");
            return NULL;
        }
    }
    return value;
}

JsonNode *front_client_call(struct front_client *client, const char *command, const char *args,
                            unsigned timeout_ms, GError **error)
{
    unsigned number = front_client_send(client, command, args, NULL, 0, error);

    return number ? answer_wait(client, number, timeout_ms, error) : NULL;
}

JsonNode *front_node_call(struct front_client *lab, const char *node, const char *command,
                          const char *args, const int *fds, unsigned n_fds, GError **error)
{
    g_autofree char *node_text = front_json_quote(node);
    g_autofree char *command_text = front_json_quote(command);
    g_autofree char *whole =
        g_strdup_printf("{\"node\":%s,\"command\":{\"execute\":%s,\"arguments\":%s,\"fds\":%u}}",
                        node_text, command_text, args ? args : "{}", n_fds);
    unsigned number = front_client_send(lab, "node-call", whole, fds, n_fds, error);

    return number ? answer_wait(lab, number, 0, error) : NULL;
}

/* ---- JSON ---- */

char *front_json_quote(const char *text)
{
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_VALUE);

    json_node_set_string(node, text);
    return json_to_string(node, FALSE);
}

void front_json_print(JsonNode *node)
{
    g_autofree char *text = json_to_string(node, TRUE);

    printf("%s\n", text);
}

const char *front_json_text(JsonObject *object, const char *name)
{
    return json_object_get_string_member_with_default(object, name, "");
}

int64_t front_json_number(JsonObject *object, const char *name)
{
    return json_object_get_int_member_with_default(object, name, 0);
}
