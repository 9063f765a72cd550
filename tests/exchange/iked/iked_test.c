/* vc-iked whole: establishes, survives SIGKILL, follows its anchors, shows what there is. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/exchange/iked/bench.h"

static struct bench *b;

static bool up(struct bench *bench)
{
    return bench->told && bench->up && bench_agrees(bench);
}

static void begin(void)
{
    b = bench_new();
    if (!b) {
        cr_skip_test("this machine gives no network namespace with a TUN device");
    }
}

static void end(void)
{
    if (b) {
        bench_free(b);
    }
}

#define T(name) Test(iked, name, .init = begin, .fini = end)

T(establishes)
{
    cr_assert(bench_wait(b, up));
    cr_assert_eq(b->installs, 2);
    cr_assert_eq(bench_newest(b->sas, true)->spi >> 20, 1);
}

static bool down(struct bench *bench)
{
    return bench->told && !bench->up;
}

static bool peer_up(struct bench *bench)
{
    return ike_tunnel_up(bench->peer, BENCH_TUNNEL);
}

T(answers)
{
    b->tunnel.establish = BUS_ESTABLISH_RESPONDER_ONLY;
    cr_assert(bench_wait(b, down));
    ike_tunnel_initiate(b->peer, BENCH_TUNNEL, fw_clock_ns());
    bench_peer_pump(b);
    cr_assert(bench_wait(b, peer_up));
    cr_assert(bench_wait(b, up));
}

static uint32_t before;

static bool rekeyed(struct bench *bench)
{
    const struct bench_sa *in = bench_newest(bench->sas, true);

    return up(bench) && in->spi != before;
}

T(peer_rekeys)
{
    cr_assert(bench_wait(b, up));
    before = bench_newest(b->sas, true)->spi;
    ike_tunnel_rekey(b->peer, BENCH_TUNNEL, fw_clock_ns());
    bench_peer_pump(b);
    cr_assert(bench_wait(b, rekeyed));
}

/* Nothing is installed or deleted by a restart, and the next rekey works on the same IKE SA. */
T(killed_and_goes_on)
{
    struct bench_sa in, out;

    cr_assert(bench_wait(b, up));
    in = *bench_newest(b->sas, true);
    out = *bench_newest(b->sas, false);
    for (unsigned i = 0; i < 3; i++) {
        bench_kill(b);
        cr_assert(bench_wait(b, up));
        cr_assert_eq(b->installs, 2);
        cr_assert_eq(bench_newest(b->sas, true)->spi, in.spi);
        cr_assert_eq(bench_newest(b->sas, false)->spi, out.spi);
    }
    before = in.spi;
    ike_tunnel_rekey(b->peer, BENCH_TUNNEL, fw_clock_ns());
    bench_peer_pump(b);
    cr_assert(bench_wait(b, rekeyed));
    bench_rpc(b, "get-ike-security-associations-information", NULL, NULL);
    cr_assert(bench_wait(b, bench_answered));
    cr_assert_not_null(strstr(b->answer, "<ike-sa-index>1</ike-sa-index>"));
}

/* SAs of nobody are deleted after a restart, SAs that the card lost are rekeyed. */
T(killed_and_reconciles)
{
    struct bench_sa stray = {.spi = 0x1abcde, .inbound = true, .order = 0};
    struct bench_sa out;

    cr_assert(bench_wait(b, up));
    before = bench_newest(b->sas, true)->spi;
    out = *bench_newest(b->sas, false);
    g_array_set_size(b->sas, 0);
    g_array_append_val(b->sas, stray);
    bench_kill(b);
    cr_assert(bench_wait(b, rekeyed));
    cr_assert_neq(bench_newest(b->sas, false)->spi, out.spi); /* never the old key again */
    for (unsigned i = 0; i < b->sas->len; i++) {
        cr_assert_neq(g_array_index(b->sas, struct bench_sa, i).spi, stray.spi);
    }
}

