/*
 * table_test - from configuration and events to ifl-state and route-state.
 */
#include <criterion/criterion.h>

#include "re/ifd/table.h"
#include "tests/unit/conf_put.h"

static const char base[] =
    "interfaces interface=xe-1/0/0 unit=0 family inet address=10.1.1.1/24\n"
    "interfaces interface=xe-1/0/1 unit=0 family inet address=192.0.2.1/24\n"
    "interfaces interface=st0 unit=0 family inet\n"
    "routing-options static route=10.2.2.0/24 next-hop+st0.0\n"
    "routing-options static route=0.0.0.0/0 next-hop+192.0.2.9\n"
    "routing-options static route=198.51.100.0/24 discard!\n"
    "security zones security-zone=trust host-inbound-traffic system-services=ping\n"
    "security zones security-zone=trust interfaces=xe-1/0/0.0\n"
    "security zones security-zone=untrust host-inbound-traffic system-services=ike\n"
    "security zones security-zone=untrust interfaces=xe-1/0/1\n";

static struct table *table;
static GPtrArray *ifls;   /* struct bus_ifl_state, in order of telling */
static GPtrArray *routes; /* struct bus_route_state */
static unsigned left;

static void link_up(uint8_t slot, uint8_t port, bool up);

static void out_ifl(const struct bus_ifl_state *state, void *data)
{
    (void)data;
    g_ptr_array_add(ifls, g_memdup2(state, sizeof *state));
}

static void out_route(const struct bus_route_state *state, void *data)
{
    (void)data;
    g_ptr_array_add(routes, g_memdup2(state, sizeof *state));
}

static void out_leave(struct table_ifl *ifl, void *data)
{
    (void)ifl;
    (void)data;
    left++;
}

static void begin(void)
{
    const struct table_out out = {out_ifl, out_route, out_leave, NULL};

    left = 0;
    ifls = g_ptr_array_new_with_free_func(g_free);
    routes = g_ptr_array_new_with_free_func(g_free);
    table = table_new("left", &out);
    link_up(1, 0, true);
    link_up(1, 1, true);
}

static void end(void)
{
    table_free(table);
    g_ptr_array_unref(ifls);
    g_ptr_array_unref(routes);
}

static void configure(const char *text)
{
    struct conf_node *root = conf_from(text);
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;

    cr_assert(table_check(root, &path, &error), "%s", error ? error->message : "");
    table_configure(table, root);
    conf_free(root);
    table_update(table, 1);
}

static void link_up(uint8_t slot, uint8_t port, bool up)
{
    struct bus_port_state state = {.slot = slot, .port = port, .up = up};

    table_port(table, &state);
    table_update(table, 2);
}

static void card(uint8_t slot, enum bus_board_kind kind, bool online)
{
    struct bus_fpc_state state = {.slot = slot, .kind = kind, .online = online};

    table_card(table, &state);
    table_update(table, 2);
}

/* The newest event about an interface; NULL: never told. */
static const struct bus_ifl_state *told(const char *name)
{
    for (unsigned i = ifls->len; i-- > 0;) {
        const struct bus_ifl_state *state = ifls->pdata[i];

        if (strcmp(state->name, name) == 0) {
            return state;
        }
    }
    return NULL;
}

static const struct bus_route_state *route(const char *prefix)
{
    for (unsigned i = routes->len; i-- > 0;) {
        const struct bus_route_state *state = routes->pdata[i];
        char text[FW_ADDR_TEXT];

        if (strcmp(fw_prefix_text(&state->prefix, text), prefix) == 0) {
            return state;
        }
    }
    return NULL;
}

Test(table, interface_of_a_card_in_service, .init = begin, .fini = end)
{
    struct bus_zone_state zone = {.zone = 7, .name = "trust"};

    configure(base);
    cr_assert_not(told("xe-1/0/0.0")->up);
    cr_assert_null(route("10.1.1.0/24"));
    card(1, BUS_BOARD_KIND_IOC, true);
    cr_assert(told("xe-1/0/0.0")->up);
    cr_assert_eq(told("xe-1/0/0.0")->slot, 1);
    cr_assert_eq(told("xe-1/0/0.0")->mac[0], 0x02);
    cr_assert_eq(told("xe-1/0/0.0")->mac[3], 1);
    cr_assert_eq(told("xe-1/0/1.0")->mac[5], 1);
    cr_assert_eq(told("xe-1/0/0.0")->host_inbound, 1u << BUS_HOST_SERVICE_PING);
    cr_assert_eq(told("xe-1/0/1.0")->host_inbound, 1u << BUS_HOST_SERVICE_IKE);
    cr_assert_eq(told("xe-1/0/0.0")->n_addresses, 1);
    cr_assert_eq(told("xe-1/0/0.0")->zone, 0);
    table_zone(table, &zone);
    table_update(table, 3);
    cr_assert_eq(told("xe-1/0/0.0")->zone, 7);
    cr_assert_eq(told("xe-1/0/1.0")->zone, 0);
}

