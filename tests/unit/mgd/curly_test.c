/*
 * Configuration text: both forms are read, written and read again; errors name
 * file, line, statement and permitted values.
 */
#include <criterion/criterion.h>

#include "re/mgd/curly.h"
#include "re/mgd/validate.h"

static struct schema *schema;
static const struct curly_style curly = {.secrets = true}, set = {.set = true, .secrets = true};

static const char sample[] = "/* the head */\n"
                             "system {\n"
                             "    host-name left;\n"
                             "}\n"
                             "interfaces {\n"
                             "    xe-1/0/0 {\n"
                             "        description \"to the \\\"inside\\\"\";\n"
                             "        unit 0 {\n"
                             "            family inet {\n"
                             "                mtu 1400;\n"
                             "                address 10.1.1.1/24;\n"
                             "            }\n"
                             "            family inet6;\n"
                             "        }\n"
                             "    }\n"
                             "    inactive: st0 {\n"
                             "        unit 0;\n"
                             "    }\n"
                             "}\n"
                             "routing-options {\n"
                             "    static {\n"
                             "        route 10.2.2.0/24 next-hop st0.0;\n"
                             "        route 10.3.0.0/16 {\n"
                             "            next-hop 10.1.1.9;\n"
                             "            preference 7;\n"
                             "        }\n"
                             "    }\n"
                             "}\n"
                             "security {\n"
                             "    ike {\n"
                             "        proposal a {\n"
                             "            dh-group group19;\n"
                             "        }\n"
                             "        proposal b;\n"
                             "        policy p {\n"
                             "            proposals [ a b ];\n"
                             "            pre-shared-key ascii-text \"not; a secret\"; "
                             "## SECRET-DATA\n"
                             "        }\n"
                             "        gateway g {\n"
                             "            ike-policy p;\n"
                             "            inactive: address 192.0.2.2;\n"
                             "            no-nat-traversal;\n"
                             "            local-identity hostname left.example;\n"
                             "        }\n"
                             "    }\n"
                             "    address-book global {\n"
                             "        address net-a 10.1.1.0/24;\n"
                             "    }\n"
                             "    zones {\n"
                             "        security-zone trust {\n"
                             "            host-inbound-traffic {\n"
                             "                system-services {\n"
                             "                    all;\n"
                             "                    ike {\n"
                             "                        except;\n"
                             "                    }\n"
                             "                }\n"
                             "            }\n"
                             "            interfaces {\n"
                             "                xe-1/0/0.0;\n"
                             "            }\n"
                             "        }\n"
                             "    }\n"
                             "    policies {\n"
                             "        from-zone trust to-zone trust {\n"
                             "            policy q {\n"
                             "                match {\n"
                             "                    source-address any;\n"
                             "                    destination-address any;\n"
                             "                    application any;\n"
                             "                }\n"
                             "                then {\n"
                             "                    permit;\n"
                             "                }\n"
                             "            }\n"
                             "        }\n"
                             "    }\n"
                             "}\n";

static const char sample_set[] =
    "set system host-name left\n"
    "set interfaces xe-1/0/0 description \"to the \\\"inside\\\"\"\n"
    "set interfaces xe-1/0/0 unit 0 family inet mtu 1400\n"
    "set interfaces xe-1/0/0 unit 0 family inet address 10.1.1.1/24\n"
    "set interfaces xe-1/0/0 unit 0 family inet6\n"
    "set interfaces st0 unit 0\n"
    "deactivate interfaces st0\n"
    "set routing-options static route 10.2.2.0/24 next-hop st0.0\n"
    "set routing-options static route 10.3.0.0/16 next-hop 10.1.1.9\n"
    "set routing-options static route 10.3.0.0/16 preference 7\n"
    "set security ike proposal a dh-group group19\n"
    "set security ike proposal b\n"
    "set security ike policy p proposals a\n"
    "set security ike policy p proposals b\n"
    "set security ike policy p pre-shared-key ascii-text \"not; a secret\"\n"
    "set security ike gateway g ike-policy p\n"
    "set security ike gateway g address 192.0.2.2\n"
    "deactivate security ike gateway g address 192.0.2.2\n"
    "set security ike gateway g no-nat-traversal\n"
    "set security ike gateway g local-identity hostname left.example\n"
    "set security address-book global address net-a 10.1.1.0/24\n"
    "set security zones security-zone trust host-inbound-traffic system-services all\n"
    "set security zones security-zone trust host-inbound-traffic system-services ike except\n"
    "set security zones security-zone trust interfaces xe-1/0/0.0\n"
    "set security policies from-zone trust to-zone trust policy q match source-address any\n"
    "set security policies from-zone trust to-zone trust policy q match destination-address any\n"
    "set security policies from-zone trust to-zone trust policy q match application any\n"
    "set security policies from-zone trust to-zone trust policy q then permit\n";

static void setup(void)
{
    schema = schema_new(NULL);
    cr_assert_not_null(schema);
}

static void teardown(void)
{
    schema_free(schema);
}

static struct conf_node *read_text(const char *text)
{
    GError *error = NULL;
    struct conf_node *root = curly_read(schema, "t", text, strlen(text), &error);

    cr_assert_not_null(root, "%s", error ? error->message : "");
    return root;
}

static void writes(const struct conf_node *node, const struct curly_style *style,
                   const char *expected)
{
    g_autoptr(GString) text = g_string_new(NULL);

    curly_write(schema, node, style, text);
    cr_assert_str_eq(text->str, expected);
}

