/*
 * record - one IKE SA with its CHILD SAs as bytes, and back.
 *
 * Written for restarts of the daemon, loss of a card, and a cluster's other node. All keys,
 * message ids, the last answer, the outstanding request with its negotiation. Times are wall
 * clock. AEAD IV counters are not in it: they start anew at random (send.c).
 *
 *   magic(4) version(2) then fields in order; lengths before variable parts.
 */
#include "re/ike/internal.h"

#include <string.h>

#define MAGIC   0x494b4552u /* IKER */
#define VERSION 1

/* ---- small pieces ---- */

static void put_time(struct fw_emit *e, const struct ike *ike, int64_t t)
{
    fw_emit_u64(e, t == INT64_MAX ? (uint64_t)INT64_MAX : (uint64_t)(t + ike->wall_ns));
}

static int64_t get_time(struct fw_cursor *c, const struct ike *ike)
{
    uint64_t t = fw_cursor_u64(c);

    return t >= (uint64_t)INT64_MAX ? INT64_MAX : (int64_t)t - ike->wall_ns;
}

static void put_addr(struct fw_emit *e, const struct fw_addr *a)
{
    fw_emit_u8(e, a->family);
    fw_emit_bytes(e, a->bytes, 16);
}

static void get_addr(struct fw_cursor *c, struct fw_addr *a)
{
    memset(a, 0, sizeof *a);
    a->family = fw_cursor_u8(c);
    fw_cursor_copy(c, a->bytes, 16);
    if (a->family != FW_FAMILY_NONE && a->family != FW_FAMILY_V4 && a->family != FW_FAMILY_V6) {
        c->failed = true;
    }
}

static void put_var(struct fw_emit *e, const void *data, size_t n)
{
    fw_emit_u16(e, (uint16_t)n);
    fw_emit_bytes(e, data, n);
}

/* At most `room` bytes. */
static size_t get_var(struct fw_cursor *c, void *ret, size_t room)
{
    size_t n = fw_cursor_u16(c);

    if (n > room) {
        c->failed = true;
        return 0;
    }
    return fw_cursor_copy(c, ret, n) ? n : 0;
}

static void put_array(struct fw_emit *e, const GByteArray *a)
{
    put_var(e, a ? a->data : NULL, a ? a->len : 0);
}

static GByteArray *get_array(struct fw_cursor *c)
{
    size_t n = fw_cursor_u16(c);
    const uint8_t *p = fw_cursor_take(c, n);

    return p && n ? g_byte_array_append(g_byte_array_new(), p, (guint)n) : NULL;
}

/* A cipher, with integrity where it has none of its own. */
static bool protects(enum fw_enc enc, enum fw_integ integ)
{
    return enc != FW_ENC_NONE && (fw_enc_row(enc)->aead || integ != FW_INTEG_NONE);
}

static void put_esp(struct fw_emit *e, const struct ike_esp_suite *s)
{
    fw_emit_u8(e, (uint8_t)s->enc);
    fw_emit_u8(e, (uint8_t)s->integ);
    fw_emit_u16(e, s->group);
    fw_emit_u8(e, s->esn);
}

static void get_esp(struct fw_cursor *c, struct ike_esp_suite *s)
{
    uint8_t enc = fw_cursor_u8(c), integ = fw_cursor_u8(c);

    s->group = fw_cursor_u16(c);
    s->esn = fw_cursor_u8(c);
    s->enc = enc < FW_ENC_COUNT ? (enum fw_enc)enc : FW_ENC_NONE;
    s->integ = integ < FW_INTEG_COUNT ? (enum fw_integ)integ : FW_INTEG_NONE;
    c->failed =
        c->failed || enc >= FW_ENC_COUNT || integ >= FW_INTEG_COUNT || !protects(s->enc, s->integ);
}

static void put_suite(struct fw_emit *e, const struct ike_suite *s)
{
    fw_emit_u8(e, (uint8_t)s->enc);
    fw_emit_u8(e, (uint8_t)s->integ);
    fw_emit_u8(e, (uint8_t)s->prf);
    fw_emit_u16(e, s->group);
}

