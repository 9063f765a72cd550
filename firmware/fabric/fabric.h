/*
 * fabric - cells between boards.
 *
 * A board owns one outbox (a sealed memfd): rings of cell headers for every
 * (destination endpoint, destination lane, own lane), its packet buffers, and
 * its own consumer indices. It maps its own outbox read-write and everybody
 * else's read-only, so every shared word has exactly one writer. Lanes are the
 * board's worker threads; one doorbell (eventfd) per lane. The board is its
 * own peer too (cells between lanes of one board take the same road).
 *
 * Life of a packet: fw_lane_alloc gives a writable buffer of the own outbox;
 * fw_lane_send publishes it and gives it away; the receiver sees it in
 * fw_lane_receive, reads it until fw_lane_release; the buffer then returns to
 * the sender's pool. A receiver that forwards a packet copies or transforms it
 * into a buffer of its own.
 *
 * Headers are copied out of shared memory before they are checked; a bad index,
 * offset, length or header makes fw_lane_receive drop the cell, detach the
 * sender locally and report it through the fault callback (any thread).
 *
 * Second transport of the same API: one datagram per cell (header + payload)
 * on a socket given at attach, with the same header.
 *
 * Threads: fabric objects and attach/detach on the main thread (attach and
 * detach are acknowledged by every lane); fw_lane_* only on the lane's thread.
 * Nothing here allocates, locks or makes system calls per packet; the datagram
 * transport makes one call per burst.
 */
#ifndef FABRIC_FABRIC_H
#define FABRIC_FABRIC_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define FABRIC_LANES_MAX     4
#define FABRIC_ENDPOINTS_MAX 24
#define FABRIC_RING          512   /* cells under way per lane pair */
#define FABRIC_BURST         64
#define FABRIC_SMALL_BYTES   2048  /* whole buffer: headroom, payload */
#define FABRIC_LARGE_BYTES   (64u * 1024 + 1024)
#define FABRIC_HEADROOM      128   /* before the payload, for outer headers */
#define FABRIC_PLANES_MAX    8
#define FABRIC_HOPS_MAX      8

enum fabric_cell_type {
    FABRIC_CELL_PACKET = 1,   /* L3 packet from a port or a thread to a flow thread for a session */
    FABRIC_CELL_FIRST,        /* no session known: to the central point */
    FABRIC_CELL_FLOW,         /* central point's choice: first path at this flow thread */
    FABRIC_CELL_ENCRYPT,      /* clear packet to the anchor thread of `tunnel` */
    FABRIC_CELL_DECRYPT,      /* ESP packet (outer IP header first) to the anchor thread */
    FABRIC_CELL_PORT_OUT,     /* complete Ethernet frame to leave by (pic, port) of an I/O card */
    FABRIC_CELL_HOST_IN,      /* to the RE: L2 frame from a port as received (ARP), or L3 packet */
    FABRIC_CELL_HOST_OUT,     /* from the RE into st0 (L3): to the central point */
    FABRIC_CELL_NP_INSTALL,   /* to an I/O card: payload is a session for its NP cache */
    FABRIC_CELL_NP_REMOVE,    /* to an I/O card */
    FABRIC_CELL_CP_NOTE       /* flow thread tells the central point of a session's end */
};

/* What virtio_net_hdr means, kept with the packet. */
enum fabric_gso { FABRIC_GSO_NONE, FABRIC_GSO_TCP4, FABRIC_GSO_TCP6, FABRIC_GSO_UDP };

#define FABRIC_FLAG_L2        0x01 /* payload begins with an Ethernet header */
#define FABRIC_FLAG_CSUM      0x02 /* checksum to be completed at csum_start/csum_offset */
#define FABRIC_FLAG_CSUM_GOOD 0x04 /* checksums were verified or never left the machine */
#define FABRIC_FLAG_TRACE     0x08 /* record the walk */
#define FABRIC_FLAG_INNER     0x10 /* came out of a tunnel: `ifl` is an st0 unit */

struct fabric_cell {           /* 64 bytes, host byte order, compile-time checked */
    uint8_t version;           /* FABRIC_CELL_VERSION */
    uint8_t type;              /* enum fabric_cell_type */
    uint8_t plane;
    uint8_t flags;
    uint8_t source;            /* endpoint index */
    uint8_t destination;       /* endpoint index */
    uint8_t spu;               /* destination SPU (PIC) */
    uint8_t thread;            /* destination flow RT thread */
    uint32_t length;           /* payload bytes */
    uint32_t hash;             /* flow hash */
    uint16_t ifl;              /* ingress logical interface */
    uint16_t out_ifl;          /* egress logical interface */
    uint8_t pic;               /* I/O card port */
    uint8_t port;
    uint8_t gso;               /* enum fabric_gso */
    uint8_t hops;              /* forwardings so far; dropped over 8 */
    uint16_t gso_size;
    uint16_t csum_start;
    uint16_t csum_offset;
    uint16_t headers;          /* hdr_len of virtio_net_hdr */
    uint32_t tunnel;
    uint32_t generation;       /* of the anchor or session table entry used */
    uint64_t session;
    uint32_t trace;
    uint32_t reserved[3];      /* the fabric's own */
};
#define FABRIC_CELL_VERSION 1
_Static_assert(sizeof(struct fabric_cell) == 64, "the cell header is 64 bytes");

/* A packet in a lane's hands. */
struct fabric_packet {
    struct fabric_cell cell;   /* own copy */
    const uint8_t *data;       /* received payload, in the sender's memory; or = room */
    uint8_t *room;             /* own buffer: where the payload begins; NULL for a received one */
    uint32_t capacity;         /* own buffer: payload bytes that fit behind room */
    uint32_t buffer;           /* own buffer's number (private) */
    uint32_t where;            /* private */
};

