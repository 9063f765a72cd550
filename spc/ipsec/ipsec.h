/*
 * ipsec - ESP at the anchor thread (RFC 4303), tunnel mode.
 *
 * An SA belongs to one flow thread. The main thread makes it complete (keys
 * expanded, windows and templates ready) and hands it over by message; from
 * then on only the thread writes to it, until it hands it back to be erased. The
 * main thread reads its counters racily for shows.
 *
 * An inbound SA begins as larval: it has its SPI and keeps up to
 * IPSEC_HELD_MAX packets until the keys come. An outbound SA's counter starts at
 * 1 and never goes back; at its end the SA stops for good.
 *
 * Limits: IPSEC_SAS_MAX SAs a thread and direction; outer and inner addresses
 * of IPv4 (IPv6 inside is carried, outside it needs a row in esp-out.c's header
 * writer); no outer fragments.
 */
#ifndef IPSEC_IPSEC_H
#define IPSEC_IPSEC_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/fabric/fabric.h"
#include "messages.h" /* generated */
#include "spc/flow/tables.h"
#include "spc/ipsec/engine.h"
#include "spc/ipsec/replay.h"

#define IPSEC_SAS_MAX     4096u /* a thread and direction */
#define IPSEC_HELD_MAX    32    /* packets for a larval SA */
#define IPSEC_HEAD_BYTES  48    /* 14 + 20 + 8, in whole 16 bytes: copied at once */
#define IPSEC_TRAILER_MAX 64u   /* padding, pad length, next header, tag: 15 + 2 + 32 and some */
#define IPSEC_BITMAP_WORDS 4     /* in the SA itself: windows up to 192 packets */
#define IPSEC_SOFT_LIMIT  0xf0000000u /* 32-bit numbers: ask for a new SA from here on */

enum ipsec_df { IPSEC_DF_CLEAR, IPSEC_DF_SET, IPSEC_DF_COPY };

struct flow_lane;
struct flow_thread;

/* What packets do not touch. */
struct ipsec_sa_rest {
    struct flow_adjacency out;      /* outbound: outer route */
    struct ipsec_sa *older;         /* outbound: chain of the tunnel's SAs */
    struct fw_addr local, remote;
    uint16_t encap_local, encap_remote;
    unsigned n_selectors;
    struct bus_traffic_selector selectors[FLOW_SELECTORS_MAX];
    /* larval */
    unsigned n_held;
    struct fabric_packet *held;     /* IPSEC_HELD_MAX places, owned; NULL when not larval */
};

/* What packets touch, line by line: an outbound one the first two, an inbound one the first, the
 * third and the fourth. All SAs lie close together (slab.h): pages count as much as lines. */
struct ipsec_sa {
    _Alignas(64) uint32_t spi;
    uint32_t tunnel;
    uint8_t direction;              /* enum bus_direction */
    bool larval;
    bool esn;
    bool any;                       /* the selectors take every IPv4 packet */
    uint8_t df;                     /* enum ipsec_df */
    uint8_t iv_bytes, icv_bytes;
    uint8_t block_mask;             /* cipher block - 1, at least 3 */
    uint32_t salt;                  /* as on the wire */
    bool udp;
    uint8_t head_bytes;             /* outbound: Ethernet, IP and UDP headers */
    uint16_t inner_mtu;             /* outbound: biggest inner packet, as of route_generation */
    const struct ipsec_engine *engine;
    struct ipsec_key *key;          /* owned */
    uint64_t sequence;              /* outbound: last sent; inbound: highest */
    uint64_t packets, bytes;        /* read by the main thread */

    /* outbound: template of the headers; lengths, id, TOS, DF come with the packet */
    _Alignas(64) uint8_t head[IPSEC_HEAD_BYTES];
    uint16_t head_sum;              /* of the IP header's constant words, as a number */
    uint16_t out_ifl;               /* of rest->out, here to be near */
    uint8_t out_slot, out_pic, out_port;
    bool out_resolved;
    uint32_t route_generation;      /* tables by which head and out_* were filled; 0: never */

