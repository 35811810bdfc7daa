package netconn

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// patience bounds what must not hang.
const patience = 5 * time.Minute

// configs are for a client and a server that accept each other.
func configs(t testing.TB) (client, server *hermetic.Config) {
	t.Helper()
	ca := pkitest.CA(t)
	return &hermetic.Config{RootCAs: ca.Pool(), ServerName: "localhost"},
		&hermetic.Config{Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}}
}

// tcpPipe is a connection over loopback.
func tcpPipe(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return client, server
}

// pair is two ends of a connection, with a deadline that a test does not reach.
func pair(t testing.TB, client, server *hermetic.Config) (c, s *Conn) {
	t.Helper()
	rawClient, rawServer := tcpPipe(t)
	c, s = Client(rawClient, client), Server(rawServer, server)
	return ready(t, c, s)
}

// datagramPair is the same over UDP.
func datagramPair(t testing.TB, client, server *hermetic.Config) (c, s *Conn) {
	t.Helper()
	l, err := ListenPacket("udp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if c, err = Dial(t.Context(), "udp", l.Addr().String(), client); err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return ready(t, c, accepted.(*Conn))
}

func ready(t testing.TB, c, s *Conn) (*Conn, *Conn) {
	for _, conn := range []*Conn{c, s} {
		conn.SetDeadline(time.Now().Add(patience))
		t.Cleanup(func() { conn.Close() })
	}
	both(t, c.Handshake, s.Handshake)
	return c, s
}

// both runs two things that wait for each other.
func both(t testing.TB, a, b func() error) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- a() }()
	if err := b(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// transports are what a test of a connection runs over.
var transports = []struct {
	name string
	pair func(testing.TB, *hermetic.Config, *hermetic.Config) (c, s *Conn)
}{{"TLS", pair}, {"DTLS", datagramPair}}

// everywhere runs a test over both transports and both versions.
func everywhere(t *testing.T, f func(t *testing.T, c, s *Conn)) {
	for _, tr := range transports {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(fmt.Sprintf("%s 1.%d", tr.name, version-tls.VersionTLS10), func(t *testing.T) {
				client, server := configs(t)
				client.MaxVersion, server.MaxVersion = version, version
				c, s := tr.pair(t, client, server)
				f(t, c, s)
			})
		}
	}
}

func TestExchange(t *testing.T) {
	everywhere(t, func(t *testing.T, c, s *Conn) {
		for _, way := range []struct{ from, to *Conn }{{c, s}, {s, c}} {
			for _, n := range []int{1, 1000, 16384} {
				sent, got := bytes.Repeat([]byte{byte(n), 1}, n/2+1)[:n], make([]byte, n)
				both(t, func() error {
					_, err := way.from.Write(sent)
					return err
				}, func() error {
					_, err := io.ReadFull(way.to, got)
					return err
				})
				if !bytes.Equal(sent, got) {
					t.Errorf("%d bytes are not those that were sent", n)
				}
			}
		}
		if state := s.ConnectionState(); !state.HandshakeComplete || state.Version != s.State().Version || state.ServerName != "localhost" {
			t.Errorf("state %+v", state)
		}
		if _, err := c.Write(nil); err != nil {
			t.Errorf("nothing: %v", err)
		}
	})
}

// TestEnds: what users of crypto/tls know of the ends of a connection.
func TestEnds(t *testing.T) {
	everywhere(t, func(t *testing.T, c, s *Conn) {
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("more")); !errors.Is(err, hermetic.ErrInvalidOperation) {
			t.Errorf("Write after CloseWrite: %v", err)
		}
		for range 2 {
			if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("Read after close_notify: %d, %v", n, err)
			}
		}
		answer := []byte("the other half")
		if _, err := s.Write(answer); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(answer))
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, answer) {
			t.Errorf("after CloseWrite: %q, %v", got, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := c.Read(got); err != io.EOF {
			t.Errorf("after the peer's Close: %v", err)
		}
		for name, f := range map[string]func() error{
			"Read":       func() error { _, err := s.Read(got); return err },
			"Write":      func() error { _, err := s.Write(got); return err },
			"Close":      s.Close,
			"CloseWrite": s.CloseWrite,
		} {
			if err := f(); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s after Close: %v", name, err)
			}
		}
	})
}

// TestCloseInterrupts: Close ends what waits.
func TestCloseInterrupts(t *testing.T) {
	everywhere(t, func(t *testing.T, c, _ *Conn) {
		done := make(chan error)
		for range 3 {
			go func() {
				_, err := c.Read(make([]byte, 1))
				done <- err
			}()
		}
		runtime.Gosched()
		c.Close()
		for range 3 {
			if err := <-done; !errors.Is(err, net.ErrClosed) {
				t.Errorf("Read while Close: %v", err)
			}
		}
	})
}

