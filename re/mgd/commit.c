/*
 * commit - see commit.h.
 *
 * The calls to one daemon (begin, chunks, end) are sent in one go; the bus keeps
 * their order, and the answer to the last one tells how it went. Because of
 * that order a transaction may be sent while an earlier one is under way.
 */
#include "re/mgd/commit.h"

#include <string.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "firmware/core/secret.h"
#include "firmware/core/timer.h"
#include "re/mgd/curly.h"
#include "re/mgd/store.h"
#include "re/mgd/validate.h"

#define BOOT_WAIT_NS (10 * FW_SEC) /* for the daemons at the first boot: they need under 1 s */
#define PHASE_MS     20000         /* a daemon's time to answer one phase */

struct daemon {
    uint16_t address;
    bool up;
    char **paths;
};

struct running {
    struct conf_node *candidate;
    struct conf_node *expanded;
    bool check_only;
    char *user;
    const char *file;    /* it was read from, or NULL */
    commit_done_cb done;
    void *data;
    enum bus_commit_phase phase;
    unsigned open;       /* daemons that have not answered this phase */
    GError *refusal;
    GPtrArray *concerned; /* struct daemon, borrowed */
};

struct commit {
    const struct schema *schema;
    struct bus_conn *bus;
    char *directory;
    struct conf_node *active;   /* as written */
    struct conf_node *expanded; /* as daemons see it */
    GPtrArray *daemons;
    struct running *running;
    GQueue waiting;             /* struct running */
    uint32_t transaction;
    struct conf_node *boot;     /* first configuration, until the daemons are there */
    struct fw_timer *boot_timer;
    char *boot_name;
    char *boot_error;
    int64_t time_ns;
    char *user;
};

static void daemon_free(gpointer data)
{
    struct daemon *d = data;

    g_strfreev(d->paths);
    g_free(d);
}

static void boot_commit(void *data);
static void boot_registered(struct commit *commit);

struct commit *commit_new(const struct schema *schema, struct bus_conn *bus, const char *directory)
{
    struct commit *commit = g_new0(struct commit, 1);

    commit->schema = schema;
    commit->bus = bus;
    commit->directory = g_strdup(directory);
    commit->active = conf_new();
    commit->expanded = conf_new();
    commit->daemons = g_ptr_array_new_with_free_func(daemon_free);
    commit->user = g_strdup("");
    commit->boot_timer = fw_timer_new(boot_commit, commit);
    g_queue_init(&commit->waiting);
    return commit;
}

static void running_free(struct running *r)
{
    conf_free(r->candidate);
    conf_free(r->expanded);
    g_clear_error(&r->refusal);
    g_ptr_array_unref(r->concerned);
    g_free(r->user);
    g_free(r);
}

void commit_free(struct commit *commit)
{
    if (!commit) {
        return;
    }
    if (commit->bus) {
        bus_cancel(commit->bus, commit);
    }
    if (commit->running) {
        running_free(commit->running);
    }
    g_queue_clear_full(&commit->waiting, (GDestroyNotify)running_free);
    conf_free(commit->active);
    conf_free(commit->expanded);
    g_ptr_array_unref(commit->daemons);
    conf_free(commit->boot);
    fw_timer_free(commit->boot_timer);
    g_free(commit->boot_name);
    g_free(commit->boot_error);
    g_free(commit->user);
    g_free(commit->directory);
    g_free(commit);
}

const struct conf_node *commit_active(const struct commit *commit)
{
    return commit->active;
}

const char *commit_boot_error(const struct commit *commit)
{
    return commit->boot_error;
}

int64_t commit_time_ns(const struct commit *commit)
{
    return commit->time_ns;
}

const char *commit_user(const struct commit *commit)
{
    return commit->user;
}

/* ------------------------------------------------------------------ to one daemon */

/* Only what the daemon registered for: keys go nowhere else. */
static struct conf_node *part(const struct conf_node *expanded, char **paths)
{
    struct conf_node *root = conf_new();

    for (; *paths; paths++) {
        const struct conf_node *from = conf_find(expanded, *paths);
        g_auto(GStrv) words = g_strsplit(*paths, " ", -1);
        struct conf_node *to = root;

        for (unsigned i = 0; from && words[i]; i++) {
            if (words[i + 1]) {
                to = conf_add(to, CONF_CONTAINER, words[i], NULL);
                continue;
            }
            for (; from; from = conf_next(from)) { /* a list: all entries */
                conf_adopt(to, conf_copy(from));
            }
        }
    }
    return root;
}

