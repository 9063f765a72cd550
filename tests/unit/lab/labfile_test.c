/*
 * labfile_test - the lab file reader: a good file, and the sentence for each kind of mistake.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "hw/lab/labfile.h"

static struct catalog *catalog;

static void setup(void)
{
    g_autoptr(GError) error = NULL;

    catalog = catalog_load(CATALOG_DIRECTORY, &error);
    cr_assert(catalog != NULL, "%s", error ? error->message : "");
}

static void teardown(void)
{
    catalog_free(catalog);
}

#define NODE(cards) "lab: t\nnodes:\n  n:\n    chassis: SRX5800\n    cards: {" cards "}\n"
#define GOOD        NODE("cb0: SCB3, re0: RE3, 0: SPC3, 1: IOC3")

static struct lab_file *parse(const char *text, GError **error)
{
    return lab_file_parse(text, strlen(text), "dir/t.yaml", false, catalog, error);
}

/* The text is refused at that line, with these words. */
static void refuse(const char *text, unsigned line, const char *words)
{
    g_autoptr(GError) error = NULL;
    struct lab_file *lab = parse(text, &error);
    g_autofree char *prefix = g_strdup_printf("dir/t.yaml:%u: ", line);

    cr_assert(lab == NULL, "accepted: %s", text);
    cr_assert(error != NULL);
    cr_assert(g_str_has_prefix(error->message, prefix), "want %s..., got %s", prefix,
              error->message);
    cr_assert(strstr(error->message, words) != NULL, "want '%s' in: %s", words, error->message);
    cr_assert(strchr(error->message, '\n') == NULL, "more than one line: %s", error->message);
}

Test(labfile, good, .init = setup, .fini = teardown)
{
    g_autoptr(GError) error = NULL;
    struct lab_file *lab = parse(
        "lab: site\n"
        "options: {model-scale: 0.05, seed: 7, spin: true, lanes: 2, export-keys: yes}\n"
        "nodes:\n"
        "  left: {chassis: SRX5800, config: left.conf,\n"
        "         cards: {cb0: SCB3, cb1: SCB3, re0: RE3, 0: SPC3, 11: IOC3}}\n"
        "hosts:\n"
        "  alice: {addresses: [10.1.1.10/24, 'fd00::1/64'], gateway: 10.1.1.1,\n"
        "          routes: [{prefix: 10.9.0.0/16, via: 10.1.1.2}]}\n"
        "  gen: {type: traffic, addresses: [10.2.2.10/24], gateway: 10.2.2.1}\n"
        "links:\n"
        "  - {name: a, ends: ['left:xe-11/0/0', alice]}\n"
        "  - {name: b, ends: [gen, 'left:xe-11/1/11']}\n",
        &error);
    const struct lab_link *link;

    cr_assert(lab != NULL, "%s", error ? error->message : "");
    cr_assert_str_eq(lab->name, "site");
    cr_assert_eq(lab->options.model_scale, 50);
    cr_assert_eq(lab->options.seed, 7);
    cr_assert(lab->options.spin && lab->options.export_keys);
    cr_assert_eq(lab->options.lanes, 2);
    cr_assert_eq(lab->n_nodes, 1);
    cr_assert_eq(lab->nodes[0].n_cards, 5);
    cr_assert(g_str_has_suffix(lab->nodes[0].config, "/dir/left.conf"));
    cr_assert_eq(lab_node_card(&lab->nodes[0], LAB_FPC, 11)->card->kind, CATALOG_IOC);
    cr_assert_eq(lab_node_card(&lab->nodes[0], LAB_CB, 1)->card->kind, CATALOG_CB);
    cr_assert(lab_node_card(&lab->nodes[0], LAB_FPC, 1) == NULL);
    cr_assert_eq(lab->n_hosts, 2);
    cr_assert_eq(lab->hosts[0].type, LAB_HOST);
    cr_assert_eq(lab->hosts[0].n_addresses, 2);
    cr_assert_eq(lab->hosts[0].n_routes, 1);
    cr_assert_eq(lab->hosts[1].type, LAB_TRAFFIC);
    link = lab_file_port_link(lab, &lab->nodes[0], "xe-11/1/11");
    cr_assert(link != NULL);
    cr_assert_str_eq(link->name, "b");
    cr_assert(link->ends[0].host == &lab->hosts[1]);
    cr_assert_eq(link->ends[1].slot, 11);
    cr_assert_eq(link->ends[1].pic, 1);
    cr_assert_eq(link->ends[1].number, 11);
    cr_assert_str_eq(lab->links[0].ends[1].port, "eth0");
    lab_file_free(lab);
}

