/*
 * chassisd - the Routing Engine's view of the chassis.
 *
 * Hears of the cards from hwd, tells the other daemons and the cards
 * (fpc-state), answers shows, and passes requests for cards on to hwd.
 * Main-loop thread only.
 */
#include <stdlib.h>
#include <string.h>

#include "firmware/bus/bus.h"
#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "firmware/core/timer.h"
#include "re/chassisd/chassis.h"
#include "re/chassisd/show.h"
#include "re/shell/shell.h"

#define SETTLE_NS (10 * FW_MS) /* replayed events come in any order: look when they have come */

/* MIB offline reasons. */
#define REASON_CLI_COMMAND 7
#define REASON_CLI_RESTART 9

struct chassisd {
    struct bus_conn *bus;
    struct chassis chassis;
    struct fw_timer *settle;
    bool settled;
    char *host_name;
    const char *model;
};

static struct chassisd chassisd;

static void publish(const struct bus_fpc_state *state, void *data)
{
    bus_send(((struct chassisd *)data)->bus, BUS_SUBSCRIBERS, BUS_FPC_STATE, state);
}

static void settle(void *data)
{
    struct chassisd *self = data;

    self->settled = true;
    chassis_update(&self->chassis);
}

static bool start(struct bus_conn *bus, void *data, GError **error)
{
    struct chassisd *self = data;
    const char *model = g_getenv("VCHASSIS_MODEL");
    const char *node = g_getenv("VCHASSIS_NODE");

    (void)error;
    self->bus = bus;
    self->model = model ? model : "srx5800";
    self->host_name = g_strdup(node ? node : "");
    chassis_init(&self->chassis, publish, self);
    self->settle = fw_timer_new(settle, self);
    return true;
}

static void apply(const struct conf_node *root, void *data)
{
    struct chassisd *self = data;
    const char *name = conf_leaf(conf_child(root, "system"), "host-name");
    const char *node = g_getenv("VCHASSIS_NODE");

    g_free(self->host_name);
    self->host_name = g_strdup(name ? name : node ? node : "");
}

static void message(struct bus_conn *bus, const struct bus_header *header, const void *msg,
                    void *data)
{
    struct chassisd *self = data;

    switch (header->type) {
    case BUS_HW_SLOT_STATE:
        if (chassis_slot(&self->chassis, msg, fw_clock_ns()) && !fw_timer_armed(self->settle)) {
            fw_timer_arm(self->settle, SETTLE_NS);
        }
        break;
    case BUS_FPC_STATE:
        if (!self->settled) {
            chassis_restore(&self->chassis, msg);
        }
        break;
    default:
        if (header->kind == BUS_CALL) {
            bus_reply_error(bus, header, 4, "chassisd does not answer this call");
        }
        break;
    }
}

static void stop(void *data)
{
    struct chassisd *self = data;

    fw_timer_free(self->settle);
    chassis_clear(&self->chassis);
    g_free(self->host_name);
}

/* ------------------------------------------------------------------ RPCs */

/* -1: none given; false: no slot number. */
static bool slot_argument(const struct bus_rpc_call *call, const char *name, int *ret,
                          GError **error)
{
    const char *text = re_rpc_argument(call, name);
    guint64 slot;

    *ret = -1;
    if (!text) {
        return true;
    }
    if (!g_ascii_string_to_unsigned(text, 10, 0, CHASSIS_FPCS - 1, &slot, NULL)) {
        return fw_fail(error, FW_ERROR_INVALID, "%s: no FPC slot number", text);
    }
    *ret = (int)slot;
    return true;
}

static bool rpc_version(const struct bus_rpc_call *call, struct re_xml *xml, GError **error,
                        void *data, void *token)
{
    struct chassisd *self = data;

    (void)call;
    (void)error;
    (void)token;
    show_version(xml, self->host_name, self->model);
    return true;
}

static bool rpc_fpc(const struct bus_rpc_call *call, struct re_xml *xml, GError **error, void *data,
                    void *token)
{
    struct chassisd *self = data;
    int slot;

    (void)token;
    if (!slot_argument(call, "fpc-slot", &slot, error)) {
        return false;
    }
    show_fpc(xml, &self->chassis, slot);
    return true;
}

static bool rpc_pic(const struct bus_rpc_call *call, struct re_xml *xml, GError **error, void *data,
                    void *token)
{
    struct chassisd *self = data;
    int slot;

    (void)token;
    if (!slot_argument(call, "fpc-slot", &slot, error)) {
        return false;
    }
    show_pic_status(xml, &self->chassis, slot);
    return true;
}

static bool rpc_inventory(const struct bus_rpc_call *call, struct re_xml *xml, GError **error,
                          void *data, void *token)
{
    struct chassisd *self = data;

    (void)call;
    (void)error;
    (void)token;
    show_inventory(xml, &self->chassis, self->model);
    return true;
}

struct request {
    void *token;
    const char *done; /* what is reported */
};

