/*
 * policy - rules of a pair of zones: built into one block, matched in order.
 *
 * Nothing matched, or no policy for the pair: default deny. A fragment has no
 * ports; it matches an application when the application takes all of its
 * protocol. Build: main thread; match: any thread.
 */
#include <glib.h>
#include <string.h>

#include "spc/flow/tables-private.h"

struct flow_policy *flow_policy_new(const struct bus_policy_state *m)
{
    size_t prefixes = 0, applications = 0;
    struct flow_policy *p;
    struct fw_prefix *prefix;
    struct bus_policy_application *application;

    for (unsigned i = 0; i < m->n_rules; i++) {
        prefixes += m->rules[i].n_sources + m->rules[i].n_destinations;
        applications += m->rules[i].n_applications;
    }
    /* The parts follow each other by falling alignment: rules, applications, prefixes. */
    p = g_malloc0(sizeof *p + m->n_rules * sizeof(struct flow_rule) +
                  applications * sizeof *application + prefixes * sizeof *prefix);
    application = (struct bus_policy_application *)(void *)&p->rules[m->n_rules];
    prefix = (struct fw_prefix *)(void *)(application + applications);
    p->from = m->from_zone;
    p->to = m->to_zone;
    p->n_rules = m->n_rules;
    for (unsigned i = 0; i < m->n_rules; i++) {
        const struct bus_policy_rule *from = &m->rules[i];
        struct flow_rule *to = &p->rules[i];

        to->id = from->id;
        to->action = from->action;
        g_strlcpy(to->name, from->name, sizeof to->name);
        to->n_sources = (uint8_t)from->n_sources;
        to->n_destinations = (uint8_t)from->n_destinations;
        to->n_applications = (uint8_t)from->n_applications;
        to->sources = prefix;
        memcpy(prefix, from->sources, from->n_sources * sizeof *prefix);
        prefix += from->n_sources;
        to->destinations = prefix;
        memcpy(prefix, from->destinations, from->n_destinations * sizeof *prefix);
        prefix += from->n_destinations;
        to->applications = application;
        memcpy(application, from->applications, from->n_applications * sizeof *application);
        application += from->n_applications;
    }
    return p;
}

static bool prefixes_match(const struct fw_prefix *prefixes, unsigned n, const struct fw_addr *a)
{
    for (unsigned i = 0; i < n; i++) {
        if (fw_prefix_contains(&prefixes[i], a)) {
            return true;
        }
    }
    return n == 0;
}

static bool applications_match(const struct flow_rule *r, const struct flow_view *v)
{
    bool icmp = v->tuple.protocol == FLOW_PROTO_ICMP || v->tuple.protocol == FLOW_PROTO_ICMP6;
    uint16_t port = icmp ? v->icmp_type : v->tuple.destination_port;

    for (unsigned i = 0; i < r->n_applications; i++) {
        const struct bus_policy_application *a = &r->applications[i];

        if (a->protocol != 0 && a->protocol != v->tuple.protocol) {
            continue;
        }
        if (v->fragment ? a->port_low == 0 && a->port_high >= (icmp ? 255 : 65535)
                        : port >= a->port_low && port <= a->port_high) {
            return true;
        }
    }
    return r->n_applications == 0;
}

struct flow_verdict flow_tables_policy(const struct flow_tables *t, uint16_t from_zone,
                                       uint16_t to_zone, const struct flow_view *view)
{
    struct fw_addr source = flow_tuple_source(&view->tuple);
    struct fw_addr destination = flow_tuple_destination(&view->tuple);

    for (unsigned i = 0; i < t->policies->len; i++) {
        const struct flow_policy *p = t->policies->pdata[i];

        if (p->from != from_zone || p->to != to_zone) {
            continue;
        }
        for (unsigned j = 0; j < p->n_rules; j++) {
            const struct flow_rule *r = &p->rules[j];
            struct flow_verdict verdict = {FLOW_OK, r->id, r->name};

            if (!prefixes_match(r->sources, r->n_sources, &source) ||
                !prefixes_match(r->destinations, r->n_destinations, &destination) ||
                !applications_match(r, view)) {
                continue;
            }
            switch ((enum bus_policy_action)r->action) {
            case BUS_POLICY_ACTION_PERMIT:
                break;
            case BUS_POLICY_ACTION_DENY:
                verdict.why = FLOW_POLICY_DENY;
                break;
            case BUS_POLICY_ACTION_REJECT:
                verdict.why = FLOW_POLICY_REJECT;
                break;
            }
            return verdict;
        }
    }
    return (struct flow_verdict){FLOW_DEFAULT_DENY, 0, ""};
}
