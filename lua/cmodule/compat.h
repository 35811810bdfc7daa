/* What differs between Lua 5.1 (and LuaJIT), 5.2, 5.3 and 5.4. */
#ifndef HERMETIC_COMPAT_H
#define HERMETIC_COMPAT_H

#include <lua.h>
#include <lauxlib.h>

#if LUA_VERSION_NUM < 502

#define LUA_OK 0
#define lua_rawlen lua_objlen
#define new_userdata(L, size) lua_newuserdata((L), (size))
#define set_functions(L, list) luaL_register((L), NULL, (list))

#else

#if LUA_VERSION_NUM >= 504
#define new_userdata(L, size) lua_newuserdatauv((L), (size), 0)
#else
#define new_userdata(L, size) lua_newuserdata((L), (size))
#endif
#define set_functions(L, list) luaL_setfuncs((L), (list), 0)

#endif

/*
 * The values that an object keeps, in slots from 1 to SLOTS: its user values, or a
 * table that is its only one (in Lua 5.1 its environment, which begins as the globals).
 */
enum { SLOTS = 5 };

#if LUA_VERSION_NUM >= 504
#define new_slots(L, size) lua_newuserdatauv((L), (size), SLOTS)
#define push_slot(L, object, slot) ((void)lua_getiuservalue((L), (object), (slot)))
#define set_slot(L, object, slot) ((void)lua_setiuservalue((L), (object), (slot)))
#else
#if LUA_VERSION_NUM < 502
#define lua_getuservalue(L, i) lua_getfenv((L), (i))
#define lua_setuservalue(L, i) lua_setfenv((L), (i))
#endif

static inline void *new_slots(lua_State *L, size_t size)
{
	void *object = lua_newuserdata(L, size);
	lua_createtable(L, SLOTS, 0);
	lua_setuservalue(L, -2);
	return object;
}

static inline void push_slot(lua_State *L, int object, int slot)
{
	lua_getuservalue(L, object);
	lua_rawgeti(L, -1, slot);
	lua_remove(L, -2);
}

/* The object's index is not relative to the top. */
static inline void set_slot(lua_State *L, int object, int slot)
{
	lua_getuservalue(L, object);
	lua_insert(L, -2);
	lua_rawseti(L, -2, slot);
	lua_pop(L, 1);
}
#endif

#if LUA_VERSION_NUM < 502
#define to_number(L, i, good) (*(good) = lua_isnumber((L), (i)), lua_tonumber((L), (i)))
#else
#define to_number(L, i, good) lua_tonumberx((L), (i), (good))
#endif

/*
 * A callback may yield where Lua has continuations: CONTINUATION(f) defines the
 * C function that continues after it, with `status` telling how it ended, and
 * protected_call returns only if it did not yield.
 */
#if LUA_VERSION_NUM >= 503
#define CONTINUATION(f) static int f(lua_State *L, int status, lua_KContext unused)
#define BEGIN_CONTINUATION (void)unused;
#define protected_call(L, args, results, f) lua_pcallk((L), (args), (results), 0, 0, (f))
#elif LUA_VERSION_NUM == 502
#define CONTINUATION(f) static int f(lua_State *L)
#define BEGIN_CONTINUATION int status = lua_getctx(L, NULL);
#define protected_call(L, args, results, f) lua_pcallk((L), (args), (results), 0, 0, (f))
#else
#define protected_call(L, args, results, f) lua_pcall((L), (args), (results), 0)
#endif

#endif
