package netconn

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// The tests of this file run in synctest's time, over transports that wait for their
// other end: what ends at a deadline ends at that very moment.

// untimed are configs for synctest's time, in which certificates are not valid yet.
func untimed(t *testing.T) (client, server *hermetic.Config) {
	_, server = configs(t)
	return &hermetic.Config{InsecureSkipVerify: true}, server
}

// blockedCalls are the calls that may wait, and what ends them after the handshake.
var blockedCalls = []struct {
	name string
	ends which
	call func(*Conn) error
}{
	{"Read", readDeadline, func(c *Conn) error { _, err := c.Read(make([]byte, 1)); return err }},
	{"Read again", readDeadline, func(c *Conn) error { _, err := c.Read(make([]byte, 1)); return err }},
	{"Write", writeDeadline, func(c *Conn) error { _, err := c.Write(make([]byte, 1<<20)); return err }},
	{"Write again", writeDeadline, func(c *Conn) error { _, err := c.Write([]byte("x")); return err }},
	{"Handshake", bothDeadlines, (*Conn).Handshake},
	{"HandshakeContext", bothDeadlines, func(c *Conn) error {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		return c.HandshakeContext(ctx)
	}},
	{"ReadEarlyData", bothDeadlines, func(c *Conn) error { _, err := c.ReadEarlyData(make([]byte, 1)); return err }},
	{"WriteEarlyData", writeDeadline, func(c *Conn) error { _, err := c.WriteEarlyData([]byte("x")); return err }},
	{"CloseWrite", writeDeadline, (*Conn).CloseWrite},
	{"Control", writeDeadline, func(c *Conn) error {
		return c.Control(func(e *hermetic.Engine) error { return e.KeyUpdate(hermetic.UpdateRequested) })
	}},
	{"State", bothDeadlines, func(c *Conn) error { c.State(); return nil }},
	{"ConnectionState", bothDeadlines, func(c *Conn) error { c.ConnectionState(); return nil }},
}

// blockedStates are what calls may wait in.
var blockedStates = []struct {
	name        string
	established bool
	begin       func(t *testing.T) (c *Conn, end func())
}{
	{"the peer takes nothing in the handshake", false, func(t *testing.T) (*Conn, func()) {
		client, _ := untimed(t)
		near, far := net.Pipe()
		return Client(near, client), func() { far.Close() }
	}},
	{"the peer is silent in the handshake", false, func(t *testing.T) (*Conn, func()) {
		client, _ := untimed(t)
		near, far := net.Pipe()
		go io.Copy(io.Discard, far)
		return Client(near, client), func() { far.Close() }
	}},
	{"a callback waits", false, func(t *testing.T) (*Conn, func()) {
		client, server := untimed(t)
		over := make(chan struct{})
		server.GetConfigForClient = func(*hermetic.ClientHello) (*hermetic.Config, error) {
			<-over
			return nil, nil
		}
		near, far := net.Pipe()
		c, s := Client(far, client), Server(near, server)
		go c.Handshake()
		go s.Handshake() // it cannot return before its callback
		synctest.Wait()
		return s, func() {
			close(over)
			far.Close()
		}
	}},
	{"the peer takes nothing, and is silent", true, func(t *testing.T) (*Conn, func()) {
		client, server := untimed(t)
		near, far := net.Pipe()
		c, s := Client(near, client), Server(far, server)
		both(t, c.Handshake, s.Handshake)
		return s, func() { near.Close() }
	}},
}

// TestEveryCallEnds: all calls at once, each in the way of the others, end when their
// deadline, their connection or a context does, in the handshake and after it.
func TestEveryCallEnds(t *testing.T) {
	const wait = time.Second
	after := func(f func(*Conn)) func(*Conn) {
		return func(c *Conn) { time.AfterFunc(wait, func() { f(c) }) }
	}
	for _, state := range blockedStates {
		for _, end := range []struct {
			name string
			ends which // after the handshake
			set  func(*Conn)
		}{
			{"a deadline that was set before", bothDeadlines, func(c *Conn) { c.SetDeadline(time.Now().Add(wait)) }},
			{"a read deadline that was set before", readDeadline, func(c *Conn) { c.SetReadDeadline(time.Now().Add(wait)) }},
			{"a write deadline that was set before", writeDeadline, func(c *Conn) { c.SetWriteDeadline(time.Now().Add(wait)) }},
			{"a deadline that is set then", bothDeadlines, after(func(c *Conn) { c.SetDeadline(past) })},
			{"a read deadline that is set then", readDeadline, after(func(c *Conn) { c.SetReadDeadline(past) })},
			{"a write deadline that is set then", writeDeadline, after(func(c *Conn) { c.SetWriteDeadline(past) })},
			{"Close", bothDeadlines, after(func(c *Conn) { c.Close() })},
		} {
			t.Run(state.name+", "+end.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c, over := state.begin(t)
					start := time.Now()
					end.set(c)
					var calls sync.WaitGroup
					for _, m := range blockedCalls {
						calls.Go(func() {
							err := m.call(c)
							took := time.Since(start)
							if ends := end.ends&m.ends != 0 || !state.established; ends && took > wait {
								t.Errorf("%s has returned after %v: %v", m.name, took, err)
							}
							if ok := isTimeout(err) || errors.Is(err, net.ErrClosed) || errors.Is(err, hermetic.ErrInvalidOperation); took == wait && err != nil && !ok {
								t.Errorf("%s: %v", m.name, err)
							}
						})
					}
					time.Sleep(2 * wait)
					c.Close()
					over()
					calls.Wait()
				})
			})
		}
	}
}

