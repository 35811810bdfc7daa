package main

//lint:file-ignore SA1019 net/http speaks HTTP/2 only over conns of crypto/tls

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"

	"golang.org/x/net/http2"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/netconn"
)

func TestServe(t *testing.T) {
	ca := pkitest.CA(t)
	l, err := netconn.Listen("tcp", "127.0.0.1:0", &hermetic.Config{
		Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})},
		NextProtos:   []string{"h2", "http/1.1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		serve(l, &http.Server{Handler: http.HandlerFunc(describe)})
	}()
	ours := &hermetic.Config{RootCAs: ca.Pool(), NextProtos: []string{"h2"}}
	for _, c := range []struct {
		name, want string
		transport  http.RoundTripper
	}{
		{"net/http, HTTP/2", "HTTP/2.0 over TLS 1.3\n", &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}, ForceAttemptHTTP2: true}},
		{"net/http, HTTP/1.1", "HTTP/1.1 over TLS 1.2\n", &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), MaxVersion: tls.VersionTLS12}}},
		{"x/net/http2 over netconn", "HTTP/2.0 over TLS 1.3\n", &http2.Transport{DialTLSContext: func(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
			return netconn.Dial(ctx, network, addr, ours)
		}}},
	} {
		client := &http.Client{Transport: c.transport}
		r, err := client.Get("https://" + l.Addr().String() + "/")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got, err := io.ReadAll(r.Body)
		r.Body.Close()
		if string(got) != c.want || err != nil {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
		client.CloseIdleConnections()
	}
	l.Close()
	<-done
}
