/*
 * nsd - owner of `security zones`, `security policies`, address books and
 * applications: checks and compiles them for the cards. Main-loop thread only.
 */
#include "firmware/bus/bus.h"
#include "re/nsd/security.h"
#include "re/shell/shell.h"

struct nsd {
    struct bus_conn *bus;
    struct security *security;
};

static struct nsd nsd;

static void out_zone(const struct bus_zone_state *state, void *data)
{
    bus_send(((struct nsd *)data)->bus, BUS_SUBSCRIBERS, BUS_ZONE_STATE, state);
}

static void out_policy(const struct bus_policy_state *state, void *data)
{
    bus_send(((struct nsd *)data)->bus, BUS_SUBSCRIBERS, BUS_POLICY_STATE, state);
}

static bool start(struct bus_conn *bus, void *data, GError **error)
{
    struct nsd *self = data;
    const struct security_out out = {out_zone, out_policy, self};

    (void)error;
    self->bus = bus;
    self->security = security_new(&out);
    return true;
}

static bool check(const struct conf_node *root, char **ret_path, GError **error, void *data)
{
    (void)data;
    return security_check(root, ret_path, error);
}

static void apply(const struct conf_node *root, void *data)
{
    security_configure(((struct nsd *)data)->security, root);
}

static void message(struct bus_conn *bus, const struct bus_header *header, const void *msg,
                    void *data)
{
    struct nsd *self = data;

    switch (header->type) {
    case BUS_ZONE_STATE:
        security_restore_zone(self->security, msg);
        break;
    case BUS_POLICY_STATE:
        security_restore_policy(self->security, msg);
        break;
    default:
        if (header->kind == BUS_CALL) {
            bus_reply_error(bus, header, 4, "nsd does not answer this call");
        }
        break;
    }
}

static void stop(void *data)
{
    security_free(((struct nsd *)data)->security);
}

static bool rpc_zones(const struct bus_rpc_call *call, struct re_xml *xml, GError **error,
                      void *data, void *token)
{
    const GPtrArray *zones = security_zones(((struct nsd *)data)->security);

    (void)call;
    (void)error;
    (void)token;
    re_xml_open(xml, "zones-information");
    for (unsigned i = 0; i < zones->len; i++) {
        const struct zone *zone = zones->pdata[i];

        re_xml_open(xml, "zones-security");
        re_xml_leaf(xml, "zones-security-zonename", "%s", zone->name);
        re_xml_leaf(xml, "zones-security-interfaces-bound", "%u", zone->interfaces->len);
        re_xml_open(xml, "zones-security-interfaces");
        for (unsigned j = 0; j < zone->interfaces->len; j++) {
            re_xml_leaf(xml, "zones-security-interface-name", "%s",
                        g_array_index(zone->interfaces, struct zone_interface, j).name);
        }
        re_xml_close(xml);
        re_xml_close(xml);
    }
    re_xml_close(xml);
    return true;
}

int main(int argc, char **argv)
{
    static const uint16_t subscriptions[] = {BUS_ZONE_STATE, BUS_POLICY_STATE, 0};
    static const char *const paths[] = {
        "security zones", "security policies", "security address-book",
        "applications",   "interfaces",        NULL};
    static const struct re_rpc rpcs[] = {{"get-zones-information", rpc_zones}, {NULL, NULL}};
    static const struct re_role role = {.name = "nsd",
                                        .role = BUS_ROLE_NSD,
                                        .subscriptions = subscriptions,
                                        .config_paths = paths,
                                        .rpcs = rpcs,
                                        .start = start,
                                        .check = check,
                                        .apply = apply,
                                        .message = message,
                                        .stop = stop,
                                        .data = &nsd};

    return re_shell_run(&role, argc, argv);
}
