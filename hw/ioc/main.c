/*
 * main - vc-iocd, the program of an I/O card.
 *
 * Descriptors: 3 = supervision, 4 = control bus; the ports' descriptors come
 * with board-start. board_main does the life of a board; this file connects it
 * to the card's state and lanes. Main thread.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/boot/board.h"
#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "hw/ioc/ioc.h"

static bool port_open(struct ioc_port *port, const struct bus_port_desc *desc, int fd,
                      GError **error)
{
    int flags, type = 0;
    socklen_t size = sizeof(type);

    port->pic = desc->pic;
    port->port = desc->port;
    port->fd = -1;
    g_strlcpy(port->name, desc->name, sizeof(port->name));
    if (desc->kind == BUS_PORT_KIND_NONE) {
        return true;
    }
    flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        return fw_fail_errno(error, "port %s", desc->name);
    }
    port->datagram = getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_DGRAM;
    port->fd = fd;
    return true;
}

static bool card_start(struct board *board, void *data, GError **error)
{
    const struct bus_board_start *config = board->config;
    struct ioc *ioc = data;

    ioc->slot = config->slot;
    ioc->index = config->index;
    ioc->endpoints = config->endpoints;
    ioc->n_lanes = config->lanes;
    ioc->n_ports = MIN(config->n_ports, IOC_PORTS_MAX);
    ioc->fabric = board->fabric;
    for (unsigned i = 0; i < ioc->n_ports; i++) {
        if (!port_open(&ioc->ports[i], &config->ports[i], board->port_fds[i], error)) {
            return false;
        }
    }
    ioc_state_new(ioc, config);
    return ioc_lanes_start(ioc, error);
}

/* ifd wants to know the carrier of every port that has something behind it. */
static void port_tell(struct board *board, const struct ioc *ioc, uint8_t pic, uint8_t port)
{
    int i = ioc_port_find(ioc, pic, port);
    struct bus_port_state state = {.slot = ioc->slot, .pic = pic, .port = port};

    if (i >= 0 && ioc->ports[i].fd >= 0) {
        state.up = ioc_state_link_up(ioc, (unsigned)i);
        bus_send(board->bus, BUS_SUBSCRIBERS, BUS_PORT_STATE, &state);
    }
}

static void ports_tell(struct board *board, const struct ioc *ioc, const struct bus_role_state *m)
{
    for (unsigned i = 0; m->up && m->address == BUS_RE(BUS_ROLE_IFD) && i < ioc->n_ports; i++) {
        port_tell(board, ioc, ioc->ports[i].pic, ioc->ports[i].port);
    }
}

static void card_query(struct board *board, const struct bus_header *header,
                       const struct ioc *ioc,
                       void (*fill)(const struct ioc *, struct bus_statistics *))
{
    struct bus_statistics *answer = g_new0(struct bus_statistics, 1);

    fill(ioc, answer);
    bus_reply(board->bus, header, BUS_STATISTICS, answer);
    g_free(answer);
}

static void card_message(struct board *board, const struct bus_header *header, const void *msg,
                         void *data)
{
    struct ioc *ioc = data;

    switch (header->type) {
    case BUS_IFL_STATE:
        ioc_state_ifl(ioc, msg);
        break;
    case BUS_ANCHOR_STATE:
        ioc_state_anchor(ioc, msg);
        break;
    case BUS_FPC_STATE:
        ioc_state_fpc(ioc, msg);
        break;
    case BUS_ROLE_STATE:
        ports_tell(board, ioc, msg);
        break;
    case BUS_STATISTICS_QUERY:
        card_query(board, header, ioc, ioc_statistics);
        break;
    case BUS_PORT_STATISTICS_QUERY:
        card_query(board, header, ioc, ioc_port_statistics);
        break;
    default:
        if (header->kind == BUS_CALL) {
            bus_reply_error(board->bus, header, 4, "an I/O card does not know this call");
        }
        break;
    }
}

static void capture_start(struct ioc *ioc, const struct bus_capture_start *m, int *fds,
                          unsigned n_fds)
{
    g_autoptr(GError) error = NULL;
    struct ioc_capture *capture;

    if (n_fds != 1) {
        fw_warning("capture-start without a pipe is ignored");
        return;
    }
    capture = ioc_capture_new(m->id, fds[0], m->name, &error);
    if (!capture) {
        fw_warning("%s", error->message);
        return;
    }
    fds[0] = -1;
    if (!ioc_state_capture_start(ioc, m->pic, m->port, capture)) {
        fw_warning("capture of %s: no such port, or too many captures on it", m->name);
        ioc_capture_free(capture);
    }
}

static void card_supervision(struct board *board, const struct bus_header *header,
                             const void *msg, int *fds, unsigned n_fds, void *data)
{
    struct ioc *ioc = data;

    switch (header->type) {
    case BUS_CAPTURE_START:
        capture_start(ioc, msg, fds, n_fds);
        break;
    case BUS_CAPTURE_STOP:
        ioc_state_capture_stop(ioc, ((const struct bus_capture_stop *)msg)->id);
        break;
    case BUS_PORT_LINK:
        ioc_state_link(ioc, msg);
        port_tell(board, ioc, ((const struct bus_port_link *)msg)->pic,
                  ((const struct bus_port_link *)msg)->port);
        break;
    default:
        break;
    }
}

static void card_stop(struct board *board, void *data)
{
    (void)board;
    ioc_lanes_stop(data);
    ioc_state_free(data);
}

int main(int argc, char **argv)
{
    static const uint16_t subscriptions[] = {BUS_IFL_STATE, BUS_ANCHOR_STATE, BUS_FPC_STATE,
                                             BUS_ROLE_STATE, 0};
    static struct ioc ioc;
    static const struct board_role role = {
        .name = "iocd",
        .fabric = true,
        .bus = true,
        .lock_down = true,
        .subscriptions = subscriptions,
        .start = card_start,
        .message = card_message,
        .supervision = card_supervision,
        .stop = card_stop,
        .data = &ioc,
    };

    return board_main(&role, argc, argv);
}
