/*
 * placement - see placement.h.
 *
 * Tables: SPUs by (slot, SPU), pairs by their two addresses, tunnels by id. An
 * SPU counts its tunnels per thread, a pair counts its own, so that a choice
 * looks at SPUs and threads, never at tunnels. Single thread.
 */
#include "re/ikemd/placement/placement.h"

#include <stdlib.h>
#include <string.h>

struct spu {
    bool there;
    uint8_t slot, spu, threads;
    uint32_t generation;
    unsigned tunnels;
    unsigned pairs;
    unsigned on_thread[PLACEMENT_THREADS];
};

struct pair {
    struct fw_addr local, remote;
    struct spu *spu;  /* NULL: no place */
    unsigned members; /* tunnels of the pair, placed or not */
    unsigned tunnels; /* placed ones */
    unsigned on_thread[PLACEMENT_THREADS];
};

struct tunnel {
    uint32_t id;
    struct pair *pair;
    bool placed;
    uint8_t thread;
};

struct placement {
    enum placement_rule rule;
    uint32_t (*below)(uint32_t bound);
    struct spu spus[PLACEMENT_SLOTS][PLACEMENT_SPUS];
    GHashTable *pairs;   /* struct pair, owned, by content */
    GHashTable *tunnels; /* id -> struct tunnel, owned */
};

static guint pair_hash(gconstpointer key)
{
    const struct pair *p = key;
    const uint8_t *bytes[2] = {(const uint8_t *)&p->local, (const uint8_t *)&p->remote};
    guint hash = 2166136261u;

    for (unsigned i = 0; i < 2; i++) {
        for (size_t j = 0; j < sizeof p->local; j++) {
            hash = (hash ^ bytes[i][j]) * 16777619u;
        }
    }
    return hash;
}

static gboolean pair_equal(gconstpointer a, gconstpointer b)
{
    const struct pair *x = a, *y = b;

    return fw_addr_equal(&x->local, &y->local) && fw_addr_equal(&x->remote, &y->remote);
}

struct placement *placement_new(enum placement_rule rule, uint32_t (*below)(uint32_t bound))
{
    struct placement *p = g_new0(struct placement, 1);

    p->rule = rule;
    p->below = below;
    p->pairs = g_hash_table_new_full(pair_hash, pair_equal, g_free, NULL);
    p->tunnels = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
    return p;
}

void placement_free(struct placement *p)
{
    if (p) {
        g_hash_table_unref(p->tunnels);
        g_hash_table_unref(p->pairs);
        g_free(p);
    }
}

uint16_t placement_anchor(uint8_t slot, uint8_t spu, uint8_t thread)
{
    if (slot >= PLACEMENT_SLOTS || spu >= PLACEMENT_SPUS || thread >= PLACEMENT_THREADS) {
        return 0;
    }
    return (uint16_t)(1 + (slot * PLACEMENT_SPUS + spu) * PLACEMENT_THREADS + thread);
}

bool placement_place(uint16_t anchor, uint8_t *ret_slot, uint8_t *ret_spu, uint8_t *ret_thread)
{
    unsigned number = anchor - 1u;

    if (anchor == 0 || number >= PLACEMENT_SLOTS * PLACEMENT_SPUS * PLACEMENT_THREADS) {
        return false;
    }
    *ret_thread = (uint8_t)(number % PLACEMENT_THREADS);
    *ret_spu = (uint8_t)(number / PLACEMENT_THREADS % PLACEMENT_SPUS);
    *ret_slot = (uint8_t)(number / PLACEMENT_THREADS / PLACEMENT_SPUS);
    return true;
}

static struct tunnel *tunnel_of(const struct placement *p, uint32_t id)
{
    return g_hash_table_lookup(p->tunnels, GUINT_TO_POINTER(id));
}

static void tunnel_unplace(struct tunnel *t)
{
    struct pair *pair = t->pair;

    if (!t->placed) {
        return;
    }
    t->placed = false;
    pair->tunnels--;
    pair->on_thread[t->thread]--;
    pair->spu->tunnels--;
    pair->spu->on_thread[t->thread]--;
    if (pair->tunnels == 0) {
        pair->spu->pairs--;
        pair->spu = NULL;
    }
}

