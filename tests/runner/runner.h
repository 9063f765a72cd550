/*
 * runner - `vchassis test`: runs Lua scenarios against booted labs.
 *
 * run.c   verb, options, parallel children, time limits
 * report.c results: TAP, JUnit, summary
 * script.c one scenario file in its own process: Lua state and primitives
 * json.c  JSON text <-> Lua tables
 * prelude.lua what scenarios call: boot, cli, exec, traffic, wait_until, check
 *
 * A child tells its results to the parent as lines on a pipe (see script.c);
 * nothing is shared otherwise.
 */
#ifndef RUNNER_RUNNER_H
#define RUNNER_RUNNER_H

#include <glib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum runner_exit {
    RUNNER_PASSED = 0,
    RUNNER_FAILED = 1,
    RUNNER_NOTHING = 2,
    RUNNER_INFRASTRUCTURE = 3,
    RUNNER_TIMEOUT = 4,
    RUNNER_SKIPPED = 77
};

struct runner_result {
    char *file;               /* scenario file, relative as given */
    char *name;               /* test within it */
    enum runner_exit outcome; /* PASSED, FAILED, INFRASTRUCTURE, TIMEOUT, SKIPPED */
    double seconds;
    char *message;            /* why, or NULL */
};

struct runner_options {
    const char *tap;          /* file, "-", or NULL */
    const char *junit;
    const char *artifacts;    /* directory for logs and captures, made when missing */
    uint64_t seed;
    unsigned jobs;
    bool verbose;
};

/* The verb; argv[0] is "test". Returns an enum runner_exit. */
int front_test(int argc, char **argv);

/* In the child: run one file, write result lines to results_fd; returns the exit status. */
int runner_script(const char *file, const char *directory, uint64_t seed, int results_fd);

/* JSON primitives of the Lua state: vc.json_decode(text), vc.json_encode(value). */
int runner_json_decode(lua_State *lua);
int runner_json_encode(lua_State *lua);

/* Results (struct runner_result, in order) to where options say, and the summary to stdout. */
bool runner_report(const GPtrArray *results, const struct runner_options *options, GError **error);
void runner_result_free(struct runner_result *result);

extern const char runner_prelude[]; /* generated from prelude.lua */

#endif
