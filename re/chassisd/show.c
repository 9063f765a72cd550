/*
 * show - see show.h.
 */
#include "re/chassisd/show.h"

#include <string.h>

#define JUNOS_RELEASE "24.4R1.11" /* the release whose models the emulator follows */

/* Packages of show version; the build id is the emulator's own. */
static const struct {
    const char *name, *comment;
} packages[] = {
    {"os-kernel", "JUNOS OS Kernel 64-bit "},
    {"os-libs", "JUNOS OS libs"},
    {"junos-ike", "JUNOS ike"},
};

void show_version(struct re_xml *xml, const char *host_name, const char *model)
{
    re_xml_open(xml, "software-information");
    re_xml_leaf(xml, "host-name", "%s", host_name);
    re_xml_leaf(xml, "product-model", "%s", model);
    re_xml_leaf(xml, "product-name", "%s", model);
    re_xml_leaf(xml, "junos-version", "%s", JUNOS_RELEASE);
    for (unsigned i = 0; i < G_N_ELEMENTS(packages); i++) {
        re_xml_open(xml, "package-information");
        re_xml_leaf(xml, "name", "%s", packages[i].name);
        re_xml_leaf(xml, "comment", "%s [vchassis-%s]", packages[i].comment, VCHASSIS_VERSION);
        re_xml_close(xml);
    }
    re_xml_close(xml);
}

/* Slots of the chassis, as far as hwd has told. */
static const struct bus_hw_slot_state *fpc_at(const struct chassis *chassis, unsigned i, int slot)
{
    if (slot >= 0 && (unsigned)slot != i) {
        return NULL;
    }
    return chassis->slots[i];
}

static void comment(struct re_xml *xml, const struct bus_hw_slot_state *hw)
{
    if (hw->state == BUS_FRU_STATE_OFFLINE && hw->reason_text[0]) {
        re_xml_leaf(xml, "comment", "%s", hw->reason_text);
    }
}

void show_fpc(struct re_xml *xml, const struct chassis *chassis, int slot)
{
    re_xml_open(xml, "fpc-information");
    for (unsigned i = 0; i < CHASSIS_FPCS; i++) {
        const struct bus_hw_slot_state *hw = fpc_at(chassis, i, slot);
        const struct chassis_load *load = &chassis->loads[i];

        if (!hw) {
            continue;
        }
        re_xml_open(xml, "fpc");
        re_xml_leaf(xml, "slot", "%u", i);
        re_xml_leaf(xml, "state", "%s", chassis_state_text(hw->state));
        if (hw->state == BUS_FRU_STATE_ONLINE) {
            re_xml_leaf(xml, "temperature", "%u", hw->temperature);
            re_xml_leaf(xml, "cpu-total", "%u", hw->cpu);
            re_xml_leaf(xml, "cpu-interrupt", "0"); /* boards are processes: there are none */
            re_xml_leaf(xml, "cpu-1min-avg", "%.0f", load->cpu[0]);
            re_xml_leaf(xml, "cpu-5min-avg", "%.0f", load->cpu[1]);
            re_xml_leaf(xml, "cpu-15min-avg", "%.0f", load->cpu[2]);
            re_xml_leaf(xml, "memory-dram-size", "%u", (hw->memory_kib + 1023) / 1024);
        }
        comment(xml, hw);
        re_xml_close(xml);
    }
    re_xml_close(xml);
}

void show_pic_status(struct re_xml *xml, const struct chassis *chassis, int slot)
{
    re_xml_open(xml, "fpc-information");
    re_xml_attribute(xml, "style", "pic-style");
    for (unsigned i = 0; i < CHASSIS_FPCS; i++) {
        const struct bus_hw_slot_state *hw = fpc_at(chassis, i, slot);

        if (!hw || hw->kind == BUS_BOARD_KIND_NONE) {
            continue;
        }
        re_xml_open(xml, "fpc");
        re_xml_leaf(xml, "slot", "%u", i);
        re_xml_leaf(xml, "state", "%s", chassis_state_text(hw->state));
        re_xml_leaf(xml, "description", "%s", hw->description[0] ? hw->description : hw->card);
        comment(xml, hw);
        for (unsigned pic = 0; hw->state == BUS_FRU_STATE_ONLINE && pic < hw->n_pics; pic++) {
            re_xml_open(xml, "pic");
            re_xml_leaf(xml, "pic-slot", "%u", pic);
            re_xml_leaf(xml, "pic-state", "%s", hw->pics[pic].online ? "Online" : "Offline");
            re_xml_leaf(xml, "pic-type", "%s", chassis_pic_text(chassis, hw, pic));
            re_xml_close(xml);
        }
        re_xml_close(xml);
    }
    re_xml_close(xml);
}

static void module(struct re_xml *xml, const char *kind, unsigned number,
                   const struct bus_hw_slot_state *hw)
{
    re_xml_open(xml, "chassis-module");
    re_xml_leaf(xml, "name", "%s %u", kind, number);
    if (hw->part_number[0]) {
        re_xml_leaf(xml, "part-number", "%s", hw->part_number);
    }
    re_xml_leaf(xml, "serial-number", "%s", hw->serial_number);
    re_xml_leaf(xml, "description", "%s", hw->description);
    re_xml_leaf(xml, "model-number", "%s", hw->model_number);
}

void show_inventory(struct re_xml *xml, const struct chassis *chassis, const char *model)
{
    static const struct {
        const char *kind;
        unsigned first, n;
    } groups[] = {{"Routing Engine", CHASSIS_SLOT_RE, 2},
                  {"CB", CHASSIS_SLOT_CB, 4},
                  {"FPC", 0, CHASSIS_FPCS}};
    g_autofree char *description = g_ascii_strup(model, -1);

    re_xml_open(xml, "chassis-inventory");
    re_xml_open(xml, "chassis");
    re_xml_leaf(xml, "name", "Chassis");
    re_xml_leaf(xml, "description", "%s", description);
    for (unsigned g = 0; g < G_N_ELEMENTS(groups); g++) {
        for (unsigned i = 0; i < groups[g].n; i++) {
            const struct bus_hw_slot_state *hw = chassis->slots[groups[g].first + i];

            if (!hw || hw->card[0] == 0) {
                continue;
            }
            module(xml, groups[g].kind, i, hw);
            for (unsigned pic = 0; hw->state == BUS_FRU_STATE_ONLINE && pic < hw->n_pics; pic++) {
                re_xml_open(xml, "chassis-sub-module");
                re_xml_leaf(xml, "name", "PIC %u", pic);
                re_xml_leaf(xml, "part-number", "BUILTIN");
                re_xml_leaf(xml, "serial-number", "BUILTIN");
                re_xml_leaf(xml, "description", "%s", chassis_pic_text(chassis, hw, pic));
                re_xml_close(xml);
            }
            re_xml_close(xml);
        }
    }
    re_xml_close(xml);
    re_xml_close(xml);
}
