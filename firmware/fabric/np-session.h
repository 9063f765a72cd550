/*
 * np-session - what a flow thread tells an I/O card about a session.
 *
 * Payload of FABRIC_CELL_NP_INSTALL and FABRIC_CELL_NP_REMOVE, one wing of a
 * session a cell: packets that come in with this tuple on this interface go
 * straight to the owner's flow thread, as FABRIC_CELL_PACKET with `session` and
 * `generation` in the cell header. The owner's endpoint is the cell's source.
 * A wing is sent to the card of its ingress interface. Losing an entry is
 * harmless: the packet goes to the central point.
 *
 * The tuple is that of the packet as it arrives, before any translation. ICMP
 * and ICMPv6 echo: both ports are the identifier; protocols without ports: 0.
 * Fragments never match.
 *
 * Both sides run on one machine: host byte order, no padding (checked below).
 */
#ifndef FABRIC_NP_SESSION_H
#define FABRIC_NP_SESSION_H

#include <stdint.h>

struct np_tuple {
    uint8_t family;           /* enum fw_family */
    uint8_t protocol;         /* IP protocol; for IPv6 the one behind the extension headers */
    uint16_t source_port;     /* host order */
    uint16_t destination_port;
    uint16_t ifl;             /* ingress logical interface */
    uint8_t source[16];       /* IPv4: first four bytes, the rest zero */
    uint8_t destination[16];
};
_Static_assert(sizeof(struct np_tuple) == 40, "np_tuple is compared as bytes");

struct np_session {
    uint64_t session;         /* id, returned in the cell header */
    uint32_t generation;      /* of the session table entry, returned in the cell header */
    uint8_t spu;              /* owner's SPU */
    uint8_t thread;           /* owner's flow RT thread */
    uint16_t zero;
    struct np_tuple tuple;
};
_Static_assert(sizeof(struct np_session) == 56, "np_session is shared between boards");

#endif
