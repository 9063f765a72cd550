/*
 * esp-out - a clear packet becomes an ESP packet (RFC 4303 section 3.3).
 *
 * A received packet that brought its trailer along is encrypted from where it
 * lies into an own buffer; others are copied, or encrypted in place when they
 * are own already. Outer headers are one template of the SA, patched. What does
 * not fit the path is split before: large frames into segments, IPv4 without DF
 * into fragments; with DF the source is told. DSCP and ECN are copied to the
 * outer header (RFC 4301 section 5.1.2, RFC 6040 normal mode).
 *
 * Bursts look ahead: memory of SAs and keys is asked for some packets before it
 * is used.
 */
#include <string.h>

#include "firmware/core/clock.h"
#include "spc/flow/checksum.h"
#include "spc/flow/lane.h"
#include "spc/ipsec/ipsec.h"

#define ESP_HEADER 8u
#define IP_DF      0x40 /* in the seventh byte of an IPv4 header */
#define KEYS_AHEAD 2    /* packets; more would push each other out of the first cache */

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

static void put_u64(uint8_t *p, uint64_t v)
{
    v = __builtin_bswap64(v);
    memcpy(p, &v, 8);
}

static uint32_t padding_of(uint32_t bytes, uint32_t mask)
{
    return (0u - (bytes + 2)) & mask;
}

static void trailer_write(uint8_t *end, uint32_t pad, uint8_t next)
{
    for (uint32_t i = 0; i < pad; i++) {
        end[i] = (uint8_t)(i + 1);
    }
    end[pad] = (uint8_t)pad;
    end[pad + 1] = next;
}

static uint8_t next_header(const uint8_t *inner)
{
    return inner[0] >> 4 == 4 ? FLOW_PROTO_IPIP : FLOW_PROTO_IPV6;
}

void ipsec_trailer_add(struct fabric_packet *p)
{
    uint32_t pad = padding_of(p->cell.length, 3);

    trailer_write(p->room + p->cell.length, pad, next_header(p->room));
    p->cell.length += pad + 2;
}

static bool trailer_there(const struct fabric_packet *p, uint32_t bytes, uint32_t pad)
{
    const uint8_t *end = p->data + bytes + pad;

    return p->cell.length == bytes + pad + 2 && end[0] == pad && end[1] == next_header(p->data);
}

/* Near the end of 32-bit numbers: tell once, and false at the very end. */
static bool sequence_left(struct flow_thread *t, struct ipsec_sa *sa)
{
    struct flow_event event = {
        .kind = FLOW_EVENT_SA_EXPIRE, .tunnel = sa->tunnel, .spi = sa->spi};

    if (sa->esn) {
        return sa->sequence != UINT64_MAX;
    }
    event.hard = sa->sequence >= UINT32_MAX;
    if (event.hard ? !sa->hard_told : !sa->soft_told) {
        sa->soft_told = true;
        sa->hard_told = event.hard;
        flow_post(t->lane, &event);
    }
    return !event.hard;
}

static uint8_t df_of(const struct ipsec_sa *sa, const uint8_t *inner)
{
    switch ((enum ipsec_df)sa->df) {
    case IPSEC_DF_SET:
        return IP_DF;
    case IPSEC_DF_COPY:
        return inner[0] >> 4 == 6 ? IP_DF : inner[6] & IP_DF;
    case IPSEC_DF_CLEAR:
        break;
    }
    return 0;
}

/* Template in front of `esp`, patched for an ESP packet of `bytes`. Returns the frame. */
static uint8_t *head_write(const struct ipsec_sa *sa, uint8_t *esp, uint32_t bytes)
{
    uint8_t *frame = esp - sa->head_bytes, *ip = frame + FLOW_ETHER_BYTES;
    uint32_t total = bytes + sa->head_bytes - FLOW_ETHER_BYTES;

    memcpy(frame, sa->head, IPSEC_HEAD_BYTES); /* runs into the ESP header, which comes next */
    ip[2] = (uint8_t)(total >> 8);
    ip[3] = (uint8_t)total;
    if (sa->udp) {
        ip[24] = (uint8_t)((bytes + 8) >> 8); /* checksum 0 (RFC 3948 section 2.1) */
        ip[25] = (uint8_t)(bytes + 8);
    }
    return frame;
}

