/*
 * cards - calls to services cards: SPIs, SAs, and what they hold.
 *
 * Calls to one card keep their order on the bus, so an SA is there before the packet that needs
 * it, and nothing here waits for an answer except a reservation. Deletes may be delayed: packets
 * in flight on a replaced SA still decrypt.
 *
 * Reconciliation after a restart: SAs that the library believes in and the card has not are
 * rekeyed; SAs that the card has and the library does not know are deleted. Both only once, before
 * any negotiation begins.
 */
#include <string.h>

#include "firmware/core/clock.h"
#include "firmware/core/log.h"
#include "re/iked/iked.h"

#define QUERY_MS    2000
#define LOST_NS     FW_SEC /* an installation failed: rekey after this, not at once */
#define LIVENESS_NS (2 * FW_SEC)

struct later { /* a delayed delete, or a rekey after a failed installation */
    struct iked *iked;
    struct fw_timer *timer;
    struct ike_action what;
};

static GList *laters; /* struct later */

static void later_end(struct later *l)
{
    laters = g_list_remove(laters, l);
    fw_timer_free(l->timer);
    g_free(l);
}

static void later_add(struct iked *iked, const struct ike_action *a, fw_timer_cb callback,
                      int64_t delay_ns)
{
    struct later *l = g_new0(struct later, 1);

    l->iked = iked;
    l->what.place = a->place;
    l->what.spi = a->spi;
    l->what.direction = a->direction;
    l->what.tunnel = a->tunnel;
    l->timer = fw_timer_new(callback, l);
    laters = g_list_prepend(laters, l);
    fw_timer_arm(l->timer, delay_ns);
}

void cards_stop(struct iked *iked)
{
    while (laters) {
        later_end(laters->data);
    }
    bus_cancel(iked->bus, iked);
}

static uint16_t card_of(const struct ike_placement *p)
{
    return BUS_ADDRESS(p->slot, BUS_ROLE_BOARD);
}

/* ---- reserve, release ---- */

struct reserve_link {
    struct iked *iked;
    uint64_t id;
};

static void reserved(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                     const GError *error, void *data)
{
    struct reserve_link *link = data;
    uint32_t spi = 0;

    (void)conn;
    if (!error && header->type == BUS_SPI_RESERVED) {
        spi = ((const struct bus_spi_reserved *)msg)->spi;
    } else {
        fw_debug("no SPI: %s", error ? error->message : ((const struct bus_error *)msg)->text);
    }
    if (!link->iked->ending) {
        ike_spi_reserved(link->iked->ike, link->id, spi, fw_clock_ns());
        iked_pump(link->iked);
    }
    g_free(link);
}

void cards_reserve(struct iked *iked, const struct ike_action *a)
{
    struct reserve_link *link = g_new0(struct reserve_link, 1);
    struct bus_spi_reserve m = {.tunnel = a->tunnel,
                                .anchor = a->place.anchor,
                                .spu = a->place.spu,
                                .thread = a->place.thread};

    link->iked = iked;
    link->id = a->id;
    bus_call(iked->bus, card_of(&a->place), BUS_SPI_RESERVE, &m, 0, reserved, link);
}

static void ignored(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                    const GError *error, void *data)
{
    (void)conn;
    (void)header;
    (void)msg;
    (void)error;
    (void)data;
}

void cards_release(struct iked *iked, const struct ike_action *a)
{
    struct bus_spi_release m = {.spi = a->spi};

    bus_call(iked->bus, card_of(&a->place), BUS_SPI_RELEASE, &m, 0, ignored, iked);
}

/* ---- install ---- */

static void lost(void *data)
{
    struct later *l = data;
    struct iked *iked = l->iked;
    uint32_t spi = l->what.spi;

    later_end(l);
    ike_child_lost(iked->ike, spi, true, fw_clock_ns());
    iked_pump(iked);
}

static void installed(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                      const GError *error, void *data)
{
    struct later *l = data;

    (void)conn;
    if (!error && header->type == BUS_OK) {
        later_end(l);
        return;
    }
    fw_warning("fpc %u did not take SA 0x%08x: %s", l->what.place.slot, l->what.spi,
               error ? error->message : ((const struct bus_error *)msg)->text);
    fw_timer_arm(l->timer, LOST_NS);
}

