/*
 * validate - see validate.h.
 */
#include "re/mgd/validate.h"

#include <libyang/libyang.h>

#include "firmware/core/error.h"

/* ------------------------------------------------------------------ references */

static bool is_known(const struct conf_node *root, const struct schema_node *s, const char *value)
{
    const char *last = strrchr(s->refers, ' ');
    g_autofree char *above = g_strndup(s->refers, (gsize)(last - s->refers));

    return conf_entry(conf_find(root, above), last + 1, value) != NULL;
}

static bool check_references(const struct schema *schema, const struct conf_node *root,
                             const struct schema_node *s, const struct conf_node *conf,
                             const struct conf_node **ret_node, GError **error)
{
    for (const struct conf_node *n = conf->first; n; n = n->next) {
        const struct schema_node *child = schema_child(s, n->name);

        if (!child) {
            continue;
        }
        if (child->refers && n->value && !is_known(root, child, n->value) &&
            strcmp(n->value, "junos-host") != 0) {
            g_autofree char *path = schema_path(schema, n);

            *ret_node = n;
            return fw_fail(error, FW_ERROR_INVALID, "%s: %s is not defined; define it with %s %s",
                           path, n->value, child->refers, n->value);
        }
        if (!check_references(schema, root, child, n, ret_node, error)) {
            return false;
        }
    }
    return true;
}

/* ------------------------------------------------------------------ what must be there */

static bool choice_made(const struct schema_node *s, const struct conf_node *conf,
                        const struct schema_node *of)
{
    for (const struct conf_node *n = conf ? conf->first : NULL; n; n = n->next) {
        const struct schema_node *child = schema_child(s, n->name);

        if (child && child->choice == of->choice) {
            return true;
        }
    }
    return false;
}

static char *choice_names(const struct schema_node *s, const struct schema_node *of)
{
    GString *names = g_string_new(NULL);

    for (unsigned i = 0; i < s->children->len; i++) {
        const struct schema_node *child = s->children->pdata[i];

        if (child->choice == of->choice) {
            g_string_append_printf(names, "%s%s", names->len ? ", " : "", child->name);
        }
    }
    return g_string_free(names, FALSE);
}

/* conf: the node of s, or NULL when s is a container that is not written; above: the deepest node
 * that is. */
static bool check_mandatory(const struct schema *schema, const struct schema_node *s,
                            const struct conf_node *conf, const struct conf_node *above,
                            const struct conf_node **ret_node, GError **error)
{
    for (unsigned i = 0; i < s->children->len; i++) {
        const struct schema_node *child = s->children->pdata[i];
        const struct conf_node *there = conf_child(conf, child->name);
        g_autofree char *path = NULL, *names = NULL;

        if (child->mandatory && !there && !child->choice) {
            names = g_strdup_printf("%s is required", child->name);
        } else if (child->choice_mandatory && !choice_made(s, conf, child)) {
            g_autofree char *branches = choice_names(s, child);

            names = g_strdup_printf("one of %s is required", branches);
        }
        if (names) {
            path = schema_path(schema, above);
            *ret_node = above;
            return fw_fail(error, FW_ERROR_INVALID, "%s%s%s: %s", path, conf ? "" : " ",
                           conf ? "" : s->name, names);
        }
        if (child->kind == CONF_CONTAINER && !there && !child->presence && !child->choice &&
            !check_mandatory(schema, child, NULL, above, ret_node, error)) {
            return false;
        }
    }
    for (const struct conf_node *n = conf ? conf->first : NULL; n; n = n->next) {
        const struct schema_node *child = schema_child(s, n->name);

        if (child && (child->kind == CONF_CONTAINER || child->kind == CONF_LIST) &&
            !check_mandatory(schema, child, n, n, ret_node, error)) {
            return false;
        }
    }
    return true;
}

/* ------------------------------------------------------------------ libyang */

static bool build(const struct schema_node *s, const struct conf_node *conf,
                  struct lyd_node *parent, struct lyd_node **top)
{
    for (const struct conf_node *n = conf->first; n; n = n->next) {
        const struct schema_node *child = schema_child(s, n->name);
        const struct lys_module *module;
        struct lyd_node *made = NULL;
        LY_ERR result;

        if (!child) {
            continue;
        }
        module = child->yang->module;
        switch (child->kind) {
        case CONF_CONTAINER:
            result = lyd_new_inner(parent, module, n->name, 0, &made);
            break;
        case CONF_LIST:
            result = lyd_new_list(parent, module, n->name, 0, &made, n->value);
            break;
        default:
            result = lyd_new_term(parent, module, n->name, n->value ? n->value : "", 0, &made);
            break;
        }
        if (result != LY_SUCCESS) {
            return false;
        }
        if (!parent && lyd_insert_sibling(*top, made, top) != LY_SUCCESS) {
            lyd_free_all(made);
            return false;
        }
        if (n->first && !build(child, n, made, top)) {
            return false;
        }
    }
    return true;
}

/* `Data location "/vchassis-junos:security/ike/gateway[name='gw']/x", ...` ->
 * "security ike gateway gw x". */
static char *plain_path(const char *path)
{
    GString *text = g_string_new(NULL);

    path = strchr(path, '/') ? strchr(path, '/') : path;
    while (*path == '/') {
        size_t n;

        path++;
        if (g_str_has_prefix(path, "vchassis-junos:")) {
            path += strlen("vchassis-junos:");
        }
        n = strcspn(path, "/[\"");
        g_string_append_printf(text, "%s%.*s", text->len ? " " : "", (int)n, path);
        path += n;
        while (*path == '[') {
            const char *value = strpbrk(path, "'\"");
            const char *end = value ? strchr(value + 1, *value) : NULL;

            if (!end) {
                return g_string_free(text, FALSE);
            }
            g_string_append_printf(text, " %.*s", (int)(end - value - 1), value + 1);
            path = end + 1 + (end[1] == ']');
        }
    }
    return g_string_free(text, FALSE);
}

/* libyang's words into ours. */
static const char *reason(const struct ly_err_item *item)
{
    if (g_strcmp0(item->apptag, "too-many-elements") == 0) {
        return "there are too many of it";
    }
    return item->msg;
}

static bool explain(const struct schema *schema, const struct conf_node *root,
                    const struct conf_node **ret_node, GError **error)
{
    const struct ly_err_item *item = ly_err_first(schema_context(schema));
    g_autofree char *path = NULL, *written = NULL;

    if (!item) {
        return fw_fail(error, FW_ERROR_INVALID, "the configuration is not valid");
    }
    item = item->prev; /* the last one */
    path = plain_path(item->path ? item->path : "");
    written = schema_path_written(schema, root, path, ret_node);
    return fw_fail(error, FW_ERROR_INVALID, "%s: %s", written, reason(item));
}

bool validate(const struct schema *schema, const struct conf_node *root,
              const struct conf_node **ret_node, GError **error)
{
    const struct conf_node *fault = NULL;
    struct lyd_node *top = NULL;
    bool good;

    ret_node = ret_node ? ret_node : &fault;
    *ret_node = NULL;
    if (!check_mandatory(schema, schema_root(schema), root, root, ret_node, error) ||
        !check_references(schema, root, schema_root(schema), root, ret_node, error)) {
        return false;
    }
    good = build(schema_root(schema), root, NULL, &top) &&
           lyd_validate_all(&top, schema_context(schema), LYD_VALIDATE_NO_STATE, NULL) ==
               LY_SUCCESS;
    if (!good) {
        explain(schema, root, ret_node, error);
    }
    ly_err_clean(schema_context(schema), NULL);
    lyd_free_all(top);
    return good;
}
