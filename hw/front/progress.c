/*
 * progress - what a boot looks like on the terminal, from labd's events.
 *
 * Into a file: one line per change of a card: time since the command began,
 * node, position, card, and the stage or state reached. On a terminal: a line
 * when a card is online, goes offline or has a fault, and below them one line
 * that is written over, with what every other card does now. Any event with a
 * slot and a stage or state counts, so that new kinds of boards show without a
 * change here.
 */
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "firmware/core/clock.h"
#include "hw/front/front.h"

#define REASON_RESET_THRESHOLD 72 /* the box gave this card up */

struct progress {
    bool quiet, json;
    bool live;       /* a terminal: the last line is written over */
    bool live_shown; /* it is there now */
    bool up, online, ended;
    char *failure;
    int64_t started_ns;
    GHashTable *shown;  /* "node/slot" -> last text shown */
    GPtrArray *waiting; /* struct waiting: cards between seated and online, in order of coming */
};

struct waiting {
    char *node, *where, *stage;
};

static void waiting_free(void *item)
{
    struct waiting *w = item;

    g_free(w->node);
    g_free(w->where);
    g_free(w->stage);
    g_free(w);
}

struct progress *progress_new(bool quiet, bool json)
{
    struct progress *progress = g_new0(struct progress, 1);

    progress->quiet = quiet;
    progress->json = json;
    progress->live = !quiet && !json && isatty(STDOUT_FILENO);
    progress->started_ns = fw_clock_ns();
    progress->shown = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    progress->waiting = g_ptr_array_new_with_free_func(waiting_free);
    return progress;
}

static void live_clear(struct progress *progress)
{
    if (progress->live_shown) {
        fputs("\r\033[K", stdout);
        fflush(stdout);
        progress->live_shown = false;
    }
}

void progress_free(struct progress *progress)
{
    live_clear(progress);
    g_ptr_array_unref(progress->waiting);
    g_hash_table_destroy(progress->shown);
    g_free(progress->failure);
    g_free(progress);
}

bool progress_up(const struct progress *progress)
{
    return progress->up;
}

bool progress_online(const struct progress *progress)
{
    return progress->online;
}

bool progress_ended(const struct progress *progress)
{
    return progress->ended;
}

const char *progress_failure(const struct progress *progress)
{
    return progress->failure;
}

static char *position_text(int64_t slot)
{
    if (slot >= 0xf0) {
        return g_strdup_printf("RE %d", (int)slot - 0xf0);
    }
    return slot >= 0xe0 ? g_strdup_printf("CB %d", (int)slot - 0xe0)
                        : g_strdup_printf("FPC %d", (int)slot);
}

static double elapsed_s(const struct progress *progress)
{
    return (double)(fw_clock_ns() - progress->started_ns) / FW_SEC;
}

static void show(struct progress *progress, const char *node, const char *where, const char *card,
                 const char *text)
{
    g_autofree char *key = g_strdup_printf("%s/%s", node, where);
    const char *last = g_hash_table_lookup(progress->shown, key);

    if (progress->quiet || progress->json || !*text || (last && strcmp(last, text) == 0)) {
        return;
    }
    g_hash_table_insert(progress->shown, g_steal_pointer(&key), g_strdup(text));
    live_clear(progress);
    printf("%8.2f s  %-10s %-6s %-8s %s\n", elapsed_s(progress), node, where, card, text);
}

/* The line that is written over: every card that is not there yet, cut to the terminal's width. */
static void live_draw(struct progress *progress)
{
    g_autoptr(GString) line = g_string_new(NULL);
    struct winsize size;
    const char *node = "";

    live_clear(progress);
    if (!progress->live || progress->online || progress->waiting->len == 0) {
        return;
    }
    g_string_append_printf(line, "%8.2f s ", elapsed_s(progress));
    for (guint n = 0; n < progress->waiting->len; n++) {
        const struct waiting *w = progress->waiting->pdata[n];

        if (strcmp(node, w->node) != 0) {
            g_string_append_printf(line, "%s %s:", *node ? ";" : "", w->node);
        } else {
            g_string_append_c(line, ',');
        }
        g_string_append_printf(line, " %s %s", w->where, w->stage);
        node = w->node;
    }
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1) {
        g_string_truncate(line, MIN(line->len, (gsize)size.ws_col - 1));
    }
    fputs(line->str, stdout);
    fflush(stdout);
    progress->live_shown = true;
}

/* stage NULL: it waits no longer. Cards of one node stay together. */
static void waiting_set(struct progress *progress, const char *node, const char *where,
                        const char *stage)
{
    struct waiting *fresh;
    guint at = 0;

    for (guint n = 0; n < progress->waiting->len; n++) {
        struct waiting *w = progress->waiting->pdata[n];

        if (strcmp(w->node, node) != 0) {
            continue;
        }
        at = n + 1;
        if (strcmp(w->where, where) == 0) {
            g_free(w->stage);
            w->stage = g_strdup(stage);
            if (!stage) {
                g_ptr_array_remove_index(progress->waiting, n);
            }
            return;
        }
    }
    if (stage) {
        fresh = g_new0(struct waiting, 1);
        *fresh = (struct waiting){g_strdup(node), g_strdup(where), g_strdup(stage)};
        g_ptr_array_insert(progress->waiting, at ? (gint)at : -1, fresh);
    }
}

