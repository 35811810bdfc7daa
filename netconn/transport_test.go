package netconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// bubble runs a test whose time passes only while everybody waits: it begins when the
// certificates are valid.
func bubble(t *testing.T, f func(t *testing.T, client, server *hermetic.Config)) {
	client, server := configs(t)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		now := func() time.Time { return pkitest.Now.Add(time.Since(start)) }
		client.Time, server.Time = now, now
		f(t, client, server)
	})
}

// roamer is a connection whose RemoteAddr is what it was told last.
type roamer struct {
	net.Conn
	addr atomic.Value // of func() net.Addr
}

func (r *roamer) RemoteAddr() net.Addr { return r.addr.Load().(func() net.Addr)() }
func (r *roamer) LocalAddr() net.Addr  { return nil }

// nameless is an address without a name.
type nameless struct{ wireAddr }

func (*nameless) String() string { return "" }

var addresses = map[string]func() net.Addr{
	"one":         func() net.Addr { return wireAddr("one") },
	"another":     func() net.Addr { return wireAddr("another") },
	"nil":         func() net.Addr { return nil },
	"nil pointer": func() net.Addr { return (*wireAddr)(nil) },
	"nil UDPAddr": func() net.Addr { return (*net.UDPAddr)(nil) },
	"empty":       func() net.Addr { return new(nameless) },
}

// TestRoaming: a connection to one peer has that one, whatever RemoteAddr says, from the
// beginning, in the handshake and after it.
func TestRoaming(t *testing.T) {
	for first := range addresses {
		for then := range addresses {
			for _, trust := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, %v", first, then, trust), func(t *testing.T) {
					client, server := configs(t)
					server.DTLS.TrustAddress = trust
					a, b := net.Pipe()
					ends := [2]*roamer{{Conn: a}, {Conn: b}}
					move := func(to string) {
						for _, r := range ends {
							r.addr.Store(addresses[to])
						}
					}
					move(first)
					server.GetConfigForClient = func(*hermetic.ClientHello) (*hermetic.Config, error) {
						move(then) // in the middle
						return nil, nil
					}
					c, s := ready(t, DTLSClient(ends[0], client), DTLSServer(ends[1], server))
					for _, to := range []string{then, first} {
						move(to)
						for _, pair := range [][2]*Conn{{c, s}, {s, c}} {
							if _, err := pair[0].Write([]byte("hello")); err != nil {
								t.Fatal(err)
							}
							hears(t, pair[1], "hello")
						}
					}
					c.RemoteAddr()
					c.LocalAddr()
				})
			}
		}
	}
}

// TestCookiesOfConnections: a cookie is good only for the connection that it was given
// on, also where the transport has no addresses.
func TestCookiesOfConnections(t *testing.T) {
	for _, at := range []string{"one", "nil", "empty"} {
		_, server := configs(t)
		ids := map[string]bool{}
		for range 2 {
			r := &roamer{}
			r.addr.Store(addresses[at])
			ids[string(newSingle(r, hermetic.DTLSServer, server).home.id())] = true
		}
		if want := map[string]int{"one": 1, "nil": 2, "empty": 2}[at]; len(ids) != want {
			t.Errorf("%s: %d identities, not %d", at, len(ids), want)
		}
	}
}

// odd is a transport that returns something odd before everything else: as often as
// times says.
type odd struct {
	net.Conn
	times, calls atomic.Int32
	read         func(o *odd, b []byte) (int, error)
}

func (o *odd) Read(b []byte) (int, error) {
	o.calls.Add(1)
	if o.times.Add(-1) >= 0 {
		return o.read(o, b)
	}
	return o.Conn.Read(b)
}

// temporary is an error that says so.
type temporary struct{ error }

func (temporary) Temporary() bool { return true }

var (
	errTemporary = temporary{errors.New("try again")}
	errOdd       = errors.New("something odd")
)

