package netconn

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// serveEcho accepts connections of l until it is closed, and sends back what they send.
func serveEcho(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			io.Copy(c, c)
			c.Close()
		}()
	}
}

// TestDialer: its names, its options, and its errors, over TLS and DTLS.
func TestDialer(t *testing.T) {
	for _, network := range []string{"tcp", "udp"} {
		t.Run(network, func(t *testing.T) {
			client, server := configs(t)
			client.ServerName = "" // that of the address
			server.DTLS.TrustAddress = true
			l, err := (&ListenConfig{Config: server}).Listen(t.Context(), network, "localhost:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go serveEcho(l)
			_, port, err := net.SplitHostPort(l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			d := &Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: client}
			var dial func(ctx context.Context, network, addr string) (net.Conn, error) = d.DialContext // what others expect
			c, err := dial(t.Context(), network, net.JoinHostPort("localhost", port))
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := c.(*Conn); !ok {
				t.Errorf("it is a %T", c)
			}
			if _, err := c.Write([]byte("x")); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
				t.Error(err)
			}
			c.Close()
			if client.ServerName != "" {
				t.Error("the Config was changed")
			}

			for name, d := range map[string]*Dialer{
				"a name that the certificate lacks": {Config: &hermetic.Config{RootCAs: client.RootCAs, ServerName: "elsewhere.example"}},
				"a deadline that has passed":        {Config: client, NetDialer: &net.Dialer{Deadline: time.Unix(1, 0)}},
				"a Config that cannot be used":      {Config: &hermetic.Config{MinVersion: 1}},
				"nil, the system's authorities":     {},
			} {
				if c, err := d.Dial(network, net.JoinHostPort("localhost", port)); err == nil || c != nil {
					t.Errorf("%s: %v, %v", name, c, err)
				}
			}
			if c, err := d.Dial(network, "localhost"); err == nil || c != nil {
				t.Errorf("an address without a port: %v, %v", c, err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if c, err := d.DialContext(ctx, network, net.JoinHostPort("localhost", port)); err == nil || c != nil {
				t.Errorf("a context that is done: %v, %v", c, err)
			}
		})
	}
}

// memory is a listener whose connections are pipes.
type memory struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newMemory() *memory { return &memory{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.closed) })
	return nil
}

func (m *memory) Addr() net.Addr { return wireAddr("memory") }

// dial returns a peer's end. Accept must be under way.
func (m *memory) dial() net.Conn {
	a, b := net.Pipe()
	m.conns <- b
	return a
}

// failures collects what OnFailure hears.
type failures struct {
	mu   sync.Mutex
	errs []error
}

func (f *failures) add(_ net.Addr, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, err)
}

// TestHandshakeTimeout: a peer that stalls anywhere in the handshake costs at most the timeout,
// Accept does not wait for it, and OnFailure hears of it once.
func TestHandshakeTimeout(t *testing.T) {
	_, server := configs(t)
	for name, test := range map[string]struct {
		timeout, want time.Duration
		peer          func(c net.Conn)
	}{
		"silence, the default":      {0, handshakeTimeout, func(net.Conn) {}},
		"silence, a second":         {time.Second, time.Second, func(net.Conn) {}},
		"a part of a record":        {time.Second, time.Second, func(c net.Conn) { c.Write([]byte("\x16\x03\x01\x02\x00\x01")) }},
		"a byte now and then":       {time.Second, time.Second, drip},
		"a hello, and nothing read": {time.Second, time.Second, helloOnly},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var heard failures
				m := newMemory()
				l := (&ListenConfig{Config: server, HandshakeTimeout: test.timeout, OnFailure: heard.add}).NewListener(m)
				var stalled, served net.Conn
				var wg sync.WaitGroup
				wg.Go(func() {
					for _, c := range []*net.Conn{&stalled, &served} {
						var err error
						if *c, err = l.Accept(); err != nil {
							t.Error(err)
						}
					}
				})
				peer := m.dial()
				other := m.dial() // Accept does not wait for the first
				wg.Wait()
				wg.Go(func() { test.peer(peer) })
				start := time.Now()
				_, err := stalled.Read(make([]byte, 1))
				var timeout net.Error
				if !errors.As(err, &timeout) || !timeout.Timeout() {
					t.Errorf("%v is no timeout", err)
				}
				if took := time.Since(start); took != test.want {
					t.Errorf("after %v, want %v", took, test.want)
				}
				if _, err := stalled.Read(make([]byte, 1)); err != errHandshakeTimeout {
					t.Errorf("then: %v", err)
				}
				if _, err := peer.Write([]byte("x")); err == nil {
					t.Error("the connection below is open")
				}
				stalled.Close()
				served.Close()
				other.Close()
				l.Close()
				wg.Wait()
				if len(heard.errs) != 1 || heard.errs[0] != errHandshakeTimeout {
					t.Errorf("OnFailure: %v", heard.errs)
				}
			})
		})
	}
}

func drip(c net.Conn) {
	for _, b := range []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03") {
		if _, err := c.Write([]byte{b}); err != nil {
			return
		}
		time.Sleep(300 * time.Millisecond)
	}
}

func helloOnly(c net.Conn) {
	e, err := hermetic.NewEngine(hermetic.TLSClient, &hermetic.Config{ServerName: "localhost"})
	if err == nil {
		c.Write(e.Output(nil))
	}
}

