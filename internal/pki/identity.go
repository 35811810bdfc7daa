// Package pki chooses the certificate that we show and judges the one that the
// peer shows. X.509 itself is the standard library's.
package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// Certificate types (RFC 7250).
const (
	X509         uint8 = 0
	RawPublicKey uint8 = 2
)

// Identity is a certificate, or a raw public key, with its private key, made
// ready once.
type Identity struct {
	Certificate *tls.Certificate
	Type        uint8
	Leaf        *x509.Certificate // nil for a raw public key
	Public      crypto.PublicKey

	chain   [][]byte
	schemes [2][]suite.Scheme // what the key can sign with, in TLS 1.2 and 1.3
	issuers [][]byte          // of each certificate, the leaf's first
}

// Prepare checks c: its key must fit its leaf, and be of a kind that TLS knows.
func Prepare(c *tls.Certificate) (*Identity, error) {
	if c.PrivateKey == nil {
		return nil, errors.New("it has no private key")
	}
	signer, ok := c.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("its private key, a %T, is no crypto.Signer", c.PrivateKey)
	}
	id := &Identity{Certificate: c, Public: signer.Public()}
	for i, version := range []uint16{wire.VersionTLS12, wire.VersionTLS13} {
		id.schemes[i] = id.usableSchemes(version)
	}
	if len(id.schemes[0]) == 0 {
		return nil, fmt.Errorf("TLS has no signatures for its key, a %T", id.Public)
	}
	if len(c.Certificate) == 0 {
		return id, id.prepareRaw()
	}
	return id, id.prepareChain()
}

// usableSchemes are the schemes of the key, in the order of the certificate's
// own list if it has one.
func (id *Identity) usableSchemes(version uint16) []suite.Scheme {
	all := suite.SchemesFor(id.Public, version)
	if id.Certificate.SupportedSignatureAlgorithms == nil {
		return all
	}
	var list []suite.Scheme
	for _, s := range id.Certificate.SupportedSignatureAlgorithms {
		if slices.Contains(all, suite.Scheme(s)) {
			list = append(list, suite.Scheme(s))
		}
	}
	return list
}

func (id *Identity) prepareRaw() error {
	spki, err := x509.MarshalPKIXPublicKey(id.Public)
	if err != nil {
		return err
	}
	id.Type, id.chain = RawPublicKey, [][]byte{spki}
	return nil
}

func (id *Identity) prepareChain() (err error) {
	id.chain = id.Certificate.Certificate
	for i, der := range id.chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("certificate %d of its chain does not parse: %w", i+1, err)
		}
		if i == 0 {
			id.Leaf = c
		}
		id.issuers = append(id.issuers, c.RawIssuer)
	}
	if !SameKey(id.Leaf.PublicKey, id.Public) {
		return errors.New("certificate/private key mismatch")
	}
	return nil
}

// Chain is what the Certificate message holds: DER certificates, the leaf
// first, or one SubjectPublicKeyInfo.
func (id *Identity) Chain() [][]byte { return id.chain }

// SameKey reports whether two public keys are the same.
func SameKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// Criteria are what a certificate must fit.
type Criteria struct {
	Version     uint16
	Schemes     wire.Uint16s // what the peer verifies
	ServerName  string       // what the client asks for
	Authorities wire.Names   // what issuers the peer names; empty: any
	Types       []uint8      // what types it takes, the preferred first
	Groups      wire.Uint16s // TLS 1.2: the curves for ECDSA keys; nil: any
	// Auth, in TLS 1.2, says which of the suites left need which key.
	Auth func(suite.Authentication) bool
}

// Why a certificate does not fit.
var (
	errKind   = errors.New("the peer takes no certificate of this type")
	errSuite  = errors.New("no cipher suite of the peer is for this kind of key")
	errCurve  = errors.New("the peer does not support the curve of the key")
	errScheme = errors.New("no signature scheme in common with the peer")
	// ErrIssuer: the peer names the authorities that it accepts.
	ErrIssuer = errors.New("the peer does not accept the issuer of the certificate")
)

// Choose returns the first of ids that fits, and what to sign with. A
// certificate whose names or issuer do not fit is still better than none where
// we are the server; a client sends only what the server says it accepts.
func Choose(ids []*Identity, c *Criteria, server bool) (*Identity, suite.Scheme) {
	var fallback *Identity
	var fallbackScheme suite.Scheme
	for _, t := range c.Types {
		for _, id := range ids {
			if id.Type != t {
				continue
			}
			scheme, err := id.Fits(c)
			switch {
			case err != nil:
			case (!server || id.named(c.ServerName)) && id.Issued(c.Authorities):
				return id, scheme
			case fallback == nil && server:
				fallback, fallbackScheme = id, scheme
			}
		}
	}
	return fallback, fallbackScheme
}

// Fits returns what id would sign with under c, or why it cannot. Names and
// issuers are not looked at.
func (id *Identity) Fits(c *Criteria) (suite.Scheme, error) {
	switch {
	case !slices.Contains(c.Types, id.Type):
		return 0, errKind
	case c.Auth != nil && !c.Auth(Authentication(id.Public)):
		return 0, errSuite
	case !id.onCurve(c):
		return 0, errCurve
	}
	usable := id.schemes[0]
	if c.Version == wire.VersionTLS13 {
		usable = id.schemes[1]
	}
	for _, s := range usable {
		if c.Schemes.Contains(uint16(s)) {
			return s, nil
		}
	}
	return 0, errScheme
}

// Authentication is which suites of TLS 1.2 a key signs for. EdDSA goes with
// those of ECDSA (RFC 8422, Section 2.1).
func Authentication(public crypto.PublicKey) suite.Authentication {
	if _, ok := public.(*rsa.PublicKey); ok {
		return suite.RSA
	}
	return suite.ECDSA
}

// onCurve: RFC 8422, Section 5.1: in TLS 1.2 supported_groups binds ECDSA keys
// too.
func (id *Identity) onCurve(c *Criteria) bool {
	g := CurveOf(id.Public)
	return g == 0 || c.Version != wire.VersionTLS12 || c.Groups == nil || c.Groups.Contains(uint16(g))
}

// CurveOf is the curve of an ECDSA key, else 0.
func CurveOf(public crypto.PublicKey) suite.Group {
	if key, ok := public.(*ecdsa.PublicKey); ok {
		switch key.Curve {
		case elliptic.P256():
			return suite.P256
		case elliptic.P384():
			return suite.P384
		case elliptic.P521():
			return suite.P521
		}
	}
	return 0
}

// named reports whether the certificate is for name.
func (id *Identity) named(name string) bool {
	return name == "" || id.Leaf == nil || id.Leaf.VerifyHostname(name) == nil
}

// Issued reports whether one of authorities has issued a certificate of the
// chain. No authorities are all of them.
func (id *Identity) Issued(authorities wire.Names) bool {
	if len(authorities) == 0 || id.Type == RawPublicKey {
		return true
	}
	for name := range authorities.All() {
		if slices.ContainsFunc(id.issuers, func(i []byte) bool { return bytes.Equal(i, name) }) {
			return true
		}
	}
	return false
}
