/*
 * xml - the append-only writer of operational XML, see shell.h.
 *
 * Two blanks of indent a level; text is escaped, and bytes that XML 1.0 cannot carry become '?'.
 * The caller's errors (closing what is not open) are programmer errors. One thread.
 */
#include <stdarg.h>
#include <string.h>

#include "re/shell/shell.h"

struct re_xml {
    GString *text;
    GPtrArray *open; /* names, innermost last */
    bool in_tag;     /* the innermost start tag still takes attributes */
};

struct re_xml *re_xml_new(void)
{
    struct re_xml *xml = g_new0(struct re_xml, 1);

    xml->text = g_string_new(NULL);
    xml->open = g_ptr_array_new_with_free_func(g_free);
    return xml;
}

void re_xml_free(struct re_xml *xml)
{
    if (xml) {
        g_string_free(xml->text, TRUE);
        g_ptr_array_unref(xml->open);
        g_free(xml);
    }
}

static void end_tag(struct re_xml *xml)
{
    if (xml->in_tag) {
        g_string_append(xml->text, ">\n");
        xml->in_tag = false;
    }
}

static void indent(struct re_xml *xml)
{
    for (guint i = 0; i < xml->open->len; i++) {
        g_string_append(xml->text, "  ");
    }
}

static void escape(GString *out, const char *text)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);

    for (const char *p = valid; *p; p++) {
        switch (*p) {
        case '&':
            g_string_append(out, "&amp;");
            break;
        case '<':
            g_string_append(out, "&lt;");
            break;
        case '>':
            g_string_append(out, "&gt;");
            break;
        case '"':
            g_string_append(out, "&quot;");
            break;
        case '\n':
        case '\t':
            g_string_append_c(out, *p);
            break;
        default:
            g_string_append_c(out, (unsigned char)*p < 0x20 ? '?' : *p);
            break;
        }
    }
}

void re_xml_open(struct re_xml *xml, const char *element)
{
    end_tag(xml);
    indent(xml);
    g_string_append_printf(xml->text, "<%s", element);
    g_ptr_array_add(xml->open, g_strdup(element));
    xml->in_tag = true;
}

void re_xml_attribute(struct re_xml *xml, const char *name, const char *value)
{
    g_return_if_fail(xml->in_tag);
    g_string_append_printf(xml->text, " %s=\"", name);
    escape(xml->text, value);
    g_string_append_c(xml->text, '"');
}

void re_xml_close(struct re_xml *xml)
{
    g_return_if_fail(xml->open->len > 0);
    g_autofree char *name = g_strdup(xml->open->pdata[xml->open->len - 1]);

    end_tag(xml);
    g_ptr_array_set_size(xml->open, (gint)xml->open->len - 1);
    indent(xml);
    g_string_append_printf(xml->text, "</%s>\n", name);
}

void re_xml_leaf(struct re_xml *xml, const char *element, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_autofree char *value = g_strdup_vprintf(format, args);
    va_end(args);
    end_tag(xml);
    indent(xml);
    g_string_append_printf(xml->text, "<%s>", element);
    escape(xml->text, value);
    g_string_append_printf(xml->text, "</%s>\n", element);
}

void re_xml_flag(struct re_xml *xml, const char *element)
{
    end_tag(xml);
    indent(xml);
    g_string_append_printf(xml->text, "<%s/>\n", element);
}

const char *re_xml_text(const struct re_xml *xml)
{
    return xml->text->str;
}
