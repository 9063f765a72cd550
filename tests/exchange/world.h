/*
 * world - two IKE engines in one process; the test carries the datagrams by hand.
 *
 * An end drains its engine's actions: jobs and reservations are answered at once (unless held),
 * SAs land in a table, datagrams wait in the end's outbox until the test delivers, drops, or
 * repeats them. Time stands still unless world_advance moves it.
 */
#ifndef TESTS_EXCHANGE_WORLD_H
#define TESTS_EXCHANGE_WORLD_H

#include "firmware/core/clock.h"
#include "re/ike/ike.h"

struct world_sa {
    enum ike_direction direction;
    uint32_t spi;
    uint32_t tunnel;
    struct ike_esp_suite suite;
    uint8_t key[IKE_ESP_KEY_MAX + FW_PRF_MAX];
    size_t key_len;
    bool larval;
    uint16_t encap_remote; /* UDP encapsulation, 0 none */
    int64_t gone_at_ns;    /* INT64_MAX: not being deleted */
    unsigned order;        /* of installation */
};

struct world_end {
    struct world *world;
    struct world_end *peer;
    struct ike *ike;
    struct fw_addr addr;
    GQueue outbox;       /* struct ike_action: send */
    GArray *sas;         /* struct world_sa */
    GHashTable *records; /* index -> GByteArray */
    unsigned events[16]; /* by enum ike_event */
    enum ike_reason last_reason;
    bool hold_jobs; /* keep jobs in `held` */
    bool hold_spi;  /* keep reservations in `held` */
    bool refuse_spi;
    GQueue held; /* struct ike_action */
    unsigned sent;
    enum ike_action_kind last_kind; /* of the action before */
    uint32_t last_sa;
    uint64_t rng;
    uint16_t anchor;
    struct ike_gateway_config gateway;
    struct ike_tunnel_config tunnel;
};

struct world {
    struct world_end a, b;
    int64_t now_ns;
    unsigned order;
};

#define WORLD_TUNNEL 500001u

/* Two ends with gateways and one tunnel for each other; GCM-128, group 19. */
struct world *world_new(void);
void world_free(struct world *w);
/* Configure again after a change of end->gateway or end->tunnel. */
void world_configure(struct world_end *e);
/* Carry out what the engine wants; datagrams go to the outbox. */
void world_drain(struct world_end *e);
/* The oldest datagram of e to its peer; its verdict. */
enum ike_verdict world_deliver(struct world_end *e);
/* A copy of the oldest; free with ike_action_free. */
struct ike_action *world_peek(struct world_end *e);
void world_drop(struct world_end *e);
enum ike_verdict world_inject(struct world_end *to, const struct ike_action *send);
/* Deliver everything, both ways, until nothing moves. */
void world_settle(struct world *w);
void world_advance(struct world *w, int64_t ns);
/* Held jobs and reservations of e are answered. */
void world_release(struct world_end *e);
/* Replace e's engine by a new one that has only the records (kill -9). */
void world_restart(struct world_end *e);
/* The outbound SA in use: the newest installed; NULL: none. */
const struct world_sa *world_outbound(struct world_end *e);
const struct world_sa *world_inbound(struct world_end *e, uint32_t spi);
unsigned world_count(struct world_end *e, enum ike_direction d);
/* A packet of e would be decrypted by its peer now: same SPI, suite and key. */
bool world_passes(struct world_end *e);
bool world_up(struct world *w); /* initiate at a, settle; both up and packets pass both ways */

#endif
