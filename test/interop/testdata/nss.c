/* A TLS and DTLS peer, 1.2 and 1.3, on NSS: see peer.h. With cookies a server of
 * DTLS 1.3 asks by HelloRetryRequest; its DTLS 1.2 has none. There is no way to
 * set the MTU. */
#include "peer.h"

#include <fcntl.h>
#include <poll.h>
#include <time.h>

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

static struct arguments a;
static struct identity {
	CERTCertificate *cert;
	SECKEYPrivateKey *key;
} own;
static SSLAntiReplayContext *replays;

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
	(void)arg, (void)fd, (void)names;
	*cert = CERT_DupCertificate(own.cert);
	*key = SECKEY_CopyPrivateKey(own.key);
	return SECSuccess;
}

/* block waits for a datagram or for NSS's timer, but not for long: of a datagram
 * with several records some may still be there. */
static void block(PRFileDesc *ssl, int fd, const char *what)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	PRIntervalTime left;
	int wait = 100;
	check(what, PR_GetError() != PR_WOULD_BLOCK_ERROR);
	if (DTLS_GetHandshakeTimeout(ssl, &left) == SECSuccess && PR_IntervalToMilliseconds(left) < 100)
		wait = PR_IntervalToMilliseconds(left) + 1;
	poll(&p, 1, wait);
}

/* PR_IntervalNow takes the place of NSPR's, so that NSS's time goes slowly. Its
 * retransmission timer begins with 50 ms, and each third timeout makes it believe in
 * a smaller MTU: on a busy machine before any answer can come. Then its hello is in
 * fragments with the cookie after the first, which a server that keeps nothing of
 * strangers cannot read. */
PRIntervalTime PR_IntervalNow(void)
{
	const int slower = 20;
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return PR_MillisecondsToInterval((now.tv_sec * 1000L + now.tv_nsec / 1000000) / slower);
}

static void authenticate(PRFileDesc *ssl)
{
	if (a.pskSize) {
		SECItem item = {siBuffer, a.psk, a.pskSize};
		PK11SymKey *key = PK11_ImportSymKey(PK11_GetInternalSlot(), CKM_HKDF_KEY_GEN, PK11_OriginUnwrap, CKA_DERIVE, &item, NULL);
		check("psk", !key);
		check("psk", SSL_AddExternalPsk(ssl, key, (const PRUint8 *)a.identity, strlen(a.identity),
		                                strstr(a.suite, "SHA384") ? ssl_hash_sha384 : ssl_hash_sha256));
	}
	if (a.server && *a.cert) {
		check("certificate", SSL_ConfigServerCert(ssl, own.cert, own.key, NULL, 0));
		if (a.mutual)
			check("options", SSL_OptionSet(ssl, SSL_REQUEST_CERTIFICATE, PR_TRUE) ||
			      SSL_OptionSet(ssl, SSL_REQUIRE_CERTIFICATE, SSL_REQUIRE_ALWAYS));
	}
	if (!a.server) {
		check("name", SSL_SetURL(ssl, "localhost"));
		if (a.mutual)
			check("certificate", SSL_GetClientAuthDataHook(ssl, clientAuth, NULL));
	}
}

static void remember(PRFileDesc *ssl)
{
	check("options", SSL_OptionSet(ssl, SSL_ENABLE_SESSION_TICKETS, !a.ids));
	if (a.limit)
		check("limit", SSL_OptionSet(ssl, SSL_RECORD_SIZE_LIMIT, a.limit));
	if (!*a.early)
		return;
	check("options", SSL_OptionSet(ssl, SSL_ENABLE_0RTT_DATA, PR_TRUE));
	if (a.server)
		check("replays", SSL_SetAntiReplayContext(ssl, replays) || SSL_SetMaxEarlyDataSize(ssl, 1000));
}

static void choose(PRFileDesc *ssl)
{
	SSLVersionRange versions = {SSL_LIBRARY_VERSION_TLS_1_2, SSL_LIBRARY_VERSION_TLS_1_3};
	if (!strcmp(a.version, "1.2"))
		versions.max = SSL_LIBRARY_VERSION_TLS_1_2;
	if (!strcmp(a.version, "1.3"))
		versions.min = SSL_LIBRARY_VERSION_TLS_1_3;
	check("versions", SSL_VersionRangeSet(ssl, &versions));
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
	if (a.server && a.cookies)
		check("cookies", SSL_HelloRetryRequestCallback(ssl, retry, NULL));
}

/* report: what was found out in the handshake. */
static void report(PRFileDesc *ssl)
{
	SSLChannelInfo info;
	check("info", SSL_GetChannelInfo(ssl, &info, sizeof info));
	if (info.resumed)
		fprintf(stderr, "resumed\n");
	if (info.earlyDataAccepted)
		fprintf(stderr, "early data\n");
	if (info.pskType == ssl_psk_external)
		fprintf(stderr, "psk\n");
}

