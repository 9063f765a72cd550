/* IKE_SA_INIT and IKE_AUTH between two ends, with loss, repetition and refusals. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/exchange/world.h"

static struct world *w;

static void begin(void)
{
    w = world_new();
}

static void end(void)
{
    world_free(w);
}

#define T(name) Test(ike_setup, name, .init = begin, .fini = end)

T(comes_up)
{
    cr_assert(world_up(w));
    cr_assert_eq(w->a.events[IKE_EVENT_CHILD_UP], 1);
    cr_assert_eq(w->b.events[IKE_EVENT_CHILD_UP], 1);
    cr_assert_eq(w->a.sent, 2);
    cr_assert_eq(w->b.sent, 2);
    cr_assert_eq(world_count(&w->a, IKE_INBOUND), 1);
    cr_assert_eq(world_count(&w->a, IKE_OUTBOUND), 1);
}

T(cbc_with_hmac)
{
    w->a.gateway.suites[0].enc = w->b.gateway.suites[0].enc = FW_ENC_AES_CBC_256;
    w->a.gateway.suites[0].integ = w->b.gateway.suites[0].integ = FW_INTEG_SHA256_128;
    w->a.tunnel.suites[0].enc = w->b.tunnel.suites[0].enc = FW_ENC_AES_CBC_128;
    w->a.tunnel.suites[0].integ = w->b.tunnel.suites[0].integ = FW_INTEG_SHA256_128;
    world_configure(&w->a);
    world_configure(&w->b);
    cr_assert(world_up(w));
}

/* Each of the four messages lost once: the back-off brings it again. */
T(loss_of_each_message)
{
    for (unsigned lost = 0; lost < 4; lost++) {
        world_free(w);
        w = world_new();
        ike_tunnel_initiate(w->a.ike, WORLD_TUNNEL, w->now_ns);
        world_drain(&w->a);
        for (unsigned i = 0; i < 4; i++) {
            struct world_end *from = i % 2 ? &w->b : &w->a;

            cr_assert_eq(from->outbox.length, 1);
            if (i == lost) {
                world_drop(from);
                world_advance(w, 3 * FW_SEC);
                world_settle(w);
                break;
            }
            world_deliver(from);
        }
        cr_assert(ike_tunnel_up(w->a.ike, WORLD_TUNNEL));
        cr_assert(ike_tunnel_up(w->b.ike, WORLD_TUNNEL));
        cr_assert(world_passes(&w->a) && world_passes(&w->b));
    }
}

T(every_message_twice)
{
    struct ike_action *copy;

    ike_tunnel_initiate(w->a.ike, WORLD_TUNNEL, w->now_ns);
    world_drain(&w->a);
    for (unsigned i = 0; i < 12 && (w->a.outbox.length || w->b.outbox.length); i++) {
        struct world_end *from = w->a.outbox.length ? &w->a : &w->b;

        copy = world_peek(from);
        world_deliver(from);
        world_inject(from->peer, copy);
        ike_action_free(copy);
    }
    world_settle(w);
    cr_assert(ike_tunnel_up(w->a.ike, WORLD_TUNNEL));
    cr_assert_eq(world_count(&w->a, IKE_INBOUND), 1);
    cr_assert_eq(world_count(&w->b, IKE_INBOUND), 1);
    cr_assert(world_passes(&w->a) && world_passes(&w->b));
}

T(nobody_answers)
{
    ike_tunnel_initiate(w->a.ike, WORLD_TUNNEL, w->now_ns);
    world_drain(&w->a);
    for (unsigned i = 0; i < 20 && w->a.outbox.length; i++) {
        world_drop(&w->a);
        world_advance(w, 60 * FW_SEC);
    }
    cr_assert_eq(w->a.events[IKE_EVENT_FAILED], 1);
    cr_assert_eq(w->a.last_reason, IKE_REASON_NO_RESPONSE);
    cr_assert_eq(w->a.sent, 5);
    cr_assert_eq(ike_deadline_ns(w->a.ike), INT64_MAX);
    cr_assert_eq(world_count(&w->a, IKE_INBOUND), 0);
}

T(wrong_key)
{
    w->b.gateway.psk = (const uint8_t *)"another-secret-k";
    world_configure(&w->b);
    cr_assert_not(world_up(w));
    cr_assert_eq(w->a.last_reason, IKE_REASON_AUTHENTICATION);
    cr_assert_eq(w->b.events[IKE_EVENT_IKE_UP], 0);
    cr_assert_eq(world_count(&w->a, IKE_INBOUND), 0);
    world_advance(w, 40 * FW_SEC);
    cr_assert_eq(ike_deadline_ns(w->b.ike), INT64_MAX);
}

T(wrong_identity)
{
    w->a.gateway.local_id = (struct ike_id){2, 6, "a.test"};
    world_configure(&w->a);
    cr_assert_not(world_up(w));
    cr_assert_eq(w->a.last_reason, IKE_REASON_AUTHENTICATION);
}