static void acknowledged(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                         const GError *error, void *data)
{
    (void)conn;
    (void)header;
    (void)msg;
    (void)error;
    (void)data; /* the answer to config-end tells */
}

static bool send_tree(struct commit *commit, const struct daemon *d,
                      const struct conf_node *expanded, enum bus_commit_phase phase,
                      bus_reply_cb answered)
{
    struct conf_node *root = part(expanded, d->paths);
    GByteArray *bytes = conf_serialise(root);
    struct bus_config_begin begin = {.transaction = ++commit->transaction, .phase = phase};
    struct bus_config_end end = {.transaction = commit->transaction};
    struct bus_config_chunk *chunk = g_new0(struct bus_config_chunk, 1);

    conf_free(root);
    if (!bytes) {
        g_free(chunk);
        return false;
    }
    begin.bytes = bytes->len;
    bus_call(commit->bus, d->address, BUS_CONFIG_BEGIN, &begin, PHASE_MS, acknowledged, commit);
    chunk->transaction = commit->transaction;
    for (uint32_t at = 0; at < bytes->len; at += chunk->data.len) {
        chunk->offset = at;
        chunk->data.len = (uint16_t)MIN(bytes->len - at, sizeof chunk->data.data);
        memcpy(chunk->data.data, bytes->data + at, chunk->data.len);
        bus_call(commit->bus, d->address, BUS_CONFIG_CHUNK, chunk, PHASE_MS, acknowledged,
                 commit);
    }
    bus_call(commit->bus, d->address, BUS_CONFIG_END, &end, PHASE_MS, answered, commit);
    fw_wipe(bytes->data, bytes->len);
    fw_wipe(chunk, sizeof *chunk);
    g_byte_array_unref(bytes);
    g_free(chunk);
    return true;
}

static struct daemon *daemon_find(struct commit *commit, uint16_t address)
{
    for (unsigned i = 0; i < commit->daemons->len; i++) {
        struct daemon *d = commit->daemons->pdata[i];

        if (d->address == address) {
            return d;
        }
    }
    return NULL;
}

static void applied_alone(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                          const GError *error, void *data)
{
    (void)conn;
    (void)msg;
    (void)data;
    if (error || header->type != BUS_CONFIG_VERDICT) {
        fw_warning("a daemon did not take the active configuration: %s",
                   error ? error->message : "it refused");
    }
}

void commit_register(struct commit *commit, uint16_t address,
                     const struct bus_config_register *message)
{
    struct daemon *d = daemon_find(commit, address);

    if (!d) {
        d = g_new0(struct daemon, 1);
        d->address = address;
        g_ptr_array_add(commit->daemons, d);
    }
    g_strfreev(d->paths);
    d->paths = g_new0(char *, message->n_paths + 1);
    for (unsigned i = 0; i < message->n_paths; i++) {
        d->paths[i] = g_strdup(message->paths[i].path);
    }
    d->up = true;
    send_tree(commit, d, commit->expanded, BUS_COMMIT_PHASE_APPLY, applied_alone);
    boot_registered(commit);
}

void commit_role(struct commit *commit, const struct bus_role_state *state)
{
    struct daemon *d = daemon_find(commit, state->address);

    if (d && !state->up) {
        d->up = false; /* it registers again when it is back */
    }
}

/* ------------------------------------------------------------------ a commit */

static void next(struct commit *commit);

static void finish(struct commit *commit, GError *error)
{
    struct running *r = commit->running;

    commit->running = NULL;
    if (r->done) {
        r->done(error, r->data);
    }
    g_clear_error(&error);
    running_free(r);
    next(commit);
}

static void take_effect(struct commit *commit)
{
    static const struct curly_style style = {.secrets = true};
    struct running *r = commit->running;
    g_autoptr(GString) text = g_string_new(NULL);
    GError *error = NULL;

    conf_free(commit->active);
    conf_free(commit->expanded);
    commit->active = g_steal_pointer(&r->candidate);
    commit->expanded = g_steal_pointer(&r->expanded);
    commit->time_ns = fw_clock_wall_ns();
    g_free(commit->user);
    commit->user = g_strdup(r->user);
    curly_write(commit->schema, commit->active, &style, text);
    if (!store_write(commit->directory, text->str, text->len, &error)) {
        g_prefix_error(&error, "the configuration is active but not saved: ");
        fw_error("%s", error->message);
    }
    fw_wipe(text->str, text->len);
    finish(commit, error);
}

