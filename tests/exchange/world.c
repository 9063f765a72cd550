/* world - see world.h. */
#include "tests/exchange/world.h"

#include <string.h>

static void pseudo_random(void *ret, size_t n, void *data)
{
    struct world_end *e = data;
    uint8_t *p = ret;

    for (size_t i = 0; i < n; i++) {
        e->rng = e->rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        p[i] = (uint8_t)(e->rng >> 56);
    }
}

static void end_init(struct world *w, struct world_end *e, struct world_end *peer, const char *addr,
                     uint64_t seed)
{
    e->world = w;
    e->peer = peer;
    e->rng = seed;
    e->anchor = 1;
    e->ike = ike_new(pseudo_random, e);
    fw_addr_parse(addr, &e->addr);
    e->sas = g_array_new(FALSE, TRUE, sizeof(struct world_sa));
    e->records = g_hash_table_new_full(NULL, NULL, NULL, (GDestroyNotify)g_byte_array_unref);
}

static void end_config(struct world_end *e)
{
    static const uint8_t psk[] = "sixteen-byte-psk";
    struct ike_gateway_config *g = &e->gateway;
    struct ike_tunnel_config *t = &e->tunnel;

    g_strlcpy(g->name, "gw", sizeof g->name);
    g->local = e->addr;
    g->remote = e->peer->addr;
    g->psk = psk;
    g->psk_len = sizeof psk - 1;
    g->suites[0] = (struct ike_suite){FW_ENC_AES_GCM_128, FW_INTEG_NONE, FW_PRF_SHA256, 19};
    g->n_suites = 1;
    g->lifetime_ns = 28800 * FW_SEC;
    g->nat_traversal = true;
    g->nat_keepalive_ns = 20 * FW_SEC;
    g->dpd = IKE_DPD_OFF;
    g->dpd_interval_ns = 10 * FW_SEC;
    g->dpd_threshold = 3;
    t->tunnel = WORLD_TUNNEL;
    g_strlcpy(t->gateway, "gw", sizeof t->gateway);
    t->suites[0] = (struct ike_esp_suite){FW_ENC_AES_GCM_128, FW_INTEG_NONE, 0, false};
    t->n_suites = 1;
    t->lifetime_ns = 3600 * FW_SEC;
    t->place = (struct ike_placement){e->anchor, 1, 0, 3, 1};
}

void world_configure(struct world_end *e)
{
    ike_gateway_set(e->ike, &e->gateway, e->world->now_ns);
    ike_tunnel_set(e->ike, &e->tunnel, e->world->now_ns);
    world_drain(e);
}

struct world *world_new(void)
{
    struct world *w = g_new0(struct world, 1);

    w->now_ns = 1000 * FW_SEC;
    end_init(w, &w->a, &w->b, "192.0.2.1", 11);
    end_init(w, &w->b, &w->a, "192.0.2.2", 22);
    end_config(&w->a);
    end_config(&w->b);
    world_configure(&w->a);
    world_configure(&w->b);
    return w;
}

static void end_free(struct world_end *e)
{
    struct ike_action *a;

    ike_free(e->ike);
    while ((a = g_queue_pop_head(&e->outbox)) || (a = g_queue_pop_head(&e->held))) {
        ike_action_free(a);
    }
    g_array_free(e->sas, TRUE);
    g_hash_table_destroy(e->records);
}

void world_free(struct world *w)
{
    end_free(&w->a);
    end_free(&w->b);
    g_free(w);
}

static struct world_sa *sa_find(struct world_end *e, enum ike_direction d, uint32_t spi)
{
    for (unsigned i = 0; i < e->sas->len; i++) {
        struct world_sa *s = &g_array_index(e->sas, struct world_sa, i);

        if (s->direction == d && s->spi == spi) {
            return s;
        }
    }
    return NULL;
}

static void sa_remove(struct world_end *e, const struct world_sa *s)
{
    if (s) {
        g_array_remove_index(e->sas, (guint)(s - (struct world_sa *)(void *)e->sas->data));
    }
}

static void expire(struct world_end *e)
{
    for (unsigned i = e->sas->len; i-- > 0;) {
        if (g_array_index(e->sas, struct world_sa, i).gone_at_ns <= e->world->now_ns) {
            g_array_remove_index(e->sas, i);
        }
    }
}

