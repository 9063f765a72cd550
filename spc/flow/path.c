/*
 * path - a packet at its flow thread: find the session, keep its books, send it on.
 *
 * Standards: RFC 791 and 1812 (TTL), RFC 9293 (when a TCP session is over is
 * read off SYN, FIN and RST only; sequence numbers are not followed).
 */
#include <glib.h>

#include "firmware/core/clock.h"
#include "spc/flow/lane.h"
#include "spc/ipsec/ipsec.h"

#define TIMEOUT_TCP     1800u
#define TIMEOUT_TCP_NEW 20u
#define TIMEOUT_TCP_END 4u
#define TIMEOUT_OTHER   60u

static void session_note_tcp(struct flow_session *s, const struct flow_view *v)
{
    if (v->tcp_flags & (FLOW_TCP_FIN | FLOW_TCP_RST)) {
        s->state = FLOW_STATE_CLOSING;
        s->timeout_s = TIMEOUT_TCP_END;
    } else if (v->tcp_flags & FLOW_TCP_SYN && !(v->tcp_flags & FLOW_TCP_ACK)) {
        s->state = FLOW_STATE_NEW; /* the ports are used again */
        s->timeout_s = TIMEOUT_TCP_NEW;
    } else if (s->state == FLOW_STATE_NEW && s->wings[0].packets && s->wings[1].packets) {
        s->state = FLOW_STATE_ACTIVE;
        s->timeout_s = TIMEOUT_TCP;
    }
}

static void session_note(struct flow_thread *t, struct flow_session *s, struct flow_wing *wing,
                         const struct flow_view *v, uint32_t bytes)
{
    wing->packets++;
    wing->bytes += bytes;
    s->seen_s = t->lane->now_ns / FW_SEC;
    if (v->tuple.protocol == FLOW_PROTO_TCP) {
        session_note_tcp(s, v);
    } else {
        s->timeout_s = TIMEOUT_OTHER;
    }
}

static void pass_tunnel(struct flow_thread *t, struct fabric_packet *p,
                        const struct flow_adjacency *out, bool from_outside)
{
    struct flow_thread *anchor =
        out->slot == t->lane->slot ? flow_lane_thread(t->lane, out->spu, out->thread) : NULL;

    if (!flow_own(t, p, IPSEC_TRAILER_MAX)) {
        return;
    }
    if (from_outside) {
        flow_ttl_decrement(p->room);
    }
    flow_count(t->counters, FLOW_FORWARDED, 1);
    p->cell.type = FABRIC_CELL_ENCRYPT;
    p->cell.tunnel = out->tunnel;
    p->cell.out_ifl = out->ifl;
    p->cell.generation = out->anchor_generation;
    if (anchor) {
        ipsec_encrypt(anchor, p);
        return;
    }
    if (p->cell.gso == FABRIC_GSO_NONE && !(p->cell.flags & FABRIC_FLAG_CSUM)) {
        ipsec_trailer_add(p);
    }
    flow_send_thread(t, p, out->slot, out->spu, out->thread);
}

static void pass(struct flow_thread *t, struct fabric_packet *p, const struct flow_view *v,
                 struct flow_session *s, unsigned w)
{
    struct flow_wing *wing = &s->wings[w];
    bool from_outside = wing->in_ifl != 0;

    session_note(t, s, wing, v, p->cell.length);
    p->cell.session = s->id;
    p->cell.hash = v->hash;
    if (v->ttl <= 1 && from_outside && wing->out.out != FLOW_OUT_HOST) {
        flow_icmp_error(t, p, v, FLOW_TTL, 0);
        return;
    }
    switch ((enum flow_out)wing->out.out) {
    case FLOW_OUT_PORT:
        flow_forward(t, p, v, &wing->out);
        return;
    case FLOW_OUT_TUNNEL:
        pass_tunnel(t, p, &wing->out, from_outside);
        return;
    case FLOW_OUT_HOST:
        flow_to_host(t, p, p->cell.ifl);
        return;
    case FLOW_OUT_NONE:
        break;
    }
    flow_drop(t, p, FLOW_NO_ROUTE);
}

/* The session of a packet, still valid by the tables of now; NULL when there is none. */
static struct flow_session *find(struct flow_thread *t, const struct flow_view *v,
                                 unsigned *ret_wing)
{
    struct flow_session *s = flow_sessions_find(t->sessions, &v->tuple, v->hash, ret_wing);

    if (s && s->generation != t->lane->generation &&
        !flow_session_review(t, s)) {
        flow_count(t->counters, FLOW_SESSION_INVALID, 1);
        flow_session_end(t, s);
        s = NULL;
    }
    return s;
}

void flow_packet(struct flow_thread *t, struct fabric_packet *p)
{
    struct flow_session *s;
    struct flow_view v;
    enum flow_counter why = flow_view_parse(p->data, p->cell.length, &v);
    unsigned w = 0;

    if (why != FLOW_OK) {
        flow_drop(t, p, why);
        return;
    }
    p->cell.length = v.bytes;
    s = find(t, &v, &w);
    if (!s) {
        s = flow_first(t, p, &v);
        w = 0;
    }
    if (s) {
        pass(t, p, &v, s, w);
    }
}

bool flow_inner_prepare(struct flow_thread *t, struct fabric_packet *p, struct flow_view *ret)
{
    enum flow_counter why = flow_view_parse(p->data, p->cell.length, ret);

    if (why != FLOW_OK) {
        flow_drop(t, p, why);
        return false;
    }
    flow_sessions_prefetch(t->sessions, ret->hash);
    return true;
}

void flow_packet_inner(struct flow_thread *t, struct fabric_packet *p, const struct flow_view *view)
{
    struct flow_session *s;
    struct flow_view v;
    unsigned w = 0;
    uint8_t slot;

    if (!view) {
        if (!flow_inner_prepare(t, p, &v)) {
            return;
        }
        view = &v;
    }
    s = find(t, view, &w);
    if (s) {
        pass(t, p, view, s, w);
        return;
    }
    if (!flow_tables_central_point(t->lane->tables, &slot)) {
        flow_drop(t, p, FLOW_NO_CENTRAL_POINT);
        return;
    }
    p->cell.type = FABRIC_CELL_FIRST;
    p->cell.hash = view->hash;
    flow_send_thread(t, p, slot, 0, 0);
}
