/*
 * process_host - HwProcessHost: a board is a process on this machine.
 *
 * The child gets descriptors 0 (/dev/null), 1 and 2 (the node's log), 3
 * (supervision) and 4 (bus) and nothing else; it is killed when this process
 * dies. Programs are found in one directory.
 */
#ifndef HW_HOST_PROCESS_HOST_H
#define HW_HOST_PROCESS_HOST_H

#include "hw/host/host.h"

#define HW_TYPE_PROCESS_HOST (hw_process_host_get_type())
G_DECLARE_FINAL_TYPE(HwProcessHost, hw_process_host, HW, PROCESS_HOST, GObject)

/* directory: of the programs; NULL: $VCHASSIS_LIBEXEC, else that of the running program. */
HwProcessHost *hw_process_host_new(const char *directory);

#endif
