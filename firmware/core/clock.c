/* clock - see clock.h. */
#include "firmware/core/clock.h"

#include <time.h>

static uint32_t model_scale = 1000;

static int64_t read_clock(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return t.tv_sec * FW_SEC + t.tv_nsec;
}

int64_t fw_clock_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t fw_clock_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t fw_clock_thread_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

void fw_clock_set_model_scale(uint32_t permille)
{
    model_scale = permille;
}

int64_t fw_clock_modelled_ns(int64_t duration_ns)
{
    return duration_ns / 1000 * model_scale;
}
