/*
 * ps - what runs: labs, nodes, boards, daemons, hosts and their commands.
 *
 * Everything is asked now: labd for nodes and hosts, each node's hwd for boards
 * and daemons; pids are shown as the host sees them. The JSON form has both
 * pids. A node that does not answer is shown with the reason.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "firmware/core/error.h"
#include "hw/front/front.h"
#include "hw/lab/labfile.h"

static const char usage_text[] =
    "usage: vchassis ps [--lab LAB] [--json]\n"
    "Shows the running labs (or one): nodes, boards, daemons, hosts; pids of the host system,\n"
    "state and uptime.\n"
    "Exit status: 0 shown (also when nothing runs), 1 --lab is not running, 2 usage.\n";

/* Everywhere below `node`: beside a member `pid` goes `host-pid`. */
static void add_host_pids(JsonNode *node, const struct front_pids *pids)
{
    if (JSON_NODE_HOLDS_ARRAY(node)) {
        JsonArray *array = json_node_get_array(node);

        for (guint n = 0; n < json_array_get_length(array); n++) {
            add_host_pids(json_array_get_element(array, n), pids);
        }
    } else if (JSON_NODE_HOLDS_OBJECT(node)) {
        JsonObject *object = json_node_get_object(node);
        g_autoptr(GList) names = json_object_get_members(object);

        for (GList *at = names; at; at = at->next) {
            add_host_pids(json_object_get_member(object, at->data), pids);
        }
        if (json_object_has_member(object, "pid")) {
            json_object_set_int_member(object, "host-pid",
                                       front_pids_host(pids, front_json_number(object, "pid")));
        }
    }
}

/* Answers of the node's monitor become members of the node's object. */
static void add_node_details(struct front_client *client, JsonObject *node)
{
    static const struct {
        const char *command, *member;
    } parts[] = {{"query-slots", "slots"}, {"query-boards", "boards"}};

    if (strcmp(front_json_text(node, "state"), "off") == 0) {
        return;
    }
    for (unsigned n = 0; n < G_N_ELEMENTS(parts); n++) {
        g_autoptr(GError) error = NULL;
        JsonNode *answer = front_node_call(client, front_json_text(node, "name"), parts[n].command,
                                           NULL, NULL, 0, &error);

        if (answer) {
            json_object_set_member(node, parts[n].member, answer);
        } else {
            json_object_set_string_member(node, "problem", error->message);
        }
    }
}

/* query-lab with all details; NULL when the lab does not answer. */
static JsonNode *lab_query(const char *name, GError **error)
{
    g_autofree char *run = lab_run_directory(name);
    struct front_record record = front_record_read(run);
    struct front_client *client = front_client_lab(name, NULL);
    struct front_pids *pids;
    JsonNode *lab;
    JsonArray *nodes;

    if (!client) {
        fw_fail(error, FW_ERROR_NOT_FOUND, "no lab %s is running; vchassis ps lists those that do",
                name);
        return NULL;
    }
    lab = front_client_call(client, "query-lab", NULL, 0, error);
    if (lab) {
        nodes = json_object_get_array_member(json_node_get_object(lab), "nodes");
        for (guint n = 0; n < json_array_get_length(nodes); n++) {
            add_node_details(client, json_array_get_object_element(nodes, n));
        }
        pids = front_pids_new(record.labd);
        add_host_pids(lab, pids);
        front_pids_free(pids);
        json_object_set_int_member(json_node_get_object(lab), "keeper-pid", record.keeper);
        json_object_set_int_member(json_node_get_object(lab), "labd-pid", record.labd);
    }
    front_client_free(client);
    return lab;
}

/* ---- text ---- */

static char *age_text(int64_t ms)
{
    int64_t s = ms / 1000;

    if (s >= 86400) {
        return g_strdup_printf("%dd%02dh", (int)(s / 86400), (int)(s / 3600 % 24));
    }
    if (s >= 3600) {
        return g_strdup_printf("%dh%02dm", (int)(s / 3600), (int)(s / 60 % 60));
    }
    return s >= 60 ? g_strdup_printf("%dm%02ds", (int)(s / 60), (int)(s % 60))
                   : g_strdup_printf("%d.%ds", (int)s, (int)(ms % 1000 / 100));
}

static void print_row(const char *what, const char *name, const char *state, int64_t pid,
                      int64_t age_ms, const char *note)
{
    g_autofree char *age = age_ms >= 0 ? age_text(age_ms) : g_strdup("-");
    g_autofree char *number = pid > 0 ? g_strdup_printf("%d", (int)pid) : g_strdup("-");

    printf("  %-10s %-22s %-16s %8s %8s%s%s\n", what, name, state, number, age, *note ? "  " : "",
           note);
}

/* The array itself, or the array member of that name. */
static JsonArray *rows_of(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    if (node && JSON_NODE_HOLDS_OBJECT(node) &&
        json_object_has_member(json_node_get_object(node), name)) {
        node = json_object_get_member(json_node_get_object(node), name);
    }
    return node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
}

static int64_t age_of(JsonObject *row)
{
    if (json_object_has_member(row, "uptime-ms")) {
        return front_json_number(row, "uptime-ms");
    }
    return -1;
}

