/* CREATE_CHILD_SA, deletes, liveness and restarts between two ends, with staged loss. */
#include <criterion/criterion.h>
#include <string.h>

#include "re/ike/internal.h"
#include "tests/exchange/world.h"

static struct world *w;

static void begin(void)
{
    w = world_new();
    cr_assert(world_up(w));
    world_advance(w, 20 * FW_SEC);
}

static void end(void)
{
    world_free(w);
}

#define T(name) Test(ike_child, name, .init = begin, .fini = end)

/* One datagram at a time, and packets pass both ways at every moment. */
static void settle_passing(void)
{
    world_drain(&w->a);
    world_drain(&w->b);
    cr_assert(world_passes(&w->a) && world_passes(&w->b));
    for (unsigned i = 0; i < 100 && (w->a.outbox.length || w->b.outbox.length); i++) {
        world_deliver(w->a.outbox.length ? &w->a : &w->b);
        cr_assert(world_passes(&w->a));
        cr_assert(world_passes(&w->b));
    }
}

static void one_pair_left(void)
{
    world_advance(w, 30 * FW_SEC);
    cr_assert_eq(world_count(&w->a, IKE_INBOUND), 1);
    cr_assert_eq(world_count(&w->a, IKE_OUTBOUND), 1);
    cr_assert_eq(world_count(&w->b, IKE_INBOUND), 1);
    cr_assert_eq(world_count(&w->b, IKE_OUTBOUND), 1);
    cr_assert(world_passes(&w->a) && world_passes(&w->b));
}

T(rekey_loses_nothing)
{
    uint32_t before = world_outbound(&w->a)->spi;

    ike_tunnel_rekey(w->a.ike, WORLD_TUNNEL, w->now_ns);
    settle_passing();
    cr_assert_neq(world_outbound(&w->a)->spi, before);
    cr_assert_eq(w->a.events[IKE_EVENT_CHILD_REKEYED], 1);
    cr_assert_eq(w->b.events[IKE_EVENT_CHILD_REKEYED], 1);
    cr_assert_eq(w->a.events[IKE_EVENT_CHILD_DOWN], 0);
    one_pair_left();
}

/* The old inbound SA still decrypts for a while after the Delete. */
T(old_inbound_stays)
{
    uint32_t old = world_outbound(&w->b)->spi;

    ike_tunnel_rekey(w->a.ike, WORLD_TUNNEL, w->now_ns);
    settle_passing();
    world_advance(w, 2 * FW_SEC);
    cr_assert_not_null(world_inbound(&w->a, old));
    world_advance(w, 10 * FW_SEC);
    cr_assert_null(world_inbound(&w->a, old));
}

T(rekey_from_the_responder)
{
    ike_tunnel_rekey(w->b.ike, WORLD_TUNNEL, w->now_ns);
    settle_passing();
    one_pair_left();
}

T(rekey_with_pfs)
{
    w->a.tunnel.suites[0].group = w->b.tunnel.suites[0].group = 19;
    world_configure(&w->b);
    world_configure(&w->a);
    world_settle(w);
    cr_assert(world_up(w));
    ike_tunnel_rekey(w->a.ike, WORLD_TUNNEL, w->now_ns);
    settle_passing();
    one_pair_left();
}

/* The responder goes on sending on the old pair until the Delete or a second has come. */
T(responder_switches_late)
{
    uint32_t old = world_outbound(&w->b)->spi;

    for (int round = 0; round < 2; round++) {
        ike_tunnel_rekey(w->a.ike, WORLD_TUNNEL, w->now_ns);
        world_drain(&w->a);
        world_deliver(&w->a);
        cr_assert_eq(world_outbound(&w->b)->spi, old);
        world_deliver(&w->b);
        cr_assert_eq(world_outbound(&w->b)->spi, old);
        if (round == 0) {
            world_deliver(&w->a); /* the Delete */
        } else {
            for (unsigned i = 0; i < 8; i++) {
                while (w->a.outbox.length) {
                    world_drop(&w->a);
                }
                world_advance(w, IKE_SWITCH_NS / 4);
            }
        }
        cr_assert_neq(world_outbound(&w->b)->spi, old);
        old = world_outbound(&w->b)->spi;
        world_settle(w);
        world_advance(w, 20 * FW_SEC);
        world_settle(w);
    }
}

T(delete_of_the_old_is_lost)
{
    ike_tunnel_rekey(w->a.ike, WORLD_TUNNEL, w->now_ns);
    world_drain(&w->a);
    world_deliver(&w->a);
    world_deliver(&w->b);
    cr_assert_eq(w->a.outbox.length, 1);
    world_drop(&w->a); /* the Delete */
    cr_assert(world_passes(&w->b));
    world_advance(w, 3 * FW_SEC);
    settle_passing();
    one_pair_left();
}

