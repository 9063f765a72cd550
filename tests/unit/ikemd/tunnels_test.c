/*
 * tunnels_test - what ikemd tells iked and the cards, when, and what survives its restart.
 */
#include <criterion/criterion.h>

#include "re/ikemd/placement/placement.h"
#include "re/ikemd/tunnels.h"
#include "tests/unit/conf_put.h"

static const char base[] = "interfaces interface=xe-1/0/1 unit=0 family inet address=192.0.2.1/24\n"
                           "interfaces interface=st0 unit=0 family inet\n"
                           "interfaces interface=st0 unit=1 family inet\n"
                           "security ike proposal=p dh-group:group19\n"
                           "security ike proposal=p encryption-algorithm:aes-256-gcm\n"
                           "security ike policy=pol proposals+p\n"
                           "security ike policy=pol pre-shared-key ascii-text:secret\n"
                           "security ipsec proposal=e encryption-algorithm:aes-256-gcm\n"
                           "security ipsec policy=epol proposals+e\n";

static struct tunnels *tunnels;
static unsigned n_gateways, n_tunnels, n_syncs, n_interfaces, n_anchors;
static struct bus_ike_tunnel last_tunnel;
static struct bus_tunnel_interface_state last_interface;
static struct bus_anchor_state last_anchor;

static void gateway(const struct bus_ike_gateway *m, void *data)
{
    (void)m;
    (void)data;
    n_gateways++;
}

static void tunnel(const struct bus_ike_tunnel *m, void *data)
{
    (void)data;
    n_tunnels++;
    last_tunnel = *m;
}

static void sync_done(void *data)
{
    (void)data;
    n_syncs++;
}

static void interface(const struct bus_tunnel_interface_state *m, void *data)
{
    (void)data;
    n_interfaces++;
    last_interface = *m;
}

static void anchor(const struct bus_anchor_state *m, void *data)
{
    (void)data;
    n_anchors++;
    last_anchor = *m;
}

static uint32_t below(uint32_t bound)
{
    (void)bound;
    return 0;
}

static void begin(void)
{
    const struct tunnels_out out = {gateway, tunnel, sync_done, interface, anchor, NULL};

    n_gateways = n_tunnels = n_syncs = n_interfaces = n_anchors = 0;
    tunnels = tunnels_new(&out, below);
}

static void end(void)
{
    tunnels_free(tunnels);
}

static struct conf_node *with_vpns(unsigned n)
{
    struct conf_node *root = conf_from(base);

    for (unsigned i = 0; i < n; i++) {
        g_autofree char *lines =
            g_strdup_printf("security ike gateway=g%u ike-policy:pol\n"
                            "security ike gateway=g%u address+192.0.2.%u\n"
                            "security ike gateway=g%u external-interface:xe-1/0/1\n"
                            "security ike gateway=g%u version:v2-only\n"
                            "security ipsec vpn=v%u bind-interface:st0.%u\n"
                            "security ipsec vpn=v%u ike gateway:g%u\n"
                            "security ipsec vpn=v%u ike ipsec-policy:epol\n",
                            i, i, i + 2, i, i, i, i, i, i, i);
        g_auto(GStrv) split = g_strsplit(lines, "\n", -1);

        for (unsigned j = 0; split[j]; j++) {
            if (*split[j]) {
                conf_put(root, split[j]);
            }
        }
    }
    return root;
}

static void configure(unsigned n)
{
    struct conf_node *root = with_vpns(n);

    tunnels_configure(tunnels, root);
    conf_free(root);
    tunnels_update(tunnels);
}

static void card(uint8_t slot, bool online, uint32_t generation)
{
    struct bus_fpc_state state = {.slot = slot,
                                  .kind = BUS_BOARD_KIND_SPC,
                                  .online = online,
                                  .generation = generation,
                                  .spus = 2,
                                  .threads = 28};

    tunnels_card(tunnels, &state);
    tunnels_update(tunnels);
}

static void st0(uint16_t ifl, const char *name)
{
    struct bus_ifl_state state = {.ifl = ifl, .kind = BUS_IFL_KIND_TUNNEL};

    g_strlcpy(state.name, name, sizeof state.name);
    tunnels_ifl(tunnels, &state);
    tunnels_update(tunnels);
}

Test(tunnels, nothing_is_told_before_the_configuration, .init = begin, .fini = end)
{
    card(0, true, 1);
    st0(5, "st0.0");
    tunnels_sync(tunnels);
    cr_assert_eq(n_gateways + n_tunnels + n_syncs + n_interfaces + n_anchors, 0);
}

