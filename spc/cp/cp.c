/* cp - see cp.h. Entries live in groups of GROUP places behind their hash. */
#include "spc/cp/cp.h"

#include <glib.h>
#include <string.h>
#include <sys/mman.h>

#include "firmware/core/clock.h"
#include "spc/flow/lane.h"

#define GROUP         8u
#define GROUPS        8192u
#define PENDING_S     10  /* a choice that no session followed */
#define SWEEP         (GROUPS / 8) /* groups looked at a second while there are pending entries */

struct entry {
    struct np_tuple tuple;  /* the lower end first; family 0: free */
    uint64_t session;       /* 0: chosen, not confirmed */
    uint32_t board_generation;
    uint32_t until_s;       /* of a choice */
    uint8_t slot, spu, thread, zero;
    uint32_t hash;
};

struct cp {
    struct entry *entries;
    unsigned count, pending;
    uint32_t sweep;
};

struct note {
    struct np_tuple tuple;
    uint64_t session;
    uint8_t kind; /* enum cp_note_kind */
    uint8_t spu, thread;
    uint8_t zero[5];
};
_Static_assert(sizeof(struct note) == 56, "a note is shared between boards");

struct cp *cp_new(void)
{
    struct cp *cp = g_new0(struct cp, 1);
    void *memory = mmap(NULL, GROUPS * GROUP * sizeof(struct entry), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (memory == MAP_FAILED) {
        g_error("no memory for the central point's sessions");
    }
    cp->entries = memory;
    return cp;
}

void cp_free(struct cp *cp)
{
    if (cp) {
        munmap(cp->entries, GROUPS * GROUP * sizeof(struct entry));
        g_free(cp);
    }
}

unsigned cp_count(const struct cp *cp)
{
    return cp->count;
}

bool cp_busy(const struct cp *cp)
{
    return cp->pending > 0;
}

static struct np_tuple normal(const struct np_tuple *tuple)
{
    struct np_tuple n = *tuple;
    int order = memcmp(n.source, n.destination, sizeof n.source);

    n.ifl = 0;
    if (order > 0 || (order == 0 && n.source_port > n.destination_port)) {
        return flow_tuple_reverse(&n);
    }
    return n;
}

static struct entry *group_of(struct cp *cp, uint32_t hash)
{
    return cp->entries + (size_t)(hash % GROUPS) * GROUP;
}

static struct entry *find(struct cp *cp, const struct np_tuple *tuple, uint32_t hash)
{
    struct entry *group = group_of(cp, hash);

    for (unsigned i = 0; i < GROUP; i++) {
        if (group[i].hash == hash && group[i].tuple.family &&
            memcmp(&group[i].tuple, tuple, sizeof *tuple) == 0) {
            return &group[i];
        }
    }
    return NULL;
}

static void forget(struct cp *cp, struct entry *e)
{
    cp->count--;
    cp->pending -= e->session == 0;
    memset(e, 0, sizeof *e);
}

static struct entry *add(struct cp *cp, const struct np_tuple *tuple, uint32_t hash)
{
    struct entry *group = group_of(cp, hash);

