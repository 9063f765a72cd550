/*
 * device - see device.h.
 */
#include "re/ifd/device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "firmware/core/error.h"

int device_open(const char *name, bool tap, int *ret_index, GError **error)
{
    struct ifreq request = {0};
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0) {
        fw_fail_errno(error, "/dev/net/tun");
        return -1;
    }
    g_strlcpy(request.ifr_name, name, sizeof request.ifr_name);
    request.ifr_flags = (short)((tap ? IFF_TAP : IFF_TUN) | IFF_NO_PI | IFF_VNET_HDR);
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        fw_fail_errno(error, "device %s", name);
        close(fd);
        return -1;
    }
    *ret_index = device_index(name);
    if (*ret_index == 0) {
        fw_fail(error, FW_ERROR_SYSTEM, "device %s vanished", name);
        close(fd);
        return -1;
    }
    return fd;
}

void device_carrier(int fd, bool up)
{
#ifdef TUNSETCARRIER
    int carrier = up;

    if (ioctl(fd, TUNSETCARRIER, &carrier) < 0) {
        return;
    }
#else
    (void)fd;
    (void)up;
#endif
}

int device_index(const char *name)
{
    return (int)if_nametoindex(name);
}

void device_setting(const char *path, const char *value)
{
    g_autofree char *full = g_strconcat("/proc/sys/net/", path, NULL);
    int fd = open(full, O_WRONLY | O_CLOEXEC);

    if (fd >= 0) {
        if (write(fd, value, strlen(value)) < 0) {
            errno = 0;
        }
        close(fd);
    }
}
