/*
 * cache - the NP's memory of sessions.
 *
 * Open addressing in groups: a tuple lives in one of the GROUP places behind
 * its hash. A full group gives up one entry, in turn; the packets of that
 * session then go by the central point. An entry remembers which life of the
 * owner's card it came from and dies with it. Keys compare as bytes.
 *
 * Limits: the number of entries given at the start. Lane's thread only.
 */
#include <string.h>
#include <sys/mman.h>

#include "hw/ioc/ioc.h"

#define GROUP 8u

struct entry {
    struct np_tuple tuple; /* family 0: free */
    uint64_t session;
    uint32_t generation;
    uint32_t board_generation;
    uint8_t endpoint, spu, thread, zero;
    uint32_t hash;
};

struct np_cache {
    struct entry *entries;
    uint32_t groups;       /* a power of two */
    uint32_t victim;
    unsigned count;
};

struct np_cache *np_cache_new(unsigned entries)
{
    struct np_cache *cache = g_new0(struct np_cache, 1);
    void *memory;

    cache->groups = 1;
    while (cache->groups * GROUP < entries) {
        cache->groups *= 2;
    }
    memory = mmap(NULL, (size_t)cache->groups * GROUP * sizeof(struct entry),
                  PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        g_error("no memory for %u NP sessions", entries);
    }
    cache->entries = memory;
    return cache;
}

void np_cache_free(struct np_cache *cache)
{
    if (cache) {
        munmap(cache->entries, (size_t)cache->groups * GROUP * sizeof(struct entry));
        g_free(cache);
    }
}

/* FNV-1a over 32-bit words with a final mix: quick, spreads neighbours, no secret in it. */
uint32_t np_tuple_hash(const struct np_tuple *tuple)
{
    uint32_t words[sizeof(*tuple) / 4], hash = 2166136261u;

    memcpy(words, tuple, sizeof(words));
    for (unsigned i = 0; i < G_N_ELEMENTS(words); i++) {
        hash = (hash ^ words[i]) * 16777619u;
        hash ^= hash >> 15;
    }
    hash *= 0x85ebca6bu;
    return hash ^ hash >> 13;
}

static struct entry *group_of(struct np_cache *cache, uint32_t hash)
{
    return cache->entries + (size_t)(hash & (cache->groups - 1)) * GROUP;
}

static struct entry *entry_find(struct np_cache *cache, const struct np_tuple *tuple,
                                uint32_t hash)
{
    struct entry *group = group_of(cache, hash);

    for (unsigned i = 0; i < GROUP; i++) {
        if (group[i].hash == hash && group[i].tuple.family &&
            memcmp(&group[i].tuple, tuple, sizeof(*tuple)) == 0) {
            return &group[i];
        }
    }
    return NULL;
}

static void entry_drop(struct np_cache *cache, struct entry *entry)
{
    memset(entry, 0, sizeof(*entry));
    cache->count--;
}

enum ioc_counter np_cache_install(struct np_cache *cache, const struct np_session *session,
                                  uint8_t endpoint, uint32_t board_generation)
{
    uint32_t hash = np_tuple_hash(&session->tuple);
    struct entry *entry = entry_find(cache, &session->tuple, hash);
    enum ioc_counter what = IOC_NP_INSTALLED;

    if (!entry) {
        struct entry *group = group_of(cache, hash);

        for (unsigned i = 0; i < GROUP && !entry; i++) {
            if (!group[i].tuple.family) {
                entry = &group[i];
                cache->count++;
            }
        }
        if (!entry) {
            entry = &group[cache->victim++ % GROUP];
            what = IOC_NP_REPLACED;
        }
    }
    entry->tuple = session->tuple;
    entry->session = session->session;
    entry->generation = session->generation;
    entry->board_generation = board_generation;
    entry->endpoint = endpoint;
    entry->spu = session->spu;
    entry->thread = session->thread;
    entry->hash = hash;
    return what;
}

bool np_cache_remove(struct np_cache *cache, const struct np_session *session)
{
    struct entry *entry = entry_find(cache, &session->tuple, np_tuple_hash(&session->tuple));

    if (!entry || entry->session != session->session) {
        return false;
    }
    entry_drop(cache, entry);
    return true;
}

bool np_cache_find(struct np_cache *cache, const struct np_tuple *tuple,
                   const struct ioc_table_board *boards, struct np_cache_hit *ret,
                   bool *ret_stale)
{
    struct entry *entry = entry_find(cache, tuple, np_tuple_hash(tuple));

    *ret_stale = false;
    if (!entry) {
        return false;
    }
    if (!boards[entry->endpoint].online ||
        boards[entry->endpoint].generation != entry->board_generation) {
        entry_drop(cache, entry);
        *ret_stale = true;
        return false;
    }
    ret->session = entry->session;
    ret->generation = entry->generation;
    ret->endpoint = entry->endpoint;
    ret->spu = entry->spu;
    ret->thread = entry->thread;
    return true;
}

unsigned np_cache_count(const struct np_cache *cache)
{
    return cache->count;
}
