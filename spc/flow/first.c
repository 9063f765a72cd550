/*
 * first - the first path: may this packet pass, and how will its session run?
 *
 * In the order of docs/internals/contracts.md, "A packet's walk": own address
 * and host-inbound; else route, zones, policy, session, news to the central
 * point and to the I/O cards. What the Routing Engine sends into a tunnel
 * (cell.ifl 0) needs no policy; its session lets the answers in.
 */
#include <glib.h>
#include <string.h>

#include "firmware/core/clock.h"
#include "firmware/core/cursor.h"
#include "spc/cp/cp.h"
#include "spc/flow/lane.h"

/* A thread's sessions are numbered by SPU as the real box does: SPU * 10,000,000 + serial. */
#define SESSION_IDS_SPU 10000000ull

/* ---- host-inbound ---- */

static const struct {
    uint8_t protocol; /* 0: TCP and UDP */
    uint16_t low, high;
    enum bus_host_service service;
} services[] = {
    {FLOW_PROTO_UDP, 500, 500, BUS_HOST_SERVICE_IKE},
    {FLOW_PROTO_UDP, 4500, 4500, BUS_HOST_SERVICE_IKE},
    {FLOW_PROTO_TCP, 22, 22, BUS_HOST_SERVICE_SSH},
    {FLOW_PROTO_TCP, 830, 830, BUS_HOST_SERVICE_NETCONF},
    {FLOW_PROTO_UDP, 33434, 33534, BUS_HOST_SERVICE_TRACEROUTE},
    {FLOW_PROTO_UDP, 161, 161, BUS_HOST_SERVICE_SNMP},
    {FLOW_PROTO_TCP, 23, 23, BUS_HOST_SERVICE_TELNET},
    {FLOW_PROTO_TCP, 80, 80, BUS_HOST_SERVICE_HTTP},
    {FLOW_PROTO_TCP, 443, 443, BUS_HOST_SERVICE_HTTPS},
    {0, 53, 53, BUS_HOST_SERVICE_DNS},
    {FLOW_PROTO_UDP, 123, 123, BUS_HOST_SERVICE_NTP},
    {FLOW_PROTO_TCP, 4500, 4500, BUS_HOST_SERVICE_TCP_ENCAP},
};

/* The port is read from the packet: the tuple of a first fragment has none. */
static enum bus_host_service service_of(const struct flow_view *v, const uint8_t *packet)
{
    bool ports = v->tuple.protocol == FLOW_PROTO_TCP || v->tuple.protocol == FLOW_PROTO_UDP;
    struct fw_cursor c = fw_cursor(packet + v->header, v->bytes - v->header);
    uint16_t port;

    fw_cursor_u16(&c);
    port = fw_cursor_u16(&c);
    for (unsigned i = 0; ports && !c.failed && i < G_N_ELEMENTS(services); i++) {
        if ((services[i].protocol == 0 || services[i].protocol == v->tuple.protocol) &&
            port >= services[i].low && port <= services[i].high) {
            return services[i].service;
        }
    }
    return BUS_HOST_SERVICE_OTHER;
}

/* ICMP that is no echo request belongs to something the box did itself: the kernel knows. A first
 * fragment is judged by its port; the later ones, of no use without it, pass where any service is
 * let in. */
static enum flow_counter host_inbound(const struct flow_ifl *in, const struct flow_view *v,
                                      const uint8_t *packet)
{
    bool icmp = v->tuple.protocol == FLOW_PROTO_ICMP || v->tuple.protocol == FLOW_PROTO_ICMP6;
    enum bus_host_service service;

    if (icmp) {
        bool echo = v->fragment ||
                    v->icmp_type == (v->tuple.protocol == FLOW_PROTO_ICMP ? 8 : 128);

        if (!echo || in->host_inbound & 1u << BUS_HOST_SERVICE_PING) {
            return FLOW_OK;
        }
        return FLOW_HOST_DENIED;
    }
    if (v->later) {
        return in->host_inbound ? FLOW_OK : FLOW_HOST_DENIED;
    }
    service = service_of(v, packet);
    if (in->host_inbound & 1u << service) {
        return FLOW_OK;
    }
    return service == BUS_HOST_SERVICE_IKE ? FLOW_HOST_DENIED_IKE : FLOW_HOST_DENIED;
}

