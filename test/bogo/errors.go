package main

import (
	"errors"
	"strings"

	"github.com/hermetic-tls/hermetic"
)

// names maps our causes, or a part of them, to what the runner expects to read: one name
// for each cause. The first row that fits counts.
var names = []struct {
	cause, name string
	only        role
}{
	{"NO_SUPPORTED_VERSIONS_ENABLED", ":NO_SUPPORTED_VERSIONS_ENABLED:", both},
	{"APPLICATION_DATA_ON_SHUTDOWN", ":APPLICATION_DATA_ON_SHUTDOWN:", both},
	{"CERTIFICATE_VERIFY_FAILED", ":CERTIFICATE_VERIFY_FAILED:", both},
	{"(its key usage)", ":KEY_USAGE_BIT_INCORRECT:", both},
	{"OCSP_CB_ERROR", ":OCSP_CB_ERROR:", both},
	{"CERT_CB_ERROR", ":CERT_CB_ERROR:", both},
	{"CONNECTION_REJECTED", ":CONNECTION_REJECTED:", both},
	{"INVALID_SCT_LIST", ":INVALID_SCT_LIST:", both},
	{"KEY_USAGE_BIT_INCORRECT", ":KEY_USAGE_BIT_INCORRECT:", both},
	{"the peer takes no certificate of this type", ":UNKNOWN_CERTIFICATE_TYPE:", both},
	{"no cipher suite of the peer is for this kind of key", ":NO_SHARED_CIPHER:", server},
	{"no cipher suite of the peer is for this kind of key", ":UNKNOWN_CERTIFICATE_TYPE:", client},
	{"the key signs only in TLS 1.3", ":NO_SHARED_CIPHER:", server},
	{"the key signs only in TLS 1.3", ":UNKNOWN_CERTIFICATE_TYPE:", client},
	{"the peer does not support the curve of the key", ":WRONG_CURVE:", both},
	{"the peer does not accept the issuer", ":NO_MATCHING_ISSUER:", both},
	{"ClientHello does not parse", ":CLIENTHELLO_PARSE_FAILED:", both},
	{"raw public key does not parse", ":DECODE_ERROR:", both},
	{"peer's certificate does not parse", ":CANNOT_PARSE_LEAF_CERT:", both},
	{"application_layer_protocol_negotiation does not parse", ":PARSE_TLSEXT:", both},
	{"a handshake record does not parse", ":BAD_HANDSHAKE_RECORD:", both},
	{"has a legacy cookie", ":DECODE_ERROR:", both},
	{"more early data than the ticket permits", ":TOO_MUCH_READ_EARLY_DATA:", both},
	{"not as many binders as identities", ":PSK_IDENTITY_BINDER_COUNT_MISMATCH:", both},
	{"is not the last extension of the ClientHello", ":PRE_SHARED_KEY_MUST_BE_LAST:", both},
	{"a PSK without psk_key_exchange_modes", ":MISSING_EXTENSION:", both},
	{"extended_main_secret, and no longer offers it", ":RESUMED_EMS_SESSION_WITHOUT_EMS_EXTENSION:", both},
	{"are not those of the first", ":PSK_IDENTITY_NOT_FOUND:", both},
	{"without psk_dhe_ke", ":NO_SUPPORTED_PSK_MODE:", both},
	{"is not permitted in this message", ":UNEXPECTED_EXTENSION:", both},
	{"and sent no key share", ":MISSING_KEY_SHARE:", both},
	{"lacks the PSK of the first", ":MISSING_EXTENSION:", both},
	{"accepted early data without selecting the PSK", ":CIPHER_MISMATCH_ON_EARLY_DATA:", both},
	{"accepted early data, and chose another ALPN", ":ALPN_MISMATCH_ON_EARLY_DATA:", both},
	{"although early data was sent", ":WRONG_VERSION_ON_EARLY_DATA:", both},
	{"the server does not know the PSK", ":MISSING_EXTENSION:", both},
	{"a PSK binder is wrong", ":DIGEST_CHECK_FAILED:", both},
	{"chose SRTP profiles", ":BAD_SRTP_PROTECTION_PROFILE_LIST:", both},
	{"server_name does not parse", ":ERROR_PARSING_EXTENSION:", both},
	{"compress_certificate does not parse", ":ERROR_PARSING_EXTENSION:", both},
	{"certificate_authorities does not parse", ":ERROR_PARSING_EXTENSION:", both},
	{"signed_certificate_timestamp does not parse", ":ERROR_PARSING_EXTENSION:", both},
	{"does not parse", ":DECODE_ERROR:", both},
	{"a ChangeCipherSpec comes where none may", ":UNEXPECTED_RECORD:", both},
	{"a ChangeCipherSpec is malformed", ":BAD_CHANGE_CIPHER_SPEC:", both},
	{"a HelloRetryRequest chooses compression", ":DECODE_ERROR:", both},
	{"a KeyUpdate has an unknown request", ":DECODE_ERROR:", both},
	{"a ServerHelloDone has a body", ":DECODE_ERROR:", both},
	{"an EndOfEarlyData has a body", ":DECODE_ERROR:", both},
	{"the handshake is not complete", ":HANDSHAKE_NOT_COMPLETE:", both},
	{"a TLS 1.3 ClientHello offers compression", ":INVALID_COMPRESSION_LIST:", both},
	{"does not offer the null compression", ":INVALID_COMPRESSION_LIST:", both},
	{"has only the default, X.509", ":DECODE_ERROR:", both},
	{"data follows the end of the peer's flight", ":EXCESS_HANDSHAKE_DATA:", both},
	{"before the ChangeCipherSpec", ":UNEXPECTED_RECORD:", both},
	{"is interleaved with another record type", ":EXCESS_HANDSHAKE_DATA:", both},
	{"the fragments of a message contradict each other", ":FRAGMENT_MISMATCH:", both},
	{"under keys that have been replaced", ":EXCESS_HANDSHAKE_DATA:", both},
	{"application data comes under handshake keys", ":UNEXPECTED_RECORD:", both},
	{"of a later epoch than its own", ":DECODE_ERROR:", both},
	{"more key updates than there are epochs", ":TOO_MANY_KEY_UPDATES:", both},
	{"no epoch is left", ":TOO_MANY_KEY_UPDATES:", both},
	{"no message_seq is left", ":overflow:", both},
	{"timed out", ":READ_TIMEOUT_EXPIRED:", both},
	{"compressed certificate is larger than the limit", ":UNCOMPRESSED_CERT_TOO_LARGE:", both},
	{"larger than the limit", ":EXCESSIVE_MESSAGE_SIZE:", both},
	{"an alert is empty", ":BAD_ALERT:", both},
	{"a handshake record is empty", ":WRONG_VERSION_NUMBER:", both},
	{"unknown content type", ":UNEXPECTED_RECORD:", both},
	{"no content type, only padding", ":DECRYPTION_FAILED_OR_BAD_RECORD_MAC:", both},
	{"too much early data", ":TOO_MUCH_SKIPPED_EARLY_DATA:", both},
	{"a second HelloRetryRequest", ":UNEXPECTED_MESSAGE:", both},
	{"a signature of the peer is wrong", ":BAD_SIGNATURE:", both},
	{"unknown level", ":UNKNOWN_ALERT_TYPE:", both},
	{"an alert is malformed", ":BAD_ALERT:", both},
	{"does not look like application data", ":INVALID_OUTER_RECORD_TYPE:", both},
	{"an extension occurs twice in a message", ":DUPLICATE_EXTENSION:", both},
	{"application data comes before", ":UNEXPECTED_RECORD:", both},
	{"certificate_request_context", ":DECODE_ERROR:", both},
	{"no ALPN protocol in common", ":NO_APPLICATION_PROTOCOL:", both},
	{"no certificate type in common", ":UNSUPPORTED_CERTIFICATE:", both},
	{"no cipher suite in common", ":NO_SHARED_CIPHER:", both},
	{"no group in common", ":NO_SHARED_GROUP:", both},
	{"no protocol version in common", ":UNSUPPORTED_PROTOCOL:", both},
	{"the Finished message is wrong", ":DIGEST_CHECK_FAILED:", both},
	{"requests a group that was not offered", ":WRONG_CURVE:", both},
	{"requests no change", ":EMPTY_HELLO_RETRY_REQUEST:", both},
	{"the client sent no certificate", ":PEER_DID_NOT_RETURN_A_CERTIFICATE:", both},
	{"the client sent no supported_groups", ":NO_SHARED_GROUP:", both},
	{"is compressed with an algorithm that was not offered", ":UNKNOWN_CERT_COMPRESSION_ALG:", both},
	{"compressed certificate is larger than the limit", ":UNCOMPRESSED_CERT_TOO_LARGE:", both},
	{"compressed certificate declares another size", ":CERT_DECOMPRESSION_FAILED:", both},
	{"two key shares of one group", ":DUPLICATE_KEY_SHARE:", both},
	{"asks for a renegotiation", ":NO_RENEGOTIATION:", both},
	{"does not speak TLS", ":WRONG_VERSION_NUMBER:", both},
	{"uncompressed points", ":ERROR_PARSING_EXTENSION:", both},
	{"sent no key share", ":MISSING_KEY_SHARE:", both},
	{"sent no signature_algorithms", ":NO_COMMON_SIGNATURE_ALGORITHMS:", server},
	{"sent no signature_algorithms", ":DECODE_ERROR:", client},
	{"the peer signed with a scheme", ":WRONG_SIGNATURE_TYPE:", both},
	{"of a kind that TLS has no signatures for", ":UNSUPPORTED_ALGORITHM:", both},
	{"is not a valid public key of its group", ":BAD_ECPOINT:", both},
	{"does not have exactly the key share", ":WRONG_CURVE:", both},
	{"changed the cipher suite", ":WRONG_CIPHER_RETURNED:", both},
	{"changed the version", ":SECOND_SERVERHELLO_VERSION_MISMATCH:", both},
	{"chose a certificate type that was not offered", ":UNSUPPORTED_CERTIFICATE:", both},
	{"chose a cipher suite that was not offered", ":WRONG_CIPHER_RETURNED:", both},
	{"chose a group that was not offered", ":WRONG_CURVE:", both},
	{"chose an ALPN protocol", ":INVALID_ALPN_PROTOCOL:", both},
	{"does not support secure renegotiation", ":UNSAFE_LEGACY_RENEGOTIATION_DISABLED:", both},
	{"resumes a session that was not offered", ":SERVER_ECHOED_INVALID_SESSION_ID:", both},
	{"did not echo the session id", ":DECODE_ERROR:", both},
	{"the HelloVerifyRequest of DTLS 1.2 and then", ":INVALID_MESSAGE:", both},
	{"downgrade detected", ":TLS13_DOWNGRADE:", both},
	{"has a key on a curve that was not offered", ":BAD_ECC_CERT:", both},
	{"does not fit the cipher suite", ":WRONG_CERTIFICATE_TYPE:", both},
	{"key share is of a group that was not offered", ":WRONG_CURVE:", both},
	{"too many ChangeCipherSpecs", ":TOO_MANY_EMPTY_FRAGMENTS:", both},
	{"too many empty records", ":TOO_MANY_EMPTY_FRAGMENTS:", both},
	{"too many handshake messages", ":TOO_MANY_KEY_UPDATES:", both},
	{"too many warning alerts", ":TOO_MANY_WARNING_ALERTS:", both},
	{"unclean shutdown", "Unexpected SSL_shutdown result: -1 != 1", both},
	{"unexpected message", ":UNEXPECTED_MESSAGE:", both},
	{"a record has the wrong version", ":WRONG_VERSION_NUMBER:", both},
}

