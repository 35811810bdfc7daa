/*
 * I/O contexts. The engine in Go never calls Lua: it says what it needs (bytes
  * from rcb, bytes to wcb), the code here calls the callback with no Go frame on
  * the stack, and calls Go again with the result. So a callback may raise an
  * error, which is caught here, or yield, where Lua can.
 *
 * Making a string may run finalizers, which may use this same context. So
  * strings are made after the operation; or the calls of methods are counted, and
  * if there was one, the operation must be repeated.
 */
#include "module.h"

#include <string.h>

enum { HEADER = 5, MAX_RECORD = 16384 + 2048 };

/* How many datagrams one operation takes: a flood of garbage must not prolong it. */
enum { MAX_TAKEN = 64 };

/* The context's own table. */
enum { RCB = 1, WCB, REF };

struct context {
	session session;
	int mode; /* index in the modes of newconfig */
	int busy; /* inside a callback */
	int ref;  /* the callbacks get a reference */
	unsigned calls; /* of methods */

	/* The operation in progress. */
	int op;
	enum { STEP, ASK, OFFER } next;
	size_t size;        /* READ, READ_EARLY: how much */
	size_t at, len;     /* WRITE, WRITE_EARLY: which part of the string at index 2 */
	size_t asked;       /* ASK: how much rcb may give */
	int asks;           /* ASK: how often rcb was called */
	size_t offered;     /* OFFER: the length of the string on the top */
	size_t offset;      /* OFFER: how much of it wcb has taken */
	int effort;         /* OFFER: WANT_WRITE, TRY_WRITE or LAST_WRITE */
	size_t whole;       /* OFFER: what the write returns once all is taken, if not 0 */
	int refused;        /* STEP: wcb took nothing after TRY_WRITE */
	int given;          /* STEP: what rcb gave is on the top of the stack */

	/*
	 * TLS: the position of the transport. To call Go only once for each
	  * record, its header is read here, and passed on with the rest.
	 */
	int ready;              /* the operation that a header continues, or -1 */
	int heading;            /* this ASK is for a header, or for what follows one */
	int have;               /* bytes of the header */
	unsigned char head[HEADER];
	size_t left;            /* bytes of the record that Go has not got yet */
	size_t taken;           /* by wcb, since the last step */
	int settled;            /* wcb took a whole write, which has returned */
};

static int is_tls(const struct context *c) { return c->mode < 2; }
static int reads(const struct context *c) { return c->op == READ || c->op == READ_EARLY; }
static int writes(const struct context *c) { return c->op == WRITE || c->op == WRITE_EARLY; }

static void forget_transport(struct context *c)
{
	c->ready = -1;
	c->heading = c->have = 0;
	c->left = c->taken = 0;
	c->settled = 0;
}

/* nil and a text: errors of the transport, the peer and the protocol. */
static int fail(lua_State *L, const char *text)
{
	lua_pushnil(L);
	lua_pushstring(L, text);
	return 2;
}

static int fail_closed(lua_State *L)
{
	lua_pushnil(L);
	lua_getfield(L, LUA_REGISTRYINDEX, "mbedtls.ssl.closed");
	return 2;
}

/*
 * The arguments and the context's own table end here; above is what passes
 * between Go and callbacks.
 */
static int base(const struct context *c) { return writes(c) ? 3 : 2; }

/* Calls Go. Returns the number of results, or 0 if a callback is due. */
static int step(lua_State *L, struct context *c)
{
	char data[MAX_DATA], out[MAX_OUT];
	struct step s;
	memset(&s, 0, sizeof s);
	s.session = c->session;
	s.op = c->op;
	s.read = data;
	s.readlen = reads(c) ? c->size : 0;
	s.out = out;
	s.taken = c->taken;
	s.settled = c->settled;
	s.refused = c->refused;
	c->taken = 0;
	c->settled = c->refused = 0;
	if (writes(c)) {
		s.write.at = lua_tostring(L, 2) + c->at;
		s.write.len = c->len;
	}
	if (c->have == HEADER) {
		s.head.at = (const char *)c->head;
		s.head.len = HEADER;
		c->have = 0;
		c->ready = -1;
	}
	if (c->given) {
		s.body.at = lua_tolstring(L, -1, &s.body.len);
		c->left -= s.body.len < c->left ? s.body.len : c->left;
		c->given = 0;
	}
	if (s.session == NULL) /* collected while a callback ran */
		return fail(L, "context is closed");
	hermetic_step(&s);
	lua_settop(L, base(c));

	c->heading = is_tls(c) && s.status == WANT_READ && s.n == HEADER && c->left == 0;
	if (c->heading)
		c->ready = c->op;
	else if (s.drained)
		c->ready = READ;
	else if ((c->op != WRITE && c->op != CLOSE) || c->op == c->ready)
		c->ready = -1;

	unsigned calls = c->calls;
	switch (s.status) {
	case DONE:
		if (reads(c))
			lua_pushlstring(L, data, s.n);
		else if (writes(c))
			lua_pushinteger(L, (lua_Integer)s.n);
		else
			lua_pushboolean(L, 1);
		return 1;
	case WANT_READ:
		c->next = ASK;
		c->asked = s.n;
		return 0;
	case WANT_WRITE:
	case TRY_WRITE:
	case LAST_WRITE:
		lua_pushlstring(L, out, s.n);
		if (c->calls != calls)
			return fail(L, "want-write");
		c->next = OFFER;
		c->offered = s.n;
		c->offset = 0;
		c->effort = s.status;
		c->whole = s.whole;
		return 0;
	case CLOSED:
		return fail_closed(L);
	case INVALID:
		return fail(L, "invalid operation");
	default:
		forget_transport(c);
		lua_pushnil(L);
		lua_pushlstring(L, out, s.n);
		return 2;
	}
}

