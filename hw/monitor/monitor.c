/*
 * monitor - see monitor.h.
 *
 * The table of commands is generated from the schema (bus_commands); this file
 * adds the functions. The transport is hw/lab/server.
 */
#include "hw/monitor/monitor.h"

#include <string.h>
#include <unistd.h>

#include "firmware/core/error.h"
#include "hw/lab/server.h"
#include "hw/monitor/line.h"

struct monitor {
    struct hw_node *node;
    struct server *server;
    void (*quit)(void *user);
    void *user;
};

struct command_call {
    struct monitor *monitor;
    struct hw_node *node;
    const void *in; /* struct of the command's arguments */
    int *fds;
    unsigned n_fds;
};

static JsonNode *object_node(JsonObject *object)
{
    JsonNode *node = json_node_new(JSON_NODE_OBJECT);

    json_node_take_object(node, object);
    return node;
}

static JsonNode *array_node(JsonArray *array)
{
    JsonNode *node = json_node_new(JSON_NODE_ARRAY);

    json_node_take_array(node, array);
    return node;
}

static JsonNode *done(bool ok)
{
    return ok ? object_node(json_object_new()) : NULL;
}

/* ---------------------------------------------------------------- queries */

static JsonNode *query_version(struct command_call *call, GError **error)
{
    JsonObject *o = json_object_new();

    (void)call;
    (void)error;
    json_object_set_string_member(o, "vchassis", VCHASSIS_VERSION);
    return object_node(o);
}

static JsonNode *query_chassis(struct command_call *call, GError **error)
{
    HwChassis *chassis = hw_node_chassis(call->node);
    const struct catalog_chassis *facts = hw_chassis_facts(chassis);
    JsonObject *o = json_object_new();

    (void)error;
    json_object_set_string_member(o, "node", hw_node_config(call->node)->lab->name);
    json_object_set_string_member(o, "model", facts->model);
    json_object_set_string_member(o, "description", facts->description);
    json_object_set_string_member(o, "serial-number", hw_chassis_serial(chassis));
    json_object_set_int_member(o, "slots", facts->slots);
    json_object_set_int_member(o, "planes", hw_chassis_planes_all(chassis));
    json_object_set_int_member(o, "planes-up",
                               __builtin_popcount(hw_chassis_planes(chassis)));
    return object_node(o);
}

static JsonNode *query_slots(struct command_call *call, GError **error)
{
    (void)error;
    return array_node(hw_node_slots(call->node));
}

static JsonNode *query_boards(struct command_call *call, GError **error)
{
    (void)error;
    return array_node(hw_node_boards(call->node));
}

static JsonNode *query_counters(struct command_call *call, GError **error)
{
    (void)error;
    return object_node(hw_node_counters(call->node));
}

static JsonObject *capabilities_of(const struct catalog_card *card)
{
    JsonObject *o = json_object_new();
    JsonArray *pics = json_array_new();

    json_object_set_string_member(o, "card", card->name);
    json_object_set_string_member(o, "kind", catalog_kind_name(card->kind));
    json_object_set_int_member(o, "spus", card->spus);
    json_object_set_int_member(o, "threads", card->threads);
    json_object_set_int_member(o, "planes", card->planes);
    json_object_set_int_member(o, "boot-ms", catalog_card_boot_ms(card));
    json_object_set_boolean_member(o, "restart", card->restart);
    json_object_set_int_member(o, "restart-limit", card->restart_limit);
    for (unsigned n = 0; n < card->n_pics; n++) {
        JsonObject *pic = json_object_new();

        json_object_set_int_member(pic, "pic", card->pics[n].number);
        json_object_set_string_member(pic, "type", card->pics[n].type);
        json_object_set_int_member(pic, "ports", card->pics[n].ports);
        json_array_add_object_element(pics, pic);
    }
    json_object_set_array_member(o, "pics", pics);
    return o;
}

static JsonNode *query_capabilities(struct command_call *call, GError **error)
{
    const struct lab_node *lab = hw_node_config(call->node)->lab;
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);
    JsonArray *all = json_array_new();

    (void)error;
    for (unsigned n = 0; n < lab->n_cards; n++) {
        if (g_hash_table_add(seen, (gpointer)lab->cards[n].card)) {
            json_array_add_object_element(all, capabilities_of(lab->cards[n].card));
        }
    }
    return array_node(all);
}

