package carrier

import (
	"testing"

	"github.com/hermetic-tls/hermetic/internal/alert"
)

// namedAlerts are the alerts for what is wrong with records: RFC 9846, Sections 5 and 6,
// or, where it names none, those of other implementations.
var namedAlerts = map[*alert.Error]alert.Description{
	errContentType:    alert.UnexpectedMessage, // 5
	errUnexpectedCCS:  alert.UnexpectedMessage, // 5
	errBadCCS:         alert.IllegalParameter,  // only in TLS 1.2, whose RFC names none
	errManyCCS:        alert.UnexpectedMessage,
	errExpectedCCS:    alert.UnexpectedMessage, // RFC 5246, 7.1
	errKeyBoundary:    alert.UnexpectedMessage, // 5.1
	errFlightBoundary: alert.UnexpectedMessage,
	errInterleaved:    alert.UnexpectedMessage,
	errEmptyHandshake: alert.UnexpectedMessage, // 5.4
	errEmptyAlert:     alert.UnexpectedMessage, // 5.4
	errBadAlert:       alert.DecodeError,       // 6
	errAlertLevel:     alert.IllegalParameter,  // 6
	errWarnings:       alert.UnexpectedMessage,
	errEmptyRecords:   alert.UnexpectedMessage,
	errIdleMessages:   alert.UnexpectedMessage,
	errEarlyData:      alert.UnexpectedMessage,
	errEarlyDataSize:  alert.UnexpectedMessage, // 4.3.10
	errEarlyAppData:   alert.UnexpectedMessage, // 6.2
	errMessageSize:    alert.IllegalParameter,
	errNotTLS:         alert.ProtocolVersion,
	errRecordVersion:  alert.ProtocolVersion,
}

// wantNamedAlert compares the alert of what a test wants with namedAlerts.
func wantNamedAlert(t *testing.T, want error) {
	t.Helper()
	fault, ok := want.(*alert.Error)
	if !ok || fault == nil {
		return
	}
	if d, ok := namedAlerts[fault]; ok && fault.Description != d {
		t.Errorf("%q is %v, want %v", fault.Cause, fault.Description, d)
	}
}
