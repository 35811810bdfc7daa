/* The functions of the engine, which is Go, that the module calls, and their arguments. */
#ifndef HERMETIC_BRIDGE_H
#define HERMETIC_BRIDGE_H

#include <stddef.h>
#include <stdint.h>

typedef uintptr_t handle; /* of a Go value; 0 is none */
typedef void *session;    /* a pinned Go value: every record needs it */

typedef struct {
	const char *at;
	size_t len;
} bytes;

/* As in Go: mbedtls.Op and mbedtls.Status. */
enum { HANDSHAKE, READ, WRITE, CLOSE, READ_EARLY, WRITE_EARLY };
enum { DONE, WANT_READ, WANT_WRITE, WANT_ANSWER, CLOSED, INVALID, FAILED };

enum {
	MAX_DATA = 16384,                /* the most that one read returns */
	MAX_RECORD = 5 + MAX_DATA + 2048, /* a record that rcb has returned */
	MAX_OUTPUT = MAX_DATA + 1024,    /* a record, or a datagram, and more */
	MAX_TEXT = 1024,
	MAX_DIGEST = 64,
};

/* mbedtls.Step, in a context's memory. */
struct step {
	int op;
	int begin;
	size_t size;    /* READ, READ_EARLY */
	bytes data;     /* WRITE, WRITE_EARLY */
	size_t head;    /* bytes of `in` that rcb has returned before the body */
	bytes body;
	char *in, *out; /* MAX_RECORD and MAX_OUTPUT bytes */

	int status;
	size_t n;
	size_t at;     /* READ, READ_EARLY: where the n bytes are; FAILED: the text: in `in` */
	size_t output; /* bytes in `out` */
	size_t ready;
};

/* What a function of the configuration returned. */
enum { ANSWER_BOOLEAN, ANSWER_STRING, ANSWER_CONFIG, ANSWER_OTHER };

struct answer {
	int type;
	int truth;
	handle config;
	bytes text; /* the string, or the reason */
};

enum { INFO, CHAIN, SESSION, CERTIFICATE }; /* what to describe */

/*
 * The functions: the type of their result, their name in Go after "hermetic_", and
 * their parameters.
 *
 * unsent says whether the operation continues. question and describe return the
 * length of what they have to say, which may exceed the room. Those with a text of
 * MAX_TEXT bytes return the length of an error's text in it, or 0.
 */
#define FUNCTIONS_OF_GO(F) \
	F(void, step, (session, struct step *)) \
	F(int, unsent, (session, int op, bytes rest)) \
	F(size_t, question, (session, char *function, int *chosen, char *out, size_t room)) \
	F(size_t, describe, (session, int what, bytes of, char *out, size_t room)) \
	F(size_t, option, (handle options, bytes key, bytes type, bytes value, char *text)) \
	F(size_t, config, (handle options, handle *config, char *text)) \
	F(size_t, session, (handle config, int fed, session *result, char *text)) \
	F(size_t, reset, (session, char *text)) \
	F(size_t, peer_id, (session, bytes id, char *text)) \
	F(size_t, server_name, (session, bytes name, char *text)) \
	F(size_t, set_session, (session, bytes saved, char *text)) \
	F(size_t, verify_peer, (session, bytes name, char *text)) \
	F(size_t, verify_chain, (bytes chain, bytes authorities, char *text)) \
	F(size_t, export, (session, bytes label, bytes *context, char *secret, size_t len, char *text)) \
	F(size_t, answer, (session, struct answer *, char *text)) \
	F(size_t, feed, (session, bytes data, char *text)) \
	F(handle, options, (int table)) /* newconfig's form */ \
	F(int, mode, (handle config))   /* 0: tls-client, 1: tls-server, 2: dtls-client, 3: dtls-server */ \
	F(double, timeout, (session))   /* below 0: none */ \
	F(size_t, pending, (session)) \
	F(size_t, drain, (session, char *out, size_t room, int *more)) \
	F(void, free, (handle)) \
	F(void, free_session, (session)) \
	F(size_t, cookie, (bytes peer, char *out)) \
	F(int, check_cookie, (bytes peer, bytes cookie)) \
	/* length of the result, for which out has room; -1: invalid value */ \
	F(ptrdiff_t, digest, (bytes type, bytes *key, bytes data, char *out)) \
	F(ptrdiff_t, base64, (int decode, bytes data, char *out)) \
	F(char *, version, (void))

#endif
