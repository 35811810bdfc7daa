package hermetic

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// TestRotated: a certificate that a callback or an answer has given is shown as it is
// at that moment, whatever of it was replaced in place.
func TestRotated(t *testing.T) {
	ca := pkitest.CA(t)
	first, second := ca.Leaf(t, pkitest.Options{NewKey: true}), ca.Leaf(t, pkitest.Options{NewKey: true})
	renewed := ca.Leaf(t, pkitest.Options{NewKey: true})
	stale := second
	stale.Leaf = first.Leaf
	for _, c := range []struct {
		name   string
		rotate func(held *tls.Certificate)
	}{
		{"all of it", func(held *tls.Certificate) { *held = second }},
		{"all but Leaf", func(held *tls.Certificate) { *held = stale }},
		{"its parts", func(held *tls.Certificate) {
			held.Certificate[0], held.PrivateKey, held.Leaf = renewed.Certificate[0], renewed.PrivateKey, nil
		}},
		{"the bytes of the key", func(held *tls.Certificate) {
			*held.PrivateKey.(*ecdsa.PrivateKey) = *second.PrivateKey.(*ecdsa.PrivateKey)
			held.Certificate[0], held.Leaf = second.Certificate[0], nil
		}},
	} {
		for _, version := range versions {
			for _, async := range []bool{false, true} {
				held := first
				held.Certificate = slices.Clone(first.Certificate)
				key := *first.PrivateKey.(*ecdsa.PrivateKey)
				held.PrivateKey = &key
				client := &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version}
				server := &Config{Time: atNow, ClientCAs: ca.Pool(), ClientAuth: tls.RequireAndVerifyClientCert}
				client.GetClientCertificate = func(*CertificateRequest) (*tls.Certificate, error) { return &held, nil }
				if async {
					server.Async = AsyncChoose
				} else {
					server.GetCertificate = func(*ClientHello) (*tls.Certificate, error) { return &held, nil }
				}
				for i := range 2 {
					p := newMeeting(t, false, client, server)
					clientErr, serverErr := p.pump()
					if r, ok := p.server.Pending().(*ChooseRequest); ok {
						if err := r.Answer(&held, nil); err != nil {
							t.Fatal(err)
						}
						clientErr, serverErr = p.pump()
					}
					if clientErr != nil || serverErr != nil {
						t.Fatalf("%s, %#x, async %v, connection %d: %v, %v", c.name, version, async, i, clientErr, serverErr)
					}
					for _, e := range []*Engine{p.client, p.server} {
						s := e.State()
						if !bytes.Equal(s.PeerCertificates[0].Raw, held.Certificate[0]) {
							t.Errorf("%s, %#x, async %v: %v sees what has been replaced", c.name, version, async, e.mode)
						}
						if !bytes.Equal(s.LocalCertificate.Certificate[0], held.Certificate[0]) {
							t.Errorf("%s: %v has another LocalCertificate", c.name, e.mode)
						}
					}
					c.rotate(&held)
				}
			}
		}
	}

}

// TestConstraintOfSessions: a constraint of the pool decides on a session too, on
// either side.
func TestConstraintOfSessions(t *testing.T) {
	for _, version := range versions {
		for _, mutual := range []bool{false, true} {
			client, server, _ := sessionConfigs(t, version)
			ca := pkitest.CA(t)
			leaf := ca.Leaf(t, pkitest.Options{})
			client.RootCAs, client.Certificates, server.Certificates = ca.Pool(), []tls.Certificate{leaf}, []tls.Certificate{leaf}
			server.ClientCAs, server.ClientAuth = ca.Pool(), tls.RequireAndVerifyClientCert
			revoked := false
			pool := x509.NewCertPool()
			pool.AddCertWithConstraint(ca.Certificate, func([]*x509.Certificate) error {
				if revoked {
					return errors.New("revoked")
				}
				return nil
			})
			if mutual {
				server.ClientCAs = pool
			} else {
				client.RootCAs = pool
			}
			newMeeting(t, false, client, server).finish()
			m := newMeeting(t, false, client, server)
			if m.finish(); !m.server.State().DidResume {
				t.Fatalf("%#x: not resumed", version)
			}
			revoked = true
			p := newMeeting(t, false, client, server)
			if clientErr, serverErr := p.pump(); clientErr == nil && serverErr == nil {
				t.Errorf("%#x, mutual %v: a session of a peer that the constraint refuses now is resumed", version, mutual)
			}
		}
	}
}

// TestRootsOfSessions: a pool whose contents were replaced decides on a session too.
func TestRootsOfSessions(t *testing.T) {
	for _, version := range versions {
		for name, test := range map[string]struct {
			change  func(pool *x509.CertPool, ca *pkitest.Authority)
			resumed bool
		}{
			"the same":      {func(*x509.CertPool, *pkitest.Authority) {}, true},
			"one more root": {func(pool *x509.CertPool, _ *pkitest.Authority) { pool.AddCert(pkitest.CA(t).Certificate) }, true},
			"others":        {func(pool *x509.CertPool, _ *pkitest.Authority) { *pool = *pkitest.CA(t).Pool() }, false},
			"none":          {func(pool *x509.CertPool, _ *pkitest.Authority) { *pool = *x509.NewCertPool() }, false},
			"a constraint": {func(pool *x509.CertPool, ca *pkitest.Authority) {
				*pool = *x509.NewCertPool()
				pool.AddCertWithConstraint(ca.Certificate, func([]*x509.Certificate) error { return errors.New("revoked") })
			}, false},
		} {
			client, server, _ := sessionConfigs(t, version)
			ca := pkitest.CA(t)
			client.RootCAs, server.Certificates = ca.Pool(), []tls.Certificate{ca.Leaf(t, pkitest.Options{})}
			newMeeting(t, false, client, server).finish()
			test.change(client.RootCAs, ca)
			m := newMeeting(t, false, client, server)
			clientErr, serverErr := m.pump()
			if resumed := clientErr == nil && serverErr == nil && m.client.State().DidResume; resumed != test.resumed {
				t.Errorf("%#x, %s: resumed %v: %v, %v", version, name, resumed, clientErr, serverErr)
			}
		}
	}
}

