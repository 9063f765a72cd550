/*
 * esp_test - ESP between two services cards in one process: all algorithms and engines, replay,
 * larval SAs, encapsulation, selectors, sizes, the end of a counter; and a known answer.
 */
#include <criterion/criterion.h>
#include <openssl/evp.h>

#include "spc/flow/checksum.h"
#include "tests/unit/spc/world.h"

#define SPI 0x00512345u /* anchor 5 */

static struct world *left, *right;
static uint8_t buffer[FABRIC_LARGE_BYTES];
static uint8_t wire[FABRIC_LARGE_BYTES];
static uint32_t wire_bytes;

static void setup(void)
{
    left = world_new(2, 2, 3);
    right = world_new(1, 1, 2);
    world_configure(left);
    world_configure(right);
    world_route(left, "203.0.113.0/24", "10.0.2.2", WORLD_IFL_B);
    world_route(right, "203.0.113.0/24", "10.0.2.2", WORLD_IFL_B);
    world_route(right, "10.8.0.0/16", "10.0.1.2", WORLD_IFL_A);
    world_route(right, "10.0.1.0/24", NULL, WORLD_IFL_ST0);
    world_tables(left);
    world_tables(right);
}

static void teardown(void)
{
    world_free(left);
    world_free(right);
}

TestSuite(esp, .init = setup, .fini = teardown);

static struct bus_sa_install message(enum bus_direction direction, enum fw_enc enc,
                                     enum fw_integ integ)
{
    struct bus_sa_install m = {.tunnel = WORLD_TUNNEL,
                               .ifl = WORLD_IFL_ST0,
                               .direction = (uint8_t)direction,
                               .spi = SPI,
                               .anchor = WORLD_ANCHOR,
                               .thread = 1,
                               .encryption = (uint16_t)enc,
                               .integrity = (uint16_t)integ,
                               .replay_window = 64,
                               .fresh = true};
    const struct fw_enc_row *row = fw_enc_row(enc);

    m.local = addr(direction == BUS_DIRECTION_OUTBOUND ? "203.0.113.1" : "192.0.2.7");
    m.remote = addr(direction == BUS_DIRECTION_OUTBOUND ? "192.0.2.7" : "203.0.113.1");
    m.key.len = (uint16_t)(row->key_bytes + row->salt_bytes);
    for (unsigned i = 0; i < m.key.len; i++) {
        m.key.data[i] = (uint8_t)(i * 5 + 1);
    }
    if (integ != FW_INTEG_NONE) {
        m.integrity_key.len = fw_integ_row(integ)->key_bytes;
        memset(m.integrity_key.data, 0x77, m.integrity_key.len);
    }
    return m;
}

static struct ipsec_sa *install(struct world *w, const struct bus_sa_install *m,
                                const struct ipsec_engine *engine)
{
    g_autoptr(GError) error = NULL;
    struct ipsec_sa *sa = ipsec_sa_new(m, engine, &error);

    cr_assert_not_null(sa, "%s", error ? error->message : "");
    world_sa(w, sa);
    return sa;
}

static struct ipsec_sa *pair_of(enum fw_enc enc, enum fw_integ integ)
{
    struct bus_sa_install out = message(BUS_DIRECTION_OUTBOUND, enc, integ);
    struct bus_sa_install in = message(BUS_DIRECTION_INBOUND, enc, integ);

    install(left, &out, NULL);
    return install(right, &in, NULL);
}

/* The next ESP packet on the left card's wire, without Ethernet header. */
static bool wire_take(void)
{
    const struct seen *s = world_take(left, left->ioc, FABRIC_CELL_PORT_OUT);

    if (!s) {
        return false;
    }
    wire_bytes = s->cell.length - 14;
    memcpy(wire, s->data + 14, wire_bytes);
    return true;
}

static void clear_in(uint32_t bytes)
{
    struct fabric_cell cell = {.type = FABRIC_CELL_FIRST, .ifl = WORLD_IFL_A};

    world_inject(left, left->ioc, &cell, buffer, bytes);
}

static uint32_t packet(uint32_t bytes)
{
    return packet_make(buffer, "10.0.1.2", "10.8.0.5", FLOW_PROTO_UDP, 7, 8, bytes);
}

static void esp_in(void)
{
    struct fabric_cell cell = {.type = FABRIC_CELL_DECRYPT, .ifl = WORLD_IFL_B, .thread = 1};

    world_inject(right, right->ioc, &cell, wire, wire_bytes);
}

