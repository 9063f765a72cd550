/*
 * checksum - the Internet checksum (RFC 1071, RFC 1624). Pure; any thread.
 */
#ifndef FLOW_CHECKSUM_H
#define FLOW_CHECKSUM_H

#include <stdint.h>
#include <string.h>

/* Sum of 16-bit words in network order, an odd last byte padded; add up and fold at the end. */
static inline uint64_t flow_sum(const uint8_t *data, uint32_t bytes, uint64_t sum)
{
    while (bytes >= 4) {
        uint32_t word;

        memcpy(&word, data, 4);
        sum += word;
        data += 4;
        bytes -= 4;
    }
    if (bytes >= 2) {
        uint16_t word;

        memcpy(&word, data, 2);
        sum += word;
        data += 2;
        bytes -= 2;
    }
    if (bytes) {
        uint8_t last[2] = {data[0], 0};
        uint16_t word;

        memcpy(&word, last, 2);
        sum += word;
    }
    return sum;
}

/* The folded complement, to be stored with memcpy: it is in memory (network) order. */
static inline uint16_t flow_sum_fold(uint64_t sum)
{
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffffffff) + (sum >> 32);
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static inline uint16_t flow_checksum(const uint8_t *data, uint32_t bytes)
{
    return flow_sum_fold(flow_sum(data, bytes, 0));
}

/* One 16-bit word at `word` becomes `value` (both memory order); the checksum follows. */
static inline void flow_checksum_replace(uint8_t *checksum, uint8_t *word, uint16_t value)
{
    uint16_t old, sum;
    uint32_t s;

    memcpy(&old, word, 2);
    memcpy(&sum, checksum, 2);
    s = (uint16_t)~sum + (uint32_t)(uint16_t)~old + value;
    s = (s & 0xffff) + (s >> 16);
    s = (s & 0xffff) + (s >> 16);
    sum = (uint16_t)~s;
    memcpy(checksum, &sum, 2);
    memcpy(word, &value, 2);
}

#endif