static void print_slots(JsonArray *rows)
{
    for (guint n = 0; rows && n < json_array_get_length(rows); n++) {
        JsonObject *row = json_array_get_object_element(rows, n);
        int64_t slot = front_json_number(row, "slot");
        const char *kind = slot >= 0xf0 ? "RE" : slot >= 0xe0 ? "CB" : "FPC";
        g_autofree char *where = g_strdup_printf("%s %d", kind, (int)(slot & 0x0f));

        if (!*front_json_text(row, "card")) {
            continue;
        }
        print_row(where, front_json_text(row, "card"), front_json_text(row, "state"),
                  front_json_number(row, "host-pid"), age_of(row),
                  front_json_text(row, "reason-text"));
    }
}

/* Boards' processes and the daemons on them: rows with a name that is no slot's. */
static void print_daemons(JsonArray *rows)
{
    for (guint n = 0; rows && n < json_array_get_length(rows); n++) {
        JsonObject *row = json_array_get_object_element(rows, n);
        JsonArray *daemons = rows_of(row, "daemons");

        print_daemons(daemons);
        if (json_object_has_member(row, "restarts")) {
            g_autofree char *note = g_strdup_printf("%d restarts",
                                                    (int)front_json_number(row, "restarts"));

            print_row("daemon", front_json_text(row, "name"), front_json_text(row, "state"),
                      front_json_number(row, "host-pid"), age_of(row),
                      front_json_number(row, "restarts") ? note : "");
        }
    }
}

static void print_lab(JsonObject *lab)
{
    JsonArray *nodes = json_object_get_array_member(lab, "nodes");
    JsonArray *hosts = json_object_get_array_member(lab, "hosts");
    g_autofree char *age = age_text(front_json_number(lab, "uptime-ms"));

    printf("lab %s: %s, %s, keeper %d, labd %d\n", front_json_text(lab, "name"),
           front_json_text(lab, "state"), age, (int)front_json_number(lab, "keeper-pid"),
           (int)front_json_number(lab, "labd-pid"));
    printf("  %-10s %-22s %-16s %8s %8s\n", "WHAT", "NAME", "STATE", "PID", "FOR");
    for (guint n = 0; n < json_array_get_length(nodes); n++) {
        JsonObject *node = json_array_get_object_element(nodes, n);
        g_autofree char *name = g_strdup_printf("%s (%s)", front_json_text(node, "name"),
                                                front_json_text(node, "chassis"));

        print_row("node", name, front_json_text(node, "state"),
                  front_json_number(node, "host-pid"), front_json_number(node, "since-ms"),
                  *front_json_text(node, "problem") ? front_json_text(node, "problem")
                                                    : front_json_text(node, "reason"));
        print_slots(rows_of(node, "slots"));
        print_daemons(rows_of(node, "boards"));
    }
    for (guint n = 0; n < json_array_get_length(hosts); n++) {
        JsonObject *host = json_array_get_object_element(hosts, n);
        JsonArray *commands = json_object_get_array_member(host, "commands");
        JsonArray *addresses = json_object_get_array_member(host, "addresses");

        print_row(front_json_text(host, "type"), front_json_text(host, "name"), "up",
                  front_json_number(host, "host-pid"), -1,
                  json_array_get_length(addresses) ? json_array_get_string_element(addresses, 0)
                                                   : "");
        for (guint c = 0; c < json_array_get_length(commands); c++) {
            JsonObject *command = json_array_get_object_element(commands, c);

            print_row("command", front_json_text(command, "name"), "running",
                      front_json_number(command, "host-pid"), age_of(command), "");
        }
    }
}

int front_ps(int argc, char **argv)
{
    static const struct option longs[] = {{"lab", required_argument, NULL, 'l'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    g_autoptr(GError) error = NULL;
    g_auto(GStrv) labs = NULL;
    g_autoptr(JsonNode) all = json_node_new(JSON_NODE_ARRAY);
    JsonArray *array = json_array_new();
    const char *wanted = NULL;
    bool json = false;
    int option;

    json_node_take_array(all, array);
    while ((option = getopt_long(argc, argv, "jh", longs, NULL)) != -1) {
        if (option == 'l') {
            wanted = optarg;
        } else if (option == 'j') {
            json = true;
        } else {
            return front_usage(usage_text, option == 'h');
        }
    }
    if (optind != argc || (wanted && !lab_name_valid(wanted))) {
        return front_usage(usage_text, false);
    }
    labs = wanted ? g_strdupv((char *[]){(char *)wanted, NULL}) : front_running_labs();
    for (unsigned n = 0; labs[n]; n++) {
        JsonNode *lab = lab_query(labs[n], wanted ? &error : NULL);

        if (!lab && wanted) {
            return front_fail("ps", "%s", error->message);
        }
        if (lab) {
            json_array_add_element(array, lab);
        }
    }
    if (json) {
        /* One lab when one was asked for, else the list. */
        front_json_print(wanted ? json_array_get_element(array, 0) : all);
        return FRONT_OK;
    }
    if (json_array_get_length(array) == 0) {
        printf("no lab is running\n");
    }
    for (guint n = 0; n < json_array_get_length(array); n++) {
        print_lab(json_array_get_object_element(array, n));
    }
    return FRONT_OK;
}
