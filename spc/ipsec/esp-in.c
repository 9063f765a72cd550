/*
 * esp-in - an ESP packet becomes a clear packet (RFC 4303 section 3.4).
 *
 * Cipher text is read where it lies (in the sender's memory), plain text goes
 * into an own buffer, so the packet is copied by the cipher itself. Order:
 * length, SA, replay, authentication, replay advance, trailer, next header,
 * inner length (TFC padding behind it is cut), selectors, ECN (RFC 6040).
 */
#include <string.h>

#include "firmware/core/cursor.h"
#include "spc/flow/checksum.h"
#include "spc/flow/lane.h"
#include "spc/ipsec/ipsec.h"

#define ESP_HEADER 8u
#define NEXT_NONE  59 /* dummy packets of traffic flow confidentiality */
#define KEYS_AHEAD 2  /* packets; more would push each other out of the first cache */

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

struct outer {
    uint32_t esp;     /* offset of the ESP header */
    uint32_t bytes;   /* of the ESP packet */
    uint32_t spi, sequence;
    uint8_t tos;
    bool udp;
    bool fragment;
};

static bool outer_parse(const uint8_t *data, uint32_t bytes, struct outer *ret)
{
    struct fw_cursor c = fw_cursor(data, bytes);
    unsigned header = (fw_cursor_u8(&c) & 15u) * 4;
    uint32_t total;
    uint8_t protocol;

    ret->tos = fw_cursor_u8(&c);
    total = fw_cursor_u16(&c);
    fw_cursor_u16(&c);
    ret->fragment = fw_cursor_u16(&c) & 0x3fff;
    fw_cursor_u8(&c);
    protocol = fw_cursor_u8(&c);
    fw_cursor_take(&c, 10);
    if (c.failed || data[0] >> 4 != 4 || header < 20 || total > bytes || total < header) {
        return false;
    }
    c = fw_cursor(data + header, total - header);
    ret->udp = protocol == FLOW_PROTO_UDP;
    if (ret->udp) {
        fw_cursor_take(&c, 8);
    } else if (protocol != FLOW_PROTO_ESP) {
        return false;
    }
    ret->bytes = (uint32_t)fw_cursor_left(&c);
    ret->esp = total - ret->bytes;
    ret->spi = fw_cursor_u32(&c);
    ret->sequence = fw_cursor_u32(&c);
    return !c.failed;
}

static void hold(struct flow_thread *t, struct ipsec_sa *sa, struct fabric_packet *p)
{
    if (sa->rest->n_held == IPSEC_HELD_MAX) {
        sa_drop(t, sa, p, FLOW_ESP_LARVAL_FULL);
        return;
    }
    if (!flow_own(t, p, 0)) {
        return;
    }
    flow_count(t->counters, FLOW_ESP_LARVAL_HELD, 1);
    sa->rest->held[sa->rest->n_held++] = *p;
    p->room = NULL;
}

/* Congestion experienced on the way is carried on; a packet that cannot say so is lost. */
static enum flow_counter ecn_take(uint8_t outer_tos, uint8_t *ip)
{
    unsigned inner = ip[0] >> 4 == 4 ? ip[1] & 3u : (ip[1] >> 4) & 3u;

    if ((outer_tos & 3) != 3 || inner == 3) {
        return FLOW_OK;
    }
    if (inner == 0) {
        return FLOW_ESP_ECN;
    }
    if (ip[0] >> 4 == 4) {
        uint8_t word[2] = {ip[0], (uint8_t)(ip[1] | 3)};
        uint16_t value;

        memcpy(&value, word, 2);
        flow_checksum_replace(ip + 10, ip, value);
    } else {
        ip[1] |= 0x30;
    }
    return FLOW_OK;
}

/* Bytes of the inner packet in `text` bytes of plain text with trailer, or why not. */
static enum flow_counter trailer_check(const uint8_t *plain, uint32_t text, uint32_t *ret_bytes)
{
    uint8_t pad = plain[text - 2], next = plain[text - 1];
    uint32_t room, bytes;

