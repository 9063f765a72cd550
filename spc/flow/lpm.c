/*
 * lpm - see lpm.h.
 *
 * An entry is 0 (nothing), value + 1, or CHILD | node number. Routes are put in
 * by rising prefix length, so a longer one overwrites leaves of shorter ones and
 * a node that becomes necessary inherits the leaf it replaces.
 */
#include "spc/flow/lpm.h"

#include <glib.h>
#include <string.h>

#define CHILD 0x80000000u

struct node {
    uint32_t entries[256];
};

struct flow_lpm {
    GArray *nodes; /* struct node; 0 is the IPv4 root, 1 the IPv6 root */
};

static int shorter_first(const void *a, const void *b)
{
    const struct flow_lpm_route *x = a, *y = b;

    return (int)x->prefix.len - (int)y->prefix.len;
}

static uint32_t child_of(struct flow_lpm *lpm, uint32_t node, uint8_t index)
{
    uint32_t entry = g_array_index(lpm->nodes, struct node, node).entries[index];
    struct node fresh;

    if (entry & CHILD) {
        return entry & ~CHILD;
    }
    for (unsigned i = 0; i < 256; i++) {
        fresh.entries[i] = entry;
    }
    g_array_append_val(lpm->nodes, fresh);
    g_array_index(lpm->nodes, struct node, node).entries[index] =
        CHILD | (uint32_t)(lpm->nodes->len - 1);
    return lpm->nodes->len - 1;
}

static void put(struct flow_lpm *lpm, const struct flow_lpm_route *route)
{
    uint32_t node = route->prefix.addr.family == FW_FAMILY_V4 ? 0 : 1;
    const uint8_t *bytes = route->prefix.addr.bytes;
    unsigned left = route->prefix.len, first, n;

    while (left > 8) {
        node = child_of(lpm, node, *bytes++);
        left -= 8;
    }
    n = 1u << (8 - left);
    first = left ? *bytes & ~(n - 1u) : 0;
    for (unsigned i = 0; i < n; i++) {
        g_array_index(lpm->nodes, struct node, node).entries[first + i] = route->value + 1;
    }
}

struct flow_lpm *flow_lpm_new(const struct flow_lpm_route *routes, unsigned n)
{
    struct flow_lpm *lpm = g_new0(struct flow_lpm, 1);
    g_autofree struct flow_lpm_route *sorted = g_new(struct flow_lpm_route, n + 1);
    struct node roots[2];

    memset(roots, 0, sizeof roots);
    lpm->nodes = g_array_new(FALSE, FALSE, sizeof(struct node));
    g_array_append_vals(lpm->nodes, roots, 2);
    if (n > 0) {
        memcpy(sorted, routes, n * sizeof *routes);
    }
    qsort(sorted, n, sizeof *sorted, shorter_first);
    for (unsigned i = 0; i < n; i++) {
        unsigned bits = (unsigned)fw_addr_size(&sorted[i].prefix.addr) * 8;

        if (bits > 0 && sorted[i].prefix.len <= bits) {
            put(lpm, &sorted[i]);
        }
    }
    return lpm;
}

void flow_lpm_free(struct flow_lpm *lpm)
{
    if (lpm) {
        g_array_unref(lpm->nodes);
        g_free(lpm);
    }
}

int64_t flow_lpm_find(const struct flow_lpm *lpm, const struct fw_addr *address)
{
    const struct node *nodes = (const struct node *)lpm->nodes->data;
    size_t size = fw_addr_size(address);
    uint32_t entry = address->family == FW_FAMILY_V4 ? CHILD : CHILD | 1;

    for (size_t i = 0; i < size && entry & CHILD; i++) {
        entry = nodes[entry & ~CHILD].entries[address->bytes[i]];
    }
    return entry & CHILD ? -1 : (int64_t)entry - 1;
}
