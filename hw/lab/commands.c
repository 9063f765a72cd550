/*
 * commands - what labd answers on its socket.
 *
 * One row a command; the table is also the answer of query-commands. Fields
 * stand in firmware/bus/messages.schema, section "monitor commands of labd".
 */
#include <string.h>

#include "firmware/core/clock.h"
#include "hw/lab/labd.h"

/* ---- JSON objects ---- */

JsonBuilder *labd_object(void)
{
    return json_builder_begin_object(json_builder_new());
}

void labd_text(JsonBuilder *builder, const char *name, const char *value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_string_value(builder, value ? value : "");
}

void labd_number(JsonBuilder *builder, const char *name, int64_t value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_int_value(builder, value);
}

void labd_flag(JsonBuilder *builder, const char *name, bool value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_boolean_value(builder, value);
}

JsonNode *labd_object_end(JsonBuilder *builder)
{
    JsonNode *node = json_builder_get_root(json_builder_end_object(builder));

    g_object_unref(builder);
    return node;
}

/* ---- queries ---- */

static void write_node(JsonBuilder *b, const struct labd_node *node)
{
    g_autofree char *monitor = g_build_filename(node->run, "monitor.sock", NULL);
    g_autofree char *cli = g_build_filename(node->run, "cli.sock", NULL);

    json_builder_begin_object(b);
    labd_text(b, "name", node->file->name);
    labd_text(b, "chassis", node->file->chassis->name);
    labd_text(b, "state", labd_node_state_name(node));
    labd_text(b, "reason", node->reason);
    labd_number(b, "pid", node->pid);
    labd_number(b, "since-ms", (fw_clock_ns() - node->since_ns) / FW_MS);
    labd_text(b, "monitor", monitor);
    labd_text(b, "cli", cli);
    labd_text(b, "disk", node->disk);
    json_builder_end_object(b);
}

static void write_nodes(JsonBuilder *b, struct labd *labd)
{
    json_builder_begin_array(b);
    for (unsigned n = 0; n < labd->n_nodes; n++) {
        write_node(b, &labd->nodes[n]);
    }
    json_builder_end_array(b);
}

static void write_host(JsonBuilder *b, struct labd *labd, const struct labd_host *host)
{
    GHashTableIter iter;
    gpointer value;

    json_builder_begin_object(b);
    labd_text(b, "name", host->file->name);
    labd_text(b, "type", host->file->type == LAB_HOST ? "host" : "traffic");
    labd_number(b, "pid", host->pid);
    json_builder_set_member_name(b, "addresses");
    json_builder_begin_array(b);
    for (unsigned n = 0; n < host->file->n_addresses; n++) {
        char text[FW_ADDR_TEXT];

        json_builder_add_string_value(b, fw_prefix_text(&host->file->addresses[n], text));
    }
    json_builder_end_array(b);
    json_builder_set_member_name(b, "commands");
    json_builder_begin_array(b);
    g_hash_table_iter_init(&iter, labd->commands);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct labd_command *command = value;

        if (strcmp(command->where, host->file->name) == 0) {
            json_builder_begin_object(b);
            labd_text(b, "name", command->name);
            labd_number(b, "pid", command->pid);
            labd_number(b, "uptime-ms", (fw_clock_ns() - command->since_ns) / FW_MS);
            json_builder_end_object(b);
        }
    }
    json_builder_end_array(b);
    json_builder_end_object(b);
}

static void write_hosts(JsonBuilder *b, struct labd *labd)
{
    json_builder_begin_array(b);
    for (unsigned n = 0; n < labd->n_hosts; n++) {
        write_host(b, labd, &labd->hosts[n]);
    }
    json_builder_end_array(b);
}

static void write_links(JsonBuilder *b, struct labd *labd)
{
    json_builder_begin_array(b);
    for (unsigned n = 0; n < labd->n_links; n++) {
        const struct labd_link *link = &labd->links[n];

        json_builder_begin_object(b);
        labd_text(b, "name", link->file->name);
        labd_flag(b, "up", link->up);
        json_builder_set_member_name(b, "ends");
        json_builder_begin_array(b);
        for (unsigned e = 0; e < 2; e++) {
            const struct lab_end *end = &link->file->ends[e];
            g_autofree char *text = g_strdup_printf(
                "%s:%s", end->node ? end->node->name : end->host->name, end->port);

            json_builder_add_string_value(b, text);
        }
        json_builder_end_array(b);
        json_builder_end_object(b);
    }
    json_builder_end_array(b);
}

static JsonNode *array_end(JsonBuilder *b)
{
    JsonNode *node = json_builder_get_root(b);

    g_object_unref(b);
    return node;
}

static void query_lab(struct labd *labd, struct server_request *request, JsonObject *args)
{
    JsonBuilder *b = labd_object();

    labd_text(b, "name", labd->file->name);
    labd_text(b, "file", labd->file->path);
    labd_text(b, "state", labd_state(labd));
    labd_number(b, "uptime-ms", (fw_clock_ns() - labd->started_ns) / FW_MS);
    json_builder_set_member_name(b, "model-scale");
    json_builder_add_double_value(b, labd->file->options.model_scale / 1000.0);
    labd_number(b, "seed", (int64_t)labd->file->options.seed);
    json_builder_set_member_name(b, "nodes");
    write_nodes(b, labd);
    json_builder_set_member_name(b, "hosts");
    write_hosts(b, labd);
    json_builder_set_member_name(b, "links");
    write_links(b, labd);
    server_return(request, labd_object_end(b));
}

