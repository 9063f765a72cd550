/*
 * lpm - longest prefix match: tries of eight bits a step, leaves pushed down.
 *
 * Built once (routes in any order), then read by all lanes. One trie a family;
 * a lookup takes at most 4 (IPv4) or 16 (IPv6) steps. Build: main thread;
 * lookup: any thread.
 */
#ifndef FLOW_LPM_H
#define FLOW_LPM_H

#include <stdint.h>

#include "firmware/core/addr.h"

struct flow_lpm;

struct flow_lpm_route {
    struct fw_prefix prefix;
    uint32_t value; /* below 2^31 - 1 */
};

/* Prefixes must differ. Free with flow_lpm_free. */
struct flow_lpm *flow_lpm_new(const struct flow_lpm_route *routes, unsigned n);
void flow_lpm_free(struct flow_lpm *lpm);
/* The value of the longest matching prefix, or -1. */
int64_t flow_lpm_find(const struct flow_lpm *lpm, const struct fw_addr *address);

#endif
