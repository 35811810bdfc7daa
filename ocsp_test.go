package hermetic

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// validOCSP is a good response at pkitest.Now.
func validOCSP() ocsp.Response {
	return ocsp.Response{Status: ocsp.Good, ThisUpdate: pkitest.Now.Add(-time.Hour), NextUpdate: pkitest.Now.Add(time.Hour)}
}

// badOCSP are responses that prove nothing, and the alerts that they get.
func badOCSP(t testing.TB, ca *pkitest.Authority, leaf *x509.Certificate) []struct {
	name     string
	response []byte
	alert    Alert
	want     string
} {
	with := func(change func(*ocsp.Response)) ocsp.Response {
		r := validOCSP()
		change(&r)
		return r
	}
	other := pkitest.CA(t)
	responder := func(o pkitest.Options, of *pkitest.Authority) *tls.Certificate {
		o.NewKey, o.Name = true, "responder"
		c := of.Leaf(t, o)
		return &c
	}
	signing := []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}
	good := ca.OCSP(t, leaf, validOCSP(), nil)
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	const invalid = AlertBadCertificateStatusResponse
	return []struct {
		name     string
		response []byte
		alert    Alert
		want     string
	}{
		{"revoked", ca.OCSP(t, leaf, with(func(r *ocsp.Response) {
			r.Status, r.RevokedAt, r.RevocationReason = ocsp.Revoked, pkitest.Now.AddDate(0, 0, -3), ocsp.KeyCompromise
		}), nil), AlertCertificateRevoked, `the certificate of "localhost" was revoked on 2026-10-29`},
		{"revoked, and expired since", ca.OCSP(t, leaf, with(func(r *ocsp.Response) {
			r.Status, r.RevokedAt, r.NextUpdate = ocsp.Revoked, pkitest.Now.AddDate(0, 0, -3), pkitest.Now.Add(-time.Minute)
		}), nil), AlertCertificateRevoked, "was revoked on 2026-10-29"},
		{"unknown", ca.OCSP(t, leaf, with(func(r *ocsp.Response) { r.Status = ocsp.Unknown }), nil), invalid, "its responder does not know the certificate"},
		{"expired", ca.OCSP(t, leaf, with(func(r *ocsp.Response) { r.NextUpdate = pkitest.Now.Add(-time.Second) }), nil), invalid, "it expired on 2026-11-01T11:59:59Z"},
		{"of the future", ca.OCSP(t, leaf, with(func(r *ocsp.Response) { r.ThisUpdate = pkitest.Now.Add(6 * time.Minute) }), nil), invalid, "it is not valid before 2026-11-01T12:06:00Z"},
		{"without an end", ca.OCSP(t, leaf, with(func(r *ocsp.Response) { r.NextUpdate = time.Time{} }), nil), invalid, "it does not say when it expires"},
		{"of another number", ca.OCSP(t, leaf, with(func(r *ocsp.Response) { r.SerialNumber = big.NewInt(7) }), nil), invalid, "it is for another certificate"},
		{"of another authority for the same number", other.OCSP(t, leaf, validOCSP(), nil), invalid, "it is for a certificate of another issuer"},
		{"signed by a certificate of the authority", ca.OCSP(t, leaf, validOCSP(), responder(pkitest.Options{}, ca)), invalid, "neither the issuer nor has a certificate for it"},
		{"signed by a responder of another authority", ca.OCSP(t, leaf, validOCSP(), responder(pkitest.Options{Usage: signing}, other)), invalid, "for \"localhost\" is not valid"},
		{"signed by an expired responder", ca.OCSP(t, leaf, validOCSP(), responder(pkitest.Options{Usage: signing, Expired: true}, ca)), invalid, "its responder's certificate is not valid now"},
		{"signed by a responder of the future", ca.OCSP(t, leaf, validOCSP(), responder(pkitest.Options{Usage: signing, Future: true}, ca)), invalid, "its responder's certificate is not valid now"},
		{"signed by a key that may not sign", ca.OCSP(t, leaf, validOCSP(), responder(pkitest.Options{Usage: signing, KeyUsage: x509.KeyUsageKeyAgreement}, ca)), invalid, "(its key usage)"},
		{"changed", flipped, invalid, "is not valid"},
		{"with bytes after it", append(bytes.Clone(good), 0), invalid, "it does not parse"},
		{"cut off", good[:len(good)-1], invalid, "it does not parse"},
		{"not DER", []byte("good"), invalid, "it does not parse"},
		{"too large", append(bytes.Clone(good), make([]byte, 16<<10)...), invalid, "more than 16384"},
		{"an error of the responder", ocsp.TryLaterErrorResponse, invalid, "it is an error of the responder: try later"},
	}
}

