/*
 * internal - what the files of re/ike share: the engine, IKE SAs, CHILD SAs, negotiations.
 *
 * Life of a request of ours: a task waits in sa->tasks; when nothing is
 * outstanding it becomes sa->out, is prepared (reservation and DH job may be
 * needed: sa->mine), sent, retransmitted, answered or given up. A peer's
 * request that needs the same is held in sa->theirs until it can be answered;
 * meanwhile its retransmissions are ignored. The window is 1 both ways.
 */
#ifndef IKE_INTERNAL_H
#define IKE_INTERNAL_H

#include "firmware/core/clock.h"
#include "re/ike/ike.h"
#include "re/ike/message.h"

#define IKE_CHILDREN_MAX      64 /* of one IKE SA: bounds what a peer can make us keep */
#define IKE_HALF_OPEN_NS      (30 * FW_SEC)
#define IKE_RETRANSMIT_NS     (500 * FW_MS)
#define IKE_RETRANSMIT_MAX_NS (16 * FW_SEC)
#define IKE_TRIES             9             /* about 80 s for an established SA */
#define IKE_TRIES_SETUP       5             /* about 15 s for a new one; the caller tries again */
#define IKE_OLD_INBOUND_NS    (5 * FW_SEC)  /* packets in flight on a replaced SA still decrypt */
#define IKE_SWITCH_NS         (1 * FW_SEC)  /* responder of a rekey: outbound at the latest */
#define IKE_RETRY_NS          (3 * FW_SEC)  /* after TEMPORARY_FAILURE, plus jitter */
#define IKE_DUPLICATE_NS      (10 * FW_SEC) /* two SAs made this close are a collision */
#define IKE_COOKIE_NS         (60 * FW_SEC)

struct ike_nonce {
    uint16_t len;
    uint8_t data[IKE_NONCE_MAX];
};

struct ike_gateway {
    struct ike_gateway_config c; /* psk is `psk` */
    struct fw_secret *psk;
};

struct ike_tunnel {
    struct ike_tunnel_config c;
    uint64_t seen_in, seen_out; /* ike_traffic */
};

struct ike_keys {
    uint8_t sk_d[FW_PRF_MAX];
    uint8_t ai[FW_PRF_MAX], ar[FW_PRF_MAX];
    uint8_t ei[IKE_ESP_KEY_MAX], er[IKE_ESP_KEY_MAX];
    uint8_t pi[FW_PRF_MAX], pr[FW_PRF_MAX];
};

struct ike_child {
    uint32_t tunnel;
    uint32_t spi_in, spi_out;
    struct ike_placement place;
    struct ike_esp_suite suite;
    struct ike_selector selectors[IKE_SELECTORS_MAX];
    unsigned n_selectors;
    uint8_t key_out[IKE_ESP_KEY_MAX]; /* only until the outbound SA is installed, then wiped */
    uint8_t integ_out[FW_PRF_MAX];
    bool outbound;          /* installed */
    bool replaced;          /* a newer one took over; a Delete is to come */
    bool deleting;          /* our Delete is on its way */
    bool rekeying;          /* our rekey is under way or queued */
    bool lost;              /* the card has lost it: nothing to delete there */
    uint32_t rival;         /* spi_in of the one the peer made of this (2.8.1) */
    int64_t outbound_at_ns; /* INT64_MAX: not waiting */
    int64_t created_ns, soft_ns, hard_ns;
    uint8_t nonce_min[IKE_NONCE_OWN]; /* the smaller nonce of its exchange */
};

enum ike_task_kind {
    IKE_TASK_NONE,
    IKE_TASK_INIT,
    IKE_TASK_AUTH,
    IKE_TASK_CHILD_CREATE,
    IKE_TASK_CHILD_REKEY,
    IKE_TASK_CHILD_DELETE,
    IKE_TASK_IKE_REKEY,
    IKE_TASK_IKE_DELETE,
    IKE_TASK_LIVENESS
};

struct ike_task {
    enum ike_task_kind kind;
    uint32_t tunnel;
    uint32_t spi_in; /* of the CHILD SA concerned */
    enum ike_reason reason;
};

struct ike_nego { /* keys being negotiated, by either side */
    bool active;
    bool initiator;
    bool rekey_ike;
    bool auth;     /* within IKE_AUTH */
    bool deriving; /* the key pair is there, the second job is out */
    uint32_t tunnel;
    uint32_t rekey_spi_in; /* CHILD SA to be replaced, 0 none */
    struct ike_placement place;
    struct ike_esp_suite esp;
    struct ike_suite ike;
    uint8_t number; /* of the proposal chosen */
    uint32_t spi_in, spi_out;
    uint64_t ike_own, ike_peer;
    struct ike_nonce ni, nr;
    uint16_t group;
    struct fw_secret *private_value;
    struct fw_secret *shared;
    uint8_t public_own[FW_DH_MAX];
    size_t public_own_len;
    uint8_t public_peer[FW_DH_MAX];
    size_t public_peer_len;
    struct ike_selector selectors[IKE_SELECTORS_MAX];
    unsigned n_selectors;
    uint64_t job, reserve; /* waited for, 0 none */
};

