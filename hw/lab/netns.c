/*
 * netns - see netns.h.
 *
 * Links, addresses and routes are set by iproute2 in batch mode, one process a
 * host; TAPs by ioctl, because their descriptor is what we are after.
 */
#include "hw/lab/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "firmware/core/error.h"
#include "firmware/core/log.h"
#include "hw/lab/child.h"

#define VNET_HEADER_BYTES 12

static int home = -1; /* labd's own namespace */

static bool come_home(GError **error)
{
    if (setns(home, CLONE_NEWNET) != 0) {
        return fw_fail_errno(error, "cannot return to the lab's own network namespace");
    }
    return true;
}

bool netns_init(GError **error)
{
    home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (home < 0) {
        return fw_fail_errno(error, "/proc/thread-self/ns/net cannot be opened; mount /proc");
    }
    return true;
}

/* Some containers mount /proc/sys read-only: the default is then what the kernel made. */
static void sysctl_write(const char *name, const char *value)
{
    g_autofree char *path = g_build_filename("/proc/sys/net", name, NULL);
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, value, strlen(value)) < 0) {
        fw_debug("%s is not writable: %s", path, g_strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
}

static bool ip_batch(int netns, const char *commands, GError **error)
{
    static const char *const argv[] = {"ip", "-batch", "-", NULL};
    struct child_spec spec = {.argv = argv, .netns = netns};

    if (!child_run(&spec, commands, error)) {
        g_prefix_error(error, "iproute2 refused the lab's addresses: ");
        return false;
    }
    return true;
}

int netns_new(bool ipv6, GError **error)
{
    int fd;

    if (unshare(CLONE_NEWNET) != 0) {
        fw_fail_errno(error, "the kernel refuses another network namespace; raise "
                             "/proc/sys/user/max_net_namespaces");
        return -1;
    }
    fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    sysctl_write("ipv4/ip_forward", "0");
    if (!ipv6) {
        sysctl_write("ipv6/conf/all/disable_ipv6", "1");
        sysctl_write("ipv6/conf/default/disable_ipv6", "1");
    }
    if (fd < 0) {
        fw_fail_errno(error, "cannot open a network namespace");
        come_home(NULL);
        return -1;
    }
    if (!come_home(error) || !ip_batch(fd, "link set lo up\n", error)) {
        close(fd);
        return -1;
    }
    return fd;
}

static int tap_open(const char *name, GError **error)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int header = VNET_HEADER_BYTES;
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        fw_fail_errno(error, "/dev/net/tun cannot be opened; load the module tun, and in a "
                             "container pass the device (--device /dev/net/tun)");
        return -1;
    }
    g_strlcpy(request.ifr_name, name, sizeof(request.ifr_name));
    if (ioctl(fd, TUNSETIFF, &request) != 0 || ioctl(fd, TUNSETVNETHDRSZ, &header) != 0 ||
        ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) != 0) {
        fw_fail_errno(error, "the kernel refuses the TAP device %s", name);
        close(fd);
        return -1;
    }
    return fd;
}

int netns_tap(int netns, const char *name, GError **error)
{
    int fd;

    if (setns(netns, CLONE_NEWNET) != 0) {
        fw_fail_errno(error, "cannot enter a network namespace");
        return -1;
    }
    fd = tap_open(name, error);
    if (!come_home(fd < 0 ? NULL : error)) {
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

void netns_tap_carrier(int tap, bool up)
{
    int carrier = up;

    if (ioctl(tap, TUNSETCARRIER, &carrier) != 0) {
        fw_debug("the carrier of a TAP cannot be set: %s", g_strerror(errno));
    }
}

bool netns_veth(int a, const char *name_a, int b, const char *name_b, GError **error)
{
    /* By our own pid: descriptors above 2 do not reach the child. */
    g_autofree char *commands =
        g_strdup_printf("link add name %s type veth peer name %s netns /proc/%d/fd/%d\n", name_a,
                        name_b, (int)getpid(), b);

    return ip_batch(a, commands, error);
}

bool netns_configure(int netns, const struct lab_host *host, unsigned n_interfaces, GError **error)
{
    g_autoptr(GString) batch = g_string_new(NULL);
    char text[FW_ADDR_TEXT], via[FW_ADDR_TEXT];

    for (unsigned n = 0; n < n_interfaces; n++) {
        g_string_append_printf(batch, "link set eth%u up\n", n);
    }
    for (unsigned n = 0; n < host->n_addresses; n++) {
        g_string_append_printf(batch, "addr add %s dev %s%s\n",
                               fw_prefix_text(&host->addresses[n], text),
                               n_interfaces ? "eth0" : "lo",
                               host->addresses[n].addr.family == FW_FAMILY_V6 ? " nodad" : "");
    }
    if (host->gateway.family != FW_FAMILY_NONE) {
        g_string_append_printf(batch, "route add default via %s\n",
                               fw_addr_text(&host->gateway, via));
    }
    for (unsigned n = 0; n < host->n_routes; n++) {
        struct fw_prefix network = fw_prefix_network(&host->routes[n].prefix);

        g_string_append_printf(batch, "route add %s via %s\n", fw_prefix_text(&network, text),
                               fw_addr_text(&host->routes[n].via, via));
    }
    if (batch->len == 0) {
        return true;
    }
    if (!ip_batch(netns, batch->str, error)) {
        g_prefix_error(error, "host %s: ", host->name);
        return false;
    }
    return true;
}
