/*
 * datagram - the second transport: one datagram is one cell, header and payload.
 *
 * Any lane sends, gathering a burst into one sendmmsg; lane 0 receives with
 * recvmmsg and hands cells of other lanes on through the board's own rings.
 * Received payloads lie in private memory that only lane 0 of a fabric with a
 * datagram peer has; pages of it are touched as far as datagrams are long.
 *
 * Policing is a token bucket per peer, a tenth of a second deep; the excess is
 * dropped and counted. Lane's thread only.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "firmware/core/clock.h"
#include "firmware/fabric/state.h"

#define SLOT_BYTES (sizeof(struct fabric_cell) + 65536u + FABRIC_LINE)

struct fabric_datagrams {
    struct fabric_peer *peer;        /* of what is queued */
    unsigned n, lost;
    uint32_t buffers[FABRIC_BURST];
    struct fabric_cell headers[FABRIC_BURST];
    struct mmsghdr out[FABRIC_BURST];
    struct iovec out_iov[FABRIC_BURST][2];
    struct mmsghdr in[FABRIC_BURST];
    struct iovec in_iov[FABRIC_BURST];
    uint8_t *slots;                  /* FABRIC_BURST of SLOT_BYTES */
};

struct fabric_datagrams *fabric_datagrams_new(void)
{
    struct fabric_datagrams *d = g_new0(struct fabric_datagrams, 1);

    for (unsigned i = 0; i < FABRIC_BURST; i++) {
        d->out[i].msg_hdr.msg_iov = d->out_iov[i];
        d->out[i].msg_hdr.msg_iovlen = 2;
        d->in[i].msg_hdr.msg_iov = &d->in_iov[i];
        d->in[i].msg_hdr.msg_iovlen = 1;
    }
    return d;
}

void fabric_datagrams_free(struct fabric_datagrams *d)
{
    if (d && d->slots) {
        munmap(d->slots, FABRIC_BURST * SLOT_BYTES);
    }
    g_free(d);
}

static void datagrams_send(struct fabric_lane *lane)
{
    struct fabric_datagrams *d = lane->datagrams;
    unsigned done = 0;

    while (done < d->n) {
        int r = sendmmsg(d->peer->socket, d->out + done, d->n - done, MSG_DONTWAIT);

        if (r <= 0) {
            if (r < 0 && errno == EINTR) {
                continue;
            }
            fabric_count(&lane->counters.refused, 1);
            d->lost++;
            done++; /* one that is too long does not stop the others */
            if (r < 0 && errno != EMSGSIZE) {
                fabric_count(&lane->counters.refused, d->n - done);
                d->lost += d->n - done;
                done = d->n;
            }
            continue;
        }
        done += (unsigned)r;
    }
    for (unsigned i = 0; i < d->n; i++) {
        fabric_pool_put(lane, d->buffers[i]);
    }
    d->n = 0;
    d->peer = NULL;
}

uint8_t *fabric_datagram_queue(struct fabric_lane *lane, struct fabric_peer *peer,
                               const struct fabric_packet *packet)
{
    struct fabric_datagrams *d = lane->datagrams;
    struct fabric_cell *header;

    if (d->n == FABRIC_BURST || (d->n > 0 && d->peer != peer)) {
        datagrams_send(lane);
    }
    header = &d->headers[d->n];
    *header = packet->cell;
    memset(header->reserved, 0, sizeof(header->reserved));
    d->peer = peer;
    d->out_iov[d->n][0] = (struct iovec){header, sizeof(*header)};
    d->out_iov[d->n][1] = (struct iovec){packet->room, packet->cell.length};
    d->buffers[d->n] = packet->buffer;
    d->n++;
    return (uint8_t *)header;
}

unsigned fabric_datagram_flush(struct fabric_lane *lane)
{
    struct fabric_datagrams *d = lane->datagrams;
    unsigned lost;

    if (d->n > 0) {
        datagrams_send(lane);
    }
    lost = d->lost;
    d->lost = 0;
    return lost;
}

/* How many of n may pass now. */
static unsigned police(struct fabric_lane_peer *lp, unsigned n)
{
    uint32_t pps = lp->peer->police_pps;
    int64_t now, depth, allowed;

    if (pps == 0) {
        return n;
    }
    now = fw_clock_ns();
    depth = MAX((int64_t)pps / 10, 1) * FW_SEC;
    lp->police_tokens += MIN(now - lp->police_at_ns, FW_SEC) * pps;
    lp->police_tokens = MIN(lp->police_tokens, depth);
    lp->police_at_ns = now;
    allowed = MIN(lp->police_tokens / FW_SEC, (int64_t)n);
    lp->police_tokens -= allowed * FW_SEC;
    return (unsigned)allowed;
}

