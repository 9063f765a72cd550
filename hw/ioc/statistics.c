/*
 * statistics - named counters of the card and of its ports.
 *
 * Card: the NP's counters summed over the lanes, then the fabric's with the
 * prefix fabric-. Ports: PORT.WHAT for every port with a link. Counters of a
 * running lane are read without stopping it. Main thread.
 */
#include <string.h>

#include "hw/ioc/ioc.h"

static void add(struct bus_statistics *s, const char *prefix, const char *name, uint64_t value)
{
    if (s->n_counters < G_N_ELEMENTS(s->counters)) {
        struct bus_counter *c = &s->counters[s->n_counters++];

        g_snprintf(c->name, sizeof(c->name), "%s%s", prefix, name);
        c->value = value;
    }
}

static uint64_t load(const uint64_t *counter)
{
    return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

void ioc_statistics(const struct ioc *ioc, struct bus_statistics *ret)
{
    struct fabric_counters sum = {0};

    for (unsigned i = 0; i < IOC_COUNTERS_N; i++) {
        uint64_t value = 0;

        for (unsigned l = 0; l < ioc->n_lanes; l++) {
            value += load(&ioc->lanes[l].counters[i]);
        }
        add(ret, "", ioc_counter_names[i], value);
    }
    for (unsigned l = 0; l < ioc->n_lanes; l++) {
        struct fabric_counters c;

        fabric_lane_counters(ioc->fabric, l, &c);
        sum.sent += c.sent;
        sum.received += c.received;
        sum.no_buffer += c.no_buffer;
        sum.ring_full += c.ring_full;
        sum.detached += c.detached;
        sum.plane_down += c.plane_down;
        sum.malformed += c.malformed;
        sum.policed += c.policed;
        sum.wakeups += c.wakeups;
        sum.hop_limit += c.hop_limit;
        sum.refused += c.refused;
    }
    add(ret, "fabric-", "sent", sum.sent);
    add(ret, "fabric-", "received", sum.received);
    add(ret, "fabric-", "no-buffer", sum.no_buffer);
    add(ret, "fabric-", "ring-full", sum.ring_full);
    add(ret, "fabric-", "detached", sum.detached);
    add(ret, "fabric-", "plane-down", sum.plane_down);
    add(ret, "fabric-", "malformed", sum.malformed);
    add(ret, "fabric-", "policed", sum.policed);
    add(ret, "fabric-", "wakeups", sum.wakeups);
    add(ret, "fabric-", "hop-limit", sum.hop_limit);
    add(ret, "fabric-", "refused", sum.refused);
}

void ioc_port_statistics(const struct ioc *ioc, struct bus_statistics *ret)
{
    for (unsigned i = 0; i < ioc->n_ports; i++) {
        const struct ioc_port *port = &ioc->ports[i];
        char prefix[sizeof(port->name) + 1];

        if (port->fd < 0) {
            continue;
        }
        g_snprintf(prefix, sizeof(prefix), "%s.", port->name);
        add(ret, prefix, "input-packets", load(&port->in_packets));
        add(ret, prefix, "input-bytes", load(&port->in_bytes));
        add(ret, prefix, "input-drops", load(&port->in_drops));
        add(ret, prefix, "output-packets", load(&port->out_packets));
        add(ret, prefix, "output-bytes", load(&port->out_bytes));
        add(ret, prefix, "output-drops", load(&port->out_drops));
    }
}
