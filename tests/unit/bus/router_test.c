/*
 * Router and connection: calls, deaths, forged sources, retained state, back-pressure, descriptors.
 * Everything runs on one main loop; `turn_until` turns it until a condition holds or a deadline.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/bus/bus.h"
#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "messages.h"

#define IKEMD BUS_RE(BUS_ROLE_IKEMD)
#define NSD   BUS_RE(BUS_ROLE_NSD)
#define CARD  BUS_ADDRESS(1, BUS_ROLE_BOARD)

struct end {
    struct bus_conn *conn;
    unsigned messages, closed, replies, errors;
    struct bus_header last;
    uint16_t last_zone;
    bool last_gone;
    char last_name[65];
    uint16_t role;
    bool role_up;
    bool answer;      /* answer calls */
    int error_code;
    int fd;
};

static struct bus_router *router;
static struct end ikemd, nsd, card;
static int card_fd;

static void message(struct bus_conn *conn, const struct bus_header *h, const void *msg, int *fds,
                    unsigned n_fds, void *data)
{
    struct end *end = data;

    end->messages++;
    end->last = *h;
    if (h->type == BUS_ZONE_STATE) {
        const struct bus_zone_state *z = msg;
        end->last_zone = z->zone;
        end->last_gone = z->gone;
        memcpy(end->last_name, z->name, sizeof end->last_name);
    }
    if (h->type == BUS_ROLE_STATE) {
        end->role = ((const struct bus_role_state *)msg)->address;
        end->role_up = ((const struct bus_role_state *)msg)->up;
    }
    if (n_fds) {
        end->fd = fds[0];
        fds[0] = -1;
    }
    if (h->kind == BUS_CALL && end->answer) {
        bus_reply_ok(conn, h);
    }
}

static void closed(struct bus_conn *conn, void *data)
{
    ((struct end *)data)->closed++;
}

static void replied(struct bus_conn *conn, const struct bus_header *h, const void *msg,
                    const GError *error, void *data)
{
    struct end *end = data;

    if (error) {
        end->errors++;
        end->error_code = error->code;
        cr_assert_null(msg);
    } else {
        end->replies++;
    }
}

static const struct bus_handler handler = {message, closed};

static gboolean wake(gpointer unused)
{
    return G_SOURCE_CONTINUE;
}

#define turn_until(condition)                                                                      \
    do {                                                                                           \
        int64_t deadline = fw_clock_ns() + 10 * FW_SEC;                                            \
        guint waker = g_timeout_add(20, wake, NULL);                                               \
        while (!(condition) && fw_clock_ns() < deadline) {                                         \
            g_main_context_iteration(NULL, TRUE);                                                  \
        }                                                                                          \
        g_source_remove(waker);                                                                    \
        cr_assert(condition);                                                                      \
    } while (0)

static void turn_all(void)
{
    while (g_main_context_iteration(NULL, FALSE)) {
    }
}

