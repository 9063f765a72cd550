/* world - see world.h. */
#include "tests/unit/spc/world.h"

#include <unistd.h>

static struct fabric *endpoint(uint8_t index, unsigned lanes)
{
    struct fabric_config config = {.index = index,
                                   .endpoints = WORLD_ENDPOINTS,
                                   .lanes = (uint8_t)lanes,
                                   .small_buffers = 512 * lanes,
                                   .large_buffers = 16 * lanes};
    struct fabric *f = fabric_new(&config, NULL);

    g_assert(f);
    return f;
}

static void join(struct fabric *to, struct fabric *peer, uint8_t index, unsigned lanes)
{
    int bells[FABRIC_LANES_MAX];

    for (unsigned l = 0; l < lanes; l++) {
        bells[l] = dup(fabric_doorbell_fd(peer, l));
    }
    g_assert(fabric_attach(to, index, 1, dup(fabric_outbox_fd(peer)), fabric_outbox_bytes(peer),
                            bells, lanes, NULL));
}

static void settle(struct fabric *f, unsigned lanes)
{
    for (unsigned l = 0; l < lanes; l++) {
        fabric_lane_release(fabric_lane(f, l));
    }
    while (g_main_context_iteration(NULL, FALSE)) {
    }
}

struct world *world_new(unsigned lanes, uint8_t spus, uint8_t threads)
{
    struct world *w = g_new0(struct world, 1);

    w->n_lanes = lanes;
    w->spus = spus;
    w->threads = threads;
    w->spc = endpoint(WORLD_SPC, lanes);
    w->ioc = endpoint(WORLD_IOC, 1);
    w->re = endpoint(WORLD_RE, 1);
    join(w->spc, w->ioc, WORLD_IOC, 1);
    join(w->spc, w->re, WORLD_RE, 1);
    join(w->ioc, w->spc, WORLD_SPC, lanes);
    join(w->re, w->spc, WORLD_SPC, lanes);
    for (unsigned i = 0; i < 2; i++) {
        settle(w->spc, lanes);
        settle(w->ioc, 1);
        settle(w->re, 1);
    }
    w->lanes = g_new0(struct flow_lane, lanes);
    w->all = flow_threads_new(w->spc, WORLD_SPC, spus, threads, (uint8_t)lanes, w->lanes);
    w->store = flow_store_new(WORLD_SPC, WORLD_RE);
    world_tables(w);
    return w;
}

void world_free(struct world *w)
{
    flow_threads_free(w->all, w->lanes, (uint8_t)w->n_lanes);
    g_free(w->lanes);
    flow_tables_free(w->tables);
    flow_store_free(w->store);
    fabric_free(w->spc);
    fabric_free(w->ioc);
    fabric_free(w->re);
    g_free(w);
}

void world_apply(struct world *w, uint16_t type, const void *msg)
{
    g_assert(flow_store_apply(w->store, type, msg));
}

void world_tables(struct world *w)
{
    struct flow_tables *old = w->tables;

    w->tables = flow_store_build(w->store);
    for (unsigned l = 0; l < w->n_lanes; l++) {
        flow_lane_tables(&w->lanes[l], w->tables);
    }
    flow_tables_free(old);
}

void world_neighbour(struct world *w, uint16_t ifl, const char *address, bool gone)
{
    struct bus_neighbour_state m = {.ifl = ifl, .address = addr(address), .gone = gone};

    memcpy(m.mac, "\x02\xaa\xaa\xaa\xaa", 5);
    m.mac[5] = (uint8_t)ifl;
    world_apply(w, BUS_NEIGHBOUR_STATE, &m);
}

void world_route(struct world *w, const char *prefix, const char *next_hop, uint16_t ifl)
{
    struct bus_route_state m = {.ifl = ifl};

    g_assert(fw_prefix_parse(prefix, &m.prefix));
    if (next_hop) {
        m.next_hop = addr(next_hop);
    }
    world_apply(w, BUS_ROUTE_STATE, &m);
}

void world_permit(struct world *w, uint16_t from, uint16_t to)
{
    struct bus_policy_state *m = g_new0(struct bus_policy_state, 1);

    m->from_zone = from;
    m->to_zone = to;
    m->n_rules = 1;
    g_strlcpy(m->rules[0].name, "allow", sizeof m->rules[0].name);
    m->rules[0].id = 4;
    m->rules[0].action = BUS_POLICY_ACTION_PERMIT;
    world_apply(w, BUS_POLICY_STATE, m);
    g_free(m);
}

static void interface(struct world *w, uint16_t ifl, uint8_t kind, uint8_t port, uint16_t zone,
                      const char *address)
{
    struct bus_ifl_state *m = g_new0(struct bus_ifl_state, 1);

    m->ifl = ifl;
    m->kind = kind;
    m->slot = WORLD_IOC;
    m->port = port;
    m->mtu = kind == BUS_IFL_KIND_TUNNEL ? 9192 : 1500;
    m->up = true;
    m->zone = zone;
    m->host_inbound = 1u << BUS_HOST_SERVICE_PING;
    memcpy(m->mac, "\x02\x5c\x01\x02\x00", 5);
    m->mac[5] = port;
    if (address) {
        m->n_addresses = 1;
        g_assert(fw_prefix_parse(address, &m->addresses[0].prefix));
    }
    world_apply(w, BUS_IFL_STATE, m);
    g_free(m);
}