/* The rest of the outer IP header, and its checksum. */
static void head_finish(const struct ipsec_sa *sa, uint8_t *ip, uint32_t total, uint8_t tos,
                        uint8_t df)
{
    uint32_t id = (uint32_t)sa->sequence & 0xffff;
    uint32_t sum = sa->head_sum;

    sum += tos + total + id + ((uint32_t)df << 8);
    ip[1] = tos;
    ip[4] = (uint8_t)(id >> 8);
    ip[5] = (uint8_t)id;
    ip[6] = df;
    sum = (sum & 0xffff) + (sum >> 16);
    sum = ~((sum & 0xffff) + (sum >> 16));
    ip[10] = (uint8_t)(sum >> 8);
    ip[11] = (uint8_t)sum;
}

/* The own packet that the result goes into, at the end of the lane's queue: with room for `text`
 * and tag, and the plain text in it unless *ret_in is the received one. NULL: dropped. */
static struct fabric_packet *target(struct flow_thread *t, struct ipsec_sa *sa,
                                    struct fabric_packet *p, uint32_t bytes, uint32_t pad,
                                    const uint8_t **ret_in)
{
    struct flow_lane *lane = t->lane;
    struct fabric_packet *o = &lane->out[lane->n_out];
    uint32_t text = bytes + pad + 2;
    uint8_t hops = p->cell.hops;

    if (p->room && text + sa->icv_bytes <= p->capacity) {
        *o = *p;
        p->room = NULL;
        *ret_in = o->room;
        trailer_write(o->room + bytes, pad, next_header(o->room));
        return o;
    }
    if (!fabric_lane_alloc(lane->fabric, text + sa->icv_bytes, o)) {
        sa_drop(t, sa, p, FLOW_NO_BUFFER);
        return NULL;
    }
    o->cell.hops = hops;
    o->cell.trace = p->cell.trace;
    o->cell.flags = p->cell.flags;
    *ret_in = p->data;
    if (p->room || !trailer_there(p, bytes, pad)) {
        memcpy(o->room, p->data, bytes);
        trailer_write(o->room + bytes, pad, next_header(p->data));
        *ret_in = o->room;
        fabric_lane_free(lane->fabric, p);
    }
    return o;
}

