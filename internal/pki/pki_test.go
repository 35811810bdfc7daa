package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

func prepare(t *testing.T, c tls.Certificate) *Identity {
	t.Helper()
	id, err := Prepare(&c)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// TestChoose: the first that fits, by type, name, scheme, curve and issuer.
func TestChoose(t *testing.T) {
	ca := pkitest.CA(t)
	a := prepare(t, ca.Leaf(t, pkitest.Options{Name: "a.test"}))
	b := prepare(t, ca.Leaf(t, pkitest.Options{Name: "b.test", Kind: pkitest.RSA2048}))
	raw := prepare(t, tls.Certificate{PrivateKey: pkitest.Key(t, pkitest.P256, false)})
	all := wire.AppendUint16s(nil, uint16(suite.ECDSAP256), uint16(suite.PSSSHA256))
	rsaOnly := wire.AppendUint16s(nil, uint16(suite.PSSSHA256))
	issuer := wire.AppendNames(nil, []byte("somebody"), ca.Certificate.RawSubject)
	nobody := wire.AppendNames(nil, []byte("nobody"))
	x := []uint8{X509}
	for _, c := range []struct {
		name   string
		ids    []*Identity
		c      Criteria
		server bool
		want   *Identity
	}{
		{"by name", []*Identity{a, b}, Criteria{Version: wire.VersionTLS13, Schemes: all, Types: x, ServerName: "b.test"}, true, b},
		{"no name fits: the first", []*Identity{a, b}, Criteria{Version: wire.VersionTLS13, Schemes: all, Types: x, ServerName: "c.test"}, true, a},
		{"by scheme", []*Identity{a, b}, Criteria{Version: wire.VersionTLS13, Schemes: rsaOnly, Types: x}, true, b},
		{"no scheme fits", []*Identity{a}, Criteria{Version: wire.VersionTLS13, Schemes: rsaOnly, Types: x}, true, nil},
		{"by the suites left", []*Identity{a, b}, Criteria{Version: wire.VersionTLS12, Schemes: all, Types: x, Auth: func(k suite.Authentication) bool { return k == suite.RSA }}, true, b},
		{"a curve that the client lacks", []*Identity{a, b}, Criteria{Version: wire.VersionTLS12, Schemes: all, Types: x, Groups: wire.AppendUint16s(nil, uint16(suite.X25519))}, true, b},
		{"by type", []*Identity{a, raw}, Criteria{Version: wire.VersionTLS13, Schemes: all, Types: []uint8{RawPublicKey, X509}}, true, raw},
		{"a client, by issuer", []*Identity{a}, Criteria{Version: wire.VersionTLS13, Schemes: all, Types: x, Authorities: issuer}, false, a},
		{"a client, no issuer fits", []*Identity{a}, Criteria{Version: wire.VersionTLS13, Schemes: all, Types: x, Authorities: nobody}, false, nil},
		{"a server, no issuer fits", []*Identity{a}, Criteria{Version: wire.VersionTLS13, Schemes: all, Types: x, Authorities: nobody}, true, a},
	} {
		got, scheme := Choose(c.ids, &c.c, c.server)
		if got != c.want || (got == nil) != (scheme == 0) {
			t.Errorf("%s: another one was chosen", c.name)
		}
	}
}

// TestCache: one copy of a chain, bounded, and independent of its input.
func TestCache(t *testing.T) {
	ca := pkitest.CA(t)
	var c Cache
	leaf := ca.Leaf(t, pkitest.Options{})
	input := append([]byte(nil), leaf.Certificate[0]...)
	first, err := c.Get([][]byte{input})
	if err != nil {
		t.Fatal(err)
	}
	clear(input)
	if again, err := c.Get(leaf.Certificate); err != nil || again != first {
		t.Errorf("the chain is not shared: %v", err)
	}
	for i := range cacheSize + 10 {
		der := ca.Leaf(t, pkitest.Options{Name: fmt.Sprintf("host%d.test", i)}).Certificate
		if _, err := c.Get(der); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.chains) > cacheSize {
		t.Errorf("%d chains are kept", len(c.chains))
	}
	if got := first.Certificates()[0]; !got.Equal(leaf.Leaf) {
		t.Error("a chain that was forgotten is another one")
	}
	var fault *alert.Error
	if _, err := c.Get([][]byte{[]byte("garbage")}); !errors.As(err, &fault) || fault.Description != alert.DecodeError {
		t.Errorf("garbage: %v", err)
	}
	if _, err := c.RawKey([]byte("garbage")); !errors.As(err, &fault) {
		t.Errorf("a raw key of garbage: %v", err)
	}
}

// certify is a certificate for any public key, signed by whom does not matter.
func certify(t *testing.T, public crypto.PublicKey) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: pkitest.Now, NotAfter: pkitest.Now.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, pkitest.Key(t, pkitest.P256, false))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestPeerKeys: no key of a chain costs too much, and no leaf has one that TLS has
// no use for.
func TestPeerKeys(t *testing.T) {
	modulus := func(bits uint) *rsa.PublicKey {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 1<<31 - 1}
	}
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := certify(t, pkitest.Key(t, pkitest.P256, false).Public())
	for name, test := range map[string]struct {
		chain [][]byte
		want  error
	}{
		"RSA with 8192 bits":                 {[][]byte{certify(t, modulus(8192))}, nil},
		"RSA with 8193 bits":                 {[][]byte{certify(t, modulus(8193))}, errRSASize},
		"an authority of RSA with 8192 bits": {[][]byte{leaf, certify(t, modulus(8192))}, nil},
		"an authority of RSA with 8193 bits": {[][]byte{leaf, certify(t, modulus(8193))}, errRSASize},
		"P-224":                              {[][]byte{certify(t, p224.Public())}, errKeyKind},
		"an authority of P-224":              {[][]byte{leaf, certify(t, p224.Public())}, nil},
	} {
		if _, err := new(Cache).Get(test.chain); err != test.want {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
	}
}

