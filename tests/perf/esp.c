/*
 * esp - how many packets a second does an anchor thread encrypt and decrypt?
 *
 * Project: from the dequeue of a burst at the lane to its enqueue towards the
 * I/O card, by the real lane code: SA lookup, replay check, trailer, outer
 * header and route, Ethernet header, counters; decrypted packets also find their
 * session. Yardstick: libipsec-mb's direct AES-GCM calls over the same buffers,
 * the same SAs' keys, the same padded lengths, out of place, with a new nonce
 * each, and nothing else. Both go over 4,096 buffers of 1,000 SAs, no two
 * packets in a row of one SA, and alternate burst by burst in one run; feeding
 * and draining the lane is not measured. The other end of the fabric lives in
 * this process and thread.
 *
 * usage: esp [ROUNDS [ROW]]
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/core/log.h"
#include "spc/flow/checksum.h"
#include "spc/flow/lane.h"
#include "spc/ipsec/ipsec.h"

#ifdef HAVE_IPSEC_MB

#include <intel-ipsec-mb.h>

#define SAS        1000u
#define BUFFERS    4096u
#define SPC        1
#define IOC        2
#define ENDPOINTS  8
#define IFL_A      70
#define IFL_B      71
#define IFL_ST0    90
#define ROUNDS_MAX 201
#define ROOM       1500u /* always the same: a payload's place in its buffer depends on it */
#define SPI(i)     (0x500000u + (i)*97)

static struct fabric *spc, *ioc;
static struct flow_lane lane;
static struct flow_thread *all;
static struct flow_store *store;
static struct flow_tables *tables;
static struct ipsec_sa *in[SAS], *out[SAS];
static struct gcm_key_data keys[SAS];
static uint64_t numbers[SAS];
static IMB_MGR *mgr;
static uint8_t results[256][FABRIC_SMALL_BYTES]; /* of the yardstick */

static struct fabric_packet slots[BUFFERS]; /* the I/O card's buffers, in the order they go */
static struct {
    uint32_t sa, bytes;
} contents[BUFFERS]; /* by buffer number */

static void must(bool what, const char *text)
{
    if (!what) {
        fw_error("%s", text);
        exit(1);
    }
}

/* ---- the card ---- */

static void join(struct fabric *to, struct fabric *peer, uint8_t index)
{
    int bell = dup(fabric_doorbell_fd(peer, 0));

    must(fabric_attach(to, index, 1, dup(fabric_outbox_fd(peer)), fabric_outbox_bytes(peer), &bell,
                       1, NULL),
         "fabric_attach");
}

static struct fabric *endpoint(uint8_t index, uint32_t buffers)
{
    struct fabric_config config = {.index = index,
                                   .endpoints = ENDPOINTS,
                                   .lanes = 1,
                                   .small_buffers = buffers,
                                   .large_buffers = 2};
    struct fabric *f = fabric_new(&config, NULL);

    must(f, "fabric_new");
    return f;
}

static void interface(uint16_t ifl, uint8_t kind, uint8_t port, uint16_t zone)
{
    struct bus_ifl_state *m = g_new0(struct bus_ifl_state, 1);

    m->ifl = ifl;
    m->kind = kind;
    m->slot = IOC;
    m->port = port;
    m->mtu = 1500;
    m->up = true;
    m->zone = zone;
    flow_store_apply(store, BUS_IFL_STATE, m);
    g_free(m);
}

static struct fw_prefix prefix(const char *text)
{
    struct fw_prefix p = {0};

    must(fw_prefix_parse(text, &p), text);
    return p;
}

