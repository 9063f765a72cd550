/*
 * punt - see punt.h.
 *
 * All devices hang on one epoll descriptor, which the lane watches together
 * with its doorbell. Maps travel through two single-word mailboxes: `next`
 * (main to lane) and a list of retired ones (lane to main). Frames to and from
 * devices carry virtio_net_hdr, which says what the cell header says.
 */
#include "re/ifd/punt.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <pthread.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"

#define FRAME_MAX   (ETHER_HDR_LEN + 9216) /* st0's MTU and some */
#define READS_TURN  32                     /* frames of one device a turn: others wait too */
#define EVENTS_TURN 32

struct retired {
    struct punt_map *map;
    struct retired *next;
};

struct punt {
    struct fabric *fabric;
    struct fabric_lane *lane;
    pthread_t thread;
    bool started;
    int epoll;
    bool stop;                     /* atomic */
    struct punt_map *next;         /* atomic: newest map from the main thread */
    struct retired *retired;       /* atomic: maps the lane has left */
    struct punt_map *map;          /* the lane's */
    struct punt_counters counters; /* written by the lane */
    GArray *watched;               /* main thread: descriptors in epoll */
};

struct punt_map *punt_map_new(unsigned n_devices)
{
    struct punt_map *map = g_malloc0(sizeof *map + n_devices * sizeof(struct punt_device));

    map->n_devices = n_devices;
    map->central_point = 0xff;
    return map;
}

static void map_free(struct punt_map *map)
{
    if (!map) {
        return;
    }
    if (map->close) {
        for (unsigned i = 0; i < map->close->len; i++) {
            close(g_array_index(map->close, int, i));
        }
        g_array_unref(map->close);
    }
    g_free(map);
}

static void count(uint64_t *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

/* ------------------------------------------------------------------ fabric to kernel */

static const struct punt_device *device_by_ifl(const struct punt *punt, uint16_t ifl)
{
    for (unsigned i = 0; punt->map && i < punt->map->n_devices; i++) {
        if (punt->map->devices[i].ifl == ifl) {
            return &punt->map->devices[i];
        }
    }
    return NULL;
}

static const struct punt_device *device_by_port(const struct punt *punt, uint8_t slot, uint8_t pic,
                                                uint8_t port)
{
    for (unsigned i = 0; punt->map && i < punt->map->n_devices; i++) {
        const struct punt_device *device = &punt->map->devices[i];

        if (device->tap && device->slot == slot && device->pic == pic && device->port == port) {
            return device;
        }
    }
    return NULL;
}

/* What the cell says of checksum and segmentation; shift: bytes put in front. */
static struct virtio_net_hdr net_header(const struct fabric_cell *cell, size_t shift)
{
    struct virtio_net_hdr header = {0};

    if (cell->flags & FABRIC_FLAG_CSUM) {
        header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        header.csum_start = (uint16_t)(cell->csum_start + shift);
        header.csum_offset = cell->csum_offset;
    } else if (cell->flags & FABRIC_FLAG_CSUM_GOOD) {
        header.flags = VIRTIO_NET_HDR_F_DATA_VALID;
    }
    switch (cell->gso) {
    case FABRIC_GSO_TCP4:
        header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
        break;
    case FABRIC_GSO_TCP6:
        header.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
        break;
    case FABRIC_GSO_UDP:
        header.gso_type = VIRTIO_NET_HDR_GSO_UDP;
        break;
    default:
        return header;
    }
    header.gso_size = cell->gso_size;
    header.hdr_len = (uint16_t)(cell->headers + shift);
    return header;
}

static void host_in(struct punt *punt, const struct fabric_packet *packet)
{
    /* The sender of an L3 packet is the box itself; the kernel learns nothing from it. */
    static const uint8_t inside[ETHER_ADDR_LEN] = {0x02, 0x5c, 0xff, 0xff, 0xff, 0xff};
    const struct fabric_cell *cell = &packet->cell;
    const struct punt_device *device = NULL;
    bool frame = cell->flags & FABRIC_FLAG_L2;
    struct virtio_net_hdr header;
    struct ether_header ether;
    struct iovec parts[3];
    unsigned n = 0;

    if (cell->length < (frame ? (unsigned)ETHER_HDR_LEN : 20u)) {
        count(&punt->counters.malformed);
        return;
    }
    if (cell->ifl != 0) {
        device = device_by_ifl(punt, cell->ifl);
    }
    if (!device && frame) {
        device = device_by_port(punt, cell->source, cell->pic, cell->port);
    }
    if (!device || (frame && !device->tap)) {
        count(&punt->counters.no_device);
        return;
    }
    header = net_header(cell, !frame && device->tap ? ETHER_HDR_LEN : 0);
    parts[n++] = (struct iovec){&header, sizeof header};
    if (!frame && device->tap) {
        memcpy(ether.ether_dhost, device->mac, ETHER_ADDR_LEN);
        memcpy(ether.ether_shost, inside, ETHER_ADDR_LEN);
        ether.ether_type = GUINT16_TO_BE(packet->data[0] >> 4 == 6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
        parts[n++] = (struct iovec){&ether, ETHER_HDR_LEN};
    }
    parts[n++] = (struct iovec){(void *)packet->data, cell->length};
    count(writev(device->fd, parts, (int)n) < 0 ? &punt->counters.write_failed
                                                : &punt->counters.host_in);
}

/* ------------------------------------------------------------------ kernel to fabric */

static uint32_t fnv(uint32_t hash, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ bytes[i]) * 16777619u;
    }
    return hash;
}

