/*
 * keys - tables that let Wireshark and tshark read the traffic: DISK/var/keys/esp_sa and
 * ikev2_decryption_table, appended as keys come to life. Only with VCHASSIS_EXPORT_KEYS=1.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/core/log.h"
#include "re/iked/iked.h"

void keys_open(struct iked *iked)
{
    const char *disk = g_getenv("VCHASSIS_DISK");

    if (g_strcmp0(g_getenv("VCHASSIS_EXPORT_KEYS"), "1") != 0 || !disk) {
        return;
    }
    iked->key_directory = g_build_filename(disk, "var", "keys", NULL);
    if (g_mkdir_with_parents(iked->key_directory, 0700) != 0) {
        fw_error("%s: %s", iked->key_directory, g_strerror(errno));
        g_clear_pointer(&iked->key_directory, g_free);
        return;
    }
    fw_warning("keys of all SAs are written to %s: whoever reads them reads the traffic",
               iked->key_directory);
}

/* Takes the line and wipes it. */
static void append(struct iked *iked, const char *table, char *line)
{
    g_autofree char *path = g_build_filename(iked->key_directory, table, NULL);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    size_t n = strlen(line);

    if (fd < 0 || write(fd, line, n) != (ssize_t)n) {
        fw_warning("%s: %s", path, g_strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    fw_wipe(line, n);
    g_free(line);
}

void keys_esp(struct iked *iked, const struct ike_action *install)
{
    if (iked->key_directory) {
        append(iked, "esp_sa", ike_keylog_esp(install));
    }
}

void keys_ike(struct iked *iked, uint32_t sa_index)
{
    char *line = iked->key_directory ? ike_keylog_ike(iked->ike, sa_index) : NULL;

    if (line) {
        append(iked, "ikev2_decryption_table", line);
    }
}