/* What the right card sends out of its port; NULL: nothing. */
static const uint8_t *clear_out(uint32_t *ret_bytes)
{
    const struct seen *s = world_take(right, right->ioc, FABRIC_CELL_PORT_OUT);

    if (!s) {
        return NULL;
    }
    *ret_bytes = s->cell.length - 14;
    return s->data + 14;
}

static void expect_through(uint32_t bytes)
{
    uint32_t n = 0;
    const uint8_t *p;

    clear_in(packet(bytes));
    cr_assert(wire_take());
    cr_assert_eq(flow_checksum(wire, 20), 0);
    cr_assert_eq((uint32_t)(wire[2] << 8 | wire[3]), wire_bytes);
    esp_in();
    p = clear_out(&n);
    cr_assert_not_null(p, "%u bytes", bytes);
    cr_assert_eq(n, bytes);
    cr_assert_eq(p[8], 62); /* one hop on each card */
    cr_assert(packet_sound(p, n));
    cr_assert_eq(memcmp(p + 20, buffer + 20, n - 20), 0);
}

static const struct {
    enum fw_enc enc;
    enum fw_integ integ;
} suites[] = {
    {FW_ENC_AES_GCM_128, FW_INTEG_NONE},       {FW_ENC_AES_GCM_192, FW_INTEG_NONE},
    {FW_ENC_AES_GCM_256, FW_INTEG_NONE},       {FW_ENC_AES_CBC_128, FW_INTEG_SHA256_128},
    {FW_ENC_AES_CBC_192, FW_INTEG_SHA384_192}, {FW_ENC_AES_CBC_256, FW_INTEG_SHA512_256},
    {FW_ENC_AES_CBC_256, FW_INTEG_SHA1_96},
};

static const char *const engine_names[] = {"ipsec-mb", "openssl"};

Test(esp, every_suite_through_every_pair_of_engines)
{
    unsigned pairs = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(suites) * 8; i++) {
        enum fw_enc enc = suites[i / 8].enc;
        enum fw_integ integ = suites[i / 8].integ;
        const struct ipsec_engine *from = ipsec_engine_find(enc, integ, engine_names[i & 1]);
        const struct ipsec_engine *to = ipsec_engine_find(enc, integ, engine_names[i >> 1 & 1]);
        struct bus_sa_install out = message(BUS_DIRECTION_OUTBOUND, enc, integ);
        struct bus_sa_install in = message(BUS_DIRECTION_INBOUND, enc, integ);
        struct flow_thread *t = &left->all[1];

        if (!from || !to) {
            continue;
        }
        out.esn = in.esn = i >> 2 & 1;
        install(left, &out, from);
        install(right, &in, to);
        for (uint32_t bytes = 28; bytes < 120; bytes++) {
            expect_through(bytes);
        }
        expect_through(1400);
        pairs++;
        ipsec_sa_free(ipsec_remove(t, BUS_DIRECTION_OUTBOUND, WORLD_TUNNEL, SPI));
        ipsec_sa_free(ipsec_remove(&right->all[1], BUS_DIRECTION_INBOUND, WORLD_TUNNEL, SPI));
    }
#ifdef HAVE_IPSEC_MB
    cr_assert_geq(pairs, 3 * 8u + 2 * 4u);
#else
    cr_assert_geq(pairs, 7 * 2u);
#endif
}

Test(esp, the_wire_is_what_rfc_4106_says)
{
    struct bus_sa_install out = message(BUS_DIRECTION_OUTBOUND, FW_ENC_AES_GCM_256, FW_INTEG_NONE);
    struct ipsec_sa *sa = install(left, &out, NULL);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    uint8_t nonce[12], text[200];
    uint32_t cipher_bytes;
    int n, m;

    sa->sequence = 0x01020303;
    clear_in(packet(61));
    cr_assert(wire_take());
    cr_assert_eq(wire[9], FLOW_PROTO_ESP);
    cr_assert_eq(memcmp(wire + 12, addr("203.0.113.1").bytes, 4), 0);
    cr_assert_eq(memcmp(wire + 16, addr("192.0.2.7").bytes, 4), 0);
    cr_assert_eq(memcmp(wire + 20, "\x00\x51\x23\x45\x01\x02\x03\x04", 8), 0);
    cipher_bytes = wire_bytes - 20 - 16 - 16;
    cr_assert_eq(cipher_bytes, 64);
    memcpy(nonce, out.key.data + 32, 4);
    memcpy(nonce + 4, wire + 28, 8);
    cr_assert_eq(EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, out.key.data, nonce), 1);
    cr_assert_eq(EVP_DecryptUpdate(c, NULL, &n, wire + 20, 8), 1);
    cr_assert_eq(EVP_DecryptUpdate(c, text, &n, wire + 36, (int)cipher_bytes), 1);
    cr_assert_eq(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, 16, wire + wire_bytes - 16), 1);
    cr_assert_eq(EVP_DecryptFinal_ex(c, text + n, &m), 1);
    EVP_CIPHER_CTX_free(c);
    cr_assert_eq(memcmp(text + 20, buffer + 20, 41), 0);
    cr_assert_eq(text[61], 1);  /* padding 1 to 4 aligned bytes, its length, next header */
    cr_assert_eq(text[62], 1);
    cr_assert_eq(text[63], FLOW_PROTO_IPIP);
}