/* One packet that fits, of `bytes`; checksums are complete. Consumes p. */
static void encrypt(struct flow_thread *t, struct ipsec_sa *sa, struct fabric_packet *p,
                    uint32_t bytes)
{
    struct flow_lane *lane = t->lane;
    uint32_t pad = padding_of(bytes, sa->block_mask), text = bytes + pad + 2;
    uint32_t esp_bytes = ESP_HEADER + sa->iv_bytes + text + sa->icv_bytes;
    struct ipsec_job job = {.bytes = text, .esn = sa->esn, .salt = sa->salt};
    uint8_t *esp, *frame, tos, df;
    struct fabric_packet *o;

    if (__builtin_expect(sa->sequence >= IPSEC_SOFT_LIMIT, 0) && !sequence_left(t, sa)) {
        sa_drop(t, sa, p, FLOW_SEQUENCE_END);
        return;
    }
    o = target(t, sa, p, bytes, pad, &job.in);
    if (!o) {
        return;
    }
    job.sequence = sa->sequence + 1;
    bump(&sa->sequence, 1);
    tos = job.in[0] >> 4 == 4 ? job.in[1] : (uint8_t)(job.in[0] << 4 | job.in[1] >> 4);
    df = df_of(sa, job.in);
    esp = o->room - sa->iv_bytes - ESP_HEADER;
    frame = head_write(sa, esp, esp_bytes);
    put_u64(esp, (uint64_t)sa->spi << 32 | (uint32_t)job.sequence);
    job.header = esp;
    job.iv = esp + ESP_HEADER;
    job.out = o->room;
    job.ret_tag = o->room + text;
    if (!sa->engine->seal(sa->key, &job)) {
        sa_drop(t, sa, o, FLOW_DISCARD);
        return;
    }
    head_finish(sa, frame + FLOW_ETHER_BYTES, esp_bytes + sa->head_bytes - FLOW_ETHER_BYTES, tos,
                df);
    bump(&sa->packets, 1);
    bump(&sa->bytes, bytes);
    flow_count(t->counters, FLOW_ESP_OUT_PACKETS, 1);
    flow_count(t->counters, FLOW_ESP_OUT_BYTES, bytes);
    o->cell.type = FABRIC_CELL_PORT_OUT;
    o->cell.flags = (uint8_t)((o->cell.flags & FABRIC_FLAG_TRACE) | FABRIC_FLAG_L2);
    o->cell.gso = FABRIC_GSO_NONE;
    o->cell.hash = sa->spi * 0x9e3779b1u >> 8; /* an SA keeps its plane */
    o->cell.out_ifl = sa->out_ifl;
    if (__builtin_expect(!sa->out_resolved, 0)) {
        struct fabric_packet held = *o;

        held.room = frame + FLOW_ETHER_BYTES;
        held.data = held.room;
        held.cell.flags = (uint8_t)(held.cell.flags & ~FABRIC_FLAG_L2);
        held.capacity += (uint32_t)(o->room - held.room);
        held.cell.length = (uint32_t)(o->room - held.room) + text + sa->icv_bytes;
        flow_hold(t, &held, &sa->rest->out);
        return;
    }
    o->cell.destination = sa->out_slot;
    o->cell.pic = sa->out_pic;
    o->cell.port = sa->out_port;
    o->cell.length = sa->head_bytes + esp_bytes;
    o->room = frame;
    if (++lane->n_out == FABRIC_BURST) {
        flow_lane_flush(lane);
    }
}

static void piece_encrypt(struct flow_thread *t, struct fabric_packet *p, void *data)
{
    encrypt(t, data, p, p->cell.length);
}

