package hermetic

import (
	"crypto/tls"

	"github.com/hermetic-tls/hermetic/internal/suite"
)

// CipherSuites returns the cipher suites that [Config.CipherSuites] may have, the preferred
// first. Those with a PSK or CCM are unknown to crypto/tls.
func CipherSuites() []*tls.CipherSuite {
	list := make([]*tls.CipherSuite, len(suite.All()))
	for i, s := range suite.All() {
		list[i] = &tls.CipherSuite{ID: s.ID, Name: s.Name, SupportedVersions: []uint16{s.Version}}
	}
	return list
}

// CipherSuiteName returns the registered name of a cipher suite, or a number such as "0x1A2B" if
// it is unknown to both hermetic and crypto/tls.
func CipherSuiteName(id uint16) string {
	if s := suite.ByID(id); s != nil {
		return s.Name
	}
	return tls.CipherSuiteName(id)
}

// Groups returns the groups that [Config.CurvePreferences] may have, the preferred first.
func Groups() []tls.CurveID {
	list := make([]tls.CurveID, len(suite.Groups))
	for i, g := range suite.Groups {
		list[i] = tls.CurveID(g)
	}
	return list
}

// GroupName returns the usual name of a group: "P-256", where [tls.CurveID] says "CurveP256".
func GroupName(id tls.CurveID) string {
	if g := suite.Group(id); g.Supported() {
		return g.String()
	}
	return id.String()
}
