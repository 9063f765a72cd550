/*
 * fabric_64 - how many 64-byte cells a second from one process to another?
 *
 * Yardstick: the plain two-process ring of 16-byte descriptors in a memfd,
 * batches of 32, the packet written into a shared pool by the producer, its
 * first 64 bytes read by the consumer, both ends busy. Project: the fabric's own
 * API, with a header per cell, checks at the receiver and buffers that return.
 * Both alternate in one run, each end on a processor of its own; the medians
 * are reported.
 *
 * usage: fabric_64 [ROUNDS [MILLISECONDS]]
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/fabric/fabric.h"

#define PAYLOAD     64
#define RING_SLOTS  1024u
#define POOL_SLOTS  4096u
#define POOL_BYTES  2048u
#define RING_BATCH  32u
#define ROUNDS_MAX  31

struct ring {
    _Alignas(64) uint32_t head;
    _Alignas(64) uint32_t tail;
    _Alignas(64) uint32_t stop;
    _Alignas(64) uint64_t count;
    uint64_t sum;
    _Alignas(64) struct {
        uint32_t buffer, bytes, zero[2];
    } slots[RING_SLOTS];
    _Alignas(64) uint8_t pool[POOL_SLOTS][POOL_BYTES];
};

static struct ring *ring;
static int64_t round_ns;
static uint8_t payload[PAYLOAD];

static void pin(int processor)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET(processor, &set);
    sched_setaffinity(0, sizeof(set), &set);
}

static uint64_t read_payload(const uint8_t *data)
{
    uint64_t words[PAYLOAD / 8], sum = 0;

    memcpy(words, data, sizeof(words));
    for (unsigned i = 0; i < PAYLOAD / 8; i++) {
        sum += words[i];
    }
    return sum;
}

/* ---- yardstick ---- */

static void ring_produce(int64_t until)
{
    uint32_t head = 0, buffer = 0;

    while (fw_clock_ns() < until) {
        for (unsigned turn = 0; turn < 64; turn++) {
            while (head - __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) >
                   RING_SLOTS - RING_BATCH) {
            }
            for (unsigned i = 0; i < RING_BATCH; i++) {
                uint32_t b = buffer++ % POOL_SLOTS;

                memcpy(ring->pool[b], payload, PAYLOAD);
                ring->slots[head % RING_SLOTS].buffer = b;
                ring->slots[head % RING_SLOTS].bytes = PAYLOAD;
                head++;
            }
            __atomic_store_n(&ring->head, head, __ATOMIC_RELEASE);
        }
    }
    __atomic_store_n(&ring->stop, 1, __ATOMIC_RELEASE);
}

static void ring_consume(void)
{
    uint32_t tail = 0, head;
    uint64_t sum = 0, count = 0;

    for (;;) {
        head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
        if (head == tail) {
            if (__atomic_load_n(&ring->stop, __ATOMIC_ACQUIRE)) {
                break;
            }
            continue;
        }
        while (tail != head) {
            sum += read_payload(ring->pool[ring->slots[tail % RING_SLOTS].buffer]);
            tail++;
            count++;
            if (tail % RING_BATCH == 0) {
                __atomic_store_n(&ring->tail, tail, __ATOMIC_RELEASE);
            }
        }
        __atomic_store_n(&ring->tail, tail, __ATOMIC_RELEASE);
    }
    ring->sum = sum;
    ring->count = count;
}

/* ---- project ---- */

static struct fabric *make(uint8_t index)
{
    struct fabric_config config = {.index = index,
                                   .endpoints = 14,
                                   .lanes = 1,
                                   .small_buffers = POOL_SLOTS,
                                   .large_buffers = 16};
    GError *error = NULL;
    struct fabric *fabric = fabric_new(&config, &error);

    if (!fabric) {
        fprintf(stderr, "fabric_64: %s\n", error->message);
        exit(1);
    }
    return fabric;
}

static void join(struct fabric *fabric, const struct fabric *other, uint8_t index)
{
    int doorbell = dup(fabric_doorbell_fd(other, 0));
    GError *error = NULL;

    if (!fabric_attach(fabric, index, 1, dup(fabric_outbox_fd(other)), fabric_outbox_bytes(other),
                       &doorbell, 1, &error)) {
        fprintf(stderr, "fabric_64: %s\n", error->message);
        exit(1);
    }
}

