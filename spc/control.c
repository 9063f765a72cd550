/*
 * control - bus calls of a services card, and its tables kept fresh.
 *
 * Retained events go into the store; at the next idle turn of the loop a
 * snapshot is built and ordered to all lanes, at most one at a time; the one
 * before is freed when the last lane has answered. Calls about SAs become
 * orders to the lane of their thread; the reply follows the answer, so an SA
 * that was confirmed is in use. SPIs are unique on the card.
 */
#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "firmware/core/rng.h"
#include "spc/spcd.h"

enum refusal { BUSY = 1, INVALID = 2, UNAVAILABLE = 3, UNKNOWN = 4, REFUSED = 5 };

#define SPI_RANDOM_BITS 20
#define SPI_TRIES       64 /* a thousandth of the space full: far less are needed */

static struct spc_worker *worker_of(struct spcd *spcd, uint8_t spu, uint8_t thread)
{
    if (spu >= spcd->spus || thread >= spcd->threads) {
        return NULL;
    }
    return &spcd->workers[fabric_lane_of(spu, thread, spcd->n_lanes)];
}

/* ---- tables ---- */

static gboolean rebuild(gpointer data)
{
    struct spcd *spcd = data;

    spcd->rebuild = 0;
    if (!spcd->dirty || spcd->swapping > 0) {
        return G_SOURCE_REMOVE;
    }
    spcd->dirty = false;
    spcd->retired = spcd->tables;
    spcd->tables = flow_store_build(spcd->store);
    spcd->swapping = spcd->n_lanes;
    for (unsigned i = 0; i < spcd->n_lanes; i++) {
        struct spc_order *order = g_new0(struct spc_order, 1);

        order->kind = SPC_ORDER_TABLES;
        order->tables = spcd->tables;
        spc_worker_order(&spcd->workers[i], order);
    }
    return G_SOURCE_REMOVE;
}

static void rebuild_later(struct spcd *spcd)
{
    if (spcd->dirty && spcd->swapping == 0 && spcd->rebuild == 0) {
        spcd->rebuild = g_idle_add(rebuild, spcd);
    }
}

/* ---- calls ---- */

static void refuse(struct spcd *spcd, const struct bus_header *call, enum refusal code,
                   const char *text)
{
    bus_reply_error(spcd->board->bus, call, code, "%s", text);
}

static void spi_reserve(struct spcd *spcd, const struct bus_header *call,
                        const struct bus_spi_reserve *m)
{
    struct spc_worker *worker = worker_of(spcd, m->spu, m->thread);
    struct spc_order *order;
    uint32_t spi = 0;

    if (!worker || m->anchor == 0 || m->anchor > 4095) {
        refuse(spcd, call, INVALID, "no such flow thread or anchor on this card");
        return;
    }
    for (unsigned i = 0; i < SPI_TRIES && spi == 0; i++) {
        spi = (uint32_t)m->anchor << SPI_RANDOM_BITS |
              (fw_rng_secure_u32() & ((1u << SPI_RANDOM_BITS) - 1));
        if (g_hash_table_contains(spcd->spis, GUINT_TO_POINTER(spi))) {
            spi = 0;
        }
    }
    if (spi == 0) {
        refuse(spcd, call, BUSY, "no free SPI at this anchor");
        return;
    }
    g_hash_table_add(spcd->spis, GUINT_TO_POINTER(spi));
    order = g_new0(struct spc_order, 1);
    order->kind = SPC_ORDER_INSERT;
    order->sa = ipsec_sa_larval(m, spi);
    order->spi = spi;
    order->spu = m->spu;
    order->thread = m->thread;
    order->call = *call;
    spc_worker_order(worker, order);
}

