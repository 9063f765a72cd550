/*
 * sa - an IKE SA's life: birth, timers, death, and what both roles' negotiations need.
 */
#include "re/ike/internal.h"

#include <string.h>

#define PTR(n) GUINT_TO_POINTER(n)

uint64_t ike_sa_own_spi(const struct ike_sa *sa)
{
    return sa->initiator ? sa->spi_i : sa->spi_r;
}

static gint64 *own_spi_key(struct ike_sa *sa)
{
    return (gint64 *)(sa->initiator ? &sa->spi_i : &sa->spi_r);
}

uint64_t ike_spi_draw(struct ike *ike)
{
    uint64_t spi;

    do {
        ike_random(ike, &spi, sizeof spi);
    } while (spi == 0 || g_hash_table_contains(ike->by_spi, &spi));
    return spi;
}

struct ike_sa *ike_sa_new(struct ike *ike, bool initiator, uint64_t spi_i, uint64_t spi_r)
{
    struct ike_sa *sa = g_new0(struct ike_sa, 1);

    sa->ike = ike;
    sa->index = ++ike->last_index;
    sa->initiator = initiator;
    sa->spi_i = spi_i;
    sa->spi_r = spi_r;
    sa->state = initiator ? IKE_S_INIT : IKE_S_HALF_OPEN;
    sa->children = g_ptr_array_new();
    sa->out_next_ns = INT64_MAX;
    sa->soft_ns = sa->hard_ns = sa->expires_ns = sa->dpd_ns = sa->keepalive_ns = INT64_MAX;
    sa->deadline_ns = INT64_MAX;
    sa->created_ns = sa->heard_ns = sa->sent_ns = ike->now_ns;
    g_hash_table_insert(ike->by_spi, own_spi_key(sa), sa);
    g_hash_table_insert(ike->by_index, PTR(sa->index), sa);
    return sa;
}

void ike_sa_free(struct ike_sa *sa)
{
    struct ike_task *task;

    while ((task = g_queue_pop_head(&sa->tasks))) {
        g_free(task);
    }
    for (unsigned i = 0; i < sa->children->len; i++) {
        ike_child_free(sa->children->pdata[i]);
    }
    g_ptr_array_free(sa->children, TRUE);
    fw_secret_free(sa->mine.private_value);
    fw_secret_free(sa->mine.shared);
    fw_secret_free(sa->theirs.private_value);
    fw_secret_free(sa->theirs.shared);
    g_clear_pointer(&sa->init_request, g_byte_array_unref);
    g_clear_pointer(&sa->init_response, g_byte_array_unref);
    g_clear_pointer(&sa->cookie, g_bytes_unref);
    g_clear_pointer(&sa->out_bytes, g_byte_array_unref);
    g_clear_pointer(&sa->in_response, g_byte_array_unref);
    fw_wipe(sa, sizeof *sa);
    g_free(sa);
}

static bool half_open_counts(const struct ike_sa *sa)
{
    return !sa->initiator && (sa->state == IKE_S_HALF_OPEN || sa->state == IKE_S_FAILED);
}

/* A responder SA is no longer half-open. */
static void half_open_leave(struct ike_sa *sa)
{
    if (g_hash_table_lookup(sa->ike->by_peer, &sa->spi_i) == sa) {
        g_hash_table_remove(sa->ike->by_peer, &sa->spi_i);
    }
    sa->ike->half_open--;
}

void ike_sa_kill(struct ike_sa *sa, enum ike_reason reason)
{
    struct ike *ike = sa->ike;
    enum ike_sa_state was = sa->state;

    if (was == IKE_S_DEAD) {
        return;
    }
    if (half_open_counts(sa)) {
        half_open_leave(sa);
    }
    while (sa->children->len) {
        ike_child_drop(sa, sa->children->pdata[sa->children->len - 1], reason);
    }
    ike_nego_clear(sa, &sa->mine);
    ike_nego_clear(sa, &sa->theirs);
    sa->state = IKE_S_DEAD;
    g_hash_table_remove(ike->by_spi, own_spi_key(sa));
    g_hash_table_remove(ike->by_index, PTR(sa->index));
    if (sa->deadline_ns != INT64_MAX) {
        g_tree_remove(ike->deadlines, sa);
        sa->deadline_ns = INT64_MAX;
    }
    if (was == IKE_S_UP) {
        struct ike_action *a = ike_action_push(ike, IKE_ACTION_UNRECORD);

        a->sa_index = sa->index;
        if (!sa->replaced) {
            ike_event_push(sa, IKE_EVENT_IKE_DOWN, reason, 0);
        }
    } else if (sa->initiator && reason != IKE_REASON_REPLACED) {
        ike_event_push(sa, IKE_EVENT_FAILED, reason, sa->first_tunnel);
    }
    g_ptr_array_add(ike->dead, sa);
}

