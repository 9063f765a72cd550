/*
 * ike_datagram - arbitrary datagrams at an engine: a length byte pair before each. The engine has a
 * gateway, an established SA and a request of IKE_SA_INIT out; SPIs of the input are replaced by
 * those of the engine's SAs (first byte of the datagram's SPI chooses) so that it gets further than
 * the look-up. Nothing here can authenticate: the established SA must be untouched.
 */
#include <string.h>

#include "firmware/core/cursor.h"
#include "tests/exchange/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct spis {
    uint64_t i[4], r[4];
    unsigned n;
};

static bool collect(const struct ike_sa_view *v, void *data)
{
    struct spis *s = data;

    if (s->n < 4) {
        s->i[s->n] = v->spi_i;
        s->r[s->n++] = v->spi_r;
    }
    return true;
}

static void put(uint8_t *at, uint64_t v)
{
    for (int i = 0; i < 8; i++) {
        at[i] = (uint8_t)(v >> (56 - 8 * i));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world *w = world_new();
    struct fw_cursor c = fw_cursor(data, size);
    struct spis spis = {0};

    g_assert(world_up(w));
    ike_tunnel_clear(w->b.ike, WORLD_TUNNEL, IKE_REASON_OPERATOR, w->now_ns);
    world_settle(w);
    g_assert(world_up(w));
    ike_sa_each(w->b.ike, collect, &spis);
    for (unsigned i = 0; i < 16 && fw_cursor_left(&c) > 2; i++) {
        size_t n = fw_cursor_u16(&c) % 2048;
        const uint8_t *p = fw_cursor_take(&c, MIN(n, fw_cursor_left(&c)));
        uint8_t bytes[2048];
        struct ike_action a = {.kind = IKE_ACTION_SEND};

        n = (size_t)(c.at - p);
        memcpy(bytes, p, n);
        if (n >= 28 && bytes[0] & 1 && spis.n) {
            put(bytes, spis.i[bytes[0] % spis.n]);
            put(bytes + 8, spis.r[bytes[0] % spis.n]);
        }
        if (n >= 28 && bytes[1] & 1) { /* a length that fits */
            bytes[24] = bytes[25] = 0;
            bytes[26] = (uint8_t)(n >> 8);
            bytes[27] = (uint8_t)n;
        }
        a.local = w->a.addr;
        a.remote = w->b.addr;
        a.local_port = a.remote_port = 500;
        a.bytes = bytes;
        a.n_bytes = n;
        world_inject(&w->b, &a);
    }
    g_assert(ike_tunnel_up(w->b.ike, WORLD_TUNNEL));
    g_assert(w->b.events[IKE_EVENT_IKE_DOWN] == 0);
    world_free(w);
    return 0;
}
