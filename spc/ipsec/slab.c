/* slab - see slab.h. The first word of a free object points to the next. */
#include "spc/ipsec/slab.h"

#include <string.h>
#include <sys/mman.h>

#include "firmware/core/secret.h"

#define CHUNK_OBJECTS 256

void *ipsec_slab_take(struct ipsec_slab *slab)
{
    void *object = slab->free;

    if (object) {
        memcpy(&slab->free, object, sizeof slab->free);
        memset(object, 0, sizeof slab->free);
        return object;
    }
    if (slab->fresh == slab->end) {
        size_t bytes = slab->size * CHUNK_OBJECTS;
        void *chunk = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (chunk == MAP_FAILED) {
            return NULL;
        }
        slab->fresh = chunk;
        slab->end = slab->fresh + bytes;
    }
    object = slab->fresh;
    slab->fresh += slab->size;
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