static void phase_start(struct commit *commit, enum bus_commit_phase phase);

static void phase_end(struct commit *commit)
{
    struct running *r = commit->running;

    if (r->refusal) {
        finish(commit, g_steal_pointer(&r->refusal));
    } else if (r->phase == BUS_COMMIT_PHASE_APPLY) {
        take_effect(commit);
    } else if (r->check_only) {
        finish(commit, NULL);
    } else {
        phase_start(commit, BUS_COMMIT_PHASE_APPLY);
    }
}

/* Where the statement stands in the file; one that is missing there, what it would belong to. */
static void add_line(const struct running *r, const struct conf_node *node, GError **error)
{
    while (node && !node->line) {
        node = node->parent;
    }
    if (node && node->line && r->file) {
        g_prefix_error(error, "%s:%u: ", r->file, node->line);
    } else if (node && node->line) {
        g_prefix_error(error, "line %u: ", node->line);
    } else if (r->file) {
        g_prefix_error(error, "%s: ", r->file);
    }
}

static void refused(struct commit *commit, const struct bus_config_verdict *verdict)
{
    struct running *r = commit->running;
    const struct conf_node *node = NULL;
    g_autofree char *path =
        schema_path_written(commit->schema, r->expanded, verdict->path, &node);

    if (r->refusal) {
        return;
    }
    fw_fail(&r->refusal, FW_ERROR_INVALID, "%s%s%s", path, *path ? ": " : "", verdict->text);
    add_line(r, node, &r->refusal);
}

static void answered(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                     const GError *error, void *data)
{
    struct commit *commit = data;
    struct running *r = commit->running;

    (void)conn;
    if (!r || r->open == 0) {
        return;
    }
    if (!error && header->type == BUS_CONFIG_VERDICT) {
        const struct bus_config_verdict *verdict = msg;

        if (!verdict->accepted) {
            refused(commit, verdict);
        }
    } else if (!error && header->type == BUS_ERROR &&
               ((const struct bus_error *)msg)->code != 3) {
        fw_fail(&r->refusal, FW_ERROR_INVALID, "a daemon cannot take the configuration: %s",
                ((const struct bus_error *)msg)->text);
    } else {
        fw_warning("a daemon was away during the commit");
    }
    if (--r->open == 0) {
        phase_end(commit);
    }
}

static void phase_start(struct commit *commit, enum bus_commit_phase phase)
{
    struct running *r = commit->running;

    r->phase = phase;
    r->open = 1; /* nothing ends before all were sent */
    for (unsigned i = 0; i < r->concerned->len; i++) {
        const struct daemon *d = r->concerned->pdata[i];

        if (d->up) {
            r->open++;
            if (!send_tree(commit, d, r->expanded, phase, answered)) {
                r->open--;
                g_clear_error(&r->refusal);
                fw_fail(&r->refusal, FW_ERROR_INVALID, "the configuration exceeds %u bytes",
                        CONF_BYTES_MAX);
            }
        }
    }
    if (--r->open == 0) {
        phase_end(commit);
    }
}

static bool concerns(const struct commit *commit, const struct daemon *d,
                     const struct conf_node *expanded)
{
    struct conf_node *old = part(commit->expanded, d->paths), *new = part(expanded, d->paths);
    bool same = conf_equal(old, new);

    conf_free(old);
    conf_free(new);
    return !same;
}

static void begin(struct commit *commit)
{
    struct running *r = commit->running;
    const struct conf_node *node = NULL;
    GError *error = NULL;

    r->expanded = conf_copy(r->candidate);
    schema_expand(commit->schema, r->expanded);
    if (!validate(commit->schema, r->expanded, &node, &error)) {
        add_line(r, node, &error);
        finish(commit, error);
        return;
    }
    for (unsigned i = 0; i < commit->daemons->len; i++) {
        struct daemon *d = commit->daemons->pdata[i];

        if (d->up && concerns(commit, d, r->expanded)) {
            g_ptr_array_add(r->concerned, d);
        }
    }
    phase_start(commit, BUS_COMMIT_PHASE_CHECK);
}