    for (unsigned i = 0; i < GROUP; i++) {
        if (!group[i].tuple.family) {
            group[i].tuple = *tuple;
            group[i].hash = hash;
            cp->count++;
            cp->pending++;
            return &group[i];
        }
    }
    return NULL;
}

/* The card that owned it lives on, and is the same card. */
static bool alive(const struct flow_tables *tables, const struct entry *e)
{
    const struct flow_board *b = flow_tables_board(tables, e->slot);

    return b && b->online && b->generation == e->board_generation;
}

static void hand_on(struct flow_thread *t, struct fabric_packet *p, enum fabric_cell_type type,
                    uint8_t slot, uint8_t spu, uint8_t thread)
{
    struct flow_thread *here =
        slot == t->lane->slot ? flow_lane_thread(t->lane, spu, thread) : NULL;

    p->cell.type = type;
    if (here) {
        flow_packet(here, p);
        return;
    }
    flow_send_thread(t, p, slot, spu, thread);
}

void cp_packet(struct flow_thread *t, struct fabric_packet *p)
{
    struct cp *cp = t->spu == 0 && t->thread == 0 ? t->lane->cp : NULL;
    const struct flow_owner *owners, *owner;
    unsigned n = flow_tables_owners(t->lane->tables, &owners);
    struct flow_view v;
    enum flow_counter why = flow_view_parse(p->data, p->cell.length, &v);
    struct np_tuple tuple;
    struct entry *e;

    if (!cp) {
        why = FLOW_NOT_CENTRAL_POINT;
    } else if (why == FLOW_OK && n == 0) {
        why = FLOW_NO_FLOW_THREAD;
    }
    if (why != FLOW_OK) {
        flow_drop(t, p, why);
        return;
    }
    p->cell.hash = v.hash;
    if (p->cell.type == FABRIC_CELL_HOST_OUT) {
        p->cell.ifl = 0;
    } else if (p->cell.ifl == 0) {
        flow_drop(t, p, FLOW_NO_INTERFACE);
        return;
    }
    tuple = normal(&v.tuple);
    e = find(cp, &tuple, v.hash);
    if (e && !alive(t->lane->tables, e)) {
        forget(cp, e);
        e = NULL;
    }
    if (e) {
        flow_count(t->counters, FLOW_CP_KNOWN, 1);
        hand_on(t, p, FABRIC_CELL_PACKET, e->slot, e->spu, e->thread);
        return;
    }
    flow_count(t->counters, FLOW_CP_FIRST, 1);
    owner = &owners[v.hash % n];
    e = add(cp, &tuple, v.hash);
    if (e) {
        e->slot = owner->slot;
        e->spu = owner->spu;
        e->thread = owner->thread;
        e->board_generation = flow_tables_board(t->lane->tables, owner->slot)->generation;
        e->until_s = (uint32_t)(t->lane->now_ns / FW_SEC) + PENDING_S;
    } else {
        flow_count(t->counters, FLOW_CP_FULL, 1);
    }
    hand_on(t, p, FABRIC_CELL_FLOW, owner->slot, owner->spu, owner->thread);
}

static void note_take(struct flow_thread *t, const struct note *n, uint8_t slot)
{
    struct np_tuple tuple = normal(&n->tuple);
    uint32_t hash = flow_tuple_hash(&tuple);
    struct cp *cp = t->lane->cp;
    const struct flow_board *board = flow_tables_board(t->lane->tables, slot);
    struct entry *e = find(cp, &tuple, hash);

    if (n->kind == CP_NOTE_END) {
        if (e && e->session == n->session) {
            forget(cp, e);
        }
        return;
    }
    if (n->kind != CP_NOTE_SESSION || n->session == 0 || tuple.family == 0 || !board ||
        n->spu >= board->spus || n->thread >= board->threads) {
        flow_count(t->counters, FLOW_CELL_UNEXPECTED, 1);
        return;
    }
    e = e ? e : add(cp, &tuple, hash);
    if (!e) {
        flow_count(t->counters, FLOW_CP_FULL, 1);
        return;
    }
    cp->pending -= e->session == 0;
    e->session = n->session;
    e->slot = slot;
    e->spu = n->spu;
    e->thread = n->thread;
    e->board_generation = board->generation;
}

void cp_note(struct flow_thread *t, struct fabric_packet *p)
{
    struct note n;

    if (p->cell.length != sizeof n) {
        flow_drop(t, p, FLOW_CELL_UNEXPECTED);
        return;
    }
    memcpy(&n, p->data, sizeof n);
    if (t->spu != 0 || t->thread != 0 || !t->lane->cp) {
        flow_drop(t, p, FLOW_NOT_CENTRAL_POINT);
        return;
    }
    note_take(t, &n, p->cell.source);
    fabric_lane_free(t->lane->fabric, p);
}

void cp_tell(struct flow_thread *t, const struct np_tuple *tuple, uint64_t session,
             enum cp_note_kind kind)
{
    struct note n = {.tuple = *tuple,
                     .session = session,
                     .kind = (uint8_t)kind,
                     .spu = t->spu,
                     .thread = t->thread};
    struct fabric_packet p;
    uint8_t slot;

    if (!flow_tables_central_point(t->lane->tables, &slot)) {
        return;
    }
    if (slot == t->lane->slot && t->lane->cp) {
        note_take(flow_lane_thread(t->lane, 0, 0), &n, slot);
        return;
    }
    if (!fabric_lane_alloc(t->lane->fabric, sizeof n, &p)) {
        return; /* the choice by hash stays the same without it */
    }
    memcpy(p.room, &n, sizeof n);
    p.cell.type = FABRIC_CELL_CP_NOTE;
    p.cell.length = sizeof n;
    p.cell.hash = flow_tuple_hash(tuple);
    flow_send_thread(t, &p, slot, 0, 0);
}

void cp_tick(struct cp *cp, int64_t now_s)
{
    for (unsigned i = 0; i < SWEEP && cp->pending > 0; i++) {
        struct entry *group = cp->entries + (size_t)(cp->sweep++ % GROUPS) * GROUP;

        for (unsigned j = 0; j < GROUP; j++) {
            struct entry *e = &group[j];

            if (e->tuple.family && e->session == 0 && e->until_s <= now_s) {
                forget(cp, e);
            }
        }
    }
}
