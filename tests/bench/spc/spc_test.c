/*
 * spc_test - the services card's program as a whole: boot, tables, forwarding, SAs by bus, ESP in
 * both directions against keys of the test, shows, refusals, the end.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <sys/wait.h>

#include "firmware/core/clock.h"
#include "firmware/crypto/alg.h"
#include "spc/ipsec/engine.h"
#include "tests/bench/spc/bench.h"
#include "tests/unit/spc/packet.h"

#define IFL_A   70
#define IFL_B   71
#define IFL_ST0 90
#define TUNNEL  500001u
#define ANCHOR  7

static struct bench *b;
static uint8_t buffer[FABRIC_LARGE_BYTES], got[FABRIC_LARGE_BYTES];
static struct fabric_cell cell;

static void interface(uint16_t ifl, uint8_t kind, uint8_t port, uint16_t zone,
                      const char *address)
{
    struct bus_ifl_state *m = g_new0(struct bus_ifl_state, 1);

    m->ifl = ifl;
    m->kind = kind;
    m->slot = BENCH_IOC;
    m->port = port;
    m->mtu = 1500;
    m->up = true;
    m->zone = zone;
    m->host_inbound = 1u << BUS_HOST_SERVICE_PING;
    m->mac[5] = port;
    m->n_addresses = 1;
    cr_assert(fw_prefix_parse(address, &m->addresses[0].prefix));
    bench_event(b, BUS_IFL_STATE, m);
    g_free(m);
}

static void route(const char *prefix, const char *next_hop, uint16_t ifl)
{
    struct bus_route_state m = {.ifl = ifl};

    cr_assert(fw_prefix_parse(prefix, &m.prefix));
    if (next_hop) {
        m.next_hop = addr(next_hop);
    }
    bench_event(b, BUS_ROUTE_STATE, &m);
}

static void neighbour(uint16_t ifl, const char *address)
{
    struct bus_neighbour_state m = {
        .ifl = ifl, .address = addr(address), .mac = {2, 9, 9, 9, 9, 9}};

    bench_event(b, BUS_NEIGHBOUR_STATE, &m);
}

static void permit(uint16_t from, uint16_t to)
{
    struct bus_policy_state *m = g_new0(struct bus_policy_state, 1);

    m->from_zone = from;
    m->to_zone = to;
    m->n_rules = 1;
    g_strlcpy(m->rules[0].name, "allow-all", sizeof m->rules[0].name);
    m->rules[0].id = 5;
    bench_event(b, BUS_POLICY_STATE, m);
    g_free(m);
}

static void setup(void)
{
    struct bus_fpc_state spc = {.slot = BENCH_SPC,
                                .kind = BUS_BOARD_KIND_SPC,
                                .online = true,
                                .generation = 1,
                                .spus = 2,
                                .threads = 28,
                                .central_point = true};
    struct bus_fpc_state ioc = {
        .slot = BENCH_IOC, .kind = BUS_BOARD_KIND_IOC, .online = true, .generation = 1};
    struct bus_anchor_state anchor = {
        .anchor = ANCHOR, .slot = BENCH_SPC, .spu = 1, .thread = 5, .generation = 1};
    struct bus_tunnel_interface_state tunnel = {
        .tunnel = TUNNEL, .ifl = IFL_ST0, .anchor = ANCHOR, .up = true};

    b = bench_new();
    bench_counter(b, "forwarded-packets"); /* the answer comes behind its subscriptions */
    bench_event(b, BUS_FPC_STATE, &spc);
    bench_event(b, BUS_FPC_STATE, &ioc);
    bench_event(b, BUS_ANCHOR_STATE, &anchor);
    bench_event(b, BUS_TUNNEL_INTERFACE_STATE, &tunnel);
    interface(IFL_B, BUS_IFL_KIND_ETHER, 1, 2, "10.0.2.1/24");
    interface(IFL_ST0, BUS_IFL_KIND_TUNNEL, 0, 3, "10.9.0.1/30");
    route("10.0.1.0/24", NULL, IFL_A);
    route("10.0.2.0/24", NULL, IFL_B);
    route("192.0.2.0/24", "10.0.2.2", IFL_B);
    route("10.8.0.0/16", NULL, IFL_ST0);
    neighbour(IFL_A, "10.0.1.2");
    neighbour(IFL_B, "10.0.2.2");
    permit(1, 2);
    permit(1, 3);
    permit(3, 1);
    interface(IFL_A, BUS_IFL_KIND_ETHER, 0, 1, "10.0.1.1/24"); /* last: see wait_for_tables */
}

/* Whatever a test did, the card ends in good order when its supervisor goes. */
static void teardown(void)
{
    if (bench_end(b) != 0) {
        abort();
    }
}

