/*
 * message - IKEv2 messages on the wire: header, payload chain, legality, and a
 * builder for our own. Payload bodies have files of their own (payload-*.c).
 *
 * Parsed structures point into the datagram; they live as long as it does.
 * No allocation, no state; any thread. RFC 7296 section 3.
 */
#ifndef IKE_MESSAGE_H
#define IKE_MESSAGE_H

#include "firmware/core/cursor.h"
#include "firmware/core/emit.h"
#include "re/ike/ike.h"

#define IKE_HEADER_BYTES 28
#define IKE_PAYLOADS_MAX 48 /* a first IKE_AUTH of a talkative peer has about 20 */
#define IKE_NONCE_MIN    16 /* RFC 7296 section 3.9 */
#define IKE_NONCE_MAX    256
#define IKE_NONCE_OWN    32
#define IKE_RANGES_MAX   32 /* traffic selectors of one payload; more is malformed */
#define IKE_SPIS_MAX     32 /* SPIs of one Delete payload we act on */

enum ike_exchange {
    IKE_SA_INIT = 34,
    IKE_AUTH = 35,
    IKE_CREATE_CHILD_SA = 36,
    IKE_INFORMATIONAL = 37
};

enum { IKE_FLAG_INITIATOR = 0x08, IKE_FLAG_RESPONSE = 0x20 };

enum ike_payload_type {
    IKE_P_NONE = 0,
    IKE_P_SA = 33,
    IKE_P_KE = 34,
    IKE_P_IDI = 35,
    IKE_P_IDR = 36,
    IKE_P_CERT = 37,
    IKE_P_CERTREQ = 38,
    IKE_P_AUTH = 39,
    IKE_P_NONCE = 40,
    IKE_P_NOTIFY = 41,
    IKE_P_DELETE = 42,
    IKE_P_VENDOR = 43,
    IKE_P_TSI = 44,
    IKE_P_TSR = 45,
    IKE_P_SK = 46,
    IKE_P_CP = 47,
    IKE_P_EAP = 48
};

enum ike_notify {
    IKE_N_UNSUPPORTED_CRITICAL_PAYLOAD = 1,
    IKE_N_INVALID_IKE_SPI = 4,
    IKE_N_INVALID_MAJOR_VERSION = 5,
    IKE_N_INVALID_SYNTAX = 7,
    IKE_N_INVALID_MESSAGE_ID = 9,
    IKE_N_INVALID_SPI = 11,
    IKE_N_NO_PROPOSAL_CHOSEN = 14,
    IKE_N_INVALID_KE_PAYLOAD = 17,
    IKE_N_AUTHENTICATION_FAILED = 24,
    IKE_N_SINGLE_PAIR_REQUIRED = 34,
    IKE_N_NO_ADDITIONAL_SAS = 35,
    IKE_N_TS_UNACCEPTABLE = 38,
    IKE_N_TEMPORARY_FAILURE = 43,
    IKE_N_CHILD_SA_NOT_FOUND = 44,
    IKE_N_FIRST_STATUS = 16384,
    IKE_N_INITIAL_CONTACT = 16384,
    IKE_N_NAT_DETECTION_SOURCE_IP = 16388,
    IKE_N_NAT_DETECTION_DESTINATION_IP = 16389,
    IKE_N_COOKIE = 16390,
    IKE_N_USE_TRANSPORT_MODE = 16391,
    IKE_N_REKEY_SA = 16393,
    IKE_N_ESP_TFC_PADDING_NOT_SUPPORTED = 16394
};

enum ike_protocol { IKE_PROTO_NONE = 0, IKE_PROTO_IKE = 1, IKE_PROTO_AH = 2, IKE_PROTO_ESP = 3 };

struct ike_header {
    uint64_t spi_i, spi_r;
    uint8_t next;
    uint8_t version;
    uint8_t exchange;
    uint8_t flags;
    uint32_t message_id;
    uint32_t length;
};

