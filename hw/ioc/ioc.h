/*
 * ioc - the I/O card: ports outside, fabric inside, a network processor between.
 *
 * main.c talks to supervisor and bus and starts the lanes; table.c turns bus
 * state into immutable snapshots for them; lane.c is the lanes' loop; port.c
 * moves frames from and to TAP devices and datagram sockets; np.c decides where
 * a frame goes; cache.c remembers sessions; capture.c copies frames to a pcapng
 * pipe; statistics.c answers queries.
 *
 * Main-loop thread: everything but the lanes. A lane owns its NP cache, its
 * counters and the reading side of its ports (port i belongs to lane i % lanes);
 * any lane writes to any port. A snapshot lives until every lane has taken a
 * newer one.
 */
#ifndef IOC_IOC_H
#define IOC_IOC_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "firmware/core/addr.h"
#include "firmware/core/mac.h"
#include "firmware/fabric/fabric.h"
#include "firmware/fabric/np-session.h"
#include "messages.h"

#define IOC_PORTS_MAX    64
#define IOC_CAPTURES_MAX 8
#define IOC_ETHER_BYTES  14u
#define IOC_VNET_BYTES   12u
#define IOC_FRAME_MAX    (IOC_ETHER_BYTES + 65535u)

/* ---- counters: name as shown, one per lane (np.c has the names) ---- */

#define IOC_COUNTERS(X)                                                                           \
    X(NP_HIT, "np-cache-hit")                                                                     \
    X(NP_FIRST, "np-to-central-point")                                                            \
    X(NP_DECRYPT, "np-to-anchor")                                                                 \
    X(NP_HOST, "np-to-host")                                                                      \
    X(NP_INSTALLED, "np-cache-installed")                                                         \
    X(NP_REMOVED, "np-cache-removed")                                                             \
    X(NP_REPLACED, "np-cache-replaced")                                                           \
    X(NP_STALE, "np-cache-owner-gone")                                                            \
    X(NP_INSTALL_BAD, "np-install-malformed")                                                     \
    X(L2_SHORT, "l2-short")                                                                       \
    X(L2_OTHER, "l2-not-for-us")                                                                  \
    X(L2_VLAN, "l2-vlan-tagged")                                                                  \
    X(L2_BROADCAST, "l2-broadcast-ip")                                                            \
    X(NO_INTERFACE, "no-logical-interface")                                                       \
    X(INTERFACE_DOWN, "interface-down")                                                           \
    X(IP4_HEADER, "ip4-header-malformed")                                                         \
    X(IP4_LENGTH, "ip4-length")                                                                   \
    X(IP4_CHECKSUM, "ip4-checksum")                                                               \
    X(IP4_SOURCE, "ip4-source-invalid")                                                           \
    X(IP6_HEADER, "ip6-header-malformed")                                                         \
    X(IP6_LENGTH, "ip6-length")                                                                   \
    X(IP6_SOURCE, "ip6-source-invalid")                                                           \
    X(IP6_EXTENSION, "ip6-extension-headers")                                                     \
    X(IP_TTL, "ip-ttl-zero")                                                                      \
    X(IP_MULTICAST, "ip-multicast")                                                               \
    X(L4_SHORT, "l4-short")                                                                       \
    X(ESP_SHORT, "esp-short")                                                                     \
    X(ESP_KEEPALIVE, "nat-keepalive")                                                             \
    X(ESP_ANCHOR, "esp-anchor-unknown")                                                           \
    X(FRAGMENT, "ip-fragment-to-central-point")                                                   \
    X(NO_CENTRAL_POINT, "no-central-point")                                                       \
    X(PORT_VNET, "port-offload-malformed")                                                        \
    X(PORT_OVERSIZE, "port-oversize")                                                             \
    X(PORT_NO_BUFFER, "port-no-buffer")                                                           \
    X(PORT_LINK_DOWN, "port-link-down")                                                           \
    X(PORT_UNKNOWN, "port-unknown")                                                               \
    X(PORT_REFUSED, "port-refused")                                                               \
    X(CELL_UNEXPECTED, "cell-unexpected")                                                         \
    X(CAPTURE_DROP, "capture-dropped")

