/*
 * render - templates; see render.h.
 *
 * Templates are our own texts, checked by the golden tests; blocks nest at most
 * DEPTH_MAX deep.
 */
#include "re/mgd/render.h"

#include <string.h>

#include "re/mgd/text.h"

#define DEPTH_MAX 16

const char *render_template(const char *name)
{
    g_autofree char *file = g_strconcat(name, ".tmpl", NULL);

    for (const struct mgd_text *t = mgd_show_texts; t->name; t++) {
        if (strcmp(t->name, file) == 0) {
            return t->text;
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------ paths */

static bool is_named(const xmlNode *node, const char *name, size_t len)
{
    return node->type == XML_ELEMENT_NODE && strlen((const char *)node->name) == len &&
           memcmp(node->name, name, len) == 0;
}

static const xmlNode *first_named(const xmlNode *from, const char *name, size_t len)
{
    while (from && !is_named(from, name, len)) {
        from = from->next;
    }
    return from;
}

/* The element a path leads to, the first one at each step; NULL: none. */
static const xmlNode *follow(const xmlNode *at, const char *path, size_t len)
{
    const char *end = path + len;

    while (at && path < end) {
        const char *slash = memchr(path, '/', (size_t)(end - path));
        size_t n = (size_t)((slash ? slash : end) - path);

        if (n == 2 && memcmp(path, "..", 2) == 0) {
            at = at->parent && at->parent->type == XML_ELEMENT_NODE ? at->parent : NULL;
        } else if (!(n == 1 && *path == '.')) {
            at = first_named(at->children, path, n);
        }
        path += n + (slash != NULL);
    }
    return at;
}

/* Text of a path: of an element, blanks at its ends removed, or of an attribute. Free it. */
static char *text_of(const xmlNode *at, const char *path, size_t len)
{
    const char *attribute = memchr(path, '@', len);
    size_t up_to = attribute ? (size_t)(attribute - path) : len;
    const xmlNode *node;
    xmlChar *text = NULL;
    char *copy;

    if (attribute && up_to > 0 && path[up_to - 1] == '/') {
        up_to--;
    }
    node = follow(at, path, up_to);
    if (node && attribute) {
        g_autofree char *name = g_strndup(attribute + 1, (gsize)(path + len - attribute - 1));

        text = xmlGetProp(node, BAD_CAST name);
    } else if (node) {
        text = xmlNodeGetContent(node);
    }
    copy = g_strdup(text ? (const char *)text : "");
    xmlFree(text);
    return g_strstrip(copy);
}

/* The next element of the same name behind `node`. */
static const xmlNode *next_same(const xmlNode *node)
{
    return first_named(node->next, (const char *)node->name, strlen((const char *)node->name));
}

static unsigned count(const xmlNode *at, const char *path, size_t len)
{
    unsigned n = 0;

    for (const xmlNode *node = follow(at, path, len); node; node = next_same(node)) {
        n++;
    }
    return n;
}

/* ------------------------------------------------------------------ lines */

static glong line_columns(const GString *out, gsize line_start)
{
    return g_utf8_strlen(out->str + line_start, (gssize)(out->len - line_start));
}

static void pad_to(GString *out, gsize line_start, glong column)
{
    for (glong at = line_columns(out, line_start); at < column; at++) {
        g_string_append_c(out, ' ');
    }
}

/* {body}: path, then |otherwise, then :width. */
static void field(const xmlNode *at, const char *body, size_t len, gsize line_start, GString *out)
{
    const char *end = body + len;
    const char *colon = memchr(body, ':', len);
    const char *bar = memchr(body, '|', (size_t)((colon ? colon : end) - body));
    const char *path_end = bar ? bar : colon ? colon : end;
    g_autofree char *text = NULL;
    glong width = 0, length;
    bool right = false;

    if (len > 2 && body[0] == '@' && body[1] == '@') {
        pad_to(out, line_start, strtol(body + 2, NULL, 10));
        return;
    }
    if (body[0] == '#') {
        text = g_strdup_printf("%u", count(at, body + 1, (size_t)(path_end - body - 1)));
    } else {
        text = text_of(at, body, (size_t)(path_end - body));
    }
    if (!*text && bar) {
        g_free(text);
        text = g_strndup(bar + 1, (gsize)((colon ? colon : end) - bar - 1));
    }
    if (colon) {
        const char *p = colon + 1;

        right = *p == '>';
        width = strtol(p + (*p == '<' || *p == '>'), NULL, 10);
    }
    length = g_utf8_strlen(text, -1);
    if (right) {
        g_string_append_printf(out, "%*s", (int)MAX(width - length, 0), "");
    }
    g_string_append(out, text);
    if (!right) {
        g_string_append_printf(out, "%*s", (int)MAX(width - length, 0), "");
    }
}

static void write_line(const xmlNode *at, const char *line, const char *end, gsize *line_start,
                       GString *out)
{
    bool goes_on = end > line && end[-1] == '\\';

    for (const char *p = line; p < end - goes_on; p++) {
        const char *close;

        if (*p != '{') {
            g_string_append_c(out, *p);
        } else if (p[1] == '{') {
            g_string_append_c(out, *p++);
        } else if ((close = memchr(p, '}', (size_t)(end - p)))) {
            field(at, p + 1, (size_t)(close - p - 1), *line_start, out);
            p = close;
        }
    }
    if (goes_on) {
        return;
    }
    while (out->len > *line_start && out->str[out->len - 1] == ' ') {
        g_string_truncate(out, out->len - 1);
    }
    g_string_append_c(out, '\n');
    *line_start = out->len;
}

/* ------------------------------------------------------------------ blocks */

struct block {
    enum { BLOCK_EACH, BLOCK_IF } kind;
    const char *start;     /* behind the directive */
    const xmlNode *node;   /* each: the present one */
    const xmlNode *outer;  /* context outside */
    bool outer_writes;
    bool taken;            /* if: the first branch */
};

static const char *word(const char *p, const char *end, size_t *ret_len)
{
    while (p < end && *p == ' ') {
        p++;
    }
    *ret_len = 0;
    while (p + *ret_len < end && p[*ret_len] != ' ') {
        ++*ret_len;
    }
    return p;
}

static bool same_word(const char *p, size_t len, const char *text)
{
    return strlen(text) == len && memcmp(p, text, len) == 0;
}

/* `[not] PATH [= TEXT | != TEXT | > NUMBER]` */
static bool holds(const xmlNode *at, const char *p, const char *end)
{
    size_t n, m;
    bool negate, unequal, result;
    g_autofree char *text = NULL;
    const char *op;

    p = word(p, end, &n);
    negate = same_word(p, n, "not");
    if (negate) {
        p = word(p + n, end, &n);
    }
    text = text_of(at, p, n);
    op = word(p + n, end, &m);
    unequal = same_word(op, m, "!=");
    if (same_word(op, m, ">")) {
        result = g_ascii_strtoll(text, NULL, 10) > g_ascii_strtoll(op + m, NULL, 10);
    } else if (unequal || same_word(op, m, "=")) {
        const char *value = op + m;

        value += value < end;
        result = (strlen(text) == (size_t)(end - value) &&
                  memcmp(text, value, (size_t)(end - value)) == 0) != unequal;
    } else {
        result = *text != 0;
    }
    return result != negate;
}

void render(const char *template, const xmlNode *root, GString *out)
{
    struct block blocks[DEPTH_MAX];
    unsigned depth = 0;
    const xmlNode *at = root;
    bool writes = true;
    gsize line_start = out->len;
    const char *line = template;

    while (*line) {
        const char *end = strchr(line, '\n') ? strchr(line, '\n') : line + strlen(line);
        const char *following = *end ? end + 1 : end;
        size_t n;
        const char *p;

        if (*line != '%') {
            if (writes) {
                write_line(at, line, end, &line_start, out);
            }
            line = following;
            continue;
        }
        p = word(line + 1, end, &n);
        if (same_word(p, n, "each") && depth < DEPTH_MAX) {
            struct block *b = &blocks[depth++];
            const char *path = word(p + n, end, &n);

            *b = (struct block){.kind = BLOCK_EACH, .start = following, .outer = at,
                                .outer_writes = writes};
            b->node = writes ? follow(at, path, n) : NULL;
            at = b->node;
            writes = b->node != NULL;
        } else if (same_word(p, n, "if") && depth < DEPTH_MAX) {
            struct block *b = &blocks[depth++];

            *b = (struct block){.kind = BLOCK_IF, .outer = at, .outer_writes = writes};
            b->taken = writes && holds(at, p + n, end);
            writes = b->taken;
        } else if (same_word(p, n, "else") && depth > 0) {
            writes = blocks[depth - 1].outer_writes && !blocks[depth - 1].taken;
        } else if (same_word(p, n, "end") && depth > 0) {
            struct block *b = &blocks[depth - 1];

            b->node = b->kind == BLOCK_EACH && b->node ? next_same(b->node) : NULL;
            if (b->node) {
                at = b->node;
                line = b->start;
                continue;
            }
            at = b->outer;
            writes = b->outer_writes;
            depth--;
        }
        line = following;
    }
}
