/*
 * How long a daemon that died waits for its next start.
 */
#include <criterion/criterion.h>

#include "firmware/core/clock.h"
#include "re/supervisor/daemons.h"

Test(policy, at_once_then_backing_off)
{
    for (unsigned quick = 0; quick < 5; quick++) {
        cr_assert_eq(daemons_backoff_ns(quick), 0);
    }
    cr_assert_gt(daemons_backoff_ns(5), 0);
    for (unsigned quick = 5; quick < 100; quick++) {
        cr_assert_leq(daemons_backoff_ns(quick), daemons_backoff_ns(quick + 1));
        cr_assert_leq(daemons_backoff_ns(quick), 8 * FW_SEC);
    }
    cr_assert_eq(daemons_backoff_ns(1000), 8 * FW_SEC);
}
