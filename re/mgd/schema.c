/*
 * schema - loading the YANG module and building the light tree; see schema.h.
 */
#include "re/mgd/schema.h"

#include <libyang/libyang.h>

#include "firmware/core/error.h"
#include "re/mgd/syntax.h"
#include "re/mgd/text.h"

#define MODULE "vchassis-junos"

struct schema {
    struct ly_ctx *context;
    struct schema_node *root;
};

static const char *text_find(const char *name)
{
    g_autofree char *file = g_strconcat(name, ".yang", NULL);

    for (const struct mgd_text *t = mgd_yang_texts; t->name; t++) {
        if (strcmp(t->name, file) == 0) {
            return t->text;
        }
    }
    return NULL;
}

/* libyang asks for the submodules. */
static LY_ERR import(const char *module, const char *module_revision, const char *submodule,
                     const char *submodule_revision, void *data, LYS_INFORMAT *ret_format,
                     const char **ret_text, ly_module_imp_data_free_clb *ret_free)
{
    const char *text = text_find(submodule ? submodule : module);

    (void)module_revision;
    (void)submodule_revision;
    (void)data;
    if (!text) {
        return LY_ENOTFOUND;
    }
    *ret_format = LYS_IN_YANG;
    *ret_text = text;
    *ret_free = NULL;
    return LY_SUCCESS;
}

static void node_free(gpointer data)
{
    struct schema_node *node = data;

    g_ptr_array_unref(node->children);
    g_free(node);
}

static struct schema_node *node_new(struct schema_node *parent)
{
    struct schema_node *node = g_new0(struct schema_node, 1);

    node->parent = parent;
    node->children = g_ptr_array_new_with_free_func(node_free);
    return node;
}

static void extensions_read(struct schema_node *node, const struct lysc_node *from)
{
    LY_ARRAY_COUNT_TYPE i;

    LY_ARRAY_FOR(from->exts, i) {
        const char *name = from->exts[i].def->name, *argument = from->exts[i].argument;

        if (strcmp(name, "elided") == 0) {
            node->elided = true;
        } else if (strcmp(name, "grouped") == 0) {
            node->grouped = true;
        } else if (strcmp(name, "joined") == 0) {
            node->joined = true;
        } else if (strcmp(name, "single-line") == 0) {
            node->single_line = true;
        } else if (strcmp(name, "secret") == 0) {
            node->secret = true;
        } else if (strcmp(name, "refers") == 0) {
            node->refers = argument;
        } else if (strcmp(name, "syntax") == 0) {
            node->syntax = mgd_syntax_find(argument);
            g_assert(node->syntax);
        }
    }
}

/* The choice a node is directly in, for exclusion. */
static void choice_read(struct schema_node *node, const struct lysc_node *from)
{
    const struct lysc_node *up = from->parent;

    if (up && up->nodetype == LYS_CASE) {
        node->branch = up;
        node->choice = up->parent;
        node->choice_mandatory = up->parent->flags & LYS_MAND_TRUE;
    }
}

static void children_read(struct schema_node *node, const struct lysc_node *parent,
                          const struct lysc_module *module)
{
    const struct lysc_node *n = NULL;

    while ((n = lys_getnext(n, parent, module, 0))) {
        struct schema_node *child;

        if (lysc_is_key(n)) {
            continue;
        }
        child = node_new(node);
        child->name = n->name;
        child->help = n->dsc ? n->dsc : "";
        child->yang = n;
        extensions_read(child, n);
        choice_read(child, n);
        switch (n->nodetype) {
        case LYS_CONTAINER:
            child->kind = CONF_CONTAINER;
            child->presence = n->flags & LYS_PRESENCE;
            break;
        case LYS_LIST:
            child->kind = CONF_LIST;
            child->value = lysc_node_child(n);
            extensions_read(child, child->value);
            break;
        case LYS_LEAFLIST:
            child->kind = CONF_LEAF_LIST;
            child->mandatory = ((const struct lysc_node_leaflist *)n)->min > 0;
            child->value = n;
            break;
        default:
            child->kind = CONF_LEAF;
            child->mandatory = n->flags & LYS_MAND_TRUE;
            child->flag = ((const struct lysc_node_leaf *)n)->type->basetype == LY_TYPE_EMPTY;
            child->value = child->flag ? NULL : n;
            if (((const struct lysc_node_leaf *)n)->dflt) {
                child->standard = lyd_value_get_canonical(
                    n->module->ctx, ((const struct lysc_node_leaf *)n)->dflt);
            }
            break;
        }
        g_ptr_array_add(node->children, child);
        if (child->kind == CONF_CONTAINER || child->kind == CONF_LIST) {
            children_read(child, n, NULL);
        }
    }
}