enum ike_sa_state {
    IKE_S_INIT,      /* initiator: until the answer of IKE_SA_INIT has given keys */
    IKE_S_AUTH,      /* initiator: IKE_AUTH under way */
    IKE_S_HALF_OPEN, /* responder: IKE_AUTH awaited */
    IKE_S_FAILED,    /* responder: refused; answers retransmissions until it expires */
    IKE_S_UP,
    IKE_S_DEAD /* to be freed at the end of the call */
};

struct ike_sa {
    struct ike *ike;
    uint32_t index;
    enum ike_sa_state state;
    bool initiator; /* of IKE_SA_INIT, or of the rekey that made it */
    uint64_t spi_i, spi_r;
    char gateway[IKE_NAME_MAX + 1];
    struct fw_addr local, remote;
    uint16_t local_port, remote_port;
    bool natt; /* port 4500 with the marker */
    bool nat_local, nat_remote;
    struct ike_suite suite;
    struct ike_keys keys;
    bool has_keys;
    uint64_t iv_next; /* random start at each process's life, see ike_sa_iv */
    bool iv_started;
    struct ike_nonce ni, nr; /* of the exchange that made it */
    struct ike_id remote_id;
    GByteArray *init_request, *init_response; /* for AUTH; freed afterwards */
    GBytes *cookie;                           /* to be sent back */
    enum ike_reason init_error; /* unauthenticated refusal seen: reported when we give up */
    unsigned init_restarts;     /* COOKIE and INVALID_KE_PAYLOAD answers followed */
    uint32_t first_tunnel;      /* initiator: of IKE_AUTH */
    uint16_t auth_refusal;      /* responder: notification that refuses the first CHILD SA */

    /* our requests */
    GQueue tasks; /* struct ike_task */
    struct ike_task out;
    bool out_sent;
    uint32_t out_id; /* message id of the outstanding or next request */
    GByteArray *out_bytes;
    unsigned out_tries;
    int64_t out_next_ns; /* retransmission, INT64_MAX: none outstanding */
    struct ike_nego mine;

    /* the peer's requests */
    uint32_t in_id;          /* expected next */
    bool in_busy;            /* held until theirs is complete */
    GByteArray *in_response; /* answer of in_id - 1 */
    struct fw_addr in_from, in_to;
    uint16_t in_from_port, in_to_port;
    bool in_natt;
    struct ike_nego theirs;

    GPtrArray *children; /* struct ike_child */

    int64_t created_ns, soft_ns, hard_ns;
    int64_t expires_ns; /* half-open, failed */
    int64_t heard_ns;   /* last authenticated message */
    int64_t traffic_in_ns, traffic_out_ns;
    int64_t dpd_ns;       /* next look */
    int64_t keepalive_ns; /* next NAT keepalive */
    int64_t sent_ns;      /* last datagram */
    int64_t deadline_ns;  /* as in the engine's tree */
    uint64_t in_bytes, out_bytes_total, in_packets, out_packets;
    unsigned children_created, children_deleted;
    bool replaced; /* a newer IKE SA has its CHILD SAs */
};

struct ike_wait { /* for a job or a reservation */
    uint64_t id;
    struct ike_sa *sa; /* NULL: the negotiation ended meanwhile */
    uint32_t tunnel;   /* reservation */
    struct ike_placement place;
};

struct ike {
    ike_random_cb random;
    void *random_data;
    GHashTable *gateways; /* name -> struct ike_gateway */
    GHashTable *tunnels;  /* GUINT_TO_POINTER(tunnel) -> struct ike_tunnel */
    GHashTable *by_spi;   /* own SPI -> struct ike_sa */
    GHashTable *by_index; /* index -> struct ike_sa */
    GHashTable *by_peer;  /* half-open responder: peer's SPI -> struct ike_sa */
    GHashTable *waiting;  /* id -> struct ike_wait */
    GTree *deadlines;     /* struct ike_sa by (deadline, index) */
    GQueue actions;
    GPtrArray *dead;
    uint32_t last_index;
    uint64_t last_id;
    unsigned half_open, cookie_above, half_open_most;
    uint8_t cookie_secret[2][32];
    int64_t cookie_made_ns;
    bool cookie_made;
    int64_t wall_ns;
    uint64_t counters[IKE_VERDICT_COUNT];
    int64_t now_ns; /* of the call being served */
};

