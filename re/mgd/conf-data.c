/*
 * conf-data - see conf-data.h.
 */
#include "re/mgd/conf-data.h"

#include <string.h>

#include "re/mgd/command.h"
#include "re/mgd/render.h"

static struct conf_node *above(const struct conf_node *node, struct conf_node *root)
{
    struct conf_node *to;

    if (!node->parent) {
        return root;
    }
    to = conf_add(above(node->parent, root), node->kind, node->name, node->value);
    to->inactive = node->inactive;
    return to;
}

struct conf_node *conf_data_part(const GPtrArray *nodes)
{
    struct conf_node *root = conf_new();

    for (unsigned i = 0; i < nodes->len; i++) {
        const struct conf_node *node = nodes->pdata[i];

        if (!node->parent) {
            conf_free(root);
            return conf_copy(node);
        }
        conf_adopt(above(node->parent, root), conf_copy(node));
    }
    return root;
}

/* ------------------------------------------------------------------ XML */

static xmlNode *add_xml(const struct schema_node *s, const struct conf_node *node, xmlNode *parent)
{
    bool leaf = node->kind == CONF_LEAF || node->kind == CONF_LEAF_LIST;
    xmlNode *x = xmlNewTextChild(parent, NULL, BAD_CAST node->name,
                                 leaf ? BAD_CAST node->value : NULL);

    if (node->inactive) {
        xmlSetProp(x, BAD_CAST "inactive", BAD_CAST "inactive");
    }
    if (node->kind == CONF_LIST) {
        xmlNewTextChild(x, NULL, BAD_CAST schema_key(s), BAD_CAST node->value);
    }
    return x;
}

static void below_xml(const struct schema_node *s, const struct conf_node *node, xmlNode *parent)
{
    for (const struct conf_node *n = node->first; n; n = n->next) {
        const struct schema_node *child = schema_child(s, n->name);

        if (child) {
            below_xml(child, n, add_xml(child, n, parent));
        }
    }
}

xmlDoc *conf_data_xml(const struct schema *schema, const struct conf_node *root)
{
    xmlDoc *doc = xmlNewDoc(BAD_CAST "1.0");
    xmlNode *top = xmlNewNode(NULL, BAD_CAST "configuration");

    xmlDocSetRootElement(doc, top);
    below_xml(schema_root(schema), root, top);
    return doc;
}

/* ------------------------------------------------------------------ JSON */

static void write_json(const struct schema_node *s, const struct conf_node *node, unsigned depth,
                       GString *out);

static void value_json(const struct schema_node *s, const struct conf_node *node, GString *out)
{
    if (!node->value) {
        g_string_append(out, "[null]");
    } else if (schema_is_number(s)) {
        g_string_append(out, node->value);
    } else {
        render_json_text(node->value, out);
    }
}

static bool is_first(const struct conf_node *node)
{
    for (const struct conf_node *n = node->previous; n; n = n->previous) {
        if (strcmp(n->name, node->name) == 0) {
            return false;
        }
    }
    return true;
}

static void array_json(const struct schema_node *s, const struct conf_node *first, unsigned depth,
                       GString *out)
{
    bool more = false;

    g_string_append(out, "[\n");
    for (const struct conf_node *n = first; n; n = n->next) {
        if (strcmp(n->name, first->name) == 0) {
            g_string_append_printf(out, "%s%*s", more ? ",\n" : "", (int)(depth + 1) * 4, "");
            if (n->kind == CONF_LIST) {
                write_json(s, n, depth + 1, out);
            } else {
                value_json(s, n, out);
            }
            more = true;
        }
    }
    g_string_append_printf(out, "\n%*s]", (int)depth * 4, "");
}

