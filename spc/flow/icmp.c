/*
 * icmp - errors the card itself sends: time exceeded, unreachable, too big.
 *
 * Never about ICMP errors, later fragments, or faster than ICMP_PER_SECOND a
 * lane. The answer leaves from the interface's own address by the route to the
 * source, without a session of its own. Standards: RFC 792, 1191, 1812, 4443.
 */
#include <glib.h>
#include <string.h>

#include "firmware/core/clock.h"
#include "firmware/core/emit.h"
#include "spc/flow/checksum.h"
#include "spc/flow/lane.h"
#include "spc/ipsec/ipsec.h"

#define ICMP_PER_SECOND 100u
#define QUOTE_V4        28u   /* what RFC 792 asks for; hosts match on it */
#define QUOTE_V6        1184u /* an answer of 1,280 bytes with 48 of headers and some room */

static const struct {
    enum flow_counter why;
    uint8_t type4, code4, type6, code6;
} answers[] = {
    {FLOW_TTL, 11, 0, 3, 0},        {FLOW_MTU, 3, 4, 2, 0},
    {FLOW_TUNNEL_MTU, 3, 4, 2, 0},  {FLOW_NO_ROUTE, 3, 0, 1, 0},
    {FLOW_POLICY_REJECT, 3, 13, 1, 1},
};

static bool allowed(struct flow_lane *lane, const struct flow_view *v)
{
    if (v->later) {
        return false;
    }
    if ((v->tuple.protocol == FLOW_PROTO_ICMP && v->icmp_type != 8) ||
        (v->tuple.protocol == FLOW_PROTO_ICMP6 && v->icmp_type < 128)) {
        return false;
    }
    if (lane->now_ns - lane->icmp_at_ns >= FW_SEC) {
        lane->icmp_at_ns = lane->now_ns;
        lane->icmp_tokens = ICMP_PER_SECOND;
    }
    if (lane->icmp_tokens == 0) {
        return false;
    }
    lane->icmp_tokens--;
    return true;
}

/* The sum of the pseudo header of RFC 8200 section 8.1. */
static uint64_t pseudo6(const uint8_t *ip, uint32_t bytes)
{
    uint8_t tail[8] = {(uint8_t)(bytes >> 24), (uint8_t)(bytes >> 16), (uint8_t)(bytes >> 8),
                       (uint8_t)bytes, 0, 0, 0, FLOW_PROTO_ICMP6};

    return flow_sum(tail, sizeof tail, flow_sum(ip + 8, 32, 0));
}

static uint32_t write_v4(uint8_t *room, uint32_t size, const struct fw_addr *from,
                         const struct flow_view *v, const uint8_t *quote, unsigned answer,
                         uint16_t mtu)
{
    uint32_t quoted = MIN(v->bytes, v->header + QUOTE_V4 - 20u);
    struct fw_emit e = fw_emit(room, size);
    uint16_t sum;

    fw_emit_u16(&e, 0x45c0);
    fw_emit_u16(&e, (uint16_t)(28 + quoted));
    fw_emit_u32(&e, 0);
    fw_emit_u16(&e, 64 << 8 | FLOW_PROTO_ICMP);
    fw_emit_u16(&e, 0);
    fw_emit_bytes(&e, from->bytes, 4);
    fw_emit_bytes(&e, v->tuple.source, 4);
    fw_emit_u8(&e, answers[answer].type4);
    fw_emit_u8(&e, answers[answer].code4);
    fw_emit_u32(&e, 0);
    fw_emit_u16(&e, mtu);
    fw_emit_bytes(&e, quote, quoted);
    sum = flow_checksum(room, 20);
    memcpy(room + 10, &sum, 2);
    sum = flow_checksum(room + 20, 8 + quoted);
    memcpy(room + 22, &sum, 2);
    return e.failed ? 0 : (uint32_t)fw_emit_len(&e);
}

