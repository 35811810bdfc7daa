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
enum { DONE, WANT_READ, WANT_WRITE, TRY_WRITE, LAST_WRITE, CLOSED, INVALID, FAILED };

enum {
	MAX_DATA = 16384,       /* the most that one read returns */
	MAX_OUT = 16384 + 1024, /* a record, or a datagram, and more */
	MAX_TEXT = 1024,
	MAX_DIGEST = 64,
};

/* mbedtls.Step */
struct step {
	session session;
	int op;
	bytes write;
	char *read;
	size_t readlen;
	bytes head, body;
	size_t taken;
	int settled, refused;
	char *out; /* MAX_OUT bytes; texts of errors too */

	int status;
	size_t n;
	int drained;
	size_t whole;
};

extern void hermetic_step(struct step *step);

/* These return the length of an error's text in out, or 0. */
extern size_t hermetic_option(handle options, bytes key, bytes type, bytes value, char *out);
extern size_t hermetic_config(handle options, handle *config, char *out);
extern size_t hermetic_session(handle config, session *result, char *out);
extern size_t hermetic_reset(session s, char *out);
extern size_t hermetic_peer_id(session s, bytes id, char *out);
extern size_t hermetic_server_name(session s, bytes name, char *out);
extern size_t hermetic_export(session s, bytes label, bytes *context, char *secret, size_t len, char *out);

extern handle hermetic_options(int table); /* newconfig's form */
extern int hermetic_mode(handle config); /* 0: tls-client, 1: tls-server, 2: dtls-client, 3: dtls-server */
extern double hermetic_timeout(session s); /* below 0: none */
extern size_t hermetic_info(session s, char *out, size_t room); /* returns its length, which may exceed room */
extern void hermetic_free(handle h);
extern void hermetic_free_session(session s);

extern size_t hermetic_cookie(bytes peer, char *out);
extern int hermetic_check_cookie(bytes peer, bytes cookie);

/* Length of the result; -1: invalid value. out has room for it. */
extern ptrdiff_t hermetic_digest(bytes type, bytes *key, bytes data, char *out);
extern ptrdiff_t hermetic_base64(int decode, bytes data, char *out);

extern char *hermetic_version(void);

#endif