    if (next == NEXT_NONE) {
        return FLOW_ESP_DUMMY;
    }
    if (pad + 2u > text) {
        return FLOW_BAD_TRAILER;
    }
    room = text - 2 - pad;
    for (uint32_t i = 0; i < pad; i++) {
        if (plain[room + i] != i + 1) {
            return FLOW_BAD_TRAILER;
        }
    }
    if (next == FLOW_PROTO_IPIP && room >= 20 && plain[0] >> 4 == 4) {
        bytes = (uint32_t)plain[2] << 8 | plain[3];
    } else if (next == FLOW_PROTO_IPV6 && room >= 40 && plain[0] >> 4 == 6) {
        bytes = 40u + ((uint32_t)plain[4] << 8 | plain[5]);
    } else {
        return FLOW_BAD_TRAILER;
    }
    if (bytes > room || bytes < 20) {
        return FLOW_BAD_TRAILER;
    }
    *ret_bytes = bytes;
    return FLOW_OK;
}

static bool selected(const struct ipsec_sa *sa, const uint8_t *ip)
{
    bool v6 = ip[0] >> 4 == 6;
    struct fw_addr source = {.family = v6 ? FW_FAMILY_V6 : FW_FAMILY_V4}, destination = source;

    if (sa->any && !v6) {
        return true;
    }
    memcpy(source.bytes, ip + (v6 ? 8 : 12), v6 ? 16 : 4);
    memcpy(destination.bytes, ip + (v6 ? 24 : 16), v6 ? 16 : 4);
    return ipsec_selectors_match(sa, &destination, &source);
}

/* Authentic plain text in an own packet: becomes a packet of the st0 unit. False: dropped. */
static bool plain_check(struct flow_thread *t, struct ipsec_sa *sa, struct fabric_packet *own,
                        uint32_t text, uint8_t outer_tos)
{
    uint32_t bytes = 0;
    enum flow_counter why = trailer_check(own->room, text, &bytes);

    if (why == FLOW_OK && !selected(sa, own->room)) {
        why = FLOW_TS_CHECK;
    }
    if (why == FLOW_OK) {
        why = ecn_take(outer_tos, own->room);
    }
    if (why != FLOW_OK) {
        sa_drop(t, sa, own, why);
        return false;
    }
    bump(&sa->packets, 1);
    bump(&sa->bytes, bytes);
    flow_count(t->counters, FLOW_ESP_IN_PACKETS, 1);
    flow_count(t->counters, FLOW_ESP_IN_BYTES, bytes);
    own->cell.type = FABRIC_CELL_PACKET;
    own->cell.length = bytes;
    own->cell.ifl = sa->ifl;
    own->cell.out_ifl = 0;
    own->cell.tunnel = sa->tunnel;
    own->cell.flags = (uint8_t)((own->cell.flags & FABRIC_FLAG_TRACE) | FABRIC_FLAG_INNER);
    own->cell.gso = FABRIC_GSO_NONE;
    own->cell.gso_size = 0;
    return true;
}

/* Consumes p; true: the inner packet is in *ret. */
static bool decrypt(struct flow_thread *t, struct ipsec_sa *sa, struct fabric_packet *p,
                    const struct outer *o, struct fabric_packet *ret)
{
    uint32_t around = ESP_HEADER + sa->iv_bytes + sa->icv_bytes;
    struct ipsec_job job = {.esn = sa->esn, .salt = sa->salt};
    uint8_t header[ESP_HEADER];

    if (o->bytes < around + 2 || ((o->bytes - around) & sa->block_mask) != 0) {
        sa_drop(t, sa, p, FLOW_BAD_HEADER);
        return false;
    }
    job.sequence = ipsec_replay_number(&sa->replay, o->sequence);
    if (!ipsec_replay_check(&sa->replay, job.sequence)) {
        bump(&sa->replay_drops, 1);
        sa_drop(t, sa, p, FLOW_REPLAY);
        return false;
    }
    job.bytes = o->bytes - around;
    if (!fabric_lane_alloc(t->lane->fabric, job.bytes + IPSEC_TRAILER_MAX, ret)) {
        sa_drop(t, sa, p, FLOW_NO_BUFFER);
        return false;
    }
    ret->cell.hops = p->cell.hops;
    ret->cell.flags = p->cell.flags;
    ret->cell.trace = p->cell.trace;
    memcpy(header, p->data + o->esp, sizeof header);
    job.header = header;
    job.iv = (uint8_t *)p->data + o->esp + ESP_HEADER; /* read only when opening */
    job.in = p->data + o->esp + ESP_HEADER + sa->iv_bytes;
    job.out = ret->room;
    job.tag = job.in + job.bytes;
    if (!sa->engine->open(sa->key, &job)) {
        bump(&sa->auth_failures, 1);
        fabric_lane_free(t->lane->fabric, ret);
        sa_drop(t, sa, p, FLOW_AUTH_FAILED);
        return false;
    }
    ipsec_replay_advance(&sa->replay, job.sequence);
    __atomic_store_n(&sa->sequence, sa->replay.top, __ATOMIC_RELAXED);
    fabric_lane_free(t->lane->fabric, p);
    return plain_check(t, sa, ret, job.bytes, o->tos);
}

