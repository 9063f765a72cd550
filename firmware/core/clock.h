/*
 * clock - the only place that asks the system for the time.
 *
 * All functions: any thread, no allocation. Two scales are set apart:
 * modelled durations (boot stages) and protocol time; see timer.h.
 */
#ifndef FW_CLOCK_H
#define FW_CLOCK_H

#include <stdint.h>

#define FW_MS ((int64_t)1000000)
#define FW_SEC ((int64_t)1000000000)

/* Monotonic nanoseconds, the same origin in all processes of one machine. */
int64_t fw_clock_ns(void);

/* Nanoseconds since 1970 (UTC), for logs and captures only. */
int64_t fw_clock_wall_ns(void);

/* CPU nanoseconds used by the calling thread. */
int64_t fw_clock_thread_cpu_ns(void);

/* Scale of modelled durations in permille: 1000 = as modelled, 0 = at once. Set once at start. */
void fw_clock_set_model_scale(uint32_t permille);

/* A modelled duration after scaling. */
int64_t fw_clock_modelled_ns(int64_t duration_ns);

#endif