/* Over the addresses and the protocol, so that a conversation keeps its plane. */
static uint32_t packet_hash(const uint8_t *ip, size_t len)
{
    if (len >= 20 && ip[0] >> 4 == 4) {
        return fnv(fnv(2166136261u, ip + 12, 8), ip + 9, 1);
    }
    if (len >= 40 && ip[0] >> 4 == 6) {
        return fnv(fnv(2166136261u, ip + 8, 32), ip + 6, 1);
    }
    return 0;
}

/* What the kernel says by itself stays inside unless the interface speaks IPv6. */
static bool may_leave(const struct punt_device *device, const uint8_t *data, size_t len)
{
    if (device->tap) {
        return len >= ETHER_HDR_LEN && (device->inet6 || data[12] != ETHERTYPE_IPV6 >> 8 ||
                                        data[13] != (ETHERTYPE_IPV6 & 0xff));
    }
    return len >= 20 && (device->inet6 || data[0] >> 4 == 4);
}

static void address_cell(const struct punt *punt, const struct punt_device *device,
                         struct fabric_packet *packet, size_t len)
{
    struct fabric_cell *cell = &packet->cell;

    cell->length = (uint32_t)len;
    cell->out_ifl = device->ifl;
    if (device->tap) {
        cell->type = FABRIC_CELL_PORT_OUT;
        cell->flags = FABRIC_FLAG_L2;
        cell->destination = device->slot;
        cell->pic = device->pic;
        cell->port = device->port;
        cell->hash = packet_hash(packet->room + ETHER_HDR_LEN, len - ETHER_HDR_LEN);
    } else {
        cell->type = FABRIC_CELL_HOST_OUT;
        cell->destination = punt->map->central_point;
        cell->hash = packet_hash(packet->room, len);
    }
}

/* Sends what a device has; false when more may be waiting. */
static bool device_read(struct punt *punt, const struct punt_device *device)
{
    struct fabric_packet packets[READS_TURN];
    unsigned n = 0, turn;
    bool drained = false;

    for (turn = 0; turn < READS_TURN && !drained; turn++) {
        struct fabric_packet *packet = &packets[n];
        uint8_t aside[FRAME_MAX];
        struct virtio_net_hdr header;
        struct iovec parts[2] = {{&header, sizeof header}, {aside, sizeof aside}};
        ssize_t got = readv(device->fd, parts, 2);
        size_t len;

        if (got < (ssize_t)sizeof header) {
            drained = true;
            break;
        }
        len = (size_t)got - sizeof header;
        if (!may_leave(device, aside, len)) {
            count(&punt->counters.quiet);
            continue;
        }
        if (!device->tap && punt->map->central_point == 0xff) {
            count(&punt->counters.no_card);
            continue;
        }
        if (!fabric_lane_alloc(punt->lane, (uint32_t)len, packet)) {
            count(&punt->counters.no_buffer);
            continue;
        }
        memcpy(packet->room, aside, len);
        address_cell(punt, device, packet, len);
        n++;
        count(&punt->counters.host_out);
    }
    if (n > 0) {
        fabric_lane_send(punt->lane, packets, n);
    }
    return drained;
}

static void devices_read(struct punt *punt)
{
    struct epoll_event events[EVENTS_TURN];
    int n = epoll_wait(punt->epoll, events, EVENTS_TURN, 0);

    for (int i = 0; i < n; i++) {
        for (unsigned j = 0; punt->map && j < punt->map->n_devices; j++) {
            if (punt->map->devices[j].fd == events[i].data.fd) {
                device_read(punt, &punt->map->devices[j]);
            }
        }
    }
}

/* ------------------------------------------------------------------ lane */

