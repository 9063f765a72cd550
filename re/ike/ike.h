/*
 * ike - IKEv2 as a library without input or output.
 *
 * An engine (struct ike) owns gateways, tunnels, IKE SAs and their CHILD SAs.
 * Datagrams, the time, answers to reservations and results of crypto jobs come
 * in as calls; what is to be done comes out as actions, values in one queue
 * that the caller drains after every call, in order. The order is a promise:
 * the record of an IKE SA precedes the datagram it must survive, an inbound SA
 * precedes the answer that lets the peer use it.
 *
 * Bytes from a peer yield a verdict and a counter, nothing else. The caller
 * gives the randomness as a callback. One thread.
 *
 * Standards: RFC 7296, 4106, 5282, 4868, 5903, 3948 (ports only), 6023 not.
 */
#ifndef IKE_IKE_H
#define IKE_IKE_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "firmware/core/addr.h"
#include "firmware/core/secret.h"
#include "firmware/crypto/crypto.h"

#define IKE_NAME_MAX      33
#define IKE_PROPOSALS_MAX 16
#define IKE_SELECTORS_MAX 8
#define IKE_ID_MAX        128
#define IKE_DATAGRAM_MAX  8192 /* far above any PSK exchange; a longer datagram is refused */
#define IKE_PORT          500
#define IKE_NATT_PORT     4500

/* ---- configuration, copied by the engine ---- */

struct ike_suite { /* of an IKE SA */
    enum fw_enc enc;
    enum fw_integ integ; /* none with AEAD */
    enum fw_prf prf;
    uint16_t group;
};

struct ike_esp_suite { /* of a CHILD SA */
    enum fw_enc enc;
    enum fw_integ integ;
    uint16_t group; /* PFS, 0 none */
    bool esn;
};

struct ike_id {
    uint8_t type; /* 1 IPv4, 2 FQDN, 3 RFC 822, 5 IPv6, 11 KEY_ID; 0 unset */
    uint8_t len;
    uint8_t data[IKE_ID_MAX];
};

enum ike_dpd { IKE_DPD_OPTIMIZED, IKE_DPD_PROBE_IDLE, IKE_DPD_ALWAYS, IKE_DPD_OFF };

struct ike_gateway_config {
    char name[IKE_NAME_MAX + 1];
    struct fw_addr local, remote;
    struct ike_id local_id, remote_id; /* unset: the address */
    const uint8_t *psk;
    size_t psk_len;
    struct ike_suite suites[IKE_PROPOSALS_MAX];
    unsigned n_suites;
    int64_t lifetime_ns;
    bool nat_traversal;
    int64_t nat_keepalive_ns;
    enum ike_dpd dpd;
    int64_t dpd_interval_ns;
    unsigned dpd_threshold;
};

struct ike_selector {
    struct fw_prefix local, remote;
};

struct ike_placement { /* opaque to the library, rides along into actions */
    uint16_t anchor;   /* 0: nowhere */
    uint8_t slot, spu, thread;
    uint32_t generation;
};

struct ike_tunnel_config {
    uint32_t tunnel;
    char gateway[IKE_NAME_MAX + 1];
    struct ike_esp_suite suites[IKE_PROPOSALS_MAX];
    unsigned n_suites;
    int64_t lifetime_ns;
    bool no_rekey; /* responder-only-no-rekey */
    struct ike_selector selectors[IKE_SELECTORS_MAX];
    unsigned n_selectors; /* 0: everything */
    struct ike_placement place;
};

/* ---- actions ---- */

enum ike_action_kind {
    IKE_ACTION_SEND,     /* a datagram */
    IKE_ACTION_JOB,      /* a DH job; answer with ike_job_done */
    IKE_ACTION_RESERVE,  /* an inbound SPI; answer with ike_spi_reserved */
    IKE_ACTION_RELEASE,  /* forget a reserved SPI */
    IKE_ACTION_INSTALL,  /* an SA with keys */
    IKE_ACTION_DELETE,   /* an SA; not before delay_ns */
    IKE_ACTION_RECORD,   /* write the record of this IKE SA (ike_record_write) */
    IKE_ACTION_UNRECORD, /* forget the record */
    IKE_ACTION_KEYS,     /* an IKE SA has keys: the key table, where wanted */
    IKE_ACTION_EVENT
};

enum ike_event {
    IKE_EVENT_IKE_UP,
    IKE_EVENT_IKE_REKEYED,
    IKE_EVENT_IKE_DOWN,
    IKE_EVENT_CHILD_UP,
    IKE_EVENT_CHILD_REKEYED,     /* a new pair took over */
    IKE_EVENT_CHILD_REKEY_BEGAN, /* soft lifetime */
    IKE_EVENT_CHILD_DOWN,
    IKE_EVENT_FAILED /* a negotiation for `tunnel` ended without success */
};

