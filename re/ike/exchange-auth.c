/*
 * exchange-auth - IKE_AUTH with the first CHILD SA, both roles, pre-shared keys
 * (RFC 7296 sections 1.2, 2.15, 2.21.2).
 *
 * A failed CHILD SA does not fail the IKE SA: both sides keep it, the reason goes out as an event.
 */
#include "re/ike/internal.h"

#include <string.h>

enum ike_reason ike_reason_of_notify(uint16_t type)
{
    switch (type) {
    case IKE_N_NO_PROPOSAL_CHOSEN:
        return IKE_REASON_NO_PROPOSAL;
    case IKE_N_AUTHENTICATION_FAILED:
        return IKE_REASON_AUTHENTICATION;
    case IKE_N_TS_UNACCEPTABLE:
        return IKE_REASON_TS_UNACCEPTABLE;
    case IKE_N_INVALID_SYNTAX:
        return IKE_REASON_SYNTAX;
    case IKE_N_INVALID_KE_PAYLOAD:
        return IKE_REASON_DH;
    default:
        return IKE_REASON_PEER_REFUSED;
    }
}

/* ---- initiator ---- */

static bool nego_of_tunnel(struct ike_sa *sa, struct ike_nego *n, uint32_t tunnel)
{
    struct ike_tunnel *t = ike_tunnel_find(sa->ike, tunnel);

    if (!t || t->c.place.anchor == 0) {
        return false;
    }
    n->active = true;
    n->tunnel = tunnel;
    n->place = t->c.place;
    return true;
}

void ike_auth_begin(struct ike_sa *sa)
{
    sa->state = IKE_S_AUTH;
    sa->out.kind = IKE_TASK_AUTH;
    sa->mine.initiator = true;
    sa->mine.auth = true;
    if (!nego_of_tunnel(sa, &sa->mine, sa->first_tunnel)) {
        ike_sa_kill(sa, IKE_REASON_NO_SPI);
        return;
    }
    ike_reserve_push(sa, &sa->mine);
}

void ike_auth_advance(struct ike_sa *sa)
{
    struct ike_gateway *g = ike_sa_gateway(sa);
    struct ike_tunnel *t = ike_tunnel_find(sa->ike, sa->mine.tunnel);
    struct ike_selector pairs[IKE_SELECTORS_MAX];
    struct fw_prefix side[IKE_SELECTORS_MAX];
    uint8_t buffer[IKE_DATAGRAM_MAX], auth[FW_PRF_MAX];
    struct ike_builder b = ike_chain_begin(buffer, sizeof buffer - 256);
    struct ike_id scratch;
    const struct ike_id *id;
    unsigned n;

    if (!g || !t) {
        ike_sa_kill(sa, IKE_REASON_CONFIGURATION);
        return;
    }
    if (sa->mine.spi_in == 0) {
        ike_sa_kill(sa, IKE_REASON_NO_SPI);
        return;
    }
    id = ike_gateway_local_id(g, &scratch);
    if (!ike_auth_compute(sa, true, id, g->psk->data, g->psk->len, auth)) {
        ike_sa_kill(sa, IKE_REASON_AUTHENTICATION);
        return;
    }
    ike_id_emit(&b, IKE_P_IDI, id);
    if (!ike_sa_of_gateway(sa->ike, sa->gateway)) {
        ike_notify_emit(&b, IKE_N_INITIAL_CONTACT, NULL, 0);
    }
    ike_id_emit(&b, IKE_P_IDR, ike_gateway_remote_id(g, &scratch));
    ike_auth_emit(&b, auth, fw_prf_row(sa->suite.prf)->bytes);
    ike_notify_emit(&b, IKE_N_ESP_TFC_PADDING_NOT_SUPPORTED, NULL, 0);
    ike_esp_emit(&b, t->c.suites, t->c.n_suites, 1, sa->mine.spi_in, false);
    n = ike_tunnel_selectors(t, pairs);
    ike_ts_emit(&b, IKE_P_TSI, side, ike_ts_side(pairs, n, true, side));
    ike_ts_emit(&b, IKE_P_TSR, side, ike_ts_side(pairs, n, false, side));
    ike_task_send(sa, IKE_AUTH, &b);
}

