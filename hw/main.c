/*
 * vc-hwd - one chassis: the box, its power, its midplane, its monitor.
 *
 *   vc-hwd --lab FILE --node NAME --run DIR --disk DIR
 *
 * Descriptor 3 is the supervision socket to labd: ports come with their
 * descriptors, then node-go powers the chassis on; monitor commands pass
 * through as node-call. The end of that socket, SIGTERM or the command `quit`
 * powers it off in order. The death of this process is power loss: the boards
 * die with it.
 */
#include <fcntl.h>
#include <getopt.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "firmware/core/rng.h"
#include "hw/host/process_host.h"
#include "hw/monitor/monitor.h"
#include "hw/supervise/node.h"

#define FD_LABD 3

struct hwd {
    const char *lab, *node_name, *run, *disk;
    struct catalog *catalog;
    struct lab_file *file;
    struct hw_node *node;
    struct monitor *monitor;
    struct bus_conn *labd;
    GMainLoop *loop;
};

static void on_ended(void *user)
{
    g_main_loop_quit(((struct hwd *)user)->loop);
}

static void power_off(void *user)
{
    struct hwd *hwd = user;

    hw_node_end(hwd->node, on_ended, hwd);
}

static gboolean on_signal(gpointer user)
{
    power_off(user);
    return G_SOURCE_CONTINUE;
}

/* ---------------------------------------------------------------- events out */

static void on_event(const char *name, JsonObject *data, void *user)
{
    struct hwd *hwd = user;

    if (hwd->monitor) {
        monitor_event(hwd->monitor, name, data);
    }
    if (hwd->labd) {
        g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);
        g_autofree struct bus_node_event *event = g_new0(struct bus_node_event, 1);
        g_autofree char *text = NULL;
        JsonObject *whole = json_object_new();
        size_t len;

        json_object_set_string_member(whole, "event", name);
        json_object_set_object_member(whole, "data", json_object_ref(data));
        json_node_take_object(root, whole);
        text = json_to_string(root, FALSE);
        len = strlen(text);
        if (len <= sizeof event->json.data) {
            event->json.len = (uint16_t)len;
            memcpy(event->json.data, text, len);
            bus_send(hwd->labd, 0, BUS_NODE_EVENT, event);
        }
    }
    json_object_unref(data);
}

/* ---------------------------------------------------------------- labd */

static void on_call(struct hwd *hwd, const struct bus_node_call *call, int *fds, unsigned n_fds)
{
    g_autofree struct bus_node_return *answer = g_new0(struct bus_node_return, 1);
    g_autofree char *text = monitor_execute_line(hwd->monitor, (const char *)call->json.data,
                                                 call->json.len, fds, n_fds);
    const char *line = text;

    if (strlen(line) > sizeof answer->json.data) {
        line = "{\"error\":{\"class\":\"GenericError\",\"desc\":\"the answer is too long; ask "
               "the node's monitor.sock\"}}";
    }
    answer->serial = call->serial;
    answer->json.len = (uint16_t)strlen(line);
    memcpy(answer->json.data, line, answer->json.len);
    bus_send(hwd->labd, 0, BUS_NODE_RETURN, answer);
}

static void on_message(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                       int *fds, unsigned n_fds, void *user)
{
    struct hwd *hwd = user;

    (void)conn;
    switch (header->type) {
    case BUS_NODE_PORT: {
        const struct bus_node_port *port = msg;

        if (n_fds == 1) {
            hw_node_port(hwd->node, port->name, (enum bus_port_kind)port->kind, fds[0]);
            fds[0] = -1;
        }
        break;
    }
    case BUS_NODE_GO:
        hw_node_go(hwd->node);
        break;
    case BUS_NODE_LINK: {
        const struct bus_node_link *link = msg;

        hw_node_link(hwd->node, link->name, link->up);
        break;
    }
    case BUS_NODE_CALL:
        on_call(hwd, msg, fds, n_fds);
        break;
    default:
        fw_warning("message %u from labd is not known", header->type);
        break;
    }
}

static void on_closed(struct bus_conn *conn, void *user)
{
    struct hwd *hwd = user;

    hwd->labd = NULL;
    bus_conn_free(conn);
    power_off(hwd);
}

/* ---------------------------------------------------------------- start */

