/*
 * shell - see shell.h.
 *
 * The shell owns the bus connection. It follows mgd by the router's role-state events: whenever mgd
 * comes up it registers the role's configuration subtrees and RPCs, and mgd answers with the
 * active configuration. A tree arrives in chunks into one buffer (wiped afterwards);
 * check and apply are told apart by config-begin.
 *
 * Limits: one transaction at a time; a tree of at most CONFIG_MAX bytes; RPC answers are kept until
 * their last page was fetched or ANSWERS_MAX newer ones exist.
 */
#include "re/shell/shell.h"

#include <errno.h>
#include <glib-unix.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "firmware/core/rng.h"
#include "firmware/core/secret.h"
#include "firmware/core/timer.h"
#include "re/shell/rpc.h"

#define FD_BUS      3
#define CONFIG_MAX  CONF_BYTES_MAX  /* a serialised tree; 10,000 tunnels are about 5 MiB */
#define RETRY_NS    (200 * FW_MS)   /* registration that mgd did not answer */

struct shell {
    const struct re_role *role;
    struct bus_conn *bus;
    GMainLoop *loop;
    struct fw_timer *retry;
    bool mgd_up;
    uint32_t transaction;
    enum bus_commit_phase phase;
    GByteArray *tree; /* of the transaction under way, or NULL */
    uint32_t tree_bytes;
};

static struct shell shell;

struct bus_conn *re_shell_bus(void)
{
    return shell.bus;
}

/* ---------------------------------------------------------------- registration */

static void registered(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                       const GError *error, void *data)
{
    (void)conn;
    (void)msg;
    (void)data;
    if (shell.mgd_up && (error || header->type == BUS_ERROR)) {
        fw_timer_arm(shell.retry, RETRY_NS);
    }
}

static void register_with_mgd(void *data)
{
    const struct re_role *role = shell.role;

    (void)data;
    if (!shell.mgd_up) {
        return;
    }
    if (role->rpcs) {
        g_autofree struct bus_rpc_register *m = g_new0(struct bus_rpc_register, 1);

        for (const struct re_rpc *r = role->rpcs; r->name && m->n_names < G_N_ELEMENTS(m->names);
             r++) {
            g_strlcpy(m->names[m->n_names++].path, r->name, sizeof m->names[0].path);
        }
        bus_call(shell.bus, BUS_RE(BUS_ROLE_MGD), BUS_RPC_REGISTER, m, 0, registered, NULL);
    }
    g_autofree struct bus_config_register *m = g_new0(struct bus_config_register, 1);

    for (const char *const *p = role->config_paths; p && *p && m->n_paths < G_N_ELEMENTS(m->paths);
         p++) {
        g_strlcpy(m->paths[m->n_paths++].path, *p, sizeof m->paths[0].path);
    }
    if (m->n_paths) {
        bus_call(shell.bus, BUS_RE(BUS_ROLE_MGD), BUS_CONFIG_REGISTER, m, 0, registered, NULL);
    }
}

static void role_state(const struct bus_role_state *state)
{
    if (state->address != BUS_RE(BUS_ROLE_MGD)) {
        return;
    }
    shell.mgd_up = state->up;
    if (state->up) {
        register_with_mgd(NULL);
    }
}

/* ---------------------------------------------------------------- configuration */

static void forget_tree(void)
{
    if (shell.tree) {
        fw_wipe(shell.tree->data, shell.tree->len);
        g_byte_array_unref(shell.tree);
        shell.tree = NULL;
    }
}

static void config_begin(const struct bus_header *header, const struct bus_config_begin *m)
{
    if (m->bytes > CONFIG_MAX) {
        bus_reply_error(shell.bus, header, 2, "configuration of %u bytes is over %u", m->bytes,
                        CONFIG_MAX);
        return;
    }
    forget_tree();
    shell.transaction = m->transaction;
    shell.phase = m->phase;
    shell.tree = g_byte_array_sized_new(m->bytes);
    shell.tree_bytes = m->bytes;
    bus_reply_ok(shell.bus, header);
}

static void config_chunk(const struct bus_header *header, const struct bus_config_chunk *m)
{
    if (!shell.tree || m->transaction != shell.transaction || m->offset != shell.tree->len ||
        shell.tree->len + m->data.len > shell.tree_bytes) {
        bus_reply_error(shell.bus, header, 2, "this piece of configuration does not fit here");
        return;
    }
    /* Room was made at the start, so no copy of the secrets stays behind in freed memory. */
    g_byte_array_append(shell.tree, m->data.data, m->data.len);
    bus_reply_ok(shell.bus, header);
}

