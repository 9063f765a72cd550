/*
 * The configuration files: written whole, predecessors kept.
 */
#include <criterion/criterion.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "firmware/core/error.h"
#include "re/mgd/store.h"

static char *directory;

static void setup(void)
{
    g_autofree char *top = g_dir_make_tmp("store-XXXXXX", NULL);

    directory = g_build_filename(top, "config", NULL);
}

static void teardown(void)
{
    g_autofree char *top = g_path_get_dirname(directory);
    GDir *dir = g_dir_open(directory, 0, NULL);
    const char *name;

    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *path = g_build_filename(directory, name, NULL);

        g_unlink(path);
    }
    if (dir) {
        g_dir_close(dir);
    }
    g_rmdir(directory);
    g_rmdir(top);
    g_free(directory);
}

static void holds(unsigned number, const char *text)
{
    gsize len;
    g_autofree char *is = store_read(directory, number, &len, NULL);

    cr_assert_not_null(is, "%u is not there", number);
    cr_assert_str_eq(is, text);
    cr_assert_eq(len, strlen(text));
}

Test(store, predecessors_move_up, .init = setup, .fini = teardown)
{
    GError *error = NULL;
    gsize len;

    cr_assert_null(store_read(directory, 0, &len, &error));
    cr_assert(g_error_matches(error, FW_ERROR, FW_ERROR_NOT_FOUND));
    g_clear_error(&error);
    cr_assert(store_write(directory, "a", 1, &error));
    holds(0, "a");
    cr_assert_null(store_read(directory, 1, &len, NULL));
    cr_assert(store_write(directory, "bb", 2, &error));
    cr_assert(store_write(directory, "", 0, &error));
    holds(0, "");
    holds(1, "bb");
    holds(2, "a");
    for (unsigned i = 0; i < STORE_ROLLBACKS + 5; i++) {
        cr_assert(store_write(directory, "x", 1, &error));
    }
    holds(STORE_ROLLBACKS, "x");
    cr_assert_null(store_read(directory, STORE_ROLLBACKS + 1, &len, NULL));
}

Test(store, a_left_over_of_a_crash_is_no_obstacle, .init = setup, .fini = teardown)
{
    g_autofree char *fresh = g_build_filename(directory, "active.conf.new", NULL);

    cr_assert(store_write(directory, "a", 1, NULL));
    cr_assert(g_file_set_contents(fresh, "half", -1, NULL));
    cr_assert(store_write(directory, "b", 1, NULL));
    holds(0, "b");
    cr_assert_not(g_file_test(fresh, G_FILE_TEST_EXISTS));
}

Test(store, what_is_no_file_is_refused, .init = setup, .fini = teardown)
{
    GError *error = NULL;
    gsize len;

    cr_assert_null(store_read_file("/", &len, &error));
    cr_assert(g_error_matches(error, FW_ERROR, FW_ERROR_INVALID));
    g_error_free(error);
}
