/*
 * I/O contexts. The engine in Go never calls Lua: a step of it says what it needs
 * next, the code here calls the callback with no Go frame on the stack, and steps
 * again with the result. So a callback may raise an error, which is caught here, or
 * yield, where Lua can.
 *
 * An operation keeps its context busy. Making a string may run finalizers, and those
 * must not use the context in the middle.
 */
#include "module.h"

#include <string.h>

enum { HEADER = 5 };

/* A context's slots. The last two are the functions of its configurations. */
enum { RCB = 1, WCB, REF, CONFIG, CHOSEN };

struct context {
	const void *kind; /* KIND: see check_context */
	session session;
	int mode; /* index in the modes of newconfig */
	int busy; /* inside an operation, or a callback */
	int ref;  /* the callbacks get a reference */
	int fed;  /* there are no callbacks */
	int want; /* what the last operation waits for */

	/* The operation in progress. Its data are the string at index 2. */
	struct step step;
	enum { STEP, ASK, OFFER, QUESTION } next;
	size_t asked;   /* ASK: how much rcb may give */
	size_t offset;  /* OFFER: how much of the step's output wcb has taken */
	size_t ready;   /* the next READ asks for so much; 0: Go says */

	/*
	 * TLS: to call Go once for a record, its header is asked for here, and passed on
	 * with the rest.
	 */
	int heading;    /* this ASK is for a header, or for what follows one */
	unsigned char head[HEADER];
};

/* What an operation waits for: the results of ctx:want(). */
enum { NOTHING, READING, WRITING, ANSWERING };
static const char *const wants[] = {"nothing", "read", "write", "answer"};

#define KIND ((const void *)wants)

static int is_tls(const struct context *c) { return c->mode < 2; }
static int reads(const struct context *c) { return c->step.op == READ || c->step.op == READ_EARLY; }
static int writes(const struct context *c) { return c->step.op == WRITE || c->step.op == WRITE_EARLY; }

static void forget_transport(struct context *c)
{
	c->ready = c->heading = 0;
	c->step.head = c->step.body.len = 0;
	c->want = NOTHING;
}

/* nil and a text: errors of the transport, the peer and the protocol. */
static int fail(lua_State *L, const char *text)
{
	lua_pushnil(L);
	lua_pushstring(L, text);
	return 2;
}

static int wait_for(lua_State *L, struct context *c, int what)
{
	static const char *const texts[] = {"", "want-read", "want-write", "want-answer"};
	c->want = what;
	return fail(L, texts[what]);
}

static int fail_closed(lua_State *L)
{
	lua_pushnil(L);
	lua_getfield(L, LUA_REGISTRYINDEX, "mbedtls.ssl.closed");
	return 2;
}

static int fail_collected(lua_State *L) { return fail(L, "context is closed"); }

/*
 * The arguments end here; above is what passes between Go and callbacks. What else was
 * given is dropped with it.
 */
static int base(const struct context *c) { return writes(c) ? 2 : 1; }

/* The step's number, or what was read, is the operation's result. */
static int push_done(lua_State *L, struct context *c, const char *data)
{
	if (reads(c))
		lua_pushlstring(L, data, c->step.n);
	else if (writes(c))
		lua_pushinteger(L, (lua_Integer)c->step.n);
	else
		lua_pushboolean(L, 1);
	return 1;
}

/* What follows the step's output. Returns the number of results, or 0 to continue. */
static int conclude(lua_State *L, struct context *c, const char *data)
{
	if (c->step.status == DONE)
		return push_done(L, c, data);
	lua_settop(L, base(c));
	switch (c->step.status) {
	case WANT_READ:
		if (c->step.n == 0)
			return wait_for(L, c, READING);
		c->next = ASK;
		c->asked = c->step.n;
		c->heading = 0;
		return 0;
	case WANT_WRITE:
		c->next = STEP;
		return 0;
	case WANT_ANSWER:
		c->next = QUESTION;
		return 0;
	case CLOSED:
		return fail_closed(L);
	case INVALID:
		return fail(L, "invalid operation");
	}
	forget_transport(c);
	lua_pushnil(L);
	lua_pushlstring(L, data, c->step.n);
	return 2;
}

