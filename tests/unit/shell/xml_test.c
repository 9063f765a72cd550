/*
 * The writer of operational XML: structure, escaping, attributes; arguments of RPCs.
 */
#include <criterion/criterion.h>

#include "re/shell/shell.h"

Test(xml, structure)
{
    struct re_xml *xml = re_xml_new();

    re_xml_open(xml, "fpc-information");
    re_xml_attribute(xml, "style", "a\"b");
    re_xml_open(xml, "fpc");
    re_xml_leaf(xml, "slot", "%d", 3);
    re_xml_flag(xml, "detail");
    re_xml_close(xml);
    re_xml_close(xml);
    cr_assert_str_eq(re_xml_text(xml), "<fpc-information style=\"a&quot;b\">\n"
                                       "  <fpc>\n"
                                       "    <slot>3</slot>\n"
                                       "    <detail/>\n"
                                       "  </fpc>\n"
                                       "</fpc-information>\n");
    re_xml_free(xml);
}

Test(xml, text_is_escaped)
{
    struct re_xml *xml = re_xml_new();

    re_xml_leaf(xml, "t", "%s", "</t><x a=\"1\">&\x01");
    cr_assert_str_eq(re_xml_text(xml), "<t>&lt;/t&gt;&lt;x a=&quot;1&quot;&gt;&amp;?</t>\n");
    re_xml_free(xml);
    xml = re_xml_new();
    re_xml_leaf(xml, "t", "%s", "a\xff" "b");
    cr_assert(g_utf8_validate(re_xml_text(xml), -1, NULL));
    re_xml_free(xml);
}

Test(xml, arguments)
{
    struct bus_rpc_call *call = g_new0(struct bus_rpc_call, 1);

    call->n_arguments = 2;
    g_strlcpy(call->arguments[0].name, "slot", sizeof call->arguments[0].name);
    g_strlcpy(call->arguments[0].value, "4", sizeof call->arguments[0].value);
    g_strlcpy(call->arguments[1].name, "detail", sizeof call->arguments[1].name);
    cr_assert_str_eq(re_rpc_argument(call, "slot"), "4");
    cr_assert_str_eq(re_rpc_argument(call, "detail"), "");
    cr_assert_null(re_rpc_argument(call, "terse"));
    g_free(call);
}