static void get_suite(struct fw_cursor *c, struct ike_suite *s)
{
    uint8_t enc = fw_cursor_u8(c), integ = fw_cursor_u8(c), prf = fw_cursor_u8(c);

    s->group = fw_cursor_u16(c);
    s->enc = enc < FW_ENC_COUNT ? (enum fw_enc)enc : FW_ENC_NONE;
    s->integ = integ < FW_INTEG_COUNT ? (enum fw_integ)integ : FW_INTEG_NONE;
    s->prf = prf < FW_PRF_COUNT ? (enum fw_prf)prf : FW_PRF_NONE;
    c->failed = c->failed || enc >= FW_ENC_COUNT || integ >= FW_INTEG_COUNT ||
                prf >= FW_PRF_COUNT || s->prf == FW_PRF_NONE || !protects(s->enc, s->integ);
}

static void put_place(struct fw_emit *e, const struct ike_placement *p)
{
    fw_emit_u16(e, p->anchor);
    fw_emit_u8(e, p->slot);
    fw_emit_u8(e, p->spu);
    fw_emit_u8(e, p->thread);
    fw_emit_u32(e, p->generation);
}

static void get_place(struct fw_cursor *c, struct ike_placement *p)
{
    p->anchor = fw_cursor_u16(c);
    p->slot = fw_cursor_u8(c);
    p->spu = fw_cursor_u8(c);
    p->thread = fw_cursor_u8(c);
    p->generation = fw_cursor_u32(c);
}

static void put_selectors(struct fw_emit *e, const struct ike_selector *s, unsigned n)
{
    fw_emit_u8(e, (uint8_t)n);
    for (unsigned i = 0; i < n; i++) {
        put_addr(e, &s[i].local.addr);
        fw_emit_u8(e, s[i].local.len);
        put_addr(e, &s[i].remote.addr);
        fw_emit_u8(e, s[i].remote.len);
    }
}

static unsigned get_selectors(struct fw_cursor *c, struct ike_selector *s)
{
    unsigned n = fw_cursor_u8(c);

    if (n > IKE_SELECTORS_MAX) {
        c->failed = true;
        return 0;
    }
    for (unsigned i = 0; i < n; i++) {
        get_addr(c, &s[i].local.addr);
        s[i].local.len = fw_cursor_u8(c);
        get_addr(c, &s[i].remote.addr);
        s[i].remote.len = fw_cursor_u8(c);
        if (s[i].local.len > 8 * fw_addr_size(&s[i].local.addr) ||
            s[i].remote.len > 8 * fw_addr_size(&s[i].remote.addr)) {
            c->failed = true;
        }
    }
    return n;
}

/* ---- CHILD SAs ---- */

enum { C_OUTBOUND = 1, C_REPLACED = 2, C_DELETING = 4, C_REKEYING = 8, C_LOST = 16 };

static void put_child(struct fw_emit *e, const struct ike *ike, const struct ike_child *c)
{
    fw_emit_u32(e, c->tunnel);
    fw_emit_u32(e, c->spi_in);
    fw_emit_u32(e, c->spi_out);
    fw_emit_u32(e, c->rival);
    put_place(e, &c->place);
    put_esp(e, &c->suite);
    put_selectors(e, c->selectors, c->n_selectors);
    fw_emit_u8(e, (c->outbound ? C_OUTBOUND : 0) | (c->replaced ? C_REPLACED : 0) |
                      (c->deleting ? C_DELETING : 0) | (c->rekeying ? C_REKEYING : 0) |
                      (c->lost ? C_LOST : 0));
    fw_emit_bytes(e, c->key_out, sizeof c->key_out);
    fw_emit_bytes(e, c->integ_out, sizeof c->integ_out);
    fw_emit_bytes(e, c->nonce_min, sizeof c->nonce_min);
    put_time(e, ike, c->outbound_at_ns);
    put_time(e, ike, c->created_ns);
    put_time(e, ike, c->soft_ns);
    put_time(e, ike, c->hard_ns);
}

