/*
 * ts - narrowing of traffic selectors (RFC 7296 section 2.9).
 *
 * Ours are pairs of prefixes; the peer's are two lists of ranges that stand for
 * all pairs between them. The result is pairs of prefixes again.
 */
#include "re/ike/message.h"

static void prefix_bounds(const struct fw_prefix *p, uint8_t low[16], uint8_t high[16])
{
    struct fw_prefix net = fw_prefix_network(p);
    size_t size = fw_addr_size(&p->addr);

    memcpy(low, net.addr.bytes, 16);
    memcpy(high, net.addr.bytes, 16);
    for (size_t bit = p->len; bit < size * 8; bit++) {
        high[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
    }
}

/* Clear the bits of a behind len. */
static void clear_host(uint8_t *a, size_t size, unsigned len)
{
    for (size_t bit = len; bit < size * 8; bit++) {
        a[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
    }
}

/* Add one to the number made of the first len bits; false: overflow. */
static bool step(uint8_t *a, unsigned len)
{
    for (unsigned bit = len; bit-- > 0;) {
        uint8_t mask = (uint8_t)(0x80 >> bit % 8);

        a[bit / 8] ^= mask;
        if (a[bit / 8] & mask) {
            return true;
        }
    }
    return false;
}

/* The largest prefix within [low, high]. */
static bool largest(uint8_t family, const uint8_t *low, const uint8_t *high, struct fw_prefix *ret)
{
    size_t size = family == FW_FAMILY_V4 ? 4 : 16;

    for (unsigned len = 0; len <= size * 8; len++) {
        struct fw_prefix p = {{family, {0}}, (uint8_t)len};
        uint8_t first[16], last[16];

        memcpy(p.addr.bytes, low, size);
        clear_host(p.addr.bytes, size, len);
        if (memcmp(p.addr.bytes, low, size) < 0 && !step(p.addr.bytes, len)) {
            continue;
        }
        prefix_bounds(&p, first, last);
        if (memcmp(first, low, size) >= 0 && memcmp(last, high, size) <= 0) {
            *ret = p;
            return true;
        }
    }
    return false;
}

static bool common(const struct fw_prefix *ours, const struct ike_range *r, struct fw_prefix *ret)
{
    size_t size = fw_addr_size(&ours->addr);
    uint8_t low[16], high[16];

    if (size == 0 || r->family != ours->addr.family || r->protocol != 0 || r->port_low != 0 ||
        r->port_high != 0xffff) {
        return false;
    }
    prefix_bounds(ours, low, high);
    if (memcmp(r->low, low, size) > 0) {
        memcpy(low, r->low, size);
    }
    if (memcmp(r->high, high, size) < 0) {
        memcpy(high, r->high, size);
    }
    return memcmp(low, high, size) <= 0 && largest(ours->addr.family, low, high, ret);
}

static bool prefix_equal(const struct fw_prefix *a, const struct fw_prefix *b)
{
    return a->len == b->len && fw_addr_equal(&a->addr, &b->addr);
}

unsigned ike_ts_narrow(const struct ike_selector *ours, unsigned n_ours,
                       const struct ike_range *local, unsigned n_local,
                       const struct ike_range *remote, unsigned n_remote,
                       struct ike_selector ret[IKE_SELECTORS_MAX])
{
    unsigned n = 0;

    for (unsigned o = 0; o < n_ours; o++) {
        for (unsigned l = 0; l < n_local; l++) {
            struct ike_selector pair;

            if (!common(&ours[o].local, &local[l], &pair.local)) {
                continue;
            }
            for (unsigned r = 0; r < n_remote; r++) {
                bool known = false;

                if (!common(&ours[o].remote, &remote[r], &pair.remote)) {
                    continue;
                }
                for (unsigned i = 0; i < n; i++) {
                    known = known || (prefix_equal(&ret[i].local, &pair.local) &&
                                      prefix_equal(&ret[i].remote, &pair.remote));
                }
                if (!known && n < IKE_SELECTORS_MAX) {
                    ret[n++] = pair;
                }
            }
        }
    }
    return n;
}

unsigned ike_ts_any(struct ike_selector ret[IKE_SELECTORS_MAX])
{
    memset(ret, 0, sizeof ret[0]);
    ret[0].local.addr.family = FW_FAMILY_V4;
    ret[0].remote.addr.family = FW_FAMILY_V4;
    return 1;
}

unsigned ike_ts_side(const struct ike_selector *pairs, unsigned n, bool local,
                     struct fw_prefix ret[IKE_SELECTORS_MAX])
{
    unsigned used = 0;

    for (unsigned i = 0; i < n; i++) {
        const struct fw_prefix *p = local ? &pairs[i].local : &pairs[i].remote;
        bool known = false;

        for (unsigned k = 0; k < used; k++) {
            known = known || prefix_equal(&ret[k], p);
        }
        if (!known) {
            ret[used++] = *p;
        }
    }
    return used;
}
