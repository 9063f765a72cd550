/* timer - see timer.h. One GSource per timer: its ready time is the deadline. */
#include "firmware/core/timer.h"

#include "firmware/core/clock.h"

struct fw_timer {
    GSource *source;
    fw_timer_cb callback;
    void *data;
    int64_t deadline_ns;
};

struct timer_source {
    GSource source;
    struct fw_timer *timer; /* NULL once the timer was freed */
};

static gboolean timer_dispatch(GSource *source, GSourceFunc unused, gpointer unused_data)
{
    struct fw_timer *timer = ((struct timer_source *)source)->timer;

    (void)unused;
    (void)unused_data;
    g_source_set_ready_time(source, -1);
    if (timer) {
        timer->deadline_ns = INT64_MAX;
        timer->callback(timer->data);
    }
    return G_SOURCE_CONTINUE;
}

static GSourceFuncs timer_funcs = {NULL, NULL, timer_dispatch, NULL, NULL, NULL};

struct fw_timer *fw_timer_new(fw_timer_cb callback, void *data)
{
    struct fw_timer *timer = g_new0(struct fw_timer, 1);

    timer->callback = callback;
    timer->data = data;
    timer->deadline_ns = INT64_MAX;
    timer->source = g_source_new(&timer_funcs, sizeof(struct timer_source));
    ((struct timer_source *)timer->source)->timer = timer;
    g_source_attach(timer->source, NULL);
    return timer;
}

void fw_timer_arm(struct fw_timer *timer, int64_t delay_ns)
{
    if (delay_ns < 0) {
        delay_ns = 0;
    }
    timer->deadline_ns = fw_clock_ns() + delay_ns;
    g_source_set_ready_time(timer->source, g_get_monotonic_time() + (delay_ns + 999) / 1000);
}

void fw_timer_cancel(struct fw_timer *timer)
{
    timer->deadline_ns = INT64_MAX;
    g_source_set_ready_time(timer->source, -1);
}

bool fw_timer_armed(const struct fw_timer *timer)
{
    return timer->deadline_ns != INT64_MAX;
}

int64_t fw_timer_deadline_ns(const struct fw_timer *timer)
{
    return timer->deadline_ns;
}

void fw_timer_free(struct fw_timer *timer)
{
    if (!timer) {
        return;
    }
    ((struct timer_source *)timer->source)->timer = NULL;
    g_source_destroy(timer->source);
    g_source_unref(timer->source);
    g_free(timer);
}