// oddities are what a transport's Read may return, and how often that is to be endured.
var oddities = map[string]struct {
	times int
	read  func(o *odd, b []byte) (int, error)
}{
	"negative":            {1, func(*odd, []byte) (int, error) { return -1, nil }},
	"too many":            {1, func(_ *odd, b []byte) (int, error) { return len(b) + 1, nil }},
	"negative, error":     {1, func(*odd, []byte) (int, error) { return -1, errTemporary }},
	"nothing":             {1000, func(*odd, []byte) (int, error) { return 0, nil }},
	"full":                {100, func(_ *odd, b []byte) (int, error) { return len(b), nil }},
	"full, error":         {100, func(_ *odd, b []byte) (int, error) { return len(b), errOdd }},
	"temporary":           {100, func(*odd, []byte) (int, error) { return 0, errTemporary }},
	"timeout":             {100, func(*odd, []byte) (int, error) { return 0, os.ErrDeadlineExceeded }},
	"EINTR":               {100, func(*odd, []byte) (int, error) { return 0, syscall.EINTR }},
	"data with an error":  {100, func(o *odd, b []byte) (int, error) { n, _ := o.Conn.Read(b); return n, errTemporary }},
	"data with a timeout": {100, func(o *odd, b []byte) (int, error) { n, _ := o.Conn.Read(b); return n, os.ErrDeadlineExceeded }},
}

// TestOddTransports: what a transport returns does no harm, before the handshake and
// after it, on a connection and on a listener.
func TestOddTransports(t *testing.T) {
	for name, test := range oddities {
		for _, when := range []string{"first", "later"} {
			t.Run(name+", "+when, func(t *testing.T) {
				bubble(t, func(t *testing.T, client, server *hermetic.Config) {
					a, b := net.Pipe()
					o := &odd{Conn: a, read: test.read}
					c, s := DTLSClient(o, client), DTLSServer(b, server)
					established := name == "negative" || name == "too many" // else it is a refusal
					if when == "first" && !established {
						o.times.Store(int32(test.times))
					}
					ready(t, c, s)
					o.times.Store(int32(test.times))
					for _, pair := range [][2]*Conn{{c, s}, {s, c}, {s, c}} {
						if _, err := pair[0].Write([]byte("hello")); err != nil {
							t.Fatal(err)
						}
						hears(t, pair[1], "hello")
					}
				})
			})
			t.Run(name+", listener, "+when, func(t *testing.T) {
				bubble(t, func(t *testing.T, client, server *hermetic.Config) {
					a, b := net.Pipe()
					o := &odd{Conn: a, read: test.read}
					l, err := NewPacketListener(&packetPipe{o, addresses["one"]}, server, nil)
					if err != nil {
						t.Fatal(err)
					}
					defer l.Close()
					if when == "first" {
						o.times.Store(int32(test.times))
					}
					c := DTLSClient(b, client)
					if err := c.Handshake(); err != nil {
						t.Fatal(err)
					}
					s := accept(t, l)
					ready(t, c, s)
					o.times.Store(int32(test.times))
					for _, pair := range [][2]*Conn{{c, s}, {c, s}, {s, c}} {
						if _, err := pair[0].Write([]byte("hello")); err != nil {
							t.Fatal(err)
						}
						hears(t, pair[1], "hello")
					}
				})
			})
		}
	}
}

// packetPipe makes a net.PacketConn of a connection.
type packetPipe struct {
	net.Conn
	addr func() net.Addr
}

func (p *packetPipe) ReadFrom(b []byte) (int, net.Addr, error) {
	n, err := p.Read(b)
	return n, p.addr(), err
}

func (p *packetPipe) WriteTo(b []byte, _ net.Addr) (int, error) { return p.Write(b) }

