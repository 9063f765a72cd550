/*
 * bus - typed messages between processes, over SOCK_SEQPACKET.
 *
 * Every message is defined in messages.schema; the generator makes, for a
 * message `sa-install`, `struct bus_sa_install`, the number BUS_SA_INSTALL and
 * a row of the type table. Structs are plain values of fixed size: strings are
 * char[N + 1], bytes and secrets { uint16_t len; uint8_t data[N]; }, lists
 * { unsigned n_x; T x[N]; }, enums uint8_t (a value of enum bus_NAME; checked by
 * the decoder), hyphens are underscores. Large ones belong on the heap (g_new0).
 *
 * Frame (network byte order):
 *    0 u32 total length    4 u32 epoch     8 u16 schema version  10 u16 type
 *   12 u8 kind (call, reply, event)  13 u8 flags  14 u16 reserved
 *   16 u32 serial   20 u16 source  22 u16 destination   24 payload
 *
 * Addresses: slot << 8 | role. Slots: FPC 0..0x7f, 0xf0 RE 0, 0xfe hwd.
 *
 * Back-pressure: nothing blocks in send. A connection's queue is bounded; over
 * the bound a call fails at once with FW_ERROR_BUSY and a plain event is dropped
 * and counted; a retained event replaces an older one for the same object.
 *
 * Main-loop thread only.
 */
#ifndef BUS_BUS_H
#define BUS_BUS_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "firmware/core/addr.h"
#include "firmware/core/cursor.h"
#include "firmware/core/emit.h"

#define BUS_FRAME_MAX      65536u
#define BUS_HEADER_BYTES   24u
#define BUS_FDS_MAX        64
#define BUS_CALL_TIMEOUT_MS 10000 /* default of bus_call */

enum bus_kind { BUS_CALL, BUS_REPLY, BUS_EVENT };

/* Roles within a slot. */
enum bus_role {
    BUS_ROLE_BOARD = 0, /* spcd, iocd; on the RE: the supervisor and router */
    BUS_ROLE_MGD = 2,
    BUS_ROLE_CHASSISD = 3,
    BUS_ROLE_IKEMD = 4,
    BUS_ROLE_IKED = 5,
    BUS_ROLE_IFD = 6,
    BUS_ROLE_NSD = 7,
    BUS_ROLE_RPD = 8,
    BUS_ROLE_PKID = 9,
    BUS_ROLE_JSRPD = 10
};

#define BUS_SLOT_RE0 0xf0u
#define BUS_SLOT_HWD 0xfeu
#define BUS_ADDRESS(slot, role) ((uint16_t)((slot) << 8 | (role)))
#define BUS_RE(role)     BUS_ADDRESS(BUS_SLOT_RE0, role)
#define BUS_ROUTER       BUS_RE(BUS_ROLE_BOARD)
#define BUS_HWD          BUS_ADDRESS(BUS_SLOT_HWD, 0)
#define BUS_SUBSCRIBERS  ((uint16_t)0xffff) /* an event to whoever subscribed its type */

struct bus_header {
    uint32_t length;
    uint32_t epoch;
    uint16_t version;
    uint16_t type;
    uint8_t kind;
    uint8_t flags;
    uint32_t serial;
    uint16_t source;
    uint16_t destination;
};

/* ---- types and codec (codec.c, over the generated tables) ---- */

enum bus_field_type {
    BUS_FIELD_BOOL, BUS_FIELD_U8, BUS_FIELD_U16, BUS_FIELD_U32, BUS_FIELD_U64, BUS_FIELD_I64,
    BUS_FIELD_ENUM, BUS_FIELD_ADDR, BUS_FIELD_PREFIX, BUS_FIELD_MAC, BUS_FIELD_STRING,
    BUS_FIELD_BYTES, BUS_FIELD_SECRET, BUS_FIELD_STRUCT, BUS_FIELD_LIST
};

struct bus_struct;

struct bus_field {
    const char *name;                 /* as in the schema, with hyphens */
    const char *doc;                  /* its documentation line */
    enum bus_field_type type;
    enum bus_field_type element;      /* of a list */
    uint32_t offset;                  /* of the value; of n_x for a list is count_offset */
    uint32_t count_offset;
    uint32_t limit;                   /* of string, bytes, secret, list; values of an enum */
    uint32_t element_size;            /* of a list element in memory */
    const struct bus_struct *of;      /* struct, list of struct */
    const char *const *enum_names;    /* enum; NULL-terminated */
};

struct bus_struct {
    const char *name;
    size_t size;
    const struct bus_field *fields;
    unsigned n_fields;
};

struct bus_type {
    uint16_t number;
    enum bus_kind kind;
    bool retained;
    const char *name;
    const struct bus_struct *body;
    const uint8_t *keys;              /* field indices that name the object */
    unsigned n_keys;
    int gone;                         /* index of the field `gone`, or -1 */
};

/* A monitor command (JSON lines at hwd); the fields are its arguments and its return value. */
struct bus_command {
    const char *name;
    const char *doc;                  /* "" when none */
    const struct bus_struct *in;
    const struct bus_struct *out;
};

/* The generated tables; types are in the order of their numbers, commands end with a NULL name. */
extern const struct bus_type bus_types[];
extern const unsigned bus_n_types;
extern const struct bus_command bus_commands[];
extern const unsigned bus_n_commands;

