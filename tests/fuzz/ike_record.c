/*
 * ike_record - arbitrary bytes as the record of an IKE SA. What is taken must be fit to be written
 * again and must not keep the engine from working.
 */
#include <string.h>

#include "tests/exchange/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool any(const struct ike_sa_view *v, void *data)
{
    *(uint32_t *)data = v->index;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *w = world_new();
    uint8_t again[IKE_RECORD_MAX];
    uint32_t index = 0;

    if (size <= IKE_RECORD_MAX && ike_record_read(w->a.ike, data, size, w->now_ns)) {
        ike_sa_each(w->a.ike, any, &index);
        if (index) {
            size_t n = ike_record_write(w->a.ike, index, again, sizeof again);

            g_assert(n > 0);
        }
        world_drain(&w->a);
        while (w->a.outbox.length) {
            world_drop(&w->a);
        }
        world_advance(w, 5 * FW_SEC);
    }
    world_free(w);
    return 0;
}
