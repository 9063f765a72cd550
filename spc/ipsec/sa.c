/*
 * sa - making and erasing SAs, and a thread's two tables of them.
 *
 * Tables are open addressing over fixed, lazily touched memory: inbound by SPI,
 * outbound by tunnel. Several outbound SAs of a tunnel stand in a chain, the
 * newest first; it is the one that is used.
 */
#include <string.h>
#include <sys/mman.h>

#include "firmware/core/error.h"
#include "spc/flow/checksum.h"
#include "spc/flow/lane.h"
#include "spc/ipsec/ipsec.h"
#include "spc/ipsec/slab.h"

#define SLOTS (IPSEC_SAS_MAX * 2)

struct slot {
    uint32_t key; /* SPI or tunnel */
    uint32_t zero;
    struct ipsec_sa *sa; /* NULL: free */
};

struct ipsec_thread {
    struct slot in[SLOTS];
    struct slot out[SLOTS]; /* first of the tunnel's chain */
    unsigned n_in, n_out;   /* SAs */
    int64_t triggered_s;    /* last tunnel-trigger */
};

/* ---- making ---- */

static struct ipsec_slab slab = {.size = sizeof(struct ipsec_sa)};

static struct ipsec_sa *sa_alloc(void)
{
    struct ipsec_sa *sa = ipsec_slab_take(&slab);

    if (!sa) {
        g_error("no memory for an SA");
    }
    sa->rest = g_new0(struct ipsec_sa_rest, 1);
    return sa;
}

struct ipsec_sa *ipsec_sa_larval(const struct bus_spi_reserve *request, uint32_t spi)
{
    struct ipsec_sa *sa = sa_alloc();

    sa->spi = spi;
    sa->tunnel = request->tunnel;
    sa->direction = BUS_DIRECTION_INBOUND;
    sa->spu = request->spu;
    sa->thread = request->thread;
    sa->larval = true;
    sa->rest->held = g_new0(struct fabric_packet, IPSEC_HELD_MAX);
    return sa;
}

/* Outer headers of tunnel packets, all but the Ethernet addresses, which the route brings. */
static void head_prepare(struct ipsec_sa *sa)
{
    uint8_t *ip = sa->head + FLOW_ETHER_BYTES;

    sa->head[12] = 0x08;
    ip[0] = 0x45;
    ip[8] = 64;
    ip[9] = sa->udp ? FLOW_PROTO_UDP : FLOW_PROTO_ESP;
    memcpy(ip + 12, sa->rest->local.bytes, 4);
    memcpy(ip + 16, sa->rest->remote.bytes, 4);
    sa->head_bytes = FLOW_ETHER_BYTES + 20;
    if (sa->udp) {
        ip[20] = (uint8_t)(sa->rest->encap_local >> 8);
        ip[21] = (uint8_t)sa->rest->encap_local;
        ip[22] = (uint8_t)(sa->rest->encap_remote >> 8);
        ip[23] = (uint8_t)sa->rest->encap_remote;
        sa->head_bytes += 8;
    }
    sa->head_sum = GUINT16_FROM_BE((uint16_t)~flow_checksum(ip, 20));
}

static bool sa_fill(struct ipsec_sa *sa, const struct bus_sa_install *m,
                    const struct ipsec_engine *engine, GError **error)
{
    const struct fw_enc_row *enc;
    const struct fw_integ_row *integ;

    if (m->encryption == FW_ENC_NONE || m->encryption >= FW_ENC_COUNT ||
        m->integrity >= FW_INTEG_COUNT) {
        return fw_fail(error, FW_ERROR_UNSUPPORTED, "unknown algorithms %u and %u", m->encryption,
                       m->integrity);
    }
    enc = fw_enc_row(m->encryption);
    integ = fw_integ_row(m->integrity);
    if (m->key.len != enc->key_bytes + enc->salt_bytes ||
        m->integrity_key.len != (enc->aead ? 0 : integ->key_bytes)) {
        return fw_fail(error, FW_ERROR_INVALID, "%u and %u bytes of keys do not fit %s",
                       m->key.len, m->integrity_key.len, enc->config);
    }
    if (m->spi < 256) {
        return fw_fail(error, FW_ERROR_INVALID, "SPI %u is reserved", m->spi);
    }
    if (m->local.family != FW_FAMILY_V4 || m->remote.family != FW_FAMILY_V4) {
        return fw_fail(error, FW_ERROR_UNSUPPORTED, "outer addresses must be IPv4");
    }
    sa->engine = engine ? engine : ipsec_engine_find(m->encryption, m->integrity, NULL);
    if (!sa->engine) {
        return fw_fail(error, FW_ERROR_UNSUPPORTED, "no engine for %s", enc->config);
    }
    sa->key = sa->engine->key_new(m->encryption, m->integrity, m->key.data, m->integrity_key.data,
                                  m->direction == BUS_DIRECTION_OUTBOUND);
    if (!sa->key) {
        return fw_fail(error, FW_ERROR_SYSTEM, "%s does not take the keys", sa->engine->name);
    }
    if (enc->aead) {
        memcpy(&sa->salt, m->key.data + enc->key_bytes, sizeof sa->salt);
    }
    sa->iv_bytes = enc->iv_bytes;
    sa->block_mask = (uint8_t)(MAX(enc->block_bytes, 4) - 1);
    sa->icv_bytes = enc->aead ? enc->icv_bytes : integ->icv_bytes;
    return true;
}

