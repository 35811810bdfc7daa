package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/hermetic-tls/hermetic"
)

// TestStaple: what is printed of a server's OCSP response.
func TestStaple(t *testing.T) {
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageCertSign,
	}
	certificate := func(template *x509.Certificate, parent *x509.Certificate) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ca := certificate(template, template)
	leaf := certificate(&x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{"localhost"}, NotBefore: template.NotBefore, NotAfter: template.NotAfter}, ca)
	response := func(r ocsp.Response) []byte {
		r.SerialNumber = leaf.SerialNumber
		der, err := ocsp.CreateResponse(ca, ca, r, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	valid := ocsp.Response{Status: ocsp.Good, ThisUpdate: now.Add(-time.Hour), NextUpdate: now.Add(time.Hour)}
	revoked := valid
	revoked.Status, revoked.RevokedAt = ocsp.Revoked, now.Add(-2*time.Hour)
	for _, c := range []struct {
		name     string
		response []byte
		want     string
	}{
		{"none", nil, ""},
		{"good", response(valid), "OCSP staple   good, from 2026-11-01T11:00:00Z until 2026-11-01T13:00:00Z, by CN=authority\n"},
		{"revoked", response(revoked), "OCSP staple   revoked, from 2026-11-01T11:00:00Z until 2026-11-01T13:00:00Z, by CN=authority\n" +
			"              the certificate of \"localhost\" was revoked on 2026-11-01 (certificate_revoked)\n"},
		{"junk", []byte("\x1b[2J"), "OCSP staple   the OCSP response for \"localhost\" is not valid (bad_certificate_status_response): it does not parse\n"},
	} {
		for _, chains := range [][][]*x509.Certificate{nil, {{leaf, ca}}} {
			s := hermetic.ConnectionState{OCSPResponse: c.response, PeerCertificates: []*x509.Certificate{leaf, ca}, VerifiedChains: chains}
			var b bytes.Buffer
			staple(s, now).print(&b)
			if b.String() != c.want {
				t.Errorf("%s: %q, want %q", c.name, b.String(), c.want)
			}
		}
	}
	var b bytes.Buffer
	s := hermetic.ConnectionState{OCSPResponse: response(valid), PeerCertificates: []*x509.Certificate{leaf, ca}}
	if err := printJSON(&b, s, connectionIDs{}); err != nil || !strings.Contains(b.String(), `"ocsp": {`) || !strings.Contains(b.String(), `"responder": "CN=authority"`) {
		t.Errorf("%s, %v", b.Bytes(), err)
	}
}
