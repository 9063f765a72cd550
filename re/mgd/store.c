/*
 * store - see store.h.
 */
#include "re/mgd/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "firmware/core/error.h"
#include "firmware/core/secret.h"

static char *path_of(const char *directory, unsigned number)
{
    return number == 0 ? g_build_filename(directory, "active.conf", NULL)
                       : g_strdup_printf("%s/rollback.%u", directory, number);
}

char *store_read_file(const char *path, gsize *ret_len, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char *text;
    gsize len = 0;
    ssize_t n = 1;

    if (fd < 0) {
        if (errno == ENOENT) {
            fw_fail(error, FW_ERROR_NOT_FOUND, "%s: no such file", path);
        } else {
            fw_fail_errno(error, "%s", path);
        }
        return NULL;
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)STORE_FILE_MAX) {
        fw_fail(error, FW_ERROR_INVALID, "%s: not a file of at most %u bytes", path,
                STORE_FILE_MAX);
        close(fd);
        return NULL;
    }
    text = g_malloc((gsize)st.st_size + 1);
    while (len < (gsize)st.st_size && n > 0) {
        n = read(fd, text + len, (gsize)st.st_size - len);
        len += n > 0 ? (gsize)n : 0;
    }
    close(fd);
    text[len] = 0;
    *ret_len = len;
    return text;
}

char *store_read(const char *directory, unsigned number, gsize *ret_len, GError **error)
{
    g_autofree char *path = path_of(directory, number);

    return store_read_file(path, ret_len, error);
}

static bool write_all(int fd, const char *text, gsize len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);

        if (n < 0) {
            if (errno == EINTR) {
                continue;
            }
            return false;
        }
        text += n;
        len -= (gsize)n;
    }
    return true;
}

static void rotate(const char *directory)
{
    g_autofree char *active = path_of(directory, 0), *first = path_of(directory, 1);

    for (unsigned i = STORE_ROLLBACKS; i > 1; i--) {
        g_autofree char *from = path_of(directory, i - 1), *to = path_of(directory, i);

        rename(from, to);
    }
    unlink(first);
    if (link(active, first) < 0 && errno != ENOENT) {
        /* A file system without links: the predecessor is a copy of the name only. */
        rename(active, first);
    }
}

bool store_write(const char *directory, const char *text, gsize len, GError **error)
{
    g_autofree char *active = path_of(directory, 0);
    g_autofree char *fresh = g_build_filename(directory, "active.conf.new", NULL);
    int fd, folder;

    if (g_mkdir_with_parents(directory, 0700) < 0) {
        return fw_fail_errno(error, "%s", directory);
    }
    unlink(fresh);
    fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fw_fail_errno(error, "%s", fresh);
    }
    if (!write_all(fd, text, len) || fsync(fd) < 0) {
        fw_fail_errno(error, "%s", fresh);
        close(fd);
        unlink(fresh);
        return false;
    }
    close(fd);
    rotate(directory);
    if (rename(fresh, active) < 0) {
        return fw_fail_errno(error, "%s", active);
    }
    folder = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
        fsync(folder);
        close(folder);
    }
    return true;
}