/* Pushes a callback, and the reference if there is one: the arguments so far. */
static int push_callback(lua_State *L, struct context *c, int which)
{
	lua_rawgeti(L, base(c), which);
	if (c->ref)
		lua_rawgeti(L, base(c), REF);
	return c->ref;
}

static int push_ask(lua_State *L, struct context *c)
{
	if (c->heading)
		c->asked = c->have < HEADER ? (size_t)(HEADER - c->have) : c->left;
	int args = push_callback(L, c, RCB);
	lua_pushinteger(L, (lua_Integer)c->asked);
	return args + 1;
}

static int push_offer(lua_State *L, struct context *c)
{
	int offered = base(c) + 1;
	int args = push_callback(L, c, WCB);
	if (c->offset == 0)
		lua_pushvalue(L, offered);
	else
		lua_pushlstring(L, lua_tostring(L, offered) + c->offset, c->offered - c->offset);
	return args + 1;
}

/* A header is complete: should the rest be asked for? Otherwise Go judges it. */
static void judge_header(struct context *c)
{
	const unsigned char *h = c->head;
	c->left = (size_t)h[3] << 8 | h[4];
	c->next = 20 <= h[0] && h[0] <= 23 && 0 < c->left && c->left <= MAX_RECORD ? ASK : STEP;
}

/* rcb's result is at the top of the stack. */
static int after_ask(lua_State *L, struct context *c)
{
	size_t len;
	int type = lua_type(L, -1);
	if (type != LUA_TSTRING && type != LUA_TNUMBER)
		return fail(L, "invalid read result");
	unsigned calls = c->calls;
	const char *data = lua_tolstring(L, -1, &len);
	if (c->calls != calls)
		return fail(L, "want-read");
	if (len > c->asked)
		return fail(L, "invalid read result");
	if (len == 0)
		return fail(L, "want-read");
	if (c->heading && c->have < HEADER) {
		memcpy(c->head + c->have, data, len);
		c->have += (int)len;
		lua_settop(L, base(c));
		if (c->have == HEADER)
			judge_header(c);
		return 0;
	}
	c->given = 1;
	c->next = STEP;
	return 0;
}

/* wcb's result is at the top of the stack, below it what it was offered. */
static int after_offer(lua_State *L, struct context *c)
{
	if (!lua_isnumber(L, -1))
		return fail(L, "invalid write result");
	lua_Number n = lua_tonumber(L, -1);
	if (!(0 <= n && n <= (lua_Number)(c->offered - c->offset)) || n != (lua_Number)(size_t)n)
		return fail(L, "invalid write result");
	if (n == 0 && c->effort == TRY_WRITE) {
		c->refused = 1;
		c->next = STEP;
		return 0;
	}
	if (n == 0)
		return fail(L, "want-write");
	lua_pop(L, 1);
	c->offset += (size_t)n;
	c->taken = c->offset;
	if (c->offset < c->offered)
		return 0;
	c->next = STEP;
	if (c->whole == 0)
		return 0;
	c->settled = 1; /* the next operation tells Go */
	lua_pushinteger(L, (lua_Integer)c->whole);
	return 1;
}

/* A callback has returned. Returns the number of results, or 0 to continue. */
static int after_callback(lua_State *L, struct context *c, int status)
{
	int results, last = c->next == OFFER && c->effort == LAST_WRITE;
	unsigned calls = c->calls;
	c->busy = 0;
	if (status != LUA_OK) {
		lua_pushnil(L);
		lua_insert(L, -2);
		results = 2;
	} else {
		results = c->next == ASK ? after_ask(L, c) : after_offer(L, c);
	}
	if (results == 0 || !last || c->calls != calls)
		return results;
	c->next = STEP; /* the alert is dropped: its reason is the result */
	return 0;
}

