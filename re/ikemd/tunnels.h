/*
 * tunnels - what ikemd knows, and what it tells whom.
 *
 * In: the configuration, the cards (fpc-state), the st0 units (ifl-state), SAs
 * (tunnel-status). Out, through struct tunnels_out: gateways and tunnels for
 * iked, tunnel and anchor state for the cards. Every input is followed by
 * tunnels_update, which tells what changed, and only that; tunnels_sync tells
 * iked everything. Retained events of an earlier run (tunnels_restore) give
 * tunnels the ids and places they had, so a restart of ikemd moves nothing.
 * No input or output of its own; any single thread.
 */
#ifndef RE_TUNNELS_H
#define RE_TUNNELS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "messages.h" /* generated */
#include "re/conf/conf.h"

#define TUNNELS_FIRST_ID 500001u

struct tunnels_out {
    /* To iked; in this order. */
    void (*gateway)(const struct bus_ike_gateway *gateway, void *data);
    void (*tunnel)(const struct bus_ike_tunnel *tunnel, void *data);
    void (*sync_done)(void *data);
    /* To the cards. */
    void (*interface)(const struct bus_tunnel_interface_state *state, void *data);
    void (*anchor)(const struct bus_anchor_state *state, void *data);
    void *data;
};

struct tunnels;

/* out is copied. below: source of ties (see placement.h). */
struct tunnels *tunnels_new(const struct tunnels_out *out, uint32_t (*below)(uint32_t bound));
void tunnels_free(struct tunnels *tunnels);

/* Retained events of an earlier run; only before the first tunnels_configure. */
void tunnels_restore(struct tunnels *tunnels, const struct bus_tunnel_interface_state *state);
void tunnels_restore_anchor(struct tunnels *tunnels, const struct bus_anchor_state *state);

void tunnels_configure(struct tunnels *tunnels, const struct conf_node *root);
void tunnels_card(struct tunnels *tunnels, const struct bus_fpc_state *state);
void tunnels_ifl(struct tunnels *tunnels, const struct bus_ifl_state *state);
void tunnels_status(struct tunnels *tunnels, const struct bus_tunnel_status *status);
/* A configuration was given; before that nothing may be told. */
bool tunnels_configured(const struct tunnels *tunnels);
/* Every tunnel's st0 index is known, as tunnels_sync wants it. */
bool tunnels_complete(const struct tunnels *tunnels);

/* Places what has no place and tells what changed. */
void tunnels_update(struct tunnels *tunnels);
/* Tells iked everything; sync_done only when every tunnel's st0 index is known. */
void tunnels_sync(struct tunnels *tunnels);

/* The i-th tunnel as told to iked, in order of configuration; NULL at the end. */
const struct bus_ike_tunnel *tunnels_at(const struct tunnels *tunnels, unsigned i);

#endif