/* Calls Go. Returns the number of results, or 0 to continue. */
static int step(lua_State *L, struct context *c)
{
	struct step *s = &c->step;
	char in[MAX_RECORD], out[MAX_OUTPUT];
	if (c->session == NULL) /* collected while a callback ran */
		return fail_collected(L);
	memcpy(in, c->head, sizeof c->head);
	s->in = in;
	s->out = out;
	go.step(c->session, s);
	s->begin = 0;
	s->head = s->body.len = 0;
	c->ready = s->ready;
	if (s->output == 0)
		return conclude(L, c, in + s->at);
	lua_settop(L, base(c));
	c->next = OFFER;
	c->offset = 0;
	if (s->status == FAILED) /* its text stays below what is offered */
		lua_pushlstring(L, in + s->at, s->n);
	lua_pushlstring(L, out, s->output);
	return 0;
}

/* Pushes a callback, and the reference if there is one: the arguments so far. */
static int push_callback(lua_State *L, struct context *c, int which)
{
	push_slot(L, 1, which);
	if (c->ref)
		push_slot(L, 1, REF);
	return c->ref;
}

static int push_ask(lua_State *L, struct context *c)
{
	int args = push_callback(L, c, RCB);
	lua_pushinteger(L, (lua_Integer)c->asked);
	return args + 1;
}

static int push_offer(lua_State *L, struct context *c)
{
	int offered = base(c) + (c->step.status == FAILED ? 2 : 1);
	int args = push_callback(L, c, WCB);
	if (c->offset == 0)
		lua_pushvalue(L, offered);
	else
		lua_pushlstring(L, lua_tostring(L, offered) + c->offset, c->step.output - c->offset);
	return args + 1;
}

/* A table of the configuration's functions: of the context's, or of the chosen one. */
static int push_question(lua_State *L, struct context *c);

/*
 * A header is complete. One that begins a usual record of data is passed on with the
 * rest; the engine looks at all others first.
 */
static void ask_rest(struct context *c)
{
	size_t rest = (size_t)c->head[3] << 8 | c->head[4];
	int usual = memcmp(c->head, "\x17\x03\x03", 3) == 0 && 0 < rest && rest <= MAX_RECORD - HEADER;
	c->next = usual ? ASK : STEP;
	c->asked = rest;
}

/* rcb's result is at the top of the stack. */
static int after_ask(lua_State *L, struct context *c)
{
	struct step *s = &c->step;
	size_t len;
	const char *data = lua_tolstring(L, -1, &len);
	if (data == NULL || len > c->asked)
		return fail(L, "invalid read result");
	if (len == 0)
		return wait_for(L, c, READING);
	if (c->heading && s->head < HEADER) {
		memcpy(c->head + s->head, data, len);
		s->head += len;
		c->asked -= len;
		if (s->head == HEADER)
			ask_rest(c);
		return 0; /* it stays on the stack: there are HEADER of it at most */
	}
	s->body.at = data; /* as long as it is on the stack */
	s->body.len = len;
	c->next = STEP;
	return 0;
}

/* Gives back what was not taken. Returns whether the operation continues. */
static int give_back(lua_State *L, struct context *c)
{
	bytes rest;
	rest.at = lua_tostring(L, base(c) + 1) + c->offset;
	rest.len = c->step.output - c->offset;
	c->ready = 0;
	return c->session != NULL && go.unsent(c->session, c->step.op, rest);
}

/*
 * The step's output is sent, or must not hold up the operation. What was offered is
 * on the stack, and for FAILED below it the text.
 */
static int after_output(lua_State *L, struct context *c)
{
	if (c->session == NULL)
		return fail_collected(L);
	if (c->step.status == FAILED) {
		lua_settop(L, base(c) + 1);
		forget_transport(c);
		lua_pushnil(L);
		lua_insert(L, -2);
		return 2;
	}
	return conclude(L, c, "");
}

/* wcb's result is at the top of the stack, below it what it was offered. */
static int after_offer(lua_State *L, struct context *c)
{
	int good;
	lua_Number n = to_number(L, -1, &good);
	good = good && 0 <= n && n <= (lua_Number)(c->step.output - c->offset) && n == (lua_Number)(size_t)n;
	if (good && n > 0) {
		c->offset = is_tls(c) ? c->offset + (size_t)n : c->step.output; /* a datagram leaves whole */
		if (c->offset < c->step.output) {
			lua_pop(L, 1);
			return 0;
		}
	} else if (c->step.status != FAILED) {
		int go_on = give_back(L, c);
		if (!good)
			return fail(L, "invalid write result");
		if (!go_on)
			return wait_for(L, c, WRITING);
	}
	return after_output(L, c);
}

