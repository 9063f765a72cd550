/*
 * config - gateways and tunnels as ikemd tells them, turned into the library's values.
 *
 * ikemd tells everything after our hello and ends with ike-sync-done: what it did not name by then
 * is gone. Afterwards it tells changes only.
 */
#include <string.h>

#include "firmware/core/clock.h"
#include "firmware/core/log.h"
#include "re/iked/iked.h"

static void id_set(struct ike_id *ret, const struct bus_ike_identity *m)
{
    memset(ret, 0, sizeof *ret);
    ret->type = m->type;
    ret->len = (uint8_t)MIN(m->value.len, IKE_ID_MAX);
    memcpy(ret->data, m->value.data, ret->len);
}

void config_gateway(struct iked *iked, const struct bus_ike_gateway *m)
{
    struct ike_gateway_config c = {0};
    struct gateway *g = g_hash_table_lookup(iked->gateways, m->name);

    if (m->gone) {
        ike_gateway_remove(iked->ike, m->name, fw_clock_ns());
        g_hash_table_remove(iked->gateways, m->name);
        return;
    }
    if (m->n_proposals == 0) {
        fw_warning("gateway %s: no proposal", m->name);
        return;
    }
    if (!g) {
        g = g_new0(struct gateway, 1);
        g->c = *m;
        g_hash_table_insert(iked->gateways, g->c.name, g);
    } else {
        g->c = *m; /* the same name: the key of the table stays equal */
    }
    fw_wipe(&g->c.psk, sizeof g->c.psk);
    g->told_now = true;
    g_strlcpy(c.name, m->name, sizeof c.name);
    c.local = m->local;
    c.remote = m->remote;
    id_set(&c.local_id, &m->local_id);
    id_set(&c.remote_id, &m->remote_id);
    c.psk = m->psk.data;
    c.psk_len = m->psk.len;
    c.n_suites = MIN(m->n_proposals, IKE_PROPOSALS_MAX);
    for (unsigned i = 0; i < c.n_suites; i++) {
        c.suites[i].enc = (enum fw_enc)m->proposals[i].encryption;
        c.suites[i].integ = (enum fw_integ)m->proposals[i].integrity;
        c.suites[i].prf = (enum fw_prf)m->proposals[i].prf;
        c.suites[i].group = m->proposals[i].group;
    }
    c.lifetime_ns = m->lifetime_s * FW_SEC;
    c.nat_traversal = m->nat_traversal;
    c.nat_keepalive_ns = m->nat_keepalive_s * FW_SEC;
    c.dpd = m->dpd_mode <= IKE_DPD_OFF ? (enum ike_dpd)m->dpd_mode : IKE_DPD_OFF;
    c.dpd_interval_ns = m->dpd_interval_s * FW_SEC;
    c.dpd_threshold = m->dpd_threshold;
    ike_gateway_set(iked->ike, &c, fw_clock_ns());
}

void config_tunnel(struct iked *iked, const struct bus_ike_tunnel *m)
{
    struct tunnel *t = iked_tunnel(iked, m->tunnel);
    struct ike_tunnel_config c = {0};

    if (m->gone) {
        ike_tunnel_remove(iked->ike, m->tunnel, fw_clock_ns());
        iked_pump(iked);
        if (t) {
            struct bus_tunnel_status gone = {.tunnel = m->tunnel, .gone = true};

            bus_send(iked->bus, BUS_SUBSCRIBERS, BUS_TUNNEL_STATUS, &gone);
            g_hash_table_remove(iked->tunnels, GUINT_TO_POINTER(m->tunnel));
        }
        return;
    }
    if (m->n_proposals == 0) {
        fw_warning("vpn %s: no proposal", m->vpn);
        return;
    }
    if (!t) {
        t = g_new0(struct tunnel, 1);
        t->iked = iked;
        t->retry = fw_timer_new((fw_timer_cb)tunnel_try, t);
        g_hash_table_insert(iked->tunnels, GUINT_TO_POINTER(m->tunnel), t);
    }
    t->c = *m;
    t->told_now = true;
    t->attempts = 0;
    c.tunnel = m->tunnel;
    g_strlcpy(c.gateway, m->gateway, sizeof c.gateway);
    c.n_suites = MIN(m->n_proposals, IKE_PROPOSALS_MAX);
    for (unsigned i = 0; i < c.n_suites; i++) {
        c.suites[i].enc = (enum fw_enc)m->proposals[i].encryption;
        c.suites[i].integ = (enum fw_integ)m->proposals[i].integrity;
        c.suites[i].group = m->proposals[i].group;
        c.suites[i].esn = m->proposals[i].esn;
    }
    c.lifetime_ns = m->lifetime_s * FW_SEC;
    c.no_rekey = m->establish == BUS_ESTABLISH_RESPONDER_ONLY_NO_REKEY;
    c.n_selectors = MIN(m->n_selectors, IKE_SELECTORS_MAX);
    for (unsigned i = 0; i < c.n_selectors; i++) {
        c.selectors[i].local = m->selectors[i].local;
        c.selectors[i].remote = m->selectors[i].remote;
    }
    c.place = (struct ike_placement){m->anchor, m->slot, m->spu, m->thread, m->generation};
    ike_tunnel_set(iked->ike, &c, fw_clock_ns());
    if (iked->working) {
        iked_pump(iked);
        tunnel_status(t);
        tunnel_try(t);
    }
}

/* ---- end of a telling ---- */

static void sweep(struct iked *iked)
{
    GList *all = g_hash_table_get_values(iked->tunnels);

    for (GList *l = all; l; l = l->next) {
        struct tunnel *t = l->data;

        if (!t->told_now) {
            struct bus_ike_tunnel gone = t->c;

            gone.gone = true;
            config_tunnel(iked, &gone);
        } else {
            t->told_now = false;
        }
    }
    g_list_free(all);
    all = g_hash_table_get_values(iked->gateways);
    for (GList *l = all; l; l = l->next) {
        struct gateway *g = l->data;

        if (!g->told_now) {
            struct bus_ike_gateway gone = g->c;

            gone.gone = true;
            config_gateway(iked, &gone);
        } else {
            g->told_now = false;
        }
    }
    g_list_free(all);
}

static bool read_record(uint32_t index, const uint8_t *bytes, size_t n, void *data)
{
    struct iked *iked = data;

    if (!ike_record_read(iked->ike, bytes, n, fw_clock_ns())) {
        fw_warning("IKE SA %u of an earlier life cannot go on", index);
        return false;
    }
    fw_info("IKE SA %u goes on", index);
    return true;
}

/* Every tunnel's place is compared with that of the SAs just read. */
static void place_again(struct iked *iked)
{
    GList *all = g_hash_table_get_values(iked->tunnels);

    for (GList *l = all; l; l = l->next) {
        struct bus_ike_tunnel same = ((struct tunnel *)l->data)->c;

        config_tunnel(iked, &same);
        ((struct tunnel *)l->data)->told_now = false;
    }
    g_list_free(all);
}

void config_sync_done(struct iked *iked)
{
    sweep(iked);
    if (iked->working || iked->reconciling) {
        return;
    }
    iked->reconciling = true;
    if (iked->records) {
        records_each(iked->records, read_record, iked);
    }
    place_again(iked);
    iked_pump(iked);
    cards_reconcile(iked);
}

void config_free(struct iked *iked)
{
    g_hash_table_destroy(iked->tunnels);
    g_hash_table_destroy(iked->gateways);
}
