package main

import (
	"crypto/tls"
	"fmt"
	"strconv"
	"strings"
)

// suites are the cipher suites by name, with those that crypto/tls lacks.
var suites = map[string]uint16{
	"TLS_AES_128_CCM_SHA256": 0x1304, "TLS_AES_128_CCM_8_SHA256": 0x1305,
	"TLS_ECDHE_ECDSA_WITH_AES_128_CCM": 0xc0ac, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM": 0xc0ad,
	"TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8": 0xc0ae, "TLS_ECDHE_ECDSA_WITH_AES_256_CCM_8": 0xc0af,
	"TLS_PSK_WITH_AES_128_GCM_SHA256": 0x00a8, "TLS_PSK_WITH_AES_256_GCM_SHA384": 0x00a9,
	"TLS_PSK_WITH_AES_128_CCM": 0xc0a4, "TLS_PSK_WITH_AES_256_CCM": 0xc0a5,
	"TLS_PSK_WITH_AES_128_CCM_8": 0xc0a8, "TLS_PSK_WITH_AES_256_CCM_8": 0xc0a9,
	"TLS_PSK_WITH_CHACHA20_POLY1305_SHA256": 0xccab, "TLS_ECDHE_PSK_WITH_CHACHA20_POLY1305_SHA256": 0xccac,
	"TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256": 0xd001, "TLS_ECDHE_PSK_WITH_AES_256_GCM_SHA384": 0xd002,
	"TLS_ECDHE_PSK_WITH_AES_128_CCM_8_SHA256": 0xd003, "TLS_ECDHE_PSK_WITH_AES_128_CCM_SHA256": 0xd005,
}

var groups = map[string]tls.CurveID{}

func init() {
	for _, s := range tls.CipherSuites() {
		suites[s.Name] = s.ID
	}
	for _, g := range []tls.CurveID{tls.X25519MLKEM768, tls.SecP256r1MLKEM768, tls.SecP384r1MLKEM1024, tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521} {
		groups[strings.ToLower(groupName(g))] = g
	}
}

func suiteName(id uint16) string {
	for name, n := range suites {
		if n == id {
			return name
		}
	}
	return fmt.Sprintf("%#04x", id)
}

func groupName(g tls.CurveID) string {
	switch g {
	case 0:
		return "none"
	case tls.CurveP256, tls.CurveP384, tls.CurveP521:
		return strings.Replace(g.String(), "CurveP", "P-", 1)
	}
	return g.String()
}

// parseSuites reads a list of names, separated by commas or colons.
func parseSuites(list string) (ids []uint16, err error) {
	for _, name := range split(list) {
		id, ok := suites[strings.ToUpper(name)]
		if !ok {
			n, err := strconv.ParseUint(name, 0, 16)
			if err != nil {
				return nil, fmt.Errorf("--ciphers: %s is no cipher suite; for example: TLS_AES_128_GCM_SHA256", name)
			}
			id = uint16(n)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

func parseGroups(list string) (ids []tls.CurveID, err error) {
	for _, name := range split(list) {
		g, ok := groups[strings.ToLower(name)]
		if !ok {
			return nil, fmt.Errorf("--groups: %s is no group; there are X25519MLKEM768, SecP256r1MLKEM768, SecP384r1MLKEM1024, X25519, P-256, P-384, P-521", name)
		}
		ids = append(ids, g)
	}
	return ids, nil
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ':' || r == ' ' })
}