TestSuite(bench, .init = setup, .fini = teardown);

static void first(uint32_t bytes)
{
    struct fabric_cell c = {.type = FABRIC_CELL_FIRST, .ifl = IFL_A};

    bench_inject(b, b->ioc, &c, buffer, bytes);
}

/* Packets to an own address until the card knows interface A: then all tables are there, since
 * events come in order. */
static void wait_for_tables(void)
{
    for (unsigned i = 0; i < 500; i++) {
        first(packet_make(buffer, "10.0.1.2", "10.0.1.1", FLOW_PROTO_ICMP, 0x0800, 1, 64));
        if (bench_counter(b, "host-inbound-packets") > 0) {
            return;
        }
        bench_turn(b);
    }
    cr_assert(false, "the tables never came");
}

Test(bench, forwards_and_shows_the_session)
{
    struct bus_session_query query = {0};
    const struct bus_session_list *list;
    bool found = false;

    wait_for_tables();
    first(packet_make(buffer, "10.0.1.2", "10.0.2.2", FLOW_PROTO_UDP, 1000, 2000, 100));
    cr_assert_eq(bench_take(b, b->ioc, FABRIC_CELL_PORT_OUT, &cell, got), 114);
    cr_assert(packet_sound(got + 14, 100));
    cr_assert_eq(cell.port, 1);
    cr_assert_eq(bench_call(b, BUS_SESSION_QUERY, &query), BUS_SESSION_LIST);
    list = b->reply;
    for (unsigned i = 0; i < list->n_sessions; i++) {
        const struct bus_session_info *s = &list->sessions[i];

        if (s->source_port == 1000) {
            found = true;
            cr_assert_eq(s->in_packets, 1);
            cr_assert_eq(s->in_bytes, 100);
            cr_assert_eq(s->out_ifl, IFL_B);
            cr_assert_str_eq(s->policy, "allow-all/5");
        }
    }
    cr_assert(found);
}

Test(bench, many_sessions_come_in_pages)
{
    unsigned total = 0;
    struct bus_session_query query = {0};
    const struct bus_session_list *list;

    wait_for_tables();
    for (unsigned i = 0; i < 450; i++) {
        first(packet_make(buffer, "10.0.1.2", "10.0.2.2", FLOW_PROTO_UDP, (uint16_t)(1000 + i),
                          2000, 100));
        cr_assert_eq(bench_take(b, b->ioc, FABRIC_CELL_PORT_OUT, &cell, got), 114);
    }
    do {
        cr_assert_eq(bench_call(b, BUS_SESSION_QUERY, &query), BUS_SESSION_LIST);
        list = b->reply;
        cr_assert(list->n_sessions > 0 || !list->more);
        total += list->n_sessions;
        query.skip += list->n_sessions;
    } while (list->more);
    cr_assert_eq(total, 450);
}

Test(bench, asks_for_the_neighbour)
{
    wait_for_tables();
    first(packet_make(buffer, "10.0.1.2", "10.0.2.77", FLOW_PROTO_UDP, 1000, 2000, 100));
    bench_until(b, b->neighbour_requests > 0);
    cr_assert_eq(b->neighbour.ifl, IFL_B);
    cr_assert_eq(fw_addr_to_v4(&b->neighbour.address), 0x0a00024du);
    neighbour(IFL_B, "10.0.2.77");
    cr_assert_eq(bench_take(b, b->ioc, FABRIC_CELL_PORT_OUT, &cell, got), 114);
}

static struct bus_sa_install sa(enum bus_direction direction, uint32_t spi)
{
    struct bus_sa_install m = {.tunnel = TUNNEL,
                               .ifl = IFL_ST0,
                               .direction = (uint8_t)direction,
                               .spi = spi,
                               .anchor = ANCHOR,
                               .spu = 1,
                               .thread = 5,
                               .encryption = FW_ENC_AES_GCM_256,
                               .local = addr("10.0.2.1"),
                               .remote = addr("192.0.2.7"),
                               .replay_window = 1024,
                               .fresh = true};

    m.key.len = 36;
    memset(m.key.data, 0x5a, 36);
    return m;
}

static uint32_t reserve(void)
{
    struct bus_spi_reserve m = {.tunnel = TUNNEL, .anchor = ANCHOR, .spu = 1, .thread = 5};

    cr_assert_eq(bench_call(b, BUS_SPI_RESERVE, &m), BUS_SPI_RESERVED, "%s", b->error);
    return ((const struct bus_spi_reserved *)b->reply)->spi;
}

