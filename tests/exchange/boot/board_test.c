/*
 * A whole board against a hand-made hwd: start, stages, outbox, attachment, ready, ping, lock-down
 * of threads that run already, end with its supervisor. The board is a child process with the
 * descriptors a real one gets.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/boot/board.h"
#include "firmware/core/clock.h"

/* ---- the board's side (child) ---- */

static int thread_wakes, thread_answers;

/* A lane in the making: does what lanes do, then tries what none may. */
static void *lane(void *data)
{
    uint64_t one;
    char result;

    (void)data;
    while (read(thread_wakes, &one, sizeof one) == sizeof one) {
        g_free(g_malloc(1 << 20));
        errno = 0;
        result = open("/dev/null", O_RDONLY) >= 0   ? 'o'
                 : errno != EPERM                   ? 'e'
                 : socket(AF_INET, SOCK_DGRAM, 0) >= 0 ? 's'
                                                    : 'd';
        if (write(thread_answers, &result, 1) != 1) {
            break;
        }
    }
    return NULL;
}

static bool board_start(struct board *board, void *data, GError **error)
{
    pthread_t thread;

    return board->config->n_ports == 1 && board->port_fds[0] >= 0 &&
           pthread_create(&thread, NULL, lane, NULL) == 0;
}

static void board_supervision(struct board *board, const struct bus_header *header,
                              const void *msg, int *fds, unsigned n_fds, void *data)
{
    uint64_t one = 1;

    if (header->type == BUS_PORT_LINK && write(thread_wakes, &one, sizeof one) < 0) {
        _exit(3);
    }
}

static void become_board(int supervision, int wakes, int answers)
{
    static const struct board_role role = {.name = "testd", .fabric = true, .lock_down = true,
                                           .start = board_start,
                                           .supervision = board_supervision};
    char *argv[] = {(char *)"testd", NULL};
    int high = fcntl(supervision, F_DUPFD, 100);

    thread_wakes = fcntl(wakes, F_DUPFD, 100);
    thread_answers = fcntl(answers, F_DUPFD, 100);
    dup2(high, 3);
    close_range(4, 99, 0);
    close(high);
    _exit(board_main(&role, 1, argv));
}

/* ---- hwd's side ---- */

struct hwd {
    struct bus_conn *conn;
    unsigned stages, pongs, acks, closed;
    bool ready, outbox_good;
    uint32_t generation;
    int fds[8];
    unsigned n_fds;
    uint32_t bytes;
};

static void message(struct bus_conn *conn, const struct bus_header *h, const void *msg, int *fds,
                    unsigned n_fds, void *data)
{
    struct hwd *hwd = data;

    switch (h->type) {
    case BUS_BOARD_STAGE:
        cr_assert_eq(((const struct bus_board_stage *)msg)->stage, hwd->stages);
        hwd->stages++;
        break;
    case BUS_BOARD_OUTBOX: {
        const struct bus_board_outbox *m = msg;

        cr_assert_eq(n_fds, 1u + m->lanes);
        hwd->outbox_good = fabric_outbox_check(fds[0], m->bytes, NULL);
        hwd->bytes = m->bytes;
        for (hwd->n_fds = 0; hwd->n_fds < n_fds; hwd->n_fds++) {
            hwd->fds[hwd->n_fds] = fds[hwd->n_fds];
            fds[hwd->n_fds] = -1;
        }
        break;
    }
    case BUS_BOARD_READY:
        hwd->ready = true;
        break;
    case BUS_BOARD_PONG:
        hwd->pongs += ((const struct bus_board_pong *)msg)->count;
        break;
    case BUS_FABRIC_ACK:
        hwd->acks++;
        hwd->generation = ((const struct bus_fabric_ack *)msg)->generation;
        break;
    default:
        break;
    }
}

static void closed(struct bus_conn *conn, void *data)
{
    ((struct hwd *)data)->closed++;
}

static gboolean wake(gpointer unused)
{
    return G_SOURCE_CONTINUE;
}

