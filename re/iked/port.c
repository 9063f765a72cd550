/*
 * port - UDP 500 and 4500 of the node, IPv4 and IPv6.
 *
 * Wildcard sockets; the local address comes with each datagram (IP_PKTINFO) and is given back when
 * sending, so an answer leaves from where the question arrived. On 4500 an IKE message carries four
 * zero bytes in front (RFC 3948); a lone 0xff is a keepalive; anything else is ESP that should have
 * gone to an SPU and is dropped. Non-blocking; what the kernel does not take is lost, as on a wire.
 */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <glib-unix.h>

#include "firmware/core/clock.h"
#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "re/iked/iked.h"

#define SOCKETS 4
#define BURST   64 /* datagrams a turn of the loop, so that the bus gets its turn too */

struct side {
    struct port *port;
    int fd;
    int family;
    uint16_t number;
    guint source;
};

struct port {
    struct iked *iked;
    struct side sides[SOCKETS];
    uint64_t refused, strays, unsent;
};

static int side_open(int family, uint16_t number, GError **error)
{
    int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const int on = 1;
    struct fw_addr any = {family == AF_INET ? FW_FAMILY_V4 : FW_FAMILY_V6, {0}};
    struct sockaddr_storage at;
    socklen_t n = fw_addr_to_sockaddr(&any, number, &at);

    if (fd < 0) {
        fw_fail_errno(error, "UDP socket for port %u", number);
        return -1;
    }
    if ((family == AF_INET
             ? setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on)
             : setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) ||
                   setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on)) != 0 ||
        bind(fd, (struct sockaddr *)&at, n) != 0) {
        fw_fail_errno(error, "UDP port %u", number);
        close(fd);
        return -1;
    }
    return fd;
}

struct port *port_open(struct iked *iked, GError **error)
{
    struct port *port = g_new0(struct port, 1);

    port->iked = iked;
    for (unsigned i = 0; i < SOCKETS; i++) {
        struct side *s = &port->sides[i];
        g_autoptr(GError) why = NULL;

        s->port = port;
        s->family = i < 2 ? AF_INET : AF_INET6;
        s->number = i % 2 ? IKE_NATT_PORT : IKE_PORT;
        s->fd = side_open(s->family, s->number, &why);
        if (s->fd < 0 && s->family == AF_INET6) {
            fw_info("no IPv6 here: %s", why->message);
        } else if (s->fd < 0) {
            g_propagate_error(error, g_steal_pointer(&why));
            port_close(port);
            return NULL;
        }
    }
    return port;
}

static bool local_address(struct msghdr *m, struct fw_addr *ret)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof info);
            *ret = (struct fw_addr){FW_FAMILY_V4, {0}};
            memcpy(ret->bytes, &info.ipi_addr, 4);
            return true;
        }
        if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;

            memcpy(&info, CMSG_DATA(c), sizeof info);
            *ret = (struct fw_addr){FW_FAMILY_V6, {0}};
            memcpy(ret->bytes, &info.ipi6_addr, 16);
            return true;
        }
    }
    return false;
}

static void arrived(struct side *s, struct ike_datagram *d)
{
    static const uint8_t marker[4];
    enum ike_verdict v;

    if (s->number == IKE_NATT_PORT) {
        if (d->n_bytes < 4 || memcmp(d->bytes, marker, 4) != 0) {
            s->port->strays += d->n_bytes != 1;
            return;
        }
        d->natt = true;
        d->bytes += 4;
        d->n_bytes -= 4;
    }
    v = ike_receive(s->port->iked->ike, d, fw_clock_ns());
    if (v != IKE_VERDICT_OK && v != IKE_VERDICT_REPEATED) {
        s->port->refused++;
        fw_debug("IKE message refused: %s", ike_verdict_name(v));
    }
    iked_pump(s->port->iked);
}

