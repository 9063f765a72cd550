/* board - see board.h. */
#include "hw/model/board.h"

#include "firmware/core/clock.h"

#define HISTORY_MAX 32 /* failures remembered; more than any limit of the catalogue */

struct _HwBoard {
    HwUnit parent;
    enum bus_board_kind kind;
    uint8_t index;
    uint8_t lanes;
    uint32_t pid;
    enum bus_boot_stage stage;
    char *detail;
    unsigned failures;
    unsigned n_history;
    int64_t history_ns[HISTORY_MAX];
};

G_DEFINE_TYPE(HwBoard, hw_board, HW_TYPE_UNIT)

/* What a boot stage means in the MIB's states. `online` is reached by board-ready, not here. */
static const enum bus_fru_state stage_states[BUS_BOOT_STAGE_COUNT] = {
    [BUS_BOOT_STAGE_SEATED] = BUS_FRU_STATE_PRESENT,
    [BUS_BOOT_STAGE_POWER] = BUS_FRU_STATE_PRESENT,
    [BUS_BOOT_STAGE_DIAGNOSTICS] = BUS_FRU_STATE_DIAGNOSTIC,
    [BUS_BOOT_STAGE_IMAGE] = BUS_FRU_STATE_DIAGNOSTIC,
    [BUS_BOOT_STAGE_BOOT] = BUS_FRU_STATE_READY,
    [BUS_BOOT_STAGE_ONLINE] = BUS_FRU_STATE_ANNOUNCE_ONLINE,
};

static const enum bus_board_kind kinds[] = {
    [CATALOG_SPC] = BUS_BOARD_KIND_SPC,
    [CATALOG_IOC] = BUS_BOARD_KIND_IOC,
    [CATALOG_RE] = BUS_BOARD_KIND_RE,
    [CATALOG_CB] = BUS_BOARD_KIND_NONE,
};

static void hw_board_finalize(GObject *object)
{
    g_free(HW_BOARD(object)->detail);
    G_OBJECT_CLASS(hw_board_parent_class)->finalize(object);
}

static void hw_board_class_init(HwBoardClass *class)
{
    G_OBJECT_CLASS(class)->finalize = hw_board_finalize;
}

static void hw_board_init(HwBoard *board)
{
    board->detail = g_strdup("");
}

HwBoard *hw_board_new(const struct catalog_card *card, uint8_t slot, const char *name,
                      const char *serial, uint8_t index, uint8_t lanes)
{
    HwBoard *board = g_object_new(HW_TYPE_BOARD, NULL);

    hw_unit_seat(HW_UNIT(board), card, slot, name, serial);
    board->kind = kinds[card->kind];
    board->index = index;
    board->lanes = lanes;
    return board;
}

HwBoard *hw_board_new_gateway(uint8_t index)
{
    static struct catalog_card card = {.kind = CATALOG_CB, .restart = true, .restart_limit = 3,
                                       .restart_window_s = 600, .watchdog_s = 5};
    static char name[] = "gateway", none[] = "";
    HwBoard *board;

    card.name = name;
    card.description = card.part_number = card.model_number = card.inventory_model = none;
    board = hw_board_new(&card, HW_SLOT_GATEWAY, name, none, index, 1);
    board->kind = BUS_BOARD_KIND_GATEWAY;
    return board;
}

enum bus_board_kind hw_board_kind(HwBoard *board)
{
    return board->kind;
}

uint8_t hw_board_index(HwBoard *board)
{
    return board->index;
}

uint8_t hw_board_lanes(HwBoard *board)
{
    return board->lanes;
}

uint32_t hw_board_pid(HwBoard *board)
{
    return board->pid;
}

void hw_board_set_pid(HwBoard *board, uint32_t pid)
{
    board->pid = pid;
}

void hw_board_set_stage(HwBoard *board, enum bus_boot_stage stage, const char *detail)
{
    enum bus_fru_state state;

    if ((unsigned)stage >= BUS_BOOT_STAGE_COUNT) {
        return;
    }
    board->stage = stage;
    g_free(board->detail);
    board->detail = g_strdup(detail ? detail : "");
    state = stage_states[stage];
    if (state == hw_unit_state(HW_UNIT(board)) ||
        !hw_unit_set_state(HW_UNIT(board), state, HW_REASON_NONE, NULL)) {
        hw_unit_changed(HW_UNIT(board));
    }
}

enum bus_boot_stage hw_board_stage(HwBoard *board)
{
    return board->stage;
}

const char *hw_board_detail(HwBoard *board)
{
    return board->detail;
}

bool hw_board_failed(HwBoard *board, int64_t now_ns, bool *ret_too_often)
{
    const struct catalog_card *card = hw_unit_card(HW_UNIT(board));
    int64_t from = now_ns - (int64_t)card->restart_window_s * FW_SEC;
    unsigned kept = 0;

    for (unsigned i = 0; i < board->n_history; i++) {
        if (board->history_ns[i] >= from) {
            board->history_ns[kept++] = board->history_ns[i];
        }
    }
    if (kept == HISTORY_MAX) {
        kept--;
    }
    board->history_ns[kept++] = now_ns;
    board->n_history = kept;
    board->failures++;
    *ret_too_often = card->restart && kept > card->restart_limit;
    return card->restart && !*ret_too_often;
}

unsigned hw_board_failures(HwBoard *board)
{
    return board->failures;
}

void hw_board_forgive(HwBoard *board)
{
    board->n_history = 0;
}
