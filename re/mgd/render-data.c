/*
 * render-data - operational XML as XML text and as JSON; see render.h.
 *
 * JSON: every element is an array of objects under its name; a leaf is
 * [{"data" : "value"}]; attributes stand under "attributes".
 */
#include <string.h>

#include "re/mgd/render.h"

#define INDENT_XML 4

static bool is_element(const xmlNode *node)
{
    return node->type == XML_ELEMENT_NODE;
}

static const xmlNode *first_element(const xmlNode *node)
{
    while (node && !is_element(node)) {
        node = node->next;
    }
    return node;
}

static char *content(const xmlNode *node)
{
    xmlChar *text = xmlNodeGetContent(node);
    char *copy = g_strdup(text ? (const char *)text : "");

    xmlFree(text);
    return copy;
}

/* ------------------------------------------------------------------ XML */

static void write_xml(const xmlNode *node, unsigned depth, GString *out)
{
    const xmlNode *child = first_element(node->children);
    g_autofree char *text = child ? NULL : content(node);
    g_autofree char *escaped = text ? g_markup_escape_text(text, -1) : NULL;

    g_string_append_printf(out, "%*s<%s", (int)depth * INDENT_XML, "", node->name);
    for (const xmlAttr *a = node->properties; a; a = a->next) {
        xmlChar *value = xmlGetProp(node, a->name);
        g_autofree char *safe = g_markup_escape_text((const char *)value, -1);

        g_string_append_printf(out, " %s%s%s=\"%s\"", a->ns ? (const char *)a->ns->prefix : "",
                               a->ns ? ":" : "", a->name, safe);
        xmlFree(value);
    }
    if (!child && !*text) {
        g_string_append(out, "/>\n");
        return;
    }
    if (!child) {
        g_string_append_printf(out, ">%s</%s>\n", escaped, node->name);
        return;
    }
    g_string_append(out, ">\n");
    for (; child; child = first_element(child->next)) {
        write_xml(child, depth + 1, out);
    }
    g_string_append_printf(out, "%*s</%s>\n", (int)depth * INDENT_XML, "", node->name);
}

void render_xml(const xmlNode *root, GString *out)
{
    g_string_append(out, "<rpc-reply xmlns:junos=\"http://xml.juniper.net/junos/24.4R1/junos\">\n");
    write_xml(root, 1, out);
    g_string_append(out, "    <cli>\n        <banner></banner>\n    </cli>\n</rpc-reply>\n");
}

/* ------------------------------------------------------------------ JSON */

void render_json_text(const char *text, GString *out)
{
    g_string_append_c(out, '"');
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '"' || *p == '\\') {
            g_string_append_printf(out, "\\%c", *p);
        } else if (*p < 0x20) {
            g_string_append_printf(out, "\\u%04x", *p);
        } else {
            g_string_append_c(out, (char)*p);
        }
    }
    g_string_append_c(out, '"');
}

static void indent(unsigned depth, GString *out)
{
    g_string_append_printf(out, "%*s", (int)depth * 4, "");
}

static void write_members(const xmlNode *node, unsigned depth, GString *out);

/* The object of one element: its attributes, and its members or its data. */
static void write_object(const xmlNode *node, unsigned depth, GString *out)
{
    bool more = false;

    indent(depth, out);
    g_string_append(out, "{\n");
    if (node->properties) {
        indent(depth + 1, out);
        g_string_append(out, "\"attributes\" : {");
        for (const xmlAttr *a = node->properties; a; a = a->next) {
            xmlChar *value = xmlGetProp(node, a->name);

            g_string_append_printf(out, "%s\"%s%s%s\" : ", a == node->properties ? "" : ", ",
                                   a->ns ? (const char *)a->ns->prefix : "", a->ns ? ":" : "",
                                   a->name);
            render_json_text((const char *)value, out);
            xmlFree(value);
        }
        g_string_append_c(out, '}');
        more = true;
    }
    if (first_element(node->children)) {
        g_string_append(out, more ? ",\n" : "");
        write_members(node, depth + 1, out);
    } else {
        g_autofree char *text = content(node);

        if (*text || !more) {
            g_string_append(out, more ? ",\n" : "");
            indent(depth + 1, out);
            g_string_append(out, "\"data\" : ");
            if (*text) {
                render_json_text(text, out);
            } else {
                g_string_append(out, "null");
            }
        }
        g_string_append_c(out, '\n');
    }
    indent(depth, out);
    g_string_append_c(out, '}');
}

static bool seen_before(const xmlNode *node)
{
    for (const xmlNode *p = node->prev; p; p = p->prev) {
        if (is_element(p) && xmlStrEqual(p->name, node->name)) {
            return true;
        }
    }
    return false;
}

static void write_array(const xmlNode *first, unsigned depth, GString *out)
{
    bool more = false;

    indent(depth, out);
    render_json_text((const char *)first->name, out);
    g_string_append(out, " : [\n");
    for (const xmlNode *n = first; n; n = first_element(n->next)) {
        if (xmlStrEqual(n->name, first->name)) {
            g_string_append(out, more ? ",\n" : "");
            write_object(n, depth, out);
            more = true;
        }
    }
    g_string_append_c(out, '\n');
    indent(depth, out);
    g_string_append_c(out, ']');
}

static void write_members(const xmlNode *node, unsigned depth, GString *out)
{
    bool more = false;

    for (const xmlNode *n = first_element(node->children); n; n = first_element(n->next)) {
        if (!seen_before(n)) {
            g_string_append(out, more ? ",\n" : "");
            write_array(n, depth, out);
            more = true;
        }
    }
    g_string_append_c(out, '\n');
}

void render_json(const xmlNode *root, GString *out)
{
    g_string_append(out, "{\n");
    write_array(root, 1, out);
    g_string_append(out, "\n}\n");
}
