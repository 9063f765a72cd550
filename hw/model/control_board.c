/* control_board - see control_board.h. */
#include "hw/model/control_board.h"

struct _HwControlBoard {
    HwUnit parent;
    uint16_t planes;
};

G_DEFINE_TYPE(HwControlBoard, hw_control_board, HW_TYPE_UNIT)

static void hw_control_board_class_init(HwControlBoardClass *class)
{
    (void)class;
}

static void hw_control_board_init(HwControlBoard *board)
{
    board->planes = 0;
}

HwControlBoard *hw_control_board_new(const struct catalog_card *card, uint8_t slot,
                                     const char *name, const char *serial, uint16_t planes)
{
    HwControlBoard *board = g_object_new(HW_TYPE_CONTROL_BOARD, NULL);

    hw_unit_seat(HW_UNIT(board), card, slot, name, serial);
    board->planes = planes;
    return board;
}

uint16_t hw_control_board_planes(HwControlBoard *board)
{
    return hw_unit_state(HW_UNIT(board)) == BUS_FRU_STATE_ONLINE ? board->planes : 0;
}

void hw_control_board_power(HwControlBoard *board, bool on, uint16_t reason)
{
    HwUnit *unit = HW_UNIT(board);

    if (!on) {
        hw_unit_power_off(unit, reason, NULL);
    } else if (hw_unit_power_on(unit)) {
        hw_unit_set_state(unit, BUS_FRU_STATE_ANNOUNCE_ONLINE, HW_REASON_NONE, NULL);
        hw_unit_set_state(unit, BUS_FRU_STATE_ONLINE, HW_REASON_NONE, NULL);
    }
}
