/* The functions of Go that C calls, and their arguments. */
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

/* mbedtls.Step */
struct step {
	session session;
	int op;
	int begin;
	bytes write;
	size_t readlen;
	bytes head, body;
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

extern void hermetic_step(struct step *step);
extern int hermetic_unsent(session s, int op, bytes rest); /* whether the operation continues */
/* Both return the length of what they have to say, which may exceed the room. */
extern size_t hermetic_question(session s, char *function, int *chosen, char *out, size_t room);
extern size_t hermetic_describe(session s, int what, bytes text, char *out, size_t room);
enum { INFO, CHAIN, SESSION, CERTIFICATE }; /* what */

/* These return the length of an error's text in out, or 0. */
extern size_t hermetic_option(handle options, bytes key, bytes type, bytes value, char *out);
extern size_t hermetic_config(handle options, handle *config, char *out);
extern size_t hermetic_session(handle config, int fed, session *result, char *out);
extern size_t hermetic_reset(session s, char *out);
extern size_t hermetic_peer_id(session s, bytes id, char *out);
extern size_t hermetic_server_name(session s, bytes name, char *out);
extern size_t hermetic_set_session(session s, bytes saved, char *out);
extern size_t hermetic_verify_peer(session s, bytes name, char *out);
extern size_t hermetic_export(session s, bytes label, bytes *context, char *secret, size_t len, char *out);
extern size_t hermetic_answer(session s, struct answer *answer, char *out);
extern size_t hermetic_feed(session s, bytes data, char *out);

extern handle hermetic_options(int table); /* newconfig's form */
extern int hermetic_mode(handle config); /* 0: tls-client, 1: tls-server, 2: dtls-client, 3: dtls-server */
extern double hermetic_timeout(session s); /* below 0: none */
extern size_t hermetic_pending(session s);
extern size_t hermetic_drain(session s, char *out, size_t room, int *more);
extern void hermetic_free(handle h);
extern void hermetic_free_session(session s);

extern size_t hermetic_cookie(bytes peer, char *out);
extern int hermetic_check_cookie(bytes peer, bytes cookie);

/* Length of the result; -1: invalid value. out has room for it. */
extern ptrdiff_t hermetic_digest(bytes type, bytes *key, bytes data, char *out);
extern ptrdiff_t hermetic_base64(int decode, bytes data, char *out);

extern char *hermetic_version(void);

#endif