/* The CHILD SA of the answer. */
static enum ike_reason first_child(struct ike_sa *sa, const struct ike_payloads *ps)
{
    const struct ike_payload *p = ike_payloads_find(ps, IKE_P_SA);
    const struct ike_payload *tsi = ike_payloads_find(ps, IKE_P_TSI);
    const struct ike_payload *tsr = ike_payloads_find(ps, IKE_P_TSR);
    struct ike_tunnel *t = ike_tunnel_find(sa->ike, sa->mine.tunnel);
    struct ike_nego *n = &sa->mine;
    struct ike_range local[IKE_RANGES_MAX], remote[IKE_RANGES_MAX];
    struct ike_selector ours[IKE_SELECTORS_MAX];
    struct ike_notification note;
    struct ike_choice choice;
    struct ike_child *child;
    unsigned n_local, n_remote;

    if (ike_notify_error(ps, &note)) {
        return ike_reason_of_notify(note.type);
    }
    if (!p || !tsi || !tsr) {
        return IKE_REASON_SYNTAX;
    }
    if (!t) {
        return IKE_REASON_CONFIGURATION;
    }
    if (!ike_sa_is_answer(fw_cursor(p->body, p->len)) ||
        ike_esp_choose(fw_cursor(p->body, p->len), t->c.suites, t->c.n_suites, false, &choice) !=
            IKE_CHOOSE_OK) {
        return IKE_REASON_NO_PROPOSAL;
    }
    if (!ike_ts_parse(fw_cursor(tsi->body, tsi->len), local, &n_local) ||
        !ike_ts_parse(fw_cursor(tsr->body, tsr->len), remote, &n_remote)) {
        return IKE_REASON_SYNTAX;
    }
    n->n_selectors = ike_ts_narrow(ours, ike_tunnel_selectors(t, ours), local, n_local, remote,
                                   n_remote, n->selectors);
    if (n->n_selectors == 0) {
        return IKE_REASON_TS_UNACCEPTABLE;
    }
    n->esp = choice.esp;
    n->spi_out = (uint32_t)choice.spi;
    n->ni = sa->ni;
    n->nr = sa->nr;
    child = ike_child_build(sa, n);
    if (!child) {
        return IKE_REASON_PEER_REFUSED;
    }
    ike_child_install_outbound(sa, child);
    return IKE_REASON_NONE;
}

enum ike_verdict ike_auth_response(struct ike_sa *sa, const struct ike_payloads *ps)
{
    struct ike_gateway *g = ike_sa_gateway(sa);
    const struct ike_payload *idr = ike_payloads_find(ps, IKE_P_IDR);
    const struct ike_payload *auth = ike_payloads_find(ps, IKE_P_AUTH);
    uint32_t tunnel = sa->mine.tunnel;
    uint8_t expected[FW_PRF_MAX];
    struct ike_notification n;
    struct ike_id scratch, id;
    const uint8_t *data;
    size_t n_data;
    uint8_t method;
    enum ike_reason reason;

    if (!g) {
        ike_sa_kill(sa, IKE_REASON_CONFIGURATION);
        return IKE_VERDICT_REFUSED;
    }
    if (!idr || !auth) { /* the rules allow that only with an error notification */
        ike_sa_kill(sa,
                    ike_notify_error(ps, &n) ? ike_reason_of_notify(n.type) : IKE_REASON_SYNTAX);
        return IKE_VERDICT_REFUSED;
    }
    if (!ike_id_parse(fw_cursor(idr->body, idr->len), &id) ||
        !ike_auth_parse(fw_cursor(auth->body, auth->len), &method, &data, &n_data) ||
        !ike_id_equal(&id, ike_gateway_remote_id(g, &scratch)) || method != 2 ||
        n_data != fw_prf_row(sa->suite.prf)->bytes ||
        !ike_auth_compute(sa, false, &id, g->psk->data, g->psk->len, expected) ||
        !fw_equal_ct(expected, data, n_data)) {
        ike_sa_kill(sa, IKE_REASON_AUTHENTICATION);
        return IKE_VERDICT_REFUSED;
    }
    sa->remote_id = id;
    ike_sa_established(sa);
    reason = first_child(sa, ps);
    if (reason == IKE_REASON_NONE) {
        ike_event_push(sa, IKE_EVENT_CHILD_UP, reason, tunnel);
    } else {
        ike_event_push(sa, IKE_EVENT_FAILED, reason, tunnel);
    }
    ike_task_done(sa);
    ike_sa_record(sa);
    ike_task_run(sa);
    return reason == IKE_REASON_NONE ? IKE_VERDICT_OK : IKE_VERDICT_REFUSED;
}

