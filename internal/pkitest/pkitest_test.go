package pkitest

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
)

// TestLeaf: a test that wants a bad certificate gets one that is bad in no other way.
func TestLeaf(t *testing.T) {
	type leafTest struct {
		name    string
		options Options
		bad     x509.InvalidReason // -1: it is good
	}
	tests := []leafTest{
		{"expired", Options{Expired: true}, x509.Expired},
		{"of the future", Options{Future: true}, x509.Expired},
		{"for clients alone", Options{Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, x509.IncompatibleUsage},
		{"of another name", Options{Name: "example.com"}, -1},
	}
	for _, kind := range Kinds {
		tests = append(tests, leafTest{kind, Options{Kind: kind}, -1})
	}
	for _, authority := range []string{P256, Ed25519} {
		ca := CAWith(t, authority)
		for _, test := range tests {
			leaf := ca.Leaf(t, test.options).Leaf
			name := test.options.Name
			if name == "" {
				name = "localhost"
			}
			_, err := leaf.Verify(x509.VerifyOptions{Roots: ca.Pool(), DNSName: name, CurrentTime: Now})
			invalid, isInvalid := err.(x509.CertificateInvalidError)
			switch {
			case test.bad < 0 && err != nil:
				t.Errorf("%s: %v", test.name, err)
			case test.bad >= 0 && (!isInvalid || invalid.Reason != test.bad):
				t.Errorf("%s: %v, want the reason %d", test.name, err, test.bad)
			}
			if _, err := leaf.Verify(x509.VerifyOptions{Roots: CA(t).Pool(), DNSName: name, CurrentTime: Now}); err == nil {
				t.Errorf("%s: another authority's", test.name)
			}
		}
	}
}

// TestPEM: what is written is what crypto/tls reads.
func TestPEM(t *testing.T) {
	ca := CA(t)
	for _, kind := range Kinds {
		leaf := ca.Leaf(t, Options{Kind: kind})
		chain, key := PEM(t, leaf)
		read, err := tls.X509KeyPair(chain, key)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
		} else if !read.Leaf.Equal(leaf.Leaf) {
			t.Errorf("%s: another certificate", kind)
		}
	}
}
