/*
 * exchange-init - IKE_SA_INIT, both roles (RFC 7296 section 1.2, 2.6, 2.7, 2.23).
 *
 * Nothing here is authenticated. An initiator follows a cookie request or another group a few
 * times, keeps a refusal in mind and goes on waiting (section 2.21.1); a responder keeps no state
 * for a request without a cookie once it has too many half-open SAs.
 */
#include "re/ike/internal.h"

#include <string.h>

#define RESTARTS_MAX 4

/* ---- initiator ---- */

void ike_init_begin(struct ike_sa *sa)
{
    struct ike_gateway *g = ike_sa_gateway(sa);

    sa->out.kind = IKE_TASK_INIT;
    sa->out.tunnel = sa->first_tunnel;
    sa->mine.active = true;
    sa->mine.initiator = true;
    sa->mine.group = g->c.suites[0].group;
    ike_nonce_draw(sa->ike, &sa->ni);
    ike_job_push(sa, &sa->mine, FW_JOB_DH_GENERATE);
}

static void send_request(struct ike_sa *sa)
{
    struct ike_gateway *g = ike_sa_gateway(sa);
    uint8_t buffer[IKE_DATAGRAM_MAX];
    struct ike_header h = {
        .spi_i = sa->spi_i, .exchange = IKE_SA_INIT, .flags = IKE_FLAG_INITIATOR};
    struct ike_builder b = ike_clear_begin(buffer, sizeof buffer, &h);
    size_t n;

    if (sa->cookie) {
        ike_notify_emit(&b, IKE_N_COOKIE, g_bytes_get_data(sa->cookie, NULL),
                        g_bytes_get_size(sa->cookie));
    }
    ike_sa_emit(&b, g->c.suites, g->c.n_suites, 1, 0, 0);
    ike_ke_emit(&b, sa->mine.group, sa->mine.public_own, sa->mine.public_own_len);
    ike_payload_begin(&b, IKE_P_NONCE);
    fw_emit_bytes(&b.e, sa->ni.data, sa->ni.len);
    ike_payload_end(&b);
    if (g->c.nat_traversal) {
        ike_nat_emit(sa, &b);
    }
    n = ike_clear_end(&b);
    g_assert(n > 0);
    g_clear_pointer(&sa->init_request, g_byte_array_unref);
    sa->init_request = g_byte_array_append(g_byte_array_new(), buffer, (guint)n);
    g_clear_pointer(&sa->out_bytes, g_byte_array_unref);
    sa->out_bytes = g_byte_array_ref(sa->init_request);
    sa->out_id = 0;
    sa->out_sent = true;
    sa->out_tries = 1;
    sa->out_next_ns = sa->ike->now_ns + IKE_RETRANSMIT_NS;
    ike_send(sa, buffer, n);
}

void ike_init_advance(struct ike_sa *sa)
{
    struct ike_nego *n = &sa->mine;

    if (!ike_sa_gateway(sa)) {
        ike_sa_kill(sa, IKE_REASON_CONFIGURATION);
    } else if (n->public_peer_len == 0) { /* our key pair */
        if (!n->private_value) {
            ike_sa_kill(sa, IKE_REASON_DH);
        } else {
            send_request(sa);
        }
    } else if (!n->shared || !ike_keys_derive(sa, NULL, n->shared)) {
        ike_sa_kill(sa, IKE_REASON_DH);
    } else {
        ike_nego_clear(sa, n);
        sa->out_id = 1;
        ike_auth_begin(sa);
    }
}

/* The peer wants another group: only one that we have offered, and not the same again. */
static enum ike_verdict other_group(struct ike_sa *sa, const struct ike_notification *n)
{
    struct ike_gateway *g = ike_sa_gateway(sa);
    uint16_t group = n->n_data == 2 ? (uint16_t)(n->data[0] << 8 | n->data[1]) : 0;

    if (group == sa->mine.group || ++sa->init_restarts > RESTARTS_MAX) {
        return IKE_VERDICT_REFUSED;
    }
    for (unsigned i = 0; i < g->c.n_suites; i++) {
        if (g->c.suites[i].group == group) {
            ike_nego_clear(sa, &sa->mine);
            sa->mine.active = true;
            sa->mine.initiator = true;
            sa->mine.group = group;
            sa->out_sent = false;
            sa->out_next_ns = INT64_MAX;
            ike_job_push(sa, &sa->mine, FW_JOB_DH_GENERATE);
            return IKE_VERDICT_OK;
        }
    }
    return IKE_VERDICT_REFUSED;
}

