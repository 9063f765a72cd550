/*
 * conf_tree - arbitrary bytes at the reader of configuration trees; what it takes must survive
 * being written and read again.
 */
#include "re/conf/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fw_cursor c = fw_cursor(data, len);
    struct conf_node *root = conf_deserialise(&c);
    GByteArray *bytes;
    struct conf_node *again;

    if (!root) {
        return 0;
    }
    bytes = conf_serialise(root);
    g_assert(bytes);
    c = fw_cursor(bytes->data, bytes->len);
    again = conf_deserialise(&c);
    g_assert(again && conf_equal(root, again));
    conf_free(again);
    conf_free(root);
    g_byte_array_unref(bytes);
    return 0;
}
