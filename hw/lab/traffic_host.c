/*
 * traffic_host - labd's side of a vc-traffic: started with its control socket
 * and the datagram link; monitor commands traffic-start, traffic-stop and
 * traffic-query become bus calls. A traffic host that dies is an event.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "hw/lab/child.h"
#include "hw/lab/labd.h"

#define TRAFFIC_BUS_ADDRESS BUS_ADDRESS(0xfc, 0)

static void on_end(pid_t pid, int status, void *data)
{
    struct labd_host *host = data;
    g_autofree char *text = child_status_text(status);
    JsonBuilder *b;

    host->pid = 0;
    bus_conn_free(host->bus);
    host->bus = NULL;
    if (host->labd->ending) {
        return;
    }
    fw_error("traffic host %s ended: %s", host->file->name, text);
    b = labd_object();
    labd_text(b, "host", host->file->name);
    labd_text(b, "reason", text);
    server_event(host->labd->server, "HOST_END", labd_object_end(b));
}

static void on_message(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                       int *fds, unsigned n_fds, void *data)
{
}

static void on_closed(struct bus_conn *conn, void *data)
{
    struct labd_host *host = data;

    host->bus = NULL;
    bus_conn_free(conn);
}

/* The host's end of its link: node ports get fds[their end], it gets the other one. */
static int link_fd(struct labd_host *host)
{
    for (unsigned n = 0; n < host->labd->n_links; n++) {
        for (unsigned e = 0; e < 2; e++) {
            if (host->labd->links[n].file->ends[e].host == host->file) {
                return host->labd->links[n].fds[e];
            }
        }
    }
    return -1;
}

bool labd_traffic_start(struct labd_host *host, GError **error)
{
    static const struct bus_handler handler = {on_message, on_closed};
    g_autofree char *program = g_build_filename(host->labd->bin, "vc-traffic", NULL);
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    struct child_spec spec = {.directory = "/", .netns = -1, .n_fds = 5};
    char text[FW_ADDR_TEXT];
    int pair[2];

    if (link_fd(host) < 0) {
        return fw_fail(error, FW_ERROR_INVALID,
                       "host %s has no link; link it to a port of a node", host->file->name);
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return fw_fail_errno(error, "host %s: no socket pair", host->file->name);
    }
    g_ptr_array_add(argv, g_strdup(program));
    g_ptr_array_add(argv, g_strdup("--name"));
    g_ptr_array_add(argv, g_strdup(host->file->name));
    for (unsigned n = 0; n < host->file->n_addresses; n++) {
        g_ptr_array_add(argv, g_strdup("--address"));
        g_ptr_array_add(argv, g_strdup(fw_prefix_text(&host->file->addresses[n], text)));
    }
    if (host->file->gateway.family != FW_FAMILY_NONE) {
        g_ptr_array_add(argv, g_strdup("--gateway"));
        g_ptr_array_add(argv, g_strdup(fw_addr_text(&host->file->gateway, text)));
    }
    g_ptr_array_add(argv, NULL);
    spec.argv = (const char *const *)argv->pdata;
    spec.fds[0] = -1;
    spec.fds[1] = STDERR_FILENO;
    spec.fds[2] = STDERR_FILENO;
    spec.fds[3] = pair[1];
    spec.fds[4] = link_fd(host);
    host->pid = child_start(&spec, on_end, host, error);
    close(pair[1]);
    if (host->pid < 0) {
        host->pid = 0;
        close(pair[0]);
        return false;
    }
    host->bus = bus_conn_new(pair[0], LABD_BUS_ADDRESS, &handler, host);
    return true;
}

/* ---- monitor commands ---- */

