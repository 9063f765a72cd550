/*
 * Two-phase commit over a real bus: a daemon that registers gets its subtrees, may refuse, and
 * is told; the disk follows.
 */
#include <criterion/criterion.h>
#include <glib/gstdio.h>
#include <sys/socket.h>

#include "firmware/core/clock.h"
#include "re/mgd/commit.h"
#include "re/mgd/curly.h"

#define DEADLINE_NS (10 * FW_SEC)

static struct fixture {
    struct schema *schema;
    struct bus_router *router;
    struct bus_conn *mgd, *daemon;
    struct commit *commit;
    char *directory;
    GByteArray *tree;
    enum bus_commit_phase phase;
    unsigned checks, applies;
    struct conf_node *applied;
    const char *veto; /* path to refuse */
    bool ended;
    char *error;
} f;

static void daemon_message(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                           int *fds, unsigned n_fds, void *data)
{
    const struct bus_config_chunk *chunk = msg;
    struct bus_config_verdict verdict = {.accepted = true};
    struct fw_cursor c;
    struct conf_node *root;

    (void)fds;
    (void)n_fds;
    (void)data;
    switch (header->type) {
    case BUS_CONFIG_BEGIN:
        f.phase = ((const struct bus_config_begin *)msg)->phase;
        g_byte_array_set_size(f.tree, 0);
        bus_reply_ok(conn, header);
        break;
    case BUS_CONFIG_CHUNK:
        cr_assert_eq(chunk->offset, f.tree->len);
        g_byte_array_append(f.tree, chunk->data.data, chunk->data.len);
        bus_reply_ok(conn, header);
        break;
    case BUS_CONFIG_END:
        c = fw_cursor(f.tree->data, f.tree->len);
        root = conf_deserialise(&c);
        cr_assert_not_null(root);
        if (f.phase == BUS_COMMIT_PHASE_CHECK) {
            f.checks++;
            verdict.accepted = !f.veto || !conf_find(root, f.veto);
            g_strlcpy(verdict.path, f.veto ? f.veto : "", sizeof verdict.path);
            g_strlcpy(verdict.text, "not here; permitted values: none", sizeof verdict.text);
            conf_free(root);
        } else {
            f.applies++;
            conf_free(f.applied);
            f.applied = root;
        }
        bus_reply(conn, header, BUS_CONFIG_VERDICT, &verdict);
        break;
    default:
        break;
    }
}

static void mgd_message(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                        int *fds, unsigned n_fds, void *data)
{
    (void)fds;
    (void)n_fds;
    (void)data;
    if (header->type == BUS_CONFIG_REGISTER) {
        bus_reply_ok(conn, header);
        commit_register(f.commit, header->source, msg);
    } else if (header->type == BUS_ROLE_STATE) {
        commit_role(f.commit, msg);
    }
}

static void closed(struct bus_conn *conn, void *data)
{
    (void)conn;
    (void)data;
}

static struct bus_conn *connect_role(enum bus_role role, const struct bus_handler *handler)
{
    struct bus_conn *conn;
    int ends[2];

    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    bus_router_add(f.router, ends[0], BUS_RE(role), 0xffff);
    conn = bus_conn_new(ends[1], BUS_RE(role), handler, NULL);
    return conn;
}

static void setup(void)
{
    static const struct bus_handler quiet = {daemon_message, closed}, mgd = {mgd_message, closed};
    GError *error = NULL;

    f.directory = g_dir_make_tmp("commit-XXXXXX", NULL);
    f.schema = schema_new(&error);
    cr_assert_not_null(f.schema);
    f.router = bus_router_new(&quiet, NULL);
    f.mgd = connect_role(BUS_ROLE_MGD, &mgd);
    f.daemon = connect_role(BUS_ROLE_IKEMD, &quiet);
    f.commit = commit_new(f.schema, f.mgd, f.directory);
    f.tree = g_byte_array_new();
}

static void teardown(void)
{
    GDir *dir = g_dir_open(f.directory, 0, NULL);
    const char *name;

    commit_free(f.commit);
    bus_conn_free(f.mgd);
    bus_conn_free(f.daemon);
    bus_router_free(f.router);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(f.directory, name, NULL);

        g_unlink(path);
    }
    g_dir_close(dir);
    g_rmdir(f.directory);
    conf_free(f.applied);
    schema_free(f.schema);
    g_byte_array_unref(f.tree);
    g_free(f.directory);
    g_free(f.error);
}

static void until(const bool *flag, const unsigned *count, unsigned wanted)
{
    int64_t deadline = fw_clock_ns() + DEADLINE_NS;

    while (flag ? !*flag : *count < wanted) {
        cr_assert_lt(fw_clock_ns(), deadline, "nothing happened");
        if (!g_main_context_iteration(NULL, FALSE)) {
            g_thread_yield();
        }
    }
}

static void registered(struct bus_conn *conn, const struct bus_header *header, const void *msg,
                       const GError *error, void *data)
{
    (void)conn;
    (void)msg;
    (void)data;
    cr_assert(!error && header->type == BUS_OK);
}

static void register_daemon(void)
{
    struct bus_config_register *m = g_new0(struct bus_config_register, 1);
    unsigned before = f.applies;

    g_strlcpy(m->paths[m->n_paths++].path, "security ike", sizeof m->paths[0].path);
    g_strlcpy(m->paths[m->n_paths++].path, "security address-book", sizeof m->paths[0].path);
    bus_call(f.daemon, BUS_RE(BUS_ROLE_MGD), BUS_CONFIG_REGISTER, m, 0,
             registered, NULL);
    g_free(m);
    until(NULL, &f.applies, before + 1);
}

