package hermetic

import (
	"crypto/tls"

	"github.com/hermetic-tls/hermetic/internal/suite"
)

// CipherSuites returns those that [Config.CipherSuites] may have, the preferred
// first; crypto/tls lacks those with a PSK or CCM.
func CipherSuites() []*tls.CipherSuite {
	list := make([]*tls.CipherSuite, len(suite.All()))
	for i, s := range suite.All() {
		list[i] = &tls.CipherSuite{ID: s.ID, Name: s.Name, SupportedVersions: []uint16{s.Version}}
	}
	return list
}

// CipherSuiteName returns the registered name, or a hexadecimal number such as
// "0x1A2B" of a suite that neither hermetic nor crypto/tls knows.
func CipherSuiteName(id uint16) string {
	if s := suite.ByID(id); s != nil {
		return s.Name
	}
	return tls.CipherSuiteName(id)
}

// Groups returns those that [Config.CurvePreferences] may have, the preferred
// first.
func Groups() []tls.CurveID {
	list := make([]tls.CurveID, len(suite.Groups))
	for i, g := range suite.Groups {
		list[i] = tls.CurveID(g)
	}
	return list
}

// GroupName returns a group's name: "P-256", where [tls.CurveID] says "CurveP256".
func GroupName(id tls.CurveID) string {
	if g := suite.Group(id); g.Supported() {
		return g.String()
	}
	return id.String()
}