static void map_take(struct punt *punt)
{
    struct punt_map *next = __atomic_exchange_n(&punt->next, NULL, __ATOMIC_ACQ_REL);
    struct retired *old;

    if (!next) {
        return;
    }
    if (punt->map) {
        old = g_new(struct retired, 1);
        old->map = punt->map;
        old->next = __atomic_load_n(&punt->retired, __ATOMIC_RELAXED);
        while (!__atomic_compare_exchange_n(&punt->retired, &old->next, old, false,
                                            __ATOMIC_RELEASE, __ATOMIC_RELAXED)) {
        }
    }
    punt->map = next;
}

static void *lane_run(void *data)
{
    struct punt *punt = data;
    struct fabric_packet packets[FABRIC_BURST];
    bool ready = false;

    while (!__atomic_load_n(&punt->stop, __ATOMIC_ACQUIRE)) {
        unsigned n;

        map_take(punt);
        n = fabric_lane_receive(punt->lane, packets, FABRIC_BURST);
        for (unsigned i = 0; i < n; i++) {
            if (packets[i].cell.type == FABRIC_CELL_HOST_IN) {
                host_in(punt, &packets[i]);
            } else {
                count(&punt->counters.malformed);
            }
        }
        fabric_lane_release(punt->lane);
        if (ready) {
            devices_read(punt);
        }
        fabric_lane_wait(punt->lane, &punt->epoll, &ready, 1, FW_SEC);
    }
    return NULL;
}

/* ------------------------------------------------------------------ main thread */

static void retired_free(struct punt *punt)
{
    struct retired *list = __atomic_exchange_n(&punt->retired, NULL, __ATOMIC_ACQUIRE);

    while (list) {
        struct retired *next = list->next;

        map_free(list->map);
        g_free(list);
        list = next;
    }
}

struct punt *punt_new(struct fabric *fabric, GError **error)
{
    struct punt *punt = g_new0(struct punt, 1);

    punt->fabric = fabric;
    punt->lane = fabric_lane(fabric, 0);
    punt->watched = g_array_new(FALSE, FALSE, sizeof(int));
    punt->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (punt->epoll < 0) {
        fw_fail_errno(error, "epoll");
        punt_free(punt);
        return NULL;
    }
    errno = pthread_create(&punt->thread, NULL, lane_run, punt);
    if (errno != 0) {
        fw_fail_errno(error, "lane thread");
        punt_free(punt);
        return NULL;
    }
    punt->started = true;
    return punt;
}

void punt_free(struct punt *punt)
{
    if (!punt) {
        return;
    }
    if (punt->started) {
        __atomic_store_n(&punt->stop, true, __ATOMIC_RELEASE);
        fabric_lane_wake(punt->fabric, 0);
        pthread_join(punt->thread, NULL);
    }
    retired_free(punt);
    map_free(punt->map);
    map_free(punt->next);
    if (punt->epoll >= 0) {
        close(punt->epoll);
    }
    g_array_unref(punt->watched);
    g_free(punt);
}

static bool watched(const struct punt *punt, int fd)
{
    for (unsigned i = 0; i < punt->watched->len; i++) {
        if (g_array_index(punt->watched, int, i) == fd) {
            return true;
        }
    }
    return false;
}

/* New descriptors into epoll, those to be closed out of it. */
static void watch(struct punt *punt, const struct punt_map *map)
{
    for (unsigned i = 0; map->close && i < map->close->len; i++) {
        int fd = g_array_index(map->close, int, i);

        epoll_ctl(punt->epoll, EPOLL_CTL_DEL, fd, NULL);
        for (unsigned j = punt->watched->len; j-- > 0;) {
            if (g_array_index(punt->watched, int, j) == fd) {
                g_array_remove_index_fast(punt->watched, j);
            }
        }
    }
    for (unsigned i = 0; i < map->n_devices; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.fd = map->devices[i].fd};

        if (!watched(punt, map->devices[i].fd) &&
            epoll_ctl(punt->epoll, EPOLL_CTL_ADD, map->devices[i].fd, &event) == 0) {
            g_array_append_val(punt->watched, map->devices[i].fd);
        }
    }
}

void punt_set_map(struct punt *punt, struct punt_map *map)
{
    struct punt_map *untaken = __atomic_exchange_n(&punt->next, NULL, __ATOMIC_ACQ_REL);

    watch(punt, map);
    if (untaken && untaken->close) {
        /* The lane never saw it: what it was to close goes with this one. */
        if (!map->close) {
            map->close = g_array_new(FALSE, FALSE, sizeof(int));
        }
        g_array_append_vals(map->close, untaken->close->data, untaken->close->len);
        g_array_set_size(untaken->close, 0);
    }
    map_free(untaken);
    __atomic_store_n(&punt->next, map, __ATOMIC_RELEASE);
    fabric_lane_wake(punt->fabric, 0);
    retired_free(punt);
}

void punt_counters(const struct punt *punt, struct punt_counters *ret)
{
    *ret = punt->counters;
}
