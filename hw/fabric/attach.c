/*
 * attach - who knows whose outbox: the fabric as its owner hwd wires it.
 *
 * For every ordered pair (viewer, peer) there is a link. What it should be
 * follows from the two members alone: attached to the peer's present
 * incarnation, or detached. Steps are sent one at a time and acknowledged with
 * their generation; the next follows from what is wanted then. So a peer that
 * dies and returns while a viewer is slow needs no case of its own.
 *
 * A member without shared memory gets the datagram transport: one socket pair
 * for the two links of the pair, made anew when either incarnation changes.
 *
 * Planes are the control boards' (model); every change is told to everybody.
 */
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/core/log.h"
#include "hw/supervise/internal.h"

static struct hw_supervised *board_at(struct hw_node *node, unsigned index)
{
    struct hw_supervised *s = &node->boards[index];

    return s->board ? s : NULL;
}

static uint32_t incarnation(struct hw_node *node, unsigned index)
{
    struct hw_supervised *s = board_at(node, index);

    return s && s->conn ? s->member.incarnation : 0;
}

static void pair_close(struct hw_pair *pair)
{
    for (unsigned n = 0; n < 2; n++) {
        if (pair->fds[n] >= 0) {
            close(pair->fds[n]);
        }
        pair->fds[n] = -1;
        pair->incarnation[n] = 0;
    }
}

/* The viewer's end of the pair's socket; -1 when none can be made. */
static int pair_end(struct hw_node *node, unsigned viewer, unsigned peer)
{
    unsigned low = MIN(viewer, peer), high = MAX(viewer, peer);
    struct hw_pair *pair = &node->pairs[low][high];
    uint32_t a = incarnation(node, low), b = incarnation(node, high);

    if (pair->incarnation[0] != a || pair->incarnation[1] != b) {
        pair_close(pair);
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair->fds) != 0) {
            pair->fds[0] = pair->fds[1] = -1;
            return -1;
        }
        pair->incarnation[0] = a;
        pair->incarnation[1] = b;
    }
    return pair->fds[viewer == low ? 0 : 1];
}

/* Ours is not needed once the board has it: the far end must see it close. */
static void pair_given(struct hw_node *node, unsigned viewer, unsigned peer)
{
    struct hw_pair *pair = &node->pairs[MIN(viewer, peer)][MAX(viewer, peer)];
    unsigned n = viewer < peer ? 0 : 1;

    close(pair->fds[n]);
    pair->fds[n] = -1;
}

static bool attach_send(struct hw_node *node, unsigned viewer, unsigned peer, uint32_t generation,
                        bool via)
{
    struct hw_supervised *to = board_at(node, viewer);
    struct hw_supervised *other = board_at(node, peer);
    const struct hw_member *member = &other->member;
    struct bus_fabric_attach attach = {.index = (uint8_t)peer,
                                       .slot = hw_supervised_slot(other),
                                       .generation = generation,
                                       .lanes = (uint8_t)member->lanes,
                                       .bytes = member->bytes,
                                       .via_gateway = via,
                                       .transport = BUS_TRANSPORT_MEMORY};
    int fds[1 + FABRIC_LANES_MAX];

    if (to->member.outbox >= 0 && member->outbox >= 0) {
        fds[0] = member->outbox;
        memcpy(fds + 1, member->doorbells, member->lanes * sizeof(int));
        return hw_supervised_send(to, BUS_FABRIC_ATTACH, &attach, fds, 1 + member->lanes);
    }
    attach.transport = BUS_TRANSPORT_DATAGRAM;
    fds[0] = pair_end(node, viewer, peer);
    if (fds[0] < 0 || !hw_supervised_send(to, BUS_FABRIC_ATTACH, &attach, fds, 1)) {
        return false;
    }
    pair_given(node, viewer, peer);
    return true;
}

/* Cells of this pair take the detour. Datagram pairs never do: they are sockets of the two. */
static bool via_wanted(struct hw_node *node, unsigned viewer, unsigned peer)
{
    struct hw_supervised *gateway = hw_detour_gateway(node);

    return gateway && viewer != hw_supervised_index(gateway) &&
           peer != hw_supervised_index(gateway) && node->boards[viewer].member.outbox >= 0 &&
           node->boards[peer].member.outbox >= 0;
}

static void advance(struct hw_node *node, unsigned viewer, unsigned peer)
{
    struct hw_link *link = &node->links[viewer][peer];
    uint32_t want = incarnation(node, viewer) ? incarnation(node, peer) : 0;
    struct hw_supervised *to = board_at(node, viewer);
    bool sent;

    if (viewer == peer || !to || link->generation) {
        return;
    }
    if (link->have == want && (!want || link->via == via_wanted(node, viewer, peer))) {
        return;
    }
    if (!incarnation(node, viewer)) {
        return; /* it knows nobody; join begins with nothing */
    }
    link->generation = ++node->generations;
    link->tick = node->tick;
    if (link->have && link->have != want) {
        struct bus_fabric_detach detach = {.index = (uint8_t)peer, .generation = link->generation};

        link->pending = 0;
        link->pending_via = false;
        sent = hw_supervised_send(to, BUS_FABRIC_DETACH, &detach, NULL, 0);
    } else {
        /* Attached already: the way changes, and what lies in the rings at that moment is lost. */
        link->pending = want;
        link->pending_via = via_wanted(node, viewer, peer);
        sent = attach_send(node, viewer, peer, link->generation, link->pending_via);
    }
    if (!sent) {
        fw_warning("%s cannot be told of fabric endpoint %u", hw_unit_name(HW_UNIT(to->board)),
                   peer);
    }
}

