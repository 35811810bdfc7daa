package gnettls

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/netconn"
)

// echo is an ordinary handler: it writes back what comes.
type echo struct {
	gnet.BuiltinEventEngine
	booted  chan gnet.Engine
	closed  chan error
	async   bool
	lazy    int // leave what is less than this for later
	greet   string
	closeOn byte // close after this byte
}

func (h *echo) OnBoot(e gnet.Engine) gnet.Action {
	h.booted <- e
	return gnet.None
}

func (h *echo) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	c.SetContext("mine")
	return []byte(h.greet), gnet.None
}

func (h *echo) OnTraffic(c gnet.Conn) gnet.Action {
	if c.Context() != "mine" {
		panic("another context")
	}
	if c.InboundBuffered() < h.lazy {
		return gnet.None
	}
	b, err := c.Next(-1)
	if err != nil {
		panic(err)
	}
	if h.async {
		c.AsyncWrite(bytes.Clone(b), nil)
	} else if _, err := c.Write(b); err != nil {
		return gnet.Close
	}
	if h.closeOn != 0 && bytes.IndexByte(b, h.closeOn) >= 0 {
		return gnet.Close
	}
	return gnet.None
}

func (h *echo) OnClose(c gnet.Conn, err error) gnet.Action {
	h.closed <- err
	return gnet.None
}

// serve starts a server and returns its address and a client's configuration.
func serve(t *testing.T, h *echo, s *Server, opts ...gnet.Option) (addr string, client *tls.Config) {
	t.Helper()
	ca := pkitest.CA(t)
	if s.Config == nil {
		s.Config = &hermetic.Config{}
	}
	s.Config.Certificates = []tls.Certificate{ca.Leaf(t, pkitest.Options{})}
	h.booted, h.closed = make(chan gnet.Engine, 1), make(chan error, 20000)
	if s.Handler == nil {
		s.Handler = h
	}
	if s.HandshakeTimeout == 0 {
		s.HandshakeTimeout = patience // a busy machine is not the subject
	}
	done := make(chan error, 1)
	go func() { done <- s.Run("tcp://127.0.0.1:0", opts...) }()
	select {
	case e := <-h.booted:
		t.Cleanup(func() {
			e.Stop(context.Background())
			<-done
		})
		addr = address(t, e)
	case err := <-done:
		t.Fatal(err)
	}
	return addr, &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", Time: func() time.Time { return pkitest.Now }}
}

// address is where the engine listens.
func address(t *testing.T, e gnet.Engine) string {
	t.Helper()
	fd, err := e.Dup()
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "listener")
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// patience bounds what must not hang.
const patience = 5 * time.Minute

func connect(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	return c
}

func dial(t *testing.T, addr string, cfg *tls.Config) *tls.Conn {
	t.Helper()
	return tls.Client(connect(t, addr), cfg)
}

// exchange sends data and expects it back.
func exchange(c net.Conn, data []byte) error {
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(data)
		sent <- err
	}()
	got := make([]byte, len(data))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if !bytes.Equal(got, data) {
		return errors.New("other bytes came back")
	}
	return <-sent
}

func TestEcho(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, async := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/async %v", tls.VersionName(version), async), func(t *testing.T) {
				h := &echo{async: async, greet: "hello"}
				addr, cfg := serve(t, h, &Server{}, gnet.WithMulticore(true))
				cfg.MaxVersion = version
				var wg sync.WaitGroup
				for range 8 {
					wg.Go(func() {
						c := dial(t, addr, cfg)
						defer c.Close()
						var greeting [5]byte
						if _, err := io.ReadFull(c, greeting[:]); err != nil || string(greeting[:]) != "hello" {
							t.Errorf("greeting %q, %v", greeting, err)
							return
						}
						for _, n := range []int{1, 100, 16384, 16385, 1 << 20} {
							if err := exchange(c, bytes.Repeat([]byte{byte(n), 7}, n/2+1)); err != nil {
								t.Errorf("%d bytes: %v", n, err)
							}
						}
					})
				}
				wg.Wait()
				for range 8 {
					if err := <-h.closed; err != nil {
						t.Errorf("OnClose after close_notify: %v", err)
					}
				}
			})
		}
	}
}