// TestAddressesOfPackets: a datagram from nowhere is dropped, and counted.
func TestAddressesOfPackets(t *testing.T) {
	for name, addr := range addresses {
		t.Run(name, func(t *testing.T) {
			client, server := configs(t)
			a, b := net.Pipe()
			l, err := NewPacketListener(&packetPipe{a, addr}, server, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if known := addressOf(addr()) != (address{}); known {
				c := DTLSClient(b, client)
				defer c.Close()
				if err := c.Handshake(); err != nil {
					t.Fatal(err)
				}
				defer accept(t, l).Close()
			} else {
				b.Write([]byte("hello"))
				b.Write([]byte("again")) // when it is taken, the first has been counted
				if d := l.Drops(); d.NoAddress == 0 {
					t.Errorf("got %+v", d)
				}
			}
			b.Close()
			l.Accept() // until the listener has ended with its transport
		})
	}
}

// TestReadsWithoutProgress: a transport that always returns at once is not asked all the
// time, and the end of it is noticed.
func TestReadsWithoutProgress(t *testing.T) {
	for _, test := range []struct {
		name string
		n    int
		err  error
		want error // nil: the handshake ends with its own timeout
	}{
		{"nothing", 0, nil, nil},
		{"temporary", 0, errTemporary, nil},
		{"timeout", 0, os.ErrDeadlineExceeded, nil},
		{"negative", -1, nil, errCount},
		{"odd", 0, errOdd, errOdd},
		{"end", 0, io.EOF, io.ErrUnexpectedEOF},
		{"closed", 0, net.ErrClosed, net.ErrClosed},
		{"closed pipe", 0, io.ErrClosedPipe, io.ErrClosedPipe},
		{"refused", 0, syscall.ECONNREFUSED, syscall.ECONNREFUSED},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, client, _ *hermetic.Config) {
				a, b := net.Pipe()
				go io.Copy(io.Discard, b)
				o := &odd{Conn: a, read: func(*odd, []byte) (int, error) { return test.n, test.err }}
				o.times.Store(1 << 30)
				c := DTLSClient(o, client)
				err := c.Handshake()
				if test.want != nil && !errors.Is(err, test.want) || test.want == nil && err != hermetic.ErrTimeout || errors.Is(err, io.EOF) {
					t.Errorf("the handshake ends with %v", err)
				}
				c.Close()
				synctest.Wait()
				before := o.calls.Load()
				if before > 5000 { // for two minutes
					t.Errorf("%d reads", before)
				}
				time.Sleep(time.Minute)
				if n := o.calls.Load() - before; n > 1 {
					t.Errorf("%d reads after Close", n)
				}
			})
		})
	}
}

// TestCloseAfterFailure: a Close right after the handshake has failed still lets the
// alert leave, over a transport that waits for its other end.
func TestCloseAfterFailure(t *testing.T) {
	bubble(t, func(t *testing.T, client, server *hermetic.Config) {
		client.NextProtos, server.NextProtos = []string{"one"}, []string{"another"}
		a, b := net.Pipe()
		c, s := DTLSClient(a, client), DTLSServer(b, server)
		failed := make(chan error)
		go func() {
			err := s.Handshake()
			s.Close()
			failed <- err
		}()
		err := c.Handshake()
		var alert *hermetic.AlertError
		if !errors.As(err, &alert) || alert.Alert != hermetic.AlertNoApplicationProtocol || !alert.Received {
			t.Errorf("the client: %v", err)
		}
		if err := <-failed; !errors.As(err, &alert) || alert.Received {
			t.Errorf("the server: %v", err)
		}
		c.Close()
	})
}

// TestEndAfterCloseNotify: a transport that ends after a close_notify is no failure.
func TestEndAfterCloseNotify(t *testing.T) {
	bubble(t, func(t *testing.T, client, server *hermetic.Config) {
		a, b := net.Pipe()
		c, s := ready(t, DTLSClient(a, client), DTLSServer(b, server))
		c.Close()
		synctest.Wait()
		if _, err := s.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("got %v", err)
		}
	})
}

// jam is a connection whose writes wait once it is jammed, until it is closed.
type jam struct {
	net.Conn
	jammed atomic.Bool
	once   sync.Once
	closed chan struct{}
}

func newJam(conn net.Conn) *jam { return &jam{Conn: conn, closed: make(chan struct{})} }

func (j *jam) Write(b []byte) (int, error) {
	if j.jammed.Load() {
		<-j.closed
		return 0, net.ErrClosed
	}
	return j.Conn.Write(b)
}

