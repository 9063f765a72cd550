/*
 * The configuration tree: building, finding, and its binary form.
 */
#include <criterion/criterion.h>

#include "re/conf/conf.h"

static struct conf_node *sample(void)
{
    struct conf_node *root = conf_new();
    struct conf_node *security = conf_add(root, CONF_CONTAINER, "security", NULL);
    struct conf_node *ike = conf_add(security, CONF_CONTAINER, "ike", NULL);
    struct conf_node *gw = conf_add(ike, CONF_LIST, "gateway", "gw1");
    struct conf_node *policy = conf_add(ike, CONF_LIST, "policy", "p");
    struct conf_node *key = conf_add(policy, CONF_CONTAINER, "pre-shared-key", NULL);

    conf_add(gw, CONF_LEAF, "version", "v2-only");
    conf_add(gw, CONF_LEAF_LIST, "address", "192.0.2.1");
    conf_add(gw, CONF_LEAF_LIST, "address", "192.0.2.2");
    conf_add(gw, CONF_LEAF, "no-nat-traversal", NULL);
    conf_add(gw, CONF_LEAF, "nat-keepalive", "20")->is_default = true;
    conf_add(key, CONF_LEAF, "ascii-text", "s")->secret = true;
    conf_add(ike, CONF_LIST, "gateway", "gw2")->inactive = true;
    conf_add(ike, CONF_LIST, "gateway", "gw3")->comment = g_strdup("third");
    return root;
}

Test(conf, finds_what_was_added)
{
    struct conf_node *root = sample();
    const struct conf_node *gw = conf_find(root, "security ike gateway gw1");
    g_autofree char *path = conf_path(conf_child(gw, "version"));

    cr_assert_not_null(gw);
    cr_assert_str_eq(conf_leaf(gw, "version"), "v2-only");
    cr_assert_str_eq(path, "security ike gateway gw1 version");
    cr_assert(conf_has(gw, "no-nat-traversal"));
    cr_assert_null(conf_leaf(gw, "no-nat-traversal"));
    cr_assert_eq(conf_u64(gw, "nat-keepalive", 7), 20);
    cr_assert_eq(conf_u64(gw, "threshold", 7), 7);
    cr_assert_eq(conf_u64(gw, "version", 7), 7);
    cr_assert_null(conf_find(root, "security ike gateway nobody"));
    cr_assert_null(conf_child(NULL, "x"));
    conf_free(root);
}

Test(conf, inactive_entries_are_passed_over)
{
    struct conf_node *root = sample();
    const struct conf_node *ike = conf_find(root, "security ike");
    unsigned n = 0;

    conf_each(gw, ike, "gateway")
    {
        cr_assert_str_neq(gw->value, "gw2");
        n++;
    }
    cr_assert_eq(n, 2);
    cr_assert_null(conf_entry(ike, "gateway", "gw2"));
    cr_assert_not_null(conf_get(ike, "gateway", "gw2"));
    conf_free(root);
}

Test(conf, add_finds_and_replaces)
{
    struct conf_node *root = sample();
    struct conf_node *gw = conf_get(conf_find(root, "security ike"), "gateway", "gw1");

    cr_assert_eq(conf_add(gw->parent, CONF_LIST, "gateway", "gw1"), gw);
    conf_add(gw, CONF_LEAF, "version", "v1-only");
    cr_assert_str_eq(conf_leaf(gw, "version"), "v1-only");
    conf_free(conf_get(gw, "version", NULL));
    cr_assert_not(conf_has(gw, "version"));
    conf_free(root);
}

Test(conf, large_lists_keep_order_and_survive_removal)
{
    struct conf_node *root = conf_new();
    unsigned n = 0;

    for (unsigned i = 0; i < 5000; i++) {
        g_autofree char *key = g_strdup_printf("k%u", i);

        conf_add(root, CONF_LIST, "entry", key);
        cr_assert_eq(conf_add(root, CONF_LIST, "entry", key), root->last);
    }
    conf_free(conf_get(root, "entry", "k77"));
    cr_assert_null(conf_get(root, "entry", "k77"));
    conf_each(e, root, "entry")
    {
        n++;
    }
    cr_assert_eq(n, 4999);
    cr_assert_str_eq(conf_entry(root, "entry", "k76")->next->value, "k78");
    conf_free(root);
}

Test(conf, binary_form_round_trips)
{
    struct conf_node *root = sample(), *copy = conf_copy(root), *again;
    GByteArray *bytes = conf_serialise(root);
    struct fw_cursor c = fw_cursor(bytes->data, bytes->len);

    again = conf_deserialise(&c);
    cr_assert_not_null(again);
    cr_assert(conf_equal(root, again));
    cr_assert(conf_equal(root, copy));
    conf_add(again, CONF_CONTAINER, "system", NULL);
    cr_assert_not(conf_equal(root, again));
    conf_free(again);
    conf_free(copy);
    conf_free(root);
    g_byte_array_unref(bytes);
}

Test(conf, every_truncation_and_flip_is_survived)
{
    struct conf_node *root = sample();
    GByteArray *bytes = conf_serialise(root);

    for (unsigned len = 0; len < bytes->len; len++) {
        struct fw_cursor c = fw_cursor(bytes->data, len);

        cr_assert_null(conf_deserialise(&c));
    }
    for (unsigned i = 0; i < bytes->len * 8; i++) {
        struct fw_cursor c = fw_cursor(bytes->data, bytes->len);

        bytes->data[i / 8] ^= (uint8_t)(1u << i % 8);
        conf_free(conf_deserialise(&c));
        bytes->data[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    conf_free(root);
    g_byte_array_unref(bytes);
}

Test(conf, depth_is_limited)
{
    struct conf_node *root = conf_new(), *at = root;

    for (unsigned i = 0; i <= CONF_DEPTH_MAX; i++) {
        at = conf_add(at, CONF_CONTAINER, "deeper", NULL);
    }
    cr_assert_null(conf_serialise(root));
    conf_free(at);
    GByteArray *bytes = conf_serialise(root);
    cr_assert_not_null(bytes);
    g_byte_array_unref(bytes);
    conf_free(root);
}