static void echo(PRFileDesc *ssl, int fd)
{
	static char buf[16384];
	for (;;) {
		PRInt32 n = PR_Recv(ssl, buf, sizeof buf, 0, PR_INTERVAL_NO_TIMEOUT);
		if (n == 0)
			return;
		if (n < 0)
			block(ssl, fd, "read");
		else
			check("write", PR_Send(ssl, buf, n, 0, PR_INTERVAL_NO_TIMEOUT) != n);
	}
}

/* shut keeps the answer to a first flight away from NSS, until early data has
 * gone with it. */
static int shut;

static PRInt32 gatedRecv(PRFileDesc *fd, void *buf, PRInt32 size, PRIntn flags, PRIntervalTime timeout)
{
	if (!shut)
		return fd->lower->methods->recv(fd->lower, buf, size, flags, timeout);
	PR_SetError(PR_WOULD_BLOCK_ERROR, 0);
	return -1;
}

static PRFileDesc *gate(PRFileDesc *fd)
{
	static PRIOMethods methods;
	static PRDescIdentity id;
	if (!id) {
		id = PR_GetUniqueIdentity("gate");
		methods = *PR_GetDefaultIOMethods();
		methods.recv = gatedRecv;
	}
	check("gate", PR_PushIOLayer(fd, PR_TOP_IO_LAYER, PR_CreateIOLayerStub(id, &methods)));
	return fd;
}

/* handshake: early data goes with the first flight, and comes before the end. */
static void handshake(PRFileDesc *ssl, int fd)
{
	static char buf[1000];
	PRInt32 sent = 0, size = 0;
	check("handshake", SSL_ResetHandshake(ssl, a.server));
	shut = *a.early && !a.server;
	while (SSL_ForceHandshake(ssl) != SECSuccess) {
		PRErrorCode error = PR_GetError();
		if (*a.early && !a.server && sent <= 0)
			sent = PR_Send(ssl, a.early, strlen(a.early), 0, PR_INTERVAL_NO_TIMEOUT);
		shut = 0;
		if (*a.early && a.server && size <= 0 && (size = PR_Recv(ssl, buf, sizeof buf, 0, PR_INTERVAL_NO_TIMEOUT)) > 0)
			continue; /* there may be nothing more to wait for */
		PR_SetError(error, 0);
		block(ssl, fd, "handshake");
	}
	if (size > 0)
		check("write", PR_Send(ssl, buf, size, 0, PR_INTERVAL_NO_TIMEOUT) != size);
}

static void connection(void)
{
	int fd = join(&a);
	PRFileDesc *ssl = a.stream ? SSL_ImportFD(NULL, gate(PR_ImportTCPSocket(fd))) : DTLS_ImportFD(NULL, gate(PR_ImportUDPSocket(fd)));
	PRSocketOptionData nonblocking = {.option = PR_SockOpt_Nonblocking, .value.non_blocking = PR_TRUE};
	check("import", !ssl);
	check("socket", PR_SetSocketOption(ssl, &nonblocking) || fcntl(fd, F_SETFL, O_NONBLOCK) < 0);
	choose(ssl);
	remember(ssl);
	authenticate(ssl);
	handshake(ssl, fd);
	report(ssl);
	echo(ssl, fd);
	PR_Close(ssl);
}

int main(int argc, char **argv)
{
	CERTCertTrust trust = {.sslFlags = CERTDB_TRUSTED_CA | CERTDB_TRUSTED_CLIENT_CA | CERTDB_VALID_CA};
	a = parse(argc, argv);
	check("NSS_NoDB_Init", NSS_NoDB_Init(NULL));
	NSS_SetDomesticPolicy();
	if (*a.cert) {
		check("trust", CERT_ChangeCertTrust(CERT_GetDefaultCertDB(), certificate(a.ca), &trust));
		own.cert = certificate(a.cert);
		check(a.key, PK11_ImportDERPrivateKeyInfoAndReturnKey(PK11_GetInternalSlot(), pem(a.key), NULL, NULL, PR_FALSE, PR_FALSE, KU_ALL,
		                                                      &own.key, NULL));
	}
	if (a.server)
		check("sessions", SSL_ConfigServerSessionIDCache(0, 100, 100, NULL));
	if (a.server && *a.early)
		check("replays", SSL_CreateAntiReplayContext(PR_Now() - 60 * PR_USEC_PER_SEC, 30 * PR_USEC_PER_SEC, 7, 14, &replays));
	for (int i = 0; a.server || i < a.connections; i++)
		connection();
	return 0;
}
