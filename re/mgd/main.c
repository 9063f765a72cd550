/*
 * mgd - the management daemon of the Routing Engine.
 *
 * Owner of the configuration (schema, active, candidates, commit), of the RPC
 * executor and of all rendering; the command line's server. It runs in the
 * shell of the daemons like the others; the configuration and RPC messages of
 * the other daemons come in as calls. Main loop only.
 *
 * Environment: shell.h, and VCHASSIS_CONFIG, the configuration file of the lab
 * that is loaded when the disk has none.
 */
#include "firmware/core/error.h"
#include "re/mgd/mgd.h"
#include "re/shell/shell.h"

static struct mgd mgd;

static bool start(struct bus_conn *bus, void *data, GError **error)
{
    const char *disk = g_getenv("VCHASSIS_DISK"), *run = g_getenv("VCHASSIS_RUN");
    struct mgd *self = data;

    if (!disk || !run) {
        return fw_fail(error, FW_ERROR_INVALID, "VCHASSIS_DISK and VCHASSIS_RUN are not set");
    }
    self->schema = schema_new(error);
    if (!self->schema) {
        return false;
    }
    self->bus = bus;
    self->directory = g_build_filename(disk, "config", NULL);
    self->commands = commands_new();
    self->commit = commit_new(self->schema, bus, self->directory);
    self->rpc = rpc_new(bus);
    self->flow = flow_new(bus, self->rpc);
    own_rpcs_add(self);
    commit_boot(self->commit, g_getenv("VCHASSIS_CONFIG"));
    return session_listen(self, run, error);
}

static void message(struct bus_conn *bus, const struct bus_header *header, const void *msg,
                    void *data)
{
    struct mgd *self = data;

    switch (header->type) {
    case BUS_CONFIG_REGISTER:
        bus_reply_ok(bus, header);
        commit_register(self->commit, header->source, msg);
        break;
    case BUS_RPC_REGISTER:
        bus_reply_ok(bus, header);
        rpc_register(self->rpc, header->source, msg);
        break;
    case BUS_ROLE_STATE:
        commit_role(self->commit, msg);
        break;
    case BUS_FPC_STATE:
    case BUS_IFL_STATE:
        flow_message(self->flow, header, msg);
        break;
    default:
        if (header->kind == BUS_CALL) {
            bus_reply_error(bus, header, 4, "mgd does not answer this call");
        }
        break;
    }
}

static void stop(void *data)
{
    struct mgd *self = data;

    session_close_all(self);
    commit_free(self->commit);
    flow_free(self->flow);
    rpc_free(self->rpc);
    commands_free(self->commands);
    schema_free(self->schema);
    g_free(self->directory);
}

int main(int argc, char **argv)
{
    static const uint16_t subscriptions[] = {BUS_FPC_STATE, BUS_IFL_STATE, 0};
    static const struct re_role role = {.name = "mgd",
                                        .role = BUS_ROLE_MGD,
                                        .subscriptions = subscriptions,
                                        .start = start,
                                        .message = message,
                                        .stop = stop,
                                        .data = &mgd};

    return re_shell_run(&role, argc, argv);
}
