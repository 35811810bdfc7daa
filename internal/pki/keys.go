package pki

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/suite"
)

// Keys says which keys of either side, and which signatures of certificates, a policy permits.
// Nil permits all.
type Keys struct {
	Policy  string         // its name
	Schemes []suite.Scheme // nil: all
	MinRSA  int            // bits
}

// Check returns an error if the policy forbids the key: it is too short, or no permitted scheme
// is for it. An ECDSA key must be on the curve of a permitted scheme.
func (k *Keys) Check(public crypto.PublicKey) error {
	if k == nil {
		return nil
	}
	key, isRSA := public.(*rsa.PublicKey)
	switch {
	case isRSA && key.N.BitLen() < k.MinRSA:
		return fmt.Errorf("%s is forbidden by the policy %s, which demands %d bits", kind(public), k.Policy, k.MinRSA)
	case k.Schemes == nil || slices.ContainsFunc(k.Schemes, func(s suite.Scheme) bool { return s.For(public) }):
		return nil
	}
	return fmt.Errorf("%s is forbidden by the policy %s", kind(public), k.Policy)
}

// Permits reports whether the policy permits the scheme.
func (k *Keys) Permits(s suite.Scheme) bool {
	return k == nil || k.Schemes == nil || slices.Contains(k.Schemes, s)
}

// CheckPeer is Check for the key of a peer.
func (k *Keys) CheckPeer(public crypto.PublicKey) error {
	if err := k.Check(public); err != nil {
		return alert.Wrap(alert.BadCertificate, "the peer's key does not satisfy our policy", err)
	}
	return nil
}

// CheckSignature returns an error if the policy forbids an algorithm that something besides a
// certificate is signed with, such as an OCSP response.
func (k *Keys) CheckSignature(a x509.SignatureAlgorithm) error {
	if k == nil || k.Schemes == nil || slices.ContainsFunc(algorithms[a], func(s uint16) bool { return k.Permits(suite.Scheme(s)) }) {
		return nil
	}
	return fmt.Errorf("a signature by %v is forbidden by the policy %s", a, k.Policy)
}

// CheckChain checks the keys and the signatures of a chain, except the root's signature on itself.
func (k *Keys) CheckChain(chain []*x509.Certificate) error {
	if k == nil {
		return nil
	}
	for i, c := range chain {
		if err := k.Check(c.PublicKey); err != nil {
			return fmt.Errorf("the key of %s, %w", name(c), err)
		}
		if i < len(chain)-1 && !k.signed(c) {
			return fmt.Errorf("the signature on the certificate of %s, %v, is forbidden by the policy %s", name(c), c.SignatureAlgorithm, k.Policy)
		}
	}
	return nil
}

// signed reports whether the policy permits the signature of a certificate.
func (k *Keys) signed(c *x509.Certificate) bool {
	l := parseLink(c.Raw)
	return k.Schemes == nil || slices.ContainsFunc(l.schemes(), func(s uint16) bool { return k.Permits(suite.Scheme(s)) })
}

// filter returns the chains that the policy permits, or an error if there is none.
func (k *Keys) filter(chains [][]*x509.Certificate) ([][]*x509.Certificate, error) {
	if k == nil {
		return chains, nil
	}
	var fault error
	permitted := slices.DeleteFunc(chains, func(chain []*x509.Certificate) bool {
		err := k.CheckChain(chain)
		if fault == nil {
			fault = err
		}
		return err != nil
	})
	if len(permitted) == 0 {
		return nil, alert.Wrap(alert.BadCertificate, "the peer's certificates do not satisfy our policy", fault)
	}
	return permitted, nil
}
