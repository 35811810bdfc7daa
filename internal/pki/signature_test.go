package pki

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// signedLeaf is a leaf whose signature is of that algorithm, by an authority with
// that kind of key.
func signedLeaf(t *testing.T, kind string, algorithm x509.SignatureAlgorithm, further ...[]byte) *Identity {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: pkitest.Now.AddDate(-1, 0, 0), NotAfter: pkitest.Now.AddDate(1, 0, 0), SignatureAlgorithm: algorithm,
	}
	parent := &x509.Certificate{Subject: pkix.Name{CommonName: "an authority"}}
	key := pkitest.Key(t, pkitest.P256, false)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), pkitest.Key(t, kind, false))
	if err != nil {
		t.Fatal(err)
	}
	return prepare(t, tls.Certificate{Certificate: append([][]byte{der}, further...), PrivateKey: key})
}

// TestChainSignatures: RFC 9846, Section 4.5.1.2: the chain that is sent is signed
// as the peer asks, if there is one; else another, but not one of SHA-1.
func TestChainSignatures(t *testing.T) {
	root := func(kind string) []byte { return pkitest.CAWith(t, kind).Certificate.Raw }
	ids := map[string]*Identity{
		"ecdsa":    signedLeaf(t, pkitest.P256, x509.ECDSAWithSHA256),
		"ecdsa384": signedLeaf(t, pkitest.P384, x509.ECDSAWithSHA384),
		"ed25519":  signedLeaf(t, pkitest.Ed25519, x509.PureEd25519),
		"rsa":      signedLeaf(t, pkitest.RSA2048, x509.SHA256WithRSA),
		"rsa384":   signedLeaf(t, pkitest.RSA2048, x509.SHA384WithRSA),
		"pss":      signedLeaf(t, pkitest.RSA2048, x509.SHA256WithRSAPSS),
		"sha1":     signedLeaf(t, pkitest.RSA2048, x509.SHA1WithRSA),
		"ecsha1":   signedLeaf(t, pkitest.P256, x509.ECDSAWithSHA1),
		"rooted":   signedLeaf(t, pkitest.P256, x509.ECDSAWithSHA256, root(pkitest.RSA2048)),
		"mixed":    signedLeaf(t, pkitest.P256, x509.ECDSAWithSHA256, signedLeaf(t, pkitest.RSA2048, x509.SHA256WithRSA).chain[0]),
		"sha1 in":  signedLeaf(t, pkitest.P256, x509.ECDSAWithSHA256, signedLeaf(t, pkitest.RSA2048, x509.SHA1WithRSA).chain[0]),
		"unparsed": signedLeaf(t, pkitest.P256, x509.ECDSAWithSHA256, []byte{0x30, 0}),
		"raw":      prepare(t, tls.Certificate{PrivateKey: pkitest.Key(t, pkitest.P256, false)}),
	}
	handshake := uint16(suite.ECDSAP256)
	for _, c := range []struct {
		name    string
		ids     []string
		schemes []uint16 // signature_algorithms
		cert    []uint16 // signature_algorithms_cert
		want    string
	}{
		{"the one that is signed as asked", []string{"rsa", "ecdsa"}, []uint16{handshake}, nil, "ecdsa"},
		{"the hash counts", []string{"rsa384", "rsa"}, []uint16{handshake, 0x0401}, nil, "rsa"},
		{"the curve's hash counts", []string{"ecdsa384", "ecdsa"}, []uint16{handshake}, nil, "ecdsa"},
		{"PSS is not PKCS #1", []string{"pss", "rsa"}, []uint16{handshake, 0x0401}, nil, "rsa"},
		{"PSS with a key of either kind", []string{"rsa", "pss"}, []uint16{handshake, 0x0804}, nil, "pss"},
		{"EdDSA", []string{"rsa", "ed25519"}, []uint16{handshake, 0x0807}, nil, "ed25519"},
		{"signature_algorithms_cert goes first", []string{"ecdsa", "rsa"}, []uint16{handshake}, []uint16{0x0401}, "rsa"},
		{"all that is asked for fits: the first", []string{"rsa", "ecdsa"}, []uint16{handshake, 0x0401}, nil, "rsa"},
		{"nothing is signed as asked: the first", []string{"rsa", "pss"}, []uint16{handshake}, nil, "rsa"},
		{"a self-signed root is signed as it likes", []string{"rooted", "ecdsa"}, []uint16{handshake}, nil, "rooted"},
		{"an intermediate is not", []string{"mixed", "ecdsa"}, []uint16{handshake}, nil, "ecdsa"},
		{"what cannot be read is unknown", []string{"unparsed", "ecdsa"}, []uint16{handshake}, nil, "ecdsa"},
		{"and good enough in need", []string{"unparsed"}, []uint16{handshake}, nil, "unparsed"},
		{"a raw key has no chain", []string{"raw"}, []uint16{handshake}, nil, "raw"},
		{"SHA-1 is no fallback", []string{"sha1"}, []uint16{handshake}, nil, ""},
		{"nor with ECDSA", []string{"ecsha1"}, []uint16{handshake}, nil, ""},
		{"nor further up", []string{"sha1 in"}, []uint16{handshake}, nil, ""},
		{"another is", []string{"sha1", "rsa"}, []uint16{handshake}, nil, "rsa"},
		{"SHA-1 for a peer that takes it", []string{"sha1"}, []uint16{handshake, 0x0201}, nil, "sha1"},
		{"in certificates only", []string{"sha1"}, []uint16{handshake}, []uint16{0x0201}, "sha1"},
		{"in handshakes only", []string{"sha1"}, []uint16{handshake, 0x0201}, []uint16{0x0401}, ""},
	} {
		for _, version := range []uint16{wire.VersionTLS12, wire.VersionTLS13} {
			var list []*Identity
			for _, name := range c.ids {
				list = append(list, ids[name])
			}
			for _, server := range []bool{true, false} {
				got, _ := Choose(list, &Criteria{
					Version: version, Types: []uint8{X509, RawPublicKey}, ServerName: "localhost",
					Schemes: wire.AppendUint16s(nil, c.schemes...), SchemesCert: wire.AppendUint16s(nil, c.cert...),
				}, server)
				if got != ids[c.want] {
					t.Errorf("%s (%#x, server %v): another one was chosen", c.name, version, server)
				}
			}
		}
	}
}

