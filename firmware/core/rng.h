/*
 * rng - the only source of chance.
 *
 * Two streams: `secure` from the kernel, for keys, nonces, SPIs and cookies;
 * `model` from a seed, for choices that a run with the same seed must repeat
 * (placement ties, jitter, injected loss). Main thread or any single thread
 * per stream; the secure stream is thread-safe.
 */
#ifndef FW_RNG_H
#define FW_RNG_H

#include <stddef.h>
#include <stdint.h>

/* n unpredictable bytes; never fails (a kernel without getrandom aborts: nothing could be safe). */
void fw_rng_secure(void *ret, size_t n);
uint32_t fw_rng_secure_u32(void);

/* Seed the model stream; 0 takes a seed from the secure stream. */
void fw_rng_model_seed(uint64_t seed);
uint64_t fw_rng_model_u64(void);
/* Uniform in [0, bound); bound > 0. */
uint32_t fw_rng_model_below(uint32_t bound);

#endif