/* A function of the configuration has returned two results. */
static int after_question(lua_State *L, struct context *c)
{
	struct answer a;
	char text[MAX_TEXT];
	memset(&a, 0, sizeof a);
	a.type = ANSWER_OTHER;
	if (lua_isstring(L, -1))
		a.text.at = lua_tolstring(L, -1, &a.text.len);
	switch (lua_type(L, -2)) {
	case LUA_TNIL:
		return wait_for(L, c, ANSWERING);
	case LUA_TBOOLEAN:
		a.type = ANSWER_BOOLEAN;
		a.truth = lua_toboolean(L, -2);
		break;
	case LUA_TSTRING:
		a.type = ANSWER_STRING;
		a.text.at = lua_tolstring(L, -2, &a.text.len);
		break;
	case LUA_TUSERDATA: {
		struct config *config = test_object(L, -2, CONFIG_TYPE);
		if (config != NULL && config->config != 0) {
			a.type = ANSWER_CONFIG;
			a.config = config->config;
			push_slot(L, lua_gettop(L) - 1, FUNCTIONS);
			set_slot(L, 1, CHOSEN);
		}
	}
	}
	if (c->session == NULL)
		return fail_collected(L);
	size_t failed = go.answer(c->session, &a, text);
	if (failed) {
		lua_pushnil(L);
		lua_pushlstring(L, text, failed);
		return 2;
	}
	lua_settop(L, base(c));
	c->next = STEP;
	return 0;
}

/* A callback has raised an error, which is at the top of the stack. */
static int after_error(lua_State *L, struct context *c)
{
	if (c->next == OFFER && c->step.status == FAILED) {
		lua_pop(L, 1);
		return after_output(L, c); /* the alert is dropped: its reason is the result */
	}
	if (c->next == OFFER)
		give_back(L, c);
	lua_pushnil(L);
	lua_insert(L, -2);
	return 2;
}

/* A callback has returned. Returns the number of results, or 0 to continue. */
static int after_callback(lua_State *L, struct context *c, int status)
{
	if (status != LUA_OK)
		return after_error(L, c);
	switch (c->next) {
	case ASK:
		return after_ask(L, c);
	case OFFER:
		return after_offer(L, c);
	default:
		return after_question(L, c);
	}
}

static int drive(lua_State *L, struct context *c);

#ifdef CONTINUATION
CONTINUATION(go_on)
{
	BEGIN_CONTINUATION
	struct context *c = lua_touserdata(L, 1);
	int results = after_callback(L, c, status == LUA_YIELD ? LUA_OK : status);
	if (results == 0)
		return drive(L, c);
	c->busy = 0;
	return results;
}
#endif

/* Continues until the operation has results. */
static int drive(lua_State *L, struct context *c)
{
	int results = 0;
	while (results == 0) {
		int args;
		switch (c->next) {
		case STEP:
			results = step(L, c);
			continue;
		case ASK:
			args = push_ask(L, c);
			break;
		case OFFER:
			args = push_offer(L, c);
			break;
		default:
			args = push_question(L, c);
		}
		results = after_callback(L, c, protected_call(L, args, c->next == QUESTION ? 2 : 1, go_on));
	}
	c->busy = 0;
	return results;
}

static int operate(lua_State *L, struct context *c, int op)
{
	struct step *s = &c->step;
	s->op = op;
	s->begin = c->busy = 1;
	s->body.len = 0;
	c->want = NOTHING;
	c->next = STEP;
	if (op == READ && c->ready > 0) {
		s->begin = 0; /* Go has nothing to do before rcb */
		c->next = ASK;
		c->asked = c->ready - s->head;
		if ((c->heading = c->ready == HEADER) && s->head == HEADER)
			ask_rest(c);
	}
	return drive(L, c);
}

/* Methods */

/*
 * The context at index 1. luaL_checkudata would cost a tenth of a small record's time: a
 * userdata of this size that begins with the address of our own constant is a context, as
 * nothing in Lua can write into a userdata.
 */
static struct context *check_context(lua_State *L)
{
	struct context *c = lua_touserdata(L, 1);
	if (c == NULL || lua_rawlen(L, 1) != sizeof *c || c->kind != KIND)
		c = luaL_checkudata(L, 1, CONTEXT_TYPE);
	check_process(L);
	luaL_argcheck(L, c->session != NULL, 1, "context is closed");
	luaL_argcheck(L, !c->busy, 1, "context is busy");
	return c;
}

static int context_handshake(lua_State *L)
{
	return operate(L, check_context(L), HANDSHAKE);
}

static int operate_reading(lua_State *L, struct context *c, int op, size_t size)
{
	c->step.size = size < MAX_DATA ? size : MAX_DATA;
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
	c->step.data = part;
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
	return operate(L, check_context(L), CLOSE);
}

