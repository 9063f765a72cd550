/* unit - see unit.h. */
#include "hw/model/unit.h"

#include "firmware/core/clock.h"

#define ROOM_TEMPERATURE_C 24 /* own choice: a cool machine room */

typedef struct {
    const struct catalog_card *card; /* the catalogue's */
    uint8_t slot;
    char *name;
    char *serial;
    enum bus_fru_state state;
    uint16_t reason;
    char *reason_text;
    int64_t since_ns;
    uint32_t generation;
} HwUnitPrivate;

G_DEFINE_TYPE_WITH_PRIVATE(HwUnit, hw_unit, G_TYPE_OBJECT)

static guint changed_signal;

#define P(unit) ((HwUnitPrivate *)hw_unit_get_instance_private(unit))
#define TO(state) (1u << BUS_FRU_STATE_##state)

/* Reference A.4: states of the MIB; power-off leads to offline or present from everywhere. */
static const uint16_t steps[BUS_FRU_STATE_COUNT] = {
    [BUS_FRU_STATE_UNKNOWN] = TO(EMPTY) | TO(PRESENT) | TO(OFFLINE),
    [BUS_FRU_STATE_EMPTY] = TO(PRESENT),
    [BUS_FRU_STATE_PRESENT] = TO(EMPTY) | TO(DIAGNOSTIC) | TO(READY) | TO(ANNOUNCE_ONLINE) |
                              TO(ANNOUNCE_OFFLINE) | TO(OFFLINE) | TO(STANDBY),
    [BUS_FRU_STATE_READY] = TO(EMPTY) | TO(PRESENT) | TO(ANNOUNCE_ONLINE) | TO(ANNOUNCE_OFFLINE) |
                            TO(OFFLINE) | TO(STANDBY),
    [BUS_FRU_STATE_ANNOUNCE_ONLINE] = TO(EMPTY) | TO(PRESENT) | TO(ONLINE) | TO(ANNOUNCE_OFFLINE) |
                                      TO(OFFLINE),
    [BUS_FRU_STATE_ONLINE] = TO(EMPTY) | TO(PRESENT) | TO(ANNOUNCE_OFFLINE) | TO(OFFLINE),
    [BUS_FRU_STATE_ANNOUNCE_OFFLINE] = TO(EMPTY) | TO(PRESENT) | TO(OFFLINE),
    [BUS_FRU_STATE_OFFLINE] = TO(EMPTY) | TO(PRESENT),
    [BUS_FRU_STATE_DIAGNOSTIC] = TO(EMPTY) | TO(PRESENT) | TO(READY) | TO(ANNOUNCE_ONLINE) |
                                 TO(ANNOUNCE_OFFLINE) | TO(OFFLINE),
    [BUS_FRU_STATE_STANDBY] = TO(EMPTY) | TO(PRESENT) | TO(ANNOUNCE_ONLINE) | TO(OFFLINE),
};

static void hw_unit_finalize(GObject *object)
{
    HwUnitPrivate *p = P(HW_UNIT(object));

    g_free(p->name);
    g_free(p->serial);
    g_free(p->reason_text);
    G_OBJECT_CLASS(hw_unit_parent_class)->finalize(object);
}

static void hw_unit_class_init(HwUnitClass *class)
{
    G_OBJECT_CLASS(class)->finalize = hw_unit_finalize;
    changed_signal = g_signal_new("changed", HW_TYPE_UNIT, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                  G_TYPE_NONE, 0);
}

static void hw_unit_init(HwUnit *unit)
{
    HwUnitPrivate *p = P(unit);

    p->state = BUS_FRU_STATE_UNKNOWN;
    p->reason = HW_REASON_NONE;
    p->reason_text = g_strdup("");
}

void hw_unit_seat(HwUnit *unit, const struct catalog_card *card, uint8_t slot, const char *name,
                  const char *serial)
{
    HwUnitPrivate *p = P(unit);

    g_return_if_fail(!p->card);
    p->card = card;
    p->slot = slot;
    p->name = g_strdup(name);
    p->serial = g_strdup(serial);
    p->state = BUS_FRU_STATE_OFFLINE; /* seated, not powered yet */
    p->reason = HW_REASON_NO_POWER;
    g_free(p->reason_text);
    p->reason_text = g_strdup(hw_reason_text(p->reason));
    p->since_ns = fw_clock_wall_ns();
}

const struct catalog_card *hw_unit_card(HwUnit *unit)
{
    return P(unit)->card;
}

uint8_t hw_unit_slot(HwUnit *unit)
{
    return P(unit)->slot;
}

const char *hw_unit_name(HwUnit *unit)
{
    return P(unit)->name;
}

const char *hw_unit_serial(HwUnit *unit)
{
    return P(unit)->serial;
}

enum bus_fru_state hw_unit_state(HwUnit *unit)
{
    return P(unit)->state;
}

uint16_t hw_unit_reason(HwUnit *unit)
{
    return P(unit)->reason;
}

const char *hw_unit_reason_text(HwUnit *unit)
{
    return P(unit)->reason_text;
}

int64_t hw_unit_since_ns(HwUnit *unit)
{
    return P(unit)->since_ns;
}

uint32_t hw_unit_generation(HwUnit *unit)
{
    return P(unit)->generation;
}

unsigned hw_unit_temperature(HwUnit *unit)
{
    const HwUnitPrivate *p = P(unit);
    bool powered = p->state != BUS_FRU_STATE_OFFLINE && p->state != BUS_FRU_STATE_EMPTY &&
                   p->state != BUS_FRU_STATE_UNKNOWN;

    return powered && p->card ? p->card->temperature_c : ROOM_TEMPERATURE_C;
}

bool hw_fru_step_allowed(enum bus_fru_state from, enum bus_fru_state to)
{
    return (unsigned)from < BUS_FRU_STATE_COUNT && (unsigned)to < BUS_FRU_STATE_COUNT &&
           (steps[from] >> to & 1);
}

bool hw_unit_set_state(HwUnit *unit, enum bus_fru_state state, uint16_t reason, const char *text)
{
    HwUnitPrivate *p = P(unit);
    char *copy;

    if (!hw_fru_step_allowed(p->state, state)) {
        return false;
    }
    copy = g_strdup(text ? text : hw_reason_text(reason));
    g_free(p->reason_text);
    p->reason_text = copy;
    p->state = state;
    p->reason = reason;
    p->since_ns = fw_clock_wall_ns();
    hw_unit_changed(unit);
    return true;
}

bool hw_unit_power_on(HwUnit *unit)
{
    HwUnitPrivate *p = P(unit);

    if (p->state != BUS_FRU_STATE_OFFLINE) {
        return false;
    }
    p->generation++;
    return hw_unit_set_state(unit, BUS_FRU_STATE_PRESENT, HW_REASON_NONE, NULL);
}

void hw_unit_power_off(HwUnit *unit, uint16_t reason, const char *text)
{
    hw_unit_set_state(unit, BUS_FRU_STATE_OFFLINE, reason, text);
}

void hw_unit_changed(HwUnit *unit)
{
    g_signal_emit(unit, changed_signal, 0);
}