struct schema *schema_new(GError **error)
{
    struct schema *schema = g_new0(struct schema, 1);
    struct lys_module *module = NULL;

    ly_log_options(LY_LOSTORE);
    if (ly_ctx_new(NULL, LY_CTX_NO_YANGLIBRARY | LY_CTX_DISABLE_SEARCHDIRS, &schema->context) !=
        LY_SUCCESS) {
        g_free(schema);
        fw_fail(error, FW_ERROR_SYSTEM, "libyang cannot start");
        return NULL;
    }
    ly_ctx_set_module_imp_clb(schema->context, import, NULL);
    if (lys_parse_mem(schema->context, text_find(MODULE), LYS_IN_YANG, &module) != LY_SUCCESS) {
        fw_fail(error, FW_ERROR_INVALID, "the configuration schema does not load: %s (%s)",
                ly_errmsg(schema->context), ly_errpath(schema->context));
        schema_free(schema);
        return NULL;
    }
    schema->root = node_new(NULL);
    children_read(schema->root, NULL, module->compiled);
    return schema;
}

void schema_free(struct schema *schema)
{
    if (!schema) {
        return;
    }
    if (schema->root) {
        node_free(schema->root);
    }
    ly_ctx_destroy(schema->context);
    g_free(schema);
}

struct ly_ctx *schema_context(const struct schema *schema)
{
    return schema->context;
}

const struct schema_node *schema_root(const struct schema *schema)
{
    return schema->root;
}

const struct schema_node *schema_child(const struct schema_node *node, const char *name)
{
    for (unsigned i = 0; i < node->children->len; i++) {
        const struct schema_node *child = node->children->pdata[i];

        if (strcmp(child->name, name) == 0) {
            return child;
        }
    }
    return NULL;
}

const struct schema_node *schema_elided(const struct schema_node *node)
{
    for (unsigned i = 0; i < node->children->len; i++) {
        const struct schema_node *child = node->children->pdata[i];

        if (child->elided) {
            return child;
        }
    }
    return NULL;
}

const struct schema_node *schema_of(const struct schema *schema, const struct conf_node *conf)
{
    const struct schema_node *up;

    if (!conf->parent) {
        return schema->root;
    }
    up = schema_of(schema, conf->parent);
    return up ? schema_child(up, conf->name) : NULL;
}

/* ------------------------------------------------------------------ values */

static const struct lysc_type *type_of(const struct schema_node *node)
{
    if (!node->value) {
        return NULL;
    }
    return node->value->nodetype == LYS_LEAFLIST
               ? ((const struct lysc_node_leaflist *)node->value)->type
               : ((const struct lysc_node_leaf *)node->value)->type;
}

bool schema_check(const struct schema *schema, const struct schema_node *node, const char *value)
{
    bool fits;

    if (!node->value) {
        return false;
    }
    fits = lyd_value_validate(schema->context, node->value, value, strlen(value), NULL, NULL,
                              NULL) == LY_SUCCESS;
    ly_err_clean(schema->context, NULL);
    return fits && (!node->syntax || node->syntax->check(value));
}

static void append_range(GString *text, const struct lysc_range *range, bool is_signed)
{
    LY_ARRAY_COUNT_TYPE i;

    LY_ARRAY_FOR(range->parts, i) {
        if (text->len) {
            g_string_append(text, ", ");
        }
        if (is_signed) {
            g_string_append_printf(text, "%" G_GINT64_FORMAT "..%" G_GINT64_FORMAT,
                                   range->parts[i].min_64, range->parts[i].max_64);
        } else {
            g_string_append_printf(text, "%" G_GUINT64_FORMAT "..%" G_GUINT64_FORMAT,
                                   range->parts[i].min_u64, range->parts[i].max_u64);
        }
    }
}

