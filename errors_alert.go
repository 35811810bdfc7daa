package hermetic

import "github.com/hermetic-tls/hermetic/internal/alert"

// Alert is an alert description (RFC 9846, Section 6).
type Alert uint8

// The alerts of RFC 9846, Section 6, and of extensions.
const (
	// AlertCloseNotify ends what its sender sends; it is not an error.
	AlertCloseNotify = Alert(alert.CloseNotify)
	// AlertUnexpectedMessage is a message, or a record, that may not come at that point.
	AlertUnexpectedMessage = Alert(alert.UnexpectedMessage)
	// AlertBadRecordMAC is a record that does not authenticate.
	AlertBadRecordMAC = Alert(alert.BadRecordMAC)
	// AlertRecordOverflow is a record that is too large.
	AlertRecordOverflow = Alert(alert.RecordOverflow)
	// AlertHandshakeFailure means that no acceptable parameters are shared.
	AlertHandshakeFailure = Alert(alert.HandshakeFailure)
	// AlertBadCertificate is a certificate that is damaged or was refused.
	AlertBadCertificate = Alert(alert.BadCertificate)
	// AlertUnsupportedCertificate is a certificate of an unsupported type.
	AlertUnsupportedCertificate = Alert(alert.UnsupportedCertificate)
	// AlertCertificateRevoked is a certificate that was revoked.
	AlertCertificateRevoked = Alert(alert.CertificateRevoked)
	// AlertCertificateExpired is a certificate that has expired or is not valid yet.
	AlertCertificateExpired = Alert(alert.CertificateExpired)
	// AlertCertificateUnknown is a certificate that is unacceptable for another reason.
	AlertCertificateUnknown = Alert(alert.CertificateUnknown)
	// AlertIllegalParameter is a field with a forbidden or inconsistent value.
	AlertIllegalParameter = Alert(alert.IllegalParameter)
	// AlertUnknownCA is a certificate of an unknown authority.
	AlertUnknownCA = Alert(alert.UnknownCA)
	// AlertAccessDenied is a valid certificate that access control refuses.
	AlertAccessDenied = Alert(alert.AccessDenied)
	// AlertDecodeError is a message that does not parse.
	AlertDecodeError = Alert(alert.DecodeError)
	// AlertDecryptError is a signature, Finished or PSK binder that does not verify.
	AlertDecryptError = Alert(alert.DecryptError)
	// AlertTooManyCIDsRequested refuses a request for connection IDs (RFC 9147bis, Section 9).
	AlertTooManyCIDsRequested = Alert(alert.TooManyCIDsRequested)
	// AlertProtocolVersion is a version that is not supported.
	AlertProtocolVersion = Alert(alert.ProtocolVersion)
	// AlertInsufficientSecurity demands stronger parameters.
	AlertInsufficientSecurity = Alert(alert.InsufficientSecurity)
	// AlertInternalError is a failure unrelated to the peer.
	AlertInternalError = Alert(alert.InternalError)
	// AlertInappropriateFallback refuses a needless fallback to an older version (RFC 7507).
	AlertInappropriateFallback = Alert(alert.InappropriateFallback)
	// AlertUserCanceled ends a handshake at the request of a user.
	AlertUserCanceled = Alert(alert.UserCanceled)
	// AlertNoRenegotiation refuses renegotiation (TLS 1.2).
	AlertNoRenegotiation = Alert(alert.NoRenegotiation)
	// AlertMissingExtension is a message without a mandatory extension.
	AlertMissingExtension = Alert(alert.MissingExtension)
	// AlertUnsupportedExtension is an extension that was not offered or is forbidden there.
	AlertUnsupportedExtension = Alert(alert.UnsupportedExtension)
	// AlertUnrecognizedName is a server_name that the server does not have.
	AlertUnrecognizedName = Alert(alert.UnrecognizedName)
	// AlertBadCertificateStatusResponse is an OCSP response that is invalid or unacceptable.
	AlertBadCertificateStatusResponse = Alert(alert.BadCertificateStatusResponse)
	// AlertUnknownPSKIdentity is a PSK identity that the server does not know.
	AlertUnknownPSKIdentity = Alert(alert.UnknownPSKIdentity)
	// AlertCertificateRequired demands a client certificate.
	AlertCertificateRequired = Alert(alert.CertificateRequired)
	// AlertGeneralError is any other error (RFC 9846).
	AlertGeneralError = Alert(alert.GeneralError)
	// AlertNoApplicationProtocol means that no ALPN protocol is shared (RFC 7301).
	AlertNoApplicationProtocol = Alert(alert.NoApplicationProtocol)
)

// String returns the RFC's name, such as "handshake_failure".
func (a Alert) String() string { return alert.Description(a).String() }
