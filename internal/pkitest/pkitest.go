// Package pkitest makes certificates for tests.
package pkitest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ocsp"
)

// Now is the time at which the certificates are valid.
var Now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// The kinds of keys.
const (
	P256    = "ECDSA P-256"
	P384    = "ECDSA P-384"
	P521    = "ECDSA P-521"
	RSA2048 = "RSA 2048"
	Ed25519 = "Ed25519"
)

// Kinds are all of them.
var Kinds = []string{P256, P384, P521, RSA2048, Ed25519}

// KindsOf are those that a handshake of the version can be signed with.
func KindsOf(version uint16) []string {
	if version == tls.VersionTLS12 {
		return Kinds
	}
	return slices.Concat(Kinds, PostQuantum)
}

// Options describe a certificate. The zero value is a leaf for
// localhost and 127.0.0.1 with a P-256 key.
type Options struct {
	Name     string
	Kind     string
	Expired  bool
	Future   bool
	Usage    []x509.ExtKeyUsage // nil: both roles
	KeyUsage x509.KeyUsage      // 0: digital signature
	NewKey   bool               // not the shared one of its kind
	Key      crypto.Signer      // instead of one of Kind
	// Features is the TLS feature extension (RFC 7633): 5 is must-staple.
	Features []int
	URIs     []*url.URL // besides the names
}

// Authority is a CA.
type Authority struct {
	Certificate *x509.Certificate
	key         crypto.Signer
	kind        string
}

var (
	keysMu sync.Mutex
	keys         = map[string]crypto.Signer{}
	serial int64 = 1 << 8 // of one length for long
)

// Key returns a key of that kind, the same for every call unless fresh.
func Key(t testing.TB, kind string, fresh bool) crypto.Signer {
	t.Helper()
	keysMu.Lock()
	defer keysMu.Unlock()
	if k := keys[kind]; k != nil && !fresh {
		return k
	}
	var key crypto.Signer
	var err error
	switch kind {
	case P256, "":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case P384:
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case P521:
		key, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case RSA2048:
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case Ed25519:
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		if key, err = postQuantumKey(kind); key == nil && err == nil {
			t.Fatalf("no kind of key %q", kind)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	if !fresh {
		keys[kind] = key
	}
	return key
}

// CA makes an authority.
func CA(t testing.TB) *Authority {
	t.Helper()
	return CAWith(t, P256)
}

// CAWith makes an authority with that kind of key.
func CAWith(t testing.TB, kind string) *Authority {
	t.Helper()
	key := Key(t, kind, true)
	template := &x509.Certificate{
		SerialNumber:          nextSerial(),
		Subject:               pkix.Name{CommonName: "hermetic test CA"},
		NotBefore:             Now.AddDate(-5, 0, 0),
		NotAfter:              Now.AddDate(50, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	return &Authority{sign(t, template, template, key.Public(), key), key, kind}
}

// Intermediate makes an authority that a has signed, with the same kind of key.
func (a *Authority) Intermediate(t testing.TB, features ...int) *Authority {
	t.Helper()
	key := Key(t, a.kind, true)
	template := &x509.Certificate{
		SerialNumber:          nextSerial(),
		Subject:               pkix.Name{CommonName: "hermetic test intermediate"},
		NotBefore:             Now.AddDate(-5, 0, 0),
		NotAfter:              Now.AddDate(50, 0, 0),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
	if features != nil {
		template.ExtraExtensions = []pkix.Extension{Features(t, features)}
	}
	return &Authority{sign(t, template, a.Certificate, key.Public(), a.key), key, a.kind}
}

// Features is the TLS feature extension.
func Features(t testing.TB, list []int) pkix.Extension {
	t.Helper()
	der, err := asn1.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	return pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}, Value: der}
}

// OCSP makes an OCSP response about c, which responder signs, or a itself if that is nil.
func (a *Authority) OCSP(t testing.TB, c *x509.Certificate, response ocsp.Response, responder *tls.Certificate) []byte {
	t.Helper()
	if response.SerialNumber == nil {
		response.SerialNumber = c.SerialNumber
	}
	cert, key := a.Certificate, a.key
	if responder != nil {
		cert, key = responder.Leaf, responder.PrivateKey.(crypto.Signer)
		response.Certificate = cert
	}
	der, err := ocsp.CreateResponse(a.Certificate, cert, response, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func nextSerial() *big.Int {
	keysMu.Lock()
	defer keysMu.Unlock()
	serial++
	return big.NewInt(serial)
}

func sign(t testing.TB, template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// Pool is a pool with the authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Certificate)
	return pool
}

// Leaf makes a certificate.
func (a *Authority) Leaf(t testing.TB, o Options) tls.Certificate {
	t.Helper()
	if o.Name == "" {
		o.Name = "localhost"
	}
	if o.Usage == nil {
		o.Usage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	if o.KeyUsage == 0 {
		o.KeyUsage = x509.KeyUsageDigitalSignature
	}
	template := &x509.Certificate{
		SerialNumber: nextSerial(),
		Subject:      pkix.Name{CommonName: o.Name},
		DNSNames:     []string{o.Name},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    Now.AddDate(-4, 0, 0),
		NotAfter:     Now.AddDate(40, 0, 0),
		KeyUsage:     o.KeyUsage,
		ExtKeyUsage:  o.Usage,
		URIs:         o.URIs,
	}
	if o.Expired {
		template.NotAfter = Now.AddDate(0, 0, -1)
	}
	if o.Future {
		template.NotBefore = Now.AddDate(0, 0, 1)
	}
	key := o.Key
	if key == nil {
		key = Key(t, o.Kind, o.NewKey)
	}
	if o.Features != nil {
		template.ExtraExtensions = []pkix.Extension{Features(t, o.Features)}
	}
	leaf := sign(t, template, a.Certificate, key.Public(), a.key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// PEM is the chain and the key of c.
func PEM(t testing.TB, c tls.Certificate) (chain, key []byte) {
	t.Helper()
	for _, der := range c.Certificate {
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return chain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Key is the authority's.
func (a *Authority) Key() crypto.Signer { return a.key }