static void write_json(const struct schema_node *s, const struct conf_node *node, unsigned depth,
                       GString *out)
{
    bool more = false;

    g_string_append(out, "{");
    if (node->kind == CONF_LIST) {
        g_string_append_printf(out, "\n%*s\"%s\" : ", (int)(depth + 1) * 4, "", schema_key(s));
        value_json(s, node, out);
        more = true;
    }
    if (node->inactive) {
        g_string_append_printf(out, "%s\n%*s\"@\" : {\"inactive\" : true}", more ? "," : "",
                               (int)(depth + 1) * 4, "");
        more = true;
    }
    for (const struct conf_node *n = node->first; n; n = n->next) {
        const struct schema_node *child = schema_child(s, n->name);

        if (!child || !is_first(n)) {
            continue;
        }
        g_string_append_printf(out, "%s\n%*s\"%s\" : ", more ? "," : "", (int)(depth + 1) * 4, "",
                               n->name);
        if (n->kind == CONF_LIST || n->kind == CONF_LEAF_LIST) {
            array_json(child, n, depth + 1, out);
        } else if (n->kind == CONF_LEAF) {
            value_json(child, n, out);
        } else {
            write_json(child, n, depth + 1, out);
        }
        more = true;
    }
    g_string_append_printf(out, "\n%*s}", (int)depth * 4, "");
}

void conf_data_json(const struct schema *schema, const struct conf_node *root, GString *out)
{
    g_string_append(out, "{\n    \"configuration\" : ");
    write_json(schema_root(schema), root, 1, out);
    g_string_append(out, "\n}\n");
}

/* ------------------------------------------------------------------ completion */

static void values(const struct schema_node *s, const struct conf_node *conf, const char *last,
                   GPtrArray *choices)
{
    const char *word = "", *help = "";
    unsigned n = schema_words(s, 0, &word, &help);

    for (unsigned i = 0; i < n; i++) {
        schema_words(s, i, &word, &help);
        if (g_str_has_prefix(word, last)) {
            command_choices_add(choices, word, help, false);
        }
    }
    for (const struct conf_node *c = conf ? conf->first : NULL; c && s->kind == CONF_LIST;
         c = c->next) {
        if (strcmp(c->name, s->name) == 0 && g_str_has_prefix(c->value, last) && n == 0) {
            command_choices_add(choices, c->value, s->help, false);
        }
    }
    if (n == 0) {
        g_autofree char *permitted = schema_permitted(s);
        g_autofree char *place = g_strdup_printf("<%s>", s->elided ? "name" : s->name);

        command_choices_add(choices, place, permitted, true);
    }
}

static void statements(const struct schema_node *s, const struct conf_node *conf, const char *last,
                       GPtrArray *choices)
{
    for (unsigned i = 0; i < s->children->len; i++) {
        const struct schema_node *child = s->children->pdata[i];

        if (child->elided) {
            values(child, conf, last, choices);
        } else if (g_str_has_prefix(child->name, last)) {
            command_choices_add(choices, child->name, child->help, false);
        }
    }
}

void conf_data_choices(const struct schema *schema, const struct conf_node *conf,
                       const GPtrArray *words, unsigned from, const char *last,
                       GPtrArray *choices)
{
    const struct schema_node *s = schema_root(schema);

    for (unsigned i = from; i < words->len; i++) {
        const struct schema_node *child = schema_child(s, words->pdata[i]);
        const char *value = NULL;
        bool elided = !child || child->elided;

        child = elided ? schema_elided(s) : child;
        if (!child) {
            return;
        }
        if (elided) {
            value = words->pdata[i];
        } else if (child->value) {
            if (i + 1 == words->len) { /* the value is being typed */
                values(child, conf, last, choices);
                return;
            }
            value = words->pdata[++i];
        }
        if (child->kind == CONF_LEAF || child->kind == CONF_LEAF_LIST) {
            continue; /* more statements at the same level */
        }
        conf = conf ? conf_get(conf, child->name, value) : NULL;
        s = child;
    }
    statements(s, conf, last, choices);
    if (!*last) {
        command_choices_add(choices, "<[Enter]>", "Execute this command", true);
    }
}
