/*
 * tunnels - see tunnels.h.
 */
#include "re/ikemd/tunnels.h"

#include <string.h>

#include "firmware/bus/bus.h"
#include "firmware/core/log.h"
#include "re/ikemd/placement/placement.h"
#include "re/ikemd/vpn.h"

struct tunnel {
    struct bus_ike_tunnel now; /* as iked should know it */
    struct bus_ike_tunnel told;
    struct bus_tunnel_interface_state interface_told;
    struct fw_addr local, remote;
    bool is_told, is_interface_told;
    bool stay; /* mark of tunnels_configure */
};

struct gateway {
    struct bus_ike_gateway now;
    bool is_told;
    bool stay;
};

struct restored {
    uint32_t id;
    uint16_t anchor;
};

struct tunnels {
    struct tunnels_out out;
    struct placement *placement;
    GPtrArray *gateways;  /* struct gateway, wiped when freed */
    GPtrArray *list;      /* struct tunnel, in order of configuration */
    GHashTable *ifls;     /* name -> index */
    GHashTable *restored; /* VPN name -> struct restored */
    GHashTable *anchors;  /* anchor id -> struct bus_anchor_state as published */
    GHashTable *up;       /* set of tunnel ids with an SA pair */
    uint32_t next_id;
    bool configured;
};

static void gateway_free(gpointer data)
{
    struct gateway *gateway = data;

    bus_wipe(&bus_struct_ike_gateway, &gateway->now);
    g_free(gateway);
}

struct tunnels *tunnels_new(const struct tunnels_out *out, uint32_t (*below)(uint32_t bound))
{
    struct tunnels *t = g_new0(struct tunnels, 1);

    t->out = *out;
    t->placement = placement_new(PLACEMENT_LOAD_FACTOR, below);
    t->gateways = g_ptr_array_new_with_free_func(gateway_free);
    t->list = g_ptr_array_new_with_free_func(g_free);
    t->ifls = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    t->restored = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    t->anchors = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
    t->up = g_hash_table_new(g_direct_hash, g_direct_equal);
    t->next_id = TUNNELS_FIRST_ID;
    return t;
}

void tunnels_free(struct tunnels *t)
{
    if (t) {
        placement_free(t->placement);
        g_ptr_array_unref(t->gateways);
        g_ptr_array_unref(t->list);
        g_hash_table_unref(t->ifls);
        g_hash_table_unref(t->restored);
        g_hash_table_unref(t->anchors);
        g_hash_table_unref(t->up);
        g_free(t);
    }
}

bool tunnels_configured(const struct tunnels *t)
{
    return t->configured;
}

/* ------------------------------------------------------------------ what an earlier run left */

void tunnels_restore(struct tunnels *t, const struct bus_tunnel_interface_state *state)
{
    struct restored *entry;

    if (t->configured || state->vpn[0] == 0) {
        return;
    }
    if (state->gone) {
        g_hash_table_remove(t->restored, state->vpn);
        return;
    }
    entry = g_new0(struct restored, 1);
    entry->id = state->tunnel;
    entry->anchor = state->anchor;
    g_hash_table_replace(t->restored, g_strdup(state->vpn), entry);
    t->next_id = MAX(t->next_id, state->tunnel + 1);
}

void tunnels_restore_anchor(struct tunnels *t, const struct bus_anchor_state *state)
{
    if (!t->configured && !state->gone) {
        g_hash_table_replace(t->anchors, GUINT_TO_POINTER(state->anchor),
                             g_memdup2(state, sizeof *state));
    }
}

/* What was published before a restart and is configured no more. */
static void restored_drop(struct tunnels *t)
{
    GHashTableIter iter;
    gpointer name, value;

    g_hash_table_iter_init(&iter, t->restored);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        const struct restored *entry = value;
        struct bus_tunnel_interface_state state = {.tunnel = entry->id, .gone = true};

        t->out.interface(&state, t->out.data);
    }
    g_hash_table_remove_all(t->restored);
}

/* ------------------------------------------------------------------ configuration */

static struct gateway *gateway_of(const struct tunnels *t, const char *name)
{
    for (unsigned i = 0; i < t->gateways->len; i++) {
        struct gateway *gateway = t->gateways->pdata[i];

        if (strcmp(gateway->now.name, name) == 0) {
            return gateway;
        }
    }
    return NULL;
}

static struct tunnel *tunnel_of(const struct tunnels *t, const char *vpn)
{
    for (unsigned i = 0; i < t->list->len; i++) {
        struct tunnel *tunnel = t->list->pdata[i];

        if (strcmp(tunnel->now.vpn, vpn) == 0) {
            return tunnel;
        }
    }
    return NULL;
}

