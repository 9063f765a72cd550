/*
 * What broke other daemons: payloads missing and repeated, messages in the wrong state, invalid
 * public values, wrong authentication, floods, objects that end while work is under way.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "re/ike/internal.h"
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

#define T(name) Test(ike_hostile, name, .init = begin, .fini = end)

static struct ike_sa *newest(struct ike *ike)
{
    return g_hash_table_lookup(ike->by_index, GUINT_TO_POINTER(ike->last_index));
}

/* b's SA waits for IKE_AUTH; a's message is dropped. */
static struct ike_sa *half_open(void)
{
    ike_tunnel_initiate(w->a.ike, WORLD_TUNNEL, w->now_ns);
    world_drain(&w->a);
    world_deliver(&w->a);
    world_deliver(&w->b);
    world_drop(&w->a);
    return newest(w->b.ike);
}

/* A chain from a peer that has the keys of sa (at b); b's verdict. */
static enum ike_verdict seal_to_b(struct ike_sa *sa, uint8_t exchange, uint8_t first,
                                  const uint8_t *chain, size_t n)
{
    static uint8_t iv[16];
    uint8_t message[IKE_DATAGRAM_MAX];
    struct ike_sk_key key = ike_sk_key_of(sa, true);
    struct ike_header h = {.spi_i = sa->spi_i,
                           .spi_r = sa->spi_r,
                           .exchange = exchange,
                           .flags = IKE_FLAG_INITIATOR,
                           .message_id = sa->in_id};
    struct ike_action a = {.local = w->a.addr,
                           .remote = w->b.addr,
                           .local_port = 500,
                           .remote_port = 500,
                           .bytes = message};

    iv[0]++;
    a.n_bytes = ike_sk_seal(&key, &h, first, chain, n, iv, message, sizeof message);
    cr_assert_gt(a.n_bytes, 0);
    return world_inject(&w->b, &a);
}

/* The chain inside a's oldest datagram. */
static size_t open_a(uint8_t *plain, uint8_t *ret_first, uint8_t *ret_exchange)
{
    struct ike_action *a = world_peek(&w->a);
    struct ike_sa *sa = g_hash_table_lookup(w->a.ike->by_index, GUINT_TO_POINTER(a->sa_index));
    struct fw_cursor c = fw_cursor(a->bytes, a->n_bytes);
    struct ike_sk_key key = ike_sk_key_of(sa, sa->initiator);
    struct ike_payloads ps;
    struct ike_header h;
    size_t n = 0;

    cr_assert_eq(ike_header_parse(&c, &h), IKE_VERDICT_OK);
    cr_assert_eq(ike_payloads_parse(&c, h.next, &ps), IKE_VERDICT_OK);
    cr_assert_eq(ike_sk_open(&key, a->bytes, a->n_bytes, &ps.p[0], plain, &n), IKE_VERDICT_OK);
    *ret_first = ps.inner_first;
    *ret_exchange = h.exchange;
    ike_action_free(a);
    return n;
}

/* ps without payload `skip` (or with it twice) as a chain. */
static size_t rebuild(const struct ike_payloads *ps, unsigned which, bool twice, uint8_t *chain,
                      size_t room, uint8_t *ret_first)
{
    struct ike_builder b = ike_chain_begin(chain, room);

    for (unsigned i = 0; i < ps->n; i++) {
        for (unsigned k = 0; k < (i == which ? (twice ? 2u : 0u) : 1u); k++) {
            ike_payload_begin(&b, ps->p[i].type);
            fw_emit_bytes(&b.e, ps->p[i].body, ps->p[i].len);
            ike_payload_end(&b);
        }
    }
    *ret_first = b.first;
    return fw_emit_len(&b.e);
}

