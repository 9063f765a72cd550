/* host - see host.h. */
#include "hw/host/host.h"

#include <string.h>
#include <sys/wait.h>

G_DEFINE_INTERFACE(HwHost, hw_host, G_TYPE_OBJECT)

static void hw_host_default_init(HwHostInterface *interface)
{
    (void)interface;
}

struct hw_guest *hw_host_start(HwHost *host, const struct hw_host_board *board,
                               hw_host_ended_cb ended, void *data, GError **error)
{
    return HW_HOST_GET_IFACE(host)->start(host, board, ended, data, error);
}

void hw_host_kill(HwHost *host, struct hw_guest *guest)
{
    HW_HOST_GET_IFACE(host)->kill(host, guest);
}

void hw_host_forget(HwHost *host, struct hw_guest *guest)
{
    HW_HOST_GET_IFACE(host)->forget(host, guest);
}

uint32_t hw_host_pid(HwHost *host, struct hw_guest *guest)
{
    return HW_HOST_GET_IFACE(host)->pid(host, guest);
}

char *hw_host_status_text(int status)
{
    if (WIFSIGNALED(status)) {
        return g_strdup_printf("killed by signal %d (%s)", WTERMSIG(status),
                               strsignal(WTERMSIG(status)));
    }
    return g_strdup_printf("exit status %d", WIFEXITED(status) ? WEXITSTATUS(status) : status);
}
