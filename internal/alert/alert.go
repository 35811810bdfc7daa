// Package alert names what goes wrong in a handshake or a record: the alert
// that a peer receives, and the cause that a person reads.
package alert

import (
	"crypto/x509"
	"fmt"
)

// The levels of an alert (RFC 9846, Section 6).
const (
	LevelWarning = 1
	LevelFatal   = 2
)

// Description is an alert description (RFC 9846, Section 6).
type Description uint8

const (
	CloseNotify                  Description = 0
	UnexpectedMessage            Description = 10
	BadRecordMAC                 Description = 20
	RecordOverflow               Description = 22
	HandshakeFailure             Description = 40
	BadCertificate               Description = 42
	UnsupportedCertificate       Description = 43
	CertificateRevoked           Description = 44
	CertificateExpired           Description = 45
	CertificateUnknown           Description = 46
	IllegalParameter             Description = 47
	UnknownCA                    Description = 48
	AccessDenied                 Description = 49
	DecodeError                  Description = 50
	DecryptError                 Description = 51
	TooManyCIDsRequested         Description = 52
	ProtocolVersion              Description = 70
	InsufficientSecurity         Description = 71
	InternalError                Description = 80
	InappropriateFallback        Description = 86
	UserCanceled                 Description = 90
	NoRenegotiation              Description = 100
	MissingExtension             Description = 109
	UnsupportedExtension         Description = 110
	UnrecognizedName             Description = 112
	BadCertificateStatusResponse Description = 113
	UnknownPSKIdentity           Description = 115
	CertificateRequired          Description = 116
	GeneralError                 Description = 117
	NoApplicationProtocol        Description = 120
)

var names = map[Description]string{
	CloseNotify:                  "close_notify",
	UnexpectedMessage:            "unexpected_message",
	BadRecordMAC:                 "bad_record_mac",
	RecordOverflow:               "record_overflow",
	HandshakeFailure:             "handshake_failure",
	BadCertificate:               "bad_certificate",
	UnsupportedCertificate:       "unsupported_certificate",
	CertificateRevoked:           "certificate_revoked",
	CertificateExpired:           "certificate_expired",
	CertificateUnknown:           "certificate_unknown",
	IllegalParameter:             "illegal_parameter",
	UnknownCA:                    "unknown_ca",
	AccessDenied:                 "access_denied",
	DecodeError:                  "decode_error",
	DecryptError:                 "decrypt_error",
	TooManyCIDsRequested:         "too_many_cids_requested",
	ProtocolVersion:              "protocol_version",
	InsufficientSecurity:         "insufficient_security",
	InternalError:                "internal_error",
	InappropriateFallback:        "inappropriate_fallback",
	UserCanceled:                 "user_canceled",
	NoRenegotiation:              "no_renegotiation",
	MissingExtension:             "missing_extension",
	UnsupportedExtension:         "unsupported_extension",
	UnrecognizedName:             "unrecognized_name",
	BadCertificateStatusResponse: "bad_certificate_status_response",
	UnknownPSKIdentity:           "unknown_psk_identity",
	CertificateRequired:          "certificate_required",
	GeneralError:                 "general_error",
	NoApplicationProtocol:        "no_application_protocol",
}

// String returns the RFC's name of d.
func (d Description) String() string {
	if s, ok := names[d]; ok {
		return s
	}
	return fmt.Sprintf("alert(%d)", uint8(d))
}

// Error is a failure that the peer is told about: the alert it receives, the cause
// in words, and optionally the underlying error. State code returns the cause
// and nothing else; one exit of the engine writes the alert.
type Error struct {
	Description Description
	Cause       string
	Err         error // may be nil; what errors.Is and errors.As see

	Header     []byte              // of a record whose header is at fault; else nil
	Unverified []*x509.Certificate // the chain, if it does not verify; else nil
}

// New returns the failure with the given alert and cause. Its results are
// usually package-level values, so that tests and tables can name them.
func New(d Description, cause string) *Error { return &Error{Description: d, Cause: cause} }

// Wrap returns a failure whose reason is err: a certificate that does not
// verify, a private key that fails.
func Wrap(d Description, cause string, err error) *Error {
	return &Error{Description: d, Cause: cause, Err: err}
}

// Error returns the cause and the underlying error, which may repeat what a peer wrote.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Cause + ": " + Clean(e.Err.Error())
	}
	return e.Cause
}

func (e *Error) Unwrap() error { return e.Err }
