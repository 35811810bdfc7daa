/* What differs between Lua 5.1 (and LuaJIT), 5.2, 5.3 and 5.4. */
#ifndef HERMETIC_COMPAT_H
#define HERMETIC_COMPAT_H

#include <lua.h>
#include <lauxlib.h>

#if LUA_VERSION_NUM < 502

#define LUA_OK 0
#define lua_rawlen lua_objlen
/* A userdata's own table: its environment, which begins as the globals. */
#define set_own_table(L, i) lua_setfenv((L), (i))
#define get_own_table(L, i) lua_getfenv((L), (i))
#define new_userdata(L, size) lua_newuserdata((L), (size))
#define set_functions(L, list) luaL_register((L), NULL, (list))

#else

#if LUA_VERSION_NUM >= 504
#define set_own_table(L, i) ((void)lua_setiuservalue((L), (i), 1))
#define get_own_table(L, i) ((void)lua_getiuservalue((L), (i), 1))
#define new_userdata(L, size) lua_newuserdatauv((L), (size), 1)
#else
#define set_own_table(L, i) lua_setuservalue((L), (i))
#define get_own_table(L, i) ((void)lua_getuservalue((L), (i)))
#define new_userdata(L, size) lua_newuserdata((L), (size))
#endif
#define set_functions(L, list) luaL_setfuncs((L), (list), 0)

#endif

/*
 * A callback may yield where Lua has continuations: CONTINUATION(f) defines the
 * C function that continues after it, with `status` telling how it ended, and
 * protected_call returns only if it did not yield.
 */
#if LUA_VERSION_NUM >= 503
#define CONTINUATION(f) static int f(lua_State *L, int status, lua_KContext unused)
#define BEGIN_CONTINUATION (void)unused;
#define protected_call(L, args, f) lua_pcallk((L), (args), 1, 0, 0, (f))
#elif LUA_VERSION_NUM == 502
#define CONTINUATION(f) static int f(lua_State *L)
#define BEGIN_CONTINUATION int status = lua_getctx(L, NULL);
#define protected_call(L, args, f) lua_pcallk((L), (args), 1, 0, 0, (f))
#else
#define protected_call(L, args, f) lua_pcall((L), (args), 1, 0)
#endif

#endif
