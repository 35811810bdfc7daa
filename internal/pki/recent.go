package pki

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"reflect"
	"slices"
	"sync/atomic"
)

// Recent remembers the certificate that was prepared last, because a callback returns the same one
// for most peers. It is safe for concurrent use.
type Recent struct{ last atomic.Pointer[snapshot] }

// snapshot is an Identity, and a copy of what it was prepared from, because the owner may change
// that in place.
type snapshot struct {
	id         *Identity
	der, scts  [][]byte
	staple     []byte
	algorithms []tls.SignatureScheme
	leaf       *x509.Certificate
	key        crypto.PrivateKey
}

// Prepare returns the last Identity if c has not changed since, and else calls the function Prepare.
func (r *Recent) Prepare(c *tls.Certificate) (*Identity, error) {
	if s := r.last.Load(); s != nil && s.of(c) {
		return s.id, nil
	}
	id, err := Prepare(c)
	if err == nil && id.Leaf != nil {
		r.last.Store(&snapshot{
			id: id, der: cloneAll(c.Certificate), scts: cloneAll(c.SignedCertificateTimestamps),
			staple: bytes.Clone(c.OCSPStaple), algorithms: slices.Clone(c.SupportedSignatureAlgorithms),
			leaf: c.Leaf, key: c.PrivateKey,
		})
	}
	return id, err
}

func cloneAll(list [][]byte) (all [][]byte) {
	for _, b := range list {
		all = append(all, bytes.Clone(b))
	}
	return all
}

// of reports whether s was made from a certificate that equals c. A key never equals another if it
// cannot be compared, or if each call of Public makes a new public key.
func (s *snapshot) of(c *tls.Certificate) bool {
	return c.Leaf == s.leaf && same(c.PrivateKey, s.key) && same(c.PrivateKey.(crypto.Signer).Public(), s.id.Public) &&
		slices.EqualFunc(c.Certificate, s.der, bytes.Equal) &&
		bytes.Equal(c.OCSPStaple, s.staple) &&
		slices.EqualFunc(c.SignedCertificateTimestamps, s.scts, bytes.Equal) &&
		(c.SupportedSignatureAlgorithms == nil) == (s.algorithms == nil) && slices.Equal(c.SupportedSignatureAlgorithms, s.algorithms)
}

// same reports whether a and b are the same pointer, or equal values that can be compared.
func same(a, b any) bool {
	return a != nil && reflect.ValueOf(a).Comparable() && reflect.TypeOf(a) == reflect.TypeOf(b) && a == b
}
