/*
 * traffic_frame - fuzz target: frames as a traffic host receives them; what is an echo request is
 * answered, too.
 */
#include <stddef.h>
#include <stdint.h>

#include "hw/lab/traffic_packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t buffer[TRAFFIC_FRAME_MAX];
    static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};
    struct fw_emit e = fw_emit(buffer, sizeof(buffer));
    struct traffic_frame frame;

    traffic_frame_parse(data, size, &frame);
    if (frame.kind == TRAFFIC_ECHO_REQUEST) {
        traffic_echo_emit(&e, mac, &frame);
    }
    return 0;
}
