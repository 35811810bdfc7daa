package grpctls

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// temporary is what grpc makes of the error of a handshake: see isTemporary in its transport.
func temporary(err error) bool {
	switch err := err.(type) {
	case interface{ Temporary() bool }:
		return err.Temporary()
	case interface{ Timeout() bool }:
		return err.Timeout()
	}
	return true
}

// against runs a client's handshake against what serves conn.
func against(t *testing.T, creds credentials.TransportCredentials, serve func(conn net.Conn)) error {
	t.Helper()
	a, b := tcpPipe(t)
	go serve(b)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, _, err := creds.ClientHandshake(ctx, "localhost:443", a)
	if conn != nil {
		conn.Close()
	}
	return err
}

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
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// TestTemporary: grpc tries again after the errors after which it does with its own credentials, and
// not after the others.
func TestTemporary(t *testing.T) {
	ca, other := pkitest.CA(t), pkitest.CA(t)
	server := func(change func(*tls.Config)) func(net.Conn) {
		cfg := &tls.Config{Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}, NextProtos: []string{"h2"}}
		change(cfg)
		return func(conn net.Conn) {
			s := tls.Server(conn, cfg)
			s.Handshake()
			s.Close()
		}
	}
	wrong := other.Leaf(t, pkitest.Options{})
	for _, test := range []struct {
		name  string
		serve func(net.Conn)
	}{
		{"the peer is gone", func(conn net.Conn) {
			head := make([]byte, 5)
			io.ReadFull(conn, head)
			io.ReadFull(conn, make([]byte, int(head[3])<<8|int(head[4]))) // all of the ClientHello: what is not read makes it a reset
			conn.Close()
		}},
		{"the peer resets", func(conn net.Conn) {
			io.ReadFull(conn, make([]byte, 5))
			conn.Close()
		}},
		{"garbage", func(conn net.Conn) { conn.Write(bytes.Repeat([]byte("garbage"), 100)) }},
		{"plain HTTP", func(conn net.Conn) { io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n") }},
		{"an alert", server(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS11 })},
		{"no shared protocol", server(func(c *tls.Config) { c.NextProtos = []string{"other"} })},
		{"no ALPN", server(func(c *tls.Config) { c.NextProtos = nil })},
		{"another authority", server(func(c *tls.Config) { c.Certificates = []tls.Certificate{wrong} })},
		{"another name", server(func(c *tls.Config) {
			c.Certificates = []tls.Certificate{ca.Leaf(t, pkitest.Options{Name: "example.com"})}
		})},
		{"expired", server(func(c *tls.Config) { c.Certificates = []tls.Certificate{ca.Leaf(t, pkitest.Options{Expired: true})} })},
	} {
		var verdicts [2]bool
		for i, side := range sides {
			err := against(t, side.make(t, &tls.Config{RootCAs: ca.Pool()}), test.serve)
			if err == nil {
				t.Fatalf("%s, %s: no error", test.name, side.name)
			}
			verdicts[i] = temporary(err)
		}
		if verdicts[0] != verdicts[1] {
			t.Errorf("%s: temporary %t, with crypto/tls %t", test.name, verdicts[0], verdicts[1])
		}
	}
}

// TestErrors: errors of a handshake can be matched as everywhere else.
func TestErrors(t *testing.T) {
	ca := pkitest.CA(t)
	cfg := &tls.Config{Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}, MaxVersion: tls.VersionTLS11}
	err := against(t, ours(t, &hermetic.Config{RootCAs: ca.Pool()}), func(conn net.Conn) { tls.Server(conn, cfg).Handshake() })
	var fault *hermetic.AlertError
	if !errors.As(err, &fault) || !fault.Received || fault.Alert != hermetic.AlertProtocolVersion {
		t.Errorf("an old server: %v", err)
	}
	err = against(t, ours(t, &hermetic.Config{}), func(conn net.Conn) { tls.Server(conn, &tls.Config{Certificates: cfg.Certificates}).Handshake() })
	var unknown *tls.CertificateVerificationError
	if !errors.As(err, &unknown) || errors.As(err, new(*net.OpError)) {
		t.Errorf("an unknown authority: %v", err)
	}
}

