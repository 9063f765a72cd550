/*
 * json - JSON text to Lua tables and back, through json-glib.
 *
 * Objects and arrays become tables, null becomes vc.null (a light userdata).
 * An empty table is encoded as an object; arrays are tables with [1].
 */
#include <json-glib/json-glib.h>
#include <lauxlib.h>

#include "tests/runner/runner.h"

#define DEPTH_MAX 64

static void push_node(lua_State *lua, JsonNode *node, int depth)
{
    luaL_checkstack(lua, 6, "JSON");
    if (depth > DEPTH_MAX) {
        luaL_error(lua, "JSON is nested deeper than %d", DEPTH_MAX);
    }
    switch (json_node_get_node_type(node)) {
    case JSON_NODE_OBJECT: {
        JsonObjectIter iter;
        const gchar *name;
        JsonNode *member;

        lua_newtable(lua);
        json_object_iter_init(&iter, json_node_get_object(node));
        while (json_object_iter_next(&iter, &name, &member)) {
            push_node(lua, member, depth + 1);
            lua_setfield(lua, -2, name);
        }
        return;
    }
    case JSON_NODE_ARRAY: {
        JsonArray *array = json_node_get_array(node);

        lua_newtable(lua);
        for (guint i = 0; i < json_array_get_length(array); i++) {
            push_node(lua, json_array_get_element(array, i), depth + 1);
            lua_rawseti(lua, -2, i + 1);
        }
        return;
    }
    case JSON_NODE_NULL:
        lua_pushlightuserdata(lua, NULL);
        return;
    case JSON_NODE_VALUE:
        break;
    }
    switch (json_node_get_value_type(node)) {
    case G_TYPE_BOOLEAN:
        lua_pushboolean(lua, json_node_get_boolean(node));
        return;
    case G_TYPE_INT64:
        lua_pushinteger(lua, json_node_get_int(node));
        return;
    case G_TYPE_DOUBLE:
        lua_pushnumber(lua, json_node_get_double(node));
        return;
    default:
        lua_pushstring(lua, json_node_get_string(node));
        return;
    }
}

int runner_json_decode(lua_State *lua)
{
    size_t n;
    const char *text = luaL_checklstring(lua, 1, &n);
    g_autoptr(JsonParser) parser = json_parser_new();
    g_autoptr(GError) error = NULL;

    if (!json_parser_load_from_data(parser, text, (gssize)n, &error)) {
        lua_pushnil(lua);
        lua_pushstring(lua, error->message);
        return 2;
    }
    push_node(lua, json_parser_get_root(parser), 0);
    return 1;
}

static JsonNode *node_at(lua_State *lua, int at, int depth)
{
    JsonNode *node = json_node_alloc();

    luaL_checkstack(lua, 6, "JSON");
    at = lua_absindex(lua, at);
    switch (depth > DEPTH_MAX ? LUA_TNIL : lua_type(lua, at)) {
    case LUA_TTABLE:
        if (lua_rawlen(lua, at) > 0) {
            JsonArray *array = json_array_new();

            for (lua_Unsigned i = 1; i <= lua_rawlen(lua, at); i++) {
                lua_rawgeti(lua, at, (lua_Integer)i);
                json_array_add_element(array, node_at(lua, -1, depth + 1));
                lua_pop(lua, 1);
            }
            json_node_init_array(node, array);
            json_array_unref(array);
        } else {
            JsonObject *object = json_object_new();

            for (lua_pushnil(lua); lua_next(lua, at); lua_pop(lua, 1)) {
                lua_pushvalue(lua, -2);
                json_object_set_member(object, lua_tostring(lua, -1),
                                       node_at(lua, -2, depth + 1));
                lua_pop(lua, 1);
            }
            json_node_init_object(node, object);
            json_object_unref(object);
        }
        return node;
    case LUA_TBOOLEAN:
        json_node_init_boolean(node, lua_toboolean(lua, at));
        return node;
    case LUA_TNUMBER:
        if (lua_isinteger(lua, at)) {
            json_node_init_int(node, lua_tointeger(lua, at));
        } else {
            json_node_init_double(node, lua_tonumber(lua, at));
        }
        return node;
    case LUA_TSTRING:
        json_node_init_string(node, lua_tostring(lua, at));
        return node;
    default:
        json_node_init_null(node);
        return node;
    }
}

int runner_json_encode(lua_State *lua)
{
    JsonNode *node = node_at(lua, 1, 0);
    char *text = json_to_string(node, FALSE);

    lua_pushstring(lua, text);
    g_free(text);
    json_node_unref(node);
    return 1;
}
