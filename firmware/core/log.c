/* log - see log.h. */
#include "firmware/core/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "firmware/core/clock.h"

static char log_name[64] = "vchassis";
static int debug = -1;

void fw_log_init(const char *name)
{
    snprintf(log_name, sizeof log_name, "%s", name);
    debug = getenv("VCHASSIS_DEBUG") != NULL;
}

void fw_log(enum fw_log_level level, const char *format, ...)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    char line[2048];
    int64_t now = fw_clock_wall_ns();
    time_t seconds = (time_t)(now / FW_SEC);
    struct tm tm;
    size_t n;
    va_list args;

    if (level == FW_LOG_DEBUG && debug != 1) {
        return;
    }
    gmtime_r(&seconds, &tm);
    n = strftime(line, sizeof line, "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03dZ %s %s[%d]: ",
                          (int)(now % FW_SEC / FW_MS), names[level], log_name, (int)getpid());
    va_start(args, format);
    int more = vsnprintf(line + n, sizeof line - n - 1, format, args);
    va_end(args);
    n += more > 0 ? (size_t)more : 0;
    if (n > sizeof line - 2) {
        n = sizeof line - 2;
    }
    line[n++] = '\n';
    if (write(STDERR_FILENO, line, n) < 0) {
        return; /* a full disk must not stop anybody */
    }
}
