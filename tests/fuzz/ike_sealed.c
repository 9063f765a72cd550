/*
 * ike_sealed - arbitrary payload chains from a peer that has the keys: byte 0 chooses the exchange,
 * bit 7 of it an unauthenticated state, byte 1 the first payload. Such a peer may end its own IKE
 * SA; it must not make the engine fall or keep more than its limits.
 */
#include <string.h>

#include "re/ike/internal.h"
#include "tests/exchange/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ike_sa *newest(struct ike *ike)
{
    return g_hash_table_lookup(ike->by_index, GUINT_TO_POINTER(ike->last_index));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t exchanges[] = {IKE_AUTH, IKE_CREATE_CHILD_SA, IKE_INFORMATIONAL, 38};
    struct world *w;
    struct ike_sa *sa;
    uint8_t chain[4096], message[8192];
    uint8_t iv[16] = {1};

    if (size < 2 || size > sizeof chain) {
        return 0;
    }
    w = world_new();
    if (data[0] & 0x80) { /* half-open: IKE_SA_INIT is answered, IKE_AUTH awaited */
        ike_tunnel_initiate(w->a.ike, WORLD_TUNNEL, w->now_ns);
        world_drain(&w->a);
        world_deliver(&w->a);
        world_deliver(&w->b);
        world_drop(&w->a);
    } else {
        g_assert(world_up(w));
    }
    sa = newest(w->b.ike);
    if (sa && sa->has_keys) {
        struct ike_sk_key key = ike_sk_key_of(sa, true);
        struct ike_header h = {.spi_i = sa->spi_i,
                               .spi_r = sa->spi_r,
                               .exchange = exchanges[data[0] & 3],
                               .flags = IKE_FLAG_INITIATOR,
                               .message_id = sa->in_id};
        struct ike_action a = {.kind = IKE_ACTION_SEND, .local_port = 500, .remote_port = 500};

        memcpy(chain, data + 2, size - 2);
        a.n_bytes = ike_sk_seal(&key, &h, data[1], chain, size - 2, iv, message, sizeof message);
        if (a.n_bytes) {
            a.bytes = message;
            a.local = w->a.addr;
            a.remote = w->b.addr;
            world_inject(&w->b, &a);
            world_inject(&w->b, &a);
        }
        g_assert(w->b.sas->len <= 2 * IKE_CHILDREN_MAX);
        world_advance(w, 2 * FW_SEC);
    }
    world_free(w);
    return 0;
}
