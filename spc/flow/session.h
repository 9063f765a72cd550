/*
 * session - the sessions of one flow thread: hash table and ageing wheel.
 *
 * A session has two wings, one a direction; each is found by the tuple of its
 * packets as they come in. Places come from memory that is mapped once and
 * touched as sessions come; numbers, not pointers, link them. The wheel has one
 * slot a second; a session stays in the slot of its earliest possible end and
 * moves on when it was used meanwhile. Owner's thread only; no allocation after
 * flow_sessions_new.
 */
#ifndef FLOW_SESSION_H
#define FLOW_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "spc/flow/tables.h"

#define FLOW_SESSIONS_MAX 16384u /* a thread; ends as a counted drop */

enum flow_state { FLOW_STATE_NEW, FLOW_STATE_ACTIVE, FLOW_STATE_CLOSING };

struct flow_wing {
    struct np_tuple tuple;
    uint32_t hash;
    uint32_t chain;              /* next wing of the bucket, as link */
    uint16_t in_ifl;             /* 0: the Routing Engine */
    bool np;                     /* an I/O card was told */
    uint8_t np_slot;
    struct flow_adjacency out;   /* where packets of this wing leave */
    uint64_t packets, bytes;
};

struct flow_session {
    uint64_t id;
    uint32_t generation;         /* of the tables it was decided by */
    uint32_t serial;             /* of the place: told to NPs */
    uint8_t state;               /* enum flow_state */
    bool used;
    uint32_t wheel;              /* next of the wheel slot (or free list) */
    int64_t seen_s;              /* last packet */
    uint32_t timeout_s;
    uint32_t policy;             /* id */
    char policy_name[FLOW_POLICY_TEXT];
    struct flow_wing wings[2];   /* 0: forward */
};

struct flow_sessions;

struct flow_sessions *flow_sessions_new(void);
void flow_sessions_free(struct flow_sessions *s);
/* The session and the number of the wing that these packets are, or NULL. */
struct flow_session *flow_sessions_find(struct flow_sessions *s, const struct np_tuple *tuple,
                                        uint32_t hash, unsigned *ret_wing);
/* A place with serial set and wings[].tuple free to fill, or NULL when the table is full. */
struct flow_session *flow_sessions_take(struct flow_sessions *s);
/* Put it into hash and wheel; tuples, hashes, seen_s and timeout_s are set. */
void flow_sessions_insert(struct flow_sessions *s, struct flow_session *session);
/* Out of the hash; the place is free again once the wheel has passed it. */
void flow_sessions_remove(struct flow_sessions *s, struct flow_session *session);
/* Sessions whose time is over by now_s, one a call; NULL: no more. Removes nothing. */
struct flow_session *flow_sessions_expired(struct flow_sessions *s, int64_t now_s);
unsigned flow_sessions_count(const struct flow_sessions *s);
/* True while the wheel holds anything, ended sessions included. */
bool flow_sessions_busy(const struct flow_sessions *s);
/* The n-th place that holds a session, for shows; NULL behind the last. *io_place begins at 0. */
struct flow_session *flow_sessions_next(struct flow_sessions *s, uint32_t *io_place);
/* Ask for the bucket's memory, and later for that of its first session. */
void flow_sessions_prefetch(const struct flow_sessions *s, uint32_t hash);
void flow_sessions_prefetch_entry(const struct flow_sessions *s, uint32_t hash);

#endif
