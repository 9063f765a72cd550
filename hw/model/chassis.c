/* chassis - see chassis.h. */
#include "hw/model/chassis.h"

struct _HwSlot {
    GObject parent;
    uint8_t number;
    char *label;
    HwUnit *unit; /* owned */
};

G_DEFINE_TYPE(HwSlot, hw_slot, G_TYPE_OBJECT)

static guint slot_inserted, slot_removed;

static void hw_slot_finalize(GObject *object)
{
    HwSlot *slot = HW_SLOT(object);

    g_clear_object(&slot->unit);
    g_free(slot->label);
    G_OBJECT_CLASS(hw_slot_parent_class)->finalize(object);
}

static void hw_slot_class_init(HwSlotClass *class)
{
    G_OBJECT_CLASS(class)->finalize = hw_slot_finalize;
    slot_inserted = g_signal_new("inserted", HW_TYPE_SLOT, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                 G_TYPE_NONE, 0);
    slot_removed = g_signal_new("removed", HW_TYPE_SLOT, G_SIGNAL_RUN_LAST, 0, NULL, NULL, NULL,
                                G_TYPE_NONE, 0);
}

static void hw_slot_init(HwSlot *slot)
{
    slot->unit = NULL;
}

uint8_t hw_slot_number(HwSlot *slot)
{
    return slot->number;
}

const char *hw_slot_label(HwSlot *slot)
{
    return slot->label;
}

HwUnit *hw_slot_unit(HwSlot *slot)
{
    return slot->unit;
}

bool hw_slot_insert(HwSlot *slot, HwUnit *unit)
{
    if (slot->unit) {
        return false;
    }
    slot->unit = g_object_ref(unit);
    g_signal_emit(slot, slot_inserted, 0);
    return true;
}

HwUnit *hw_slot_remove(HwSlot *slot)
{
    HwUnit *unit = g_steal_pointer(&slot->unit);

    if (unit) {
        g_signal_emit(slot, slot_removed, 0);
    }
    return unit;
}

/* ---------------------------------------------------------------- chassis */

struct _HwChassis {
    GObject parent;
    const struct catalog_chassis *facts; /* the catalogue's */
    char *node;
    char *serial;
    uint64_t seed;
    GPtrArray *slots;    /* HwSlot, owned */
    uint16_t planes_off; /* switched off one by one */
    uint16_t planes_now;
};

G_DEFINE_TYPE(HwChassis, hw_chassis, G_TYPE_OBJECT)

static guint unit_changed_signal, planes_changed_signal;

static void hw_chassis_finalize(GObject *object)
{
    HwChassis *chassis = HW_CHASSIS(object);

    g_ptr_array_unref(chassis->slots);
    g_free(chassis->node);
    g_free(chassis->serial);
    G_OBJECT_CLASS(hw_chassis_parent_class)->finalize(object);
}

static void hw_chassis_class_init(HwChassisClass *class)
{
    G_OBJECT_CLASS(class)->finalize = hw_chassis_finalize;
    unit_changed_signal = g_signal_new("unit-changed", HW_TYPE_CHASSIS, G_SIGNAL_RUN_LAST, 0, NULL,
                                       NULL, NULL, G_TYPE_NONE, 1, HW_TYPE_UNIT);
    planes_changed_signal = g_signal_new("planes-changed", HW_TYPE_CHASSIS, G_SIGNAL_RUN_LAST, 0,
                                         NULL, NULL, NULL, G_TYPE_NONE, 0);
}

static void hw_chassis_init(HwChassis *chassis)
{
    chassis->slots = g_ptr_array_new_with_free_func(g_object_unref);
}

/* A stable number from the seed and a place: FNV-1a, then mixed (SplitMix64's finish). */
static uint64_t place_hash(const HwChassis *chassis, const char *place)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325) ^ chassis->seed;

    for (const char *s = chassis->node; *s; s++) {
        h = (h ^ (uint8_t)*s) * UINT64_C(0x100000001b3);
    }
    h = (h ^ ':') * UINT64_C(0x100000001b3);
    for (const char *s = place; *s; s++) {
        h = (h ^ (uint8_t)*s) * UINT64_C(0x100000001b3);
    }
    h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);
    return h ^ (h >> 31);
}

/* Eight characters like an inventory's: "VC" and six of an alphabet without look-alikes. */
static char *serial_new(const HwChassis *chassis, const char *place)
{
    static const char alphabet[] = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    uint64_t h = place_hash(chassis, place);
    char text[9] = "VC";

    for (unsigned i = 2; i < 8; i++, h >>= 5) {
        text[i] = alphabet[h & 31];
    }
    return g_strdup(text);
}

static void on_unit_changed(HwUnit *unit, HwChassis *chassis)
{
    uint16_t planes;

    g_signal_emit(chassis, unit_changed_signal, 0, unit);
    planes = hw_chassis_planes(chassis);
    if (planes != chassis->planes_now) {
        chassis->planes_now = planes;
        g_signal_emit(chassis, planes_changed_signal, 0);
    }
}

static HwSlot *slot_add(HwChassis *chassis, uint8_t number, const char *label, unsigned n)
{
    HwSlot *slot = g_object_new(HW_TYPE_SLOT, NULL);

    slot->number = number;
    slot->label = g_strdup_printf("%s %u", label, n);
    g_ptr_array_add(chassis->slots, slot);
    return slot;
}

