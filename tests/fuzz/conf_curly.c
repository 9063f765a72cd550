/*
 * conf_curly - arbitrary text at the configuration reader; what it takes must be the same tree
 * after being written, in either form, and read again (set lines have no annotations).
 */
#include "re/mgd/curly.h"
#include "re/mgd/validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void again(const struct schema *schema, const struct conf_node *root)
{
    const struct curly_style style = {.secrets = true};
    GString *text = g_string_new(NULL), *second = g_string_new(NULL);
    struct conf_node *copy;

    curly_write(schema, root, &style, text);
    copy = curly_read(schema, "fuzz", text->str, text->len, NULL);
    g_assert(copy);
    curly_write(schema, copy, &style, second);
    g_assert(strcmp(text->str, second->str) == 0);
    conf_free(copy);
    g_string_free(text, TRUE);
    g_string_free(second, TRUE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct schema *schema;
    struct conf_node *root;

    if (!schema) {
        schema = schema_new(NULL);
    }
    root = curly_read(schema, "fuzz", (const char *)data, len, NULL);
    if (root) {
        again(schema, root);
        schema_expand(schema, root);
        validate(schema, root, NULL, NULL);
        conf_free(root);
    }
    return 0;
}
