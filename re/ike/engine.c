/*
 * engine - the object behind ike.h: configuration, tables, the action queue, results coming in.
 *
 * Every public call notes the time, does its work, and buries the SAs that died in it.
 */
#include "re/ike/internal.h"

#include <string.h>

#define PTR(n) GUINT_TO_POINTER(n)

static const char *const verdict_names[IKE_VERDICT_COUNT] = {
    "ok",        "short",  "version",  "unknown-sa", "message-id", "repeated", "state",
    "integrity", "syntax", "critical", "no-gateway", "busy",       "cookie",   "refused"};

static const char *const reason_texts[IKE_REASON_COUNT] = {"none",
                                                           "no response from peer",
                                                           "no proposal chosen",
                                                           "authentication failed",
                                                           "traffic selectors unacceptable",
                                                           "malformed message",
                                                           "key exchange failed",
                                                           "no card could reserve an SPI",
                                                           "refused by peer",
                                                           "deleted by peer",
                                                           "peer is dead",
                                                           "lifetime expired",
                                                           "configuration changed",
                                                           "cleared by operator",
                                                           "replaced by a newer one"};

const char *ike_verdict_name(enum ike_verdict v)
{
    return (unsigned)v < IKE_VERDICT_COUNT ? verdict_names[v] : "?";
}

const char *ike_reason_text(enum ike_reason r)
{
    return (unsigned)r < IKE_REASON_COUNT ? reason_texts[r] : "?";
}

/* ---- actions ---- */

struct ike_action *ike_action_push(struct ike *ike, enum ike_action_kind kind)
{
    struct ike_action *a = g_new0(struct ike_action, 1);

    a->kind = kind;
    g_queue_push_tail(&ike->actions, a);
    return a;
}

struct ike_action *ike_action_next(struct ike *ike)
{
    return g_queue_pop_head(&ike->actions);
}

void ike_action_free(struct ike_action *action)
{
    if (!action) {
        return;
    }
    fw_job_free(action->job);
    g_free(action->bytes);
    fw_wipe(action, sizeof *action);
    g_free(action);
}

void ike_event_push(struct ike_sa *sa, enum ike_event event, enum ike_reason reason,
                    uint32_t tunnel)
{
    struct ike_action *a = ike_action_push(sa->ike, IKE_ACTION_EVENT);

    a->sa_index = sa->index;
    a->id = sa->index;
    a->tunnel = tunnel;
    a->event = event;
    a->reason = reason;
    a->local = sa->local;
    a->remote = sa->remote;
}

void ike_random(struct ike *ike, void *ret, size_t n)
{
    ike->random(ret, n, ike->random_data);
}

/* ---- life ---- */

static void gateway_free(gpointer data)
{
    struct ike_gateway *g = data;

    fw_secret_free(g->psk);
    g_free(g);
}

static gint deadline_compare(gconstpointer a, gconstpointer b, gpointer unused)
{
    const struct ike_sa *x = a, *y = b;

    (void)unused;
    if (x->deadline_ns != y->deadline_ns) {
        return x->deadline_ns < y->deadline_ns ? -1 : 1;
    }
    return x->index < y->index ? -1 : x->index > y->index;
}

struct ike *ike_new(ike_random_cb random, void *data)
{
    struct ike *ike = g_new0(struct ike, 1);

    ike->random = random;
    ike->random_data = data;
    ike->gateways = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, gateway_free);
    ike->tunnels = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    ike->by_spi = g_hash_table_new(g_int64_hash, g_int64_equal);
    ike->by_index = g_hash_table_new(NULL, NULL);
    ike->by_peer = g_hash_table_new(g_int64_hash, g_int64_equal);
    ike->waiting = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
    ike->deadlines = g_tree_new_with_data(deadline_compare, NULL);
    ike->dead = g_ptr_array_new();
    ike->cookie_above = 64;
    ike->half_open_most = 1024;
    return ike;
}

