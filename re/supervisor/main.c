/*
 * supervisor - the Routing Engine as a board: bus router, and nurse of the daemons.
 *
 * vc-re is started by hwd like any board (fd 3 supervision, fd 4 midplane). It hosts the bus
 * router, starts the daemons of a role table, restarts those that die, keeps iked's records memory
 * across its restarts, and passes the fabric's supervision through between hwd and ifd, which owns
 * the RE's outbox. The board is ready when mgd and ifd have come up on the bus.
 *
 * Main-loop thread only. Its death, or hwd's, takes all daemons along (PR_SET_PDEATHSIG).
 */
#include <glib.h>
#include <stdlib.h>
#include <string.h>

#include "firmware/boot/board.h"
#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "re/supervisor/daemons.h"

struct re_board {
    struct board *board;
    struct bus_router *router;
    struct daemons *daemons;
    struct bus_conn *ifd; /* fabric supervision of the ifd that lives now, or NULL */
    GPtrArray *held;      /* fabric messages from hwd that came before ifd did */
};

struct held {
    uint16_t type;
    void *msg;
    size_t size;
    int fds[8];
    unsigned n_fds;
};

static struct re_board re;

/* ---------------------------------------------------------------- fabric, hwd <-> ifd */

static void held_free(gpointer item)
{
    struct held *h = item;

    for (unsigned i = 0; i < h->n_fds; i++) {
        board_close_fd(h->fds[i]);
    }
    g_free(h->msg);
    g_free(h);
}

static void from_ifd(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                     int *fds, unsigned n_fds, void *data)
{
    (void)conn;
    (void)data;
    bus_send_fds(re.board->supervisor, BUS_HWD, header->type, msg, fds, n_fds);
}

static void ifd_gone(struct bus_conn *conn, void *data)
{
    (void)data;
    if (re.ifd == conn) {
        re.ifd = NULL;
    }
    bus_conn_free(conn);
}

/* The daemons module made a new socket for a starting ifd; ours is fd. */
static void ifd_started(int fd, void *data)
{
    static const struct bus_handler handler = {from_ifd, ifd_gone};

    (void)data;
    if (re.ifd) {
        bus_conn_free(re.ifd);
    }
    re.ifd = bus_conn_new(fd, BUS_ROUTER, &handler, NULL);
    /* It is told what the board was told, in its own first message. */
    bus_send(re.ifd, BUS_RE(BUS_ROLE_IFD), BUS_BOARD_START, re.board->config);
    for (guint i = 0; i < re.held->len; i++) {
        struct held *h = re.held->pdata[i];

        bus_send_fds(re.ifd, BUS_RE(BUS_ROLE_IFD), h->type, h->msg, h->fds, h->n_fds);
    }
}

/* The newest attachment of each endpoint, and the planes, are kept for an ifd that starts later. */
static void hold(const struct bus_header *header, const void *msg, int *fds, unsigned n_fds)
{
    const struct bus_type *type = bus_type_find(header->type);
    int index = header->type == BUS_FABRIC_ATTACH ? ((const struct bus_fabric_attach *)msg)->index
                : header->type == BUS_FABRIC_DETACH
                    ? ((const struct bus_fabric_detach *)msg)->index
                    : -1;

    for (guint i = re.held->len; i-- > 0;) {
        struct held *h = re.held->pdata[i];
        int other = h->type == BUS_FABRIC_ATTACH ? ((struct bus_fabric_attach *)h->msg)->index : -1;

        if ((index >= 0 && other == index) || (index < 0 && h->type == header->type)) {
            g_ptr_array_remove_index(re.held, i);
        }
    }
    if (header->type == BUS_FABRIC_DETACH || n_fds > G_N_ELEMENTS(((struct held *)0)->fds)) {
        return;
    }
    struct held *h = g_new0(struct held, 1);

    h->type = header->type;
    h->size = type->body->size;
    h->msg = g_malloc(h->size);
    memcpy(h->msg, msg, h->size);
    for (unsigned i = 0; i < n_fds; i++) {
        h->fds[h->n_fds++] = fds[i];
        fds[i] = -1;
    }
    g_ptr_array_add(re.held, h);
}