static uint32_t write_v6(uint8_t *room, uint32_t size, const struct fw_addr *from,
                         const struct flow_view *v, const uint8_t *quote, unsigned answer,
                         uint16_t mtu)
{
    uint32_t quoted = MIN(v->bytes, QUOTE_V6);
    struct fw_emit e = fw_emit(room, size);
    uint16_t sum;

    fw_emit_u32(&e, 0x60000000);
    fw_emit_u16(&e, (uint16_t)(8 + quoted));
    fw_emit_u16(&e, FLOW_PROTO_ICMP6 << 8 | 64);
    fw_emit_bytes(&e, from->bytes, 16);
    fw_emit_bytes(&e, v->tuple.source, 16);
    fw_emit_u8(&e, answers[answer].type6);
    fw_emit_u8(&e, answers[answer].code6);
    fw_emit_u16(&e, 0);
    fw_emit_u32(&e, mtu);
    fw_emit_bytes(&e, quote, quoted);
    sum = flow_sum_fold(flow_sum(room + 40, 8 + quoted, pseudo6(room, 8 + quoted)));
    memcpy(room + 42, &sum, 2);
    return e.failed ? 0 : (uint32_t)fw_emit_len(&e);
}

/* To the source: by its route, or to the Routing Engine when that is where the packet began. */
static void leave(struct flow_thread *t, struct fabric_packet *p, uint16_t in_ifl,
                  uint16_t out_ifl, const struct fw_addr *from, const struct fw_addr *to)
{
    struct flow_adjacency out;

    if (in_ifl == 0) {
        flow_to_host(t, p, out_ifl);
        return;
    }
    if (flow_tables_resolve(t->lane->tables, from, to, &out) != FLOW_OK) {
        flow_drop(t, p, FLOW_NO_ROUTE);
        return;
    }
    p->cell.ifl = in_ifl;
    p->cell.hash = t->thread;
    if (out.out == FLOW_OUT_PORT) {
        flow_port_out(t, p, &out);
        return;
    }
    p->cell.type = FABRIC_CELL_ENCRYPT;
    p->cell.tunnel = out.tunnel;
    p->cell.out_ifl = out.ifl;
    p->cell.generation = out.anchor_generation;
    flow_send_thread(t, p, out.slot, out.spu, out.thread);
}

void flow_icmp_error(struct flow_thread *t, struct fabric_packet *p, const struct flow_view *v,
                     enum flow_counter why, uint16_t mtu)
{
    bool v6 = v->tuple.family == FW_FAMILY_V6;
    uint16_t in_ifl = p->cell.ifl, out_ifl = p->cell.out_ifl;
    const struct flow_ifl *ifl =
        flow_tables_ifl(t->lane->tables, in_ifl ? in_ifl : out_ifl);
    struct fw_addr from = {0}, to = flow_tuple_source(&v->tuple);
    struct fabric_packet answer;
    unsigned which = 0;

    while (which < G_N_ELEMENTS(answers) && answers[which].why != why) {
        which++;
    }
    if (ifl) {
        from = v6 ? ifl->v6 : ifl->v4;
    }
    if (which == G_N_ELEMENTS(answers) || from.family == 0) {
        flow_drop(t, p, why);
        return;
    }
    if (!allowed(t->lane, v) ||
        !fabric_lane_alloc(t->lane->fabric, 100 + (v6 ? QUOTE_V6 : QUOTE_V4 + 40), &answer)) {
        flow_count(t->counters, FLOW_ICMP_LIMITED, 1);
        flow_drop(t, p, why);
        return;
    }
    answer.cell.length = (v6 ? write_v6 : write_v4)(answer.room, answer.capacity, &from, v,
                                                    p->data, which, mtu);
    flow_drop(t, p, why);
    if (answer.cell.length == 0) {
        fabric_lane_free(t->lane->fabric, &answer);
        return;
    }
    flow_count(t->counters, FLOW_ICMP_SENT, 1);
    leave(t, &answer, in_ifl, out_ifl, &from, &to);
}
