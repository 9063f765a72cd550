/*
 * exchange-rekey - CREATE_CHILD_SA for the IKE SA itself, both roles (RFC 7296 sections 1.3.2,
 * 2.8, 2.18, 2.25.2).
 *
 * The new IKE SA takes over the CHILD SAs; the old one is deleted by the end that asked. A
 * request that meets our own, or any other negotiation of ours, is put off with TEMPORARY_FAILURE.
 */
#include "re/ike/internal.h"

#include <string.h>

static int64_t retry_ns(struct ike *ike)
{
    uint8_t jitter;

    ike_random(ike, &jitter, 1);
    return IKE_RETRY_NS + jitter * (4 * FW_MS);
}

static void give_up(struct ike_sa *sa)
{
    ike_task_done(sa);
    sa->soft_ns = sa->ike->now_ns + retry_ns(sa->ike);
    ike_sa_record(sa);
}

/* A new SA beside the old one: addresses, ports and children go over. */
static struct ike_sa *successor(struct ike_sa *old, struct ike_nego *n)
{
    bool initiator = n->initiator;
    struct ike_sa *sa = ike_sa_new(old->ike, initiator, initiator ? n->ike_own : n->ike_peer,
                                   initiator ? n->ike_peer : n->ike_own);

    g_strlcpy(sa->gateway, old->gateway, sizeof sa->gateway);
    sa->local = old->local;
    sa->remote = old->remote;
    sa->local_port = old->local_port;
    sa->remote_port = old->remote_port;
    sa->natt = old->natt;
    sa->nat_local = old->nat_local;
    sa->nat_remote = old->nat_remote;
    sa->remote_id = old->remote_id;
    sa->suite = n->ike;
    sa->ni = n->ni;
    sa->nr = n->nr;
    sa->state = IKE_S_UP;
    if (!ike_keys_derive(sa, old, n->shared)) {
        sa->replaced = true;
        ike_sa_kill(sa, IKE_REASON_DH);
        return NULL;
    }
    ike_sa_set_lifetime(sa);
    return sa;
}

static void take_over(struct ike_sa *sa, struct ike_sa *old)
{
    struct ike_action *a = ike_action_push(sa->ike, IKE_ACTION_KEYS);
    struct ike_task *task;

    a->sa_index = sa->index;
    while (old->children->len) {
        g_ptr_array_add(sa->children, g_ptr_array_remove_index(old->children, 0));
    }
    while ((task = g_queue_pop_head(&old->tasks))) { /* what was to be done for the children */
        if (task->kind == IKE_TASK_CHILD_CREATE || task->kind == IKE_TASK_CHILD_REKEY ||
            task->kind == IKE_TASK_CHILD_DELETE) {
            g_queue_push_tail(&sa->tasks, task);
        } else {
            g_free(task);
        }
    }
    sa->children_created = old->children_created;
    sa->children_deleted = old->children_deleted;
    old->replaced = true;
    old->soft_ns = INT64_MAX;
    old->hard_ns = MIN(old->hard_ns, sa->ike->now_ns + IKE_HALF_OPEN_NS);
    ike_event_push(sa, IKE_EVENT_IKE_REKEYED, IKE_REASON_NONE, 0);
    ike_sa_record(sa);
    ike_sa_record(old);
}

/* ---- our request ---- */

static void send_request(struct ike_sa *sa)
{
    struct ike_gateway *g = ike_sa_gateway(sa);
    struct ike_nego *n = &sa->mine;
    uint8_t buffer[IKE_DATAGRAM_MAX];
    struct ike_builder b = ike_chain_begin(buffer, sizeof buffer - 256);

    ike_sa_emit(&b, g->c.suites, g->c.n_suites, 1, n->ike_own, 8);
    ike_payload_begin(&b, IKE_P_NONCE);
    fw_emit_bytes(&b.e, n->ni.data, n->ni.len);
    ike_payload_end(&b);
    ike_ke_emit(&b, n->group, n->public_own, n->public_own_len);
    ike_task_send(sa, IKE_CREATE_CHILD_SA, &b);
}

void ike_rekey_advance(struct ike_sa *sa)
{
    struct ike_nego *n = &sa->mine;
    struct ike_sa *new_sa;

    if (n->job) {
        return;
    }
    if (!n->deriving) {
        if (n->private_value && ike_sa_gateway(sa)) {
            send_request(sa);
        } else {
            give_up(sa);
        }
        return;
    }
    new_sa = n->shared ? successor(sa, n) : NULL;
    if (!new_sa) {
        give_up(sa);
        return;
    }
    ike_task_done(sa);
    take_over(new_sa, sa);
    ike_task_add(sa, IKE_TASK_IKE_DELETE, 0, 0, IKE_REASON_REPLACED);
    ike_task_run(new_sa);
}

enum ike_verdict ike_rekey_response(struct ike_sa *sa, const struct ike_payloads *ps)
{
    struct ike_gateway *g = ike_sa_gateway(sa);
    const struct ike_payload *p = ike_payloads_find(ps, IKE_P_SA);
    struct ike_nego *n = &sa->mine;
    struct ike_notification note;
    struct ike_choice choice;