static gboolean readable(gint fd, GIOCondition condition, gpointer data)
{
    struct side *s = data;

    (void)condition;
    for (unsigned i = 0; i < BURST; i++) {
        static uint8_t bytes[IKE_DATAGRAM_MAX + 5];
        uint8_t control[128] __attribute__((aligned(8)));
        struct sockaddr_storage from;
        struct iovec iov = {bytes, sizeof bytes};
        struct msghdr m = {.msg_name = &from,
                           .msg_namelen = sizeof from,
                           .msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
        struct ike_datagram d = {.local_port = s->number};
        ssize_t n = recvmsg(fd, &m, 0);

        if (n < 0) {
            if (errno == EINTR || errno == ECONNREFUSED || errno == EHOSTUNREACH) {
                continue;
            }
            break;
        }
        if (n == 0 || (m.msg_flags & MSG_TRUNC)) {
            s->port->strays++;
        } else if (local_address(&m, &d.local) &&
            fw_addr_from_sockaddr(&from, &d.remote, &d.remote_port)) {
            d.bytes = bytes;
            d.n_bytes = (size_t)n;
            arrived(s, &d);
        }
    }
    return G_SOURCE_CONTINUE;
}

uint64_t port_strays(const struct port *port)
{
    return port->strays;
}

void port_start(struct port *port)
{
    for (unsigned i = 0; i < SOCKETS; i++) {
        struct side *s = &port->sides[i];

        if (s->fd >= 0 && !s->source) {
            s->source = g_unix_fd_add(s->fd, G_IO_IN, readable, s);
        }
    }
}

static size_t control_put(struct msghdr *m, const struct fw_addr *local)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(m);

    if (local->family == FW_FAMILY_V4) {
        struct in_pktinfo info = {0};

        memcpy(&info.ipi_spec_dst, local->bytes, 4);
        c->cmsg_level = IPPROTO_IP;
        c->cmsg_type = IP_PKTINFO;
        c->cmsg_len = CMSG_LEN(sizeof info);
        memcpy(CMSG_DATA(c), &info, sizeof info);
        return CMSG_SPACE(sizeof info);
    }
    struct in6_pktinfo info = {0};

    memcpy(&info.ipi6_addr, local->bytes, 16);
    c->cmsg_level = IPPROTO_IPV6;
    c->cmsg_type = IPV6_PKTINFO;
    c->cmsg_len = CMSG_LEN(sizeof info);
    memcpy(CMSG_DATA(c), &info, sizeof info);
    return CMSG_SPACE(sizeof info);
}

void port_send(struct port *port, const struct ike_action *a)
{
    static uint8_t marker[4];
    int family = a->remote.family == FW_FAMILY_V6 ? AF_INET6 : AF_INET;
    uint8_t control[128] __attribute__((aligned(8))) = {0};
    struct sockaddr_storage to;
    struct iovec iov[2] = {{marker, a->natt ? 4 : 0}, {a->bytes, a->n_bytes}};
    struct msghdr m = {.msg_name = &to,
                       .msg_iov = iov,
                       .msg_iovlen = 2,
                       .msg_control = control,
                       .msg_controllen = sizeof control};

    m.msg_namelen = fw_addr_to_sockaddr(&a->remote, a->remote_port, &to);
    m.msg_controllen = control_put(&m, &a->local);
    for (unsigned i = 0; i < SOCKETS; i++) {
        struct side *s = &port->sides[i];

        if (s->fd >= 0 && s->family == family && s->number == a->local_port) {
            if (sendmsg(s->fd, &m, 0) < 0) {
                port->unsent++;
                fw_debug("IKE message not sent: %s", g_strerror(errno));
            }
            return;
        }
    }
    port->unsent++;
}

void port_close(struct port *port)
{
    for (unsigned i = 0; i < SOCKETS; i++) {
        if (port->sides[i].source) {
            g_source_remove(port->sides[i].source);
        }
        if (port->sides[i].fd >= 0) {
            close(port->sides[i].fd);
        }
    }
    g_free(port);
}
