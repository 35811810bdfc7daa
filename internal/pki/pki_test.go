package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"

	"crypto/rand"

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
	if _, err := ParseRawKey([]byte("garbage")); !errors.As(err, &fault) {
		t.Errorf("a raw key of garbage: %v", err)
	}
}

// TestSelfSigned: it verifies as what it is, and no two are the same.
func TestSelfSigned(t *testing.T) {
	a, err := SelfSigned(rand.Reader, pkitest.Now)
	if err != nil {
		t.Fatal(err)
	}
	b, err := SelfSigned(rand.Reader, pkitest.Now)
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
	if _, err := v.Verify([]*x509.Certificate{id.Leaf}); err != nil {
		t.Error(err)
	}
}
