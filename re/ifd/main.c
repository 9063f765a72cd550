/*
 * ifd - owner of `interfaces` and `routing-options`: the Routing Engine's
 * devices, addresses and routes, and what the cards know of them.
 *
 * The table (table.c) decides what holds; host.c makes the RE's kernel agree;
 * punt.c moves packets between kernel and fabric on a thread of its own;
 * member.c keeps the fabric membership. This file connects them to the bus.
 * Main-loop thread only.
 */
#include <string.h>

#include "firmware/bus/bus.h"
#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "firmware/core/timer.h"
#include "re/ifd/host.h"
#include "re/ifd/member.h"
#include "re/ifd/show.h"
#include "re/nsd/zone.h"
#include "re/shell/shell.h"

#define FD_FABRIC 4
#define SETTLE_NS (5 * FW_MS) /* events come in bunches: look once */

struct ifd {
    struct bus_conn *bus;
    struct table *table;
    struct netlink *netlink;
    struct host *host;
    struct member *member;
    struct punt *punt;
    struct fw_timer *settle;
    GHashTable *neighbours; /* "ifl address" -> struct bus_neighbour_state, as published */
    GArray *doubtful;       /* struct bus_neighbour_state of an earlier run: to be asked again */
    bool configured;
};

static struct ifd ifd;

static void neighbours_ask(struct ifd *self);

static void update(void *data)
{
    struct ifd *self = data;

    table_update(self->table, fw_clock_ns());
    host_update(self->host);
    neighbours_ask(self);
}

static void update_soon(struct ifd *self)
{
    if (!fw_timer_armed(self->settle)) {
        fw_timer_arm(self->settle, SETTLE_NS);
    }
}

static void out_ifl(const struct bus_ifl_state *state, void *data)
{
    bus_send(((struct ifd *)data)->bus, BUS_SUBSCRIBERS, BUS_IFL_STATE, state);
}

static void out_route(const struct bus_route_state *state, void *data)
{
    bus_send(((struct ifd *)data)->bus, BUS_SUBSCRIBERS, BUS_ROUTE_STATE, state);
}

static void out_leave(struct table_ifl *ifl, void *data)
{
    host_leave(((struct ifd *)data)->host, ifl);
}

/* ------------------------------------------------------------------ neighbours */

static char *neighbour_key(uint16_t ifl, const struct fw_addr *address)
{
    char text[FW_ADDR_TEXT];

    return g_strdup_printf("%u %s", ifl, fw_addr_text(address, text));
}

static void neighbour(int link, const struct fw_addr *address, const uint8_t mac[6], bool gone,
                      void *data)
{
    struct ifd *self = data;
    const struct table_ifl *ifl = table_by_link(self->table, link);
    struct bus_neighbour_state state;
    const struct bus_neighbour_state *known;
    char *key;

    if (!ifl || ifl->unit.kind != BUS_IFL_KIND_ETHER) {
        return;
    }
    memset(&state, 0, sizeof state); /* padding too: compared as bytes */
    state.ifl = ifl->index;
    state.address = *address;
    state.gone = gone;
    if (!gone) {
        memcpy(state.mac, mac, sizeof state.mac);
    }
    key = neighbour_key(ifl->index, address);
    known = g_hash_table_lookup(self->neighbours, key);
    if (known ? memcmp(known, &state, sizeof state) != 0 : !gone) {
        bus_send(self->bus, BUS_SUBSCRIBERS, BUS_NEIGHBOUR_STATE, &state);
    }
    if (gone) {
        g_hash_table_remove(self->neighbours, key);
        g_free(key);
    } else {
        g_hash_table_replace(self->neighbours, key, g_memdup2(&state, sizeof state));
    }
}

static void neighbour_wanted(struct ifd *self, const struct bus_neighbour_request *request)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *key = neighbour_key(request->ifl, &request->address);
    const struct bus_neighbour_state *known = g_hash_table_lookup(self->neighbours, key);
    const struct table_ifl *ifl = table_by_index(self->table, request->ifl);

    if (known) {
        bus_send(self->bus, BUS_SUBSCRIBERS, BUS_NEIGHBOUR_STATE, known);
    }
    if (ifl && ifl->link != 0 && ifl->unit.kind == BUS_IFL_KIND_ETHER &&
        !netlink_neighbour_use(self->netlink, ifl->link, &request->address, &error)) {
        fw_debug("neighbour on %s: %s", ifl->unit.name, error->message);
    }
}

/* What an earlier run published the kernel of today does not know: it shall find out. */
static void neighbour_restore(struct ifd *self, const struct bus_neighbour_state *state)
{
    if (!self->configured && !state->gone) {
        g_hash_table_replace(self->neighbours, neighbour_key(state->ifl, &state->address),
                             g_memdup2(state, sizeof *state));
        g_array_append_vals(self->doubtful, state, 1);
    }
}

static void neighbours_ask(struct ifd *self)
{
    for (unsigned i = self->doubtful->len; i-- > 0;) {
        const struct bus_neighbour_state *state =
            &g_array_index(self->doubtful, struct bus_neighbour_state, i);
        const struct table_ifl *ifl = table_by_index(self->table, state->ifl);

        if (ifl && ifl->link != 0 && self->punt) {
            netlink_neighbour_use(self->netlink, ifl->link, &state->address, NULL);
            g_array_remove_index_fast(self->doubtful, i);
        }
    }
}

