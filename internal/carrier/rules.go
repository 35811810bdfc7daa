package carrier

import (
	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// rules are what differs between the records of TLS 1.2, of TLS 1.3, and those before the
// version is known.
type rules struct {
	undecided bool
	// dropsCCS: a ChangeCipherSpec means nothing (RFC 9846, Section 5).
	dropsCCS bool
	// encryptsCCS: a ChangeCipherSpec changes the keys, so that a second one is encrypted.
	encryptsCCS bool
	// malformedCCS is the error of a ChangeCipherSpec that is not a single 1.
	malformedCCS error
	// refusable: a client that refuses the ServerHello sends an unprotected alert.
	refusable bool
	// minVersion and maxVersion bound legacy_record_version.
	minVersion, maxVersion uint16
	// warns reports whether an alert may be a warning.
	warns func(alert.Description) bool
}

var (
	anyWarning = func(alert.Description) bool { return true }

	rulesUndecided = rules{undecided: true, malformedCCS: errUnexpectedCCS, maxVersion: 0xffff, warns: anyWarning}
	rules12        = rules{encryptsCCS: true, malformedCCS: errBadCCS, minVersion: wire.VersionTLS12, maxVersion: wire.VersionTLS12, warns: anyWarning}
	rules13        = rules{
		dropsCCS: true, malformedCCS: errUnexpectedCCS, refusable: true, maxVersion: wire.VersionTLS13,
		// RFC 9846, Section 6: no other alert is a warning.
		warns: func(d alert.Description) bool { return d == alert.UserCanceled },
	}
)

// rules returns the rules of the version.
func (s *Stream) rules() *rules {
	switch s.version {
	case 0:
		return &rulesUndecided
	case wire.VersionTLS12:
		return &rules12
	}
	return &rules13
}
