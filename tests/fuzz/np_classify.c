/*
 * np_classify - fuzz target: hostile frames at a port of an I/O card.
 *
 * Input: 12 bytes of offload header, then the frame. Whatever comes, the answer
 * must be a drop reason or a cell whose payload lies within the frame.
 */
#include <stdlib.h>
#include <string.h>

#include "hw/ioc/ioc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ioc_table table;
    static struct ioc_table_anchor anchors[4];
    static struct fw_addr own[2];
    static struct np_cache *cache;
    struct np_offload offload;
    struct np_result r;
    uint8_t *frame;
    uint32_t bytes;

    if (!cache) {
        cache = np_cache_new(64);
        own[0] = fw_addr_v4(0xc0000201);
        fw_addr_parse("2001:db8::1", &own[1]);
        table = (struct ioc_table){.host = 12, .has_central_point = true, .central_point = 4};
        table.n_ports = 1;
        table.ports[0].ifl = 70;
        table.ports[0].ifl_up = table.ports[0].link_up = true;
        memcpy(table.ports[0].mac, "\x02\x5c\x01\x01\x00\x00", 6);
        table.own = own;
        table.n_own = 2;
        anchors[3].set = true;
        anchors[3].endpoint = 5;
        table.anchors = anchors;
        table.n_anchors = 4;
        table.boards[5].online = true;
    }
    if (size < IOC_VNET_BYTES || size > IOC_VNET_BYTES + IOC_FRAME_MAX) {
        return 0;
    }
    bytes = (uint32_t)(size - IOC_VNET_BYTES);
    if (!np_offload_parse(data, bytes, &offload)) {
        memset(&offload, 0, sizeof(offload));
    }
    frame = malloc(bytes + 1u); /* exactly as long: a sanitizer sees one byte too many */
    memcpy(frame, data + IOC_VNET_BYTES, bytes);
    must((unsigned)IOC_COUNTERS_N > 0);
    if (np_classify(&table, cache, 0, bytes ? frame : NULL, bytes, &offload, &r)) {
        must(r.cell.type >= FABRIC_CELL_PACKET && r.cell.type <= FABRIC_CELL_CP_NOTE);
        must(r.cell.destination < FABRIC_ENDPOINTS_MAX);
        must(r.skip <= bytes && r.cell.length <= bytes - r.skip);
        if (r.cell.flags & FABRIC_FLAG_CSUM) {
            must((uint32_t)r.cell.csum_start + r.cell.csum_offset + 2 <= r.cell.length);
        }
    } else {
        must(r.counter < IOC_COUNTERS_N);
    }
    free(frame);
    return 0;
}