static JsonNode *query_commands(struct command_call *call, GError **error);

/* ---------------------------------------------------------------- actions */

static JsonNode *board_kill(struct command_call *call, GError **error)
{
    const struct bus_command_board_kill_in *in = call->in;

    return done(hw_node_board_kill(call->node, in->slot, error));
}

static JsonNode *slot_offline(struct command_call *call, GError **error)
{
    const struct bus_command_slot_offline_in *in = call->in;

    return done(hw_node_slot_offline(call->node, in->slot, HW_REASON_CLI, error));
}

static JsonNode *slot_online(struct command_call *call, GError **error)
{
    const struct bus_command_slot_online_in *in = call->in;

    return done(hw_node_slot_online(call->node, in->slot, error));
}

static JsonNode *slot_restart(struct command_call *call, GError **error)
{
    const struct bus_command_slot_restart_in *in = call->in;

    return done(hw_node_slot_restart(call->node, in->slot, HW_REASON_CLI_RESTART, error));
}

static JsonNode *plane_set(struct command_call *call, GError **error)
{
    const struct bus_command_plane_set_in *in = call->in;

    if (!hw_chassis_plane_set(hw_node_chassis(call->node), in->plane, in->up)) {
        fw_fail(error, FW_ERROR_NOT_FOUND, "no control board in service gives plane %u",
                in->plane);
        return NULL;
    }
    return done(true);
}

static JsonNode *capture_start(struct command_call *call, GError **error)
{
    const struct bus_command_capture_start_in *in = call->in;
    JsonObject *o;
    uint32_t id;

    if (call->n_fds != 1) {
        fw_fail(error, FW_ERROR_INVALID,
                "capture-start needs one descriptor, the pipe to write to; %u came", call->n_fds);
        return NULL;
    }
    if (!hw_node_capture_start(call->node, in->port, call->fds[0], &id, error)) {
        return NULL;
    }
    o = json_object_new();
    json_object_set_int_member(o, "id", id);
    return object_node(o);
}

static JsonNode *capture_stop(struct command_call *call, GError **error)
{
    const struct bus_command_capture_stop_in *in = call->in;

    return done(hw_node_capture_stop(call->node, in->id, error));
}

static JsonNode *fabric_impair(struct command_call *call, GError **error)
{
    const struct bus_command_fabric_impair_in *in = call->in;

    if (in->drop_permille > 1000) {
        fw_fail(error, FW_ERROR_INVALID, "drop-permille is at most 1000");
        return NULL;
    }
    return done(hw_node_fabric_impair(call->node, in->source, in->destination, in->drop_permille,
                                      in->delay_us, error));
}

static JsonNode *fabric_corrupt_board(struct command_call *call, GError **error)
{
    const struct bus_command_fabric_corrupt_in *in = call->in;

    return done(hw_node_board_misbehave(call->node, in->slot, error));
}

static JsonNode *quit(struct command_call *call, GError **error)
{
    (void)error;
    call->monitor->quit(call->monitor->user);
    return done(true);
}

static JsonNode *nothing(struct command_call *call, GError **error)
{
    (void)call;
    (void)error;
    return done(true);
}

static const struct {
    const char *name; /* as in the schema */
    JsonNode *(*run)(struct command_call *call, GError **error);
} functions[] = {
    {"query-version", query_version},
    {"query-commands", query_commands},
    {"query-chassis", query_chassis},
    {"query-slots", query_slots},
    {"query-boards", query_boards},
    {"query-capabilities", query_capabilities},
    {"query-counters", query_counters},
    {"subscribe", nothing},
    {"board-kill", board_kill},
    {"slot-offline", slot_offline},
    {"slot-online", slot_online},
    {"slot-restart", slot_restart},
    {"plane-set", plane_set},
    {"capture-start", capture_start},
    {"capture-stop", capture_stop},
    {"fabric-impair", fabric_impair},
    {"fabric-corrupt", fabric_corrupt_board},
    {"quit", quit},
};