T(answer_of_the_rekey_is_lost)
{
    ike_tunnel_rekey(w->a.ike, WORLD_TUNNEL, w->now_ns);
    world_drain(&w->a);
    world_deliver(&w->a);
    world_drop(&w->b);
    cr_assert(world_passes(&w->a) && world_passes(&w->b));
    world_advance(w, 5 * FW_SEC);
    world_settle(w);
    one_pair_left();
    cr_assert_eq(w->b.events[IKE_EVENT_CHILD_REKEYED], 1);
}

T(both_rekey_at_once)
{
    ike_tunnel_rekey(w->a.ike, WORLD_TUNNEL, w->now_ns);
    ike_tunnel_rekey(w->b.ike, WORLD_TUNNEL, w->now_ns);
    settle_passing();
    one_pair_left();
}

/* The other order of arrival: a's request is answered before b sends its own. */
T(rekey_crosses_the_answer)
{
    ike_tunnel_rekey(w->a.ike, WORLD_TUNNEL, w->now_ns);
    world_drain(&w->a);
    ike_tunnel_rekey(w->b.ike, WORLD_TUNNEL, w->now_ns);
    world_drain(&w->b);
    world_deliver(&w->b); /* a answers b's while its own is out */
    world_deliver(&w->a);
    settle_passing();
    one_pair_left();
}

T(delete_crosses_a_rekey)
{
    ike_tunnel_rekey(w->a.ike, WORLD_TUNNEL, w->now_ns);
    world_drain(&w->a);
    ike_tunnel_clear(w->b.ike, WORLD_TUNNEL, IKE_REASON_OPERATOR, w->now_ns);
    world_drain(&w->b);
    world_deliver(&w->a);
    cr_assert_eq(world_count(&w->b, IKE_INBOUND), 1); /* TEMPORARY_FAILURE, nothing reserved */
    world_settle(w);
    for (unsigned i = 0; i < 5; i++) {
        world_advance(w, 10 * FW_SEC);
        world_settle(w);
    }
    cr_assert(world_up(w));
    one_pair_left();
}

T(both_delete)
{
    ike_tunnel_clear(w->a.ike, WORLD_TUNNEL, IKE_REASON_OPERATOR, w->now_ns);
    ike_tunnel_clear(w->b.ike, WORLD_TUNNEL, IKE_REASON_OPERATOR, w->now_ns);
    world_settle(w);
    world_advance(w, 10 * FW_SEC);
    cr_assert_eq(w->a.sas->len, 0);
    cr_assert_eq(w->b.sas->len, 0);
    cr_assert_not(ike_tunnel_up(w->a.ike, WORLD_TUNNEL));
    cr_assert(world_up(w));
    cr_assert_eq(w->a.events[IKE_EVENT_IKE_UP], 1);
}

T(ike_delete_takes_all)
{
    ike_sa_clear(w->a.ike, 0, IKE_REASON_OPERATOR, w->now_ns);
    world_settle(w);
    cr_assert_eq(w->a.sas->len, 0);
    cr_assert_eq(w->b.sas->len, 0);
    cr_assert_eq(w->b.events[IKE_EVENT_IKE_DOWN], 1);
    cr_assert_eq(g_hash_table_size(w->a.records), 0);
    cr_assert_eq(g_hash_table_size(w->b.records), 0);
}

T(soft_lifetime_rekeys)
{
    for (unsigned i = 0; i < 8; i++) {
        world_advance(w, 1000 * FW_SEC);
        settle_passing();
        world_advance(w, 20 * FW_SEC);
        settle_passing();
    }
    cr_assert_geq(w->a.events[IKE_EVENT_CHILD_REKEYED], 2);
    cr_assert_eq(w->a.events[IKE_EVENT_CHILD_DOWN], 0);
    one_pair_left();
}

T(ike_sa_is_rekeyed)
{
    for (int side = 0; side < 2; side++) {
        struct world_end *e = side ? &w->b : &w->a;

        for (uint32_t index = 1; index < 10; index++) {
            ike_sa_rekey(e->ike, index, w->now_ns);
        }
        settle_passing();
        cr_assert_eq(e->events[IKE_EVENT_IKE_REKEYED], 1 + (unsigned)side);
        cr_assert_eq(g_hash_table_size(w->a.records), 1);
        cr_assert_eq(g_hash_table_size(w->b.records), 1);
        ike_tunnel_rekey(w->a.ike, WORLD_TUNNEL, w->now_ns);
        settle_passing();
        one_pair_left();
    }
    cr_assert_eq(w->a.events[IKE_EVENT_IKE_DOWN], 0);
}

T(both_rekey_the_ike_sa)
{
    for (uint32_t index = 1; index < 10; index++) {
        ike_sa_rekey(w->a.ike, index, w->now_ns);
        ike_sa_rekey(w->b.ike, index, w->now_ns);
    }
    settle_passing();
    for (unsigned i = 0; i < 6; i++) {
        world_advance(w, 2 * FW_SEC);
        settle_passing();
    }
    cr_assert_geq(w->a.events[IKE_EVENT_IKE_REKEYED], 1);
    one_pair_left();
}

