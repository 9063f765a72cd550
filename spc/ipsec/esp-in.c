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

uint32_t ipsec_spi_of(const uint8_t *data, uint32_t bytes, uint32_t *ret_esp)
{
    struct outer o;

    if (!outer_parse(data, bytes, &o)) {
        return 0;
    }
    *ret_esp = o.esp;
    return o.spi;
}

static void hold(struct flow_thread *t, struct ipsec_sa *sa, struct fabric_packet *p)
{
    if (sa->n_held == IPSEC_HELD_MAX) {
        sa_drop(t, sa, p, FLOW_ESP_LARVAL_FULL);
        return;
    }
    if (!flow_own(t, p, 0)) {
        return;
    }
    flow_count(t->counters, FLOW_ESP_LARVAL_HELD, 1);
    sa->held[sa->n_held++] = *p;
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

/* Authentic plain text in an own packet: to the flow code, as a packet of the st0 unit. */
static void plain_take(struct flow_thread *t, struct ipsec_sa *sa, struct fabric_packet *own,
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
        return;
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
    flow_packet_inner(t, own);
}

static void decrypt(struct flow_thread *t, struct ipsec_sa *sa, struct fabric_packet *p,
                    const struct outer *o)
{
    uint32_t around = ESP_HEADER + sa->iv_bytes + sa->icv_bytes;
    struct ipsec_job job = {.esn = sa->esn};
    uint8_t header[ESP_HEADER];
    struct fabric_packet own;

    if (o->bytes < around + 2 || (o->bytes - around) % sa->block_bytes != 0) {
        sa_drop(t, sa, p, FLOW_BAD_HEADER);
        return;
    }
    job.sequence = ipsec_replay_number(&sa->replay, o->sequence);
    if (!ipsec_replay_check(&sa->replay, job.sequence)) {
        bump(&sa->replay_drops, 1);
        sa_drop(t, sa, p, FLOW_REPLAY);
        return;
    }
    job.bytes = o->bytes - around;
    if (!fabric_lane_alloc(t->lane->fabric, job.bytes + IPSEC_TRAILER_MAX, &own)) {
        sa_drop(t, sa, p, FLOW_NO_BUFFER);
        return;
    }
    own.cell = p->cell;
    memcpy(header, p->data + o->esp, sizeof header);
    job.header = header;
    job.iv = (uint8_t *)p->data + o->esp + ESP_HEADER; /* read only when opening */
    job.in = p->data + o->esp + ESP_HEADER + sa->iv_bytes;
    job.out = own.room;
    job.tag = job.in + job.bytes;
    if (!sa->engine->open(sa->key, &job)) {
        bump(&sa->auth_failures, 1);
        flow_count(t->counters, FLOW_AUTH_FAILED, 1);
        bump(&sa->drops, 1);
        fabric_lane_free(t->lane->fabric, &own);
        fabric_lane_free(t->lane->fabric, p);
        return;
    }
    ipsec_replay_advance(&sa->replay, job.sequence);
    __atomic_store_n(&sa->sequence, sa->replay.top, __ATOMIC_RELAXED);
    fabric_lane_free(t->lane->fabric, p);
    plain_take(t, sa, &own, job.bytes, o->tos);
}

void ipsec_decrypt(struct flow_thread *t, struct fabric_packet *p)
{
    struct ipsec_sa *sa;
    struct outer o;

    if (!outer_parse(p->data, p->cell.length, &o)) {
        flow_drop(t, p, FLOW_BAD_HEADER);
        return;
    }
    if (o.fragment) {
        flow_drop(t, p, FLOW_ESP_FRAGMENT);
        return;
    }
    sa = ipsec_find_in(t->ipsec, o.spi);
    if (!sa) {
        flow_drop(t, p, FLOW_INVALID_SPI);
    } else if (sa->larval) {
        hold(t, sa, p);
    } else if (o.udp != (sa->encap_remote != 0)) {
        sa_drop(t, sa, p, FLOW_ESP_ENCAPSULATION);
    } else {
        decrypt(t, sa, p, &o);
    }
}