static uint8_t lanes_of(const struct catalog_card *card, const struct lab_options *options,
                        unsigned cores, unsigned boards)
{
    unsigned lanes = options->lanes ? options->lanes : card->lanes;

    if (card->kind == CATALOG_RE) {
        return 1; /* ifd's punt port */
    }
    if (!lanes) {
        lanes = MAX(1, cores / MAX(boards, 1));
    }
    return (uint8_t)MIN(lanes, 4); /* FABRIC_LANES_MAX */
}

static void seat(HwChassis *chassis, const struct lab_card *card,
                 const struct lab_options *options, unsigned cores, unsigned boards,
                 unsigned *next_plane)
{
    static const struct {
        const char *word;
        uint8_t base;
    } positions[] = {[LAB_FPC] = {"fpc", 0},
                     [LAB_CB] = {"cb", HW_SLOT_CB0},
                     [LAB_RE] = {"re", HW_SLOT_RE0}};
    uint8_t number = (uint8_t)(positions[card->position].base + card->slot);
    g_autofree char *name = g_strdup_printf("%s%u", positions[card->position].word, card->slot);
    g_autofree char *serial = serial_new(chassis, name);
    HwSlot *slot = hw_chassis_slot_find(chassis, number);
    g_autoptr(HwUnit) unit = NULL;

    if (!slot) {
        return; /* the lab file's reader has refused it */
    }
    if (card->card->kind == CATALOG_CB) {
        unsigned planes = MIN(card->card->planes, chassis->facts->planes_max - *next_plane);

        unit = HW_UNIT(hw_control_board_new(card->card, number, name, serial,
                                            (uint16_t)(((1u << planes) - 1) << *next_plane)));
        *next_plane += planes;
    } else {
        uint8_t index = (uint8_t)(card->position == LAB_FPC ? card->slot : chassis->facts->slots);

        unit = HW_UNIT(hw_board_new(card->card, number, name, serial, index,
                                    lanes_of(card->card, options, cores, boards)));
    }
    g_signal_connect(unit, "changed", G_CALLBACK(on_unit_changed), chassis);
    hw_slot_insert(slot, unit);
}

HwChassis *hw_chassis_new(const struct lab_node *node, const struct lab_options *options,
                          unsigned cores, unsigned boards)
{
    HwChassis *chassis = g_object_new(HW_TYPE_CHASSIS, NULL);
    unsigned next_plane = 0;

    chassis->facts = node->chassis;
    chassis->node = g_strdup(node->name);
    chassis->seed = options->seed;
    chassis->serial = serial_new(chassis, "chassis");
    for (unsigned n = 0; n < node->chassis->slots; n++) {
        slot_add(chassis, (uint8_t)n, "FPC", n);
    }
    for (unsigned n = 0; n < node->chassis->control_boards; n++) {
        slot_add(chassis, (uint8_t)(HW_SLOT_CB0 + n), "CB", n);
    }
    for (unsigned n = 0; n < node->chassis->routing_engines; n++) {
        slot_add(chassis, (uint8_t)(HW_SLOT_RE0 + n), "Routing Engine", n);
    }
    for (unsigned n = 0; n < node->n_cards; n++) {
        seat(chassis, &node->cards[n], options, cores, boards, &next_plane);
    }
    return chassis;
}

const struct catalog_chassis *hw_chassis_facts(HwChassis *chassis)
{
    return chassis->facts;
}

const char *hw_chassis_serial(HwChassis *chassis)
{
    return chassis->serial;
}

unsigned hw_chassis_n_slots(HwChassis *chassis)
{
    return chassis->slots->len;
}

HwSlot *hw_chassis_slot(HwChassis *chassis, unsigned n)
{
    return n < chassis->slots->len ? chassis->slots->pdata[n] : NULL;
}

HwSlot *hw_chassis_slot_find(HwChassis *chassis, uint8_t number)
{
    for (unsigned n = 0; n < chassis->slots->len; n++) {
        HwSlot *slot = chassis->slots->pdata[n];

        if (slot->number == number) {
            return slot;
        }
    }
    return NULL;
}

unsigned hw_chassis_endpoints(HwChassis *chassis)
{
    return chassis->facts->slots + 2;
}

uint16_t hw_chassis_planes_all(HwChassis *chassis)
{
    uint16_t planes = 0;

    for (unsigned n = 0; n < chassis->slots->len; n++) {
        HwUnit *unit = hw_slot_unit(chassis->slots->pdata[n]);

        if (unit && HW_IS_CONTROL_BOARD(unit)) {
            planes |= hw_control_board_planes(HW_CONTROL_BOARD(unit));
        }
    }
    return planes;
}

uint16_t hw_chassis_planes(HwChassis *chassis)
{
    return hw_chassis_planes_all(chassis) & (uint16_t)~chassis->planes_off;
}

bool hw_chassis_plane_set(HwChassis *chassis, unsigned plane, bool up)
{
    uint16_t bit = plane < 16 ? (uint16_t)(1u << plane) : 0;
    uint16_t planes;

    if (!(hw_chassis_planes_all(chassis) & bit)) {
        return false;
    }
    chassis->planes_off = (uint16_t)(up ? chassis->planes_off & ~bit : chassis->planes_off | bit);
    planes = hw_chassis_planes(chassis);
    if (planes != chassis->planes_now) {
        chassis->planes_now = planes;
        g_signal_emit(chassis, planes_changed_signal, 0);
    }
    return true;
}
