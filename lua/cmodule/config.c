/* ssl.newconfig */
#include "module.h"

#include <string.h>

static const char *const modes[] = {"tls-client", "tls-server", "dtls-client", "dtls-server", NULL};

/* The options that are arguments too. */
static const char *const names[] = {"mode", "cacert", "cert"};

static bytes text_of(const char *s)
{
	bytes b = {s, strlen(s)};
	return b;
}

static void set_option(lua_State *L, struct config *c, bytes key, const char *type, bytes value)
{
	char text[MAX_TEXT];
	size_t failed = go.option(c->options, key, text_of(type), value, text);
	if (failed)
		throw_argument(L, 1, text, failed);
}

/* Sets the option `key` to the value on the top of the stack. */
static void set_value(lua_State *L, struct config *c, bytes key)
{
	bytes value = {"", 0};
	const char *type = lua_istable(L, -1) ? "nested-table" : luaL_typename(L, -1);
	switch (lua_type(L, -1)) {
	case LUA_TSTRING:
	case LUA_TNUMBER:
		value.at = lua_tolstring(L, -1, &value.len);
		break;
	case LUA_TBOOLEAN:
		value = text_of(lua_toboolean(L, -1) ? "true" : "false");
	}
	set_option(L, c, key, type, value);
}

/* The fields of the table on the top of the stack, options of the option `key`. */
static void set_fields(lua_State *L, struct config *c, bytes key)
{
	for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
		if (lua_type(L, -2) != LUA_TSTRING)
			continue;
		bytes field;
		lua_pushfstring(L, "%s.%s", key.at, lua_tostring(L, -2));
		lua_insert(L, -2); /* table, key, name, value */
		field.at = lua_tolstring(L, -2, &field.len);
		set_value(L, c, field);
		lua_remove(L, -2);
	}
}

/* The table on the top of the stack: a list, or options of an option. */
static void set_values(lua_State *L, struct config *c, bytes key)
{
	int table = lua_gettop(L);
	set_option(L, c, key, "table", text_of(""));
	int count = (int)lua_rawlen(L, table);
	for (int i = 1; i <= count; i++) {
		lua_rawgeti(L, table, i);
		set_value(L, c, key);
		if (lua_istable(L, -1))
			set_fields(L, c, key);
		lua_pop(L, 1);
	}
	set_fields(L, c, key);
}

/* Keeps the function on the top of the stack, an option by the name below it. */
static void keep_function(lua_State *L)
{
	push_slot(L, 4, FUNCTIONS);
	lua_pushvalue(L, -3);
	lua_pushvalue(L, -3);
	lua_rawset(L, -3);
	lua_pop(L, 1);
}

static void set_table(lua_State *L, struct config *c)
{
	luaL_checkstack(L, 10, NULL);
	for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
		luaL_argcheck(L, lua_type(L, -2) == LUA_TSTRING, 1, "an option's name is not a string");
		bytes key;
		key.at = lua_tolstring(L, -2, &key.len);
		if (lua_istable(L, -1))
			set_values(L, c, key);
		else
			set_value(L, c, key);
		if (lua_isfunction(L, -1))
			keep_function(L);
	}
}

static void set_arguments(lua_State *L, struct config *c)
{
	for (int arg = 1; arg <= 3; arg++)
		if (!lua_isnoneornil(L, arg))
			set_option(L, c, text_of(names[arg - 1]), "string", check_bytes(L, arg));
}

/* A table has all options: further arguments would be ignored. */
static void check_alone(lua_State *L)
{
	for (int arg = 2; arg <= 3; arg++)
		if (!lua_isnoneornil(L, arg)) {
			lua_pushfstring(L, "not with a table: name it in the table, as '%s'", names[arg - 1]);
			luaL_argerror(L, arg, lua_tostring(L, -1));
		}
}

int ssl_newconfig(lua_State *L)
{
	need_engine(L);
	int table = lua_istable(L, 1);
	if (table) {
		check_alone(L);
	} else {
		luaL_checkoption(L, 1, NULL, modes);
		luaL_optstring(L, 2, NULL);
		luaL_optstring(L, 3, NULL);
	}
	lua_settop(L, 3);
	struct config *c = new_object(L, CONFIG_TYPE, sizeof *c);
	lua_newtable(L); /* the functions among the options */
	set_slot(L, 4, FUNCTIONS);
	c->options = go.options(table);
	if (table)
		set_table(L, c);
	else
		set_arguments(L, c);
	char text[MAX_TEXT];
	size_t failed = go.config(c->options, &c->config, text);
	if (failed)
		return throw_text(L, text, failed);
	free_handle(&c->options);
	return 1;
}

static int config_gc(lua_State *L)
{
	struct config *c = luaL_checkudata(L, 1, CONFIG_TYPE);
	free_handle(&c->options);
	free_handle(&c->config);
	return 0;
}

static const luaL_Reg methods[] = {{NULL, NULL}};

static const luaL_Reg meta[] = {
	{"__gc", config_gc},
	{"__close", config_gc},
	{"__tostring", object_tostring},
	{NULL, NULL},
};

void open_config(lua_State *L) { new_type(L, CONFIG_TYPE, methods, meta); }