static void append_string(GString *text, const struct lysc_type_str *type)
{
    LY_ARRAY_COUNT_TYPE i;

    LY_ARRAY_FOR(type->patterns, i) {
        if (type->patterns[i]->emsg) {
            g_string_append(text, type->patterns[i]->emsg);
            return;
        }
    }
    if (type->length && LY_ARRAY_COUNT(type->length->parts)) {
        g_string_append_printf(text, "%" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT " characters",
                               type->length->parts[0].min_u64, type->length->parts[0].max_u64);
    } else {
        g_string_append(text, "a text");
    }
}

static void append_permitted(GString *text, const struct lysc_type *type)
{
    static const struct {
        LY_DATA_TYPE type;
        const char *range;
    } whole[] = {{LY_TYPE_UINT8, "0..255"}, {LY_TYPE_UINT16, "0..65535"},
                 {LY_TYPE_UINT32, "0..4294967295"}};
    const struct lysc_type_enum *enumeration = (const struct lysc_type_enum *)type;
    const struct lysc_type_num *number = (const struct lysc_type_num *)type;
    const struct lysc_type_union *either = (const struct lysc_type_union *)type;
    LY_ARRAY_COUNT_TYPE i;

    switch (type->basetype) {
    case LY_TYPE_ENUM:
        LY_ARRAY_FOR(enumeration->enums, i) {
            g_string_append_printf(text, "%s%s", text->len ? ", " : "",
                                   enumeration->enums[i].name);
        }
        break;
    case LY_TYPE_UNION:
        LY_ARRAY_FOR(either->types, i) {
            append_permitted(text, either->types[i]);
        }
        break;
    case LY_TYPE_STRING:
        append_string(text, (const struct lysc_type_str *)type);
        break;
    default:
        if (number->range) {
            append_range(text, number->range,
                         type->basetype == LY_TYPE_INT8 || type->basetype == LY_TYPE_INT16 ||
                             type->basetype == LY_TYPE_INT32 || type->basetype == LY_TYPE_INT64);
            break;
        }
        for (i = 0; i < G_N_ELEMENTS(whole); i++) {
            if (whole[i].type == type->basetype) {
                g_string_append_printf(text, "%s%s", text->len ? ", " : "", whole[i].range);
            }
        }
        break;
    }
}

char *schema_permitted(const struct schema_node *node)
{
    const struct lysc_type *type = type_of(node);
    GString *text = g_string_new(NULL);

    if (node->syntax) {
        g_string_append(text, node->syntax->permitted);
    } else if (type) {
        append_permitted(text, type);
    }
    return g_string_free(text, FALSE);
}

unsigned schema_words(const struct schema_node *node, unsigned i, const char **ret_word,
                      const char **ret_help)
{
    const struct lysc_type *type = type_of(node);
    const struct lysc_type_enum *enumeration;
    unsigned n;

    if (type && type->basetype == LY_TYPE_UNION) {
        const struct lysc_type_union *either = (const struct lysc_type_union *)type;

        type = LY_ARRAY_COUNT(either->types) ? either->types[0] : NULL;
    }
    if (!type || type->basetype != LY_TYPE_ENUM) {
        return 0;
    }
    enumeration = (const struct lysc_type_enum *)type;
    n = (unsigned)LY_ARRAY_COUNT(enumeration->enums);
    if (i < n) {
        *ret_word = enumeration->enums[i].name;
        *ret_help = enumeration->enums[i].dsc ? enumeration->enums[i].dsc : "";
    }
    return n;
}

const char *schema_key(const struct schema_node *list)
{
    return list->value->name;
}

bool schema_is_number(const struct schema_node *node)
{
    const struct lysc_type *type = type_of(node);

    return type && (type->basetype == LY_TYPE_UINT8 || type->basetype == LY_TYPE_UINT16 ||
                    type->basetype == LY_TYPE_UINT32 || type->basetype == LY_TYPE_UINT64);
}