static void configure(void)
{
    struct bus_fpc_state boards[2] = {{.slot = SPC,
                                       .online = true,
                                       .generation = 1,
                                       .spus = 1,
                                       .threads = 1,
                                       .central_point = true},
                                      {.slot = IOC, .online = true, .generation = 1}};
    struct bus_route_state routes[3] = {{.prefix = prefix("10.0.0.0/8"), .ifl = IFL_A},
                                        {.prefix = prefix("172.16.0.0/12"), .ifl = IFL_B},
                                        {.prefix = prefix("192.168.0.0/16"), .ifl = IFL_ST0}};
    struct bus_anchor_state anchor = {.anchor = 5, .slot = SPC, .generation = 1};
    struct bus_tunnel_interface_state tunnel = {
        .tunnel = 1, .ifl = IFL_ST0, .anchor = 5, .up = true};
    struct bus_policy_state *policy = g_new0(struct bus_policy_state, 1);

    flow_store_apply(store, BUS_FPC_STATE, &boards[0]);
    flow_store_apply(store, BUS_FPC_STATE, &boards[1]);
    flow_store_apply(store, BUS_ANCHOR_STATE, &anchor);
    flow_store_apply(store, BUS_TUNNEL_INTERFACE_STATE, &tunnel);
    interface(IFL_A, BUS_IFL_KIND_ETHER, 0, 1);
    interface(IFL_B, BUS_IFL_KIND_ETHER, 1, 2);
    interface(IFL_ST0, BUS_IFL_KIND_TUNNEL, 0, 3);
    routes[0].next_hop = fw_addr_v4(0x0a000002);
    routes[1].next_hop = fw_addr_v4(0xac100002);
    for (unsigned i = 0; i < 3; i++) {
        flow_store_apply(store, BUS_ROUTE_STATE, &routes[i]);
    }
    for (unsigned i = 0; i < 2; i++) {
        struct bus_neighbour_state n = {
            .ifl = (uint16_t)(i ? IFL_B : IFL_A), .address = routes[i].next_hop, .mac = {2, 3}};

        flow_store_apply(store, BUS_NEIGHBOUR_STATE, &n);
    }
    policy->from_zone = 3;
    policy->to_zone = 1;
    policy->n_rules = 1;
    flow_store_apply(store, BUS_POLICY_STATE, policy);
    g_free(policy);
    tables = flow_store_build(store);
    flow_lane_tables(&lane, tables);
}

static void make_sas(void)
{
    struct bus_sa_install m = {.encryption = FW_ENC_AES_GCM_256,
                               .ifl = IFL_ST0,
                               .anchor = 5,
                               .replay_window = 64,
                               .fresh = true};

    for (uint32_t i = 0; i < SAS; i++) {
        struct ipsec_sa *old;

        m.key.len = 36;
        for (unsigned k = 0; k < 36; k++) {
            m.key.data[k] = (uint8_t)(i * 31 + k);
        }
        m.spi = SPI(i);
        m.tunnel = 1 + i;
        m.direction = BUS_DIRECTION_OUTBOUND;
        m.local = fw_addr_v4(0xac100001);
        m.remote = fw_addr_v4(0xac180000 + i);
        out[i] = ipsec_sa_new(&m, NULL, NULL);
        m.direction = BUS_DIRECTION_INBOUND;
        in[i] = ipsec_sa_new(&m, NULL, NULL);
        must(out[i] && in[i], "ipsec_sa_new");
        must(ipsec_insert(all, out[i], &old) && ipsec_insert(all, in[i], &old), "ipsec_insert");
        IMB_AES256_GCM_PRE(mgr, m.key.data, &keys[i]);
    }
}

static void make_card(void)
{
    spc = endpoint(SPC, 2048);
    ioc = endpoint(IOC, BUFFERS);
    join(spc, ioc, IOC);
    join(ioc, spc, SPC);
    for (unsigned i = 0; i < 3; i++) {
        fabric_lane_release(fabric_lane(spc, 0));
        fabric_lane_release(fabric_lane(ioc, 0));
    }
    all = flow_threads_new(spc, SPC, 1, 1, 1, &lane);
    store = flow_store_new(SPC, ENDPOINTS - 2);
    configure();
    make_sas();
}

/* ---- packets ---- */

/* One clear packet of an SA's conversation; inbound ones come from behind the tunnel. */
static void clear_packet(uint8_t *p, uint32_t sa, uint32_t bytes, bool inbound)
{
    uint32_t near = 0x0a010000 + sa, far = 0xc0a80000 + sa;
    struct fw_addr source = fw_addr_v4(inbound ? far : near);
    struct fw_addr destination = fw_addr_v4(inbound ? near : far);
    uint16_t sum;

    memset(p, 0, bytes);
    p[0] = 0x45;
    p[2] = (uint8_t)(bytes >> 8);
    p[3] = (uint8_t)bytes;
    p[8] = 64;
    p[9] = FLOW_PROTO_UDP;
    memcpy(p + 12, source.bytes, 4);
    memcpy(p + 16, destination.bytes, 4);
    p[21] = 9;
    p[23] = 9;
    p[24] = (uint8_t)((bytes - 20) >> 8);
    p[25] = (uint8_t)(bytes - 20);
    sum = flow_checksum(p, 20);
    memcpy(p + 10, &sum, 2);
}