static uint64_t *bitmap_of(struct ipsec_sa *sa, uint32_t window)
{
    uint32_t words = ipsec_replay_blocks(window);

    if (window == 0) {
        return NULL;
    }
    return words <= IPSEC_BITMAP_WORDS ? sa->bitmap : g_new0(uint64_t, words);
}

struct ipsec_sa *ipsec_sa_new(const struct bus_sa_install *m, const struct ipsec_engine *engine,
                              GError **error)
{
    struct ipsec_sa *sa = sa_alloc();
    struct ipsec_sa_rest *rest = sa->rest;

    sa->spi = m->spi;
    sa->tunnel = m->tunnel;
    sa->direction = m->direction;
    sa->spu = m->spu;
    sa->thread = m->thread;
    sa->esn = m->esn;
    sa->df = m->df;
    sa->ifl = m->ifl;
    rest->local = m->local;
    rest->remote = m->remote;
    rest->encap_local = m->encap_local;
    rest->encap_remote = m->encap_remote;
    sa->udp = m->encap_remote != 0;
    rest->n_selectors = m->n_selectors;
    memcpy(rest->selectors, m->selectors, m->n_selectors * sizeof rest->selectors[0]);
    sa->any = m->n_selectors == 0;
    for (unsigned i = 0; i < m->n_selectors; i++) {
        sa->any |= m->selectors[i].local.len == 0 && m->selectors[i].remote.len == 0 &&
                   m->selectors[i].local.addr.family == FW_FAMILY_V4;
    }
    if (!sa_fill(sa, m, engine, error)) {
        ipsec_sa_free(sa);
        return NULL;
    }
    if (m->direction == BUS_DIRECTION_OUTBOUND) {
        head_prepare(sa);
    } else {
        ipsec_replay_init(&sa->replay, m->replay_window, m->esn,
                          bitmap_of(sa, m->replay_window));
    }
    return sa;
}

void ipsec_sa_free(struct ipsec_sa *sa)
{
    if (!sa) {
        return;
    }
    if (sa->key) {
        sa->engine->key_free(sa->key);
    }
    if (sa->replay.bitmap != sa->bitmap) {
        g_free(sa->replay.bitmap);
    }
    g_free(sa->rest->held);
    g_free(sa->rest);
    ipsec_slab_give(&slab, sa);
}

bool ipsec_selectors_match(const struct ipsec_sa *sa, const struct fw_addr *local,
                           const struct fw_addr *remote)
{
    const struct ipsec_sa_rest *rest = sa->rest;

    for (unsigned i = 0; i < rest->n_selectors; i++) {
        const struct bus_traffic_selector *s = &rest->selectors[i];

        if (fw_prefix_contains(&s->local, local) && fw_prefix_contains(&s->remote, remote)) {
            return true;
        }
    }
    return rest->n_selectors == 0;
}

/* ---- tables ---- */

static uint32_t home(uint32_t key)
{
    return (key * 0x9e3779b1u >> 12) % SLOTS;
}

static struct slot *slot_find(struct slot *slots, uint32_t key)
{
    uint32_t at = home(key);

    while (slots[at].sa && slots[at].key != key) {
        at = (at + 1) % SLOTS;
    }
    return &slots[at];
}

/* Close the gap so that every key is still found from its home. */
static void slot_clear(struct slot *slots, struct slot *gone)
{
    uint32_t hole = (uint32_t)(gone - slots), at = hole;

    slots[hole] = (struct slot){0, 0, NULL};
    for (;;) {
        at = (at + 1) % SLOTS;
        if (!slots[at].sa) {
            return;
        }
        if ((at - home(slots[at].key)) % SLOTS >= (at - hole) % SLOTS) {
            slots[hole] = slots[at];
            slots[at] = (struct slot){0, 0, NULL};
            hole = at;
        }
    }
}

struct ipsec_thread *ipsec_thread_new(void)
{
    void *p = mmap(NULL, sizeof(struct ipsec_thread), PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED) {
        g_error("no memory for a thread's SAs");
    }
    return p;
}