// TestNothingIsJudged: where nothing is to be verified, a certificate may be as bad
// as it likes, and where something is, it may not.
func TestNothingIsJudged(t *testing.T) {
	ca, stranger := pkitest.CA(t), pkitest.CA(t)
	good := ca.Leaf(t, pkitest.Options{})
	loaded, err := LoadConfig(TLSServer, "", "")
	if err != nil {
		t.Fatal(err)
	}
	for name, leaf := range map[string]tls.Certificate{
		"key usage":          ca.Leaf(t, pkitest.Options{KeyUsage: x509.KeyUsageCertSign}),
		"extended key usage": ca.Leaf(t, pkitest.Options{Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}),
		"expired":            ca.Leaf(t, pkitest.Options{Expired: true}),
		"stranger":           stranger.Leaf(t, pkitest.Options{}),
	} {
		for _, version := range versions {
			for mode, ok := range map[tls.ClientAuthType]bool{
				tls.RequestClientCert: true, tls.RequireAnyClientCert: true, tls.VerifyClientCertIfGiven: false, tls.RequireAndVerifyClientCert: false,
			} {
				client := &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version}
				client.GetClientCertificate = func(*CertificateRequest) (*tls.Certificate, error) { return &leaf, nil }
				server := &Config{Time: atNow, ClientCAs: ca.Pool(), ClientAuth: mode, Certificates: []tls.Certificate{good}}
				if clientErr, serverErr := newMeeting(t, false, client, server).pump(); (clientErr == nil && serverErr == nil) != ok {
					t.Errorf("%s, %#x, a server with %v: %v, %v", name, version, mode, clientErr, serverErr)
				}
			}
			for insecure, ok := range map[bool]bool{true: true, false: false} {
				client := &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version, InsecureSkipVerify: insecure}
				server := loaded.Clone()
				server.Time, server.Certificates = atNow, []tls.Certificate{leaf}
				if clientErr, serverErr := newMeeting(t, false, client, server).pump(); (clientErr == nil && serverErr == nil) != ok {
					t.Errorf("%s, %#x, a client with InsecureSkipVerify %v: %v, %v", name, version, insecure, clientErr, serverErr)
				}
			}
		}
	}
}

// TestPeersNamesInErrors: what the peer has written into its certificate does not
// become lines of our log, commands of our terminal, or kilobytes.
func TestPeersNamesInErrors(t *testing.T) {
	ca := pkitest.CA(t)
	good := ca.Leaf(t, pkitest.Options{})
	key := pkitest.Key(t, pkitest.P256, true)
	bad := "x\r\n2026-11-29 root logged in\x1b[2J\u202e"
	many := make([]string, 200)
	for i := range many {
		many[i] = strings.Repeat("a", 200)
	}
	attributes := pkix.Name{}
	for range 2000 {
		attributes.OrganizationalUnit = append(attributes.OrganizationalUnit, bad)
	}
	for name, template := range map[string]x509.Certificate{
		"names":             {DNSNames: []string{"a\x00b", "c\nd"}},
		"many names":        {DNSNames: many},
		"subject":           {Subject: pkix.Name{CommonName: bad, SerialNumber: bad}},
		"a long subject":    {Subject: pkix.Name{CommonName: strings.Repeat("a", 50000)}},
		"a subject of many": {Subject: attributes},
		"issuer":            {Issuer: pkix.Name{CommonName: bad, Organization: []string{bad}}},
		"an expired one":    {Subject: pkix.Name{CommonName: bad}, NotAfter: pkitest.Now.AddDate(0, 0, -1)},
		"mail":              {EmailAddresses: []string{"a\x1b@b"}},
	} {
		template.SerialNumber, template.KeyUsage, template.NotBefore = big.NewInt(1), x509.KeyUsageDigitalSignature, pkitest.Now.AddDate(-1, 0, 0)
		if template.NotAfter.IsZero() {
			template.NotAfter = pkitest.Now.AddDate(1, 0, 0)
		}
		der, err := x509.CreateCertificate(rand.Reader, &template, &x509.Certificate{Subject: template.Issuer}, key.Public(), key)
		if err != nil {
			t.Fatal(name, ": ", err)
		}
		leaf := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
		for _, role := range []Mode{TLSClient, TLSServer} {
			client := &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost"}
			server := &Config{Time: atNow, ClientCAs: ca.Pool(), Certificates: []tls.Certificate{good}}
			if role == TLSServer {
				server.ClientAuth = tls.VerifyClientCertIfGiven
				client.GetClientCertificate = func(*CertificateRequest) (*tls.Certificate, error) { return &leaf, nil }
			} else {
				server.GetCertificate = func(*ClientHello) (*tls.Certificate, error) { return &leaf, nil }
			}
			err, serverErr := newMeeting(t, false, client, server).pump()
			if role == TLSServer {
				err = serverErr
			}
			if err == nil {
				t.Fatalf("%s: the %v accepts it", name, role)
			}
			if i := strings.IndexFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 || len(err.Error()) > 1000 {
				t.Errorf("%s: the %v's error has %d bytes, and at %d what does not print", name, role, len(err.Error()), i)
			}
		}
	}
}