T(names_as_identities)
{
    w->a.gateway.local_id = w->b.gateway.remote_id = (struct ike_id){2, 6, "a.test"};
    w->b.gateway.local_id = w->a.gateway.remote_id = (struct ike_id){3, 8, "b@b.test"};
    world_configure(&w->a);
    world_configure(&w->b);
    cr_assert(world_up(w));
}

T(no_common_ike_proposal)
{
    w->b.gateway.suites[0].enc = FW_ENC_AES_GCM_256;
    world_configure(&w->b);
    ike_tunnel_initiate(w->a.ike, WORLD_TUNNEL, w->now_ns);
    for (unsigned i = 0; i < 10; i++) {
        world_settle(w);
        world_advance(w, 10 * FW_SEC);
    }
    cr_assert_eq(w->a.last_reason, IKE_REASON_NO_PROPOSAL);
    cr_assert_eq(w->a.events[IKE_EVENT_FAILED], 1);
    cr_assert_leq(w->b.sent, 3);
}

/* The IKE SA lives without its CHILD SA, which comes when the answer changes. */
T(no_common_esp_proposal)
{
    w->b.tunnel.suites[0].enc = FW_ENC_AES_GCM_256;
    world_configure(&w->b);
    cr_assert_not(world_up(w));
    cr_assert_eq(w->a.events[IKE_EVENT_IKE_UP], 1);
    cr_assert_eq(w->a.events[IKE_EVENT_FAILED], 1);
    cr_assert_eq(w->a.last_reason, IKE_REASON_NO_PROPOSAL);
    w->b.tunnel.suites[0].enc = FW_ENC_AES_GCM_128;
    world_configure(&w->b);
    cr_assert(world_up(w));
    cr_assert_eq(w->a.events[IKE_EVENT_IKE_UP], 1);
}

T(selectors_are_narrowed)
{
    fw_prefix_parse("10.1.0.0/16", &w->a.tunnel.selectors[0].local);
    fw_prefix_parse("10.2.0.0/16", &w->a.tunnel.selectors[0].remote);
    w->a.tunnel.n_selectors = 1;
    fw_prefix_parse("10.2.7.0/24", &w->b.tunnel.selectors[0].local);
    fw_prefix_parse("10.0.0.0/8", &w->b.tunnel.selectors[0].remote);
    w->b.tunnel.n_selectors = 1;
    world_configure(&w->a);
    world_configure(&w->b);
    cr_assert(world_up(w));
}

T(selectors_do_not_meet)
{
    fw_prefix_parse("10.1.0.0/16", &w->a.tunnel.selectors[0].local);
    fw_prefix_parse("10.2.0.0/16", &w->a.tunnel.selectors[0].remote);
    w->a.tunnel.n_selectors = 1;
    w->b.tunnel.selectors[0] = w->a.tunnel.selectors[0];
    w->b.tunnel.n_selectors = 1;
    world_configure(&w->a);
    world_configure(&w->b);
    cr_assert_not(world_up(w));
    cr_assert_eq(w->a.last_reason, IKE_REASON_TS_UNACCEPTABLE);
}

T(no_spi_at_the_initiator)
{
    w->a.refuse_spi = true;
    cr_assert_not(world_up(w));
    cr_assert_eq(w->a.last_reason, IKE_REASON_NO_SPI);
    w->a.refuse_spi = false;
    cr_assert(world_up(w));
}

T(no_spi_at_the_responder)
{
    w->b.refuse_spi = true;
    cr_assert_not(world_up(w));
    cr_assert_eq(w->a.events[IKE_EVENT_IKE_UP], 1);
    w->b.refuse_spi = false;
    cr_assert(world_up(w));
    cr_assert_eq(w->a.events[IKE_EVENT_IKE_UP], 1);
}

T(cookie_when_many_are_half_open)
{
    ike_set_half_open(w->b.ike, 0, 10);
    cr_assert(world_up(w));
    cr_assert_eq(ike_counter(w->b.ike, IKE_VERDICT_COOKIE), 1);
    cr_assert_eq(w->a.sent, 3);
}

T(flood_is_bounded)
{
    ike_set_half_open(w->b.ike, 4, 8);
    for (unsigned i = 0; i < 50; i++) {
        struct ike_action *copy;

        ike_tunnel_initiate(w->a.ike, WORLD_TUNNEL, w->now_ns);
        world_drain(&w->a);
        copy = world_peek(&w->a);
        copy->bytes[7] ^= (uint8_t)(i + 1); /* other SPIs, spoofed */
        world_inject(&w->b, copy);
        ike_action_free(copy);
    }
    /* four half-open SAs, the rest stateless: bytes out never exceed bytes in */
    cr_assert_eq(ike_counter(w->b.ike, IKE_VERDICT_OK), 4);
    cr_assert_eq(ike_counter(w->b.ike, IKE_VERDICT_COOKIE), 46);
}

