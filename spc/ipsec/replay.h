/*
 * replay - the anti-replay window of an inbound SA (RFC 4303 section 3.4.3, RFC 6479).
 *
 * A ring of 64-bit blocks, one more than the window needs, so that the window
 * moves by clearing whole blocks. Checked before and advanced after the packet
 * is authenticated. With extended sequence numbers the upper half is inferred
 * (RFC 4303 appendix A2.2). Owner's thread only.
 */
#ifndef IPSEC_REPLAY_H
#define IPSEC_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#define IPSEC_REPLAY_MAX 8192u /* packets; the configuration's upper limit */

struct ipsec_replay {
    uint64_t top;       /* highest accepted, 0: none */
    uint32_t window;    /* packets, 0: no check */
    uint32_t blocks;    /* of bitmap, a power of two */
    bool esn;
    uint64_t *bitmap;   /* owned by the SA */
};

/* Blocks of 64 bits that a window needs; window is rounded up to a multiple of 64, at most MAX. */
uint32_t ipsec_replay_blocks(uint32_t window);
/* bitmap: zeroed, ipsec_replay_blocks(window) words, may be NULL when the window is 0 and !esn. */
void ipsec_replay_init(struct ipsec_replay *r, uint32_t window, bool esn, uint64_t *bitmap);
/* The full number of a packet with these low 32 bits. */
uint64_t ipsec_replay_number(const struct ipsec_replay *r, uint32_t low);
/* False: seen before, too old, or 0. */
bool ipsec_replay_check(const struct ipsec_replay *r, uint64_t number);
/* The packet was authentic. */
void ipsec_replay_advance(struct ipsec_replay *r, uint64_t number);

#endif
