/*
 * forward - out of a port: copy, TTL, size, Ethernet header.
 *
 * Large frames stay large when their segments fit the egress MTU; the port (or
 * whoever is behind it) segments them. Standards: RFC 791, RFC 894.
 */
#include <string.h>

#include "spc/flow/lane.h"

void flow_port_out(struct flow_thread *t, struct fabric_packet *p,
                   const struct flow_adjacency *out)
{
    bool v6 = p->room[0] >> 4 == 6;
    uint8_t *ether;

    if (!out->resolved) {
        flow_hold(t, p, out);
        return;
    }
    p->room -= FLOW_ETHER_BYTES;
    p->data = p->room;
    p->capacity += FLOW_ETHER_BYTES;
    ether = p->room;
    memcpy(ether, out->ether, 12);
    ether[12] = v6 ? 0x86 : 0x08;
    ether[13] = v6 ? 0xdd : 0x00;
    p->cell.type = FABRIC_CELL_PORT_OUT;
    p->cell.flags = (uint8_t)((p->cell.flags & ~FABRIC_FLAG_INNER) | FABRIC_FLAG_L2);
    p->cell.length += FLOW_ETHER_BYTES;
    if (p->cell.flags & FABRIC_FLAG_CSUM) {
        p->cell.csum_start = (uint16_t)(p->cell.csum_start + FLOW_ETHER_BYTES);
    }
    if (p->cell.gso != FABRIC_GSO_NONE && p->cell.headers) {
        p->cell.headers = (uint16_t)(p->cell.headers + FLOW_ETHER_BYTES);
    }
    p->cell.destination = out->slot;
    p->cell.pic = out->pic;
    p->cell.port = out->port;
    p->cell.out_ifl = out->ifl;
    flow_send(t->lane, p);
}

static void piece_out(struct flow_thread *t, struct fabric_packet *p, void *data)
{
    flow_port_out(t, p, data);
}

/* Bytes of the biggest IP packet that this becomes on the wire. */
static uint32_t wire_bytes(const struct fabric_packet *p, const struct flow_view *v)
{
    uint32_t headers = v->header;

    if (p->cell.gso == FABRIC_GSO_NONE) {
        return v->bytes;
    }
    if (v->tuple.protocol == FLOW_PROTO_TCP && v->bytes >= v->header + 20u) {
        headers += (p->data[v->header + 12] >> 4) * 4u;
    } else {
        headers += 8;
    }
    return MIN(v->bytes, headers + p->cell.gso_size);
}

void flow_forward(struct flow_thread *t, struct fabric_packet *p, const struct flow_view *v,
                  const struct flow_adjacency *out)
{
    uint32_t wire = wire_bytes(p, v);

    if (wire > out->mtu && (v->df || p->cell.gso != FABRIC_GSO_NONE)) {
        flow_icmp_error(t, p, v, FLOW_MTU, out->mtu);
        return;
    }
    if (!flow_own(t, p, 0)) {
        return;
    }
    flow_ttl_decrement(p->room);
    flow_count(t->counters, FLOW_FORWARDED, 1);
    if (wire > out->mtu) {
        struct flow_adjacency copy = *out;

        flow_fragment(t, p, v, out->mtu, piece_out, &copy);
        return;
    }
    flow_port_out(t, p, out);
}

void flow_to_host(struct flow_thread *t, struct fabric_packet *p, uint16_t ifl)
{
    if (!flow_own(t, p, 0)) {
        return;
    }
    flow_count(t->counters, FLOW_TO_HOST, 1);
    p->cell.type = FABRIC_CELL_HOST_IN;
    p->cell.flags = (uint8_t)(p->cell.flags & ~(FABRIC_FLAG_INNER | FABRIC_FLAG_L2));
    p->cell.destination = flow_tables_host(t->lane->tables);
    p->cell.ifl = ifl;
    flow_send(t->lane, p);
}
