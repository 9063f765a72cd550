/*
 * records - the newest record of every IKE SA in shared memory that the supervisor keeps.
 *
 * The memory is cut into slots of 4 KiB. A record takes a run of free slots: bytes first, then the
 * head, whose magic word is written last; only then is the older record of the same SA wiped. A
 * kill at any point leaves one whole record; when two are left the higher sequence number wins.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "firmware/core/secret.h"
#include "re/iked/iked.h"

#define SLOT  4096u
#define MAGIC 0x6b655231u

struct head {
    uint32_t magic; /* last word written */
    uint32_t index;
    uint64_t sequence;
    uint32_t len;
    uint32_t check;
};

struct records {
    uint8_t *base;
    unsigned slots;
    uint8_t *used;  /* a byte per slot */
    GHashTable *at; /* index -> first slot + 1 */
    uint64_t sequence;
};

/* FNV-1a: against a torn record, not against anybody. */
static uint32_t checksum(const uint8_t *p, size_t n)
{
    uint32_t h = 2166136261u;

    for (size_t i = 0; i < n; i++) {
        h = (h ^ p[i]) * 16777619u;
    }
    return h;
}

static struct head *head_at(struct records *r, unsigned slot)
{
    return (struct head *)(void *)(r->base + (size_t)slot * SLOT);
}

static unsigned run_of(size_t len)
{
    return (unsigned)((sizeof(struct head) + len + SLOT - 1) / SLOT);
}

static void wipe_run(struct records *r, unsigned slot)
{
    struct head *h = head_at(r, slot);
    unsigned run = MIN(run_of(h->len), r->slots - slot);

    __atomic_store_n(&h->magic, 0, __ATOMIC_RELEASE);
    fw_wipe(h, (size_t)run * SLOT);
    memset(r->used + slot, 0, run);
}

static bool valid(struct records *r, unsigned slot)
{
    const struct head *h = head_at(r, slot);

    return h->magic == MAGIC && h->len > 0 && h->len <= IKE_RECORD_MAX &&
           run_of(h->len) <= r->slots - slot &&
           checksum((const uint8_t *)(h + 1), h->len) == h->check;
}

struct records *records_open(int fd)
{
    struct stat st;
    struct records *r;
    void *base;

    if (fstat(fd, &st) != 0 || st.st_size < (off_t)SLOT) {
        return NULL;
    }
    base = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        return NULL;
    }
    madvise(base, (size_t)st.st_size, MADV_DONTDUMP);
    r = g_new0(struct records, 1);
    r->base = base;
    r->slots = (unsigned)((size_t)st.st_size / SLOT);
    r->used = g_malloc0(r->slots);
    r->at = g_hash_table_new(NULL, NULL);
    for (unsigned slot = 0; slot < r->slots; slot++) {
        const struct head *h = head_at(r, slot);
        unsigned old;

        if (!valid(r, slot)) {
            continue;
        }
        old = GPOINTER_TO_UINT(g_hash_table_lookup(r->at, GUINT_TO_POINTER(h->index)));
        if (old && head_at(r, old - 1)->sequence > h->sequence) {
            wipe_run(r, slot);
            continue;
        }
        if (old) {
            wipe_run(r, old - 1);
        }
        memset(r->used + slot, 1, run_of(h->len));
        g_hash_table_insert(r->at, GUINT_TO_POINTER(h->index), GUINT_TO_POINTER(slot + 1));
        r->sequence = MAX(r->sequence, h->sequence);
        slot += run_of(h->len) - 1;
    }
    return r;
}

static bool find_run(const struct records *r, unsigned run, unsigned *ret)
{
    unsigned free_slots = 0;

    for (unsigned slot = 0; slot < r->slots; slot++) {
        free_slots = r->used[slot] ? 0 : free_slots + 1;
        if (free_slots == run) {
            *ret = slot + 1 - run;
            return true;
        }
    }
    return false;
}

void records_put(struct records *r, uint32_t index, const uint8_t *bytes, size_t n)
{
    unsigned old = GPOINTER_TO_UINT(g_hash_table_lookup(r->at, GUINT_TO_POINTER(index)));
    unsigned slot;

    if (n == 0 || n > IKE_RECORD_MAX || !find_run(r, run_of(n), &slot)) {
        return; /* full: this SA would not survive a restart, traffic goes on */
    }
    struct head *h = head_at(r, slot);

    memcpy(h + 1, bytes, n);
    h->index = index;
    h->sequence = ++r->sequence;
    h->len = (uint32_t)n;
    h->check = checksum(bytes, n);
    __atomic_store_n(&h->magic, MAGIC, __ATOMIC_RELEASE);
    memset(r->used + slot, 1, run_of(n));
    if (old) {
        wipe_run(r, old - 1);
    }
    g_hash_table_insert(r->at, GUINT_TO_POINTER(index), GUINT_TO_POINTER(slot + 1));
}

void records_drop(struct records *r, uint32_t index)
{
    unsigned old = GPOINTER_TO_UINT(g_hash_table_lookup(r->at, GUINT_TO_POINTER(index)));

    if (old) {
        wipe_run(r, old - 1);
        g_hash_table_remove(r->at, GUINT_TO_POINTER(index));
    }
}

void records_each(struct records *r,
                  bool (*visit)(uint32_t index, const uint8_t *bytes, size_t n, void *data),
                  void *data)
{
    GList *all = g_hash_table_get_keys(r->at);

    for (GList *l = all; l; l = l->next) {
        uint32_t index = GPOINTER_TO_UINT(l->data);
        unsigned at = GPOINTER_TO_UINT(g_hash_table_lookup(r->at, l->data));
        const struct head *h = head_at(r, at - 1);

        if (!visit(index, (const uint8_t *)(h + 1), h->len, data)) {
            records_drop(r, index);
        }
    }
    g_list_free(all);
}

void records_close(struct records *r)
{
    if (r) {
        munmap(r->base, (size_t)r->slots * SLOT);
        g_hash_table_destroy(r->at);
        g_free(r->used);
        g_free(r);
    }
}
