// Package pki chooses the certificate that we show and judges the one that the
// peer shows. X.509 itself is the standard library's.
package pki

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// Certificate types (RFC 7250).
const (
	X509         uint8 = 0
	RawPublicKey uint8 = 2
)

// Identity is a certificate, or a raw public key, with its private key, checked and ready for
// use. The tls.Certificate that it was made from may be replaced later.
type Identity struct {
	Certificate *tls.Certificate // a copy
	Type        uint8
	Leaf        *x509.Certificate // nil for a raw public key
	Public      crypto.PublicKey

	chain   [][]byte
	schemes [2][]suite.Scheme // what the key can sign with, in TLS 1.2 and 1.3
	links   []link            // of each certificate, the leaf's first
}

// Prepare checks c: its key must match its leaf, and be of a kind that TLS supports. The
// other certificates of the chain are not checked: the peer may understand what we do not.
func Prepare(c *tls.Certificate) (*Identity, error) {
	if c.PrivateKey == nil {
		return nil, errors.New("it has no private key")
	}
	signer, ok := c.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("its private key, a %T, is no crypto.Signer", c.PrivateKey)
	}
	own := *c
	id := &Identity{Certificate: &own, Public: signer.Public()}
	for i, version := range []uint16{wire.VersionTLS12, wire.VersionTLS13} {
		id.schemes[i] = id.usableSchemes(version)
	}
	if len(id.schemes[0])+len(id.schemes[1]) == 0 {
		return nil, id.useless()
	}
	if len(c.Certificate) == 0 {
		return id, id.prepareRaw()
	}
	return id, id.prepareChain()
}

// useless says why the key cannot sign.
func (id *Identity) useless() error {
	if key, ok := id.Public.(*rsa.PublicKey); ok && key.N.BitLen() < minRSA {
		return fmt.Errorf("its RSA key has %d bits, and %d are the least that sign", key.N.BitLen(), minRSA)
	}
	if id.Certificate.SupportedSignatureAlgorithms != nil {
		return errors.New("none of its SupportedSignatureAlgorithms is for its key")
	}
	return errors.New("TLS has no signatures for its key, " + id.Kind())
}

// Serves reports whether the key can sign in a handshake with s.
func (id *Identity) Serves(s *suite.Suite) bool {
	if s.Version == wire.VersionTLS13 {
		return len(id.schemes[1]) > 0
	}
	return len(id.schemes[0]) > 0 && s.Auth == Authentication(id.Public)
}

// Permitted returns an error if the policy forbids the key, or every scheme of the key.
func (id *Identity) Permitted(k *Keys) error {
	if err := k.Check(id.Public); err != nil {
		return err
	}
	if !slices.ContainsFunc(slices.Concat(id.schemes[0], id.schemes[1]), k.Permits) {
		return fmt.Errorf("all of its SupportedSignatureAlgorithms are forbidden by the policy %s", k.Policy)
	}
	return nil
}

// Kind describes the key: "RSA with 2048 bits", "ECDSA on P-224".
func (id *Identity) Kind() string { return kind(id.Public) }

func kind(public crypto.PublicKey) string {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA with %d bits", key.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA on " + key.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	if name := suite.MLDSAName(public); name != "" {
		return name
	}
	return fmt.Sprintf("a %T", public)
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
	id.chain = slices.Clone(id.Certificate.Certificate)
	leaf := id.Certificate.Leaf
	if leaf == nil || !bytes.Equal(leaf.Raw, id.chain[0]) {
		if leaf, err = x509.ParseCertificate(id.chain[0]); err != nil {
			return fmt.Errorf("its first certificate does not parse: %w", err)
		}
	}
	id.Leaf = leaf
	if !SameKey(id.Leaf.PublicKey, id.Public) {
		return fmt.Errorf("certificate/private key mismatch: PrivateKey is %s, and not the key of Certificate[0], %s",
			id.Kind(), describe(leaf))
	}
	for _, der := range id.chain {
		id.links = append(id.links, parseLink(der))
	}
	return id.checkSizes()
}

// checkSizes checks that everything fits its field in the Certificate messages of
// both versions (RFC 9846, Section 4.5.1; RFC 6066, Section 8; RFC 6962, Section
// 3.3).
func (id *Identity) checkSizes() error {
	const overhead = 3 + 2 // of each certificate: its length, and that of its extensions
	size, c := 0, id.Certificate
	for i, der := range id.chain {
		if len(der) == 0 {
			return fmt.Errorf("certificate %d of its chain is empty", i+1)
		}
		size += len(der) + overhead
	}
	extensions := 0
	if len(c.OCSPStaple) > 0 {
		extensions += 4 + 1 + 3 + len(c.OCSPStaple)
	}
	if len(c.SignedCertificateTimestamps) > 0 {
		extensions += 4 + 2
	}
	for i, sct := range c.SignedCertificateTimestamps {
		if len(sct) == 0 {
			return fmt.Errorf("its signed certificate timestamp %d is empty", i+1)
		}
		extensions += 2 + len(sct)
	}
	if extensions > 1<<16-1 {
		return fmt.Errorf("its OCSP staple and its signed certificate timestamps take %d bytes, more than 65535", extensions)
	}
	if size += extensions; size > 1<<24-1-4 { // the context's and the list's length
		return fmt.Errorf("its chain takes %d bytes, more than 2^24", size)
	}
	return nil
}