void cards_install(struct iked *iked, const struct ike_action *a)
{
    struct tunnel *t = iked_tunnel(iked, a->tunnel);
    g_autofree struct bus_sa_install *m = g_new0(struct bus_sa_install, 1);

    m->tunnel = a->tunnel;
    m->ifl = t ? t->c.ifl : 0;
    m->direction = a->direction == IKE_INBOUND ? BUS_DIRECTION_INBOUND : BUS_DIRECTION_OUTBOUND;
    m->spi = a->spi;
    m->anchor = a->place.anchor;
    m->spu = a->place.spu;
    m->thread = a->place.thread;
    m->encryption = (uint16_t)a->suite.enc;
    m->integrity = (uint16_t)a->suite.integ;
    m->key.len = (uint16_t)a->key_len;
    memcpy(m->key.data, a->key, a->key_len);
    m->integrity_key.len = (uint16_t)a->integ_key_len;
    memcpy(m->integrity_key.data, a->integ_key, a->integ_key_len);
    m->esn = a->suite.esn;
    m->replay_window = a->direction == IKE_INBOUND && t ? t->c.replay_window : 0;
    m->local = a->local;
    m->remote = a->remote;
    m->encap_local = a->local_port;
    m->encap_remote = a->remote_port;
    m->n_selectors = a->n_selectors;
    for (unsigned i = 0; i < a->n_selectors; i++) {
        m->selectors[i].local = a->selectors[i].local;
        m->selectors[i].remote = a->selectors[i].remote;
    }
    m->df = t ? t->c.df : 0;
    m->fresh = true;
    keys_esp(iked, a);
    later_add(iked, a, lost, 0);
    struct later *l = laters->data;
    fw_timer_cancel(l->timer);
    bus_call(iked->bus, card_of(&a->place), BUS_SA_INSTALL, m, 0, installed, l);
    bus_wipe(&bus_struct_sa_install, m);
}

/* ---- delete ---- */

static void delete_now(struct iked *iked, const struct ike_placement *place,
                       enum ike_direction direction, uint32_t spi, uint32_t tunnel)
{
    struct bus_sa_delete m = {.direction = direction == IKE_INBOUND ? BUS_DIRECTION_INBOUND
                                                                    : BUS_DIRECTION_OUTBOUND,
                              .spi = spi,
                              .anchor = place->anchor,
                              .spu = place->spu,
                              .thread = place->thread,
                              .tunnel = tunnel};

    bus_call(iked->bus, card_of(place), BUS_SA_DELETE, &m, 0, ignored, iked);
}

static void delete_due(void *data)
{
    struct later *l = data;

    delete_now(l->iked, &l->what.place, l->what.direction, l->what.spi, l->what.tunnel);
    later_end(l);
}

void cards_delete(struct iked *iked, const struct ike_action *a)
{
    if (a->delay_ns > 0) {
        later_add(iked, a, delete_due, a->delay_ns);
    } else {
        delete_now(iked, &a->place, a->direction, a->spi, a->tunnel);
    }
}

/* ---- reconcile ---- */

struct belief { /* one half of a CHILD SA of the records */
    uint32_t spi;
    uint8_t slot;
    bool inbound;
    bool seen;
};

struct reconcile {
    struct iked *iked;
    GArray *beliefs;
    unsigned open; /* queries out */
    uint8_t answered[256 / 8];
};

struct query {
    struct reconcile *r;
    uint8_t slot;
    uint32_t skip;
};

static void query_send(struct query *q);

static bool believe(const struct ike_child_view *v, void *data)
{
    struct reconcile *r = data;
    struct belief in = {v->spi_in, v->place.slot, true, false};
    struct belief out = {v->spi_out, v->place.slot, false, false};

    if (v->lost) {
        return true;
    }
    g_array_append_val(r->beliefs, in);
    if (v->outbound) {
        g_array_append_val(r->beliefs, out);
    }
    return true;
}

static void compare(struct reconcile *r, uint8_t slot, const struct bus_sa_info *sa)
{
    bool inbound = sa->direction == BUS_DIRECTION_INBOUND;
    struct ike_placement place = {(uint16_t)(sa->spi >> 20), slot, sa->spu, sa->thread, 0};

    for (unsigned i = 0; i < r->beliefs->len; i++) {
        struct belief *b = &g_array_index(r->beliefs, struct belief, i);

        if (b->spi == sa->spi && b->inbound == inbound && b->slot == slot && !sa->larval) {
            b->seen = true;
            return;
        }
    }
    if (inbound && sa->larval && ike_spi_in_use(r->iked->ike, sa->spi)) {
        return; /* of a request that is still out */
    }
    if (!inbound) { /* the peer's SPI says nothing about the anchor */
        struct tunnel *t = iked_tunnel(r->iked, sa->tunnel);

        place.anchor = t ? t->c.anchor : 0;
    }
    fw_info("fpc %u holds SA 0x%08x of nobody: deleted", slot, sa->spi);
    delete_now(r->iked, &place, inbound ? IKE_INBOUND : IKE_OUTBOUND, sa->spi, sa->tunnel);
}

static void begin_to_work(struct iked *iked)
{
    GHashTableIter it;
    gpointer value;
    GList *all;

    iked->reconciling = false;
    iked->working = true;
    port_start(iked->port);
    iked_pump(iked);
    all = g_hash_table_get_values(iked->tunnels);
    for (GList *l = all; l; l = l->next) {
        tunnel_status(l->data);
    }
    g_list_free(all);
    g_hash_table_iter_init(&it, iked->tunnels);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        tunnel_try(value);
    }
}

