/*
 * node - the hwd of one node as labd sees it.
 *
 * Started in the node's network namespace with the supervision socket on
 * descriptor 3; told its ports with their descriptors, then `node-go`. Monitor
 * commands pass through as node-call and node-return. Its death is power loss
 * of that node: an event, the lab goes on.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "hw/lab/child.h"
#include "hw/lab/labd.h"

#define POLL_NS (100 * FW_MS) /* between looks at the slots of a booting node */

static const char slots_command[] = "{\"execute\":\"query-slots\"}";

struct node_call {
    struct server_request *request; /* NULL: labd's own look at the slots */
};

static const char *const state_names[] = {"off", "booting", "online"};

const char *labd_node_state_name(const struct labd_node *node)
{
    return state_names[node->state];
}

struct labd_node *labd_node_find(struct labd *labd, const char *name)
{
    for (unsigned n = 0; n < labd->n_nodes; n++) {
        if (strcmp(labd->nodes[n].file->name, name) == 0) {
            return &labd->nodes[n];
        }
    }
    return NULL;
}

static void node_set_state(struct labd_node *node, enum node_state state)
{
    JsonBuilder *b;

    if (node->state == state) {
        return;
    }
    node->state = state;
    node->since_ns = fw_clock_ns();
    b = labd_object();
    labd_text(b, "node", node->file->name);
    labd_text(b, "state", state_names[state]);
    labd_text(b, "reason", node->reason);
    labd_number(b, "pid", node->pid);
    server_event(node->labd->server, "NODE_STATE", labd_object_end(b));
}

static void call_end(struct node_call *call, const char *problem, const char *name)
{
    if (call->request) {
        server_error(call->request, "node %s: %s", name, problem);
    }
    g_free(call);
}

/* All calls fail, the supervision socket is closed. */
static void node_disconnect(struct labd_node *node, const char *problem)
{
    GHashTableIter iter;
    gpointer value;

    if (node->calls) {
        g_hash_table_iter_init(&iter, node->calls);
        while (g_hash_table_iter_next(&iter, NULL, &value)) {
            call_end(value, problem, node->file->name);
        }
        g_hash_table_destroy(node->calls);
        node->calls = NULL;
    }
    g_clear_pointer(&node->poll, fw_timer_free);
    bus_conn_free(node->bus);
    node->bus = NULL;
    node->polling = false;
}

static void on_end(pid_t pid, int status, void *data)
{
    struct labd_node *node = data;
    g_autofree char *text = child_status_text(status);

    node->pid = 0;
    g_free(node->reason);
    node->reason = node->labd->ending ? g_strdup("ended") : g_strdup_printf("hwd ended: %s", text);
    node_disconnect(node, "its hwd ended; the node is off");
    if (!node->labd->ending) {
        fw_error("node %s is off: %s", node->file->name, node->reason);
    }
    node_set_state(node, NODE_OFF);
    if (!node->labd->ending) {
        labd_links_refresh(node->labd);
    }
}

/* ---- calls ---- */

/* json: one line. The request may be NULL. */
static void node_send(struct labd_node *node, struct server_request *request, const char *json)
{
    struct bus_node_call *call;
    struct node_call *pending;
    size_t len = strlen(json);
    bool sent;

    if (!node->bus) {
        if (request) {
            server_error(request, "node %s is off; start it with node-start", node->file->name);
        }
        return;
    }
    call = g_new0(struct bus_node_call, 1);
    if (len > sizeof(call->json.data)) {
        server_error(request, "the command is longer than %zu bytes", sizeof(call->json.data));
        g_free(call);
        return;
    }
    call->serial = ++node->serial;
    call->json.len = (uint16_t)len;
    memcpy(call->json.data, json, len);
    sent = bus_send_fds(node->bus, BUS_HWD, BUS_NODE_CALL, call, request ? request->fds : NULL,
                        request ? request->n_fds : 0);
    /* They are hwd's now: a pipe's reader must see its end when hwd closes it. */
    for (unsigned n = 0; request && n < request->n_fds; n++) {
        close(request->fds[n]);
        request->fds[n] = -1;
    }
    if (!sent) {
        if (request) {
            server_error(request, "node %s is busy; try again", node->file->name);
        }
        g_free(call);
        return;
    }
    pending = g_new0(struct node_call, 1);
    pending->request = request;
    g_hash_table_insert(node->calls, GUINT_TO_POINTER(call->serial), pending);
    if (!request) {
        node->polling = true;
    }
    g_free(call);
}

