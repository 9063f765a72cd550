/*
 * labfile - fuzz target: the lab file reader, with the catalogue that comes with the program.
 */
#include <stddef.h>
#include <stdint.h>

#include "hw/lab/labfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct catalog *catalog;
    g_autoptr(GError) error = NULL;
    struct lab_file *lab;

    if (!catalog) {
        catalog = catalog_load(CATALOG_DIRECTORY, NULL);
        g_assert(catalog);
    }
    lab = lab_file_parse((const char *)data, size, "fuzz.yaml", false, catalog, &error);
    g_assert((lab != NULL) != (error != NULL));
    lab_file_free(lab);
    return 0;
}
