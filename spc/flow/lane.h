/*
 * lane - a host worker of a services card, and the flow threads that live on it.
 *
 * Flow RT thread t of SPU s always runs on lane fabric_lane_of(s, t, lanes), so
 * what belongs to a thread is touched by one host worker only: sessions, SAs,
 * replay windows, counters, held packets. Everything a lane needs is made at
 * start or handed in by the main thread (spc/control.c); the packet path
 * allocates nothing, locks nothing, logs nothing and makes no system call.
 *
 * A packet is "own" when its bytes lie in a buffer of this card's outbox
 * (packet.room is set): it may be rewritten and must be sent or freed. A
 * received one is read-only; the functions here copy it when they must change
 * it. Every function that takes a packet consumes it.
 */
#ifndef FLOW_LANE_H
#define FLOW_LANE_H

#include <stdbool.h>
#include <stdint.h>

#include "firmware/fabric/fabric.h"
#include "spc/flow/counter.h"
#include "spc/flow/session.h"
#include "spc/flow/tables.h"
#include "spc/flow/view.h"

#define FLOW_SPUS_MAX    4
#define FLOW_THREADS_MAX 64  /* a SPU */
#define FLOW_HOLD_PACKETS 4  /* waiting for one neighbour */
#define FLOW_HOLDS_MAX   64  /* neighbours waited for, a lane */
#define FLOW_HOLD_NS     (3 * (int64_t)1000000000)
#define FLOW_EVENTS      256

struct cp;
struct ipsec_thread;

/* Told to the main thread, by value; lost ones are asked for again by the next packet. */
enum flow_event_kind { FLOW_EVENT_NEIGHBOUR, FLOW_EVENT_SA_EXPIRE, FLOW_EVENT_TRIGGER };

struct flow_event {
    enum flow_event_kind kind;
    uint16_t ifl;
    bool hard;
    uint32_t tunnel, spi;
    struct fw_addr address;
};

struct flow_thread {
    struct flow_lane *lane;
    uint8_t spu, thread;
    uint32_t serial;                 /* of sessions made here */
    struct flow_sessions *sessions;
    struct ipsec_thread *ipsec;
    uint64_t counters[FLOW_COUNTERS_N];
};

struct flow_hold {
    struct flow_adjacency out;       /* whose neighbour is wanted; generation 0: free */
    int64_t until_ns, asked_ns;
    unsigned n;
    struct flow_thread *threads[FLOW_HOLD_PACKETS];
    struct fabric_packet packets[FLOW_HOLD_PACKETS];
};

struct flow_lane {
    struct fabric_lane *fabric;
    unsigned number;
    uint8_t slot;                    /* own endpoint */
    uint8_t spus, threads, lanes;
    const struct flow_tables *tables; /* never NULL once running */
    uint32_t generation;             /* of the tables */
    int64_t now_ns;                  /* of this burst */
    struct flow_thread *thread;      /* all of the card, spu * threads + thread; shared array */
    struct flow_thread *first;       /* first of this lane's threads, NULL when it has none */
    struct cp *cp;                   /* of the lane that has thread 0 of SPU 0, else NULL */
    int64_t tick_s;                  /* last second the timers were looked at */
    int64_t icmp_at_ns;              /* ICMP errors: token bucket */
    unsigned icmp_tokens;
    struct flow_hold holds[FLOW_HOLDS_MAX];
    unsigned n_holds;
    struct fabric_packet out[FABRIC_BURST];
    unsigned n_out;
    /* events to the main thread: single producer, single consumer */
    struct flow_event events[FLOW_EVENTS];
    uint32_t event_head, event_tail;
    bool event_posted;               /* since the last flow_lane_flush */
};

/* ---- making (main thread) ---- */

/* All threads of a card, spus * threads of them; lanes[n] are filled in. Free with
 * flow_threads_free when no lane runs any more. */
struct flow_thread *flow_threads_new(struct fabric *fabric, uint8_t slot, uint8_t spus,
                                     uint8_t threads, uint8_t lanes, struct flow_lane *lane);
void flow_threads_free(struct flow_thread *all, struct flow_lane *lane, uint8_t lanes);
/* Main thread's end of the event ring; false: empty. */
bool flow_lane_event_take(struct flow_lane *lane, struct flow_event *ret);

/* ---- running (the lane's thread) ---- */

/* One burst of received packets, to the end. */
void flow_lane_burst(struct flow_lane *lane, struct fabric_packet *packets, unsigned n);
/* Send what was collected. */
void flow_lane_flush(struct flow_lane *lane);
/* New tables: let held packets go. */
void flow_lane_tables(struct flow_lane *lane, const struct flow_tables *tables);
/* Ageing; call at least once a second while flow_lane_busy. */
void flow_lane_tick(struct flow_lane *lane);
bool flow_lane_busy(const struct flow_lane *lane);