/* An ESP packet of the peer around a clear one. */
static uint32_t peer_seal(uint32_t spi, uint64_t number, uint32_t inner_bytes, uint8_t *ret)
{
    const struct ipsec_engine *e = ipsec_engine_find(FW_ENC_AES_GCM_256, FW_INTEG_NONE, "openssl");
    uint32_t pad = (4 - (inner_bytes + 2) % 4) % 4, text = inner_bytes + pad + 2;
    uint32_t total = 20 + 16 + text + 16;
    uint8_t key[36], plain[2048];
    uint8_t *esp = ret + 20;
    struct ipsec_job job = {.in = plain,
                            .out = esp + 16,
                            .bytes = text,
                            .header = esp,
                            .sequence = number,
                            .iv = esp + 8,
                            .ret_tag = esp + 16 + text};
    struct ipsec_key *k;

    memset(key, 0x5a, sizeof key);
    memcpy(&job.salt, key + 32, 4);
    packet_make(plain, "10.8.0.5", "10.0.1.2", FLOW_PROTO_UDP, 9, 10, inner_bytes);
    for (uint32_t i = 0; i < pad; i++) {
        plain[inner_bytes + i] = (uint8_t)(i + 1);
    }
    plain[text - 2] = (uint8_t)pad;
    plain[text - 1] = FLOW_PROTO_IPIP;
    packet_make(ret, "192.0.2.7", "10.0.2.1", FLOW_PROTO_ESP, 0, 0, total);
    for (unsigned i = 0; i < 4; i++) {
        esp[i] = (uint8_t)(spi >> (24 - 8 * i));
        esp[4 + i] = (uint8_t)(number >> (24 - 8 * i));
    }
    k = e->key_new(FW_ENC_AES_GCM_256, FW_INTEG_NONE, key, NULL, true);
    cr_assert(e->seal(k, &job));
    e->key_free(k);
    return total;
}

Test(bench, esp_both_ways)
{
    struct fabric_cell in = {.type = FABRIC_CELL_DECRYPT, .ifl = IFL_B, .spu = 1, .thread = 5};
    struct bus_sa_install m;
    struct bus_sa_query query = {.tunnel = TUNNEL};
    const struct bus_sa_list *list;
    uint32_t spi, n;

    wait_for_tables();
    spi = reserve();
    cr_assert_eq(spi >> 20, ANCHOR);
    /* A packet that overtakes the keys waits for them. */
    n = peer_seal(spi, 1, 60, buffer);
    bench_inject(b, b->ioc, &in, buffer, n);
    bench_until(b, bench_counter(b, "esp-larval-sa-held") == 1);
    m = sa(BUS_DIRECTION_INBOUND, spi);
    cr_assert_eq(bench_call(b, BUS_SA_INSTALL, &m), BUS_OK, "%s", b->error);
    m = sa(BUS_DIRECTION_OUTBOUND, 0xc0ffee01);
    cr_assert_eq(bench_call(b, BUS_SA_INSTALL, &m), BUS_OK, "%s", b->error);
    cr_assert_eq(bench_take(b, b->ioc, FABRIC_CELL_PORT_OUT, &cell, got), 74);
    cr_assert_eq(cell.port, 0);
    cr_assert(packet_sound(got + 14, 60));
    for (uint64_t i = 2; i < 200; i++) {
        n = peer_seal(spi, i, (uint32_t)(28 + i), buffer);
        bench_inject(b, b->ioc, &in, buffer, n);
        cr_assert_eq(bench_take(b, b->ioc, FABRIC_CELL_PORT_OUT, &cell, got), 14 + 28 + i);
        cr_assert(packet_sound(got + 14, (uint32_t)(28 + i)));
    }
    for (unsigned i = 1; i < 100; i++) {
        first(packet_make(buffer, "10.0.1.2", "10.8.0.5", FLOW_PROTO_UDP, 10, 9, 28 + i));
        n = bench_take(b, b->ioc, FABRIC_CELL_PORT_OUT, &cell, got);
        cr_assert_neq(n, UINT32_MAX);
        cr_assert_eq(cell.port, 1);
        cr_assert_eq(got[14 + 9], FLOW_PROTO_ESP);
        cr_assert_eq(memcmp(got + 14 + 20, "\xc0\xff\xee\x01", 4), 0);
        cr_assert_eq(got[14 + 27], i); /* sequence numbers without gaps */
    }
    cr_assert_eq(bench_call(b, BUS_SA_QUERY, &query), BUS_SA_LIST);
    list = b->reply;
    cr_assert_eq(list->n_sas, 2);
    for (unsigned i = 0; i < 2; i++) {
        bool inbound = list->sas[i].direction == BUS_DIRECTION_INBOUND;

        cr_assert_eq(list->sas[i].packets, inbound ? 199 : 99);
        cr_assert_eq(list->sas[i].sequence, inbound ? 199 : 99);
        cr_assert_not(list->sas[i].larval);
    }
    cr_assert_eq(bench_counter(b, "esp-encrypted-packets"), 99);
    cr_assert_eq(bench_counter(b, "esp-decrypted-packets"), 199);
    struct bus_sa_delete gone = {
        .direction = BUS_DIRECTION_INBOUND, .spi = spi, .anchor = ANCHOR, .spu = 1, .thread = 5};
    cr_assert_eq(bench_call(b, BUS_SA_DELETE, &gone), BUS_OK);
    n = peer_seal(spi, 500, 60, buffer);
    bench_inject(b, b->ioc, &in, buffer, n);
    bench_until(b, bench_counter(b, "invalid-spi-errors") == 1);
    cr_assert_eq(bench_call(b, BUS_SA_QUERY, &query), BUS_SA_LIST);
    cr_assert_eq(((const struct bus_sa_list *)b->reply)->n_sas, 1);
}

