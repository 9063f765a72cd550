/*
 * view - what the flow code must know of an IP packet.
 *
 * Read once through a cursor from bytes that may lie in another board's memory;
 * later code uses the view only. IPv4 with options, IPv6 without extension
 * headers. Pure; any thread. Standards: RFC 791, RFC 8200.
 */
#ifndef FLOW_VIEW_H
#define FLOW_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "firmware/core/addr.h"
#include "firmware/fabric/np-session.h"
#include "spc/flow/counter.h"

#define FLOW_PROTO_ICMP  1
#define FLOW_PROTO_IPIP  4
#define FLOW_PROTO_TCP   6
#define FLOW_PROTO_UDP   17
#define FLOW_PROTO_IPV6  41
#define FLOW_PROTO_ESP   50
#define FLOW_PROTO_ICMP6 58

#define FLOW_TCP_FIN 0x01
#define FLOW_TCP_SYN 0x02
#define FLOW_TCP_RST 0x04
#define FLOW_TCP_ACK 0x10

struct flow_view {
    struct np_tuple tuple; /* ifl is 0: a session is known by its addresses */
    uint32_t hash;         /* of the tuple, the same in both directions */
    uint32_t bytes;        /* of the IP packet */
    uint16_t header;       /* bytes before the transport header */
    uint8_t tos;           /* DSCP and ECN */
    uint8_t ttl;
    uint8_t tcp_flags;
    uint8_t icmp_type;
    bool df;
    bool fragment;         /* any of several: ports are 0 */
    bool later;            /* a fragment without the transport header */
};

/* FLOW_OK, or why the packet is to be dropped. `bytes` may exceed the packet (padding). */
enum flow_counter flow_view_parse(const uint8_t *data, uint32_t bytes, struct flow_view *ret);
/* Same hash for a tuple and its reverse. */
uint32_t flow_tuple_hash(const struct np_tuple *tuple);
struct np_tuple flow_tuple_reverse(const struct np_tuple *tuple);
struct fw_addr flow_tuple_source(const struct np_tuple *tuple);
struct fw_addr flow_tuple_destination(const struct np_tuple *tuple);
/* Rewrites TTL or hop limit less one, with the checksum; the header must have been viewed. */
void flow_ttl_decrement(uint8_t *packet);

#endif