/* Neighbours of interfaces that left. */
static void neighbours_drop(struct ifd *self)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, self->neighbours);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct bus_neighbour_state *state = value;

        if (!table_by_index(self->table, state->ifl)) {
            state->gone = true;
            bus_send(self->bus, BUS_SUBSCRIBERS, BUS_NEIGHBOUR_STATE, state);
            g_hash_table_iter_remove(&iter);
        }
    }
}

/* ------------------------------------------------------------------ role */

static void fabric_ready(struct fabric *fabric, void *data)
{
    struct ifd *self = data;
    g_autoptr(GError) error = NULL;

    self->punt = punt_new(fabric, &error);
    if (!self->punt) {
        fw_error("%s", error->message);
        return;
    }
    host_set_punt(self->host, self->punt);
    update_soon(self);
}

static bool start(struct bus_conn *bus, void *data, GError **error)
{
    struct ifd *self = data;
    const struct table_out out = {out_ifl, out_route, out_leave, self};
    const char *node = g_getenv("VCHASSIS_NODE");

    self->bus = bus;
    self->table = table_new(node ? node : "", &out);
    self->netlink = netlink_new(neighbour, self, error);
    if (!self->netlink) {
        return false;
    }
    self->host = host_new(self->netlink, self->table);
    self->settle = fw_timer_new(update, self);
    self->neighbours = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    self->doubtful = g_array_new(FALSE, FALSE, sizeof(struct bus_neighbour_state));
    self->member = member_new(FD_FABRIC, fabric_ready, self);
    return true;
}

static bool check(const struct conf_node *root, char **ret_path, GError **error, void *data)
{
    (void)data;
    return table_check(root, ret_path, error);
}

static void apply(const struct conf_node *root, void *data)
{
    struct ifd *self = data;

    table_configure(self->table, root);
    self->configured = true;
    neighbours_drop(self);
    update(self);
}

static void message(struct bus_conn *bus, const struct bus_header *header, const void *msg,
                    void *data)
{
    struct ifd *self = data;

    switch (header->type) {
    case BUS_FPC_STATE:
        table_card(self->table, msg);
        break;
    case BUS_PORT_STATE:
        table_port(self->table, msg);
        break;
    case BUS_ZONE_STATE:
        table_zone(self->table, msg);
        break;
    case BUS_TUNNEL_INTERFACE_STATE:
        table_tunnel(self->table, msg);
        break;
    case BUS_IFL_STATE:
        table_restore(self->table, msg);
        return;
    case BUS_ROUTE_STATE:
        table_restore_route(self->table, msg);
        return;
    case BUS_NEIGHBOUR_STATE:
        neighbour_restore(self, msg);
        return;
    case BUS_NEIGHBOUR_REQUEST:
        neighbour_wanted(self, msg);
        return;
    default:
        if (header->kind == BUS_CALL) {
            bus_reply_error(bus, header, 4, "ifd does not answer this call");
        }
        return;
    }
    update_soon(self);
}

static void stop(void *data)
{
    struct ifd *self = data;

    punt_free(self->punt);
    member_free(self->member);
    fw_timer_free(self->settle);
    host_free(self->host);
    netlink_free(self->netlink);
    table_free(self->table);
    g_hash_table_unref(self->neighbours);
    g_array_unref(self->doubtful);
}

/* ------------------------------------------------------------------ RPCs */

static bool rpc_interfaces(const struct bus_rpc_call *call, struct re_xml *xml, GError **error,
                           void *data, void *token)
{
    struct ifd *self = data;
    const char *name = re_rpc_argument(call, "interface-name");

    (void)error;
    (void)token;
    show_interfaces(xml, self->table, name && *name ? name : NULL);
    return true;
}

static bool rpc_routes(const struct bus_rpc_call *call, struct re_xml *xml, GError **error,
                       void *data, void *token)
{
    struct ifd *self = data;

    (void)call;
    (void)error;
    (void)token;
    show_routes(xml, self->table, fw_clock_ns());
    return true;
}

int main(int argc, char **argv)
{
    static const uint16_t subscriptions[] = {BUS_IFL_STATE,
                                             BUS_ROUTE_STATE,
                                             BUS_NEIGHBOUR_STATE,
                                             BUS_FPC_STATE,
                                             BUS_PORT_STATE,
                                             BUS_ZONE_STATE,
                                             BUS_TUNNEL_INTERFACE_STATE,
                                             BUS_NEIGHBOUR_REQUEST,
                                             0};
    static const char *const paths[] = {"interfaces", "routing-options", "security zones", NULL};
    static const struct re_rpc rpcs[] = {{"get-interface-information", rpc_interfaces},
                                         {"get-route-information", rpc_routes},
                                         {NULL, NULL}};
    static const struct re_role role = {.name = "ifd",
                                        .role = BUS_ROLE_IFD,
                                        .subscriptions = subscriptions,
                                        .config_paths = paths,
                                        .rpcs = rpcs,
                                        .start = start,
                                        .check = check,
                                        .apply = apply,
                                        .message = message,
                                        .stop = stop,
                                        .data = &ifd};

    return re_shell_run(&role, argc, argv);
}