static int context_reset(lua_State *L)
{
	struct context *c = check_context(L);
	char text[MAX_TEXT];
	forget_transport(c);
	size_t failed = go.reset(c->session, text);
	return failed ? throw_text(L, text, failed) : 0;
}

static int context_want(lua_State *L)
{
	lua_pushstring(L, wants[check_context(L)->want]);
	return 1;
}

static int context_pending(lua_State *L)
{
	lua_pushinteger(L, (lua_Integer)go.pending(check_context(L)->session));
	return 1;
}

/* Without callbacks: what was received goes in here. */
static int context_feed(lua_State *L)
{
	struct context *c = check_context(L);
	char text[MAX_TEXT];
	luaL_argcheck(L, c->fed, 1, "operation not supported: the context has callbacks");
	bytes data = check_bytes(L, 2);
	size_t failed = go.feed(c->session, data, text);
	if (failed) {
		lua_pushnil(L);
		lua_pushlstring(L, text, failed);
		return 2;
	}
	lua_pushboolean(L, 1);
	return 1;
}

/* And what must be sent comes out here: over TLS all of it, in DTLS one datagram. */
static int context_drain(lua_State *L)
{
	struct context *c = check_context(L);
	char out[MAX_OUTPUT];
	int more, parts = 0;
	luaL_argcheck(L, c->fed, 1, "operation not supported: the context has callbacks");
	lua_settop(L, 1);
	c->busy = 1;
	do {
		size_t n = go.drain(c->session, out, sizeof out, &more);
		lua_pushlstring(L, out, n);
		if (++parts == 2) {
			lua_concat(L, 2);
			parts = 1;
		}
	} while (more && c->session != NULL);
	c->busy = 0;
	return 1;
}

/* The callbacks and the reference are at index 2, 3 and 4. */
static void set_callbacks(lua_State *L, struct context *c, int context)
{
	for (int i = 0; i < 3; i++) {
		lua_pushvalue(L, 2 + i);
		set_slot(L, context, RCB + i);
	}
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
	luaL_argcheck(L, !c->fed, 1, "operation not supported: the context has no callbacks");
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
	size_t failed = go.peer_id(c->session, id, text);
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
	size_t failed = go.server_name(c->session, name, text);
	return failed ? throw_text(L, text, failed) : 0;
}

static int context_setsession(lua_State *L)
{
	struct context *c = check_context(L);
	char text[MAX_TEXT];
	bytes session = check_bytes(L, 2);
	luaL_argcheck(L, c->mode % 2 == 0, 1, "operation not supported");
	size_t failed = go.set_session(c->session, session, text);
	return failed ? throw_argument(L, 2, text, failed) : 0;
}

static int context_gettimeout(lua_State *L)
{
	struct context *c = check_context(L);
	double seconds = is_tls(c) ? -1 : go.timeout(c->session);
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
	if (c->session == NULL)
		return fail_collected(L);
	size_t failed = go.export(c->session, label, with ? &context : NULL, secret, len, text);
	if (failed) {
		lua_pushnil(L);
		lua_pushlstring(L, text, failed);
		return 2;
	}
	lua_pushlstring(L, secret, len);
	return 1;
}

static int push_verdict(lua_State *L, size_t failed, const char *text)
{
	if (!failed) {
		lua_pushboolean(L, 1);
		return 1;
	}
	lua_pushnil(L);
	lua_pushlstring(L, text, failed);
	return 2;
}

/* ctx:verifypeer([name]): true, or nil and why the peer's certificate is not good. */
static int context_verifypeer(lua_State *L)
{
	struct context *c = check_context(L);
	char text[MAX_TEXT];
	bytes name = {"", 0};
	if (!lua_isnoneornil(L, 2))
		name = check_bytes(L, 2);
	return push_verdict(L, go.verify_peer(c->session, name, text), text);
}

/* ssl.verifychain(chain, authorities): true, or nil and why not. */
int ssl_verifychain(lua_State *L)
{
	need_engine(L);
	char text[MAX_TEXT];
	bytes chain = check_bytes(L, 1), authorities = check_bytes(L, 2);
	return push_verdict(L, go.verify_chain(chain, authorities, text), text);
}

/*
 * Go's tables: for each field its type, its name, a zero byte and the value: a
 * string's length in four bytes and its bytes, an integer's eight bytes, or a
 * boolean's byte; '{' opens a table, '}' closes it. The elements of a list have
 * no name.
 */
