/*
 * internal - what the files of supervise and hw/fabric share: the node and its boards.
 *
 * Main-loop thread only.
 */
#ifndef HW_SUPERVISE_INTERNAL_H
#define HW_SUPERVISE_INTERNAL_H

#include "firmware/bus/bus.h"
#include "firmware/core/timer.h"
#include "firmware/fabric/fabric.h"
#include "hw/supervise/node.h"
#include "hw/supervise/relay.h"

#define NODE_CAPTURES_MAX 64

/* What a board's outbox is; incarnation 0: it is no member of the fabric. */
struct hw_member {
    uint32_t incarnation;
    int outbox;      /* -1: datagram transport */
    int doorbells[FABRIC_LANES_MAX];
    unsigned lanes;
    uint32_t bytes;
};

/* Does `viewer` know `peer`? One step is under way at most. */
struct hw_link {
    uint32_t have;       /* incarnation of the peer it is attached to */
    uint32_t pending;    /* incarnation the step leads to, 0 detached */
    uint32_t generation; /* of the step under way; 0: none is */
    uint32_t tick;       /* when it was sent */
    bool via;            /* cells go through the gateway */
    bool pending_via;
};

/* The two ends of a datagram pair, made for two incarnations. */
struct hw_pair {
    uint32_t incarnation[2];
    int fds[2];
};

struct hw_supervised {
    struct hw_node *node;
    HwBoard *board;
    const struct hw_role *role;
    struct hw_guest *guest;      /* NULL: no process */
    struct bus_conn *conn;
    bool ready;                  /* told board-ready */
    bool ending;                 /* its end was ordered; what follows is below */
    bool again;                  /* and then it is started again */
    bool fault;                  /* and the restart policy decides */
    uint16_t end_reason;
    char *end_text;
    uint32_t ping;               /* last sent */
    uint32_t unanswered;
    int64_t started_ns;
    struct fw_timer *restart;    /* waits before the next start */
    struct fw_timer *grace;      /* patience with a board that was asked to end */
    struct hw_member member;
    GArray *daemons;             /* struct bus_daemon_state, of a Routing Engine */
    uint64_t cpu_ticks;          /* at the last measurement */
    unsigned cpu_percent;
    uint32_t memory_kib;
};

struct hw_node_port {
    char name[25];
    enum bus_port_kind kind;
    int fd;
    bool up, up_known;
    struct hw_supervised *card;
    uint8_t pic, port;
};

struct hw_node_capture {
    uint32_t id;
    struct hw_supervised *board;
    int waiting; /* descriptor for a gateway that is not in service yet, else -1 */
};

struct hw_node {
    struct hw_node_config config;
    char *run, *disk;
    uint64_t seed;
    HwChassis *chassis;
    struct hw_relay *relay;
    struct bus_conn *bus;             /* as BUS_HWD on the midplane */
    unsigned n_boards;
    struct hw_supervised boards[FABRIC_ENDPOINTS_MAX]; /* by endpoint index; board NULL: none */
    struct hw_link links[FABRIC_ENDPOINTS_MAX][FABRIC_ENDPOINTS_MAX]; /* viewer, peer */
    struct hw_pair pairs[FABRIC_ENDPOINTS_MAX][FABRIC_ENDPOINTS_MAX]; /* lower index first */
    uint32_t incarnations;
    uint32_t generations;
    uint32_t tick;                    /* counts ping rounds */
    struct fw_timer *pinger;
    GPtrArray *ports;                 /* struct hw_node_port */
    struct hw_node_capture captures[NODE_CAPTURES_MAX]; /* id 0: free */
    uint32_t capture_ids;
    bool detour;                      /* cells go through the gateway while it is in service */
    GArray *rules;                    /* struct bus_fabric_impair */
    struct bus_gateway_report gateway_report;
    bool ending;
    struct fw_timer *end_timer;
    void (*end_done)(void *user);
    void *end_user;
};