static void seal_packet(uint8_t *p, uint32_t sa, uint32_t bytes, uint64_t number)
{
    uint32_t text = (bytes + 2 + 3) / 4 * 4;
    uint8_t *esp = p + 20, plain[FABRIC_SMALL_BYTES];
    struct ipsec_job job = {.in = plain,
                            .out = esp + 16,
                            .bytes = text,
                            .header = esp,
                            .sequence = number,
                            .salt = out[sa]->salt,
                            .iv = esp + 8,
                            .ret_tag = esp + 16 + text};

    clear_packet(plain, sa, bytes, true);
    for (uint32_t i = bytes; i < text - 2; i++) {
        plain[i] = (uint8_t)(i - bytes + 1);
    }
    plain[text - 2] = (uint8_t)(text - 2 - bytes);
    plain[text - 1] = FLOW_PROTO_IPIP;
    clear_packet(p, sa, 20 + 16 + text + 16, false);
    p[9] = FLOW_PROTO_ESP;
    for (unsigned i = 0; i < 4; i++) {
        esp[i] = (uint8_t)(SPI(sa) >> (24 - 8 * i));
        esp[4 + i] = (uint8_t)(number >> (24 - 8 * i));
    }
    must(out[sa]->engine->seal(out[sa]->key, &job), "seal");
}

static void load_slots(uint32_t bytes, bool decrypt)
{
    static uint64_t number[SAS];

    memset(number, 0, sizeof number);
    for (uint32_t i = 0; i < BUFFERS; i++) {
        uint32_t sa = i * 379 % SAS, length = bytes;
        struct fabric_packet *p = &slots[i];

        must(fabric_lane_alloc(fabric_lane(ioc, 0), ROOM, p), "fabric_lane_alloc");
        if (decrypt) {
            length = 20 + 16 + (bytes + 2 + 3) / 4 * 4 + 16;
            seal_packet(p->room, sa, bytes, ++number[sa]);
        } else {
            clear_packet(p->room, sa, bytes, false);
            p->cell.length = bytes;
            ipsec_trailer_add(p); /* as flow threads do */
            length = p->cell.length;
        }
        contents[p->buffer].sa = sa;
        contents[p->buffer].bytes = length;
    }
}

static void unload_slots(void)
{
    for (uint32_t i = 0; i < BUFFERS; i++) {
        fabric_lane_free(fabric_lane(ioc, 0), &slots[i]);
    }
}

static void drain(void)
{
    struct fabric_packet p[FABRIC_BURST];

    while (fabric_lane_receive(fabric_lane(ioc, 0), p, FABRIC_BURST) > 0) {
        fabric_lane_release(fabric_lane(ioc, 0));
    }
}

/* ---- one burst of either ---- */

static int64_t project_burst(struct fabric_packet *burst, bool decrypt)
{
    struct fabric_packet received[FABRIC_BURST];
    int64_t start, end;
    unsigned n;

    for (unsigned i = 0; i < FABRIC_BURST; i++) {
        struct fabric_packet *p = &burst[i];

        p->cell.type = decrypt ? FABRIC_CELL_DECRYPT : FABRIC_CELL_ENCRYPT;
        p->cell.destination = SPC;
        p->cell.ifl = decrypt ? IFL_B : IFL_A;
        p->cell.length = contents[p->buffer].bytes;
        p->cell.tunnel = 1 + contents[p->buffer].sa;
    }
    must(fabric_lane_send(fabric_lane(ioc, 0), burst, FABRIC_BURST) == FABRIC_BURST, "send");
    start = fw_clock_ns();
    n = fabric_lane_receive(lane.fabric, received, FABRIC_BURST);
    flow_lane_burst(&lane, received, n);
    fabric_lane_release(lane.fabric);
    end = fw_clock_ns();
    must(n == FABRIC_BURST, "receive");
    while ((n = fabric_lane_receive(lane.fabric, received, FABRIC_BURST)) > 0) {
        flow_lane_burst(&lane, received, n); /* first packets, by the central point */
        fabric_lane_release(lane.fabric);
    }
    drain();
    for (unsigned i = 0; i < FABRIC_BURST; i++) {
        must(fabric_lane_alloc(fabric_lane(ioc, 0), ROOM, &burst[i]), "fabric_lane_alloc");
    }
    return end - start;
}