static void done(const GError *error, void *data)
{
    (void)data;
    g_free(f.error);
    f.error = error ? g_strdup(error->message) : NULL;
    f.ended = true;
}

static void run(const char *text, bool check_only)
{
    struct conf_node *root = curly_read(f.schema, "t", text, strlen(text), NULL);

    cr_assert_not_null(root);
    f.ended = false;
    commit_start(f.commit, root, check_only, "tester", done, NULL);
    conf_free(root);
    until(&f.ended, NULL, 0);
}

static const char good[] = "system { host-name a; }\n"
                           "security { ike { gateway g { address 192.0.2.1; } }\n"
                           "address-book x { address n 10.0.0.0/8; }\n"
                           "address-book y { address n 10.0.0.0/8; }\n"
                           "zones { security-zone z; } }\n";

Test(commit, a_daemon_gets_its_subtrees_with_defaults, .init = setup, .fini = teardown)
{
    const struct conf_node *gw;

    register_daemon();
    cr_assert_null(f.applied->first);
    run(good, false);
    cr_assert_null(f.error, "%s", f.error);
    cr_assert_eq(f.checks, 1);
    cr_assert_eq(f.applies, 2);
    gw = conf_find(f.applied, "security ike gateway g");
    cr_assert_str_eq(conf_leaf(gw, "version"), "v1-only");
    cr_assert(conf_child(gw, "version")->is_default);
    cr_assert_not_null(conf_find(f.applied, "security address-book x"));
    cr_assert_not_null(conf_find(f.applied, "security address-book y"));
    cr_assert_null(conf_find(f.applied, "system"), "not its business");
    cr_assert_null(conf_find(f.applied, "security zones"), "not its business");
    cr_assert_str_eq(commit_user(f.commit), "tester");
}

Test(commit, who_is_not_concerned_is_not_asked, .init = setup, .fini = teardown)
{
    register_daemon();
    run("system { host-name a; }", false);
    cr_assert_null(f.error);
    cr_assert_eq(f.checks, 0);
    cr_assert_eq(f.applies, 1);
}

Test(commit, a_veto_changes_nothing_and_names_the_line, .init = setup, .fini = teardown)
{
    g_autofree char *file = g_build_filename(f.directory, "active.conf", NULL);

    register_daemon();
    f.veto = "security ike gateway g address";
    run(good, false);
    cr_assert_str_eq(f.error, "line 2: security ike gateway g address: not here; permitted "
                              "values: none");
    cr_assert_eq(f.applies, 1);
    cr_assert_null(conf_find(commit_active(f.commit), "system"));
    cr_assert_not(g_file_test(file, G_FILE_TEST_EXISTS));
    f.veto = NULL;
    run(good, true);
    cr_assert_null(f.error);
    cr_assert_eq(f.applies, 1, "a check applied");
    cr_assert_null(conf_find(commit_active(f.commit), "system"));
    run(good, false);
    cr_assert_null(f.error);
    cr_assert(g_file_test(file, G_FILE_TEST_EXISTS));
}

Test(commit, the_schema_refuses_before_daemons_are_asked, .init = setup, .fini = teardown)
{
    register_daemon();
    run("security { ike {\n gateway g {\n ike-policy p; } } }", false);
    cr_assert_str_eq(f.error, "line 3: security ike gateway g ike-policy: p is not defined; define "
                              "it with security ike policy p");
    cr_assert_eq(f.checks, 0);
}

Test(commit, a_late_daemon_gets_the_active_configuration, .init = setup, .fini = teardown)
{
    run(good, false);
    cr_assert_null(f.error);
    register_daemon();
    cr_assert_eq(f.checks, 0);
    cr_assert_not_null(conf_find(f.applied, "security ike gateway g"));
}

Test(commit, a_daemon_that_died_is_no_veto, .init = setup, .fini = teardown)
{
    struct bus_role_state down = {.address = BUS_RE(BUS_ROLE_IKEMD)};

    register_daemon();
    commit_role(f.commit, &down);
    run(good, false);
    cr_assert_null(f.error);
    cr_assert_eq(f.checks, 0);
}

Test(commit, the_disk_is_read_at_the_next_boot, .init = setup, .fini = teardown)
{
    struct commit *again;

    run(good, false);
    again = commit_new(f.schema, f.mgd, f.directory);
    commit_boot(again, "/nonexistent");
    cr_assert_null(commit_boot_error(again));
    cr_assert(conf_equal(commit_active(again), commit_active(f.commit)));
    commit_free(again);
}

Test(commit, a_bad_file_boots_empty_and_says_so, .init = setup, .fini = teardown)
{
    g_autofree char *file = g_build_filename(f.directory, "lab.conf", NULL);

    cr_assert(g_file_set_contents(file, "system {\n host-nam x;\n}\n", -1, NULL));
    commit_boot(f.commit, file);
    cr_assert_str_eq(commit_boot_error(f.commit),
                     "lab.conf:2: syntax error: system: \"host-nam\" is no statement here; "
                     "permitted: host-name, domain-name");
    cr_assert_null(commit_active(f.commit)->first);
}
