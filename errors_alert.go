package hermetic

import "github.com/hermetic-tls/hermetic/internal/alert"

// Alert is an alert description (RFC 9846, Section 6).
type Alert uint8

const (
	AlertCloseNotify                  = Alert(alert.CloseNotify)
	AlertUnexpectedMessage            = Alert(alert.UnexpectedMessage)
	AlertBadRecordMAC                 = Alert(alert.BadRecordMAC)
	AlertRecordOverflow               = Alert(alert.RecordOverflow)
	AlertHandshakeFailure             = Alert(alert.HandshakeFailure)
	AlertBadCertificate               = Alert(alert.BadCertificate)
	AlertUnsupportedCertificate       = Alert(alert.UnsupportedCertificate)
	AlertCertificateRevoked           = Alert(alert.CertificateRevoked)
	AlertCertificateExpired           = Alert(alert.CertificateExpired)
	AlertCertificateUnknown           = Alert(alert.CertificateUnknown)
	AlertIllegalParameter             = Alert(alert.IllegalParameter)
	AlertUnknownCA                    = Alert(alert.UnknownCA)
	AlertAccessDenied                 = Alert(alert.AccessDenied)
	AlertDecodeError                  = Alert(alert.DecodeError)
	AlertDecryptError                 = Alert(alert.DecryptError)
	AlertTooManyCIDsRequested         = Alert(alert.TooManyCIDsRequested)
	AlertProtocolVersion              = Alert(alert.ProtocolVersion)
	AlertInsufficientSecurity         = Alert(alert.InsufficientSecurity)
	AlertInternalError                = Alert(alert.InternalError)
	AlertInappropriateFallback        = Alert(alert.InappropriateFallback)
	AlertUserCanceled                 = Alert(alert.UserCanceled)
	AlertNoRenegotiation              = Alert(alert.NoRenegotiation)
	AlertMissingExtension             = Alert(alert.MissingExtension)
	AlertUnsupportedExtension         = Alert(alert.UnsupportedExtension)
	AlertUnrecognizedName             = Alert(alert.UnrecognizedName)
	AlertBadCertificateStatusResponse = Alert(alert.BadCertificateStatusResponse)
	AlertUnknownPSKIdentity           = Alert(alert.UnknownPSKIdentity)
	AlertCertificateRequired          = Alert(alert.CertificateRequired)
	AlertGeneralError                 = Alert(alert.GeneralError)
	AlertNoApplicationProtocol        = Alert(alert.NoApplicationProtocol)
)

// String returns the RFC's name: "handshake_failure".
func (a Alert) String() string { return alert.Description(a).String() }
