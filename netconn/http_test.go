package netconn_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/netconn"
)

// serveHTTP serves h over TLS, and returns the address and a client.
func serveHTTP(t *testing.T, h http.Handler) (url string, pool *x509.CertPool) {
	t.Helper()
	ca := pkitest.CA(t)
	l, err := netconn.Listen("tcp", "127.0.0.1:0", &hermetic.Config{
		Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})},
		ClientAuth:   tls.VerifyClientCertIfGiven,
		ClientCAs:    ca.Pool(),
		NextProtos:   []string{"http/1.1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h}
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if err := <-done; err != http.ErrServerClosed {
			t.Error(err)
		}
	})
	return "https://" + l.Addr().String(), ca.Pool()
}

// TestHTTP: net/http serves HTTP/1.1, with Request.TLS set, to its own client over
// crypto/tls and over netconn.
func TestHTTP(t *testing.T) {
	url, pool := serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		fmt.Fprintf(w, "%s %s %s %d", tls.VersionName(r.TLS.Version), r.TLS.NegotiatedProtocol, r.Proto, len(body))
	}))
	ours := &hermetic.Config{RootCAs: pool, NextProtos: []string{"http/1.1"}}
	for name, transport := range map[string]*http.Transport{
		"crypto/tls": {TLSClientConfig: &tls.Config{RootCAs: pool, NextProtos: []string{"http/1.1"}}},
		"netconn": {DialTLSContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return netconn.Dial(ctx, network, addr, ours)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			defer transport.CloseIdleConnections()
			client := &http.Client{Transport: transport}
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() {
					for range 3 { // some on the same connection
						size := i * 100_000
						r, err := client.Post(url, "text/plain", strings.NewReader(strings.Repeat("x", size)))
						if err != nil {
							t.Error(err)
							return
						}
						got, err := io.ReadAll(r.Body)
						r.Body.Close()
						if want := fmt.Sprint("TLS 1.3 http/1.1 HTTP/1.1 ", size); err != nil || string(got) != want {
							t.Errorf("got %q, %v, want %q", got, err, want)
						}
					}
				})
			}
			wg.Wait()
		})
	}
}