void labd_node_call(struct labd_node *node, struct server_request *request, const char *command)
{
    node_send(node, request, command);
}

/* ---- is every card of the lab file in service? ---- */

/* The slot number as the bus has it. */
static unsigned bus_slot_of(const struct lab_card *card)
{
    return card->position == LAB_FPC ? card->slot
           : card->position == LAB_RE ? 0xf0 + card->slot
                                      : 0xe0 + card->slot;
}

static bool card_online(JsonArray *slots, const struct lab_card *card)
{
    for (guint n = 0; n < json_array_get_length(slots); n++) {
        JsonNode *item = json_array_get_element(slots, n);
        JsonObject *slot = JSON_NODE_HOLDS_OBJECT(item) ? json_node_get_object(item) : NULL;

        if (slot && json_object_get_int_member_with_default(slot, "slot", -1) ==
                        bus_slot_of(card)) {
            return strcmp(json_object_get_string_member_with_default(slot, "state", ""),
                          "online") == 0;
        }
    }
    return card->position == LAB_CB; /* a passive board may be left out */
}

/* The array of slots: the answer itself, or its only array member. */
static JsonArray *slots_of(JsonNode *node)
{
    if (JSON_NODE_HOLDS_ARRAY(node)) {
        return json_node_get_array(node);
    }
    if (JSON_NODE_HOLDS_OBJECT(node)) {
        JsonObject *object = json_node_get_object(node);

        if (json_object_has_member(object, "slots") &&
            JSON_NODE_HOLDS_ARRAY(json_object_get_member(object, "slots"))) {
            return json_object_get_array_member(object, "slots");
        }
    }
    return NULL;
}

static void slots_looked_at(struct labd_node *node, JsonNode *answer)
{
    JsonArray *slots = answer ? slots_of(answer) : NULL;
    bool online = slots != NULL;

    node->polling = false;
    for (unsigned n = 0; online && n < node->file->n_cards; n++) {
        online = card_online(slots, &node->file->cards[n]);
    }
    if (online && node->state == NODE_BOOTING) {
        node_set_state(node, NODE_ONLINE);
        labd_check_online(node->labd);
    } else if (node->state == NODE_BOOTING) {
        fw_timer_arm(node->poll, POLL_NS);
    }
}

static void on_poll(void *data)
{
    struct labd_node *node = data;

    if (node->state == NODE_BOOTING && !node->polling) {
        node_send(node, NULL, slots_command);
        if (!node->polling) {
            fw_timer_arm(node->poll, POLL_NS);
        }
    }
}

/* ---- what hwd says ---- */

static void on_return(struct labd_node *node, const struct bus_node_return *answer)
{
    struct node_call *call = g_hash_table_lookup(node->calls, GUINT_TO_POINTER(answer->serial));
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonObject *object = NULL;
    JsonNode *value = NULL;
    bool failed = false;

    if (!call) {
        return;
    }
    g_hash_table_remove(node->calls, GUINT_TO_POINTER(answer->serial));
    if (json_parser_load_from_data(parser, (const char *)answer->json.data, answer->json.len,
                                   NULL)) {
        JsonNode *root = json_parser_get_root(parser);

        object = root && JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
    }
    if (object) {
        failed = json_object_has_member(object, "error");
        value = json_object_get_member(object, failed ? "error" : "return");
    }
    if (!call->request) {
        slots_looked_at(node, failed ? NULL : value);
    } else if (value) {
        server_return_node(call->request, json_node_copy(value), failed);
    } else {
        server_error(call->request, "node %s gave no proper answer", node->file->name);
    }
    g_free(call);
}

/* {"event": NAME, "data": {...}}: handed on with the node's name in the data. */
static void on_event(struct labd_node *node, const struct bus_node_event *event)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonNode *root, *data;
    JsonObject *object;
    const char *name;

    if (!json_parser_load_from_data(parser, (const char *)event->json.data, event->json.len,
                                    NULL)) {
        return;
    }
    root = json_parser_get_root(parser);
    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        return;
    }
    object = json_node_get_object(root);
    name = json_object_get_string_member_with_default(object, "event", NULL);
    if (!name) {
        return;
    }
    data = json_object_has_member(object, "data")
               ? json_node_copy(json_object_get_member(object, "data"))
               : NULL;
    if (!data || !JSON_NODE_HOLDS_OBJECT(data)) {
        g_clear_pointer(&data, json_node_unref);
        data = json_node_new(JSON_NODE_OBJECT);
        json_node_take_object(data, json_object_new());
    }
    json_object_set_string_member(json_node_get_object(data), "node", node->file->name);
    server_event(node->labd->server, name, data);
    if (node->state == NODE_BOOTING) {
        fw_timer_arm(node->poll, 0);
    }
}

