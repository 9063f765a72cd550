/*
 * wait - how a lane sleeps and is woken.
 *
 * Before sleeping a lane makes its sleep word odd, fences, and looks once more;
 * a sender publishes, fences, and reads the word: one of the two sees the
 * other. A sender rings once for each value of the word, so a burst costs at
 * most one write(2). One ppoll covers the doorbell, datagram sockets and the
 * caller's descriptors. Lane's thread; fabric_lane_wake: any thread.
 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/fabric/state.h"

#define SPIN_NS   20000
#define SPIN_TURN 64 /* looks between two readings of the clock */
#define FDS_MAX   (1 + FABRIC_ENDPOINTS_MAX + 64)

static bool lane_has_work(const struct fabric_lane *lane)
{
    if (__atomic_load_n(&lane->pending, __ATOMIC_ACQUIRE)) {
        return true;
    }
    for (unsigned i = 0; i < lane->n_poll; i++) {
        const struct fabric_in *in = lane->poll[i];
        uint32_t head = (uint32_t)__atomic_load_n(&in->head_word->value, __ATOMIC_ACQUIRE);

        if (head != in->tail + in->taken &&
            !__atomic_load_n(&in->peer->faulted, __ATOMIC_RELAXED)) {
            return true;
        }
    }
    return false;
}

static bool lane_spin(const struct fabric_lane *lane)
{
    int64_t until = fw_clock_ns() + SPIN_NS;

    do {
        for (unsigned i = 0; i < SPIN_TURN; i++) {
            if (lane_has_work(lane)) {
                return true;
            }
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
        }
    } while (fw_clock_ns() < until);
    return false;
}

static void lane_poll(struct fabric_lane *lane, const int *fds, bool *ready, unsigned n_fds,
                      int64_t timeout_ns)
{
    struct pollfd polls[FDS_MAX];
    struct timespec timeout = {timeout_ns / FW_SEC, timeout_ns % FW_SEC};
    unsigned n = 0, first;

    polls[n++] = (struct pollfd){lane->doorbell, POLLIN, 0};
    for (unsigned i = 0; i < lane->n_datagram_peers; i++) {
        const struct fabric_peer *peer = lane->peers[lane->datagram_peers[i]].peer;

        if (!__atomic_load_n(&peer->faulted, __ATOMIC_RELAXED)) {
            polls[n++] = (struct pollfd){peer->socket, POLLIN, 0};
        }
    }
    first = n;
    n_fds = MIN(n_fds, FDS_MAX - n);
    for (unsigned i = 0; i < n_fds; i++) {
        polls[n++] = (struct pollfd){fds[i], POLLIN, 0};
    }
    if (ppoll(polls, n, timeout_ns < 0 ? NULL : &timeout, NULL) <= 0) {
        return;
    }
    if (polls[0].revents) {
        uint64_t rings;

        if (read(lane->doorbell, &rings, sizeof(rings)) < 0 && errno != EAGAIN) {
            return;
        }
    }
    for (unsigned i = 0; i < n_fds; i++) {
        ready[i] = polls[first + i].revents != 0;
    }
}

void fabric_lane_wait(struct fabric_lane *lane, const int *fds, bool *ready, unsigned n_fds,
                      int64_t timeout_ns)
{
    for (unsigned i = 0; i < n_fds; i++) {
        ready[i] = false;
    }
    if (lane_has_work(lane) || (lane->fabric->config.spin && lane_spin(lane))) {
        if (n_fds > 0) {
            lane_poll(lane, fds, ready, n_fds, 0);
        }
    } else {
        lane->sleeps++;
        __atomic_store_n(&lane->sleep_word->value, lane->sleeps, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        lane_poll(lane, fds, ready, n_fds, lane_has_work(lane) ? 0 : timeout_ns);
        lane->sleeps++;
        __atomic_store_n(&lane->sleep_word->value, lane->sleeps, __ATOMIC_RELAXED);
    }
    if (__atomic_load_n(&lane->pending, __ATOMIC_ACQUIRE) && lane->n_held == 0) {
        fabric_lane_serve(lane);
    }
}

void fabric_lane_wake(struct fabric *fabric, unsigned lane)
{
    uint64_t one = 1;

    if (lane < fabric->config.lanes &&
        write(fabric->doorbells[lane], &one, sizeof(one)) < 0 && errno != EAGAIN) {
        g_warning("doorbell of lane %u: %s", lane, g_strerror(errno));
    }
}
