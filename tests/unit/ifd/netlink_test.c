/*
 * netlink_test - reading the kernel's neighbour messages, also cut and twisted ones.
 */
#include <criterion/criterion.h>

#include "re/ifd/netlink.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>

static unsigned n_seen;
static bool last_gone;
static int last_index;
static struct fw_addr last_address;
static uint8_t last_mac[6];

static void seen(int index, const struct fw_addr *address, const uint8_t mac[6], bool gone,
                 void *data)
{
    (void)data;
    n_seen++;
    last_index = index;
    last_address = *address;
    last_gone = gone;
    memcpy(last_mac, mac, 6);
}

static void begin(void)
{
    n_seen = 0;
}

static size_t message(uint8_t *bytes, uint16_t type, uint16_t state, bool with_mac)
{
    static const uint8_t address[4] = {10, 1, 1, 10}, mac[6] = {2, 1, 2, 3, 4, 5};
    struct ndmsg body = {.ndm_family = AF_INET, .ndm_ifindex = 9, .ndm_state = state};
    struct rtattr dst = {.rta_type = NDA_DST, .rta_len = sizeof dst + 4};
    struct rtattr lladdr = {.rta_type = NDA_LLADDR, .rta_len = sizeof lladdr + 6};
    struct nlmsghdr header = {.nlmsg_type = type};
    size_t len = sizeof header;

    memcpy(bytes + len, &body, sizeof body);
    len += sizeof body;
    memcpy(bytes + len, &dst, sizeof dst);
    memcpy(bytes + len + sizeof dst, address, 4);
    len += sizeof dst + 4;
    if (with_mac) {
        memcpy(bytes + len, &lladdr, sizeof lladdr);
        memcpy(bytes + len + sizeof lladdr, mac, 6);
        memset(bytes + len + sizeof lladdr + 6, 0, 2);
        len += sizeof lladdr + 8;
    }
    header.nlmsg_len = (uint32_t)len;
    memcpy(bytes, &header, sizeof header);
    return len;
}

Test(netlink, reachable_neighbour, .init = begin)
{
    uint8_t bytes[256];
    size_t len = message(bytes, RTM_NEWNEIGH, NUD_REACHABLE, true);

    cr_assert(netlink_parse(bytes, len, seen, NULL));
    cr_assert_eq(n_seen, 1);
    cr_assert_eq(last_index, 9);
    cr_assert_eq(fw_addr_to_v4(&last_address), 0x0a01010a);
    cr_assert_eq(last_mac[5], 5);
    cr_assert_not(last_gone);
}

Test(netlink, several_in_one_datagram, .init = begin)
{
    uint8_t bytes[512];
    size_t len = message(bytes, RTM_NEWNEIGH, NUD_STALE, true);

    len += message(bytes + len, RTM_DELNEIGH, NUD_STALE, true);
    cr_assert(netlink_parse(bytes, len, seen, NULL));
    cr_assert_eq(n_seen, 2);
    cr_assert(last_gone);
}

Test(netlink, states_without_address, .init = begin)
{
    uint8_t bytes[256];
    size_t len = message(bytes, RTM_NEWNEIGH, NUD_INCOMPLETE, false);

    cr_assert(netlink_parse(bytes, len, seen, NULL));
    cr_assert_eq(n_seen, 0);
    len = message(bytes, RTM_NEWNEIGH, NUD_FAILED, false);
    cr_assert(netlink_parse(bytes, len, seen, NULL));
    cr_assert_eq(n_seen, 1);
    cr_assert(last_gone);
}

Test(netlink, cut_anywhere_is_refused_or_harmless, .init = begin)
{
    uint8_t bytes[256];
    size_t len = message(bytes, RTM_NEWNEIGH, NUD_REACHABLE, true);

    for (size_t cut = 1; cut < len; cut++) {
        uint8_t *copy = g_memdup2(bytes, cut); /* of its very size: overreading is seen */

        cr_assert_not(netlink_parse(copy, cut, seen, NULL));
        g_free(copy);
    }
    cr_assert_eq(n_seen, 0);
}

Test(netlink, attribute_of_wrong_length_ends_the_message, .init = begin)
{
    uint8_t bytes[256];
    size_t len = message(bytes, RTM_NEWNEIGH, NUD_REACHABLE, true);

    bytes[sizeof(struct nlmsghdr) + sizeof(struct ndmsg)] = 1; /* shorter than its own header */
    cr_assert(netlink_parse(bytes, len, seen, NULL));
    cr_assert_eq(n_seen, 0);
}
