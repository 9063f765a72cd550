/*
 * table - what the bus told, made into snapshots that lanes read without locks.
 *
 * The main thread keeps the state by object; whenever something changes it
 * builds a whole new snapshot at the next idle turn, publishes the pointer and
 * wakes the lanes. A lane takes the newest snapshot at each turn and says
 * which. What was replaced is freed when all lanes are past it; the same holds
 * for captures, whose pipes are closed then.
 *
 * Limits: IOC_CAPTURES_MAX captures a port, 4095 anchors, FPC slots up to
 * FABRIC_ENDPOINTS_MAX. Main thread only, ioc_table_is_own apart.
 */
#include <stdlib.h>
#include <string.h>

#include "firmware/core/clock.h"
#include "firmware/core/timer.h"
#include "hw/ioc/ioc.h"

#define ANCHORS      4096u
#define REAP_NS      (20 * FW_MS)
#define UNIT_DEFAULT ".0"

struct ifl_row {
    uint8_t kind, slot, pic, port;
    bool up, unit_0;
    unsigned n_addresses;
    struct fw_addr addresses[16];
};

struct fpc_row {
    bool known, online, central_point;
    uint8_t index;
    uint32_t generation;
};

struct anchor_row {
    bool known;
    uint8_t slot, spu, thread;
    uint32_t generation;
};

/* Freed when every lane has taken snapshot `sequence`. */
struct retired {
    uint32_t sequence;
    struct ioc_table *table;
    struct ioc_capture *capture;
};

struct ioc_state {
    struct ioc *ioc;
    GHashTable *ifls;                 /* ifl -> struct ifl_row */
    struct fpc_row fpcs[FABRIC_ENDPOINTS_MAX];
    struct anchor_row *anchors;       /* ANCHORS */
    unsigned n_anchors;
    uint8_t macs[IOC_PORTS_MAX][FW_MAC_BYTES];
    bool link_up[IOC_PORTS_MAX];
    struct ioc_capture *captures[IOC_PORTS_MAX][IOC_CAPTURES_MAX];
    struct ioc_table *table;          /* the newest */
    uint32_t sequence;
    GList *retired;
    struct fw_timer *reaper;
    guint idle;
};

static int addr_compare(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct fw_addr));
}

bool ioc_table_is_own(const struct ioc_table *table, uint8_t family, const uint8_t *address)
{
    struct fw_addr key = {.family = family};

    memcpy(key.bytes, address, fw_addr_size(&key));
    return table->n_own > 0 && bsearch(&key, table->own, table->n_own, sizeof(key), addr_compare);
}

static void table_free(struct ioc_table *table)
{
    if (table) {
        g_free(table->own);
        g_free(table->anchors);
        g_free(table);
    }
}

/* ---- building ---- */

static void table_fill_ifls(struct ioc_table *table, const struct ioc_state *state)
{
    GArray *own = g_array_new(FALSE, FALSE, sizeof(struct fw_addr));
    GHashTableIter iter;
    gpointer key, value;

    g_hash_table_iter_init(&iter, state->ifls);
    while (g_hash_table_iter_next(&iter, &key, &value)) {
        const struct ifl_row *row = value;
        int port;

        g_array_append_vals(own, row->addresses, row->n_addresses);
        if (row->kind != BUS_IFL_KIND_ETHER || row->slot != state->ioc->slot) {
            continue;
        }
        port = ioc_port_find(state->ioc, row->pic, row->port);
        if (port >= 0 && (row->unit_0 || table->ports[port].ifl == 0)) {
            table->ports[port].ifl = (uint16_t)GPOINTER_TO_UINT(key);
            table->ports[port].ifl_up = row->up;
        }
    }
    g_array_sort(own, addr_compare);
    table->n_own = own->len;
    table->own = (struct fw_addr *)(void *)g_array_free(own, FALSE);
}

static void table_fill_boards(struct ioc_table *table, const struct ioc_state *state)
{
    for (unsigned slot = 0; slot < FABRIC_ENDPOINTS_MAX; slot++) {
        const struct fpc_row *row = &state->fpcs[slot];

        if (!row->known || row->index >= FABRIC_ENDPOINTS_MAX) {
            continue;
        }
        table->boards[row->index].online = row->online;
        table->boards[row->index].generation = row->generation;
        if (row->central_point && row->online) {
            table->has_central_point = true;
            table->central_point = row->index;
        }
    }
    table->n_anchors = state->n_anchors;
    table->anchors = g_new0(struct ioc_table_anchor, state->n_anchors + 1);
    for (unsigned i = 0; i < state->n_anchors; i++) {
        const struct anchor_row *row = &state->anchors[i];

        if (row->known && row->slot < FABRIC_ENDPOINTS_MAX && state->fpcs[row->slot].known) {
            table->anchors[i] = (struct ioc_table_anchor){.generation = row->generation,
                                                          .endpoint = state->fpcs[row->slot].index,
                                                          .spu = row->spu,
                                                          .thread = row->thread,
                                                          .set = true};
        }
    }
}