#define turn_until(condition)                                                                      \
    do {                                                                                           \
        int64_t deadline = fw_clock_ns() + 20 * FW_SEC;                                            \
        guint waker = g_timeout_add(20, wake, NULL);                                               \
        while (!(condition) && fw_clock_ns() < deadline) {                                         \
            g_main_context_iteration(NULL, TRUE);                                                  \
        }                                                                                          \
        g_source_remove(waker);                                                                    \
        cr_assert(condition);                                                                      \
    } while (0)

static pid_t spawn(struct hwd *hwd, int *ret_wakes, int *ret_answers)
{
    static const struct bus_handler handler = {message, closed};
    int supervision[2], answers[2], port = open("/dev/null", O_RDWR | O_CLOEXEC);
    struct bus_board_start *start = g_new0(struct bus_board_start, 1);
    pid_t pid;

    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, supervision), 0);
    cr_assert_eq(pipe2(answers, O_CLOEXEC), 0);
    *ret_wakes = eventfd(0, EFD_CLOEXEC);
    *ret_answers = answers[0];
    pid = fork();
    if (pid == 0) {
        become_board(supervision[1], *ret_wakes, answers[1]);
    }
    close(supervision[1]);
    close(answers[1]);
    hwd->conn = bus_conn_new(supervision[0], BUS_HWD, &handler, hwd);
    start->slot = 2;
    start->index = 2;
    start->kind = BUS_BOARD_KIND_SPC;
    start->lanes = 2;
    start->endpoints = 8;
    start->small_buffers = 64;
    start->large_buffers = 4;
    start->model_scale = 0;
    start->n_ports = 1;
    start->n_stage_ms = 2;
    start->stage_ms[1] = 300000;
    cr_assert(bus_send_fds(hwd->conn, 0, BUS_BOARD_START, start, &port, 1));
    close(port);
    g_free(start);
    return pid;
}

static int wait_for(pid_t pid)
{
    int status = -1;

    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return status;
}

Test(board, boots_attaches_and_ends_with_its_supervisor)
{
    struct hwd hwd = {0};
    int wakes, answers;
    pid_t pid = spawn(&hwd, &wakes, &answers);
    struct bus_board_ping ping = {.count = 7};

    turn_until(hwd.ready);
    cr_assert_eq(hwd.stages, BUS_BOOT_STAGE_COUNT - 1);
    cr_assert(hwd.outbox_good);
    bus_send(hwd.conn, 0, BUS_BOARD_PING, &ping);
    turn_until(hwd.pongs == 7);
    bus_conn_free(hwd.conn);
    cr_assert_eq(wait_for(pid), 0);
    for (unsigned i = 0; i < hwd.n_fds; i++) {
        close(hwd.fds[i]);
    }
}

Test(board, board_end_ends_it)
{
    struct hwd hwd = {0};
    int wakes, answers;
    pid_t pid = spawn(&hwd, &wakes, &answers);
    struct bus_board_end end = {.reason = 3};

    turn_until(hwd.ready);
    bus_send(hwd.conn, 0, BUS_BOARD_END, &end);
    turn_until(hwd.closed == 1);
    cr_assert_eq(wait_for(pid), 0);
    bus_conn_free(hwd.conn);
}

#ifdef HAVE_SECCOMP
Test(board, running_threads_are_locked_down)
{
    struct hwd hwd = {0};
    int wakes, answers;
    pid_t pid = spawn(&hwd, &wakes, &answers);
    struct bus_port_link link = {.up = true};
    struct bus_board_ping ping = {.count = 1};
    char result = 0;

    turn_until(hwd.ready);
    /* The filter is loaded right after the report: the answer to a ping comes behind it. */
    bus_send(hwd.conn, 0, BUS_BOARD_PING, &ping);
    turn_until(hwd.pongs == 1);
    bus_send(hwd.conn, 0, BUS_PORT_LINK, &link);
    cr_assert_eq(read(answers, &result, 1), 1);
    cr_assert_eq(result, 'd', "the thread got `%c`, not refused", result);
    bus_send(hwd.conn, 0, BUS_BOARD_PING, &ping);
    turn_until(hwd.pongs == 2);
    bus_conn_free(hwd.conn);
    cr_assert_eq(wait_for(pid), 0);
}
#endif
