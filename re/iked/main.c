/*
 * iked - negotiates IKE and CHILD SAs for the tunnels that ikemd tells of.
 *
 * Start: say hello to ikemd; when everything was told (ike-sync-done), read the records of an
 * earlier life, ask the cards what they hold, and go on with the same SPIs and message ids; only
 * then are the sockets read. Main-loop thread only; DH jobs run on two workers.
 *
 * Descriptors: 3 bus, 4 records memory. Standards: see re/ike/ike.h; RFC 3948 for port 4500.
 */
#include "re/iked/iked.h"

#include <fcntl.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/core/log.h"
#include "firmware/core/rng.h"

#define FD_RECORDS  4
#define DH_WORKERS  2
#define LIVENESS_NS (2 * FW_SEC)

static struct iked iked;

static void secure_random(void *ret, size_t n, void *data)
{
    (void)data;
    fw_rng_secure(ret, n);
}

struct tunnel *iked_tunnel(struct iked *self, uint32_t id)
{
    return g_hash_table_lookup(self->tunnels, GUINT_TO_POINTER(id));
}

/* ---- jobs ---- */

struct job_link {
    struct iked *iked;
    uint64_t id;
};

static void job_done(struct fw_job *job, void *data)
{
    struct job_link *link = data;

    ike_job_done(link->iked->ike, link->id, job, fw_clock_ns());
    iked_pump(link->iked);
    g_free(link);
}

static void job_submit(struct iked *self, struct ike_action *a)
{
    struct job_link *link = g_new0(struct job_link, 1);

    link->iked = self;
    link->id = a->id;
    a->job->done = job_done;
    a->job->data = link;
    fw_crypto_submit(self->crypto, g_steal_pointer(&a->job));
}

/* ---- actions ---- */

static void record(struct iked *self, uint32_t index)
{
    static uint8_t bytes[IKE_RECORD_MAX];
    size_t n;

    if (!self->records) {
        return;
    }
    n = ike_record_write(self->ike, index, bytes, sizeof bytes);
    if (n) {
        records_put(self->records, index, bytes, n);
        fw_wipe(bytes, n);
    }
}

void iked_pump(struct iked *self)
{
    struct ike_action *a;
    int64_t deadline;

    while ((a = ike_action_next(self->ike))) {
        switch (a->kind) {
        case IKE_ACTION_SEND:
            port_send(self->port, a);
            break;
        case IKE_ACTION_JOB:
            job_submit(self, a);
            break;
        case IKE_ACTION_RESERVE:
            cards_reserve(self, a);
            break;
        case IKE_ACTION_RELEASE:
            cards_release(self, a);
            break;
        case IKE_ACTION_INSTALL:
            cards_install(self, a);
            break;
        case IKE_ACTION_DELETE:
            cards_delete(self, a);
            break;
        case IKE_ACTION_RECORD:
            record(self, a->sa_index);
            break;
        case IKE_ACTION_UNRECORD:
            if (self->records) {
                records_drop(self->records, a->sa_index);
            }
            break;
        case IKE_ACTION_KEYS:
            keys_ike(self, a->sa_index);
            break;
        case IKE_ACTION_EVENT:
            tunnel_event(self, a);
            break;
        }
        ike_action_free(a);
    }
    deadline = ike_deadline_ns(self->ike);
    if (deadline == INT64_MAX) {
        fw_timer_cancel(self->deadline);
    } else {
        fw_timer_arm(self->deadline, deadline - fw_clock_ns());
    }
}

static void tick(void *data)
{
    struct iked *self = data;

    ike_tick(self->ike, fw_clock_ns());
    iked_pump(self);
}

/* ---- the role ---- */

static void hello(struct iked *self)
{
    struct bus_ike_hello m = {.pid = (uint32_t)getpid()};

    bus_send(self->bus, BUS_RE(BUS_ROLE_IKEMD), BUS_IKE_HELLO, &m);
}