/* Test case 15 of the GCM specification: the cipher text does not depend on the associated data,
 * so it must be the published one; the tags, over ESP's associated data, must agree. */
Test(esp, known_answer_of_gcm_test_case_15)
{
    static const uint8_t key[36] = {
        0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30,
        0x83, 0x08, 0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f, 0x94,
        0x67, 0x30, 0x83, 0x08, 0xca, 0xfe, 0xba, 0xbe};
    static const uint8_t plain[16] = {0xd9, 0x31, 0x32, 0x25, 0xf8, 0x84, 0x06, 0xe5,
                                      0xa5, 0x59, 0x09, 0xc5, 0xaf, 0xf5, 0x26, 0x9a};
    static const uint8_t sealed[16] = {0x52, 0x2d, 0xc1, 0xf0, 0x99, 0x56, 0x7d, 0x07,
                                       0xf4, 0x7f, 0x37, 0xa3, 0x2a, 0x84, 0x42, 0x7d};
    uint8_t tags[2][16] = {{0}};
    unsigned n = 0;

    for (unsigned i = 0; i < 2; i++) {
        const struct ipsec_engine *e =
            ipsec_engine_find(FW_ENC_AES_GCM_256, FW_INTEG_NONE, engine_names[i]);
        uint8_t header[8] = {0, 0, 1, 0, 0, 0, 0, 1}, iv[8], out[16], back[16];
        struct ipsec_job job = {.in = plain,
                                .out = out,
                                .bytes = 16,
                                .header = header,
                                .sequence = 0xfacedbaddecaf888ull, /* the case's IV */
                                .iv = iv,
                                .ret_tag = tags[n]};
        struct ipsec_key *k;

        if (!e) {
            continue;
        }
        memcpy(&job.salt, key + 32, 4);
        k = e->key_new(FW_ENC_AES_GCM_256, FW_INTEG_NONE, key, NULL, true);
        cr_assert(e->seal(k, &job));
        e->key_free(k);
        cr_assert_eq(memcmp(out, sealed, 16), 0, "%s", e->name);
        k = e->key_new(FW_ENC_AES_GCM_256, FW_INTEG_NONE, key, NULL, false);
        job.in = out;
        job.out = back;
        job.tag = tags[n];
        cr_assert(e->open(k, &job));
        cr_assert_eq(memcmp(back, plain, 16), 0);
        tags[n][3] ^= 1;
        cr_assert_not(e->open(k, &job));
        tags[n][3] ^= 1;
        e->key_free(k);
        n++;
    }
    if (n == 2) {
        cr_assert_eq(memcmp(tags[0], tags[1], 16), 0);
    }
}

Test(esp, every_flipped_byte_is_refused_and_counted)
{
    struct ipsec_sa *in = pair_of(FW_ENC_AES_GCM_128, FW_INTEG_NONE);
    uint64_t refused = 0;
    uint32_t n;

    clear_in(packet(60));
    cr_assert(wire_take());
    for (uint32_t i = 24; i < wire_bytes; i++) { /* from the sequence number on */
        wire[i] ^= 0x40;
        esp_in();
        wire[i] ^= 0x40;
        cr_assert_null(clear_out(&n), "byte %u", i);
        refused++;
    }
    cr_assert_eq(world_counter(right, FLOW_AUTH_FAILED), refused);
    cr_assert_eq(in->auth_failures, refused);
    cr_assert_eq(in->replay.top, 0); /* nothing unauthentic moved the window */
    esp_in();
    cr_assert_not_null(clear_out(&n));
}