/* Every payload of IKE_AUTH left out and repeated: never an established SA. */
T(auth_with_a_payload_missing_or_twice)
{
    uint8_t plain[IKE_DATAGRAM_MAX], chain[IKE_DATAGRAM_MAX], first, exchange;
    struct ike_payloads ps;
    unsigned n = 1;

    for (unsigned which = 0; which < n; which++) {
        for (int twice = 0; twice < 2; twice++) {
            struct fw_cursor c;
            size_t len;
            bool notify;

            world_free(w);
            w = world_new();
            ike_tunnel_initiate(w->a.ike, WORLD_TUNNEL, w->now_ns);
            world_drain(&w->a);
            world_deliver(&w->a);
            world_deliver(&w->b);
            len = open_a(plain, &first, &exchange);
            cr_assert_eq(exchange, IKE_AUTH);
            c = fw_cursor(plain, len);
            cr_assert_eq(ike_payloads_parse(&c, first, &ps), IKE_VERDICT_OK);
            n = ps.n;
            notify = ps.p[which].type == IKE_P_NOTIFY;
            len = rebuild(&ps, which, twice, chain, sizeof chain, &first);
            seal_to_b(newest(w->b.ike), IKE_AUTH, first, chain, len);
            if (!notify && !(ps.p[which].type == IKE_P_IDR && !twice)) {
                cr_assert_eq(w->b.events[IKE_EVENT_IKE_UP], 0);
                cr_assert_eq(world_count(&w->b, IKE_INBOUND), 0);
            }
        }
    }
    cr_assert_geq(n, 8);
}

/* The same for a rekey over an established SA: the old pair stays or the SA ends; no third way. */
T(create_child_with_a_payload_missing_or_twice)
{
    uint8_t plain[IKE_DATAGRAM_MAX], chain[IKE_DATAGRAM_MAX], first, exchange;
    struct ike_payloads ps;
    unsigned n = 1;

    for (unsigned which = 0; which < n; which++) {
        for (int twice = 0; twice < 2; twice++) {
            struct fw_cursor c;
            size_t len;

            world_free(w);
            w = world_new();
            cr_assert(world_up(w));
            ike_tunnel_rekey(w->a.ike, WORLD_TUNNEL, w->now_ns);
            world_drain(&w->a);
            len = open_a(plain, &first, &exchange);
            cr_assert_eq(exchange, IKE_CREATE_CHILD_SA);
            c = fw_cursor(plain, len);
            cr_assert_eq(ike_payloads_parse(&c, first, &ps), IKE_VERDICT_OK);
            n = ps.n;
            len = rebuild(&ps, which, twice, chain, sizeof chain, &first);
            seal_to_b(newest(w->b.ike), IKE_CREATE_CHILD_SA, first, chain, len);
            cr_assert_leq(world_count(&w->b, IKE_INBOUND), 2);
            if (ps.p[which].type != IKE_P_NOTIFY) {
                cr_assert_leq(world_count(&w->b, IKE_INBOUND), 1);
                cr_assert_eq(w->b.events[IKE_EVENT_CHILD_REKEYED], 0);
            }
        }
    }
}

T(other_exchanges_before_authentication)
{
    struct ike_sa *sa = half_open();

    cr_assert_eq(seal_to_b(sa, IKE_INFORMATIONAL, 0, NULL, 0), IKE_VERDICT_STATE);
    cr_assert_eq(w->b.outbox.length, 0);
    cr_assert_eq(seal_to_b(sa, IKE_CREATE_CHILD_SA, 0, NULL, 0), IKE_VERDICT_SYNTAX);
    cr_assert_eq(w->b.events[IKE_EVENT_IKE_UP], 0);
    cr_assert_eq(world_count(&w->b, IKE_INBOUND), 0);
}

T(auth_again_when_established)
{
    cr_assert(world_up(w));
    seal_to_b(newest(w->b.ike), IKE_AUTH, 0, NULL, 0);
    cr_assert_eq(w->b.events[IKE_EVENT_CHILD_UP], 1);
    cr_assert_eq(w->b.events[IKE_EVENT_IKE_UP], 1);
}