func (j *jam) Close() error {
	j.once.Do(func() { close(j.closed) })
	return j.Conn.Close()
}

func (j *jam) SetDeadline(time.Time) error      { return nil }
func (j *jam) SetReadDeadline(time.Time) error  { return nil }
func (j *jam) SetWriteDeadline(time.Time) error { return nil }

// calls are all that may wait.
var calls = map[string]func(c *Conn, ctx context.Context) error{
	"Read":             func(c *Conn, _ context.Context) error { _, err := c.Read(make([]byte, 1)); return err },
	"Write":            func(c *Conn, _ context.Context) error { _, err := c.Write([]byte("x")); return err },
	"Handshake":        func(c *Conn, _ context.Context) error { return c.Handshake() },
	"HandshakeContext": func(c *Conn, ctx context.Context) error { return c.HandshakeContext(ctx) },
	"CloseWrite":       func(c *Conn, _ context.Context) error { return c.CloseWrite() },
	"Control": func(c *Conn, _ context.Context) error {
		return c.Control(func(*hermetic.Engine) error { return nil })
	},
	"State":           func(c *Conn, _ context.Context) error { c.State(); return nil },
	"ConnectionState": func(c *Conn, _ context.Context) error { c.ConnectionState(); return nil },
	"Drops":           func(c *Conn, _ context.Context) error { c.Drops(); return nil },
	"SetDeadline":     func(c *Conn, _ context.Context) error { c.SetDeadline(time.Now().Add(time.Hour)); return nil },
	"RemoteAddr":      func(c *Conn, _ context.Context) error { c.RemoteAddr(); return nil },
}

// ends are what ends a call. When all have come, all must have returned.
var ends = map[string]func(c *Conn, cancel func()){
	"read deadline":  func(c *Conn, _ func()) { c.SetReadDeadline(time.Now().Add(time.Second)) },
	"write deadline": func(c *Conn, _ func()) { c.SetWriteDeadline(time.Now().Add(time.Second)) },
	"both deadlines": func(c *Conn, _ func()) { c.SetDeadline(time.Now().Add(time.Second)) },
	"context":        func(_ *Conn, cancel func()) { cancel() },
	"Close":          func(c *Conn, _ func()) { c.Close() },
}

// waits plays every call beside all others, and every end of it: all that the end is for
// return.
func waits(t *testing.T, handshake bool, begin func(t *testing.T, client, server *hermetic.Config) *Conn) {
	for end, come := range ends {
		t.Run(end, func(t *testing.T) {
			bubble(t, func(t *testing.T, client, server *hermetic.Config) {
				c := begin(t, client, server)
				ctx, cancel := context.WithCancel(t.Context())
				var mu sync.Mutex
				waiting := map[string]bool{}
				for name := range calls {
					waiting[name] = true
				}
				for name, call := range calls {
					go func() {
						if name != "SetDeadline" || end == "Close" { // it would be another end
							call(c, ctx)
						}
						mu.Lock()
						defer mu.Unlock()
						delete(waiting, name)
					}()
				}
				time.Sleep(time.Second)
				come(c, cancel)
				time.Sleep(2*time.Second + 3*moment)
				mu.Lock()
				for name := range waiting {
					if !handshake { // of what waits only for its own end
						if name == "Read" && (end == "write deadline" || end == "context") || name == "Write" && (end == "read deadline" || end == "context") {
							continue
						}
					}
					t.Errorf("%s still waits", name)
				}
				mu.Unlock()
				cancel()
				c.Close()
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				for name := range waiting {
					t.Errorf("%s still waits after Close", name)
				}
			})
		})
	}
}

