package main

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"
	"unicode"

	"github.com/hermetic-tls/hermetic"
)

// TestPrintState: a peer can write neither lines nor control sequences to our terminal.
func TestPrintState(t *testing.T) {
	bad := "x\r\nVersion TLS 9\x1b[2J\u202e"
	s := hermetic.ConnectionState{
		NegotiatedProtocol: bad,
		PSKIdentity:        []byte(bad),
		PeerCertificates: []*x509.Certificate{
			{DNSNames: []string{"example.com", bad}},
			{Subject: pkix.Name{CommonName: `"quoted"` + bad}, Issuer: pkix.Name{CommonName: bad + strings.Repeat("a", 50000)}},
		},
	}
	var b bytes.Buffer
	printState(&b, s)
	for _, text := range []string{b.String(), summary(s)} {
		if i := strings.IndexFunc(text, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%q is printed", text[i:min(i+20, len(text))])
		}
		if strings.Contains(text, "\nVersion TLS 9") {
			t.Error("the peer's line is printed")
		}
		if len(text) > 5000 {
			t.Errorf("%d bytes are printed", len(text))
		}
	}
}