/* A card's slot, as an event's data or a row of query-slots. */
static void show_slot(struct progress *progress, const char *node, JsonObject *data)
{
    const char *stage = front_json_text(data, "stage");
    const char *state = front_json_text(data, "state");
    const char *reason = front_json_text(data, "reason-text");
    bool final = strcmp(state, "online") == 0 || strcmp(state, "offline") == 0 || !*stage;
    g_autofree char *where = position_text(front_json_number(data, "slot"));
    g_autofree char *text = NULL;

    if (strcmp(state, "empty") == 0) {
        return;
    }
    waiting_set(progress, node, where, final ? NULL : stage);
    if (final && strcmp(state, "offline") == 0 && *reason) {
        text = g_strdup_printf("%s (%s)", state, reason);
    } else {
        text = g_strdup(final ? state : stage);
    }
    if (final || !progress->live) {
        show(progress, node, where, front_json_text(data, "card"), text);
    }
    live_draw(progress);
}

static void show_node(struct progress *progress, const char *node, const char *state,
                      const char *reason)
{
    g_autofree char *text = *reason ? g_strdup_printf("%s (%s)", state, reason) : g_strdup(state);

    if (!progress->live || strcmp(state, "booting") != 0) {
        show(progress, node, "", "", text);
    }
}

void progress_event(const char *name, JsonObject *data, void *user)
{
    struct progress *progress = user;
    const char *node;

    if (!data) {
        return;
    }
    if (progress->json) {
        g_autoptr(JsonNode) root = json_node_new(JSON_NODE_OBJECT);
        g_autofree char *text = NULL;
        g_autofree char *quoted = front_json_quote(name);

        json_node_set_object(root, data);
        text = json_to_string(root, FALSE);
        printf("{\"event\":%s,\"data\":%s}\n", quoted, text);
    }
    node = front_json_text(data, "node");
    if (strcmp(name, "LAB_FAILED") == 0) {
        g_free(progress->failure);
        progress->failure = g_strdup(front_json_text(data, "reason"));
    } else if (strcmp(name, "LAB_UP") == 0) {
        progress->up = true;
    } else if (strcmp(name, "LAB_ONLINE") == 0) {
        progress->up = progress->online = true;
        live_clear(progress);
    } else if (strcmp(name, "LAB_ENDING") == 0) {
        progress->ended = true;
    } else if (strcmp(name, "NODE_STATE") == 0) {
        const char *state = front_json_text(data, "state");
        const char *reason = front_json_text(data, "reason");

        show_node(progress, node, state, reason);
        if (strcmp(state, "off") == 0 && !progress->online && !progress->failure) {
            progress->failure = g_strdup_printf("node %s went off while it booted: %s", node,
                                                reason);
        }
    } else if (strcmp(name, "DAEMON_STATE") == 0) {
        if (front_json_number(data, "restarts") > 0) {
            show(progress, node, front_json_text(data, "daemon"), "",
                 front_json_text(data, "state"));
        }
    } else if (strcmp(name, "FABRIC_FAULT") == 0) {
        show(progress, node, front_json_text(data, "name"), front_json_text(data, "card"),
             front_json_text(data, "reason-text"));
    } else if (json_object_has_member(data, "slot")) {
        if (!progress->online && !progress->failure &&
            front_json_number(data, "reason") == REASON_RESET_THRESHOLD) {
            progress->failure = g_strdup_printf(
                "%s (%s) of node %s does not come online: %s; vchassis log shows more",
                front_json_text(data, "name"), front_json_text(data, "card"), node,
                front_json_text(data, "reason-text"));
        }
        show_slot(progress, node, data);
    }
}

/* The rows of a query-slots answer: an array, or an object with `slots`. */
static JsonArray *rows_of(JsonNode *answer)
{
    if (answer && JSON_NODE_HOLDS_ARRAY(answer)) {
        return json_node_get_array(answer);
    }
    if (answer && JSON_NODE_HOLDS_OBJECT(answer) &&
        json_object_has_member(json_node_get_object(answer), "slots")) {
        return json_object_get_array_member(json_node_get_object(answer), "slots");
    }
    return NULL;
}

void progress_catch_up(struct progress *progress, struct front_client *client)
{
    g_autoptr(JsonNode) lab = front_client_call(client, "query-lab", NULL, 0, NULL);
    JsonArray *nodes;

    if (!lab || !JSON_NODE_HOLDS_OBJECT(lab)) {
        return;
    }
    progress->up = true;
    progress->online = progress->online ||
                       strcmp(front_json_text(json_node_get_object(lab), "state"), "online") == 0;
    nodes = json_object_get_array_member(json_node_get_object(lab), "nodes");
    for (guint n = 0; nodes && n < json_array_get_length(nodes); n++) {
        JsonObject *node = json_array_get_object_element(nodes, n);
        const char *name = front_json_text(node, "name");
        g_autoptr(JsonNode) slots =
            front_node_call(client, name, "query-slots", NULL, NULL, 0, NULL);
        JsonArray *rows = rows_of(slots);

        show_node(progress, name, front_json_text(node, "state"), front_json_text(node, "reason"));
        for (guint r = 0; rows && r < json_array_get_length(rows); r++) {
            show_slot(progress, name, json_array_get_object_element(rows, r));
        }
    }
}
