/* replay - see replay.h. */
#include "spc/ipsec/replay.h"

#define BITS 64u

static uint32_t window_round(uint32_t window)
{
    if (window > IPSEC_REPLAY_MAX) {
        window = IPSEC_REPLAY_MAX;
    }
    return (window + BITS - 1) / BITS * BITS;
}

uint32_t ipsec_replay_blocks(uint32_t window)
{
    uint32_t need = window_round(window) / BITS + 1, blocks = 2;

    while (blocks < need) {
        blocks *= 2;
    }
    return blocks;
}

void ipsec_replay_init(struct ipsec_replay *r, uint32_t window, bool esn, uint64_t *bitmap)
{
    r->top = 0;
    r->window = bitmap ? window_round(window) : 0;
    r->blocks = ipsec_replay_blocks(window);
    r->esn = esn;
    r->bitmap = bitmap;
}

uint64_t ipsec_replay_number(const struct ipsec_replay *r, uint32_t low)
{
    uint32_t top_low = (uint32_t)r->top, high = (uint32_t)(r->top >> 32);
    uint32_t window = r->window ? r->window : BITS;

    if (!r->esn) {
        return low;
    }
    if (top_low >= window - 1) {
        high += low < top_low - window + 1; /* the window lies in one half */
    } else {
        high -= high > 0 && low >= top_low - window + 1; /* it reaches into the one before */
    }
    return (uint64_t)high << 32 | low;
}

bool ipsec_replay_check(const struct ipsec_replay *r, uint64_t number)
{
    if (number == 0) {
        return false;
    }
    if (r->window == 0 || number > r->top) {
        return true;
    }
    if (r->top - number >= r->window) {
        return false;
    }
    return !(r->bitmap[number / BITS & (r->blocks - 1)] >> number % BITS & 1);
}

void ipsec_replay_advance(struct ipsec_replay *r, uint64_t number)
{
    if (r->window == 0) {
        r->top = number > r->top ? number : r->top;
        return;
    }
    if (number > r->top) {
        uint64_t from = r->top / BITS, to = number / BITS;
        uint64_t clear = to - from < r->blocks ? to - from : r->blocks;

        for (uint64_t i = 1; i <= clear; i++) {
            r->bitmap[(from + i) & (r->blocks - 1)] = 0;
        }
        r->top = number;
    }
    r->bitmap[number / BITS & (r->blocks - 1)] |= (uint64_t)1 << number % BITS;
}