void ike_free(struct ike *ike)
{
    GHashTableIter it;
    gpointer sa;
    struct ike_action *a;

    if (!ike) {
        return;
    }
    ike_bury(ike);
    g_hash_table_iter_init(&it, ike->by_index);
    while (g_hash_table_iter_next(&it, NULL, &sa)) {
        ike_sa_free(sa);
    }
    while ((a = ike_action_next(ike))) {
        ike_action_free(a);
    }
    g_tree_destroy(ike->deadlines);
    g_hash_table_destroy(ike->waiting);
    g_hash_table_destroy(ike->by_peer);
    g_hash_table_destroy(ike->by_index);
    g_hash_table_destroy(ike->by_spi);
    g_hash_table_destroy(ike->tunnels);
    g_hash_table_destroy(ike->gateways);
    g_ptr_array_free(ike->dead, TRUE);
    fw_wipe(ike, sizeof *ike);
    g_free(ike);
}

void ike_bury(struct ike *ike)
{
    for (unsigned i = 0; i < ike->dead->len; i++) {
        ike_sa_free(ike->dead->pdata[i]);
    }
    g_ptr_array_set_size(ike->dead, 0);
}

void ike_set_half_open(struct ike *ike, unsigned cookies, unsigned most)
{
    ike->cookie_above = cookies;
    ike->half_open_most = most;
}

void ike_set_wall(struct ike *ike, int64_t wall_minus_now_ns)
{
    ike->wall_ns = wall_minus_now_ns;
}

uint64_t ike_counter(const struct ike *ike, enum ike_verdict v)
{
    return ike->counters[v];
}

/* ---- look-ups ---- */

struct ike_gateway *ike_gateway_find(struct ike *ike, const char *name)
{
    return g_hash_table_lookup(ike->gateways, name);
}

struct ike_tunnel *ike_tunnel_find(struct ike *ike, uint32_t tunnel)
{
    return g_hash_table_lookup(ike->tunnels, PTR(tunnel));
}

struct ike_gateway *ike_sa_gateway(struct ike_sa *sa)
{
    return ike_gateway_find(sa->ike, sa->gateway);
}

const struct ike_id *ike_gateway_local_id(const struct ike_gateway *g, struct ike_id *scratch)
{
    if (g->c.local_id.type) {
        return &g->c.local_id;
    }
    *scratch = ike_id_of_addr(&g->c.local);
    return scratch;
}

const struct ike_id *ike_gateway_remote_id(const struct ike_gateway *g, struct ike_id *scratch)
{
    if (g->c.remote_id.type) {
        return &g->c.remote_id;
    }
    *scratch = ike_id_of_addr(&g->c.remote);
    return scratch;
}

struct ike_sa *ike_sa_of_gateway(struct ike *ike, const char *gateway)
{
    GHashTableIter it;
    gpointer value;
    struct ike_sa *best = NULL;

    g_hash_table_iter_init(&it, ike->by_index);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        struct ike_sa *sa = value;

        if (sa->state == IKE_S_UP && !sa->replaced && sa->out.kind != IKE_TASK_IKE_DELETE &&
            !ike_task_has(sa, IKE_TASK_IKE_DELETE, 0, 0) && strcmp(sa->gateway, gateway) == 0 &&
            (!best || sa->index > best->index)) {
            best = sa;
        }
    }
    return best;
}

/* The IKE SA that is on its way to bring up a gateway, begun by us. */
static struct ike_sa *sa_beginning(struct ike *ike, const char *gateway)
{
    GHashTableIter it;
    gpointer value;

    g_hash_table_iter_init(&it, ike->by_index);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        struct ike_sa *sa = value;

        if ((sa->state == IKE_S_INIT || sa->state == IKE_S_AUTH) &&
            strcmp(sa->gateway, gateway) == 0) {
            return sa;
        }
    }
    return NULL;
}

/* SAs of a gateway as an array, so that they may die while we walk. */
static GPtrArray *sas_of(struct ike *ike, const char *gateway)
{
    GPtrArray *ret = g_ptr_array_new();
    GHashTableIter it;
    gpointer value;

    g_hash_table_iter_init(&it, ike->by_index);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        struct ike_sa *sa = value;

        if (!gateway || strcmp(sa->gateway, gateway) == 0) {
            g_ptr_array_add(ret, sa);
        }
    }
    return ret;
}