// TestOnFailureOfStreams: it hears of each failed handshake once, with the reason, and of no other.
func TestOnFailureOfStreams(t *testing.T) {
	client, server := configs(t)
	client.Time = func() time.Time { return pkitest.Now }
	server.Time = client.Time
	for name, test := range map[string]struct {
		peer func(c net.Conn)
		use  func(c net.Conn)
		want func(error) bool // nil: nothing is heard
	}{
		"a good client": {func(c net.Conn) { tlsClient(c, client).Handshake() }, nil, nil},
		"a client that trusts another authority": {func(c net.Conn) {
			tlsClient(c, &hermetic.Config{RootCAs: pkitest.CA(t).Pool(), ServerName: "localhost"}).Handshake()
		}, nil,
			func(err error) bool {
				var alert *hermetic.AlertError
				return errors.As(err, &alert) && alert.Received
			}},
		"garbage":      {func(c net.Conn) { c.Write([]byte("garbage garbage")) }, nil, func(err error) bool { var e tls.RecordHeaderError; return errors.As(err, &e) }},
		"an early end": {func(c net.Conn) { c.Close() }, nil, func(err error) bool { return err == io.ErrUnexpectedEOF }},
		"a deadline of ours, and Close": {func(net.Conn) {}, func(c net.Conn) {
			c.SetDeadline(time.Now().Add(time.Second))
			c.Read(make([]byte, 1))
		}, func(err error) bool { return err == os.ErrDeadlineExceeded }},
		"Close before anything": {func(net.Conn) {}, func(net.Conn) {}, nil},
		"a context": {func(net.Conn) {}, func(c net.Conn) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			c.(*Conn).HandshakeContext(ctx)
		}, func(err error) bool { return err == context.DeadlineExceeded }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var heard failures
				a, b := net.Pipe()
				l := (&ListenConfig{Config: server, OnFailure: heard.add}).NewListener(newMemory())
				c := net.Conn(&Conn{newStream(b, hermetic.TLSServer, l.common)})
				go func() {
					test.peer(a)
					io.Copy(io.Discard, a)
				}()
				if test.use == nil {
					for range 3 { // the error is repeated, and heard once
						c.(*Conn).Handshake()
					}
				} else {
					test.use(c)
				}
				c.Close()
				c.Close()
				a.Close()
				synctest.Wait()
				if test.want == nil && len(heard.errs) > 0 || test.want != nil && (len(heard.errs) != 1 || !test.want(heard.errs[0])) {
					t.Errorf("heard %v", heard.errs)
				}
			})
		})
	}
}

func tlsClient(c net.Conn, cfg *hermetic.Config) *Conn { return Client(c, cfg.Clone()) }

// TestAcceptWithContext: a context ends a call and nothing else; what arrives then is for the next
// call; many may wait at once; Close wakes all, and closes what nobody has taken.
func TestAcceptWithContext(t *testing.T) {
	_, server := configs(t)
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		l := NewListener(m, server)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if c, err := l.AcceptWithContext(ctx); c != nil || err != context.DeadlineExceeded {
			t.Errorf("%v, %v", c, err)
		}
		if c, err := l.AcceptWithContext(ctx); c != nil || err != context.DeadlineExceeded {
			t.Errorf("a context that is done: %v, %v", c, err)
		}
		m.dial() // while nobody waits
		if c, err := l.Accept(); err != nil {
			t.Error(err)
		} else {
			c.Close()
		}

		var wg sync.WaitGroup
		const waiting, arrive = 20, 10
		got := make(chan error, waiting)
		for range waiting {
			wg.Go(func() {
				c, err := l.AcceptWithContext(t.Context())
				if err == nil {
					c.Close()
				}
				got <- err
			})
		}
		for range arrive {
			m.dial()
		}
		synctest.Wait()
		if len(got) != arrive {
			t.Errorf("%d calls returned for %d connections", len(got), arrive)
		}
		l.Close()
		wg.Wait()
		close(got)
		failed := 0
		for err := range got {
			if err != nil {
				failed++
			}
		}
		if failed != waiting-arrive {
			t.Errorf("%d calls failed, want %d", failed, waiting-arrive)
		}

		m = newMemory()
		l = NewListener(m, server)
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		l.AcceptWithContext(ctx)
		peer := m.dial()
		synctest.Wait()
		l.Close()
		if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("a connection that nobody has taken: %v", err)
		}
		if c, err := l.Accept(); c != nil || !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v, %v", c, err)
		}
	})
	t.Run("DTLS", func(t *testing.T) {
		l, err := ListenPacket("udp", "127.0.0.1:0", server)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Millisecond, cancel)
		if c, err := l.AcceptWithContext(ctx); c != nil || err != context.Canceled {
			t.Errorf("%v, %v", c, err)
		}
	})
}

// TestHalfClosedPeer: a peer that has sent its close_notify and reads nothing keeps a Write waiting
// until the deadline, and no longer.
func TestHalfClosedPeer(t *testing.T) {
	client, server := configs(t)
	client.Time = func() time.Time { return pkitest.Now }
	server.Time = client.Time
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		c, s := Client(a, client.Clone()), Server(b, server.Clone())
		both(t, c.Handshake, s.Handshake)
		go c.CloseWrite()
		if _, err := s.Read(make([]byte, 1)); err != io.EOF {
			t.Fatal(err)
		}
		start := time.Now()
		s.SetWriteDeadline(start.Add(time.Second))
		if _, err := s.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		s.Close()
		c.Close()
	})
}

// TestListenerFlood: connections that come and say nothing cost no goroutine afterwards.
func TestListenerFlood(t *testing.T) {
	_, server := configs(t)
	l, err := Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	go serveEcho(l)
	for i := range 200 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			c.Write([]byte("\x16\x03\x01\x40"))
		}
		c.Close()
	}
	l.Close()
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}