enum ike_verdict ike_init_response(struct ike_sa *sa, const struct ike_header *h,
                                   const struct ike_datagram *d)
{
    struct fw_cursor c = fw_cursor(d->bytes + IKE_HEADER_BYTES, d->n_bytes - IKE_HEADER_BYTES);
    struct ike_gateway *g = ike_sa_gateway(sa);
    struct ike_payloads ps;
    struct ike_notification n;
    struct ike_choice choice;
    enum ike_verdict v;

    if (sa->state != IKE_S_INIT || !sa->out_sent || h->message_id != 0 || !g ||
        !fw_addr_equal(&d->remote, &sa->remote)) {
        return IKE_VERDICT_STATE;
    }
    if ((v = ike_payloads_parse(&c, h->next, &ps)) != IKE_VERDICT_OK ||
        (v = ike_rules_check(IKE_SA_INIT, true, false, &ps)) != IKE_VERDICT_OK) {
        return v;
    }
    if (ike_notify_find(&ps, IKE_N_COOKIE, &n)) {
        if (n.n_data == 0 || n.n_data > 64 || ++sa->init_restarts > RESTARTS_MAX) {
            return IKE_VERDICT_REFUSED;
        }
        g_clear_pointer(&sa->cookie, g_bytes_unref);
        sa->cookie = g_bytes_new(n.data, n.n_data);
        send_request(sa);
        return IKE_VERDICT_COOKIE;
    }
    if (ike_notify_find(&ps, IKE_N_INVALID_KE_PAYLOAD, &n)) {
        return other_group(sa, &n);
    }
    if (ike_notify_error(&ps, &n)) {
        /* may be forged: one more transmission, then the reason is believed */
        sa->init_error = ike_reason_of_notify(n.type);
        sa->out_tries = MAX(sa->out_tries, IKE_TRIES_SETUP - 1);
        sa->out_next_ns = MIN(sa->out_next_ns, sa->ike->now_ns + IKE_RETRANSMIT_NS);
        return IKE_VERDICT_REFUSED;
    }
    const struct ike_payload *p = ike_payloads_find(&ps, IKE_P_SA);

    if (h->spi_r == 0 || !ike_sa_is_answer(fw_cursor(p->body, p->len)) ||
        ike_sa_choose(fw_cursor(p->body, p->len), 0, g->c.suites, g->c.n_suites, &choice) !=
            IKE_CHOOSE_OK ||
        choice.ike.group != sa->mine.group ||
        !ike_ke_take(&sa->mine, ike_payloads_find(&ps, IKE_P_KE)) ||
        !ike_nonce_take(&sa->nr, ike_payloads_find(&ps, IKE_P_NONCE))) {
        sa->mine.public_peer_len = 0;
        return IKE_VERDICT_SYNTAX;
    }
    sa->suite = choice.ike;
    sa->spi_r = h->spi_r;
    sa->init_response = g_byte_array_append(g_byte_array_new(), d->bytes, (guint)d->n_bytes);
    if (g->c.nat_traversal) {
        ike_nat_detect(sa, h, &ps, d);
        if (sa->nat_local || sa->nat_remote) {
            sa->natt = true;
            sa->local_port = sa->remote_port = IKE_NATT_PORT;
        }
    }
    sa->out_sent = false;
    sa->out_next_ns = INT64_MAX;
    g_clear_pointer(&sa->out_bytes, g_byte_array_unref);
    ike_job_push(sa, &sa->mine, FW_JOB_DH_DERIVE);
    return IKE_VERDICT_OK;
}

/* ---- responder ---- */

/* A stateless answer of one notification. */
static void refuse(struct ike *ike, const struct ike_header *h, const struct ike_datagram *d,
                   uint16_t type, const void *data, size_t n)
{
    uint8_t buffer[128];
    struct ike_header out = {
        .spi_i = h->spi_i, .exchange = IKE_SA_INIT, .flags = IKE_FLAG_RESPONSE};
    struct ike_builder b = ike_clear_begin(buffer, sizeof buffer, &out);
    struct ike_action *a = ike_action_push(ike, IKE_ACTION_SEND);

    ike_notify_emit(&b, type, data, n);
    a->n_bytes = ike_clear_end(&b);
    a->bytes = g_memdup2(buffer, a->n_bytes);
    a->local = d->local;
    a->local_port = d->local_port;
    a->remote = d->remote;
    a->remote_port = d->remote_port;
    a->natt = d->natt;
}