static void to_own_address(struct flow_thread *t, struct fabric_packet *p,
                           const struct flow_ifl *in, const struct flow_view *v)
{
    enum flow_counter why = host_inbound(in, v, p->data);

    if (why == FLOW_OK) {
        p->cell.hash = v->hash;
        flow_to_host(t, p, in->ifl);
        return;
    }
    if (why == FLOW_HOST_DENIED_IKE) {
        flow_count(t->counters, FLOW_HOST_DENIED, 1);
    }
    flow_drop(t, p, why);
}

/* ---- sessions ---- */

static void np_tell(struct flow_thread *t, const struct flow_session *s, struct flow_wing *wing,
                    enum fabric_cell_type type)
{
    struct np_session np = {.session = s->id,
                            .generation = s->serial,
                            .spu = t->spu,
                            .thread = t->thread,
                            .tuple = wing->tuple};
    struct fabric_packet p;

    np.tuple.ifl = wing->in_ifl;
    if (!fabric_lane_alloc(t->lane->fabric, sizeof np, &p)) {
        return; /* the card will do without: its packets go to the central point */
    }
    memcpy(p.room, &np, sizeof np);
    p.cell.type = type;
    p.cell.length = sizeof np;
    p.cell.destination = wing->np_slot;
    p.cell.ifl = wing->in_ifl;
    p.cell.hash = wing->hash;
    flow_send(t->lane, &p);
}

static void np_install(struct flow_thread *t, const struct flow_session *s,
                       struct flow_wing *wing)
{
    const struct flow_ifl *in = flow_tables_ifl(t->lane->tables, wing->in_ifl);

    if (!in || in->kind != BUS_IFL_KIND_ETHER) {
        return;
    }
    wing->np = true;
    wing->np_slot = in->slot;
    np_tell(t, s, wing, FABRIC_CELL_NP_INSTALL);
}

void flow_session_end(struct flow_thread *t, struct flow_session *s)
{
    for (unsigned w = 0; w < 2; w++) {
        if (s->wings[w].np) {
            np_tell(t, s, &s->wings[w], FABRIC_CELL_NP_REMOVE);
            s->wings[w].np = false;
        }
    }
    cp_tell(t, &s->wings[0].tuple, s->id, CP_NOTE_END);
    flow_count(t->counters, FLOW_SESSION_ENDED, 1);
    flow_sessions_remove(t->sessions, s);
}

/* Where a packet that came in at in_ifl (0: the Routing Engine) leaves. */
static enum flow_counter route(struct flow_thread *t, const struct np_tuple *tuple,
                               uint16_t in_ifl, uint16_t out_ifl, struct flow_adjacency *ret)
{
    struct fw_addr source = flow_tuple_source(tuple);
    struct fw_addr destination = flow_tuple_destination(tuple);

    if (in_ifl == 0) {
        memset(ret, 0, sizeof *ret);
        return flow_tables_tunnel(t->lane->tables, out_ifl, &source, &destination, ret);
    }
    return flow_tables_resolve(t->lane->tables, &source, &destination, ret);
}

/* Answers: back to the Routing Engine, or by the route to the source. */
static enum flow_counter route_back(struct flow_thread *t, const struct np_tuple *tuple,
                                    uint16_t in_ifl, struct flow_adjacency *ret)
{
    struct np_tuple back = flow_tuple_reverse(tuple);

    if (in_ifl == 0) {
        memset(ret, 0, sizeof *ret);
        ret->generation = flow_tables_generation(t->lane->tables);
        ret->out = FLOW_OUT_HOST;
        return FLOW_OK;
    }
    return route(t, &back, in_ifl, 0, ret);
}

static struct flow_verdict judge(struct flow_thread *t, uint16_t in_ifl, uint16_t out_ifl,
                                 const struct flow_view *v)
{
    const struct flow_ifl *in = flow_tables_ifl(t->lane->tables, in_ifl);
    const struct flow_ifl *out = flow_tables_ifl(t->lane->tables, out_ifl);

    if (in_ifl == 0) {
        return (struct flow_verdict){FLOW_OK, 0, "self-traffic-policy"};
    }
    if (!in || !out) {
        return (struct flow_verdict){FLOW_NO_INTERFACE, 0, ""};
    }
    if (in->zone == 0 || out->zone == 0) {
        return (struct flow_verdict){FLOW_NO_ZONE, 0, ""};
    }
    return flow_tables_policy(t->lane->tables, in->zone, out->zone, v);
}