static void fabric_produce(struct fabric *fabric, int64_t until)
{
    struct fabric_lane *lane = fabric_lane(fabric, 0);
    struct fabric_packet burst[FABRIC_BURST];

    while (fw_clock_ns() < until) {
        for (unsigned turn = 0; turn < 32; turn++) {
            unsigned n = 0;

            while (n < FABRIC_BURST && fabric_lane_alloc(lane, PAYLOAD, &burst[n])) {
                burst[n].cell.type = FABRIC_CELL_PACKET;
                burst[n].cell.destination = 1;
                burst[n].cell.length = PAYLOAD;
                memcpy(burst[n].room, payload, PAYLOAD);
                n++;
            }
            fabric_lane_send(lane, burst, n);
        }
        fabric_lane_release(lane);
    }
    __atomic_store_n(&ring->stop, 1, __ATOMIC_RELEASE);
}

static void fabric_consume(struct fabric *fabric)
{
    struct fabric_lane *lane = fabric_lane(fabric, 0);
    struct fabric_packet burst[FABRIC_BURST];
    uint64_t sum = 0, count = 0;

    for (;;) {
        unsigned n = fabric_lane_receive(lane, burst, FABRIC_BURST);

        for (unsigned i = 0; i < n; i++) {
            sum += read_payload(burst[i].data);
        }
        count += n;
        fabric_lane_release(lane);
        if (n == 0 && __atomic_load_n(&ring->stop, __ATOMIC_ACQUIRE)) {
            break;
        }
    }
    ring->sum = sum;
    ring->count = count;
}

/* ---- rounds ---- */

static double run(bool project)
{
    struct fabric *from = NULL, *to = NULL;
    int64_t start;
    pid_t child;

    ring->head = ring->tail = ring->stop = 0;
    ring->count = 0;
    if (project) {
        from = make(0);
        to = make(1);
        join(from, to, 1);
        join(to, from, 0);
    }
    child = fork();
    if (child == 0) {
        pin(1);
        if (project) {
            fabric_lane_release(fabric_lane(to, 0)); /* takes the attachment */
            fabric_consume(to);
        } else {
            ring_consume();
        }
        _exit(0);
    }
    pin(0);
    start = fw_clock_ns();
    if (project) {
        fabric_lane_release(fabric_lane(from, 0));
        fabric_produce(from, start + round_ns);
    } else {
        ring_produce(start + round_ns);
    }
    start = fw_clock_ns() - start;
    waitpid(child, NULL, 0);
    if (getenv("FABRIC_64_COUNTERS") && project) {
        struct fabric_counters c;

        fabric_lane_counters(from, 0, &c);
        fprintf(stderr, "sent %lu full %lu none %lu detached %lu received %lu\n", c.sent,
                c.ring_full, c.no_buffer, c.detached, (unsigned long)ring->count);
    }
    fabric_free(from);
    fabric_free(to);
    return (double)ring->count * 1000.0 / (double)start;
}

static int by_value(const void *a, const void *b)
{
    double d = *(const double *)a - *(const double *)b;

    return d < 0 ? -1 : d > 0;
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 7;
    double yardstick[ROUNDS_MAX], value[ROUNDS_MAX];
    int fd = memfd_create("fabric-64", MFD_CLOEXEC);

    rounds = rounds < 1 ? 1 : rounds > ROUNDS_MAX ? ROUNDS_MAX : rounds;
    round_ns = (argc > 2 ? atoi(argv[2]) : 300) * FW_MS;
    if (fd < 0 || ftruncate(fd, sizeof(*ring)) != 0) {
        perror("fabric_64");
        return 1;
    }
    ring = mmap(NULL, sizeof(*ring), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (ring == MAP_FAILED) {
        perror("fabric_64");
        return 1;
    }
    memset(payload, 7, sizeof(payload));
    for (int i = 0; i < rounds; i++) {
        yardstick[i] = run(false);
        value[i] = run(true);
    }
    qsort(yardstick, (size_t)rounds, sizeof(double), by_value);
    qsort(value, (size_t)rounds, sizeof(double), by_value);
    printf("{\"name\":\"fabric-64\",\"value\":%.2f,\"unit\":\"Mpps\",\"yardstick\":%.2f,"
           "\"ratio\":%.3f,\"target\":\">=0.5\"}\n",
           value[rounds / 2], yardstick[rounds / 2], value[rounds / 2] / yardstick[rounds / 2]);
    return 0;
}