static enum ike_verdict repeated(struct ike_sa *sa, const struct ike_datagram *d)
{
    if (!fw_addr_equal(&sa->remote, &d->remote) || !sa->init_request ||
        sa->init_request->len != d->n_bytes ||
        memcmp(sa->init_request->data, d->bytes, d->n_bytes) != 0) {
        return IKE_VERDICT_STATE;
    }
    if (sa->init_response) {
        ike_send(sa, sa->init_response->data, sa->init_response->len);
    }
    return IKE_VERDICT_REPEATED;
}

/* The first gateway of these addresses whose proposals meet the peer's. */
static enum ike_choose choose(struct ike *ike, const struct ike_datagram *d,
                              const struct ike_payload *sa_payload, struct ike_gateway **ret,
                              struct ike_choice *ret_choice)
{
    GHashTableIter it;
    gpointer value;

    *ret = NULL;
    g_hash_table_iter_init(&it, ike->gateways);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        struct ike_gateway *g = value;
        enum ike_choose got;

        if (!fw_addr_equal(&g->c.local, &d->local) || !fw_addr_equal(&g->c.remote, &d->remote)) {
            continue;
        }
        *ret = g;
        got = ike_sa_choose(fw_cursor(sa_payload->body, sa_payload->len), 0, g->c.suites,
                            g->c.n_suites, ret_choice);
        if (got != IKE_CHOOSE_NONE) {
            return got;
        }
    }
    return IKE_CHOOSE_NONE;
}

/* The negotiation of a request that is fit to be answered. */
static enum ike_verdict take_on(struct ike *ike, const struct ike_header *h,
                                const struct ike_datagram *d, const struct ike_payloads *ps,
                                struct ike_gateway *g, const struct ike_choice *choice)
{
    struct ike_nego n = {.active = true, .group = choice->ike.group};
    struct ike_nonce ni;
    struct ike_sa *sa;

    if (!ike_nonce_take(&ni, ike_payloads_find(ps, IKE_P_NONCE)) ||
        !ike_ke_take(&n, ike_payloads_find(ps, IKE_P_KE))) {
        return IKE_VERDICT_SYNTAX;
    }
    sa = ike_sa_new(ike, false, h->spi_i, ike_spi_draw(ike));
    ike->half_open++;
    g_hash_table_insert(ike->by_peer, &sa->spi_i, sa);
    sa->expires_ns = ike->now_ns + IKE_HALF_OPEN_NS;
    g_strlcpy(sa->gateway, g->c.name, sizeof sa->gateway);
    sa->local = sa->in_to = d->local;
    sa->remote = sa->in_from = d->remote;
    sa->local_port = sa->in_to_port = d->local_port;
    sa->remote_port = sa->in_from_port = d->remote_port;
    sa->natt = sa->in_natt = d->natt;
    sa->suite = choice->ike;
    sa->ni = ni;
    sa->theirs = n;
    sa->theirs.number = choice->number;
    sa->in_busy = true;
    sa->init_request = g_byte_array_append(g_byte_array_new(), d->bytes, (guint)d->n_bytes);
    if (g->c.nat_traversal) {
        ike_nat_detect(sa, h, ps, d);
    }
    ike_job_push(sa, &sa->theirs, FW_JOB_DH_GENERATE);
    ike_sa_schedule(sa);
    return IKE_VERDICT_OK;
}