struct ike_payload {
    uint8_t type;
    const uint8_t *body;
    size_t len;
};

struct ike_payloads {
    struct ike_payload p[IKE_PAYLOADS_MAX];
    unsigned n;
    uint8_t inner_first; /* of a chain that ends in SK: type of the first payload inside */
    uint8_t unsupported; /* type of an unknown critical payload, with IKE_VERDICT_CRITICAL */
};

/* ---- reading (message.c) ---- */

/* The header; length must be the datagram's. Minor versions are ignored. */
enum ike_verdict ike_header_parse(struct fw_cursor *c, struct ike_header *ret);
/* The chain beginning with type `first`, all of c. Unknown payloads are skipped, or refused when
 * critical. An SK payload must be the last. */
enum ike_verdict ike_payloads_parse(struct fw_cursor *c, uint8_t first, struct ike_payloads *ret);
const struct ike_payload *ike_payloads_find(const struct ike_payloads *ps, uint8_t type);

/* ---- legality (rules.c) ---- */

/* Does the set of payloads suit the exchange? `sealed`: they came out of SK. A response that
 * holds an error notification may lack payloads. */
enum ike_verdict ike_rules_check(uint8_t exchange, bool response, bool sealed,
                                 const struct ike_payloads *ps);

/* ---- writing (message.c) ---- */

struct ike_builder {
    struct fw_emit e;
    size_t next_at; /* where the type of the next payload is to be written; SIZE_MAX: into first */
    size_t payload_at; /* of the payload being written */
    uint8_t first;
};

/* A chain alone, for SK. */
struct ike_builder ike_chain_begin(void *buffer, size_t size);
/* A whole message in the clear. */
struct ike_builder ike_clear_begin(void *buffer, size_t size, const struct ike_header *h);
/* Patches the length; 0: it did not fit. */
size_t ike_clear_end(struct ike_builder *b);
void ike_header_emit(struct fw_emit *e, const struct ike_header *h);
void ike_payload_begin(struct ike_builder *b, uint8_t type);
void ike_payload_end(struct ike_builder *b);

/* ---- payload-sa.c ---- */

struct ike_choice {
    uint8_t number;
    struct ike_suite ike;
    struct ike_esp_suite esp;
    uint64_t spi; /* of the peer, 0 none */
};

enum ike_choose { IKE_CHOOSE_OK, IKE_CHOOSE_NONE, IKE_CHOOSE_SYNTAX };

/* Choose from the peer's SA payload, our order first. spi_len: 0 in IKE_SA_INIT, 8 when an IKE SA
 * is rekeyed. */
enum ike_choose ike_sa_choose(struct fw_cursor c, size_t spi_len, const struct ike_suite *ours,
                              unsigned n_ours, struct ike_choice *ret);
/* with_group false: in IKE_AUTH the group plays no part (RFC 7296 section 1.2). */
enum ike_choose ike_esp_choose(struct fw_cursor c, const struct ike_esp_suite *ours,
                               unsigned n_ours, bool with_group, struct ike_choice *ret);
/* Exactly one proposal with one transform a kind, as an answer must be. */
bool ike_sa_is_answer(struct fw_cursor c);
void ike_sa_emit(struct ike_builder *b, const struct ike_suite *suites, unsigned n, uint8_t number,
                 uint64_t spi, size_t spi_len);
void ike_esp_emit(struct ike_builder *b, const struct ike_esp_suite *suites, unsigned n,
                  uint8_t number, uint32_t spi, bool with_group);

/* ---- payload-id.c: KE, nonce, identification, authentication ---- */