static void tunnel_place(struct tunnel *t, struct spu *spu, uint8_t thread)
{
    struct pair *pair = t->pair;

    if (!pair->spu) {
        pair->spu = spu;
        spu->pairs++;
    }
    t->placed = true;
    t->thread = thread;
    pair->tunnels++;
    pair->on_thread[thread]++;
    spu->tunnels++;
    spu->on_thread[thread]++;
}

static void spu_empty(struct placement *p, const struct spu *spu)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, p->tunnels);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct tunnel *t = value;

        if (t->placed && t->pair->spu == spu) {
            tunnel_unplace(t);
        }
    }
}

bool placement_spu_set(struct placement *p, uint8_t slot, uint8_t spu, uint8_t threads,
                       uint32_t generation)
{
    struct spu *s;

    if (slot >= PLACEMENT_SLOTS || spu >= PLACEMENT_SPUS || threads == 0 ||
        threads > PLACEMENT_THREADS) {
        return false;
    }
    s = &p->spus[slot][spu];
    if (s->there && (s->generation != generation || s->threads != threads)) {
        spu_empty(p, s);
    }
    s->there = true;
    s->slot = slot;
    s->spu = spu;
    s->threads = threads;
    s->generation = generation;
    return true;
}

void placement_card_lost(struct placement *p, uint8_t slot)
{
    if (slot >= PLACEMENT_SLOTS) {
        return;
    }
    for (unsigned i = 0; i < PLACEMENT_SPUS; i++) {
        struct spu *s = &p->spus[slot][i];

        if (s->there) {
            spu_empty(p, s);
            s->there = false;
        }
    }
}

bool placement_spu_is(const struct placement *p, uint8_t slot, uint8_t spu, uint32_t generation)
{
    return slot < PLACEMENT_SLOTS && spu < PLACEMENT_SPUS && p->spus[slot][spu].there &&
           p->spus[slot][spu].generation == generation;
}

static void pair_leave(struct placement *p, struct pair *pair)
{
    if (--pair->members == 0) {
        g_hash_table_remove(p->pairs, pair);
    }
}

static struct tunnel *tunnel_ensure(struct placement *p, uint32_t id, const struct fw_addr *local,
                                    const struct fw_addr *remote)
{
    struct pair key = {.local = *local, .remote = *remote};
    struct pair *pair = g_hash_table_lookup(p->pairs, &key);
    struct tunnel *t = tunnel_of(p, id);
    struct pair *before;

    if (!pair) {
        pair = g_memdup2(&key, sizeof key);
        g_hash_table_add(p->pairs, pair);
    }
    if (!t) {
        t = g_new0(struct tunnel, 1);
        t->id = id;
        t->pair = pair;
        pair->members++;
        g_hash_table_insert(p->tunnels, GUINT_TO_POINTER(id), t);
    } else if (t->pair != pair) {
        before = t->pair;
        tunnel_unplace(t);
        t->pair = pair;
        pair->members++;
        pair_leave(p, before);
    }
    return t;
}

void placement_tunnel_set(struct placement *p, uint32_t id, const struct fw_addr *local,
                          const struct fw_addr *remote)
{
    tunnel_ensure(p, id, local, remote);
}

bool placement_tunnel_restore(struct placement *p, uint32_t id, const struct fw_addr *local,
                              const struct fw_addr *remote, uint8_t slot, uint8_t spu,
                              uint8_t thread)
{
    struct pair key = {.local = *local, .remote = *remote};
    const struct pair *pair = g_hash_table_lookup(p->pairs, &key);
    struct spu *s;
    struct tunnel *t;

    if (placement_anchor(slot, spu, thread) == 0) {
        return false;
    }
    s = &p->spus[slot][spu];
    if (!s->there || thread >= s->threads || (pair && pair->spu && pair->spu != s)) {
        return false;
    }
    t = tunnel_ensure(p, id, local, remote);
    tunnel_unplace(t);
    tunnel_place(t, s, thread);
    return true;
}

