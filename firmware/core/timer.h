/*
 * timer - one-shot timers on the process's GLib main loop.
 *
 * A timer is armed with a delay and fires once; the callback may arm it again
 * or free it. Main-loop thread only. Delays are protocol time.
 */
#ifndef FW_TIMER_H
#define FW_TIMER_H

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

struct fw_timer;

typedef void (*fw_timer_cb)(void *data);

/* A new timer, not armed; free with fw_timer_free. `data` stays the caller's. */
struct fw_timer *fw_timer_new(fw_timer_cb callback, void *data);

/* Fire once after delay_ns (0 or less: at the next turn); replaces an earlier arming. */
void fw_timer_arm(struct fw_timer *timer, int64_t delay_ns);

/* Not armed afterwards; harmless when it was not. */
void fw_timer_cancel(struct fw_timer *timer);

bool fw_timer_armed(const struct fw_timer *timer);

/* The deadline on fw_clock_ns()'s scale, or INT64_MAX when not armed. */
int64_t fw_timer_deadline_ns(const struct fw_timer *timer);

/* Cancels and frees; NULL is allowed. */
void fw_timer_free(struct fw_timer *timer);

#endif