    if (ike_notify_error(ps, &note)) {
        give_up(sa);
        return IKE_VERDICT_REFUSED;
    }
    if (!g || !p || !ike_sa_is_answer(fw_cursor(p->body, p->len)) ||
        ike_sa_choose(fw_cursor(p->body, p->len), 8, g->c.suites, g->c.n_suites, &choice) !=
            IKE_CHOOSE_OK ||
        choice.ike.group != n->group || !ike_ke_take(n, ike_payloads_find(ps, IKE_P_KE)) ||
        !ike_nonce_take(&n->nr, ike_payloads_find(ps, IKE_P_NONCE))) {
        give_up(sa);
        return IKE_VERDICT_SYNTAX;
    }
    n->ike = choice.ike;
    n->ike_peer = choice.spi;
    n->deriving = true;
    ike_job_push(sa, n, FW_JOB_DH_DERIVE);
    return IKE_VERDICT_OK;
}

/* ---- the peer's request ---- */

static enum ike_verdict refuse(struct ike_sa *sa, uint16_t notify, const void *data, size_t n)
{
    ike_nego_clear(sa, &sa->theirs);
    ike_answer_notify(sa, IKE_CREATE_CHILD_SA, notify, data, n);
    return IKE_VERDICT_REFUSED;
}

enum ike_verdict ike_rekey_request(struct ike_sa *sa, const struct ike_payloads *ps)
{
    struct ike_gateway *g = ike_sa_gateway(sa);
    const struct ike_payload *p = ike_payloads_find(ps, IKE_P_SA);
    const struct ike_payload *ke = ike_payloads_find(ps, IKE_P_KE);
    struct ike_nego *n = &sa->theirs;
    struct ike_choice choice;
    uint8_t group[2];

    if (!ke) {
        return IKE_VERDICT_SYNTAX;
    }
    if (!g || sa->replaced || sa->out.kind == IKE_TASK_CHILD_CREATE ||
        sa->out.kind == IKE_TASK_CHILD_REKEY || sa->out.kind == IKE_TASK_CHILD_DELETE ||
        sa->out.kind == IKE_TASK_IKE_REKEY || sa->out.kind == IKE_TASK_IKE_DELETE) {
        return refuse(sa, IKE_N_TEMPORARY_FAILURE, NULL, 0);
    }
    switch (ike_sa_choose(fw_cursor(p->body, p->len), 8, g->c.suites, g->c.n_suites, &choice)) {
    case IKE_CHOOSE_SYNTAX:
        return IKE_VERDICT_SYNTAX;
    case IKE_CHOOSE_NONE:
        return refuse(sa, IKE_N_NO_PROPOSAL_CHOSEN, NULL, 0);
    case IKE_CHOOSE_OK:
        break;
    }
    n->active = true;
    n->rekey_ike = true;
    n->group = choice.ike.group;
    n->ike = choice.ike;
    n->number = choice.number;
    n->ike_peer = choice.spi;
    if (!ike_nonce_take(&n->ni, ike_payloads_find(ps, IKE_P_NONCE))) {
        ike_nego_clear(sa, n);
        return IKE_VERDICT_SYNTAX;
    }
    if (!ike_ke_take(n, ke)) {
        group[0] = (uint8_t)(n->group >> 8);
        group[1] = (uint8_t)n->group;
        return refuse(sa, IKE_N_INVALID_KE_PAYLOAD, group, 2);
    }
    n->ike_own = ike_spi_draw(sa->ike);
    ike_nonce_draw(sa->ike, &n->nr);
    sa->in_busy = true;
    ike_job_push(sa, n, FW_JOB_DH_GENERATE);
    return IKE_VERDICT_OK;
}

void ike_rekey_responder_advance(struct ike_sa *sa)
{
    struct ike_nego *n = &sa->theirs;
    uint8_t buffer[IKE_DATAGRAM_MAX];
    struct ike_builder b = ike_chain_begin(buffer, sizeof buffer - 256);
    struct ike_sa *new_sa;

    if (n->job) {
        return;
    }
    if (n->private_value && !n->deriving) {
        n->deriving = true;
        ike_job_push(sa, n, FW_JOB_DH_DERIVE);
        return;
    }
    new_sa = n->shared ? successor(sa, n) : NULL;
    if (!new_sa) {
        refuse(sa, IKE_N_TEMPORARY_FAILURE, NULL, 0);
        return;
    }
    ike_sa_emit(&b, &n->ike, 1, n->number, n->ike_own, 8);
    ike_payload_begin(&b, IKE_P_NONCE);
    fw_emit_bytes(&b.e, n->nr.data, n->nr.len);
    ike_payload_end(&b);
    ike_ke_emit(&b, n->group, n->public_own, n->public_own_len);
    take_over(new_sa, sa);
    ike_nego_clear(sa, n);
    ike_answer(sa, IKE_CREATE_CHILD_SA, &b);
    ike_task_run(new_sa);
}
