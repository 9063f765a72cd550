/*
 * chassis - HwChassis: midplane, slots, and what is seated in them.
 *
 * Made from a node of a lab file: FPC slots, control boards, Routing Engines.
 * A slot (HwSlot) holds at most one unit. Serial numbers
 * follow from the lab's seed, the node's name and the place alone.
 * Signals: `unit-changed` (HwUnit) and `planes-changed`. Main-loop thread only.
 */
#ifndef HW_MODEL_CHASSIS_H
#define HW_MODEL_CHASSIS_H

#include "hw/lab/labfile.h"
#include "hw/model/board.h"
#include "hw/model/control_board.h"

#define HW_TYPE_SLOT (hw_slot_get_type())
G_DECLARE_FINAL_TYPE(HwSlot, hw_slot, HW, SLOT, GObject)

uint8_t hw_slot_number(HwSlot *slot);   /* as on the bus */
const char *hw_slot_label(HwSlot *slot); /* "FPC 0", "CB 1", "Routing Engine 0" */
/* NULL when empty. */
HwUnit *hw_slot_unit(HwSlot *slot);
/* Seats a unit (a reference is taken); false when the slot is occupied. Signal `inserted`. */
bool hw_slot_insert(HwSlot *slot, HwUnit *unit);
/* Takes the unit out; the caller gets the reference, NULL when empty. Signal `removed`. */
HwUnit *hw_slot_remove(HwSlot *slot);

#define HW_TYPE_CHASSIS (hw_chassis_get_type())
G_DECLARE_FINAL_TYPE(HwChassis, hw_chassis, HW, CHASSIS, GObject)

/* cores: of this machine, for the default number of lanes; boards: that share it. */
HwChassis *hw_chassis_new(const struct lab_node *node, const struct lab_options *options,
                          unsigned cores, unsigned boards);

const struct catalog_chassis *hw_chassis_facts(HwChassis *chassis);
const char *hw_chassis_serial(HwChassis *chassis);
/* All slots in order: FPCs, control boards, Routing Engines. */
unsigned hw_chassis_n_slots(HwChassis *chassis);
HwSlot *hw_chassis_slot(HwChassis *chassis, unsigned n);
/* By bus slot number; NULL when the chassis has no such slot. */
HwSlot *hw_chassis_slot_find(HwChassis *chassis, uint8_t number);
/* Fabric endpoints: slots, RE, gateway. */
unsigned hw_chassis_endpoints(HwChassis *chassis);
/* Planes in service: given by the control boards and not switched off. */
uint16_t hw_chassis_planes(HwChassis *chassis);
/* All planes its control boards would give. */
uint16_t hw_chassis_planes_all(HwChassis *chassis);
/* Switches one plane; false when there is no such plane. */
bool hw_chassis_plane_set(HwChassis *chassis, unsigned plane, bool up);

#endif
