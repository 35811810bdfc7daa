/* The modules, and what all their functions share. */
#include "module.h"

#include <stdlib.h>
#include <string.h>

void free_handle(handle *h)
{
	handle old = *h;
	*h = 0;
	if (old && process_is_good())
		go.free(old);
}

void free_session(session *s)
{
	session old = *s;
	*s = NULL;
	if (old && process_is_good())
		go.free_session(old);
}

/* Arguments */

bytes check_bytes(lua_State *L, int arg)
{
	bytes b;
	b.at = lua_tolstring(L, arg, &b.len);
	if (b.at == NULL)
		luaL_checktype(L, arg, LUA_TSTRING);
	return b;
}

size_t check_count(lua_State *L, int arg)
{
#if LUA_VERSION_NUM >= 503
	int good;
	lua_Integer n = lua_tointegerx(L, arg, &good);
	if (!good)
		luaL_checkinteger(L, arg); /* says what is wrong */
#else
	lua_Number n = luaL_checknumber(L, arg); /* fractions are cut off */
	luaL_argcheck(L, n == n, arg, "value out of range");
	if (n > 9007199254740992.0)
		n = 9007199254740992.0;
#endif
	luaL_argcheck(L, n > -1, arg, "value out of range");
	return (size_t)n;
}

bytes check_range(lua_State *L, int arg)
{
	bytes b = check_bytes(L, arg);
	if (lua_gettop(L) == arg)
		return b;
	size_t pos = lua_isnoneornil(L, arg + 1) ? 1 : check_count(L, arg + 1);
	luaL_argcheck(L, 1 <= pos && pos <= b.len + 1, arg + 1, "value out of range");
	size_t rest = b.len - (pos - 1);
	size_t len = lua_isnoneornil(L, arg + 2) ? rest : check_count(L, arg + 2);
	luaL_argcheck(L, len <= rest, arg + 2, "value out of range");
	b.at += pos - 1;
	b.len = len;
	return b;
}

int throw_text(lua_State *L, const char *text, size_t len)
{
	luaL_where(L, 1);
	lua_pushlstring(L, text, len);
	lua_concat(L, 2);
	return lua_error(L);
}

int throw_argument(lua_State *L, int arg, const char *text, size_t len)
{
	lua_pushlstring(L, text, len);
	return luaL_argerror(L, arg, lua_tostring(L, -1));
}

/* Handles */

void *new_object(lua_State *L, const char *type, size_t size)
{
	void *object = new_slots(L, size);
	memset(object, 0, size);
	luaL_getmetatable(L, type);
	lua_setmetatable(L, -2);
	return object;
}

void new_type(lua_State *L, const char *type, const luaL_Reg *methods, const luaL_Reg *meta)
{
	luaL_newmetatable(L, type);
	set_functions(L, meta);
	lua_pushstring(L, type);
	lua_setfield(L, -2, "__name");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_newtable(L);
	set_functions(L, methods);
	lua_setfield(L, -2, "__index");
	lua_pop(L, 1);
}

void *test_object(lua_State *L, int i, const char *type)
{
	void *object = lua_touserdata(L, i);
	if (object == NULL || !lua_getmetatable(L, i))
		return NULL;
	luaL_getmetatable(L, type);
	int own = lua_rawequal(L, -1, -2);
	lua_pop(L, 2);
	return own ? object : NULL;
}

int object_tostring(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TUSERDATA);
	if (!lua_getmetatable(L, 1))
		return luaL_argerror(L, 1, "no handle");
	lua_getfield(L, -1, "__name");
	lua_pushfstring(L, "%s: %p", lua_tostring(L, -1), lua_touserdata(L, 1));
	return 1;
}

/* mbedtls.ssl */

/* The registry's field with the name of the error `closed`. */
static const char closed_field[] = "mbedtls.ssl.closed";

static const char *const releases[] = {"0.1", "0.2", NULL};

static void set_release(lua_State *L, int release)
{
	lua_pushstring(L, release == 0 ? "closed" : "close-notify");
	lua_setfield(L, LUA_REGISTRYINDEX, closed_field);
}

/* ssl.compat(release): names that differ in later releases of the original. */
static int ssl_compat(lua_State *L)
{
	check_process(L);
	set_release(L, luaL_checkoption(L, 1, NULL, releases));
	return 0;
}

static int ssl_getcookie(lua_State *L)
{
	need_engine(L);
	char cookie[MAX_TEXT];
	size_t len = go.cookie(check_bytes(L, 1), cookie);
	lua_pushlstring(L, cookie, len);
	return 1;
}

static int ssl_checkcookie(lua_State *L)
{
	need_engine(L);
	bytes peer = check_bytes(L, 1), cookie = check_bytes(L, 2);
	lua_pushboolean(L, go.check_cookie(peer, cookie));
	return 1;
}

static const luaL_Reg ssl_functions[] = {
	{"newconfig", ssl_newconfig},
	{"newcontext", ssl_newcontext},
	{"newengine", ssl_newengine},
	{"certificate", ssl_certificate},
	{"verifychain", ssl_verifychain},
	{"getcookie", ssl_getcookie},
	{"checkcookie", ssl_checkcookie},
	{"compat", ssl_compat},
	{NULL, NULL},
};

