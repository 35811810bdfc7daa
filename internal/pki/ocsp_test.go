package pki

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// TestStaplesOfAuthorities: in TLS 1.3 a staple about an authority counts too, by the chain that
// it is in.
func TestStaplesOfAuthorities(t *testing.T) {
	root, other := pkitest.CA(t), pkitest.CA(t)
	below := root.Intermediate(t)
	leaf := below.Leaf(t, pkitest.Options{}).Leaf
	valid := ocsp.Response{ThisUpdate: pkitest.Now.Add(-time.Hour), NextUpdate: pkitest.Now.Add(time.Hour)}
	revoked := valid
	revoked.Status, revoked.RevokedAt = ocsp.Revoked, pkitest.Now.Add(-time.Hour)
	chain := []*x509.Certificate{leaf, below.Certificate, root.Certificate}
	good := [][]byte{below.OCSP(t, leaf, valid, nil), root.OCSP(t, below.Certificate, valid, nil)}
	for name, test := range map[string]struct {
		shown   []*x509.Certificate
		staples [][]byte
		want    alert.Description // 0: none
	}{
		"all good":                              {chain, [][]byte{good[0], good[1], nil}, 0},
		"none":                                  {chain, nil, 0},
		"only of the authority":                 {chain[:2], [][]byte{nil, good[1]}, 0},
		"a revoked authority":                   {chain[:2], [][]byte{good[0], root.OCSP(t, below.Certificate, revoked, nil)}, alert.CertificateRevoked},
		"the staple of the leaf":                {chain[:2], [][]byte{good[0], good[0]}, alert.BadCertificateStatusResponse},
		"junk for a certificate of no chain":    {[]*x509.Certificate{leaf, other.Certificate, below.Certificate}, [][]byte{good[0], []byte("junk"), good[1]}, 0},
		"a root that says itself to be revoked": {chain, [][]byte{good[0], good[1], root.OCSP(t, root.Certificate, revoked, nil)}, 0},
	} {
		s := Stapling{Now: pkitest.Now}
		err := s.Check(test.shown, test.staples, [][]*x509.Certificate{chain})
		var fault *alert.Error
		if errors.As(err, &fault); (err != nil) != (test.want != 0) || fault != nil && fault.Description != test.want {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

// publicOnly is a key for certificates that nobody can sign with.
type publicOnly struct {
	crypto.Signer
	public crypto.PublicKey
}

func (p publicOnly) Public() crypto.PublicKey { return p.public }

// TestHugeResponder: a key in a response that costs too much is not verified with.
func TestHugeResponder(t *testing.T) {
	ca := pkitest.CA(t)
	leaf := ca.Leaf(t, pkitest.Options{}).Leaf
	n := new(big.Int).SetBytes(bytes.Repeat([]byte{0xff}, 1<<10+1)) // 8,200 bits
	responder := ca.Leaf(t, pkitest.Options{Name: "responder", Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}, Key: publicOnly{public: &rsa.PublicKey{N: n, E: 65537}}})
	signed := tls.Certificate{Leaf: responder.Leaf, PrivateKey: ca.Key()}
	response := ca.OCSP(t, leaf, ocsp.Response{ThisUpdate: pkitest.Now, NextUpdate: pkitest.Now.Add(time.Hour)}, &signed)
	if _, err := VerifyOCSP(response, leaf, ca.Certificate, pkitest.Now, nil); err == nil || !strings.Contains(err.Error(), "larger than 8192 bits") {
		t.Error(err)
	}
}

// FuzzOutline: what parses is what package ocsp reads too.
func FuzzOutline(f *testing.F) {
	ca := pkitest.CA(f)
	leaf := ca.Leaf(f, pkitest.Options{}).Leaf
	responder := ca.Leaf(f, pkitest.Options{Name: "responder", Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageOCSPSigning}})
	valid := ocsp.Response{ThisUpdate: pkitest.Now, NextUpdate: pkitest.Now.Add(time.Hour)}
	f.Add(ca.OCSP(f, leaf, valid, nil))
	f.Add(ca.OCSP(f, leaf, valid, &responder))
	f.Add(ocsp.InternalErrorErrorResponse)
	f.Fuzz(func(t *testing.T, response []byte) {
		ids, cert, err := outline(response)
		if err != nil {
			return
		}
		if r, err := ocsp.ParseResponse(response, nil); err == nil {
			if len(ids) != 1 || ids[0].serial.Cmp(r.SerialNumber) != 0 || (r.Certificate != nil) != (cert != nil) || cert != nil && !bytes.Equal(cert, r.Certificate.Raw) {
				t.Errorf("%d answers, and package ocsp reads %v", len(ids), r.SerialNumber)
			}
		}
	})
}