// TestChooseByUsage: a leaf that may not sign is sent only if there is no other.
func TestChooseByUsage(t *testing.T) {
	ca := pkitest.CA(t)
	bad := prepare(t, ca.Leaf(t, pkitest.Options{KeyUsage: x509.KeyUsageKeyEncipherment}))
	good := prepare(t, ca.Leaf(t, pkitest.Options{Name: "elsewhere.test"}))
	c := &Criteria{Version: wire.VersionTLS13, Schemes: wire.AppendUint16s(nil, uint16(suite.ECDSAP256)), Types: []uint8{X509}, ServerName: "localhost"}
	if got, _ := Choose([]*Identity{bad, good}, c, true); got != good {
		t.Error("the leaf that may not sign is preferred")
	}
	if got, _ := Choose([]*Identity{bad}, c, true); got != bad {
		t.Error("there is no other, and it is not sent: some peers do not look at the key usage")
	}
}

// TestSignedInsecurely: RFC 9846, Section 4.5.1.3: MD5 and SHA-1 count, but not in what is
// signed by itself.
func TestSignedInsecurely(t *testing.T) {
	leaf := &x509.Certificate{RawSubject: []byte("leaf"), RawIssuer: []byte("authority"), SignatureAlgorithm: x509.SHA256WithRSA}
	for algorithm := x509.UnknownSignatureAlgorithm; algorithm <= x509.PureEd25519; algorithm++ {
		want := algorithm == x509.MD5WithRSA || algorithm == x509.SHA1WithRSA || algorithm == x509.ECDSAWithSHA1
		authority := &x509.Certificate{RawSubject: []byte("authority"), RawIssuer: []byte("root"), SignatureAlgorithm: algorithm}
		if got := signedInsecurely([]*x509.Certificate{leaf, authority}); got != want {
			t.Errorf("%v: %v", algorithm, got)
		}
		authority.RawIssuer = authority.RawSubject
		if signedInsecurely([]*x509.Certificate{leaf, authority}) {
			t.Errorf("%v of a self-signed authority counts", algorithm)
		}
	}
}