    _Alignas(64) struct ipsec_replay replay; /* inbound */
    uint16_t ifl;                   /* st0 unit */
    uint8_t spu, thread;
    bool soft_told, hard_told;      /* sa-expire went out */
    struct ipsec_sa_rest *rest;     /* owned */
    uint64_t drops;                 /* this and the next two: read by the main thread */

    _Alignas(64) uint64_t bitmap[IPSEC_BITMAP_WORDS]; /* of replay; bigger ones lie elsewhere */
    uint64_t replay_drops, auth_failures;
};
_Static_assert(offsetof(struct ipsec_sa, head) == 64 && offsetof(struct ipsec_sa, replay) == 128 &&
                   sizeof(struct ipsec_sa) == 256,
               "an SA is four cache lines");

/* ---- SAs (main thread) ---- */

/* A larval inbound SA. */
struct ipsec_sa *ipsec_sa_larval(const struct bus_spi_reserve *request, uint32_t spi);
/* A complete SA; engine NULL: the best. NULL with error when the message makes no sense. */
struct ipsec_sa *ipsec_sa_new(const struct bus_sa_install *m, const struct ipsec_engine *engine,
                              GError **error);
/* Erases keys. Held packets must have been let go. NULL is allowed. */
void ipsec_sa_free(struct ipsec_sa *sa);

/* ---- tables of a thread ---- */

struct ipsec_thread;

struct ipsec_thread *ipsec_thread_new(void);
void ipsec_thread_free(struct ipsec_thread *table); /* frees what is still in it */

/* The following run on the lane's thread. */

/* Put an SA in; an inbound one takes the larval one's place and gets its packets. *ret_old is what
 * is to be freed by the main thread (or NULL). False: the table is full, sa stays the caller's. */
bool ipsec_insert(struct flow_thread *t, struct ipsec_sa *sa, struct ipsec_sa **ret_old);
/* Take one out, to be freed by the main thread; NULL when it is not there. An inbound one is named
 * by its SPI (tunnel is not looked at), an outbound one by tunnel and SPI. */
struct ipsec_sa *ipsec_remove(struct flow_thread *t, enum bus_direction direction, uint32_t tunnel,
                              uint32_t spi);
/* Clear packet for the tunnel in its cell; consumes it. */
void ipsec_encrypt(struct flow_thread *t, struct fabric_packet *p);
/* Received ENCRYPT cells; received DECRYPT cells (ESP packets, outer IP header first). */
void ipsec_encrypt_burst(struct flow_lane *lane, struct fabric_packet *packets, unsigned n);
void ipsec_decrypt_burst(struct flow_lane *lane, struct fabric_packet *packets, unsigned n);
/* One ESP packet; consumes it. */
void ipsec_decrypt(struct flow_thread *t, struct fabric_packet *p);
/* Prepare an own clear packet for another card's or lane's anchor: the ESP trailer for ciphers of
 * 4-byte blocks goes behind it (8 bytes of room), so that the anchor can encrypt it from where it
 * lies. The anchor recognises it by the cell being longer than the packet. */
void ipsec_trailer_add(struct fabric_packet *p);

/* ---- inside ---- */

struct ipsec_sa *ipsec_find_in(const struct ipsec_thread *table, uint32_t spi);
/* The newest outbound SA of a tunnel. */
struct ipsec_sa *ipsec_find_out(const struct ipsec_thread *table, uint32_t tunnel);
/* At most one tunnel-trigger a second and thread. */
bool ipsec_trigger_due(struct ipsec_thread *table, int64_t now_s);
/* Ask for the memory where the search of a table begins. */
void ipsec_prefetch_in(const struct ipsec_thread *table, uint32_t spi);
void ipsec_prefetch_out(const struct ipsec_thread *table, uint32_t tunnel);
static inline void ipsec_prefetch_sa(const struct ipsec_sa *sa, bool inbound)
{
    __builtin_prefetch(sa);
    if (inbound) {
        __builtin_prefetch(&sa->replay);
        __builtin_prefetch(sa->bitmap);
    } else {
        __builtin_prefetch(sa->head);
    }
}
/* Does any selector take a packet with these addresses? */
bool ipsec_selectors_match(const struct ipsec_sa *sa, const struct fw_addr *local,
                           const struct fw_addr *remote);

#endif