/* ---- engine.c ---- */
struct ike_action *ike_action_push(struct ike *ike, enum ike_action_kind kind);
void ike_event_push(struct ike_sa *sa, enum ike_event event, enum ike_reason reason,
                    uint32_t tunnel);
void ike_random(struct ike *ike, void *ret, size_t n);
struct ike_gateway *ike_gateway_find(struct ike *ike, const char *name);
struct ike_tunnel *ike_tunnel_find(struct ike *ike, uint32_t tunnel);
struct ike_gateway *ike_sa_gateway(struct ike_sa *sa);
/* An established IKE SA of that gateway, the newest that is not replaced. */
struct ike_sa *ike_sa_of_gateway(struct ike *ike, const char *gateway);
const struct ike_id *ike_gateway_local_id(const struct ike_gateway *g, struct ike_id *scratch);
const struct ike_id *ike_gateway_remote_id(const struct ike_gateway *g, struct ike_id *scratch);
/* Free the dead at the end of a call. */
void ike_bury(struct ike *ike);

/* ---- sa.c ---- */
struct ike_sa *ike_sa_new(struct ike *ike, bool initiator, uint64_t spi_i, uint64_t spi_r);
void ike_sa_free(struct ike_sa *sa);
/* No more than this: off all tables, SAs deleted at the cards, event. */
void ike_sa_kill(struct ike_sa *sa, enum ike_reason reason);
void ike_sa_schedule(struct ike_sa *sa);
void ike_sa_set_lifetime(struct ike_sa *sa);
void ike_sa_established(struct ike_sa *sa);
uint64_t ike_sa_own_spi(const struct ike_sa *sa);
void ike_sa_record(struct ike_sa *sa);
void ike_sa_tick(struct ike_sa *sa);
uint64_t ike_spi_draw(struct ike *ike);
/* Ids for jobs and reservations. */
void ike_job_push(struct ike_sa *sa, struct ike_nego *n, enum fw_job_kind kind);
void ike_reserve_push(struct ike_sa *sa, struct ike_nego *n);
void ike_nego_clear(struct ike_sa *sa, struct ike_nego *n);
void ike_nonce_draw(struct ike *ike, struct ike_nonce *n);
bool ike_nonce_take(struct ike_nonce *n, const struct ike_payload *p);
void ike_nonce_min(const struct ike_nonce *a, const struct ike_nonce *b,
                   uint8_t ret[IKE_NONCE_OWN]);
bool ike_ke_take(struct ike_nego *n, const struct ike_payload *p);
void ike_child_set_lifetime(struct ike_sa *sa, struct ike_child *child);

/* ---- child.c ---- */
struct ike_child *ike_child_by_in(struct ike_sa *sa, uint32_t spi_in);
struct ike_child *ike_child_by_out(struct ike_sa *sa, uint32_t spi_out);
/* The newest of the tunnel that is not replaced. */
struct ike_child *ike_child_of_tunnel(struct ike_sa *sa, uint32_t tunnel);
/* The newest of the tunnel on any IKE SA. */
struct ike_child *ike_child_find(struct ike *ike, uint32_t tunnel, struct ike_sa **ret_sa);
/* Derive keys from a complete negotiation and install inbound. NULL: failed. */
struct ike_child *ike_child_build(struct ike_sa *sa, struct ike_nego *n);
void ike_child_install_outbound(struct ike_sa *sa, struct ike_child *child);
/* Off the card and out of the SA; the inbound SA stays some seconds when it was replaced. */
void ike_child_drop(struct ike_sa *sa, struct ike_child *child, enum ike_reason reason);
void ike_child_free(struct ike_child *child);
/* The tunnel's selectors and suites. */
unsigned ike_tunnel_selectors(const struct ike_tunnel *t, struct ike_selector *ret);

/* ---- task.c: our requests ---- */
void ike_task_add(struct ike_sa *sa, enum ike_task_kind kind, uint32_t tunnel, uint32_t spi_in,
                  enum ike_reason reason);
bool ike_task_has(const struct ike_sa *sa, enum ike_task_kind kind, uint32_t tunnel,
                  uint32_t spi_in);
/* Begin the next task when nothing is outstanding. */
void ike_task_run(struct ike_sa *sa);
/* Seal and send the request of the current task. */
void ike_task_send(struct ike_sa *sa, uint8_t exchange, struct ike_builder *chain);
void ike_task_retransmit(struct ike_sa *sa);
/* The outstanding request is over; the next one may run. */
void ike_task_done(struct ike_sa *sa);
/* A job or reservation of sa->mine is complete. */
void ike_task_advance(struct ike_sa *sa);
/* An authenticated answer to it. */
enum ike_verdict ike_task_answer(struct ike_sa *sa, uint8_t exchange,
                                 const struct ike_payloads *ps);