static void on_reply(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                     const GError *error, void *data)
{
    struct server_request *request = data;

    if (!msg) {
        server_error(request, "%s", error->message);
    } else if (header->type == BUS_ERROR) {
        server_error(request, "%s", ((const struct bus_error *)msg)->text);
    } else if (header->type == BUS_TRAFFIC_REPORT) {
        g_autoptr(GString) text = g_string_new(NULL);
        g_autoptr(JsonParser) parser = json_parser_new();

        bus_to_json(bus_type_find(BUS_TRAFFIC_REPORT)->body, msg, text);
        if (json_parser_load_from_data(parser, text->str, (gssize)text->len, NULL)) {
            server_return(request, json_node_copy(json_parser_get_root(parser)));
        } else {
            server_error(request, "the report could not be read");
        }
    } else {
        server_return(request, NULL);
    }
}

static int64_t number_of(JsonObject *args, const char *name, int64_t missing, int64_t max,
                         bool *ret_bad)
{
    int64_t value = json_object_get_int_member_with_default(args, name, missing);

    if (value < 0 || value > max) {
        *ret_bad = true;
    }
    return value;
}

static void start(struct labd_host *host, struct server_request *request, JsonObject *args)
{
    struct bus_traffic_start call = {0};
    const char *source = json_object_get_string_member_with_default(args, "source", NULL);
    const char *destination = json_object_get_string_member_with_default(args, "destination", "");
    bool bad = false;

    g_strlcpy(call.flow, json_object_get_string_member_with_default(args, "flow", "flow"),
              sizeof(call.flow));
    call.source_port = (uint16_t)number_of(args, "source-port", 49152, 65535, &bad);
    call.destination_port = (uint16_t)number_of(args, "destination-port", 5001, 65535, &bad);
    call.rate_pps = (uint32_t)number_of(args, "rate-pps", 1000, 10000000, &bad);
    call.count = (uint32_t)number_of(args, "count", 0, UINT32_MAX, &bad);
    call.size = (uint16_t)number_of(args, "size", 512, 65535, &bad);
    if (bad) {
        server_error(request, "a number of traffic-start is out of range");
    } else if (!fw_addr_parse(destination, &call.destination) ||
               (source && !fw_addr_parse(source, &call.source))) {
        server_error(request, "traffic-start needs destination (and source, when given) as an "
                              "address");
    } else {
        bus_call(host->bus, TRAFFIC_BUS_ADDRESS, BUS_TRAFFIC_START, &call, 0, on_reply, request);
    }
}

static void stop(struct labd_host *host, struct server_request *request, JsonObject *args)
{
    struct bus_traffic_stop call = {0};

    g_strlcpy(call.flow, json_object_get_string_member_with_default(args, "flow", ""),
              sizeof(call.flow));
    bus_call(host->bus, TRAFFIC_BUS_ADDRESS, BUS_TRAFFIC_STOP, &call, 0, on_reply, request);
}

void labd_traffic_command(struct labd *labd, struct server_request *request, const char *name,
                          JsonObject *args)
{
    const char *where = json_object_get_string_member_with_default(args, "host", "");
    struct labd_host *host = NULL;

    for (unsigned n = 0; n < labd->n_hosts; n++) {
        if (strcmp(labd->hosts[n].file->name, where) == 0 &&
            labd->hosts[n].file->type == LAB_TRAFFIC) {
            host = &labd->hosts[n];
        }
    }
    if (!host) {
        server_error(request, "'%s' is no traffic host of this lab", where);
    } else if (!host->bus) {
        server_error(request, "traffic host %s has ended", where);
    } else if (strcmp(name, "traffic-start") == 0) {
        start(host, request, args);
    } else if (strcmp(name, "traffic-stop") == 0) {
        stop(host, request, args);
    } else if (strcmp(name, "traffic-query") == 0) {
        bus_call(host->bus, TRAFFIC_BUS_ADDRESS, BUS_TRAFFIC_QUERY, &(struct bus_traffic_query){0},
                 0, on_reply, request);
    } else {
        server_error(request, "unknown command '%s'; query-commands lists them", name);
    }
}
