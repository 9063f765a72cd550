/*
 * bench - one services card on a bench: the real vc-spcd, with the test as its hwd, its bus and an
 * I/O card and Routing Engine on its fabric.
 */
#ifndef TEST_BENCH_H
#define TEST_BENCH_H

#include <sys/types.h>

#include "firmware/bus/bus.h"
#include "firmware/fabric/fabric.h"
#include "messages.h"

#define BENCH_ENDPOINTS 8
#define BENCH_SPC       1
#define BENCH_IOC       2
#define BENCH_RE        (BENCH_ENDPOINTS - 2)
#define BENCH_ADDRESS   BUS_ADDRESS(BENCH_SPC, BUS_ROLE_BOARD)

struct bench {
    pid_t pid;
    struct bus_conn *supervision;
    struct bus_router *router;
    struct fabric *ioc, *re;
    bool ready, closed;
    unsigned acks, pongs, faults;
    unsigned neighbour_requests;
    struct bus_neighbour_request neighbour;
    unsigned triggers;
    /* last reply */
    bool answered;
    uint16_t reply_type;
    char error[256];
    void *reply;                   /* copy, owned */
};

/* Power on, attach the fabric, wait until it is ready. */
struct bench *bench_new(void);
/* Ends it by closing its supervision; the exit status of the program. */
int bench_end(struct bench *b);
/* Publish a (retained) event. */
void bench_event(struct bench *b, uint16_t type, const void *msg);
/* A call and its reply: the type, with the message in b->reply; 0 with b->error on failure. */
uint16_t bench_call(struct bench *b, uint16_t type, const void *msg);
uint64_t bench_counter(struct bench *b, const char *name);
void bench_inject(struct bench *b, struct fabric *from, const struct fabric_cell *cell,
                  const uint8_t *data, uint32_t bytes);
/* Wait (up to a deadline) for a cell of this type; others are dropped. Returns its bytes in ret,
 * UINT32_MAX when none came. */
uint32_t bench_take(struct bench *b, struct fabric *at, uint8_t type, struct fabric_cell *ret_cell,
                    uint8_t ret[FABRIC_LARGE_BYTES]);
/* One turn of the main loop, at most 20 ms. */
void bench_turn(struct bench *b);

#define bench_until(b, condition)                                                                  \
    do {                                                                                           \
        int64_t deadline_ns = fw_clock_ns() + 20 * FW_SEC;                                         \
        while (!(condition) && fw_clock_ns() < deadline_ns) {                                      \
            bench_turn(b);                                                                         \
        }                                                                                          \
        cr_assert(condition);                                                                      \
    } while (0)

#endif