/* ---- timers ---- */

static int64_t child_deadline(const struct ike_child *c)
{
    int64_t d = MIN(c->outbound_at_ns, c->hard_ns);

    return c->replaced || c->deleting || c->rekeying ? d : MIN(d, c->soft_ns);
}

void ike_sa_schedule(struct ike_sa *sa)
{
    int64_t d = MIN(sa->out_next_ns, sa->expires_ns);

    if (sa->state == IKE_S_DEAD) {
        return;
    }
    if (sa->state == IKE_S_UP) {
        d = MIN(d, MIN(sa->hard_ns, MIN(sa->soft_ns, MIN(sa->dpd_ns, sa->keepalive_ns))));
        for (unsigned i = 0; i < sa->children->len; i++) {
            d = MIN(d, child_deadline(sa->children->pdata[i]));
        }
    }
    if (d == sa->deadline_ns) {
        return;
    }
    if (sa->deadline_ns != INT64_MAX) {
        g_tree_remove(sa->ike->deadlines, sa);
    }
    sa->deadline_ns = d;
    if (d != INT64_MAX) {
        g_tree_insert(sa->ike->deadlines, sa, sa);
    }
}

/* Soft limit: 15.5 to 19.5 percent before the hard one, different for each negotiation. */
static int64_t soft_margin(struct ike *ike, int64_t lifetime_ns)
{
    uint16_t r;

    ike_random(ike, &r, sizeof r);
    return lifetime_ns / 1000 * (155 + r % 41);
}

void ike_sa_set_lifetime(struct ike_sa *sa)
{
    struct ike_gateway *g = ike_sa_gateway(sa);
    int64_t now = sa->ike->now_ns;

    sa->created_ns = now;
    sa->soft_ns = sa->hard_ns = INT64_MAX;
    if (g && g->c.lifetime_ns > 0) {
        sa->hard_ns = now + g->c.lifetime_ns;
        sa->soft_ns = sa->hard_ns - soft_margin(sa->ike, g->c.lifetime_ns);
    }
    if (g && g->c.dpd != IKE_DPD_OFF && g->c.dpd_interval_ns > 0) {
        sa->dpd_ns = now + g->c.dpd_interval_ns;
    }
    if (g && sa->nat_local && g->c.nat_keepalive_ns > 0) {
        sa->keepalive_ns = now + g->c.nat_keepalive_ns;
    }
    sa->heard_ns = sa->traffic_in_ns = sa->traffic_out_ns = now;
}

void ike_child_set_lifetime(struct ike_sa *sa, struct ike_child *child)
{
    struct ike_tunnel *t = ike_tunnel_find(sa->ike, child->tunnel);
    int64_t now = sa->ike->now_ns;

    child->created_ns = now;
    child->soft_ns = child->hard_ns = INT64_MAX;
    if (t && t->c.lifetime_ns > 0) {
        child->hard_ns = now + t->c.lifetime_ns;
        if (!t->c.no_rekey) {
            child->soft_ns = child->hard_ns - soft_margin(sa->ike, t->c.lifetime_ns);
        }
    }
}

/* Is a probe wanted now? (RFC 7296 section 2.4; modes as the box's `dead-peer-detection`) */
static bool probe_wanted(const struct ike_sa *sa, const struct ike_gateway *g)
{
    int64_t since = sa->ike->now_ns - g->c.dpd_interval_ns;
    bool heard = sa->heard_ns > since || sa->traffic_in_ns > since;

    switch (g->c.dpd) {
    case IKE_DPD_OPTIMIZED: /* we send and nothing comes back */
        return !heard && sa->traffic_out_ns > since;
    case IKE_DPD_PROBE_IDLE: /* nothing goes either way */
        return !heard && sa->traffic_out_ns <= since;
    case IKE_DPD_ALWAYS:
        return true;
    case IKE_DPD_OFF:
        break;
    }
    return false;
}

static void tick_liveness(struct ike_sa *sa, int64_t now)
{
    struct ike_gateway *g = ike_sa_gateway(sa);

    if (now >= sa->dpd_ns) {
        sa->dpd_ns = g && g->c.dpd_interval_ns > 0 ? now + g->c.dpd_interval_ns : INT64_MAX;
        if (g && probe_wanted(sa, g) && sa->out.kind == IKE_TASK_NONE) {
            ike_task_add(sa, IKE_TASK_LIVENESS, 0, 0, IKE_REASON_NONE);
        }
    }
    if (now >= sa->keepalive_ns) {
        int64_t interval = g && g->c.nat_keepalive_ns > 0 ? g->c.nat_keepalive_ns : 20 * FW_SEC;

        sa->keepalive_ns = now + interval;
        if (sa->sent_ns + interval <= now) { /* RFC 3948 section 4: one byte without a marker */
            struct ike_action *a = ike_action_push(sa->ike, IKE_ACTION_SEND);

            a->sa_index = sa->index;
            a->local = sa->local;
            a->remote = sa->remote;
            a->local_port = sa->local_port;
            a->remote_port = sa->remote_port;
            a->bytes = g_memdup2("\xff", 1);
            a->n_bytes = 1;
        }
    }
}