Test(labfile, defaults, .init = setup, .fini = teardown)
{
    struct lab_file *lab = parse(GOOD, NULL);

    cr_assert(lab != NULL);
    cr_assert_eq(lab->options.model_scale, 1000);
    cr_assert_eq(lab->options.lanes, 0);
    cr_assert(lab->nodes[0].config == NULL);
    lab_file_free(lab);
}

Test(labfile, shape, .init = setup, .fini = teardown)
{
    refuse("lab: t\n  bad: [\n", 2, "YAML");
    refuse("- a\n", 1, "mapping");
    refuse("nodes: {}\n", 1, "add 'lab: NAME'");
    refuse("lab: t\n", 1, "add 'nodes:'");
    refuse("lab: t\nlab: u\nnodes: {}\n", 2, "appears twice");
    refuse("lab: t\nnode: {}\n", 2, "permitted are lab, options, nodes, hosts, links");
    refuse("lab: ../x\nnodes: {}\n", 1, "not usable");
    refuse("lab: a-name-that-is-longer-than-it-may-be\nnodes: {}\n", 1, "not usable");
}

Test(labfile, options, .init = setup, .fini = teardown)
{
    refuse("lab: t\noptions: {model-scale: 11}\nnodes: {}\n", 2, "a factor from 0");
    refuse("lab: t\noptions: {model-scale: x}\nnodes: {}\n", 2, "a factor from 0");
    refuse("lab: t\noptions: {lanes: 5}\nnodes: {}\n", 2, "from 0 to 4");
    refuse("lab: t\noptions: {seed: -1}\nnodes: {}\n", 2, "a number from");
    refuse("lab: t\noptions: {spin: perhaps}\nnodes: {}\n", 2, "permitted are true and false");
    refuse("lab: t\noptions: {speed: 1}\nnodes: {}\n", 2, "permitted are model-scale");
}

Test(labfile, cards, .init = setup, .fini = teardown)
{
    refuse("lab: t\nnodes:\n  n: {chassis: SRX9, cards: {}}\n", 3, "known are SRX5800");
    refuse("lab: t\nnodes:\n  n: {cards: {}}\n", 3, "chassis: SRX5800");
    refuse("lab: t\nnodes:\n  n: {chassis: SRX5800}\n", 3, "no cards");
    refuse(NODE("cb0: SCB3, re0: RE3, 0: SPC9"), 5, "not in the catalogue; known are");
    refuse(NODE("cb0: SCB3, re0: RE3, 12: SPC3"), 5, "no position 12; the last one is 11");
    refuse(NODE("cb0: SCB3, re0: RE3, cb3: SCB3"), 5, "the last one is cb2");
    refuse(NODE("cb0: SCB3, re0: RE3, x: SPC3"), 5, "no position of a card");
    refuse(NODE("cb0: SCB3, re0: RE3, 01: SPC3"), 5, "no position of a card");
    refuse(NODE("cb0: SCB3, re0: RE3, 1: SCB3"), 5, "a services or I/O card");
    refuse(NODE("cb0: SPC3, re0: RE3"), 5, "a control board");
    refuse(NODE("re0: RE3, 0: SPC3"), 5, "no cb0");
    refuse(NODE("cb0: SCB3, 0: SPC3"), 5, "no re0");
    refuse(NODE("cb0: SCB3, re0: RE3, re1: RE3"), 5, "only re0");
    refuse(NODE("cb0: SCB3, re0: RE3, cb2: SCB3, 6: SPC3"), 5, "occupied twice");
    refuse(NODE("cb0: SCB3, re0: RE3, 0: SPC3, 0: IOC3"), 5, "appears twice");
}

