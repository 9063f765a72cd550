/*
 * netlink - see netlink.h.
 *
 * Netlink is in host byte order, so headers are taken whole with
 * fw_cursor_copy and attributes are walked by their lengths (aligned to 4).
 */
#include "re/ifd/netlink.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/core/cursor.h"
#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include <glib-unix.h>

#define REQUEST_BYTES 512
#define REPLY_BYTES   32768 /* the kernel's largest dump datagram */
#define NEIGHBOUR_VALID                                                                            \
    (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT | NUD_NOARP)

struct netlink {
    int requests;
    int events;
    guint source;
    uint32_t serial;
    netlink_neighbour_cb neighbour;
    void *data;
};

struct request {
    uint8_t bytes[REQUEST_BYTES];
    size_t len;
};

/* ------------------------------------------------------------------ building */

static void put(struct request *r, const void *data, size_t len)
{
    size_t padded = NLMSG_ALIGN(len);

    g_assert(r->len + padded <= sizeof r->bytes);
    memset(r->bytes + r->len, 0, padded);
    memcpy(r->bytes + r->len, data, len);
    r->len += padded;
}

static void request_begin(struct netlink *n, struct request *r, uint16_t type, uint16_t flags,
                          const void *body, size_t len)
{
    struct nlmsghdr header = {.nlmsg_type = type,
                              .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags),
                              .nlmsg_seq = ++n->serial};

    r->len = 0;
    put(r, &header, sizeof header);
    put(r, body, len);
}

static void attribute(struct request *r, uint16_t type, const void *data, size_t len)
{
    struct rtattr header = {.rta_type = type, .rta_len = (unsigned short)(sizeof header + len)};

    put(r, &header, sizeof header);
    if (len > 0) {
        put(r, data, len);
    }
}

static void attribute_u32(struct request *r, uint16_t type, uint32_t value)
{
    attribute(r, type, &value, sizeof value);
}

static size_t nest_begin(struct request *r, uint16_t type)
{
    size_t at = r->len;

    attribute(r, type, NULL, 0);
    return at;
}

static void nest_end(struct request *r, size_t at)
{
    struct rtattr header;

    memcpy(&header, r->bytes + at, sizeof header);
    header.rta_len = (unsigned short)(r->len - at);
    memcpy(r->bytes + at, &header, sizeof header);
}

/* ------------------------------------------------------------------ asking */

/* The error of our acknowledgement in a datagram: 0 or an errno, -1 when it is not there. */
static int ack_find(const uint8_t *bytes, size_t len, uint32_t serial)
{
    struct fw_cursor c = fw_cursor(bytes, len);

    while (fw_cursor_left(&c) >= sizeof(struct nlmsghdr)) {
        struct nlmsghdr header;
        struct nlmsgerr ack;
        struct fw_cursor body;

        fw_cursor_copy(&c, &header, sizeof header);
        if (header.nlmsg_len < sizeof header) {
            return EBADMSG;
        }
        body = fw_cursor_sub(
            &c, MIN(NLMSG_ALIGN(header.nlmsg_len) - sizeof header, fw_cursor_left(&c)));
        if (header.nlmsg_type == NLMSG_ERROR && header.nlmsg_seq == serial) {
            return fw_cursor_copy(&body, &ack, sizeof ack) ? -ack.error : EBADMSG;
        }
    }
    return -1;
}

/* Sends and waits for the acknowledgement; 0 or an errno. */
static int request_run(struct netlink *n, struct request *r)
{
    struct nlmsghdr header;
    uint8_t reply[REPLY_BYTES];
    int result = -1;

    memcpy(&header, r->bytes, sizeof header);
    header.nlmsg_len = (uint32_t)r->len;
    memcpy(r->bytes, &header, sizeof header);
    if (send(n->requests, r->bytes, r->len, 0) < 0) {
        return errno;
    }
    while (result < 0) {
        ssize_t got = recv(n->requests, reply, sizeof reply, 0);

        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return got < 0 ? errno : EIO;
        }
        result = ack_find(reply, (size_t)got, header.nlmsg_seq);
    }
    return result;
}

static bool request_finish(struct netlink *n, struct request *r, int tolerated, GError **error,
                           const char *what, int index)
{
    int result = request_run(n, r);

    if (result == 0 || result == tolerated) {
        return true;
    }
    errno = result;
    return fw_fail_errno(error, "%s of link %d", what, index);
}

bool netlink_link_set(struct netlink *n, int index, bool up, uint32_t mtu, const uint8_t *mac,
                      GError **error)
{
    struct ifinfomsg body = {.ifi_family = AF_UNSPEC,
                             .ifi_index = index,
                             .ifi_flags = up ? IFF_UP : 0,
                             .ifi_change = IFF_UP};
    struct request r;

    request_begin(n, &r, RTM_NEWLINK, 0, &body, sizeof body);
    if (mtu > 0) {
        attribute_u32(&r, IFLA_MTU, mtu);
    }
    if (mac) {
        attribute(&r, IFLA_ADDRESS, mac, 6);
    }
    return request_finish(n, &r, 0, error, "state", index);
}