static void gateway_take(struct tunnels *t, const struct bus_ike_gateway *config)
{
    struct gateway *gateway = gateway_of(t, config->name);

    if (!gateway) {
        gateway = g_new0(struct gateway, 1);
        gateway->now = *config;
        g_ptr_array_add(t->gateways, gateway);
    } else if (memcmp(&gateway->now, config, sizeof *config) != 0) {
        gateway->now = *config;
        gateway->is_told = false;
    }
    gateway->stay = true;
}

static void tunnel_take(struct tunnels *t, const struct bus_ike_tunnel *config,
                        const struct bus_ike_gateway *gateway)
{
    struct tunnel *tunnel = tunnel_of(t, config->vpn);
    const struct restored *before = g_hash_table_lookup(t->restored, config->vpn);
    uint32_t id;
    uint8_t slot, spu, thread;

    if (!tunnel) {
        tunnel = g_new0(struct tunnel, 1);
        tunnel->now.tunnel = before ? before->id : t->next_id++;
        g_ptr_array_add(t->list, tunnel);
    }
    id = tunnel->now.tunnel;
    tunnel->now = *config;
    tunnel->now.tunnel = id;
    tunnel->stay = true;
    tunnel->local = gateway->local;
    tunnel->remote = gateway->remote;
    if (before && placement_place(before->anchor, &slot, &spu, &thread)) {
        placement_tunnel_restore(t->placement, id, &tunnel->local, &tunnel->remote, slot, spu,
                                 thread);
    }
    g_hash_table_remove(t->restored, config->vpn);
    placement_tunnel_set(t->placement, id, &tunnel->local, &tunnel->remote);
}

static void tunnel_drop(struct tunnels *t, struct tunnel *tunnel)
{
    struct bus_tunnel_interface_state state = {.tunnel = tunnel->now.tunnel, .gone = true};

    placement_tunnel_remove(t->placement, tunnel->now.tunnel);
    if (tunnel->is_told) {
        tunnel->told.gone = true;
        t->out.tunnel(&tunnel->told, t->out.data);
    }
    if (tunnel->is_interface_told) {
        t->out.interface(&state, t->out.data);
    }
    g_ptr_array_remove(t->list, tunnel);
}

static void drop_unmarked(struct tunnels *t)
{
    for (unsigned i = t->list->len; i-- > 0;) {
        struct tunnel *tunnel = t->list->pdata[i];

        if (!tunnel->stay) {
            tunnel_drop(t, tunnel);
        }
    }
    for (unsigned i = t->gateways->len; i-- > 0;) {
        struct gateway *gateway = t->gateways->pdata[i];

        if (!gateway->stay) {
            gateway->now.gone = true;
            t->out.gateway(&gateway->now, t->out.data);
            g_ptr_array_remove(t->gateways, gateway);
        }
    }
}

void tunnels_configure(struct tunnels *t, const struct conf_node *root)
{
    struct vpn_config *config = vpn_read(root);

    for (unsigned i = 0; i < t->list->len; i++) {
        ((struct tunnel *)t->list->pdata[i])->stay = false;
    }
    for (unsigned i = 0; i < t->gateways->len; i++) {
        ((struct gateway *)t->gateways->pdata[i])->stay = false;
    }
    for (unsigned i = 0; i < config->gateways->len; i++) {
        gateway_take(t, config->gateways->pdata[i]);
    }
    for (unsigned i = 0; i < config->tunnels->len; i++) {
        const struct bus_ike_tunnel *tunnel = config->tunnels->pdata[i];
        const struct bus_ike_gateway *gateway = vpn_gateway(config, tunnel->gateway);

        if (gateway) {
            tunnel_take(t, tunnel, gateway);
        }
    }
    vpn_free(config);
    t->configured = true;
    restored_drop(t);
    drop_unmarked(t);
}

/* ------------------------------------------------------------------ the world */

void tunnels_card(struct tunnels *t, const struct bus_fpc_state *state)
{
    if (state->gone || !state->online || state->spus == 0) {
        placement_card_lost(t->placement, state->slot);
        return;
    }
    for (uint8_t spu = 0; spu < state->spus; spu++) {
        if (!placement_spu_set(t->placement, state->slot, spu, state->threads, state->generation)) {
            fw_warning("fpc %u pic %u is beyond the anchor ids and anchors nothing", state->slot,
                       spu);
        }
    }
}

void tunnels_ifl(struct tunnels *t, const struct bus_ifl_state *state)
{
    if (state->kind != BUS_IFL_KIND_TUNNEL) {
        return;
    }
    if (state->gone) {
        g_hash_table_remove(t->ifls, state->name);
    } else {
        g_hash_table_replace(t->ifls, g_strdup(state->name), GUINT_TO_POINTER(state->ifl));
    }
}

void tunnels_status(struct tunnels *t, const struct bus_tunnel_status *status)
{
    if (status->up && !status->gone) {
        g_hash_table_add(t->up, GUINT_TO_POINTER(status->tunnel));
    } else {
        g_hash_table_remove(t->up, GUINT_TO_POINTER(status->tunnel));
    }
}

