package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/examples/integrations/internal/exampletest"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/netconn"
)

// start runs the server, and returns its address.
func start(t *testing.T, ca *pkitest.Authority) string {
	t.Helper()
	l, err := netconn.Listen("tcp", "127.0.0.1:0", &hermetic.Config{Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}})
	if err != nil {
		t.Fatal(err)
	}
	srv := newServer()
	ended := make(chan error, 1)
	go func() { ended <- netconn.Serve(srv, l) }()
	t.Cleanup(func() {
		srv.Close()
		if err := <-ended; err != http.ErrServerClosed {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// TestRun: the two programs understand each other, in messages of several frames and records too.
func TestRun(t *testing.T) {
	ca := pkitest.CA(t)
	address, cas := start(t, ca), exampletest.CAFile(t, ca)
	for _, message := range []string{"hello", "", strings.Repeat("ö", 15_000)} {
		var out strings.Builder
		if err := run(&out, []string{"client", "wss://" + address, cas, message}); err != nil || out.String() != message+"\n" {
			t.Errorf("%d bytes, %v, want %d", out.Len(), err, len(message))
		}
	}
	stranger := exampletest.CAFile(t, pkitest.CA(t))
	if err := run(new(strings.Builder), []string{"client", "wss://" + address, stranger, "x"}); err == nil || !strings.Contains(err.Error(), "not trusted") {
		t.Errorf("with another authority: %v", err)
	}
	if err := run(new(strings.Builder), []string{"client", "wss://" + address, cas, strings.Repeat("x", maxMessage+1)}); websocket.CloseStatus(err) != websocket.StatusMessageTooBig {
		t.Errorf("a message that is too big: %v", err)
	}
	for _, args := range [][]string{nil, {"client"}, {"server", "x"}, {"other", "x", "y"}} {
		if err := run(nil, args); err != errUsage {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// TestOthers: each end understands crypto/tls.
func TestOthers(t *testing.T) {
	ca := pkitest.CA(t)
	ctx, cancel := context.WithTimeout(t.Context(), exampletest.Patience)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}}}
	defer client.CloseIdleConnections()
	c, _, err := websocket.Dial(ctx, "wss://"+start(t, ca), &websocket.DialOptions{HTTPClient: client})
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	if err := c.Write(ctx, websocket.MessageBinary, []byte{0, 1, 2}); err != nil {
		t.Fatal(err)
	}
	if kind, got, err := c.Read(ctx); err != nil || kind != websocket.MessageBinary || !bytes.Equal(got, []byte{0, 1, 2}) {
		t.Errorf("%v %x, %v", kind, got, err)
	}
	if err := c.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
}
