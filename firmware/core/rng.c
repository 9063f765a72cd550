/* rng - see rng.h. The model stream is SplitMix64 (Steele, Lea, Flood 2014). */
#include "firmware/core/rng.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

static uint64_t model_state;
static int model_seeded;

void fw_rng_secure(void *ret, size_t n)
{
    uint8_t *p = ret;

    while (n) {
        ssize_t got = getrandom(p, n, 0);

        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            abort();
        }
        p += got;
        n -= (size_t)got;
    }
}

uint32_t fw_rng_secure_u32(void)
{
    uint32_t v;

    fw_rng_secure(&v, sizeof v);
    return v;
}

void fw_rng_model_seed(uint64_t seed)
{
    if (seed == 0) {
        fw_rng_secure(&seed, sizeof seed);
    }
    model_state = seed;
    model_seeded = 1;
}

uint64_t fw_rng_model_u64(void)
{
    uint64_t z;

    if (!model_seeded) {
        fw_rng_model_seed(0);
    }
    z = (model_state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint32_t fw_rng_model_below(uint32_t bound)
{
    return (uint32_t)(((fw_rng_model_u64() >> 32) * bound) >> 32);
}