Test(esp, replays_are_counted)
{
    struct ipsec_sa *in = pair_of(FW_ENC_AES_GCM_128, FW_INTEG_NONE);
    uint32_t n;

    clear_in(packet(60));
    cr_assert(wire_take());
    esp_in();
    cr_assert_not_null(clear_out(&n));
    esp_in();
    cr_assert_null(clear_out(&n));
    cr_assert_eq(world_counter(right, FLOW_REPLAY), 1);
    cr_assert_eq(in->replay_drops, 1);
    cr_assert_eq(in->packets, 1);
    cr_assert_eq(in->bytes, 60);
}

Test(esp, packets_wait_for_the_keys)
{
    struct bus_sa_install out = message(BUS_DIRECTION_OUTBOUND, FW_ENC_AES_GCM_256, FW_INTEG_NONE);
    struct bus_sa_install in = message(BUS_DIRECTION_INBOUND, FW_ENC_AES_GCM_256, FW_INTEG_NONE);
    struct bus_spi_reserve reserve = {
        .tunnel = WORLD_TUNNEL, .anchor = WORLD_ANCHOR, .thread = 1};
    uint32_t n, came = 0;

    install(left, &out, NULL);
    world_sa(right, ipsec_sa_larval(&reserve, SPI));
    for (unsigned i = 0; i < IPSEC_HELD_MAX + 3; i++) {
        clear_in(packet(60));
        cr_assert(wire_take());
        esp_in();
    }
    cr_assert_null(clear_out(&n));
    cr_assert_eq(world_counter(right, FLOW_ESP_LARVAL_FULL), 3);
    install(right, &in, NULL);
    while (clear_out(&n)) {
        came++;
    }
    cr_assert_eq(came, IPSEC_HELD_MAX);
    cr_assert_eq(world_counter(right, FLOW_ESP_IN_PACKETS), IPSEC_HELD_MAX);
}

Test(esp, a_larval_sa_that_is_released_frees_its_packets)
{
    struct bus_sa_install out = message(BUS_DIRECTION_OUTBOUND, FW_ENC_AES_GCM_256, FW_INTEG_NONE);
    struct bus_spi_reserve reserve = {
        .tunnel = WORLD_TUNNEL, .anchor = WORLD_ANCHOR, .thread = 1};

    install(left, &out, NULL);
    for (unsigned round = 0; round < 100; round++) { /* more than the pool has */
        world_sa(right, ipsec_sa_larval(&reserve, SPI));
        for (unsigned i = 0; i < 8; i++) {
            clear_in(packet(60));
            cr_assert(wire_take());
            esp_in();
        }
        ipsec_sa_free(ipsec_remove(&right->all[1], BUS_DIRECTION_INBOUND, WORLD_TUNNEL, SPI));
    }
    cr_assert_eq(world_counter(right, FLOW_NO_BUFFER), 0);
    cr_assert_eq(world_counter(right, FLOW_ESP_LARVAL_HELD), 800);
}

Test(esp, udp_encapsulation)
{
    struct bus_sa_install out = message(BUS_DIRECTION_OUTBOUND, FW_ENC_AES_GCM_256, FW_INTEG_NONE);
    struct bus_sa_install in = message(BUS_DIRECTION_INBOUND, FW_ENC_AES_GCM_256, FW_INTEG_NONE);

    out.encap_local = in.encap_remote = 4500;
    out.encap_remote = in.encap_local = 61000;
    install(left, &out, NULL);
    install(right, &in, NULL);
    expect_through(100);
    cr_assert_eq(wire[9], FLOW_PROTO_UDP);
    cr_assert_eq(wire[20] << 8 | wire[21], 4500);
    cr_assert_eq(wire[22] << 8 | wire[23], 61000);
    cr_assert_eq((uint32_t)(wire[24] << 8 | wire[25]), wire_bytes - 20);
    cr_assert_eq(wire[26] << 8 | wire[27], 0);
    /* The same ESP packet outside UDP is not this SA's. */
    memmove(wire + 20, wire + 28, wire_bytes - 28);
    wire_bytes -= 8;
    wire[2] = (uint8_t)(wire_bytes >> 8);
    wire[3] = (uint8_t)wire_bytes;
    wire[9] = FLOW_PROTO_ESP;
    esp_in();
    cr_assert_eq(world_counter(right, FLOW_ESP_ENCAPSULATION), 1);
}