// TestContextOfAnother: a context that ends closes the connection, whichever call
// performs the handshake. That call does not return the context's error.
func TestContextOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, _ := untimed(t)
		near, far := net.Pipe()
		defer far.Close()
		c := Client(near, client)
		performs := make(chan error)
		go func() { performs <- c.Handshake() }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := c.HandshakeContext(ctx); err != context.DeadlineExceeded {
			t.Errorf("its context has ended: %v", err)
		}
		err := <-performs
		if !errors.Is(err, net.ErrClosed) || isTimeout(err) || !strings.Contains(err.Error(), "context") {
			t.Errorf("that of another has ended: %v", err)
		}
		if _, again := c.Write([]byte("x")); again != err {
			t.Errorf("Write then: %v", again)
		}
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := c.Close(); err != net.ErrClosed {
			t.Errorf("Close again: %v", err)
		}
	})
}

// TestLaterDeadline: the handshake goes on after a deadline.
func TestLaterDeadline(t *testing.T) {
	for _, w := range []which{readDeadline, writeDeadline} {
		synctest.Test(t, func(t *testing.T) {
			client, server := untimed(t)
			near, far := net.Pipe()
			c, s := Client(near, client), Server(far, server)
			defer c.Close()
			defer s.Close()
			c.session.(*stream).set(w, time.Now().Add(time.Second))
			if err := c.Handshake(); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("alone: %v", err)
			}
			c.SetDeadline(time.Time{})
			both(t, c.Handshake, s.Handshake)
		})
	}
}

// TestPipe: a connection whose ends both write, over a transport without room.
func TestPipe(t *testing.T) {
	for name, test := range map[string]struct {
		version uint16
		early   bool
	}{"TLS 1.2": {tls.VersionTLS12, false}, "TLS 1.3": {tls.VersionTLS13, false}, "early data": {tls.VersionTLS13, true}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := untimed(t)
				client.MaxVersion, client.ServerName = test.version, "localhost"
				client.SessionCache, client.EarlyData = hermetic.NewSessionCache(1), test.early
				if test.early {
					server.MaxEarlyData, server.ReplayGuard = 10_000, trusting{}
				}
				for i := range 2 {
					near, far := net.Pipe()
					c, s := Client(near, client), Server(far, server)
					if test.early {
						go s.Handshake()
						c.WriteEarlyData(make([]byte, 10_000)) // the first connection has no session yet
					}
					both(t, func() error { _, err := c.Write([]byte("request")); return err },
						func() error { return readUntil(s, "request") })
					both(t, func() error { _, err := s.Write([]byte("answer")); return err },
						func() error { return readUntil(c, "answer") })
					if accepted := c.State().EarlyDataAccepted; accepted != (test.early && i == 1) {
						t.Errorf("early data accepted: %v", accepted)
					}
					c.Close()
					s.Close()
				}
			})
		})
	}
}

// readUntil reads to what ends with these words.
func readUntil(c *Conn, words string) error {
	buf := make([]byte, 20_000)
	for n := 0; ; {
		m, err := c.Read(buf[n:])
		if n += m; strings.HasSuffix(string(buf[:n]), words) || err != nil {
			return err
		}
	}
}

// watched keeps the write deadline that a transport has.
type watched struct {
	net.Conn
	mu       sync.Mutex
	deadline time.Time
	writes   int
}

func (w *watched) set(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
}

func (w *watched) SetWriteDeadline(t time.Time) error {
	w.set(t)
	return w.Conn.SetWriteDeadline(t)
}

func (w *watched) SetDeadline(t time.Time) error {
	w.set(t)
	return w.Conn.SetDeadline(t)
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.writes++
	w.mu.Unlock()
	return w.Conn.Write(p)
}

