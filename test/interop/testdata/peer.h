/* What the datagram peers in C share: their arguments, a UDP socket, PEM files.
 * Every peer echoes the datagrams that come, until it is ended or the other
 * side closes:
 *
 *   PEER server|client PORT CA CERT KEY VERSION MTU MUTUAL COOKIES SUITE GROUP
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
	const char *ca, *cert, *key;
	const char *version; /* "1.2", "1.3", or "" for both */
	int mtu;             /* 0: the peer's own */
	int mutual, cookies;
	const char *suite; /* the library's name, or "" */
	const char *group; /* the library's name, or "" */
};

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static struct arguments parse(int argc, char **argv)
{
	if (argc != 12)
		fail("arguments", "PEER server|client PORT CA CERT KEY VERSION MTU MUTUAL COOKIES SUITE GROUP");
	struct arguments a = {
		.server = !strcmp(argv[1], "server"), .port = atoi(argv[2]), .ca = argv[3], .cert = argv[4], .key = argv[5],
		.version = argv[6], .mtu = atoi(argv[7]), .mutual = atoi(argv[8]), .cookies = atoi(argv[9]), .suite = argv[10], .group = argv[11],
	};
	return a;
}

/* udp is a socket that is connected to the other side: a server's to whoever
 * sends first. What was sent is still there to be read. */
static inline int udp(const struct arguments *a)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(a->port)};
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (a->server) {
		struct sockaddr_in peer;
		socklen_t size = sizeof peer;
		char byte;
		if (bind(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
			fail("bind", strerror(errno));
		if (recvfrom(fd, &byte, 1, MSG_PEEK, (struct sockaddr *)&peer, &size) < 0)
			fail("recvfrom", strerror(errno));
		addr = peer;
	}
	if (connect(fd, (struct sockaddr *)&addr, sizeof addr) < 0)
		fail("connect", strerror(errno));
	return fd;
}