// TestDeadlines: they are not fatal.
func TestDeadlines(t *testing.T) {
	everywhere(t, func(t *testing.T, c, s *Conn) {
		buf := make([]byte, 10)
		for _, set := range []struct {
			name  string
			until time.Time
		}{{"in the past", past}, {"to come", time.Now().Add(time.Millisecond)}} {
			c.SetReadDeadline(set.until)
			if n, err := c.Read(buf); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || !isTimeout(err) {
				t.Errorf("Read with a deadline %s: %d, %v", set.name, n, err)
			}
		}
		c.SetWriteDeadline(past)
		if n, err := c.Write(buf); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write with a deadline in the past: %d, %v", n, err)
		}
		// A deadline also ends a Read that has begun.
		c.SetDeadline(time.Time{})
		done := make(chan error)
		go func() {
			_, err := c.Read(buf)
			done <- err
		}()
		runtime.Gosched()
		c.SetReadDeadline(past)
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Read and then a deadline: %v", err)
		}
		c.SetDeadline(time.Now().Add(patience))
		both(t, func() error {
			_, err := s.Write([]byte("0123456789"))
			return err
		}, func() error {
			_, err := io.ReadFull(c, buf)
			return err
		})
	})
}

// TestConcurrent: all methods at once, for the race detector.
func TestConcurrent(t *testing.T) {
	everywhere(t, func(t *testing.T, c, s *Conn) {
		var writers, readers sync.WaitGroup
		for _, conn := range []*Conn{c, s} {
			for range 2 {
				writers.Go(func() {
					for range 200 {
						if _, err := conn.Write(make([]byte, 100)); err != nil {
							t.Error(err)
							return
						}
						conn.State()
						conn.SetWriteDeadline(time.Now().Add(patience))
					}
				})
				readers.Go(func() {
					buf := make([]byte, 1000)
					for {
						if _, err := conn.Read(buf); err != nil {
							return // Close
						}
						conn.SetReadDeadline(time.Now().Add(patience))
						conn.RemoteAddr()
						conn.LocalAddr()
					}
				})
			}
		}
		writers.Wait()
		for _, conn := range []*Conn{c, s} {
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		}
		readers.Wait()
	})
}

// TestConfigErrors: what is wrong with a Config is the error of every method.
func TestConfigErrors(t *testing.T) {
	raw, _ := tcpPipe(t)
	for name, c := range map[string]*Conn{
		"TLS without a name":   Client(raw, &hermetic.Config{}),
		"TLS without a Config": Server(raw, nil),
		"DTLS without a name":  DTLSClient(raw, &hermetic.Config{}),
		"DTLS without":         DTLSServer(raw, nil),
		"DTLS with early data": DTLSServer(raw, &hermetic.Config{MaxEarlyData: 1}),
	} {
		_, readErr := c.Read(make([]byte, 1))
		_, writeErr := c.Write(make([]byte, 1))
		first := c.Handshake()
		for _, err := range []error{first, readErr, writeErr} {
			if err == nil || err != first {
				t.Errorf("%s: %v", name, err)
			}
		}
		if c.State().HandshakeComplete || c.ConnectionState().HandshakeComplete {
			t.Errorf("%s: complete", name)
		}
		c.Close()
	}
	for _, network := range []string{"tcp", "udp"} {
		if _, err := Listen(network, "127.0.0.1:0", nil); err == nil {
			t.Errorf("Listen on %s without a Config", network)
		}
	}
}

// listenOnce listens, and makes the handshake of a first connection: over TLS that is
// the caller's part.
func listenOnce(t *testing.T, network string, cfg *hermetic.Config) net.Listener {
	t.Helper()
	l, err := Listen(network, "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	if network == "tcp" {
		go func() {
			if c, err := l.Accept(); err == nil {
				c.(*Conn).Handshake()
				c.Close()
			}
		}()
	}
	return l
}

// TestDialWithPSKs: no certificate stands in for a PSK that the server does not have,
// though it is good for the address that was dialled.
func TestDialWithPSKs(t *testing.T) {
	psks := []hermetic.PSK{{Identity: []byte("device"), Key: []byte("0123456789abcdef")}}
	for _, network := range []string{"tcp", "udp"} {
		for _, test := range []struct {
			name       string
			serverName string
			raw        bool // the client knows the server's public key, not a PSK
			known      []hermetic.PSK
			want       string
		}{
			{"the server has the PSK", "", false, psks, ""},
			{"it has a certificate alone", "", false, nil, "no ServerName"},
			{"it has a certificate alone, and there is a name to verify", "localhost", false, nil, ""},
			{"it has a certificate instead of a raw public key", "", true, nil, "no ServerName"},
		} {
			client, server := configs(t)
			client.ServerName, client.PSKs, server.PSKs = test.serverName, psks, test.known
			if test.raw {
				client.PSKs, client.PeerCertificateTypes = nil, []hermetic.CertificateType{hermetic.CertificateRawPublicKey, hermetic.CertificateX509}
				client.PeerPublicKeys = []crypto.PublicKey{server.Certificates[0].PrivateKey.(crypto.Signer).Public()}
			}
			l := listenOnce(t, network, server)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			c, err := Dial(ctx, network, l.Addr().String(), client)
			cancel()
			if err == nil {
				c.Close()
			}
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s, %s: %v, want %q", network, test.name, err, test.want)
			}
			l.Close()
		}
	}
}