void placement_tunnel_remove(struct placement *p, uint32_t id)
{
    struct tunnel *t = tunnel_of(p, id);
    struct pair *pair;

    if (!t) {
        return;
    }
    pair = t->pair;
    tunnel_unplace(t);
    g_hash_table_remove(p->tunnels, GUINT_TO_POINTER(id));
    pair_leave(p, pair);
}

/* Negative when a carries less than b: load / threads compared without division. */
static int spu_compare(const struct placement *p, const struct spu *a, const struct spu *b)
{
    uint64_t x, y;

    switch (p->rule) {
    case PLACEMENT_GATEWAYS:
        x = a->pairs;
        y = b->pairs;
        return x < y ? -1 : x > y;
    case PLACEMENT_LOAD_FACTOR:
        break;
    }
    x = (uint64_t)a->tunnels * b->threads;
    y = (uint64_t)b->tunnels * a->threads;
    return x < y ? -1 : x > y;
}

static struct spu *spu_choose(struct placement *p)
{
    struct spu *tied[PLACEMENT_SLOTS * PLACEMENT_SPUS];
    unsigned n = 0;

    for (unsigned slot = 0; slot < PLACEMENT_SLOTS; slot++) {
        for (unsigned i = 0; i < PLACEMENT_SPUS; i++) {
            struct spu *s = &p->spus[slot][i];
            int order = s->there && n > 0 ? spu_compare(p, s, tied[0]) : 0;

            if (!s->there || order > 0) {
                continue;
            }
            if (order < 0) {
                n = 0;
            }
            tied[n++] = s;
        }
    }
    if (n == 0) {
        return NULL;
    }
    return tied[n > 1 ? p->below(n) : 0];
}

/* The thread with fewest tunnels of this pair, then fewest of all, then the lowest number. */
static uint8_t thread_choose(const struct pair *pair, const struct spu *spu)
{
    unsigned best = 0;

    for (unsigned i = 1; i < spu->threads; i++) {
        if (pair->on_thread[i] < pair->on_thread[best] ||
            (pair->on_thread[i] == pair->on_thread[best] &&
             spu->on_thread[i] < spu->on_thread[best])) {
            best = i;
        }
    }
    return (uint8_t)best;
}

static int tunnel_order(gconstpointer a, gconstpointer b)
{
    const struct tunnel *x = *(struct tunnel *const *)a, *y = *(struct tunnel *const *)b;

    return x->id < y->id ? -1 : x->id > y->id;
}

void placement_settle(struct placement *p)
{
    g_autoptr(GPtrArray) waiting = g_ptr_array_new();
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, p->tunnels);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        if (!((struct tunnel *)value)->placed) {
            g_ptr_array_add(waiting, value);
        }
    }
    g_ptr_array_sort(waiting, tunnel_order);
    for (unsigned i = 0; i < waiting->len; i++) {
        struct tunnel *t = waiting->pdata[i];
        struct spu *spu = t->pair->spu ? t->pair->spu : spu_choose(p);

        if (!spu) {
            return;
        }
        tunnel_place(t, spu, thread_choose(t->pair, spu));
    }
}

struct placement_where placement_find(const struct placement *p, uint32_t id)
{
    const struct tunnel *t = tunnel_of(p, id);
    struct placement_where where = {0};

    if (t && t->placed) {
        where.slot = t->pair->spu->slot;
        where.spu = t->pair->spu->spu;
        where.thread = t->thread;
        where.generation = t->pair->spu->generation;
        where.anchor = placement_anchor(where.slot, where.spu, where.thread);
    }
    return where;
}

unsigned placement_load(const struct placement *p, uint8_t slot, uint8_t spu, int thread)
{
    const struct spu *s;

    if (slot >= PLACEMENT_SLOTS || spu >= PLACEMENT_SPUS || thread >= PLACEMENT_THREADS) {
        return 0;
    }
    s = &p->spus[slot][spu];
    return thread < 0 ? s->tunnels : s->on_thread[thread];
}
