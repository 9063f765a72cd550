/*
 * syntax - forms of values that the YANG module names with vc:syntax.
 *
 * One table: name, text for messages, check. Pure; any thread.
 */
#ifndef MGD_SYNTAX_H
#define MGD_SYNTAX_H

#include <stdbool.h>

struct mgd_syntax {
    const char *name;
    const char *permitted; /* "an IPv4 address" */
    bool (*check)(const char *value);
};

/* NULL: no such row. */
const struct mgd_syntax *mgd_syntax_find(const char *name);

#endif