enum ike_reason {
    IKE_REASON_NONE,
    IKE_REASON_NO_RESPONSE,
    IKE_REASON_NO_PROPOSAL,
    IKE_REASON_AUTHENTICATION,
    IKE_REASON_TS_UNACCEPTABLE,
    IKE_REASON_SYNTAX,
    IKE_REASON_DH,
    IKE_REASON_NO_SPI,       /* no card could reserve an SPI */
    IKE_REASON_PEER_REFUSED, /* another error notification */
    IKE_REASON_PEER_DELETED,
    IKE_REASON_PEER_DEAD, /* liveness */
    IKE_REASON_LIFETIME,
    IKE_REASON_CONFIGURATION,
    IKE_REASON_OPERATOR,
    IKE_REASON_REPLACED, /* INITIAL_CONTACT, rekey, or the redundant one of two */
    IKE_REASON_COUNT
};

enum ike_direction { IKE_INBOUND, IKE_OUTBOUND };

#define IKE_ESP_KEY_MAX 36 /* 32 bytes of key, 4 of salt */

struct ike_action {
    enum ike_action_kind kind;
    uint64_t id;                /* job, reserve: to be given back; otherwise the SA's index */
    uint32_t sa_index;          /* IKE SA, 0 none */
    uint32_t tunnel;            /* 0 none */
    struct ike_placement place; /* reserve, release, install, delete */
    /* send */
    struct fw_addr local, remote;     /* install: outer addresses */
    uint16_t local_port, remote_port; /* install: UDP encapsulation, 0 none */
    bool natt;                        /* send: put the non-ESP marker in front */
    uint8_t *bytes;                   /* owned by the action */
    size_t n_bytes;
    /* job: owned by the action; take it by setting NULL */
    struct fw_job *job;
    /* install, delete, release */
    enum ike_direction direction;
    uint32_t spi;
    struct ike_esp_suite suite;
    uint8_t key[IKE_ESP_KEY_MAX];
    size_t key_len;
    uint8_t integ_key[FW_PRF_MAX];
    size_t integ_key_len;
    struct ike_selector selectors[IKE_SELECTORS_MAX];
    unsigned n_selectors;
    int64_t delay_ns;
    /* event */
    enum ike_event event;
    enum ike_reason reason;
};

/* ---- verdicts on datagrams ---- */

enum ike_verdict {
    IKE_VERDICT_OK,
    IKE_VERDICT_SHORT,      /* header or lengths do not fit */
    IKE_VERDICT_VERSION,    /* not IKEv2 */
    IKE_VERDICT_UNKNOWN_SA, /* no such SPIs */
    IKE_VERDICT_MESSAGE_ID, /* outside the window */
    IKE_VERDICT_REPEATED,   /* a retransmission, answered from the cache or ignored */
    IKE_VERDICT_STATE,      /* not in this state */
    IKE_VERDICT_INTEGRITY,  /* checksum or padding wrong */
    IKE_VERDICT_SYNTAX,     /* malformed payload or wrong set of payloads */
    IKE_VERDICT_CRITICAL,   /* unsupported critical payload */
    IKE_VERDICT_NO_GATEWAY, /* nobody configured for these addresses */
    IKE_VERDICT_BUSY,       /* too many half-open SAs */
    IKE_VERDICT_COOKIE,     /* a cookie was asked for */
    IKE_VERDICT_REFUSED,    /* understood and refused */
    IKE_VERDICT_COUNT
};

const char *ike_verdict_name(enum ike_verdict v);
const char *ike_reason_text(enum ike_reason r); /* for logs */

struct ike_datagram {
    struct fw_addr local, remote;
    uint16_t local_port, remote_port;
    bool natt; /* came with a non-ESP marker, which was taken off */
    const uint8_t *bytes;
    size_t n_bytes;
};

/* ---- the engine ---- */

struct ike;

typedef void (*ike_random_cb)(void *ret, size_t n, void *data);

struct ike *ike_new(ike_random_cb random, void *data);
/* Nothing is sent; SAs stay at the cards (a restart goes on from the records). */
void ike_free(struct ike *ike);

/* New or changed. A change of proposals, key, identities or addresses ends its IKE SAs. */
void ike_gateway_set(struct ike *ike, const struct ike_gateway_config *config, int64_t now_ns);
void ike_gateway_remove(struct ike *ike, const char *name, int64_t now_ns);
/* New or changed. Another placement makes an existing CHILD SA be rekeyed there. */
void ike_tunnel_set(struct ike *ike, const struct ike_tunnel_config *config, int64_t now_ns);
void ike_tunnel_remove(struct ike *ike, uint32_t tunnel, int64_t now_ns);

/* Bring the tunnel up: over a living IKE SA, else by a new one. Harmless when it is up or under
 * way. false: unknown tunnel or no placement. */
