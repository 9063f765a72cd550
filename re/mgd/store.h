/*
 * store - the active configuration and its predecessors on the disk of the RE.
 *
 * DIRECTORY/active.conf, rollback.1 (the one before) .. rollback.STORE_ROLLBACKS.
 * A new one is written beside, synced, then renamed: a crash leaves the old or
 * the new, never a half. Main thread only; blocks for the sync.
 */
#ifndef MGD_STORE_H
#define MGD_STORE_H

#include <glib.h>
#include <stdbool.h>

#define STORE_ROLLBACKS 49         /* as on the device */
#define STORE_FILE_MAX  (16u << 20) /* bytes of a configuration file that is read */

/* Text of the active configuration (number 0) or a rollback; free with g_free. NULL with *error:
 * FW_ERROR_NOT_FOUND when there is none. */
char *store_read(const char *directory, unsigned number, gsize *ret_len, GError **error);
/* Any file, with the same limit. */
char *store_read_file(const char *path, gsize *ret_len, GError **error);
/* Make text the active configuration; the active one becomes rollback 1. Makes the directory. */
bool store_write(const char *directory, const char *text, gsize len, GError **error);

#endif
