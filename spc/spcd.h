/*
 * spcd - the services card's program around the library: workers, orders, bus.
 *
 * main.c joins board and card; control.c answers bus calls and keeps the tables
 * fresh; worker.c runs one host thread per lane. The main thread owns
 * everything but the lanes' own state. It reaches a lane by orders: one ring to
 * the lane, one back, and a wake-up each way; an order comes back to the main
 * thread when it is done. Nothing is shared otherwise but counters (read
 * racily) and immutable tables.
 */
#ifndef SPC_SPCD_H
#define SPC_SPCD_H

#include <glib.h>

#include "firmware/boot/board.h"
#include "spc/flow/lane.h"
#include "spc/ipsec/ipsec.h"

#define SPC_ORDERS 64u /* under way to one lane; more wait on the main thread */

enum spc_order_kind {
    SPC_ORDER_TABLES,   /* use these tables */
    SPC_ORDER_INSERT,   /* put an SA in */
    SPC_ORDER_REMOVE,   /* take an SA out */
    SPC_ORDER_SESSIONS, /* list sessions */
    SPC_ORDER_STOP
};

struct spc_order {
    enum spc_order_kind kind;
    struct flow_tables *tables;
    struct ipsec_sa *sa;             /* insert: in; remove: found */
    struct ipsec_sa *old;            /* insert: replaced */
    enum bus_direction direction;    /* remove */
    uint32_t tunnel, spi;            /* remove */
    uint8_t spu, thread;
    bool done;                       /* insert: taken */
    struct bus_session_list *sessions;
    uint32_t skip;
    unsigned lane;                   /* sessions: being asked */
    struct bus_header call;          /* to be answered */
};

struct spc_ring {
    struct spc_order *orders[SPC_ORDERS];
    _Alignas(64) uint32_t head;      /* writer's */
    _Alignas(64) uint32_t tail;      /* reader's */
};

struct spcd;

struct spc_worker {
    struct spcd *spcd;
    unsigned number;
    GThread *thread;
    struct spc_ring orders, answers;
    unsigned under_way;              /* main thread's count */
    GQueue waiting;                  /* main thread: orders that found the ring full */
};

struct spcd {
    struct board *board;
    uint8_t spus, threads, n_lanes;
    struct flow_lane *lanes;
    struct flow_thread *all;
    struct spc_worker workers[FABRIC_LANES_MAX];
    int wake_fd;                     /* eventfd: lanes to main thread */
    guint wake_source;
    struct flow_store *store;
    struct flow_tables *tables;      /* newest handed out */
    struct flow_tables *retired;     /* freed when all lanes have let go */
    unsigned swapping;               /* lanes that have not acknowledged */
    guint rebuild;                   /* idle source */
    bool dirty;
    GPtrArray *sas;                  /* struct ipsec_sa, in order of coming */
    GHashTable *spis;                /* inbound SPIs in use */
};

/* worker.c */
bool spc_workers_start(struct spcd *spcd, GError **error);
void spc_workers_stop(struct spcd *spcd);
/* Takes the order until it comes back through spc_control_done. */
void spc_worker_order(struct spc_worker *worker, struct spc_order *order);
/* Main thread: orders that came back, events. */
void spc_workers_collect(struct spcd *spcd);

/* control.c */
void spc_control_new(struct spcd *spcd);
void spc_control_free(struct spcd *spcd);
void spc_control_message(struct spcd *spcd, const struct bus_header *header, const void *msg);
void spc_control_done(struct spcd *spcd, struct spc_order *order);
void spc_control_event(struct spcd *spcd, const struct flow_event *event);

/* show.c */
void spc_show_statistics(struct spcd *spcd, const struct bus_header *call, uint8_t spu);
void spc_show_sas(struct spcd *spcd, const struct bus_header *call,
                  const struct bus_sa_query *query);
/* On the lane: append sessions of its threads; true when the list is full. */
bool spc_show_sessions(struct flow_lane *lane, struct spc_order *order);

#endif