static bool start(struct bus_conn *bus, void *data, GError **error)
{
    struct iked *self = data;

    self->bus = bus;
    self->tunnels = g_hash_table_new_full(NULL, NULL, NULL, tunnel_free);
    self->gateways = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    self->crypto = fw_crypto_new(DH_WORKERS);
    self->ike = ike_new(secure_random, self);
    ike_set_wall(self->ike, fw_clock_wall_ns() - fw_clock_ns());
    self->deadline = fw_timer_new(tick, self);
    self->liveness = fw_timer_new(cards_liveness, self);
    fw_timer_arm(self->liveness, LIVENESS_NS);
    self->records = fcntl(FD_RECORDS, F_GETFD) >= 0 ? records_open(FD_RECORDS) : NULL;
    if (!self->records) {
        fw_warning("no records memory: a restart of iked loses its IKE SAs");
    }
    self->port = port_open(self, error);
    if (!self->port) {
        return false;
    }
    keys_open(self);
    hello(self);
    return true;
}

static void message(struct bus_conn *bus, const struct bus_header *header, const void *msg,
                    void *data)
{
    struct iked *self = data;

    switch (header->type) {
    case BUS_IKE_GATEWAY:
        config_gateway(self, msg);
        break;
    case BUS_IKE_TUNNEL:
        config_tunnel(self, msg);
        break;
    case BUS_IKE_SYNC_DONE:
        config_sync_done(self);
        break;
    case BUS_SA_EXPIRE: {
        const struct bus_sa_expire *m = msg;

        ike_child_lost(self->ike, m->spi, m->hard, fw_clock_ns());
        break;
    }
    case BUS_TUNNEL_TRIGGER: {
        const struct bus_tunnel_trigger *m = msg;
        struct tunnel *t = iked_tunnel(self, m->tunnel);

        if (t && self->working && t->c.establish == BUS_ESTABLISH_ON_TRAFFIC) {
            ike_tunnel_initiate(self->ike, m->tunnel, fw_clock_ns());
        }
        break;
    }
    case BUS_ROLE_STATE: {
        const struct bus_role_state *m = msg;

        if (m->address == BUS_RE(BUS_ROLE_IKEMD) && m->up) {
            hello(self);
        }
        return;
    }
    default:
        if (header->kind == BUS_CALL) {
            bus_reply_error(bus, header, 4, "iked does not answer this call");
        }
        return;
    }
    if (header->kind == BUS_CALL) {
        bus_reply_ok(bus, header);
    }
    iked_pump(self);
}

/* SAs and records stay: the next life goes on with them. */
static void stop(void *data)
{
    struct iked *self = data;

    self->ending = true;
    cards_stop(self);
    fw_crypto_free(self->crypto);
    port_close(self->port);
    config_free(self);
    ike_free(self->ike);
    fw_timer_free(self->deadline);
    fw_timer_free(self->liveness);
    records_close(self->records);
    g_free(self->key_directory);
}

int main(int argc, char **argv)
{
    static const uint16_t subscriptions[] = {BUS_SA_EXPIRE, BUS_TUNNEL_TRIGGER, 0};
    static const struct re_rpc rpcs[] = {{"get-ike-security-associations-information", show_ike},
                                         {"get-security-associations-information", show_ipsec},
                                         {"get-ipsec-statistics-information", show_statistics},
                                         {"get-ike-message-statistics", show_messages},
                                         {"clear-ike-security-association", clear_ike},
                                         {"clear-ipsec-security-association", clear_ipsec},
                                         {"clear-ipsec-tunnel-event-statistics", clear_events},
                                         {"request-ipsec-rekey", rekey_ipsec},
                                         {NULL, NULL}};
    static const struct re_role role = {.name = "iked",
                                        .role = BUS_ROLE_IKED,
                                        .subscriptions = subscriptions,
                                        .rpcs = rpcs,
                                        .start = start,
                                        .message = message,
                                        .stop = stop,
                                        .data = &iked};

    return re_shell_run(&role, argc, argv);
}
