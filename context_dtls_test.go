package hermetic

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"
)

// datagramBIO is one end of a datagram transport in memory.
type datagramBIO struct {
	in, out  *[][]byte
	lose     func() bool
	full     bool // nothing can be written
	writeErr error
}

func (b *datagramBIO) Read(p []byte) (int, error) {
	if len(*b.in) == 0 {
		return 0, nil
	}
	d := (*b.in)[0]
	*b.in = (*b.in)[1:]
	return copy(p, d), nil
}

func (b *datagramBIO) Write(p []byte) (int, error) {
	if b.full || b.writeErr != nil {
		return 0, b.writeErr
	}
	if b.lose == nil || !b.lose() {
		*b.out = append(*b.out, bytes.Clone(p))
	}
	return len(p), nil
}

// datagramContexts are a client and a server as the Lua document describes them.
func datagramContexts(t *testing.T, version uint16) (client, server *Context, now *time.Time, bios [2]*datagramBIO) {
	n := newNetwork(t, func(c, s *Config) {
		c.MaxVersion = version
		s.DTLS.TrustAddress = false
	})
	var up, down [][]byte
	bios = [2]*datagramBIO{{in: &down, out: &up}, {in: &up, out: &down}}
	client, err := NewContext(DTLSClient, n.client.plan.cfg, bios[0])
	if err != nil {
		t.Fatal(err)
	}
	if server, err = NewContext(DTLSServer, n.server.plan.cfg, bios[1]); err != nil {
		t.Fatal(err)
	}
	return client, server, &n.now, bios
}

// TestTwoSteps: the DTLS server of the Lua document.
func TestTwoSteps(t *testing.T) {
	for _, version := range versions {
		client, server, _, bios := datagramContexts(t, version)
		if err := server.Handshake(); err != ErrWantRead {
			t.Fatalf("no datagram yet: %v", err)
		}
		if err := client.Handshake(); err != ErrWantRead {
			t.Fatal(err)
		}
		if err := server.Handshake(); !errors.Is(err, ErrInvalidOperation) {
			t.Fatalf("without an identity: %v", err)
		}
		if len(*bios[1].out) != 0 {
			t.Error("something was sent without an identity")
		}
		if err := server.SetPeerID([]byte("127.0.0.1#1")); err != nil {
			t.Fatal(err)
		}
		bios[1].full = true
		if err := server.Handshake(); err != ErrWantWrite {
			t.Fatalf("a hello without a cookie, and nothing can be written: %v", err)
		}
		bios[1].full, bios[1].writeErr = false, io.ErrClosedPipe
		if err := server.Handshake(); err != io.ErrClosedPipe {
			t.Fatalf("a hello without a cookie, and the transport fails: %v", err)
		}
		bios[1].writeErr = nil
		if err := server.Handshake(); err != ErrUnverified {
			t.Fatalf("a hello without a cookie: %v", err)
		}
		if len(*bios[1].out) != 1 {
			t.Errorf("%d datagrams answer it", len(*bios[1].out))
		}
		if _, ok := server.Timeout(); ok {
			t.Error("a timer runs for a stranger")
		}
		if err := client.Handshake(); err != ErrWantRead {
			t.Fatal(err)
		}
		if err := server.Handshake(); !errors.Is(err, ErrInvalidOperation) {
			t.Fatalf("the identity is not forgotten: %v", err)
		}
		if err := server.SetPeerID([]byte("127.0.0.1#1")); err != nil {
			t.Fatal(err)
		}
		if err := server.Handshake(); err != nil {
			t.Fatalf("the first step: %v", err)
		}
		if server.Engine().HandshakeComplete() || len(*bios[1].out) != 0 {
			t.Error("the first step has done more than look at a ClientHello")
		}
		both(t, client.Handshake, server.Handshake)
		buf := make([]byte, 100)
		if n, err := client.Write([]byte("hello")); n != 5 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if n, err := server.Read(buf); err != nil || string(buf[:n]) != "hello" {
			t.Errorf("%q, %v", buf[:n], err)
		}
		for _, c := range []*Context{client, server} {
			if d, ok := c.Timeout(); ok {
				t.Errorf("a timeout of %v after the handshake", d)
			}
		}
		if _, err := server.Write(make([]byte, 1<<14+1)); !errors.Is(err, ErrInvalidOperation) {
			t.Errorf("a datagram that is too large: %v", err)
		}
		if n, err := server.Write(make([]byte, 1<<14)); n != 1<<14 || err != nil {
			t.Errorf("the largest datagram: %d, %v", n, err)
		}
		if err := client.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := server.Read(buf); err != ErrClosed {
			t.Errorf("after close_notify: %v", err)
		}
	}
}