static void get_child(struct fw_cursor *c, const struct ike *ike, struct ike_child *ret)
{
    uint8_t flags;

    ret->tunnel = fw_cursor_u32(c);
    ret->spi_in = fw_cursor_u32(c);
    ret->spi_out = fw_cursor_u32(c);
    ret->rival = fw_cursor_u32(c);
    get_place(c, &ret->place);
    get_esp(c, &ret->suite);
    ret->n_selectors = get_selectors(c, ret->selectors);
    flags = fw_cursor_u8(c);
    ret->outbound = flags & C_OUTBOUND;
    ret->replaced = flags & C_REPLACED;
    ret->deleting = flags & C_DELETING;
    ret->rekeying = flags & C_REKEYING;
    ret->lost = flags & C_LOST;
    fw_cursor_copy(c, ret->key_out, sizeof ret->key_out);
    fw_cursor_copy(c, ret->integ_out, sizeof ret->integ_out);
    fw_cursor_copy(c, ret->nonce_min, sizeof ret->nonce_min);
    ret->outbound_at_ns = get_time(c, ike);
    ret->created_ns = get_time(c, ike);
    ret->soft_ns = get_time(c, ike);
    ret->hard_ns = get_time(c, ike);
}

/* ---- our outstanding negotiation ---- */

static void put_nego(struct fw_emit *e, const struct ike_nego *n)
{
    fw_emit_u8(e, n->active);
    if (!n->active) {
        return;
    }
    fw_emit_u8(e, n->rekey_ike);
    fw_emit_u32(e, n->tunnel);
    fw_emit_u32(e, n->rekey_spi_in);
    put_place(e, &n->place);
    fw_emit_u32(e, n->spi_in);
    fw_emit_u64(e, n->ike_own);
    put_var(e, n->ni.data, n->ni.len);
    fw_emit_u16(e, n->group);
    put_var(e, n->private_value ? n->private_value->data : NULL,
            n->private_value ? n->private_value->len : 0);
}

static void get_nego(struct fw_cursor *c, struct ike_nego *n)
{
    uint8_t secret[FW_DH_MAX];
    size_t len;

    n->active = fw_cursor_u8(c);
    if (!n->active) {
        return;
    }
    n->initiator = true;
    n->rekey_ike = fw_cursor_u8(c);
    n->tunnel = fw_cursor_u32(c);
    n->rekey_spi_in = fw_cursor_u32(c);
    get_place(c, &n->place);
    n->spi_in = fw_cursor_u32(c);
    n->ike_own = fw_cursor_u64(c);
    n->ni.len = (uint16_t)get_var(c, n->ni.data, sizeof n->ni.data);
    n->group = fw_cursor_u16(c);
    len = get_var(c, secret, sizeof secret);
    n->private_value = len ? fw_secret_new(secret, len) : NULL;
    fw_wipe(secret, sizeof secret);
}

/* ---- the whole ---- */

enum { S_INITIATOR = 1, S_NATT = 2, S_NAT_LOCAL = 4, S_NAT_REMOTE = 8, S_REPLACED = 16 };

/*
 * A request that was being prepared, or whose answer was being worked on, is not in the record:
 * its task is begun again after the restart (the answer of a rekey that had come is lost, the peer
 * keeps a pair that nobody uses until its lifetime ends).
 */