Test(curly, text_round_trips, .init = setup, .fini = teardown)
{
    struct conf_node *root = read_text(sample), *copy = conf_copy(root);
    GError *error = NULL;

    writes(root, &curly, sample);
    writes(root, &set, sample_set);
    schema_expand(schema, copy);
    cr_assert(validate(schema, copy, NULL, &error), "%s", error ? error->message : "");
    conf_free(copy);
    conf_free(root);
}

Test(curly, set_lines_make_the_same_tree, .init = setup, .fini = teardown)
{
    struct conf_node *root = read_text(sample_set);

    writes(root, &set, sample_set);
    writes(root, &curly, sample + strlen("/* the head */\n"));
    conf_free(root);
}

Test(curly, a_part_is_written_with_its_path, .init = setup, .fini = teardown)
{
    struct conf_node *root = read_text(sample);
    const struct conf_node *p = conf_find(root, "security ike policy p");

    writes(p, &curly, "proposals [ a b ];\n"
                      "pre-shared-key ascii-text \"not; a secret\"; ## SECRET-DATA\n");
    writes(p, &(struct curly_style){.set = true},
           "set security ike policy p proposals a\n"
           "set security ike policy p proposals b\n"
           "set security ike policy p pre-shared-key ascii-text /* SECRET-DATA */\n");
    conf_free(root);
}

Test(curly, edits, .init = setup, .fini = teardown)
{
    struct conf_node *root = read_text(sample);
    GError *error = NULL;

    cr_assert(curly_edit(schema, root, "set security ike gateway g version v2-only", &error));
    cr_assert_str_eq(conf_leaf(conf_find(root, "security ike gateway g"), "version"), "v2-only");
    cr_assert(curly_edit(schema, root, "set routing-options static route 10.2.2.0/24 discard",
                         &error));
    cr_assert_not(conf_has(conf_find(root, "routing-options static route 10.2.2.0/24"),
                           "next-hop"));
    cr_assert(curly_edit(schema, root, "activate interfaces st0", &error));
    cr_assert_not_null(conf_find(root, "interfaces interface st0"));
    cr_assert(curly_edit(schema, root, "delete system host-name", &error));
    cr_assert_null(conf_find(root, "system"));
    cr_assert(curly_edit(schema, root, "delete security policies", &error));
    cr_assert_null(conf_find(root, "security policies"));
    cr_assert_not(curly_edit(schema, root, "delete security policies", &error));
    cr_assert_str_eq(error->message, "delete: statement not found");
    g_clear_error(&error);
    cr_assert_not(curly_edit(schema, root, "frob x", &error));
    g_clear_error(&error);
    conf_free(root);
}

struct wrong {
    const char *text, *message;
};

static const struct wrong wrongs[] = {
    {"security {\n ike {\n  gateway g {\n   version v3;\n",
     "t:4: security ike gateway g version: \"v3\" is not valid; permitted: v1-only, v2-only"},
    {"security { ipsec { anti-replay-window-size 8193; } }",
     "t:1: security ipsec anti-replay-window-size: \"8193\" is not valid; permitted: 64..8192"},
    {"interfaces {\n eth0 {\n }\n}",
     "t:2: interfaces: \"eth0\" is not valid; permitted: xe-FPC/PIC/PORT, ge-FPC/PIC/PORT, "
     "et-FPC/PIC/PORT, st0, lo0"},
    {"system {\n hostname x;\n}",
     "t:2: syntax error: system: \"hostname\" is no statement here; permitted: host-name, "
     "domain-name"},
    {"system { host-name; }",
     "t:1: syntax error: system host-name: a value is missing; permitted: letters, digits, "
     "hyphens, dots and underscores"},
    {"system { host-name a b; }",
     "t:1: syntax error: system: \"b\" is no statement here; permitted: host-name, domain-name"},
    {"system { host-name \"a;\n }", "t:1: syntax error: a quoted text does not end on its line"},
    {"system { host-name a }", "t:1: syntax error: ; is missing before }"},
    {"system {\n host-name a;\n", "t:3: syntax error: } is missing at the end"},
    {"}", "t:1: syntax error: } without {"},
    {"system { host-name a { } }",
     "t:1: syntax error: { after a statement that has none; write ;"},
    {"/* open", "t:1: syntax error: a comment does not end"},
    {"security { ike { policy p { pre-shared-key hexadecimal xyz; } } }",
     "t:1: security ike policy p pre-shared-key hexadecimal: \"the value\" is not valid; "
     "permitted: an even number of hexadecimal digits"},
    {"set system host-name a\nset system host-name\n",
     "t:2: syntax error: system host-name: a value is missing; permitted: letters, digits, "
     "hyphens, dots and underscores"},
};

Test(curly, errors_are_one_sentence, .init = setup, .fini = teardown)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(wrongs); i++) {
        GError *error = NULL;
        struct conf_node *root =
            curly_read(schema, "t", wrongs[i].text, strlen(wrongs[i].text), &error);

        cr_assert_null(root, "accepted: %s", wrongs[i].text);
        cr_assert_str_eq(error->message, wrongs[i].message);
        g_error_free(error);
    }
}

Test(curly, zero_bytes_are_refused, .init = setup, .fini = teardown)
{
    static const char text[] = "system {\0 host-name a; }";
    GError *error = NULL;

    cr_assert_null(curly_read(schema, "t", text, sizeof text - 1, &error));
    cr_assert_str_eq(error->message, "t:1: syntax error: a zero byte");
    g_clear_error(&error);
    cr_assert_null(curly_read(schema, "t", "syst\0em", 7, &error));
    cr_assert_str_eq(error->message, "t:1: syntax error: a zero byte");
    g_error_free(error);
}