// TestContextTrustsTheAddress: with TrustAddress a server asks for no cookie, and needs
// no identity.
func TestContextTrustsTheAddress(t *testing.T) {
	for _, version := range versions {
		n := newNetwork(t, func(c, _ *Config) { c.MaxVersion = version })
		var up, down [][]byte
		client, err := NewContext(DTLSClient, n.client.plan.cfg, &datagramBIO{in: &down, out: &up})
		if err != nil {
			t.Fatal(err)
		}
		server, err := NewContext(DTLSServer, n.server.plan.cfg, &datagramBIO{in: &up, out: &down})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := client.Handshake(); err != ErrWantRead {
				t.Fatal(err)
			}
			if err := server.Handshake(); err != ErrWantRead {
				t.Fatalf("the first hello: %v", err)
			}
			both(t, client.Handshake, server.Handshake)
			if !server.Engine().HandshakeComplete() {
				t.Error("the server's handshake is not complete")
			}
			client.Reset()
			server.Reset()
			up, down = nil, nil
		}
	}
}

// TestContextLoss: operations are repeated when the timeout says so.
func TestContextLoss(t *testing.T) {
	for _, version := range versions {
		client, server, now, bios := datagramContexts(t, version)
		random := rand.New(rand.NewPCG(3, 4))
		for _, b := range bios {
			b.lose = func() bool { return random.IntN(4) == 0 }
		}
		clientDone, serverDone := false, false
		for range 1000 {
			if !serverDone {
				server.SetPeerID([]byte("peer"))
				switch err := server.Handshake(); err {
				case nil:
					serverDone = server.Engine().HandshakeComplete()
				case ErrUnverified, ErrWantRead:
				default:
					t.Fatal(err)
				}
			}
			if !clientDone {
				switch err := client.Handshake(); err {
				case nil:
					clientDone = true
				case ErrWantRead:
				default:
					t.Fatal(err)
				}
			}
			if clientDone && serverDone {
				break
			}
			if serverDone { // it still answers for its last flight
				server.Read(make([]byte, 1))
			}
			if len(*bios[0].in)+len(*bios[1].in) > 0 {
				continue
			}
			var wait time.Duration
			for _, c := range []*Context{client, server} {
				if d, ok := c.Timeout(); ok && (wait == 0 || d < wait) {
					wait = d
				}
			}
			*now = now.Add(wait)
		}
		if !clientDone || !serverDone {
			t.Errorf("version %#x: client %v, server %v", version, clientDone, serverDone)
		}
	}
}

// TestEndlessGarbage: a transport that always has a datagram does not prolong an
// operation forever.
func TestEndlessGarbage(t *testing.T) {
	_, server, _, bios := datagramContexts(t, versions[1])
	garbage := make([][]byte, 10*maxTaken)
	for i := range garbage {
		garbage[i] = []byte("garbage")
	}
	*bios[1].in = garbage
	if err := server.SetPeerID([]byte("peer")); err != nil {
		t.Fatal(err)
	}
	if err := server.Handshake(); err != ErrWantRead || len(*bios[1].in) != 9*maxTaken {
		t.Errorf("%v, %d datagrams are left", err, len(*bios[1].in))
	}
}

// TestContextTicket: a DTLS 1.3 client that waits before it acknowledges a ticket says how long, and
// then the next Read does it.
func TestContextTicket(t *testing.T) {
	client, server, now, bios := datagramContexts(t, tls.VersionTLS13)
	cfg := client.Engine().plan.cfg.Clone()
	cfg.SessionCache = NewSessionCache(1)
	client, err := NewContext(DTLSClient, cfg, bios[0])
	if err != nil {
		t.Fatal(err)
	}
	if client.Handshake() != ErrWantRead || server.SetPeerID([]byte("client")) != nil || server.Handshake() != ErrUnverified ||
		client.Handshake() != ErrWantRead || server.SetPeerID([]byte("client")) != nil || server.Handshake() != nil {
		t.Fatal("no cookie")
	}
	both(t, client.Handshake, server.Handshake)
	buf := make([]byte, 100)
	if _, err := client.Read(buf); err != ErrWantRead {
		t.Fatal(err)
	}
	d, ok := client.Timeout()
	if !ok || d != time.Second/4 {
		t.Fatalf("its timeout is %v, %v", d, ok)
	}
	if _, ok := server.Timeout(); !ok {
		t.Error("the server does not wait for an ACK")
	}
	*now = now.Add(d)
	for _, c := range []*Context{client, server, client} {
		if _, err := c.Read(buf); err != ErrWantRead {
			t.Fatal(err)
		}
	}
	for _, c := range []*Context{client, server} {
		if d, ok := c.Timeout(); ok {
			t.Errorf("a timeout of %v remains", d)
		}
	}
	if len(*bios[0].in)+len(*bios[1].in) > 0 {
		t.Error("something is sent again")
	}
}
