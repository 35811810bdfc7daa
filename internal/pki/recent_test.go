package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"io"
	"slices"
	"sync"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// unlike is a signer that cannot be compared.
type unlike struct {
	crypto.Signer
	_ []int
}

// anew is a signer whose public key is another value each time.
type anew struct{ *ecdsa.PrivateKey }

func (a anew) Public() crypto.PublicKey { p := a.PublicKey; return &p }

func (a anew) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return a.PrivateKey.Sign(r, digest, opts)
}

// TestRecent: a certificate is prepared again when any part of it has changed, also in place.
func TestRecent(t *testing.T) {
	ca := pkitest.CA(t)
	for _, test := range []struct {
		name   string
		change func(c *tls.Certificate)
		again  bool
	}{
		{"nothing", func(*tls.Certificate) {}, false},
		{"an equal copy of all", func(c *tls.Certificate) {
			c.Certificate = cloneAll(c.Certificate)
			c.OCSPStaple = slices.Clone(c.OCSPStaple)
		}, false},
		{"the staple", func(c *tls.Certificate) { c.OCSPStaple = []byte("another") }, true},
		{"the staple in place", func(c *tls.Certificate) { c.OCSPStaple[0]++ }, true},
		{"a longer chain", func(c *tls.Certificate) { c.Certificate = append(c.Certificate, ca.Certificate.Raw) }, true},
		{"a certificate in place", func(c *tls.Certificate) { c.Certificate[1] = slices.Clone(c.Certificate[0]) }, true},
		{"bytes of a certificate in place", func(c *tls.Certificate) { c.Certificate[1][20]++ }, true},
		{"SCTs", func(c *tls.Certificate) {
			c.SignedCertificateTimestamps = append(c.SignedCertificateTimestamps, []byte("more"))
		}, true},
		{"an SCT in place", func(c *tls.Certificate) { c.SignedCertificateTimestamps[0] = make([]byte, 100) }, true},
		{"schemes", func(c *tls.Certificate) {
			c.SupportedSignatureAlgorithms = []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256}
		}, true},
		{"the leaf's pointer", func(c *tls.Certificate) { c.Leaf, _ = x509.ParseCertificate(c.Certificate[0]) }, true},
		{"no leaf", func(c *tls.Certificate) { c.Leaf = nil }, true},
		{"the same key elsewhere", func(c *tls.Certificate) { k := *c.PrivateKey.(*ecdsa.PrivateKey); c.PrivateKey = &k }, true},
		{"another kind of signer", func(c *tls.Certificate) { c.PrivateKey = unlike{Signer: c.PrivateKey.(crypto.Signer)} }, true},
		{"another certificate", func(c *tls.Certificate) { *c = ca.Leaf(t, pkitest.Options{}) }, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r Recent
			c := ca.Leaf(t, pkitest.Options{})
			c.Certificate = [][]byte{c.Certificate[0], slices.Clone(ca.Certificate.Raw)}
			c.OCSPStaple, c.SignedCertificateTimestamps = []byte("staple"), [][]byte{[]byte("sct")}
			first, err := r.Prepare(&c)
			if err != nil {
				t.Fatal(err)
			}
			test.change(&c)
			second, err := r.Prepare(&c)
			if err != nil || (second != first) != test.again {
				t.Errorf("prepared again: %v, want %v; error %v", second != first, test.again, err)
			}
		})
	}
}

// TestRecentRefuses: what cannot be used is never taken for what could.
func TestRecentRefuses(t *testing.T) {
	ca := pkitest.CA(t)
	var r Recent
	c := ca.Leaf(t, pkitest.Options{})
	if _, err := r.Prepare(&c); err != nil {
		t.Fatal(err)
	}
	other := ca.Leaf(t, pkitest.Options{Kind: pkitest.P384})
	for name, bad := range map[string]tls.Certificate{
		"another key": {Certificate: c.Certificate, Leaf: c.Leaf, PrivateKey: other.PrivateKey},
		"no key":      {Certificate: c.Certificate, Leaf: c.Leaf},
		"no signer":   {Certificate: c.Certificate, Leaf: c.Leaf, PrivateKey: "a string"},
		"no DER":      {Certificate: [][]byte{{1, 2, 3}}, Leaf: c.Leaf, PrivateKey: c.PrivateKey},
	} {
		if id, err := r.Prepare(&bad); err == nil {
			t.Errorf("%s: %v", name, id)
		}
	}
}

// TestRecentKeys: keys that cannot be compared, or that make their public key anew, work too.
func TestRecentKeys(t *testing.T) {
	ca := pkitest.CA(t)
	for _, kind := range []string{pkitest.P256, pkitest.RSA2048, pkitest.Ed25519} {
		c := ca.Leaf(t, pkitest.Options{Kind: kind})
		signer := c.PrivateKey.(crypto.Signer)
		keys := map[string]crypto.PrivateKey{"itself": signer, "not comparable": unlike{Signer: signer}}
		if key, ok := signer.(*ecdsa.PrivateKey); ok {
			keys["anew"] = anew{key}
		}
		for name, key := range keys {
			var r Recent
			c.PrivateKey = key
			for range 3 {
				if id, err := r.Prepare(&c); err != nil || id.Certificate.PrivateKey == nil {
					t.Errorf("%s, %s: %v", kind, name, err)
				}
			}
		}
	}
}

// TestRecentConcurrent: many connections choose at once.
func TestRecentConcurrent(t *testing.T) {
	ca := pkitest.CA(t)
	var r Recent
	leaves := []tls.Certificate{ca.Leaf(t, pkitest.Options{Name: "a.test"}), ca.Leaf(t, pkitest.Options{Name: "b.test"})}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 100 {
				c := leaves[(i+j/10)%2]
				if id, err := r.Prepare(&c); err != nil || id.Leaf != c.Leaf {
					t.Error("another certificate, or", err)
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkPrepare(b *testing.B) {
	ca := pkitest.CA(b)
	c := ca.Leaf(b, pkitest.Options{})
	b.Run("Recent", func(b *testing.B) {
		var r Recent
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Prepare(&c); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Prepare", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Prepare(&c); err != nil {
				b.Fatal(err)
			}
		}
	})
}