T(anchor_lost_is_rekeyed_elsewhere)
{
    uint32_t old_in = world_outbound(&w->b)->spi;

    g_array_set_size(w->a.sas, 0); /* the card is gone */
    w->a.tunnel.place.anchor = 0;
    world_configure(&w->a);
    world_settle(w);
    cr_assert_not(ike_tunnel_up(w->a.ike, WORLD_TUNNEL));
    w->a.tunnel.place = (struct ike_placement){2, 2, 1, 0, 7};
    world_configure(&w->a);
    world_settle(w);
    cr_assert(ike_tunnel_up(w->a.ike, WORLD_TUNNEL));
    cr_assert_neq(world_outbound(&w->b)->spi, old_in);
    cr_assert_eq(world_outbound(&w->b)->spi >> 20, 2);
    cr_assert_eq(w->a.events[IKE_EVENT_IKE_UP], 1);
    one_pair_left();
}

T(dead_peer_is_noticed)
{
    w->a.gateway.dpd = IKE_DPD_ALWAYS;
    world_configure(&w->a);
    for (unsigned i = 0; i < 40 && w->a.events[IKE_EVENT_IKE_DOWN] == 0; i++) {
        while (w->a.outbox.length) {
            world_drop(&w->a);
        }
        world_advance(w, 5 * FW_SEC);
        if (i == 0) { /* dpd is taken up by the next SA: make one */
            ike_sa_rekey(w->a.ike, 1, w->now_ns);
            world_settle(w);
        }
    }
    cr_assert_eq(w->a.events[IKE_EVENT_IKE_DOWN], 1);
    cr_assert_eq(w->a.last_reason, IKE_REASON_PEER_DEAD);
    cr_assert_eq(w->a.sas->len, 0);
}

T(restart_goes_on)
{
    uint32_t spi = world_outbound(&w->a)->spi;

    world_restart(&w->a);
    cr_assert(ike_tunnel_up(w->a.ike, WORLD_TUNNEL));
    cr_assert_eq(world_outbound(&w->a)->spi, spi);
    ike_tunnel_rekey(w->a.ike, WORLD_TUNNEL, w->now_ns);
    settle_passing();
    one_pair_left();
    world_restart(&w->b);
    ike_tunnel_rekey(w->b.ike, WORLD_TUNNEL, w->now_ns);
    settle_passing();
    one_pair_left();
}

/* Killed between a request and its answer: the same request goes out again. */
T(restart_with_a_request_out)
{
    ike_tunnel_rekey(w->a.ike, WORLD_TUNNEL, w->now_ns);
    world_drain(&w->a);
    world_deliver(&w->a);
    world_drop(&w->b); /* the answer finds nobody */
    world_restart(&w->a);
    world_advance(w, 1 * FW_SEC);
    settle_passing();
    one_pair_left();
    cr_assert_eq(w->b.events[IKE_EVENT_CHILD_REKEYED], 1);
}

/* Killed at every step of a rekey in turn, either end. */
T(restart_at_every_step)
{
    for (unsigned step = 0; step < 10; step++) {
        struct world_end *victim = step % 2 ? &w->b : &w->a;

        ike_tunnel_rekey(w->a.ike, WORLD_TUNNEL, w->now_ns);
        world_drain(&w->a);
        for (unsigned i = 0; i < step / 2 && (w->a.outbox.length || w->b.outbox.length); i++) {
            world_deliver(w->a.outbox.length ? &w->a : &w->b);
        }
        world_restart(victim);
        for (unsigned i = 0; i < 10; i++) {
            settle_passing();
            world_advance(w, 3 * FW_SEC);
        }
        settle_passing();
        one_pair_left();
    }
}

T(records_round_trip)
{
    struct ike *other;
    uint8_t one[IKE_RECORD_MAX], two[IKE_RECORD_MAX];
    size_t n = ike_record_write(w->a.ike, 1, one, sizeof one);

    cr_assert_gt(n, 0);
    world_restart(&w->a);
    cr_assert_eq(ike_record_write(w->a.ike, 1, two, sizeof two), n);
    cr_assert_arr_eq(one, two, n);
    other = w->a.ike;
    cr_assert_not(ike_record_read(other, one, n, w->now_ns)); /* twice the same */
    ike_sa_clear(other, 0, IKE_REASON_OPERATOR, w->now_ns);
    world_settle(w);
    for (size_t cut = 0; cut < n; cut++) {
        cr_assert_not(ike_record_read(other, one, cut, w->now_ns));
    }
}

T(forged_messages_change_nothing)
{
    struct ike_action *copy;

    ike_tunnel_rekey(w->a.ike, WORLD_TUNNEL, w->now_ns);
    world_drain(&w->a);
    copy = world_peek(&w->a);
    for (size_t i = 16; i < copy->n_bytes; i++) {
        copy->bytes[i] ^= 0x10;
        cr_assert_neq(world_inject(&w->b, copy), IKE_VERDICT_OK);
        cr_assert_eq(w->b.outbox.length, 0);
        copy->bytes[i] ^= 0x10;
    }
    ike_action_free(copy);
    settle_passing();
    one_pair_left();
}