/* ---- responder ---- */

/* Answer with one notification and let the SA only answer retransmissions from now on. */
static enum ike_verdict fail(struct ike_sa *sa, uint16_t notify, const void *data, size_t n)
{
    sa->state = IKE_S_FAILED;
    ike_answer_notify(sa, IKE_AUTH, notify, data, n);
    sa->expires_ns = sa->ike->now_ns + IKE_HALF_OPEN_NS;
    return IKE_VERDICT_REFUSED;
}

/* Which of the gateways between these addresses is it, now that the peer has named itself? */
static struct ike_gateway *gateway_by_id(struct ike_sa *sa, const struct ike_id *idi)
{
    struct ike_gateway *g = ike_sa_gateway(sa);
    struct ike_id scratch;
    GHashTableIter it;
    gpointer value;

    if (g && ike_id_equal(idi, ike_gateway_remote_id(g, &scratch))) {
        return g;
    }
    g_hash_table_iter_init(&it, sa->ike->gateways);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        struct ike_gateway *o = value;

        if (!fw_addr_equal(&o->c.local, &sa->local) || !fw_addr_equal(&o->c.remote, &sa->remote) ||
            !ike_id_equal(idi, ike_gateway_remote_id(o, &scratch))) {
            continue;
        }
        for (unsigned i = 0; i < o->c.n_suites; i++) { /* the suite was chosen for another one */
            if (memcmp(&o->c.suites[i], &sa->suite, sizeof sa->suite) == 0) {
                return o;
            }
        }
    }
    return NULL;
}

/*
 * The peer says that it has no other SA with us: it has lost those that were up before it began
 * this one. One that came up meanwhile is the other of two that began at the same time; the peer
 * may not have known it yet.
 */
static void initial_contact(struct ike_sa *sa)
{
    GList *all = g_hash_table_get_values(sa->ike->by_index);

    for (GList *l = all; l; l = l->next) {
        struct ike_sa *o = l->data;

        if (o != sa && o->state == IKE_S_UP && strcmp(o->gateway, sa->gateway) == 0 &&
            sa->created_ns > o->created_ns) {
            ike_sa_kill(o, IKE_REASON_REPLACED);
        }
    }
    g_list_free(all);
}

/* The peer was faster: our own attempt for the same tunnel has come no further than IKE_SA_INIT. */
static void drop_own_attempt(struct ike_sa *sa, uint32_t tunnel)
{
    GList *all = g_hash_table_get_values(sa->ike->by_index);

    for (GList *l = all; l; l = l->next) {
        struct ike_sa *o = l->data;

        if (o->state == IKE_S_INIT && o->first_tunnel == tunnel) {
            ike_sa_kill(o, IKE_REASON_REPLACED);
        }
    }
    g_list_free(all);
}

/* Look for the tunnel whose selectors fit; one without a CHILD SA before one that has some. */
static uint16_t first_child_request(struct ike_sa *sa, const struct ike_payloads *ps)
{
    const struct ike_payload *p = ike_payloads_find(ps, IKE_P_SA);
    const struct ike_payload *tsi = ike_payloads_find(ps, IKE_P_TSI);
    const struct ike_payload *tsr = ike_payloads_find(ps, IKE_P_TSR);
    struct ike_nego *n = &sa->theirs;
    uint16_t refusal;

    n->active = true;
    n->auth = true;
    refusal = ike_child_choose(sa, n, p, tsi, tsr, 0, false);
    if (refusal) {
        n->active = false;
        return refusal;
    }
    n->ni = sa->ni;
    n->nr = sa->nr;
    return 0;
}

enum ike_verdict ike_auth_request(struct ike_sa *sa, const struct ike_payloads *ps)
{
    const struct ike_payload *pi = ike_payloads_find(ps, IKE_P_IDI);
    const struct ike_payload *pr = ike_payloads_find(ps, IKE_P_IDR);
    const struct ike_payload *auth = ike_payloads_find(ps, IKE_P_AUTH);
    uint8_t expected[FW_PRF_MAX];
    struct ike_notification note;
    struct ike_gateway *g;
    struct ike_id idi, idr, scratch;
    const uint8_t *data;
    size_t n_data;
    uint8_t method;