/* A cell for another lane of this board goes there through our own outbox. */
static void hand_on(struct fabric_lane *lane, unsigned to, const struct fabric_cell *cell,
                    const uint8_t *payload)
{
    struct fabric_packet p;

    if (!fabric_lane_alloc(lane, cell->length, &p)) {
        return;
    }
    p.cell = *cell;
    memcpy(p.room, payload, cell->length);
    fabric_lane_pass(lane, to, &p);
}

static unsigned peer_receive(struct fabric_lane *lane, struct fabric_lane_peer *lp,
                             struct fabric_packet *ret, unsigned max, uint8_t *slots,
                             unsigned *ret_slots)
{
    struct fabric *fabric = lane->fabric;
    struct fabric_datagrams *d = lane->datagrams;
    unsigned got = 0, n, allowed;
    int r;

    for (unsigned i = 0; i < max; i++) {
        d->in_iov[i].iov_base = slots + (size_t)i * SLOT_BYTES;
        d->in_iov[i].iov_len = SLOT_BYTES;
    }
    r = recvmmsg(lp->peer->socket, d->in, max, MSG_DONTWAIT, NULL);
    *ret_slots = r > 0 ? (unsigned)r : 0;
    if (r <= 0) {
        return 0;
    }
    n = (unsigned)r;
    allowed = police(lp, n);
    if (allowed < n) {
        fabric_count(&lane->counters.policed, n - allowed);
    }
    for (unsigned i = 0; i < allowed; i++) {
        struct fabric_packet *p = &ret[got];
        const uint8_t *at = slots + (size_t)i * SLOT_BYTES;
        uint32_t bytes = d->in[i].msg_len;
        const char *wrong = NULL;
        unsigned to;

        if (bytes == 0 && d->in[i].msg_hdr.msg_flags == 0) {
            continue; /* the far end of a connection closed, or an empty datagram */
        }
        if (bytes < sizeof(p->cell) || (d->in[i].msg_hdr.msg_flags & MSG_TRUNC)) {
            wrong = "datagram length";
        } else {
            memcpy(&p->cell, at, sizeof(p->cell));
            wrong = fabric_cell_check(fabric, lp->peer, &p->cell,
                                      bytes - (uint32_t)sizeof(p->cell));
        }
        if (wrong) {
            fabric_count(&lane->counters.malformed, 1);
            fabric_peer_fault(lane, lp->peer, wrong);
            break;
        }
        if (fabric_cell_refused(lane, &p->cell)) {
            continue;
        }
        to = fabric_cell_lane(&p->cell, fabric->config.lanes);
        if (to != lane->number) {
            hand_on(lane, to, &p->cell, at + sizeof(p->cell));
            continue;
        }
        p->data = at + sizeof(p->cell);
        p->room = NULL;
        p->capacity = 0;
        p->buffer = 0;
        p->where = lp->peer->index;
        got++;
    }
    return got;
}

unsigned fabric_datagram_receive(struct fabric_lane *lane, struct fabric_packet *ret, unsigned max)
{
    struct fabric_datagrams *d = lane->datagrams;
    unsigned got = 0, used = 0;

    if (!d->slots) {
        void *slots = mmap(NULL, FABRIC_BURST * SLOT_BYTES, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (slots == MAP_FAILED) {
            fabric_count(&lane->counters.no_buffer, 1);
            return 0;
        }
        d->slots = slots;
    }
    for (unsigned i = 0; i < lane->n_datagram_peers && used < max; i++) {
        unsigned which = (lane->next_datagram + i) % lane->n_datagram_peers;
        struct fabric_lane_peer *lp = &lane->peers[lane->datagram_peers[which]];
        unsigned slots;

        if (__atomic_load_n(&lp->peer->faulted, __ATOMIC_RELAXED)) {
            continue;
        }
        /* A peer gets the slots that the ones before it left. */
        got += peer_receive(lane, lp, ret + got, max - used, d->slots + used * SLOT_BYTES,
                            &slots);
        used += slots;
    }
    lane->next_datagram++;
    fabric_lane_publish(lane);
    return got;
}
