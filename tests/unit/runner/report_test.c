/* report_test - TAP and JUnit text of every outcome, and the counts. */
#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <string.h>
#include <unistd.h>

#include "tests/runner/runner.h"

static GPtrArray *make(void)
{
    GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)runner_result_free);
    static const enum runner_exit outcomes[] = {RUNNER_PASSED, RUNNER_FAILED, RUNNER_SKIPPED,
                                                RUNNER_TIMEOUT, RUNNER_INFRASTRUCTURE};

    for (unsigned i = 0; i < G_N_ELEMENTS(outcomes); i++) {
        struct runner_result *r = g_new0(struct runner_result, 1);

        r->file = g_strdup("a.lua");
        r->name = g_strdup_printf("t%u", i);
        r->outcome = outcomes[i];
        r->seconds = 1;
        r->message = g_strdup(i ? "say \"<why>\"\001" : NULL);
        g_ptr_array_add(all, r);
    }
    return all;
}

Test(report, tap_and_junit)
{
    g_autoptr(GPtrArray) all = make();
    g_autofree char *dir = g_dir_make_tmp("vc-report-XXXXXX", NULL);
    g_autofree char *tap = g_build_filename(dir, "tap", NULL);
    g_autofree char *junit = g_build_filename(dir, "junit", NULL);
    g_autofree char *text = NULL;
    g_autofree char *xml = NULL;
    struct runner_options options = {.tap = tap, .junit = junit};

    cr_redirect_stdout();
    cr_assert(runner_report(all, &options, NULL));
    cr_assert_stdout_eq_str("1 passed, 3 failed, 1 skipped\n");
    cr_assert(g_file_get_contents(tap, &text, NULL, NULL));
    cr_assert_not_null(strstr(text, "1..5\nok 1 - a.lua: t0\nnot ok 2 - a.lua: t1\n"));
    cr_assert_not_null(strstr(text, "ok 3 - a.lua: t2 # SKIP"));
    cr_assert_not_null(strstr(text, "outcome: timeout"));
    cr_assert(g_file_get_contents(junit, &xml, NULL, NULL));
    cr_assert_not_null(strstr(xml, "tests=\"5\" failures=\"1\" errors=\"2\" skipped=\"1\""));
    cr_assert_not_null(strstr(xml, "say &quot;&lt;why&gt;&quot;?"));
    unlink(tap);
    unlink(junit);
    rmdir(dir);
}
