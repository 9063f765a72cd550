/*
 * select - which lab is meant, where things lie, and who is who in /proc.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/core/error.h"
#include "hw/front/front.h"
#include "hw/lab/labfile.h"

char *front_program_directory(void)
{
    const char *given = g_getenv("VCHASSIS_LIBEXEC");
    g_autofree char *self = NULL;

    if (given && *given) {
        return g_strdup(given);
    }
    self = g_file_read_link("/proc/self/exe", NULL);
    return self ? g_path_get_dirname(self) : g_strdup(".");
}

/* Where the labs lie that come with the program. */
static char *labs_directory(void)
{
    const char *data = g_getenv("VCHASSIS_DATA");
    g_autofree char *bin = front_program_directory();

    return data ? g_build_filename(data, "labs", NULL)
                : g_build_filename(bin, "..", "share", "vchassis", "labs", NULL);
}

char *front_lab_path(const char *name)
{
    g_autofree char *leaf = g_strdup_printf("%s.yaml", name);
    g_autofree char *directory = NULL;
    g_autofree char *path = NULL;

    if (g_file_test(name, G_FILE_TEST_IS_REGULAR) || strchr(name, '/')) {
        return g_strdup(name);
    }
    directory = labs_directory();
    path = g_build_filename(directory, leaf, NULL);
    return g_file_test(path, G_FILE_TEST_IS_REGULAR) ? g_canonicalize_filename(path, NULL)
                                                     : g_strdup(name);
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

char *front_labs_text(void)
{
    g_autofree char *directory = labs_directory();
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    GDir *dir = g_dir_open(directory, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        if (g_str_has_suffix(name, ".yaml")) {
            g_ptr_array_add(names, g_strndup(name, strlen(name) - strlen(".yaml")));
        }
    }
    if (dir) {
        g_dir_close(dir);
    }
    if (names->len == 0) {
        return g_strdup_printf("no labs (nothing in %s)", directory);
    }
    g_ptr_array_sort(names, by_name);
    g_ptr_array_add(names, NULL);
    return g_strjoinv(", ", (char **)names->pdata);
}

char **front_running_labs(void)
{
    g_autofree char *root = lab_run_root();
    GPtrArray *names = g_ptr_array_new();
    GDir *dir = g_dir_open(root, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        struct front_client *client = lab_name_valid(name) ? front_client_lab(name, NULL) : NULL;

        if (client) {
            front_client_free(client);
            g_ptr_array_add(names, g_strdup(name));
        }
    }
    if (dir) {
        g_dir_close(dir);
    }
    g_ptr_array_sort(names, by_name);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

char *front_select_lab(const char *wanted, GError **error)
{
    g_auto(GStrv) labs = NULL;
    g_autofree char *list = NULL;

    if (wanted) {
        if (!lab_name_valid(wanted)) {
            fw_fail(error, FW_ERROR_INVALID, "'%s' is no lab name; vchassis ps lists the labs",
                    wanted);
            return NULL;
        }
        return g_strdup(wanted);
    }
    labs = front_running_labs();
    if (g_strv_length(labs) == 1) {
        return g_strdup(labs[0]);
    }
    if (!labs[0]) {
        fw_fail(error, FW_ERROR_NOT_FOUND, "no lab is running; start one with vchassis up LAB");
        return NULL;
    }
    list = g_strjoinv(", ", labs);
    fw_fail(error, FW_ERROR_INVALID, "several labs are running (%s); choose one with --lab NAME",
            list);
    return NULL;
}

struct front_record front_record_read(const char *run)
{
    struct front_record record = {0};
    g_autofree char *path = g_build_filename(run, "lab.json", NULL);
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonNode *root;

    if (json_parser_load_from_file(parser, path, NULL)) {
        root = json_parser_get_root(parser);
        if (root && JSON_NODE_HOLDS_OBJECT(root)) {
            record.keeper = (pid_t)front_json_number(json_node_get_object(root), "keeper");
            record.labd = (pid_t)front_json_number(json_node_get_object(root), "labd");
        }
    }
    return record;
}

/* ---- pids ---- */

struct front_pids {
    GHashTable *hosts; /* pid in the lab -> pid of the host */
};

struct process {
    pid_t pid, parent, inner; /* inner: in the lab's PID namespace */
};

/* Reads PPid and the last but `depth` column of NSpid; false when the process is gone. */
static bool process_read(pid_t pid, unsigned depth, struct process *ret)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/status", (int)pid);
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;

    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        return false;
    }
    *ret = (struct process){.pid = pid};
    lines = g_strsplit(text, "\n", -1);
    for (unsigned n = 0; lines[n]; n++) {
        if (g_str_has_prefix(lines[n], "PPid:")) {
            ret->parent = (pid_t)strtol(lines[n] + 5, NULL, 10);
        } else if (g_str_has_prefix(lines[n], "NSpid:")) {
            g_auto(GStrv) columns = g_strsplit_set(g_strstrip(lines[n] + 6), " \t", -1);

            if (g_strv_length(columns) > depth) {
                ret->inner = (pid_t)strtol(columns[depth], NULL, 10);
            }
        }
    }
    return true;
}