T(follows_its_anchor)
{
    cr_assert(bench_wait(b, up));
    before = bench_newest(b->sas, true)->spi;
    g_array_set_size(b->sas, 0); /* the card is gone, with everything on it */
    b->tunnel.anchor = 0;
    bench_tell(b);
    cr_assert(bench_wait(b, down));
    b->tunnel.anchor = 5;
    b->tunnel.generation = 2;
    bench_tell(b);
    cr_assert(bench_wait(b, rekeyed));
    cr_assert_eq(bench_newest(b->sas, true)->spi >> 20, 5);
    bench_rpc(b, "get-ike-security-associations-information", NULL, NULL);
    cr_assert(bench_wait(b, bench_answered));
    cr_assert_not_null(strstr(b->answer, "<ike-sa-index>1</ike-sa-index>")); /* the same IKE SA */
}

T(cleared_and_up_again)
{
    cr_assert(bench_wait(b, up));
    before = bench_newest(b->sas, true)->spi;
    bench_rpc(b, "clear-ike-security-association", NULL, NULL);
    cr_assert(bench_wait(b, bench_answered));
    cr_assert(bench_wait(b, rekeyed));
}

T(shows)
{
    static const char *const ike[] = {
        "<ike-gw-name>gw</ike-gw-name>",
        "<ike-sa-fpc>1</ike-sa-fpc>",
        "<ike-sa-role>Initiator</ike-sa-role>",
        "<ike-sa-state>UP</ike-sa-state>",
        "<ike-sa-remote-address>192.0.2.2</ike-sa-remote-address>",
        "<ike-sa-encryption-algorithm>aes256-gcm</ike-sa-encryption-algorithm>",
        "<ike-sa-dhgroup>DH-group-19</ike-sa-dhgroup>"};
    static const char *const ipsec[] = {
        "<sa-vpn-name>vpn-a</sa-vpn-name>", "<sa-anchor-thread>3</sa-anchor-thread>",
        "<sa-local-identity>ipv4(0.0.0.0-255.255.255.255)</sa-local-identity>",
        "<sa-encryption-algorithm>aes-gcm (256 bits)</sa-encryption-algorithm>",
        "<sa-tunnel-event-description>IPsec SA negotiation succeeds</sa-tunnel-event-description>"};
    char spi[64];

    cr_assert(bench_wait(b, up));
    bench_rpc(b, "get-ike-security-associations-information", "detail", NULL);
    cr_assert(bench_wait(b, bench_answered));
    for (unsigned i = 0; i < G_N_ELEMENTS(ike); i++) {
        cr_assert_not_null(strstr(b->answer, ike[i]), "%s", ike[i]);
    }
    bench_rpc(b, "get-security-associations-information", "detail", NULL);
    cr_assert(bench_wait(b, bench_answered));
    for (unsigned i = 0; i < G_N_ELEMENTS(ipsec); i++) {
        cr_assert_not_null(strstr(b->answer, ipsec[i]), "%s", ipsec[i]);
    }
    bench_rpc(b, "get-security-associations-information", NULL, NULL);
    cr_assert(bench_wait(b, bench_answered));
    g_snprintf(spi, sizeof spi, "<sa-spi>0x%08x</sa-spi>", bench_newest(b->sas, true)->spi);
    cr_assert_not_null(strstr(b->answer, spi));
    cr_assert_not_null(strstr(b->answer, "<total-active-tunnels>1</total-active-tunnels>"));
    bench_rpc(b, "get-ipsec-statistics-information", NULL, NULL);
    cr_assert(bench_wait(b, bench_answered));
    cr_assert_not_null(strstr(b->answer, "<esp-encrypted-packets>77</esp-encrypted-packets>"));
    bench_rpc(b, "get-ike-message-statistics", NULL, NULL);
    cr_assert(bench_wait(b, bench_answered));
    cr_assert_not_null(strstr(b->answer, "<name>syntax</name>"));
    cr_assert_null(strstr(b->answer, "<name>ok</name><value>0</value>"));
    bench_rpc(b, "get-security-associations-information", "index", "7");
    cr_assert(bench_wait(b, bench_answered));
    cr_assert_null(strstr(b->answer, "vpn-a"));
}

T(peer_comes_late)
{
    b->peer_dead = true;
    cr_assert(bench_wait(b, down));
    b->peer_dead = false;
    cr_assert(bench_wait(b, up));
}