static void next(struct commit *commit)
{
    if (!commit->running && !g_queue_is_empty(&commit->waiting)) {
        commit->running = g_queue_pop_head(&commit->waiting);
        begin(commit);
    }
}

static void enqueue(struct commit *commit, struct conf_node *candidate, const char *file,
                    bool check_only, const char *user, commit_done_cb done, void *data)
{
    struct running *r = g_new0(struct running, 1);

    r->candidate = candidate;
    r->file = file;
    r->check_only = check_only;
    r->user = g_strdup(user);
    r->done = done;
    r->data = data;
    r->concerned = g_ptr_array_new();
    g_queue_push_tail(&commit->waiting, r);
    next(commit);
}

void commit_start(struct commit *commit, const struct conf_node *candidate, bool check_only,
                  const char *user, commit_done_cb done, void *data)
{
    enqueue(commit, conf_copy(candidate), NULL, check_only, user, done, data);
}

void commit_forget(struct commit *commit, void *data)
{
    if (commit->running && commit->running->data == data) {
        commit->running->done = NULL;
    }
    for (GList *l = commit->waiting.head; l; l = l->next) {
        struct running *r = l->data;

        if (r->data == data) {
            r->done = NULL;
        }
    }
}

/* ------------------------------------------------------------------ boot */

static void boot_failed(struct commit *commit, const GError *error)
{
    g_free(commit->boot_error);
    commit->boot_error = g_strdup(error->message);
    fw_error("booting with an empty configuration: %s", error->message);
}

static void booted(const GError *error, void *data)
{
    struct commit *commit = data;

    if (error) {
        boot_failed(commit, error);
    }
}

static void boot_commit(void *data)
{
    struct commit *commit = data;

    if (commit->boot) {
        fw_timer_cancel(commit->boot_timer);
        enqueue(commit, g_steal_pointer(&commit->boot), commit->boot_name, false, "boot", booted,
                commit);
    }
}

/* The first commit waits for those who may refuse it. */
static void boot_registered(struct commit *commit)
{
    static const enum bus_role wanted[] = {BUS_ROLE_CHASSISD, BUS_ROLE_IFD, BUS_ROLE_NSD,
                                           BUS_ROLE_IKEMD};

    for (unsigned i = 0; i < G_N_ELEMENTS(wanted); i++) {
        if (!daemon_find(commit, BUS_RE(wanted[i]))) {
            return;
        }
    }
    boot_commit(commit);
}

/* The tree of the disk or of the file; NULL with *error, or without when there is neither. */
static struct conf_node *boot_read(struct commit *commit, const char *file, bool *ret_stored,
                                   GError **error)
{
    g_autoptr(GError) none = NULL;
    gsize len;
    char *text = store_read(commit->directory, 0, &len, &none);
    struct conf_node *root;

    *ret_stored = text != NULL;
    if (!text && !g_error_matches(none, FW_ERROR, FW_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&none));
        return NULL;
    }
    commit->boot_name = g_strdup("active.conf");
    if (!text) {
        if (!file || !*file) {
            return NULL;
        }
        g_free(commit->boot_name);
        commit->boot_name = g_path_get_basename(file);
        text = store_read_file(file, &len, error);
    }
    if (!text) {
        return NULL;
    }
    root = curly_read(commit->schema, commit->boot_name, text, len, error);
    fw_wipe(text, len);
    g_free(text);
    return root;
}

/* What is on the disk was accepted before: it is active at once. */
static bool boot_stored(struct commit *commit, struct conf_node *root, GError **error)
{
    struct conf_node *expanded = conf_copy(root);

    schema_expand(commit->schema, expanded);
    if (!validate(commit->schema, expanded, NULL, error)) {
        g_prefix_error(error, "%s: ", commit->boot_name);
        conf_free(expanded);
        conf_free(root);
        return false;
    }
    conf_free(commit->active);
    conf_free(commit->expanded);
    commit->active = root;
    commit->expanded = expanded;
    return true;
}

void commit_boot(struct commit *commit, const char *file)
{
    g_autoptr(GError) error = NULL;
    bool stored;
    struct conf_node *root = boot_read(commit, file, &stored, &error);

    if (root && stored) {
        boot_stored(commit, root, &error);
    } else if (root) {
        commit->boot = root;
        fw_timer_arm(commit->boot_timer, commit->bus ? BOOT_WAIT_NS : 0);
    }
    if (error) {
        boot_failed(commit, error);
    }
}
