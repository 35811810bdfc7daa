package main

import (
	"crypto/tls"
	"io"
	"net/http"
	"testing"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/netconn"
)

func TestServe(t *testing.T) {
	ca := pkitest.CA(t)
	l, err := netconn.Listen("tcp", "127.0.0.1:0", &hermetic.Config{Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		serve(l)
	}()
	for _, c := range []struct {
		name, want string
		transport  http.RoundTripper
	}{
		{"net/http, HTTP/2", "HTTP/2.0 over TLS 1.3\n", &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool()}, ForceAttemptHTTP2: true}},
		{"net/http, HTTP/1.1", "HTTP/1.1 over TLS 1.2\n", &http.Transport{TLSClientConfig: &tls.Config{RootCAs: ca.Pool(), MaxVersion: tls.VersionTLS12}}},
		{"netconn, HTTP/2", "HTTP/2.0 over TLS 1.3\n", netconn.Transport(&hermetic.Config{RootCAs: ca.Pool()})},
		{"netconn, HTTP/1.1", "HTTP/1.1 over TLS 1.3\n", netconn.Transport(&hermetic.Config{RootCAs: ca.Pool(), NextProtos: []string{"http/1.1"}})},
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
