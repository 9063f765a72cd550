/*
 * esp_in - fuzz target: hostile ESP packets at an anchor thread.
 *
 * Input: one byte that says what the rest is, then a whole outer packet as it
 * comes from the wire, or plain text that this target seals under the SA's keys,
 * as a peer gone mad would. Whatever comes, inner packets that get through must
 * be sound, and no buffer may be lost.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/spc/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SPI    0x500001u
#define SMALL  512u
#define ROUNDS 512u

static struct ipsec_key *peer;
static const struct ipsec_engine *engine;

static void must(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void collect(struct world *w)
{
    struct fabric_packet p;

    while (fabric_lane_receive(fabric_lane(w->ioc, 0), &p, 1) == 1) {
        if (p.cell.type == FABRIC_CELL_PORT_OUT) {
            const uint8_t *ip = p.data + 14;

            must(p.cell.length >= 14 + 20);
            must(ip[0] >> 4 != 4 || 14u + (ip[2] << 8 | ip[3]) == p.cell.length);
        }
        fabric_lane_release(fabric_lane(w->ioc, 0));
    }
    while (fabric_lane_receive(fabric_lane(w->re, 0), &p, 1) == 1) {
        must(p.cell.type == FABRIC_CELL_HOST_IN);
        fabric_lane_release(fabric_lane(w->re, 0));
    }
}

static void count_buffers(struct world *w)
{
    struct fabric_packet all[SMALL + 1];
    unsigned n = 0;

    w->lanes[0].now_ns += 2 * FLOW_HOLD_NS;
    flow_holds_retry(&w->lanes[0]);
    flow_lane_flush(&w->lanes[0]);
    world_run(w);
    collect(w);
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
                               .direction = BUS_DIRECTION_INBOUND,
                               .spi = SPI,
                               .thread = 1,
                               .encryption = FW_ENC_AES_GCM_128,
                               .replay_window = 512};

    world_configure(w);
    m.key.len = 20;
    m.local = addr("203.0.113.1");
    m.remote = addr("192.0.2.7");
    world_sa(w, ipsec_sa_new(&m, NULL, NULL));
    engine = ipsec_engine_find(FW_ENC_AES_GCM_128, FW_INTEG_NONE, "openssl");
    peer = engine->key_new(FW_ENC_AES_GCM_128, FW_INTEG_NONE, m.key.data, NULL, true);
    return w;
}

static uint32_t seal(const uint8_t *text, uint32_t bytes, uint32_t number, uint8_t *ret)
{
    uint8_t *esp = ret + 20;
    struct ipsec_job job = {.in = text,
                            .out = esp + 16,
                            .bytes = bytes,
                            .header = esp,
                            .sequence = number,
                            .iv = esp + 8,
                            .ret_tag = esp + 16 + bytes};

    packet_make(ret, "192.0.2.7", "203.0.113.1", FLOW_PROTO_ESP, 0, 0, 20 + 16 + bytes + 16);
    for (unsigned i = 0; i < 4; i++) {
        esp[i] = (uint8_t)(SPI >> (24 - 8 * i));
        esp[4 + i] = (uint8_t)(number >> (24 - 8 * i));
    }
    must(engine->seal(peer, &job));
    return 20 + 16 + bytes + 16;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct world *w;
    static uint32_t number;
    static uint8_t packet[FABRIC_LARGE_BYTES];
    struct fabric_cell cell = {.type = FABRIC_CELL_DECRYPT, .ifl = WORLD_IFL_B, .thread = 1};
    uint32_t bytes = (uint32_t)size - 1;

    w = w ? w : make();
    if (size < 2 || size > 4096) {
        return 0;
    }
    if (data[0] & 1) {
        bytes = seal(data + 1, bytes, ++number, packet);
        packet[1] = data[0] >> 1 & 3; /* ECN of the outer header */
    } else {
        memcpy(packet, data + 1, bytes);
    }
    world_inject(w, w->ioc, &cell, packet, bytes);
    collect(w);
    if (number % ROUNDS == ROUNDS - 1) {
        count_buffers(w);
    }
    return 0;
}
