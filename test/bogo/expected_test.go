package main

import "strings"

// decline is why a test does not pass, and should not.
type decline struct {
	reason, section string
	says            string // what the runner's log must have in it
}

// Reasons that many tests share.
var (
	unknownPSK = decline{"an unknown PSK is answered like a wrong key, so that nobody learns which identities exist",
		"RFC 9846, Section 4.3.11", "the client's PSK is unknown"}
	clientOrder = decline{"of several PSKs the client's order counts", "RFC 9846, Section 4.3.11 leaves it to the server", "connection selected a different PSK"}
	pskFirst    = decline{"a PSK that is known comes before a certificate", "RFC 9846, Section 4.1.1 leaves it to the server", "peer certificate did not match"}
	only13      = decline{"a version without a cipher suite is not offered", "RFC 9846, Section 4.2.2", "supported"}
	noNameAck   = decline{"a DTLS 1.2 server does not acknowledge server_name, which pion/dtls cannot read", "RFC 6066, Section 3", "did not acknowledge server_name"}
	staticRSA   = decline{"static RSA has no forward secrecy", "RFC 9325, Section 4.1: MUST NOT", "no cipher suite"}
	mldsa87     = decline{"the signatures of CNSA 2.0 are those of ML-DSA-87", "draft-becker-cnsa2-tls-profile", "unexpected success"}
	ourOrder    = decline{"a server's own order of cipher suites counts, not the client's", "RFC 9846, Section 4.2.2 leaves it to the server", "session reused: true"}
)

// declines are the tests that do not pass, by name. They run, and must fail for their
// reason.
var declines = map[string]decline{
	"ServerNameExtensionServer-DTLS-TLS12":                           noNameAck,
	"PSK-Server-NoCommonPSKs-TLS":                                    unknownPSK,
	"PSK-Server-NoCommonPSKs-DTLS":                                   unknownPSK,
	"PSK-Server-IdentityDoesNotMatch-TLS":                            unknownPSK,
	"PSK-Server-IdentityDoesNotMatch-DTLS":                           unknownPSK,
	"PSK-Server-PartialImport-NoMatch-TLS":                           unknownPSK,
	"PSK-Server-PartialImport-NoMatch-DTLS":                          unknownPSK,
	"PSK-Client-PSKRequired-TLS12-TLS":                               only13,
	"PSK-Client-PSKRequired-TLS12-DTLS":                              only13,
	"PSK-Server-ServerPreferenceOrder-TLS":                           clientOrder,
	"PSK-Server-ServerPreferenceOrder-DTLS":                          clientOrder,
	"PSK-Server-CertOrPSK-Cert-TLS":                                  pskFirst,
	"PSK-Server-CertOrPSK-Cert-DTLS":                                 pskFirst,
	"Compliance-cnsa2-202603-TLS-Server-ML-DSA-87":                   mldsa87,
	"Compliance-cnsa2-202603-TLS-Client-ML-DSA-87":                   mldsa87,
	"Compliance-cnsa1-202603-TLS-Server-RSA_WITH_AES_256_GCM_SHA384": staticRSA,
	"Compliance-cnsa1-202603-TLS-Client-RSA_WITH_AES_256_GCM_SHA384": staticRSA,
	"Resume-Server-CipherNotPreferred-TLS13":                         ourOrder,
}

// Why a test has a flag that the shim does not know.
const (
	noTrace = "nothing shows the messages of a connection"
	noSkew  = "nothing shows the skew of a ticket's age, for which 10 s are allowed, not 60"
	noTypes = "CertificateRequest does not show the certificate_types of TLS 1.2"
)