static void install(struct world_end *e, const struct ike_action *a)
{
    struct world_sa *s = sa_find(e, a->direction, a->spi);
    struct world_sa fresh = {0};

    if (a->direction == IKE_OUTBOUND) {
        /* a key goes to a card only when the record says that it has gone */
        g_assert(e->last_kind == IKE_ACTION_RECORD && e->last_sa == a->sa_index);
    }
    if (!s) {
        g_assert(a->direction == IKE_OUTBOUND); /* an inbound SPI was reserved before */
        g_array_append_val(e->sas, fresh);
        s = &g_array_index(e->sas, struct world_sa, e->sas->len - 1);
    }
    s->direction = a->direction;
    s->spi = a->spi;
    s->tunnel = a->tunnel;
    s->suite = a->suite;
    s->key_len = a->key_len + a->integ_key_len;
    memcpy(s->key, a->key, a->key_len);
    memcpy(s->key + a->key_len, a->integ_key, a->integ_key_len);
    s->larval = false;
    s->encap_remote = a->remote_port;
    s->gone_at_ns = INT64_MAX;
    s->order = ++e->world->order;
}

static void reserve(struct world_end *e, const struct ike_action *a)
{
    uint32_t spi = 0;

    if (!e->refuse_spi) {
        struct world_sa s = {.direction = IKE_INBOUND, .larval = true, .gone_at_ns = INT64_MAX};

        pseudo_random(&spi, sizeof spi, e);
        spi = (uint32_t)a->place.anchor << 20 | (spi & 0xfffff);
        s.spi = spi;
        s.tunnel = a->tunnel;
        g_array_append_val(e->sas, s);
    }
    ike_spi_reserved(e->ike, a->id, spi, e->world->now_ns);
}

static void record(struct world_end *e, const struct ike_action *a)
{
    uint8_t bytes[IKE_RECORD_MAX];
    size_t n = ike_record_write(e->ike, a->sa_index, bytes, sizeof bytes);

    if (n) {
        g_hash_table_insert(e->records, GUINT_TO_POINTER(a->sa_index),
                            g_byte_array_append(g_byte_array_new(), bytes, (guint)n));
    }
}

static void job(struct world_end *e, struct ike_action *a)
{
    fw_job_run(a->job);
    ike_job_done(e->ike, a->id, a->job, e->world->now_ns);
}

void world_drain(struct world_end *e)
{
    struct ike_action *a;

    while ((a = ike_action_next(e->ike))) {
        switch (a->kind) {
        case IKE_ACTION_SEND:
            g_queue_push_tail(&e->outbox, a);
            e->sent++;
            continue;
        case IKE_ACTION_JOB:
            if (e->hold_jobs) {
                g_queue_push_tail(&e->held, a);
                continue;
            }
            job(e, a);
            break;
        case IKE_ACTION_RESERVE:
            if (e->hold_spi) {
                g_queue_push_tail(&e->held, a);
                continue;
            }
            reserve(e, a);
            break;
        case IKE_ACTION_RELEASE:
            sa_remove(e, sa_find(e, IKE_INBOUND, a->spi));
            break;
        case IKE_ACTION_INSTALL:
            install(e, a);
            break;
        case IKE_ACTION_DELETE: {
            struct world_sa *s = sa_find(e, a->direction, a->spi);

            if (s && a->delay_ns) {
                s->gone_at_ns = e->world->now_ns + a->delay_ns;
            } else {
                sa_remove(e, s);
            }
            break;
        }
        case IKE_ACTION_RECORD:
            record(e, a);
            break;
        case IKE_ACTION_UNRECORD:
            g_hash_table_remove(e->records, GUINT_TO_POINTER(a->sa_index));
            break;
        case IKE_ACTION_KEYS:
            break;
        case IKE_ACTION_EVENT:
            e->events[a->event]++;
            if (a->reason) {
                e->last_reason = a->reason;
            }
            break;
        }
        e->last_kind = a->kind;
        e->last_sa = a->sa_index;
        ike_action_free(a);
    }
}

void world_release(struct world_end *e)
{
    struct ike_action *a;

    e->hold_jobs = e->hold_spi = false;
    while ((a = g_queue_pop_head(&e->held))) {
        if (a->kind == IKE_ACTION_RESERVE) {
            reserve(e, a);
        } else {
            job(e, a);
        }
        ike_action_free(a);
    }
    world_drain(e);
}

