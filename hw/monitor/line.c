/* line - see line.h. */
#include "hw/monitor/line.h"

#include <string.h>

#include "firmware/core/error.h"

bool monitor_line_check(const char *line, size_t len, size_t max, GError **error)
{
    unsigned depth = 0;
    bool quoted = false;

    if (len > max) {
        return fw_fail(error, FW_ERROR_INVALID, "the line is longer than %zu bytes", max);
    }
    if (!g_utf8_validate_len(line, len, NULL)) {
        return fw_fail(error, FW_ERROR_INVALID, "the line is not UTF-8 text");
    }
    for (size_t n = 0; n < len; n++) {
        char c = line[n];

        if (quoted && c == '\\') {
            n++;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (!quoted && (c == '{' || c == '[')) {
            if (++depth > MONITOR_DEPTH_MAX) {
                return fw_fail(error, FW_ERROR_INVALID, "brackets nest deeper than %d",
                               MONITOR_DEPTH_MAX);
            }
        } else if (!quoted && (c == '}' || c == ']') && depth > 0) {
            depth--;
        } else if (!quoted && (c == '/' || c == '\'')) {
            /* The parser takes comments and single quotes too: brackets could hide in them. */
            return fw_fail(error, FW_ERROR_INVALID, "'%c' outside of a string", c);
        }
    }
    return true;
}

bool monitor_line_parse(const char *line, size_t len, struct monitor_request *ret, GError **error)
{
    g_autoptr(JsonParser) parser = json_parser_new();
    JsonNode *root, *node;
    JsonObject *object;

    if (!monitor_line_check(line, len, MONITOR_LINE_MAX, error)) {
        return false;
    }
    root = json_parser_load_from_data(parser, line, (gssize)len, NULL)
               ? json_parser_get_root(parser)
               : NULL;
    if (!root || !JSON_NODE_HOLDS_OBJECT(root)) {
        return fw_fail(error, FW_ERROR_INVALID, "this is not a JSON object in one line");
    }
    object = json_node_get_object(root);
    node = json_object_get_member(object, "execute");
    if (!node || !JSON_NODE_HOLDS_VALUE(node) || json_node_get_value_type(node) != G_TYPE_STRING) {
        return fw_fail(error, FW_ERROR_INVALID,
                       "the request has no execute; write {\"execute\": \"COMMAND\"}");
    }
    ret->name = json_node_get_string(node);
    node = json_object_get_member(object, "arguments");
    if (node && !JSON_NODE_HOLDS_OBJECT(node)) {
        return fw_fail(error, FW_ERROR_INVALID, "arguments is not an object");
    }
    ret->arguments = node ? json_node_get_object(node) : NULL;
    ret->id = json_object_get_member(object, "id");
    ret->parser = g_steal_pointer(&parser);
    return true;
}

void monitor_request_clear(struct monitor_request *request)
{
    g_clear_object(&request->parser);
}

/* ---------------------------------------------------------------- arguments */

static const struct {
    enum bus_field_type type;
    gint64 min, max;
    size_t size;
} numbers[] = {
    {BUS_FIELD_U8, 0, UINT8_MAX, 1},
    {BUS_FIELD_U16, 0, UINT16_MAX, 2},
    {BUS_FIELD_U32, 0, UINT32_MAX, 4},
    {BUS_FIELD_U64, 0, INT64_MAX, 8},
    {BUS_FIELD_I64, INT64_MIN, INT64_MAX, 8},
};

static bool number_read(const struct bus_field *field, JsonNode *node, void *at, GError **error)
{
    for (size_t n = 0; n < G_N_ELEMENTS(numbers); n++) {
        gint64 value;

        if (numbers[n].type != field->type) {
            continue;
        }
        if (json_node_get_value_type(node) != G_TYPE_INT64) {
            return fw_fail(error, FW_ERROR_INVALID, "%s is a whole number", field->name);
        }
        value = json_node_get_int(node);
        if (value < numbers[n].min || value > numbers[n].max) {
            return fw_fail(error, FW_ERROR_INVALID, "%s is a number from %lld to %lld",
                           field->name, (long long)numbers[n].min, (long long)numbers[n].max);
        }
        switch (numbers[n].size) {
        case 1:
            *(uint8_t *)at = (uint8_t)value;
            break;
        case 2:
            *(uint16_t *)at = (uint16_t)value;
            break;
        case 4:
            *(uint32_t *)at = (uint32_t)value;
            break;
        default:
            *(int64_t *)at = value;
            break;
        }
        return true;
    }
    return fw_fail(error, FW_ERROR_UNSUPPORTED, "%s cannot be given in JSON", field->name);
}

static bool string_read(const struct bus_field *field, JsonNode *node, void *at, GError **error)
{
    const char *text;

    if (json_node_get_value_type(node) != G_TYPE_STRING) {
        return fw_fail(error, FW_ERROR_INVALID, "%s is a string", field->name);
    }
    text = json_node_get_string(node);
    if (field->type == BUS_FIELD_ENUM) {
        for (uint8_t n = 0; field->enum_names[n]; n++) {
            if (strcmp(field->enum_names[n], text) == 0) {
                *(uint8_t *)at = n;
                return true;
            }
        }
        return fw_fail(error, FW_ERROR_INVALID, "%s has no value '%s'", field->name, text);
    }
    if (strlen(text) > field->limit) {
        return fw_fail(error, FW_ERROR_INVALID, "%s is longer than %u bytes", field->name,
                       field->limit);
    }
    g_strlcpy(at, text, field->limit + 1);
    return true;
}

static bool value_read(const struct bus_field *field, JsonNode *node, void *at, GError **error)
{
    if (!JSON_NODE_HOLDS_VALUE(node)) {
        return fw_fail(error, FW_ERROR_INVALID, "%s is a single value", field->name);
    }
    if (field->type == BUS_FIELD_STRING || field->type == BUS_FIELD_ENUM) {
        return string_read(field, node, at, error);
    }
    if (field->type == BUS_FIELD_BOOL) {
        if (json_node_get_value_type(node) != G_TYPE_BOOLEAN) {
            return fw_fail(error, FW_ERROR_INVALID, "%s is true or false", field->name);
        }
        *(bool *)at = json_node_get_boolean(node);
        return true;
    }
    return number_read(field, node, at, error);
}

static const struct bus_field *field_find(const struct bus_struct *in, const char *name)
{
    for (unsigned n = 0; n < in->n_fields; n++) {
        if (strcmp(in->fields[n].name, name) == 0) {
            return &in->fields[n];
        }
    }
    return NULL;
}

bool monitor_arguments_read(const struct bus_struct *in, JsonObject *arguments, void *ret,
                            GError **error)
{
    g_autoptr(GList) names = arguments ? json_object_get_members(arguments) : NULL;

    for (GList *at = names; at; at = at->next) {
        if (!field_find(in, at->data)) {
            return fw_fail(error, FW_ERROR_INVALID, "there is no argument '%s'",
                           (const char *)at->data);
        }
    }
    for (unsigned n = 0; n < in->n_fields; n++) {
        const struct bus_field *field = &in->fields[n];
        JsonNode *node = arguments ? json_object_get_member(arguments, field->name) : NULL;

        if (!node) {
            return fw_fail(error, FW_ERROR_INVALID, "the argument %s is missing", field->name);
        }
        if (!value_read(field, node, (char *)ret + field->offset, error)) {
            return false;
        }
    }
    return true;
}