static struct bus_traffic_selector selector(const char *local, const char *remote)
{
    struct bus_traffic_selector s;

    cr_assert(fw_prefix_parse(local, &s.local));
    cr_assert(fw_prefix_parse(remote, &s.remote));
    return s;
}

Test(esp, traffic_selectors_both_ways)
{
    struct bus_sa_install out = message(BUS_DIRECTION_OUTBOUND, FW_ENC_AES_GCM_256, FW_INTEG_NONE);
    struct bus_sa_install in = message(BUS_DIRECTION_INBOUND, FW_ENC_AES_GCM_256, FW_INTEG_NONE);
    uint32_t n;

    out.n_selectors = 1;
    out.selectors[0] = selector("10.0.1.0/24", "10.8.0.0/24");
    in.n_selectors = 1;
    in.selectors[0] = selector("10.8.0.4/30", "10.0.1.0/24");
    install(left, &out, NULL);
    install(right, &in, NULL);
    expect_through(60);
    clear_in(packet_make(buffer, "10.0.1.2", "10.8.1.5", FLOW_PROTO_UDP, 7, 8, 60));
    cr_assert_not(wire_take());
    cr_assert_eq(world_counter(left, FLOW_TS_CHECK), 1);
    clear_in(packet_make(buffer, "10.0.1.2", "10.8.0.9", FLOW_PROTO_UDP, 7, 8, 60));
    cr_assert(wire_take());
    esp_in();
    cr_assert_null(clear_out(&n));
    cr_assert_eq(world_counter(right, FLOW_TS_CHECK), 1);
}

Test(esp, the_counter_ends_for_good)
{
    struct bus_sa_install out = message(BUS_DIRECTION_OUTBOUND, FW_ENC_AES_GCM_256, FW_INTEG_NONE);
    struct ipsec_sa *sa = install(left, &out, NULL);
    unsigned soft = 0, hard = 0;
    struct flow_event event;

    sa->sequence = 0xfffffffd;
    for (unsigned i = 0; i < 5; i++) {
        clear_in(packet(60));
    }
    cr_assert(wire_take());
    cr_assert_eq(memcmp(wire + 24, "\xff\xff\xff\xfe", 4), 0);
    cr_assert(wire_take());
    cr_assert_eq(memcmp(wire + 24, "\xff\xff\xff\xff", 4), 0);
    cr_assert_not(wire_take());
    cr_assert_eq(world_counter(left, FLOW_SEQUENCE_END), 3);
    for (unsigned l = 0; l < 2; l++) {
        while (flow_lane_event_take(&left->lanes[l], &event)) {
            if (event.kind == FLOW_EVENT_SA_EXPIRE) {
                cr_assert_eq(event.spi, SPI);
                soft += !event.hard;
                hard += event.hard;
            }
        }
    }
    cr_assert_eq(soft, 1);
    cr_assert_eq(hard, 1);
}

Test(esp, no_sa_asks_for_the_tunnel_once)
{
    unsigned triggers = 0;
    struct flow_event event;

    for (unsigned i = 0; i < 10; i++) {
        clear_in(packet(60));
    }
    cr_assert_eq(world_counter(left, FLOW_NO_OUTBOUND_SA), 10);
    for (unsigned l = 0; l < 2; l++) {
        while (flow_lane_event_take(&left->lanes[l], &event)) {
            triggers += event.kind == FLOW_EVENT_TRIGGER && event.tunnel == WORLD_TUNNEL;
        }
    }
    cr_assert(triggers >= 1 && triggers <= 2); /* a second may have passed */
}

Test(esp, rekeying_uses_the_newest_and_falls_back)
{
    struct bus_sa_install out = message(BUS_DIRECTION_OUTBOUND, FW_ENC_AES_GCM_256, FW_INTEG_NONE);

    install(left, &out, NULL);
    out.spi = SPI + 1;
    install(left, &out, NULL);
    clear_in(packet(60));
    cr_assert(wire_take());
    cr_assert_eq(wire[23], (SPI + 1) & 255);
    ipsec_sa_free(ipsec_remove(&left->all[1], BUS_DIRECTION_OUTBOUND, WORLD_TUNNEL, SPI + 1));
    clear_in(packet(60));
    cr_assert(wire_take());
    cr_assert_eq(wire[23], SPI & 255);
}

