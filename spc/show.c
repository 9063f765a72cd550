/*
 * show - what a services card tells about itself: counters, SAs, sessions.
 *
 * Counters and SAs are read racily by the main thread, their owners write them
 * word by word. Sessions move, so the lanes list them themselves.
 */
#include "firmware/core/clock.h"
#include "spc/cp/cp.h"
#include "spc/spcd.h"

static void add(struct bus_statistics *list, const char *name, uint64_t value)
{
    if (list->n_counters < G_N_ELEMENTS(list->counters)) {
        struct bus_counter *c = &list->counters[list->n_counters++];

        g_strlcpy(c->name, name, sizeof c->name);
        c->value = value;
    }
}

static uint64_t read_word(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* The fabric counts by lane, which serves threads of all SPUs: told for the whole card only. */
static void add_fabric(struct spcd *spcd, struct bus_statistics *list)
{
    struct fabric_counters sum = {0};

    for (unsigned i = 0; i < spcd->n_lanes; i++) {
        struct fabric_counters c;

        fabric_lane_counters(spcd->board->fabric, i, &c);
        for (unsigned w = 0; w < sizeof sum / sizeof(uint64_t); w++) {
            ((uint64_t *)&sum)[w] += ((const uint64_t *)&c)[w];
        }
        if (spcd->lanes[i].cp) {
            add(list, "cp-sessions", cp_count(spcd->lanes[i].cp));
        }
    }
    add(list, "fabric-sent", sum.sent);
    add(list, "fabric-received", sum.received);
    add(list, "fabric-no-buffer", sum.no_buffer);
    add(list, "fabric-ring-full", sum.ring_full);
    add(list, "fabric-detached", sum.detached);
    add(list, "fabric-plane-down", sum.plane_down);
    add(list, "fabric-malformed", sum.malformed);
    add(list, "fabric-policed", sum.policed);
    add(list, "fabric-hop-limit", sum.hop_limit);
    add(list, "fabric-refused", sum.refused);
    add(list, "fabric-wakeups", sum.wakeups);
}

void spc_show_statistics(struct spcd *spcd, const struct bus_header *call, uint8_t spu)
{
    struct bus_statistics *list = g_new0(struct bus_statistics, 1);
    unsigned n = (unsigned)spcd->spus * spcd->threads;
    uint64_t sessions = 0;

    for (unsigned which = FLOW_OK + 1; which < FLOW_COUNTERS_N; which++) {
        uint64_t sum = 0;

        for (unsigned i = 0; i < n; i++) {
            if (spu == 0xff || spcd->all[i].spu == spu) {
                sum += read_word(&spcd->all[i].counters[which]);
            }
        }
        add(list, flow_counter_names[which], sum);
    }
    for (unsigned i = 0; i < n; i++) {
        if (spu == 0xff || spcd->all[i].spu == spu) {
            sessions += flow_sessions_count(spcd->all[i].sessions);
        }
    }
    add(list, "sessions", sessions);
    if (spu == 0xff) {
        add_fabric(spcd, list);
    }
    bus_reply(spcd->board->bus, call, BUS_STATISTICS, list);
    g_free(list);
}

void spc_show_sas(struct spcd *spcd, const struct bus_header *call,
                  const struct bus_sa_query *query)
{
    struct bus_sa_list *list = g_new0(struct bus_sa_list, 1);
    uint32_t seen = 0;

    for (unsigned i = 0; i < spcd->sas->len; i++) {
        const struct ipsec_sa *sa = spcd->sas->pdata[i];
        struct bus_sa_info *info;

        if ((query->tunnel != 0 && query->tunnel != sa->tunnel) || seen++ < query->skip) {
            continue;
        }
        if (list->n_sas == G_N_ELEMENTS(list->sas)) {
            list->more = true;
            break;
        }
        info = &list->sas[list->n_sas++];
        info->tunnel = sa->tunnel;
        info->spi = sa->spi;
        info->direction = sa->direction;
        info->spu = sa->spu;
        info->thread = sa->thread;
        info->larval = sa->larval;
        info->packets = read_word(&sa->packets);
        info->bytes = read_word(&sa->bytes);
        info->sequence = read_word(&sa->sequence);
        info->drops = read_word(&sa->drops);
        info->replay_drops = read_word(&sa->replay_drops);
        info->auth_failures = read_word(&sa->auth_failures);
    }
    bus_reply(spcd->board->bus, call, BUS_SA_LIST, list);
    g_free(list);
}

static void session_describe(const struct flow_thread *t, const struct flow_session *s,
                             struct bus_session_info *ret)
{
    const struct flow_wing *in = &s->wings[0], *out = &s->wings[1];
    int64_t left = s->seen_s + s->timeout_s - t->lane->now_ns / FW_SEC;

    ret->id = s->id;
    ret->spu = t->spu;
    ret->thread = t->thread;
    g_snprintf(ret->policy, sizeof ret->policy, "%.60s/%u", s->policy_name, s->policy);
    ret->protocol = in->tuple.protocol;
    ret->source = flow_tuple_source(&in->tuple);
    ret->destination = flow_tuple_destination(&in->tuple);
    ret->source_port = in->tuple.source_port;
    ret->destination_port = in->tuple.destination_port;
    ret->in_ifl = in->in_ifl;
    ret->out_ifl = in->out.ifl;
    ret->in_packets = in->packets;
    ret->in_bytes = in->bytes;
    ret->out_packets = out->packets;
    ret->out_bytes = out->bytes;
    ret->timeout_s = left > 0 ? (uint32_t)left : 0;
}

bool spc_show_sessions(struct flow_lane *lane, struct spc_order *order)
{
    struct bus_session_list *list = order->sessions;

    for (unsigned i = 0; i < (unsigned)lane->spus * lane->threads; i++) {
        struct flow_thread *t = &lane->thread[i];
        struct flow_session *s;
        uint32_t place = 0;

        if (t->lane != lane) {
            continue;
        }
        while ((s = flow_sessions_next(t->sessions, &place)) != NULL) {
            if (order->skip > 0) {
                order->skip--;
                continue;
            }
            if (list->n_sessions == G_N_ELEMENTS(list->sessions)) {
                return true;
            }
            session_describe(t, s, &list->sessions[list->n_sessions++]);
        }
    }
    return false;
}
