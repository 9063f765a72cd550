/*
 * slab - objects of one size, close together.
 *
 * SAs and keys come by the thousand and are used in any order; from the heap
 * every packet would touch pages of its own for each. Chunks are mapped as
 * needed and never returned; objects are erased when given back. Main thread.
 */
#ifndef IPSEC_SLAB_H
#define IPSEC_SLAB_H

#include <stddef.h>
#include <stdint.h>

struct ipsec_slab {
    size_t size;      /* of an object, a multiple of 64; set by the user */
    void *free;       /* given back */
    uint8_t *fresh;   /* rest of the newest chunk */
    size_t left;      /* bytes of it */
};

/* Zeroed, aligned to 64 bytes; NULL: out of memory. */
void *ipsec_slab_take(struct ipsec_slab *slab);
/* Erases. NULL is allowed. */
void ipsec_slab_give(struct ipsec_slab *slab, void *object);

#endif
