package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// modulus is an RSA key that nobody has.
func modulus(t testing.TB, bits uint, e int) *rsa.PublicKey {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), bits-1))
	if err != nil {
		t.Fatal(err)
	}
	return &rsa.PublicKey{N: n.SetBit(n, int(bits-1), 1).SetBit(n, 0, 1), E: e}
}

// issued returns a certificate of an authority or a leaf, with the given issuer name. It
// is signed with the common key of P-256, which may or may not be the issuer's.
func issued(t testing.TB, subject, issuer string, public crypto.PublicKey, authority bool) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: subject},
		NotBefore:    pkitest.Now.AddDate(-1, 0, 0),
		NotAfter:     pkitest.Now.AddDate(1, 0, 0),
	}
	if authority {
		template.IsCA, template.BasicConstraintsValid = true, true
	}
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: issuer}}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, pkitest.Key(t, pkitest.P256, false))
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// ladder is a leaf and n authorities, each issued by the next.
func ladder(t testing.TB, n int, leaf, authority crypto.PublicKey) [][]byte {
	chain := [][]byte{issued(t, "leaf", "1", leaf, false)}
	for i := range n {
		chain = append(chain, issued(t, fmt.Sprint(i+1), fmt.Sprint(i+2), authority, true))
	}
	return chain
}

// crowd is a leaf by X, and n authorities that are all called X, with
// their own keys.
func crowd(t testing.TB, n int, key func() crypto.PublicKey) [][]byte {
	chain := [][]byte{issued(t, "leaf", "X", pkitest.Key(t, pkitest.P256, false).Public(), false)}
	for range n {
		chain = append(chain, issued(t, "X", "X", key(), true))
	}
	return chain
}

// TestCost: what the peer's certificates may cost is bounded, whatever their keys
// and however they are tied together, and good chains cost less.
func TestCost(t *testing.T) {
	p256 := func() crypto.PublicKey { return pkitest.Key(t, pkitest.P256, true).Public() }
	p384 := func() crypto.PublicKey { return pkitest.Key(t, pkitest.P384, true).Public() }
	p521 := func() crypto.PublicKey { return pkitest.Key(t, pkitest.P521, true).Public() }
	ofRSA := func(bits uint, e int) func() crypto.PublicKey {
		return func() crypto.PublicKey { return modulus(t, bits, e) }
	}
	leaf := p256()
	unusable := crowd(t, 1, p256)
	bundle := ladder(t, 1, leaf, leaf)
	for i := range 90 {
		bundle = append(bundle, issued(t, fmt.Sprint("root ", i), fmt.Sprint("root ", i), modulus(t, 4096, 65537), true))
	}
	for range 90 { // no authorities: no signature of theirs is verified
		unusable = append(unusable, issued(t, "X", "X", p521(), false))
	}
	for _, c := range []struct {
		name  string
		chain [][]byte
		ok    bool
	}{
		{"a leaf of P-256", ladder(t, 0, leaf, nil), true},
		{"a leaf of P-521", ladder(t, 0, p521(), nil), true},
		{"a leaf of RSA-8192 with the largest exponent", ladder(t, 0, modulus(t, 8192, 1<<31-1), nil), true},
		{"ten certificates of RSA-4096", ladder(t, 9, modulus(t, 4096, 65537), modulus(t, 4096, 65537)), true},
		{"four certificates of P-521", ladder(t, 3, p521(), p521()), true},
		{"ten certificates of P-384", ladder(t, 9, p384(), p384()), true},
		{"three authorities of one name, after two rollovers", crowd(t, 3, p256), true},
		{"a bundle of roots that have nothing to do with the leaf", bundle, true},
		{"a crowd that cannot issue", unusable, true},

		{"a crowd of RSA-2048", crowd(t, 60, ofRSA(2048, 65537)), false},
		{"a crowd of RSA-4096", crowd(t, 48, ofRSA(4096, 65537)), false},
		{"a crowd of RSA-8192", crowd(t, 40, ofRSA(8192, 65537)), false},
		{"a crowd of RSA-8192 with the largest exponent", crowd(t, 6, ofRSA(8192, 1<<31-1)), false},
		{"a crowd of P-256, each of which could have issued all others", crowd(t, 8, p256), false},
		{"a crowd of P-521", crowd(t, 5, p521), false},
		{"a ladder of P-256 up to the sky", ladder(t, 60, leaf, p256()), false},
		{"a ladder of P-521", ladder(t, 6, leaf, p521()), false},
		{"as many certificates as go into the message", ladder(t, 600, leaf, leaf), false},
		{"as many bytes as no message has", [][]byte{ladder(t, 0, leaf, nil)[0], make([]byte, 1<<17)}, false},
	} {
		chain, err := new(Cache).Get(c.chain)
		if err == nil {
			v := &Verifier{Roots: x509.NewCertPool(), Usage: x509.ExtKeyUsageServerAuth, Now: pkitest.Now}
			_, err = v.Verify(chain)
		}
		var fault *alert.Error
		if !errors.As(err, &fault) {
			t.Fatalf("%s: %v", c.name, err)
		}
		if refused := strings.Contains(fault.Cause, "MaxCertificateCost is 500"); refused == c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if !c.ok && fault.Description != alert.BadCertificate {
			t.Errorf("%s: the alert is %v", c.name, fault.Description)
		}
	}
}