Test(esp, large_frames_are_segmented_before)
{
    struct fabric_cell cell = {.type = FABRIC_CELL_FIRST,
                               .ifl = WORLD_IFL_A,
                               .flags = FABRIC_FLAG_CSUM,
                               .gso = FABRIC_GSO_TCP4,
                               .gso_size = 1300,
                               .csum_start = 20,
                               .csum_offset = 16,
                               .headers = 40};
    uint32_t n = packet_make(buffer, "10.0.1.2", "10.8.0.5", FLOW_PROTO_TCP, 7, 8, 40 + 10000);
    uint32_t got = 0;
    const uint8_t *p;

    pair_of(FW_ENC_AES_GCM_256, FW_INTEG_NONE);
    packet_df(buffer);
    world_inject(left, left->ioc, &cell, buffer, n);
    while (wire_take()) {
        cr_assert_leq(wire_bytes, 1500);
        esp_in();
        p = clear_out(&n);
        cr_assert_not_null(p);
        cr_assert(packet_sound(p, n));
        cr_assert_eq(memcmp(p + 40, buffer + 40 + got, n - 40), 0);
        got += n - 40;
    }
    cr_assert_eq(got, 10000);
}

Test(esp, what_exceeds_the_tunnel)
{
    uint32_t n = packet(1480), have = 20;
    const struct seen *s;

    pair_of(FW_ENC_AES_GCM_256, FW_INTEG_NONE);
    packet_df(buffer);
    clear_in(n);
    cr_assert_eq(world_counter(left, FLOW_TUNNEL_MTU), 1);
    s = world_take(left, left->ioc, FABRIC_CELL_PORT_OUT);
    cr_assert_not_null(s);
    cr_assert_eq(s->cell.port, 0);
    cr_assert_eq(s->data[34], 3);
    cr_assert_eq(s->data[35], 4);
    cr_assert_eq(s->data[40] << 8 | s->data[41], 1446); /* (1500 - 20 - 32) / 4 * 4 - 2 */
    /* without DF: fragments inside */
    clear_in(packet(1480));
    while (wire_take()) {
        const uint8_t *p;

        cr_assert_leq(wire_bytes, 1500);
        esp_in();
        p = clear_out(&n);
        cr_assert_not_null(p);
        cr_assert(packet_sound(p, n));
        have += n - 20;
    }
    cr_assert_eq(have, 1480);
    packet(1446);
    packet_df(buffer);
    clear_in(1446);
    cr_assert(wire_take());
    cr_assert_leq(wire_bytes, 1500);
}

Test(esp, df_and_tos_of_the_outer_header)
{
    struct bus_sa_install out = message(BUS_DIRECTION_OUTBOUND, FW_ENC_AES_GCM_256, FW_INTEG_NONE);
    struct ipsec_sa *sa = install(left, &out, NULL);
    static const uint8_t want[3][2] = {{0, 0}, {0x40, 0x40}, {0, 0x40}}; /* df, inner DF */

    for (unsigned df = 0; df < 3; df++) {
        for (unsigned inner = 0; inner < 2; inner++) {
            sa->df = (uint8_t)df;
            packet(60);
            buffer[1] = 0xb9; /* EF, ECT(1) */
            packet_df(buffer);
            if (!inner) {
                buffer[6] = 0;
                buffer[10] = buffer[11] = 0;
                uint16_t sum = flow_checksum(buffer, 20);
                memcpy(buffer + 10, &sum, 2);
            }
            clear_in(60);
            cr_assert(wire_take());
            cr_assert_eq(wire[6], want[df][inner]);
            cr_assert_eq(wire[1], 0xb9);
            cr_assert_eq(flow_checksum(wire, 20), 0);
        }
    }
}

Test(esp, congestion_on_the_way_is_carried_in)
{
    uint32_t n;
    const uint8_t *p;

    pair_of(FW_ENC_AES_GCM_256, FW_INTEG_NONE);
    packet(60);
    buffer[1] = 2; /* ECT(0) */
    packet_df(buffer);
    clear_in(60);
    cr_assert(wire_take());
    wire[1] = 3;
    esp_in();
    p = clear_out(&n);
    cr_assert_not_null(p);
    cr_assert_eq(p[1], 3);
    cr_assert(packet_sound(p, n));
    clear_in(packet(60)); /* not ECN-capable */
    cr_assert(wire_take());
    wire[1] = 3;
    esp_in();
    cr_assert_null(clear_out(&n));
    cr_assert_eq(world_counter(right, FLOW_ESP_ECN), 1);
}

