/*
 * lane - a worker thread of the I/O card.
 *
 * A turn: take the newest snapshot, serve a burst from the fabric (frames out,
 * sessions for the NP), then a burst from each port that has something, then
 * wait. Sessions come to one lane by hash; it passes them on to the others,
 * because it does not know by which port the session's packets come.
 *
 * Nothing here allocates or locks per packet.
 */
#include <string.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "hw/ioc/ioc.h"

#define CACHE_ENTRIES   65536u
#define CAPTURE_WAIT_NS (10 * FW_MS) /* until a full capture pipe is tried again */

void ioc_lane_flush(struct ioc_lane *lane)
{
    if (lane->n_out > 0) {
        fabric_lane_send(lane->fabric, lane->out, lane->n_out);
        lane->n_out = 0;
    }
}

/* Copies for the other lanes: own cells, told apart by their source, with the owner in `tunnel`. */
static void session_pass_on(struct ioc_lane *lane, const struct fabric_packet *from,
                            const struct np_session *session, uint8_t owner)
{
    for (unsigned l = 0; l < lane->ioc->n_lanes; l++) {
        struct fabric_packet *copy = &lane->out[lane->n_out];

        if (l == lane->number || !fabric_lane_alloc(lane->fabric, sizeof(*session), copy)) {
            continue;
        }
        copy->cell.type = from->cell.type;
        copy->cell.destination = lane->ioc->index;
        copy->cell.length = sizeof(*session);
        copy->cell.hash = l; /* the fabric takes hash % lanes */
        copy->cell.tunnel = owner;
        copy->cell.hops = from->cell.hops;
        memcpy(copy->room, session, sizeof(*session));
        if (++lane->n_out == FABRIC_BURST) {
            ioc_lane_flush(lane);
        }
    }
}

static void session_cell(struct ioc_lane *lane, const struct fabric_packet *packet)
{
    bool own = packet->cell.source == lane->ioc->index;
    uint32_t owner = own ? packet->cell.tunnel : packet->cell.source;
    struct np_session session;

    if (packet->cell.length != sizeof(session) || owner >= FABRIC_ENDPOINTS_MAX) {
        ioc_count(&lane->counters[IOC_NP_INSTALL_BAD], 1);
        return;
    }
    memcpy(&session, packet->data, sizeof(session));
    session.zero = 0;
    if (session.tuple.family != FW_FAMILY_V4 && session.tuple.family != FW_FAMILY_V6) {
        ioc_count(&lane->counters[IOC_NP_INSTALL_BAD], 1);
        return;
    }
    if (packet->cell.type == FABRIC_CELL_NP_INSTALL) {
        enum ioc_counter what = np_cache_install(lane->cache, &session, (uint8_t)owner,
                                                 lane->table->boards[owner].generation);

        ioc_count(&lane->counters[what], 1);
    } else if (np_cache_remove(lane->cache, &session)) {
        ioc_count(&lane->counters[IOC_NP_REMOVED], 1);
    }
    if (!own && lane->ioc->n_lanes > 1) {
        session_pass_on(lane, packet, &session, (uint8_t)owner);
    }
}

static void lane_serve_fabric(struct ioc_lane *lane)
{
    struct fabric_packet burst[FABRIC_BURST];
    unsigned n = fabric_lane_receive(lane->fabric, burst, FABRIC_BURST);

    for (unsigned i = 0; i < n; i++) {
        switch (burst[i].cell.type) {
        case FABRIC_CELL_PORT_OUT:
            ioc_port_write(lane, &burst[i]);
            break;
        case FABRIC_CELL_NP_INSTALL:
        case FABRIC_CELL_NP_REMOVE:
            session_cell(lane, &burst[i]);
            break;
        default:
            ioc_count(&lane->counters[IOC_CELL_UNEXPECTED], 1);
            break;
        }
    }
    fabric_lane_release(lane->fabric);
}

static bool lane_flush_captures(struct ioc_lane *lane)
{
    bool left = false;

    for (unsigned i = 0; i < lane->table->n_ports; i++) {
        struct ioc_capture *const *list = lane->table->ports[i].captures;

        for (unsigned k = 0; k < IOC_CAPTURES_MAX && list[k]; k++) {
            left |= ioc_capture_flush(list[k]);
        }
    }
    return left;
}

static gpointer lane_main(gpointer data)
{
    struct ioc_lane *lane = data;
    struct ioc *ioc = lane->ioc;
    bool ready[IOC_PORTS_MAX] = {false};
    unsigned numbers[IOC_PORTS_MAX], n_fds = 0;
    int fds[IOC_PORTS_MAX];

    while (!__atomic_load_n(&ioc->stop, __ATOMIC_RELAXED)) {
        int64_t timeout = -1;

        lane->table = __atomic_load_n(&ioc->table, __ATOMIC_ACQUIRE);
        __atomic_store_n(&lane->seen, lane->table->sequence, __ATOMIC_RELEASE);
        lane_serve_fabric(lane);
        for (unsigned i = 0; i < n_fds; i++) {
            if (ready[i]) {
                ioc_port_read(lane, numbers[i]);
            }
        }
        ioc_lane_flush(lane);
        if (lane->table->n_captures > 0 && lane_flush_captures(lane)) {
            timeout = CAPTURE_WAIT_NS;
        }
        n_fds = 0;
        for (unsigned i = lane->number; i < ioc->n_ports; i += ioc->n_lanes) {
            if (ioc->ports[i].fd >= 0 && !ioc->ports[i].dead) {
                numbers[n_fds] = i;
                fds[n_fds++] = ioc->ports[i].fd;
            }
        }
        fabric_lane_wait(lane->fabric, fds, ready, n_fds, timeout);
    }
    return NULL;
}

bool ioc_lanes_start(struct ioc *ioc, GError **error)
{
    for (unsigned l = 0; l < ioc->n_lanes; l++) {
        struct ioc_lane *lane = &ioc->lanes[l];
        g_autofree char *name = g_strdup_printf("np%u", l);

        lane->ioc = ioc;
        lane->number = l;
        lane->fabric = fabric_lane(ioc->fabric, l);
        lane->cache = np_cache_new(CACHE_ENTRIES);
        lane->overflow = g_malloc(IOC_FRAME_MAX);
        lane->thread = g_thread_try_new(name, lane_main, lane, error);
        if (!lane->thread) {
            g_prefix_error(error, "lane %u: ", l);
            return false;
        }
    }
    return true;
}

void ioc_lanes_stop(struct ioc *ioc)
{
    __atomic_store_n(&ioc->stop, 1, __ATOMIC_RELAXED);
    for (unsigned l = 0; l < ioc->n_lanes; l++) {
        struct ioc_lane *lane = &ioc->lanes[l];

        if (lane->thread) {
            fabric_lane_wake(ioc->fabric, l);
            g_thread_join(lane->thread);
            lane->thread = NULL;
        }
        np_cache_free(lane->cache);
        lane->cache = NULL;
        g_free(lane->overflow);
        lane->overflow = NULL;
    }
}
