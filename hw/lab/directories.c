/*
 * directories - where a lab's run directory and the nodes' disks lie.
 *
 * See docs/internals/contracts.md. The names are computed from the environment
 * each time; nothing is created here.
 */
#include <unistd.h>

#include "hw/lab/labfile.h"

char *lab_run_root(void)
{
    const char *dir = g_getenv("VCHASSIS_RUN_DIR");
    const char *runtime = g_getenv("XDG_RUNTIME_DIR");
    g_autofree char *leaf = g_strdup_printf("vchassis-%u", (unsigned)getuid());

    if (dir && *dir) {
        return g_canonicalize_filename(dir, NULL);
    }
    return g_build_filename(runtime && *runtime ? runtime : "/tmp", leaf, NULL);
}

char *lab_run_directory(const char *lab)
{
    g_autofree char *root = lab_run_root();

    return g_build_filename(root, lab, NULL);
}

char *lab_disk_root(const char *lab)
{
    const char *dir = g_getenv("VCHASSIS_STATE_DIR");
    const char *state = g_getenv("XDG_STATE_HOME");

    if (dir && *dir) {
        g_autofree char *absolute = g_canonicalize_filename(dir, NULL);

        return g_build_filename(absolute, lab, NULL);
    }
    if (state && *state) {
        return g_build_filename(state, "vchassis", lab, NULL);
    }
    return g_build_filename(g_get_home_dir(), ".local", "state", "vchassis", lab, NULL);
}

char *lab_disk_directory(const char *lab, const char *node)
{
    g_autofree char *root = lab_disk_root(lab);

    return g_build_filename(root, node, NULL);
}
