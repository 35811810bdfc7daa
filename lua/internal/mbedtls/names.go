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
