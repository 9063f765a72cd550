/*
 * exchange-child - CREATE_CHILD_SA for CHILD SAs, both roles: a new one or a rekey
 * (RFC 7296 sections 1.3.1, 1.3.3, 2.8, 2.25).
 *
 * Simultaneous rekeying (2.8.1): when the peer rekeys the same SA while our request is out, both
 * new pairs come to life; the one made with the smallest of the four nonces is deleted by the end
 * that asked for it, and the other end deletes the old pair.
 */
#include "re/ike/internal.h"

#include <string.h>

/* ---- choosing, also for IKE_AUTH ---- */

static bool tunnel_taken(struct ike *ike, uint32_t tunnel)
{
    struct ike_sa *sa;

    return ike_child_find(ike, tunnel, &sa) != NULL;
}

static gint by_number(gconstpointer a, gconstpointer b)
{
    return GPOINTER_TO_UINT(a) < GPOINTER_TO_UINT(b) ? -1
                                                     : GPOINTER_TO_UINT(a) > GPOINTER_TO_UINT(b);
}

/* Fill n for one tunnel; 0 or the notification that refuses. */
static uint16_t fit(struct ike_nego *n, struct ike_tunnel *t, const struct ike_payload *sa_payload,
                    const struct ike_range *local, unsigned n_local, const struct ike_range *remote,
                    unsigned n_remote, bool with_group)
{
    struct ike_selector ours[IKE_SELECTORS_MAX];
    struct ike_choice choice;

    n->n_selectors = ike_ts_narrow(ours, ike_tunnel_selectors(t, ours), local, n_local, remote,
                                   n_remote, n->selectors);
    if (n->n_selectors == 0) {
        return IKE_N_TS_UNACCEPTABLE;
    }
    switch (ike_esp_choose(fw_cursor(sa_payload->body, sa_payload->len), t->c.suites, t->c.n_suites,
                           with_group, &choice)) {
    case IKE_CHOOSE_SYNTAX:
        return IKE_N_INVALID_SYNTAX;
    case IKE_CHOOSE_NONE:
        return IKE_N_NO_PROPOSAL_CHOSEN;
    case IKE_CHOOSE_OK:
        break;
    }
    if (t->c.place.anchor == 0) {
        return IKE_N_TEMPORARY_FAILURE;
    }
    n->tunnel = t->c.tunnel;
    n->place = t->c.place;
    n->esp = choice.esp;
    n->number = choice.number;
    n->spi_out = (uint32_t)choice.spi;
    n->group = with_group ? choice.esp.group : 0;
    return 0;
}

uint16_t ike_child_choose(struct ike_sa *sa, struct ike_nego *n,
                          const struct ike_payload *sa_payload, const struct ike_payload *tsi,
                          const struct ike_payload *tsr, uint32_t tunnel, bool with_group)
{
    struct ike_range local[IKE_RANGES_MAX], remote[IKE_RANGES_MAX];
    unsigned n_local, n_remote;
    uint16_t refusal = IKE_N_TS_UNACCEPTABLE;
    GList *all;

    /* the peer is the initiator of the exchange: TSi is its side */
    if (!ike_ts_parse(fw_cursor(tsi->body, tsi->len), remote, &n_remote) ||
        !ike_ts_parse(fw_cursor(tsr->body, tsr->len), local, &n_local)) {
        return IKE_N_INVALID_SYNTAX;
    }
    all = g_list_sort(g_hash_table_get_keys(sa->ike->tunnels), by_number);
    for (int pass = 0; pass < 2 && refusal; pass++) { /* first those that have no CHILD SA */
        for (GList *l = all; l && refusal; l = l->next) {
            struct ike_tunnel *t = ike_tunnel_find(sa->ike, GPOINTER_TO_UINT(l->data));
            uint16_t got;

            if (strcmp(t->c.gateway, sa->gateway) != 0 || (tunnel && t->c.tunnel != tunnel) ||
                (!tunnel && pass == 0 && tunnel_taken(sa->ike, t->c.tunnel))) {
                continue;
            }
            got = fit(n, t, sa_payload, local, n_local, remote, n_remote, with_group);
            if (got != IKE_N_TS_UNACCEPTABLE) {
                refusal = got;
            }
            if (got == IKE_N_INVALID_SYNTAX) {
                pass = 2;
                break;
            }
        }
    }
    g_list_free(all);
    return refusal;
}

