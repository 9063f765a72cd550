/*
 * own - RPCs that mgd answers itself: commits, processes.
 */
#include <dirent.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "re/mgd/mgd.h"
#include "re/mgd/store.h"

static xmlDoc *document(const char *name, xmlNode **ret_top)
{
    xmlDoc *doc = xmlNewDoc(BAD_CAST "1.0");

    *ret_top = xmlNewNode(NULL, BAD_CAST name);
    xmlDocSetRootElement(doc, *ret_top);
    return doc;
}

static void leaf(xmlNode *parent, const char *name, const char *text)
{
    xmlNewTextChild(parent, NULL, BAD_CAST name, BAD_CAST text);
}

static void number(xmlNode *parent, const char *name, gint64 value)
{
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, value);

    leaf(parent, name, text);
}

static xmlDoc *commits(const struct bus_rpc_call *call, GError **error, void *data)
{
    const struct mgd *mgd = data;
    int64_t at_ns = commit_time_ns(mgd->commit);
    xmlNode *top;
    xmlDoc *doc = document("commit-information", &top);

    (void)call;
    (void)error;
    if (at_ns) {
        xmlNode *entry = xmlNewChild(top, NULL, BAD_CAST "commit-history", NULL);
        time_t at = (time_t)(at_ns / FW_SEC);
        struct tm tm;
        char text[40];

        gmtime_r(&at, &tm);
        strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &tm);
        number(entry, "sequence-number", 0);
        leaf(entry, "user", commit_user(mgd->commit));
        leaf(entry, "client", strcmp(commit_user(mgd->commit), "boot") == 0 ? "other" : "cli");
        leaf(entry, "date-time", text);
    }
    if (commit_boot_error(mgd->commit)) {
        leaf(top, "boot-error", commit_boot_error(mgd->commit));
    }
    return doc;
}

/* Fields of /proc/PID/stat behind the name in parentheses. */
static bool process_read(const char *pid, gint64 parent, xmlNode *top)
{
    g_autofree char *path = g_strdup_printf("/proc/%s/stat", pid);
    g_autofree char *text = NULL, *state = NULL, *memory = NULL, *used = NULL;
    g_auto(GStrv) fields = NULL;
    gint64 ticks;
    xmlNode *process;
    char *name, *end;

    if (!g_file_get_contents(path, &text, NULL, NULL) || !(name = strchr(text, '(')) ||
        !(end = strrchr(name, ')'))) {
        return false;
    }
    *end = 0;
    fields = g_strsplit(end + 2, " ", -1);
    if (g_strv_length(fields) < 22 ||
        (g_ascii_strtoll(fields[1], NULL, 10) != parent &&
         g_ascii_strtoll(pid, NULL, 10) != parent)) {
        return false;
    }
    ticks = g_ascii_strtoll(fields[11], NULL, 10) + g_ascii_strtoll(fields[12], NULL, 10);
    ticks /= MAX(sysconf(_SC_CLK_TCK), 1);
    memory = g_strdup_printf("%" G_GINT64_FORMAT "K", g_ascii_strtoll(fields[21], NULL, 10) *
                                                          sysconf(_SC_PAGESIZE) / 1024);
    used = g_strdup_printf("%" G_GINT64_FORMAT ":%02" G_GINT64_FORMAT, ticks / 60, ticks % 60);
    state = g_strdup(fields[0]);
    process = xmlNewChild(top, NULL, BAD_CAST "process", NULL);
    leaf(process, "pid", pid);
    leaf(process, "state", state);
    leaf(process, "resident-size", memory);
    leaf(process, "cpu-time", used);
    leaf(process, "command", name + 1);
    return true;
}

/* The supervisor and its children. */
static xmlDoc *processes(const struct bus_rpc_call *call, GError **error, void *data)
{
    xmlNode *top;
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    xmlDoc *doc;

    (void)call;
    (void)data;
    if (!proc) {
        fw_fail_errno(error, "/proc");
        return NULL;
    }
    doc = document("system-process-information", &top);
    while ((entry = readdir(proc))) {
        if (g_ascii_isdigit(entry->d_name[0])) {
            process_read(entry->d_name, getppid(), top);
        }
    }
    closedir(proc);
    return doc;
}

void own_rpcs_add(struct mgd *mgd)
{
    rpc_own_add(mgd->rpc, "get-commit-information", commits, mgd);
    rpc_own_add(mgd->rpc, "get-system-process-information", processes, mgd);
}
