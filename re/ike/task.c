/*
 * task - our requests, one at a time (RFC 7296 sections 2.1 to 2.3).
 *
 * Retransmissions back off from half a second to sixteen; liveness checks follow the
 * configured interval and threshold. A request that is never answered ends the IKE SA.
 */
#include "re/ike/internal.h"

#include <string.h>

void ike_task_add(struct ike_sa *sa, enum ike_task_kind kind, uint32_t tunnel, uint32_t spi_in,
                  enum ike_reason reason)
{
    struct ike_task *task;

    if (ike_task_has(sa, kind, tunnel, spi_in)) {
        return;
    }
    task = g_new0(struct ike_task, 1);
    task->kind = kind;
    task->tunnel = tunnel;
    task->spi_in = spi_in;
    task->reason = reason;
    if (kind == IKE_TASK_IKE_DELETE) { /* nothing else matters any more */
        g_queue_push_head(&sa->tasks, task);
    } else {
        g_queue_push_tail(&sa->tasks, task);
    }
}

bool ike_task_has(const struct ike_sa *sa, enum ike_task_kind kind, uint32_t tunnel,
                  uint32_t spi_in)
{
    for (GList *l = sa->tasks.head; l; l = l->next) {
        const struct ike_task *t = l->data;

        if (t->kind == kind && t->tunnel == tunnel && t->spi_in == spi_in) {
            return true;
        }
    }
    return sa->out.kind == kind && sa->out.tunnel == tunnel && sa->out.spi_in == spi_in;
}

static void begin(struct ike_sa *sa)
{
    switch (sa->out.kind) {
    case IKE_TASK_INIT:
        ike_init_begin(sa);
        return;
    case IKE_TASK_AUTH:
        ike_auth_begin(sa);
        return;
    case IKE_TASK_CHILD_CREATE:
    case IKE_TASK_CHILD_REKEY:
    case IKE_TASK_IKE_REKEY:
        ike_create_begin(sa);
        return;
    case IKE_TASK_CHILD_DELETE:
    case IKE_TASK_IKE_DELETE:
    case IKE_TASK_LIVENESS:
        ike_info_begin(sa);
        return;
    case IKE_TASK_NONE:
        return;
    }
}

void ike_task_run(struct ike_sa *sa)
{
    while (sa->state == IKE_S_UP && sa->out.kind == IKE_TASK_NONE) {
        struct ike_task *task = g_queue_pop_head(&sa->tasks);

        if (!task) {
            break;
        }
        sa->out = *task;
        g_free(task);
        sa->out_sent = false;
        begin(sa); /* may find that there is nothing to do */
    }
    ike_sa_schedule(sa);
}

static int64_t interval(const struct ike_sa *sa)
{
    struct ike_gateway *g = ike_gateway_find(sa->ike, sa->gateway);
    int64_t wait = IKE_RETRANSMIT_NS;

    if (sa->out.kind == IKE_TASK_LIVENESS && g && g->c.dpd_interval_ns > 0) {
        return g->c.dpd_interval_ns;
    }
    if (sa->init_error) {
        return wait;
    }
    for (unsigned i = 1; i < sa->out_tries && wait < IKE_RETRANSMIT_MAX_NS; i++) {
        wait *= 2;
    }
    return wait;
}

static unsigned tries(const struct ike_sa *sa)
{
    struct ike_gateway *g = ike_gateway_find(sa->ike, sa->gateway);

    if (sa->state == IKE_S_INIT || sa->state == IKE_S_AUTH || sa->out.kind == IKE_TASK_IKE_DELETE) {
        return IKE_TRIES_SETUP;
    }
    if (sa->out.kind == IKE_TASK_LIVENESS && g && g->c.dpd_threshold > 0) {
        return g->c.dpd_threshold;
    }
    return IKE_TRIES;
}

void ike_task_send(struct ike_sa *sa, uint8_t exchange, struct ike_builder *chain)
{
    g_clear_pointer(&sa->out_bytes, g_byte_array_unref);
    sa->out_bytes = ike_seal(sa, exchange, false, sa->out_id, chain);
    sa->out_sent = true;
    sa->out_tries = 1;
    sa->out_next_ns = sa->ike->now_ns + interval(sa);
    ike_sa_record(sa);
    ike_send(sa, sa->out_bytes->data, sa->out_bytes->len);
}

void ike_task_retransmit(struct ike_sa *sa)
{
    if (!sa->out_bytes || !sa->out_sent) {
        sa->out_next_ns = INT64_MAX;
        return;
    }
    if (sa->out_tries >= tries(sa)) {
        enum ike_reason reason = sa->out.kind == IKE_TASK_LIVENESS     ? IKE_REASON_PEER_DEAD
                                 : sa->out.kind == IKE_TASK_IKE_DELETE ? sa->out.reason
                                 : sa->init_error                      ? sa->init_error
                                                                       : IKE_REASON_NO_RESPONSE;
        ike_sa_kill(sa, reason);
        return;
    }
    sa->out_tries++;
    sa->out_next_ns = sa->ike->now_ns + interval(sa);
    ike_send(sa, sa->out_bytes->data, sa->out_bytes->len);
}

void ike_task_done(struct ike_sa *sa)
{
    memset(&sa->out, 0, sizeof sa->out);
    sa->out_sent = false;
    sa->out_next_ns = INT64_MAX;
    g_clear_pointer(&sa->out_bytes, g_byte_array_unref);
    ike_nego_clear(sa, &sa->mine);
}

void ike_task_advance(struct ike_sa *sa)
{
    switch (sa->out.kind) {
    case IKE_TASK_INIT:
        ike_init_advance(sa);
        break;
    case IKE_TASK_AUTH:
        ike_auth_advance(sa);
        break;
    case IKE_TASK_CHILD_CREATE:
    case IKE_TASK_CHILD_REKEY:
        ike_create_advance(sa);
        break;
    case IKE_TASK_IKE_REKEY:
        ike_rekey_advance(sa);
        break;
    case IKE_TASK_CHILD_DELETE:
    case IKE_TASK_IKE_DELETE:
    case IKE_TASK_LIVENESS:
    case IKE_TASK_NONE:
        break;
    }
    if (sa->state == IKE_S_UP) {
        ike_task_run(sa);
    }
}

/* The answer stops the retransmission at once; the task itself may go on (a derivation). */
enum ike_verdict ike_task_answer(struct ike_sa *sa, uint8_t exchange, const struct ike_payloads *ps)
{
    enum ike_verdict v = IKE_VERDICT_STATE;

    sa->out_next_ns = INT64_MAX;
    sa->out_sent = false;
    sa->out_id++;
    g_clear_pointer(&sa->out_bytes, g_byte_array_unref);
    switch (sa->out.kind) {
    case IKE_TASK_AUTH:
        v = exchange == IKE_AUTH ? ike_auth_response(sa, ps) : v;
        break;
    case IKE_TASK_CHILD_CREATE:
    case IKE_TASK_CHILD_REKEY:
        v = exchange == IKE_CREATE_CHILD_SA ? ike_create_response(sa, ps) : v;
        break;
    case IKE_TASK_IKE_REKEY:
        v = exchange == IKE_CREATE_CHILD_SA ? ike_rekey_response(sa, ps) : v;
        break;
    case IKE_TASK_CHILD_DELETE:
    case IKE_TASK_IKE_DELETE:
    case IKE_TASK_LIVENESS:
        v = exchange == IKE_INFORMATIONAL ? ike_info_response(sa, ps) : v;
        break;
    case IKE_TASK_INIT:
    case IKE_TASK_NONE:
        break;
    }
    return v;
}
