package main

import (
	"crypto/tls"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// TestRun: the two programs understand each other, and the server refuses a client that its
// authority has not signed.
func TestRun(t *testing.T) {
	ca, other := pkitest.CA(t), pkitest.CA(t)
	dir := t.TempDir()
	save := func(name string, parts ...[]byte) string {
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
	leaf := func(file string, by *pkitest.Authority, name string) string {
		chain, key := pkitest.PEM(t, by.Leaf(t, pkitest.Options{Name: name}))
		return save(file, chain, key)
	}
	chain, _ := pkitest.PEM(t, tls.Certificate{Certificate: [][]byte{ca.Certificate.Raw}, PrivateKey: pkitest.Key(t, pkitest.P256, false)})
	cas := save("ca.pem", chain)

	server, err := newServer(ca.Pool(), ca.Leaf(t, pkitest.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go server.Serve(l)
	defer server.Stop()

	var out strings.Builder
	if err := run(&out, []string{"client", l.Addr().String(), cas, leaf("me.pem", ca, "me"), "hello"}); err != nil {
		t.Fatal(err)
	}
	if out.String() != "hello, me, over TLS 1.3\n" {
		t.Errorf("it prints %q", out.String())
	}
	err = run(&out, []string{"client", l.Addr().String(), cas, leaf("stranger.pem", other, "stranger"), "hello"})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a stranger: %v", err)
	}
	for _, args := range [][]string{nil, {"client", "address", cas, leaf("x.pem", ca, "x")}, {"other", "address", cas, leaf("y.pem", ca, "y")}} {
		if err := run(&out, args); err != errUsage {
			t.Errorf("%q: %v", args, err)
		}
	}
	for _, args := range [][]string{{"server", l.Addr().String(), cas, leaf("z.pem", ca, "localhost")}, {"server", ":0", "missing", cas}, {"server", ":0", cas, "missing"}} {
		if err := run(&out, args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
