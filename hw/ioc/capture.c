/*
 * capture - frames of a port as pcapng, into a pipe that somebody reads.
 *
 * Section and interface blocks come first, then one enhanced packet block a
 * frame with nanosecond time and direction. Blocks are whole or absent: what
 * the pipe takes only in part is finished before anything else is written, and
 * while it is not, frames are dropped and counted. Nothing ever waits for the
 * reader. Big-endian, which the format allows and the emitter writes.
 *
 * Any lane; a mutex per capture, because ports are written from every lane.
 * Standard: draft-ietf-opsawg-pcapng.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/core/emit.h"
#include "firmware/core/error.h"
#include "hw/ioc/ioc.h"

#define BLOCK_SECTION   0x0a0d0d0au
#define BLOCK_INTERFACE 1u
#define BLOCK_PACKET    6u
#define ORDER_MAGIC     0x1a2b3c4du
#define LINK_ETHERNET   1u
#define OPTION_END      0u
#define OPTION_NAME     2u /* of an interface */
#define OPTION_TSRESOL  9u
#define OPTION_FLAGS    2u /* of a packet */
#define FLAG_INBOUND    1u
#define FLAG_OUTBOUND   2u
#define PACKET_HEAD     28u
#define PACKET_TAIL     (3u + 8u + 4u + 4u) /* padding, flags, end of options, length again */
#define BLOCK_MAX       (PACKET_HEAD + IOC_FRAME_MAX + PACKET_TAIL)
#define PIPE_BYTES      (1 << 20)

struct ioc_capture {
    uint32_t id;
    int fd;
    bool broken;
    GMutex lock;
    uint32_t rest_at, rest_bytes; /* of a block that was taken in part */
    uint8_t rest[BLOCK_MAX];
};

static void option(struct fw_emit *e, uint16_t code, const void *value, uint16_t bytes)
{
    fw_emit_u16(e, code);
    fw_emit_u16(e, bytes);
    fw_emit_bytes(e, value, bytes);
    fw_emit_reserve(e, (4 - bytes % 4u) % 4);
}

static void head_write(struct fw_emit *e, const char *name)
{
    uint8_t resolution = 9; /* 10^-9 s */
    size_t start;

    fw_emit_u32(e, BLOCK_SECTION);
    fw_emit_u32(e, 28);
    fw_emit_u32(e, ORDER_MAGIC);
    fw_emit_u16(e, 1);
    fw_emit_u16(e, 0);
    fw_emit_u64(e, UINT64_MAX); /* length of the section is not known */
    fw_emit_u32(e, 28);

    start = fw_emit_len(e);
    fw_emit_u32(e, BLOCK_INTERFACE);
    fw_emit_u32(e, 0);
    fw_emit_u16(e, LINK_ETHERNET);
    fw_emit_u16(e, 0);
    fw_emit_u32(e, 0); /* frames are never cut */
    option(e, OPTION_NAME, name, (uint16_t)strlen(name));
    option(e, OPTION_TSRESOL, &resolution, 1);
    option(e, OPTION_END, NULL, 0);
    fw_emit_u32(e, (uint32_t)(fw_emit_len(e) + 4 - start));
    fw_emit_patch_u32(e, start + 4, (uint32_t)(fw_emit_len(e) - start));
}

struct ioc_capture *ioc_capture_new(uint32_t id, int fd, const char *name, GError **error)
{
    uint8_t head[256];
    struct fw_emit e = fw_emit(head, sizeof(head));
    struct ioc_capture *capture;
    int flags = fcntl(fd, F_GETFL);

    head_write(&e, name);
    if (e.failed) {
        fw_fail(error, FW_ERROR_INVALID, "capture of %s: name too long", name);
        return NULL;
    }
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) {
        fw_fail_errno(error, "capture of %s", name);
        return NULL;
    }
    /* A larger pipe only means fewer drops; a file or a refusal does not matter. */
    (void)fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES);
    if (write(fd, head, fw_emit_len(&e)) != (ssize_t)fw_emit_len(&e)) {
        fw_fail_errno(error, "capture of %s: the pipe takes nothing", name);
        return NULL;
    }
    capture = g_new0(struct ioc_capture, 1);
    capture->id = id;
    capture->fd = fd;
    g_mutex_init(&capture->lock);
    return capture;
}