bool netlink_link_quiet(struct netlink *n, int index, GError **error)
{
    struct ifinfomsg body = {.ifi_family = AF_UNSPEC, .ifi_index = index};
    uint8_t no_address = 1; /* IN6_ADDR_GEN_MODE_NONE */
    struct request r;
    size_t spec, family, conf;

    request_begin(n, &r, RTM_NEWLINK, 0, &body, sizeof body);
    spec = nest_begin(&r, IFLA_AF_SPEC);
    family = nest_begin(&r, AF_INET);
    conf = nest_begin(&r, IFLA_INET_CONF);
    attribute_u32(&r, IPV4_DEVCONF_FORWARDING, 0);
    attribute_u32(&r, IPV4_DEVCONF_RP_FILTER, 0);
    attribute_u32(&r, IPV4_DEVCONF_ARP_IGNORE, 1);
    nest_end(&r, conf);
    nest_end(&r, family);
    nest_end(&r, spec);
    if (!request_finish(n, &r, 0, error, "IPv4 settings", index)) {
        return false;
    }
    request_begin(n, &r, RTM_NEWLINK, 0, &body, sizeof body);
    spec = nest_begin(&r, IFLA_AF_SPEC);
    family = nest_begin(&r, AF_INET6);
    attribute(&r, IFLA_INET6_ADDR_GEN_MODE, &no_address, sizeof no_address);
    nest_end(&r, family);
    nest_end(&r, spec);
    /* A kernel without IPv6 has nothing to be kept quiet. */
    return request_finish(n, &r, EAFNOSUPPORT, error, "IPv6 settings", index);
}

bool netlink_link_delete(struct netlink *n, int index, GError **error)
{
    struct ifinfomsg body = {.ifi_family = AF_UNSPEC, .ifi_index = index};
    struct request r;

    request_begin(n, &r, RTM_DELLINK, 0, &body, sizeof body);
    return request_finish(n, &r, ENODEV, error, "removal", index);
}

static unsigned char family_of(const struct fw_addr *addr)
{
    return addr->family == FW_FAMILY_V6 ? AF_INET6 : AF_INET;
}

bool netlink_address(struct netlink *n, int index, const struct fw_prefix *prefix, bool add,
                     GError **error)
{
    struct ifaddrmsg body = {.ifa_family = family_of(&prefix->addr),
                             .ifa_prefixlen = prefix->len,
                             .ifa_scope = RT_SCOPE_UNIVERSE,
                             .ifa_index = (uint32_t)index};
    struct request r;

    request_begin(n, &r, add ? RTM_NEWADDR : RTM_DELADDR, add ? NLM_F_CREATE | NLM_F_REPLACE : 0,
                  &body, sizeof body);
    attribute(&r, IFA_LOCAL, prefix->addr.bytes, fw_addr_size(&prefix->addr));
    attribute(&r, IFA_ADDRESS, prefix->addr.bytes, fw_addr_size(&prefix->addr));
    if (add && prefix->addr.family == FW_FAMILY_V6) {
        attribute_u32(&r, IFA_FLAGS, IFA_F_NODAD);
    }
    return request_finish(n, &r, add ? EEXIST : EADDRNOTAVAIL, error, "address", index);
}

bool netlink_route(struct netlink *n, const struct fw_prefix *prefix, const struct fw_addr *gateway,
                   int index, bool add, GError **error)
{
    bool via = gateway->family != FW_FAMILY_NONE;
    struct rtmsg body = {.rtm_family = family_of(&prefix->addr),
                         .rtm_dst_len = prefix->len,
                         .rtm_table = RT_TABLE_MAIN,
                         .rtm_protocol = RTPROT_STATIC,
                         .rtm_scope = via || index == 0 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
                         .rtm_type = index == 0 ? RTN_BLACKHOLE : RTN_UNICAST};
    struct request r;

    request_begin(n, &r, add ? RTM_NEWROUTE : RTM_DELROUTE, add ? NLM_F_CREATE | NLM_F_REPLACE : 0,
                  &body, sizeof body);
    attribute(&r, RTA_DST, prefix->addr.bytes, fw_addr_size(&prefix->addr));
    if (via) {
        attribute(&r, RTA_GATEWAY, gateway->bytes, fw_addr_size(gateway));
    }
    if (index != 0) {
        attribute_u32(&r, RTA_OIF, (uint32_t)index);
    }
    return request_finish(n, &r, add ? EEXIST : ESRCH, error, "route", index);
}

bool netlink_neighbour_use(struct netlink *n, int index, const struct fw_addr *address,
                           GError **error)
{
    struct ndmsg body = {.ndm_family = family_of(address),
                         .ndm_ifindex = index,
                         .ndm_state = NUD_NONE,
                         .ndm_flags = NTF_USE};
    struct request r;

    request_begin(n, &r, RTM_NEWNEIGH, NLM_F_CREATE, &body, sizeof body);
    attribute(&r, NDA_DST, address->bytes, fw_addr_size(address));
    return request_finish(n, &r, 0, error, "neighbour", index);
}