/* ---- configuration ---- */

static bool gateway_same(const struct ike_gateway *old, const struct ike_gateway_config *c)
{
    return fw_addr_equal(&old->c.local, &c->local) && fw_addr_equal(&old->c.remote, &c->remote) &&
           ike_id_equal(&old->c.local_id, &c->local_id) &&
           ike_id_equal(&old->c.remote_id, &c->remote_id) && old->psk->len == c->psk_len &&
           fw_equal_ct(old->psk->data, c->psk, c->psk_len) && old->c.n_suites == c->n_suites &&
           memcmp(old->c.suites, c->suites, c->n_suites * sizeof c->suites[0]) == 0;
}

static void sa_end(struct ike_sa *sa, enum ike_reason reason)
{
    if (sa->state == IKE_S_UP) {
        ike_task_add(sa, IKE_TASK_IKE_DELETE, 0, 0, reason);
        ike_task_run(sa);
    } else if (sa->state != IKE_S_DEAD) {
        ike_sa_kill(sa, reason);
    }
}

static void gateway_end(struct ike *ike, const char *name, enum ike_reason reason)
{
    GPtrArray *all = sas_of(ike, name);

    for (unsigned i = 0; i < all->len; i++) {
        sa_end(all->pdata[i], reason);
    }
    g_ptr_array_free(all, TRUE);
}

void ike_gateway_set(struct ike *ike, const struct ike_gateway_config *config, int64_t now_ns)
{
    struct ike_gateway *g = ike_gateway_find(ike, config->name);

    ike->now_ns = now_ns;
    if (g && !gateway_same(g, config)) {
        gateway_end(ike, config->name, IKE_REASON_CONFIGURATION);
    }
    if (!g) {
        g = g_new0(struct ike_gateway, 1);
        g->c = *config;
        g_hash_table_insert(ike->gateways, g->c.name, g);
    } else {
        /* the name, which is the table's key, stays where it is */
        g->c = *config;
        fw_secret_free(g->psk);
    }
    g->psk = fw_secret_new(config->psk, config->psk_len);
    g->c.psk = NULL;
    ike_bury(ike);
}

void ike_gateway_remove(struct ike *ike, const char *name, int64_t now_ns)
{
    ike->now_ns = now_ns;
    if (ike_gateway_find(ike, name)) {
        gateway_end(ike, name, IKE_REASON_CONFIGURATION);
        g_hash_table_remove(ike->gateways, name);
    }
    ike_bury(ike);
}

static bool place_equal(const struct ike_placement *a, const struct ike_placement *b)
{
    return a->anchor == b->anchor && a->slot == b->slot && a->generation == b->generation;
}

static bool tunnel_same(const struct ike_tunnel_config *a, const struct ike_tunnel_config *b)
{
    return strcmp(a->gateway, b->gateway) == 0 && a->n_suites == b->n_suites &&
           memcmp(a->suites, b->suites, a->n_suites * sizeof a->suites[0]) == 0 &&
           a->n_selectors == b->n_selectors &&
           memcmp(a->selectors, b->selectors, a->n_selectors * sizeof a->selectors[0]) == 0;
}

/* Call f for each CHILD SA of the tunnel; f may drop it. */
static void children_of(struct ike *ike, uint32_t tunnel,
                        void (*f)(struct ike_sa *sa, struct ike_child *child, int arg), int arg)
{
    GPtrArray *all = sas_of(ike, NULL);

    for (unsigned i = 0; i < all->len; i++) {
        struct ike_sa *sa = all->pdata[i];

        for (unsigned k = sa->children->len; sa->state == IKE_S_UP && k-- > 0;) {
            struct ike_child *child = sa->children->pdata[k];

            if (tunnel == 0 || child->tunnel == tunnel) {
                f(sa, child, arg);
            }
        }
        if (sa->state == IKE_S_UP) {
            ike_task_run(sa);
        }
    }
    g_ptr_array_free(all, TRUE);
}