// TestVerifyOCSP: what a response proves.
func TestVerifyOCSP(t *testing.T) {
	ca := pkitest.CA(t)
	cert := ca.Leaf(t, pkitest.Options{})
	leaf := cert.Leaf
	delegate := ca.Leaf(t, pkitest.Options{Name: "responder", NewKey: true, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}})
	embedded := tls.Certificate{Leaf: ca.Certificate, PrivateKey: ca.Key()}
	for name, test := range map[string]struct {
		response  []byte
		responder *x509.Certificate
	}{
		"by the issuer":               {ca.OCSP(t, leaf, validOCSP(), nil), ca.Certificate},
		"by the issuer, with itself":  {ca.OCSP(t, leaf, validOCSP(), &embedded), ca.Certificate},
		"by a responder of its":       {ca.OCSP(t, leaf, validOCSP(), &delegate), delegate.Leaf},
		"four minutes of the future":  {ca.OCSP(t, leaf, ocsp.Response{ThisUpdate: pkitest.Now.Add(4 * time.Minute), NextUpdate: pkitest.Now.Add(time.Hour)}, nil), ca.Certificate},
		"until this very moment":      {ca.OCSP(t, leaf, ocsp.Response{ThisUpdate: pkitest.Now.Add(-time.Hour), NextUpdate: pkitest.Now}, nil), ca.Certificate},
		"the names hashed by SHA-256": {ca.OCSP(t, leaf, ocsp.Response{ThisUpdate: pkitest.Now, NextUpdate: pkitest.Now.Add(time.Hour), IssuerHash: 5}, nil), ca.Certificate},
	} {
		s, err := VerifyOCSP(test.response, leaf, ca.Certificate, pkitest.Now)
		if err != nil || s.Status != "good" || !s.Responder.Equal(test.responder) || s.NextUpdate.Before(pkitest.Now) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
	}
	for _, c := range badOCSP(t, ca, leaf) {
		s, err := VerifyOCSP(c.response, leaf, ca.Certificate, pkitest.Now)
		var fault *AlertError
		if !errors.As(err, &fault) || fault.Alert != c.alert || fault.Received || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q (%v)", c.name, err, c.want, c.alert)
		}
		if revoked := c.alert == AlertCertificateRevoked; revoked && (s == nil || s.Status != "revoked" || s.RevokedAt.IsZero()) {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
}

// TestOCSPCheck: what a client demands of the staples of a server, in all protocols.
func TestOCSPCheck(t *testing.T) {
	ca := pkitest.CA(t)
	plain, must := ca.Leaf(t, pkitest.Options{}), ca.Leaf(t, pkitest.Options{Features: []int{17, 5}})
	others := ca.Leaf(t, pkitest.Options{Features: []int{17}})
	below := ca.Intermediate(t, 5)
	ofMust := below.Leaf(t, pkitest.Options{})
	ofMust.Certificate = append(ofMust.Certificate, below.Certificate.Raw)
	stapled := func(c tls.Certificate, response []byte) tls.Certificate { c.OCSPStaple = response; return c }
	good := ca.OCSP(t, plain.Leaf, validOCSP(), nil)
	type test struct {
		name  string
		check OCSPCheck
		cert  tls.Certificate
		alert Alert // 0: none
		want  string
	}
	tests := []test{
		{"nothing is demanded", OCSPCheckNone, stapled(plain, []byte("junk")), 0, ""},
		{"a good staple", OCSPCheckStapled, stapled(plain, good), 0, ""},
		{"no staple", OCSPCheckStapled, plain, 0, ""},
		{"no staple, and the certificate asks for one", OCSPCheckStapled, must, 0, ""},
		{"no staple, and nobody asks for one", OCSPCheckMustStaple, plain, 0, ""},
		{"no staple, and the certificate asks for something else", OCSPCheckMustStaple, others, 0, ""},
		{"must-staple without one", OCSPCheckMustStaple, must, AlertBadCertificateStatusResponse, "demands an OCSP response (RFC 7633)"},
		{"must-staple of the authority without one", OCSPCheckMustStaple, ofMust, AlertBadCertificateStatusResponse, "demands an OCSP response (RFC 7633)"},
		{"must-staple of the authority with one", OCSPCheckMustStaple, stapled(ofMust, below.OCSP(t, ofMust.Leaf, validOCSP(), nil)), 0, ""},
		{"must-staple with one", OCSPCheckMustStaple, stapled(must, ca.OCSP(t, must.Leaf, validOCSP(), nil)), 0, ""},
		{"must-staple with one of another certificate", OCSPCheckMustStaple, stapled(must, good), AlertBadCertificateStatusResponse, "it is for another certificate"},
		{"required, and there is none", OCSPCheckRequire, plain, AlertBadCertificateStatusResponse, "has stapled no OCSP response"},
		{"required, and there is one", OCSPCheckRequire, stapled(plain, good), 0, ""},
	}
	for _, bad := range badOCSP(t, ca, plain.Leaf) {
		tests = append(tests, test{bad.name, OCSPCheckStapled, stapled(plain, bad.response), bad.alert, bad.want})
	}
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		for _, c := range tests {
			client := &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version, OCSPCheck: c.check}
			server := &Config{Time: atNow, Certificates: []tls.Certificate{c.cert}}
			m := newMeeting(t, datagram, client, server)
			if datagram && len(c.cert.OCSPStaple) > 8<<10 {
				continue // more than a DTLS client buffers
			}
			err := m.run()
			var fault *AlertError
			switch {
			case c.alert == 0 && err != nil, c.alert != 0 && (!errors.As(err, &fault) || fault.Alert != c.alert || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%s: %v, want %q (%v)", c.name, err, c.want, c.alert)
			}
			if c.alert != 0 {
				if _, err := m.server.Open(nil); !errors.As(err, &fault) || !fault.Received || fault.Alert != c.alert {
					t.Errorf("%s: the server hears %v", c.name, err)
				}
			}
		}
	})
}

