/*
 * front - the vchassis command; private to hw/front and the verbs linked into it.
 *
 * A verb is a function with main's signature: argv[0] is the verb's name. Exit
 * status: 0 done, 1 it did not work (one sentence on standard error), 2 wrong
 * usage; verbs with more say so in their --help. Single-threaded, blocking.
 */
#ifndef FRONT_FRONT_H
#define FRONT_FRONT_H

#include <glib.h>
#include <json-glib/json-glib.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define FRONT_OK     0
#define FRONT_FAILED 1
#define FRONT_USAGE  2

struct front_verb {
    const char *name;
    const char *arguments;
    const char *summary;
    int (*run)(int argc, char **argv);
};

/* The table, ended by a NULL name (verbs.c). */
extern const struct front_verb front_verbs[];

int front_up(int argc, char **argv);
int front_down(int argc, char **argv);
int front_wipe(int argc, char **argv);
int front_ps(int argc, char **argv);
int front_cli(int argc, char **argv);
int front_exec(int argc, char **argv);
int front_log(int argc, char **argv);
int front_capture(int argc, char **argv);
int front_link(int argc, char **argv);
int front_ctl(int argc, char **argv);
int front_demo(int argc, char **argv); /* demo.c */
int front_test(int argc, char **argv); /* tests/runner */

/* "vchassis VERB: TEXT" on standard error; returns FRONT_FAILED. */
int front_fail(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A whole number of an option, from `from` on; false (one sentence said) when it is none. */
bool front_number(const char *verb, const char *option, const char *text, uint64_t from,
                  uint64_t *ret);
/* Prints the verb's usage (to standard error, or standard output for --help). */
int front_usage(const char *text, bool asked);

/* ---- places (select.c) ---- */

/* A lab file's path from what the user wrote: an existing file, or the name of a lab that comes
 * with the program ("site-to-site"). g_free. */
char *front_lab_path(const char *name);
/* Names of the labs that come with the program, for a sentence. g_free. */
char *front_labs_text(void);
/* Directory of the programs. g_free. */
char *front_program_directory(void);
/* Names of the labs that run now (their labd answers). g_strfreev. */
char **front_running_labs(void);
/* The lab meant by --lab (NULL: the only one that runs). g_free; NULL with error. */
char *front_select_lab(const char *wanted, GError **error);

/* ---- what the keeper wrote down: RUN/lab.json (select.c) ---- */
struct front_record {
    pid_t keeper, labd; /* as the host sees them; 0 unknown */
};
struct front_record front_record_read(const char *run);

/* A pid of the lab's PID namespace as the host sees it, by NSpid of labd's descendants; 0: gone.
 * The table is made by one walk over /proc. */
struct front_pids;
struct front_pids *front_pids_new(pid_t labd);
pid_t front_pids_host(const struct front_pids *pids, int64_t lab_pid);
void front_pids_free(struct front_pids *pids);

/* Removes a directory and all below it; never follows links or crosses a mount. */
bool front_tree_remove(const char *path, GError **error);

/* ---- one connection to a JSON monitor (client.c) ---- */
struct front_client;
typedef void (*front_event_cb)(const char *name, JsonObject *data, void *user);

/* Takes fd. */
struct front_client *front_client_new(int fd);
struct front_client *front_client_connect(const char *path, GError **error);
/* labd of a running lab. */
struct front_client *front_client_lab(const char *lab, GError **error);
void front_client_free(struct front_client *client);
int front_client_fd(const struct front_client *client);
void front_client_on_event(struct front_client *client, front_event_cb callback, void *user);
/* Sends a request; its answer comes from front_client_answer by number. args: a JSON object
 * text or NULL. 0 with error. */
unsigned front_client_send(struct front_client *client, const char *command, const char *args,
                           const int *fds, unsigned n_fds, GError **error);
/* Reads what is there (waits at most timeout_ms, -1 for ever) and delivers events; false: gone. */
bool front_client_read(struct front_client *client, int timeout_ms);
/* The answer to a request when it is there: its value in *ret (json_node_unref), or *error. */
bool front_client_answer(struct front_client *client, unsigned number, JsonNode **ret,
                         GError **error);
/* Send and wait. NULL with error. timeout_ms 0: 20 s. */
JsonNode *front_client_call(struct front_client *client, const char *command, const char *args,
                            unsigned timeout_ms, GError **error);
/* A monitor command of a node, through labd. */
JsonNode *front_node_call(struct front_client *lab, const char *node, const char *command,
                          const char *args, const int *fds, unsigned n_fds, GError **error);

/* JSON text helpers. g_free. */
char *front_json_quote(const char *text);
/* Prints a node in pretty JSON and a newline. */
void front_json_print(JsonNode *node);
const char *front_json_text(JsonObject *object, const char *name);
int64_t front_json_number(JsonObject *object, const char *name);

/* ---- the keeper (keeper.c) ---- */
struct lab_file;
struct keeper;

/* Makes the run directory and starts labd in its namespaces. NULL with error; nothing is left. */
struct keeper *keeper_start(const struct lab_file *lab, const char *lab_path, GError **error);
/* The socket to labd. */
struct front_client *keeper_client(const struct keeper *keeper);
/* Readable once labd has ended. */
int keeper_pidfd(const struct keeper *keeper);
const char *keeper_run(const struct keeper *keeper);
/* Ends labd (in order when `orderly`), removes the run directory, frees. ret_log: what labd wrote
 * into its own log, when it is wanted. */
void keeper_end(struct keeper *keeper, bool orderly, char **ret_log);

/* ---- progress of a boot (progress.c) ---- */
struct progress;
struct progress *progress_new(bool quiet, bool json);
void progress_free(struct progress *progress);
/* For front_client_on_event; user is the progress. */
void progress_event(const char *name, JsonObject *data, void *user);
bool progress_up(const struct progress *progress);     /* labd said LAB_UP */
bool progress_online(const struct progress *progress); /* LAB_ONLINE */
bool progress_ended(const struct progress *progress);  /* LAB_ENDING: somebody asked for the end */
const char *progress_failure(const struct progress *progress); /* NULL, or why */
/* What happened before the client subscribed. */
void progress_catch_up(struct progress *progress, struct front_client *client);

#endif
