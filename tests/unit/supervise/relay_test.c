/* The midplane relay: who may say what, to whom it goes, what a board's end means. */
#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>

#include "firmware/bus/bus.h"
#include "firmware/core/clock.h"
#include "hw/supervise/relay.h"
#include "messages.h"

static struct hw_relay *relay;
static struct bus_conn *re, *card, *other;
static unsigned re_events, card_events, other_events, re_calls, subscriptions;
static bool re_answers;
static int answer; /* 0 none, 1 ok, 2 error */

static void on_message(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                       int *fds, unsigned n_fds, void *data)
{
    if (header->kind == BUS_CALL && header->type == BUS_SUBSCRIBE) {
        subscriptions++;
        bus_reply_ok(conn, header);
    } else if (header->kind == BUS_CALL) {
        re_calls++;
        if (re_answers) {
            bus_reply_ok(conn, header);
        }
    } else {
        (*(unsigned *)data)++;
    }
}

static void on_closed(struct bus_conn *conn, void *data)
{
}

static struct bus_conn *sit(uint8_t slot, uint16_t own, unsigned *events)
{
    static const struct bus_handler handler = {on_message, on_closed};
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    hw_relay_add(relay, slot, pair[0]);
    return bus_conn_new(pair[1], own, &handler, events);
}

static void setup(void)
{
    relay = hw_relay_new();
    re = sit(BUS_SLOT_RE0, BUS_RE(BUS_ROLE_BOARD), &re_events);
    card = sit(1, BUS_ADDRESS(1, 0), &card_events);
    other = sit(2, BUS_ADDRESS(2, 0), &other_events);
    re_answers = true;
}

static void teardown(void)
{
    bus_conn_free(re);
    bus_conn_free(card);
    bus_conn_free(other);
    hw_relay_free(relay);
}

static bool spin(const unsigned *counter, unsigned wanted)
{
    int64_t deadline = fw_clock_ns() + 10 * FW_SEC;

    while (*counter < wanted && fw_clock_ns() < deadline) {
        g_main_context_iteration(NULL, FALSE);
    }
    return *counter == wanted;
}

static void on_reply(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                     const GError *error, void *data)
{
    answer = error ? 2 : 1;
}

static bool answered(void)
{
    int64_t deadline = fw_clock_ns() + 5 * FW_SEC;

    while (!answer && fw_clock_ns() < deadline) {
        g_main_context_iteration(NULL, FALSE);
    }
    return answer != 0;
}

static const struct bus_neighbour_request request = {.ifl = 1};
static const struct bus_statistics_query query = {0};

Test(relay, events_go_to_their_slot_and_subscribers_to_the_re, .init = setup, .fini = teardown)
{
    bus_send(re, BUS_ADDRESS(1, 0), BUS_NEIGHBOUR_REQUEST, &request);
    cr_assert(spin(&card_events, 1));
    bus_send(card, BUS_SUBSCRIBERS, BUS_NEIGHBOUR_REQUEST, &request);
    cr_assert(spin(&re_events, 1));
    cr_assert_eq(other_events, 0);
}

Test(relay, a_forged_source_is_dropped, .init = setup, .fini = teardown)
{
    struct hw_relay_counters c;

    bus_conn_set_own(card, BUS_RE(BUS_ROLE_MGD));
    bus_send(card, BUS_ADDRESS(2, 0), BUS_NEIGHBOUR_REQUEST, &request);
    bus_conn_set_own(card, BUS_ADDRESS(1, 0));
    bus_send(card, BUS_ADDRESS(2, 0), BUS_NEIGHBOUR_REQUEST, &request);
    cr_assert(spin(&other_events, 1));
    hw_relay_count(relay, &c);
    cr_assert_eq(c.forged, 1);
}

Test(relay, calls_are_answered, .init = setup, .fini = teardown)
{
    bus_call(card, BUS_RE(BUS_ROLE_IFD), BUS_STATISTICS_QUERY, &query, 0, on_reply, NULL);
    cr_assert(answered());
    cr_assert_eq(answer, 1);
}

Test(relay, a_call_to_an_empty_slot_fails_at_once, .init = setup, .fini = teardown)
{
    bus_call(re, BUS_ADDRESS(5, 0), BUS_STATISTICS_QUERY, &query, 60000, on_reply, NULL);
    cr_assert(answered());
    cr_assert_eq(answer, 2);
}

Test(relay, the_end_of_a_board_answers_calls_to_it, .init = setup, .fini = teardown)
{
    re_answers = false;
    bus_call(re, BUS_ADDRESS(1, 0), BUS_STATISTICS_QUERY, &query, 60000, on_reply, NULL);
    cr_assert(spin(&re_calls, 1));
    cr_assert_eq(answer, 0);
    hw_relay_remove(relay, 1);
    cr_assert(answered());
    cr_assert_eq(answer, 2);
}

Test(relay, a_new_re_learns_who_subscribed, .init = setup, .fini = teardown)
{
    static const uint16_t types[] = {BUS_IFL_STATE, 0};

    bus_subscribe(card, types);
    cr_assert(spin(&subscriptions, 1));
    bus_conn_free(re);
    re = sit(BUS_SLOT_RE0, BUS_RE(BUS_ROLE_BOARD), &re_events);
    cr_assert(spin(&subscriptions, 2));
    /* A card that left is forgotten. */
    hw_relay_remove(relay, 1);
    bus_conn_free(re);
    re = sit(BUS_SLOT_RE0, BUS_RE(BUS_ROLE_BOARD), &re_events);
    bus_send(re, BUS_ADDRESS(2, 0), BUS_NEIGHBOUR_REQUEST, &request);
    cr_assert(spin(&other_events, 1));
    cr_assert_eq(subscriptions, 2);
}

Test(relay, a_board_that_does_not_read_makes_calls_busy, .init = setup, .fini = teardown)
{
    struct hw_relay_counters c;
    int pair[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    hw_relay_add(relay, 7, pair[0]); /* nobody reads pair[1] */
    for (unsigned n = 0; n < 40000; n++) {
        bus_send(re, BUS_ADDRESS(7, 0), BUS_NEIGHBOUR_REQUEST, &request);
        g_main_context_iteration(NULL, FALSE);
    }
    hw_relay_count(relay, &c);
    cr_assert_gt(c.dropped, 0);
    bus_call(re, BUS_ADDRESS(7, 0), BUS_STATISTICS_QUERY, &query, 60000, on_reply, NULL);
    cr_assert(answered());
    cr_assert_eq(answer, 2);
    hw_relay_count(relay, &c);
    cr_assert_eq(c.busy, 1);
}