static void supervision(struct board *board, const struct bus_header *header, const void *msg,
                        int *fds, unsigned n_fds, void *data)
{
    (void)board;
    (void)data;
    switch (header->type) {
    case BUS_FABRIC_ATTACH:
    case BUS_FABRIC_DETACH:
    case BUS_FABRIC_PLANES:
        if (re.ifd) {
            bus_send_fds(re.ifd, BUS_RE(BUS_ROLE_IFD), header->type, msg, fds, n_fds);
        }
        hold(header, msg, fds, n_fds);
        return;
    case BUS_BOARD_MISBEHAVE: /* the outbox is ifd's */
        if (re.ifd) {
            bus_send(re.ifd, BUS_RE(BUS_ROLE_IFD), header->type, msg);
        }
        return;
    case BUS_FABRIC_FAULT:
        fw_error("nonsense in ifd's fabric outbox: %s; it is started again",
                 ((const struct bus_fabric_fault *)msg)->reason);
        daemons_restart(re.daemons, "ifd", NULL);
        return;
    default:
        return;
    }
}

/* ---------------------------------------------------------------- bus */

#define FPC_SLOTS 0x80

/* A card that lost its power has no subscriptions and answers no old call. Said once: the card may
 * have started anew, and subscribed, before the news of its new life comes. */
static void slot_changed(const struct bus_hw_slot_state *m)
{
    static uint32_t pids[FPC_SLOTS], generations[FPC_SLOTS];
    bool lived, other;

    if (m->slot >= FPC_SLOTS) {
        return;
    }
    lived = pids[m->slot] != 0;
    other = m->pid == 0 || generations[m->slot] != m->generation;
    pids[m->slot] = m->pid;
    generations[m->slot] = m->generation;
    if (lived && other) {
        bus_router_remove(re.router, BUS_ADDRESS(m->slot, BUS_ROLE_BOARD));
    }
}

static void router_message(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                           int *fds, unsigned n_fds, void *data)
{
    (void)fds;
    (void)n_fds;
    (void)data;
    if (header->type == BUS_DAEMON_RESTART) {
        const struct bus_daemon_restart *m = msg;
        g_autoptr(GError) error = NULL;

        if (daemons_restart(re.daemons, m->name, &error)) {
            bus_reply_ok(conn, header);
        } else {
            bus_reply_error(conn, header, 2, "%s", error->message);
        }
        return;
    }
    if (header->type == BUS_ROLE_STATE) {
        const struct bus_role_state *m = msg;

        daemons_bus_state(re.daemons, m->address & 0xff, m->up);
        if (daemons_ready(re.daemons)) {
            board_set_ready(re.board);
        }
        return;
    }
    if (header->type == BUS_HW_SLOT_STATE) {
        slot_changed(msg);
        return;
    }
    if (header->kind == BUS_CALL) {
        bus_reply_error(conn, header, 4, "the router does not answer this call");
    }
}

static void daemon_changed(const struct bus_daemon_state *state, void *data)
{
    (void)data;
    bus_send(re.board->supervisor, BUS_HWD, BUS_DAEMON_STATE, state);
}

static bool start(struct board *board, void *data, GError **error)
{
    static const struct bus_handler handler = {router_message, NULL};
    static const uint16_t types[] = {BUS_ROLE_STATE, BUS_HW_SLOT_STATE, 0};

    (void)data;
    re.board = board;
    re.held = g_ptr_array_new_with_free_func(held_free);
    re.router = bus_router_new(&handler, NULL);
    bus_router_add(re.router, BOARD_FD_BUS, 0, 0);
    bus_subscribe(bus_router_conn(re.router), types);
    re.daemons = daemons_new(board->config, re.router, ifd_started, daemon_changed, NULL);
    return daemons_start(re.daemons, error);
}

static void stop(struct board *board, void *data)
{
    (void)board;
    (void)data;
    daemons_free(re.daemons);
    bus_conn_free(re.ifd);
    bus_router_free(re.router);
    g_ptr_array_unref(re.held);
}

int main(int argc, char **argv)
{
    static const struct board_role role = {.name = "re",
                                           .wait_ready = true,
                                           .start = start,
                                           .supervision = supervision,
                                           .stop = stop};

    return board_main(&role, argc, argv);
}
