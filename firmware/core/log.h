/*
 * log - one line per happening, on standard error.
 *
 *   2026-01-02T03:04:05.678Z info spcd[1234]: text
 *
 * The level says what is lost: error, this object; warning, quality; info is
 * rare; debug is free (off unless VCHASSIS_DEBUG is set). Never called per
 * packet, never with key material. Any thread: a line is one write(2).
 */
#ifndef FW_LOG_H
#define FW_LOG_H

enum fw_log_level { FW_LOG_ERROR, FW_LOG_WARNING, FW_LOG_INFO, FW_LOG_DEBUG };

/* The name printed before the pid, for instance "spcd" or "fpc1 spcd"; copied. */
void fw_log_init(const char *name);

void fw_log(enum fw_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define fw_error(...) fw_log(FW_LOG_ERROR, __VA_ARGS__)
#define fw_warning(...) fw_log(FW_LOG_WARNING, __VA_ARGS__)
#define fw_info(...) fw_log(FW_LOG_INFO, __VA_ARGS__)
#define fw_debug(...) fw_log(FW_LOG_DEBUG, __VA_ARGS__)

#endif