struct fabric;
struct fabric_lane;

struct fabric_config {
    uint8_t index;             /* own endpoint */
    uint8_t endpoints;         /* of the chassis */
    uint8_t lanes;             /* own */
    uint32_t small_buffers;    /* divided among the lanes */
    uint32_t large_buffers;
    bool spin;                 /* spin 20 us before sleeping */
    /* A peer wrote nonsense. Called from any lane's thread. */
    void (*fault)(uint8_t index, const char *reason, void *data);
    /* An attach or detach took effect on every lane. Main thread. */
    void (*acknowledged)(uint8_t index, uint32_t generation, bool attached, void *data);
    void *data;
};

/* Creates and seals the outbox, makes the doorbells, attaches itself. */
struct fabric *fabric_new(const struct fabric_config *config, GError **error);
void fabric_free(struct fabric *fabric);
/* Descriptors to hand to hwd; they stay the fabric's. */
int fabric_outbox_fd(const struct fabric *fabric);
uint32_t fabric_outbox_bytes(const struct fabric *fabric);
int fabric_doorbell_fd(const struct fabric *fabric, unsigned lane);

/* hwd's side: seals, size and geometry of an outbox as they must be; false with the reason. */
bool fabric_outbox_check(int fd, uint32_t bytes, GError **error);

/* Main thread. Takes the descriptors on success. memory transport. */
bool fabric_attach(struct fabric *fabric, uint8_t index, uint32_t generation, int outbox_fd,
                   uint32_t bytes, const int *doorbells, unsigned lanes, GError **error);
/* Datagram transport: fd is a connected SOCK_DGRAM or SOCK_SEQPACKET Unix socket or UDP socket,
 * served by lane 0. police_pps 0: no policing. */
bool fabric_attach_datagram(struct fabric *fabric, uint8_t index, uint32_t generation, int fd,
                            unsigned lanes, uint32_t police_pps, GError **error);
void fabric_detach(struct fabric *fabric, uint8_t index, uint32_t generation);
/* Cells for `index` go to endpoint `via` (the gateway) instead; via = index: direct again. */
void fabric_route_via(struct fabric *fabric, uint8_t index, uint8_t via);
/* Bit per plane. Until the first call cells leave by plane 0 and are taken from every plane. */
void fabric_planes(struct fabric *fabric, uint16_t up);
bool fabric_attached(const struct fabric *fabric, uint8_t index);

/* Test aid: write nonsense into the own outbox, as a board gone mad would. */
void fabric_corrupt(struct fabric *fabric);

/* ---- lane (its own thread) ---- */

/* The lane that serves a flow RT thread: senders and the services card use this one function, so
 * all cells of a thread come in at one lane. */
static inline unsigned fabric_lane_of(unsigned spu, unsigned thread, unsigned lanes)
{
    unsigned n = spu + thread; /* thread 0 of each SPU on another lane */

    switch (lanes) {
    case 0:
    case 1:
        return 0;
    case 2:
        return n & 1;
    case 4:
        return n & 3;
    default:
        return n % lanes;
    }
}

struct fabric_lane *fabric_lane(struct fabric *fabric, unsigned lane);
/* An own buffer for a payload of at least `bytes`; false when the pool is empty (counted). */
bool fabric_lane_alloc(struct fabric_lane *lane, uint32_t bytes, struct fabric_packet *ret);
/* Return an own buffer that is not sent. */
void fabric_lane_free(struct fabric_lane *lane, struct fabric_packet *packet);
/* Publish n own packets, each to packet.cell.destination. Lane of the receiver: fabric_lane_of
 * (spu, thread) for cells to flow threads and the central point (PACKET, FIRST, FLOW, ENCRYPT,
 * DECRYPT, HOST_OUT, CP_NOTE), hash % lanes for the others. version, source and plane are filled in
 * and hops counted (except by the gateway, which is endpoint `endpoints` - 1 and passes cells of
 * others on as they are). room may have been moved within the buffer, forwards or back into the
 * headroom. Returns how many were sent; the others were dropped, counted and their buffers freed
 * (room is NULL afterwards in every packet; packets with room NULL are skipped). Rings the
 * doorbells of sleepers once per burst. */
unsigned fabric_lane_send(struct fabric_lane *lane, struct fabric_packet *packets, unsigned n);
/* Up to max (<= FABRIC_BURST) received packets, from all peers in turn; nothing waits. */
unsigned fabric_lane_receive(struct fabric_lane *lane, struct fabric_packet *ret, unsigned max);
/* All received packets are finished with. Also serves pending attach/detach: to be called at every
 * turn of the lane's loop, even when nothing was received. */
void fabric_lane_release(struct fabric_lane *lane);
/* Sleep until a doorbell, one of the extra descriptors (POLLIN) or the timeout; spins first when
 * told to. Returns at once when cells are waiting. ready[i] tells which extra fds are readable. */
void fabric_lane_wait(struct fabric_lane *lane, const int *fds, bool *ready, unsigned n_fds,
                      int64_t timeout_ns);
/* Wake a lane from another thread (for instance after posting it a message). */
void fabric_lane_wake(struct fabric *fabric, unsigned lane);

/* Counters of a lane, read racily from any thread. */
struct fabric_counters {
    uint64_t sent, received, no_buffer, ring_full, detached, plane_down, malformed, policed,
        wakeups, hop_limit, refused; /* refused: datagrams the kernel did not take */
};
void fabric_lane_counters(const struct fabric *fabric, unsigned lane, struct fabric_counters *ret);

#endif
