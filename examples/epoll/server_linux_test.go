package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hermetic-tls/hermetic"
)

const patience = time.Minute

// running is a server with its goroutine.
type running struct {
	*server
	t     *testing.T
	ended chan error
	stops sync.Once
}

// start runs a server; change, if any, is called before.
func start(t *testing.T, change func(*server)) *running {
	t.Helper()
	r := &running{server: listening(t), t: t, ended: make(chan error, 1)}
	r.limits.handshake = patience // a loaded machine is slow, too
	if change != nil {
		change(r.server)
	}
	go func() { r.ended <- r.run() }()
	t.Cleanup(r.finish)
	return r
}

func listening(t *testing.T) *server {
	t.Helper()
	s, err := newServer(netip.MustParseAddrPort("127.0.0.1:0"), &hermetic.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// dialed is a server that has not begun, on a clock that a test moves, and its first client.
func dialed(t *testing.T) (s *server, c net.Conn, now *time.Time) {
	t.Helper()
	s = listening(t)
	t.Cleanup(s.close)
	start := time.Unix(1, 0)
	s.now = func() time.Time { return start }
	c, err := net.Dial("tcp", s.address.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return s, c, &start
}

// finish stops the server, whose tables and counts can be read then.
func (r *running) finish() {
	r.t.Helper()
	r.stops.Do(func() {
		r.stop()
		if err := <-r.ended; err != nil {
			r.t.Error(err)
		}
		if len(r.conns) > 0 || len(r.timers) > 0 || r.handshakes.Len() > 0 {
			r.t.Errorf("%d connections, %d timers, %d handshakes remain", len(r.conns), len(r.timers), r.handshakes.Len())
		}
		// Each client is counted once when its handshake ends, and at most once after.
		n := r.counts
		if n.accepted != n.complete+n.failed+n.late+n.crowded || n.complete < n.closed+n.cut+n.broken+n.silent {
			r.t.Errorf("%+v", n)
		}
	})
}

func (r *running) raw() *net.TCPConn {
	r.t.Helper()
	c, err := net.Dial("tcp", r.address.String())
	if err != nil {
		r.t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	r.t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

func (r *running) dial(version uint16) *tls.Conn {
	r.t.Helper()
	c := tls.Client(r.raw(), &tls.Config{InsecureSkipVerify: true, MaxVersion: version})
	if err := c.Handshake(); err != nil {
		r.t.Fatal(err)
	}
	return c
}

// echoes sends data and half-closes, and expects it back, and then close_notify.
func (r *running) echoes(c *tls.Conn, data []byte) {
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(data)
		sent <- errors.Join(err, c.CloseWrite())
	}()
	got, err := io.ReadAll(c)
	if err := errors.Join(err, <-sent); err != nil || !bytes.Equal(got, data) {
		r.t.Errorf("%d bytes of %d, %v", len(got), len(data), err)
	}
	c.Close()
}

// says sends data and expects it back; the connection goes on.
func (r *running) says(c *tls.Conn, data string) {
	r.t.Helper()
	got := make([]byte, len(data))
	_, err := c.Write([]byte(data))
	if err == nil {
		_, err = io.ReadFull(c, got)
	}
	if err != nil || string(got) != data {
		r.t.Fatalf("%q, %v", got, err)
	}
}

func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

func TestEcho(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, size := range []int{0, 1, 16384, 16385, 1 << 20} {
			r := start(t, nil)
			r.echoes(r.dial(version), noise(size))
			r.finish()
			if r.counts != (counts{accepted: 1, complete: 1, closed: 1, kept: r.counts.kept}) {
				t.Errorf("%s, %d bytes: %+v", tls.VersionName(version), size, r.counts)
			}
		}
	}
}

func TestMany(t *testing.T) {
	const clients = 200
	r := start(t, nil)
	var all, met sync.WaitGroup
	met.Add(clients)
	for i := range clients {
		c := tls.Client(r.raw(), &tls.Config{InsecureSkipVerify: true})
		all.Go(func() {
			err := c.Handshake()
			met.Done()
			met.Wait() // all are connected at once
			if err != nil {
				t.Error(err)
				return
			}
			r.echoes(c, noise(1000+100*i))
		})
	}
	all.Wait()
	r.finish()
	if r.counts != (counts{accepted: clients, complete: clients, closed: clients, kept: r.counts.kept}) {
		t.Errorf("%+v", r.counts)
	}
}

// mostKept is what a server may keep for one client: a last record and handshake messages come
// on top of the limit.
const mostKept = 256<<10 + inputSize + 2*(5+16384+256)

// TestSlowReader: a client that sends and does not read is not read either, with bounded memory;
// others are served, and when it does read, nothing is lost.
func TestSlowReader(t *testing.T) {
	r := start(t, nil)
	slow := r.dial(tls.VersionTLS13)
	slow.NetConn().(*net.TCPConn).SetReadBuffer(1 << 16)
	slow.NetConn().(*net.TCPConn).SetWriteBuffer(1 << 16)
	data := noise(32 << 20) // more than the buffers of both kernels
	var sent atomic.Int64
	go func() {
		for at := 0; at < len(data); at += 1 << 14 {
			if _, err := slow.Write(data[at : at+1<<14]); err != nil {
				t.Error(err)
				return
			}
			sent.Add(1)
		}
		slow.CloseWrite()
	}()
	// Another one talks until the first one is stuck, and goes on.
	other := r.dial(tls.VersionTLS12)
	for before := int64(-1); before != sent.Load() || before == 0; {
		before = sent.Load()
		for range 500 {
			r.says(other, "is anybody there?")
		}
	}
	if n := int(sent.Load()) << 14; n == len(data) {
		t.Errorf("all %d bytes were taken, and nothing was read", n)
	}
	if got, err := io.ReadAll(slow); err != nil || !bytes.Equal(got, data) {
		t.Errorf("%d bytes of %d, %v", len(got), len(data), err)
	}
	r.finish()
	if r.counts.kept < defaultLimits.output || r.counts.kept > mostKept {
		t.Errorf("%d bytes were kept for one client, not %d to %d", r.counts.kept, defaultLimits.output, mostKept)
	}
	if r.counts.closed != 1 || r.counts.cut+r.counts.broken+r.counts.silent != 0 {
		t.Errorf("%+v", r.counts)
	}
}

// TestNoSpin: without events the loop does not turn, though a client's input waits unread.
func TestNoSpin(t *testing.T) {
	turns := 0
	r := start(t, func(s *server) {
		s.limits.idle = 200 * time.Millisecond
		s.now = func() time.Time { turns++; return time.Now() }
	})
	slow := r.dial(tls.VersionTLS13)
	// It never reads. It is written to until the server gives up, which resets the connection.
	sent, err := 0, error(nil)
	for chunk := make([]byte, 16384); err == nil; {
		var n int
		n, err = slow.Write(chunk)
		sent += n
	}
	r.finish()
	if r.counts.silent != 1 || r.counts.kept > mostKept {
		t.Errorf("%+v", r.counts)
	}
	// Each record causes a few looks at the clock at most; a spin would have millions.
	if most := 1000 + 10*sent/16384; turns > most {
		t.Errorf("%d looks at the clock for %d bytes", turns, sent)
	}
}

// TestNoSpinAfterEnd: a client that was told the end, has sent more than we read, and does not
// close, costs nothing until its time is over.
func TestNoSpinAfterEnd(t *testing.T) {
	s := listening(t)
	defer s.close()
	s.limits.linger = 100 * time.Millisecond
	c, err := net.Dial("tcp", s.address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	go c.Write(bytes.Repeat([]byte{0xff}, 2*inputSize))
	turns := 0
	for events := make([]unix.EpollEvent, 8); s.counts.accepted == 0 || len(s.conns) > 0; turns++ {
		if err := s.turn(events); err != nil {
			t.Fatal(err)
		}
	}
	if turns > 20 || s.counts.failed != 1 {
		t.Errorf("%d turns, %+v", turns, s.counts)
	}
}

// TestHeld: records that wait for output are opened when the socket has taken it, even if the
// client sends nothing more.
func TestHeld(t *testing.T) {
	s := listening(t)
	defer s.close()
	raw, err := net.Dial("tcp", s.address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	stuck, rest := make(chan struct{}), make(chan error, 1)
	go func() {
		c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
		go func() {
			for chunk := make([]byte, 1<<14); ; {
				if _, err := c.Write(chunk); err != nil {
					return
				}
			}
		}()
		<-stuck
		_, err := io.Copy(io.Discard, raw)
		rest <- err
	}()
	events := make([]unix.EpollEvent, 8)
	var c *conn
	for c == nil || !c.held {
		if err := s.turn(events); err != nil {
			t.Fatal(err)
		}
		for _, c = range s.conns {
		}
	}
	close(stuck)
	for len(c.out) > 0 { // the client reads now, and the socket takes all
		s.begin(c)
		s.settle(c)
	}
	if !c.held || c.events&unix.EPOLLOUT == 0 {
		t.Errorf("%d bytes of records are held, and epoll waits for %#x", len(c.in), c.events)
	}
	for c.held { // they are opened, without more input
		s.event(c, unix.EPOLLOUT)
	}
	s.forget(c)
	<-rest
}

// expectEnd reads to the end, which must not be a timeout.
func expectEnd(t *testing.T, c net.Conn) []byte {
	t.Helper()
	got, err := io.ReadAll(c)
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		t.Errorf("no end after %d bytes", len(got))
	}
	return got
}

// TestHandshakeTimeout: clients that say nothing, or half of something.
func TestHandshakeTimeout(t *testing.T) {
	r := start(t, func(s *server) { s.limits.handshake = 50 * time.Millisecond })
	for _, hello := range [][]byte{nil, {22}, {22, 3, 1, 1, 0, 1, 0}} {
		c := r.raw()
		c.Write(hello)
		expectEnd(t, c)
	}
	r.finish()
	if r.counts.late != 3 {
		t.Errorf("%+v", r.counts)
	}
}

// TestDrops: a ClientHello that comes drop by drop has as much time as one that does not come.
func TestDrops(t *testing.T) {
	s, c, now := dialed(t)
	s.accept()
	events := make([]unix.EpollEvent, 1)
	drops := append([]byte{22, 3, 1, 64, 0, 1, 0, 60, 0}, make([]byte, 100)...)
	seconds := 0
	for len(s.conns) > 0 && seconds < len(drops) {
		c.Write(drops[seconds : seconds+1])
		if _, err := unix.EpollWait(s.epoll, events, -1); err != nil {
			continue // EINTR
		}
		s.event(s.conns[int(events[0].Fd)], events[0].Events)
		*now = now.Add(time.Second)
		s.expire()
		seconds++
	}
	if seconds != 10 || s.counts.late != 1 {
		t.Errorf("after %d seconds: %+v", seconds, s.counts)
	}
}

func TestIdle(t *testing.T) {
	r := start(t, func(s *server) { s.limits.idle = 50 * time.Millisecond })
	c := r.dial(tls.VersionTLS13)
	if got := expectEnd(t, c); len(got) > 0 {
		t.Errorf("%q", got)
	}
	c.Close()
	r.finish()
	if r.counts != (counts{accepted: 1, complete: 1, silent: 1, kept: r.counts.kept}) {
		t.Errorf("%+v", r.counts)
	}
}

// TestGarbage: it is answered with an alert, and then the connection is closed.
func TestGarbage(t *testing.T) {
	r := start(t, nil)
	for _, garbage := range [][]byte{
		[]byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
		bytes.Repeat([]byte{0}, 1<<17),
		bytes.Repeat([]byte{0xff}, 100),
		{23, 3, 3, 0, 1, 0},
		{22, 3, 1, 0xff, 0xff, 0},
		{22, 3, 3, 0, 4, 2, 0, 0, 0},
	} {
		c := r.raw()
		c.Write(garbage)
		if got := expectEnd(t, c); len(got) != 7 || got[0] != 21 || got[5] != 2 {
			t.Errorf("%.20x is answered by %x, not an alert", garbage, got)
		}
		c.Close()
	}
	c := r.dial(tls.VersionTLS13)
	r.says(c, "hello")
	c.NetConn().Write([]byte{23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20})
	var alert tls.AlertError
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.As(err, &alert) {
		t.Errorf("a forged record: %v", err)
	} else if want := "remote error: tls: bad record MAC"; err.Error() != want {
		t.Errorf("%v, not %s", err, want)
	}
	c.Close()
	r.finish()
	if r.counts.failed != 6 || r.counts.broken != 1 {
		t.Errorf("%+v", r.counts)
	}
}

// TestGone: clients that vanish are noticed: by FIN, by a reset, in a handshake and after.
func TestGone(t *testing.T) {
	r := start(t, nil)
	for _, reset := range []bool{false, true} {
		raw := r.raw()
		raw.Write([]byte{22, 3, 1})
		c := r.dial(tls.VersionTLS13)
		r.says(c, "hello")
		for _, gone := range []*net.TCPConn{raw, c.NetConn().(*net.TCPConn)} {
			if reset {
				gone.SetLinger(0)
			}
			gone.Close()
		}
	}
	// FIN without close_notify still gets what is owed.
	half := r.dial(tls.VersionTLS13)
	half.Write([]byte("hello"))
	half.NetConn().(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(half); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
	half.Close()
	last := r.dial(tls.VersionTLS13) // its event comes after theirs
	r.says(last, "hello")
	last.Close()
	r.finish()
	if r.counts.failed != 2 || r.counts.cut != 3 {
		t.Errorf("%+v", r.counts)
	}
}

// TestFlood: connections that say nothing keep nobody out, and those that exist go on.
func TestFlood(t *testing.T) {
	r := start(t, func(s *server) { s.limits.handshakes, s.limits.linger = 20, 100*time.Millisecond })
	old := r.dial(tls.VersionTLS13)
	for range 300 {
		r.raw()
	}
	r.says(old, "still here")
	r.echoes(r.dial(tls.VersionTLS13), []byte("so am I"))
	r.finish()
	if r.counts.crowded < 280 || r.counts.complete != 2 || r.counts.accepted != 302 {
		t.Errorf("%+v", r.counts)
	}
}

// TestFull: beyond the limit clients wait, and are served when another one has left.
func TestFull(t *testing.T) {
	r := start(t, func(s *server) {
		s.limits.conns, s.limits.retry, s.limits.linger = 2, time.Hour, 100*time.Millisecond
	})
	first, second := r.dial(tls.VersionTLS13), r.dial(tls.VersionTLS13)
	third := tls.Client(r.raw(), &tls.Config{InsecureSkipVerify: true})
	r.says(second, "the third one waits")
	first.Close()
	if err := third.Handshake(); err != nil {
		t.Fatal(err)
	}
	r.says(third, "hello")
	r.finish()
	if r.counts.paused == 0 || r.counts.complete != 3 {
		t.Errorf("%+v", r.counts)
	}
}

// TestNoDescriptors: without descriptors the server pauses, and does not spin.
func TestNoDescriptors(t *testing.T) {
	s, _, now := dialed(t)

	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	s.accept()
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	if s.counts.paused != 1 || len(s.conns) != 0 {
		t.Fatalf("%+v", s.counts)
	}
	events := make([]unix.EpollEvent, 1)
	if n, err := unix.EpollWait(s.epoll, events, 0); n != 0 || err != nil {
		t.Errorf("%d events while accepting pauses, %v", n, err)
	}
	if wait := s.timeout(); wait != 1000 {
		t.Errorf("epoll would wait %d ms", wait)
	}
	*now = now.Add(time.Second)
	s.expire()
	if n, err := unix.EpollWait(s.epoll, events, -1); n != 1 || err != nil {
		t.Errorf("%d events, %v", n, err)
	}
	if s.accept(); s.counts.accepted != 1 || len(s.conns) != 1 {
		t.Errorf("%+v", s.counts)
	}
}

// TestStop: every client is told, also one that sends all the time; one that does not read is cut.
func TestStop(t *testing.T) {
	r := start(t, func(s *server) { s.limits.linger = 200 * time.Millisecond })
	quiet, busy, deaf := r.dial(tls.VersionTLS13), r.dial(tls.VersionTLS12), r.dial(tls.VersionTLS13)
	r.raw() // in a handshake
	r.says(quiet, "hello")
	r.says(busy, "hello")
	for _, c := range []*tls.Conn{busy, deaf} {
		go func() {
			for chunk := make([]byte, 1<<14); ; {
				if _, err := c.Write(chunk); err != nil {
					return
				}
			}
		}()
	}
	r.finish()
	if got, err := io.ReadAll(quiet); err != nil || len(got) > 0 {
		t.Errorf("%q, %v", got, err)
	}
	if c, err := net.Dial("tcp", r.address.String()); err == nil {
		c.Close()
		t.Error("it still listens")
	}
	if r.counts.complete != 3 {
		t.Errorf("%+v", r.counts)
	}
	r.stop() // once more, when it has ended
}

func TestAddress(t *testing.T) {
	s := listening(t)
	defer s.close()
	if _, err := newServer(s.address, s.config); !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("%v", err)
	}
	if _, err := newServer(s.address, &hermetic.Config{MinVersion: 1}); err == nil {
		t.Error("a Config with an error is accepted")
	}
	six, err := newServer(netip.MustParseAddrPort("[::1]:0"), s.config)
	if err != nil {
		t.Skip("no IPv6: ", err)
	}
	six.close()
}