static const char *push_fields(lua_State *L, const char *p, const char *end)
{
	luaL_checkstack(L, 5, NULL);
	lua_newtable(L);
	int elements = 0;
	while (p < end && *p != '}') {
		char type = *p++;
		const char *name = p;
		const unsigned char *u;
		p += strlen(name) + 1;
		u = (const unsigned char *)p;
		if (type == '{') {
			p = push_fields(L, p, end);
		} else if (type == 'b') {
			lua_pushboolean(L, *p++);
		} else if (type == 'n') {
			uint64_t n = 0;
			for (int i = 0; i < 8; i++)
				n = n << 8 | u[i];
			lua_pushinteger(L, (lua_Integer)(int64_t)n);
			p += 8;
		} else {
			size_t len = (size_t)u[0] << 24 | (size_t)u[1] << 16 | (size_t)u[2] << 8 | u[3];
			lua_pushlstring(L, p + 4, len);
			p += 4 + len;
		}
		if (*name)
			lua_setfield(L, -2, name);
		else
			lua_rawseti(L, -2, ++elements);
	}
	return p + 1;
}

/* Pushes what Go has to say. Its length is that of the last call. */
static char *describe(lua_State *L, session s, int what, bytes text, size_t *len)
{
	char *at = NULL;
	size_t room = 0;
	while ((*len = go.describe(s, what, text, at, room)) > room)
		at = new_userdata(L, room = *len);
	return at;
}

static int push_description(lua_State *L, int what)
{
	struct context *c = check_context(L);
	bytes none = {"", 0};
	size_t len;
	c->busy = 1;
	char *at = describe(L, c->session, what, none, &len);
	c->busy = 0;
	if (len == 0)
		lua_pushnil(L);
	else if (what == SESSION)
		lua_pushlstring(L, at, len);
	else
		push_fields(L, at, at + len);
	return 1;
}

static int context_info(lua_State *L) { return push_description(L, INFO); }
static int context_peerchain(lua_State *L) { return push_description(L, CHAIN); }
static int context_getsession(lua_State *L) { return push_description(L, SESSION); }

int ssl_certificate(lua_State *L)
{
	need_engine(L);
	bytes text = check_bytes(L, 1);
	size_t len;
	char *at = describe(L, NULL, CERTIFICATE, text, &len);
	if (at[0] == 'e')
		return throw_argument(L, 1, at + 1, len - 1);
	push_fields(L, at, at + len);
	return 1;
}

static int push_question(lua_State *L, struct context *c)
{
	char function[32];
	int chosen;
	char *at = NULL;
	size_t len, room = 0;
	while ((len = go.question(c->session, function, &chosen, at, room)) > room)
		at = new_userdata(L, room = len);
	push_slot(L, 1, chosen ? CHOSEN : CONFIG);
	lua_getfield(L, -1, function);
	push_fields(L, at, at + len);
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
	{"feed", context_feed},
	{"drain", context_drain},
	{"want", context_want},
	{"pending", context_pending},
	{"setpeerid", context_setpeerid},
	{"sethostname", context_sethostname},
	{"gettimeout", context_gettimeout},
	{"info", context_info},
	{"peerchain", context_peerchain},
	{"verifypeer", context_verifypeer},
	{"getsession", context_getsession},
	{"setsession", context_setsession},
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

/* A context of the configuration at index 1, with the callbacks that follow. */
static int new_context(lua_State *L, struct config *config, int fed)
{
	char text[MAX_TEXT];
	struct context *c = new_object(L, CONTEXT_TYPE, sizeof *c);
	c->mode = go.mode(config->config);
	c->kind = KIND;
	c->fed = fed;
	set_callbacks(L, c, 5);
	push_slot(L, 1, FUNCTIONS);
	set_slot(L, 5, CONFIG);
	size_t failed = go.session(config->config, fed, &c->session, text);
	return failed ? throw_text(L, text, failed) : 1;
}

static struct config *check_config(lua_State *L)
{
	struct config *config = luaL_checkudata(L, 1, CONFIG_TYPE);
	check_process(L);
	luaL_argcheck(L, config->config != 0, 1, "config is closed");
	return config;
}

int ssl_newcontext(lua_State *L)
{
	struct config *config = check_config(L);
	check_callbacks(L);
	return new_context(L, config, 0);
}

/* newengine(cfg): a context without callbacks, for feed and drain. */
int ssl_newengine(lua_State *L)
{
	struct config *config = check_config(L);
	lua_settop(L, 1);
	lua_settop(L, 4);
	return new_context(L, config, 1);
}