static void child_delete(struct ike_sa *sa, struct ike_child *child, int reason)
{
    if (!child->deleting) {
        child->deleting = true;
        ike_task_add(sa, IKE_TASK_CHILD_DELETE, child->tunnel, child->spi_in,
                     (enum ike_reason)reason);
    }
}

static void child_rekey(struct ike_sa *sa, struct ike_child *child, int unused)
{
    (void)unused;
    if (!child->deleting && !child->replaced && !child->rekeying) {
        child->rekeying = true;
        ike_task_add(sa, IKE_TASK_CHILD_REKEY, child->tunnel, child->spi_in, IKE_REASON_NONE);
    }
}

static void child_moved(struct ike_sa *sa, struct ike_child *child, int unused)
{
    struct ike_tunnel *t = ike_tunnel_find(sa->ike, child->tunnel);

    if (place_equal(&child->place, &t->c.place)) {
        return;
    }
    if (!child->lost) {
        child->lost = true;
        ike_sa_record(sa);
    }
    if (t->c.place.anchor) {
        child_rekey(sa, child, unused);
    }
}

void ike_tunnel_set(struct ike *ike, const struct ike_tunnel_config *config, int64_t now_ns)
{
    struct ike_tunnel *t = ike_tunnel_find(ike, config->tunnel);

    ike->now_ns = now_ns;
    if (!t) {
        t = g_new0(struct ike_tunnel, 1);
        t->c = *config;
        g_hash_table_insert(ike->tunnels, PTR(config->tunnel), t);
    }
    bool same = tunnel_same(&t->c, config);
    t->c = *config;
    if (same) {
        children_of(ike, config->tunnel, child_moved, 0);
    } else {
        children_of(ike, config->tunnel, child_delete, IKE_REASON_CONFIGURATION);
    }
    ike_bury(ike);
}

void ike_tunnel_remove(struct ike *ike, uint32_t tunnel, int64_t now_ns)
{
    ike->now_ns = now_ns;
    children_of(ike, tunnel, child_delete, IKE_REASON_CONFIGURATION);
    g_hash_table_remove(ike->tunnels, PTR(tunnel));
    ike_bury(ike);
}

/* ---- what the caller wants ---- */

bool ike_tunnel_initiate(struct ike *ike, uint32_t tunnel, int64_t now_ns)
{
    struct ike_tunnel *t = ike_tunnel_find(ike, tunnel);
    struct ike_gateway *g = t ? ike_gateway_find(ike, t->c.gateway) : NULL;
    struct ike_sa *sa;
    struct ike_child *child;

    ike->now_ns = now_ns;
    if (!g || t->c.place.anchor == 0) {
        return false;
    }
    if (ike_tunnel_up(ike, tunnel) || ike_tunnel_busy(ike, tunnel)) {
        return true;
    }
    child = ike_child_find(ike, tunnel, &sa);
    if (child && child->lost) {
        child_rekey(sa, child, 0);
        ike_task_run(sa);
    } else if ((sa = ike_sa_of_gateway(ike, g->c.name))) {
        ike_task_add(sa, IKE_TASK_CHILD_CREATE, tunnel, 0, IKE_REASON_NONE);
        ike_task_run(sa);
    } else if (!sa_beginning(ike, g->c.name)) {
        sa = ike_sa_new(ike, true, ike_spi_draw(ike), 0);
        g_strlcpy(sa->gateway, g->c.name, sizeof sa->gateway);
        sa->local = g->c.local;
        sa->remote = g->c.remote;
        sa->local_port = sa->remote_port = IKE_PORT;
        sa->first_tunnel = tunnel;
        ike_init_begin(sa);
        ike_sa_schedule(sa);
    }
    ike_bury(ike);
    return true;
}

bool ike_tunnel_up(const struct ike *ike, uint32_t tunnel)
{
    GHashTableIter it;
    gpointer value;

    g_hash_table_iter_init(&it, ike->by_index);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        struct ike_sa *sa = value;

        for (unsigned i = 0; sa->state == IKE_S_UP && i < sa->children->len; i++) {
            struct ike_child *c = sa->children->pdata[i];

            if (c->tunnel == tunnel && !c->lost && !c->deleting) {
                return true;
            }
        }
    }
    return false;
}