/* Large frames, fragments, unfinished checksums, and packets that do not fit at all. */
static void encrypt_slowly(struct flow_thread *t, struct ipsec_sa *sa, struct fabric_packet *p)
{
    struct flow_view v;
    enum flow_counter why = flow_view_parse(p->data, p->cell.length, &v);
    uint32_t wire = v.bytes, mtu = sa->inner_mtu;

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

/* Biggest inner packet: what the outer path leaves, and what the st0 unit allows. */
static uint16_t inner_mtu(struct flow_thread *t, const struct ipsec_sa *sa)
{
    const struct flow_ifl *st0 = flow_tables_ifl(t->lane->tables, sa->ifl);
    uint32_t around = sa->head_bytes - FLOW_ETHER_BYTES + ESP_HEADER + sa->iv_bytes + sa->icv_bytes;
    uint32_t room = sa->rest->out.mtu > around ? sa->rest->out.mtu - around : 0;

    room &= ~(uint32_t)sa->block_mask;
    room = room > 2 ? room - 2 : 0;
    return (uint16_t)(st0 && st0->mtu < room ? st0->mtu : room);
}

/* Where the outer packets go, by the tables of now. */
static bool outer_route(struct flow_thread *t, struct ipsec_sa *sa)
{
    struct ipsec_sa_rest *rest = sa->rest;
    struct flow_adjacency *out = &rest->out;

    if (flow_tables_resolve(t->lane->tables, &rest->local, &rest->remote, out) != FLOW_OK ||
        out->out != FLOW_OUT_PORT) {
        sa->route_generation = 0;
        return false;
    }
    memcpy(sa->head, out->ether, 12);
    sa->inner_mtu = inner_mtu(t, sa);
    sa->out_ifl = out->ifl;
    sa->out_slot = out->slot;
    sa->out_pic = out->pic;
    sa->out_port = out->port;
    sa->out_resolved = out->resolved;
    sa->route_generation = out->generation;
    return true;
}

/* Does the packet belong into this SA? */
static bool selected(const struct ipsec_sa *sa, const uint8_t *ip)
{
    bool v6 = ip[0] >> 4 == 6;
    struct fw_addr source = {.family = v6 ? FW_FAMILY_V6 : FW_FAMILY_V4}, destination = source;

    memcpy(source.bytes, ip + (v6 ? 8 : 12), v6 ? 16 : 4);
    memcpy(destination.bytes, ip + (v6 ? 24 : 16), v6 ? 16 : 4);
    return ipsec_selectors_match(sa, &source, &destination);
}

/* Bytes of the IP packet, 0 when it is none. */
static uint32_t packet_bytes(const struct fabric_packet *p)
{
    const uint8_t *ip = p->data;
    uint32_t bytes = 0;

    if (p->cell.length >= 20 && ip[0] >> 4 == 4) {
        bytes = (uint32_t)ip[2] << 8 | ip[3];
    } else if (p->cell.length >= 40 && ip[0] >> 4 == 6) {
        bytes = 40u + ((uint32_t)ip[4] << 8 | ip[5]);
    }
    return bytes >= 20 && bytes <= p->cell.length ? bytes : 0;
}

static void encrypt_with(struct flow_thread *t, struct ipsec_sa *sa, struct fabric_packet *p)
{
    uint32_t bytes;

    if (!sa) {
        no_sa(t, p);
        return;
    }
    bytes = packet_bytes(p);
    if (bytes == 0) {
        sa_drop(t, sa, p, FLOW_IP_MALFORMED);
        return;
    }
    if (!(sa->any && p->data[0] >> 4 == 4) && !selected(sa, p->data)) {
        sa_drop(t, sa, p, FLOW_TS_CHECK);
        return;
    }
    if (sa->route_generation != t->lane->generation && !outer_route(t, sa)) {
        sa_drop(t, sa, p, FLOW_ESP_NO_ROUTE);
        return;
    }
    if (bytes > sa->inner_mtu || p->cell.gso != FABRIC_GSO_NONE ||
        p->cell.flags & FABRIC_FLAG_CSUM) {
        encrypt_slowly(t, sa, p);
        return;
    }
    encrypt(t, sa, p, bytes);
}

void ipsec_encrypt(struct flow_thread *t, struct fabric_packet *p)
{
    encrypt_with(t, ipsec_find_out(t->ipsec, p->cell.tunnel), p);
}

void ipsec_encrypt_burst(struct flow_lane *lane, struct fabric_packet *packets, unsigned n)
{
    struct flow_thread *threads[FABRIC_BURST];
    struct ipsec_sa *sas[FABRIC_BURST];

    for (unsigned i = 0; i < n; i++) {
        threads[i] = flow_lane_thread_of(lane, &packets[i]);
        if (threads[i]) {
            ipsec_prefetch_out(threads[i]->ipsec, packets[i].cell.tunnel);
        }
    }
    for (unsigned i = 0; i < n; i++) {
        sas[i] = threads[i] ? ipsec_find_out(threads[i]->ipsec, packets[i].cell.tunnel) : NULL;
        if (sas[i]) {
            ipsec_prefetch_sa(sas[i], false);
        }
    }
    for (unsigned i = 0; i < n + KEYS_AHEAD; i++) {
        if (i < n && sas[i]) {
            sas[i]->engine->prefetch(sas[i]->key, packets[i].cell.length);
            flow_prefetch_payload(&packets[i]);
        }
        if (i >= KEYS_AHEAD && threads[i - KEYS_AHEAD]) {
            encrypt_with(threads[i - KEYS_AHEAD], sas[i - KEYS_AHEAD], &packets[i - KEYS_AHEAD]);
        }
    }
}