/* Lua 5.1's own modules make a global of themselves, and programs use it. */
static int publish(lua_State *L, const char *name)
{
#if LUA_VERSION_NUM < 502
	lua_getglobal(L, "mbedtls");
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		lua_newtable(L);
		lua_pushvalue(L, -1);
		lua_setglobal(L, "mbedtls");
	}
	if (lua_istable(L, -1)) {
		lua_pushvalue(L, -2);
		lua_setfield(L, -2, name);
	}
	lua_pop(L, 1);
#else
	(void)L;
	(void)name;
#endif
	return 1;
}

int luaopen_mbedtls_ssl(lua_State *L)
{
	find_engine();
	check_process(L);
	open_config(L);
	open_context(L);
	const char *compat = getenv("HERMETIC_LUA_COMPAT");
	set_release(L, compat != NULL && strcmp(compat, releases[1]) == 0);
	lua_newtable(L);
	set_functions(L, ssl_functions);
	lua_pushstring(L, HERMETIC_VERSION);
	lua_setfield(L, -2, "version");
	return publish(L, "ssl");
}

/* mbedtls.md */

static int push_digest(lua_State *L, bytes type, bytes *key, bytes data, int raw)
{
	char digest[MAX_DIGEST], text[2 * MAX_DIGEST];
	ptrdiff_t len = go.digest(type, key, data, digest);
	if (len < 0)
		return luaL_argerror(L, 1, "invalid value");
	if (raw) {
		lua_pushlstring(L, digest, (size_t)len);
		return 1;
	}
	for (ptrdiff_t i = 0; i < len; i++) {
		text[2 * i] = "0123456789abcdef"[(unsigned char)digest[i] >> 4];
		text[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
	}
	lua_pushlstring(L, text, 2 * (size_t)len);
	return 1;
}

static int md_hash(lua_State *L)
{
	need_engine(L);
	bytes type = check_bytes(L, 1), data = check_bytes(L, 2);
	return push_digest(L, type, NULL, data, lua_toboolean(L, 3));
}

static int md_hmac(lua_State *L)
{
	need_engine(L);
	bytes type = check_bytes(L, 1), key = check_bytes(L, 2), data = check_bytes(L, 3);
	return push_digest(L, type, &key, data, lua_toboolean(L, 4));
}

static const luaL_Reg md_functions[] = {
	{"hash", md_hash},
	{"hmac", md_hmac},
	{NULL, NULL},
};

int luaopen_mbedtls_md(lua_State *L)
{
	find_engine();
	check_process(L);
	lua_newtable(L);
	set_functions(L, md_functions);
	return publish(L, "md");
}

/* mbedtls.base64 */

static int push_base64(lua_State *L, int decode)
{
	need_engine(L);
	bytes data = check_range(L, 1);
	size_t room = decode ? data.len / 4 * 3 + 3 : (data.len + 2) / 3 * 4;
	char *out = new_userdata(L, room + 1);
	ptrdiff_t len = go.base64(decode, data, out);
	if (len < 0)
		return luaL_argerror(L, 1, "invalid value");
	lua_pushlstring(L, out, (size_t)len);
	return 1;
}

static int base64_encode(lua_State *L) { return push_base64(L, 0); }
static int base64_decode(lua_State *L) { return push_base64(L, 1); }

static const luaL_Reg base64_functions[] = {
	{"encode", base64_encode},
	{"decode", base64_decode},
	{NULL, NULL},
};

int luaopen_mbedtls_base64(lua_State *L)
{
	find_engine();
	check_process(L);
	lua_newtable(L);
	set_functions(L, base64_functions);
	return publish(L, "base64");
}

/* mbedtls */

/* Sets module[field] to the result of require(name), and opens it if needed. */
static void open_field(lua_State *L, const char *field, const char *name, lua_CFunction open)
{
	lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
	lua_getfield(L, -1, name);
	if (!lua_toboolean(L, -1)) {
		lua_pop(L, 1);
		lua_pushcfunction(L, open);
		lua_call(L, 0, 1);
		lua_pushvalue(L, -1);
		lua_setfield(L, -3, name);
	}
	lua_setfield(L, -3, field);
	lua_pop(L, 1);
}

int luaopen_mbedtls(lua_State *L)
{
	find_engine();
	check_process(L);
#if LUA_VERSION_NUM < 502
	lua_getglobal(L, "mbedtls");
	if (!lua_istable(L, -1))
#endif
		lua_newtable(L);
	open_field(L, "ssl", "mbedtls.ssl", luaopen_mbedtls_ssl);
	open_field(L, "md", "mbedtls.md", luaopen_mbedtls_md);
	open_field(L, "base64", "mbedtls.base64", luaopen_mbedtls_base64);
	lua_pushliteral(L, "mbedtls");
	lua_setfield(L, -2, "_NAME");
	lua_pushstring(L, HERMETIC_VERSION);
	lua_setfield(L, -2, "_VERSION");
#if LUA_VERSION_NUM < 502
	lua_pushvalue(L, -1);
	lua_setglobal(L, "mbedtls");
#endif
	return 1;
}
