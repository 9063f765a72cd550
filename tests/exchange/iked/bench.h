/*
 * bench - one vc-iked between a bus router, an ikemd, an mgd and a services card, all played by
 * this process, and a peer on the far side of a TUN device: an engine of re/ike whose packets are
 * made by hand. In a network namespace of its own.
 */
#ifndef TESTS_EXCHANGE_IKED_BENCH_H
#define TESTS_EXCHANGE_IKED_BENCH_H

#include <sys/types.h>

#include "firmware/bus/bus.h"
#include "firmware/core/clock.h"
#include "firmware/core/timer.h"
#include "messages.h" /* generated */
#include "re/ike/ike.h"

#define BENCH_TUNNEL 500001u
#define BENCH_SLOT   1

struct bench_sa {
    uint32_t spi;
    bool inbound;
    bool larval;
    uint8_t key[64];
    size_t key_len;
    unsigned order; /* of installation */
};

struct bench {
    /* the node */
    struct bus_router *router;
    struct bus_conn *ikemd, *mgd, *card;
    GArray *sas; /* struct bench_sa, of the card */
    unsigned installs, order;
    bool up, told; /* last tunnel-status */
    int records;
    pid_t pid;
    struct bus_ike_gateway gateway;
    struct bus_ike_tunnel tunnel;
    char *answer; /* XML of the last RPC */
    /* the peer */
    int tun;
    struct ike *peer;
    GArray *peer_sas; /* struct bench_sa */
    struct fw_timer *peer_timer;
    bool peer_dead; /* drops everything */
    unsigned peer_failures;
};

/* NULL: no namespace or TUN device can be made here (the reason is printed). iked runs. */
struct bench *bench_new(void);
void bench_free(struct bench *b);
/* Run the loop until done(b) or a deadline; false: too late. */
bool bench_wait(struct bench *b, bool (*done)(struct bench *b));
void bench_kill(struct bench *b); /* SIGKILL, then a new iked with the same records */
void bench_tell(struct bench *b); /* gateway and tunnel again */
/* An RPC of iked; b->answer is set when bench_answered. */
void bench_rpc(struct bench *b, const char *name, const char *argument, const char *value);
bool bench_answered(struct bench *b);
/* The newest SA of a list in a direction, or NULL. */
const struct bench_sa *bench_newest(const GArray *sas, bool inbound);
/* Both ends hold the same keys, newest to newest, both ways. */
bool bench_agrees(struct bench *b);
void bench_peer_pump(struct bench *b);

#endif
