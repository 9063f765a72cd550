/*
 * curly-write - a tree as curly text or set lines; see curly.h.
 */
#include "re/mgd/curly.h"

struct writer {
    const struct curly_style *style;
    GString *out;
    unsigned indent;
};

static void append_value(const struct writer *w, const struct conf_node *node)
{
    const char *value = node->value;
    bool plain = *value && !node->secret;

    if (node->secret && !w->style->secrets) {
        g_string_append(w->out, "/* SECRET-DATA */");
        return;
    }
    for (const char *p = value; *p; p++) {
        if (!g_ascii_isgraph(*p) || strchr("{}[];\"#\\", *p)) {
            plain = false;
        }
    }
    if (plain && !strstr(value, "/*") && strcmp(value, "inactive:") != 0) {
        g_string_append(w->out, value);
        return;
    }
    g_string_append_c(w->out, '"');
    for (const char *p = value; *p; p++) {
        if (*p == '"' || *p == '\\') {
            g_string_append_c(w->out, '\\');
        }
        if (*p == '\n') {
            g_string_append(w->out, "\\n");
        } else {
            g_string_append_c(w->out, *p);
        }
    }
    g_string_append_c(w->out, '"');
}

/* `name value` as far as both are written. */
static void append_head(const struct writer *w, const struct schema_node *s,
                        const struct conf_node *node)
{
    bool keyword = !s->elided;

    if (keyword) {
        g_string_append(w->out, s->name);
    }
    if (node->value) {
        if (keyword) {
            g_string_append_c(w->out, ' ');
        }
        append_value(w, node);
    }
}

/* ------------------------------------------------------------------ blocks */

static void write_block(struct writer *w, const struct schema_node *s,
                        const struct conf_node *node, const char *before);

static void begin(struct writer *w, const struct conf_node *node, const char *before)
{
    if (node->comment) {
        g_string_append_printf(w->out, "%*s/* %s */\n", (int)w->indent * 4, "", node->comment);
    }
    g_string_append_printf(w->out, "%*s%s%s", (int)w->indent * 4, "",
                           node->inactive ? "inactive: " : "", before);
}

/* Behind the head of a container or list entry: `;` or the block. */
static void write_body(struct writer *w, const struct schema_node *s, const struct conf_node *node)
{
    if (!node->first) {
        g_string_append(w->out, ";\n");
        return;
    }
    g_string_append(w->out, " {\n");
    w->indent++;
    write_block(w, s, node, "");
    w->indent--;
    g_string_append_printf(w->out, "%*s}\n", (int)w->indent * 4, "");
}

/* Other nodes of the same name at this level; only the first of them writes for all. */
static bool is_first(const struct conf_node *node)
{
    for (const struct conf_node *n = node->previous; n; n = n->previous) {
        if (strcmp(n->name, node->name) == 0) {
            return false;
        }
    }
    return true;
}

static void write_group(struct writer *w, const struct schema_node *s,
                        const struct conf_node *first)
{
    g_string_append_printf(w->out, "%*s%s {\n", (int)w->indent * 4, "", s->name);
    w->indent++;
    for (const struct conf_node *n = first; n; n = n->next) {
        if (strcmp(n->name, first->name) == 0) {
            begin(w, n, "");
            append_value(w, n);
            write_body(w, s, n);
        }
    }
    w->indent--;
    g_string_append_printf(w->out, "%*s}\n", (int)w->indent * 4, "");
}

static bool several(const struct conf_node *first, bool *ret_plain)
{
    bool more = false;

    *ret_plain = true;
    for (const struct conf_node *n = first; n; n = n->next) {
        if (strcmp(n->name, first->name) == 0) {
            more |= n != first;
            *ret_plain &= !n->inactive && !n->comment;
        }
    }
    return more;
}

static void write_leaf_list(struct writer *w, const struct schema_node *s,
                            const struct conf_node *first, const char *before)
{
    bool plain;

    if (several(first, &plain) && plain) {
        begin(w, first, before);
        g_string_append_printf(w->out, "%s [ ", s->name);
        for (const struct conf_node *n = first; n; n = n->next) {
            if (strcmp(n->name, first->name) == 0) {
                append_value(w, n);
                g_string_append_c(w->out, ' ');
            }
        }
        g_string_append(w->out, "];\n");
        return;
    }
    for (const struct conf_node *n = first; n; n = n->next) {
        if (strcmp(n->name, first->name) == 0) {
            begin(w, n, before);
            append_head(w, s, n);
            g_string_append(w->out, ";\n");
        }
    }
}

