/* A DTLS 1.2 peer on wolfSSL: see peer.h. A server always asks for a cookie,
 * and Debian's build has no way to set the MTU. */
#include "peer.h"

#include <wolfssl/options.h>
#include <wolfssl/ssl.h>

static void check(const char *what, int code)
{
	char text[WOLFSSL_MAX_ERROR_SZ];
	if (code == WOLFSSL_SUCCESS)
		return;
	wolfSSL_ERR_error_string(code, text);
	fail(what, text);
}

int main(int argc, char **argv)
{
	struct arguments a = parse(argc, argv);
	WOLFSSL_CTX *ctx;
	WOLFSSL *ssl;
	char buf[16384];
	int n;

	wolfSSL_Init();
	ctx = wolfSSL_CTX_new(a.server ? wolfDTLSv1_2_server_method() : wolfDTLSv1_2_client_method());
	check(a.ca, wolfSSL_CTX_load_verify_locations(ctx, a.ca, NULL));
	if (a.server || a.mutual) {
		check(a.cert, wolfSSL_CTX_use_certificate_chain_file(ctx, a.cert));
		check(a.key, wolfSSL_CTX_use_PrivateKey_file(ctx, a.key, WOLFSSL_FILETYPE_PEM));
	}
	if (!a.server)
		wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_PEER, NULL);
	else if (a.mutual)
		wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_PEER | WOLFSSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	else
		wolfSSL_CTX_set_verify(ctx, WOLFSSL_VERIFY_NONE, NULL);
	if (*a.suite)
		check(a.suite, wolfSSL_CTX_set_cipher_list(ctx, a.suite));
	ssl = wolfSSL_new(ctx);
	if (!a.server)
		check("name", wolfSSL_check_domain_name(ssl, "localhost"));
	check("socket", wolfSSL_set_fd(ssl, udp(&a)));

	/* The socket is connected, and blocks: wolfSSL itself waits as long as its
	 * timer says. */
	n = a.server ? wolfSSL_accept(ssl) : wolfSSL_connect(ssl);
	if (n != WOLFSSL_SUCCESS)
		check("handshake", wolfSSL_get_error(ssl, n));
	for (;;) {
		n = wolfSSL_read(ssl, buf, sizeof buf);
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
			return 0;
		default:
			check("read", n);
		}
	}
}
