/* traffic_flow - see traffic_flow.h. */
#include "hw/lab/traffic_flow.h"

#include <string.h>

void traffic_receiver_init(struct traffic_receiver *receiver)
{
    memset(receiver, 0, sizeof(*receiver));
}

static bool window_test(const struct traffic_receiver *r, uint64_t sequence)
{
    uint64_t bit = sequence % TRAFFIC_WINDOW;

    return r->window[bit / 64] >> (bit % 64) & 1;
}

static void window_set(struct traffic_receiver *r, uint64_t sequence, bool seen)
{
    uint64_t bit = sequence % TRAFFIC_WINDOW;
    uint64_t mask = UINT64_C(1) << (bit % 64);

    if (seen) {
        r->window[bit / 64] |= mask;
    } else {
        r->window[bit / 64] &= ~mask;
    }
}

/* The window's upper edge moves up to sequence: what lies between was not seen. */
static void window_advance(struct traffic_receiver *r, uint64_t sequence)
{
    if (sequence - r->next >= TRAFFIC_WINDOW) {
        memset(r->window, 0, sizeof(r->window));
        return;
    }
    for (uint64_t n = r->next; n <= sequence; n++) {
        window_set(r, n, false);
    }
}

static void latency_note(struct traffic_receiver *r, int64_t latency_ns)
{
    if (r->received == 1 || latency_ns < r->latency_min_ns) {
        r->latency_min_ns = latency_ns;
    }
    if (r->received == 1 || latency_ns > r->latency_max_ns) {
        r->latency_max_ns = latency_ns;
    }
    r->latency_sum_ns += latency_ns;
}

void traffic_receiver_note(struct traffic_receiver *r, uint64_t sequence, int64_t sent_ns,
                           int64_t now_ns)
{
    if (sequence < r->next) {
        if (r->next - sequence > TRAFFIC_WINDOW) {
            r->reordered++; /* too late to tell; not counted as received twice */
            return;
        }
        if (window_test(r, sequence)) {
            r->duplicated++;
            return;
        }
        window_set(r, sequence, true);
        r->received++;
        r->reordered++;
        latency_note(r, now_ns - sent_ns);
        r->last_arrival_ns = now_ns;
        return;
    }
    if (r->next > 0) {
        int64_t gap = now_ns - r->last_arrival_ns;

        if (sequence == r->next) {
            gap -= sent_ns - r->last_sent_ns;
        }
        if (gap > r->outage_ns) {
            r->outage_ns = gap;
        }
    }
    window_advance(r, sequence);
    window_set(r, sequence, true);
    r->next = sequence + 1;
    r->received++;
    r->last_arrival_ns = now_ns;
    r->last_sent_ns = sent_ns;
    latency_note(r, now_ns - sent_ns);
}

uint64_t traffic_receiver_lost(const struct traffic_receiver *r)
{
    return r->next > r->received ? r->next - r->received : 0;
}

int64_t traffic_receiver_mean_ns(const struct traffic_receiver *r)
{
    return r->received ? r->latency_sum_ns / (int64_t)r->received : 0;
}

uint64_t traffic_due(uint32_t rate_pps, int64_t elapsed_ns)
{
    uint64_t seconds, rest;

    if (elapsed_ns < 0) {
        return 0;
    }
    seconds = (uint64_t)elapsed_ns / 1000000000u;
    rest = (uint64_t)elapsed_ns % 1000000000u;
    return seconds * rate_pps + rest * rate_pps / 1000000000u + 1;
}
