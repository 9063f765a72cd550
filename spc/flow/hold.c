/*
 * hold - packets that wait for a neighbour's MAC address.
 *
 * Up to FLOW_HOLD_PACKETS a neighbour and FLOW_HOLDS_MAX neighbours a lane;
 * ifd is asked once a second, for three seconds. New tables set the packets
 * free; time drops them.
 */
#include <string.h>

#include "firmware/core/clock.h"
#include "spc/flow/lane.h"

static void ask(struct flow_lane *lane, struct flow_hold *h)
{
    struct flow_event event = {
        .kind = FLOW_EVENT_NEIGHBOUR, .ifl = h->out.ifl, .address = h->out.next_hop};

    h->asked_ns = lane->now_ns;
    flow_post(lane, &event);
}

static struct flow_hold *find(struct flow_lane *lane, const struct flow_adjacency *out)
{
    struct flow_hold *free = NULL;

    for (unsigned i = 0; i < FLOW_HOLDS_MAX; i++) {
        struct flow_hold *h = &lane->holds[i];

        if (h->out.generation == 0) {
            free = free ? free : h;
        } else if (h->out.ifl == out->ifl &&
                   memcmp(&h->out.next_hop, &out->next_hop, sizeof out->next_hop) == 0) {
            return h;
        }
    }
    if (free) {
        free->out = *out;
        free->n = 0;
        free->until_ns = lane->now_ns + FLOW_HOLD_NS;
        lane->n_holds++;
        ask(lane, free);
    }
    return free;
}

void flow_hold(struct flow_thread *t, struct fabric_packet *p, const struct flow_adjacency *out)
{
    struct flow_hold *h = find(t->lane, out);

    if (!h || h->n == FLOW_HOLD_PACKETS) {
        flow_drop(t, p, FLOW_NEIGHBOUR_FULL);
        return;
    }
    flow_count(t->counters, FLOW_NEIGHBOUR_HELD, 1);
    h->threads[h->n] = t;
    h->packets[h->n++] = *p;
    p->room = NULL;
}

static void let_go(struct flow_lane *lane, struct flow_hold *h, bool resolved)
{
    struct flow_adjacency out = h->out;
    unsigned n = h->n;

    h->out.generation = 0;
    h->n = 0;
    lane->n_holds--;
    for (unsigned i = 0; i < n; i++) {
        if (resolved) {
            flow_port_out(h->threads[i], &h->packets[i], &out);
        } else {
            flow_drop(h->threads[i], &h->packets[i], FLOW_NEIGHBOUR_TIMEOUT);
        }
    }
}

void flow_holds_retry(struct flow_lane *lane)
{
    for (unsigned i = 0; i < FLOW_HOLDS_MAX && lane->n_holds > 0; i++) {
        struct flow_hold *h = &lane->holds[i];

        if (h->out.generation == 0) {
            continue;
        }
        if (flow_tables_neighbour(lane->tables, &h->out)) {
            let_go(lane, h, true);
        } else if (lane->now_ns >= h->until_ns) {
            let_go(lane, h, false);
        } else if (lane->now_ns - h->asked_ns >= FW_SEC) {
            ask(lane, h);
        }
    }
}