// TestJammedTransport: every call returns at its end while the transport takes nothing.
func TestJammedTransport(t *testing.T) {
	t.Run("handshake", func(t *testing.T) {
		waits(t, true, func(t *testing.T, client, _ *hermetic.Config) *Conn {
			a, b := net.Pipe()
			j := newJam(a)
			j.jammed.Store(true)
			t.Cleanup(func() { b.Close() })
			return DTLSClient(j, client)
		})
	})
	t.Run("established", func(t *testing.T) {
		waits(t, false, func(t *testing.T, client, server *hermetic.Config) *Conn {
			a, b := net.Pipe()
			j := newJam(a)
			c, _ := ready(t, DTLSClient(j, client), DTLSServer(b, server))
			c.SetDeadline(time.Time{})
			j.jammed.Store(true)
			return c
		})
	})
	t.Run("listener", func(t *testing.T) {
		waits(t, false, func(t *testing.T, client, server *hermetic.Config) *Conn {
			a, b := net.Pipe()
			j := newJam(a)
			l, err := NewPacketListener(&packetPipe{j, addresses["one"]}, server, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				l.Close()
				j.Close()
			})
			c := DTLSClient(b, client)
			if err := c.Handshake(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			s := accept(t, l)
			s.SetDeadline(time.Time{})
			j.jammed.Store(true)
			return s
		})
	})
}

// TestCallbackWaits: and while a callback waits, for as long as it likes.
func TestCallbackWaits(t *testing.T) {
	for _, role := range []string{"client", "server"} {
		t.Run(role, func(t *testing.T) {
			waits(t, true, func(t *testing.T, client, server *hermetic.Config) *Conn {
				a, b := net.Pipe()
				stuck := make(chan struct{})
				t.Cleanup(func() { close(stuck) })
				var own *Conn
				wait := func() error {
					own.RemoteAddr() // a callback may ask
					<-stuck
					return errOdd
				}
				client.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return nil }
				if role == "client" {
					client.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return wait() }
				} else {
					server.GetConfigForClient = func(*hermetic.ClientHello) (*hermetic.Config, error) { return nil, wait() }
				}
				c, s := DTLSClient(a, client), DTLSServer(b, server)
				if own = c; role == "server" {
					own, s = s, c
				}
				t.Cleanup(func() { s.Close() })
				go s.Handshake()
				return own
			})
		})
	}
}

// jammedWire is a wire that takes nothing for some peers.
type jammedWire struct {
	*wire
	jammed func(to string) bool
}

func (w *jammedWire) WriteTo(b []byte, to net.Addr) (int, error) {
	if w.jammed(to.String()) {
		<-w.end
		return 0, net.ErrClosed
	}
	return w.wire.WriteTo(b, to)
}

// TestJammedPeer: a peer whom the transport takes nothing for holds up no other, nor the
// listener, and what it leaves behind is bounded.
func TestJammedPeer(t *testing.T) {
	client, server := configs(t)
	server.DTLS.TrustAddress = true
	const backlog = 4
	w := &jammedWire{newWire(), func(to string) bool { return to[0] == 'j' }}
	l, err := NewPacketListener(w, server, &PacketConfig{Backlog: backlog})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer l.Close()
	hello := func(name string) {
		w.send(name, w.caller(t, name, client).Output(nil))
	}
	for i := range backlog - 1 {
		hello(fmt.Sprintf("jammed %d", i))
	}
	good := w.caller(t, "good", client)
	for !good.HandshakeComplete() { // here sent() would wait for the jammed ones
		for good.HasOutput() {
			w.send(good.addr, good.Output(nil))
		}
		w.send("nobody", nil)
		w.mu.Lock()
		got := w.out["good"]
		delete(w.out, "good")
		w.mu.Unlock()
		for _, d := range got {
			for len(d) > 0 {
				o, err := good.Open(d)
				if err != nil {
					t.Fatal(err)
				}
				d = d[o.N:]
			}
		}
	}
	for good.HasOutput() {
		w.send(good.addr, good.Output(nil))
	}
	conn := accept(t, l)
	good.say("hello")
	hears(t, conn, "hello")
	// Those that are jammed end, and what they leave takes their room.
	for _, p := range l.socket.all() {
		if !p.established {
			p.abort(errOdd)
		}
	}
	for i := range 10 * backlog {
		hello(fmt.Sprintf("jammed again %d", i))
	}
	w.send("nobody", nil)
	if n := len(l.socket.all()); n > backlog {
		t.Errorf("%d peers", n)
	}
	if d := l.Drops(); d.BacklogFull < 8*backlog {
		t.Errorf("%d hellos were beyond the backlog", d.BacklogFull)
	}
}