bool ike_tunnel_initiate(struct ike *ike, uint32_t tunnel, int64_t now_ns);
/* An SA pair is installed. */
bool ike_tunnel_up(const struct ike *ike, uint32_t tunnel);
/* A negotiation that will bring it up is under way. */
bool ike_tunnel_busy(const struct ike *ike, uint32_t tunnel);
/* Rekey the CHILD SA now. */
void ike_tunnel_rekey(struct ike *ike, uint32_t tunnel, int64_t now_ns);
void ike_sa_rekey(struct ike *ike, uint32_t sa_index, int64_t now_ns);
/* Delete with a notification to the peer. tunnel 0: all CHILD SAs. sa_index 0: all IKE SAs. */
void ike_tunnel_clear(struct ike *ike, uint32_t tunnel, enum ike_reason reason, int64_t now_ns);
void ike_sa_clear(struct ike *ike, uint32_t sa_index, enum ike_reason reason, int64_t now_ns);
/* The counter of this SA is near its end, or (gone) its card has lost it: rekey, never
 * re-install. spi: inbound or outbound. */
void ike_child_lost(struct ike *ike, uint32_t spi, bool gone, int64_t now_ns);

enum ike_verdict ike_receive(struct ike *ike, const struct ike_datagram *d, int64_t now_ns);
/* job: the one that was handed out, run (or failed). Stays the caller's. */
void ike_job_done(struct ike *ike, uint64_t id, struct fw_job *job, int64_t now_ns);
/* spi 0: refused. */
void ike_spi_reserved(struct ike *ike, uint64_t id, uint32_t spi, int64_t now_ns);
/* Packet counters of a tunnel's SAs, for liveness: only changes matter. */
void ike_traffic(struct ike *ike, uint32_t tunnel, uint64_t in_packets, uint64_t out_packets,
                 int64_t now_ns);
/* When ike_tick is due; INT64_MAX: never. */
int64_t ike_deadline_ns(const struct ike *ike);
void ike_tick(struct ike *ike, int64_t now_ns);

/* The next action or NULL; free it with ike_action_free. */
struct ike_action *ike_action_next(struct ike *ike);
void ike_action_free(struct ike_action *action);

/* Half-open responder SAs above which cookies are asked for (default 64), and above which
 * requests are ignored (default 1024). */
void ike_set_half_open(struct ike *ike, unsigned cookies, unsigned most);

uint64_t ike_counter(const struct ike *ike, enum ike_verdict v);

/* ---- what there is, for shows; values, copied ---- */

struct ike_sa_view {
    uint32_t index;
    const char *gateway; /* valid until the next call */
    bool initiator;
    bool up;
    uint64_t spi_i, spi_r;
    struct fw_addr local, remote;
    uint16_t local_port, remote_port;
    bool nat_local, nat_remote;
    struct ike_suite suite;
    struct ike_id local_id, remote_id;
    int64_t created_ns, soft_ns, hard_ns;
    uint64_t in_bytes, out_bytes, in_packets, out_packets;
    unsigned children_created, children_deleted;
    unsigned negotiations; /* CHILD negotiations in progress */
};

struct ike_child_view {
    uint32_t tunnel;
    uint32_t sa_index;
    uint32_t spi_in, spi_out;
    struct ike_esp_suite suite;
    struct ike_selector selectors[IKE_SELECTORS_MAX];
    unsigned n_selectors;
    struct ike_placement place;
    struct fw_addr local, remote;
    uint16_t remote_port; /* of IKE */
    bool encapsulated;
    bool outbound; /* installed (or about to be: the action is out) */
    bool lost;     /* its card has lost it */
    bool current;  /* the newest of its tunnel, not about to be deleted */
    int64_t created_ns, soft_ns, hard_ns;
};

/* Call back for each; return false to stop. */
void ike_sa_each(const struct ike *ike, bool (*visit)(const struct ike_sa_view *v, void *data),
                 void *data);
void ike_child_each(const struct ike *ike,
                    bool (*visit)(const struct ike_child_view *v, void *data), void *data);

/* An inbound SPI of a CHILD SA or of a negotiation under way. */
bool ike_spi_in_use(const struct ike *ike, uint32_t spi);

/* ---- records (record.c) ---- */

#define IKE_RECORD_MAX 65536 /* two cached messages and the CHILD SAs of one IKE SA */

/* The record of one IKE SA; contains keys. 0: unknown index or no room. */
size_t ike_record_write(const struct ike *ike, uint32_t sa_index, uint8_t *ret, size_t room);
/* Take an SA up again. Its gateway must be set already. Times in the record are the wall clock,
 * see ike_set_wall. false: malformed, outlived, or its gateway is gone. */
bool ike_record_read(struct ike *ike, const uint8_t *bytes, size_t n, int64_t now_ns);
/* Wall clock minus now_ns, so that lifetimes survive in records. */
void ike_set_wall(struct ike *ike, int64_t wall_minus_now_ns);

/* ---- key tables for a wire analyser (keylog.c) ---- */

/* Line for esp_sa of an install action, for ikev2_decryption_table of an IKE SA; free with
 * g_free after wiping when it matters. */
char *ike_keylog_esp(const struct ike_action *install);
char *ike_keylog_ike(const struct ike *ike, uint32_t sa_index);

#endif
