/*
 * labd - the lab as its daemon sees it; private to hw/lab.
 *
 * Main-loop thread only.
 */
#ifndef LAB_LABD_H
#define LAB_LABD_H

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <sys/types.h>

#include "firmware/bus/bus.h"
#include "firmware/core/timer.h"
#include "hw/lab/catalog.h"
#include "hw/lab/labfile.h"
#include "hw/lab/server.h"
#include "messages.h"

#define LABD_BUS_ADDRESS BUS_ADDRESS(0xfd, 0) /* labd's own address on its private sockets */

struct labd;

enum node_state {
    NODE_OFF,      /* its hwd is not there */
    NODE_BOOTING,  /* some card is not in service yet */
    NODE_ONLINE    /* every card of the lab file was in service since power-on */
};

struct labd_node {
    struct labd *labd;
    const struct lab_node *file;
    int netns;
    enum node_state state;
    pid_t pid;                    /* of vc-hwd, 0 when off */
    char *reason;                 /* why it is off */
    int64_t since_ns;             /* of the last state change */
    char *run, *disk;
    struct bus_conn *bus;
    uint32_t serial;
    GHashTable *calls;            /* serial -> struct node_call */
    struct fw_timer *poll;        /* looks at the slots until all are online */
    bool polling;
};

struct labd_command {             /* a command running in a host or node */
    struct labd *labd;
    pid_t pid;
    char *where;
    char *name;
    int64_t since_ns;
    bool background;
    struct server_client *client; /* foreground: who asked, NULL once it left */
    GPtrArray *waiting;           /* struct server_request that get the status */
};

struct labd_host {
    struct labd *labd;
    const struct lab_host *file;
    int netns;                    /* -1: traffic host */
    unsigned interfaces;
    pid_t pid;                    /* traffic host: vc-traffic */
    struct bus_conn *bus;
};

struct labd_link {
    const struct lab_link *file;
    int fds[2];                   /* what end n's node gets; -1 for a host's end */
    enum bus_port_kind kind;
    bool up;
};

struct labd {
    struct catalog *catalog;
    struct lab_file *file;
    char *run, *disk, *bin;       /* directories */
    GMainLoop *loop;
    struct server *server;
    struct server_client *keeper;
    int64_t started_ns;
    bool ending;
    bool online_told;
    unsigned n_nodes;
    struct labd_node nodes[LAB_NODES_MAX];
    unsigned n_hosts;
    struct labd_host hosts[LAB_HOSTS_MAX];
    unsigned n_links;
    struct labd_link links[LAB_LINKS_MAX];
    GHashTable *commands;         /* pid -> struct labd_command, owned */
    GPtrArray *quitting;          /* requests answered at the end */
};

/* labd.c */
void labd_quit(struct labd *labd);
/* All nodes have been seen online: tells once. */
void labd_check_online(struct labd *labd);
const char *labd_state(const struct labd *labd);

/* plumbing.c: namespaces, links, addresses */
bool labd_plumb(struct labd *labd, GError **error);
/* -1 when the lab has no such node or host, or it has no namespace. */
int labd_netns_of(const struct labd *labd, const char *where);
/* false: no such link. */
bool labd_link_set(struct labd *labd, const char *name, bool up);
/* Carrier of a link as its ends' states say; after a node came or went. */
void labd_links_refresh(struct labd *labd);

/* node.c: a node's hwd */
bool labd_node_start(struct labd_node *node, GError **error);
void labd_node_stop(struct labd_node *node);
struct labd_node *labd_node_find(struct labd *labd, const char *name);
const char *labd_node_state_name(const struct labd_node *node);
/* A monitor command of the node; the request is answered with the node's answer. command: text. */
void labd_node_call(struct labd_node *node, struct server_request *request, const char *command);
void labd_node_link(struct labd_node *node, const char *port, bool up);

/* traffic_host.c: a vc-traffic */
bool labd_traffic_start(struct labd_host *host, GError **error);
void labd_traffic_command(struct labd *labd, struct server_request *request, const char *name,
                          JsonObject *args);

/* run.c: commands in hosts and nodes */
void labd_run_exec(struct labd *labd, struct server_request *request, JsonObject *args,
                   bool background);
void labd_run_wait(struct labd *labd, struct server_request *request, JsonObject *args);
void labd_run_kill(struct labd *labd, struct server_request *request, JsonObject *args);
void labd_run_client_gone(struct labd *labd, struct server_client *client);

/* commands.c */
void labd_command(struct server_request *request, const char *name, JsonObject *args, void *data);
/* A builder begun with an object, and its end as a node. */
JsonBuilder *labd_object(void);
void labd_text(JsonBuilder *builder, const char *name, const char *value);
void labd_number(JsonBuilder *builder, const char *name, int64_t value);
void labd_flag(JsonBuilder *builder, const char *name, bool value);
JsonNode *labd_object_end(JsonBuilder *builder);

#endif