void ipsec_thread_free(struct ipsec_thread *table)
{
    if (!table) {
        return;
    }
    for (uint32_t i = 0; i < SLOTS && table->n_in > 0; i++) {
        if (table->in[i].sa) {
            ipsec_sa_free(table->in[i].sa);
            table->n_in--;
        }
    }
    for (uint32_t i = 0; i < SLOTS && table->n_out > 0; i++) {
        for (struct ipsec_sa *sa = table->out[i].sa, *older; sa; sa = older) {
            older = sa->rest->older;
            ipsec_sa_free(sa);
            table->n_out--;
        }
    }
    munmap(table, sizeof *table);
}

struct ipsec_sa *ipsec_find_in(const struct ipsec_thread *table, uint32_t spi)
{
    uint32_t at = home(spi);

    while (table->in[at].sa && table->in[at].key != spi) {
        at = (at + 1) % SLOTS;
    }
    return table->in[at].sa;
}

struct ipsec_sa *ipsec_find_out(const struct ipsec_thread *table, uint32_t tunnel)
{
    uint32_t at = home(tunnel);

    while (table->out[at].sa && table->out[at].key != tunnel) {
        at = (at + 1) % SLOTS;
    }
    return table->out[at].sa;
}

void ipsec_prefetch_in(const struct ipsec_thread *table, uint32_t spi)
{
    __builtin_prefetch(&table->in[home(spi)]);
}

void ipsec_prefetch_out(const struct ipsec_thread *table, uint32_t tunnel)
{
    __builtin_prefetch(&table->out[home(tunnel)]);
}

bool ipsec_trigger_due(struct ipsec_thread *table, int64_t now_s)
{
    bool due = table->triggered_s != now_s;

    table->triggered_s = now_s;
    return due;
}

static void held_let_go(struct flow_thread *t, struct ipsec_sa *larval, bool decrypt)
{
    for (unsigned i = 0; i < larval->rest->n_held; i++) {
        if (decrypt) {
            ipsec_decrypt(t, &larval->rest->held[i]);
        } else {
            flow_drop(t, &larval->rest->held[i], FLOW_INVALID_SPI);
        }
    }
    larval->rest->n_held = 0;
}

static bool insert_in(struct flow_thread *t, struct ipsec_sa *sa, struct ipsec_sa **ret_old)
{
    struct ipsec_thread *table = t->ipsec;
    struct slot *slot = slot_find(table->in, sa->spi);

    *ret_old = slot->sa;
    if (!slot->sa) {
        if (table->n_in == IPSEC_SAS_MAX) {
            return false;
        }
        table->n_in++;
    }
    slot->key = sa->spi;
    slot->sa = sa;
    if (*ret_old) {
        held_let_go(t, *ret_old, true);
    }
    return true;
}

bool ipsec_insert(struct flow_thread *t, struct ipsec_sa *sa, struct ipsec_sa **ret_old)
{
    struct ipsec_thread *table = t->ipsec;
    struct slot *slot;

    if (sa->direction == BUS_DIRECTION_INBOUND) {
        return insert_in(t, sa, ret_old);
    }
    *ret_old = NULL;
    if (table->n_out == IPSEC_SAS_MAX) {
        return false;
    }
    table->n_out++;
    slot = slot_find(table->out, sa->tunnel);
    sa->rest->older = slot->sa;
    slot->key = sa->tunnel;
    slot->sa = sa;
    return true;
}

/* Outbound SPIs are the peers' choice: two peers may choose the same, so the tunnel counts too. */
static struct ipsec_sa *remove_out(struct ipsec_thread *table, uint32_t tunnel, uint32_t spi)
{
    struct slot *slot = slot_find(table->out, tunnel);
    struct ipsec_sa **link = &slot->sa;
    struct ipsec_sa *sa;

    while (*link && (*link)->spi != spi) {
        link = &(*link)->rest->older;
    }
    sa = *link;
    if (!sa) {
        return NULL;
    }
    if (link == &slot->sa && !sa->rest->older) {
        slot_clear(table->out, slot);
    } else {
        *link = sa->rest->older;
    }
    table->n_out--;
    return sa;
}

struct ipsec_sa *ipsec_remove(struct flow_thread *t, enum bus_direction direction, uint32_t tunnel,
                              uint32_t spi)
{
    struct slot *slot;
    struct ipsec_sa *sa;

    if (direction == BUS_DIRECTION_OUTBOUND) {
        return remove_out(t->ipsec, tunnel, spi);
    }
    slot = slot_find(t->ipsec->in, spi);
    sa = slot->sa;
    if (sa) {
        slot_clear(t->ipsec->in, slot);
        t->ipsec->n_in--;
        held_let_go(t, sa, false);
    }
    return sa;
}