/* ---- our request ---- */

/* It came to nothing: the tunnel's owner decides when to try again. */
static void give_up(struct ike_sa *sa, enum ike_reason reason, int64_t retry_ns)
{
    uint32_t tunnel = sa->out.tunnel;
    struct ike_child *old = sa->out.spi_in ? ike_child_by_in(sa, sa->out.spi_in) : NULL;

    if (old) {
        old->rekeying = false;
        old->replaced = old->replaced || old->rival != 0; /* the peer's rekey went well */
        old->soft_ns = sa->ike->now_ns + retry_ns;
    }
    ike_task_done(sa);
    ike_sa_record(sa);
    if (tunnel) {
        ike_event_push(sa, IKE_EVENT_FAILED, reason, tunnel);
    }
}

static int64_t retry_ns(struct ike *ike)
{
    uint8_t jitter;

    ike_random(ike, &jitter, 1);
    return IKE_RETRY_NS + jitter * (4 * FW_MS);
}

void ike_create_begin(struct ike_sa *sa)
{
    struct ike_nego *n = &sa->mine;
    struct ike_tunnel *t;

    n->initiator = true;
    if (sa->out.kind == IKE_TASK_IKE_REKEY) {
        if (sa->replaced) {
            ike_task_done(sa);
            return;
        }
        n->active = true;
        n->rekey_ike = true;
        n->group = sa->suite.group;
        n->ike_own = ike_spi_draw(sa->ike);
        ike_nonce_draw(sa->ike, &n->ni);
        ike_job_push(sa, n, FW_JOB_DH_GENERATE);
        return;
    }
    t = ike_tunnel_find(sa->ike, sa->out.tunnel);
    if (sa->out.kind == IKE_TASK_CHILD_REKEY) {
        struct ike_child *old = ike_child_by_in(sa, sa->out.spi_in);

        if (!old || old->replaced || old->deleting) {
            ike_task_done(sa);
            return;
        }
        n->rekey_spi_in = old->spi_in;
    }
    if (!t || t->c.place.anchor == 0) {
        give_up(sa, IKE_REASON_NO_SPI, retry_ns(sa->ike));
        return;
    }
    n->active = true;
    n->tunnel = t->c.tunnel;
    n->place = t->c.place;
    n->group = t->c.suites[0].group;
    ike_nonce_draw(sa->ike, &n->ni);
    ike_reserve_push(sa, n);
    if (n->group) {
        ike_job_push(sa, n, FW_JOB_DH_GENERATE);
    }
}

static void send_request(struct ike_sa *sa, struct ike_tunnel *t)
{
    struct ike_nego *n = &sa->mine;
    struct ike_selector pairs[IKE_SELECTORS_MAX];
    struct fw_prefix side[IKE_SELECTORS_MAX];
    uint8_t buffer[IKE_DATAGRAM_MAX];
    struct ike_builder b = ike_chain_begin(buffer, sizeof buffer - 256);
    unsigned count;

    if (n->rekey_spi_in) {
        ike_notify_rekey_emit(&b, IKE_N_REKEY_SA, n->rekey_spi_in);
    }
    ike_notify_emit(&b, IKE_N_ESP_TFC_PADDING_NOT_SUPPORTED, NULL, 0);
    ike_esp_emit(&b, t->c.suites, t->c.n_suites, 1, n->spi_in, true);
    ike_payload_begin(&b, IKE_P_NONCE);
    fw_emit_bytes(&b.e, n->ni.data, n->ni.len);
    ike_payload_end(&b);
    if (n->group) {
        ike_ke_emit(&b, n->group, n->public_own, n->public_own_len);
    }
    count = ike_tunnel_selectors(t, pairs);
    ike_ts_emit(&b, IKE_P_TSI, side, ike_ts_side(pairs, count, true, side));
    ike_ts_emit(&b, IKE_P_TSR, side, ike_ts_side(pairs, count, false, side));
    ike_task_send(sa, IKE_CREATE_CHILD_SA, &b);
}

