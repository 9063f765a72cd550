/*
 * secret - key material: erased on release, compared in constant time, never printed.
 *
 * Any thread; one owner per object.
 */
#ifndef FW_SECRET_H
#define FW_SECRET_H

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fw_secret {
    size_t len;
    uint8_t data[];
};

/* A copy of len bytes (data NULL: zeroes). Free with fw_secret_free. */
struct fw_secret *fw_secret_new(const void *data, size_t len);
/* Erases, then frees; NULL is allowed. */
void fw_secret_free(struct fw_secret *secret);
/* Overwrite n bytes in a way the compiler keeps. */
void fw_wipe(void *data, size_t n);
/* Constant-time comparison. */
bool fw_equal_ct(const void *a, const void *b, size_t n);

typedef struct fw_secret fw_secret;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(fw_secret, fw_secret_free)

#endif
