package hermetic

import (
	"crypto/tls"
	"fmt"
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

// srtpProfiles are those of RFC 5764, Section 4.1.2, and RFC 7714, Section 14.2, that encrypt.
var srtpProfiles = []struct {
	id   uint16
	name string
}{
	{0x0001, "SRTP_AES128_CM_HMAC_SHA1_80"},
	{0x0002, "SRTP_AES128_CM_HMAC_SHA1_32"},
	{0x0007, "SRTP_AEAD_AES_128_GCM"},
	{0x0008, "SRTP_AEAD_AES_256_GCM"},
}

// SRTPProfiles returns the SRTP protection profiles whose names [SRTPProfileName] knows.
// [DTLSConfig].SRTPProfiles may have others as well.
func SRTPProfiles() []uint16 {
	list := make([]uint16, len(srtpProfiles))
	for i, p := range srtpProfiles {
		list[i] = p.id
	}
	return list
}

// SRTPProfileName returns the registered name of an SRTP protection profile, such as
// "SRTP_AEAD_AES_128_GCM", or a number such as "0x1a2b" if it is unknown.
func SRTPProfileName(id uint16) string {
	for _, p := range srtpProfiles {
		if p.id == id {
			return p.name
		}
	}
	return fmt.Sprintf("%#04x", id)
}
