/*
 * Templates against tests/golden/show: NAME.xml in, NAME.txt out; the XML and JSON forms.
 *
 * The files are in the program (embed.awk). With MGD_GOLDEN_DIR set, what comes out is written
 * there, for a look at a changed layout.
 */
#include <criterion/criterion.h>
#include <libxml/parser.h>

#include "re/mgd/render.h"
#include "re/mgd/text.h"

extern const struct mgd_text mgd_golden_texts[];

static const char *golden(const char *name, const char *suffix)
{
    g_autofree char *file = g_strconcat(name, suffix, NULL);

    for (const struct mgd_text *t = mgd_golden_texts; t->name; t++) {
        if (strcmp(t->name, file) == 0) {
            return t->text;
        }
    }
    return NULL;
}

static xmlDoc *parse(const char *text)
{
    xmlDoc *doc = xmlReadMemory(text, (int)strlen(text), "t.xml", NULL, XML_PARSE_NOBLANKS);

    cr_assert_not_null(doc);
    return doc;
}

Test(render, every_template_has_its_golden_text)
{
    for (const struct mgd_text *t = mgd_show_texts; t->name; t++) {
        g_autofree char *name = g_strndup(t->name, strlen(t->name) - strlen(".tmpl"));
        const char *xml = golden(name, ".xml"), *expected = golden(name, ".txt");
        const char *directory = g_getenv("MGD_GOLDEN_DIR");
        g_autoptr(GString) text = g_string_new(NULL);
        xmlDoc *doc;

        cr_assert(xml && expected, "%s has no golden files", name);
        doc = parse(xml);
        render(t->text, xmlDocGetRootElement(doc), text);
        if (directory) {
            g_autofree char *path = g_strdup_printf("%s/%s.txt", directory, name);

            g_file_set_contents(path, text->str, -1, NULL);
        }
        cr_assert_str_eq(text->str, expected, "%s gives:\n%s", name, text->str);
        xmlFreeDoc(doc);
    }
}

static void gives(const char *template, const char *xml, const char *expected)
{
    xmlDoc *doc = parse(xml);
    g_autoptr(GString) text = g_string_new(NULL);

    render(template, xmlDocGetRootElement(doc), text);
    cr_assert_str_eq(text->str, expected, "%s", text->str);
    xmlFreeDoc(doc);
}

Test(render, fields_and_blocks)
{
    gives("{a:4}|{b:>4}|{c|none}|{{x}\n", "<r><a>1</a><b>2</b></r>", "1   |   2|none|{x}\n");
    gives("{a}{@@6}{#a} {e/@k}\n", "<r><a>1</a><a>2</a><e k=\"v\"/></r>", "1     2 v\n");
    gives("% each a\n% if x = 1\none\\\n% else\nother\\\n% end\n {../t}\n% end\n",
          "<r><t>T</t><a><x>1</x></a><a><x>2</x></a></r>", "one T\nother T\n");
    gives("% if not a\nnone\n% end\n% each a\nsome\n% end\n", "<r/>", "none\n");
    gives("% each a\n% each b\n{.}{../../s}\n% end\n% end\n",
          "<r><s>!</s><a><b>1</b><b>2</b></a><a/></r>", "1!\n2!\n");
    gives("% if n > 9\nbig\n% else\nsmall\n% end\n", "<r><n>10</n></r>", "big\n");
}

Test(render, xml_and_json)
{
    xmlDoc *doc = parse("<r k=\"v\"><a>1</a><b><c>x&amp;\"y</c></b><a>2</a><f/></r>");
    g_autoptr(GString) xml = g_string_new(NULL), json = g_string_new(NULL);

    render_xml(xmlDocGetRootElement(doc), xml);
    cr_assert_str_eq(xml->str,
                     "<rpc-reply xmlns:junos=\"http://xml.juniper.net/junos/24.4R1/junos\">\n"
                     "    <r k=\"v\">\n        <a>1</a>\n        <b>\n"
                     "            <c>x&amp;&quot;y</c>\n        </b>\n        <a>2</a>\n"
                     "        <f/>\n    </r>\n    <cli>\n        <banner></banner>\n    </cli>\n"
                     "</rpc-reply>\n");
    render_json(xmlDocGetRootElement(doc), json);
    g_strdelimit(json->str, "\n", ' ');
    for (char *two; (two = strstr(json->str, "  "));) {
        memmove(two, two + 1, strlen(two));
    }
    cr_assert_str_eq(json->str, "{ \"r\" : [ { \"attributes\" : {\"k\" : \"v\"}, \"a\" : [ { "
                                "\"data\" : \"1\" }, { \"data\" : \"2\" } ], \"b\" : [ { \"c\" : [ "
                                "{ \"data\" : \"x&\\\"y\" } ] } ], \"f\" : [ { \"data\" : null } ] "
                                "} ] } ");
    xmlFreeDoc(doc);
}