static void reap(void *data)
{
    struct ioc_state *state = data;
    uint32_t oldest = state->sequence;
    GList *next;

    for (unsigned l = 0; l < state->ioc->n_lanes; l++) {
        struct ioc_lane *lane = &state->ioc->lanes[l];

        if (lane->thread) {
            oldest = MIN(oldest, __atomic_load_n(&lane->seen, __ATOMIC_ACQUIRE));
        }
    }
    for (GList *i = state->retired; i; i = next) {
        struct retired *r = i->data;

        next = i->next;
        if (r->sequence <= oldest) {
            table_free(r->table);
            ioc_capture_free(r->capture);
            g_free(r);
            state->retired = g_list_delete_link(state->retired, i);
        }
    }
    if (state->retired) {
        fw_timer_arm(state->reaper, REAP_NS);
    }
}

static void retire(struct ioc_state *state, struct ioc_table *table, struct ioc_capture *capture,
                   uint32_t sequence)
{
    struct retired *r = g_new0(struct retired, 1);

    r->sequence = sequence;
    r->table = table;
    r->capture = capture;
    state->retired = g_list_append(state->retired, r);
    fw_timer_arm(state->reaper, REAP_NS);
}

void ioc_state_publish(struct ioc *ioc)
{
    struct ioc_state *state = ioc->state;
    struct ioc_table *table = g_new0(struct ioc_table, 1);
    struct ioc_table *old = state->table;

    if (state->idle) {
        g_source_remove(state->idle);
        state->idle = 0;
    }
    table->sequence = ++state->sequence;
    table->host = ioc->endpoints >= 2 ? (uint8_t)(ioc->endpoints - 2) : 0;
    table->n_ports = ioc->n_ports;
    for (unsigned i = 0; i < ioc->n_ports; i++) {
        struct ioc_table_port *port = &table->ports[i];

        memcpy(port->mac, state->macs[i], FW_MAC_BYTES);
        port->link_up = state->link_up[i];
        memcpy(port->captures, state->captures[i], sizeof(port->captures));
        for (unsigned k = 0; k < IOC_CAPTURES_MAX && port->captures[k]; k++) {
            table->n_captures++;
        }
    }
    table_fill_ifls(table, state);
    table_fill_boards(table, state);
    state->table = table;
    __atomic_store_n(&ioc->table, table, __ATOMIC_RELEASE);
    for (unsigned l = 0; l < ioc->n_lanes && ioc->fabric; l++) {
        fabric_lane_wake(ioc->fabric, l);
    }
    if (old) {
        retire(state, old, NULL, table->sequence);
    }
}

static gboolean publish_idle(gpointer data)
{
    struct ioc *ioc = data;

    ioc->state->idle = 0;
    ioc_state_publish(ioc);
    return G_SOURCE_REMOVE;
}

static void changed(struct ioc *ioc)
{
    if (!ioc->state->idle) {
        ioc->state->idle = g_idle_add(publish_idle, ioc);
    }
}

/* ---- state ---- */

void ioc_state_new(struct ioc *ioc, const struct bus_board_start *config)
{
    struct ioc_state *state = g_new0(struct ioc_state, 1);

    ioc->state = state;
    state->ioc = ioc;
    state->ifls = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    state->anchors = g_new0(struct anchor_row, ANCHORS);
    state->reaper = fw_timer_new(reap, state);
    for (unsigned i = 0; i < ioc->n_ports; i++) {
        memcpy(state->macs[i], config->ports[i].mac, FW_MAC_BYTES);
        state->link_up[i] = config->ports[i].kind != BUS_PORT_KIND_NONE;
    }
    ioc_state_publish(ioc);
}