/* ---- send.c ---- */
void ike_send(struct ike_sa *sa, const uint8_t *bytes, size_t n);
/* Seal a chain into a message of this SA. */
GByteArray *ike_seal(struct ike_sa *sa, uint8_t exchange, bool response, uint32_t id,
                     struct ike_builder *chain);
/* Answer the peer's request in_id (cached, sent to where it came from) and advance in_id. */
void ike_answer(struct ike_sa *sa, uint8_t exchange, struct ike_builder *chain);
/* The answer is one notification. */
void ike_answer_notify(struct ike_sa *sa, uint8_t exchange, uint16_t type, const void *data,
                       size_t n);
struct ike_sk_key ike_sk_key_of(const struct ike_sa *sa, bool from_initiator);

/* ---- keymat.c ---- */
/* SKEYSEED and all keys; old: the SA being rekeyed or NULL. */
bool ike_keys_derive(struct ike_sa *sa, const struct ike_sa *old, const struct fw_secret *shared);
/* CHILD keys: initiator's direction first (RFC 7296 section 2.17). */
bool ike_child_keys(const struct ike_sa *sa, const struct ike_nego *n, uint8_t key_i[],
                    uint8_t integ_i[], uint8_t key_r[], uint8_t integ_r[]);
size_t ike_esp_key_len(const struct ike_esp_suite *s);
/* AUTH data of one side, prf bytes; id as in the payload. */
bool ike_auth_compute(const struct ike_sa *sa, bool of_initiator, const struct ike_id *id,
                      const uint8_t *psk, size_t psk_len, uint8_t *ret);

/* ---- nat.c ---- */
void ike_nat_emit(const struct ike_sa *sa, struct ike_builder *b);
/* Compare the peer's hashes with what the datagram shows. */
void ike_nat_detect(struct ike_sa *sa, const struct ike_header *h, const struct ike_payloads *ps,
                    const struct ike_datagram *d);

/* ---- cookie.c ---- */
void ike_cookie_make(struct ike *ike, const struct ike_datagram *d, uint64_t spi_i,
                     const struct ike_payload *nonce, unsigned age, uint8_t ret[36]);
bool ike_cookie_good(struct ike *ike, const struct ike_datagram *d, uint64_t spi_i,
                     const struct ike_payload *nonce, const struct ike_notification *n);

/* ---- exchange-init.c ---- */
void ike_init_begin(struct ike_sa *sa);
void ike_init_advance(struct ike_sa *sa);
enum ike_verdict ike_init_request(struct ike *ike, const struct ike_header *h,
                                  const struct ike_datagram *d);
enum ike_verdict ike_init_response(struct ike_sa *sa, const struct ike_header *h,
                                   const struct ike_datagram *d);
void ike_init_responder_advance(struct ike_sa *sa);

/* ---- exchange-auth.c ---- */
void ike_auth_begin(struct ike_sa *sa);
void ike_auth_advance(struct ike_sa *sa);
enum ike_verdict ike_auth_request(struct ike_sa *sa, const struct ike_payloads *ps);
enum ike_verdict ike_auth_response(struct ike_sa *sa, const struct ike_payloads *ps);
void ike_auth_responder_advance(struct ike_sa *sa);

/* ---- exchange-child.c ---- */
void ike_create_begin(struct ike_sa *sa);
/* Fill n with a tunnel of the SA's gateway (0: any) that suits the peer's request; 0, or the
 * notification that refuses it. */
uint16_t ike_child_choose(struct ike_sa *sa, struct ike_nego *n,
                          const struct ike_payload *sa_payload, const struct ike_payload *tsi,
                          const struct ike_payload *tsr, uint32_t tunnel, bool with_group);
void ike_create_advance(struct ike_sa *sa);
enum ike_verdict ike_create_request(struct ike_sa *sa, const struct ike_payloads *ps);
enum ike_verdict ike_create_response(struct ike_sa *sa, const struct ike_payloads *ps);
void ike_create_responder_advance(struct ike_sa *sa);
enum ike_reason ike_reason_of_notify(uint16_t type);

/* ---- exchange-rekey.c: the IKE SA itself ---- */
void ike_rekey_advance(struct ike_sa *sa);
enum ike_verdict ike_rekey_request(struct ike_sa *sa, const struct ike_payloads *ps);
enum ike_verdict ike_rekey_response(struct ike_sa *sa, const struct ike_payloads *ps);
void ike_rekey_responder_advance(struct ike_sa *sa);

/* ---- exchange-info.c ---- */
void ike_info_begin(struct ike_sa *sa);
enum ike_verdict ike_info_request(struct ike_sa *sa, const struct ike_payloads *ps);
enum ike_verdict ike_info_response(struct ike_sa *sa, const struct ike_payloads *ps);

/* ---- receive.c ---- */

#endif