// TestCostIsAdjustable: for chains, for a leaf's key and for raw keys.
func TestCostIsAdjustable(t *testing.T) {
	key := pkitest.Key(t, pkitest.P521, false).Public()
	spki := MarshalRawKey(key)
	ladder := ladder(t, 6, key, key)
	for limit, want := range map[int]string{50: "chain and raw key", 700: "chain", 1000: ""} {
		cache := &Cache{MaxCost: limit}
		var got []string
		chain, err := cache.Get(ladder)
		if err != nil || !affordable(chain.Certificates(), chain.left) {
			got = append(got, "chain")
		}
		if _, err := cache.RawKey(spki); err != nil {
			got = append(got, "raw key")
		}
		if strings.Join(got, " and ") != want {
			t.Errorf("%d: refused are %q, want %q", limit, got, want)
		}
	}
}

// TestCostGrows: with the modulus and the exponent, and for each curve.
func TestCostGrows(t *testing.T) {
	last := 0
	for _, bits := range []uint{1024, 2048, 3072, 4096, 6144, 8192} {
		cost := verifyCost(modulus(t, bits, 65537))
		if cost < last {
			t.Errorf("RSA-%d costs %d, less than a smaller one", bits, cost)
		}
		if more := verifyCost(modulus(t, bits, 1<<31-1)); more < 2*cost {
			t.Errorf("RSA-%d costs %d with a large exponent, and %d else", bits, more, cost)
		}
		last = cost
	}
	last = 0
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P224(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		cost := verifyCost(key.Public())
		if cost <= last {
			t.Errorf("%s costs %d", curve.Params().Name, cost)
		}
		last = cost
	}
}

// BenchmarkVerifyCost: nanoseconds a unit, which should be about the same for all
// keys. Run it when Go changes.
func BenchmarkVerifyCost(b *testing.B) {
	sum := make([]byte, 32)
	run := func(name string, key crypto.PublicKey, verify func()) {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				verify()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*verifyCost(key)), "ns/unit")
		})
	}
	for _, bits := range []uint{1024, 2048, 3072, 4096, 8192} {
		for _, e := range []int{3, 65537, 1<<31 - 1} {
			key := modulus(b, bits, e)
			signature := make([]byte, bits/8)
			rand.Read(signature[1:])
			run(fmt.Sprintf("RSA-%d/%d", bits, e), key, func() { rsa.VerifyPKCS1v15(key, crypto.SHA256, sum, signature) })
		}
	}
	for _, curve := range []elliptic.Curve{elliptic.P224(), elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		signature, err := ecdsa.SignASN1(rand.Reader, key, sum)
		if err != nil {
			b.Fatal(err)
		}
		run(curve.Params().Name, &key.PublicKey, func() { ecdsa.VerifyASN1(&key.PublicKey, sum, signature) })
	}
}