static int drive(lua_State *L, struct context *c);

#ifdef CONTINUATION
CONTINUATION(go_on)
{
	BEGIN_CONTINUATION
	struct context *c = lua_touserdata(L, 1);
	int results = after_callback(L, c, status == LUA_YIELD ? LUA_OK : status);
	return results ? results : drive(L, c);
}
#endif

/* Continues until the operation has results. */
static int drive(lua_State *L, struct context *c)
{
	for (;;) {
		int results;
		if (c->next == STEP) {
			results = step(L, c);
		} else if (c->next == ASK && !is_tls(c) && c->asks++ == MAX_TAKEN) {
			results = fail(L, "want-read");
		} else {
			unsigned calls = c->calls;
			int args = c->next == ASK ? push_ask(L, c) : push_offer(L, c);
			if (c->calls != calls)
				return fail(L, "want-write");
			c->busy = 1;
			results = after_callback(L, c, protected_call(L, args, go_on));
		}
		if (results)
			return results;
	}
}

static int operate(lua_State *L, struct context *c, int op)
{
	c->op = op;
	c->given = c->refused = c->asks = 0;
	c->heading = c->ready == op;
	if (!c->heading)
		c->next = STEP;
	else if (c->have == HEADER)
		judge_header(c);
	else
		c->next = ASK;
	get_own_table(L, 1);
	return drive(L, c);
}

/* Methods */

static struct context *check_context(lua_State *L)
{
	struct context *c = check_self(L, CONTEXT_TYPE);
	check_process(L);
	luaL_argcheck(L, c->session != NULL, 1, "context is closed");
	luaL_argcheck(L, !c->busy, 1, "context is busy");
	c->calls++;
	return c;
}

static int context_handshake(lua_State *L)
{
	struct context *c = check_context(L);
	lua_settop(L, 1);
	return operate(L, c, HANDSHAKE);
}

static int operate_reading(lua_State *L, struct context *c, int op, size_t size)
{
	c->size = size < MAX_DATA ? size : MAX_DATA;
	lua_settop(L, 1);
	return operate(L, c, op);
}

static int context_read(lua_State *L)
{
	struct context *c = check_context(L);
	return operate_reading(L, c, READ, check_count(L, 2));
}

static int context_readearly(lua_State *L)
{
	struct context *c = check_context(L);
	size_t size = check_count(L, 2);
	luaL_argcheck(L, c->mode == 1, 1, "operation not supported");
	luaL_argcheck(L, size > 0, 2, "value out of range"); /* '' is the end */
	return operate_reading(L, c, READ_EARLY, size);
}

static int operate_writing(lua_State *L, struct context *c, int op)
{
	bytes part = check_range(L, 2);
	/* A number has become a string, so a finalizer may have left a callback running. */
	luaL_argcheck(L, !c->busy, 1, "context is busy");
	c->at = (size_t)(part.at - lua_tostring(L, 2));
	c->len = part.len;
	lua_settop(L, 2);
	return operate(L, c, op);
}

static int context_write(lua_State *L) { return operate_writing(L, check_context(L), WRITE); }

static int context_writeearly(lua_State *L)
{
	struct context *c = check_context(L);
	luaL_argcheck(L, c->mode != 3, 1, "operation not supported");
	return operate_writing(L, c, WRITE_EARLY);
}

static int context_close(lua_State *L)
{
	struct context *c = check_context(L);
	lua_settop(L, 1);
	return operate(L, c, CLOSE);
}

static int context_reset(lua_State *L)
{
	struct context *c = check_context(L);
	char text[MAX_TEXT];
	forget_transport(c);
	size_t failed = hermetic_reset(c->session, text);
	return failed ? throw_text(L, text, failed) : 0;
}

/* The callbacks and the reference are at index 2, 3 and 4. */
static void set_callbacks(lua_State *L, struct context *c, int context)
{
	lua_createtable(L, 3, 0);
	for (int i = 0; i < 3; i++) {
		lua_pushvalue(L, 2 + i);
		lua_rawseti(L, -2, RCB + i);
	}
	set_own_table(L, context);
	c->ref = !lua_isnil(L, 4);
}

static void check_callbacks(lua_State *L)
{
	luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "value is nil");
	luaL_argcheck(L, !lua_isnoneornil(L, 3), 3, "value is nil");
	lua_settop(L, 4);
}

static int context_setbio(lua_State *L)
{
	struct context *c = check_context(L);
	check_callbacks(L);
	set_callbacks(L, c, 1);
	return 0;
}

