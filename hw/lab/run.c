/*
 * run - commands in lab hosts and in the nodes' network namespaces.
 *
 * exec: the answer comes when the command ends; the event EXEC tells its pid to
 * the asking client at once, and the command ends when that client leaves.
 * spawn: answered at once with the pid; `wait` tells the end. Commands share
 * everything with labd but the network: files, pids, mounts.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "hw/lab/child.h"
#include "hw/lab/labd.h"

#define ENDED_KEPT 256 /* statuses of ended background commands kept for `wait` */

static const struct {
    const char *name;
    int number;
} signals[] = {{"HUP", SIGHUP}, {"INT", SIGINT}, {"QUIT", SIGQUIT}, {"KILL", SIGKILL},
               {"USR1", SIGUSR1}, {"USR2", SIGUSR2}, {"TERM", SIGTERM}, {"CONT", SIGCONT},
               {"STOP", SIGSTOP}};

static void command_free(struct labd_command *command)
{
    g_ptr_array_unref(command->waiting);
    g_free(command->where);
    g_free(command->name);
    g_free(command);
}

static JsonNode *status_node(int status)
{
    JsonBuilder *b = labd_object();

    labd_number(b, "status", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    labd_number(b, "signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    return labd_object_end(b);
}

/* The statuses of ended background commands, oldest forgotten. */
struct ended {
    pid_t pid;
    int status;
};
static struct ended ended[ENDED_KEPT];
static unsigned n_ended;

static void on_end(pid_t pid, int status, void *data)
{
    struct labd_command *command = data;
    struct labd *labd = command->labd;
    bool told = command->waiting->len > 0;

    while (command->waiting->len) {
        server_return(g_ptr_array_steal_index(command->waiting, 0), status_node(status));
    }
    if (command->background) {
        JsonBuilder *b = labd_object();

        if (!told) {
            ended[n_ended++ % ENDED_KEPT] = (struct ended){pid, status};
        }
        labd_text(b, "where", command->where);
        labd_text(b, "name", command->name);
        labd_number(b, "pid", pid);
        labd_number(b, "status", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        server_event(labd->server, "COMMAND_END", labd_object_end(b));
    }
    g_hash_table_remove(labd->commands, GINT_TO_POINTER(pid));
    command_free(command);
}

/* Strings of an array member; NULL when it is not one. Free only the array. */
static const char **strings_of(JsonObject *args, const char *name)
{
    JsonArray *array;
    const char **list;
    guint count;

    if (!json_object_has_member(args, name) ||
        !JSON_NODE_HOLDS_ARRAY(json_object_get_member(args, name))) {
        return NULL;
    }
    array = json_object_get_array_member(args, name);
    count = json_array_get_length(array);
    list = g_new0(const char *, count + 1);
    for (guint n = 0; n < count; n++) {
        JsonNode *item = json_array_get_element(array, n);

        list[n] = JSON_NODE_HOLDS_VALUE(item) ? json_node_get_string(item) : NULL;
        if (!list[n]) {
            g_free(list);
            return NULL;
        }
    }
    return list;
}

/* Output of a background command without descriptors of its own: RUN/NAME.log. */
static int log_open(struct labd *labd, const char *name, char **ret_path)
{
    g_autofree char *leaf = g_strdup_printf("%s.log", name);

    *ret_path = g_build_filename(labd->run, leaf, NULL);
    return open(*ret_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void started(struct labd *labd, struct server_request *request, pid_t pid,
                    struct labd_command *command, const char *log)
{
    JsonBuilder *b = labd_object();

    command->pid = pid;
    command->since_ns = fw_clock_ns();
    g_hash_table_insert(labd->commands, GINT_TO_POINTER(pid), command);
    labd_number(b, "pid", pid);
    if (!command->background) {
        command->client = request->client;
        g_ptr_array_add(command->waiting, request);
        server_tell(request->client, "EXEC", labd_object_end(b));
        return;
    }
    labd_text(b, "log", log);
    server_return(request, labd_object_end(b));
}

void labd_run_exec(struct labd *labd, struct server_request *request, JsonObject *args,
                   bool background)
{
    const char *where = json_object_get_string_member_with_default(args, "where", "");
    g_autofree const char **argv = strings_of(args, "argv");
    g_autofree const char **env = strings_of(args, "env");
    g_autofree char *log = NULL;
    g_autoptr(GError) error = NULL;
    struct labd_command *command;
    struct child_spec spec = {.argv = argv, .env = env, .n_fds = 3};
    int log_fd = -1;
    pid_t pid;

    spec.directory = json_object_get_string_member_with_default(args, "directory", "/");
    spec.terminal = json_object_get_boolean_member_with_default(args, "terminal", FALSE);
    spec.netns = labd_netns_of(labd, where);
    if (spec.netns < 0) {
        server_error(request, "'%s' is no host or node of this lab that runs commands", where);
        return;
    }
    if (!argv || !argv[0]) {
        server_error(request, "argv is missing; give the command and its arguments as strings");
        return;
    }
    for (unsigned n = 0; n < 3; n++) {
        spec.fds[n] = n < request->n_fds ? request->fds[n] : -1;
    }
    command = g_new0(struct labd_command, 1);
    command->labd = labd;
    command->where = g_strdup(where);
    command->background = background;
    command->name = g_path_get_basename(
        json_object_get_string_member_with_default(args, "name", argv[0]));
    command->waiting = g_ptr_array_new();
    if (background && request->n_fds == 0) {
        g_autofree char *name = g_strdup_printf("%s-%s", where, command->name);

        log_fd = log_open(labd, name, &log);
        spec.fds[1] = spec.fds[2] = log_fd;
    }
    pid = child_start(&spec, on_end, command, &error);
    if (log_fd >= 0) {
        close(log_fd);
    }
    for (unsigned n = 0; n < request->n_fds; n++) {
        close(request->fds[n]);
        request->fds[n] = -1;
    }
    if (pid < 0) {
        server_error(request, "%s: %s", where, error->message);
        command_free(command);
        return;
    }
    started(labd, request, pid, command, log);
}

static pid_t pid_of(JsonObject *args)
{
    return (pid_t)json_object_get_int_member_with_default(args, "pid", 0);
}

void labd_run_wait(struct labd *labd, struct server_request *request, JsonObject *args)
{
    pid_t pid = pid_of(args);
    struct labd_command *command = g_hash_table_lookup(labd->commands, GINT_TO_POINTER(pid));

    if (command) {
        g_ptr_array_add(command->waiting, request);
        return;
    }
    for (unsigned n = 0; n < ENDED_KEPT; n++) {
        if (pid > 0 && ended[n].pid == pid) {
            ended[n].pid = 0;
            server_return(request, status_node(ended[n].status));
            return;
        }
    }
    server_error(request, "no background command has pid %d", (int)pid);
}

static int signal_of(JsonObject *args)
{
    JsonNode *node = json_object_get_member(args, "signal");
    const char *text;

    if (!node) {
        return SIGTERM;
    }
    if (JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_INT64) {
        return (int)json_node_get_int(node);
    }
    text = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_string(node) : NULL;
    for (unsigned n = 0; text && n < G_N_ELEMENTS(signals); n++) {
        if (strcmp(text, signals[n].name) == 0 ||
            (g_str_has_prefix(text, "SIG") && strcmp(text + 3, signals[n].name) == 0)) {
            return signals[n].number;
        }
    }
    return -1;
}

void labd_run_kill(struct labd *labd, struct server_request *request, JsonObject *args)
{
    pid_t pid = pid_of(args);
    int number = signal_of(args);
    struct labd_command *command = g_hash_table_lookup(labd->commands, GINT_TO_POINTER(pid));

    if (pid <= 1) {
        server_error(request, "kill needs the pid of a process of the lab, larger than 1");
    } else if (number < 0 || number >= NSIG) {
        server_error(request, "unknown signal; give its name (TERM, KILL) or number");
    } else if (kill(command ? -pid : pid, number) != 0) {
        server_error(request, "pid %d: %s", (int)pid, g_strerror(errno));
    } else {
        server_return(request, NULL);
    }
}

void labd_run_client_gone(struct labd *labd, struct server_client *client)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, labd->commands);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct labd_command *command = value;

        if (command->client == client) {
            command->client = NULL;
            kill(-command->pid, SIGHUP);
            kill(-command->pid, SIGTERM);
        }
    }
}