static void on_message(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                       int *fds, unsigned n_fds, void *data)
{
    if (header->type == BUS_NODE_RETURN) {
        on_return(data, msg);
    } else if (header->type == BUS_NODE_EVENT) {
        on_event(data, msg);
    }
}

/* hwd closed its socket: it is ending; the wait status will tell. */
static void on_closed(struct bus_conn *conn, void *data)
{
    struct labd_node *node = data;

    if (node->bus == conn) {
        node_disconnect(node, "its hwd is ending");
    }
}

static const struct bus_handler handler = {on_message, on_closed};

/* ---- start and stop ---- */

static int log_open(struct labd_node *node, GError **error)
{
    g_autofree char *directory = g_build_filename(node->disk, "var", "log", NULL);
    g_autofree char *path = g_build_filename(directory, "messages", NULL);
    int fd;

    if (g_mkdir_with_parents(directory, 0700) != 0) {
        fw_fail_errno(error, "node %s: its disk %s cannot be made; set VCHASSIS_STATE_DIR to a "
                             "directory you may write to", node->file->name, directory);
        return -1;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0) {
        fw_fail_errno(error, "node %s: its log %s cannot be written", node->file->name, path);
    }
    return fd;
}

static bool hwd_spawn(struct labd_node *node, int log, int socket, GError **error)
{
    g_autofree char *program = g_build_filename(node->labd->bin, "vc-hwd", NULL);
    const char *argv[] = {program, "--lab", node->labd->file->path, "--node", node->file->name,
                          "--run", node->run, "--disk", node->disk, NULL};
    struct child_spec spec = {.argv = argv, .directory = "/", .netns = node->netns, .n_fds = 4,
                              .fds = {-1, log, log, socket}};

    node->pid = child_start(&spec, on_end, node, error);
    if (node->pid < 0) {
        node->pid = 0;
        return false;
    }
    return true;
}

bool labd_node_start(struct labd_node *node, GError **error)
{
    int pair[2], log;
    bool ok;

    if (node->pid) {
        return fw_fail(error, FW_ERROR_INVALID, "node %s is running", node->file->name);
    }
    if (mkdir(node->run, 0700) != 0 && errno != EEXIST) {
        return fw_fail_errno(error, "node %s: cannot make %s", node->file->name, node->run);
    }
    log = log_open(node, error);
    if (log < 0) {
        return false;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        close(log);
        return fw_fail_errno(error, "node %s: no socket pair", node->file->name);
    }
    ok = hwd_spawn(node, log, pair[1], error);
    close(log);
    close(pair[1]);
    if (!ok) {
        close(pair[0]);
        return false;
    }
    node->calls = g_hash_table_new(NULL, NULL);
    node->poll = fw_timer_new(on_poll, node);
    node->bus = bus_conn_new(pair[0], LABD_BUS_ADDRESS, &handler, node);
    for (unsigned n = 0; n < node->labd->n_links; n++) {
        struct labd_link *link = &node->labd->links[n];

        for (unsigned e = 0; e < 2; e++) {
            struct bus_node_port port = {.kind = (uint8_t)link->kind};

            if (link->file->ends[e].node == node->file && link->fds[e] >= 0) {
                g_strlcpy(port.name, link->file->ends[e].port, sizeof(port.name));
                bus_send_fds(node->bus, BUS_HWD, BUS_NODE_PORT, &port, &link->fds[e], 1);
            }
        }
    }
    bus_send(node->bus, BUS_HWD, BUS_NODE_GO, &(struct bus_node_go){0});
    g_clear_pointer(&node->reason, g_free);
    node_set_state(node, NODE_BOOTING);
    labd_links_refresh(node->labd);
    fw_timer_arm(node->poll, 0);
    return true;
}

void labd_node_stop(struct labd_node *node)
{
    if (node->pid) {
        node_disconnect(node, "the lab is ending");
        kill(node->pid, SIGTERM);
    }
}

void labd_node_link(struct labd_node *node, const char *port, bool up)
{
    struct bus_node_link link = {.up = up};

    if (node->bus) {
        g_strlcpy(link.name, port, sizeof(link.name));
        bus_send(node->bus, BUS_HWD, BUS_NODE_LINK, &link);
    }
}
