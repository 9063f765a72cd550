/*
 * outbox - making and checking the sealed memory of a board.
 *
 * The owner maps it read-write first and seals it afterwards: FUTURE_WRITE
 * leaves that one mapping writable and makes every other one read-only; SHRINK
 * and GROW keep a reader from being killed by a page that is gone; SEAL makes
 * it final. Only page 0 is touched here. Main thread.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/core/error.h"
#include "firmware/fabric/state.h"

#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE)

static uint64_t page_up(uint64_t n)
{
    return (n + FABRIC_PAGE - 1) & ~(uint64_t)(FABRIC_PAGE - 1);
}

bool fabric_geometry_compute(uint8_t index, uint8_t endpoints, uint8_t lanes,
                             uint32_t small_per_lane, uint32_t large_per_lane,
                             struct fabric_geometry *ret)
{
    struct fabric_geometry g = {.index = index,
                                .endpoints = endpoints,
                                .lanes = lanes,
                                .small_per_lane = small_per_lane,
                                .large_per_lane = large_per_lane};
    uint64_t pairs, at = FABRIC_PAGE;

    if (endpoints < 1 || endpoints > FABRIC_ENDPOINTS_MAX || index >= endpoints || lanes < 1 ||
        lanes > FABRIC_LANES_MAX || small_per_lane > FABRIC_BUFFERS_MAX ||
        large_per_lane > FABRIC_BUFFERS_MAX) {
        return false;
    }
    pairs = (uint64_t)endpoints * FABRIC_LANES_MAX * lanes;
    g.heads = (uint32_t)at;
    at += pairs * sizeof(struct fabric_word);
    g.tails = (uint32_t)at;
    at = page_up(at + pairs * sizeof(struct fabric_word));
    g.rings = (uint32_t)at;
    at += pairs * FABRIC_RING * sizeof(struct fabric_cell);
    g.small = (uint32_t)at;
    at += (uint64_t)lanes * small_per_lane * FABRIC_SMALL_BYTES;
    if (at > UINT32_MAX) {
        return false;
    }
    g.large = (uint32_t)at;
    at = page_up(at + (uint64_t)lanes * large_per_lane * FABRIC_LARGE_BYTES);
    if (at > UINT32_MAX) {
        return false;
    }
    g.bytes = (uint32_t)at;
    *ret = g;
    return true;
}

bool fabric_outbox_create(struct fabric *fabric, GError **error)
{
    const struct fabric_geometry *g = &fabric->geometry;
    struct fabric_outbox_header *header;

    fabric->outbox_fd = memfd_create("fabric-outbox", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fabric->outbox_fd < 0 || ftruncate(fabric->outbox_fd, g->bytes) != 0) {
        return fw_fail_errno(error, "cannot make a fabric outbox of %u bytes", g->bytes);
    }
    fabric->base =
        mmap(NULL, g->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fabric->outbox_fd, 0);
    if (fabric->base == MAP_FAILED) {
        fabric->base = NULL;
        return fw_fail_errno(error, "cannot map the fabric outbox");
    }
    if (fcntl(fabric->outbox_fd, F_ADD_SEALS, SEALS) != 0) {
        return fw_fail_errno(error, "cannot seal the fabric outbox (Linux 5.1 or later needed)");
    }
    header = (struct fabric_outbox_header *)fabric->base;
    header->magic = FABRIC_OUTBOX_MAGIC;
    header->version = FABRIC_OUTBOX_VERSION;
    header->index = g->index;
    header->endpoints = g->endpoints;
    header->lanes = g->lanes;
    header->small_per_lane = g->small_per_lane;
    header->large_per_lane = g->large_per_lane;
    header->bytes = g->bytes;
    return true;
}

bool fabric_outbox_read(int fd, uint32_t bytes, struct fabric_geometry *ret, GError **error)
{
    struct fabric_outbox_header header;
    struct fabric_geometry g;
    struct stat st;
    int seals = fcntl(fd, F_GET_SEALS);

    if (seals < 0) {
        return fw_fail_errno(error, "outbox is no memory file");
    }
    if ((seals & SEALS) != SEALS) {
        return fw_fail(error, FW_ERROR_INVALID, "outbox lacks seals (has 0x%x, needs 0x%x)",
                       (unsigned)seals, (unsigned)SEALS);
    }
    if (fstat(fd, &st) != 0) {
        return fw_fail_errno(error, "outbox cannot be examined");
    }
    if (st.st_size != (off_t)bytes) {
        return fw_fail(error, FW_ERROR_INVALID, "outbox has %lld bytes, %u were announced",
                       (long long)st.st_size, bytes);
    }
    if (pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header)) {
        return fw_fail(error, FW_ERROR_INVALID, "outbox is too short for its header");
    }
    if (header.magic != FABRIC_OUTBOX_MAGIC || header.version != FABRIC_OUTBOX_VERSION) {
        return fw_fail(error, FW_ERROR_INVALID, "outbox header is not of this version");
    }
    if (!fabric_geometry_compute(header.index, header.endpoints, header.lanes,
                                 header.small_per_lane, header.large_per_lane, &g) ||
        g.bytes != bytes || header.bytes != bytes) {
        return fw_fail(error, FW_ERROR_INVALID, "outbox geometry does not fit its %u bytes",
                       bytes);
    }
    *ret = g;
    return true;
}

bool fabric_outbox_check(int fd, uint32_t bytes, GError **error)
{
    struct fabric_geometry g;

    return fabric_outbox_read(fd, bytes, &g, error);
}