// unbuilt are the tests for which the shim exits with 89, by name.
var unbuilt = map[string]string{
	"ClientCertificateTypes":                 noTypes,
	"DTLS13-MessageCallback-Client":          noTrace,
	"DTLS13-MessageCallback-Server":          noTrace,
	"SkipCertificateStatus":                  noTrace,
	"SkipCertificateStatus-DTLS":             noTrace,
	"TLS13-TicketAgeSkew-Backward":           noSkew,
	"TLS13-TicketAgeSkew-Backward-60-Accept": noSkew,
	"TLS13-TicketAgeSkew-Backward-61-Reject": noSkew,
	"TLS13-TicketAgeSkew-Forward":            noSkew,
	"TLS13-TicketAgeSkew-Forward-60-Accept":  noSkew,
	"TLS13-TicketAgeSkew-Forward-61-Reject":  noSkew,
}

// beside are the tests of netconn in which the runner acknowledges our KeyUpdate, and then wants to
// read a reply under the old keys. netconn reads the ACK while its user replies, so a reply that comes
// later is under the new keys. TestReplyBesideKeyUpdate of netconn has each order.
var beside = map[string]string{"KeyUpdate-Requested-DTLS": `local: "dtls: bad epoch"`}

// lenient is the rule for an engine without TrustUnprotected. A record without protection that
// the strict mode refuses is dropped, because anybody may have sent it: a negative test then
// ends differently. Of DTLS 1.3's ACKs, an unprotected one stops no retransmission
// permanently, and a part of an unprotected message is not acknowledged, nor refused where it
// contradicts another (docs/features.md).
func lenient(o outcome) string {
	noted := func(note string) bool { return strings.Contains(o.log, note) }
	switch {
	case strings.HasPrefix(o.log, "unexpected error output"):
		return passed // but for the notes
	case noted(noteDropped) && o.negative():
		return "a record without protection was dropped"
	case noted(noteACK):
		return "an ACK without protection stops no retransmission for good"
	case noted(notePart):
		return "a part of a message without protection is neither acknowledged nor refused"
	}
	return ""
}

// smallMTU is the rule for an MTU at which a post-quantum key share does not fit in the
// first ClientHello, so that there is a HelloRetryRequest: the runner's echoes the session
// id of DTLS 1.2, for which a client must end the handshake (RFC 9147bis, Section 5.3).
func smallMTU(o outcome) string {
	if strings.Contains(o.log, "the server did not echo the session id") {
		return "the runner's HelloRetryRequest echoes the session id"
	}
	return ""
}

// ownChoice is the rule for our own choice among the Config's certificates. The callback
// of the other passes chooses as the runner expects it.
func ownChoice(o outcome) string {
	said := func(text string) bool { return strings.Contains(o.log, text) }
	switch {
	case o.negative() && said("no certificate fits what the peer supports"):
		return "a server does not say what about each of its certificates does not fit"
	case said("client didn't provide a certificate"), said("got [], expected"),
		strings.HasPrefix(o.log, "unexpected success") && (said(":NO_COMMON_SIGNATURE_ALGORITHMS:") || said(":UNKNOWN_CERTIFICATE_TYPE:") || said(":NO_MATCHING_ISSUER:")):
		return "a client whose certificates do not fit, by their issuers too, sends none; a server prefers issuers that the client accepts, and insists on none (RFC 9846, Sections 4.3.4 and 4.5.2)"
	case said("another credential than number"):
		return "issuers that the client accepts come before the order of the certificates"
	case said("server sent server certificate type"):
		return "the server's order of certificate types counts (RFC 7250, Section 4.2)"
	}
	return ""
}

// ownVerification is the rule for our own verification by the authority that the runner
// names, which is the one of the first connection.
func ownVerification(o outcome) string {
	if strings.HasPrefix(o.log, "unexpected failure") && strings.Contains(o.log, "signed by an authority that is not trusted") {
		return "the runner names no authority for the certificate of a retry"
	}
	if strings.HasPrefix(o.log, "unexpected failure") && strings.Contains(o.log, "the peer's certificates do not satisfy our policy") {
		return "the runner's authority signs its certificates with a key that the policy forbids"
	}
	return ""
}
