package mbedtls

import (
	"crypto/tls"
	"strings"

	"github.com/hermetic-tls/hermetic"
)

// aliases are the registry's names of groups, which newconfig accepts too.
var aliases = map[string]tls.CurveID{"secp256r1": tls.CurveP256, "secp384r1": tls.CurveP384, "secp521r1": tls.CurveP521}

func groupID(name string) (tls.CurveID, bool) {
	for _, id := range hermetic.Groups() {
		if strings.EqualFold(hermetic.GroupName(id), name) {
			return id, true
		}
	}
	id, ok := aliases[strings.ToLower(name)]
	return id, ok
}

// groupNames are all groups, for an error.
func groupNames() string {
	var all []string
	for _, id := range hermetic.Groups() {
		all = append(all, hermetic.GroupName(id))
	}
	return alternatives(all)
}

func groupsOf(o *Options) *[]tls.CurveID { return &o.crypto.groups }
func sharesOf(o *Options) *[]tls.CurveID { return &o.crypto.shares }
func suitesOf(o *Options) *[]uint16      { return &o.crypto.suites }

func schemesOf(o *Options) *[]tls.SignatureScheme { return &o.crypto.schemes }

func suiteID(name string) (uint16, bool) {
	for _, s := range hermetic.CipherSuites() {
		if s.Name == name {
			return s.ID, true
		}
	}
	return 0, false
}

func versionID(name string) (uint16, bool) {
	switch strings.TrimPrefix(strings.TrimPrefix(strings.ToUpper(name), "D"), "TLS ") {
	case "1.2":
		return tls.VersionTLS12, true
	case "1.3":
		return tls.VersionTLS13, true
	}
	return 0, false
}

// schemes are the signature schemes that a configuration may have, by crypto/tls's names.
var schemes = []tls.SignatureScheme{
	tls.ECDSAWithP256AndSHA256, tls.ECDSAWithP384AndSHA384, tls.ECDSAWithP521AndSHA512, tls.Ed25519,
	tls.PSSWithSHA256, tls.PSSWithSHA384, tls.PSSWithSHA512,
	tls.PKCS1WithSHA256, tls.PKCS1WithSHA384, tls.PKCS1WithSHA512,
}

func schemeID(name string) (tls.SignatureScheme, bool) {
	for _, s := range schemes {
		if strings.EqualFold(s.String(), name) {
			return s, true
		}
	}
	return 0, false
}

// schemeNames are all schemes, for an error.
func schemeNames() string {
	var all []string
	for _, s := range schemes {
		all = append(all, s.String())
	}
	return alternatives(all)
}

func srtpID(name string) (uint16, bool) {
	for _, id := range hermetic.SRTPProfiles() {
		if hermetic.SRTPProfileName(id) == name {
			return id, true
		}
	}
	return 0, false
}

// srtpName returns the name of a profile, or "" if none was agreed on.
func srtpName(id uint16) string {
	if id == 0 {
		return ""
	}
	return hermetic.SRTPProfileName(id)
}

// srtpNames are all profiles, for an error.
func srtpNames() string {
	var all []string
	for _, id := range hermetic.SRTPProfiles() {
		all = append(all, hermetic.SRTPProfileName(id))
	}
	return alternatives(all)
}
