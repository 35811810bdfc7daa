/*
 * A Lua module for the tests, of what Lua itself cannot do: forks, other Lua
 * states, threads.
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* native.fork(f): what f returns or raises, in a child, as a string. */
static int native_fork(lua_State *L)
{
	int ends[2];
	luaL_checktype(L, 1, LUA_TFUNCTION);
	if (pipe(ends) != 0)
		return luaL_error(L, "no pipe");
	pid_t child = fork();
	if (child < 0)
		return luaL_error(L, "no fork");
	if (child == 0) {
		alarm(300); /* a child that hangs dies */
		lua_settop(L, 1);
		(void)lua_pcall(L, 0, 1, 0);
		size_t len;
		const char *text = lua_tolstring(L, -1, &len);
		if (text != NULL && write(ends[1], text, len) < 0)
			_exit(2);
		_exit(0);
	}
	close(ends[1]);
	char text[4096];
	size_t have = 0;
	ssize_t n;
	while (have < sizeof text && (n = read(ends[0], text + have, sizeof text - have)) > 0)
		have += (size_t)n;
	close(ends[0]);
	int status;
	waitpid(child, &status, 0);
	if (WIFSIGNALED(status))
		lua_pushfstring(L, "the child died of signal %d", WTERMSIG(status));
	else
		lua_pushlstring(L, text, have);
	return 1;
}

struct state {
	const char *code;
	char result[1024];
	pthread_t thread;
};

/* Runs code in a new Lua state. */
static void *run_state(void *arg)
{
	struct state *s = arg;
	lua_State *L = luaL_newstate();
	luaL_openlibs(L);
	if (luaL_loadstring(L, s->code) || lua_pcall(L, 0, 1, 0))
		lua_pushvalue(L, -1);
	const char *text = lua_tostring(L, -1);
	snprintf(s->result, sizeof s->result, "%s", text ? text : "nothing");
	lua_close(L);
	return NULL;
}

/* native.states(code, n): the results of n states, each on its own thread. */
static int native_states(lua_State *L)
{
	const char *code = luaL_checkstring(L, 1);
	int n = (int)luaL_checkinteger(L, 2);
	struct state *states = lua_newuserdata(L, (size_t)n * sizeof *states);
	for (int i = 0; i < n; i++) {
		states[i].code = code;
		if (pthread_create(&states[i].thread, NULL, run_state, &states[i]) != 0)
			abort();
	}
	lua_newtable(L);
	for (int i = 0; i < n; i++) {
		pthread_join(states[i].thread, NULL);
		lua_pushstring(L, states[i].result);
		lua_rawseti(L, -2, i + 1);
	}
	return 1;
}

/* Gives out memory only so many times; a block may always shrink. */
static void *starve(void *left, void *block, size_t old, size_t size)
{
	if (size == 0) {
		free(block);
		return NULL;
	}
	if (block == NULL || size > old) {
		if (*(long *)left == 0)
			return NULL;
		--*(long *)left;
	}
	return realloc(block, size);
}

/*
 * native.starved(code, n): the result of the code in a state that gets memory n
 * times, not counting its own start.
 */
static int native_starved(lua_State *L)
{
	const char *code = luaL_checkstring(L, 1);
	long left = -1;
	lua_State *S = lua_newstate(starve, &left);
	if (S == NULL)
		return luaL_error(L, "no state");
	luaL_openlibs(S);
	if (luaL_loadstring(S, code))
		return luaL_error(L, "%s", lua_tostring(S, -1));
	left = (long)luaL_checkinteger(L, 2);
	int failed = lua_pcall(S, 0, 1, 0);
	left = -1;
	lua_pushstring(L, lua_type(S, -1) == LUA_TSTRING ? lua_tostring(S, -1) : failed ? "an error" : "a result");
	lua_close(S);
	return 1;
}

int luaopen_native(lua_State *L)
{
	lua_newtable(L);
	lua_pushcfunction(L, native_fork);
	lua_setfield(L, -2, "fork");
	lua_pushcfunction(L, native_states);
	lua_setfield(L, -2, "states");
	lua_pushcfunction(L, native_starved);
	lua_setfield(L, -2, "starved");
	return 1;
}
