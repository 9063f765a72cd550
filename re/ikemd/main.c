/*
 * ikemd - owner of `security ike` and `security ipsec`: checks them, places
 * tunnels on SPUs, and tells iked and the cards.
 *
 * iked is told in full when it says hello and whenever a call to it failed
 * (it was away); between those only what changed. Main-loop thread only.
 */
#include <string.h>
#include <unistd.h>

#include "firmware/bus/bus.h"
#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "firmware/core/rng.h"
#include "firmware/core/timer.h"
#include "re/ikemd/tunnels.h"
#include "re/ikemd/vpn.h"
#include "re/shell/shell.h"

#define RETRY_NS      FW_SEC /* between attempts to reach iked */
#define IN_FLIGHT_MAX 64     /* calls iked has not answered: thousands of tunnels fit no queue */

struct outgoing {
    const struct bus_type *type;
    void *msg; /* wiped when freed */
};

struct ikemd {
    struct bus_conn *bus;
    struct tunnels *tunnels;
    struct fw_timer *retry;
    GQueue *outgoing; /* struct outgoing, behind those in flight */
    unsigned in_flight;
    bool in_step;        /* iked was told everything and answered so far */
    uint32_t generation; /* of the full telling */
};

static struct ikemd ikemd;

static void outgoing_free(gpointer data)
{
    struct outgoing *next = data;

    bus_wipe(next->type->body, next->msg);
    g_free(next->msg);
    g_free(next);
}

static void outgoing_clear(struct ikemd *self)
{
    g_queue_clear_full(self->outgoing, outgoing_free);
    bus_cancel(self->bus, self);
    self->in_flight = 0;
}

static void sync_start(void *data)
{
    struct ikemd *self = data;

    if (tunnels_configured(self->tunnels)) {
        fw_timer_cancel(self->retry);
        outgoing_clear(self);
        self->in_step = true;
        self->generation++;
        tunnels_sync(self->tunnels);
    }
}

static void outgoing_send(struct ikemd *self);

static void iked_answered(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                          const GError *error, void *data)
{
    struct ikemd *self = data;

    (void)conn;
    self->in_flight--;
    if (error && g_error_matches(error, FW_ERROR, FW_ERROR_INVALID)) {
        fw_warning("iked refused: %s", error->message);
    } else if (error) {
        fw_debug("iked did not answer: %s", error->message);
        outgoing_clear(self);
        self->in_step = false;
        fw_timer_arm(self->retry, RETRY_NS);
        return;
    }
    outgoing_send(self);
}

static void outgoing_send(struct ikemd *self)
{
    while (self->in_flight < IN_FLIGHT_MAX && !g_queue_is_empty(self->outgoing)) {
        struct outgoing *next = g_queue_pop_head(self->outgoing);

        self->in_flight++;
        bus_call(self->bus, BUS_RE(BUS_ROLE_IKED), next->type->number, next->msg, 0, iked_answered,
                 self);
        outgoing_free(next);
    }
}

static void iked_call(struct ikemd *self, uint16_t type, const void *msg)
{
    struct outgoing *next;

    if (!self->in_step) {
        return; /* it will be told everything */
    }
    next = g_new0(struct outgoing, 1);
    next->type = bus_type_find(type);
    next->msg = g_memdup2(msg, next->type->body->size);
    g_queue_push_tail(self->outgoing, next);
    outgoing_send(self);
}

static void out_gateway(const struct bus_ike_gateway *gateway, void *data)
{
    iked_call(data, BUS_IKE_GATEWAY, gateway);
}

static void out_tunnel(const struct bus_ike_tunnel *tunnel, void *data)
{
    fw_debug("vpn %s: tunnel %u anchored at fpc %u pic %u thread %u (anchor %u)%s", tunnel->vpn,
             tunnel->tunnel, tunnel->slot, tunnel->spu, tunnel->thread, tunnel->anchor,
             tunnel->gone ? ", removed" : "");
    iked_call(data, BUS_IKE_TUNNEL, tunnel);
}

static void out_sync_done(void *data)
{
    struct ikemd *self = data;
    struct bus_ike_sync_done done = {.generation = self->generation};

    iked_call(self, BUS_IKE_SYNC_DONE, &done);
}

static void out_interface(const struct bus_tunnel_interface_state *state, void *data)
{
    bus_send(((struct ikemd *)data)->bus, BUS_SUBSCRIBERS, BUS_TUNNEL_INTERFACE_STATE, state);
}

static void out_anchor(const struct bus_anchor_state *state, void *data)
{
    bus_send(((struct ikemd *)data)->bus, BUS_SUBSCRIBERS, BUS_ANCHOR_STATE, state);
}

static bool start(struct bus_conn *bus, void *data, GError **error)
{
    struct ikemd *self = data;
    const struct tunnels_out out = {out_gateway,   out_tunnel, out_sync_done,
                                    out_interface, out_anchor, self};

    (void)error;
    self->bus = bus;
    self->tunnels = tunnels_new(&out, fw_rng_model_below);
    self->outgoing = g_queue_new();
    self->retry = fw_timer_new(sync_start, self);
    return true;
}

static bool check(const struct conf_node *root, char **ret_path, GError **error, void *data)
{
    (void)data;
    return vpn_check(root, ret_path, error);
}