// TestLargeChains: a chain of a size that nobody has is not kept for others.
func TestLargeChains(t *testing.T) {
	leaf := certify(t, pkitest.Key(t, pkitest.P256, false).Public())
	large := [][]byte{leaf}
	for size := 0; size <= cachedBytes; size += len(leaf) {
		large = append(large, leaf)
	}
	var c Cache
	for want, chain := range [][][]byte{large, large[1:3]} {
		got, err := c.Get(chain)
		if err != nil || len(got.Certificates()) != len(chain) {
			t.Fatal(err)
		}
		if len(c.chains) != want {
			t.Errorf("%d certificates: %d chains are kept", len(chain), len(c.chains))
		}
	}
}

// TestSelfSigned: it verifies as what it is, and no two are the same.
func TestSelfSigned(t *testing.T) {
	a, err := SelfSigned(rand.Reader, pkitest.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := SelfSigned(rand.Reader, pkitest.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	id := prepare(t, *a)
	if SameKey(id.Public, prepare(t, *b).Public) {
		t.Error("two have the same key")
	}
	pool := x509.NewCertPool()
	pool.AddCert(id.Leaf)
	v := Verifier{Roots: pool, Name: "localhost", Usage: x509.ExtKeyUsageServerAuth, Now: pkitest.Now}
	chain, err := new(Cache).Get([][]byte{id.Leaf.Raw})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(chain); err != nil {
		t.Error(err)
	}
}

// TestVerifiedOnce: a verified chain is checked again for its times and name, and in
// full where other roots are trusted.
func TestVerifiedOnce(t *testing.T) {
	ca, stranger := pkitest.CA(t), pkitest.CA(t)
	leaf := ca.Leaf(t, pkitest.Options{})
	chain, err := new(Cache).Get(leaf.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	good := Verifier{Roots: ca.Pool(), Name: "localhost", Usage: x509.ExtKeyUsageServerAuth, Now: pkitest.Now}
	first, err := good.Verify(chain)
	if err != nil || len(first) != 1 {
		t.Fatalf("%d chains, %v", len(first), err)
	}
	if chain.verdict == nil {
		t.Fatal("nothing is remembered")
	}
	verdict := chain.verdict
	for _, c := range []struct {
		name   string
		change func(v *Verifier)
		ok     bool
		again  bool // its signatures were verified
	}{
		{"the same", func(v *Verifier) {}, true, false},
		{"a moment later", func(v *Verifier) { v.Now = v.Now.Add(time.Minute) }, true, false},
		{"any name", func(v *Verifier) { v.Name = "" }, true, false},
		{"another name", func(v *Verifier) { v.Name = "example.com" }, false, false},
		{"other authorities", func(v *Verifier) { v.Roots = stranger.Pool() }, false, true},
		{"the same authorities, in another pool", func(v *Verifier) { v.Roots = ca.Pool() }, true, true},
		{"no authorities", func(v *Verifier) { v.Roots = x509.NewCertPool() }, false, true},
		{"another usage", func(v *Verifier) { v.Usage = x509.ExtKeyUsageCodeSigning }, false, true},
		{"before it is valid", func(v *Verifier) { v.Now = chain.Certificates()[0].NotBefore.Add(-time.Second) }, false, true},
		{"after it has expired", func(v *Verifier) { v.Now = chain.Certificates()[0].NotAfter.Add(time.Second) }, false, true},
	} {
		chain.verdict = verdict
		v := good
		c.change(&v)
		chains, err := v.Verify(chain)
		if (err == nil) != c.ok || c.ok && (len(chains) != 1 || chains[0][0] == nil) {
			t.Errorf("%s: %d chains, %v", c.name, len(chains), err)
		}
		if chain.name != good.Name {
			t.Errorf("%s: the name %q is remembered", c.name, chain.name)
		}
		if remembered := chain.verdict == verdict; c.ok && remembered == c.again {
			t.Errorf("%s: remembered %v", c.name, remembered)
		}
	}

	chain.forget()
	if _, err := good.Verify(chain); err != nil || chain.verdict != nil || chain.name != "" {
		t.Errorf("without a place in the cache: %v, remembered %v, %q", err, chain.verdict != nil, chain.name)
	}
}