// Chain is what the Certificate message holds: DER certificates, the leaf
// first, or one SubjectPublicKeyInfo.
func (id *Identity) Chain() [][]byte { return id.chain }

// describe names a certificate by its subject and its key.
func describe(c *x509.Certificate) string {
	return fmt.Sprintf("%q with %s", alert.Clean(c.Subject.String()), kind(c.PublicKey))
}

// SameKey reports whether two public keys are the same.
func SameKey(a, b crypto.PublicKey) bool {
	key, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && key.Equal(b)
}

// Criteria are what a peer requires of our certificate.
type Criteria struct {
	Version     uint16
	Schemes     wire.Uint16s // what the peer verifies
	SchemesCert wire.Uint16s // the same for signatures of certificates; nil: Schemes
	ServerName  string       // what the client asks for
	Authorities wire.Names   // the issuers that the peer names; empty: any
	Types       []uint8      // the types that the peer accepts, the preferred first
	Groups      wire.Uint16s // TLS 1.2: the curves for ECDSA keys; nil: any
	// Auth, in TLS 1.2, says which kinds of keys the remaining suites need.
	Auth func(suite.Authentication) bool
	Keys *Keys // what our policy permits
}

// Why a certificate does not fit.
var (
	errKind   = errors.New("the peer takes no certificate of this type")
	errSuite  = errors.New("no cipher suite of the peer is for this kind of key")
	errCurve  = errors.New("the peer does not support the curve of the key")
	errOnly13 = errors.New("the key signs only in TLS 1.3")
	errScheme = errors.New("no signature scheme in common with the peer")
	// ErrIssuer: the peer names the authorities that it accepts.
	ErrIssuer = errors.New("the peer does not accept the issuer of the certificate")
)

// Choose returns the best of ids, and the scheme to sign with. A server prefers a certificate
// whose names, issuer or signatures do not fit to none. A client sends only what the server
// says that it accepts.
func Choose(ids []*Identity, c *Criteria, server bool) (*Identity, suite.Scheme) {
	var best *Identity
	var bestScheme suite.Scheme
	bestRank := -1
	for _, t := range c.Types {
		for _, id := range ids {
			if id.Type != t {
				continue
			}
			scheme, err := id.Fits(c)
			if err != nil {
				continue
			}
			if rank := id.rank(c, server); rank > bestRank {
				best, bestScheme, bestRank = id, scheme, rank
			}
		}
	}
	return best, bestScheme
}

// OnlyIn13 returns the error of a server that has a certificate for TLS 1.3 only, and a client
// of TLS 1.2, or nil.
func OnlyIn13(ids []*Identity, c *Criteria) error {
	for _, id := range ids {
		if c.Version == wire.VersionTLS12 && len(id.schemes[0]) == 0 {
			return alert.New(alert.HandshakeFailure, "no certificate fits what the peer supports: "+id.Kind()+" signs only in TLS 1.3, and this is TLS 1.2")
		}
	}
	return nil
}

// rank says how well an id that meets the requirements suits the peer: by its key usage, then
// by names and issuer, then by the signatures of its chain. A negative rank means that it must
// not be sent.
func (id *Identity) rank(c *Criteria, server bool) (rank int) {
	known, weak := id.chainSignatures(c.forCertificates())
	issued := id.Issued(c.Authorities)
	if weak || !server && !issued {
		return -1
	}
	if id.Leaf == nil || checkUsage(id.Leaf) == nil {
		rank += 4
	}
	if (!server || id.named(c.ServerName)) && issued {
		rank += 2
	}
	if known {
		rank++
	}
	return rank
}

// forCertificates: RFC 9846, Section 4.3.3: without signature_algorithms_cert,
// signature_algorithms is for certificates too.
func (c *Criteria) forCertificates() wire.Uint16s {
	if len(c.SchemesCert) > 0 {
		return c.SchemesCert
	}
	return c.Schemes
}

// Fits returns the scheme that id would sign with under c, or why it cannot. It ignores names
// and issuers.
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
	switch {
	case c.Version == wire.VersionTLS13:
		usable = id.schemes[1]
	case len(usable) == 0:
		return 0, errOnly13
	}
	if err := c.Keys.Check(id.Public); err != nil {
		return 0, err
	}
	for _, s := range usable {
		if c.Schemes.Contains(uint16(s)) && c.Keys.Permits(s) {
			return s, nil
		}
	}
	return 0, errScheme
}

// Authentication is the kind of TLS 1.2 suites that a key signs for. EdDSA keys sign for those
// of ECDSA (RFC 8422, Section 2.1).
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

// Issued reports whether one of authorities has issued a certificate of the chain. An empty
// list means any authority.
func (id *Identity) Issued(authorities wire.Names) bool {
	if len(authorities) == 0 || id.Type == RawPublicKey {
		return true
	}
	for name := range authorities.All() {
		if slices.ContainsFunc(id.links, func(l link) bool { return bytes.Equal(l.issuer, name) }) {
			return true
		}
	}
	return false
}
