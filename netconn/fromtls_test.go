package netconn

import (
	"context"
	"crypto/tls"
	"net"
	"testing"

	"github.com/hermetic-tls/hermetic"
)

// TestCallbacksSeeThePeer: the callbacks of a tls.Config see the addresses of the connection, over
// TCP and UDP, and over TCP the context of the handshake.
func TestCallbacksSeeThePeer(t *testing.T) {
	client, plain := configs(t)
	seen := make(chan *tls.ClientHelloInfo, 1)
	server, err := hermetic.FromTLS(&tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		h.Conn.LocalAddr() // which must not wait for the handshake
		if err := h.Context().Err(); err != nil {
			t.Errorf("the context is done: %v", err)
		}
		seen <- h
		return &plain.Certificates[0], nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, h *tls.ClientHelloInfo, peer net.Addr) {
		if got := h.Conn.RemoteAddr(); got.String() != peer.String() {
			t.Errorf("%s: the callback sees %v, and the client is %v", name, got, peer)
		}
	}
	c, _ := datagramPair(t, client, server)
	check("UDP", <-seen, c.LocalAddr())

	type key struct{}
	rawClient, rawServer := tcpPipe(t)
	c = Client(rawClient, client)
	s := Server(rawServer, server)
	done := make(chan error, 1)
	go func() { done <- s.HandshakeContext(context.WithValue(t.Context(), key{}, "value")) }()
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	h := <-seen
	check("TCP", h, c.LocalAddr())
	if h.Context().Err() != context.Canceled {
		t.Errorf("after the handshake the context's error is %v", h.Context().Err())
	}
	if h.Conn != rawServer || h.Context().Value(key{}) != "value" {
		t.Errorf("the connection is %v and the context %v", h.Conn, h.Context())
	}
}