T(unknown_critical_payload)
{
    static const uint8_t chain[] = {0, 0x80, 0, 4};
    static const uint8_t harmless[] = {0, 0, 0, 4};

    cr_assert(world_up(w));
    cr_assert_eq(seal_to_b(newest(w->b.ike), IKE_INFORMATIONAL, 200, chain, 4),
                 IKE_VERDICT_CRITICAL);
    cr_assert_eq(seal_to_b(newest(w->b.ike), IKE_INFORMATIONAL, 200, harmless, 4), IKE_VERDICT_OK);
    cr_assert(ike_tunnel_up(w->b.ike, WORLD_TUNNEL));
}

T(lengths_that_lie)
{
    static const uint8_t chains[][8] = {
        {0, 0, 0, 0}, {0, 0, 0, 3}, {0, 0, 0, 5}, {0, 0, 0xff, 0xff}, {41, 0, 0, 4}, {42, 0, 0, 8},
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(chains); i++) {
        world_free(w);
        w = world_new();
        cr_assert(world_up(w));
        cr_assert_eq(seal_to_b(newest(w->b.ike), IKE_INFORMATIONAL, IKE_P_NOTIFY, chains[i], 4),
                     IKE_VERDICT_SYNTAX);
        /* authentic but malformed: both ends give the SA up */
        cr_assert_eq(w->b.events[IKE_EVENT_IKE_DOWN], 1);
    }
}

/* ---- public values ---- */

/* Replace the KE data of a's IKE_SA_INIT. */
static enum ike_verdict init_with_ke(uint16_t group, const uint8_t *data, size_t n)
{
    struct ike_action *a;
    struct ike_payloads ps;
    struct ike_header h;
    struct fw_cursor c;
    uint8_t buffer[2048];
    struct ike_builder b;
    struct ike_action out = {.local = w->a.addr,
                             .remote = w->b.addr,
                             .local_port = 500,
                             .remote_port = 500,
                             .bytes = buffer};

    ike_tunnel_initiate(w->a.ike, WORLD_TUNNEL, w->now_ns);
    world_drain(&w->a);
    a = world_peek(&w->a);
    c = fw_cursor(a->bytes, a->n_bytes);
    cr_assert_eq(ike_header_parse(&c, &h), IKE_VERDICT_OK);
    cr_assert_eq(ike_payloads_parse(&c, h.next, &ps), IKE_VERDICT_OK);
    b = ike_clear_begin(buffer, sizeof buffer, &h);
    for (unsigned i = 0; i < ps.n; i++) {
        if (ps.p[i].type == IKE_P_KE) {
            ike_ke_emit(&b, group, data, n);
            continue;
        }
        ike_payload_begin(&b, ps.p[i].type);
        fw_emit_bytes(&b.e, ps.p[i].body, ps.p[i].len);
        ike_payload_end(&b);
    }
    out.n_bytes = ike_clear_end(&b);
    ike_action_free(a);
    return world_inject(&w->b, &out);
}

T(public_values_that_are_none)
{
    uint8_t zero[64] = {0}, ones[64], off[64] = {[31] = 1, [63] = 1}, p[64];
    static const uint8_t prime[32] = {0xff, 0xff, 0xff, 0xff, 0,    0,    0,    1,
                                      0,    0,    0,    0,    0,    0,    0,    0,
                                      0,    0,    0,    0,    0xff, 0xff, 0xff, 0xff,
                                      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

    memset(ones, 0xff, sizeof ones);
    memcpy(p, prime, 32);
    memcpy(p + 32, prime, 32);
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t *const values[] = {zero, ones, off, p};

        world_free(w);
        w = world_new();
        cr_assert_eq(init_with_ke(19, values[i], 64), IKE_VERDICT_OK);
        cr_assert_eq(w->b.outbox.length, 0); /* no answer, no keys */
        cr_assert_eq(g_hash_table_size(w->b.ike->by_index), 0);
        cr_assert_eq(w->b.ike->half_open, 0);
    }
}

T(public_values_of_a_wrong_length)
{
    uint8_t data[600] = {1};
    static const size_t lengths[] = {1, 31, 32, 63, 65, 128, 512, 513, 600};

    for (unsigned i = 0; i < G_N_ELEMENTS(lengths); i++) {
        world_free(w);
        w = world_new();
        cr_assert_eq(init_with_ke(19, data, lengths[i]), IKE_VERDICT_SYNTAX);
        cr_assert_eq(g_hash_table_size(w->b.ike->by_index), 0);
    }
}