// TestOCSPOfSessions: a session is offered only while the staple of its server is valid.
func TestOCSPOfSessions(t *testing.T) {
	for _, version := range versions {
		client, server, now := sessionConfigs(t, version)
		ca := pkitest.CA(t)
		leaf := ca.Leaf(t, pkitest.Options{})
		leaf.OCSPStaple = ca.OCSP(t, leaf.Leaf, validOCSP(), nil)
		client.RootCAs, client.OCSPCheck, server.Certificates = ca.Pool(), OCSPCheckRequire, []tls.Certificate{leaf}
		newMeeting(t, false, client, server).settle(now)
		m := newMeeting(t, false, client, server)
		if m.settle(now); !m.client.State().DidResume {
			t.Errorf("%s: no resumption", tls.VersionName(version))
		}
		now.now = now.now.Add(2 * time.Hour)
		if err := newMeeting(t, false, client, server).run(); err == nil || !strings.Contains(err.Error(), "it expired on") {
			t.Errorf("%s, after the staple has expired: %v", tls.VersionName(version), err)
		}
	}
}

// TestBadOCSPCheck: what a Config cannot demand.
func TestBadOCSPCheck(t *testing.T) {
	for want, cfg := range map[string]*Config{
		"NoOCSPStapling":             {ServerName: "localhost", OCSPCheck: OCSPCheckStapled, NoOCSPStapling: true},
		"InsecureSkipVerify":         {InsecureSkipVerify: true, OCSPCheck: OCSPCheckRequire},
		"4 is none of its constants": {ServerName: "localhost", OCSPCheck: 4},
	} {
		_, err := NewEngine(TLSClient, cfg)
		var wrong *ConfigError
		if !errors.As(err, &wrong) || wrong.Field != "OCSPCheck" || !strings.Contains(wrong.Reason, want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestAsyncOCSP: a caller verifies the staple itself, when it likes.
func TestAsyncOCSP(t *testing.T) {
	ca := pkitest.CA(t)
	leaf := ca.Leaf(t, pkitest.Options{})
	revoked := validOCSP()
	revoked.Status, revoked.RevokedAt = ocsp.Revoked, pkitest.Now.Add(-time.Hour)
	leaf.OCSPStaple = ca.OCSP(t, leaf.Leaf, revoked, nil)
	for _, version := range versions {
		client := &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: version, Async: AsyncVerify}
		m := newMeeting(t, false, client, &Config{Time: atNow, Certificates: []tls.Certificate{leaf}})
		m.answer = func(p Pending) {
			r := p.(*VerifyRequest)
			chain := r.State.VerifiedChains[0]
			_, err := VerifyOCSP(r.State.OCSPResponse, chain[0], chain[1], pkitest.Now)
			r.Answer(err)
		}
		var fault *AlertError
		if err := m.run(); !errors.As(err, &fault) || fault.Alert != AlertCertificateRevoked {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

// FuzzVerifyOCSP: nothing that a peer staples is a panic, and what is changed anywhere proves
// nothing.
func FuzzVerifyOCSP(f *testing.F) {
	ca := pkitest.CA(f)
	leaf := ca.Leaf(f, pkitest.Options{}).Leaf
	good := ca.OCSP(f, leaf, validOCSP(), nil)
	f.Add(good)
	for _, c := range badOCSP(f, ca, leaf) {
		f.Add(c.response)
	}
	f.Fuzz(func(t *testing.T, response []byte) {
		if _, err := VerifyOCSP(response, leaf, ca.Certificate, pkitest.Now); err == nil && !bytes.Equal(response, good) {
			s, err := ocsp.ParseResponseForCert(response, leaf, ca.Certificate)
			if err != nil || s.Status != ocsp.Good {
				t.Errorf("accepted: %x", response)
			}
		}
	})
}
