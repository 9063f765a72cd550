/*
 * unit - HwUnit, anything that is seated in the chassis: a board or a control board.
 *
 * What it is called and what it can do are the catalogue's row; the unit holds
 * what changes: its state (jnxFruState), the reason when out of service, since
 * when, how often it was powered on, its temperature. The state machine is a
 * table; an illegal step is refused. Signal `changed` after every change.
 * Main-loop thread only.
 */
#ifndef HW_MODEL_UNIT_H
#define HW_MODEL_UNIT_H

#include <glib-object.h>
#include <stdbool.h>
#include <stdint.h>

#include "hw/lab/catalog.h"
#include "hw/model/reason.h"
#include "messages.h"

/* Slot numbers of the bus: FPC n is n, RE n is RE0 + n, control board n is CB0 + n. */
#define HW_SLOT_RE0 0xf0u
#define HW_SLOT_CB0 0xe0u
#define HW_SLOT_GATEWAY 0xefu /* no slot: the fabric gateway's number in queries and events */

#define HW_TYPE_UNIT (hw_unit_get_type())
G_DECLARE_DERIVABLE_TYPE(HwUnit, hw_unit, HW, UNIT, GObject)

struct _HwUnitClass {
    GObjectClass parent_class;
};

/* Sets what a unit is; once, right after it was made. name: "fpc0", copied. */
void hw_unit_seat(HwUnit *unit, const struct catalog_card *card, uint8_t slot, const char *name,
                  const char *serial);

const struct catalog_card *hw_unit_card(HwUnit *unit);
uint8_t hw_unit_slot(HwUnit *unit);
const char *hw_unit_name(HwUnit *unit);
const char *hw_unit_serial(HwUnit *unit);
enum bus_fru_state hw_unit_state(HwUnit *unit);
/* enum hw_reason; NONE while in service. */
uint16_t hw_unit_reason(HwUnit *unit);
const char *hw_unit_reason_text(HwUnit *unit);
/* Wall-clock time of the last change of state. */
int64_t hw_unit_since_ns(HwUnit *unit);
/* Counts power-ons. */
uint32_t hw_unit_generation(HwUnit *unit);
/* Degrees Celsius; a model value: the catalogue's in service, room temperature without power. */
unsigned hw_unit_temperature(HwUnit *unit);

/* Is the step in the table? */
bool hw_fru_step_allowed(enum bus_fru_state from, enum bus_fru_state to);
/* One step; false and no change when it is not in the table. text NULL: the reason's own. */
bool hw_unit_set_state(HwUnit *unit, enum bus_fru_state state, uint16_t reason, const char *text);
/* Power: to `present`, a new generation. False when it has power already. */
bool hw_unit_power_on(HwUnit *unit);
/* Power away: to `offline` with the reason; the way there (announce-offline) is the caller's. */
void hw_unit_power_off(HwUnit *unit, uint16_t reason, const char *text);
/* For derived types: tell that something else changed. */
void hw_unit_changed(HwUnit *unit);

#endif
