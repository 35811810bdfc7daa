package pki

import (
	"crypto/x509"
	"errors"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// TestConstraints: what may have changed is asked each time: a pool's
// constraint, and a pool whose contents were replaced. Where there is no constraint
// the verdict is remembered, which also shows that the fields of x509.CertPool are
// still those that constrained looks at.
func TestConstraints(t *testing.T) {
	ca, other := pkitest.CA(t), pkitest.CA(t)
	revoked := errors.New("revoked")
	var verdict error
	constraint := func([]*x509.Certificate) error { return verdict }
	for _, c := range []struct {
		name     string
		pool     func() *x509.CertPool
		remember bool
		revoke   func(*x509.CertPool)
		refused  bool
	}{
		{"no constraint", ca.Pool, true, func(*x509.CertPool) {}, false},
		{"a constraint", func() *x509.CertPool {
			p := x509.NewCertPool()
			p.AddCertWithConstraint(ca.Certificate, constraint)
			return p
		}, false, func(*x509.CertPool) { verdict = revoked }, true},
		{"a constraint in a copy", func() *x509.CertPool {
			p := x509.NewCertPool()
			p.AddCertWithConstraint(ca.Certificate, constraint)
			return p.Clone()
		}, false, func(*x509.CertPool) { verdict = revoked }, true},
		{"a constraint on an authority of the same name", func() *x509.CertPool {
			p := x509.NewCertPool()
			p.AddCertWithConstraint(other.Certificate, constraint)
			p.AddCert(ca.Certificate)
			return p
		}, false, func(*x509.CertPool) { verdict = revoked }, false},
		{"replaced in place, by others", ca.Pool, true, func(p *x509.CertPool) { *p = *other.Pool() }, true},
		{"replaced in place, by nothing", ca.Pool, true, func(p *x509.CertPool) { *p = *x509.NewCertPool() }, true},
		{"replaced in place, with a constraint", ca.Pool, true, func(p *x509.CertPool) {
			*p = *x509.NewCertPool()
			p.AddCertWithConstraint(ca.Certificate, func([]*x509.Certificate) error { return revoked })
		}, true},
		{"more authorities", ca.Pool, true, func(p *x509.CertPool) { p.AddCert(other.Certificate) }, false},
	} {
		verdict = nil
		chain, err := new(Cache).Get(ca.Leaf(t, pkitest.Options{}).Certificate)
		if err != nil {
			t.Fatal(err)
		}
		v := &Verifier{Roots: c.pool(), Usage: x509.ExtKeyUsageServerAuth, Now: pkitest.Now}
		if got := Constrained(v.Roots); got == c.remember {
			t.Errorf("%s: constrained %v", c.name, got)
		}
		if n := testing.AllocsPerRun(10, func() { Constrained(v.Roots) }); n > 0 {
			t.Errorf("%s: Constrained makes %.0f allocations", c.name, n)
		}
		if _, err := v.Verify(chain); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if got := chain.verified(v) != nil; got != c.remember {
			t.Errorf("%s: remembered %v", c.name, got)
		}
		c.revoke(v.Roots)
		if _, err := v.Verify(chain); (err != nil) != c.refused {
			t.Errorf("%s, afterwards: %v", c.name, err)
		}
	}
}

// BenchmarkVerifyAgain is what a peer that comes again costs.
func BenchmarkVerifyAgain(b *testing.B) {
	ca := pkitest.CA(b)
	constrainedPool := x509.NewCertPool()
	constrainedPool.AddCertWithConstraint(ca.Certificate, func([]*x509.Certificate) error { return nil })
	for name, pool := range map[string]*x509.CertPool{"remembered": ca.Pool(), "constrained": constrainedPool} {
		b.Run(name, func(b *testing.B) {
			chain, err := new(Cache).Get(ca.Leaf(b, pkitest.Options{}).Certificate)
			if err != nil {
				b.Fatal(err)
			}
			v := &Verifier{Roots: pool, Name: "localhost", Usage: x509.ExtKeyUsageServerAuth, Now: pkitest.Now}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(chain); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
