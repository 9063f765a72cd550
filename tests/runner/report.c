/*
 * report - what the scenarios gave: TAP version 13, JUnit XML, a summary.
 *
 * The summary's last line is "N passed, N failed, N skipped"; infrastructure
 * errors and time-outs count as failed there and are told apart in the reports.
 */
#include <string.h>

#include "firmware/core/error.h"
#include "tests/runner/runner.h"

static const char *outcome_word(enum runner_exit outcome)
{
    switch (outcome) {
    case RUNNER_PASSED:
        return "passed";
    case RUNNER_FAILED:
        return "failed";
    case RUNNER_NOTHING:
        return "nothing ran";
    case RUNNER_INFRASTRUCTURE:
        return "infrastructure";
    case RUNNER_TIMEOUT:
        return "timeout";
    case RUNNER_SKIPPED:
        return "skipped";
    }
    return "";
}

void runner_result_free(struct runner_result *result)
{
    g_free(result->file);
    g_free(result->name);
    g_free(result->message);
    g_free(result);
}

static void write_tap(const GPtrArray *results, GString *out)
{
    g_string_append_printf(out, "TAP version 13\n1..%u\n", results->len);
    for (guint i = 0; i < results->len; i++) {
        const struct runner_result *r = results->pdata[i];
        bool ok = r->outcome == RUNNER_PASSED || r->outcome == RUNNER_SKIPPED;

        g_string_append_printf(out, "%sok %u - %s: %s", ok ? "" : "not ", i + 1, r->file, r->name);
        if (r->outcome == RUNNER_SKIPPED) {
            g_string_append_printf(out, " # SKIP %s", r->message ? r->message : "");
        }
        g_string_append_c(out, '\n');
        if (!ok) {
            g_autofree char *flat = g_strdup(r->message ? r->message : "");

            g_strdelimit(flat, "\n\"\\", ' ');
            g_string_append_printf(out, "  ---\n  outcome: %s\n  message: \"%s\"\n  ...\n",
                                   outcome_word(r->outcome), flat);
        }
    }
}

/* Characters that XML 1.0 cannot carry become '?'. */
static char *xml_text(const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text ? text : "", -1);

    for (char *p = valid; *p; p++) {
        if ((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t') {
            *p = '?';
        }
    }
    return g_markup_escape_text(valid, -1);
}

static void write_junit(const GPtrArray *results, GString *out)
{
    unsigned failures = 0, errors = 0, skipped = 0;
    double seconds = 0;

    for (guint i = 0; i < results->len; i++) {
        const struct runner_result *r = results->pdata[i];

        failures += r->outcome == RUNNER_FAILED;
        errors += r->outcome == RUNNER_INFRASTRUCTURE || r->outcome == RUNNER_TIMEOUT;
        skipped += r->outcome == RUNNER_SKIPPED;
        seconds += r->seconds;
    }
    g_string_append_printf(out,
                           "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                           "<testsuite name=\"vchassis\" tests=\"%u\" failures=\"%u\" "
                           "errors=\"%u\" skipped=\"%u\" time=\"%.3f\">\n",
                           results->len, failures, errors, skipped, seconds);
    for (guint i = 0; i < results->len; i++) {
        const struct runner_result *r = results->pdata[i];
        g_autofree char *file = xml_text(r->file);
        g_autofree char *name = xml_text(r->name);
        g_autofree char *message = xml_text(r->message);

        g_string_append_printf(out, "  <testcase classname=\"%s\" name=\"%s\" time=\"%.3f\"", file,
                               name, r->seconds);
        switch (r->outcome) {
        case RUNNER_PASSED:
        case RUNNER_NOTHING:
            g_string_append(out, "/>\n");
            break;
        case RUNNER_SKIPPED:
            g_string_append_printf(out, "><skipped message=\"%s\"/></testcase>\n", message);
            break;
        case RUNNER_FAILED:
            g_string_append_printf(out, "><failure>%s</failure></testcase>\n", message);
            break;
        case RUNNER_INFRASTRUCTURE:
        case RUNNER_TIMEOUT:
            g_string_append_printf(out, "><error type=\"%s\">%s</error></testcase>\n",
                                   outcome_word(r->outcome), message);
            break;
        }
    }
    g_string_append(out, "</testsuite>\n");
}

bool runner_report(const GPtrArray *results, const struct runner_options *options, GError **error)
{
    unsigned passed = 0, failed = 0, skipped = 0;
    g_autoptr(GString) text = g_string_new(NULL);

    if (options->tap) {
        write_tap(results, text);
        if (strcmp(options->tap, "-") == 0) {
            fputs(text->str, stdout);
        } else if (!g_file_set_contents(options->tap, text->str, (gssize)text->len, error)) {
            return false;
        }
    }
    if (options->junit) {
        g_string_truncate(text, 0);
        write_junit(results, text);
        if (!g_file_set_contents(options->junit, text->str, (gssize)text->len, error)) {
            return false;
        }
    }
    for (guint i = 0; i < results->len; i++) {
        const struct runner_result *r = results->pdata[i];

        passed += r->outcome == RUNNER_PASSED;
        skipped += r->outcome == RUNNER_SKIPPED;
        failed += r->outcome != RUNNER_PASSED && r->outcome != RUNNER_SKIPPED;
    }
    printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
    fflush(stdout);
    return true;
}
