/*
 * lockdown - after `ready` a card opens nothing.
 *
 * A seccomp filter for all threads of the process: what was inherited can be read, written,
 * mapped and waited for; opening files, making sockets, connecting, executing and tracing
 * answer EPERM. Without libseccomp (or under sanitizers) it does nothing and says so once.
 */
#ifndef BOOT_LOCKDOWN_H
#define BOOT_LOCKDOWN_H

#include <glib.h>
#include <stdbool.h>

/* Cannot be undone. false with the reason when the kernel refuses. */
bool boot_lockdown(GError **error);

#endif