// TestLeftover: what the handler leaves is there the next time.
func TestLeftover(t *testing.T) {
	addr, cfg := serve(t, &echo{lazy: 10}, &Server{})
	c := dial(t, addr, cfg)
	defer c.Close()
	for _, part := range []string{"abc", "def", "ghij"} {
		if _, err := c.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, 10)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "abcdefghij" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestCloses(t *testing.T) {
	t.Run("by the server, with close_notify", func(t *testing.T) {
		addr, cfg := serve(t, &echo{closeOn: '!'}, &Server{})
		c := dial(t, addr, cfg)
		if _, err := c.Write([]byte("bye!")); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(c) // io.EOF only after close_notify
		if err != nil || string(got) != "bye!" {
			t.Errorf("%q, %v", got, err)
		}
	})
	t.Run("by the client, without close_notify", func(t *testing.T) {
		h := &echo{}
		addr, cfg := serve(t, h, &Server{})
		c := dial(t, addr, cfg)
		if err := exchange(c, []byte("x")); err != nil {
			t.Fatal(err)
		}
		c.NetConn().Close()
		if err := <-h.closed; err != io.ErrUnexpectedEOF {
			t.Errorf("OnClose: %v", err)
		}
	})
	t.Run("by garbage", func(t *testing.T) {
		h := &echo{}
		addr, cfg := serve(t, h, &Server{})
		c := dial(t, addr, cfg)
		if err := exchange(c, []byte("x")); err != nil {
			t.Fatal(err)
		}
		c.NetConn().Write([]byte("\x17\x03\x03\x00\x20this is not a record of this session"))
		var alert *hermetic.AlertError
		if err := <-h.closed; !errors.As(err, &alert) || alert.Alert != hermetic.AlertBadRecordMAC {
			t.Errorf("OnClose: %v", err)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("the client sees %v, want the alert", err)
		}
	})
	t.Run("before a handshake", func(t *testing.T) {
		h := &echo{}
		addr, _ := serve(t, h, &Server{})
		c := connect(t, addr)
		c.Write([]byte("GET / HTTP/1.1\r\n\r\n"))
		answer, _ := io.ReadAll(c)
		if len(answer) != 7 || answer[0] != 21 {
			t.Errorf("answer %x, want an alert", answer)
		}
		if len(h.closed) != 0 {
			t.Error("OnClose without OnOpen")
		}
	})
}

// farewell answers the peer's close_notify before it closes.
type farewell struct{ echo }

func (h *farewell) OnHalfClose(c gnet.Conn) gnet.Action {
	c.Write([]byte("goodbye"))
	return gnet.Close
}

// TestHalfClose: the client has closed its direction, and still reads.
func TestHalfClose(t *testing.T) {
	h := new(farewell)
	addr, cfg := serve(t, &h.echo, &Server{Handler: h})
	c := dial(t, addr, cfg)
	if err := exchange(c, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(c)
	if err != nil || string(got) != "goodbye" {
		t.Errorf("%q, %v", got, err)
	}
	if err := <-h.closed; err != nil {
		t.Errorf("OnClose: %v", err)
	}
}

// TestBackPressure: a client that does not read for a while loses nothing.
func TestBackPressure(t *testing.T) {
	addr, cfg := serve(t, &echo{}, &Server{})
	c := dial(t, addr, cfg)
	defer c.Close()
	const n = 8 << 20
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(bytes.Repeat([]byte("0123456789abcdef"), n/16))
		sent <- err
	}()
	if err := <-sent; err != nil { // all is written before anything is read
		t.Fatal(err)
	}
	got := make([]byte, n)
	if _, err := io.ReadFull(c, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, bytes.Repeat([]byte("0123456789abcdef"), n/16)) {
		t.Error("other bytes came back")
	}
}

// TestHandshakeTimeout: a client that says nothing is closed.
func TestHandshakeTimeout(t *testing.T) {
	addr, _ := serve(t, &echo{}, &Server{HandshakeTimeout: time.Millisecond})
	c := connect(t, addr)
	if _, err := c.Read(make([]byte, 1)); err != io.EOF && !errors.Is(err, net.ErrClosed) {
		t.Errorf("the connection ends with %v", err)
	}
}

// TestOnFailure: handshakes that fail are told of, with the peer and the reason.
func TestOnFailure(t *testing.T) {
	for _, test := range []struct {
		name    string
		timeout time.Duration
		fail    func(t *testing.T, c net.Conn)
		want    string
	}{
		{"the client does not trust us", 0, func(t *testing.T, c net.Conn) {
			if tls.Client(c, &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}).Handshake() == nil {
				t.Error("the handshake is complete")
			}
		}, "peer sent alert bad_certificate"},
		{"no TLS", 0, func(t *testing.T, c net.Conn) { io.WriteString(c, "GET / HTTP/1.1\r\n\r\n") }, "protocol_version"},
		{"the client goes", 0, func(t *testing.T, c net.Conn) { c.Close() }, io.ErrUnexpectedEOF.Error()},
		{"the client is silent", time.Millisecond, func(*testing.T, net.Conn) {}, os.ErrDeadlineExceeded.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			told := make(chan string, 1)
			addr, _ := serve(t, &echo{}, &Server{HandshakeTimeout: test.timeout, OnFailure: func(peer net.Addr, err error) {
				told <- peer.String() + ": " + err.Error()
			}})
			c := connect(t, addr)
			local := c.LocalAddr().String()
			test.fail(t, c)
			if got := <-told; !strings.HasPrefix(got, local+": ") || !strings.Contains(got, test.want) {
				t.Errorf("%s: told %q, not %q", local, got, test.want)
			}
			c.Close()
		})
	}
}

