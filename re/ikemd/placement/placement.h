/*
 * placement - which SPU and flow RT thread anchors a tunnel.
 *
 * The unit is the pair (local gateway address, remote gateway address): all
 * tunnels of a pair sit on one SPU, spread over its threads. A new pair goes to
 * the SPU with the smallest load; ties are drawn from the model random stream.
 * Nothing moves by itself: insertion of a card takes only what has no place, a
 * lost card's tunnels go to the survivors. Pure; any single thread.
 *
 * Limits: slots 0..30, 4 SPUs a card, 32 threads an SPU (anchor ids have 12 bits).
 * Follows: srx5000 reference, section C.
 */
#ifndef RE_PLACEMENT_H
#define RE_PLACEMENT_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "firmware/core/addr.h"

#define PLACEMENT_SLOTS   31
#define PLACEMENT_SPUS    4
#define PLACEMENT_THREADS 32

enum placement_rule {
    PLACEMENT_LOAD_FACTOR, /* tunnels on the SPU / flow RT threads of the SPU */
    PLACEMENT_GATEWAYS     /* gateway pairs on the SPU (SPC2 only, kmd) */
};

struct placement_where {
    uint16_t anchor; /* 0: no SPU is there now */
    uint8_t slot;
    uint8_t spu;
    uint8_t thread;
    uint32_t generation; /* of the card */
};

struct placement;

/* below: uniform in [0, bound), for ties; fw_rng_model_below in daemons. */
struct placement *placement_new(enum placement_rule rule, uint32_t (*below)(uint32_t bound));
void placement_free(struct placement *placement);

/* The anchor id of a thread: a function of its place, so it survives restarts. 0: out of limits. */
uint16_t placement_anchor(uint8_t slot, uint8_t spu, uint8_t thread);
/* The inverse; false for an id that is none. */
bool placement_place(uint16_t anchor, uint8_t *ret_slot, uint8_t *ret_spu, uint8_t *ret_thread);

/* An SPU that may anchor tunnels is in service. A new generation means its SAs are lost: what sat
 * there loses its place. False when out of limits. */
bool placement_spu_set(struct placement *placement, uint8_t slot, uint8_t spu, uint8_t threads,
                       uint32_t generation);
/* The whole card is out of service; its tunnels lose their places. */
void placement_card_lost(struct placement *placement, uint8_t slot);
/* That SPU is in service with that generation. */
bool placement_spu_is(const struct placement *placement, uint8_t slot, uint8_t spu,
                      uint32_t generation);

/* A tunnel exists; its place is given by placement_settle. Another pair than before moves it. */
void placement_tunnel_set(struct placement *placement, uint32_t tunnel, const struct fw_addr *local,
                          const struct fw_addr *remote);
/* Put a tunnel where it was before a restart; false (and nothing done) when the place is no more or
 * the pair sits elsewhere. */
bool placement_tunnel_restore(struct placement *placement, uint32_t tunnel,
                              const struct fw_addr *local, const struct fw_addr *remote,
                              uint8_t slot, uint8_t spu, uint8_t thread);
void placement_tunnel_remove(struct placement *placement, uint32_t tunnel);

/* Give a place to every tunnel without one, in order of tunnel id. */
void placement_settle(struct placement *placement);

/* anchor 0 when it has no place or is unknown. */
struct placement_where placement_find(const struct placement *placement, uint32_t tunnel);
/* Tunnels on an SPU (thread < 0) or a thread. */
unsigned placement_load(const struct placement *placement, uint8_t slot, uint8_t spu, int thread);

#endif