static void sa_install(struct spcd *spcd, const struct bus_header *call,
                       const struct bus_sa_install *m)
{
    struct spc_worker *worker = worker_of(spcd, m->spu, m->thread);
    g_autoptr(GError) error = NULL;
    struct spc_order *order;
    struct ipsec_sa *sa;

    if (!worker) {
        refuse(spcd, call, INVALID, "no such flow thread on this card");
        return;
    }
    if (m->direction == BUS_DIRECTION_OUTBOUND && !m->fresh) {
        refuse(spcd, call, REFUSED, "an outbound SA whose counter may have been used is not taken");
        return;
    }
    if (m->direction == BUS_DIRECTION_INBOUND &&
        !g_hash_table_contains(spcd->spis, GUINT_TO_POINTER(m->spi))) {
        refuse(spcd, call, INVALID, "this SPI was not reserved here");
        return;
    }
    sa = ipsec_sa_new(m, NULL, &error);
    if (!sa) {
        refuse(spcd, call, INVALID, error->message);
        return;
    }
    order = g_new0(struct spc_order, 1);
    order->kind = SPC_ORDER_INSERT;
    order->sa = sa;
    order->spi = m->spi;
    order->spu = m->spu;
    order->thread = m->thread;
    order->call = *call;
    spc_worker_order(worker, order);
}

static void sa_remove(struct spcd *spcd, const struct bus_header *call,
                      enum bus_direction direction, uint32_t tunnel, uint32_t spi, uint8_t spu,
                      uint8_t thread)
{
    struct spc_worker *worker = worker_of(spcd, spu, thread);
    struct spc_order *order;

    if (!worker) {
        refuse(spcd, call, INVALID, "no such flow thread on this card");
        return;
    }
    order = g_new0(struct spc_order, 1);
    order->kind = SPC_ORDER_REMOVE;
    order->direction = direction;
    order->tunnel = tunnel;
    order->spi = spi;
    order->spu = spu;
    order->thread = thread;
    order->call = *call;
    spc_worker_order(worker, order);
}

static void spi_release(struct spcd *spcd, const struct bus_header *call,
                        const struct bus_spi_release *m)
{
    for (unsigned i = 0; i < spcd->sas->len; i++) {
        const struct ipsec_sa *sa = spcd->sas->pdata[i];

        if (sa->direction == BUS_DIRECTION_INBOUND && sa->spi == m->spi) {
            sa_remove(spcd, call, BUS_DIRECTION_INBOUND, sa->tunnel, m->spi, sa->spu, sa->thread);
            return;
        }
    }
    bus_reply_ok(spcd->board->bus, call); /* what is not there needs no release */
}

static void session_query(struct spcd *spcd, const struct bus_header *call,
                          const struct bus_session_query *m)
{
    struct spc_order *order = g_new0(struct spc_order, 1);

    order->kind = SPC_ORDER_SESSIONS;
    order->sessions = g_new0(struct bus_session_list, 1);
    order->skip = m->skip;
    order->call = *call;
    spc_worker_order(&spcd->workers[0], order);
}

void spc_control_message(struct spcd *spcd, const struct bus_header *header, const void *msg)
{
    if (header->kind == BUS_EVENT) {
        if (flow_store_apply(spcd->store, header->type, msg)) {
            spcd->dirty = true;
            rebuild_later(spcd);
        }
        return;
    }
    switch (header->type) {
    case BUS_SPI_RESERVE:
        spi_reserve(spcd, header, msg);
        return;
    case BUS_SPI_RELEASE:
        spi_release(spcd, header, msg);
        return;
    case BUS_SA_INSTALL:
        sa_install(spcd, header, msg);
        return;
    case BUS_SA_DELETE: {
        const struct bus_sa_delete *m = msg;

        sa_remove(spcd, header, m->direction, m->tunnel, m->spi, m->spu, m->thread);
        return;
    }
    case BUS_SA_QUERY:
        spc_show_sas(spcd, header, msg);
        return;
    case BUS_STATISTICS_QUERY:
        spc_show_statistics(spcd, header, ((const struct bus_statistics_query *)msg)->spu);
        return;
    case BUS_SESSION_QUERY:
        session_query(spcd, header, msg);
        return;
    default:
        refuse(spcd, header, UNKNOWN, "a services card does not know this call");
        return;
    }
}

/* ---- answers of the lanes ---- */

static void done_tables(struct spcd *spcd)
{
    if (--spcd->swapping == 0) {
        flow_tables_free(spcd->retired);
        spcd->retired = NULL;
        rebuild_later(spcd);
    }
}

