/*
 * security - see security.h.
 */
#include "re/nsd/security.h"

#include <string.h>

#include "re/nsd/policy.h"

#define FIRST_POLICY_ID 4 /* the real box counts its own first */

struct security {
    struct security_out out;
    GPtrArray *zones;       /* struct zone, as configured */
    GHashTable *zone_ids;   /* name -> id */
    GHashTable *policy_ids; /* "from to name" -> id */
    GHashTable *told;       /* from << 16 | to -> struct bus_policy_state */
    bool configured;
};

struct security *security_new(const struct security_out *out)
{
    struct security *s = g_new0(struct security, 1);

    s->out = *out;
    s->zones = g_ptr_array_new();
    s->zone_ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    s->policy_ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    s->told = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
    return s;
}

void security_free(struct security *s)
{
    if (s) {
        g_ptr_array_unref(s->zones);
        g_hash_table_unref(s->zone_ids);
        g_hash_table_unref(s->policy_ids);
        g_hash_table_unref(s->told);
        g_free(s);
    }
}

const GPtrArray *security_zones(const struct security *s)
{
    return s->zones;
}

static gpointer pair_key(uint16_t from, uint16_t to)
{
    return GUINT_TO_POINTER((guint)from << 16 | to);
}

/* The id of a name: its own, or the lowest free one. */
static guint id_of(GHashTable *ids, const char *name, guint first)
{
    gpointer known = g_hash_table_lookup(ids, name);
    guint id = first;
    GHashTableIter iter;
    gpointer value;
    g_autoptr(GHashTable) taken = NULL;

    if (known) {
        return GPOINTER_TO_UINT(known);
    }
    taken = g_hash_table_new(g_direct_hash, g_direct_equal);
    g_hash_table_iter_init(&iter, ids);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        g_hash_table_add(taken, value);
    }
    while (g_hash_table_contains(taken, GUINT_TO_POINTER(id))) {
        id++;
    }
    g_hash_table_insert(ids, g_strdup(name), GUINT_TO_POINTER(id));
    return id;
}

static const char *zone_name_of(const struct security *s, uint16_t id)
{
    GHashTableIter iter;
    gpointer name, value;

    g_hash_table_iter_init(&iter, s->zone_ids);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        if (GPOINTER_TO_UINT(value) == id) {
            return name;
        }
    }
    return NULL;
}

void security_restore_zone(struct security *s, const struct bus_zone_state *state)
{
    if (!s->configured && !state->gone) {
        g_hash_table_replace(s->zone_ids, g_strdup(state->name), GUINT_TO_POINTER(state->zone));
    }
}

void security_restore_policy(struct security *s, const struct bus_policy_state *state)
{
    if (!s->configured && !state->gone) {
        g_hash_table_replace(s->told, pair_key(state->from_zone, state->to_zone),
                             g_memdup2(state, sizeof *state));
    }
}

/* Policy ids out of restored states, once all zone names are known. */
static void policy_ids_restore(struct security *s)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, s->told);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const struct bus_policy_state *state = value;
        const char *from = zone_name_of(s, state->from_zone);
        const char *to = zone_name_of(s, state->to_zone);

        for (unsigned i = 0; i < state->n_rules && from && to; i++) {
            g_hash_table_replace(s->policy_ids,
                                 g_strdup_printf("%s %s %s", from, to, state->rules[i].name),
                                 GUINT_TO_POINTER(state->rules[i].id));
        }
    }
}

bool security_check(const struct conf_node *root, char **ret_path, GError **error)
{
    g_autoptr(GPtrArray) pairs = NULL;

    if (!zone_check(root, ret_path, error)) {
        return false;
    }
    pairs = policy_compile(root, ret_path, error);
    return pairs != NULL;
}

static void zones_tell(struct security *s)
{
    GHashTableIter iter;
    gpointer name, id;

    for (unsigned i = 0; i < s->zones->len; i++) {
        const struct zone *zone = s->zones->pdata[i];
        bool known = g_hash_table_contains(s->zone_ids, zone->name);
        struct bus_zone_state state = {.zone = (uint16_t)id_of(s->zone_ids, zone->name, 1)};

        if (!known || !s->configured) {
            g_strlcpy(state.name, zone->name, sizeof state.name);
            s->out.zone(&state, s->out.data);
        }
    }
    g_hash_table_iter_init(&iter, s->zone_ids);
    while (g_hash_table_iter_next(&iter, &name, &id)) {
        struct bus_zone_state state = {.zone = (uint16_t)GPOINTER_TO_UINT(id), .gone = true};

        if (!zone_find(s->zones, name)) {
            g_strlcpy(state.name, name, sizeof state.name);
            s->out.zone(&state, s->out.data);
            g_hash_table_iter_remove(&iter);
        }
    }
}

static void policies_tell(struct security *s, const GPtrArray *pairs)
{
    GHashTable *next = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
    GHashTable *ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    GHashTableIter iter;
    gpointer value;

    for (unsigned i = 0; i < pairs->len; i++) {
        const struct policy_pair *pair = pairs->pdata[i];
        struct bus_policy_state *state = g_memdup2(pair->state, sizeof *pair->state);
        const struct bus_policy_state *told;
        gpointer key;

        state->from_zone = (uint16_t)id_of(s->zone_ids, pair->from, 1);
        state->to_zone = (uint16_t)id_of(s->zone_ids, pair->to, 1);
        for (unsigned j = 0; j < state->n_rules; j++) {
            char *name = g_strdup_printf("%s %s %s", pair->from, pair->to, state->rules[j].name);

            state->rules[j].id = id_of(s->policy_ids, name, FIRST_POLICY_ID);
            g_hash_table_insert(ids, name, GUINT_TO_POINTER(state->rules[j].id));
        }
        key = pair_key(state->from_zone, state->to_zone);
        told = g_hash_table_lookup(s->told, key);
        if (!told || memcmp(told, state, sizeof *state) != 0) {
            s->out.policy(state, s->out.data);
        }
        g_hash_table_remove(s->told, key);
        g_hash_table_insert(next, key, state);
    }
    g_hash_table_iter_init(&iter, s->told);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        struct bus_policy_state *state = value;

        state->gone = true;
        s->out.policy(state, s->out.data);
    }
    g_hash_table_unref(s->told);
    s->told = next;
    g_hash_table_unref(s->policy_ids);
    s->policy_ids = ids;
}

void security_configure(struct security *s, const struct conf_node *root)
{
    g_autoptr(GPtrArray) pairs = policy_compile(root, &(char *){NULL}, NULL);

    g_ptr_array_unref(s->zones);
    s->zones = zone_read(root);
    if (!s->configured) {
        policy_ids_restore(s);
    }
    zones_tell(s);
    if (pairs) {
        policies_tell(s, pairs);
    }
    s->configured = true;
}