void ioc_capture_free(struct ioc_capture *capture)
{
    if (capture) {
        close(capture->fd);
        g_mutex_clear(&capture->lock);
        g_free(capture);
    }
}

uint32_t ioc_capture_id(const struct ioc_capture *capture)
{
    return capture->id;
}

/* True when nothing is left; the lock is held. */
static bool rest_push(struct ioc_capture *capture)
{
    while (capture->rest_bytes > 0 && !capture->broken) {
        ssize_t n = write(capture->fd, capture->rest + capture->rest_at, capture->rest_bytes);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            capture->broken = errno != EAGAIN;
            break;
        }
        capture->rest_at += (uint32_t)n;
        capture->rest_bytes -= (uint32_t)n;
    }
    return capture->rest_bytes == 0 && !capture->broken;
}

bool ioc_capture_flush(struct ioc_capture *capture)
{
    bool left;

    g_mutex_lock(&capture->lock);
    left = !rest_push(capture) && !capture->broken;
    g_mutex_unlock(&capture->lock);
    return left;
}

static bool block_write(struct ioc_capture *capture, struct iovec *iov, int n_iov, size_t bytes)
{
    ssize_t n;
    size_t skip;

    do {
        n = writev(capture->fd, iov, n_iov);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        capture->broken = errno != EAGAIN;
        return false;
    }
    if ((size_t)n == bytes) {
        return true;
    }
    /* Keep what the pipe did not take. */
    skip = (size_t)n;
    capture->rest_at = 0;
    capture->rest_bytes = 0;
    for (int i = 0; i < n_iov; i++) {
        size_t part = MIN(skip, iov[i].iov_len);

        memcpy(capture->rest + capture->rest_bytes, (const uint8_t *)iov[i].iov_base + part,
               iov[i].iov_len - part);
        capture->rest_bytes += (uint32_t)(iov[i].iov_len - part);
        skip -= part;
    }
    return true;
}

bool ioc_capture_frame(struct ioc_capture *capture, bool outbound, const uint8_t *data,
                       uint32_t bytes, const uint8_t *more, uint32_t more_bytes)
{
    uint8_t head[PACKET_HEAD], tail[PACKET_TAIL];
    struct fw_emit h = fw_emit(head, sizeof(head)), t = fw_emit(tail, sizeof(tail));
    uint32_t frame = bytes + more_bytes, padding = (4 - frame % 4) % 4, total;
    uint64_t now = (uint64_t)fw_clock_wall_ns();
    struct iovec iov[4];
    bool ok;

    if (frame > IOC_FRAME_MAX) {
        return false;
    }
    total = PACKET_HEAD + frame + padding + 16;
    fw_emit_u32(&h, BLOCK_PACKET);
    fw_emit_u32(&h, total);
    fw_emit_u32(&h, 0); /* the only interface */
    fw_emit_u64(&h, now);
    fw_emit_u32(&h, frame);
    fw_emit_u32(&h, frame);
    fw_emit_reserve(&t, padding);
    fw_emit_u16(&t, OPTION_FLAGS);
    fw_emit_u16(&t, 4);
    fw_emit_u32(&t, outbound ? FLAG_OUTBOUND : FLAG_INBOUND);
    fw_emit_u32(&t, OPTION_END);
    fw_emit_u32(&t, total);
    iov[0] = (struct iovec){head, sizeof(head)};
    iov[1] = (struct iovec){(void *)(uintptr_t)data, bytes};
    iov[2] = (struct iovec){(void *)(uintptr_t)more, more_bytes};
    iov[3] = (struct iovec){tail, fw_emit_len(&t)};

    g_mutex_lock(&capture->lock);
    ok = rest_push(capture) && block_write(capture, iov, 4, total);
    g_mutex_unlock(&capture->lock);
    return ok;
}
