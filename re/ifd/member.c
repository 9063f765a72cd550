/*
 * member - see member.h.
 */
#include "re/ifd/member.h"

#include "firmware/bus/bus.h"
#include "firmware/core/clock.h"
#include "firmware/core/log.h"
#include "messages.h" /* generated */

#define LANES         1
#define SMALL_BUFFERS 512 /* control traffic: a second of what a kernel queue holds */
#define LARGE_BUFFERS 32

struct member {
    struct bus_conn *conn;
    struct fabric *fabric;
    uint8_t endpoints;     /* of the chassis; the last one is the gateway */
    void (*ready)(struct fabric *fabric, void *data);
    void *data;
};

struct fault {
    struct member *member;
    struct bus_fabric_fault report;
};

static gboolean fault_report(gpointer data)
{
    struct fault *fault = data;

    bus_send(fault->member->conn, BUS_HWD, BUS_FABRIC_FAULT, &fault->report);
    g_free(fault);
    return G_SOURCE_REMOVE;
}

/* The lane's thread. */
static void fabric_fault(uint8_t index, const char *reason, void *data)
{
    struct fault *fault = g_new0(struct fault, 1);

    fault->member = data;
    fault->report.index = index;
    g_strlcpy(fault->report.reason, reason, sizeof fault->report.reason);
    g_idle_add(fault_report, fault);
}

static void fabric_acknowledged(uint8_t index, uint32_t generation, bool attached, void *data)
{
    struct member *member = data;
    struct bus_fabric_ack ack = {.index = index, .generation = generation, .attached = attached};

    bus_send(member->conn, BUS_HWD, BUS_FABRIC_ACK, &ack);
}

static void outbox_send(struct member *member)
{
    /* Counts up from one ifd to the next without anything being kept: milliseconds of uptime. */
    struct bus_board_outbox outbox = {.generation = (uint32_t)(fw_clock_ns() / FW_MS) | 1,
                                      .lanes = LANES,
                                      .bytes = fabric_outbox_bytes(member->fabric)};
    int fds[2] = {fabric_outbox_fd(member->fabric), fabric_doorbell_fd(member->fabric, 0)};

    bus_send_fds(member->conn, BUS_HWD, BUS_BOARD_OUTBOX, &outbox, fds, 2);
}

static void begin(struct member *member, const struct bus_board_start *start)
{
    g_autoptr(GError) error = NULL;
    struct fabric_config config = {
        .index = start->index,
        .endpoints = start->endpoints,
        .lanes = LANES,
        .small_buffers = start->small_buffers ? start->small_buffers : SMALL_BUFFERS,
        .large_buffers = start->large_buffers ? start->large_buffers : LARGE_BUFFERS,
        .spin = false,
        .fault = fabric_fault,
        .acknowledged = fabric_acknowledged,
        .data = member};

    if (member->fabric) {
        return;
    }
    member->fabric = fabric_new(&config, &error);
    if (!member->fabric) {
        fw_error("no fabric: %s", error->message);
        return;
    }
    member->endpoints = start->endpoints;
    member->ready(member->fabric, member->data);
    outbox_send(member);
}

static void attach(struct member *member, const struct bus_fabric_attach *m, int *fds,
                   unsigned n_fds)
{
    g_autoptr(GError) error = NULL;
    bool good;

    if (m->transport == BUS_TRANSPORT_DATAGRAM) {
        good = n_fds == 1 && fabric_attach_datagram(member->fabric, m->index, m->generation, fds[0],
                                                    m->lanes, 0, &error);
    } else {
        good = n_fds == 1u + m->lanes && fabric_attach(member->fabric, m->index, m->generation,
                                                       fds[0], m->bytes, fds + 1, m->lanes, &error);
    }
    if (!good) {
        fw_warning("endpoint %u not attached: %s", m->index,
                   error ? error->message : "wrong number of descriptors");
        return;
    }
    fabric_route_via(member->fabric, m->index,
                     m->via_gateway ? (uint8_t)(member->endpoints - 1) : m->index);
    for (unsigned i = 0; i < n_fds; i++) {
        fds[i] = -1;
    }
}

static void message(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                    int *fds, unsigned n_fds, void *data)
{
    struct member *member = data;

    (void)conn;
    if (header->type == BUS_BOARD_START) {
        begin(member, msg);
        return;
    }
    if (!member->fabric) {
        fw_warning("message %u before board-start is ignored", header->type);
        return;
    }
    switch (header->type) {
    case BUS_FABRIC_ATTACH:
        attach(member, msg, fds, n_fds);
        break;
    case BUS_FABRIC_DETACH: {
        const struct bus_fabric_detach *m = msg;

        fabric_detach(member->fabric, m->index, m->generation);
        break;
    }
    case BUS_FABRIC_PLANES:
        fabric_planes(member->fabric, ((const struct bus_fabric_planes *)msg)->up);
        break;
    case BUS_BOARD_MISBEHAVE:
        fabric_corrupt(member->fabric);
        break;
    default:
        break;
    }
}

static void closed(struct bus_conn *conn, void *data)
{
    (void)conn;
    (void)data;
    fw_warning("the fabric's supervision is gone");
}

struct member *member_new(int fd, void (*ready)(struct fabric *fabric, void *data), void *data)
{
    static const struct bus_handler handler = {message, closed};
    struct member *member = g_new0(struct member, 1);

    member->ready = ready;
    member->data = data;
    member->conn = bus_conn_new(fd, BUS_RE(BUS_ROLE_IFD), &handler, member);
    return member;
}

void member_free(struct member *member)
{
    if (member) {
        fabric_free(member->fabric);
        bus_conn_free(member->conn);
        g_free(member);
    }
}