/* NULL when the number is unknown. */
const struct bus_type *bus_type_find(uint16_t number);
/* By schema name; NULL when unknown. */
const struct bus_type *bus_type_by_name(const char *name);

/* Append the payload of msg. e->failed tells that it did not fit or a limit was exceeded. */
void bus_encode(const struct bus_struct *body, const void *msg, struct fw_emit *e);
/* Fill a zeroed struct; false when the bytes are malformed (ret is then wiped). */
bool bus_decode(const struct bus_struct *body, struct fw_cursor *c, void *ret);
/* Erase a message that may hold secrets. */
void bus_wipe(const struct bus_struct *body, void *msg);
/* The JSON form; secrets appear as null. */
void bus_to_json(const struct bus_struct *body, const void *msg, GString *out);

/* Header codec; the reader checks length against the frame and the version's major part. */
void bus_header_encode(const struct bus_header *h, struct fw_emit *e);
bool bus_header_decode(struct fw_cursor *c, size_t frame_len, struct bus_header *ret);

/* ---- connection ---- */

struct bus_conn;

struct bus_handler {
    /* A call or event. `msg` is decoded (its type is known) and freed and wiped after return.
     * A call must be answered once, now or later, with bus_reply/bus_reply_error using a copy of
     * the header. fds belong to the callee only when it takes them: set the entry to -1. */
    void (*message)(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                    int *fds, unsigned n_fds, void *data);
    /* The other side is gone; called once. The callee may free the connection. */
    void (*closed)(struct bus_conn *conn, void *data);
};

/* reply: NULL message with error set when the call failed, timed out or the peer went away. */
typedef void (*bus_reply_cb)(struct bus_conn *conn, const struct bus_header *header,
                             const void *msg, const GError *error, void *data);

/* Takes fd (non-blocking is set). own: our address, put into every frame. */
struct bus_conn *bus_conn_new(int fd, uint16_t own, const struct bus_handler *handler, void *data);
/* From inside a callback too. Pending calls are forgotten (no callback). NULL allowed. */
void bus_conn_free(struct bus_conn *conn);
int bus_conn_fd(const struct bus_conn *conn);
/* Our address, when it is learned after the connection was made. */
void bus_conn_set_own(struct bus_conn *conn, uint16_t own);
void bus_conn_set_epoch(struct bus_conn *conn, uint32_t epoch);
/* Bound of the send queue in frames (default 1024). */
void bus_conn_set_bound(struct bus_conn *conn, unsigned frames);
unsigned bus_conn_queued(const struct bus_conn *conn);

/* An event. false: dropped (queue full, gone). fds are duplicated by the kernel, ours stay ours. */
bool bus_send(struct bus_conn *conn, uint16_t destination, uint16_t type, const void *msg);
bool bus_send_fds(struct bus_conn *conn, uint16_t destination, uint16_t type, const void *msg,
                  const int *fds, unsigned n_fds);
/* A call; the callback runs exactly once, later, never before return.
 * timeout_ms 0: BUS_CALL_TIMEOUT_MS. */
void bus_call(struct bus_conn *conn, uint16_t destination, uint16_t type, const void *msg,
              unsigned timeout_ms, bus_reply_cb callback, void *data);
/* Forget pending calls whose data is `data` (their callbacks do not run). */
void bus_cancel(struct bus_conn *conn, void *data);
bool bus_reply(struct bus_conn *conn, const struct bus_header *request, uint16_t type,
               const void *msg);
bool bus_reply_ok(struct bus_conn *conn, const struct bus_header *request);
bool bus_reply_error(struct bus_conn *conn, const struct bus_header *request, uint16_t code,
                     const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Ask the router for event types (0-terminated list); retained ones are replayed. */
void bus_subscribe(struct bus_conn *conn, const uint16_t *types);

/* ---- router (runs in the RE supervisor; hwd uses bus_relay for the midplane) ---- */

struct bus_router;

/* Called for messages whose destination is the router itself (not subscribe). */
struct bus_router *bus_router_new(const struct bus_handler *self, void *data);
void bus_router_free(struct bus_router *router);
/* A port: takes fd. A frame's source must be `address` (masked: a port for the midplane carries
 * all cards, mask 0), others are dropped and counted. */
void bus_router_add(struct bus_router *router, int fd, uint16_t address, uint16_t mask);
/* All addresses matching go away: pending calls to them are answered with an error and
 * retained events that came from them are kept (state outlives a daemon until it says gone).
 * Calls to an address behind the midplane are refused at once until it is heard again. */
void bus_router_remove(struct bus_router *router, uint16_t address);
/* The router's own connection, for the process it lives in. */
struct bus_conn *bus_router_conn(struct bus_router *router);

/* The router also publishes role-state for every port with a full mask: up with its first frame
 * (the process runs and speaks), down when it goes. */
struct bus_router_counters {
    uint64_t dropped;    /* queue full or nobody there */
    uint64_t forged;     /* source does not belong to the port */
    uint64_t malformed;
    uint64_t unasked;    /* replies without a call */
    uint64_t state_full; /* retained objects beyond the limit */
};
void bus_router_count(const struct bus_router *router, struct bus_router_counters *ret);

#endif