/* ---- inside ---- */

static inline struct flow_thread *flow_lane_thread(struct flow_lane *lane, unsigned spu,
                                                   unsigned thread)
{
    struct flow_thread *t;

    if (spu >= lane->spus || thread >= lane->threads) {
        return NULL;
    }
    t = &lane->thread[spu * lane->threads + thread];
    return t->lane == lane ? t : NULL;
}

/* Ask for a received packet's bytes, up to a usual MTU; the fabric has asked for the first. */
static inline void flow_prefetch_payload(const struct fabric_packet *p)
{
    for (uint32_t at = 64; at < p->cell.length && at < 1536; at += 64) {
        __builtin_prefetch(p->data + at);
    }
}

/* Count and forget. */
void flow_drop(struct flow_thread *t, struct fabric_packet *p, enum flow_counter why);
/* The thread a cell is for; NULL: counted and dropped. */
static inline struct flow_thread *flow_lane_thread_of(struct flow_lane *lane,
                                                      struct fabric_packet *p)
{
    struct flow_thread *t = flow_lane_thread(lane, p->cell.spu, p->cell.thread);

    if (__builtin_expect(!t && lane->first, 0)) {
        flow_drop(lane->first, p, FLOW_WRONG_THREAD);
    }
    return t;
}
/* Make the packet own, with `extra` bytes of room behind; false: dropped and counted. */
bool flow_own(struct flow_thread *t, struct fabric_packet *p, uint32_t extra);
/* Queue an own packet whose cell is complete. */
void flow_send(struct flow_lane *lane, struct fabric_packet *p);
/* Send to a flow thread anywhere; the cell's type is set. */
void flow_send_thread(struct flow_thread *t, struct fabric_packet *p, uint8_t slot, uint8_t spu,
                      uint8_t thread);
void flow_post(struct flow_lane *lane, const struct flow_event *event);

/* path.c */
/* A packet for this thread: session, or the first path. */
void flow_packet(struct flow_thread *t, struct fabric_packet *p);
/* The same for a packet out of a tunnel (cell.ifl is the st0 unit): unknown sessions go to the
 * central point. view: from flow_inner_prepare, or NULL. */
void flow_packet_inner(struct flow_thread *t, struct fabric_packet *p,
                       const struct flow_view *view);
/* View it and ask for its session's memory; false: dropped. */
bool flow_inner_prepare(struct flow_thread *t, struct fabric_packet *p, struct flow_view *ret);
void flow_session_end(struct flow_thread *t, struct flow_session *session);

/* first.c */
/* Decides about a packet without session. Returns the session (wing 0 is the packet's), or NULL:
 * the packet was consumed. */
struct flow_session *flow_first(struct flow_thread *t, struct fabric_packet *p,
                                const struct flow_view *v);
/* Decide again after a change of the tables; false: the session has no right to live. */
bool flow_session_review(struct flow_thread *t, struct flow_session *session);

/* forward.c */
/* Out of a port (own or received packet, IP header first), TTL already checked. */
void flow_forward(struct flow_thread *t, struct fabric_packet *p, const struct flow_view *v,
                  const struct flow_adjacency *out);
/* An own IP packet that is ready to leave by a port: Ethernet header, hold while unresolved. */
void flow_port_out(struct flow_thread *t, struct fabric_packet *p,
                   const struct flow_adjacency *out);
void flow_to_host(struct flow_thread *t, struct fabric_packet *p, uint16_t ifl);

/* hold.c */
void flow_hold(struct flow_thread *t, struct fabric_packet *p, const struct flow_adjacency *out);
void flow_holds_retry(struct flow_lane *lane);

/* icmp.c */
/* Tell the source of `p` (which is consumed) why it did not get through; counted as `why`. */
void flow_icmp_error(struct flow_thread *t, struct fabric_packet *p, const struct flow_view *v,
                     enum flow_counter why, uint16_t mtu);

/* split.c */
typedef void (*flow_piece)(struct flow_thread *t, struct fabric_packet *piece, void *data);
/* Large frame into segments, each an own packet with complete checksums. Consumes p. */
void flow_gso_split(struct flow_thread *t, struct fabric_packet *p, const struct flow_view *v,
                    flow_piece piece, void *data);
/* Complete the checksum of an own packet, FABRIC_FLAG_CSUM is cleared; false: malformed. */
bool flow_checksum_complete(struct fabric_packet *p);
/* IPv4 packet into fragments of at most mtu bytes. Consumes p. */
void flow_fragment(struct flow_thread *t, struct fabric_packet *p, const struct flow_view *v,
                   uint16_t mtu, flow_piece piece, void *data);

#endif