static struct flow_session *session_make(struct flow_thread *t, const struct fabric_packet *p,
                                         const struct flow_view *v,
                                         const struct flow_adjacency out[2],
                                         const struct flow_verdict *verdict)
{
    struct flow_session *s = flow_sessions_take(t->sessions);
    unsigned spu = (unsigned)t->lane->slot * t->lane->spus + t->spu;

    if (!s) {
        return NULL;
    }
    s->id = spu * SESSION_IDS_SPU + (uint64_t)++t->serial * t->lane->threads + t->thread;
    s->generation = flow_tables_generation(t->lane->tables);
    s->seen_s = t->lane->now_ns / FW_SEC;
    s->timeout_s = 20;
    s->policy = verdict->id;
    g_strlcpy(s->policy_name, verdict->name, sizeof s->policy_name);
    for (unsigned w = 0; w < 2; w++) {
        s->wings[w].tuple = w ? flow_tuple_reverse(&v->tuple) : v->tuple;
        s->wings[w].hash = v->hash;
        s->wings[w].out = out[w];
    }
    s->wings[0].in_ifl = p->cell.ifl;
    s->wings[1].in_ifl = out[0].ifl;
    flow_sessions_insert(t->sessions, s);
    flow_count(t->counters, FLOW_SESSION_CREATED, 1);
    for (unsigned w = 0; w < 2 && !v->fragment; w++) {
        np_install(t, s, &s->wings[w]);
    }
    cp_tell(t, &v->tuple, s->id, CP_NOTE_SESSION);
    return s;
}

struct flow_session *flow_first(struct flow_thread *t, struct fabric_packet *p,
                                const struct flow_view *v)
{
    const struct flow_ifl *in = flow_tables_ifl(t->lane->tables, p->cell.ifl);
    struct fw_addr destination = flow_tuple_destination(&v->tuple);
    struct flow_adjacency out[2];
    struct flow_verdict verdict;
    struct flow_session *s;
    enum flow_counter why;

    if (p->cell.ifl != 0 && !in) {
        flow_drop(t, p, FLOW_NO_INTERFACE);
        return NULL;
    }
    if (in && flow_tables_own(t->lane->tables, &destination)) {
        to_own_address(t, p, in, v);
        return NULL;
    }
    why = route(t, &v->tuple, p->cell.ifl, p->cell.out_ifl, &out[0]);
    if (why != FLOW_OK) {
        if (why == FLOW_NO_ROUTE) {
            flow_icmp_error(t, p, v, why, 0);
        } else {
            flow_drop(t, p, why);
        }
        return NULL;
    }
    verdict = judge(t, p->cell.ifl, out[0].ifl, v);
    if (verdict.why == FLOW_POLICY_REJECT) {
        flow_icmp_error(t, p, v, FLOW_POLICY_REJECT, 0);
        return NULL;
    }
    why = verdict.why;
    if (why == FLOW_OK) {
        why = route_back(t, &v->tuple, p->cell.ifl, &out[1]);
    }
    if (why != FLOW_OK) {
        flow_drop(t, p, why);
        return NULL;
    }
    s = session_make(t, p, v, out, &verdict);
    if (!s) {
        flow_drop(t, p, FLOW_SESSION_FULL);
    }
    return s;
}

bool flow_session_review(struct flow_thread *t, struct flow_session *s)
{
    struct flow_view v = {.tuple = s->wings[0].tuple, .hash = s->wings[0].hash};
    uint16_t in_ifl = s->wings[0].in_ifl;
    struct flow_adjacency out[2];
    struct flow_verdict verdict;

    if (v.tuple.protocol == FLOW_PROTO_ICMP && v.tuple.source_port != 0) {
        v.icmp_type = 8;
    } else if (v.tuple.protocol == FLOW_PROTO_ICMP6 && v.tuple.source_port != 0) {
        v.icmp_type = 128;
    }
    if (route(t, &v.tuple, in_ifl, s->wings[0].out.ifl, &out[0]) != FLOW_OK ||
        route_back(t, &v.tuple, in_ifl, &out[1]) != FLOW_OK) {
        return false;
    }
    verdict = judge(t, in_ifl, out[0].ifl, &v);
    if (verdict.why != FLOW_OK) {
        return false;
    }
    if (out[0].ifl != s->wings[0].out.ifl) {
        return false; /* another egress: another reverse wing, so another session */
    }
    s->generation = flow_tables_generation(t->lane->tables);
    s->policy = verdict.id;
    g_strlcpy(s->policy_name, verdict.name, sizeof s->policy_name);
    s->wings[0].out = out[0];
    s->wings[1].out = out[1];
    return true;
}
