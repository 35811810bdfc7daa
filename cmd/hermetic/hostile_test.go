package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/trace"
	"github.com/hermetic-tls/hermetic/trace/page"
)

// hostileCertificate is a certificate with that text wherever a certificate has text.
func hostileCertificate(t *testing.T, text string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	name := pkix.Name{CommonName: text, Organization: []string{text}, OrganizationalUnit: []string{text}}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: name, Issuer: name, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{strings.Map(func(r rune) rune {
			if r > 126 {
				return '.' // an IA5String
			}
			return r
		}, text)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// TestHostileCertificate: a server's certificate is text on the terminal, in JSON and on the page,
// whether the handshake fails because of it or succeeds.
func TestHostileCertificate(t *testing.T) {
	for name, text := range map[string]string{
		"markup":    `</script><img src=x onerror=alert(1)><svg onload=alert(2)>"'&`,
		"terminal":  "\x1b]0;owned\x07\x1b[2J\x1b[31mred\u009b31m\r\n\x00",
		"direction": "\u202egpj.exe\u2066\u2069\u200f\u200b",
		"length":    strings.Repeat("a very long name ", 150),
	} {
		for _, accepted := range []bool{true, false} {
			var out, packed bytes.Buffer
			s, err := newSinks(&traceOptions{color: "never"}, "hermetic trace client "+text, &out)
			if err != nil {
				t.Fatal(err)
			}
			saved := trace.NewWriter(&packed, nil)
			c, err := hermetic.NewEngine(hermetic.TLSClient, &hermetic.Config{
				ServerName: "localhost", InsecureSkipVerify: accepted, RootCAs: x509.NewCertPool(),
				Trace: func(e trace.Event) {
					s.write(e)
					saved.Write(e)
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			server, err := hermetic.NewEngine(hermetic.TLSServer, &hermetic.Config{Certificates: []tls.Certificate{hostileCertificate(t, text)}})
			if err != nil {
				t.Fatal(err)
			}
			server.Open(c.Output(nil))
			for in := server.Output(nil); len(in) > 0; {
				o, err := c.Open(in)
				if err != nil || o.N == 0 {
					break
				}
				in = in[o.N:]
			}
			if err := s.finish(); err != nil {
				t.Fatal(err)
			}
			for where, got := range map[string]string{"the terminal": out.String(), "JSON": packed.String()} {
				for _, r := range got {
					if r != '\n' && !unicode.IsPrint(r) {
						t.Fatalf("%s: %s has %q", name, where, r)
					}
				}
			}
			if strings.Contains(packed.String(), "<") {
				t.Errorf("%s: JSON has markup", name)
			}
			if !strings.Contains(out.String(), "Certificate") || strings.Contains(out.String(), "Failed") == accepted {
				t.Errorf("%s: the drawing is\n%s", name, out.String())
			}
			var drawn bytes.Buffer
			if err := page.Write(&drawn, s.all(), &page.Options{Title: s.title}); err != nil {
				t.Fatal(err)
			}
			p := drawn.String()
			if strings.Contains(p, "<img") || strings.Contains(p, "<svg onload") || strings.Count(p, "<script") != 1 || strings.Count(p, "</script") != 1 {
				t.Errorf("%s: the page has markup of the certificate", name)
			}
			for _, r := range p {
				if r != '\n' && !unicode.IsPrint(r) {
					t.Fatalf("%s: the page has %q", name, r)
				}
			}
			if len(p) > 1<<20 || out.Len() > 1<<16 {
				t.Errorf("%s: %d bytes on the page, %d on the terminal", name, len(p), out.Len())
			}
		}
	}
}