/* Seal arbitrary plain text under the pair's keys. */
static void forge(const uint8_t *text, uint32_t bytes, uint32_t number)
{
    struct bus_sa_install out = message(BUS_DIRECTION_OUTBOUND, FW_ENC_AES_GCM_256, FW_INTEG_NONE);
    const struct ipsec_engine *e = ipsec_engine_find(FW_ENC_AES_GCM_256, FW_INTEG_NONE, "openssl");
    struct ipsec_key *k =
        e->key_new(FW_ENC_AES_GCM_256, FW_INTEG_NONE, out.key.data, NULL, true);
    uint8_t *esp = wire + 20;
    struct ipsec_job job = {.in = text,
                            .out = esp + 16,
                            .bytes = bytes,
                            .header = esp,
                            .sequence = number,
                            .iv = esp + 8,
                            .ret_tag = esp + 16 + bytes};

    memcpy(&job.salt, out.key.data + 32, 4);
    packet_make(wire, "203.0.113.1", "192.0.2.7", FLOW_PROTO_ESP, 0, 0, 20 + 16 + bytes + 16);
    memcpy(esp, "\x00\x51\x23\x45\x00\x00\x00", 7);
    esp[7] = (uint8_t)number;
    wire_bytes = 20 + 16 + bytes + 16;
    cr_assert(e->seal(k, &job));
    e->key_free(k);
    esp_in();
}

Test(esp, trailers)
{
    uint8_t text[200] = {0};
    uint32_t n;

    pair_of(FW_ENC_AES_GCM_256, FW_INTEG_NONE);
    /* traffic flow confidentiality: zeroes behind the inner packet */
    packet_make(text, "10.0.1.2", "10.8.0.5", FLOW_PROTO_UDP, 7, 8, 50);
    text[119] = FLOW_PROTO_IPIP;
    forge(text, 120, 1);
    cr_assert_not_null(clear_out(&n));
    cr_assert_eq(n, 50);
    text[119] = 59; /* a dummy */
    forge(text, 120, 2);
    cr_assert_eq(world_counter(right, FLOW_ESP_DUMMY), 1);
    text[119] = FLOW_PROTO_TCP; /* transport mode is not ours */
    forge(text, 120, 3);
    text[119] = FLOW_PROTO_IPV6; /* says 6, is 4 */
    forge(text, 120, 4);
    text[119] = FLOW_PROTO_IPIP;
    text[118] = 119; /* more padding than there is */
    forge(text, 120, 5);
    text[118] = 3; /* wrong padding */
    forge(text, 120, 6);
    text[118] = 0;
    text[3] = 119; /* inner length reaches into the trailer */
    forge(text, 120, 7);
    text[3] = 19; /* shorter than its header */
    forge(text, 120, 8);
    cr_assert_eq(world_counter(right, FLOW_BAD_TRAILER), 6);
    cr_assert_null(clear_out(&n));
}

Test(esp, outer_nonsense)
{
    uint32_t full;

    pair_of(FW_ENC_AES_GCM_256, FW_INTEG_NONE);
    clear_in(packet(60));
    cr_assert(wire_take());
    full = wire_bytes;
    for (wire_bytes = 1; wire_bytes < full; wire_bytes++) { /* shorter than its length says */
        esp_in();
    }
    cr_assert_eq(world_counter(right, FLOW_BAD_HEADER), full - 1);
    wire_bytes = full;
    wire[6] = 0x20;
    esp_in();
    cr_assert_eq(world_counter(right, FLOW_ESP_FRAGMENT), 1);
    wire[6] = 0;
    wire[23] ^= 1;
    esp_in();
    cr_assert_eq(world_counter(right, FLOW_INVALID_SPI), 1);
    wire[23] ^= 1;
    wire[3] = 20 + 8 + 8 + 16 + 1;
    esp_in();
    cr_assert_eq(world_counter(right, FLOW_BAD_HEADER), full);
}