    if (!ike_id_parse(fw_cursor(pi->body, pi->len), &idi) ||
        !ike_auth_parse(fw_cursor(auth->body, auth->len), &method, &data, &n_data) ||
        (pr && !ike_id_parse(fw_cursor(pr->body, pr->len), &idr))) {
        return fail(sa, IKE_N_INVALID_SYNTAX, NULL, 0);
    }
    g = gateway_by_id(sa, &idi);
    if (!g || (pr && !ike_id_equal(&idr, ike_gateway_local_id(g, &scratch))) || method != 2 ||
        n_data != fw_prf_row(sa->suite.prf)->bytes ||
        !ike_auth_compute(sa, true, &idi, g->psk->data, g->psk->len, expected) ||
        !fw_equal_ct(expected, data, n_data)) {
        return fail(sa, IKE_N_AUTHENTICATION_FAILED, NULL, 0);
    }
    g_strlcpy(sa->gateway, g->c.name, sizeof sa->gateway);
    sa->remote_id = idi;
    sa->in_busy = true;
    if (ike_notify_find(ps, IKE_N_INITIAL_CONTACT, &note)) {
        initial_contact(sa);
    }
    sa->auth_refusal = first_child_request(sa, ps);
    if (sa->auth_refusal) {
        sa->theirs.auth = true;
        ike_auth_responder_advance(sa);
        return IKE_VERDICT_REFUSED;
    }
    ike_reserve_push(sa, &sa->theirs);
    return IKE_VERDICT_OK;
}

void ike_auth_responder_advance(struct ike_sa *sa)
{
    struct ike_gateway *g = ike_sa_gateway(sa);
    struct ike_nego *n = &sa->theirs;
    struct fw_prefix side[IKE_SELECTORS_MAX];
    uint8_t buffer[IKE_DATAGRAM_MAX], auth[FW_PRF_MAX];
    struct ike_builder b = ike_chain_begin(buffer, sizeof buffer - 256);
    struct ike_child *child = NULL;
    uint32_t tunnel = n->tunnel;
    struct ike_id scratch;
    const struct ike_id *id;

    if (!g) {
        ike_sa_kill(sa, IKE_REASON_CONFIGURATION);
        return;
    }
    id = ike_gateway_local_id(g, &scratch);
    if (!ike_auth_compute(sa, false, id, g->psk->data, g->psk->len, auth)) {
        ike_sa_kill(sa, IKE_REASON_AUTHENTICATION);
        return;
    }
    ike_id_emit(&b, IKE_P_IDR, id);
    ike_auth_emit(&b, auth, fw_prf_row(sa->suite.prf)->bytes);
    ike_sa_established(sa);
    if (!sa->auth_refusal && n->spi_in == 0) {
        sa->auth_refusal = IKE_N_TEMPORARY_FAILURE;
    }
    if (!sa->auth_refusal) {
        uint32_t spi_in = n->spi_in;

        child = ike_child_build(sa, n);
        if (child) {
            ike_esp_emit(&b, &n->esp, 1, n->number, spi_in, false);
            ike_ts_emit(&b, IKE_P_TSI, side,
                        ike_ts_side(n->selectors, n->n_selectors, false, side));
            ike_ts_emit(&b, IKE_P_TSR, side, ike_ts_side(n->selectors, n->n_selectors, true, side));
            ike_notify_emit(&b, IKE_N_ESP_TFC_PADDING_NOT_SUPPORTED, NULL, 0);
        } else {
            sa->auth_refusal = IKE_N_NO_ADDITIONAL_SAS;
        }
    }
    if (sa->auth_refusal) {
        ike_notify_emit(&b, sa->auth_refusal, NULL, 0);
    }
    ike_nego_clear(sa, n);
    ike_answer(sa, IKE_AUTH, &b);
    if (child) { /* the initiator's inbound SA holds packets until it has our answer */
        ike_child_install_outbound(sa, child);
        ike_event_push(sa, IKE_EVENT_CHILD_UP, IKE_REASON_NONE, tunnel);
        ike_sa_record(sa);
        drop_own_attempt(sa, tunnel);
    }
    ike_task_run(sa);
}