// role restricts a row to an end.
type role int

const (
	both role = iota
	client
	server
)

// several are the causes for which the runner itself has more than one name.
var several = []struct{ cause, names, why string }{
	{"no signature scheme in common", ":NO_COMMON_SIGNATURE_ALGORITHMS: :NO_SHARED_CIPHER:", "the second for servers of TLS 1.2"},
	{"none of its SupportedSignatureAlgorithms is for its key", ":NO_COMMON_SIGNATURE_ALGORITHMS: :NO_SHARED_CIPHER:", "the same"},
	{"but not its use of extended_main_secret", ":RESUMED_EMS_SESSION_WITHOUT_EMS_EXTENSION: :RESUMED_NON_EMS_SESSION_WITH_EMS_EXTENSION:", "one for each way"},
	{"chose a PSK that was not offered", ":PSK_IDENTITY_NOT_FOUND: :OLD_SESSION_PRF_HASH_MISMATCH:", "the second for its hash"},
	{"a record does not authenticate", ":DECRYPTION_FAILED_OR_BAD_RECORD_MAC: :BAD_DECRYPT:", "the second where the record had to be under other keys"},
	{"data beyond a change of keys", ":EXCESS_HANDSHAKE_DATA: :UNEXPECTED_RECORD:", "the second before TLS 1.2's ChangeCipherSpec"},
	{"longer than the protocol allows", ":DATA_LENGTH_TOO_LONG: :ENCRYPTED_LENGTH_TOO_LONG:", "the second before it is decrypted"},
	{"compression is not supported", ":UNSUPPORTED_COMPRESSION_ALGORITHM: :DECODE_ERROR:", "the second in TLS 1.3"},
	{"legacy_version is not TLS 1.2", ":UNSUPPORTED_PROTOCOL: :DECODE_ERROR:", "the second in a HelloRetryRequest"},
	{"answered an extension that was not sent", ":UNEXPECTED_EXTENSION: :ERROR_PARSING_EXTENSION:", "the second for what only TLS 1.2 has"},
	{"speaks HTTP without TLS", ":HTTP_REQUEST: :HTTPS_PROXY_REQUEST:", "the second for CONNECT"},
	{"chose a version that was not offered", ":UNEXPECTED_EXTENSION: :SECOND_SERVERHELLO_VERSION_MISMATCH:", "the second after a HelloRetryRequest"},
	{"sent an empty Certificate message", ":DECODE_ERROR: :PEER_DID_NOT_RETURN_A_CERTIFICATE:", "the second in TLS 1.3"},
	{"unexpected message: got Finished (", ":UNEXPECTED_RECORD: :EXCESS_HANDSHAKE_DATA:", "the second where it comes too early"},
	{"status_request does not parse", ":DECODE_ERROR: :ERROR_PARSING_EXTENSION:", "the second in TLS 1.2"},
	{"Certificate does not parse", ":DECODE_ERROR: :INVALID_RAW_PUBLIC_KEY:", "the second for raw public keys"},
}

// alertNames are BoringSSL's names of alerts that a peer sends.
var alertNames = map[hermetic.Alert]string{
	30:                             ":SSLV3_ALERT_DECOMPRESSION_FAILURE:",
	hermetic.AlertRecordOverflow:   ":TLSV1_ALERT_RECORD_OVERFLOW:",
	hermetic.AlertHandshakeFailure: ":SSLV3_ALERT_HANDSHAKE_FAILURE: :HANDSHAKE_FAILURE_ON_CLIENT_HELLO:",
}

// describe formats an error as the runner reads it.
func (o *options) describe(err error) string {
	text := err.Error()
	var alert *hermetic.AlertError
	if errors.As(err, &alert) && alert.Received {
		return alertNames[alert.Alert] + " " + text
	}
	for _, s := range several {
		if strings.Contains(text, s.cause) {
			return s.names + " " + text
		}
	}
	for _, n := range names {
		if strings.Contains(text, n.cause) && (n.only == both || o.server == (n.only == server)) {
			return n.name + " " + text
		}
	}
	return text
}