// TestALPN: neither side speaks gRPC with a peer that has not agreed on h2.
func TestALPN(t *testing.T) {
	ca := pkitest.CA(t)
	leaf := ca.Leaf(t, pkitest.Options{})
	for name, protos := range map[string][]string{"none": nil, "another": {"http/1.1"}, "another first": {"http/1.1", "h2"}} {
		err := against(t, ours(t, &hermetic.Config{RootCAs: ca.Pool(), NextProtos: []string{"http/1.1"}}), func(conn net.Conn) {
			s := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{leaf}, NextProtos: protos})
			s.Handshake()
			io.Copy(io.Discard, s)
		})
		if err == nil || !strings.Contains(err.Error(), "h2") {
			t.Errorf("%s: the client's error is %v", name, err)
		}
		creds := ours(t, &hermetic.Config{Certificates: []tls.Certificate{leaf}, NextProtos: []string{"http/1.1"}})
		a, b := tcpPipe(t)
		go func() {
			c := tls.Client(a, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", NextProtos: protos[:min(1, len(protos))]})
			c.Handshake()
			io.Copy(io.Discard, c)
		}()
		if _, _, err := creds.ServerHandshake(b); err == nil || !strings.Contains(err.Error(), "h2") {
			t.Errorf("%s: the server's error is %v", name, err)
		}
		if _, err := b.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: the server's connection is open: %v", name, err)
		}
	}
}