enum ike_verdict world_inject(struct world_end *to, const struct ike_action *send)
{
    struct ike_datagram d = {.local = send->remote,
                             .remote = send->local,
                             .local_port = send->remote_port,
                             .remote_port = send->local_port,
                             .natt = send->natt,
                             .bytes = send->bytes,
                             .n_bytes = send->n_bytes};
    enum ike_verdict v = ike_receive(to->ike, &d, to->world->now_ns);

    world_drain(to);
    return v;
}

struct ike_action *world_peek(struct world_end *e)
{
    struct ike_action *first = g_queue_peek_head(&e->outbox);
    struct ike_action *copy;

    if (!first) {
        return NULL;
    }
    copy = g_memdup2(first, sizeof *first);
    copy->bytes = g_memdup2(first->bytes, first->n_bytes);
    return copy;
}

enum ike_verdict world_deliver(struct world_end *e)
{
    struct ike_action *a = g_queue_pop_head(&e->outbox);
    enum ike_verdict v;

    g_assert(a);
    v = world_inject(e->peer, a);
    ike_action_free(a);
    return v;
}

void world_drop(struct world_end *e)
{
    ike_action_free(g_queue_pop_head(&e->outbox));
}

void world_settle(struct world *w)
{
    world_drain(&w->a);
    world_drain(&w->b);
    for (unsigned i = 0; i < 200 && (w->a.outbox.length || w->b.outbox.length); i++) {
        if (w->a.outbox.length) {
            world_deliver(&w->a);
        }
        if (w->b.outbox.length) {
            world_deliver(&w->b);
        }
    }
    g_assert(w->a.outbox.length == 0 && w->b.outbox.length == 0);
}

void world_advance(struct world *w, int64_t ns)
{
    int64_t end = w->now_ns + ns;

    for (;;) {
        int64_t next = MIN(ike_deadline_ns(w->a.ike), ike_deadline_ns(w->b.ike));

        if (next > end) {
            break;
        }
        w->now_ns = MAX(w->now_ns, next);
        ike_tick(w->a.ike, w->now_ns);
        world_drain(&w->a);
        ike_tick(w->b.ike, w->now_ns);
        world_drain(&w->b);
        expire(&w->a);
        expire(&w->b);
        if (w->a.outbox.length || w->b.outbox.length) {
            return; /* the test decides what becomes of them */
        }
    }
    w->now_ns = end;
    expire(&w->a);
    expire(&w->b);
}

void world_restart(struct world_end *e)
{
    GHashTableIter it;
    gpointer value;

    ike_free(e->ike);
    e->ike = ike_new(pseudo_random, e);
    world_configure(e);
    g_hash_table_iter_init(&it, e->records);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        const GByteArray *r = value;

        g_assert(ike_record_read(e->ike, r->data, r->len, e->world->now_ns));
    }
    world_drain(e);
}

const struct world_sa *world_outbound(struct world_end *e)
{
    const struct world_sa *best = NULL;

    for (unsigned i = 0; i < e->sas->len; i++) {
        const struct world_sa *s = &g_array_index(e->sas, struct world_sa, i);

        if (s->direction == IKE_OUTBOUND && (!best || s->order > best->order)) {
            best = s;
        }
    }
    return best;
}

const struct world_sa *world_inbound(struct world_end *e, uint32_t spi)
{
    return sa_find(e, IKE_INBOUND, spi);
}

unsigned world_count(struct world_end *e, enum ike_direction d)
{
    unsigned n = 0;

    for (unsigned i = 0; i < e->sas->len; i++) {
        n += g_array_index(e->sas, struct world_sa, i).direction == d;
    }
    return n;
}

bool world_passes(struct world_end *e)
{
    const struct world_sa *out = world_outbound(e);
    const struct world_sa *in = out ? world_inbound(e->peer, out->spi) : NULL;

    /* a larval SA holds the packet until its keys come */
    return in && (in->larval || (in->suite.enc == out->suite.enc && in->key_len == out->key_len &&
                                 memcmp(in->key, out->key, in->key_len) == 0));
}

bool world_up(struct world *w)
{
    ike_tunnel_initiate(w->a.ike, WORLD_TUNNEL, w->now_ns);
    world_settle(w);
    return ike_tunnel_up(w->a.ike, WORLD_TUNNEL) && ike_tunnel_up(w->b.ike, WORLD_TUNNEL) &&
           world_passes(&w->a) && world_passes(&w->b);
}
