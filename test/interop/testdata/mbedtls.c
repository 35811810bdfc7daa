/* A TLS 1.2 and DTLS 1.2 peer on mbed TLS: see peer.h. */
#include "peer.h"

#include <mbedtls/ctr_drbg.h>
#include <mbedtls/entropy.h>
#include <mbedtls/error.h>
#include <mbedtls/net_sockets.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_cache.h>
#include <mbedtls/ssl_cookie.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/timing.h>

static mbedtls_entropy_context entropy;
static mbedtls_ctr_drbg_context rng;
static mbedtls_ssl_config config;
static mbedtls_ssl_session saved;

static void check(const char *what, int code)
{
	char text[200];
	if (code >= 0)
		return;
	mbedtls_strerror(code, text, sizeof text);
	fail(what, text);
}

static void authenticate(const struct arguments *a)
{
	static mbedtls_x509_crt ca, cert;
	static mbedtls_pk_context key;
	mbedtls_x509_crt_init(&ca);
	mbedtls_x509_crt_init(&cert);
	mbedtls_pk_init(&key);
	if (a->pskSize) {
		check("psk", mbedtls_ssl_conf_psk(&config, a->psk, a->pskSize, (const unsigned char *)a->identity, strlen(a->identity)));
		return;
	}
	check(a->ca, mbedtls_x509_crt_parse_file(&ca, a->ca));
	check(a->cert, mbedtls_x509_crt_parse_file(&cert, a->cert));
	check(a->key, mbedtls_pk_parse_keyfile(&key, a->key, NULL));
	mbedtls_ssl_conf_ca_chain(&config, &ca, NULL);
	mbedtls_ssl_conf_authmode(&config, !a->server || a->mutual ? MBEDTLS_SSL_VERIFY_REQUIRED : MBEDTLS_SSL_VERIFY_NONE);
	if (a->server || a->mutual)
		check("certificate", mbedtls_ssl_conf_own_cert(&config, &cert, &key));
}

static void remember(const struct arguments *a)
{
	static mbedtls_ssl_ticket_context tickets;
	static mbedtls_ssl_cache_context cache;
	mbedtls_ssl_ticket_init(&tickets);
	mbedtls_ssl_cache_init(&cache);
	if (!a->server) {
		mbedtls_ssl_conf_session_tickets(&config, a->ids ? MBEDTLS_SSL_SESSION_TICKETS_DISABLED : MBEDTLS_SSL_SESSION_TICKETS_ENABLED);
	} else if (a->ids) {
		mbedtls_ssl_conf_session_cache(&config, &cache, mbedtls_ssl_cache_get, mbedtls_ssl_cache_set);
	} else {
		check("tickets", mbedtls_ssl_ticket_setup(&tickets, mbedtls_ctr_drbg_random, &rng, MBEDTLS_CIPHER_AES_256_GCM, 3600));
		mbedtls_ssl_conf_session_tickets_cb(&config, mbedtls_ssl_ticket_write, mbedtls_ssl_ticket_parse, &tickets);
	}
}

static void configure(const struct arguments *a)
{
	static mbedtls_ssl_cookie_ctx cookies;
	static int suite[2];
	mbedtls_ssl_cookie_init(&cookies);
	mbedtls_ssl_config_init(&config);
	check("config", mbedtls_ssl_config_defaults(&config, a->server ? MBEDTLS_SSL_IS_SERVER : MBEDTLS_SSL_IS_CLIENT,
	                                            a->stream ? MBEDTLS_SSL_TRANSPORT_STREAM : MBEDTLS_SSL_TRANSPORT_DATAGRAM,
	                                            MBEDTLS_SSL_PRESET_DEFAULT));
	mbedtls_ssl_conf_rng(&config, mbedtls_ctr_drbg_random, &rng);
	mbedtls_ssl_conf_min_version(&config, MBEDTLS_SSL_MAJOR_VERSION_3, MBEDTLS_SSL_MINOR_VERSION_3);
	authenticate(a);
	remember(a);
	if (*a->suite) {
		if ((suite[0] = mbedtls_ssl_get_ciphersuite_id(a->suite)) == 0)
			fail(a->suite, "no such cipher suite");
		mbedtls_ssl_conf_ciphersuites(&config, suite);
	}
	if (a->fragments) {
		unsigned char code = MBEDTLS_SSL_MAX_FRAG_LEN_512;
		for (int n = 512; n < a->fragments; n *= 2)
			code++;
		check("fragments", mbedtls_ssl_conf_max_frag_len(&config, code));
	}
	mbedtls_ssl_conf_dtls_cookies(&config, NULL, NULL, NULL);
	if (a->server && a->cookies) {
		check("cookies", mbedtls_ssl_cookie_setup(&cookies, mbedtls_ctr_drbg_random, &rng));
		mbedtls_ssl_conf_dtls_cookies(&config, mbedtls_ssl_cookie_write, mbedtls_ssl_cookie_check, &cookies);
	}
}