/* The column of NSpid in which labd is 1. */
static unsigned namespace_depth(pid_t labd)
{
    for (unsigned depth = 1; depth < 32; depth++) {
        struct process process;

        if (process_read(labd, depth, &process) && process.inner == 1) {
            return depth;
        }
    }
    return 0;
}

struct front_pids *front_pids_new(pid_t labd)
{
    struct front_pids *pids = g_new0(struct front_pids, 1);
    unsigned depth = labd ? namespace_depth(labd) : 0;
    g_autoptr(GHashTable) members = g_hash_table_new(NULL, NULL);
    g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct process));
    DIR *dir = depth ? opendir("/proc") : NULL;
    struct dirent *entry;
    bool grew = true;

    pids->hosts = g_hash_table_new(NULL, NULL);
    while (dir && (entry = readdir(dir))) {
        struct process process;

        if (g_ascii_isdigit(entry->d_name[0]) &&
            process_read((pid_t)strtol(entry->d_name, NULL, 10), depth, &process)) {
            g_array_append_val(all, process);
        }
    }
    if (dir) {
        closedir(dir);
        g_hash_table_add(members, GINT_TO_POINTER(labd));
    }
    while (grew && all->len) { /* descendants of labd: orphans are its children, too */
        grew = false;
        for (guint n = 0; n < all->len; n++) {
            const struct process *p = &g_array_index(all, struct process, n);

            if (p->inner && !g_hash_table_contains(members, GINT_TO_POINTER(p->pid)) &&
                g_hash_table_contains(members, GINT_TO_POINTER(p->parent))) {
                g_hash_table_add(members, GINT_TO_POINTER(p->pid));
                g_hash_table_insert(pids->hosts, GINT_TO_POINTER(p->inner),
                                    GINT_TO_POINTER(p->pid));
                grew = true;
            }
        }
    }
    if (depth) {
        g_hash_table_insert(pids->hosts, GINT_TO_POINTER(1), GINT_TO_POINTER(labd));
    }
    return pids;
}

pid_t front_pids_host(const struct front_pids *pids, int64_t lab_pid)
{
    return (pid_t)GPOINTER_TO_INT(g_hash_table_lookup(pids->hosts, GINT_TO_POINTER(lab_pid)));
}

void front_pids_free(struct front_pids *pids)
{
    if (pids) {
        g_hash_table_destroy(pids->hosts);
        g_free(pids);
    }
}

/* ---- trees ---- */

static bool remove_below(int dir, dev_t device, GError **error)
{
    DIR *stream = fdopendir(dir); /* owns dir */
    struct dirent *entry;
    bool ok = true;

    if (!stream) {
        close(dir);
        return fw_fail_errno(error, "cannot read a directory");
    }
    while (ok && (entry = readdir(stream))) {
        struct stat st;

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(dirfd(stream), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        if (S_ISDIR(st.st_mode)) {
            int below = openat(dirfd(stream), entry->d_name,
                               O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

            if (st.st_dev != device || below < 0) {
                if (below >= 0) {
                    close(below);
                }
                ok = fw_fail(error, FW_ERROR_SYSTEM, "%s cannot be entered or is a mount",
                             entry->d_name);
                break;
            }
            ok = remove_below(below, device, error);
        }
        if (ok && unlinkat(dirfd(stream), entry->d_name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0)) {
            ok = fw_fail_errno(error, "cannot remove %s", entry->d_name);
        }
    }
    closedir(stream);
    return ok;
}

bool front_tree_remove(const char *path, GError **error)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;

    if (dir < 0 || fstat(dir, &st) != 0) {
        if (dir >= 0) {
            close(dir);
        }
        return fw_fail_errno(error, "%s", path);
    }
    if (!remove_below(dir, st.st_dev, error)) {
        g_prefix_error(error, "%s: ", path);
        return false;
    }
    if (rmdir(path) != 0) {
        return fw_fail_errno(error, "cannot remove %s", path);
    }
    return true;
}
