package netconn

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"testing"

	"github.com/hermetic-tls/hermetic"
)

// TestHandoffOfOtherProtocol: a connection that waits for the transport of its protocol is not given
// to the other one, which other requests may have chosen for this one meanwhile.
func TestHandoffOfOtherProtocol(t *testing.T) {
	client, server := configs(t)
	for _, h2 := range []bool{false, true} {
		waiting, dialed := protoHTTP2, protoHTTP1
		if h2 {
			waiting, dialed = dialed, waiting
		}
		client.NextProtos = []string{dialed}
		tr := &roundTripper{outer: &http.Transport{ForceAttemptHTTP2: true}, common: &handshakes{cfg: client}}
		over := new(handoff)
		c, err := tr.connect(t.Context(), nil, listening(t, server, waiting), []string{waiting})
		if err != nil {
			t.Fatal(err)
		}
		over.give(c)
		r := &route{transport: tr, speaks: make(map[string]bool)}
		got, err := r.dial(context.WithValue(t.Context(), handoffKey{}, over), listening(t, server, dialed), h2)
		if err != nil {
			t.Fatal(err)
		}
		defer got.Close()
		if proto := got.(*Conn).State().NegotiatedProtocol; proto != dialed {
			t.Errorf("a dial for %s: a connection with %s", dialed, proto)
		}
		over.end()
		if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the connection with %s is left open: %v", waiting, err)
		}
	}
}

// listening returns the address of a server that completes handshakes with one protocol.
func listening(t *testing.T, cfg *hermetic.Config, proto string) string {
	t.Helper()
	cfg = cfg.Clone()
	cfg.NextProtos = []string{proto}
	l, err := Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go conn.(*Conn).Handshake()
			t.Cleanup(func() { conn.Close() })
		}
	}()
	return l.Addr().String()
}

// TestDialedNothing: a DialContext that returns nothing is an error, as in net/http.
func TestDialedNothing(t *testing.T) {
	for name, proxy := range map[string]string{"directly": "", "through a proxy": "http://proxy.example"} {
		transport := Transport(nil)
		transport.Proxy = func(r *http.Request) (*url.URL, error) {
			if proxy == "" {
				return nil, nil
			}
			return url.Parse(proxy)
		}
		transport.DialContext = func(context.Context, string, string) (net.Conn, error) { return nil, nil }
		if _, err := (&http.Client{Transport: transport}).Get("https://server.example"); !errors.Is(err, errDialedNothing) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
