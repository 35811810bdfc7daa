// Package exampletest has what the tests of the examples share.
package exampletest

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// Patience bounds what must not hang.
const Patience = 2 * time.Minute

// Missing skips a test that needs what is not installed; under CI it fails.
func Missing(t testing.TB, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what + " is not installed")
	}
	t.Skip(what + " is not installed")
}

// CAFile saves an authority's certificate.
func CAFile(t testing.TB, ca *pkitest.Authority) string {
	t.Helper()
	chain, _ := pkitest.PEM(t, tls.Certificate{Certificate: [][]byte{ca.Certificate.Raw}, PrivateKey: ca.Key()})
	return Save(t, chain)
}

// PairFile saves a certificate and its key in one file.
func PairFile(t testing.TB, c tls.Certificate) string {
	t.Helper()
	chain, key := pkitest.PEM(t, c)
	return Save(t, slices.Concat(chain, key))
}

// Save saves data in a new file.
func Save(t testing.TB, data []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// FreePort returns a port that nobody listens at.
func FreePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
