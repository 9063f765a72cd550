/*
 * lockdown - see lockdown.h.
 *
 * The list names what is refused: everything that opens, connects, executes, traces or changes
 * identity. A list of what is allowed would break with every new libc; what a card can still do
 * is use its descriptors, which is what it is for. clone3 answers ENOSYS so that libc falls back
 * to clone, whose flags the filter can see: new processes are refused, threads are not.
 */
#include "firmware/boot/lockdown.h"

#include "firmware/core/error.h"
#include "firmware/core/log.h"

#ifdef HAVE_SECCOMP
#include <errno.h>
#include <sched.h>
#include <seccomp.h>

static const char *const refused[] = {
    "open",        "openat",     "openat2",    "creat",        "socket",        "socketpair",
    "connect",     "bind",       "listen",     "accept",       "accept4",       "execve",
    "execveat",    "fork",       "vfork",      "ptrace",       "process_vm_readv",
    "process_vm_writev",         "mount",      "umount2",      "pivot_root",    "chroot",
    "unshare",     "setns",      "setuid",     "setgid",       "setreuid",      "setregid",
    "setresuid",   "setresgid",  "unlink",     "unlinkat",     "rename",        "renameat",
    "renameat2",   "mkdir",      "mkdirat",    "rmdir",        "link",          "linkat",
    "symlink",     "symlinkat",  "mknod",      "mknodat",      "chmod",         "fchmodat",
    "chown",       "fchownat",   "truncate",   "kexec_load",   "init_module",   "finit_module",
    "delete_module", "bpf",      "perf_event_open", "userfaultfd", "io_uring_setup",
    "memfd_create", "pidfd_open", "pidfd_getfd", "keyctl",     "add_key",       "request_key"};

bool boot_lockdown(GError **error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    bool ok = filter && seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0;
    int result = 0;

    for (unsigned i = 0; ok && i < G_N_ELEMENTS(refused); i++) {
        int call = seccomp_syscall_resolve_name(refused[i]);

        if (call == __NR_SCMP_ERROR) {
            continue; /* not on this kernel or architecture */
        }
        ok = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0) == 0;
    }
    ok = ok && seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0)) == 0;
    ok = ok && seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0) == 0;
    if (ok) {
        result = seccomp_load(filter);
        ok = result == 0;
    }
    if (filter) {
        seccomp_release(filter);
    }
    if (!ok) {
        errno = -result;
        return fw_fail_errno(error, "seccomp filter");
    }
    return true;
}

#else

bool boot_lockdown(GError **error)
{
    (void)error;
    fw_debug("built without libseccomp: the board is not locked down");
    return true;
}

#endif
