/*
 * iked - what the files of the daemon share.
 *
 * The library re/ike decides; this daemon feeds it (datagrams, results, time, configuration) and
 * carries out its actions in order (iked_pump). Main-loop thread only; DH jobs run on workers.
 */
#ifndef RE_IKED_H
#define RE_IKED_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "firmware/bus/bus.h"
#include "firmware/core/timer.h"
#include "firmware/crypto/crypto.h"
#include "messages.h" /* generated */
#include "re/ike/ike.h"
#include "re/shell/shell.h"

#define TUNNEL_EVENTS_MAX 10 /* kept for `show ... detail`, newest first */

struct port;
struct records;

struct tunnel_event {
    int64_t wall_ns;
    char text[96];
    unsigned times;
};

struct tunnel {
    struct iked *iked;
    struct bus_ike_tunnel c;
    bool told_now; /* in the sync under way */
    bool status_known, status_up;
    unsigned attempts; /* without success */
    unsigned negotiations, failures, deletes;
    struct fw_timer *retry;
    struct tunnel_event events[TUNNEL_EVENTS_MAX];
    unsigned n_events;
};

struct gateway {
    struct bus_ike_gateway c; /* without the key */
    bool told_now;
};

struct iked {
    struct bus_conn *bus;
    struct ike *ike;
    struct fw_crypto *crypto;
    struct port *port;
    struct records *records;
    struct fw_timer *deadline;
    struct fw_timer *liveness; /* reads the cards' counters for dead-peer detection */
    GHashTable *tunnels;       /* id -> struct tunnel */
    GHashTable *gateways;      /* name -> struct gateway */
    char *key_directory;       /* key tables, or NULL */
    bool working;              /* records are read, cards were asked */
    bool reconciling;
    bool ending;
};

/* ---- main.c ---- */
/* Carry out everything the library wants and arm its deadline. After each call into it. */
void iked_pump(struct iked *iked);
struct tunnel *iked_tunnel(struct iked *iked, uint32_t id);

/* ---- config.c: calls of ikemd ---- */
void config_gateway(struct iked *iked, const struct bus_ike_gateway *m);
void config_tunnel(struct iked *iked, const struct bus_ike_tunnel *m);
/* What was not told since the last one goes. */
void config_sync_done(struct iked *iked);
void config_free(struct iked *iked);

/* ---- tunnel.c: what a tunnel wants and has gone through ---- */
bool tunnel_wanted(const struct tunnel *t);
/* Bring it up now if it is wanted and not up. */
void tunnel_try(struct tunnel *t);
/* Tell the subscribers whether it is up, when that has changed. */
void tunnel_status(struct tunnel *t);
void tunnel_event(struct iked *iked, const struct ike_action *a);
void tunnel_free(gpointer data);

/* ---- cards.c ---- */
void cards_reserve(struct iked *iked, const struct ike_action *a);
void cards_release(struct iked *iked, const struct ike_action *a);
void cards_install(struct iked *iked, const struct ike_action *a);
void cards_delete(struct iked *iked, const struct ike_action *a);
/* Compare what the library believes with what the cards have, then begin to work. */
void cards_reconcile(struct iked *iked);
void cards_liveness(void *iked);
void cards_stop(struct iked *iked);

/* ---- port.c: UDP 500 and 4500 ---- */
struct port *port_open(struct iked *iked, GError **error);
/* Begin to read: before, datagrams wait in the kernel. */
void port_start(struct port *port);
/* Datagrams that were no IKE message: empty, too long, without the marker at port 4500. */
uint64_t port_strays(const struct port *port);
void port_send(struct port *port, const struct ike_action *a);
void port_close(struct port *port);

/* ---- records.c: IKE SAs in memory that outlives us ---- */
/* NULL: the descriptor is no such memory; iked works without. */
struct records *records_open(int fd);
void records_put(struct records *records, uint32_t index, const uint8_t *bytes, size_t n);
void records_drop(struct records *records, uint32_t index);
/* The newest of each SA; bytes are valid during the call. Malformed ones are wiped. */
void records_each(struct records *records,
                  bool (*visit)(uint32_t index, const uint8_t *bytes, size_t n, void *data),
                  void *data);
void records_close(struct records *records);

/* ---- keys.c: tables for a wire analyser ---- */
void keys_open(struct iked *iked);
void keys_esp(struct iked *iked, const struct ike_action *install);
void keys_ike(struct iked *iked, uint32_t sa_index);

/* ---- show-ike.c, show-ipsec.c, statistics.c, clear.c: RPCs ---- */
bool show_ike(const struct bus_rpc_call *call, struct re_xml *xml, GError **error, void *data,
              void *token);
bool show_ipsec(const struct bus_rpc_call *call, struct re_xml *xml, GError **error, void *data,
                void *token);
bool show_statistics(const struct bus_rpc_call *call, struct re_xml *xml, GError **error,
                     void *data, void *token);
/* Ours: received IKE messages by what became of them. */
bool show_messages(const struct bus_rpc_call *call, struct re_xml *xml, GError **error, void *data,
                   void *token);
bool clear_ike(const struct bus_rpc_call *call, struct re_xml *xml, GError **error, void *data,
               void *token);
/* Ours: new keys for every CHILD SA that is up, or for the one of the given index. */
bool rekey_ipsec(const struct bus_rpc_call *call, struct re_xml *xml, GError **error, void *data,
                 void *token);
bool clear_ipsec(const struct bus_rpc_call *call, struct re_xml *xml, GError **error, void *data,
                 void *token);
bool clear_events(const struct bus_rpc_call *call, struct re_xml *xml, GError **error, void *data,
                  void *token);

#endif