/* ------------------------------------------------------------------ telling */

static void place(struct tunnels *t, struct tunnel *tunnel)
{
    struct placement_where where = placement_find(t->placement, tunnel->now.tunnel);

    tunnel->now.ifl =
        (uint16_t)GPOINTER_TO_UINT(g_hash_table_lookup(t->ifls, tunnel->now.ifl_name));
    tunnel->now.anchor = where.anchor;
    tunnel->now.slot = where.slot;
    tunnel->now.spu = where.spu;
    tunnel->now.thread = where.thread;
    tunnel->now.generation = where.generation;
}

static void anchor_tell(struct tunnels *t, const struct bus_ike_tunnel *tunnel)
{
    struct bus_anchor_state state = {.anchor = tunnel->anchor,
                                     .slot = tunnel->slot,
                                     .spu = tunnel->spu,
                                     .thread = tunnel->thread,
                                     .generation = tunnel->generation};
    const struct bus_anchor_state *before =
        g_hash_table_lookup(t->anchors, GUINT_TO_POINTER(tunnel->anchor));

    if (tunnel->anchor != 0 && (!before || before->generation != tunnel->generation)) {
        g_hash_table_replace(t->anchors, GUINT_TO_POINTER(tunnel->anchor),
                             g_memdup2(&state, sizeof state));
        t->out.anchor(&state, t->out.data);
    }
}

/* Anchors without tunnels stay while their card does: packets of old SAs are still on the way. */
static void anchors_drop(struct tunnels *t)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, t->anchors);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct bus_anchor_state *state = value;

        if (!placement_spu_is(t->placement, state->slot, state->spu, state->generation)) {
            state->gone = true;
            t->out.anchor(state, t->out.data);
            g_hash_table_iter_remove(&iter);
        }
    }
}

static void interface_tell(struct tunnels *t, struct tunnel *tunnel)
{
    struct bus_tunnel_interface_state state;

    memset(&state, 0, sizeof state); /* padding too: compared as bytes */
    state.tunnel = tunnel->now.tunnel;
    state.ifl = tunnel->now.ifl;
    state.anchor = tunnel->now.anchor;
    state.up = tunnel->now.anchor != 0 &&
               g_hash_table_contains(t->up, GUINT_TO_POINTER(tunnel->now.tunnel));
    state.n_selectors = tunnel->now.n_selectors;
    memcpy(state.selectors, tunnel->now.selectors, sizeof state.selectors);
    g_strlcpy(state.vpn, tunnel->now.vpn, sizeof state.vpn);
    if (!tunnel->is_interface_told || memcmp(&state, &tunnel->interface_told, sizeof state) != 0) {
        tunnel->interface_told = state;
        tunnel->is_interface_told = true;
        t->out.interface(&state, t->out.data);
    }
}

static void tell(struct tunnels *t, bool all)
{
    for (unsigned i = 0; i < t->gateways->len; i++) {
        struct gateway *gateway = t->gateways->pdata[i];

        if (all || !gateway->is_told) {
            gateway->is_told = true;
            t->out.gateway(&gateway->now, t->out.data);
        }
    }
    for (unsigned i = 0; i < t->list->len; i++) {
        struct tunnel *tunnel = t->list->pdata[i];

        if (tunnel->now.ifl == 0) {
            continue;
        }
        anchor_tell(t, &tunnel->now);
        interface_tell(t, tunnel);
        if (all || !tunnel->is_told ||
            memcmp(&tunnel->now, &tunnel->told, sizeof tunnel->now) != 0) {
            tunnel->told = tunnel->now;
            tunnel->is_told = true;
            t->out.tunnel(&tunnel->told, t->out.data);
        }
    }
}

void tunnels_update(struct tunnels *t)
{
    if (!t->configured) {
        return;
    }
    placement_settle(t->placement);
    for (unsigned i = 0; i < t->list->len; i++) {
        place(t, t->list->pdata[i]);
    }
    tell(t, false);
    anchors_drop(t);
}

bool tunnels_complete(const struct tunnels *t)
{
    for (unsigned i = 0; i < t->list->len; i++) {
        if (((const struct tunnel *)t->list->pdata[i])->now.ifl == 0) {
            return false;
        }
    }
    return true;
}

void tunnels_sync(struct tunnels *t)
{
    if (!t->configured) {
        return;
    }
    tunnels_update(t);
    tell(t, true);
    if (tunnels_complete(t)) {
        t->out.sync_done(t->out.data);
    }
}

const struct bus_ike_tunnel *tunnels_at(const struct tunnels *t, unsigned i)
{
    return i < t->list->len ? &((const struct tunnel *)t->list->pdata[i])->now : NULL;
}