// TestAsynchronousKey: the signature comes from another goroutine.
func TestAsynchronousKey(t *testing.T) {
	s := &Server{Config: &hermetic.Config{Async: hermetic.AsyncSign}}
	s.OnPending = func(c gnet.Conn, p hermetic.Pending) {
		r := p.(*hermetic.SignRequest)
		go func() {
			signature, err := r.Sign(nil, r.Certificate.PrivateKey.(crypto.Signer))
			Answer(c, func() { r.Answer(signature, err) })
		}()
	}
	addr, cfg := serve(t, &echo{}, s)
	c := dial(t, addr, cfg)
	defer c.Close()
	if err := exchange(c, []byte("signed elsewhere")); err != nil {
		t.Fatal(err)
	}
}

// TestCallbacksSeeThePeer: the callbacks of a tls.Config see the client's address.
func TestCallbacksSeeThePeer(t *testing.T) {
	leaf := pkitest.CA(t).Leaf(t, pkitest.Options{})
	seen := make(chan string, 1)
	cfg, err := hermetic.FromTLS(&tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		seen <- h.Conn.RemoteAddr().String()
		return &leaf, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	addr, _ := serve(t, &echo{}, &Server{Config: cfg})
	c := dial(t, addr, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"})
	if err := exchange(c, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if got := <-seen; got != c.LocalAddr().String() {
		t.Errorf("the callback sees %s, and the client is %v", got, c.LocalAddr())
	}
}

// TestManyConnections: 5,000 open connections, and not one goroutine more.
func TestManyConnections(t *testing.T) {
	const n = 5000
	h := &echo{}
	addr, cfg := serve(t, h, &Server{}, gnet.WithMulticore(true))
	first := dial(t, addr, cfg)
	if err := exchange(first, []byte("x")); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	conns := make([]*tls.Conn, n)
	var wg sync.WaitGroup
	next := make(chan int, n)
	for i := range conns {
		next <- i
	}
	close(next)
	for range 16 {
		wg.Go(func() {
			for i := range next {
				conns[i] = dial(t, addr, cfg)
				conns[i].SetDeadline(time.Time{})
				if err := exchange(conns[i], []byte("hello")); err != nil {
					t.Errorf("connection %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) { // what Wait has waited for may still be ending
			t.Fatalf("%d goroutines with %d connections, %d with one", runtime.NumGoroutine(), n, before)
		}
	}
	for i, c := range conns {
		if err := exchange(c, []byte("still there")); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		c.Close()
	}
	first.Close()
	for range n + 1 {
		if err := <-h.closed; err != nil {
			t.Fatalf("OnClose: %v", err)
		}
	}
}

// TestEarlyData: a handler cannot tell it apart, so that a Config of
// GetConfigForClient may not bring it in either.
func TestEarlyData(t *testing.T) {
	h := new(echo)
	s := &Server{Config: new(hermetic.Config)}
	chosen := sync.OnceValue(func() *hermetic.Config {
		return &hermetic.Config{MaxEarlyData: 100, Certificates: s.Config.Certificates}
	})
	s.Config.GetConfigForClient = func(*hermetic.ClientHello) (*hermetic.Config, error) { return chosen(), nil }
	addr, cfg := serve(t, h, s)
	client := &hermetic.Config{RootCAs: cfg.RootCAs, ServerName: "localhost", Time: cfg.Time, SessionCache: hermetic.NewSessionCache(1), EarlyData: true}
	for _, early := range []int{0, 1} {
		conn := connect(t, addr)
		defer conn.Close()
		c := netconn.Client(conn, client)
		if n, _ := c.WriteEarlyData([]byte("x")); n != early {
			t.Fatalf("%d bytes of early data are sent, want %d", n, early)
		}
		if err := exchange(c, []byte("hello")); (err != nil) != (early > 0) {
			t.Errorf("%d bytes of early data: %v", early, err)
		}
	}
}

// TestBadServer: what cannot work is an error that says what to do.
func TestBadServer(t *testing.T) {
	good := new(hermetic.Config)
	for name, test := range map[string]struct {
		server Server
		addr   string
		want   string
	}{
		"no Handler":           {Server{Config: good}, "tcp://127.0.0.1:0", "Server.Handler is nil: set it"},
		"no Config":            {Server{Handler: &echo{}}, "tcp://127.0.0.1:0", "Server.Config is nil: set it"},
		"a bad Config":         {Server{Handler: &echo{}, Config: &hermetic.Config{MinVersion: tls.VersionTLS10}}, "tcp://127.0.0.1:0", "MinVersion"},
		"early data":           {Server{Handler: &echo{}, Config: &hermetic.Config{MaxEarlyData: 1}}, "tcp://127.0.0.1:0", "MaxEarlyData"},
		"datagrams":            {Server{Handler: &echo{}, Config: good}, "udp://127.0.0.1:0", "TLS needs a stream: listen at a tcp:// or unix:// address"},
		"datagrams over IPv4":  {Server{Handler: &echo{}, Config: good}, "UDP4://127.0.0.1:0", "TLS needs a stream"},
		"no protocol":          {Server{Handler: &echo{}, Config: good}, "localhost", "invalid network address"},
		"what gnet never knew": {Server{Handler: &echo{}, Config: good}, "tls://127.0.0.1:0", "are supported"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := test.server.Run(test.addr); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
}
