/*
 * flow_packet - fuzz target: hostile cells and packets at a services card.
 *
 * Input: 20 bytes of cell header fields, then the payload. Whatever comes, what
 * leaves the card must be well-formed cells for endpoints that exist, and no
 * buffer may be lost on the way.
 */
#include <stdlib.h>
#include <string.h>

#include "firmware/core/cursor.h"
#include "tests/unit/spc/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SMALL  512u /* buffers of a card's lane in world.c */
#define ROUNDS 512u /* inputs between two counts of the buffers */

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void check(const struct fabric_packet *p, bool at_host)
{
    const struct fabric_cell *c = &p->cell;

    switch (c->type) {
    case FABRIC_CELL_PORT_OUT:
        must(!at_host && c->flags & FABRIC_FLAG_L2 && c->length >= 14 + 20);
        must(p->data[12] == (p->data[14] >> 4 == 6 ? 0x86 : 0x08));
        must(c->port <= 1);
        break;
    case FABRIC_CELL_HOST_IN:
        must(at_host && !(c->flags & FABRIC_FLAG_L2) && c->length >= 20);
        break;
    case FABRIC_CELL_NP_INSTALL:
    case FABRIC_CELL_NP_REMOVE:
        must(!at_host && c->length == sizeof(struct np_session));
        break;
    default:
        must(false);
    }
}

static void collect(struct fabric *f, bool at_host)
{
    struct fabric_packet p[FABRIC_BURST];
    unsigned n;

    while ((n = fabric_lane_receive(fabric_lane(f, 0), p, FABRIC_BURST)) > 0) {
        for (unsigned i = 0; i < n; i++) {
            check(&p[i], at_host);
        }
        fabric_lane_release(fabric_lane(f, 0));
    }
}

/* Nobody waits any more: every buffer must be there. */
static void count_buffers(struct world *w)
{
    struct fabric_packet all[SMALL + 1];
    unsigned n = 0;

    w->lanes[0].now_ns += 2 * FLOW_HOLD_NS;
    flow_holds_retry(&w->lanes[0]);
    flow_lane_flush(&w->lanes[0]);
    world_run(w);
    collect(w->ioc, false);
    collect(w->re, true);
    while (n <= SMALL && fabric_lane_alloc(w->lanes[0].fabric, 100, &all[n])) {
        n++;
    }
    must(n == SMALL);
    while (n > 0) {
        fabric_lane_free(w->lanes[0].fabric, &all[--n]);
    }
}

static struct world *make(void)
{
    struct world *w = world_new(1, 1, 2);
    struct bus_sa_install m = {.tunnel = WORLD_TUNNEL,
                               .ifl = WORLD_IFL_ST0,
                               .direction = BUS_DIRECTION_OUTBOUND,
                               .spi = 0x500001,
                               .thread = 1,
                               .encryption = FW_ENC_AES_GCM_128,
                               .fresh = true};

    world_configure(w);
    m.key.len = 20;
    m.local = addr("203.0.113.1");
    m.remote = addr("192.0.2.7");
    world_sa(w, ipsec_sa_new(&m, NULL, NULL));
    return w;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world *w;
    static unsigned rounds;
    static const uint16_t ifls[] = {WORLD_IFL_A, WORLD_IFL_B, WORLD_IFL_ST0, 0};
    struct fw_cursor c = fw_cursor(data, size);
    struct fabric_cell cell = {0};
    struct flow_event event;

    w = w ? w : make();
    cell.type = (uint8_t)(FABRIC_CELL_PACKET + fw_cursor_u8(&c) % FABRIC_CELL_CP_NOTE);
    cell.flags = fw_cursor_u8(&c) & 0x1f;
    cell.gso = fw_cursor_u8(&c) & 3;
    cell.thread = fw_cursor_u8(&c) & 3;
    cell.ifl = ifls[fw_cursor_u8(&c) & 3];
    cell.out_ifl = ifls[fw_cursor_u8(&c) & 3];
    cell.gso_size = fw_cursor_u16(&c);
    cell.csum_start = fw_cursor_u16(&c);
    cell.csum_offset = fw_cursor_u16(&c);
    cell.headers = fw_cursor_u16(&c);
    cell.hash = fw_cursor_u32(&c);
    cell.tunnel = WORLD_TUNNEL + fw_cursor_u8(&c) % 2;
    fw_cursor_u8(&c);
    if (c.failed || fw_cursor_left(&c) > 60000) {
        return 0;
    }
    world_inject(w, (data[19] & 1) ? w->re : w->ioc, &cell, c.at, (uint32_t)fw_cursor_left(&c));
    while (flow_lane_event_take(&w->lanes[0], &event)) {
    }
    collect(w->ioc, false);
    collect(w->re, true);
    if (++rounds % ROUNDS == 0) {
        count_buffers(w);
    }
    return 0;
}