Test(bench, refusals)
{
    struct bus_spi_reserve bad = {.tunnel = TUNNEL, .anchor = ANCHOR, .spu = 2, .thread = 0};
    struct bus_spi_release release = {.spi = 0x700001};
    struct bus_sa_install m;
    uint32_t spi;

    cr_assert_eq(bench_call(b, BUS_SPI_RESERVE, &bad), 0);
    bad.spu = 1;
    bad.anchor = 0;
    cr_assert_eq(bench_call(b, BUS_SPI_RESERVE, &bad), 0);
    m = sa(BUS_DIRECTION_INBOUND, ANCHOR << 20 | 5);
    cr_assert_eq(bench_call(b, BUS_SA_INSTALL, &m), 0); /* never reserved */
    m = sa(BUS_DIRECTION_OUTBOUND, 0x01020304);
    m.fresh = false;
    cr_assert_eq(bench_call(b, BUS_SA_INSTALL, &m), 0);
    cr_assert_not_null(strstr(b->error, "counter"));
    m.fresh = true;
    m.key.len = 7;
    cr_assert_eq(bench_call(b, BUS_SA_INSTALL, &m), 0);
    cr_assert_eq(bench_call(b, BUS_SPI_RELEASE, &release), BUS_OK);
    spi = reserve();
    release.spi = spi;
    cr_assert_eq(bench_call(b, BUS_SPI_RELEASE, &release), BUS_OK);
    m = sa(BUS_DIRECTION_INBOUND, spi);
    cr_assert_eq(bench_call(b, BUS_SA_INSTALL, &m), 0); /* released */
    struct bus_port_statistics_query other = {0};
    cr_assert_eq(bench_call(b, BUS_PORT_STATISTICS_QUERY, &other), 0);
}

Test(bench, spis_are_unique)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(NULL, NULL);

    for (unsigned i = 0; i < 300; i++) {
        uint32_t spi = reserve();

        cr_assert(g_hash_table_add(seen, GUINT_TO_POINTER(spi)));
        cr_assert_eq(spi >> 20, ANCHOR);
    }
}

Test(bench, nonsense_on_the_fabric_does_not_hurt)
{
    struct bus_board_ping ping = {.count = 1};
    uint32_t x = 4711;

    wait_for_tables();
    for (unsigned i = 0; i < 5000; i++) {
        struct fabric_cell c = {.type = (uint8_t)(1 + i % 11), .spu = (uint8_t)(i % 3)};
        uint32_t bytes = i % 200;

        x = x * 1664525u + 1013904223u;
        c.thread = (uint8_t)(x >> 26);
        c.ifl = (uint16_t)(x >> 30 ? IFL_A : x >> 16);
        c.gso = (uint8_t)(x >> 8 & 3);
        c.gso_size = (uint16_t)(x >> 3 & 255);
        c.csum_start = (uint16_t)(x >> 4 & 255);
        c.flags = (uint8_t)(x >> 9 & 31);
        for (unsigned k = 0; k < bytes; k++) {
            x = x * 1664525u + 1013904223u;
            buffer[k] = (uint8_t)(x >> 24);
        }
        if (bytes > 3 && i % 2) {
            buffer[0] = 0x45;
            buffer[2] = 0;
            buffer[3] = (uint8_t)bytes;
        }
        bench_inject(b, b->ioc, &c, buffer, bytes);
        if (i % 64 == 63) { /* let it keep up: the ring is finite */
            bus_send(b->supervision, 0, BUS_BOARD_PING, &ping);
            bench_until(b, b->pongs > i / 64);
            bench_until(b, bench_counter(b, "fabric-received") >= i);
        }
    }
    cr_assert_eq(b->faults, 0);
    cr_assert_gt(bench_counter(b, "ip-header-malformed"), 0);
    cr_assert_gt(bench_counter(b, "cell-unexpected"), 0);
}