static JsonNode *query_commands(struct command_call *call, GError **error)
{
    JsonArray *all = json_array_new();

    (void)call;
    (void)error;
    for (size_t n = 0; n < G_N_ELEMENTS(functions); n++) {
        JsonObject *o = json_object_new();

        json_object_set_string_member(o, "name", functions[n].name);
        json_array_add_object_element(all, o);
    }
    return array_node(all);
}

static const struct bus_command *command_find(const char *name)
{
    for (const struct bus_command *c = bus_commands; c->name; c++) {
        if (strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

JsonNode *monitor_execute(struct monitor *monitor, const char *name, JsonObject *arguments,
                          int *fds, unsigned n_fds, GError **error)
{
    const struct bus_command *command = command_find(name);
    struct command_call call = {.monitor = monitor, .node = monitor->node, .fds = fds,
                                .n_fds = n_fds};
    g_autofree void *in = NULL;

    if (strcmp(name, "qmp_capabilities") == 0) {
        return done(true);
    }
    for (size_t n = 0; command && n < G_N_ELEMENTS(functions); n++) {
        if (strcmp(functions[n].name, name) != 0) {
            continue;
        }
        in = g_malloc0(command->in->size);
        if (!monitor_arguments_read(command->in, arguments, in, error)) {
            g_prefix_error(error, "%s: ", name);
            return NULL;
        }
        call.in = in;
        return functions[n].run(&call, error);
    }
    fw_fail(error, FW_ERROR_NOT_FOUND, "unknown command '%.64s'; query-commands lists them", name);
    return NULL;
}

/* ---------------------------------------------------------------- by labd */

char *monitor_execute_line(struct monitor *monitor, const char *line, size_t len, int *fds,
                           unsigned n_fds)
{
    struct monitor_request request = {0};
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) root = NULL;
    JsonObject *answer = json_object_new();
    JsonNode *value = NULL;

    if (monitor_line_parse(line, len, &request, &error)) {
        value = monitor_execute(monitor, request.name, request.arguments, fds, n_fds, &error);
    }
    if (value) {
        json_object_set_member(answer, "return", value);
    } else {
        JsonObject *why = json_object_new();

        json_object_set_string_member(why, "class", "GenericError");
        json_object_set_string_member(why, "desc", error ? error->message : "refused");
        json_object_set_object_member(answer, "error", why);
    }
    if (request.id) {
        json_object_set_member(answer, "id", json_node_copy(request.id));
    }
    monitor_request_clear(&request);
    root = object_node(answer);
    return json_to_string(root, FALSE);
}

/* ---------------------------------------------------------------- by its socket */

static void on_command(struct server_request *request, const char *name, JsonObject *args,
                       void *data)
{
    struct monitor *monitor = data;
    g_autoptr(GError) error = NULL;
    JsonNode *value;

    if (strcmp(name, "subscribe") == 0 || strcmp(name, "qmp_capabilities") == 0) {
        server_subscribe(request->client);
    }
    value = monitor_execute(monitor, name, args, request->fds, request->n_fds, &error);
    if (value) {
        server_return(request, value);
    } else {
        server_error(request, "%s", error->message);
    }
}

struct monitor *monitor_new(struct hw_node *node, void (*quit_asked)(void *user), void *user)
{
    static const char greeting[] =
        "{\"QMP\":{\"version\":{\"vchassis\":\"" VCHASSIS_VERSION "\"},\"capabilities\":[]}}";
    struct monitor *monitor = g_new0(struct monitor, 1);

    monitor->node = node;
    monitor->quit = quit_asked;
    monitor->user = user;
    monitor->server = server_new(greeting, on_command, NULL, monitor);
    return monitor;
}

bool monitor_listen(struct monitor *monitor, const char *path, GError **error)
{
    unlink(path); /* of an hwd of this node that was killed */
    return server_listen(monitor->server, path, error);
}

void monitor_free(struct monitor *monitor)
{
    if (monitor) {
        server_free(monitor->server);
        g_free(monitor);
    }
}

void monitor_event(struct monitor *monitor, const char *name, JsonObject *data)
{
    server_event(monitor->server, name, object_node(json_object_ref(data)));
}