static void tick_children(struct ike_sa *sa, int64_t now)
{
    for (unsigned i = sa->children->len; sa->state == IKE_S_UP && i-- > 0;) {
        struct ike_child *c = sa->children->pdata[i];

        if (now >= c->outbound_at_ns) {
            ike_child_install_outbound(sa, c);
            ike_sa_record(sa);
        }
        if (now >= c->hard_ns) {
            c->hard_ns = INT64_MAX;
            if (!c->deleting) {
                c->deleting = true;
                ike_task_add(sa, IKE_TASK_CHILD_DELETE, c->tunnel, c->spi_in, IKE_REASON_LIFETIME);
            }
        } else if (now >= c->soft_ns && !c->replaced && !c->deleting && !c->rekeying) {
            c->soft_ns = INT64_MAX;
            c->rekeying = true;
            ike_event_push(sa, IKE_EVENT_CHILD_REKEY_BEGAN, IKE_REASON_LIFETIME, c->tunnel);
            ike_task_add(sa, IKE_TASK_CHILD_REKEY, c->tunnel, c->spi_in, IKE_REASON_LIFETIME);
        }
    }
}

void ike_sa_tick(struct ike_sa *sa)
{
    int64_t now = sa->ike->now_ns;

    if (now >= sa->expires_ns) {
        ike_sa_kill(sa, IKE_REASON_NO_RESPONSE);
        return;
    }
    if (now >= sa->out_next_ns) {
        ike_task_retransmit(sa);
    }
    if (sa->state != IKE_S_UP) {
        return;
    }
    tick_children(sa, now);
    tick_liveness(sa, now);
    if (now >= sa->hard_ns) {
        sa->hard_ns = INT64_MAX;
        ike_task_add(sa, IKE_TASK_IKE_DELETE, 0, 0, IKE_REASON_LIFETIME);
    } else if (now >= sa->soft_ns) {
        sa->soft_ns = INT64_MAX;
        if (!sa->replaced) {
            ike_task_add(sa, IKE_TASK_IKE_REKEY, 0, 0, IKE_REASON_LIFETIME);
        }
    }
    ike_task_run(sa);
}

/* ---- established ---- */

/*
 * Both ends may have begun at the same time. As with rekeying (section 2.8.2) the SA with the
 * smallest nonce is closed by the end that began it; both ends come to the same conclusion.
 */
static void settle_duplicates(struct ike_sa *sa)
{
    GHashTableIter it;
    gpointer value;
    struct ike_sa *loser = NULL;

    g_hash_table_iter_init(&it, sa->ike->by_index);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        struct ike_sa *o = value;
        uint8_t a[IKE_NONCE_OWN], b[IKE_NONCE_OWN];

        if (o == sa || o->state != IKE_S_UP || o->replaced || o->initiator == sa->initiator ||
            strcmp(o->gateway, sa->gateway) != 0 ||
            sa->created_ns - o->created_ns > IKE_DUPLICATE_NS) {
            continue;
        }
        ike_nonce_min(&sa->ni, &sa->nr, a);
        ike_nonce_min(&o->ni, &o->nr, b);
        loser = memcmp(a, b, sizeof a) < 0 ? sa : o;
    }
    if (loser && loser->initiator && !ike_task_has(loser, IKE_TASK_IKE_DELETE, 0, 0)) {
        ike_task_add(loser, IKE_TASK_IKE_DELETE, 0, 0, IKE_REASON_REPLACED);
        ike_task_run(loser);
        ike_sa_schedule(loser);
    }
}

void ike_sa_established(struct ike_sa *sa)
{
    struct ike_action *a;

    if (half_open_counts(sa)) {
        half_open_leave(sa);
    }
    sa->state = IKE_S_UP;
    sa->expires_ns = INT64_MAX;
    ike_sa_set_lifetime(sa);
    g_clear_pointer(&sa->init_request, g_byte_array_unref);
    g_clear_pointer(&sa->init_response, g_byte_array_unref);
    a = ike_action_push(sa->ike, IKE_ACTION_KEYS);
    a->sa_index = sa->index;
    ike_event_push(sa, IKE_EVENT_IKE_UP, IKE_REASON_NONE, 0);
    settle_duplicates(sa);
}