// TestRefusal: both ends hear why, and hear it again.
func TestRefusal(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		client, server := configs(t)
		client.NextProtos, server.NextProtos = []string{"a"}, []string{"b"}
		l := listenOnce(t, network, server)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		var alert *hermetic.AlertError
		if _, err := Dial(ctx, network, l.Addr().String(), client); !errors.As(err, &alert) || !alert.Received || alert.Alert != hermetic.AlertNoApplicationProtocol {
			t.Errorf("%s: %v", network, err)
		}
		cancel()
		l.Close()
	}
	client, server := configs(t)
	rawClient, rawServer := tcpPipe(t)
	client.ServerName = "elsewhere"
	c, s := Client(rawClient, client), Server(rawServer, server)
	done := make(chan error)
	go func() { done <- s.Handshake() }()
	first := c.Handshake()
	if _, again := c.Read(make([]byte, 1)); first == nil || again != first {
		t.Errorf("%v, and then %v", first, again)
	}
	if _, again := c.Write(make([]byte, 1)); again != first {
		t.Errorf("%v, and then %v", first, again)
	}
	if err := <-done; err == nil {
		// TLS 1.3: the server hears of it with its first Read.
		_, err = s.Read(make([]byte, 1))
		var alert *hermetic.AlertError
		if !errors.As(err, &alert) || alert.Alert != hermetic.AlertBadCertificate {
			t.Errorf("the server: %v", err)
		}
	}
}

// unreachable is a socket whose peer's host says, as often as refusals, that nobody
// listens there.
type unreachable struct {
	net.Conn
	refusals, inWrite atomic.Int32
}

func (u *unreachable) Write(b []byte) (int, error) {
	if u.inWrite.Add(-1) >= 0 {
		return 0, os.NewSyscallError("write", syscall.ECONNREFUSED)
	}
	return u.Conn.Write(b)
}

func (u *unreachable) Read(b []byte) (int, error) {
	if u.refusals.Add(-1) >= 0 {
		return 0, os.NewSyscallError("recvfrom", syscall.ECONNREFUSED)
	}
	return u.Conn.Read(b)
}

// TestUnreachable: a connection outlives any number of ICMP messages, which anybody may
// have sent, or the host of a server that is being started again.
func TestUnreachable(t *testing.T) {
	client, server := configs(t)
	l, err := ListenPacket("udp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("udp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	refused := &unreachable{Conn: conn}
	c := DTLSClient(refused, client)
	if err := c.Handshake(); err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c, s := ready(t, c, accepted.(*Conn))
	refused.refusals.Store(100)
	for _, words := range []string{"before", "after"} {
		if _, err := s.Write([]byte(words)); err != nil {
			t.Fatal(err)
		}
		hears(t, c, words)
	}
	refused.inWrite.Store(1)
	if _, err := c.Write([]byte("so am I")); err != nil {
		t.Fatal(err)
	}
	hears(t, s, "so am I")
}

// TestAsync: questions that nobody answers do not hang.
func TestAsync(t *testing.T) {
	for _, tr := range []string{"tcp", "udp"} {
		client, server := configs(t)
		client.Async = hermetic.AsyncVerify
		l, err := Listen(tr, "127.0.0.1:0", server)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				c.(*Conn).Handshake()
			}
		}()
		if _, err := Dial(t.Context(), tr, l.Addr().String(), client); !errors.Is(err, errPending) {
			t.Errorf("%s: %v", tr, err)
		}
		l.Close()
	}
}

// TestHandshakeContext: a context that is done ends the handshake.
func TestHandshakeContext(t *testing.T) {
	client, server := configs(t)
	raw, _ := tcpPipe(t)
	_, other := tcpPipe(t)
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	silent, err := net.Dial("udp", udp.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*Conn{
		"TLS client":  Client(raw, client),
		"TLS server":  Server(other, server),
		"DTLS client": DTLSClient(silent, client),
	} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.HandshakeContext(ctx) }()
		runtime.Gosched()
		cancel()
		if err := <-done; err != context.Canceled {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: Read afterwards", name)
		}
		c.Close()
	}
}
