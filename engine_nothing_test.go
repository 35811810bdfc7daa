package hermetic

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
)

// TestNothingInCommonSays: the server's error names what is lacking, and what we support.
func TestNothingInCommonSays(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(client, server *Config)
		want   string
	}{
		{"the client is too old", func(c, s *Config) { c.MaxVersion, s.MinVersion = tls.VersionTLS12, tls.VersionTLS13 },
			"no protocol version in common: we support 1.3 (protocol_version)"},
		{"the client is too new", func(c, s *Config) { c.MinVersion, s.MaxVersion = tls.VersionTLS13, tls.VersionTLS12 },
			"no protocol version in common: we support 1.2 (protocol_version)"},
		{"no group", func(c, s *Config) {
			c.CurvePreferences, s.CurvePreferences = []tls.CurveID{tls.X25519}, []tls.CurveID{tls.CurveP256, tls.CurveP384}
		}, "no group in common: we support P-256, P-384 (handshake_failure)"},
		{"no group in TLS 1.2", func(c, s *Config) {
			c.MaxVersion = tls.VersionTLS12
			c.CurvePreferences, s.CurvePreferences = []tls.CurveID{tls.X25519}, []tls.CurveID{tls.X25519MLKEM768, tls.CurveP256}
		}, "no cipher suite in common, for lack of a group: we support P-256 (handshake_failure)"},
		{"only groups of TLS 1.3", func(c, s *Config) {
			c.MaxVersion, s.CurvePreferences = tls.VersionTLS12, []tls.CurveID{tls.X25519MLKEM768}
		}, "no cipher suite in common, for lack of a group: we support none in this version (handshake_failure)"},
		{"no suite", func(c, s *Config) {
			c.CipherSuites, s.CipherSuites = []uint16{tls.TLS_AES_128_GCM_SHA256}, []uint16{tls.TLS_AES_256_GCM_SHA384}
		}, "no cipher suite in common (handshake_failure)"},
		{"no suite in TLS 1.2", func(c, s *Config) {
			c.MaxVersion = tls.VersionTLS12
			s.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
			c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
		}, "no cipher suite in common (handshake_failure)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, s := &Config{Time: atNow, InsecureSkipVerify: true}, &Config{Time: atNow}
			test.change(c, s)
			client, err := NewEngine(TLSClient, c)
			if err != nil {
				t.Fatal(err)
			}
			server, err := NewEngine(TLSServer, s)
			if err != nil {
				t.Fatal(err)
			}
			_, err = server.Open(client.Output(nil))
			var refused *AlertError
			if !errors.As(err, &refused) || strings.TrimPrefix(err.Error(), "hermetic: ") != test.want {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}
