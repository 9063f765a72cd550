/*
 * traffic_packet - the frames a traffic host speaks: ARP, ICMP echo, its own UDP.
 *
 * Frames are Ethernet with a 12-byte virtio-net header in front (as on every
 * datagram link). The UDP payload of a flow, network byte order:
 *    0 u32 magic   4 u32 flow id   8 u64 sequence   16 u64 time sent (ns)
 *   24 u8 name length, name, then a pattern that follows from id and sequence.
 * Limits: IPv4, no options or fragments. Pure; any thread.
 * Standards: RFC 826, RFC 791, RFC 792, RFC 768.
 */
#ifndef LAB_TRAFFIC_PACKET_H
#define LAB_TRAFFIC_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/core/addr.h"
#include "firmware/core/cursor.h"
#include "firmware/core/emit.h"

#define TRAFFIC_VNET_BYTES  12
#define TRAFFIC_FRAME_MAX   (TRAFFIC_VNET_BYTES + 14 + 65535)
#define TRAFFIC_NAME_MAX    32
#define TRAFFIC_SIZE_MIN    (20 + 8 + 25) /* IP bytes without the flow's name */
#define TRAFFIC_SIZE_MAX    9000

enum traffic_kind {
    TRAFFIC_OTHER,        /* not for us */
    TRAFFIC_ARP_REQUEST,
    TRAFFIC_ARP_REPLY,
    TRAFFIC_ECHO_REQUEST,
    TRAFFIC_FLOW,         /* a packet of a flow, content as sent */
    TRAFFIC_CORRUPT       /* a packet of a flow, content changed */
};

struct traffic_frame {
    enum traffic_kind kind;
    uint8_t source_mac[6];
    struct fw_addr source, destination; /* ARP: sender and target protocol addresses */
    uint16_t source_port, destination_port;
    uint32_t flow;
    uint64_t sequence;
    int64_t sent_ns;
    char name[TRAFFIC_NAME_MAX + 1];
    const uint8_t *icmp;  /* echo request: the ICMP message, in the frame */
    size_t icmp_len;
};

/* Reads a received frame (virtio-net header first); what is not understood is OTHER. */
void traffic_frame_parse(const uint8_t *frame, size_t len, struct traffic_frame *ret);

/* op 1 request, 2 reply. target_mac NULL: broadcast. */
void traffic_arp_emit(struct fw_emit *e, unsigned op, const uint8_t mac[6],
                      const struct fw_addr *own, const uint8_t *target_mac,
                      const struct fw_addr *target);
/* The answer to an echo request. */
void traffic_echo_emit(struct fw_emit *e, const uint8_t mac[6],
                       const struct traffic_frame *request);

struct traffic_send {
    uint8_t source_mac[6], destination_mac[6];
    struct fw_addr source, destination;
    uint16_t source_port, destination_port;
    uint16_t size;        /* bytes of the IP packet, at least TRAFFIC_SIZE_MIN + the name */
    uint32_t flow;
    uint64_t sequence;
    int64_t sent_ns;
    const char *name;
};
void traffic_flow_emit(struct fw_emit *e, const struct traffic_send *send);

#endif
