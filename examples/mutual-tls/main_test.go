package main

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

func TestRun(t *testing.T) {
	ca := pkitest.CA(t)
	dir := t.TempDir()
	file := func(name string, parts ...[]byte) string {
		path := filepath.Join(dir, name)
		var all []byte
		for _, p := range parts {
			all = append(all, p...)
		}
		if err := os.WriteFile(path, all, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	leaf := func(name string) string {
		chain, key := pkitest.PEM(t, ca.Leaf(t, pkitest.Options{Name: name}))
		return file(name, chain, key)
	}
	caPEM, _ := pkitest.PEM(t, tls.Certificate{Certificate: [][]byte{ca.Certificate.Raw}, PrivateKey: pkitest.Key(t, pkitest.P256, false)})
	var out strings.Builder
	if err := run(&out, file("ca", caPEM), leaf("localhost"), leaf("me")); err != nil {
		t.Fatal(err)
	}
	if out.String() != "hello me\n" {
		t.Errorf("got %q", out.String())
	}
}