/* Written on the lines of what is below: `family inet { }`, `route P next-hop A;`. */
static bool is_flattened(const struct schema_node *s, const struct conf_node *node)
{
    if (!node->first || node->inactive || node->comment) {
        return false;
    }
    return s->joined || (s->single_line && node->first == node->last &&
                         (node->first->kind == CONF_LEAF || node->first->kind == CONF_LEAF_LIST));
}

static void write_node(struct writer *w, const struct schema_node *s, const struct conf_node *node,
                       const char *before)
{
    struct writer head;

    if (s->grouped || node->kind == CONF_LEAF_LIST) {
        if (is_first(node)) {
            if (s->grouped) {
                write_group(w, s, node);
            } else {
                write_leaf_list(w, s, node, before);
            }
        }
        return;
    }
    if (is_flattened(s, node)) {
        head = (struct writer){w->style, g_string_new(before), 0};
        append_head(&head, s, node);
        g_string_append_c(head.out, ' ');
        write_block(w, s, node, head.out->str);
        g_string_free(head.out, TRUE);
        return;
    }
    begin(w, node, before);
    append_head(w, s, node);
    if (node->kind == CONF_LEAF) {
        g_string_append(w->out, node->secret ? "; ## SECRET-DATA\n" : ";\n");
    } else {
        write_body(w, s, node);
    }
}

static void write_block(struct writer *w, const struct schema_node *s,
                        const struct conf_node *node, const char *before)
{
    for (const struct conf_node *n = node->first; n; n = n->next) {
        const struct schema_node *child = schema_child(s, n->name);

        if (child && !n->is_default) {
            write_node(w, child, n, before);
        }
    }
}

/* ------------------------------------------------------------------ set lines */

static void write_lines(struct writer *w, const struct schema_node *s,
                        const struct conf_node *node, GString *path)
{
    for (const struct conf_node *n = node->first; n; n = n->next) {
        const struct schema_node *child = schema_child(s, n->name);
        struct writer head = {w->style, path, 0};
        gsize keep = path->len;

        if (!child || n->is_default) {
            continue;
        }
        g_string_append_c(path, ' ');
        append_head(&head, child, n);
        if (n->first) {
            write_lines(w, child, n, path);
        } else {
            g_string_append_printf(w->out, "set%s\n", path->str);
        }
        if (n->inactive) {
            g_string_append_printf(w->out, "deactivate%s\n", path->str);
        }
        g_string_truncate(path, keep);
    }
}

static void path_of(struct writer *w, const struct schema *schema, const struct conf_node *node,
                    GString *path)
{
    struct writer head = {w->style, path, 0};

    if (node->parent) {
        path_of(w, schema, node->parent, path);
        g_string_append_c(path, ' ');
        append_head(&head, schema_of(schema, node), node);
    }
}

void curly_write(const struct schema *schema, const struct conf_node *node,
                 const struct curly_style *style, GString *out)
{
    struct writer w = {style, out, 0};
    const struct schema_node *s = schema_of(schema, node);

    if (!s) {
        return;
    }
    if (style->set) {
        g_autoptr(GString) path = g_string_new(NULL);

        path_of(&w, schema, node, path);
        if (node->first || !node->parent) {
            write_lines(&w, s, node, path);
        } else {
            g_string_append_printf(out, "set%s\n", path->str);
        }
    } else if (node->kind == CONF_LEAF || node->kind == CONF_LEAF_LIST) {
        append_head(&w, s, node);
        g_string_append(out, ";\n");
    } else {
        write_block(&w, s, node, "");
    }
}

void curly_write_entry(const struct schema *schema, const struct conf_node *node,
                       const struct curly_style *style, GString *out)
{
    struct writer w = {style, out, 0};
    const struct schema_node *s = schema_of(schema, node);

    if (s && node->parent) {
        begin(&w, node, "");
        append_head(&w, s, node);
        write_body(&w, s, node);
    }
}