Test(labfile, hosts, .init = setup, .fini = teardown)
{
    refuse(GOOD "hosts:\n  n: {addresses: []}\n", 7, "a node and a host");
    refuse(GOOD "hosts:\n  a: {type: router}\n", 7, "permitted are host, traffic");
    refuse(GOOD "hosts:\n  a: {addresses: [10.1.1.1]}\n", 7, "with a prefix length");
    refuse(GOOD "hosts:\n  a: {addresses: [10.1.1.1/24], gateway: 10.2.1.1}\n", 7,
           "in none of its networks");
    refuse(GOOD "hosts:\n  a: {addresses: [10.1.1.1/24], gateway: x}\n", 7, "is no address");
    refuse(GOOD "hosts:\n  a: {routes: [{prefix: 10.0.0.0/8, via: 'fd00::1'}]}\n", 7,
           "not usable");
    refuse(GOOD "hosts:\n  a: {type: traffic}\n", 7, "needs an address");
    refuse(GOOD "hosts:\n  a: {adresses: []}\n", 7, "unknown key 'adresses'");
}

#define HOST GOOD "hosts:\n  a: {addresses: [10.1.1.1/24]}\n"

Test(labfile, links, .init = setup, .fini = teardown)
{
    refuse(HOST "links:\n  - {ends: [a, 'n:xe-1/0/0']}\n", 9, "no name");
    refuse(HOST "links:\n  - {name: l, ends: [a]}\n", 9, "two are wanted");
    refuse(HOST "links:\n  - {name: l, ends: [a, b]}\n", 9, "neither a node nor a host");
    refuse(HOST "links:\n  - {name: l, ends: [a, n]}\n", 9, "name its port");
    refuse(HOST "links:\n  - {name: l, ends: ['a:eth0', 'n:xe-1/0/0']}\n", 9, "write only a");
    refuse(HOST "links:\n  - {name: l, ends: [a, 'n:xe-1/0']}\n", 9, "no port name");
    refuse(HOST "links:\n  - {name: l, ends: [a, 'n:xe-0/0/0']}\n", 9, "no I/O card in slot 0");
    refuse(HOST "links:\n  - {name: l, ends: [a, 'n:xe-1/0/12']}\n", 9, "no port xe-1/0/12");
    refuse(HOST "links:\n  - {name: l, ends: [a, 'n:ge-1/0/0']}\n", 9, "no port ge-1/0/0");
    refuse(HOST "links:\n  - {name: l, ends: ['n:xe-1/0/0', 'n:xe-1/0/0']}\n", 9,
           "already used by link l");
    refuse(HOST "links:\n  - {name: l, ends: [a, 'n:xe-1/0/0']}\n"
                "  - {name: l, ends: [a, 'n:xe-1/0/1']}\n", 10, "rename one");
    refuse(GOOD "hosts:\n  g: {type: traffic, addresses: [10.1.1.1/24]}\n  a: {}\n"
                "links:\n  - {name: l, ends: [g, a]}\n", 10, "a port of a node only");
    refuse(GOOD "hosts:\n  g: {type: traffic, addresses: [10.1.1.1/24]}\n"
                "links:\n  - {name: l, ends: [g, 'n:xe-1/0/0']}\n"
                "  - {name: m, ends: [g, 'n:xe-1/0/1']}\n", 10, "one link already");
}

Test(labfile, names)
{
    cr_assert(lab_name_valid("a"));
    cr_assert(lab_name_valid("site-to_site.2"));
    cr_assert(!lab_name_valid(""));
    cr_assert(!lab_name_valid("."));
    cr_assert(!lab_name_valid("-x"));
    cr_assert(!lab_name_valid("a/b"));
    cr_assert(!lab_name_valid("a b"));
    cr_assert(!lab_name_valid("1234567890123456789012345"));
}

Test(labfile, missing_config, .init = setup, .fini = teardown)
{
    static const char text[] = "lab: t\nnodes:\n  n:\n    chassis: SRX5800\n    config: no.conf\n"
                               "    cards: {cb0: SCB3, re0: RE3}\n";
    g_autoptr(GError) error = NULL;

    cr_assert(lab_file_parse(text, sizeof(text) - 1, "/nowhere/t.yaml", true, catalog, &error) ==
              NULL);
    cr_assert(strstr(error->message, "/nowhere/t.yaml:5: ") != NULL);
    cr_assert(strstr(error->message, "/nowhere/no.conf cannot be read") != NULL);
}