bool ike_ke_parse(struct fw_cursor c, uint16_t *ret_group, const uint8_t **ret_data, size_t *ret_n);
void ike_ke_emit(struct ike_builder *b, uint16_t group, const uint8_t *data, size_t n);
bool ike_id_parse(struct fw_cursor c, struct ike_id *ret);
void ike_id_emit(struct ike_builder *b, uint8_t payload, const struct ike_id *id);
bool ike_id_equal(const struct ike_id *a, const struct ike_id *b);
/* The address as an identity. */
struct ike_id ike_id_of_addr(const struct fw_addr *a);
char *ike_id_text(const struct ike_id *id, char *buffer, size_t n);
bool ike_auth_parse(struct fw_cursor c, uint8_t *ret_method, const uint8_t **ret_data,
                    size_t *ret_n);
void ike_auth_emit(struct ike_builder *b, const uint8_t *data, size_t n);

/* ---- payload-notify.c: notify and delete ---- */

struct ike_notification {
    uint8_t protocol;
    uint16_t type;
    uint32_t spi; /* of an ESP notification, 0 none */
    const uint8_t *data;
    size_t n_data;
};

bool ike_notify_parse(struct fw_cursor c, struct ike_notification *ret);
/* The first notification of that type. */
bool ike_notify_find(const struct ike_payloads *ps, uint16_t type, struct ike_notification *ret);
/* The first error notification. */
bool ike_notify_error(const struct ike_payloads *ps, struct ike_notification *ret);
void ike_notify_emit(struct ike_builder *b, uint16_t type, const void *data, size_t n);
void ike_notify_rekey_emit(struct ike_builder *b, uint16_t type, uint32_t spi);
/* SPIs beyond IKE_SPIS_MAX are left out of ret. */
bool ike_delete_parse(struct fw_cursor c, uint8_t *ret_protocol, uint32_t *ret_spis,
                      unsigned *ret_n);
void ike_delete_ike_emit(struct ike_builder *b);
void ike_delete_esp_emit(struct ike_builder *b, const uint32_t *spis, unsigned n);

/* ---- payload-ts.c, ts.c ---- */

struct ike_range {
    uint8_t family; /* enum fw_family, NONE: a kind we do not know */
    uint8_t protocol;
    uint16_t port_low, port_high;
    uint8_t low[16], high[16];
};

bool ike_ts_parse(struct fw_cursor c, struct ike_range *ret, unsigned *ret_n);
void ike_ts_emit(struct ike_builder *b, uint8_t payload, const struct fw_prefix *prefixes,
                 unsigned n);
/* What is common to our pairs and the peer's lists, as pairs; 0: nothing is. Only selectors for
 * all protocols and ports count, for the cards filter by address. Of a range that is no prefix the
 * largest prefix in it is taken. */
unsigned ike_ts_narrow(const struct ike_selector *ours, unsigned n_ours,
                       const struct ike_range *local, unsigned n_local,
                       const struct ike_range *remote, unsigned n_remote,
                       struct ike_selector ret[IKE_SELECTORS_MAX]);
/* The pair of everything (IPv4), where none is configured. */
unsigned ike_ts_any(struct ike_selector ret[IKE_SELECTORS_MAX]);
/* One side of the pairs without repetition. */
unsigned ike_ts_side(const struct ike_selector *pairs, unsigned n, bool local,
                     struct fw_prefix ret[IKE_SELECTORS_MAX]);

/* ---- payload-sk.c ---- */

struct ike_sk_key {
    enum fw_enc enc;
    enum fw_integ integ;
    const uint8_t *key; /* with the salt behind it */
    const uint8_t *integ_key;
};

/* Seal a chain into a message. iv: iv_bytes of the cipher. 0: did not fit or failed. */
size_t ike_sk_seal(const struct ike_sk_key *k, const struct ike_header *h, uint8_t first,
                   const uint8_t *chain, size_t n_chain, const uint8_t *iv, uint8_t *ret,
                   size_t room);
/* Check and open. sk: body of the SK payload, which ends with the message. The chain goes to ret
 * (room: at least sk->len). */
enum ike_verdict ike_sk_open(const struct ike_sk_key *k, const uint8_t *message, size_t n_message,
                             const struct ike_payload *sk, uint8_t *ret, size_t *ret_n);

#endif