T(both_begin_at_once)
{
    ike_tunnel_initiate(w->a.ike, WORLD_TUNNEL, w->now_ns);
    ike_tunnel_initiate(w->b.ike, WORLD_TUNNEL, w->now_ns);
    world_settle(w);
    cr_assert(ike_tunnel_up(w->a.ike, WORLD_TUNNEL));
    cr_assert(ike_tunnel_up(w->b.ike, WORLD_TUNNEL));
    world_advance(w, 10 * FW_SEC);
    world_settle(w);
    world_advance(w, 10 * FW_SEC);
    cr_assert(world_passes(&w->a) && world_passes(&w->b));
    cr_assert_eq(world_count(&w->a, IKE_INBOUND), 1);
    cr_assert_eq(world_count(&w->b, IKE_INBOUND), 1);
    cr_assert_eq(world_count(&w->b, IKE_OUTBOUND), 1);
}

/* One end loses everything that long after the SA came up, and begins again. */
static void crash_after(int64_t ns)
{
    cr_assert(world_up(w));
    world_advance(w, ns);
    ike_free(w->a.ike);
    g_hash_table_remove_all(w->a.records);
    g_array_set_size(w->a.sas, 0);
    w->a.ike = NULL;
    world_restart(&w->a);
    cr_assert(world_up(w));
    world_advance(w, 10 * FW_SEC);
    cr_assert_eq(world_count(&w->b, IKE_INBOUND), 1);
}

T(initial_contact_after_a_crash)
{
    crash_after(30 * FW_SEC);
}

T(initial_contact_after_a_crash_of_a_young_sa)
{
    crash_after(FW_SEC);
}

T(job_still_out_when_the_sa_ends)
{
    w->a.hold_jobs = true;
    ike_tunnel_initiate(w->a.ike, WORLD_TUNNEL, w->now_ns);
    world_drain(&w->a);
    cr_assert_eq(w->a.held.length, 1);
    ike_gateway_remove(w->a.ike, "gw", w->now_ns);
    world_release(&w->a);
    cr_assert_eq(w->a.outbox.length, 0);
}

T(peer_behind_nat_floats_to_4500)
{
    struct ike_action *copy;

    ike_tunnel_initiate(w->a.ike, WORLD_TUNNEL, w->now_ns);
    world_drain(&w->a);
    copy = world_peek(&w->a);
    world_drop(&w->a);
    copy->local_port = 1027; /* translated */
    cr_assert_eq(world_inject(&w->b, copy), IKE_VERDICT_OK);
    ike_action_free(copy);
    copy = world_peek(&w->b);
    world_drop(&w->b);
    cr_assert_eq(copy->remote_port, 1027);
    copy->remote_port = 500; /* translated back */
    world_inject(&w->a, copy);
    ike_action_free(copy);
    copy = world_peek(&w->a);
    world_drop(&w->a);
    cr_assert_eq(copy->remote_port, 4500);
    cr_assert(copy->natt);
    copy->local_port = 40000;
    world_inject(&w->b, copy);
    ike_action_free(copy);
    copy = world_peek(&w->b);
    cr_assert_eq(copy->local_port, 4500);
    cr_assert_eq(copy->remote_port, 40000);
    cr_assert(copy->natt);
    ike_action_free(copy);
    world_settle(w);
    cr_assert(world_passes(&w->a) && world_passes(&w->b));
    cr_assert_eq(world_outbound(&w->b)->encap_remote, 40000);
    cr_assert_eq(world_outbound(&w->a)->encap_remote, 4500);
}

T(spi_comes_after_the_sa_has_ended)
{
    w->a.hold_spi = true;
    ike_tunnel_initiate(w->a.ike, WORLD_TUNNEL, w->now_ns);
    world_settle(w);
    cr_assert_eq(w->a.held.length, 1);
    ike_gateway_remove(w->a.ike, "gw", w->now_ns);
    world_release(&w->a);
    cr_assert_eq(w->a.sas->len, 0);
}

/* Our own attempt gives way when the peer's has made the tunnel. */
T(peer_was_faster)
{
    ike_tunnel_initiate(w->a.ike, WORLD_TUNNEL, w->now_ns);
    world_drain(&w->a);
    world_drop(&w->a);
    ike_tunnel_initiate(w->b.ike, WORLD_TUNNEL, w->now_ns);
    world_settle(w);
    cr_assert(ike_tunnel_up(w->a.ike, WORLD_TUNNEL));
    world_advance(w, 20 * FW_SEC);
    cr_assert_eq(w->a.outbox.length, 0);
    cr_assert_eq(w->a.events[IKE_EVENT_FAILED], 0);
}
