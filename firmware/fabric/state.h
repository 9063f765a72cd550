/*
 * state - private structures of the fabric: the object, its peers, its lanes.
 *
 * A peer is made and freed on the main thread and read by the lanes; a lane
 * knows it between the operation that brings it and the one that takes it
 * away. Everything below `struct fabric_lane` belongs to the lane's thread,
 * except its mailbox (mutex) and its counters (written with relaxed stores).
 */
#ifndef FABRIC_STATE_H
#define FABRIC_STATE_H

#include <glib.h>
#include <sys/socket.h>

#include "firmware/fabric/fabric.h"
#include "firmware/fabric/layout.h"

struct fabric_peer {
    uint8_t index;
    uint8_t lanes;
    bool self;                       /* base is our own mapping */
    bool datagram;
    uint32_t generation;
    struct fabric_geometry geometry; /* memory */
    const uint8_t *base;             /* memory */
    int doorbells[FABRIC_LANES_MAX];
    int socket;                      /* datagram, -1 otherwise */
    uint32_t police_pps;
    int faulted;                     /* atomic: it wrote nonsense, nobody talks to it any more */
};

/* What one lane sends to one lane of a peer. */
struct fabric_out {
    struct fabric_cell *ring;        /* own memory */
    struct fabric_word *head_word;   /* own memory */
    const struct fabric_word *tail_word;  /* peer's memory */
    const struct fabric_word *sleep_word; /* peer's memory */
    uint32_t head;
    uint32_t tail;                   /* the consumer's, as last seen */
    uint32_t owed;                   /* buffers of the cells from here on are not back yet */
    uint64_t rung;                   /* sleep word for which the doorbell was rung */
    int doorbell;
    bool ready;                      /* the consumer's tail is valid */
    bool dirty;                      /* in the lane's list of rings to publish */
};

/* What one lane takes from one lane of a peer. */
struct fabric_in {
    const struct fabric_cell *ring;  /* peer's memory */
    const struct fabric_word *head_word;  /* peer's memory */
    struct fabric_word *tail_word;        /* own memory */
    struct fabric_peer *peer;
    uint32_t tail;                   /* released */
    uint32_t taken;                  /* given to the caller beyond tail */
};

struct fabric_lane_peer {
    struct fabric_peer *peer;        /* NULL: not attached */
    struct fabric_out out[FABRIC_LANES_MAX];
    struct fabric_in in[FABRIC_LANES_MAX];
    int64_t police_at_ns;            /* datagram: token bucket */
    int64_t police_tokens;           /* in packets times FW_SEC */
};

struct fabric_pool {
    uint8_t *base;
    uint32_t size;                   /* of a buffer */
    uint32_t count;
    uint32_t fresh;                  /* buffers from here on were never used */
    uint32_t n_free;
    uint32_t *free;                  /* returned ones, the newest on top */
};

enum { FABRIC_POOL_SMALL, FABRIC_POOL_LARGE, FABRIC_POOLS };

/* An attach or a detach on its way through the lanes. */
struct fabric_op {
    struct fabric *fabric;
    struct fabric_peer *attach;      /* NULL: detach */
    struct fabric_peer *detach;      /* freed when every lane has let go; NULL: none */
    uint8_t index;
    uint32_t generation;
    int remaining;                   /* atomic: lanes that have not served it */
};

struct fabric_datagrams;             /* receive and send arrays, see datagram.c */

struct fabric_lane {
    struct fabric *fabric;
    unsigned number;
    struct fabric_lane_peer peers[FABRIC_ENDPOINTS_MAX];
    struct fabric_pool pools[FABRIC_POOLS];
    uint32_t out_limit;              /* cells under way to one peer lane */

    struct fabric_in *poll[FABRIC_ENDPOINTS_MAX * FABRIC_LANES_MAX];
    unsigned n_poll, next_poll;
    struct fabric_in *held[FABRIC_ENDPOINTS_MAX * FABRIC_LANES_MAX];
    unsigned n_held;
    struct fabric_out *dirty[FABRIC_ENDPOINTS_MAX * FABRIC_LANES_MAX];
    unsigned n_dirty;

    struct fabric_datagrams *datagrams; /* NULL until a datagram peer came */
    uint8_t datagram_peers[FABRIC_ENDPOINTS_MAX];
    unsigned n_datagram_peers, next_datagram;

    struct fabric_word *sleep_word;
    uint64_t sleeps;                 /* value of the sleep word; odd: asleep */
    int doorbell;

    int pending;                     /* atomic: the mailbox is not empty */
    GMutex mailbox_lock;
    GQueue mailbox;                  /* of struct fabric_op */

    struct fabric_counters counters;
};

struct fabric {
    struct fabric_config config;
    struct fabric_geometry geometry;
    uint8_t *base;
    int outbox_fd;
    int doorbells[FABRIC_LANES_MAX];
    struct fabric_lane *lanes[FABRIC_LANES_MAX];
    struct fabric_peer *peers[FABRIC_ENDPOINTS_MAX]; /* main thread's view */
    GList *ops;                      /* not yet acknowledged */
    bool gateway;                    /* this endpoint forwards for others */
    /* atomic, read per packet */
    uint8_t via[FABRIC_ENDPOINTS_MAX];
    uint16_t planes_up;
    uint64_t plane_table;            /* 16 nibbles: plane by the hash's low bits */
};

/* outbox.c */
bool fabric_outbox_create(struct fabric *fabric, GError **error);
bool fabric_outbox_read(int fd, uint32_t bytes, struct fabric_geometry *ret, GError **error);

/* attach.c */
void fabric_lane_serve(struct fabric_lane *lane);
void fabric_peer_fault(struct fabric_lane *lane, struct fabric_peer *peer, const char *reason);

/* lane.c */
void fabric_out_take_back(struct fabric_lane *lane, struct fabric_out *out);
void fabric_pool_put(struct fabric_lane *lane, uint32_t buffer);
/* Put an own packet, header as it is, into the ring of own lane `to`; lost ones are counted. */
void fabric_lane_pass(struct fabric_lane *lane, unsigned to, struct fabric_packet *packet);
/* Make what was put into rings visible and wake who sleeps. */
void fabric_lane_publish(struct fabric_lane *lane);
/* Why a received header cannot be right, or NULL. */
const char *fabric_cell_check(const struct fabric *fabric, const struct fabric_peer *peer,
                              const struct fabric_cell *cell, uint32_t payload);
/* A well-formed cell that is not to be delivered (plane down, too many hops), counted. */
bool fabric_cell_refused(struct fabric_lane *lane, const struct fabric_cell *cell);
/* The lane of a board with `lanes` lanes that a cell belongs to. */
unsigned fabric_cell_lane(const struct fabric_cell *cell, unsigned lanes);

/* datagram.c */
struct fabric_datagrams *fabric_datagrams_new(void);
void fabric_datagrams_free(struct fabric_datagrams *d);
/* Queue an own packet; the buffer is freed after the send. Returns where its header is kept until
 * then, for what the sender fills in. */
uint8_t *fabric_datagram_queue(struct fabric_lane *lane, struct fabric_peer *peer,
                               const struct fabric_packet *packet);
/* Send what is queued; returns how many queued cells were lost since the last call. */
unsigned fabric_datagram_flush(struct fabric_lane *lane);
unsigned fabric_datagram_receive(struct fabric_lane *lane, struct fabric_packet *ret,
                                 unsigned max);

#define FABRIC_BUFFER_LARGE 0x80000000u /* in buffer numbers */

static inline void fabric_count(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

#endif
