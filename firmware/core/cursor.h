/*
 * cursor - read bytes that came from outside, never past their end.
 *
 * A cursor is a window (at, end). The first read that does not fit sets
 * `failed`, returns zero or NULL, and every later read fails too, so a parser
 * may read a whole fixed part and check once. Network byte order throughout.
 * Nesting is a second cursor over the element's content (fw_cursor_sub).
 * No allocation; any thread; the cursor does not own the bytes.
 */
#ifndef FW_CURSOR_H
#define FW_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct fw_cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static inline struct fw_cursor fw_cursor(const void *data, size_t len)
{
    const uint8_t *p = data;

    return (struct fw_cursor){p, p ? p + len : p, false};
}

/* Bytes not yet read; 0 after a failure. */
static inline size_t fw_cursor_left(const struct fw_cursor *c)
{
    return c->failed ? 0 : (size_t)(c->end - c->at);
}

/* The next n bytes, or NULL when fewer are left (n = 0 is never NULL unless failed). */
static inline const uint8_t *fw_cursor_take(struct fw_cursor *c, size_t n)
{
    static const uint8_t nothing[1];
    const uint8_t *p = c->at;

    if (c->failed || n > (size_t)(c->end - c->at)) {
        c->failed = true;
        return NULL;
    }
    if (n == 0) {
        return p ? p : nothing;
    }
    c->at += n;
    return p;
}

static inline uint8_t fw_cursor_u8(struct fw_cursor *c)
{
    const uint8_t *p = fw_cursor_take(c, 1);

    return p ? p[0] : 0;
}

static inline uint16_t fw_cursor_u16(struct fw_cursor *c)
{
    const uint8_t *p = fw_cursor_take(c, 2);

    return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

static inline uint32_t fw_cursor_u32(struct fw_cursor *c)
{
    const uint8_t *p = fw_cursor_take(c, 4);

    return p ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3] : 0;
}

static inline uint64_t fw_cursor_u64(struct fw_cursor *c)
{
    uint64_t high = fw_cursor_u32(c);
    uint64_t low = fw_cursor_u32(c);

    return c->failed ? 0 : high << 32 | low;
}

/* Copy n bytes out; ret is untouched on failure. */
static inline bool fw_cursor_copy(struct fw_cursor *c, void *ret, size_t n)
{
    const uint8_t *p = fw_cursor_take(c, n);

    if (!p) {
        return false;
    }
    if (n) {
        memcpy(ret, p, n);
    }
    return true;
}

/* A cursor over the next n bytes, which are skipped here; a failed cursor when fewer are left. */
static inline struct fw_cursor fw_cursor_sub(struct fw_cursor *c, size_t n)
{
    const uint8_t *p = fw_cursor_take(c, n);
    struct fw_cursor sub = {p, p ? p + n : p, p == NULL};

    return sub;
}

#endif
