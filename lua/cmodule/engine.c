/*
 * The engine, a shared library with Go's runtime in it. Go's threads do not survive a
 * fork, so it is loaded at the first use, not by require: a process may require the
 * module, fork, and use it in its children.
 */
#define _GNU_SOURCE
#include "module.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct engine go;

static const char name[] = "mbedtls-go.so";
static char path[PATH_MAX + sizeof name]; /* "": unknown */
static volatile int forked;
static int loaded;
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

/* In a child whose parent has loaded the engine every call would hang. */
static void in_child(void) { forked = 1; }

int process_is_good(void) { return !forked; }

void check_process(lua_State *L)
{
	if (forked)
		luaL_error(L, "loaded before fork; require it in the child");
}

void find_engine(void)
{
	Dl_info self;
	char module[PATH_MAX];
	if (path[0] || !dladdr((void *)(uintptr_t)find_engine, &self) || realpath(self.dli_fname, module) == NULL)
		return;
	char *folder = strrchr(module, '/');
	if (folder != NULL)
		snprintf(path, sizeof path, "%.*s/%s", (int)(folder - module), module, name);
}

/* Pins the module too: a Lua state that closes would unload what a fork calls. */
static void pin(void)
{
	Dl_info self;
	if (dladdr((void *)(uintptr_t)find_engine, &self))
		(void)dlopen(self.dli_fname, RTLD_NOW | RTLD_NODELETE);
}

/* Returns what is wrong, or NULL. */
static const char *load(void)
{
	struct engine found;
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (library == NULL)
		return dlerror();
#define FIND(result, name, parameters) \
	*(void **)&found.name = dlsym(library, "hermetic_" #name); \
	if (found.name == NULL) \
		return "it is of another version";
	FUNCTIONS_OF_GO(FIND)
#undef FIND
	if (strcmp(found.version(), HERMETIC_VERSION) != 0)
		return "it is of another version";
	pin();
	if (pthread_atfork(NULL, NULL, in_child) != 0)
		return "no memory";
	go = found;
	__atomic_store_n(&loaded, 1, __ATOMIC_RELEASE);
	return NULL;
}

void need_engine(lua_State *L)
{
	check_process(L);
	if (__atomic_load_n(&loaded, __ATOMIC_ACQUIRE))
		return;
	char why[512] = "";
	pthread_mutex_lock(&loading);
	const char *wrong = loaded ? NULL : load();
	if (wrong != NULL)
		snprintf(why, sizeof why, "%s", wrong);
	pthread_mutex_unlock(&loading);
	const char *file = path[0] ? path : name;
	int named = strncmp(why, file, strlen(file)) == 0; /* dlerror names it, usually */
	if (wrong != NULL)
		luaL_error(L, "the engine of mbedtls.so cannot be loaded: %s%s%s; install both again, in one folder",
			named ? "" : file, named ? "" : ": ", why);
}
