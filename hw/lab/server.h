/*
 * server - JSON lines in QMP's shape over a stream socket, with descriptors.
 *
 * Greeting, then requests {"execute": NAME, "arguments": {...}, "id": ANY,
 * "fds": N}; each is answered once, now or later, by {"return": ..., "id": ANY}
 * or {"error": {"class", "desc"}, "id": ANY}. N descriptors sent with or before
 * the line (SCM_RIGHTS) belong to it. A client that executed `subscribe` gets
 * events {"event": NAME, "data": {...}, "timestamp": {...}}.
 * Limits: lines of SERVER_LINE_MAX bytes; a client that does not read is closed.
 * Main-loop thread only.
 */
#ifndef LAB_SERVER_H
#define LAB_SERVER_H

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>

#define SERVER_LINE_MAX  (256u * 1024) /* a monitor line: bus messages end at 60,000 bytes */
#define SERVER_QUEUE_MAX (4u * 1024 * 1024) /* unread answers of one client */
#define SERVER_FDS_MAX   8

struct server;
struct server_client;

struct server_request {
    struct server_client *client; /* referenced; use server_request_alive */
    JsonNode *id;
    unsigned n_fds;
    int fds[SERVER_FDS_MAX];      /* the request's; set to -1 what is taken */
};

/* args is never NULL. The callee owns the request and answers it once. */
typedef void (*server_command_cb)(struct server_request *request, const char *name,
                                  JsonObject *args, void *data);
/* A client went away. */
typedef void (*server_gone_cb)(struct server_client *client, void *data);

/* greeting: a JSON object's text. */
struct server *server_new(const char *greeting, server_command_cb command, server_gone_cb gone,
                          void *data);
/* Listens on a UNIX socket, mode 0600. */
bool server_listen(struct server *server, const char *path, GError **error);
/* An already connected client (takes fd), subscribed to events when asked. */
struct server_client *server_adopt(struct server *server, int fd, bool events);
void server_subscribe(struct server_client *client);
void server_free(struct server *server);

/* Each of these ends the request. Takes the node; NULL: an empty object. */
void server_return(struct server_request *request, JsonNode *value);
void server_error(struct server_request *request, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Answer with a ready text: value of "return", or of "error" when failed. */
void server_return_node(struct server_request *request, JsonNode *value, bool failed);
bool server_request_alive(const struct server_request *request);

/* To every subscribed client. Takes data. */
void server_event(struct server *server, const char *name, JsonNode *data);
/* To one client, subscribed or not. Takes data. */
void server_tell(struct server_client *client, const char *name, JsonNode *data);
/* Write out what is queued, waiting at most a moment; before the end of the process. */
void server_flush(struct server *server);

#endif
