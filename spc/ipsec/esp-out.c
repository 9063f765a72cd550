/*
 * esp-out - a clear packet becomes an ESP packet (RFC 4303 section 3.3).
 *
 * The packet is made own (one copy when it came from elsewhere) and encrypted in
 * place; outer headers grow into the headroom, the trailer behind. What does not
 * fit the path is split before: large frames into segments, IPv4 without DF into
 * fragments; with DF the source is told. DSCP and ECN are copied to the outer
 * header (RFC 4301 section 5.1.2, RFC 6040 normal mode).
 */
#include <string.h>

#include "firmware/core/clock.h"
#include "spc/flow/checksum.h"
#include "spc/flow/lane.h"
#include "spc/ipsec/ipsec.h"

#define ESP_HEADER 8u
#define IP_DF      0x4000u

static void bump(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static void sa_drop(struct flow_thread *t, struct ipsec_sa *sa, struct fabric_packet *p,
                    enum flow_counter why)
{
    bump(&sa->drops, 1);
    flow_drop(t, p, why);
}

/* The next number, or 0: this SA has sent its last packet. */
static uint64_t next_sequence(struct flow_thread *t, struct ipsec_sa *sa)
{
    struct flow_event event = {
        .kind = FLOW_EVENT_SA_EXPIRE, .tunnel = sa->tunnel, .spi = sa->spi};

    if (__builtin_expect(!sa->esn && sa->sequence >= IPSEC_SOFT_LIMIT, 0)) {
        event.hard = sa->sequence >= UINT32_MAX;
        if (event.hard ? !sa->hard_told : !sa->soft_told) {
            sa->soft_told = true;
            sa->hard_told = event.hard;
            flow_post(t->lane, &event);
        }
        if (event.hard) {
            return 0;
        }
    } else if (__builtin_expect(sa->sequence == UINT64_MAX, 0)) {
        return 0;
    }
    bump(&sa->sequence, 1);
    return sa->sequence;
}

/* Outer IPv4 (and UDP) header in front of the ESP packet of `bytes`. */
static uint8_t *outer_write(const struct ipsec_sa *sa, uint8_t *esp, uint32_t bytes, uint8_t tos,
                            uint16_t fragment, uint64_t sequence)
{
    uint8_t *ip = esp - sa->outer_bytes;
    uint32_t total = bytes + sa->outer_bytes;
    uint16_t sum, words[3];

    memcpy(ip, sa->outer, sa->outer_bytes);
    ip[1] = tos;
    ip[2] = (uint8_t)(total >> 8);
    ip[3] = (uint8_t)total;
    ip[4] = (uint8_t)(sequence >> 8);
    ip[5] = (uint8_t)sequence;
    ip[6] = (uint8_t)(fragment >> 8);
    /* Of the first word only the TOS is new: the version is in the prepared sum. */
    words[0] = __builtin_bswap16(tos);
    memcpy(&words[1], ip + 2, 2);
    memcpy(&words[2], ip + 4, 2);
    sum = flow_sum_fold((uint64_t)sa->outer_sum + words[0] + words[1] + words[2] +
                        __builtin_bswap16(fragment));
    memcpy(ip + 10, &sum, 2);
    if (sa->outer_bytes > 20) {
        ip[24] = (uint8_t)((bytes + 8) >> 8); /* UDP length; checksum 0 (RFC 3948 section 2.1) */
        ip[25] = (uint8_t)(bytes + 8);
    }
    return ip;
}

static uint16_t outer_fragment(const struct ipsec_sa *sa, const uint8_t *inner)
{
    switch ((enum ipsec_df)sa->df) {
    case IPSEC_DF_SET:
        return IP_DF;
    case IPSEC_DF_COPY:
        return inner[0] >> 4 == 6 || inner[6] & 0x40 ? IP_DF : 0;
    case IPSEC_DF_CLEAR:
        break;
    }
    return 0;
}

static uint32_t padding_of(const struct ipsec_sa *sa, uint32_t bytes)
{
    uint32_t block = sa->block_bytes;

    return (block - (bytes + 2) % block) % block;
}

/* One packet that fits, of `bytes`; checksums are complete. */
static void encrypt(struct flow_thread *t, struct ipsec_sa *sa, struct fabric_packet *p,
                    uint32_t bytes)
{
    uint32_t pad = padding_of(sa, bytes), text = bytes + pad + 2;
    struct ipsec_job job = {.bytes = text, .esn = sa->esn};
    uint8_t *inner, *esp, *ip, tos, next;
    uint16_t fragment;

    if (!flow_own(t, p, IPSEC_TRAILER_MAX)) {
        return;
    }
    job.sequence = next_sequence(t, sa);
    if (job.sequence == 0) {
        sa_drop(t, sa, p, FLOW_SEQUENCE_END);
        return;
    }
    inner = p->room;
    next = inner[0] >> 4 == 4 ? FLOW_PROTO_IPIP : FLOW_PROTO_IPV6;
    tos = next == FLOW_PROTO_IPIP ? inner[1] : (uint8_t)(inner[0] << 4 | inner[1] >> 4);
    fragment = outer_fragment(sa, inner);
    for (uint32_t i = 0; i < pad; i++) {
        inner[bytes + i] = (uint8_t)(i + 1);
    }
    inner[bytes + pad] = (uint8_t)pad;
    inner[bytes + pad + 1] = next;
    esp = inner - sa->iv_bytes - ESP_HEADER;
    esp[0] = (uint8_t)(sa->spi >> 24);
    esp[1] = (uint8_t)(sa->spi >> 16);
    esp[2] = (uint8_t)(sa->spi >> 8);
    esp[3] = (uint8_t)sa->spi;
    esp[4] = (uint8_t)(job.sequence >> 24);
    esp[5] = (uint8_t)(job.sequence >> 16);
    esp[6] = (uint8_t)(job.sequence >> 8);
    esp[7] = (uint8_t)job.sequence;
    job.header = esp;
    job.iv = esp + ESP_HEADER;
    job.in = inner;
    job.out = inner;
    job.ret_tag = inner + text;
    if (!sa->engine->seal(sa->key, &job)) {
        sa_drop(t, sa, p, FLOW_DISCARD);
        return;
    }
    ip = outer_write(sa, esp, ESP_HEADER + sa->iv_bytes + text + sa->icv_bytes, tos, fragment,
                     job.sequence);
    p->capacity += (uint32_t)(inner - ip);
    p->room = ip;
    p->data = ip;
    p->cell.length = (uint32_t)(inner - ip) + text + sa->icv_bytes;
    p->cell.flags = (uint8_t)(p->cell.flags & FABRIC_FLAG_TRACE);
    p->cell.gso = FABRIC_GSO_NONE;
    p->cell.hash = sa->spi * 0x9e3779b1u >> 8; /* an SA keeps its plane */
    bump(&sa->packets, 1);
    bump(&sa->bytes, bytes);
    flow_count(t->counters, FLOW_ESP_OUT_PACKETS, 1);
    flow_count(t->counters, FLOW_ESP_OUT_BYTES, bytes);
    flow_port_out(t, p, &sa->out);
}

/* Biggest inner packet: what the outer path leaves, and what the st0 unit allows. */
static uint32_t tunnel_mtu(struct flow_thread *t, const struct ipsec_sa *sa)
{
    const struct flow_ifl *st0 = flow_tables_ifl(t->lane->tables, sa->ifl);
    uint32_t around = sa->outer_bytes + ESP_HEADER + sa->iv_bytes + sa->icv_bytes;
    uint32_t room = sa->out.mtu > around ? sa->out.mtu - around : 0;

    room = room / sa->block_bytes * sa->block_bytes;
    room = room > 2 ? room - 2 : 0;
    return st0 && st0->mtu < room ? st0->mtu : room;
}

static void piece_encrypt(struct flow_thread *t, struct fabric_packet *p, void *data)
{
    encrypt(t, data, p, p->cell.length);
}

/* Large frames, fragments, unfinished checksums, and packets that do not fit at all. */
static void encrypt_slowly(struct flow_thread *t, struct ipsec_sa *sa, struct fabric_packet *p,
                           uint32_t mtu)
{
    struct flow_view v;
    enum flow_counter why = flow_view_parse(p->data, p->cell.length, &v);
    uint32_t wire = v.bytes;

    if (why != FLOW_OK) {
        sa_drop(t, sa, p, why);
        return;
    }
    p->cell.length = v.bytes;
    if (p->cell.gso != FABRIC_GSO_NONE) {
        uint32_t headers = v.tuple.protocol == FLOW_PROTO_TCP && !v.fragment
                               ? (p->data[v.header + 12] >> 4) * 4u
                               : 8u;

        wire = v.header + headers + p->cell.gso_size;
        wire = wire < v.bytes ? wire : v.bytes;
    }
    if (wire > mtu) {
        if (v.df || p->cell.gso != FABRIC_GSO_NONE || mtu < v.header + 8u) {
            bump(&sa->drops, 1);
            flow_icmp_error(t, p, &v, FLOW_TUNNEL_MTU, (uint16_t)mtu);
        } else {
            flow_fragment(t, p, &v, (uint16_t)mtu, piece_encrypt, sa);
        }
        return;
    }
    if (p->cell.gso != FABRIC_GSO_NONE) {
        flow_gso_split(t, p, &v, piece_encrypt, sa);
        return;
    }
    if (!flow_own(t, p, IPSEC_TRAILER_MAX)) {
        return;
    }
    if (!flow_checksum_complete(p)) {
        sa_drop(t, sa, p, FLOW_GSO_MALFORMED);
        return;
    }
    encrypt(t, sa, p, v.bytes);
}

static void no_sa(struct flow_thread *t, struct fabric_packet *p)
{
    struct flow_event event = {.kind = FLOW_EVENT_TRIGGER, .tunnel = p->cell.tunnel};

    if (ipsec_trigger_due(t->ipsec, t->lane->now_ns / FW_SEC)) {
        flow_post(t->lane, &event);
    }
    flow_drop(t, p, FLOW_NO_OUTBOUND_SA);
}

static bool outer_route(struct flow_thread *t, struct ipsec_sa *sa)
{
    if (sa->out.generation != flow_tables_generation(t->lane->tables)) {
        if (flow_tables_resolve(t->lane->tables, &sa->local, &sa->remote, &sa->out) != FLOW_OK ||
            sa->out.out != FLOW_OUT_PORT) {
            sa->out.generation = 0;
            return false;
        }
    }
    return true;
}

/* Does the packet belong into this SA? What is shorter than its header was never let through. */
static bool selected(const struct ipsec_sa *sa, const uint8_t *ip)
{
    bool v6 = ip[0] >> 4 == 6;
    struct fw_addr source = {.family = v6 ? FW_FAMILY_V6 : FW_FAMILY_V4}, destination = source;

    memcpy(source.bytes, ip + (v6 ? 8 : 12), v6 ? 16 : 4);
    memcpy(destination.bytes, ip + (v6 ? 24 : 16), v6 ? 16 : 4);
    return ipsec_selectors_match(sa, &source, &destination);
}

void ipsec_encrypt(struct flow_thread *t, struct fabric_packet *p)
{
    struct ipsec_sa *sa = ipsec_find_out(t->ipsec, p->cell.tunnel);
    const uint8_t *ip = p->data;
    uint32_t bytes, mtu;
    bool v4;

    if (!sa) {
        no_sa(t, p);
        return;
    }
    v4 = p->cell.length >= 20 && ip[0] >> 4 == 4;
    if (!v4 && (p->cell.length < 40 || ip[0] >> 4 != 6)) {
        sa_drop(t, sa, p, FLOW_IP_MALFORMED);
        return;
    }
    bytes = v4 ? (uint32_t)ip[2] << 8 | ip[3] : 40u + ((uint32_t)ip[4] << 8 | ip[5]);
    if (bytes > p->cell.length || bytes < 20) {
        sa_drop(t, sa, p, FLOW_IP_MALFORMED);
        return;
    }
    if (!(sa->any && v4) && !selected(sa, ip)) {
        sa_drop(t, sa, p, FLOW_TS_CHECK);
        return;
    }
    if (!outer_route(t, sa)) {
        sa_drop(t, sa, p, FLOW_ESP_NO_ROUTE);
        return;
    }
    mtu = tunnel_mtu(t, sa);
    if (bytes > mtu || p->cell.gso != FABRIC_GSO_NONE || p->cell.flags & FABRIC_FLAG_CSUM) {
        encrypt_slowly(t, sa, p, mtu);
        return;
    }
    encrypt(t, sa, p, bytes);
}

void ipsec_prefetch(struct flow_thread *t, const struct fabric_packet *p)
{
    const struct ipsec_sa *sa;
    uint32_t esp;

    if (p->cell.type == FABRIC_CELL_ENCRYPT) {
        sa = ipsec_find_out(t->ipsec, p->cell.tunnel);
    } else {
        sa = ipsec_find_in(t->ipsec, ipsec_spi_of(p->data, p->cell.length, &esp));
    }
    if (sa && sa->key) {
        const char *from = (const char *)sa;

        for (unsigned at = 0; at < 256; at += 64) {
            __builtin_prefetch(from + at);
        }
        sa->engine->prefetch(sa->key);
    }
}
