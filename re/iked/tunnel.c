/*
 * tunnel - a tunnel's wish to be up, its retries, its status for others, and its history.
 *
 * Retries back off from half a second to a quarter of a minute, with jitter so that the two ends
 * of a lab do not meet again and again. Event texts: srx5000 reference E.12.
 */
#include <string.h>

#include "firmware/core/clock.h"
#include "firmware/core/log.h"
#include "firmware/core/rng.h"
#include "re/iked/iked.h"

#define RETRY_FIRST_NS (FW_SEC / 2)
#define RETRY_MOST_NS  (15 * FW_SEC)

bool tunnel_wanted(const struct tunnel *t)
{
    return t->c.establish == BUS_ESTABLISH_IMMEDIATELY;
}

void tunnel_try(struct tunnel *t)
{
    struct iked *iked = t->iked;

    if (!iked->working || !tunnel_wanted(t) || ike_tunnel_up(iked->ike, t->c.tunnel)) {
        return;
    }
    fw_timer_cancel(t->retry);
    ike_tunnel_initiate(iked->ike, t->c.tunnel, fw_clock_ns());
    iked_pump(iked);
}

static void retry_later(struct tunnel *t)
{
    int64_t wait = RETRY_FIRST_NS;

    if (!tunnel_wanted(t) || fw_timer_armed(t->retry)) {
        return;
    }
    for (unsigned i = 0; i < t->attempts && wait < RETRY_MOST_NS; i++) {
        wait *= 2;
    }
    wait = MIN(wait, RETRY_MOST_NS);
    t->attempts++;
    fw_timer_arm(t->retry, wait + (int64_t)fw_rng_model_below(500) * FW_MS);
}

void tunnel_status(struct tunnel *t)
{
    bool up = ike_tunnel_up(t->iked->ike, t->c.tunnel);

    if (!t->status_known || up != t->status_up) {
        struct bus_tunnel_status m = {.tunnel = t->c.tunnel, .up = up};

        t->status_known = true;
        t->status_up = up;
        bus_send(t->iked->bus, BUS_SUBSCRIBERS, BUS_TUNNEL_STATUS, &m);
        fw_info("vpn %s: tunnel %u is %s", t->c.vpn, t->c.tunnel, up ? "up" : "down");
    }
}

/* ---- history ---- */

static void note(struct tunnel *t, const char *text)
{
    struct tunnel_event *e = &t->events[0];

    if (t->n_events && strcmp(e->text, text) == 0) {
        e->times++;
        e->wall_ns = fw_clock_wall_ns();
        return;
    }
    memmove(&t->events[1], &t->events[0], (TUNNEL_EVENTS_MAX - 1) * sizeof *e);
    t->n_events = MIN(t->n_events + 1, TUNNEL_EVENTS_MAX);
    g_strlcpy(e->text, text, sizeof e->text);
    e->wall_ns = fw_clock_wall_ns();
    e->times = 1;
}

static const char *down_text(enum ike_reason reason)
{
    switch (reason) {
    case IKE_REASON_PEER_DELETED:
        return "IPsec SA is deleted because received DEL notification from peer";
    case IKE_REASON_LIFETIME:
        return "IPsec SA is deleted because IPSec SA hard life-time expired, sent DEL notification";
    case IKE_REASON_PEER_DEAD:
    case IKE_REASON_NO_RESPONSE:
        return "DPD detected peer as down. Existing IKE/IPSec SAs cleared";
    case IKE_REASON_OPERATOR:
        return "User cleared IPSec SA from CLI";
    case IKE_REASON_CONFIGURATION:
        return "Tunnel configuration changed. Corresponding IKE/IPSec SAs are deleted";
    default:
        return "IPsec SA is deleted";
    }
}

static void failed(struct tunnel *t, enum ike_reason reason)
{
    char text[sizeof t->events[0].text];

    if (reason == IKE_REASON_NO_RESPONSE) {
        g_strlcpy(text, "No response from peer. Negotiation failed", sizeof text);
    } else {
        g_snprintf(text, sizeof text, "IPsec SA negotiation failed: %s", ike_reason_text(reason));
    }
    t->failures++;
    note(t, text);
    fw_info("vpn %s: negotiation failed: %s", t->c.vpn, ike_reason_text(reason));
}

/* An IKE SA of this gateway came or went: what may its tunnels do now? */
static void gateway_changed(struct iked *iked, const struct ike_action *a, bool up)
{
    GHashTableIter it;
    gpointer value;

    g_hash_table_iter_init(&it, iked->tunnels);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        struct tunnel *t = value;
        struct gateway *g = g_hash_table_lookup(iked->gateways, t->c.gateway);

        if (!g || !fw_addr_equal(&g->c.remote, &a->remote)) {
            continue;
        }
        tunnel_status(t);
        if (!up && !t->status_up) {
            t->attempts = 0;
            retry_later(t);
        } else if (up && !t->status_up && tunnel_wanted(t)) {
            /* its turn comes when the first CHILD SA of the IKE SA is there */
            fw_timer_arm(t->retry, FW_SEC / 10);
        }
    }
}

void tunnel_event(struct iked *iked, const struct ike_action *a)
{
    struct tunnel *t = a->tunnel ? iked_tunnel(iked, a->tunnel) : NULL;

    switch (a->event) {
    case IKE_EVENT_IKE_UP:
    case IKE_EVENT_IKE_DOWN: {
        char peer[FW_ADDR_TEXT];
        bool up = a->event == IKE_EVENT_IKE_UP;

        fw_info("IKE SA %u with %s is %s%s%s", a->sa_index, fw_addr_text(&a->remote, peer),
                up ? "up" : "down", up ? "" : ": ", up ? "" : ike_reason_text(a->reason));
        gateway_changed(iked, a, up);
        return;
    }
    case IKE_EVENT_IKE_REKEYED:
        fw_info("IKE SA %u took over", a->sa_index);
        return;
    case IKE_EVENT_CHILD_UP:
    case IKE_EVENT_CHILD_REKEYED:
    case IKE_EVENT_CHILD_REKEY_BEGAN:
    case IKE_EVENT_CHILD_DOWN:
    case IKE_EVENT_FAILED:
        break;
    }
    if (!t) {
        return;
    }
    switch (a->event) {
    case IKE_EVENT_CHILD_UP:
        note(t, "IPsec SA negotiation succeeds");
        t->negotiations++;
        t->attempts = 0;
        break;
    case IKE_EVENT_CHILD_REKEYED:
        note(t, "IPsec SA rekey succeeds");
        t->negotiations++;
        t->attempts = 0;
        break;
    case IKE_EVENT_CHILD_REKEY_BEGAN:
        note(t, "IPSEC SA rekey initiated because soft life timer expired");
        break;
    case IKE_EVENT_CHILD_DOWN:
        note(t, down_text(a->reason));
        t->deletes++;
        break;
    case IKE_EVENT_FAILED:
        failed(t, a->reason);
        break;
    case IKE_EVENT_IKE_UP:
    case IKE_EVENT_IKE_DOWN:
    case IKE_EVENT_IKE_REKEYED:
        break;
    }
    tunnel_status(t);
    if (!t->status_up) {
        retry_later(t);
    }
}

void tunnel_free(gpointer data)
{
    struct tunnel *t = data;

    fw_timer_free(t->retry);
    g_free(t);
}