Test(tunnels, tunnel_is_told_with_its_place, .init = begin, .fini = end)
{
    card(0, true, 3);
    configure(1);
    cr_assert_eq(n_tunnels, 0, "told without an st0 index");
    cr_assert_not(tunnels_complete(tunnels));
    st0(5, "st0.0");
    cr_assert_eq(n_gateways, 1);
    cr_assert_eq(n_tunnels, 1);
    cr_assert_eq(last_tunnel.tunnel, 500001);
    cr_assert_eq(last_tunnel.ifl, 5);
    cr_assert_eq(last_tunnel.slot, 0);
    cr_assert_eq(last_tunnel.generation, 3);
    cr_assert_eq(last_tunnel.anchor, placement_anchor(0, last_tunnel.spu, last_tunnel.thread));
    cr_assert_eq(last_interface.anchor, last_tunnel.anchor);
    cr_assert_str_eq(last_interface.vpn, "v0");
    cr_assert_not(last_interface.up);
    cr_assert_eq(last_anchor.generation, 3);
    configure(1);
    cr_assert_eq(n_tunnels, 1, "told again though nothing changed");
}

Test(tunnels, no_card_means_anchor_zero, .init = begin, .fini = end)
{
    configure(1);
    st0(5, "st0.0");
    cr_assert_eq(n_tunnels, 1);
    cr_assert_eq(last_tunnel.anchor, 0);
    cr_assert_eq(n_anchors, 0);
}

Test(tunnels, sync_tells_everything_again, .init = begin, .fini = end)
{
    card(0, true, 1);
    st0(5, "st0.0");
    st0(6, "st0.1");
    configure(2);
    n_gateways = n_tunnels = 0;
    tunnels_sync(tunnels);
    cr_assert_eq(n_gateways, 2);
    cr_assert_eq(n_tunnels, 2);
    cr_assert_eq(n_syncs, 1);
}

Test(tunnels, sync_is_not_done_while_an_st0_index_lacks, .init = begin, .fini = end)
{
    card(0, true, 1);
    configure(1);
    tunnels_sync(tunnels);
    cr_assert_eq(n_syncs, 0);
}

Test(tunnels, status_sets_the_interface_up, .init = begin, .fini = end)
{
    struct bus_tunnel_status status = {.tunnel = 500001, .up = true};

    card(0, true, 1);
    st0(5, "st0.0");
    configure(1);
    n_interfaces = 0;
    tunnels_status(tunnels, &status);
    tunnels_update(tunnels);
    cr_assert_eq(n_interfaces, 1);
    cr_assert(last_interface.up);
}

Test(tunnels, lost_card_moves_the_tunnel_and_ends_its_anchor, .init = begin, .fini = end)
{
    card(0, true, 1);
    st0(5, "st0.0");
    configure(1);
    n_tunnels = n_anchors = 0;
    card(2, true, 9);
    cr_assert_eq(n_tunnels, 0, "insertion moved a tunnel");
    card(0, false, 1);
    cr_assert_eq(n_tunnels, 1);
    cr_assert_eq(last_tunnel.slot, 2);
    cr_assert_eq(last_tunnel.generation, 9);
    cr_assert_eq(n_anchors, 2);
    cr_assert(last_anchor.gone);
    cr_assert_eq(last_anchor.slot, 0);
}

Test(tunnels, same_card_again_has_another_generation, .init = begin, .fini = end)
{
    card(0, true, 1);
    st0(5, "st0.0");
    configure(1);
    card(0, false, 1);
    cr_assert_eq(last_tunnel.anchor, 0);
    card(0, true, 2);
    cr_assert_neq(last_tunnel.anchor, 0);
    cr_assert_eq(last_tunnel.generation, 2);
    cr_assert_not(last_anchor.gone);
    cr_assert_eq(last_anchor.generation, 2);
}

Test(tunnels, removed_vpn_is_gone, .init = begin, .fini = end)
{
    card(0, true, 1);
    st0(5, "st0.0");
    st0(6, "st0.1");
    configure(2);
    n_gateways = 0;
    configure(1);
    cr_assert(last_tunnel.gone);
    cr_assert_str_eq(last_tunnel.vpn, "v1");
    cr_assert(last_interface.gone);
    cr_assert_eq(n_gateways, 1);
    configure(2);
    cr_assert_eq(last_tunnel.tunnel, 500003, "an id was given twice");
}

Test(tunnels, restart_keeps_ids_and_places, .init = begin, .fini = end)
{
    struct bus_tunnel_interface_state v0 = {
        .tunnel = 500007, .ifl = 5, .anchor = placement_anchor(0, 1, 13)};
    struct bus_tunnel_interface_state old = {.tunnel = 500009, .ifl = 6, .anchor = 1};

    g_strlcpy(v0.vpn, "v0", sizeof v0.vpn);
    g_strlcpy(old.vpn, "removed", sizeof old.vpn);
    tunnels_restore(tunnels, &v0);
    tunnels_restore(tunnels, &old);
    card(0, true, 1);
    st0(5, "st0.0");
    configure(1);
    cr_assert_eq(last_tunnel.tunnel, 500007);
    cr_assert_eq(last_tunnel.spu, 1);
    cr_assert_eq(last_tunnel.thread, 13);
    cr_assert_eq(n_interfaces, 2, "the removed one is gone, the other told");
}
