/*
 * plumbing - namespaces of nodes and hosts, and the links between them.
 *
 * node port - host      a TAP in the host's namespace; the node gets its descriptor
 * node port - node port a datagram socket pair, a frame a datagram
 * node port - traffic   the same, the other end goes to vc-traffic
 * host - host           a veth pair
 * labd keeps a copy of every descriptor, so that a node may go and come back.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "firmware/core/error.h"
#include "hw/lab/labd.h"
#include "hw/lab/netns.h"

#define LINK_BUFFER (4 * 1024 * 1024) /* bytes a direction: 64 frames of 64 KiB */

static struct labd_host *host_of(struct labd *labd, const struct lab_host *file)
{
    return &labd->hosts[file - labd->file->hosts];
}

static bool pair_make(struct labd_link *link, GError **error)
{
    int size = LINK_BUFFER;

    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, link->fds) != 0) {
        link->fds[0] = link->fds[1] = -1;
        return fw_fail_errno(error, "link %s: no socket pair", link->file->name);
    }
    for (unsigned n = 0; n < 2; n++) {
        /* Forcing needs a right an ordinary user lacks; then the system's limit applies. */
        if (setsockopt(link->fds[n], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) != 0) {
            setsockopt(link->fds[n], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
        }
    }
    link->kind = BUS_PORT_KIND_DATAGRAM;
    return true;
}

static bool link_make(struct labd *labd, struct labd_link *link, GError **error)
{
    const struct lab_end *a = &link->file->ends[0];
    const struct lab_end *b = &link->file->ends[1];
    const struct lab_end *end = a->host ? a : b;

    if (a->host && b->host) {
        struct labd_host *host_a = host_of(labd, a->host);
        struct labd_host *host_b = host_of(labd, b->host);

        host_a->interfaces++;
        host_b->interfaces++;
        return netns_veth(host_a->netns, a->port, host_b->netns, b->port, error);
    }
    if (!end->host || end->host->type == LAB_TRAFFIC) {
        return pair_make(link, error);
    }
    link->kind = BUS_PORT_KIND_TAP;
    host_of(labd, end->host)->interfaces++;
    link->fds[a->host ? 1 : 0] = netns_tap(host_of(labd, end->host)->netns, end->port, error);
    return link->fds[a->host ? 1 : 0] >= 0;
}

static bool lab_is_v6(const struct lab_file *file)
{
    for (unsigned n = 0; n < file->n_hosts; n++) {
        for (unsigned a = 0; a < file->hosts[n].n_addresses; a++) {
            if (file->hosts[n].addresses[a].addr.family == FW_FAMILY_V6) {
                return true;
            }
        }
    }
    return false;
}

bool labd_plumb(struct labd *labd, GError **error)
{
    bool ipv6 = lab_is_v6(labd->file);

    for (unsigned n = 0; n < labd->file->n_nodes; n++) {
        struct labd_node *node = &labd->nodes[labd->n_nodes++];

        node->labd = labd;
        node->file = &labd->file->nodes[n];
        node->run = g_build_filename(labd->run, node->file->name, NULL);
        node->disk = g_build_filename(labd->disk, node->file->name, NULL);
        node->netns = netns_new(ipv6, error);
        if (node->netns < 0) {
            return false;
        }
    }
    for (unsigned n = 0; n < labd->file->n_hosts; n++) {
        struct labd_host *host = &labd->hosts[labd->n_hosts++];

        host->labd = labd;
        host->file = &labd->file->hosts[n];
        host->netns = -1;
        if (host->file->type == LAB_HOST && (host->netns = netns_new(ipv6, error)) < 0) {
            return false;
        }
    }
    for (unsigned n = 0; n < labd->file->n_links; n++) {
        struct labd_link *link = &labd->links[labd->n_links++];

        link->file = &labd->file->links[n];
        link->fds[0] = link->fds[1] = -1;
        link->kind = BUS_PORT_KIND_NONE;
        link->up = true;
        if (!link_make(labd, link, error)) {
            g_prefix_error(error, "link %s: ", link->file->name);
            return false;
        }
    }
    for (unsigned n = 0; n < labd->n_hosts; n++) {
        struct labd_host *host = &labd->hosts[n];

        if (host->file->type == LAB_HOST &&
            !netns_configure(host->netns, host->file, host->interfaces, error)) {
            return false;
        }
    }
    return true;
}

int labd_netns_of(const struct labd *labd, const char *where)
{
    for (unsigned n = 0; n < labd->n_hosts; n++) {
        if (strcmp(labd->hosts[n].file->name, where) == 0) {
            return labd->hosts[n].netns;
        }
    }
    for (unsigned n = 0; n < labd->n_nodes; n++) {
        if (strcmp(labd->nodes[n].file->name, where) == 0) {
            return labd->nodes[n].netns;
        }
    }
    return -1;
}

/* Is the far side of end n able to carry a signal? */
static bool far_alive(struct labd *labd, const struct labd_link *link, unsigned n)
{
    const struct lab_end *far = &link->file->ends[1 - n];

    return !far->node || labd->nodes[far->node - labd->file->nodes].state != NODE_OFF;
}

static void link_refresh(struct labd *labd, struct labd_link *link)
{
    for (unsigned n = 0; n < 2; n++) {
        const struct lab_end *end = &link->file->ends[n];
        bool up = link->up && far_alive(labd, link, n);

        if (end->node) {
            labd_node_link(&labd->nodes[end->node - labd->file->nodes], end->port, up);
        } else if (link->kind == BUS_PORT_KIND_TAP) {
            netns_tap_carrier(link->fds[1 - n], up);
        }
    }
}

void labd_links_refresh(struct labd *labd)
{
    for (unsigned n = 0; n < labd->n_links; n++) {
        link_refresh(labd, &labd->links[n]);
    }
}

bool labd_link_set(struct labd *labd, const char *name, bool up)
{
    for (unsigned n = 0; n < labd->n_links; n++) {
        if (strcmp(labd->links[n].file->name, name) == 0) {
            labd->links[n].up = up;
            link_refresh(labd, &labd->links[n]);
            return true;
        }
    }
    return false;
}
