/* What the peers in C share: their arguments, sockets, PEM files. Every peer
 * echoes what comes until the other side closes; a client then makes its next
 * connection, a server waits for one. What a connection was like stands on
 * standard error, as "resumed" or "early data".
 *
 *   PEER server|client PORT NAME=VALUE ...
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct arguments {
	int server, port;
	int stream; /* TLS, not DTLS */
	const char *ca, *cert, *key;
	const char *version; /* "1.2" or "1.3" */
	int mtu;             /* 0: the peer's own */
	int limit;           /* record_size_limit; 0: the peer's own */
	int fragments;       /* a client's max_fragment_length; 0: none */
	int mutual, cookies;
	const char *suite; /* the library's name, or "" */
	const char *group; /* the library's name, or "" */
	int connections;   /* of a client, with the session of the one before */
	int ids;           /* sessions by their ids, without tickets */
	const char *early; /* what a client sends as 0-RTT data; a server takes some; or "" */
	const char *identity;
	unsigned char psk[64];
	unsigned pskSize; /* 0: without a PSK */
};

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static inline struct arguments parse(int argc, char **argv)
{
	struct arguments a = {.ca = "", .cert = "", .key = "", .version = "", .suite = "", .group = "", .early = "", .identity = "", .connections = 1};
	struct { const char *name; const char **text; int *number; } names[] = {
		{"ca", &a.ca, NULL}, {"cert", &a.cert, NULL}, {"key", &a.key, NULL}, {"version", &a.version, NULL}, {"suite", &a.suite, NULL},
		{"group", &a.group, NULL}, {"early", &a.early, NULL}, {"identity", &a.identity, NULL}, {"stream", NULL, &a.stream}, {"mtu", NULL, &a.mtu}, {"limit", NULL, &a.limit}, {"fragments", NULL, &a.fragments},
		{"mutual", NULL, &a.mutual}, {"cookies", NULL, &a.cookies}, {"connections", NULL, &a.connections}, {"ids", NULL, &a.ids},
	};
	if (argc < 3)
		fail("arguments", "PEER server|client PORT NAME=VALUE ...");
	a.server = !strcmp(argv[1], "server");
	a.port = atoi(argv[2]);
	for (int i = 3; i < argc; i++) {
		char *value = strchr(argv[i], '=');
		size_t n = 0, count = sizeof names / sizeof names[0];
		if (!value)
			fail(argv[i], "no value");
		*value++ = 0;
		if (!strcmp(argv[i], "psk")) {
			while (a.pskSize < sizeof a.psk && sscanf(value + 2 * a.pskSize, "%2hhx", &a.psk[a.pskSize]) == 1)
				a.pskSize++;
			continue;
		}
		while (n < count && strcmp(names[n].name, argv[i]))
			n++;
		if (n == count)
			fail(argv[i], "unknown");
		if (names[n].text)
			*names[n].text = value;
		else
			*names[n].number = atoi(value);
	}
	return a;
}

/* bound is a socket at the port. */
static inline int bound(const struct arguments *a)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(a->port)};
	int yes = 1, fd = socket(AF_INET, a->stream ? SOCK_STREAM : SOCK_DGRAM, 0);
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (!a->stream)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
	if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		fail("bind", strerror(errno));
	if (a->stream && listen(fd, 4) < 0)
		fail("listen", strerror(errno));
	return fd;
}

/* join is a socket for the next connection. A server's UDP socket is connected
* to the first client that sends, whose datagram can still be read; another socket
* then waits for the next client. */
static inline int join(const struct arguments *a)
{
	static int waiting = -1;
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(a->port)};
	socklen_t size = sizeof addr;
	char byte;
	int fd;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (!a->server) {
		fd = socket(AF_INET, a->stream ? SOCK_STREAM : SOCK_DGRAM, 0);
		if (connect(fd, (struct sockaddr *)&addr, size) < 0)
			fail("connect", strerror(errno));
		return fd;
	}
	if (waiting < 0)
		waiting = bound(a);
	if (a->stream) {
		if ((fd = accept(waiting, NULL, NULL)) < 0)
			fail("accept", strerror(errno));
		return fd;
	}
	fd = waiting;
	if (recvfrom(fd, &byte, 1, MSG_PEEK, (struct sockaddr *)&addr, &size) < 0)
		fail("recvfrom", strerror(errno));
	if (connect(fd, (struct sockaddr *)&addr, size) < 0)
		fail("connect", strerror(errno));
	waiting = bound(a);
	return fd;
}
