/*
 * chassis - see chassis.h.
 */
#include "re/chassisd/chassis.h"

#include <string.h>

static const char *const state_texts[BUS_FRU_STATE_COUNT] = {
    [BUS_FRU_STATE_UNKNOWN] = "Unknown",
    [BUS_FRU_STATE_EMPTY] = "Empty",
    [BUS_FRU_STATE_PRESENT] = "Present",
    [BUS_FRU_STATE_READY] = "Ready",
    [BUS_FRU_STATE_ANNOUNCE_ONLINE] = "Announce online",
    [BUS_FRU_STATE_ONLINE] = "Online",
    [BUS_FRU_STATE_ANNOUNCE_OFFLINE] = "Announce offline",
    [BUS_FRU_STATE_OFFLINE] = "Offline",
    [BUS_FRU_STATE_DIAGNOSTIC] = "Diagnostic",
    [BUS_FRU_STATE_STANDBY] = "Standby",
};

void chassis_init(struct chassis *chassis,
                  void (*publish)(const struct bus_fpc_state *state, void *data), void *data)
{
    memset(chassis, 0, sizeof *chassis);
    chassis->central_point = CHASSIS_NO_SLOT;
    chassis->publish = publish;
    chassis->data = data;
}

void chassis_clear(struct chassis *chassis)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(chassis->slots); i++) {
        g_clear_pointer(&chassis->slots[i], g_free);
    }
}

void chassis_restore(struct chassis *chassis, const struct bus_fpc_state *state)
{
    if (state->slot >= CHASSIS_FPCS) {
        return;
    }
    chassis->published[state->slot] = *state;
    chassis->is_published[state->slot] = !state->gone;
    if (state->central_point && !state->gone) {
        chassis->central_point = state->slot;
    }
}

static void load_add(struct chassis_load *load, unsigned percent, int64_t now_ns)
{
    static const double seconds[3] = {60, 300, 900};
    double age = (double)(now_ns - load->at_ns) / 1e9;

    for (unsigned i = 0; i < 3; i++) {
        double share = !load->known || age >= seconds[i] ? 1 : age / seconds[i];

        load->cpu[i] += ((double)percent - load->cpu[i]) * share;
    }
    load->at_ns = now_ns;
    load->known = true;
}

bool chassis_slot(struct chassis *chassis, const struct bus_hw_slot_state *state, int64_t now_ns)
{
    struct bus_hw_slot_state *known = chassis->slots[state->slot];

    /* A replay may bring what is older than what came since. */
    if (known && known->since_ns > state->since_ns) {
        return false;
    }
    if (!known) {
        known = chassis->slots[state->slot] = g_new0(struct bus_hw_slot_state, 1);
    }
    if (known->pid != state->pid) {
        chassis->loads[state->slot].known = false;
    }
    *known = *state;
    load_add(&chassis->loads[state->slot], state->cpu, now_ns);
    return true;
}

static bool slot_online(const struct chassis *chassis, unsigned slot)
{
    return chassis->slots[slot] && chassis->slots[slot]->state == BUS_FRU_STATE_ONLINE;
}

static bool slot_is(const struct chassis *chassis, unsigned slot, enum bus_board_kind kind)
{
    return chassis->slots[slot] && chassis->slots[slot]->kind == kind;
}

static void central_point_choose(struct chassis *chassis)
{
    uint8_t now = chassis->central_point;

    if (now != CHASSIS_NO_SLOT && slot_is(chassis, now, BUS_BOARD_KIND_SPC) &&
        slot_online(chassis, now)) {
        return;
    }
    chassis->central_point = CHASSIS_NO_SLOT;
    for (uint8_t slot = 0; slot < CHASSIS_FPCS; slot++) {
        if (slot_is(chassis, slot, BUS_BOARD_KIND_SPC) && slot_online(chassis, slot)) {
            chassis->central_point = slot;
            return;
        }
    }
}

void chassis_update(struct chassis *chassis)
{
    central_point_choose(chassis);
    for (uint8_t slot = 0; slot < CHASSIS_FPCS; slot++) {
        const struct bus_hw_slot_state *hw = chassis->slots[slot];
        struct bus_fpc_state state;

        memset(&state, 0, sizeof state); /* padding too: compared as bytes */
        state.slot = slot;
        if (hw && (hw->kind == BUS_BOARD_KIND_SPC || hw->kind == BUS_BOARD_KIND_IOC)) {
            state.kind = hw->kind;
            state.online = hw->state == BUS_FRU_STATE_ONLINE;
            state.generation = hw->generation;
            state.spus = hw->spus;
            state.threads = hw->threads;
            state.lanes = hw->lanes;
            state.index = hw->index;
            state.central_point = slot == chassis->central_point;
        } else if (chassis->is_published[slot] && hw) {
            state.gone = true;
        } else {
            continue;
        }
        if (chassis->is_published[slot] &&
            memcmp(&state, &chassis->published[slot], sizeof state) == 0) {
            continue;
        }
        chassis->published[slot] = state;
        chassis->is_published[slot] = !state.gone;
        chassis->publish(&state, chassis->data);
    }
}

const char *chassis_state_text(enum bus_fru_state state)
{
    return (unsigned)state < BUS_FRU_STATE_COUNT ? state_texts[state] : "Unknown";
}

const char *chassis_pic_text(const struct chassis *chassis, const struct bus_hw_slot_state *slot,
                             unsigned pic)
{
    if (slot->kind == BUS_BOARD_KIND_SPC) {
        return slot->slot == chassis->central_point && pic == 0 ? "SPU Cp-Flow" : "SPU Flow";
    }
    return pic < slot->n_pics ? slot->pics[pic].type : "";
}
