/*
 * control_board - HwControlBoard, a passive unit that gives fabric planes.
 *
 * It runs nothing: with power it is in service. Main-loop thread only.
 */
#ifndef HW_MODEL_CONTROL_BOARD_H
#define HW_MODEL_CONTROL_BOARD_H

#include "hw/model/unit.h"

#define HW_TYPE_CONTROL_BOARD (hw_control_board_get_type())
G_DECLARE_FINAL_TYPE(HwControlBoard, hw_control_board, HW, CONTROL_BOARD, HwUnit)

/* planes: bit per fabric plane that goes through it. */
HwControlBoard *hw_control_board_new(const struct catalog_card *card, uint8_t slot,
                                     const char *name, const char *serial, uint16_t planes);
/* The planes it gives now: none without power. */
uint16_t hw_control_board_planes(HwControlBoard *board);
/* With power it goes online at once. */
void hw_control_board_power(HwControlBoard *board, bool on, uint16_t reason);

#endif