Test(table, carrier_counts, .init = begin, .fini = end)
{
    configure(base);
    card(1, BUS_BOARD_KIND_IOC, true);
    link_up(1, 1, false);
    cr_assert(told("xe-1/0/0.0")->up);
    cr_assert_not(told("xe-1/0/1.0")->up);
    cr_assert(route("192.0.2.0/24")->gone);
    cr_assert(route("0.0.0.0/0")->gone);
    link_up(1, 1, true);
    cr_assert(told("xe-1/0/1.0")->up);
    cr_assert_not(route("0.0.0.0/0")->gone);
}

Test(table, services_card_in_the_slot_has_no_ports, .init = begin, .fini = end)
{
    configure(base);
    card(1, BUS_BOARD_KIND_SPC, true);
    cr_assert_not(told("xe-1/0/0.0")->up);
    cr_assert_not(((struct table_ifl *)table_ifls(table)->pdata[0])->present);
}

Test(table, routes_follow_the_interfaces, .init = begin, .fini = end)
{
    uint16_t outside;

    configure(base);
    cr_assert_null(route("0.0.0.0/0"), "published without a way");
    cr_assert_eq(route("198.51.100.0/24")->ifl, 0);
    cr_assert_eq(route("10.2.2.0/24")->ifl, told("st0.0")->ifl);
    card(1, BUS_BOARD_KIND_IOC, true);
    outside = told("xe-1/0/1.0")->ifl;
    cr_assert_eq(route("192.0.2.0/24")->ifl, outside);
    cr_assert_eq(route("192.0.2.0/24")->next_hop.family, FW_FAMILY_NONE);
    cr_assert_eq(route("192.0.2.1/32")->ifl, outside);
    cr_assert_eq(route("0.0.0.0/0")->ifl, outside);
    cr_assert_eq(fw_addr_to_v4(&route("0.0.0.0/0")->next_hop), 0xc0000209);
    card(1, BUS_BOARD_KIND_IOC, false);
    cr_assert(route("0.0.0.0/0")->gone);
    cr_assert(route("10.1.1.0/24")->gone);
    cr_assert_not(route("10.2.2.0/24")->gone);
}

Test(table, nothing_is_told_twice, .init = begin, .fini = end)
{
    configure(base);
    card(1, BUS_BOARD_KIND_IOC, true);
    g_ptr_array_set_size(ifls, 0);
    g_ptr_array_set_size(routes, 0);
    configure(base);
    card(1, BUS_BOARD_KIND_IOC, true);
    cr_assert_eq(ifls->len, 0);
    cr_assert_eq(routes->len, 0);
    cr_assert_eq(left, 0);
}

Test(table, tunnel_sets_st0_up, .init = begin, .fini = end)
{
    struct bus_tunnel_interface_state tunnel = {.tunnel = 500001, .up = true};

    configure(base);
    cr_assert_not(told("st0.0")->up);
    tunnel.ifl = told("st0.0")->ifl;
    table_tunnel(table, &tunnel);
    table_update(table, 3);
    cr_assert(told("st0.0")->up);
    tunnel.gone = true;
    table_tunnel(table, &tunnel);
    table_update(table, 4);
    cr_assert_not(told("st0.0")->up);
}

Test(table, removed_interface_is_gone_and_its_index_free, .init = begin, .fini = end)
{
    uint16_t index;

    configure(base);
    index = told("xe-1/0/1.0")->ifl;
    configure("interfaces interface=xe-1/0/0 unit=0 family inet address=10.1.1.1/24\n");
    cr_assert(told("xe-1/0/1.0")->gone);
    cr_assert_eq(told("xe-1/0/1.0")->ifl, index);
    cr_assert(told("st0.0")->gone);
    cr_assert(route("10.2.2.0/24")->gone);
    cr_assert_eq(left, 2);
    cr_assert_null(table_by_index(table, index));
}