static void advance_all(struct hw_node *node, unsigned index)
{
    for (unsigned other = 0; other < FABRIC_ENDPOINTS_MAX; other++) {
        if (other != index && board_at(node, other)) {
            advance(node, index, other);
            advance(node, other, index);
        }
    }
}

void hw_fabric_reroute(struct hw_node *node)
{
    for (unsigned index = 0; index < FABRIC_ENDPOINTS_MAX; index++) {
        if (board_at(node, index)) {
            advance_all(node, index);
        }
    }
}

void hw_fabric_init(struct hw_node *node)
{
    for (unsigned a = 0; a < FABRIC_ENDPOINTS_MAX; a++) {
        for (unsigned b = 0; b < FABRIC_ENDPOINTS_MAX; b++) {
            node->pairs[a][b].fds[0] = node->pairs[a][b].fds[1] = -1;
        }
    }
}

void hw_fabric_clear(struct hw_node *node)
{
    for (unsigned a = 0; a < FABRIC_ENDPOINTS_MAX; a++) {
        struct hw_supervised *s = board_at(node, a);

        if (s) {
            hw_fabric_leave(s);
        }
        for (unsigned b = 0; b < FABRIC_ENDPOINTS_MAX; b++) {
            pair_close(&node->pairs[a][b]);
        }
    }
}

void hw_fabric_join(struct hw_supervised *s, uint32_t bytes, unsigned lanes, int *fds,
                    unsigned n_fds)
{
    struct hw_node *node = s->node;
    struct hw_member *member = &s->member;

    member->incarnation = ++node->incarnations;
    member->bytes = bytes;
    member->lanes = lanes;
    member->outbox = n_fds ? fds[0] : -1;
    for (unsigned n = 0; n + 1 < n_fds; n++) {
        member->doorbells[n] = fds[n + 1];
    }
    for (unsigned n = 0; n < n_fds; n++) {
        fds[n] = -1;
    }
    advance_all(node, hw_supervised_index(s));
    hw_supervised_check(s);
}

void hw_fabric_leave(struct hw_supervised *s)
{
    struct hw_node *node = s->node;
    struct hw_member *member = &s->member;
    unsigned index = hw_supervised_index(s);

    if (!member->incarnation) {
        return;
    }
    if (member->outbox >= 0) {
        close(member->outbox);
        for (unsigned n = 0; n < member->lanes; n++) {
            close(member->doorbells[n]);
        }
    }
    memset(member, 0, sizeof *member);
    member->outbox = -1;
    memset(node->links[index], 0, sizeof node->links[index]);
    if (hw_board_kind(s->board) == BUS_BOARD_KIND_GATEWAY) {
        hw_fabric_reroute(node);
    } else {
        advance_all(node, index);
    }
}

void hw_fabric_acknowledged(struct hw_supervised *viewer, const struct bus_fabric_ack *ack)
{
    struct hw_node *node = viewer->node;
    unsigned index = hw_supervised_index(viewer);
    struct hw_link *link;

    if (ack->index >= FABRIC_ENDPOINTS_MAX) {
        return;
    }
    link = &node->links[index][ack->index];
    if (!link->generation || link->generation != ack->generation) {
        return;
    }
    link->generation = 0;
    link->have = ack->attached ? link->pending : 0;
    link->via = ack->attached && link->pending_via;
    advance(node, index, ack->index);
    hw_supervised_check(viewer);
    if (board_at(node, ack->index)) {
        hw_supervised_check(board_at(node, ack->index));
    }
}

bool hw_fabric_settled(struct hw_supervised *s)
{
    struct hw_node *node = s->node;
    unsigned index = hw_supervised_index(s);

    if (s->role->fabric_elsewhere) {
        return true; /* the board is in service without its fabric daemon */
    }
    if (!s->member.incarnation) {
        return false;
    }
    for (unsigned other = 0; other < FABRIC_ENDPOINTS_MAX; other++) {
        struct hw_supervised *o = board_at(node, other);

        if (!o || other == index || !incarnation(node, other)) {
            continue;
        }
        if (node->links[index][other].have != incarnation(node, other) ||
            (!o->role->fabric_elsewhere &&
             node->links[other][index].have != s->member.incarnation)) {
            return false;
        }
    }
    return true;
}

bool hw_fabric_attached(struct hw_supervised *viewer, uint8_t index)
{
    return index < FABRIC_ENDPOINTS_MAX &&
           viewer->node->links[hw_supervised_index(viewer)][index].have != 0;
}

void hw_fabric_watch(struct hw_node *node)
{
    for (unsigned viewer = 0; viewer < FABRIC_ENDPOINTS_MAX; viewer++) {
        struct hw_supervised *s = board_at(node, viewer);
        unsigned patience = s ? hw_unit_card(HW_UNIT(s->board))->watchdog_s : 0;

        for (unsigned peer = 0; s && peer < FABRIC_ENDPOINTS_MAX; peer++) {
            struct hw_link *link = &node->links[viewer][peer];

            if (!link->generation || node->tick - link->tick <= (patience ? patience : 5)) {
                continue;
            }
            if (s->role->fabric_elsewhere) {
                link->tick = node->tick; /* the daemon comes back with a new outbox */
            } else {
                hw_supervised_fail(s, HW_REASON_UNRESPONSIVE,
                                   "Unresponsive: fabric step not acknowledged", true);
                break;
            }
        }
    }
}

void hw_fabric_planes_tell(struct hw_node *node, struct hw_supervised *only)
{
    struct bus_fabric_planes planes = {.up = hw_chassis_planes(node->chassis)};

    for (unsigned n = 0; n < FABRIC_ENDPOINTS_MAX; n++) {
        struct hw_supervised *s = board_at(node, n);

        if (s && s->conn && (!only || s == only)) {
            hw_supervised_send(s, BUS_FABRIC_PLANES, &planes, NULL, 0);
        }
    }
}