static void request_answered(struct bus_conn *conn, const struct bus_header *header,
                             const void *msg, const GError *error, void *data)
{
    struct request *request = data;
    struct re_xml *xml;

    (void)conn;
    if (error) {
        re_rpc_finish(request->token, NULL, error);
    } else {
        xml = re_xml_new();
        re_xml_open(xml, "chassis-fpc-state");
        re_xml_leaf(xml, "summary", "%s", request->done);
        re_xml_close(xml);
        re_rpc_finish(request->token, xml, NULL);
        re_xml_free(xml);
    }
    g_free(request);
}

static bool rpc_request_fpc(const struct bus_rpc_call *call, struct re_xml *xml, GError **error,
                            void *data, void *token)
{
    static const struct {
        const char *word;
        uint16_t reason;
        const char *done;
    } commands[] = {
        {"offline", REASON_CLI_COMMAND, "Offline initiated, use \"show chassis fpc\" to verify"},
        {"online", REASON_CLI_COMMAND, "Online initiated, use \"show chassis fpc\" to verify"},
        {"restart", REASON_CLI_RESTART, "Restart initiated, use \"show chassis fpc\" to verify"},
    };
    struct chassisd *self = data;
    const char *cmd = re_rpc_argument(call, "cmd");
    const struct bus_hw_slot_state *hw;
    struct bus_hw_slot_request what = {0};
    struct request *request;
    int slot;

    (void)xml;
    if (!slot_argument(call, "slot", &slot, error)) {
        return false;
    }
    if (slot < 0) {
        return fw_fail(error, FW_ERROR_INVALID, "slot is required");
    }
    hw = self->chassis.slots[slot];
    if (!hw || hw->card[0] == 0) {
        return fw_fail(error, FW_ERROR_NOT_FOUND, "FPC slot %d is empty", slot);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (cmd ? strcmp(cmd, commands[i].word) != 0
                : re_rpc_argument(call, commands[i].word) == NULL) {
            continue;
        }
        what.slot = (uint8_t)slot;
        what.what = (uint8_t)i;
        what.reason = commands[i].reason;
        request = g_new0(struct request, 1);
        request->token = token;
        request->done = commands[i].done;
        bus_call(self->bus, BUS_HWD, BUS_HW_SLOT_REQUEST, &what, 0, request_answered, request);
        return false;
    }
    return fw_fail(error, FW_ERROR_INVALID, "cmd: permitted values: offline, online, restart");
}

static void counters_answered(struct bus_conn *conn, const struct bus_header *header,
                              const void *msg, const GError *error, void *data)
{
    const struct bus_statistics *m = msg;
    struct re_xml *xml;

    (void)conn;
    (void)header;
    if (error) {
        re_rpc_finish(data, NULL, error);
        return;
    }
    xml = re_xml_new();
    re_xml_open(xml, "pfe-statistics");
    for (unsigned i = 0; i < m->n_counters; i++) {
        re_xml_open(xml, "pfe-counter");
        re_xml_leaf(xml, "name", "%s", m->counters[i].name);
        re_xml_leaf(xml, "value", "%" G_GUINT64_FORMAT, m->counters[i].value);
        re_xml_close(xml);
    }
    re_xml_close(xml);
    re_rpc_finish(data, xml, NULL);
    re_xml_free(xml);
}

/* Every named counter of one card, from the card itself, now. */
static bool rpc_counters(const struct bus_rpc_call *call, struct re_xml *xml, GError **error,
                         void *data, void *token)
{
    struct chassisd *self = data;
    struct bus_statistics_query query = {.spu = 0xff};
    const struct bus_hw_slot_state *hw;
    int slot;

    (void)xml;
    if (!slot_argument(call, "fpc-slot", &slot, error)) {
        return false;
    }
    hw = slot < 0 ? NULL : self->chassis.slots[slot];
    if (!hw || hw->state != BUS_FRU_STATE_ONLINE) {
        return fw_fail(error, FW_ERROR_NOT_FOUND, "fpc-slot: name a slot whose card is online");
    }
    bus_call(self->bus, BUS_ADDRESS(slot, BUS_ROLE_BOARD), BUS_STATISTICS_QUERY, &query, 0,
             counters_answered, token);
    return false;
}

int main(int argc, char **argv)
{
    static const uint16_t subscriptions[] = {BUS_FPC_STATE, BUS_HW_SLOT_STATE, 0};
    static const char *const paths[] = {"system", NULL};
    static const struct re_rpc rpcs[] = {
        {"get-software-information", rpc_version}, {"get-fpc-information", rpc_fpc},
        {"get-pic-information", rpc_pic},          {"get-chassis-inventory", rpc_inventory},
        {"request-chassis-fpc", rpc_request_fpc},  {"get-pfe-statistics", rpc_counters},
        {NULL, NULL}};
    static const struct re_role role = {.name = "chassisd",
                                        .role = BUS_ROLE_CHASSISD,
                                        .subscriptions = subscriptions,
                                        .config_paths = paths,
                                        .rpcs = rpcs,
                                        .start = start,
                                        .apply = apply,
                                        .message = message,
                                        .stop = stop,
                                        .data = &chassisd};

    return re_shell_run(&role, argc, argv);
}
