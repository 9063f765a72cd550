/* reason - see reason.h. */
#include "hw/model/reason.h"

#include <stddef.h>

static const struct {
    uint16_t number;
    const char *text;
} reasons[] = {
    {0, ""},
    {HW_REASON_NONE, ""},
    {HW_REASON_ERROR, "Error"},
    {HW_REASON_NO_POWER, "No power"},
    {HW_REASON_CONFIGURED_POWER_OFF, "Configured power off"},
    {HW_REASON_CLI, "Offlined by cli command"},
    {HW_REASON_BUTTON, "Offlined by button press"},
    {HW_REASON_CLI_RESTART, "Restarted by cli command"},
    {HW_REASON_OVER_TEMPERATURE, "Over temperature"},
    {HW_REASON_REMOVAL, "Removed"},
    {HW_REASON_UNRESPONSIVE, "Unresponsive"},
    {HW_REASON_MAJOR_ERRORS, "Major errors"},
    {HW_REASON_POWER_CYCLE, "Power cycle"},
    {HW_REASON_CONFIGURED_OFFLINE, "Configured offline"},
    {HW_REASON_SPU_RESET, "SPU reset request"},
    {HW_REASON_SPU_FLOWD_DOWN, "SPU flowd down"},
    {HW_REASON_SPU_WATCHDOG, "SPU watchdog timeout"},
    {40, "SPU kernel core dump"},
    {HW_REASON_DID_NOT_BOOT, "CPU did not boot"},
    {45, "SPU core dump complete"},
    {46, "Hard reset after SPU failure"},
    {47, "Soft reset after SPU failure"},
    {49, "Reconnect failed"},
    {52, "flowd down, no core"},
    {53, "flowd down, incomplete core"},
    {54, "flowd down, complete core"},
    {58, "SPU core dump incomplete"},
    {65, "Chassis cluster disabled"},
    {HW_REASON_FABRIC_DOWN, "Fabric down"},
    {HW_REASON_UNSUPPORTED, "Unsupported FPC"},
    {HW_REASON_RESET_THRESHOLD, "Reset threshold exceeded"},
    {HW_REASON_UNSUPPORTED_SLOT, "FPC unsupported in this slot"},
    {HW_REASON_INCOMPATIBLE_FPCS, "FPC incompatible with other FPCs"},
    {HW_REASON_INCOMPATIBLE_SCB, "FPC incompatible with SCB"},
};

const char *hw_reason_text(uint16_t reason)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].number == reason) {
            return reasons[i].text;
        }
    }
    return "Unknown reason";
}