/* Consumes p; true: the inner packet is in *ret. */
static bool decrypt_with(struct flow_thread *t, struct ipsec_sa *sa, struct fabric_packet *p,
                         const struct outer *o, struct fabric_packet *ret)
{
    if (o->fragment) {
        flow_drop(t, p, FLOW_ESP_FRAGMENT);
    } else if (!sa) {
        flow_drop(t, p, FLOW_INVALID_SPI);
    } else if (sa->larval) {
        hold(t, sa, p);
    } else if (o->udp != sa->udp) {
        sa_drop(t, sa, p, FLOW_ESP_ENCAPSULATION);
    } else {
        return decrypt(t, sa, p, o, ret);
    }
    return false;
}

void ipsec_decrypt(struct flow_thread *t, struct fabric_packet *p)
{
    struct fabric_packet inner;
    struct outer o;

    if (!outer_parse(p->data, p->cell.length, &o)) {
        flow_drop(t, p, FLOW_BAD_HEADER);
    } else if (decrypt_with(t, ipsec_find_in(t->ipsec, o.spi), p, &o, &inner)) {
        flow_packet_inner(t, &inner, NULL);
    }
}

void ipsec_decrypt_burst(struct flow_lane *lane, struct fabric_packet *packets, unsigned n)
{
    struct flow_thread *threads[FABRIC_BURST];
    struct ipsec_sa *sas[FABRIC_BURST];
    struct outer outers[FABRIC_BURST];
    struct fabric_packet inner[FABRIC_BURST];
    struct flow_view views[FABRIC_BURST];
    unsigned n_inner = 0;

    for (unsigned i = 0; i < n; i++) {
        threads[i] = flow_lane_thread_of(lane, &packets[i]);
        if (threads[i] && !outer_parse(packets[i].data, packets[i].cell.length, &outers[i])) {
            flow_drop(threads[i], &packets[i], FLOW_BAD_HEADER);
            threads[i] = NULL;
        }
        if (threads[i]) {
            ipsec_prefetch_in(threads[i]->ipsec, outers[i].spi);
        }
    }
    for (unsigned i = 0; i < n; i++) {
        sas[i] = threads[i] ? ipsec_find_in(threads[i]->ipsec, outers[i].spi) : NULL;
        if (sas[i]) {
            ipsec_prefetch_sa(sas[i], true);
        }
    }
    for (unsigned i = 0; i < n + KEYS_AHEAD; i++) {
        unsigned at = i - KEYS_AHEAD;

        if (i < n && sas[i] && !sas[i]->larval) {
            sas[i]->engine->prefetch(sas[i]->key, outers[i].bytes);
            flow_prefetch_payload(&packets[i]);
        }
        if (i >= KEYS_AHEAD && threads[at] &&
            decrypt_with(threads[at], sas[at], &packets[at], &outers[at], &inner[n_inner])) {
            threads[n_inner] = threads[at];
            n_inner += flow_inner_prepare(threads[at], &inner[n_inner], &views[n_inner]);
        }
    }
    for (unsigned i = 0; i < n_inner; i++) {
        flow_sessions_prefetch_entry(threads[i]->sessions, views[i].hash);
    }
    for (unsigned i = 0; i < n_inner; i++) {
        flow_packet_inner(threads[i], &inner[i], &views[i]);
    }
}