T(another_group_is_asked_for)
{
    uint8_t data[256] = {2};

    cr_assert_eq(init_with_ke(14, data, sizeof data), IKE_VERDICT_REFUSED);
    cr_assert_eq(w->b.outbox.length, 1); /* INVALID_KE_PAYLOAD */
    cr_assert_eq(init_with_ke(9999, data, sizeof data), IKE_VERDICT_REFUSED);
    cr_assert_eq(g_hash_table_size(w->b.ike->by_index), 0);
}

/* ---- floods and limits ---- */

T(answers_are_no_larger_than_questions)
{
    struct ike_action *a;
    size_t asked;

    ike_tunnel_initiate(w->a.ike, WORLD_TUNNEL, w->now_ns);
    world_drain(&w->a);
    a = world_peek(&w->a);
    asked = a->n_bytes;
    world_inject(&w->b, a);
    ike_action_free(a);
    a = world_peek(&w->b);
    cr_assert_leq(a->n_bytes, asked);
    ike_action_free(a);
}

T(stray_answers_are_ignored)
{
    struct ike_action *a;

    ike_tunnel_initiate(w->a.ike, WORLD_TUNNEL, w->now_ns);
    world_drain(&w->a);
    world_deliver(&w->a);
    a = world_peek(&w->b);
    for (unsigned i = 0; i < 8; i++) { /* nobody asked for these */
        a->bytes[i] ^= 1;
        cr_assert_eq(world_inject(&w->a, a), IKE_VERDICT_UNKNOWN_SA);
        a->bytes[i] ^= 1;
    }
    ike_action_free(a);
    world_settle(w);
    cr_assert(ike_tunnel_up(w->a.ike, WORLD_TUNNEL));
}

/* A forged refusal of IKE_SA_INIT does not keep the real answer out. */
T(forged_refusal)
{
    struct ike_action *real, *question;
    uint8_t buffer[128];
    struct ike_header h = {.exchange = IKE_SA_INIT, .flags = IKE_FLAG_RESPONSE};
    struct ike_builder b;
    struct ike_action forged = {.local = w->b.addr,
                                .remote = w->a.addr,
                                .local_port = 500,
                                .remote_port = 500,
                                .bytes = buffer};

    ike_tunnel_initiate(w->a.ike, WORLD_TUNNEL, w->now_ns);
    world_drain(&w->a);
    question = world_peek(&w->a);
    struct fw_cursor c = fw_cursor(question->bytes, 8);
    h.spi_i = fw_cursor_u64(&c);
    ike_action_free(question);
    b = ike_clear_begin(buffer, sizeof buffer, &h);
    ike_notify_emit(&b, IKE_N_NO_PROPOSAL_CHOSEN, NULL, 0);
    forged.n_bytes = ike_clear_end(&b);
    world_deliver(&w->a);
    real = g_queue_pop_head(&w->b.outbox);
    cr_assert_eq(world_inject(&w->a, &forged), IKE_VERDICT_REFUSED);
    cr_assert_eq(world_inject(&w->a, real), IKE_VERDICT_OK);
    ike_action_free(real);
    world_settle(w);
    cr_assert(ike_tunnel_up(w->a.ike, WORLD_TUNNEL));
}

T(children_are_bounded)
{
    cr_assert(world_up(w));
    struct ike_sa *sa = newest(w->b.ike);

    for (unsigned i = 0; i < 200; i++) {
        uint8_t chain[512];
        struct ike_builder b = ike_chain_begin(chain, sizeof chain);
        struct fw_prefix any = {{FW_FAMILY_V4, {0}}, 0};
        static const uint8_t nonce[32] = {1};

        ike_esp_emit(&b, w->b.tunnel.suites, 1, 1, 0x1000 + i, true);
        ike_payload_begin(&b, IKE_P_NONCE);
        fw_emit_bytes(&b.e, nonce, sizeof nonce);
        ike_payload_end(&b);
        ike_ts_emit(&b, IKE_P_TSI, &any, 1);
        ike_ts_emit(&b, IKE_P_TSR, &any, 1);
        seal_to_b(sa, IKE_CREATE_CHILD_SA, b.first, chain, fw_emit_len(&b.e));
    }
    cr_assert_leq(world_count(&w->b, IKE_INBOUND), IKE_CHILDREN_MAX);
    cr_assert(ike_tunnel_up(w->b.ike, WORLD_TUNNEL));
}