void ioc_state_free(struct ioc *ioc)
{
    struct ioc_state *state = ioc->state;

    if (!state) {
        return;
    }
    ioc->table = NULL;
    if (state->idle) {
        g_source_remove(state->idle);
    }
    for (GList *i = state->retired; i; i = i->next) {
        struct retired *r = i->data;

        table_free(r->table);
        ioc_capture_free(r->capture);
        g_free(r);
    }
    g_list_free(state->retired);
    for (unsigned i = 0; i < IOC_PORTS_MAX; i++) {
        for (unsigned k = 0; k < IOC_CAPTURES_MAX; k++) {
            ioc_capture_free(state->captures[i][k]);
        }
    }
    table_free(state->table);
    fw_timer_free(state->reaper);
    g_hash_table_destroy(state->ifls);
    g_free(state->anchors);
    g_free(state);
    ioc->state = NULL;
}

void ioc_state_ifl(struct ioc *ioc, const struct bus_ifl_state *m)
{
    struct ifl_row *row;

    if (m->gone || m->ifl == 0) {
        g_hash_table_remove(ioc->state->ifls, GUINT_TO_POINTER(m->ifl));
        changed(ioc);
        return;
    }
    row = g_new0(struct ifl_row, 1);
    row->kind = m->kind;
    row->slot = m->slot;
    row->pic = m->pic;
    row->port = m->port;
    row->up = m->up;
    row->unit_0 = g_str_has_suffix(m->name, UNIT_DEFAULT);
    row->n_addresses = MIN(m->n_addresses, G_N_ELEMENTS(row->addresses));
    for (unsigned i = 0; i < row->n_addresses; i++) {
        row->addresses[i] = m->addresses[i].prefix.addr;
    }
    g_hash_table_replace(ioc->state->ifls, GUINT_TO_POINTER(m->ifl), row);
    changed(ioc);
}

void ioc_state_anchor(struct ioc *ioc, const struct bus_anchor_state *m)
{
    struct ioc_state *state = ioc->state;

    if (m->anchor == 0 || m->anchor >= ANCHORS) {
        return;
    }
    state->anchors[m->anchor] = (struct anchor_row){.known = !m->gone,
                                                    .slot = m->slot,
                                                    .spu = m->spu,
                                                    .thread = m->thread,
                                                    .generation = m->generation};
    if (!m->gone) {
        state->n_anchors = MAX(state->n_anchors, m->anchor + 1u);
    }
    changed(ioc);
}

void ioc_state_fpc(struct ioc *ioc, const struct bus_fpc_state *m)
{
    if (m->slot >= FABRIC_ENDPOINTS_MAX) {
        return;
    }
    ioc->state->fpcs[m->slot] = (struct fpc_row){.known = !m->gone,
                                                 .online = m->online && !m->gone,
                                                 .central_point = m->central_point,
                                                 .index = m->index,
                                                 .generation = m->generation};
    /* Packets to a card that is gone must stop soon: at once, not at the next idle turn. */
    ioc_state_publish(ioc);
}

bool ioc_state_link_up(const struct ioc *ioc, unsigned port)
{
    return port < IOC_PORTS_MAX && ioc->state->link_up[port];
}

void ioc_state_link(struct ioc *ioc, const struct bus_port_link *m)
{
    int port = ioc_port_find(ioc, m->pic, m->port);

    if (port >= 0) {
        ioc->state->link_up[port] = m->up;
        ioc_state_publish(ioc);
    }
}

bool ioc_state_capture_start(struct ioc *ioc, uint8_t pic, uint8_t port,
                             struct ioc_capture *capture)
{
    int which = ioc_port_find(ioc, pic, port);

    for (unsigned k = 0; which >= 0 && k < IOC_CAPTURES_MAX; k++) {
        if (!ioc->state->captures[which][k]) {
            ioc->state->captures[which][k] = capture;
            ioc_state_publish(ioc);
            return true;
        }
    }
    return false;
}

void ioc_state_capture_stop(struct ioc *ioc, uint32_t id)
{
    struct ioc_state *state = ioc->state;

    for (unsigned i = 0; i < ioc->n_ports; i++) {
        struct ioc_capture **list = state->captures[i];

        for (unsigned k = 0; k < IOC_CAPTURES_MAX && list[k]; k++) {
            struct ioc_capture *found = list[k];

            if (ioc_capture_id(found) != id) {
                continue;
            }
            memmove(&list[k], &list[k + 1], (IOC_CAPTURES_MAX - 1 - k) * sizeof(list[0]));
            list[IOC_CAPTURES_MAX - 1] = NULL;
            ioc_state_publish(ioc);
            retire(state, NULL, found, state->sequence);
            return;
        }
    }
}