static void apply(const struct conf_node *root, void *data)
{
    struct ikemd *self = data;
    bool first = !tunnels_configured(self->tunnels);

    tunnels_configure(self->tunnels, root);
    if (first) {
        sync_start(self);
    } else {
        tunnels_update(self->tunnels);
    }
}

static void message(struct bus_conn *bus, const struct bus_header *header, const void *msg,
                    void *data)
{
    struct ikemd *self = data;
    bool complete = tunnels_complete(self->tunnels);
    bool resync = false;

    (void)bus;
    switch (header->type) {
    case BUS_FPC_STATE:
        tunnels_card(self->tunnels, msg);
        break;
    case BUS_IFL_STATE:
        tunnels_ifl(self->tunnels, msg);
        break;
    case BUS_TUNNEL_STATUS:
        tunnels_status(self->tunnels, msg);
        break;
    case BUS_TUNNEL_INTERFACE_STATE:
        tunnels_restore(self->tunnels, msg);
        return;
    case BUS_ANCHOR_STATE:
        tunnels_restore_anchor(self->tunnels, msg);
        return;
    case BUS_IKE_HELLO:
        resync = true;
        break;
    default:
        if (header->kind == BUS_CALL) {
            bus_reply_error(self->bus, header, 4, "ikemd does not answer this call");
        }
        return;
    }
    tunnels_update(self->tunnels);
    /* The last st0 index came: now iked may forget what it was not told. */
    if (resync || (!complete && tunnels_complete(self->tunnels))) {
        sync_start(self);
    }
}

static void stop(void *data)
{
    struct ikemd *self = data;

    fw_timer_free(self->retry);
    outgoing_clear(self);
    g_queue_free(self->outgoing);
    tunnels_free(self->tunnels);
}

/* ------------------------------------------------------------------ shows */

/* Thread by thread, as `summary` counts. */
static void distribution_summary(struct re_xml *xml, const struct tunnels *tunnels)
{
    const struct bus_ike_tunnel *a, *b;
    g_autoptr(GHashTable) done = g_hash_table_new(g_direct_hash, g_direct_equal);

    for (unsigned i = 0; (a = tunnels_at(tunnels, i)); i++) {
        unsigned n = 0;

        if (a->anchor == 0 || !g_hash_table_add(done, GUINT_TO_POINTER(a->anchor))) {
            continue;
        }
        for (unsigned j = i; (b = tunnels_at(tunnels, j)); j++) {
            n += b->anchor == a->anchor;
        }
        re_xml_open(xml, "ipsec-tunnel-distribution-summary-block");
        re_xml_leaf(xml, "ipsec-thread-number-of-tunnels", "%u", n);
        re_xml_leaf(xml, "ipsec-fpc", "%u", a->slot);
        re_xml_leaf(xml, "ipsec-pic", "%u", a->spu);
        re_xml_leaf(xml, "ipsec-thread-id", "%u", a->thread);
        re_xml_leaf(xml, "sa-tunnel-dist-key", "default-profile");
        re_xml_close(xml);
    }
}

static bool show_distribution(const struct bus_rpc_call *call, struct re_xml *xml, GError **error,
                              void *data, void *token)
{
    struct ikemd *self = data;
    const struct bus_ike_tunnel *tunnel;

    (void)error;
    (void)token;
    re_xml_open(xml, "ipsec-tunnel-distribution-information");
    if (re_rpc_argument(call, "summary")) {
        distribution_summary(xml, self->tunnels);
    } else {
        for (unsigned i = 0; (tunnel = tunnels_at(self->tunnels, i)); i++) {
            if (tunnel->anchor == 0) {
                continue;
            }
            re_xml_open(xml, "ipsec-tunnel-distribution-block");
            re_xml_leaf(xml, "sa-tunnel-id", "%u", tunnel->tunnel);
            re_xml_leaf(xml, "ipsec-fpc", "%u", tunnel->slot);
            re_xml_leaf(xml, "ipsec-pic", "%u", tunnel->spu);
            re_xml_leaf(xml, "ipsec-thread-id", "%u", tunnel->thread);
            re_xml_leaf(xml, "sa-tunnel-dist-key", "default-profile");
            re_xml_close(xml);
        }
    }
    re_xml_close(xml);
    return true;
}

int main(int argc, char **argv)
{
    static const uint16_t subscriptions[] = {BUS_FPC_STATE,     BUS_IFL_STATE,
                                             BUS_TUNNEL_STATUS, BUS_TUNNEL_INTERFACE_STATE,
                                             BUS_ANCHOR_STATE,  0};
    static const char *const paths[] = {"security ike", "security ipsec", "interfaces", NULL};
    static const struct re_rpc rpcs[] = {{"get-ipsec-tunnel-distribution", show_distribution},
                                         {NULL, NULL}};
    static const struct re_role role = {.name = "ikemd",
                                        .role = BUS_ROLE_IKEMD,
                                        .subscriptions = subscriptions,
                                        .config_paths = paths,
                                        .rpcs = rpcs,
                                        .start = start,
                                        .check = check,
                                        .apply = apply,
                                        .message = message,
                                        .stop = stop,
                                        .data = &ikemd};

    return re_shell_run(&role, argc, argv);
}
