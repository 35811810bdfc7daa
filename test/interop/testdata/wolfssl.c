/* A TLS 1.2, TLS 1.3 and DTLS 1.2 peer on wolfSSL: see peer.h. A DTLS server
 * always asks for a cookie. Debian's build has no DTLS 1.3, no early data, and
 * no way to set the MTU. */
#include "peer.h"

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

static struct arguments a;

static void check(const char *what, int code)
{
	char text[WOLFSSL_MAX_ERROR_SZ];
	if (code == WOLFSSL_SUCCESS)
		return;
	wolfSSL_ERR_error_string(code, text);
	fail(what, text);
}

static WOLFSSL_METHOD *method(void)
{
	if (!a.stream)
		return a.server ? wolfDTLSv1_2_server_method() : wolfDTLSv1_2_client_method();
	if (!strcmp(a.version, "1.2"))
		return a.server ? wolfTLSv1_2_server_method() : wolfTLSv1_2_client_method();
	return a.server ? wolfTLSv1_3_server_method() : wolfTLSv1_3_client_method();
}

static unsigned clientPSK(WOLFSSL *ssl, const char *hint, char *identity, unsigned identityMax, unsigned char *key, unsigned max)
{
	(void)ssl, (void)hint;
	if (a.pskSize > max)
		return 0;
	snprintf(identity, identityMax, "%s", a.identity);
	memcpy(key, a.psk, a.pskSize);
	return a.pskSize;
}

static unsigned serverPSK(WOLFSSL *ssl, const char *identity, unsigned char *key, unsigned max)
{
	(void)ssl;
	if (strcmp(identity, a.identity) || a.pskSize > max)
		return 0;
	memcpy(key, a.psk, a.pskSize);
	return a.pskSize;
}

/* In TLS 1.3 a PSK is for the hash of a cipher suite. */
static const char *suite13(void) { return *a.suite ? a.suite : "TLS13-AES128-GCM-SHA256"; }

static unsigned clientPSK13(WOLFSSL *ssl, const char *hint, char *identity, unsigned identityMax, unsigned char *key, unsigned max, const char **suite)
{
	*suite = suite13();
	return clientPSK(ssl, hint, identity, identityMax, key, max);
}

static unsigned serverPSK13(WOLFSSL *ssl, const char *identity, unsigned char *key, unsigned max, const char **suite)
{
	*suite = suite13();
	return serverPSK(ssl, identity, key, max);
}

static void authenticate(WOLFSSL_CTX *ctx)
{
	if (a.pskSize) {
		wolfSSL_CTX_set_psk_client_callback(ctx, clientPSK);
		wolfSSL_CTX_set_psk_server_callback(ctx, serverPSK);
		wolfSSL_CTX_set_psk_client_tls13_callback(ctx, clientPSK13);
		wolfSSL_CTX_set_psk_server_tls13_callback(ctx, serverPSK13);
	}
	if (*a.cert) {
		check(a.ca, wolfSSL_CTX_load_verify_locations(ctx, a.ca, NULL));
		if (a.server || a.mutual) {
			check(a.cert, wolfSSL_CTX_use_certificate_chain_file(ctx, a.cert));
			check(a.key, wolfSSL_CTX_use_PrivateKey_file(ctx, a.key, WOLFSSL_FILETYPE_PEM));
		}
	}
	if (!a.server)
		wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_PEER, NULL);
	else if (a.mutual)
		wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	else
		wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_NONE, NULL);
}

static WOLFSSL_CTX *configure(void)
{
	WOLFSSL_CTX *ctx = wolfSSL_CTX_new(method());
	authenticate(ctx);
	if (*a.suite)
		check(a.suite, wolfSSL_CTX_set_cipher_list(ctx, a.suite));
	if (!strcmp(a.group, "P-384")) {
		int group = WOLFSSL_ECC_SECP384R1;
		check(a.group, wolfSSL_CTX_set_groups(ctx, &group, 1));
	}
	if (a.fragments) {
		int code = WOLFSSL_MFL_2_9;
		for (int n = 512; n < a.fragments; n *= 2)
			code++;
		check("fragments", wolfSSL_CTX_UseMaxFragment(ctx, code));
	}
	if (a.server && a.ids)
		wolfSSL_CTX_set_options(ctx, WOLFSSL_OP_NO_TICKET);
	return ctx;
}

static void echo(WOLFSSL *ssl)
{
	static char buf[16384];
	for (;;) {
		int n = wolfSSL_read(ssl, buf, sizeof buf);
		if (n > 0) {
			n = wolfSSL_write(ssl, buf, n);
			if (n <= 0)
				check("write", wolfSSL_get_error(ssl, n));
			continue;
		}
		switch (n = wolfSSL_get_error(ssl, n)) {
		case WOLFSSL_ERROR_WANT_READ:
			break;
		case WOLFSSL_ERROR_ZERO_RETURN:
			return;
		default:
			check("read", n);
		}
	}
}

static void connection(WOLFSSL_CTX *ctx)
{
	static WOLFSSL_SESSION *saved;
	WOLFSSL *ssl = wolfSSL_new(ctx);
	int n, fd = join(&a);
	if (!a.server) {
		if (a.stream && !strcmp(a.version, "1.3"))
			check("key share", wolfSSL_UseKeyShare(ssl, WOLFSSL_ECC_X25519));
		if (*a.cert)
			check("name", wolfSSL_check_domain_name(ssl, "localhost"));
		if (!a.ids)
			check("tickets", wolfSSL_UseSessionTicket(ssl));
		if (saved)
			check("session", wolfSSL_set_session(ssl, saved));
	}
	check("socket", wolfSSL_set_fd(ssl, fd));

	/* The socket is connected, and blocks: wolfSSL itself waits as long as its
	 * timer says, and then ends. A busy machine is no reason for that. */
	if (!a.stream) {
		check("timer", wolfSSL_dtls_set_timeout_max(ssl, 60));
		check("timer", wolfSSL_dtls_set_timeout_init(ssl, 60));
	}
	n = a.server ? wolfSSL_accept(ssl) : wolfSSL_connect(ssl);
	if (n != WOLFSSL_SUCCESS)
		check("handshake", wolfSSL_get_error(ssl, n));
	if (wolfSSL_session_reused(ssl))
		fprintf(stderr, "resumed\n");
	echo(ssl);
	if (!a.server)
		saved = wolfSSL_get1_session(ssl);
	wolfSSL_shutdown(ssl);
	wolfSSL_free(ssl);
	close(fd);
}

int main(int argc, char **argv)
{
	WOLFSSL_CTX *ctx;
	a = parse(argc, argv);
	wolfSSL_Init();
	ctx = configure();
	for (int i = 0; a.server || i < a.connections; i++)
		connection(ctx);
	return 0;
}
