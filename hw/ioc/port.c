/*
 * port - frames between a link and the fabric.
 *
 * A link is a TAP device or a datagram socket; on both a frame has a 12-byte
 * virtio_net_hdr_v1 in front, so that large frames and unfinished checksums
 * pass. A frame is read straight into a small fabric buffer; what does not fit
 * lands in the lane's overflow area and is put together in a large one. Going
 * out, header and payload (in the sender's memory) leave by one writev.
 *
 * One system call a frame: the kernel knows no better for TAP devices.
 * Lane's thread: reading by the port's lane, writing by any.
 */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "firmware/core/log.h"
#include "hw/ioc/ioc.h"

#define READ_BURST  32   /* frames of one port in a turn */
#define SMALL_FRAME 1600 /* so that an ordinary frame fits the small buffer */

int ioc_port_find(const struct ioc *ioc, uint8_t pic, uint8_t port)
{
    for (unsigned i = 0; i < ioc->n_ports; i++) {
        if (ioc->ports[i].pic == pic && ioc->ports[i].port == port) {
            return (int)i;
        }
    }
    return -1;
}

static void port_capture(struct ioc_lane *lane, unsigned number, bool outbound,
                         const uint8_t *data, uint32_t bytes, const uint8_t *more,
                         uint32_t more_bytes)
{
    struct ioc_capture *const *list = lane->table->ports[number].captures;

    for (unsigned k = 0; k < IOC_CAPTURES_MAX && list[k]; k++) {
        if (!ioc_capture_frame(list[k], outbound, data, bytes, more, more_bytes)) {
            ioc_count(&lane->counters[IOC_CAPTURE_DROP], 1);
        }
    }
}

static void port_drop(struct ioc_lane *lane, struct ioc_port *port, enum ioc_counter why)
{
    ioc_count(&lane->counters[why], 1);
    ioc_count(&port->in_drops, 1);
}

/* The frame whose first bytes are in the port's small buffer and whose rest is in the overflow. */
static bool port_gather(struct ioc_lane *lane, struct ioc_port *port, uint32_t bytes,
                        struct fabric_packet *ret)
{
    uint32_t first = port->buffer.room ? MIN(bytes, port->buffer.capacity) : 0;

    if (port->buffer.room && bytes <= port->buffer.capacity) {
        *ret = port->buffer;
        port->buffer.room = NULL;
        return true;
    }
    if (!fabric_lane_alloc(lane->fabric, bytes, ret)) {
        return false;
    }
    if (first) {
        memcpy(ret->room, port->buffer.room, first);
    }
    memcpy(ret->room + first, lane->overflow, bytes - first);
    return true;
}

static void port_frame(struct ioc_lane *lane, unsigned number, const uint8_t *vnet,
                       uint32_t bytes)
{
    struct ioc_port *port = &lane->ioc->ports[number];
    struct np_offload offload;
    struct fabric_packet packet;
    struct np_result result;

    ioc_count(&port->in_packets, 1);
    ioc_count(&port->in_bytes, bytes);
    if (!lane->table->ports[number].link_up) {
        port_drop(lane, port, IOC_PORT_LINK_DOWN);
        return;
    }
    if (!port_gather(lane, port, bytes, &packet)) {
        port_drop(lane, port, IOC_PORT_NO_BUFFER);
        return;
    }
    port_capture(lane, number, false, packet.room, bytes, NULL, 0);
    if (!np_offload_parse(vnet, bytes, &offload)) {
        port_drop(lane, port, IOC_PORT_VNET);
        fabric_lane_free(lane->fabric, &packet);
        return;
    }
    if (!np_classify(lane->table, lane->cache, number, packet.room, bytes, &offload, &result)) {
        port_drop(lane, port, result.counter);
        fabric_lane_free(lane->fabric, &packet);
        return;
    }
    ioc_count(&lane->counters[result.counter], 1);
    if (result.stale) {
        ioc_count(&lane->counters[IOC_NP_STALE], 1);
    }
    packet.cell = result.cell;
    packet.cell.pic = port->pic;
    packet.cell.port = port->port;
    packet.room += result.skip;
    lane->out[lane->n_out++] = packet;
    if (lane->n_out == FABRIC_BURST) {
        ioc_lane_flush(lane);
    }
}

void ioc_port_read(struct ioc_lane *lane, unsigned number)
{
    struct ioc_port *port = &lane->ioc->ports[number];

    for (unsigned i = 0; i < READ_BURST; i++) {
        uint8_t vnet[IOC_VNET_BYTES];
        struct iovec iov[3] = {{vnet, sizeof(vnet)}};
        int n_iov = 1;
        ssize_t n;

        if (port->buffer.room ||
            fabric_lane_alloc(lane->fabric, SMALL_FRAME, &port->buffer)) {
            iov[n_iov++] = (struct iovec){port->buffer.room, port->buffer.capacity};
        } else {
            port->buffer.room = NULL;
        }
        iov[n_iov++] = (struct iovec){lane->overflow, IOC_FRAME_MAX};
        n = readv(port->fd, iov, n_iov);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EIO)) {
            break; /* nothing there; the device is down */
        }
        if (n < 0 || (n == 0 && !port->datagram)) {
            port->dead = true;
            fw_warning("port %s: the link is gone (%s)", port->name,
                       n < 0 ? strerror(errno) : "closed");
            break;
        }
        if (n < (ssize_t)(IOC_VNET_BYTES + IOC_ETHER_BYTES)) {
            port_drop(lane, port, IOC_L2_SHORT);
            continue;
        }
        if (n > (ssize_t)(IOC_VNET_BYTES + IOC_FRAME_MAX)) {
            port_drop(lane, port, IOC_PORT_OVERSIZE);
            continue;
        }
        port_frame(lane, number, vnet, (uint32_t)n - IOC_VNET_BYTES);
    }
}

void ioc_port_write(struct ioc_lane *lane, const struct fabric_packet *packet)
{
    const struct fabric_cell *cell = &packet->cell;
    int number = ioc_port_find(lane->ioc, cell->pic, cell->port);
    uint8_t vnet[IOC_VNET_BYTES];
    struct iovec iov[2] = {{vnet, sizeof(vnet)},
                           {(void *)(uintptr_t)packet->data, cell->length}};
    struct ioc_port *port;
    enum ioc_counter why;
    ssize_t n;

    if (number < 0) {
        ioc_count(&lane->counters[IOC_PORT_UNKNOWN], 1);
        return;
    }
    port = &lane->ioc->ports[number];
    if (port->fd < 0 || !lane->table->ports[number].link_up) {
        why = IOC_PORT_LINK_DOWN;
        goto drop;
    }
    if (cell->length < IOC_ETHER_BYTES || cell->length > IOC_FRAME_MAX) {
        why = IOC_PORT_OVERSIZE;
        goto drop;
    }
    np_offload_write(cell, vnet);
    do {
        n = writev(port->fd, iov, 2);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        why = IOC_PORT_REFUSED;
        goto drop;
    }
    port_capture(lane, (unsigned)number, true, packet->data, cell->length, NULL, 0);
    __atomic_add_fetch(&port->out_packets, 1, __ATOMIC_RELAXED);
    __atomic_add_fetch(&port->out_bytes, cell->length, __ATOMIC_RELAXED);
    return;

drop:
    ioc_count(&lane->counters[why], 1);
    __atomic_add_fetch(&port->out_drops, 1, __ATOMIC_RELAXED);
}
