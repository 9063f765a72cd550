/* Any bytes as a monitor line: parsed or refused, arguments read by every command's table. */
#include <stdint.h>

#include "hw/monitor/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct monitor_request request = {0};

    if (!monitor_line_parse((const char *)data, size, &request, NULL)) {
        return 0;
    }
    for (const struct bus_command *c = bus_commands; c->name; c++) {
        g_autofree void *in = g_malloc0(c->in->size);

        monitor_arguments_read(c->in, request.arguments, in, NULL);
    }
    monitor_request_clear(&request);
    return 0;
}
