/*
 * traffic_flow - statistics of one flow at its receiver, as a pure state machine.
 *
 * Sequence numbers count from 0. A packet is received, duplicated (seen within
 * the window already), reordered (below the highest seen) or late (below the
 * window: it cannot be told from a duplicate and counts as reordered). lost is
 * what lies below the highest number and never came. outage is the longest gap
 * between arrivals while a packet was due: a gap in the numbers counts whole, a
 * gap without one counts only as far as the sender did not pause.
 * No clock, no allocation; any thread.
 */
#ifndef LAB_TRAFFIC_FLOW_H
#define LAB_TRAFFIC_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#define TRAFFIC_WINDOW 65536u /* packets: 65 ms at a million a second, a minute at a thousand */

struct traffic_receiver {
    uint64_t received;     /* different packets */
    uint64_t duplicated;
    uint64_t reordered;
    uint64_t corrupt;
    uint64_t next;         /* highest sequence number + 1; 0: nothing yet */
    int64_t last_arrival_ns;
    int64_t last_sent_ns;  /* of the highest */
    int64_t outage_ns;
    int64_t latency_min_ns, latency_max_ns;
    int64_t latency_sum_ns;
    uint64_t window[TRAFFIC_WINDOW / 64];
};

void traffic_receiver_init(struct traffic_receiver *receiver);
/* A packet arrived whose content is as sent. */
void traffic_receiver_note(struct traffic_receiver *receiver, uint64_t sequence, int64_t sent_ns,
                           int64_t now_ns);
uint64_t traffic_receiver_lost(const struct traffic_receiver *receiver);
int64_t traffic_receiver_mean_ns(const struct traffic_receiver *receiver);

/* How many packets a sender should have sent `elapsed_ns` after its start. */
uint64_t traffic_due(uint32_t rate_pps, int64_t elapsed_ns);

#endif