Test(table, restart_keeps_indices_and_withdraws_what_left, .init = begin, .fini = end)
{
    struct bus_ifl_state was = {.ifl = 42, .name = "st0.0", .kind = BUS_IFL_KIND_TUNNEL};
    struct bus_ifl_state old = {.ifl = 43, .name = "st0.9", .kind = BUS_IFL_KIND_TUNNEL};
    struct bus_route_state lost = {.ifl = 43};

    fw_prefix_parse("203.0.113.0/24", &lost.prefix);
    table_restore(table, &was);
    table_restore(table, &old);
    table_restore_route(table, &lost);
    configure(base);
    cr_assert_eq(told("st0.0")->ifl, 42);
    cr_assert(told("st0.9")->gone);
    cr_assert_eq(told("st0.9")->ifl, 43);
    cr_assert(route("203.0.113.0/24")->gone);
    cr_assert_neq(told("xe-1/0/0.0")->ifl, 42);
}

Test(table, direct_route_wins_over_static, .init = begin, .fini = end)
{
    configure("interfaces interface=xe-1/0/0 unit=0 family inet address=10.1.1.1/24\n"
              "routing-options static route=10.1.1.0/24 discard!\n");
    cr_assert_eq(route("10.1.1.0/24")->ifl, 0);
    card(1, BUS_BOARD_KIND_IOC, true);
    cr_assert_eq(route("10.1.1.0/24")->ifl, told("xe-1/0/0.0")->ifl);
}

Test(table, age_is_kept, .init = begin, .fini = end)
{
    const struct table_route *first;

    configure(base);
    table_update(table, 77);
    first = &g_array_index((GArray *)table_routes(table), struct table_route, 0);
    cr_assert_eq(first->since_ns, 1);
}

static void refused(const char *line, const char *path, const char *words)
{
    struct conf_node *root = conf_from(base);
    g_autoptr(GError) error = NULL;
    g_autofree char *at = NULL;

    conf_put(root, line);
    cr_assert_not(table_check(root, &at, &error), "accepted: %s", line);
    cr_assert_str_eq(at, path);
    cr_assert_not_null(strstr(error->message, words), "%s: %s", line, error->message);
    conf_free(root);
}

Test(table, refusals)
{
    refused("interfaces interface=xe-1/0/0 unit=5 family inet",
            "interfaces interface xe-1/0/0 unit 5", "only unit 0 is possible until VLANs exist");
    refused("interfaces interface=reth0 unit=0", "interfaces interface reth0", "unknown interface");
    refused("interfaces interface=xe-2/0/0 unit=0 family inet address=10.1.1.1/24",
            "interfaces interface xe-2/0/0 unit 0", "is also configured on xe-1/0/0.0");
    refused("interfaces interface=xe-2/0/0 unit=0 family inet address=fd00::1/64",
            "interfaces interface xe-2/0/0 unit 0 family inet address fd00::1/64", "no address");
    refused("interfaces interface=ge-1/0/0 unit=0", "interfaces interface ge-1/0/0 unit 0",
            "is also xe-1/0/0.0");
    refused("routing-options static route=10.9.0.0/16", "routing-options static route 10.9.0.0/16",
            "a next hop is required");
    refused("routing-options static route=10.9.0.1/16 discard!",
            "routing-options static route 10.9.0.1/16", "host bits");
    refused("routing-options static route=10.9.0.0/16 next-hop+st0.5",
            "routing-options static route 10.9.0.0/16", "neither an address nor");
    refused("routing-options static route=10.9.0.0/16 next-hop+fd00::1",
            "routing-options static route 10.9.0.0/16", "another family");
}

Test(table, names_of_interfaces)
{
    struct ifl_unit unit;

    cr_assert(ifl_parse("xe-11/1/23.0", &unit));
    cr_assert_eq(unit.slot, 11);
    cr_assert_eq(unit.pic, 1);
    cr_assert_eq(unit.port, 23);
    cr_assert_str_eq(unit.device, "xe-11.1.23");
    cr_assert(ifl_parse("st0.16385", &unit));
    cr_assert_str_eq(unit.device, "st0.16385");
    cr_assert(ifl_parse("xe-1/0/0", &unit));
    cr_assert_str_eq(unit.name, "xe-1/0/0.0");
    cr_assert_not(ifl_parse("st0.16386", &unit));
    cr_assert_not(ifl_parse("xe-1/0/0.1", &unit));
    cr_assert_not(ifl_parse("xe-1/0", &unit));
    cr_assert_not(ifl_parse("xe-1/0/0x", &unit));
    cr_assert_not(ifl_parse("xe-99/0/0", &unit));
    cr_assert_not(ifl_parse("", &unit));
}