static void done_insert(struct spcd *spcd, struct spc_order *order)
{
    struct bus_spi_reserved reserved = {.spi = order->spi};
    bool larval = order->sa->larval;

    if (!order->done) {
        if (larval) {
            g_hash_table_remove(spcd->spis, GUINT_TO_POINTER(order->spi));
        }
        ipsec_sa_free(order->sa);
        refuse(spcd, &order->call, BUSY, "the flow thread's table of SAs is full");
        return;
    }
    if (order->old) {
        g_ptr_array_remove(spcd->sas, order->old);
        ipsec_sa_free(order->old);
    }
    g_ptr_array_add(spcd->sas, order->sa);
    if (larval) {
        bus_reply(spcd->board->bus, &order->call, BUS_SPI_RESERVED, &reserved);
    } else {
        bus_reply_ok(spcd->board->bus, &order->call);
    }
}

static void done_remove(struct spcd *spcd, struct spc_order *order)
{
    if (order->direction == BUS_DIRECTION_INBOUND) {
        g_hash_table_remove(spcd->spis, GUINT_TO_POINTER(order->spi));
    }
    if (order->sa) {
        g_ptr_array_remove(spcd->sas, order->sa);
        ipsec_sa_free(order->sa);
    }
    bus_reply_ok(spcd->board->bus, &order->call);
}

/* One lane after the other adds to the list; true: the order is on its way again. */
static bool done_sessions(struct spcd *spcd, struct spc_order *order)
{
    order->sessions->more = order->done;
    if (!order->done && ++order->lane < spcd->n_lanes) {
        spc_worker_order(&spcd->workers[order->lane], order);
        return true;
    }
    bus_reply(spcd->board->bus, &order->call, BUS_SESSION_LIST, order->sessions);
    g_free(order->sessions);
    return false;
}

void spc_control_done(struct spcd *spcd, struct spc_order *order)
{
    switch (order->kind) {
    case SPC_ORDER_TABLES:
        done_tables(spcd);
        break;
    case SPC_ORDER_INSERT:
        done_insert(spcd, order);
        break;
    case SPC_ORDER_REMOVE:
        done_remove(spcd, order);
        break;
    case SPC_ORDER_SESSIONS:
        if (done_sessions(spcd, order)) {
            return;
        }
        break;
    case SPC_ORDER_STOP:
        return;
    }
    g_free(order);
}

void spc_control_event(struct spcd *spcd, const struct flow_event *event)
{
    switch (event->kind) {
    case FLOW_EVENT_NEIGHBOUR: {
        struct bus_neighbour_request m = {.ifl = event->ifl, .address = event->address};

        bus_send(spcd->board->bus, BUS_SUBSCRIBERS, BUS_NEIGHBOUR_REQUEST, &m);
        return;
    }
    case FLOW_EVENT_SA_EXPIRE: {
        struct bus_sa_expire m = {.tunnel = event->tunnel, .spi = event->spi, .hard = event->hard};

        bus_send(spcd->board->bus, BUS_RE(BUS_ROLE_IKED), BUS_SA_EXPIRE, &m);
        return;
    }
    case FLOW_EVENT_TRIGGER: {
        struct bus_tunnel_trigger m = {.tunnel = event->tunnel};

        bus_send(spcd->board->bus, BUS_RE(BUS_ROLE_IKED), BUS_TUNNEL_TRIGGER, &m);
        return;
    }
    }
}

/* ---- making ---- */

void spc_control_new(struct spcd *spcd)
{
    const struct bus_board_start *config = spcd->board->config;

    /* The Routing Engine's endpoint comes before the gateway's, which is the last. */
    spcd->store = flow_store_new(config->index, (uint8_t)(config->endpoints - 2));
    spcd->tables = flow_store_build(spcd->store);
    spcd->sas = g_ptr_array_new();
    spcd->spis = g_hash_table_new(NULL, NULL);
}

void spc_control_free(struct spcd *spcd)
{
    if (spcd->rebuild) {
        g_source_remove(spcd->rebuild);
    }
    for (unsigned i = 0; i < spcd->n_lanes; i++) {
        struct spc_order *order;

        while ((order = g_queue_pop_head(&spcd->workers[i].waiting)) != NULL) {
            if (order->kind == SPC_ORDER_INSERT) {
                ipsec_sa_free(order->sa);
            }
            g_free(order->sessions);
            g_free(order);
        }
    }
    flow_tables_free(spcd->retired);
    flow_tables_free(spcd->tables);
    flow_store_free(spcd->store);
    g_ptr_array_unref(spcd->sas);
    g_hash_table_unref(spcd->spis);
}
