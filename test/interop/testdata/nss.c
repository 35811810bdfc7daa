/* A DTLS 1.2 and DTLS 1.3 peer on NSS: see peer.h. With cookies a server of
 * DTLS 1.3 asks by HelloRetryRequest; its DTLS 1.2 has none. There is no way to
 * set the MTU. */
#include "peer.h"

#include <poll.h>

#include <nspr.h>
#include <nss.h>
#include <nssb64.h>
#include <cert.h>
#include <certdb.h>
#include <keyhi.h>
#include <pk11pub.h>
#include <private/pprio.h>
#include <ssl.h>
#include <sslexp.h>
#include <sslproto.h>

static void check(const char *what, int failed)
{
	if (failed)
		fail(what, PR_ErrorToName(PR_GetError()) ? PR_ErrorToName(PR_GetError()) : "failed");
}

/* pem is the first block of a PEM file, decoded. */
static SECItem *pem(const char *name)
{
	static char text[1 << 16];
	FILE *f = fopen(name, "r");
	if (!f)
		fail(name, strerror(errno));
	text[fread(text, 1, sizeof text - 1, f)] = 0;
	fclose(f);
	char *begin = strchr(text, '\n'), *end = begin ? strstr(begin, "-----END") : NULL;
	if (!end)
		fail(name, "no PEM block");
	SECItem *der = NSSBase64_DecodeBuffer(NULL, NULL, begin, end - begin);
	check(name, !der);
	return der;
}

static CERTCertificate *certificate(const char *name)
{
	CERTCertificate *c = CERT_NewTempCertificate(CERT_GetDefaultCertDB(), pem(name), NULL, PR_FALSE, PR_TRUE);
	check(name, !c);
	return c;
}

/* retry asks for a cookie in the first ClientHello. */
static SSLHelloRetryRequestAction retry(PRBool first, const PRUint8 *token, unsigned int size, PRUint8 *out, unsigned int *outSize,
                                        unsigned int max, void *arg)
{
	(void)token, (void)size, (void)out, (void)max, (void)arg;
	*outSize = 0;
	return first ? ssl_hello_retry_request : ssl_hello_retry_accept;
}

static SECStatus clientAuth(void *arg, PRFileDesc *fd, CERTDistNames *names, CERTCertificate **cert, SECKEYPrivateKey **key)
{
	struct { CERTCertificate *cert; SECKEYPrivateKey *key; } *own = arg;
	(void)fd, (void)names;
	*cert = CERT_DupCertificate(own->cert);
	*key = SECKEY_CopyPrivateKey(own->key);
	return SECSuccess;
}

/* block waits for a datagram or for NSS's timer. */
static void block(PRFileDesc *ssl, int fd, const char *what)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	PRIntervalTime left;
	check(what, PR_GetError() != PR_WOULD_BLOCK_ERROR);
	poll(&p, 1, DTLS_GetHandshakeTimeout(ssl, &left) == SECSuccess ? (int)PR_IntervalToMilliseconds(left) + 1 : -1);
}

int main(int argc, char **argv)
{
	struct arguments a = parse(argc, argv);
	struct { CERTCertificate *cert; SECKEYPrivateKey *key; } own;
	CERTCertTrust trust = {.sslFlags = CERTDB_TRUSTED_CA | CERTDB_TRUSTED_CLIENT_CA | CERTDB_VALID_CA};
	SSLVersionRange versions = {SSL_LIBRARY_VERSION_TLS_1_2, SSL_LIBRARY_VERSION_TLS_1_3};
	static char buf[16384];
	PRInt32 n;

	check("NSS_NoDB_Init", NSS_NoDB_Init(NULL));
	NSS_SetDomesticPolicy();
	check("trust", CERT_ChangeCertTrust(CERT_GetDefaultCertDB(), certificate(a.ca), &trust));
	own.cert = certificate(a.cert);
	check(a.key, PK11_ImportDERPrivateKeyInfoAndReturnKey(PK11_GetInternalSlot(), pem(a.key), NULL, NULL, PR_FALSE, PR_FALSE, KU_ALL,
	                                                      &own.key, NULL));

	int fd = udp(&a);
	PRFileDesc *ssl = DTLS_ImportFD(NULL, PR_ImportUDPSocket(fd));
	PRSocketOptionData nonblocking = {.option = PR_SockOpt_Nonblocking, .value.non_blocking = PR_TRUE};
	check("DTLS_ImportFD", !ssl);
	check("socket", PR_SetSocketOption(ssl, &nonblocking));
	if (!strcmp(a.version, "1.2"))
		versions.max = SSL_LIBRARY_VERSION_TLS_1_2;
	if (!strcmp(a.version, "1.3"))
		versions.min = SSL_LIBRARY_VERSION_TLS_1_3;
	check("versions", SSL_VersionRangeSet(ssl, &versions));
	check("options", SSL_OptionSet(ssl, SSL_ENABLE_SESSION_TICKETS, PR_FALSE) || SSL_OptionSet(ssl, SSL_NO_CACHE, PR_TRUE));
	if (*a.suite) {
		const PRUint16 *all = SSL_GetImplementedCiphers();
		for (int i = 0; i < SSL_GetNumImplementedCiphers(); i++) {
			SSLCipherSuiteInfo info;
			if (SSL_GetCipherSuiteInfo(all[i], &info, sizeof info) == SECSuccess)
				SSL_CipherPrefSet(ssl, all[i], !strcmp(info.cipherSuiteName, a.suite));
		}
	}
	if (*a.group) {
		SSLNamedGroup group = !strcmp(a.group, "P-256") ? ssl_grp_ec_secp256r1 :
		                      !strcmp(a.group, "P-384") ? ssl_grp_ec_secp384r1 :
		                      !strcmp(a.group, "P-521") ? ssl_grp_ec_secp521r1 : ssl_grp_ec_curve25519;
		check("group", SSL_NamedGroupConfig(ssl, &group, 1));
	}
	if (a.server) {
		check("certificate", SSL_ConfigServerCert(ssl, own.cert, own.key, NULL, 0));
		if (a.mutual)
			check("options", SSL_OptionSet(ssl, SSL_REQUEST_CERTIFICATE, PR_TRUE) ||
			      SSL_OptionSet(ssl, SSL_REQUIRE_CERTIFICATE, SSL_REQUIRE_ALWAYS));
		if (a.cookies)
			check("cookies", SSL_HelloRetryRequestCallback(ssl, retry, NULL));
	} else {
		check("name", SSL_SetURL(ssl, "localhost"));
		if (a.mutual)
			check("certificate", SSL_GetClientAuthDataHook(ssl, clientAuth, &own));
	}
	check("handshake", SSL_ResetHandshake(ssl, a.server));
	while (SSL_ForceHandshake(ssl) != SECSuccess)
		block(ssl, fd, "handshake");
	for (;;) {
		n = PR_Recv(ssl, buf, sizeof buf, 0, PR_INTERVAL_NO_TIMEOUT);
		if (n == 0)
			return 0;
		if (n < 0) {
			block(ssl, fd, "read");
			continue;
		}
		check("write", PR_Send(ssl, buf, n, 0, PR_INTERVAL_NO_TIMEOUT) != n);
	}
}
