package main

import (
	"errors"
	"strings"

	"github.com/hermetic-tls/hermetic"
)

// names maps our causes, or a part of them, to what the runner expects to read.
// BoringSSL tells some apart that we do not.
var names = []struct{ cause, names string }{
	{"NO_SUPPORTED_VERSIONS_ENABLED", ":NO_SUPPORTED_VERSIONS_ENABLED:"},
	{"APPLICATION_DATA_ON_SHUTDOWN", ":APPLICATION_DATA_ON_SHUTDOWN:"},
	{"CERTIFICATE_VERIFY_FAILED", ":CERTIFICATE_VERIFY_FAILED:"},
	{"OCSP_CB_ERROR", ":OCSP_CB_ERROR:"},
	{"CERT_CB_ERROR", ":CERT_CB_ERROR:"},
	{"CONNECTION_REJECTED", ":CONNECTION_REJECTED:"},
	{"INVALID_SCT_LIST", ":INVALID_SCT_LIST:"},
	{"KEY_USAGE_BIT_INCORRECT", ":KEY_USAGE_BIT_INCORRECT:"},
	{"the peer takes no certificate of this type", ":UNKNOWN_CERTIFICATE_TYPE:"},
	{"no cipher suite of the peer is for this kind of key", ":NO_SHARED_CIPHER: :UNKNOWN_CERTIFICATE_TYPE:"},
	{"the peer does not support the curve of the key", ":WRONG_CURVE:"},
	{"none of its SupportedSignatureAlgorithms is for its key", ":NO_COMMON_SIGNATURE_ALGORITHMS: :NO_SHARED_CIPHER:"},
	{"no signature scheme in common", ":NO_COMMON_SIGNATURE_ALGORITHMS: :NO_SHARED_CIPHER:"},
	{"the peer does not accept the issuer", ":NO_MATCHING_ISSUER:"},
	{"ClientHello does not parse", ":CLIENTHELLO_PARSE_FAILED: :DECODE_ERROR:"},
	{"raw public key does not parse", ":DECODE_ERROR: :INVALID_RAW_PUBLIC_KEY:"},
	{"peer's certificate does not parse", ":CANNOT_PARSE_LEAF_CERT:"},
	{"application_layer_protocol_negotiation does not parse", ":PARSE_TLSEXT: :ERROR_PARSING_EXTENSION:"},
	{"a handshake record does not parse", ":BAD_HANDSHAKE_RECORD: :EXCESS_HANDSHAKE_DATA:"},
	{"has a legacy cookie", ":DECODE_ERROR:"},
	{"more early data than the ticket permits", ":TOO_MUCH_READ_EARLY_DATA:"},
	{"not as many binders as identities", ":PSK_IDENTITY_BINDER_COUNT_MISMATCH:"},
	{"is not the last extension of the ClientHello", ":PRE_SHARED_KEY_MUST_BE_LAST:"},
	{"a PSK without psk_key_exchange_modes", ":MISSING_EXTENSION:"},
	{"offers no PSK, and there is no certificate", ":NO_SUPPORTED_PSK_MODE:"},
	{"extended_main_secret, and offers it no more", ":RESUMED_EMS_SESSION_WITHOUT_EMS_EXTENSION:"},
	{"another use of extended_main_secret", ":RESUMED_EMS_SESSION_WITHOUT_EMS_EXTENSION: :RESUMED_NON_EMS_SESSION_WITH_EMS_EXTENSION:"},
	{"are not those of the first", ":PSK_IDENTITY_NOT_FOUND:"},
	{"without psk_dhe_ke", ":NO_SUPPORTED_PSK_MODE:"},
	{"does not belong in this message", ":UNEXPECTED_EXTENSION: :ERROR_PARSING_EXTENSION:"},
	{"and sent no key share", ":MISSING_KEY_SHARE:"},
	{"lacks the PSK of the first", ":MISSING_EXTENSION:"},
	{"accepted early data without the PSK", ":CIPHER_MISMATCH_ON_EARLY_DATA:"},
	{"accepted early data, and chose another ALPN", ":ALPN_MISMATCH_ON_EARLY_DATA:"},
	{"although early data was sent", ":WRONG_VERSION_ON_EARLY_DATA:"},
	{"chose a PSK that was not offered", ":OLD_SESSION_PRF_HASH_MISMATCH: :PSK_IDENTITY_NOT_FOUND:"},
	{"the server does not know the PSK", ":MISSING_EXTENSION:"},
	{"a PSK binder is wrong", ":DIGEST_CHECK_FAILED:"},
	{"chose SRTP profiles", ":BAD_SRTP_PROTECTION_PROFILE_LIST:"},
	{"does not parse", ":DECODE_ERROR: :ERROR_PARSING_EXTENSION: :INVALID_RAW_PUBLIC_KEY:"},
	{"has the wrong length", ":DECODE_ERROR:"},
	{"a ChangeCipherSpec comes where none may", ":UNEXPECTED_RECORD: :TOO_MANY_EMPTY_FRAGMENTS:"},
	{"a ChangeCipherSpec is malformed", ":BAD_CHANGE_CIPHER_SPEC:"},
	{"a HelloRetryRequest chooses compression", ":DECODE_ERROR:"},
	{"a KeyUpdate has an unknown request", ":DECODE_ERROR:"},
	{"a ServerHelloDone has a body", ":DECODE_ERROR:"},
	{"an EndOfEarlyData has a body", ":DECODE_ERROR:"},
	{"the handshake is not complete", ":HANDSHAKE_NOT_COMPLETE:"},
	{"a TLS 1.3 ClientHello offers compression", ":INVALID_COMPRESSION_LIST:"},
	{"does not offer the null compression", ":INVALID_COMPRESSION_LIST:"},
	{"has only the default, X.509", ":DECODE_ERROR:"},
	{"behind the end of the peer's flight", ":EXCESS_HANDSHAKE_DATA:"},
	{"before the ChangeCipherSpec", ":UNEXPECTED_RECORD:"},
	{"is interleaved with another record type", ":EXCESS_HANDSHAKE_DATA:"},
	{"the fragments of a message contradict each other", ":FRAGMENT_MISMATCH:"},
	{"under keys that have been replaced", ":EXCESS_HANDSHAKE_DATA:"},
	{"application data comes under handshake keys", ":UNEXPECTED_RECORD:"},
	{"of a later epoch than its own", ":DECODE_ERROR:"},
	{"more key updates than there are epochs", ":TOO_MANY_KEY_UPDATES:"},
	{"no epoch is left", ":TOO_MANY_KEY_UPDATES:"},
	{"no message_seq is left", ":overflow:"},
	{"timed out", ":READ_TIMEOUT_EXPIRED:"},
	{"larger than the limit", ":EXCESSIVE_MESSAGE_SIZE:"},
	{"an alert is empty", ":BAD_ALERT:"},
	{"a handshake record is empty", ":WRONG_VERSION_NUMBER: :UNEXPECTED_RECORD:"},
	{"a record does not authenticate", ":BAD_DECRYPT: :DECRYPTION_FAILED_OR_BAD_RECORD_MAC:"},
	{"unknown content type", ":UNEXPECTED_RECORD:"},
	{"no content type, only padding", ":DECRYPTION_FAILED_OR_BAD_RECORD_MAC:"},
	{"a record has the wrong version", ":WRONG_VERSION_NUMBER: :SSLV3_ALERT_HANDSHAKE_FAILURE:"},
	{"data beyond a change of keys", ":EXCESS_HANDSHAKE_DATA: :UNEXPECTED_RECORD:"},
	{"longer than the protocol allows", ":DATA_LENGTH_TOO_LONG: :ENCRYPTED_LENGTH_TOO_LONG: :TOO_MUCH_SKIPPED_EARLY_DATA:"},
	{"too much early data", ":TOO_MUCH_SKIPPED_EARLY_DATA:"},
	{"a second HelloRetryRequest", ":UNEXPECTED_MESSAGE:"},
	{"a signature of the peer is wrong", ":BAD_SIGNATURE:"},
	{"unknown level", ":UNKNOWN_ALERT_TYPE:"},
	{"an alert is malformed", ":BAD_ALERT:"},
	{"does not look like application data", ":INVALID_OUTER_RECORD_TYPE:"},
	{"an extension stands in a message twice", ":DUPLICATE_EXTENSION:"},
	{"application data comes before", ":UNEXPECTED_RECORD:"},
	{"certificate_request_context", ":DECODE_ERROR:"},
	{"compression is not supported", ":DECODE_ERROR: :UNSUPPORTED_COMPRESSION_ALGORITHM:"},
	{"legacy_version is not TLS 1.2", ":UNSUPPORTED_PROTOCOL: :DECODE_ERROR:"},
	{"no ALPN protocol in common", ":NO_APPLICATION_PROTOCOL:"},
	{"no certificate type in common", ":UNSUPPORTED_CERTIFICATE:"},
	{"no cipher suite in common", ":NO_SHARED_CIPHER:"},
	{"no group in common", ":NO_SHARED_GROUP:"},
	{"no protocol version in common", ":UNSUPPORTED_PROTOCOL:"},
	{"the Finished message is wrong", ":DIGEST_CHECK_FAILED:"},
	{"asks for a group that was not offered", ":WRONG_CURVE:"},
	{"asks for no change", ":EMPTY_HELLO_RETRY_REQUEST:"},
	{"the client sent no certificate", ":PEER_DID_NOT_RETURN_A_CERTIFICATE:"},
	{"the client sent no supported_groups", ":NO_SHARED_GROUP:"},
	{"two key shares of one group", ":DUPLICATE_KEY_SHARE:"},
	{"answered an extension that was not sent", ":UNEXPECTED_EXTENSION: :ERROR_PARSING_EXTENSION:"},
	{"asks for a renegotiation", ":NO_RENEGOTIATION:"},
	{"does not speak TLS", ":WRONG_VERSION_NUMBER:"},
	{"speaks HTTP without TLS", ":HTTP_REQUEST: :HTTPS_PROXY_REQUEST:"},
	{"uncompressed points", ":ERROR_PARSING_EXTENSION:"},
	{"sent no key share", ":MISSING_KEY_SHARE:"},
	{"sent no signature_algorithms", ":NO_COMMON_SIGNATURE_ALGORITHMS: :DECODE_ERROR:"},
	{"the peer signed with a scheme", ":WRONG_SIGNATURE_TYPE:"},
	{"of a kind that TLS has no signatures for", ":UNSUPPORTED_ALGORITHM:"},
	{"is no public key of its group", ":BAD_ECPOINT:"},
	{"has not the one key share", ":WRONG_CURVE:"},
	{"changed the cipher suite", ":WRONG_CIPHER_RETURNED:"},
	{"changed the version", ":SECOND_SERVERHELLO_VERSION_MISMATCH:"},
	{"chose a certificate type that was not offered", ":UNSUPPORTED_CERTIFICATE:"},
	{"chose a cipher suite that was not offered", ":WRONG_CIPHER_RETURNED:"},
	{"chose a group that was not offered", ":WRONG_CURVE:"},
	{"chose a version that was not offered", ":UNEXPECTED_EXTENSION: :SECOND_SERVERHELLO_VERSION_MISMATCH:"},
	{"chose an ALPN protocol", ":INVALID_ALPN_PROTOCOL:"},
	{"does not support secure renegotiation", ":UNSAFE_LEGACY_RENEGOTIATION_DISABLED:"},
	{"resumes a session that was not offered", ":SERVER_ECHOED_INVALID_SESSION_ID:"},
	{"did not echo the session id", ":SERVER_ECHOED_INVALID_SESSION_ID: :DECODE_ERROR:"},
	{"the HelloVerifyRequest of DTLS 1.2 and then", ":INVALID_MESSAGE:"},
	{"somebody made it choose an older version", ":TLS13_DOWNGRADE:"},
	{"sent an empty Certificate message", ":PEER_DID_NOT_RETURN_A_CERTIFICATE: :DECODE_ERROR:"},
	{"has a key on a curve that was not offered", ":BAD_ECC_CERT:"},
	{"does not fit the cipher suite", ":WRONG_CERTIFICATE_TYPE:"},
	{"key share is of a group that was not offered", ":WRONG_CURVE:"},
	{"too many empty records", ":TOO_MANY_EMPTY_FRAGMENTS:"},
	{"too many handshake messages", ":TOO_MANY_KEY_UPDATES:"},
	{"too many warning alerts", ":TOO_MANY_WARNING_ALERTS:"},
	{"fell back to an older version", ":INAPPROPRIATE_FALLBACK:"},
	{"unclean shutdown", "Unexpected SSL_shutdown result: -1 != 1"},
	{"unexpected message: got Finished (", ":UNEXPECTED_RECORD: :EXCESS_HANDSHAKE_DATA:"},
	{"unexpected message", ":UNEXPECTED_MESSAGE:"},
}

// alertNames are BoringSSL's names of alerts that a peer sends.
var alertNames = map[hermetic.Alert]string{
	30:                             ":SSLV3_ALERT_DECOMPRESSION_FAILURE:",
	hermetic.AlertRecordOverflow:   ":TLSV1_ALERT_RECORD_OVERFLOW:",
	hermetic.AlertHandshakeFailure: ":SSLV3_ALERT_HANDSHAKE_FAILURE: :HANDSHAKE_FAILURE_ON_CLIENT_HELLO:",
}

// describe is an error as the runner reads it.
func describe(err error) string {
	text := err.Error()
	var alert *hermetic.AlertError
	if errors.As(err, &alert) && alert.Received {
		return alertNames[alert.Alert] + " " + text
	}
	for _, n := range names {
		if strings.Contains(text, n.cause) {
			return n.names + " " + text
		}
	}
	return text
}