size_t ike_record_write(const struct ike *ike, uint32_t sa_index, uint8_t *ret, size_t room)
{
    struct ike_sa *sa = g_hash_table_lookup(ike->by_index, GUINT_TO_POINTER(sa_index));
    struct fw_emit e = fw_emit(ret, room);

    if (!sa || sa->state != IKE_S_UP) {
        return 0;
    }
    fw_emit_u32(&e, MAGIC);
    fw_emit_u16(&e, VERSION);
    fw_emit_u32(&e, sa->index);
    fw_emit_u8(&e, (sa->initiator ? S_INITIATOR : 0) | (sa->natt ? S_NATT : 0) |
                       (sa->nat_local ? S_NAT_LOCAL : 0) | (sa->nat_remote ? S_NAT_REMOTE : 0) |
                       (sa->replaced ? S_REPLACED : 0));
    fw_emit_u64(&e, sa->spi_i);
    fw_emit_u64(&e, sa->spi_r);
    put_var(&e, sa->gateway, strlen(sa->gateway));
    put_addr(&e, &sa->local);
    put_addr(&e, &sa->remote);
    fw_emit_u16(&e, sa->local_port);
    fw_emit_u16(&e, sa->remote_port);
    put_suite(&e, &sa->suite);
    fw_emit_bytes(&e, &sa->keys, sizeof sa->keys);
    fw_emit_u8(&e, sa->remote_id.type);
    put_var(&e, sa->remote_id.data, sa->remote_id.len);
    put_var(&e, sa->ni.data, sa->ni.len);
    put_var(&e, sa->nr.data, sa->nr.len);
    put_time(&e, ike, sa->created_ns);
    put_time(&e, ike, sa->soft_ns);
    put_time(&e, ike, sa->hard_ns);
    fw_emit_u32(&e, sa->children_created);
    fw_emit_u32(&e, sa->children_deleted);
    fw_emit_u64(&e, sa->in_bytes);
    fw_emit_u64(&e, sa->out_bytes_total);
    fw_emit_u64(&e, sa->in_packets);
    fw_emit_u64(&e, sa->out_packets);
    fw_emit_u32(&e, sa->out_id);
    fw_emit_u32(&e, sa->in_id);
    put_array(&e, sa->in_response);
    fw_emit_u8(&e, sa->out_sent ? (uint8_t)sa->out.kind : IKE_TASK_NONE);
    if (sa->out_sent) {
        fw_emit_u32(&e, sa->out.tunnel);
        fw_emit_u32(&e, sa->out.spi_in);
        fw_emit_u8(&e, (uint8_t)sa->out.reason);
        put_array(&e, sa->out_bytes);
        put_nego(&e, &sa->mine);
    }
    fw_emit_u16(&e, (uint16_t)sa->children->len);
    for (unsigned i = 0; i < sa->children->len; i++) {
        put_child(&e, ike, sa->children->pdata[i]);
    }
    if (e.failed) {
        fw_wipe(ret, room);
        return 0;
    }
    return fw_emit_len(&e);
}

static void get_sa(struct fw_cursor *c, const struct ike *ike, struct ike_sa *sa)
{
    sa->gateway[get_var(c, sa->gateway, IKE_NAME_MAX)] = 0;
    get_addr(c, &sa->local);
    get_addr(c, &sa->remote);
    sa->local_port = fw_cursor_u16(c);
    sa->remote_port = fw_cursor_u16(c);
    get_suite(c, &sa->suite);
    sa->has_keys = fw_cursor_copy(c, &sa->keys, sizeof sa->keys);
    sa->remote_id.type = fw_cursor_u8(c);
    sa->remote_id.len = (uint8_t)get_var(c, sa->remote_id.data, IKE_ID_MAX);
    sa->ni.len = (uint16_t)get_var(c, sa->ni.data, sizeof sa->ni.data);
    sa->nr.len = (uint16_t)get_var(c, sa->nr.data, sizeof sa->nr.data);
    sa->created_ns = get_time(c, ike);
    sa->soft_ns = get_time(c, ike);
    sa->hard_ns = get_time(c, ike);
    sa->children_created = fw_cursor_u32(c);
    sa->children_deleted = fw_cursor_u32(c);
    sa->in_bytes = fw_cursor_u64(c);
    sa->out_bytes_total = fw_cursor_u64(c);
    sa->in_packets = fw_cursor_u64(c);
    sa->out_packets = fw_cursor_u64(c);
    sa->out_id = fw_cursor_u32(c);
    sa->in_id = fw_cursor_u32(c);
    sa->in_response = get_array(c);
    uint8_t kind = fw_cursor_u8(c);

    if (kind > IKE_TASK_LIVENESS || kind == IKE_TASK_INIT || kind == IKE_TASK_AUTH) {
        c->failed = true;
    } else if (kind != IKE_TASK_NONE) {
        sa->out.kind = (enum ike_task_kind)kind;
        sa->out.tunnel = fw_cursor_u32(c);
        sa->out.spi_in = fw_cursor_u32(c);
        uint8_t reason = fw_cursor_u8(c);
        sa->out.reason = reason < IKE_REASON_COUNT ? (enum ike_reason)reason : IKE_REASON_NONE;
        sa->out_bytes = get_array(c);
        get_nego(c, &sa->mine);
        sa->out_sent = sa->out_bytes != NULL;
    }
    unsigned n = fw_cursor_u16(c);
    for (unsigned i = 0; i < n && !c->failed && n <= IKE_CHILDREN_MAX; i++) {
        struct ike_child *child = g_new0(struct ike_child, 1);

        get_child(c, ike, child);
        g_ptr_array_add(sa->children, child);
    }
    c->failed = c->failed || n > IKE_CHILDREN_MAX;
}

