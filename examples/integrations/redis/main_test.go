package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/examples/integrations/internal/exampletest"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// start runs Redis with mutual TLS, and returns its address.
func start(t *testing.T, ca *pkitest.Authority) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		exampletest.Missing(t, "redis-server")
	}
	chain, key := pkitest.PEM(t, ca.Leaf(t, pkitest.Options{}))
	port := exampletest.FreePort(t)
	cmd := exec.Command(path, "--port", "0", "--bind", "127.0.0.1", "--tls-port", port, "--save", "", "--appendonly", "no", "--dir", t.TempDir(),
		"--tls-cert-file", exampletest.Save(t, chain), "--tls-key-file", exampletest.Save(t, key), "--tls-ca-cert-file", exampletest.CAFile(t, ca))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	var log strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		log.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "eady to accept connections") {
			go io.Copy(io.Discard, out)
			return net.JoinHostPort("localhost", port)
		}
	}
	t.Fatalf("Redis does not start:\n%s", &log)
	return ""
}

// TestRun: the program sets a key, and Redis refuses a client without a good certificate.
func TestRun(t *testing.T) {
	ca, other := pkitest.CA(t), pkitest.CA(t)
	address := start(t, ca)
	cas, me := exampletest.CAFile(t, ca), exampletest.PairFile(t, ca.Leaf(t, pkitest.Options{Name: "me"}))
	large := strings.Repeat("x", 100_000)
	for _, value := range []string{"hello", large} {
		var out strings.Builder
		if err := run(&out, []string{address, cas, me, "key", value}); err != nil || out.String() != value+"\n" {
			t.Errorf("it prints %d bytes, %v", out.Len(), err)
		}
	}
	stranger := exampletest.PairFile(t, other.Leaf(t, pkitest.Options{Name: "stranger"}))
	if err := run(io.Discard, []string{address, cas, stranger, "key", "x"}); err == nil {
		t.Error("a stranger is served")
	}
	if err := run(io.Discard, []string{address, exampletest.CAFile(t, other), me, "key", "x"}); err == nil || !strings.Contains(err.Error(), "not trusted") {
		t.Errorf("a server of another authority: %v", err)
	}
	if err := run(io.Discard, nil); err != errUsage {
		t.Errorf("without arguments: %v", err)
	}
}

// TestPool: many connections at once, of which later ones resume a session, and a subscription.
func TestPool(t *testing.T) {
	ca := pkitest.CA(t)
	cfg := &hermetic.Config{RootCAs: ca.Pool(), Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}}
	cfg.SessionCache = hermetic.NewSessionCache(1)
	resumed := make(chan bool, 100)
	cfg.VerifyConnection = func(s hermetic.ConnectionState) error {
		resumed <- s.DidResume
		return nil
	}
	client := newClient(start(t, ca), cfg)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), exampletest.Patience)
	defer cancel()
	sub := client.Subscribe(ctx, "news")
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	failed := make(chan error)
	for range 8 {
		go func() {
			for range 50 {
				if err := client.Incr(ctx, "counter").Err(); err != nil {
					failed <- err
					return
				}
			}
			failed <- client.Publish(ctx, "news", "done").Err()
		}()
	}
	for range 8 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
		if m, err := sub.ReceiveMessage(ctx); err != nil || m.Payload != "done" {
			t.Errorf("%v, %v", m, err)
		}
	}
	if n, err := client.Get(ctx, "counter").Int(); n != 400 || err != nil {
		t.Errorf("the counter is %d, %v", n, err)
	}
	client.Close()
	close(resumed)
	any := false
	for r := range resumed {
		any = any || r
	}
	if !any {
		t.Error("no connection resumed a session")
	}
}