static int pair(int *ret_other)
{
    int fds[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    *ret_other = fds[1];
    return fds[0];
}

static void join(struct end *end, uint16_t address, uint16_t mask)
{
    int other;

    bus_router_add(router, pair(&other), mask ? address : 0, mask);
    memset(end, 0, sizeof *end);
    end->answer = true;
    end->fd = -1;
    end->conn = bus_conn_new(other, address, &handler, end);
}

static void setup(void)
{
    router = bus_router_new(&handler, &(struct end){0});
    join(&ikemd, IKEMD, 0xffff);
    join(&nsd, NSD, 0xffff);
    join(&card, CARD, 0);
    card_fd = bus_conn_fd(card.conn);
}

static void teardown(void)
{
    bus_conn_free(ikemd.conn);
    bus_conn_free(nsd.conn);
    bus_conn_free(card.conn);
    bus_router_free(router);
}

TestSuite(router, .init = setup, .fini = teardown);

static const struct bus_spi_release release = {.spi = 1};

Test(router, a_call_is_answered)
{
    bus_call(ikemd.conn, CARD, BUS_SPI_RELEASE, &release, 0, replied, &ikemd);
    cr_assert_eq(ikemd.replies, 0, "never before the call returns");
    turn_until(ikemd.replies == 1);
    cr_assert_eq(card.last.source, IKEMD);
    bus_call(card.conn, NSD, BUS_SPI_RELEASE, &release, 0, replied, &card);
    turn_until(card.replies == 1);
    cr_assert_eq(nsd.last.source, CARD);
}

Test(router, nobody_there)
{
    bus_call(ikemd.conn, BUS_RE(BUS_ROLE_MGD), BUS_SPI_RELEASE, &release, 0, replied, &ikemd);
    cr_assert_eq(ikemd.errors, 0);
    turn_until(ikemd.errors == 1);
    cr_assert_eq(ikemd.error_code, FW_ERROR_UNAVAILABLE);
}

Test(router, death_answers_calls_under_way)
{
    nsd.answer = false;
    bus_call(ikemd.conn, NSD, BUS_SPI_RELEASE, &release, 0, replied, &ikemd);
    bus_call(ikemd.conn, NSD, BUS_SPI_RELEASE, &release, 0, replied, &ikemd);
    turn_until(nsd.messages == 2);
    bus_conn_free(nsd.conn);
    nsd.conn = NULL;
    turn_until(ikemd.errors == 2);
    cr_assert_eq(ikemd.error_code, FW_ERROR_UNAVAILABLE);
}

Test(router, a_card_that_went_away_is_refused_until_heard)
{
    card.answer = false;
    bus_call(ikemd.conn, CARD, BUS_SPI_RELEASE, &release, 0, replied, &ikemd);
    turn_until(card.messages == 1);
    bus_router_remove(router, CARD);
    turn_until(ikemd.errors == 1);
    bus_call(ikemd.conn, CARD, BUS_SPI_RELEASE, &release, 0, replied, &ikemd);
    turn_until(ikemd.errors == 2);
    cr_assert_eq(card.messages, 1, "the second call did not reach it");
    card.answer = true;
    bus_subscribe(card.conn, (const uint16_t[]){BUS_ZONE_STATE, 0});
    turn_all();
    bus_call(ikemd.conn, CARD, BUS_SPI_RELEASE, &release, 0, replied, &ikemd);
    turn_until(ikemd.replies == 1);
}

Test(router, timeout_and_cancel)
{
    nsd.answer = false;
    bus_call(ikemd.conn, NSD, BUS_SPI_RELEASE, &release, 1, replied, &ikemd);
    bus_call(ikemd.conn, NSD, BUS_SPI_RELEASE, &release, 1, replied, &nsd);
    bus_cancel(ikemd.conn, &nsd);
    turn_until(ikemd.errors == 1);
    turn_all();
    cr_assert_eq(nsd.errors, 0);
}

static void send_raw(struct bus_header h, const struct bus_struct *body, const void *msg)
{
    uint8_t bytes[512];
    struct fw_emit e = fw_emit(bytes, sizeof bytes);

    h.version = BUS_SCHEMA_VERSION;
    bus_header_encode(&h, &e);
    bus_encode(body, msg, &e);
    fw_emit_patch_u32(&e, 0, (uint32_t)fw_emit_len(&e));
    cr_assert_gt(send(card_fd, bytes, fw_emit_len(&e), MSG_NOSIGNAL), 0);
}

Test(router, a_card_cannot_speak_for_the_engine)
{
    struct bus_router_counters counters;
    const struct bus_zone_state zone = {.zone = 1, .name = "trust"};

    bus_subscribe(ikemd.conn, (const uint16_t[]){BUS_ZONE_STATE, 0});
    turn_all();
    send_raw((struct bus_header){.type = BUS_ZONE_STATE, .kind = BUS_EVENT, .source = NSD,
                                 .destination = BUS_SUBSCRIBERS}, &bus_struct_zone_state, &zone);
    send_raw((struct bus_header){.type = BUS_ZONE_STATE, .kind = BUS_EVENT, .source = BUS_ROUTER,
                                 .destination = IKEMD}, &bus_struct_zone_state, &zone);
    turn_all();
    bus_router_count(router, &counters);
    cr_assert_eq(counters.forged, 2);
    cr_assert_eq(ikemd.messages, 0);
}

Test(router, an_unasked_reply_goes_nowhere)
{
    struct bus_router_counters counters;

    nsd.answer = false;
    bus_call(ikemd.conn, NSD, BUS_SPI_RELEASE, &release, 0, replied, &ikemd);
    turn_until(nsd.messages == 1);
    send_raw((struct bus_header){.type = BUS_OK, .kind = BUS_REPLY, .source = CARD,
                                 .destination = IKEMD, .serial = nsd.last.serial},
             &bus_struct_ok, &(struct bus_ok){0});
    turn_all();
    bus_router_count(router, &counters);
    cr_assert_eq(counters.unasked, 1);
    cr_assert_eq(ikemd.replies, 0);
    bus_reply_ok(nsd.conn, &nsd.last);
    turn_until(ikemd.replies == 1);
}

Test(router, garbage_is_counted)
{
    struct bus_router_counters counters;

    cr_assert_gt(send(card_fd, "garbage", 7, MSG_NOSIGNAL), 0);
    turn_all();
    bus_router_count(router, &counters);
    cr_assert_eq(counters.malformed, 1);
}

static void zone(uint16_t number, const char *name, bool gone)
{
    struct bus_zone_state z = {.zone = number, .gone = gone};

    g_strlcpy(z.name, name, sizeof z.name);
    cr_assert(bus_send(nsd.conn, BUS_SUBSCRIBERS, BUS_ZONE_STATE, &z));
}

Test(router, late_subscribers_get_the_state)
{
    zone(1, "old", false);
    zone(2, "two", false);
    zone(3, "three", false);
    zone(1, "new", false);
    zone(3, "", true);
    turn_all();
    bus_subscribe(card.conn, (const uint16_t[]){BUS_ZONE_STATE, 0});
    turn_until(card.messages == 2);
    turn_all();
    cr_assert_eq(card.messages, 2);
    cr_assert_eq(card.last_zone, 2, "in the order of first appearance");
    cr_assert_eq(card.last.destination, CARD);
    cr_assert_eq(card.last.source, NSD);
    zone(2, "", true);
    turn_until(card.messages == 3);
    cr_assert(card.last_gone, "the end of an object is told");
    bus_subscribe(ikemd.conn, (const uint16_t[]){BUS_ZONE_STATE, 0});
    turn_until(ikemd.messages == 1);
    cr_assert_str_eq(ikemd.last_name, "new");
}

Test(router, state_outlives_its_daemon)
{
    zone(1, "trust", false);
    turn_all();
    bus_conn_free(nsd.conn);
    nsd.conn = NULL;
    turn_all();
    bus_subscribe(ikemd.conn, (const uint16_t[]){BUS_ZONE_STATE, 0});
    turn_until(ikemd.messages == 1);
    cr_assert_str_eq(ikemd.last_name, "trust");
}

Test(router, roles_are_announced)
{
    bus_subscribe(ikemd.conn, (const uint16_t[]){BUS_ROLE_STATE, 0});
    turn_until(ikemd.role == IKEMD && ikemd.role_up);
    turn_all();
    cr_assert_eq(ikemd.messages, 1, "who has not spoken is not up");
    zone(1, "trust", false);
    turn_until(ikemd.role == NSD && ikemd.role_up);
    bus_conn_free(nsd.conn);
    turn_until(ikemd.role == NSD && !ikemd.role_up);
    join(&nsd, NSD, 0xffff);
    zone(1, "trust", false);
    turn_until(ikemd.role == NSD && ikemd.role_up);
}

/* A daemon that reads nothing: calls to it fail with BUSY, others are served. */
Test(router, back_pressure)
{
    int deaf;
    unsigned n = 0;

    bus_router_add(router, pair(&deaf), BUS_RE(BUS_ROLE_CHASSISD), 0xffff);
    while (ikemd.errors == 0 && n < 20000) {
        bus_call(ikemd.conn, BUS_RE(BUS_ROLE_CHASSISD), BUS_SPI_RELEASE, &release, 0, replied,
                 &ikemd);
        n++;
        turn_all();
    }
    cr_assert_eq(ikemd.error_code, FW_ERROR_BUSY);
    bus_call(ikemd.conn, NSD, BUS_SPI_RELEASE, &release, 0, replied, &ikemd);
    turn_until(ikemd.replies == 1);
    close(deaf);
    turn_until(ikemd.errors == n);
}

Test(conn, own_queue_is_bounded)
{
    int other;
    struct end end = {0};
    struct bus_conn *conn = bus_conn_new(pair(&other), IKEMD, &handler, &end);
    struct bus_neighbour_request request = {.ifl = 1};
    struct bus_zone_state z = {.zone = 1};
    unsigned sent = 0;

    bus_conn_set_bound(conn, 10);
    while (bus_send(conn, NSD, BUS_NEIGHBOUR_REQUEST, &request) && sent < 100000) {
        sent++;
    }
    cr_assert_eq(bus_conn_queued(conn), 10);
    bus_call(conn, NSD, BUS_SPI_RELEASE, &release, 0, replied, &end);
    cr_assert_eq(end.errors, 0);
    turn_until(end.errors == 1);
    cr_assert_eq(end.error_code, FW_ERROR_BUSY);
    /* State is never lost, and one object waits once. */
    for (int i = 0; i < 50; i++) {
        g_snprintf(z.name, sizeof z.name, "z%d", i);
        z.zone = (uint16_t)(1 + i % 2);
        cr_assert(bus_send(conn, BUS_SUBSCRIBERS, BUS_ZONE_STATE, &z));
    }
    cr_assert_eq(bus_conn_queued(conn), 12);
    struct end reader = {0};
    struct bus_conn *back = bus_conn_new(other, NSD, &handler, &reader);
    turn_until(reader.messages == sent + 2);
    cr_assert_str_eq(reader.last_name, "z49");
    bus_conn_free(back);
    turn_until(end.closed == 1);
    cr_assert_not(bus_send(conn, NSD, BUS_NEIGHBOUR_REQUEST, &request));
    bus_conn_free(conn);
}

Test(conn, descriptors_pass_even_when_queued)
{
    int other, pipe_fds[2];
    char c = 0;
    struct end end = {0}, reader = {.fd = -1};
    struct bus_conn *conn = bus_conn_new(pair(&other), BUS_HWD, &handler, &end);
    struct bus_neighbour_request request = {.ifl = 1};
    struct bus_capture_start start = {.id = 4};

    cr_assert_eq(pipe2(pipe_fds, O_CLOEXEC), 0);
    while (bus_conn_queued(conn) == 0) {
        bus_send(conn, 0, BUS_NEIGHBOUR_REQUEST, &request);
    }
    cr_assert(bus_send_fds(conn, 0, BUS_CAPTURE_START, &start, &pipe_fds[1], 1));
    close(pipe_fds[1]);
    struct bus_conn *back = bus_conn_new(other, 0, &handler, &reader);
    turn_until(reader.fd >= 0);
    cr_assert(fcntl(reader.fd, F_GETFD) & FD_CLOEXEC);
    cr_assert_eq(write(reader.fd, "x", 1), 1);
    cr_assert_eq(read(pipe_fds[0], &c, 1), 1);
    cr_assert_eq(c, 'x');
    close(reader.fd);
    cr_assert_eq(read(pipe_fds[0], &c, 1), 0, "no copy stays behind");
    close(pipe_fds[0]);
    bus_conn_free(back);
    bus_conn_free(conn);
}

Test(conn, the_death_of_the_peer_ends_calls_and_is_told_once)
{
    int other;
    struct end end = {0};
    struct bus_conn *conn = bus_conn_new(pair(&other), IKEMD, &handler, &end);

    bus_call(conn, NSD, BUS_SPI_RELEASE, &release, 0, replied, &end);
    close(other);
    turn_until(end.closed == 1);
    turn_all();
    cr_assert_eq(end.errors, 1);
    cr_assert_eq(end.closed, 1);
    bus_conn_free(conn);
}