/* Both ends have rekeyed the same SA: does ours go? Both come to the same conclusion. */
static bool ours_loses(struct ike_sa *sa, const struct ike_child *ours, const struct ike_child *old)
{
    struct ike_child *theirs = old->rival ? ike_child_by_in(sa, old->rival) : NULL;

    if (!theirs) {
        return false;
    }
    if (memcmp(ours->nonce_min, theirs->nonce_min, sizeof ours->nonce_min) < 0) {
        return true;
    }
    theirs->replaced = true; /* the peer will delete it */
    theirs->outbound_at_ns = INT64_MAX;
    return false;
}

static void complete(struct ike_sa *sa)
{
    struct ike_nego *n = &sa->mine;
    struct ike_child *old = n->rekey_spi_in ? ike_child_by_in(sa, n->rekey_spi_in) : NULL;
    struct ike_child *child, *goes;
    uint32_t tunnel = n->tunnel;
    bool rekey = n->rekey_spi_in != 0;

    child = ike_child_build(sa, n);
    if (!child) {
        give_up(sa, IKE_REASON_DH, retry_ns(sa->ike));
        return;
    }
    ike_task_done(sa);
    goes = old;
    if (old) {
        old->rekeying = false;
        old->replaced = true;
    }
    if (old && ours_loses(sa, child, old)) {
        goes = child; /* the peer deletes the old one, then its new one takes over */
        goes->replaced = true;
    } else {
        ike_child_install_outbound(sa, child);
        ike_event_push(sa, rekey ? IKE_EVENT_CHILD_REKEYED : IKE_EVENT_CHILD_UP, IKE_REASON_NONE,
                       tunnel);
    }
    if (goes) {
        goes->deleting = true;
        ike_task_add(sa, IKE_TASK_CHILD_DELETE, goes->tunnel, goes->spi_in, IKE_REASON_REPLACED);
    }
    ike_sa_record(sa);
}

void ike_create_advance(struct ike_sa *sa)
{
    struct ike_nego *n = &sa->mine;
    struct ike_tunnel *t = ike_tunnel_find(sa->ike, n->tunnel);

    if (n->job || n->reserve) {
        return;
    }
    if (n->deriving) {
        if (n->shared) {
            complete(sa);
        } else {
            give_up(sa, IKE_REASON_DH, retry_ns(sa->ike));
        }
    } else if (!t || n->spi_in == 0) {
        give_up(sa, IKE_REASON_NO_SPI, retry_ns(sa->ike));
    } else if (n->group && !n->private_value) {
        give_up(sa, IKE_REASON_DH, retry_ns(sa->ike));
    } else {
        send_request(sa, t);
    }
}

static enum ike_verdict refused(struct ike_sa *sa, const struct ike_notification *note)
{
    struct ike_child *old = sa->out.spi_in ? ike_child_by_in(sa, sa->out.spi_in) : NULL;
    uint32_t tunnel = sa->out.tunnel;

    if (note->type == IKE_N_CHILD_SA_NOT_FOUND && old) {
        /* section 2.25: the peer has it no more; a new one, not a rekey */
        ike_task_done(sa);
        ike_child_drop(sa, old, IKE_REASON_PEER_DELETED);
        ike_task_add(sa, IKE_TASK_CHILD_CREATE, tunnel, 0, IKE_REASON_NONE);
        ike_sa_record(sa);
    } else {
        give_up(sa, ike_reason_of_notify(note->type), retry_ns(sa->ike));
    }
    return IKE_VERDICT_REFUSED;
}

enum ike_verdict ike_create_response(struct ike_sa *sa, const struct ike_payloads *ps)
{
    struct ike_nego *n = &sa->mine;
    struct ike_tunnel *t = ike_tunnel_find(sa->ike, n->tunnel);
    const struct ike_payload *p = ike_payloads_find(ps, IKE_P_SA);
    const struct ike_payload *tsi = ike_payloads_find(ps, IKE_P_TSI);
    const struct ike_payload *tsr = ike_payloads_find(ps, IKE_P_TSR);
    struct ike_range local[IKE_RANGES_MAX], remote[IKE_RANGES_MAX];
    struct ike_selector ours[IKE_SELECTORS_MAX];
    struct ike_notification note;
    struct ike_choice choice;
    unsigned n_local, n_remote;