// TestJammedStrangers: nor do strangers.
func TestJammedStrangers(t *testing.T) {
	client, server := configs(t)
	w := &jammedWire{newWire(), func(to string) bool { return to[0] == 'j' }}
	l, err := NewPacketListener(w, server, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	defer l.Close()
	hello := w.caller(t, "", client).Output(nil)
	for i := range 2 * cap(l.socket.transport.(*packets).answers) {
		w.send(fmt.Sprintf("jammed %d", i), slices.Clone(hello))
	}
	w.send("nobody", nil)
	if n := len(l.socket.transport.(*packets).answers); n != cap(l.socket.transport.(*packets).answers) {
		t.Errorf("%d answers wait", n)
	}
	if d := l.Drops(); d.NoCookie != uint64(2*cap(l.socket.transport.(*packets).answers)) {
		t.Errorf("got %+v", d)
	}
}

// TestDrops: each reason for which a listener drops a datagram is counted.
func TestDrops(t *testing.T) {
	client, server := configs(t)
	client.CurvePreferences = []tls.CurveID{tls.X25519} // a hello is one datagram
	w, l := onWire(t, server, PacketConfig{Backlog: 2, MaxPeers: 3, MaxQueued: 1})
	want := Drops{}
	check := func(what string) {
		t.Helper()
		w.sent("nobody")
		want.Empty = l.Drops().Empty // those by which we wait
		if got := l.Drops(); got != want {
			t.Errorf("%s: got %+v, want %+v", what, got, want)
		}
	}
	meet := func(name string) *caller {
		c := w.caller(t, name, client)
		c.speak()
		if c.State().HelloRetryRequest {
			want.NoCookie++
		}
		return c
	}
	check("nothing")
	w.send("a", []byte("garbage"))
	w.send("a", make([]byte, maxDatagram))
	want.NoPeer += 2
	check("of strangers")
	w.send("a", make([]byte, maxDatagram+1))
	want.TooLarge++
	check("too large")
	a := meet("a")
	check("a handshake")
	meet("b")
	meet("c")
	want.BacklogFull++
	check("beyond the backlog")
	conn := accept(t, l)
	accept(t, l)
	meet("c")
	accept(t, l)
	meet("d")
	want.TooManyPeers++
	check("beyond the peers")
	a.say("one")
	a.say("two")
	a.say("three")
	want.QueueFull += 2
	check("not read")
	d, err := a.Seal(nil, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	w.send("a", slices.Clone(d))
	w.send("a", slices.Clone(d))
	d[len(d)-1] ^= 1
	w.send("a", d)
	want.QueueFull++
	want.Records.Replayed++
	want.Records.Forged++
	check("records")
	if got, want := conn.Drops(), (Drops{QueueFull: 3, Records: hermetic.RecordDrops{Replayed: 1, Forged: 1}}); got != want {
		t.Errorf("the connection's own: %+v, want %+v", got, want)
	}
	conn.Close()
	a.say("late")
	want.NoPeer++
	check("after its end")
	l.Close()
	meet("e")
	want.Closed++
	check("after Close")
}

// TestDropsOfOne: a connection to one peer counts what came on its transport.
func TestDropsOfOne(t *testing.T) {
	client, server := configs(t)
	a, b := net.Pipe()
	c, s := ready(t, DTLSClient(a, client), DTLSServer(b, server))
	if d := s.Drops(); d != (Drops{NoCookie: 1}) {
		t.Errorf("after the handshake: %+v", d)
	}
	for _, d := range []string{"", "garbage", "\x16\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x63\x00\x00"} {
		if _, err := a.Write([]byte(d)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	hears(t, s, "hello")
	d := s.Drops()
	if want := (Drops{Empty: d.Empty, NoCookie: 1, Records: hermetic.RecordDrops{Malformed: 1, Unprotected: 1}}); d != want || d.Empty == 0 {
		t.Errorf("got %+v, want %+v", d, want)
	}
}
