/*
 * emit - write bytes for outside, never past the end of the buffer.
 *
 * The mirror of the cursor: the first write that does not fit sets `failed`
 * and nothing more is written. Network byte order. Lengths that are known
 * only later are reserved and patched (fw_emit_reserve, fw_emit_patch_u16).
 * No allocation; any thread; the buffer belongs to the caller.
 */
#ifndef FW_EMIT_H
#define FW_EMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct fw_emit {
    uint8_t *start;
    uint8_t *at;
    uint8_t *end;
    bool failed;
};

static inline struct fw_emit fw_emit(void *buffer, size_t size)
{
    uint8_t *p = buffer;

    return (struct fw_emit){p, p, p + size, false};
}

/* Bytes written so far. */
static inline size_t fw_emit_len(const struct fw_emit *e)
{
    return (size_t)(e->at - e->start);
}

static inline size_t fw_emit_room(const struct fw_emit *e)
{
    return e->failed ? 0 : (size_t)(e->end - e->at);
}

/* n zeroed bytes to be filled by the caller, or NULL. */
static inline uint8_t *fw_emit_reserve(struct fw_emit *e, size_t n)
{
    uint8_t *p = e->at;

    if (e->failed || n > (size_t)(e->end - e->at)) {
        e->failed = true;
        return NULL;
    }
    if (n) {
        memset(p, 0, n);
    }
    e->at += n;
    return p;
}

static inline void fw_emit_bytes(struct fw_emit *e, const void *data, size_t n)
{
    uint8_t *p = fw_emit_reserve(e, n);

    if (p && n) {
        memcpy(p, data, n);
    }
}

static inline void fw_emit_u8(struct fw_emit *e, uint8_t v)
{
    fw_emit_bytes(e, &v, 1);
}

static inline void fw_emit_u16(struct fw_emit *e, uint16_t v)
{
    uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};

    fw_emit_bytes(e, b, 2);
}

static inline void fw_emit_u32(struct fw_emit *e, uint32_t v)
{
    uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

    fw_emit_bytes(e, b, 4);
}

static inline void fw_emit_u64(struct fw_emit *e, uint64_t v)
{
    fw_emit_u32(e, (uint32_t)(v >> 32));
    fw_emit_u32(e, (uint32_t)v);
}

/* Overwrite two (four) bytes at offset `at` from the start; the bytes must have been written. */
static inline void fw_emit_patch_u16(struct fw_emit *e, size_t at, uint16_t v)
{
    if (at + 2 > fw_emit_len(e)) {
        e->failed = true;
        return;
    }
    e->start[at] = (uint8_t)(v >> 8);
    e->start[at + 1] = (uint8_t)v;
}

static inline void fw_emit_patch_u32(struct fw_emit *e, size_t at, uint32_t v)
{
    fw_emit_patch_u16(e, at, (uint16_t)(v >> 16));
    fw_emit_patch_u16(e, at + 2, (uint16_t)v);
}

#endif