bool ike_tunnel_busy(const struct ike *ike, uint32_t tunnel)
{
    GHashTableIter it;
    gpointer value;

    g_hash_table_iter_init(&it, ike->by_index);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        struct ike_sa *sa = value;

        if ((sa->state == IKE_S_INIT || sa->state == IKE_S_AUTH) && sa->first_tunnel == tunnel) {
            return true;
        }
        if (sa->state != IKE_S_UP) {
            continue;
        }
        if ((sa->out.kind == IKE_TASK_CHILD_CREATE || sa->out.kind == IKE_TASK_CHILD_REKEY) &&
            sa->out.tunnel == tunnel) {
            return true;
        }
        for (GList *l = sa->tasks.head; l; l = l->next) {
            struct ike_task *task = l->data;

            if ((task->kind == IKE_TASK_CHILD_CREATE || task->kind == IKE_TASK_CHILD_REKEY) &&
                task->tunnel == tunnel) {
                return true;
            }
        }
        if (sa->theirs.active && sa->theirs.tunnel == tunnel) {
            return true;
        }
    }
    return false;
}

void ike_tunnel_rekey(struct ike *ike, uint32_t tunnel, int64_t now_ns)
{
    ike->now_ns = now_ns;
    children_of(ike, tunnel, child_rekey, 0);
    ike_bury(ike);
}

void ike_sa_rekey(struct ike *ike, uint32_t sa_index, int64_t now_ns)
{
    struct ike_sa *sa = g_hash_table_lookup(ike->by_index, PTR(sa_index));

    ike->now_ns = now_ns;
    if (sa && sa->state == IKE_S_UP && !sa->replaced) {
        ike_task_add(sa, IKE_TASK_IKE_REKEY, 0, 0, IKE_REASON_NONE);
        ike_task_run(sa);
    }
    ike_bury(ike);
}

void ike_tunnel_clear(struct ike *ike, uint32_t tunnel, enum ike_reason reason, int64_t now_ns)
{
    ike->now_ns = now_ns;
    children_of(ike, tunnel, child_delete, (int)reason);
    ike_bury(ike);
}

void ike_sa_clear(struct ike *ike, uint32_t sa_index, enum ike_reason reason, int64_t now_ns)
{
    GPtrArray *all = sas_of(ike, NULL);

    ike->now_ns = now_ns;
    for (unsigned i = 0; i < all->len; i++) {
        struct ike_sa *sa = all->pdata[i];

        if (sa_index == 0 || sa->index == sa_index) {
            sa_end(sa, reason);
        }
    }
    g_ptr_array_free(all, TRUE);
    ike_bury(ike);
}

void ike_child_lost(struct ike *ike, uint32_t spi, bool gone, int64_t now_ns)
{
    GPtrArray *all = sas_of(ike, NULL);

    ike->now_ns = now_ns;
    for (unsigned i = 0; i < all->len; i++) {
        struct ike_sa *sa = all->pdata[i];
        struct ike_child *c = sa->state == IKE_S_UP ? ike_child_by_in(sa, spi) : NULL;

        c = c ? c : sa->state == IKE_S_UP ? ike_child_by_out(sa, spi) : NULL;
        if (c) {
            c->lost = c->lost || gone;
            child_rekey(sa, c, 0);
            ike_task_run(sa);
        }
    }
    g_ptr_array_free(all, TRUE);
    ike_bury(ike);
}

void ike_traffic(struct ike *ike, uint32_t tunnel, uint64_t in_packets, uint64_t out_packets,
                 int64_t now_ns)
{
    struct ike_tunnel *t = ike_tunnel_find(ike, tunnel);
    struct ike_sa *sa;

    ike->now_ns = now_ns;
    if (t && ike_child_find(ike, tunnel, &sa)) {
        if (t->seen_in != in_packets) {
            sa->traffic_in_ns = now_ns;
        }
        if (t->seen_out != out_packets) {
            sa->traffic_out_ns = now_ns;
        }
    }
    if (t) {
        t->seen_in = in_packets;
        t->seen_out = out_packets;
    }
}

