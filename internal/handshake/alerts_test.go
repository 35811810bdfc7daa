package handshake

import (
	"testing"

	"github.com/hermetic-tls/hermetic/internal/alert"
)

// namedAlerts are the alerts that RFC 9846 and the RFCs of extensions name for what a peer
// does wrong; without a section, they are those of other implementations.
var namedAlerts = map[*alert.Error]alert.Description{
	errALPNChoice:       alert.IllegalParameter,     // 6.2
	errBadCookie:        alert.IllegalParameter,     // RFC 9147bis, 5.1
	errBothLimits:       alert.IllegalParameter,     // RFC 8449, 5
	errCertRequired:     alert.CertificateRequired,  // 4.5.1.3
	errCertRequired12:   alert.HandshakeFailure,     // RFC 5246, 7.4.6
	errCompression:      alert.IllegalParameter,     // 4.2.3
	errCompression13:    alert.IllegalParameter,     // 4.2.2
	errContext:          alert.DecodeError,          //
	errDowngrade:        alert.IllegalParameter,     // 4.2.3
	errEarlyALPN:        alert.IllegalParameter,     //
	errEarlyPSK:         alert.IllegalParameter,     // 4.3.11
	errEchoed12:         alert.IllegalParameter,     //
	errEmptyRetry:       alert.IllegalParameter,     // 4.2.4
	errFragmentEcho:     alert.IllegalParameter,     // RFC 6066, 4
	errFragmentLength:   alert.IllegalParameter,     // RFC 6066, 4
	errGroupChoice:      alert.IllegalParameter,     //
	errHelloChanged:     alert.IllegalParameter,     //
	errKeyForSuite:      alert.IllegalParameter,     //
	errKeyUpdateValue:   alert.IllegalParameter,     // 4.7.3
	errLargeCookie:      alert.IllegalParameter,     //
	errLegacyVersion:    alert.ProtocolVersion,      // 4.2.3
	errMisplaced:        alert.IllegalParameter,     // 4.3
	errNoCertificate:    alert.DecodeError,          // 4.5.1.3
	errNoCompression:    alert.IllegalParameter,     //
	errNoGroups:         alert.MissingExtension,     // 9.2
	errNoKeyShare:       alert.MissingExtension,     // 9.2
	errNoPSKModes:       alert.MissingExtension,     // 6.2
	errNoSchemes:        alert.MissingExtension,     // 4.3.3
	errOldVersion:       alert.ProtocolVersion,      // 4.2.2
	errPSKGone:          alert.MissingExtension,     //
	errPSKMode:          alert.HandshakeFailure,     //
	errPSKWithoutShare:  alert.IllegalParameter,     // 4.3.11
	errPSKsChanged:      alert.IllegalParameter,     //
	errPointFormat:      alert.IllegalParameter,     // RFC 8422, 5.1
	errRenegInfo:        alert.HandshakeFailure,     // RFC 5746, 3.4
	errRenegotiation:    alert.NoRenegotiation,      // RFC 5246, 7.4.1.1
	errRetryCompression: alert.DecodeError,          // not 4.2.4, but the runner's
	errRetryGroup:       alert.IllegalParameter,     // 4.3.8
	errRetryShare:       alert.IllegalParameter,     //
	errSchemeKey:        alert.IllegalParameter,     //
	errSchemeOffered:    alert.IllegalParameter,     //
	errSecondRetry:      alert.UnexpectedMessage,    // 4.2.4
	errSelectedPSK:      alert.IllegalParameter,     // 4.3.11
	errSessionEcho:      alert.IllegalParameter,     // 4.2.3
	errShortFinished:    alert.DecodeError,          // 6
	errSizeLimit:        alert.IllegalParameter,     // RFC 8449, 4
	errSuiteChanged:     alert.IllegalParameter,     // 4.2.4
	errSuiteNotOffered:  alert.IllegalParameter,     // 4.2.3
	errTicketLife:       alert.IllegalParameter,     //
	errUnsolicited:      alert.UnsupportedExtension, // 4.3
	errVersion:          alert.ProtocolVersion,      // Appendix E.1
	errVersionChanged:   alert.IllegalParameter,     // 4.2.4
	errVersionNotWanted: alert.IllegalParameter,     // 4.3.1
	errWrongBinder:      alert.DecryptError,         // 6.2
	errWrongFinished:    alert.DecryptError,         // 4.5.3
	errWrongShare:       alert.IllegalParameter,     // 4.3.8
}

// wantNamedAlert compares the alert of what a test wants with namedAlerts.
func wantNamedAlert(t *testing.T, want error) {
	t.Helper()
	fault, ok := want.(*alert.Error)
	if !ok || fault == nil {
		return
	}
	if d, ok := namedAlerts[fault]; !ok || fault.Description != d {
		t.Errorf("%q is %v, want %v", fault.Cause, fault.Description, d)
	}
}