/* ---- ends while work is under way ---- */

T(sa_deleted_while_its_answer_is_computed)
{
    w->a.tunnel.suites[0].group = w->b.tunnel.suites[0].group = 19;
    world_configure(&w->a);
    world_configure(&w->b);
    cr_assert(world_up(w));
    w->b.hold_jobs = true;
    ike_tunnel_rekey(w->a.ike, WORLD_TUNNEL, w->now_ns);
    world_drain(&w->a);
    world_deliver(&w->a);
    cr_assert_eq(w->b.held.length, 1);
    ike_gateway_remove(w->b.ike, "gw", w->now_ns);
    world_drain(&w->b);
    for (unsigned i = 0; i < 8; i++) { /* nobody answers the Delete: the SA goes */
        world_advance(w, 40 * FW_SEC);
        while (w->a.outbox.length) {
            world_drop(&w->a);
        }
        while (w->b.outbox.length) {
            world_drop(&w->b);
        }
    }
    cr_assert_eq(g_hash_table_size(w->b.ike->by_index), 0);
    world_release(&w->b);
    cr_assert_eq(w->b.sas->len, 0);
    cr_assert_eq(g_hash_table_size(w->b.ike->waiting), 0);
}

static bool count_current(const struct ike_child_view *v, void *data)
{
    *(unsigned *)data += v->current;
    return true;
}

/* After a rekey the peer deletes the new pair, not the old one: the old one carries on. */
T(new_pair_is_deleted_instead_of_the_old)
{
    uint8_t chain[64];
    struct ike_builder b = ike_chain_begin(chain, sizeof chain);
    unsigned current = 0;
    struct ike_sa *sa;
    uint32_t old, spi;

    cr_assert(world_up(w));
    old = world_outbound(&w->b)->spi;
    ike_tunnel_rekey(w->a.ike, WORLD_TUNNEL, w->now_ns);
    world_drain(&w->a);
    world_deliver(&w->a);
    world_drop(&w->b);
    sa = newest(w->b.ike);
    cr_assert_eq(sa->children->len, 2);
    spi = ((struct ike_child *)sa->children->pdata[1])->spi_out;
    ike_delete_esp_emit(&b, &spi, 1);
    cr_assert_eq(seal_to_b(sa, IKE_INFORMATIONAL, b.first, chain, fw_emit_len(&b.e)),
                 IKE_VERDICT_OK);
    cr_assert_eq(world_outbound(&w->b)->spi, old);
    ike_child_each(w->b.ike, count_current, &current);
    cr_assert_eq(current, 1);
}

/* Delete, then a notification about the same SA, in one message. */
T(delete_followed_by_notify)
{
    uint8_t chain[128];
    struct ike_builder b = ike_chain_begin(chain, sizeof chain);

    cr_assert(world_up(w));
    uint32_t spi = world_outbound(&w->b)->spi;

    ike_delete_esp_emit(&b, &spi, 1);
    ike_notify_rekey_emit(&b, IKE_N_INVALID_SPI, spi);
    ike_delete_esp_emit(&b, &spi, 1);
    ike_delete_ike_emit(&b);
    cr_assert_eq(seal_to_b(newest(w->b.ike), IKE_INFORMATIONAL, b.first, chain, fw_emit_len(&b.e)),
                 IKE_VERDICT_OK);
    cr_assert_eq(w->b.sas->len, 0);
    cr_assert_eq(g_hash_table_size(w->b.ike->by_index), 0);
}
