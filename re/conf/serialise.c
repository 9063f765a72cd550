/*
 * serialise - the binary form of a configuration tree.
 *
 * u32 magic, then the nodes in order, each: u8 kind, u8 flags, u32 line, name,
 * value, comment (u16 length + bytes; 0xffff for none), u32 number of children,
 * the children. The root has no name. Limits stand in conf.h; whatever breaks
 * one makes the whole malformed. Any thread.
 */
#include "firmware/core/secret.h"
#include "re/conf/conf.h"

#define MAGIC      0x56435431u /* VCT1 */
#define NONE       0xffffu
#define NODE_BYTES 16u /* of a node without texts */

enum { FLAG_INACTIVE = 1, FLAG_DEFAULT = 2, FLAG_SECRET = 4, FLAGS = 7 };

static bool size_text(const char *text, size_t *size)
{
    size_t len = text ? strlen(text) : 0;

    *size += len;
    return len <= CONF_VALUE_MAX;
}

static bool size_node(const struct conf_node *node, unsigned depth, size_t *size)
{
    *size += NODE_BYTES;
    if (depth > CONF_DEPTH_MAX || !size_text(node->name, size) || !size_text(node->value, size) ||
        !size_text(node->comment, size)) {
        return false;
    }
    for (const struct conf_node *child = node->first; child; child = child->next) {
        if (!size_node(child, depth + 1, size)) {
            return false;
        }
    }
    return *size <= CONF_BYTES_MAX - 4;
}

static void put_text(struct fw_emit *e, const char *text)
{
    fw_emit_u16(e, text ? (uint16_t)strlen(text) : NONE);
    if (text) {
        fw_emit_bytes(e, text, strlen(text));
    }
}

static void put_node(struct fw_emit *e, const struct conf_node *node)
{
    size_t count_at;
    uint32_t n = 0;

    fw_emit_u8(e, (uint8_t)node->kind);
    fw_emit_u8(e, (uint8_t)((node->inactive ? FLAG_INACTIVE : 0) |
                            (node->is_default ? FLAG_DEFAULT : 0) |
                            (node->secret ? FLAG_SECRET : 0)));
    fw_emit_u32(e, node->line);
    put_text(e, node->name);
    put_text(e, node->value);
    put_text(e, node->comment);
    count_at = fw_emit_len(e);
    fw_emit_u32(e, 0);
    for (const struct conf_node *child = node->first; child; child = child->next) {
        put_node(e, child);
        n++;
    }
    fw_emit_patch_u32(e, count_at, n);
}

GByteArray *conf_serialise(const struct conf_node *root)
{
    size_t size = 0;
    GByteArray *bytes;
    struct fw_emit e;

    if (!size_node(root, 0, &size)) {
        return NULL;
    }
    bytes = g_byte_array_sized_new((guint)size + 4);
    g_byte_array_set_size(bytes, (guint)size + 4);
    e = fw_emit(bytes->data, bytes->len);
    fw_emit_u32(&e, MAGIC);
    put_node(&e, root);
    g_assert(!e.failed && fw_emit_room(&e) == 0);
    return bytes;
}

/* A text without a 0 inside; *ret is NULL for none. */
static bool take_text(struct fw_cursor *c, char **ret)
{
    uint16_t len = fw_cursor_u16(c);
    const uint8_t *p;

    *ret = NULL;
    if (c->failed) {
        return false;
    }
    if (len == NONE) {
        return true;
    }
    p = len <= CONF_VALUE_MAX ? fw_cursor_take(c, len) : NULL;
    if (!p || memchr(p, 0, len)) {
        return false;
    }
    *ret = g_strndup((const char *)p, len);
    return true;
}

/* Reads one node below parent (NULL: the root); NULL when malformed, parent then keeps what is
 * half read and the caller frees all. */
static struct conf_node *take_node(struct fw_cursor *c, struct conf_node *parent, unsigned depth)
{
    uint8_t kind = fw_cursor_u8(c), flags = fw_cursor_u8(c);
    uint32_t line = fw_cursor_u32(c), n;
    char *name = NULL, *value = NULL, *comment = NULL;
    struct conf_node *node = NULL;
    bool fresh;

    if (depth > CONF_DEPTH_MAX || kind > CONF_LEAF_LIST || (flags & ~FLAGS) ||
        !take_text(c, &name) || !take_text(c, &value) || !take_text(c, &comment)) {
        goto out;
    }
    n = fw_cursor_u32(c);
    if (c->failed || (name == NULL) != (parent == NULL) ||
        (kind == CONF_CONTAINER && value != NULL) ||
        ((kind == CONF_LIST || kind == CONF_LEAF_LIST) && value == NULL)) {
        goto out;
    }
    if (parent) {
        struct conf_node *last = parent->last;

        node = conf_add(parent, (enum conf_kind)kind, name, value);
        fresh = node == parent->last && node != last;
    } else {
        node = conf_new();
        fresh = true;
    }
    if (!fresh) { /* the same statement twice */
        node = NULL;
        goto out;
    }
    node->inactive = flags & FLAG_INACTIVE;
    node->is_default = flags & FLAG_DEFAULT;
    node->secret = flags & FLAG_SECRET;
    node->line = line;
    node->comment = g_steal_pointer(&comment);
    for (uint32_t i = 0; i < n; i++) {
        if (!take_node(c, node, depth + 1)) {
            if (!parent) {
                conf_free(node);
            }
            node = NULL;
            break;
        }
    }
out:
    if (value && (flags & FLAG_SECRET)) {
        fw_wipe(value, strlen(value));
    }
    g_free(value);
    g_free(name);
    g_free(comment);
    return node;
}

struct conf_node *conf_deserialise(struct fw_cursor *c)
{
    struct conf_node *root;

    if (fw_cursor_left(c) > CONF_BYTES_MAX || fw_cursor_u32(c) != MAGIC) {
        return NULL;
    }
    root = take_node(c, NULL, 0);
    if (root && (root->kind != CONF_CONTAINER || fw_cursor_left(c))) {
        conf_free(root);
        return NULL;
    }
    return root;
}