/* What was only in memory begins again: tasks of the children, liveness, keepalives. */
static void resume(struct ike_sa *sa)
{
    struct ike_gateway *g = ike_sa_gateway(sa);
    int64_t now = sa->ike->now_ns;

    sa->heard_ns = sa->traffic_in_ns = sa->traffic_out_ns = sa->sent_ns = now;
    if (g->c.dpd != IKE_DPD_OFF && g->c.dpd_interval_ns > 0) {
        sa->dpd_ns = now + g->c.dpd_interval_ns;
    }
    if (sa->nat_local && g->c.nat_keepalive_ns > 0) {
        sa->keepalive_ns = now + g->c.nat_keepalive_ns;
    }
    for (unsigned i = 0; i < sa->children->len; i++) {
        struct ike_child *c = sa->children->pdata[i];

        if (c->deleting) {
            ike_task_add(sa, IKE_TASK_CHILD_DELETE, c->tunnel, c->spi_in, IKE_REASON_REPLACED);
        } else if (c->rekeying) {
            ike_task_add(sa, IKE_TASK_CHILD_REKEY, c->tunnel, c->spi_in, IKE_REASON_NONE);
        }
    }
    if (sa->replaced && sa->hard_ns > now + IKE_HALF_OPEN_NS) {
        sa->hard_ns = now + IKE_HALF_OPEN_NS;
    }
    if (sa->out_sent) {
        sa->out_tries = 1;
        sa->out_next_ns = now; /* the very same bytes again */
    } else {
        ike_task_run(sa);
    }
    ike_sa_schedule(sa);
}

bool ike_record_read(struct ike *ike, const uint8_t *bytes, size_t n, int64_t now_ns)
{
    struct fw_cursor c = fw_cursor(bytes, n);
    uint32_t magic = fw_cursor_u32(&c);
    uint16_t version = fw_cursor_u16(&c);
    uint32_t index = fw_cursor_u32(&c);
    uint8_t flags = fw_cursor_u8(&c);
    uint64_t spi_i = fw_cursor_u64(&c), spi_r = fw_cursor_u64(&c);
    bool initiator = flags & S_INITIATOR;
    uint64_t own = initiator ? spi_i : spi_r;
    uint32_t last = ike->last_index;
    struct ike_sa *sa;

    ike->now_ns = now_ns;
    if (c.failed || magic != MAGIC || version != VERSION || index == 0 || own == 0 ||
        g_hash_table_contains(ike->by_index, GUINT_TO_POINTER(index)) ||
        g_hash_table_contains(ike->by_spi, &own)) {
        return false;
    }
    ike->last_index = index - 1;
    sa = ike_sa_new(ike, initiator, spi_i, spi_r);
    ike->last_index = MAX(last, index);
    sa->natt = flags & S_NATT;
    sa->nat_local = flags & S_NAT_LOCAL;
    sa->nat_remote = flags & S_NAT_REMOTE;
    sa->replaced = flags & S_REPLACED;
    sa->state = IKE_S_UP;
    get_sa(&c, ike, sa);
    if (c.failed || fw_cursor_left(&c) || !ike_sa_gateway(sa) || sa->hard_ns <= now_ns) {
        g_hash_table_remove(ike->by_spi, &own);
        g_hash_table_remove(ike->by_index, GUINT_TO_POINTER(index));
        ike_sa_free(sa);
        return false;
    }
    resume(sa);
    ike_bury(ike);
    return true;
}
