/* bench - see bench.h. */
#include "tests/bench/spc/bench.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/core/clock.h"

#define GENERATION 3

/* ---- hwd ---- */

static void attach_to_board(struct bench *b, struct fabric *f, uint8_t index)
{
    struct bus_fabric_attach m = {.index = index,
                                  .slot = index,
                                  .generation = GENERATION,
                                  .lanes = 1,
                                  .transport = BUS_TRANSPORT_MEMORY,
                                  .bytes = fabric_outbox_bytes(f)};
    int fds[2] = {fabric_outbox_fd(f), fabric_doorbell_fd(f, 0)};

    cr_assert(bus_send_fds(b->supervision, 0, BUS_FABRIC_ATTACH, &m, fds, 2));
}

static void attach_board(struct fabric *f, const struct bus_board_outbox *m, const int *fds)
{
    int bells[FABRIC_LANES_MAX];

    for (unsigned l = 0; l < m->lanes; l++) {
        bells[l] = dup(fds[1 + l]);
    }
    cr_assert(fabric_attach(f, BENCH_SPC, GENERATION, dup(fds[0]), m->bytes, bells, m->lanes,
                            NULL));
    fabric_lane_release(fabric_lane(f, 0));
}

static void from_board(struct bus_conn *conn, const struct bus_header *h, const void *msg,
                       int *fds, unsigned n_fds, void *data)
{
    struct bench *b = data;

    (void)conn;
    switch (h->type) {
    case BUS_BOARD_OUTBOX: {
        const struct bus_board_outbox *m = msg;

        cr_assert_eq(n_fds, 1u + m->lanes);
        cr_assert(fabric_outbox_check(fds[0], m->bytes, NULL));
        attach_board(b->ioc, m, fds);
        attach_board(b->re, m, fds);
        attach_to_board(b, b->ioc, BENCH_IOC);
        attach_to_board(b, b->re, BENCH_RE);
        break;
    }
    case BUS_FABRIC_ACK:
        b->acks += ((const struct bus_fabric_ack *)msg)->attached;
        break;
    case BUS_FABRIC_FAULT:
        b->faults++;
        break;
    case BUS_BOARD_READY:
        b->ready = true;
        break;
    case BUS_BOARD_PONG:
        b->pongs++;
        break;
    default:
        break;
    }
}

static void board_closed(struct bus_conn *conn, void *data)
{
    (void)conn;
    ((struct bench *)data)->closed = true;
}

/* ---- the Routing Engine's bus ---- */

static void to_router(struct bus_conn *conn, const struct bus_header *h, const void *msg, int *fds,
                      unsigned n_fds, void *data)
{
    struct bench *b = data;

    (void)conn;
    (void)fds;
    (void)n_fds;
    if (h->type == BUS_NEIGHBOUR_REQUEST) {
        b->neighbour = *(const struct bus_neighbour_request *)msg;
        b->neighbour_requests++;
    } else if (h->type == BUS_TUNNEL_TRIGGER) {
        b->triggers++;
    }
}

static void router_closed(struct bus_conn *conn, void *data)
{
    (void)conn;
    (void)data;
}

static gboolean wake(gpointer data)
{
    (void)data;
    return G_SOURCE_CONTINUE;
}

void bench_turn(struct bench *b)
{
    guint waker = g_timeout_add(20, wake, NULL);

    (void)b;
    g_main_context_iteration(NULL, TRUE);
    g_source_remove(waker);
}

static struct fabric *endpoint(uint8_t index)
{
    struct fabric_config config = {.index = index,
                                   .endpoints = BENCH_ENDPOINTS,
                                   .lanes = 1,
                                   .small_buffers = 256,
                                   .large_buffers = 8};
    struct fabric *f = fabric_new(&config, NULL);

    cr_assert_not_null(f);
    return f;
}

static void become_spcd(int supervision, int bus)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 32);
    int high_supervision = fcntl(supervision, F_DUPFD, 100);
    int high_bus = fcntl(bus, F_DUPFD, 100);
    char *slash;

    if (n < 0) {
        _exit(125);
    }
    self[n] = 0;
    slash = strrchr(self, '/');
    *slash = 0;
    slash = strrchr(self, '/');
    memcpy(slash, "/bin/vc-spcd", sizeof "/bin/vc-spcd");
    dup2(high_supervision, 3);
    dup2(high_bus, 4);
    close_range(5, ~0u, 0);
    execl(self, "vc-spcd", "bench spcd", NULL);
    _exit(126);
}

struct bench *bench_new(void)
{
    static const struct bus_handler supervision_handler = {from_board, board_closed};
    static const struct bus_handler router_handler = {to_router, router_closed};
    static const uint16_t wanted[] = {BUS_NEIGHBOUR_REQUEST, 0};
    struct bus_board_start *start = g_new0(struct bus_board_start, 1);
    struct bench *b = g_new0(struct bench, 1);
    int supervision[2], bus[2];

