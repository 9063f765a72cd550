/*
 * chassis - the cards as the Routing Engine sees them, and where the central point is.
 *
 * Takes hw-slot-state, gives fpc-state. The central point lives on the lowest
 * services card in service; it does not move when a lower one comes, only when
 * its card leaves. Pure; any single thread. Follows: srx5000 reference, A.3, A.4.
 */
#ifndef RE_CHASSIS_H
#define RE_CHASSIS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "messages.h" /* generated */

#define CHASSIS_FPCS    24 /* FPC numbers of a cluster node stay below */
#define CHASSIS_NO_SLOT 0xff
#define CHASSIS_SLOT_RE 0xf0u /* + n */
#define CHASSIS_SLOT_CB 0xe0u /* + n */

struct chassis_load {
    double cpu[3]; /* decayed over 1, 5 and 15 minutes */
    int64_t at_ns;
    bool known;
};

struct chassis {
    struct bus_hw_slot_state *slots[256]; /* NULL: never heard of */
    struct chassis_load loads[256];
    struct bus_fpc_state published[CHASSIS_FPCS];
    bool is_published[CHASSIS_FPCS];
    uint8_t central_point; /* FPC slot or CHASSIS_NO_SLOT */
    void (*publish)(const struct bus_fpc_state *state, void *data);
    void *data;
};

/* publish is called from chassis_update. */
void chassis_init(struct chassis *chassis,
                  void (*publish)(const struct bus_fpc_state *state, void *data), void *data);
void chassis_clear(struct chassis *chassis);
/* What an earlier run published; before the first chassis_update. */
void chassis_restore(struct chassis *chassis, const struct bus_fpc_state *state);
/* An event of hwd; now_ns for the load averages. False: older than what is known. */
bool chassis_slot(struct chassis *chassis, const struct bus_hw_slot_state *state, int64_t now_ns);
/* Chooses the central point and publishes what changed. */
void chassis_update(struct chassis *chassis);

/* "Online", "Empty" ... as `show chassis fpc` prints them. */
const char *chassis_state_text(enum bus_fru_state state);
/* Type text of a PIC: that of the catalogue, but for SPUs, which say what they carry. */
const char *chassis_pic_text(const struct chassis *chassis, const struct bus_hw_slot_state *slot,
                             unsigned pic);

#endif
