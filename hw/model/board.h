/*
 * board - HwBoard, a unit that runs a program: services card, I/O card, Routing Engine.
 *
 * Besides its unit it has a place in the fabric, a process, a boot stage and a
 * history of failures that the catalogue's restart policy is applied to.
 * Main-loop thread only.
 */
#ifndef HW_MODEL_BOARD_H
#define HW_MODEL_BOARD_H

#include "hw/model/unit.h"

#define HW_TYPE_BOARD (hw_board_get_type())
G_DECLARE_FINAL_TYPE(HwBoard, hw_board, HW, BOARD, HwUnit)

HwBoard *hw_board_new(const struct catalog_card *card, uint8_t slot, const char *name,
                      const char *serial, uint8_t index, uint8_t lanes);

/* The fabric gateway: it sits in no slot; its facts are the emulator's own. */
HwBoard *hw_board_new_gateway(uint8_t index);

enum bus_board_kind hw_board_kind(HwBoard *board);
/* Fabric endpoint index and lanes. */
uint8_t hw_board_index(HwBoard *board);
uint8_t hw_board_lanes(HwBoard *board);
/* Process, 0 when there is none. */
uint32_t hw_board_pid(HwBoard *board);
void hw_board_set_pid(HwBoard *board, uint32_t pid);
/* The board tells a boot stage: the state follows it (table in board.c). */
void hw_board_set_stage(HwBoard *board, enum bus_boot_stage stage, const char *detail);
enum bus_boot_stage hw_board_stage(HwBoard *board);
const char *hw_board_detail(HwBoard *board);
/* The board failed at now_ns (monotonic). True: the policy wants it restarted; false: it stays
 * offline, because it does not restart or failed too often (*ret_too_often). */
bool hw_board_failed(HwBoard *board, int64_t now_ns, bool *ret_too_often);
/* Failures so far. */
unsigned hw_board_failures(HwBoard *board);
/* A person switched it on again: the history begins anew. */
void hw_board_forgive(HwBoard *board);

#endif