    if (ike_notify_error(ps, &note)) {
        return refused(sa, &note);
    }
    if (!t || !tsi || !tsr || !p || !ike_sa_is_answer(fw_cursor(p->body, p->len)) ||
        ike_esp_choose(fw_cursor(p->body, p->len), t->c.suites, t->c.n_suites, true, &choice) !=
            IKE_CHOOSE_OK ||
        !ike_nonce_take(&n->nr, ike_payloads_find(ps, IKE_P_NONCE)) ||
        !ike_ts_parse(fw_cursor(tsi->body, tsi->len), local, &n_local) ||
        !ike_ts_parse(fw_cursor(tsr->body, tsr->len), remote, &n_remote)) {
        give_up(sa, IKE_REASON_SYNTAX, retry_ns(sa->ike));
        return IKE_VERDICT_SYNTAX;
    }
    n->n_selectors = ike_ts_narrow(ours, ike_tunnel_selectors(t, ours), local, n_local, remote,
                                   n_remote, n->selectors);
    if (n->n_selectors == 0 || choice.esp.group != n->group ||
        (n->group && !ike_ke_take(n, ike_payloads_find(ps, IKE_P_KE)))) {
        give_up(sa, n->n_selectors ? IKE_REASON_DH : IKE_REASON_TS_UNACCEPTABLE, retry_ns(sa->ike));
        return IKE_VERDICT_REFUSED;
    }
    n->esp = choice.esp;
    n->spi_out = (uint32_t)choice.spi;
    if (n->group) {
        n->deriving = true;
        ike_job_push(sa, n, FW_JOB_DH_DERIVE);
        ike_sa_record(sa);
    } else {
        complete(sa);
    }
    return IKE_VERDICT_OK;
}

/* ---- the peer's request ---- */

static enum ike_verdict refuse(struct ike_sa *sa, uint16_t notify)
{
    ike_nego_clear(sa, &sa->theirs);
    ike_answer_notify(sa, IKE_CREATE_CHILD_SA, notify, NULL, 0);
    return IKE_VERDICT_REFUSED;
}

enum ike_verdict ike_create_request(struct ike_sa *sa, const struct ike_payloads *ps)
{
    const struct ike_payload *p = ike_payloads_find(ps, IKE_P_SA);
    const struct ike_payload *tsi = ike_payloads_find(ps, IKE_P_TSI);
    const struct ike_payload *tsr = ike_payloads_find(ps, IKE_P_TSR);
    const struct ike_payload *ke = ike_payloads_find(ps, IKE_P_KE);
    struct ike_nego *n = &sa->theirs;
    struct ike_notification rekey;
    struct ike_child *old = NULL;
    uint16_t refusal;

