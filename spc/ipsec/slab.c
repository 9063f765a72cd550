/*
 * slab - see slab.h.
 *
 * The first word of a free object points to the next. The first chunk is small,
 * for cards with few tunnels; those after it are what one huge page holds, and
 * the kernel is asked for one: with a thousand SAs in any order, looking up
 * page addresses costs as much as fetching the data.
 */
#include "spc/ipsec/slab.h"

#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "firmware/core/secret.h"

#define CHUNK_FIRST ((size_t)64 << 10)
#define CHUNK_HUGE  ((size_t)2 << 20)

static void *map(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

/* Aligned to its size: twice as much is mapped and the ends are cut off. */
static void *map_huge(void)
{
    uint8_t *p = map(2 * CHUNK_HUGE), *chunk;
    size_t before;

    if (!p) {
        return NULL;
    }
    before = (CHUNK_HUGE - (uintptr_t)p % CHUNK_HUGE) % CHUNK_HUGE;
    chunk = p + before;
    if (before > 0) {
        munmap(p, before);
    }
    munmap(chunk + CHUNK_HUGE, CHUNK_HUGE - before);
    madvise(chunk, CHUNK_HUGE, MADV_HUGEPAGE); /* a wish; small pages do as well */
    return chunk;
}

void *ipsec_slab_take(struct ipsec_slab *slab)
{
    void *object = slab->free;

    if (object) {
        memcpy(&slab->free, object, sizeof slab->free);
        memset(object, 0, sizeof slab->free);
        return object;
    }
    if (slab->left < slab->size) {
        size_t bytes = slab->fresh ? CHUNK_HUGE : CHUNK_FIRST;
        uint8_t *chunk = slab->fresh ? map_huge() : map(bytes);

        if (!chunk) {
            return NULL;
        }
        slab->fresh = chunk;
        slab->left = bytes;
    }
    object = slab->fresh;
    slab->fresh += slab->size;
    slab->left -= slab->size;
    return object;
}

void ipsec_slab_give(struct ipsec_slab *slab, void *object)
{
    if (object) {
        fw_wipe(object, slab->size);
        memcpy(object, &slab->free, sizeof slab->free);
        slab->free = object;
    }
}
