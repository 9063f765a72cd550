/*
 * receive - a datagram's way to its exchange: header, SA, window, integrity, legality, state.
 *
 * The order is what keeps unauthenticated bytes from changing anything: before ike_sk_open has
 * said yes, nothing of an SA is written but counters (and an IKE_SA_INIT answer, which nobody can
 * authenticate).
 */
#include "re/ike/internal.h"

#include <string.h>

/* Malformed although authentic: fatal in both peers (RFC 7296 section 2.21.3). */
static enum ike_verdict malformed(struct ike_sa *sa, uint8_t exchange, enum ike_verdict v,
                                  const struct ike_payloads *ps)
{
    if (v == IKE_VERDICT_CRITICAL) { /* the request is refused, the SA lives */
        if (sa->state == IKE_S_HALF_OPEN) {
            sa->state = IKE_S_FAILED;
        }
        ike_answer_notify(sa, exchange, IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD, &ps->unsupported, 1);
        return v;
    }
    if (sa->state == IKE_S_HALF_OPEN) {
        sa->state = IKE_S_FAILED;
        ike_answer_notify(sa, exchange, IKE_N_INVALID_SYNTAX, NULL, 0);
    } else {
        ike_answer_notify(sa, exchange, IKE_N_INVALID_SYNTAX, NULL, 0);
        ike_sa_kill(sa, IKE_REASON_SYNTAX);
    }
    return v;
}

/* Where the peer is now, as its latest authentic request shows (sections 2.11, 2.23). */
static void follow_peer(struct ike_sa *sa, const struct ike_datagram *d)
{
    bool moved = d->remote_port != sa->remote_port || d->local_port != sa->local_port ||
                 !fw_addr_equal(&d->remote, &sa->remote);

    if (moved && (sa->state == IKE_S_HALF_OPEN || sa->nat_remote)) {
        sa->local = d->local;
        sa->local_port = d->local_port;
        sa->remote = d->remote;
        sa->remote_port = d->remote_port;
        sa->natt = d->natt;
    }
}

static enum ike_verdict request(struct ike_sa *sa, uint8_t exchange, const struct ike_payloads *ps)
{
    if (sa->state == IKE_S_HALF_OPEN) {
        return exchange == IKE_AUTH ? ike_auth_request(sa, ps) : IKE_VERDICT_STATE;
    }
    switch (exchange) {
    case IKE_CREATE_CHILD_SA:
        return ike_create_request(sa, ps);
    case IKE_INFORMATIONAL:
        return ike_info_request(sa, ps);
    default:
        return IKE_VERDICT_STATE;
    }
}

static enum ike_verdict open_chain(struct ike_sa *sa, const struct ike_header *h,
                                   const struct ike_datagram *d, uint8_t *plain, size_t *ret_n,
                                   uint8_t *ret_first)
{
    struct fw_cursor c = fw_cursor(d->bytes + IKE_HEADER_BYTES, d->n_bytes - IKE_HEADER_BYTES);
    struct ike_sk_key key = ike_sk_key_of(sa, !sa->initiator);
    struct ike_payloads outer;
    enum ike_verdict v = ike_payloads_parse(&c, h->next, &outer);

    if (v != IKE_VERDICT_OK) {
        return v;
    }
    if (outer.n != 1 || outer.p[0].type != IKE_P_SK) { /* nothing beside SK is authenticated */
        return IKE_VERDICT_SYNTAX;
    }
    *ret_first = outer.inner_first;
    return ike_sk_open(&key, d->bytes, d->n_bytes, &outer.p[0], plain, ret_n);
}

/* The window of one, before any work: is this message id of interest at all? */
static enum ike_verdict window(const struct ike_sa *sa, const struct ike_header *h)
{
    if (h->flags & IKE_FLAG_RESPONSE) {
        return sa->out_sent && h->message_id == sa->out_id ? IKE_VERDICT_OK
                                                           : IKE_VERDICT_MESSAGE_ID;
    }
    if (h->message_id == sa->in_id) {
        return sa->in_busy ? IKE_VERDICT_REPEATED : IKE_VERDICT_OK;
    }
    return h->message_id + 1 == sa->in_id && sa->in_response ? IKE_VERDICT_OK
                                                             : IKE_VERDICT_MESSAGE_ID;
}