void ike_sa_record(struct ike_sa *sa)
{
    struct ike_action *last = g_queue_peek_tail(&sa->ike->actions);
    struct ike_action *a;

    if (sa->state != IKE_S_UP ||
        (last && last->kind == IKE_ACTION_RECORD && last->sa_index == sa->index)) {
        return;
    }
    a = ike_action_push(sa->ike, IKE_ACTION_RECORD);
    a->sa_index = sa->index;
}

/* ---- negotiations ---- */

static uint64_t wait_new(struct ike_sa *sa, uint32_t tunnel, const struct ike_placement *place)
{
    struct ike_wait *w = g_new0(struct ike_wait, 1);

    w->id = ++sa->ike->last_id;
    w->sa = sa;
    w->tunnel = tunnel;
    if (place) {
        w->place = *place;
    }
    g_hash_table_insert(sa->ike->waiting, &w->id, w);
    return w->id;
}

void ike_job_push(struct ike_sa *sa, struct ike_nego *n, enum fw_job_kind kind)
{
    struct ike_action *a = ike_action_push(sa->ike, IKE_ACTION_JOB);

    n->job = wait_new(sa, 0, NULL);
    a->id = n->job;
    a->sa_index = sa->index;
    a->job = fw_job_new(kind, n->group);
    if (kind == FW_JOB_DH_DERIVE) {
        a->job->private_value = fw_secret_new(n->private_value->data, n->private_value->len);
        memcpy(a->job->public_value, n->public_peer, n->public_peer_len);
        a->job->public_len = n->public_peer_len;
    }
}

void ike_reserve_push(struct ike_sa *sa, struct ike_nego *n)
{
    struct ike_action *a = ike_action_push(sa->ike, IKE_ACTION_RESERVE);

    n->reserve = wait_new(sa, n->tunnel, &n->place);
    a->id = n->reserve;
    a->sa_index = sa->index;
    a->tunnel = n->tunnel;
    a->place = n->place;
}

static void wait_drop(struct ike *ike, uint64_t id)
{
    struct ike_wait *w = id ? g_hash_table_lookup(ike->waiting, &id) : NULL;

    if (w && w->tunnel) {
        w->sa = NULL; /* the SPI will come and must be released */
    } else if (w) {
        g_hash_table_remove(ike->waiting, &id);
    }
}

void ike_nego_clear(struct ike_sa *sa, struct ike_nego *n)
{
    wait_drop(sa->ike, n->job);
    wait_drop(sa->ike, n->reserve);
    if (n->active && n->spi_in) {
        struct ike_action *a = ike_action_push(sa->ike, IKE_ACTION_RELEASE);

        a->spi = n->spi_in;
        a->tunnel = n->tunnel;
        a->place = n->place;
    }
    fw_secret_free(n->private_value);
    fw_secret_free(n->shared);
    fw_wipe(n, sizeof *n);
}

void ike_nonce_draw(struct ike *ike, struct ike_nonce *n)
{
    n->len = IKE_NONCE_OWN;
    ike_random(ike, n->data, n->len);
}

bool ike_nonce_take(struct ike_nonce *n, const struct ike_payload *p)
{
    if (!p || p->len < IKE_NONCE_MIN || p->len > IKE_NONCE_MAX) {
        return false;
    }
    n->len = (uint16_t)p->len;
    memcpy(n->data, p->body, p->len);
    return true;
}

/* The smaller of two nonces, cut or filled with zeroes to a fixed size. */
void ike_nonce_min(const struct ike_nonce *a, const struct ike_nonce *b, uint8_t ret[IKE_NONCE_OWN])
{
    uint8_t x[IKE_NONCE_OWN] = {0}, y[IKE_NONCE_OWN] = {0};

    memcpy(x, a->data, MIN(a->len, IKE_NONCE_OWN));
    memcpy(y, b->data, MIN(b->len, IKE_NONCE_OWN));
    memcpy(ret, memcmp(x, y, IKE_NONCE_OWN) < 0 ? x : y, IKE_NONCE_OWN);
}

bool ike_ke_take(struct ike_nego *n, const struct ike_payload *p)
{
    const uint8_t *data;
    uint16_t group;
    size_t len;

    if (!p || !ike_ke_parse(fw_cursor(p->body, p->len), &group, &data, &len) || group != n->group ||
        len != fw_group_public_bytes(group) || len > FW_DH_MAX) {
        return false;
    }
    memcpy(n->public_peer, data, len);
    n->public_peer_len = len;
    return true;
}
