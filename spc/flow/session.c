/* session - see session.h. Links: place * 2 + wing + 1, 0 is none; wheel: place + 1. */
#include "spc/flow/session.h"

#include <glib.h>
#include <string.h>
#include <sys/mman.h>

#define BUCKETS     16384u
#define WHEEL_SLOTS 256u

struct flow_sessions {
    struct flow_session *places;
    uint32_t *buckets;
    uint32_t fresh;        /* places from here on were never used */
    uint32_t free;         /* list of places, + 1 */
    unsigned count;        /* in the hash */
    unsigned waiting;      /* in the wheel */
    int64_t now_s;         /* second the wheel stands at */
    uint32_t wheel[WHEEL_SLOTS];
    uint32_t due;          /* list taken out of a slot and being worked on */
};

static void *map(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED) {
        g_error("no memory for %zu bytes of sessions", bytes);
    }
    return p;
}

struct flow_sessions *flow_sessions_new(void)
{
    struct flow_sessions *s = map(sizeof *s);

    s->places = map(FLOW_SESSIONS_MAX * sizeof *s->places);
    s->buckets = map(BUCKETS * sizeof *s->buckets);
    return s;
}

void flow_sessions_free(struct flow_sessions *s)
{
    if (s) {
        munmap(s->places, FLOW_SESSIONS_MAX * sizeof *s->places);
        munmap(s->buckets, BUCKETS * sizeof *s->buckets);
        munmap(s, sizeof *s);
    }
}

struct flow_session *flow_sessions_find(struct flow_sessions *s, const struct np_tuple *tuple,
                                        uint32_t hash, unsigned *ret_wing)
{
    uint32_t link = s->buckets[hash % BUCKETS];

    while (link) {
        struct flow_session *session = &s->places[(link - 1) / 2];
        struct flow_wing *wing = &session->wings[(link - 1) % 2];

        if (wing->hash == hash && memcmp(&wing->tuple, tuple, sizeof *tuple) == 0) {
            *ret_wing = (link - 1) % 2;
            return session;
        }
        link = wing->chain;
    }
    return NULL;
}

void flow_sessions_prefetch(const struct flow_sessions *s, uint32_t hash)
{
    __builtin_prefetch(&s->buckets[hash % BUCKETS]);
}

void flow_sessions_prefetch_entry(const struct flow_sessions *s, uint32_t hash)
{
    uint32_t link = s->buckets[hash % BUCKETS];

    if (link) {
        const char *wing = (const char *)&s->places[(link - 1) / 2].wings[(link - 1) % 2];

        __builtin_prefetch(&s->places[(link - 1) / 2]);
        __builtin_prefetch(wing);
        __builtin_prefetch(wing + 64);
        __builtin_prefetch(wing + 128);
    }
}

struct flow_session *flow_sessions_take(struct flow_sessions *s)
{
    struct flow_session *session;
    uint32_t serial;

    if (s->free) {
        session = &s->places[s->free - 1];
        s->free = session->wheel;
    } else if (s->fresh < FLOW_SESSIONS_MAX) {
        session = &s->places[s->fresh++];
    } else {
        return NULL;
    }
    serial = session->serial + 1;
    memset(session, 0, sizeof *session);
    session->serial = serial;
    return session;
}

static void wheel_put(struct flow_sessions *s, struct flow_session *session)
{
    int64_t left = session->used ? session->seen_s + session->timeout_s - s->now_s : 1;
    uint32_t *slot;

    left = CLAMP(left, 1, (int64_t)WHEEL_SLOTS - 1);
    slot = &s->wheel[(uint64_t)(s->now_s + left) % WHEEL_SLOTS];
    session->wheel = *slot;
    *slot = (uint32_t)(session - s->places) + 1;
    s->waiting++;
}

void flow_sessions_insert(struct flow_sessions *s, struct flow_session *session)
{
    for (unsigned w = 0; w < 2; w++) {
        struct flow_wing *wing = &session->wings[w];
        uint32_t *bucket = &s->buckets[wing->hash % BUCKETS];

        wing->chain = *bucket;
        *bucket = (uint32_t)(session - s->places) * 2 + w + 1;
    }
    if (s->waiting == 0) {
        s->now_s = session->seen_s; /* nothing can have been missed */
    }
    session->used = true;
    s->count++;
    wheel_put(s, session);
}

void flow_sessions_remove(struct flow_sessions *s, struct flow_session *session)
{
    if (!session->used) {
        return;
    }
    for (unsigned w = 0; w < 2; w++) {
        uint32_t self = (uint32_t)(session - s->places) * 2 + w + 1;
        uint32_t *link = &s->buckets[session->wings[w].hash % BUCKETS];

        while (*link && *link != self) {
            link = &s->places[(*link - 1) / 2].wings[(*link - 1) % 2].chain;
        }
        if (*link) {
            *link = session->wings[w].chain;
        }
    }
    session->used = false;
    s->count--;
}

static void place_free(struct flow_sessions *s, struct flow_session *session)
{
    session->wheel = s->free;
    s->free = (uint32_t)(session - s->places) + 1;
}

struct flow_session *flow_sessions_expired(struct flow_sessions *s, int64_t now_s)
{
    for (;;) {
        while (s->due) {
            struct flow_session *session = &s->places[s->due - 1];

            s->due = session->wheel;
            s->waiting--;
            if (!session->used) {
                place_free(s, session);
                continue;
            }
            if (session->seen_s + session->timeout_s > s->now_s) {
                wheel_put(s, session);
                continue;
            }
            wheel_put(s, session); /* found again and freed when the caller has removed it */
            return session;
        }
        if (s->waiting == 0) {
            s->now_s = MAX(s->now_s, now_s);
        }
        if (s->now_s >= now_s) {
            return NULL;
        }
        s->now_s++;
        s->due = s->wheel[(uint64_t)s->now_s % WHEEL_SLOTS];
        s->wheel[(uint64_t)s->now_s % WHEEL_SLOTS] = 0;
    }
}

unsigned flow_sessions_count(const struct flow_sessions *s)
{
    return s->count;
}

bool flow_sessions_busy(const struct flow_sessions *s)
{
    return s->waiting > 0;
}

struct flow_session *flow_sessions_next(struct flow_sessions *s, uint32_t *io_place)
{
    while (*io_place < s->fresh) {
        struct flow_session *session = &s->places[(*io_place)++];

        if (session->used) {
            return session;
        }
    }
    return NULL;
}