// TestDamagedRecordWhileWriting: a record that does not authenticate ends a Write that
// the peer lets wait, in bounded time and with few calls, also the alert's.
func TestDamagedRecordWhileWriting(t *testing.T) {
	damaged := append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...)
	for _, blocked := range []bool{true, false} {
		for name, user := range map[string]time.Duration{"no deadline": 0, "one far away": time.Hour, "one that has passed": -time.Hour} {
			if blocked && user < 0 {
				continue
			}
			synctest.Test(t, func(t *testing.T) {
				client, server := untimed(t)
				near, far := net.Pipe()
				w := &watched{Conn: far}
				c, s := Client(near, client), Server(w, server)
				both(t, c.Handshake, s.Handshake)
				both(t, func() error { _, err := s.Write([]byte("x")); return err },
					func() error { _, err := c.Read(make([]byte, 1)); return err })
				until := time.Time{}
				if user != 0 {
					until = time.Now().Add(user)
				}
				s.SetWriteDeadline(until)
				before := w.writes
				written, read := make(chan error, 1), make(chan error, 1)
				if blocked {
					go func() { _, err := s.Write(make([]byte, 1<<20)); written <- err }()
				}
				go func() { _, err := s.Read(make([]byte, 1)); read <- err }()
				synctest.Wait()
				start := time.Now()
				near.Write(damaged)
				alert := (*hermetic.AlertError)(nil)
				if !blocked { // the alert comes, whatever the user's deadline
					if _, err := c.Read(make([]byte, 1)); !errors.As(err, &alert) || !alert.Received {
						t.Errorf("%s: the peer: %v", name, err)
					}
				}
				first := <-read
				if took := time.Since(start); !errors.As(first, &alert) || took > 0 {
					t.Errorf("%s: Read: %v after %v", name, first, took)
				}
				if blocked {
					if err, took := <-written, time.Since(start); err != first || took != closeTimeout {
						t.Errorf("%s: Write: %v after %v", name, err, took)
					}
				}
				if _, err := s.Write([]byte("x")); err != first {
					t.Errorf("%s: Write again: %v", name, err)
				}
				synctest.Wait()
				if !w.deadline.Equal(until) {
					t.Errorf("%s: the transport's deadline is %v, want %v", name, w.deadline, until)
				}
				if n := w.writes - before; n > 2 {
					t.Errorf("%s: %d calls", name, n)
				}
				start = time.Now()
				if err := s.Close(); err != nil || time.Since(start) > closeTimeout {
					t.Errorf("%s: Close: %v after %v", name, err, time.Since(start))
				}
				near.Close()
			})
		}
	}
}

// onceListener accepts one connection.
type onceListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *onceListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *onceListener) Close() error   { close(l.done); return nil }
func (l *onceListener) Addr() net.Addr { return wireAddr("server") }

// TestHTTPServerClose: net/http's Close ends a handler whose client takes nothing and
// has sent a damaged record.
func TestHTTPServerClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := untimed(t)
		near, far := net.Pipe()
		l := &onceListener{make(chan net.Conn, 1), make(chan struct{})}
		l.conns <- far
		returned := make(chan error, 1)
		web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, err := w.Write(make([]byte, 1<<20))
			returned <- err
		})}
		served := make(chan error, 1)
		go func() { served <- web.Serve(NewListener(l, server)) }()
		c := Client(near, client)
		if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		near.Write(append([]byte{23, 3, 3, 0, 40}, make([]byte, 40)...))
		start := time.Now()
		if err := web.Close(); err != nil {
			t.Error(err)
		}
		if err := <-returned; err == nil {
			t.Error("the handler's Write has no error")
		}
		if took := time.Since(start); took > closeTimeout {
			t.Errorf("it took %v", took)
		}
		<-served
		near.Close()
	})
}

// liar is a transport that does what none may.
type liar struct {
	net.Conn
	read, write func(p []byte) (int, error)
}

func (l *liar) Read(p []byte) (int, error) {
	if l.read == nil {
		return l.Conn.Read(p) // which waits
	}
	return l.read(p)
}

func (l *liar) Write(p []byte) (int, error) { return l.write(p) }

// TestLiars: whatever a transport returns, nothing spins or panics.
func TestLiars(t *testing.T) {
	fine := func(p []byte) (int, error) { return len(p), nil }
	says := func(n int) func([]byte) (int, error) { return func([]byte) (int, error) { return n, nil } }
	for name, test := range map[string]struct {
		read, write func([]byte) (int, error)
		want        error
	}{
		"it takes nothing":           {nil, says(0), io.ErrNoProgress},
		"it takes more than all":     {nil, says(1 << 20), errCount},
		"it takes less than nothing": {nil, says(-1), errCount},
		"it gives nothing":           {says(0), fine, io.ErrNoProgress},
		"it gives more than fits":    {says(1 << 20), fine, errCount},
		"it gives less than nothing": {says(-1), fine, errCount},
	} {
		synctest.Test(t, func(t *testing.T) {
			client, _ := untimed(t)
			near, far := net.Pipe()
			defer far.Close()
			c := Client(&liar{near, test.read, test.write}, client)
			if err := c.Handshake(); !errors.Is(err, test.want) {
				t.Errorf("%s: %v, want %v", name, err, test.want)
			}
			c.Close()
		})
	}
}
