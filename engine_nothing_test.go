package hermetic

import (
	"crypto/tls"
	"errors"
	"fmt"
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
			"no protocol version in common: we support 1.3; the client offers 1.2 (protocol_version)"},
		{"the client is too new", func(c, s *Config) { c.MinVersion, s.MaxVersion = tls.VersionTLS13, tls.VersionTLS12 },
			"no protocol version in common: we support 1.2; the client offers 1.3 (protocol_version)"},
		{"no group", func(c, s *Config) {
			c.CurvePreferences, s.CurvePreferences = []tls.CurveID{tls.X25519}, []tls.CurveID{tls.CurveP256, tls.CurveP384}
		}, "no group in common: we support P-256, P-384; the client offers X25519 (handshake_failure)"},
		{"no group in TLS 1.2", func(c, s *Config) {
			c.MaxVersion = tls.VersionTLS12
			c.CurvePreferences, s.CurvePreferences = []tls.CurveID{tls.X25519}, []tls.CurveID{tls.X25519MLKEM768, tls.CurveP256}
		}, "no cipher suite in common, for lack of a group: we support P-256; the client offers X25519 (handshake_failure)"},
		{"only groups of TLS 1.3", func(c, s *Config) {
			c.MaxVersion, s.CurvePreferences = tls.VersionTLS12, []tls.CurveID{tls.X25519MLKEM768}
		}, "no cipher suite in common, for lack of a group: we support none; the client offers X25519, P-256, P-384, P-521 (handshake_failure)"},
		{"no suite", func(c, s *Config) {
			c.CipherSuites, s.CipherSuites = []uint16{tls.TLS_AES_128_GCM_SHA256}, []uint16{tls.TLS_AES_256_GCM_SHA384}
		}, "no cipher suite in common: we support TLS_AES_256_GCM_SHA384; the client offers TLS_AES_128_GCM_SHA256 (handshake_failure)"},
		{"no suite in TLS 1.2", func(c, s *Config) {
			c.MaxVersion = tls.VersionTLS12
			s.CipherSuites = []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}
			c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
		}, "no cipher suite in common: we support TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256; the client offers " +
			"TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 (handshake_failure)"},
		{"a server of PSKs in TLS 1.2", func(c, s *Config) {
			c.MaxVersion = tls.VersionTLS12
			c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}
			s.PSKs = []PSK{{Identity: []byte("i"), Key: make([]byte, 32)}}
			s.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, 0xd001}
		}, "no cipher suite in common, as we have pre-shared keys and no certificate: we support " +
			"TLS_ECDHE_PSK_WITH_AES_128_GCM_SHA256; the client offers TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 (handshake_failure)"},
		{"no protocol", func(c, s *Config) {
			c.NextProtos, s.NextProtos = []string{"h3", "\x00\n\""}, []string{"h2", "http/1.1"}
		}, `no ALPN protocol in common: we support "h2", "http/1.1"; the client offers "h3", "\x00\n\"" (no_application_protocol)`},
		{"a long name of a protocol", func(c, s *Config) {
			c.NextProtos, s.NextProtos = []string{strings.Repeat("x", 255)}, []string{"h2"}
		}, `no ALPN protocol in common: we support "h2"; the client offers "` + strings.Repeat("x", 32) + `"… (no_application_protocol)`},
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

// TestNothingInCommonIsShort: what a peer lists does not make the error long.
func TestNothingInCommonIsShort(t *testing.T) {
	many := make([]string, 0, 1000)
	for i := range cap(many) {
		many = append(many, fmt.Sprintf("\x01\x02%d", i))
	}
	client, err := NewEngine(TLSClient, &Config{InsecureSkipVerify: true, NextProtos: many})
	if err != nil {
		t.Fatal(err)
	}
	server, err := NewEngine(TLSServer, &Config{NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	var refused *AlertError
	hello := client.Output(nil)
	for len(hello) > 0 && err == nil {
		var o Opened
		o, err = server.Open(hello)
		hello = hello[o.N:]
	}
	if !errors.As(err, &refused) || len(refused.Cause) > 500 || !strings.HasSuffix(refused.Cause, `", …`) {
		t.Errorf("%v", err)
	}
}