static void query_nodes(struct labd *labd, struct server_request *request, JsonObject *args)
{
    JsonBuilder *b = json_builder_new();

    write_nodes(b, labd);
    server_return(request, array_end(b));
}

static void query_hosts(struct labd *labd, struct server_request *request, JsonObject *args)
{
    JsonBuilder *b = json_builder_new();

    write_hosts(b, labd);
    server_return(request, array_end(b));
}

static void query_links(struct labd *labd, struct server_request *request, JsonObject *args)
{
    JsonBuilder *b = json_builder_new();

    write_links(b, labd);
    server_return(request, array_end(b));
}

/* ---- actions ---- */

static void run_exec(struct labd *labd, struct server_request *request, JsonObject *args)
{
    labd_run_exec(labd, request, args, false);
}

static void run_spawn(struct labd *labd, struct server_request *request, JsonObject *args)
{
    labd_run_exec(labd, request, args, true);
}

static struct labd_node *node_of(struct labd *labd, struct server_request *request,
                                 JsonObject *args)
{
    const char *name = json_object_get_string_member_with_default(args, "node", "");
    struct labd_node *node = labd_node_find(labd, name);

    if (!node) {
        server_error(request, "'%s' is no node of this lab", name);
    }
    return node;
}

static void node_call(struct labd *labd, struct server_request *request, JsonObject *args)
{
    struct labd_node *node = node_of(labd, request, args);
    JsonNode *command = json_object_get_member(args, "command");
    g_autofree char *text = NULL;

    if (!node) {
        return;
    }
    if (!command || !JSON_NODE_HOLDS_OBJECT(command)) {
        server_error(request, "command is missing; give {\"execute\": ..., \"arguments\": ...}");
        return;
    }
    text = json_to_string(command, FALSE);
    labd_node_call(node, request, text);
}

static void node_start(struct labd *labd, struct server_request *request, JsonObject *args)
{
    struct labd_node *node = node_of(labd, request, args);
    g_autoptr(GError) error = NULL;

    if (!node) {
        return;
    }
    if (!labd_node_start(node, &error)) {
        server_error(request, "%s", error->message);
        return;
    }
    server_return(request, NULL);
}

static void link_set(struct labd *labd, struct server_request *request, JsonObject *args)
{
    const char *name = json_object_get_string_member_with_default(args, "link", "");

    if (!json_object_has_member(args, "up")) {
        server_error(request, "up is missing; give true or false");
    } else if (!labd_link_set(labd, name,
                              json_object_get_boolean_member_with_default(args, "up", TRUE))) {
        server_error(request, "'%s' is no link of this lab", name);
    } else {
        server_return(request, NULL);
    }
}

static void subscribe(struct labd *labd, struct server_request *request, JsonObject *args)
{
    struct server_client *client = request->client;

    server_return(request, NULL);
    server_subscribe(client);
}

static void capabilities(struct labd *labd, struct server_request *request, JsonObject *args)
{
    server_return(request, NULL);
}

static void quit(struct labd *labd, struct server_request *request, JsonObject *args)
{
    g_ptr_array_add(labd->quitting, request);
    labd_quit(labd);
}

static void query_commands(struct labd *labd, struct server_request *request, JsonObject *args);

static const struct {
    const char *name;
    void (*run)(struct labd *labd, struct server_request *request, JsonObject *args);
} commands[] = {
    {"query-lab", query_lab},
    {"query-nodes", query_nodes},
    {"query-hosts", query_hosts},
    {"query-links", query_links},
    {"query-commands", query_commands},
    {"qmp_capabilities", capabilities},
    {"subscribe", subscribe},
    {"exec", run_exec},
    {"spawn", run_spawn},
    {"wait", labd_run_wait},
    {"kill", labd_run_kill},
    {"node-call", node_call},
    {"node-start", node_start},
    {"link-set", link_set},
    {"quit", quit},
};

static void query_commands(struct labd *labd, struct server_request *request, JsonObject *args)
{
    JsonBuilder *b = json_builder_begin_array(json_builder_new());

    for (unsigned n = 0; n < G_N_ELEMENTS(commands); n++) {
        json_builder_begin_object(b);
        labd_text(b, "name", commands[n].name);
        json_builder_end_object(b);
    }
    json_builder_end_array(b);
    server_return(request, array_end(b));
}

void labd_command(struct server_request *request, const char *name, JsonObject *args, void *data)
{
    struct labd *labd = data;

    if (g_str_has_prefix(name, "traffic-")) {
        labd_traffic_command(labd, request, name, args);
        return;
    }
    for (unsigned n = 0; n < G_N_ELEMENTS(commands); n++) {
        if (strcmp(commands[n].name, name) == 0) {
            commands[n].run(labd, request, args);
            return;
        }
    }
    server_error(request, "unknown command '%s'; query-commands lists them", name);
}