/* ---- results and time ---- */

/* Whose result this is; NULL when nobody waits any more. */
static struct ike_sa *waiting_take(struct ike *ike, uint64_t id, struct ike_wait *ret)
{
    struct ike_wait *w = g_hash_table_lookup(ike->waiting, &id);

    memset(ret, 0, sizeof *ret);
    if (w) {
        *ret = *w;
        g_hash_table_remove(ike->waiting, &id);
    }
    return ret->sa;
}

/* The peer's side of whatever state the SA is in. */
static void theirs_advance(struct ike_sa *sa)
{
    if (sa->state == IKE_S_HALF_OPEN) {
        if (sa->theirs.auth) {
            ike_auth_responder_advance(sa);
        } else {
            ike_init_responder_advance(sa);
        }
    } else if (sa->theirs.rekey_ike) {
        ike_rekey_responder_advance(sa);
    } else {
        ike_create_responder_advance(sa);
    }
}

void ike_job_done(struct ike *ike, uint64_t id, struct fw_job *job, int64_t now_ns)
{
    struct ike_wait w;
    struct ike_sa *sa = waiting_take(ike, id, &w);

    ike->now_ns = now_ns;
    if (!sa) {
        return;
    }
    struct ike_nego *n = sa->mine.job == id ? &sa->mine : &sa->theirs;

    n->job = 0;
    if (!job->failed && job->kind == FW_JOB_DH_GENERATE && job->public_len <= FW_DH_MAX) {
        fw_secret_free(n->private_value);
        n->private_value = g_steal_pointer(&job->private_value);
        memcpy(n->public_own, job->public_value, job->public_len);
        n->public_own_len = job->public_len;
    } else if (!job->failed && job->kind == FW_JOB_DH_DERIVE) {
        fw_secret_free(n->shared);
        n->shared = g_steal_pointer(&job->shared);
    }
    if (n == &sa->mine) {
        ike_task_advance(sa);
    } else {
        theirs_advance(sa);
    }
    ike_sa_schedule(sa);
    ike_bury(ike);
}

void ike_spi_reserved(struct ike *ike, uint64_t id, uint32_t spi, int64_t now_ns)
{
    struct ike_wait w;
    struct ike_sa *sa = waiting_take(ike, id, &w);

    ike->now_ns = now_ns;
    if (!sa) {
        if (spi && w.tunnel) { /* the negotiation ended meanwhile */
            struct ike_action *a = ike_action_push(ike, IKE_ACTION_RELEASE);

            a->spi = spi;
            a->tunnel = w.tunnel;
            a->place = w.place;
        }
        return;
    }
    struct ike_nego *n = sa->mine.reserve == id ? &sa->mine : &sa->theirs;

    n->reserve = 0;
    n->spi_in = spi;
    if (n == &sa->mine) {
        ike_task_advance(sa);
    } else {
        theirs_advance(sa);
    }
    ike_sa_schedule(sa);
    ike_bury(ike);
}

int64_t ike_deadline_ns(const struct ike *ike)
{
    GTreeNode *first = g_tree_node_first(ike->deadlines);

    return first ? ((struct ike_sa *)g_tree_node_key(first))->deadline_ns : INT64_MAX;
}

void ike_tick(struct ike *ike, int64_t now_ns)
{
    GTreeNode *first;

    ike->now_ns = now_ns;
    while ((first = g_tree_node_first(ike->deadlines))) {
        struct ike_sa *sa = g_tree_node_key(first);

        if (sa->deadline_ns > now_ns) {
            break;
        }
        ike_sa_tick(sa);
        ike_sa_schedule(sa);
        if (sa->state != IKE_S_DEAD && sa->deadline_ns <= now_ns) {
            g_critical("ike: SA %u stays due in state %d", sa->index, sa->state);
            break;
        }
    }
    ike_bury(ike);
}
