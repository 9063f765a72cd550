/*
 * reason - why a field-replaceable unit is out of service.
 *
 * Numbers are those of the chassis MIB (jnxFruOfflineReason); texts are the
 * emulator's wording of their meaning, as shown between three dashes.
 * Constant data; any thread.
 */
#ifndef HW_MODEL_REASON_H
#define HW_MODEL_REASON_H

#include <stdint.h>

enum hw_reason {
    HW_REASON_NONE = 2,
    HW_REASON_ERROR = 3,
    HW_REASON_NO_POWER = 4,
    HW_REASON_CONFIGURED_POWER_OFF = 5,
    HW_REASON_CLI = 7,
    HW_REASON_BUTTON = 8,
    HW_REASON_CLI_RESTART = 9,
    HW_REASON_OVER_TEMPERATURE = 10,
    HW_REASON_REMOVAL = 14,
    HW_REASON_UNRESPONSIVE = 15,
    HW_REASON_MAJOR_ERRORS = 18,
    HW_REASON_POWER_CYCLE = 22,
    HW_REASON_CONFIGURED_OFFLINE = 34,
    HW_REASON_SPU_RESET = 36,
    HW_REASON_SPU_FLOWD_DOWN = 37,
    HW_REASON_SPU_WATCHDOG = 39,
    HW_REASON_DID_NOT_BOOT = 44,
    HW_REASON_FABRIC_DOWN = 67,
    HW_REASON_UNSUPPORTED = 70,
    HW_REASON_RESET_THRESHOLD = 72,
    HW_REASON_UNSUPPORTED_SLOT = 80,
    HW_REASON_INCOMPATIBLE_FPCS = 86,
    HW_REASON_INCOMPATIBLE_SCB = 90
};

/* The text of a reason; "" for none, "reason N unknown" text for a number not in the table. */
const char *hw_reason_text(uint16_t reason);

#endif