enum ike_verdict ike_init_request(struct ike *ike, const struct ike_header *h,
                                  const struct ike_datagram *d)
{
    struct fw_cursor c = fw_cursor(d->bytes + IKE_HEADER_BYTES, d->n_bytes - IKE_HEADER_BYTES);
    struct ike_sa *sa = g_hash_table_lookup(ike->by_peer, &h->spi_i);
    const struct ike_payload *nonce, *ke;
    struct ike_gateway *g;
    struct ike_payloads ps;
    struct ike_notification n;
    struct ike_choice choice;
    enum ike_verdict v;

    if (sa) {
        return repeated(sa, d);
    }
    if ((v = ike_payloads_parse(&c, h->next, &ps)) == IKE_VERDICT_CRITICAL) {
        refuse(ike, h, d, IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD, &ps.unsupported, 1);
        return v;
    }
    if (v != IKE_VERDICT_OK ||
        (v = ike_rules_check(IKE_SA_INIT, false, false, &ps)) != IKE_VERDICT_OK) {
        return v;
    }
    nonce = ike_payloads_find(&ps, IKE_P_NONCE);
    if (nonce->len < IKE_NONCE_MIN || nonce->len > IKE_NONCE_MAX) {
        return IKE_VERDICT_SYNTAX;
    }
    switch (choose(ike, d, ike_payloads_find(&ps, IKE_P_SA), &g, &choice)) {
    case IKE_CHOOSE_SYNTAX:
        return IKE_VERDICT_SYNTAX;
    case IKE_CHOOSE_NONE:
        refuse(ike, h, d, IKE_N_NO_PROPOSAL_CHOSEN, NULL, 0);
        return g ? IKE_VERDICT_REFUSED : IKE_VERDICT_NO_GATEWAY;
    case IKE_CHOOSE_OK:
        break;
    }
    if (ike->half_open >= ike->half_open_most) {
        return IKE_VERDICT_BUSY;
    }
    if (ike->half_open >= ike->cookie_above &&
        !(ike_notify_find(&ps, IKE_N_COOKIE, &n) && ike_cookie_good(ike, d, h->spi_i, nonce, &n))) {
        uint8_t cookie[36];

        ike_cookie_make(ike, d, h->spi_i, nonce, 0, cookie);
        refuse(ike, h, d, IKE_N_COOKIE, cookie, sizeof cookie);
        return IKE_VERDICT_COOKIE;
    }
    ke = ike_payloads_find(&ps, IKE_P_KE);
    if (ke->len < 4) {
        return IKE_VERDICT_SYNTAX;
    }
    if ((ke->body[0] << 8 | ke->body[1]) != choice.ike.group) {
        uint8_t group[2] = {(uint8_t)(choice.ike.group >> 8), (uint8_t)choice.ike.group};

        refuse(ike, h, d, IKE_N_INVALID_KE_PAYLOAD, group, 2);
        return IKE_VERDICT_REFUSED;
    }
    return take_on(ike, h, d, &ps, g, &choice);
}

static void send_response(struct ike_sa *sa)
{
    struct ike_gateway *g = ike_sa_gateway(sa);
    uint8_t buffer[IKE_DATAGRAM_MAX];
    struct ike_header h = {.spi_i = sa->spi_i,
                           .spi_r = sa->spi_r,
                           .exchange = IKE_SA_INIT,
                           .flags = IKE_FLAG_RESPONSE};
    struct ike_builder b = ike_clear_begin(buffer, sizeof buffer, &h);
    size_t n;

    ike_sa_emit(&b, &sa->suite, 1, sa->theirs.number, 0, 0);
    ike_ke_emit(&b, sa->suite.group, sa->theirs.public_own, sa->theirs.public_own_len);
    ike_payload_begin(&b, IKE_P_NONCE);
    fw_emit_bytes(&b.e, sa->nr.data, sa->nr.len);
    ike_payload_end(&b);
    if (g && g->c.nat_traversal) {
        ike_nat_emit(sa, &b);
    }
    n = ike_clear_end(&b);
    g_assert(n > 0);
    sa->init_response = g_byte_array_append(g_byte_array_new(), buffer, (guint)n);
    sa->in_busy = false;
    sa->in_id = 1;
    ike_nego_clear(sa, &sa->theirs);
    ike_send(sa, buffer, n);
}

/* Two jobs, one after the other: our key pair, then the shared secret. */
void ike_init_responder_advance(struct ike_sa *sa)
{
    struct ike_nego *n = &sa->theirs;

    if (n->private_value && !n->deriving) {
        n->deriving = true;
        ike_nonce_draw(sa->ike, &sa->nr);
        ike_job_push(sa, n, FW_JOB_DH_DERIVE);
    } else if (n->shared && ike_keys_derive(sa, NULL, n->shared)) {
        send_response(sa);
    } else { /* an invalid public value, for instance */
        ike_sa_kill(sa, IKE_REASON_DH);
    }
}
