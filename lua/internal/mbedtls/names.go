package mbedtls

import (
	"crypto/tls"
	"fmt"
	"strings"
)

// suites are the cipher suites by the registry's names.
var suites = map[string]uint16{
	"TLS_AES_128_GCM_SHA256":       tls.TLS_AES_128_GCM_SHA256,
	"TLS_AES_256_GCM_SHA384":       tls.TLS_AES_256_GCM_SHA384,
	"TLS_CHACHA20_POLY1305_SHA256": tls.TLS_CHACHA20_POLY1305_SHA256,
	"TLS_AES_128_CCM_SHA256":       0x1304,
	"TLS_AES_128_CCM_8_SHA256":     0x1305,

	"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256":       tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
	"TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384":       tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
	"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256":         tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	"TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384":         tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	"TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
	"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256":   tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
	"TLS_ECDHE_ECDSA_WITH_AES_128_CCM":              0xc0ac,
	"TLS_ECDHE_ECDSA_WITH_AES_256_CCM":              0xc0ad,
	"TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8":            0xc0ae,
	"TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8":            0xc0af,

	"TLS_PSK_WITH_AES_128_GCM_SHA256":             0x00a8,
	"TLS_PSK_WITH_AES_256_GCM_SHA384":             0x00a9,
	"TLS_PSK_WITH_AES_128_CCM":                    0xc0a4,
	"TLS_PSK_WITH_AES_256_CCM":                    0xc0a5,
	"TLS_PSK_WITH_AES_128_CCM_8":                  0xc0a8,
	"TLS_PSK_WITH_AES_256_CCM_8":                  0xc0a9,
	"TLS_PSK_WITH_CHACHA20_POLY1305_SHA256":       0xccab,
	"TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256": 0xccac,
	"TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256":       0xd001,
	"TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384":       0xd002,
	"TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256":     0xd003,
	"TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256":       0xd005,
}

// groups are the groups by their names; the first of a number is the one shown.
var groups = []struct {
	name string
	id   tls.CurveID
}{
	{"X25519MLKEM768", tls.X25519MLKEM768},
	{"SecP256r1MLKEM768", tls.SecP256r1MLKEM768},
	{"SecP384r1MLKEM1024", tls.SecP384r1MLKEM1024},
	{"X25519", tls.X25519},
	{"P-256", tls.CurveP256},
	{"P-384", tls.CurveP384},
	{"P-521", tls.CurveP521},
	{"secp256r1", tls.CurveP256},
	{"secp384r1", tls.CurveP384},
	{"secp521r1", tls.CurveP521},
}

func suiteName(id uint16) string {
	for name, known := range suites {
		if known == id {
			return name
		}
	}
	return fmt.Sprintf("0x%04X", id)
}

func groupName(id tls.CurveID) string {
	for _, g := range groups {
		if g.id == id {
			return g.name
		}
	}
	return id.String()
}

func groupID(name string) (tls.CurveID, bool) {
	for _, g := range groups {
		if strings.EqualFold(g.name, name) {
			return g.id, true
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