static void reconcile_end(struct reconcile *r)
{
    for (unsigned i = 0; i < r->beliefs->len; i++) {
        const struct belief *b = &g_array_index(r->beliefs, struct belief, i);

        if (!b->seen && r->answered[b->slot / 8] & 1 << b->slot % 8) {
            fw_info("fpc %u has lost SA 0x%08x: rekey", b->slot, b->spi);
            ike_child_lost(r->iked->ike, b->spi, true, fw_clock_ns());
        }
    }
    begin_to_work(r->iked);
    g_array_free(r->beliefs, TRUE);
    g_free(r);
}

static void query_answered(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                           const GError *error, void *data)
{
    struct query *q = data;
    struct reconcile *r = q->r;

    (void)conn;
    if (!error && header->type == BUS_SA_LIST) {
        const struct bus_sa_list *list = msg;

        for (unsigned i = 0; i < list->n_sas; i++) {
            compare(r, q->slot, &list->sas[i]);
        }
        q->skip += list->n_sas;
        if (list->more && list->n_sas) {
            query_send(q);
            return;
        }
        r->answered[q->slot / 8] |= (uint8_t)(1 << q->slot % 8);
    } else {
        /* a card that does not answer keeps what it has; ikemd hears of it when it is gone */
        fw_warning("fpc %u does not say which SAs it holds", q->slot);
    }
    g_free(q);
    if (--r->open == 0) {
        reconcile_end(r);
    }
}

static void query_send(struct query *q)
{
    struct bus_sa_query m = {.tunnel = 0, .skip = q->skip};

    bus_call(q->r->iked->bus, BUS_ADDRESS(q->slot, BUS_ROLE_BOARD), BUS_SA_QUERY, &m, QUERY_MS,
             query_answered, q);
}

void cards_reconcile(struct iked *iked)
{
    struct reconcile *r = g_new0(struct reconcile, 1);
    uint8_t asked[256 / 8] = {0};
    GHashTableIter it;
    gpointer value;

    r->iked = iked;
    r->beliefs = g_array_new(FALSE, TRUE, sizeof(struct belief));
    ike_child_each(iked->ike, believe, r);
    r->open = 1; /* ours, until all questions are asked */
    g_hash_table_iter_init(&it, iked->tunnels);
    while (g_hash_table_iter_next(&it, NULL, &value)) {
        const struct tunnel *t = value;
        uint8_t slot = t->c.slot;

        if (t->c.anchor && !(asked[slot / 8] & 1 << slot % 8)) {
            struct query *q = g_new0(struct query, 1);

            asked[slot / 8] |= (uint8_t)(1 << slot % 8);
            q->r = r;
            q->slot = slot;
            r->open++;
            query_send(q);
        }
    }
    if (--r->open == 0) {
        reconcile_end(r);
    }
}

/* ---- counters for dead-peer detection ---- */

struct traffic {
    uint64_t in, out;
};

static void traffic_add(gpointer key, gpointer value, gpointer data)
{
    const struct traffic *t = value;
    struct iked *iked = data;

    ike_traffic(iked->ike, GPOINTER_TO_UINT(key), t->in, t->out, fw_clock_ns());
}

static void traffic_answered(struct bus_conn *conn, const struct bus_header *header,
                             const void *msg, const GError *error, void *data)
{
    struct iked *iked = data;

    (void)conn;
    if (error || header->type != BUS_SA_LIST) {
        return;
    }
    const struct bus_sa_list *list = msg;
    g_autoptr(GHashTable) sums = g_hash_table_new_full(NULL, NULL, NULL, g_free);

    for (unsigned i = 0; i < list->n_sas; i++) {
        struct traffic *t = g_hash_table_lookup(sums, GUINT_TO_POINTER(list->sas[i].tunnel));

        if (!t) {
            t = g_new0(struct traffic, 1);
            g_hash_table_insert(sums, GUINT_TO_POINTER(list->sas[i].tunnel), t);
        }
        if (list->sas[i].direction == BUS_DIRECTION_INBOUND) {
            t->in += list->sas[i].packets;
        } else {
            t->out += list->sas[i].packets;
        }
    }
    g_hash_table_foreach(sums, traffic_add, iked);
    iked_pump(iked);
}

/* A question a tunnel whose gateway looks at traffic before it probes. */
void cards_liveness(void *data)
{
    struct iked *iked = data;
    GHashTableIter it;
    gpointer value;

    fw_timer_arm(iked->liveness, LIVENESS_NS);
    g_hash_table_iter_init(&it, iked->tunnels);
    while (iked->working && g_hash_table_iter_next(&it, NULL, &value)) {
        const struct tunnel *t = value;
        struct gateway *g = g_hash_table_lookup(iked->gateways, t->c.gateway);
        struct bus_sa_query m = {.tunnel = t->c.tunnel};

        if (g && t->status_up && t->c.anchor && g->c.dpd_mode < IKE_DPD_ALWAYS) {
            bus_call(iked->bus, BUS_ADDRESS(t->c.slot, BUS_ROLE_BOARD), BUS_SA_QUERY, &m, QUERY_MS,
                     traffic_answered, iked);
        }
    }
}
