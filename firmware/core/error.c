/* error - see error.h. */
#include "firmware/core/error.h"

#include <errno.h>
#include <stdarg.h>

/* clang-format off */
G_DEFINE_QUARK(fw-error-quark, fw_error)
/* clang-format on */

bool fw_fail(GError **error, enum fw_error_code code, const char *format, ...)
{
    va_list args;

    if (error) {
        va_start(args, format);
        *error = g_error_new_valist(FW_ERROR, code, format, args);
        va_end(args);
    }
    return false;
}

bool fw_fail_errno(GError **error, const char *format, ...)
{
    int saved = errno;
    va_list args;

    if (error) {
        va_start(args, format);
        g_autofree char *text = g_strdup_vprintf(format, args);
        va_end(args);
        *error = g_error_new(FW_ERROR, FW_ERROR_SYSTEM, "%s: %s", text, g_strerror(saved));
    }
    return false;
}