/* handshake begins again after a cookie was asked for. */
static void handshake(const struct arguments *a, mbedtls_ssl_context *ssl)
{
	static const unsigned char peer[] = "peer";
	int n;
	if (a->server && !a->stream)
		check("identity", mbedtls_ssl_set_client_transport_id(ssl, peer, sizeof peer));
	while ((n = mbedtls_ssl_handshake(ssl)) != 0) {
		if (n == MBEDTLS_ERR_SSL_HELLO_VERIFY_REQUIRED) {
			check("reset", mbedtls_ssl_session_reset(ssl));
			check("identity", mbedtls_ssl_set_client_transport_id(ssl, peer, sizeof peer));
		} else if (n != MBEDTLS_ERR_SSL_WANT_READ && n != MBEDTLS_ERR_SSL_WANT_WRITE) {
			check("handshake", n);
		}
	}
}

/* report: a session that is resumed has the main secret of the one before. */
static void report(const mbedtls_ssl_context *ssl)
{
	static unsigned char before[48];
	if (!memcmp(before, ssl->session->master, sizeof before))
		fprintf(stderr, "resumed\n");
	memcpy(before, ssl->session->master, sizeof before);
}

static void echo(mbedtls_ssl_context *ssl)
{
	static unsigned char buf[16384];
	for (;;) {
		int n = mbedtls_ssl_read(ssl, buf, sizeof buf);
		if (n == MBEDTLS_ERR_SSL_WANT_READ || n == MBEDTLS_ERR_SSL_TIMEOUT)
			continue;
		if (n == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY || n == 0)
			return;
		check("read", n);
		check("write", mbedtls_ssl_write(ssl, buf, n));
	}
}

static void connection(const struct arguments *a)
{
	mbedtls_ssl_context ssl;
	mbedtls_timing_delay_context timer;
	mbedtls_net_context net;

	mbedtls_ssl_init(&ssl);
	mbedtls_net_init(&net);
	check("setup", mbedtls_ssl_setup(&ssl, &config));
	if (!a->server) {
		check("name", mbedtls_ssl_set_hostname(&ssl, "localhost"));
		if (saved.ciphersuite)
			check("session", mbedtls_ssl_set_session(&ssl, &saved));
	}
	if (a->mtu)
		mbedtls_ssl_set_mtu(&ssl, a->mtu);
	mbedtls_ssl_set_timer_cb(&ssl, &timer, mbedtls_timing_set_delay, mbedtls_timing_get_delay);
	net.fd = join(a);
	mbedtls_ssl_set_bio(&ssl, &net, mbedtls_net_send, mbedtls_net_recv, a->stream ? NULL : mbedtls_net_recv_timeout);
	handshake(a, &ssl);
	report(&ssl);
	if (!a->server && a->connections > 1)
		check("session", mbedtls_ssl_get_session(&ssl, &saved));
	echo(&ssl);
	mbedtls_ssl_close_notify(&ssl);
	mbedtls_ssl_free(&ssl);
	mbedtls_net_free(&net);
}

int main(int argc, char **argv)
{
	struct arguments a = parse(argc, argv);
	mbedtls_entropy_init(&entropy);
	mbedtls_ctr_drbg_init(&rng);
	mbedtls_ssl_session_init(&saved);
	check("random", mbedtls_ctr_drbg_seed(&rng, mbedtls_entropy_func, &entropy, NULL, 0));
	configure(&a);
	for (int i = 0; a.server || i < a.connections; i++)
		connection(&a);
	return 0;
}
