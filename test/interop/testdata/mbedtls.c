/* A DTLS 1.2 peer on mbed TLS: see peer.h. */
#include "peer.h"

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_cookie.h>
#include <mbedtls/timing.h>

static void check(const char *what, int code)
{
	char text[200];
	if (code >= 0)
		return;
	mbedtls_strerror(code, text, sizeof text);
	fail(what, text);
}

int main(int argc, char **argv)
{
	struct arguments a = parse(argc, argv);
	mbedtls_entropy_context entropy;
	mbedtls_ctr_drbg_context random;
	mbedtls_x509_crt ca, cert;
	mbedtls_pk_context key;
	mbedtls_ssl_cookie_ctx cookies;
	mbedtls_ssl_config config;
	mbedtls_ssl_context ssl;
	mbedtls_timing_delay_context timer;
	mbedtls_net_context net;
	unsigned char buf[16384];
	int suite[2] = {0, 0}, n;

	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&random);
	mbedtls_x509_crt_init(&ca);
	mbedtls_x509_crt_init(&cert);
	mbedtls_pk_init(&key);
	mbedtls_ssl_cookie_init(&cookies);
	mbedtls_ssl_config_init(&config);
	mbedtls_ssl_init(&ssl);
	mbedtls_net_init(&net);
	check("random", mbedtls_ctr_drbg_seed(&random, mbedtls_entropy_func, &entropy, NULL, 0));
	check(a.ca, mbedtls_x509_crt_parse_file(&ca, a.ca));
	check(a.cert, mbedtls_x509_crt_parse_file(&cert, a.cert));
	check(a.key, mbedtls_pk_parse_keyfile(&key, a.key, NULL));

	check("config", mbedtls_ssl_config_defaults(&config, a.server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT,
	                                            MBEDTLS_SSL_TRANSPORT_DATAGRAM, MBEDTLS_SSL_PRESET_DEFAULT));
	mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &random);
	mbedtls_ssl_conf_min_version(&config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
	mbedtls_ssl_conf_ca_chain(&config, &ca, NULL);
	mbedtls_ssl_conf_authmode(&config, !a.server || a.mutual ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_NONE);
	if (a.server || a.mutual)
		check("certificate", mbedtls_ssl_conf_own_cert(&config, &cert, &key));
	if (*a.suite) {
		if ((suite[0] = mbedtls_ssl_get_ciphersuite_id(a.suite)) == 0)
			fail(a.suite, "no such cipher suite");
		mbedtls_ssl_conf_ciphersuites(&config, suite);
	}
	mbedtls_ssl_conf_dtls_cookies(&config, NULL, NULL, NULL);
	if (a.server && a.cookies) {
		check("cookies", mbedtls_ssl_cookie_setup(&cookies, mbedtls_ctr_drbg_random, &random));
		mbedtls_ssl_conf_dtls_cookies(&config, mbedtls_ssl_cookie_write, mbedtls_ssl_cookie_check, &cookies);
	}
	check("setup", mbedtls_ssl_setup(&ssl, &config));
	if (!a.server)
		check("name", mbedtls_ssl_set_hostname(&ssl, "localhost"));
	if (a.mtu)
		mbedtls_ssl_set_mtu(&ssl, a.mtu);
	mbedtls_ssl_set_timer_cb(&ssl, &timer, mbedtls_timing_set_delay, mbedtls_timing_get_delay);
	net.fd = udp(&a);
	mbedtls_ssl_set_bio(&ssl, &net, mbedtls_net_send, mbedtls_net_recv, mbedtls_net_recv_timeout);

	if (a.server)
		check("identity", mbedtls_ssl_set_client_transport_id(&ssl, (const unsigned char *)"peer", 4));
	for (;;) {
		n = mbedtls_ssl_handshake(&ssl);
		if (n == 0)
			break;
		if (n == MBEDTLS_ERR_SSL_HELLO_VERIFY_REQUIRED) {
			check("reset", mbedtls_ssl_session_reset(&ssl));
			check("identity", mbedtls_ssl_set_client_transport_id(&ssl, (const unsigned char *)"peer", 4));
		} else if (n != MBEDTLS_ERR_SSL_WANT_READ && n != MBEDTLS_ERR_SSL_WANT_WRITE) {
			check("handshake", n);
		}
	}
	for (;;) {
		n = mbedtls_ssl_read(&ssl, buf, sizeof buf);
		if (n == MBEDTLS_ERR_SSL_WANT_READ || n == MBEDTLS_ERR_SSL_TIMEOUT)
			continue;
		if (n == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY)
			return 0;
		check("read", n);
		check("write", mbedtls_ssl_write(&ssl, buf, n));
	}
}