Test(esp, sas_that_make_no_sense_are_refused)
{
    struct bus_sa_install m = message(BUS_DIRECTION_OUTBOUND, FW_ENC_AES_GCM_256, FW_INTEG_NONE);
    struct bus_sa_install bad;
    g_autoptr(GError) error = NULL;

    bad = m;
    bad.key.len = 32;
    cr_assert_null(ipsec_sa_new(&bad, NULL, &error));
    g_clear_error(&error);
    bad = m;
    bad.encryption = 99;
    cr_assert_null(ipsec_sa_new(&bad, NULL, &error));
    g_clear_error(&error);
    bad = m;
    bad.spi = 255;
    cr_assert_null(ipsec_sa_new(&bad, NULL, &error));
    g_clear_error(&error);
    bad = m;
    bad.remote = addr("fd00::1");
    cr_assert_null(ipsec_sa_new(&bad, NULL, &error));
    g_clear_error(&error);
    bad = m;
    bad.encryption = FW_ENC_AES_CBC_256; /* without integrity */
    bad.key.len = 32;
    cr_assert_null(ipsec_sa_new(&bad, NULL, &error));
    cr_assert_not_null(error);
}

Test(esp, many_sas_come_and_go)
{
    struct bus_sa_install m = message(BUS_DIRECTION_INBOUND, FW_ENC_AES_GCM_128, FW_INTEG_NONE);
    struct flow_thread *t = &left->all[1];
    struct ipsec_sa *old;

    for (uint32_t i = 0; i < 1000; i++) {
        m.spi = 0x500000 + i * 37;
        m.tunnel = 1 + i;
        m.direction = BUS_DIRECTION_INBOUND;
        install(left, &m, NULL);
        m.direction = BUS_DIRECTION_OUTBOUND;
        install(left, &m, NULL);
    }
    /* The peers' SPIs may be the same: the tunnel tells them apart. */
    m.direction = BUS_DIRECTION_OUTBOUND;
    m.spi = 0x500000;
    m.tunnel = 5000;
    install(left, &m, NULL);
    cr_assert_null(ipsec_remove(t, BUS_DIRECTION_OUTBOUND, 5001, 0x500000));
    old = ipsec_remove(t, BUS_DIRECTION_OUTBOUND, 5000, 0x500000);
    cr_assert_not_null(old);
    ipsec_sa_free(old);
    cr_assert_not_null(ipsec_find_out(t->ipsec, 1));
    for (uint32_t i = 0; i < 1000; i += 2) {
        ipsec_sa_free(ipsec_remove(t, BUS_DIRECTION_INBOUND, 1 + i, 0x500000 + i * 37));
        ipsec_sa_free(ipsec_remove(t, BUS_DIRECTION_OUTBOUND, 1 + i, 0x500000 + i * 37));
    }
    for (uint32_t i = 0; i < 1000; i++) {
        cr_assert_eq(ipsec_find_in(t->ipsec, 0x500000 + i * 37) != NULL, i % 2);
        cr_assert_eq(ipsec_find_out(t->ipsec, 1 + i) != NULL, i % 2);
    }
    for (uint32_t i = 500; i < IPSEC_SAS_MAX; i++) {
        struct bus_spi_reserve r = {.anchor = 5, .thread = 1};

        cr_assert(ipsec_insert(t, ipsec_sa_larval(&r, 0x580000 + i), &old));
    }
    struct bus_spi_reserve r = {.anchor = 5, .thread = 1};
    struct ipsec_sa *over = ipsec_sa_larval(&r, 0x5f0000);
    cr_assert_not(ipsec_insert(t, over, &old));
    ipsec_sa_free(over);
}

Test(esp, a_crowded_table_finds_what_is_in_it)
{
    static bool there[IPSEC_SAS_MAX * 2];
    struct bus_spi_reserve r = {.anchor = 5, .thread = 1};
    struct flow_thread *t = &left->all[1];
    uint32_t x = 1, n = 0;
    struct ipsec_sa *old;

    memset(there, 0, sizeof there);
    for (unsigned round = 0; round < 40000; round++) {
        uint32_t i;

        x = x * 1664525u + 1013904223u;
        i = (x >> 12) % (IPSEC_SAS_MAX * 2);
        if (there[i]) {
            ipsec_sa_free(ipsec_remove(t, BUS_DIRECTION_INBOUND, 0, 0x500000 + i * 2654435u));
            n--;
        } else if (n == IPSEC_SAS_MAX) {
            continue;
        } else {
            cr_assert(ipsec_insert(t, ipsec_sa_larval(&r, 0x500000 + i * 2654435u), &old));
            n++;
        }
        there[i] = !there[i];
        if (round % 1000 == 0) {
            for (i = 0; i < IPSEC_SAS_MAX * 2; i++) {
                cr_assert_eq(ipsec_find_in(t->ipsec, 0x500000 + i * 2654435u) != NULL, there[i]);
            }
        }
    }
}
