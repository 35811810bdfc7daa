/* The module's C half: Lua's arguments, callbacks and handles. */
#ifndef HERMETIC_MODULE_H
#define HERMETIC_MODULE_H

#include "compat.h"
#include "bridge.h"

#ifndef HERMETIC_VERSION /* scripts/install-lua says which */
#define HERMETIC_VERSION "hermetic"
#endif

#define EXPORT __attribute__((visibility("default"))) /* all else is hidden: scripts/install-lua */

#define CONFIG_TYPE "mbedtls.ssl.config"
#define CONTEXT_TYPE "mbedtls.ssl.context"

struct config {
	handle options, config;
};

enum { FUNCTIONS = 1 }; /* a configuration's slot: its options that are functions */

/* The engine: its functions, all null until need_engine has loaded it. */
#define POINTER(result, name, parameters) result (*name) parameters;
struct engine {
	FUNCTIONS_OF_GO(POINTER)
};
#undef POINTER
extern struct engine go;

/* Remembers where the engine is: beside the module, whatever becomes the current folder. */
void find_engine(void);
/* Loads the engine, unless it is loaded. Throws if it cannot be. */
void need_engine(lua_State *L);
/* Throws in a process that forked after it had loaded the engine. */
void check_process(lua_State *L);
/* Whether it is no such process. */
int process_is_good(void);
/* Frees *h, once; in such a process it does nothing. */
void free_handle(handle *h);
void free_session(session *s);

bytes check_bytes(lua_State *L, int arg);
size_t check_count(lua_State *L, int arg);
/* The part of the string `arg` that the optional pos and len after it mark. */
bytes check_range(lua_State *L, int arg);
/* Throws the text, which may have any bytes, with the caller's position. */
int throw_text(lua_State *L, const char *text, size_t len);
int throw_argument(lua_State *L, int arg, const char *text, size_t len);

/* A userdata of a type: zeroed, with slots, and its metatable, which is hidden from Lua. */
void *new_object(lua_State *L, const char *type, size_t size);
void new_type(lua_State *L, const char *type, const luaL_Reg *methods, const luaL_Reg *meta);
/* The object at an index, or NULL if it is none of its type. */
void *test_object(lua_State *L, int i, const char *type);
int object_tostring(lua_State *L);

int ssl_newconfig(lua_State *L);
int ssl_newcontext(lua_State *L);
int ssl_newengine(lua_State *L);
int ssl_certificate(lua_State *L);
int ssl_verifychain(lua_State *L);
void open_config(lua_State *L);
void open_context(lua_State *L);

EXPORT int luaopen_mbedtls(lua_State *L);
EXPORT int luaopen_mbedtls_ssl(lua_State *L);
EXPORT int luaopen_mbedtls_md(lua_State *L);
EXPORT int luaopen_mbedtls_base64(lua_State *L);

#endif