static enum ike_verdict sealed(struct ike_sa *sa, const struct ike_header *h,
                               const struct ike_datagram *d)
{
    bool response = h->flags & IKE_FLAG_RESPONSE;
    uint8_t plain[IKE_DATAGRAM_MAX];
    struct ike_payloads ps;
    enum ike_verdict v = window(sa, h);
    struct fw_cursor c;
    uint8_t first;
    size_t n;

    if (!sa->has_keys || sa->state == IKE_S_INIT) {
        return IKE_VERDICT_STATE;
    }
    if (v != IKE_VERDICT_OK || (v = open_chain(sa, h, d, plain, &n, &first)) != IKE_VERDICT_OK) {
        return v;
    }
    /* authentic from here on */
    sa->heard_ns = sa->ike->now_ns;
    sa->in_bytes += d->n_bytes;
    sa->in_packets++;
    if (!response) {
        sa->in_from = d->remote;
        sa->in_from_port = d->remote_port;
        sa->in_to = d->local;
        sa->in_to_port = d->local_port;
        sa->in_natt = d->natt;
        if (h->message_id != sa->in_id) { /* the one before: the answer again */
            struct ike_action *a = ike_action_push(sa->ike, IKE_ACTION_SEND);

            a->sa_index = sa->index;
            a->local = d->local;
            a->local_port = d->local_port;
            a->remote = d->remote;
            a->remote_port = d->remote_port;
            a->natt = d->natt;
            a->bytes = g_memdup2(sa->in_response->data, sa->in_response->len);
            a->n_bytes = sa->in_response->len;
            return IKE_VERDICT_REPEATED;
        }
        if (sa->state == IKE_S_FAILED) {
            return IKE_VERDICT_STATE;
        }
        follow_peer(sa, d);
    }
    c = fw_cursor(plain, n);
    v = ike_payloads_parse(&c, first, &ps);
    if (v == IKE_VERDICT_OK) {
        v = ike_rules_check(h->exchange, response, true, &ps);
    }
    if (response) {
        if (v != IKE_VERDICT_OK) { /* a peer that cannot be understood: no way to go on */
            ike_sa_kill(sa, IKE_REASON_SYNTAX);
        } else {
            v = ike_task_answer(sa, h->exchange, &ps);
        }
    } else if (v != IKE_VERDICT_OK) {
        v = malformed(sa, h->exchange, v, &ps);
    } else {
        v = request(sa, h->exchange, &ps);
        if (v == IKE_VERDICT_SYNTAX && sa->state == IKE_S_UP) {
            v = malformed(sa, h->exchange, v, &ps);
        } else if (v == IKE_VERDICT_STATE && sa->state == IKE_S_UP) {
            ike_answer_notify(sa, h->exchange, IKE_N_INVALID_SYNTAX, NULL, 0);
        }
    }
    fw_wipe(plain, n);
    return v;
}

static enum ike_verdict dispatch(struct ike *ike, const struct ike_datagram *d)
{
    struct fw_cursor c = fw_cursor(d->bytes, d->n_bytes);
    struct ike_header h;
    enum ike_verdict v = ike_header_parse(&c, &h);
    struct ike_sa *sa;
    uint64_t own, peer;

    if (v != IKE_VERDICT_OK) {
        return v;
    }
    if (h.exchange == IKE_SA_INIT && !(h.flags & IKE_FLAG_RESPONSE)) {
        if (!(h.flags & IKE_FLAG_INITIATOR) || h.spi_r != 0 || h.message_id != 0) {
            return IKE_VERDICT_STATE;
        }
        return ike_init_request(ike, &h, d);
    }
    own = h.flags & IKE_FLAG_INITIATOR ? h.spi_r : h.spi_i;
    peer = h.flags & IKE_FLAG_INITIATOR ? h.spi_i : h.spi_r;
    sa = g_hash_table_lookup(ike->by_spi, &own);
    if (!sa || sa->initiator == !!(h.flags & IKE_FLAG_INITIATOR)) {
        return IKE_VERDICT_UNKNOWN_SA;
    }
    if (h.exchange == IKE_SA_INIT) {
        v = ike_init_response(sa, &h, d);
    } else if (peer != (sa->initiator ? sa->spi_r : sa->spi_i)) {
        return IKE_VERDICT_UNKNOWN_SA;
    } else {
        v = sealed(sa, &h, d);
    }
    if (sa->state == IKE_S_UP) {
        ike_task_run(sa);
    }
    ike_sa_schedule(sa);
    return v;
}

enum ike_verdict ike_receive(struct ike *ike, const struct ike_datagram *d, int64_t now_ns)
{
    enum ike_verdict v;

    ike->now_ns = now_ns;
    v = dispatch(ike, d);
    ike->counters[v]++;
    ike_bury(ike);
    return v;
}