static int context_setpeerid(lua_State *L)
{
	struct context *c = check_context(L);
	char text[MAX_TEXT];
	bytes id = check_bytes(L, 2);
	luaL_argcheck(L, c->mode == 3, 1, "operation not supported");
	size_t failed = hermetic_peer_id(c->session, id, text);
	return failed ? throw_text(L, text, failed) : 0;
}

static int context_sethostname(lua_State *L)
{
	struct context *c = check_context(L);
	char text[MAX_TEXT];
	bytes name = {"", 0};
	luaL_checkany(L, 2);
	if (!lua_isnil(L, 2))
		name = check_bytes(L, 2);
	luaL_argcheck(L, c->mode % 2 == 0, 1, "operation not supported");
	luaL_argcheck(L, name.len <= 255, 2, "value out of range");
	size_t failed = hermetic_server_name(c->session, name, text);
	return failed ? throw_text(L, text, failed) : 0;
}

static int context_gettimeout(lua_State *L)
{
	struct context *c = check_context(L);
	double seconds = is_tls(c) ? -1 : hermetic_timeout(c->session);
	if (seconds < 0)
		lua_pushnil(L);
	else
		lua_pushnumber(L, seconds);
	return 1;
}

static int context_export(lua_State *L)
{
	struct context *c = check_context(L);
	char text[MAX_TEXT];
	bytes label = check_bytes(L, 2), context = {"", 0};
	int with = !lua_isnoneornil(L, 3);
	if (with)
		context = check_bytes(L, 3);
	size_t len = check_count(L, 4);
	luaL_argcheck(L, len <= MAX_DATA, 4, "value out of range");
	char *secret = new_userdata(L, len + 1);
	size_t failed = hermetic_export(c->session, label, with ? &context : NULL, secret, len, text);
	if (failed) {
		lua_pushnil(L);
		lua_pushlstring(L, text, failed);
		return 2;
	}
	lua_pushlstring(L, secret, len);
	return 1;
}

/*
 * Go's description of the connection: for each field its type, its name, a zero
  * byte and the value: a string's length in four bytes and its bytes, or a
  * boolean's byte; '{' opens a table, '}' closes it.
 */
static const char *push_info(lua_State *L, const char *p, const char *end)
{
	luaL_checkstack(L, 5, NULL);
	lua_newtable(L);
	while (p < end && *p != '}') {
		char type = *p++;
		const char *name = p;
		p += strlen(name) + 1;
		if (type == '{') {
			p = push_info(L, p, end);
		} else if (type == 'b') {
			lua_pushboolean(L, *p++);
		} else {
			const unsigned char *u = (const unsigned char *)p;
			size_t len = (size_t)u[0] << 24 | (size_t)u[1] << 16 | (size_t)u[2] << 8 | u[3];
			lua_pushlstring(L, p + 4, len);
			p += 4 + len;
		}
		lua_setfield(L, -2, name);
	}
	return p + 1;
}

static int context_info(lua_State *L)
{
	struct context *c = check_context(L);
	char *at = NULL;
	size_t len, room = 0;
	while ((len = hermetic_info(c->session, at, room)) > room)
		at = new_userdata(L, room = len);
	push_info(L, at, at + len);
	return 1;
}

/* The end, of a `local ctx <close>` too: nothing is sent. */
static int context_gc(lua_State *L)
{
	struct context *c = luaL_checkudata(L, 1, CONTEXT_TYPE);
	free_session(&c->session);
	return 0;
}

static const luaL_Reg methods[] = {
	{"handshake", context_handshake},
	{"read", context_read},
	{"write", context_write},
	{"readearly", context_readearly},
	{"writeearly", context_writeearly},
	{"close", context_close},
	{"closenotify", context_close},
	{"reset", context_reset},
	{"setbio", context_setbio},
	{"setpeerid", context_setpeerid},
	{"sethostname", context_sethostname},
	{"gettimeout", context_gettimeout},
	{"info", context_info},
	{"export", context_export},
	{NULL, NULL},
};

static const luaL_Reg meta[] = {
	{"__gc", context_gc},
	{"__close", context_gc},
	{"__tostring", object_tostring},
	{NULL, NULL},
};

void open_context(lua_State *L) { new_type(L, CONTEXT_TYPE, methods, meta); }

int ssl_newcontext(lua_State *L)
{
	struct config *config = luaL_checkudata(L, 1, CONFIG_TYPE);
	check_process(L);
	luaL_argcheck(L, config->config != 0, 1, "config is closed");
	check_callbacks(L);
	struct context *c = new_object(L, CONTEXT_TYPE, sizeof *c);
	c->mode = hermetic_mode(config->config);
	forget_transport(c);
	set_callbacks(L, c, 5);
	char text[MAX_TEXT];
	size_t failed = hermetic_session(config->config, &c->session, text);
	return failed ? throw_text(L, text, failed) : 1;
}