static void config_end(const struct bus_header *header, const struct bus_config_end *m)
{
    g_autofree struct bus_config_verdict *verdict = g_new0(struct bus_config_verdict, 1);
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    struct conf_node *root;

    if (!shell.tree || m->transaction != shell.transaction ||
        shell.tree->len != shell.tree_bytes) {
        bus_reply_error(shell.bus, header, 2, "the configuration is not complete");
        return;
    }
    struct fw_cursor c = fw_cursor(shell.tree->data, shell.tree->len);

    root = conf_deserialise(&c);
    forget_tree();
    if (!root) {
        bus_reply_error(shell.bus, header, 2, "the configuration is malformed");
        return;
    }
    verdict->accepted = true;
    if (shell.phase == BUS_COMMIT_PHASE_CHECK) {
        if (shell.role->check && !shell.role->check(root, &path, &error, shell.role->data)) {
            verdict->accepted = false;
            g_strlcpy(verdict->path, path ? path : "", sizeof verdict->path);
            g_strlcpy(verdict->text, error ? error->message : "refused", sizeof verdict->text);
        }
    } else if (shell.role->apply) {
        shell.role->apply(root, shell.role->data);
    }
    conf_free(root);
    bus_reply(shell.bus, header, BUS_CONFIG_VERDICT, verdict);
}

/* ---------------------------------------------------------------- the bus */

static void message(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                    int *fds, unsigned n_fds, void *data)
{
    (void)fds;
    (void)n_fds;
    (void)data;
    switch (header->type) {
    case BUS_CONFIG_BEGIN:
        config_begin(header, msg);
        return;
    case BUS_CONFIG_CHUNK:
        config_chunk(header, msg);
        return;
    case BUS_CONFIG_END:
        config_end(header, msg);
        return;
    case BUS_RPC_CALL:
        if (shell.role->role != BUS_ROLE_MGD) {
            re_rpc_serve(conn, header, msg, shell.role);
            return;
        }
        break;
    case BUS_ROLE_STATE:
        role_state(msg);
        break;
    default:
        break;
    }
    if (shell.role->message) {
        shell.role->message(conn, header, msg, shell.role->data);
    } else if (header->kind == BUS_CALL) {
        bus_reply_error(conn, header, 4, "%s does not answer this call", shell.role->name);
    }
}

static void closed(struct bus_conn *conn, void *data)
{
    (void)conn;
    (void)data;
    fw_info("the bus is gone: ending");
    g_main_loop_quit(shell.loop);
}

static gboolean on_term(gpointer data)
{
    (void)data;
    g_main_loop_quit(shell.loop);
    return G_SOURCE_CONTINUE;
}

static void subscribe(void)
{
    const uint16_t *wanted = shell.role->subscriptions;
    uint16_t types[64];
    unsigned n = 0;

    types[n++] = BUS_ROLE_STATE;
    for (; wanted && *wanted && n < G_N_ELEMENTS(types) - 1; wanted++) {
        if (*wanted != BUS_ROLE_STATE) {
            types[n++] = *wanted;
        }
    }
    types[n] = 0;
    bus_subscribe(shell.bus, types);
}

int re_shell_run(const struct re_role *role, int argc, char **argv)
{
    static const struct bus_handler handler = {message, closed};
    const char *seed = g_getenv("VCHASSIS_SEED");
    const char *scale = g_getenv("VCHASSIS_MODEL_SCALE");
    const char *epoch = g_getenv("VCHASSIS_EPOCH");
    g_autoptr(GError) error = NULL;

    (void)argc;
    (void)argv;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, role->name);
    signal(SIGPIPE, SIG_IGN);
    fw_log_init(role->name);
    fw_rng_model_seed(seed ? strtoull(seed, NULL, 0) ^ (uint64_t)role->role << 32 : 0);
    fw_clock_set_model_scale(scale ? (uint32_t)strtoul(scale, NULL, 10) : 1000);
    shell.role = role;
    shell.loop = g_main_loop_new(NULL, FALSE);
    shell.retry = fw_timer_new(register_with_mgd, NULL);
    shell.bus = bus_conn_new(FD_BUS, BUS_RE(role->role), &handler, NULL);
    bus_conn_set_epoch(shell.bus, epoch ? (uint32_t)strtoul(epoch, NULL, 10) : 0);
    g_unix_signal_add(SIGTERM, on_term, NULL);
    if (role->start && !role->start(shell.bus, role->data, &error)) {
        fw_error("%s", error ? error->message : "does not start");
        return 1;
    }
    subscribe();
    g_main_loop_run(shell.loop);
    if (role->stop) {
        role->stop(role->data);
    }
    forget_tree();
    re_rpc_forget_all();
    fw_timer_free(shell.retry);
    bus_conn_free(shell.bus);
    g_main_loop_unref(shell.loop);
    return 0;
}
