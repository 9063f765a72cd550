/*
 * error - GError domain for the environment's and the user's mistakes.
 *
 * Text in lower case, no full stop, naming the object and what to do; the
 * caller who knows the object adds the prefix (g_prefix_error).
 */
#ifndef FW_ERROR_H
#define FW_ERROR_H

#include <glib.h>
#include <stdbool.h>

#define FW_ERROR (fw_error_quark())

enum fw_error_code {
    FW_ERROR_INVALID,     /* the input is wrong */
    FW_ERROR_SYSTEM,      /* a system call failed */
    FW_ERROR_UNAVAILABLE, /* the other side is gone or not there yet */
    FW_ERROR_BUSY,        /* a queue is full: try again */
    FW_ERROR_UNSUPPORTED, /* this kernel or build cannot do it */
    FW_ERROR_NOT_FOUND
};

GQuark fw_error_quark(void);

/* Sets *error and returns false, so callers stay flat: return fw_fail(error, CODE, "..."); */
bool fw_fail(GError **error, enum fw_error_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with ": <strerror>" of errno appended. */
bool fw_fail_errno(GError **error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
