/*
 * The schema: loads, gives help, values, defaults.
 */
#include <criterion/criterion.h>

#include "re/mgd/curly.h"
#include "re/mgd/schema.h"
#include "re/mgd/validate.h"

static struct schema *schema;

static void setup(void)
{
    GError *error = NULL;

    schema = schema_new(&error);
    cr_assert_not_null(schema, "%s", error ? error->message : "");
}

static void teardown(void)
{
    schema_free(schema);
}

static const struct schema_node *at(const char *path)
{
    g_auto(GStrv) words = g_strsplit(path, " ", -1);
    const struct schema_node *s = schema_root(schema);

    for (unsigned i = 0; words[i]; i++) {
        s = schema_child(s, words[i]);
        cr_assert_not_null(s, "%s", words[i]);
    }
    return s;
}

static void permitted(const char *path, const char *text)
{
    g_autofree char *is = schema_permitted(at(path));

    cr_assert_str_eq(is, text);
}

Test(schema, permitted_values_are_said, .init = setup, .fini = teardown)
{
    permitted("security ike gateway version", "v1-only, v2-only");
    permitted("security ike gateway nat-keepalive", "1..300");
    permitted("security ike gateway", "1 to 32 characters");
    permitted("interfaces interface unit", "0..16385");
    permitted("security ike gateway address", "an IP address");
}

Test(schema, values_are_checked, .init = setup, .fini = teardown)
{
    cr_assert(schema_check(schema, at("security ike proposal dh-group"), "group19"));
    cr_assert_not(schema_check(schema, at("security ike proposal dh-group"), "group18"));
    cr_assert(schema_check(schema, at("security ipsec anti-replay-window-size"), "64"));
    cr_assert_not(schema_check(schema, at("security ipsec anti-replay-window-size"), "63"));
    cr_assert(schema_check(schema, at("interfaces interface"), "xe-1/0/0"));
    cr_assert_not(schema_check(schema, at("interfaces interface"), "xe-12/0/0"));
    cr_assert_not(schema_check(schema, at("interfaces interface"), "xe-1/0/0.0"));
    cr_assert(schema_check(schema, at("interfaces interface unit family inet address"),
                           "10.0.0.1/8"));
    cr_assert_not(schema_check(schema, at("interfaces interface unit family inet address"),
                               "fd00::1/64"));
    cr_assert(schema_check(schema, at("applications application protocol"), "tcp"));
    cr_assert(schema_check(schema, at("applications application protocol"), "47"));
    cr_assert_not(schema_check(schema, at("applications application protocol"), "256"));
}

Test(schema, every_statement_has_help, .init = setup, .fini = teardown)
{
    GQueue queue = G_QUEUE_INIT;
    const struct schema_node *s;

    g_queue_push_tail(&queue, (gpointer)schema_root(schema));
    while ((s = g_queue_pop_head(&queue))) {
        for (unsigned i = 0; i < s->children->len; i++) {
            const struct schema_node *child = s->children->pdata[i];

            cr_assert(child->help[0], "%s has no description", child->name);
            g_queue_push_tail(&queue, (gpointer)child);
        }
    }
}

static struct conf_node *read_text(const char *text)
{
    GError *error = NULL;
    struct conf_node *root = curly_read(schema, "t", text, strlen(text), &error);

    cr_assert_not_null(root, "%s", error ? error->message : "");
    return root;
}

Test(schema, defaults_fill_what_is_there, .init = setup, .fini = teardown)
{
    struct conf_node *root =
        read_text("security { ike { gateway g { dead-peer-detection { interval 20; } }\n"
                  "inactive: gateway h { version v2-only; } } }");
    const struct conf_node *gw;

    schema_expand(schema, root);
    gw = conf_find(root, "security ike gateway g");
    cr_assert_str_eq(conf_leaf(gw, "version"), "v1-only");
    cr_assert(conf_child(gw, "version")->is_default);
    cr_assert_str_eq(conf_leaf(conf_child(gw, "dead-peer-detection"), "interval"), "20");
    cr_assert_not(conf_child(conf_child(gw, "dead-peer-detection"), "interval")->is_default);
    cr_assert_str_eq(conf_leaf(conf_child(gw, "dead-peer-detection"), "threshold"), "5");
    cr_assert_null(conf_get(conf_find(root, "security ike"), "gateway", "h"));
    conf_free(root);
}

static void refused(const char *text, const char *message)
{
    struct conf_node *root = read_text(text);
    GError *error = NULL;

    schema_expand(schema, root);
    cr_assert_not(validate(schema, root, NULL, &error), "accepted: %s", text);
    cr_assert_str_eq(error->message, message);
    g_error_free(error);
    conf_free(root);
}

Test(schema, validation_names_the_statement, .init = setup, .fini = teardown)
{
    refused("security { ike { gateway g { ike-policy p; } } }",
            "security ike gateway g ike-policy: p is not defined; define it with security ike "
            "policy p");
    refused("security { ipsec { vpn v { ike { no-anti-replay; anti-replay-window-size 64; } } } }",
            "security ipsec vpn v ike: no-anti-replay excludes anti-replay-window-size");
    refused("security { ipsec { vpn v { traffic-selector t { local-ip 10.0.0.0/8; } } } }",
            "security ipsec vpn v traffic-selector t: remote-ip is required");
    refused("security { zones { security-zone a; } policies { from-zone a to-zone a { policy p {\n"
            "match { source-address any; destination-address any; application any; } } } } }",
            "security policies from-zone a to-zone a policy p then: one of permit, deny, "
            "reject is required");
    refused("security { ike { gateway g { address [ 1.1.1.1 1.1.1.2 1.1.1.3 1.1.1.4 1.1.1.5 "
            "1.1.1.6 ]; } } }",
            "security ike gateway g address 1.1.1.6: there are too many of it");
}