    signal(SIGPIPE, SIG_IGN);
    b->ioc = endpoint(BENCH_IOC);
    b->re = endpoint(BENCH_RE);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, supervision), 0);
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, bus), 0);
    b->pid = fork();
    if (b->pid == 0) {
        become_spcd(supervision[1], bus[1]);
    }
    close(supervision[1]);
    close(bus[1]);
    b->router = bus_router_new(&router_handler, b);
    bus_router_add(b->router, bus[0], BENCH_ADDRESS, 0xffff);
    bus_subscribe(bus_router_conn(b->router), wanted);
    b->supervision = bus_conn_new(supervision[0], BUS_HWD, &supervision_handler, b);
    start->kind = BUS_BOARD_KIND_SPC;
    start->slot = BENCH_SPC;
    start->index = BENCH_SPC;
    start->spus = 2;
    start->threads = 28;
    start->lanes = 2;
    start->endpoints = BENCH_ENDPOINTS;
    start->small_buffers = 1024;
    start->large_buffers = 32;
    g_strlcpy(start->card, "SPC3", sizeof start->card);
    cr_assert(bus_send(b->supervision, 0, BUS_BOARD_START, start));
    g_free(start);
    bench_until(b, b->ready && b->acks == 2);
    return b;
}

int bench_end(struct bench *b)
{
    int status = -1;

    bus_conn_free(b->supervision);
    cr_assert_eq(waitpid(b->pid, &status, 0), b->pid);
    bus_router_free(b->router);
    fabric_free(b->ioc);
    fabric_free(b->re);
    g_free(b->reply);
    g_free(b);
    return status;
}

void bench_event(struct bench *b, uint16_t type, const void *msg)
{
    cr_assert(bus_send(bus_router_conn(b->router), BUS_SUBSCRIBERS, type, msg));
}

static void replied(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                    const GError *error, void *data)
{
    struct bench *b = data;

    (void)conn;
    g_clear_pointer(&b->reply, g_free);
    b->answered = true;
    if (msg) {
        b->reply_type = header->type;
        b->reply = g_memdup2(msg, bus_type_find(header->type)->body->size);
    } else {
        b->reply_type = 0;
        g_strlcpy(b->error, error->message, sizeof b->error);
    }
}

uint16_t bench_call(struct bench *b, uint16_t type, const void *msg)
{
    b->answered = false;
    bus_call(bus_router_conn(b->router), BENCH_ADDRESS, type, msg, 0, replied, b);
    bench_until(b, b->answered);
    return b->reply_type;
}

uint64_t bench_counter(struct bench *b, const char *name)
{
    struct bus_statistics_query query = {.spu = 0xff};
    const struct bus_statistics *s;

    cr_assert_eq(bench_call(b, BUS_STATISTICS_QUERY, &query), BUS_STATISTICS);
    s = b->reply;
    for (unsigned i = 0; i < s->n_counters; i++) {
        if (strcmp(s->counters[i].name, name) == 0) {
            return s->counters[i].value;
        }
    }
    cr_assert(false, "no counter %s", name);
    return 0;
}

void bench_inject(struct bench *b, struct fabric *from, const struct fabric_cell *cell,
                  const uint8_t *data, uint32_t bytes)
{
    struct fabric_lane *lane = fabric_lane(from, 0);
    struct fabric_packet p;

    (void)b;
    cr_assert(fabric_lane_alloc(lane, bytes, &p));
    p.cell = *cell;
    p.cell.destination = BENCH_SPC;
    p.cell.length = bytes;
    memcpy(p.room, data, bytes);
    cr_assert_eq(fabric_lane_send(lane, &p, 1), 1);
}

uint32_t bench_take(struct bench *b, struct fabric *at, uint8_t type, struct fabric_cell *ret_cell,
                    uint8_t ret[FABRIC_LARGE_BYTES])
{
    struct fabric_lane *lane = fabric_lane(at, 0);
    int64_t deadline = fw_clock_ns() + 10 * FW_SEC;

    while (fw_clock_ns() < deadline) {
        struct fabric_packet p;

        while (fabric_lane_receive(lane, &p, 1) == 1) {
            bool match = p.cell.type == type;

            if (match) {
                *ret_cell = p.cell;
                memcpy(ret, p.data, p.cell.length);
            }
            fabric_lane_release(lane);
            if (match) {
                return ret_cell->length;
            }
        }
        fabric_lane_wait(lane, NULL, NULL, 0, 20 * FW_MS);
        while (g_main_context_iteration(NULL, FALSE)) {
        }
    }
    return UINT32_MAX;
}
