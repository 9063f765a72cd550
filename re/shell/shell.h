/*
 * shell - what every daemon of the Routing Engine has in common.
 *
 * A daemon is a role: a name, a bus address, subscriptions, configuration
 * subtrees, RPCs and callbacks. main() calls re_shell_run with it; the shell
 * connects to the bus (fd 3, given by the supervisor), registers with mgd,
 * receives configuration in two phases, answers RPCs page by page, and ends
 * with the supervisor. Main-loop thread only.
 *
 * Environment given by the supervisor: VCHASSIS_NODE, VCHASSIS_DISK (RE disk),
 * VCHASSIS_RUN (node's run directory), VCHASSIS_SEED, VCHASSIS_MODEL_SCALE,
 * VCHASSIS_EXPORT_KEYS (0/1), VCHASSIS_EPOCH, VCHASSIS_MODEL (srx5800).
 * fd 3: bus. fd 4 and up: what the role table in re/supervisor says
 * (iked: 4 = records memfd; ifd: 4 = its fabric supervision socket).
 */
#ifndef RE_SHELL_H
#define RE_SHELL_H

#include <stdbool.h>

#include "firmware/bus/bus.h"
#include "messages.h" /* generated */
#include "re/conf/conf.h"

struct re_xml;

struct re_rpc {
    const char *name; /* get-fpc-information */
    /* Write the reply (root element included). May answer later: return false, keep the token and
     * call re_rpc_finish when done. Set *error for a refusal. */
    bool (*run)(const struct bus_rpc_call *call, struct re_xml *xml, GError **error, void *data,
                void *token);
};

struct re_role {
    const char *name;                 /* "ikemd" */
    enum bus_role role;
    const uint16_t *subscriptions;    /* event types, 0-terminated, or NULL */
    const char *const *config_paths;  /* "security ike", NULL-terminated, or NULL */
    const struct re_rpc *rpcs;        /* ended by a NULL name, or NULL */
    /* After the bus is up. */
    bool (*start)(struct bus_conn *bus, void *data, GError **error);
    /* May this configuration be? ret_path: statement at fault ("security ike gateway gw1 version").
     * Must not change anything. */
    bool (*check)(const struct conf_node *root, char **ret_path, GError **error, void *data);
    /* It is so now. Must not fail. root is only valid during the call (copy what you keep). */
    void (*apply)(const struct conf_node *root, void *data);
    /* Events and calls that are not the shell's own. */
    void (*message)(struct bus_conn *bus, const struct bus_header *header, const void *msg,
                    void *data);
    void (*stop)(void *data);         /* orderly end (SIGTERM) */
    void *data;
};

/* Runs the main loop; returns the exit status. */
int re_shell_run(const struct re_role *role, int argc, char **argv);
struct bus_conn *re_shell_bus(void);

/* ---- operational XML (re/shell/xml.c): an append-only writer, text is escaped ---- */
struct re_xml *re_xml_new(void);
void re_xml_free(struct re_xml *xml);
void re_xml_open(struct re_xml *xml, const char *element);
void re_xml_close(struct re_xml *xml);              /* the innermost open element */
void re_xml_leaf(struct re_xml *xml, const char *element, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void re_xml_flag(struct re_xml *xml, const char *element); /* <element/> */
void re_xml_attribute(struct re_xml *xml, const char *name, const char *value); /* after open */
const char *re_xml_text(const struct re_xml *xml);
/* Value of an RPC argument, "" for a flag, NULL when absent. */
const char *re_rpc_argument(const struct bus_rpc_call *call, const char *name);
/* Late answer of an RPC; takes nothing; error NULL on success. */
void re_rpc_finish(void *token, struct re_xml *xml, const GError *error);

#endif
