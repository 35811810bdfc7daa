package hermetic

import (
	"crypto/tls"
	"slices"

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

// MLKEM1024 is the group ML-KEM-1024 without a curve (draft-ietf-tls-mlkem). It is used only if
// [Config.CurvePreferences] or [Config.Policy] has it.
const MLKEM1024 tls.CurveID = tls.CurveID(suite.MLKEM1024)

// Groups returns the groups that [Config.CurvePreferences] may have, the preferred first. The
// last, [MLKEM1024], is not used by default.
func Groups() []tls.CurveID {
	var list []tls.CurveID
	for _, g := range slices.Concat(suite.Groups, suite.GroupsOnRequest) {
		list = append(list, tls.CurveID(g))
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