/* Power-ons of this node since its disk was made; survives restarts. */
static uint32_t epoch_next(const char *disk)
{
    g_autofree char *directory = g_build_filename(disk, "var", NULL);
    g_autofree char *path = g_build_filename(directory, "epoch", NULL);
    g_autofree char *old = NULL;
    g_autofree char *text = NULL;
    g_autoptr(GError) error = NULL;
    uint32_t epoch = 1;

    if (g_file_get_contents(path, &old, NULL, NULL)) {
        epoch = (uint32_t)g_ascii_strtoull(old, NULL, 10) + 1;
    }
    text = g_strdup_printf("%u\n", epoch);
    if (g_mkdir_with_parents(directory, 0700) != 0 ||
        !g_file_set_contents(path, text, -1, &error)) {
        fw_warning("power-on count not kept: %s", error ? error->message : directory);
    }
    return epoch;
}

static bool build(struct hwd *hwd, GError **error)
{
    struct hw_node_config config = {.run = hwd->run, .disk = hwd->disk, .event = on_event,
                                    .user = hwd};
    g_autofree char *socket = g_build_filename(hwd->run, "monitor.sock", NULL);
    HwProcessHost *host;

    hwd->catalog = catalog_load(NULL, error);
    hwd->file = hwd->catalog ? lab_file_load(hwd->lab, hwd->catalog, error) : NULL;
    if (!hwd->file) {
        return false;
    }
    config.file = hwd->file;
    config.lab = lab_file_node(hwd->file, hwd->node_name);
    if (!config.lab) {
        return fw_fail(error, FW_ERROR_NOT_FOUND, "lab %s has no node %s", hwd->lab,
                       hwd->node_name);
    }
    fw_rng_model_seed(hwd->file->options.seed);
    config.epoch = epoch_next(hwd->disk);
    host = hw_process_host_new(NULL);
    config.host = HW_HOST(host);
    hwd->node = hw_node_new(&config);
    g_object_unref(host);
    hwd->monitor = monitor_new(hwd->node, power_off, hwd);
    return monitor_listen(hwd->monitor, socket, error);
}

static bool arguments_read(int argc, char **argv, struct hwd *hwd)
{
    static const struct option longs[] = {{"lab", required_argument, NULL, 'l'},
                                          {"node", required_argument, NULL, 'n'},
                                          {"run", required_argument, NULL, 'r'},
                                          {"disk", required_argument, NULL, 'd'},
                                          {NULL, 0, NULL, 0}};
    int option;

    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        switch (option) {
        case 'l':
            hwd->lab = optarg;
            break;
        case 'n':
            hwd->node_name = optarg;
            break;
        case 'r':
            hwd->run = optarg;
            break;
        case 'd':
            hwd->disk = optarg;
            break;
        default:
            return false;
        }
    }
    return optind == argc && hwd->lab && hwd->node_name && hwd->run && hwd->disk;
}

/* A full chassis holds outboxes and doorbells of 14 boards, and all ports. */
static void descriptors_raise(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < 4096) {
        limit.rlim_cur = MIN(limit.rlim_max, 4096);
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    static const struct bus_handler handler = {on_message, on_closed};
    struct hwd hwd = {0};
    g_autoptr(GError) error = NULL;
    g_autofree char *label = NULL;

    if (!arguments_read(argc, argv, &hwd)) {
        fprintf(stderr, "usage: vc-hwd --lab FILE --node NAME --run DIR --disk DIR\n"
                        "Started by vc-labd; descriptor 3 is its supervision socket.\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGPIPE, SIG_IGN);
    label = g_strdup_printf("%s hwd", hwd.node_name);
    fw_log_init(label);
    descriptors_raise();
    hwd.loop = g_main_loop_new(NULL, FALSE);
    if (!build(&hwd, &error)) {
        fw_error("%s", error->message);
        return 1;
    }
    fcntl(FD_LABD, F_SETFD, FD_CLOEXEC);
    hwd.labd = bus_conn_new(FD_LABD, BUS_HWD, &handler, &hwd);
    bus_conn_set_bound(hwd.labd, 8192);
    g_unix_signal_add(SIGTERM, on_signal, &hwd);
    g_unix_signal_add(SIGINT, on_signal, &hwd);
    fw_info("chassis %s, %s", hwd.node_name,
            hw_chassis_facts(hw_node_chassis(hwd.node))->description);
    g_main_loop_run(hwd.loop);
    monitor_free(hwd.monitor);
    hwd.monitor = NULL;
    hw_node_free(hwd.node);
    bus_conn_free(hwd.labd);
    lab_file_free(hwd.file);
    catalog_free(hwd.catalog);
    g_main_loop_unref(hwd.loop);
    return 0;
}