static int64_t yardstick_burst(const struct fabric_packet *burst, bool decrypt)
{
    static unsigned at;
    int64_t start = fw_clock_ns();

    for (unsigned i = 0; i < FABRIC_BURST; i++) {
        const struct fabric_packet *p = &burst[i];
        uint32_t sa = contents[p->buffer].sa, bytes = contents[p->buffer].bytes;
        uint8_t *to = results[at++ % G_N_ELEMENTS(results)], nonce[12] = {0}, aad[8];
        struct gcm_context_data context;

        memcpy(nonce + 4, &numbers[sa], 8);
        numbers[sa]++;
        if (decrypt) {
            memcpy(aad, p->data + 20, 8);
            bytes -= 20 + 16 + 16;
            IMB_AES256_GCM_DEC(mgr, &keys[sa], &context, to, p->data + 36, bytes, nonce, aad, 8,
                               to + bytes, 16);
        } else {
            memset(aad, 0, sizeof aad);
            IMB_AES256_GCM_ENC(mgr, &keys[sa], &context, to, p->data, bytes, nonce, aad, 8,
                               to + bytes, 16);
        }
    }
    return fw_clock_ns() - start;
}

/* ---- rows ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double *values, unsigned n)
{
    qsort(values, n, sizeof *values, by_value);
    return values[n / 2];
}

static void windows_reset(void)
{
    for (uint32_t i = 0; i < SAS; i++) {
        in[i]->replay.top = 0;
        memset(in[i]->replay.bitmap, 0, in[i]->replay.blocks * sizeof(uint64_t));
    }
}

static uint64_t done(void)
{
    return all->counters[FLOW_ESP_OUT_PACKETS] + all->counters[FLOW_ESP_IN_PACKETS];
}

/* Why packets were lost. */
static void tell_counters(void)
{
    for (unsigned i = 1; i < FLOW_COUNTERS_N; i++) {
        if (all->counters[i]) {
            fw_error("%s %lu", flow_counter_names[i], (unsigned long)all->counters[i]);
        }
    }
    must(false, "not every packet got through");
}

static void row(const char *name, uint32_t bytes, bool decrypt, unsigned rounds)
{
    double project[ROUNDS_MAX], yardstick[ROUNDS_MAX], ratio[ROUNDS_MAX];
    uint64_t before;

    load_slots(bytes, decrypt);
    for (unsigned r = 0; r <= rounds; r++) {
        int64_t ns[2] = {0, 0};

        windows_reset();
        before = done();
        for (uint32_t i = 0; i < BUFFERS; i += FABRIC_BURST) {
            /* Whoever comes second finds the packets in the cache: they take turns. */
            if ((i / FABRIC_BURST + r) % 2) {
                ns[1] += yardstick_burst(&slots[i], decrypt);
                ns[0] += project_burst(&slots[i], decrypt);
            } else {
                ns[0] += project_burst(&slots[i], decrypt);
                ns[1] += yardstick_burst(&slots[i], decrypt);
            }
        }
        if (done() - before != BUFFERS) {
            tell_counters();
        }
        if (r > 0) { /* the first round makes sessions and warms up */
            project[r - 1] = BUFFERS * 1e3 / (double)ns[0];
            yardstick[r - 1] = BUFFERS * 1e3 / (double)ns[1];
            ratio[r - 1] = project[r - 1] / yardstick[r - 1];
        }
    }
    unload_slots();
    printf("{\"name\":\"%s\",\"value\":%.3f,\"unit\":\"Mpps\",\"yardstick\":%.3f,\"ratio\":%.3f,"
           "\"target\":\">=0.6\"}\n",
           name, median(project, rounds), median(yardstick, rounds), median(ratio, rounds));
    fflush(stdout);
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)atoi(argv[1]) : 101;
    static const struct {
        const char *name;
        uint32_t bytes;
        bool decrypt;
    } rows[] = {{"esp-encrypt-1400", 1400, false},
                {"esp-decrypt-1400", 1400, true},
                {"esp-encrypt-64", 64, false}};
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(0, &set);
    sched_setaffinity(0, sizeof set, &set);
    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    mgr = alloc_mb_mgr(0);
    must(mgr, "alloc_mb_mgr");
    init_mb_mgr_auto(mgr, NULL);
    make_card();
    for (unsigned i = 0; i < G_N_ELEMENTS(rows); i++) {
        if (argc < 3 || strcmp(argv[2], rows[i].name) == 0) {
            row(rows[i].name, rows[i].bytes, rows[i].decrypt, rounds);
        }
    }
    return 0;
}

#else

int main(void)
{
    fw_info("built without libipsec-mb: there is no yardstick");
    return 0;
}

#endif