void world_zone(struct world *w, uint16_t ifl, uint16_t zone)
{
    interface(w, ifl, BUS_IFL_KIND_ETHER, ifl == WORLD_IFL_A ? 0 : 1, zone,
              ifl == WORLD_IFL_A ? "10.0.1.1/24" : "10.0.2.1/24");
}

void world_configure(struct world *w)
{
    struct bus_fpc_state spc = {.slot = WORLD_SPC,
                                .kind = BUS_BOARD_KIND_SPC,
                                .online = true,
                                .generation = 1,
                                .spus = w->spus,
                                .threads = w->threads,
                                .central_point = true};
    struct bus_fpc_state ioc = {
        .slot = WORLD_IOC, .kind = BUS_BOARD_KIND_IOC, .online = true, .generation = 1};
    struct bus_anchor_state anchor = {
        .anchor = WORLD_ANCHOR, .slot = WORLD_SPC, .spu = 0, .thread = 1, .generation = 1};
    struct bus_tunnel_interface_state tunnel = {.tunnel = WORLD_TUNNEL,
                                                .ifl = WORLD_IFL_ST0,
                                                .anchor = WORLD_ANCHOR,
                                                .up = true};

    world_apply(w, BUS_FPC_STATE, &spc);
    world_apply(w, BUS_FPC_STATE, &ioc);
    world_apply(w, BUS_ANCHOR_STATE, &anchor);
    world_apply(w, BUS_TUNNEL_INTERFACE_STATE, &tunnel);
    interface(w, WORLD_IFL_A, BUS_IFL_KIND_ETHER, 0, 1, "10.0.1.1/24");
    interface(w, WORLD_IFL_B, BUS_IFL_KIND_ETHER, 1, 2, "10.0.2.1/24");
    interface(w, WORLD_IFL_ST0, BUS_IFL_KIND_TUNNEL, 0, 3, "10.9.0.1/30");
    world_route(w, "10.0.1.0/24", NULL, WORLD_IFL_A);
    world_route(w, "10.0.2.0/24", NULL, WORLD_IFL_B);
    world_route(w, "10.8.0.0/16", NULL, WORLD_IFL_ST0);
    world_route(w, "10.9.0.0/30", NULL, WORLD_IFL_ST0);
    world_route(w, "192.0.2.0/24", "10.0.2.2", WORLD_IFL_B);
    world_neighbour(w, WORLD_IFL_A, "10.0.1.2", false);
    world_neighbour(w, WORLD_IFL_B, "10.0.2.2", false);
    world_permit(w, 1, 2);
    world_permit(w, 1, 3);
    world_permit(w, 3, 1);
    world_tables(w);
}

void world_run(struct world *w)
{
    bool moved = true;

    while (moved) {
        moved = false;
        for (unsigned l = 0; l < w->n_lanes; l++) {
            struct fabric_packet burst[FABRIC_BURST];
            unsigned n = fabric_lane_receive(w->lanes[l].fabric, burst, FABRIC_BURST);

            if (n > 0) {
                flow_lane_burst(&w->lanes[l], burst, n);
                moved = true;
            }
            fabric_lane_release(w->lanes[l].fabric);
        }
    }
}

void world_inject(struct world *w, struct fabric *from, const struct fabric_cell *cell,
                  const uint8_t *data, uint32_t bytes)
{
    struct fabric_lane *lane = fabric_lane(from, 0);
    struct fabric_packet p;

    g_assert(fabric_lane_alloc(lane, bytes, &p));
    p.cell = *cell;
    p.cell.destination = WORLD_SPC;
    p.cell.length = bytes;
    memcpy(p.room, data, bytes);
    g_assert(fabric_lane_send(lane, &p, 1) == 1);
    world_run(w);
}

const struct seen *world_take(struct world *w, struct fabric *at, uint8_t type)
{
    static struct seen seen;
    struct fabric_lane *lane = fabric_lane(at, 0);
    struct fabric_packet p;

    (void)w;
    while (fabric_lane_receive(lane, &p, 1) == 1) {
        bool match = p.cell.type == type;

        if (match) {
            seen.cell = p.cell;
            memcpy(seen.data, p.data, p.cell.length);
        }
        fabric_lane_release(lane);
        if (match) {
            return &seen;
        }
    }
    return NULL;
}

uint64_t world_counter(const struct world *w, enum flow_counter which)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < (unsigned)w->spus * w->threads; i++) {
        sum += w->all[i].counters[which];
    }
    return sum;
}

void world_sa(struct world *w, struct ipsec_sa *sa)
{
    struct flow_thread *t = &w->all[sa->spu * w->threads + sa->thread];
    struct ipsec_sa *old;

    g_assert(ipsec_insert(t, sa, &old));
    flow_lane_flush(t->lane);
    ipsec_sa_free(old);
    world_run(w);
}