enum ioc_counter {
#define X(name, text) IOC_##name,
    IOC_COUNTERS(X)
#undef X
    IOC_COUNTERS_N
};
extern const char *const ioc_counter_names[IOC_COUNTERS_N];

static inline void ioc_count(uint64_t *counter, uint64_t n)
{
    __atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* ---- snapshot (table.c) ---- */

struct ioc_capture;

struct ioc_table_port {
    uint16_t ifl;                      /* 0: none configured */
    bool ifl_up;
    bool link_up;
    uint8_t mac[FW_MAC_BYTES];
    struct ioc_capture *captures[IOC_CAPTURES_MAX]; /* ends with NULL when fewer */
};

struct ioc_table_anchor {
    uint32_t generation;
    uint8_t endpoint;
    uint8_t spu, thread;
    bool set;
};

struct ioc_table_board {
    uint32_t generation;
    bool online;
};

struct ioc_table {
    uint32_t sequence;
    uint8_t host;                      /* endpoint of the RE */
    unsigned n_captures;               /* on all ports */
    bool has_central_point;
    uint8_t central_point;             /* endpoint */
    struct ioc_table_board boards[FABRIC_ENDPOINTS_MAX];
    unsigned n_ports;
    struct ioc_table_port ports[IOC_PORTS_MAX];
    unsigned n_own;
    struct fw_addr *own;               /* addresses of all interfaces */
    unsigned n_anchors;                /* ids below it have a row */
    struct ioc_table_anchor *anchors;
};

bool ioc_table_is_own(const struct ioc_table *table, uint8_t family, const uint8_t *address);

/* ---- NP cache (cache.c); a lane's ---- */

struct np_cache;
struct np_cache_hit {
    uint64_t session;
    uint32_t generation;
    uint8_t endpoint, spu, thread;
};

/* At least `entries`; memory is touched as entries come. */
struct np_cache *np_cache_new(unsigned entries);
void np_cache_free(struct np_cache *cache);
/* board_generation: of the owner's card now. Returns IOC_NP_INSTALLED or IOC_NP_REPLACED. */
enum ioc_counter np_cache_install(struct np_cache *cache, const struct np_session *session,
                                  uint8_t endpoint, uint32_t board_generation);
bool np_cache_remove(struct np_cache *cache, const struct np_session *session);
/* False: no entry, or its owner's card is gone or another by now (*ret_stale). */
bool np_cache_find(struct np_cache *cache, const struct np_tuple *tuple,
                   const struct ioc_table_board *boards, struct np_cache_hit *ret,
                   bool *ret_stale);
uint32_t np_tuple_hash(const struct np_tuple *tuple);
unsigned np_cache_count(const struct np_cache *cache);

/* ---- NP (np.c) ---- */

/* What stands before a frame (virtio_net_hdr_v1), checked. */
struct np_offload {
    uint8_t flags;                     /* FABRIC_FLAG_CSUM, FABRIC_FLAG_CSUM_GOOD */
    uint8_t gso;                       /* enum fabric_gso */
    uint16_t gso_size, headers, csum_start, csum_offset;
};

/* False: the header does not fit the frame. */
bool np_offload_parse(const uint8_t vnet[IOC_VNET_BYTES], uint32_t frame_bytes,
                      struct np_offload *ret);
/* The reverse, for a cell that leaves; offsets are those of the frame. */
void np_offload_write(const struct fabric_cell *cell, uint8_t ret_vnet[IOC_VNET_BYTES]);

struct np_result {
    enum ioc_counter counter;          /* why dropped, or where it goes */
    bool stale;                        /* count IOC_NP_STALE too */
    uint32_t skip;                     /* bytes of the frame before the payload */
    struct fabric_cell cell;           /* complete but for what the fabric fills in */
};

/* Decides about one frame from port number `port`; false: drop. */
bool np_classify(const struct ioc_table *table, struct np_cache *cache, unsigned port,
                 const uint8_t *frame, uint32_t bytes, const struct np_offload *offload,
                 struct np_result *ret);

/* ---- captures (capture.c) ---- */

/* Takes fd and writes the file's head; NULL when not even that fits the pipe. */
struct ioc_capture *ioc_capture_new(uint32_t id, int fd, const char *name, GError **error);
void ioc_capture_free(struct ioc_capture *capture);
uint32_t ioc_capture_id(const struct ioc_capture *capture);
/* A frame in two pieces (the second may be empty); any lane. False: dropped. */
bool ioc_capture_frame(struct ioc_capture *capture, bool outbound, const uint8_t *data,
                       uint32_t bytes, const uint8_t *more, uint32_t more_bytes);
/* Push out what the pipe did not take before; true when something is still left. */
bool ioc_capture_flush(struct ioc_capture *capture);

/* ---- the card ---- */

struct ioc_port {
    int fd;                            /* -1: no link */
    bool datagram;
    bool dead;                         /* the device is gone; lane's */
    uint8_t pic, port;
    char name[25];
    struct fabric_packet buffer;       /* small one, waiting for the next frame; lane's */
    /* written by the owning lane */
    uint64_t in_packets, in_bytes, in_drops;
    /* written by any lane, atomically added */
    uint64_t out_packets, out_bytes, out_drops;
};

struct ioc;

struct ioc_lane {
    struct ioc *ioc;
    unsigned number;
    struct fabric_lane *fabric;
    GThread *thread;
    struct np_cache *cache;
    const struct ioc_table *table;     /* this turn's */
    uint32_t seen;                     /* atomic: sequence of it */
    uint8_t *overflow;                 /* where the rest of a large frame lands */
    struct fabric_packet out[FABRIC_BURST];
    unsigned n_out;
    uint64_t counters[IOC_COUNTERS_N];
};

struct ioc {
    uint8_t slot, index, endpoints;
    unsigned n_lanes, n_ports;
    struct fabric *fabric;
    struct ioc_lane lanes[FABRIC_LANES_MAX];
    struct ioc_port ports[IOC_PORTS_MAX];
    int stop;                          /* atomic */
    const struct ioc_table *table;     /* atomic: the newest */
    struct ioc_state *state;           /* table.c, main thread */
};

/* table.c */
void ioc_state_new(struct ioc *ioc, const struct bus_board_start *config);
void ioc_state_free(struct ioc *ioc);
void ioc_state_ifl(struct ioc *ioc, const struct bus_ifl_state *m);
void ioc_state_anchor(struct ioc *ioc, const struct bus_anchor_state *m);
void ioc_state_fpc(struct ioc *ioc, const struct bus_fpc_state *m);
void ioc_state_link(struct ioc *ioc, const struct bus_port_link *m);
bool ioc_state_link_up(const struct ioc *ioc, unsigned port);
/* Takes the capture on success. */
bool ioc_state_capture_start(struct ioc *ioc, uint8_t pic, uint8_t port,
                             struct ioc_capture *capture);
void ioc_state_capture_stop(struct ioc *ioc, uint32_t id);
/* Build a snapshot of what changed and hand it out now (otherwise at the next idle turn). */
void ioc_state_publish(struct ioc *ioc);

/* lane.c */
bool ioc_lanes_start(struct ioc *ioc, GError **error);
void ioc_lanes_stop(struct ioc *ioc);
/* Send what was collected. */
void ioc_lane_flush(struct ioc_lane *lane);

/* port.c */
/* Index of (pic, port), or -1. */
int ioc_port_find(const struct ioc *ioc, uint8_t pic, uint8_t port);
/* Read up to a burst of frames and hand them to the NP. */
void ioc_port_read(struct ioc_lane *lane, unsigned number);
/* Write a PORT_OUT cell's frame. */
void ioc_port_write(struct ioc_lane *lane, const struct fabric_packet *packet);

/* statistics.c */
void ioc_statistics(const struct ioc *ioc, struct bus_statistics *ret);
void ioc_port_statistics(const struct ioc *ioc, struct bus_statistics *ret);

#endif
