/*
 * cp - the central point: which flow thread owns which session.
 *
 * A role of thread 0 of SPU 0 on the lowest services card that carries it
 * (fpc-state). A packet that no I/O card knows comes here as FIRST: a known
 * session's goes to its owner as PACKET; of an unknown one the owner is chosen
 * by its hash over all flow threads in service, and the packet goes there as
 * FLOW. The owner tells of sessions made and ended (CP_NOTE). Both directions of
 * a session are one entry. A full table still forwards: the choice by hash is
 * repeatable.
 *
 * cp_new and cp_free: main thread; the rest: the lane's thread, no allocation.
 */
#ifndef SPC_CP_H
#define SPC_CP_H

#include <stdbool.h>
#include <stdint.h>

#include "firmware/fabric/fabric.h"
#include "firmware/fabric/np-session.h"

struct cp;
struct flow_thread;

enum cp_note_kind { CP_NOTE_SESSION = 1, CP_NOTE_END };

struct cp *cp_new(void);
void cp_free(struct cp *cp);
/* FIRST or HOST_OUT for the central point; consumes the packet. */
void cp_packet(struct flow_thread *t, struct fabric_packet *p);
/* CP_NOTE; consumes the packet. */
void cp_note(struct flow_thread *t, struct fabric_packet *p);
/* Tell the central point, wherever it is, of a session of thread t. */
void cp_tell(struct flow_thread *t, const struct np_tuple *tuple, uint64_t session,
             enum cp_note_kind kind);
/* Forget what nobody confirmed; once a second. */
void cp_tick(struct cp *cp, int64_t now_s);
bool cp_busy(const struct cp *cp);
unsigned cp_count(const struct cp *cp);

#endif