// TestDone: a context that is done ends a client's handshake with a server that stalls, and closes
// the connection.
func TestDone(t *testing.T) {
	for name, stall := range map[string]func(net.Conn){
		"it does not read": func(net.Conn) {},
		"it sends half a record": func(conn net.Conn) {
			conn.Write([]byte{22, 3, 3, 0x40, 0, 2})
		},
	} {
		for _, want := range []error{context.Canceled, context.DeadlineExceeded} {
			a, b := tcpPipe(t)
			stall(b)
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if want == context.Canceled {
				ctx, cancel = context.WithCancel(t.Context())
				time.AfterFunc(time.Millisecond, cancel)
			}
			_, _, err := ours(t, &hermetic.Config{}).ClientHandshake(ctx, "localhost", a)
			cancel()
			if err != want {
				t.Errorf("%s: the error is %v, want %v", name, err, want)
			}
			if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: the connection is open: %v", name, err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a, _ := tcpPipe(t)
	if _, _, err := ours(t, &hermetic.Config{}).ClientHandshake(ctx, "localhost", a); err != context.Canceled {
		t.Errorf("a context that was done before: %v", err)
	}
}

// hostile are clients that do not speak TLS to the end. Each returns when its connection is closed.
var hostile = map[string]func(conn net.Conn){
	"vanishes":          func(conn net.Conn) { conn.Close() },
	"stalls":            func(conn net.Conn) { io.Copy(io.Discard, conn) },
	"stalls in a hello": func(conn net.Conn) { conn.Write([]byte("\x16\x03\x01\x02\x00\x01\x00")); io.Copy(io.Discard, conn) },
	"garbage":           func(conn net.Conn) { conn.Write(bytes.Repeat([]byte("garbage "), 1000)); io.Copy(io.Discard, conn) },
	"plain HTTP/2": func(conn net.Conn) {
		io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
		io.Copy(io.Discard, conn)
	},
	"a flood of records": func(conn net.Conn) {
		for { // a hello of 16 MiB, which never ends
			record := append([]byte("\x16\x03\x01\x40\x00\x01\xff\xff\xff"), make([]byte, 1<<14-4)...)
			if _, err := conn.Write(record); err != nil {
				return
			}
		}
	},
	"a flood of empty records": func(conn net.Conn) {
		for {
			if _, err := conn.Write(bytes.Repeat([]byte("\x16\x03\x01\x00\x00"), 1000)); err != nil {
				return
			}
		}
	},
	"leaves in the handshake": func(conn net.Conn) {
		c := tls.Client(writeOnly{conn}, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		c.Handshake()
		conn.Close()
	},
	"leaves after the handshake": func(conn net.Conn) {
		c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		c.Handshake()
		conn.Close()
	},
	"a flood of data": func(conn net.Conn) {
		c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		for {
			if _, err := c.Write(make([]byte, 1<<14)); err != nil {
				return
			}
		}
	},
}

// writeOnly is a connection from which nothing arrives.
type writeOnly struct{ net.Conn }

func (writeOnly) Read([]byte) (int, error) { return 0, io.EOF }

// TestHostilePeers: a server whose connections are all hostile drops each of them, by itself or at
// its ConnectionTimeout, and serves an honest client meanwhile.
func TestHostilePeers(t *testing.T) {
	ca := pkitest.CA(t)
	open := new(atomic.Int64)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(ours(t, &hermetic.Config{Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}})), grpc.ConnectionTimeout(time.Second))
	server.RegisterService(&service, struct{}{})
	go server.Serve(counting{l, open})
	defer server.Stop()
	ended := make(chan string)
	for name, attack := range hostile {
		for range 4 {
			go func() {
				if conn, err := net.Dial("tcp", l.Addr().String()); err == nil {
					attack(conn)
					conn.Close()
				}
				ended <- name
			}()
		}
	}
	client := ours(t, &hermetic.Config{RootCAs: ca.Pool()})
	for range 10 {
		if _, _, err := call(t, l.Addr().String(), client, grpc.WithAuthority("localhost")); err != nil {
			t.Errorf("an honest client: %v", err)
		}
	}
	late := time.After(patience)
	for n := range 4 * len(hostile) {
		select {
		case <-ended:
		case <-late:
			t.Fatalf("only %d of the hostile clients are dropped", n)
		}
	}
	server.Stop()
	if n := open.Load(); n != 0 {
		t.Errorf("%d connections are still open", n)
	}
}

// counting counts the connections that are open.
type counting struct {
	net.Listener
	open *atomic.Int64
}

func (l counting) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.open.Add(1)
	return &counted{Conn: conn, open: l.open}, nil
}

type counted struct {
	net.Conn
	open   *atomic.Int64
	closed atomic.Bool
}

func (c *counted) Close() error {
	if c.closed.CompareAndSwap(false, true) {
		c.open.Add(-1)
	}
	return c.Conn.Close()
}

// TestSyscallConn: grpc reaches the socket below TLS, if there is one.
func TestSyscallConn(t *testing.T) {
	ca := pkitest.CA(t)
	creds := ours(t, &hermetic.Config{Certificates: []tls.Certificate{ca.Leaf(t, pkitest.Options{})}, RootCAs: ca.Pool()})
	for _, socket := range []bool{false, true} {
		a, b := net.Pipe()
		if socket {
			a, b = tcpPipe(t)
		}
		done := make(chan net.Conn, 1)
		go func() {
			s, _, err := creds.ServerHandshake(b)
			if err != nil {
				t.Error(err)
			}
			done <- s
		}()
		c, _, err := creds.ClientHandshake(t.Context(), "localhost", a)
		if err != nil {
			t.Fatal(err)
		}
		for _, conn := range []net.Conn{c, <-done} {
			below, ok := conn.(interface {
				SyscallConn() (syscall.RawConn, error)
			})
			if ok != socket {
				t.Fatalf("a socket: %t, and SyscallConn: %t", socket, ok)
			}
			if ok {
				if _, err := below.SyscallConn(); err != nil {
					t.Error(err)
				}
			}
			conn.Close()
		}
	}
}