/* ------------------------------------------------------------------ listening */

static void neighbour_parse(struct fw_cursor *c, bool deleted, netlink_neighbour_cb neighbour,
                            void *data)
{
    struct ndmsg body;
    struct fw_addr address = {0};
    uint8_t mac[6] = {0};
    bool has_mac = false;

    if (!fw_cursor_copy(c, &body, sizeof body)) {
        return;
    }
    if (body.ndm_family != AF_INET && body.ndm_family != AF_INET6) {
        return;
    }
    while (fw_cursor_left(c) >= sizeof(struct rtattr)) {
        struct rtattr header;
        struct fw_cursor value;
        size_t len;

        fw_cursor_copy(c, &header, sizeof header);
        if (header.rta_len < sizeof header) {
            return;
        }
        len = header.rta_len - sizeof header;
        value = fw_cursor_sub(c, len);
        fw_cursor_take(c, MIN(NLMSG_ALIGN(len) - len, fw_cursor_left(c)));
        if (header.rta_type == NDA_DST && len == (body.ndm_family == AF_INET ? 4u : 16u)) {
            address.family = body.ndm_family == AF_INET ? FW_FAMILY_V4 : FW_FAMILY_V6;
            fw_cursor_copy(&value, address.bytes, len);
        } else if (header.rta_type == NDA_LLADDR && len == sizeof mac) {
            has_mac = fw_cursor_copy(&value, mac, sizeof mac);
        }
    }
    if (address.family == FW_FAMILY_NONE || body.ndm_state & NUD_NOARP) {
        return;
    }
    if (!deleted && has_mac && body.ndm_state & NEIGHBOUR_VALID) {
        neighbour(body.ndm_ifindex, &address, mac, false, data);
    } else if (deleted || body.ndm_state & NUD_FAILED) {
        neighbour(body.ndm_ifindex, &address, mac, true, data);
    }
}

bool netlink_parse(const void *bytes, size_t len, netlink_neighbour_cb neighbour, void *data)
{
    struct fw_cursor c = fw_cursor(bytes, len);

    while (fw_cursor_left(&c) > 0) {
        struct nlmsghdr header;
        struct fw_cursor body;
        size_t size;

        if (!fw_cursor_copy(&c, &header, sizeof header) || header.nlmsg_len < sizeof header) {
            return false;
        }
        size = header.nlmsg_len - sizeof header;
        body = fw_cursor_sub(&c, size);
        if (body.failed) {
            return false;
        }
        fw_cursor_take(&c, MIN(NLMSG_ALIGN(size) - size, fw_cursor_left(&c)));
        if (header.nlmsg_type == RTM_NEWNEIGH || header.nlmsg_type == RTM_DELNEIGH) {
            neighbour_parse(&body, header.nlmsg_type == RTM_DELNEIGH, neighbour, data);
        }
    }
    return true;
}

static bool dump_request(struct netlink *n)
{
    struct {
        struct nlmsghdr header;
        struct ndmsg body;
    } request = {.header = {.nlmsg_len = sizeof request,
                            .nlmsg_type = RTM_GETNEIGH,
                            .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                            .nlmsg_seq = 1}};

    return send(n->events, &request, sizeof request, 0) == (ssize_t)sizeof request;
}

static gboolean events_ready(gint fd, GIOCondition condition, gpointer data)
{
    struct netlink *n = data;
    uint8_t bytes[REPLY_BYTES];

    (void)condition;
    for (;;) {
        ssize_t got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);

        if (got < 0 && errno == ENOBUFS) {
            dump_request(n); /* events were lost: ask for all */
            continue;
        }
        if (got <= 0) {
            return G_SOURCE_CONTINUE;
        }
        if (!netlink_parse(bytes, (size_t)got, n->neighbour, n->data)) {
            fw_warning("the kernel's neighbour message was not understood");
        }
    }
}

static int socket_open(uint32_t groups, GError **error)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (fd < 0) {
        fw_fail_errno(error, "netlink socket");
        return -1;
    }
    if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        fw_fail_errno(error, "netlink groups");
        close(fd);
        return -1;
    }
    return fd;
}

struct netlink *netlink_new(netlink_neighbour_cb neighbour, void *data, GError **error)
{
    struct netlink *n;
    int requests = socket_open(0, error);
    int events;

    if (requests < 0) {
        return NULL;
    }
    events = socket_open(RTMGRP_NEIGH, error);
    if (events < 0) {
        close(requests);
        return NULL;
    }
    n = g_new0(struct netlink, 1);
    n->requests = requests;
    n->events = events;
    n->neighbour = neighbour;
    n->data = data;
    n->source = g_unix_fd_add(events, G_IO_IN | G_IO_ERR, events_ready, n);
    dump_request(n);
    return n;
}

void netlink_free(struct netlink *n)
{
    if (n) {
        g_source_remove(n->source);
        close(n->requests);
        close(n->events);
        g_free(n);
    }
}