    if (!tsi && !tsr) {
        return ike_rekey_request(sa, ps);
    }
    if (!tsi || !tsr) {
        return IKE_VERDICT_SYNTAX;
    }
    if (sa->replaced || sa->out.kind == IKE_TASK_IKE_REKEY || sa->out.kind == IKE_TASK_IKE_DELETE) {
        return refuse(sa, IKE_N_TEMPORARY_FAILURE);
    }
    if (sa->children->len >= IKE_CHILDREN_MAX) {
        return refuse(sa, IKE_N_NO_ADDITIONAL_SAS);
    }
    if (ike_notify_find(ps, IKE_N_REKEY_SA, &rekey)) {
        old = rekey.protocol == IKE_PROTO_ESP ? ike_child_by_out(sa, rekey.spi) : NULL;
        if (!old) {
            uint8_t buffer[64];
            struct ike_builder b = ike_chain_begin(buffer, sizeof buffer);

            ike_notify_rekey_emit(&b, IKE_N_CHILD_SA_NOT_FOUND, rekey.spi);
            ike_answer(sa, IKE_CREATE_CHILD_SA, &b);
            return IKE_VERDICT_REFUSED;
        }
        if (old->deleting || old->replaced) {
            return refuse(sa, IKE_N_TEMPORARY_FAILURE);
        }
    }
    n->active = true;
    n->rekey_spi_in = old ? old->spi_in : 0;
    refusal = ike_child_choose(sa, n, p, tsi, tsr, old ? old->tunnel : 0, true);
    if (refusal == IKE_N_INVALID_SYNTAX ||
        !ike_nonce_take(&n->ni, ike_payloads_find(ps, IKE_P_NONCE))) {
        ike_nego_clear(sa, n);
        return IKE_VERDICT_SYNTAX;
    }
    if (refusal) {
        return refuse(sa, refusal);
    }
    if (n->group && !ike_ke_take(n, ke)) {
        uint8_t group[2] = {(uint8_t)(n->group >> 8), (uint8_t)n->group};

        ike_nego_clear(sa, n);
        ike_answer_notify(sa, IKE_CREATE_CHILD_SA, IKE_N_INVALID_KE_PAYLOAD, group, 2);
        return IKE_VERDICT_REFUSED;
    }
    ike_nonce_draw(sa->ike, &n->nr);
    sa->in_busy = true;
    ike_reserve_push(sa, n);
    if (n->group) {
        ike_job_push(sa, n, FW_JOB_DH_GENERATE);
    }
    return IKE_VERDICT_OK;
}

static void answer(struct ike_sa *sa)
{
    struct ike_nego *n = &sa->theirs;
    struct ike_child *old = n->rekey_spi_in ? ike_child_by_in(sa, n->rekey_spi_in) : NULL;
    struct fw_prefix side[IKE_SELECTORS_MAX];
    uint8_t buffer[IKE_DATAGRAM_MAX];
    struct ike_builder b = ike_chain_begin(buffer, sizeof buffer - 256);
    uint32_t spi_in = n->spi_in, tunnel = n->tunnel;
    struct ike_child *child = ike_child_build(sa, n);

    if (!child) {
        refuse(sa, IKE_N_NO_ADDITIONAL_SAS);
        return;
    }
    ike_esp_emit(&b, &n->esp, 1, n->number, spi_in, true);
    ike_payload_begin(&b, IKE_P_NONCE);
    fw_emit_bytes(&b.e, n->nr.data, n->nr.len);
    ike_payload_end(&b);
    if (n->group) {
        ike_ke_emit(&b, n->group, n->public_own, n->public_own_len);
    }
    ike_ts_emit(&b, IKE_P_TSI, side, ike_ts_side(n->selectors, n->n_selectors, false, side));
    ike_ts_emit(&b, IKE_P_TSR, side, ike_ts_side(n->selectors, n->n_selectors, true, side));
    ike_notify_emit(&b, IKE_N_ESP_TFC_PADDING_NOT_SUPPORTED, NULL, 0);
    if (old) {
        old->rival = child->spi_in;
        child->outbound_at_ns = sa->ike->now_ns + IKE_SWITCH_NS;
        if (!old->rekeying) {
            old->replaced = true;
        }
    }
    ike_nego_clear(sa, n);
    ike_answer(sa, IKE_CREATE_CHILD_SA, &b);
    if (!old || old->lost) {
        ike_child_install_outbound(sa, child);
        ike_sa_record(sa);
    }
    ike_event_push(sa, old ? IKE_EVENT_CHILD_REKEYED : IKE_EVENT_CHILD_UP, IKE_REASON_NONE, tunnel);
}

void ike_create_responder_advance(struct ike_sa *sa)
{
    struct ike_nego *n = &sa->theirs;

    if (n->job || n->reserve) {
        return;
    }
    if (n->spi_in == 0 || (n->group && !n->private_value) || (n->deriving && !n->shared)) {
        refuse(sa, IKE_N_TEMPORARY_FAILURE);
    } else if (n->group && !n->deriving) {
        n->deriving = true;
        ike_job_push(sa, n, FW_JOB_DH_DERIVE);
    } else {
        answer(sa);
    }
}