/* What each kind of board needs; a row a kind (life.c). */
struct hw_role {
    const char *program;
    const char *word;         /* in the log's name */
    uint16_t death_reason;    /* when it dies in service */
    bool bus;                 /* has a control bus socket */
    bool fabric_elsewhere;    /* its fabric belongs to a daemon: attachments may be lost with it */
    bool data_plane;          /* restarts with the others where the catalogue says so */
};

static inline uint8_t hw_supervised_slot(struct hw_supervised *s)
{
    return hw_unit_slot(HW_UNIT(s->board));
}

static inline uint8_t hw_supervised_index(struct hw_supervised *s)
{
    return hw_board_index(s->board);
}

/* node.c: NULL with error when there are too many */
struct hw_node_capture *hw_node_capture_new(struct hw_node *node, struct hw_supervised *board,
                                            GError **error);
/* The board is gone, and its captures with it. */
void hw_node_capture_forget(struct hw_node *node, struct hw_supervised *board);

/* life.c: a board from power-on to its end */
void hw_supervised_init(struct hw_supervised *s, struct hw_node *node, HwBoard *board);
void hw_supervised_clear(struct hw_supervised *s);
void hw_supervised_start(struct hw_supervised *s);
/* Orderly: board-end, a moment of patience, then SIGKILL. */
void hw_supervised_end(struct hw_supervised *s, uint16_t reason, bool again);
/* At once: it failed. text NULL: the reason's. policy false: it stays offline. */
void hw_supervised_fail(struct hw_supervised *s, uint16_t reason, const char *text, bool policy);
/* A round of pings. */
void hw_supervised_ping(struct hw_supervised *s);
/* Online when everything it needs has happened. */
void hw_supervised_check(struct hw_supervised *s);
/* Supervision message to the board; quiet when it does not live. */
bool hw_supervised_send(struct hw_supervised *s, uint16_t type, const void *msg, const int *fds,
                        unsigned n_fds);

/* wire.c: messages from boards */
void hw_supervised_connect(struct hw_supervised *s, int fd);

/* start.c: what a board is told at its start */
void hw_supervised_tell_start(struct hw_supervised *s);

/* hw/fabric/attach.c */
void hw_fabric_init(struct hw_node *node);
void hw_fabric_clear(struct hw_node *node);
/* Takes the descriptors (fds[0] outbox, then doorbells; none: datagram transport). */
void hw_fabric_join(struct hw_supervised *s, uint32_t bytes, unsigned lanes, int *fds,
                    unsigned n_fds);
void hw_fabric_leave(struct hw_supervised *s);
void hw_fabric_acknowledged(struct hw_supervised *viewer, const struct bus_fabric_ack *ack);
/* Everybody it must know is known, and knows it. */
bool hw_fabric_settled(struct hw_supervised *s);
bool hw_fabric_attached(struct hw_supervised *viewer, uint8_t index);
/* A step that takes too long is the viewer's failure; once a ping round. */
void hw_fabric_watch(struct hw_node *node);
/* The detour through the gateway begins or ends. */
void hw_fabric_reroute(struct hw_node *node);
void hw_fabric_planes_tell(struct hw_node *node, struct hw_supervised *only);

/* hw/fabric/detour.c: captures and impairments of the fabric, through the gateway */
bool hw_detour_capture_start(struct hw_node *node, int fd, uint32_t *ret_id, GError **error);
bool hw_detour_impair(struct hw_node *node, const struct bus_fabric_impair *rule, GError **error);
/* A board is in service: the gateway gets what waits for it. */
void hw_detour_online(struct hw_supervised *s);
/* Where cells would be detoured: NULL while there is no gateway in service. */
struct hw_supervised *hw_detour_gateway(struct hw_node *node);

/* report.c: telling the RE and the listener */
void hw_node_publish(struct hw_node *node, HwUnit *unit);
void hw_node_publish_all(struct hw_node *node);
void hw_node_event(struct hw_supervised *s, const char *name, JsonObject *more);
struct hw_supervised *hw_node_board(struct hw_node *node, uint8_t slot);
/* Members slot, name, card of the unit. */
JsonObject *hw_unit_object(HwUnit *unit);
/* CPU and memory of the board's process. */
void hw_supervised_measure(struct hw_supervised *s);

#endif
