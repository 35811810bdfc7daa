package netconn

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// wire is a transport in memory: the server's end is a net.PacketConn, and what
// it writes is kept until somebody asks for it.
type wire struct {
	in  chan parcel
	mu  sync.Mutex
	out map[string][][]byte
	end chan struct{}
	l   *PacketListener
}

type parcel struct {
	peer wireAddr
	data []byte
}

type wireAddr string

func (wireAddr) Network() string  { return "wire" }
func (a wireAddr) String() string { return string(a) }

func newWire() *wire {
	return &wire{in: make(chan parcel), out: map[string][][]byte{}, end: make(chan struct{})}
}

func (w *wire) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-w.in:
		return copy(b, p.data), p.peer, nil
	case <-w.end:
		return 0, nil, net.ErrClosed
	}
}

func (w *wire) WriteTo(b []byte, to net.Addr) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out[to.String()] = append(w.out[to.String()], bytes.Clone(b))
	return len(b), nil
}

func (w *wire) Close() error {
	select {
	case <-w.end:
	default:
		close(w.end)
	}
	return nil
}

func (w *wire) LocalAddr() net.Addr              { return wireAddr("server") }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// send gives the server a datagram. When the next one is taken, this one has been
// worked on.
func (w *wire) send(from string, datagram []byte) {
	select {
	case w.in <- parcel{wireAddr(from), datagram}:
	case <-w.end:
	}
}

// sent takes what the server has written to that peer, after all that was sent.
func (w *wire) sent(to string) [][]byte {
	w.send("nobody", nil) // the server's goroutine is here again
	for !w.l.socket.quiet() {
		runtime.Gosched()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	d := w.out[to]
	delete(w.out, to)
	return d
}

// quiet reports that nothing waits for the transport.
func (s *socket) quiet() bool {
	for _, p := range s.all() {
		p.mu.Lock()
		leaving := p.leaving
		p.mu.Unlock()
		if leaving {
			return false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	answers := 0
	if t, ok := s.transport.(*packets); ok {
		answers = len(t.answers)
	}
	return s.leaving+answers == 0
}

// caller is a client's engine at an address on the wire.
type caller struct {
	*hermetic.Engine
	t    *testing.T
	w    *wire
	addr string
	got  []byte
	err  error
}

func (w *wire) caller(t *testing.T, addr string, cfg *hermetic.Config) *caller {
	t.Helper()
	e, err := hermetic.NewEngine(hermetic.DTLSClient, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &caller{Engine: e, t: t, w: w, addr: addr}
}

// speak sends what the client has to say, and takes the answers, until neither
// has anything to say.
func (c *caller) speak() {
	for c.HasOutput() {
		for c.HasOutput() {
			c.w.send(c.addr, c.Output(nil))
		}
		c.listen()
	}
	c.listen()
}

func (c *caller) listen() {
	for _, d := range c.w.sent(c.addr) {
		for len(d) > 0 && c.err == nil {
			var o hermetic.Opened
			o, c.err = c.Open(d)
			c.got = append(c.got, o.Data...)
			d = d[max(o.N, 1):]
		}
	}
}

func (c *caller) say(words string) {
	c.t.Helper()
	d, err := c.Seal(nil, []byte(words))
	if err != nil {
		c.t.Fatal(err)
	}
	c.w.send(c.addr, d)
}

// onWire is a listener on a wire.
func onWire(t *testing.T, cfg *hermetic.Config, config PacketConfig) (*wire, *PacketListener) {
	t.Helper()
	w := newWire()
	l, err := NewPacketListener(w, cfg, &config)
	if err != nil {
		t.Fatal(err)
	}
	w.l = l
	t.Cleanup(func() {
		l.Close()
		w.Close()
	})
	return w, l
}

func accept(t *testing.T, l *PacketListener) *Conn {
	t.Helper()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	return c.(*Conn)
}

// hears reads one datagram.
func hears(t *testing.T, c *Conn, want string) {
	t.Helper()
	buf := make([]byte, 1000)
	if n, err := c.Read(buf); string(buf[:n]) != want || err != nil {
		t.Errorf("heard %q, %v instead of %q", buf[:n], err, want)
	}
}

// TestStrangers: nothing is kept about a peer that has not shown a cookie.
func TestStrangers(t *testing.T) {
	client, server := configs(t)
	w, l := onWire(t, server, PacketConfig{})
	hello := w.caller(t, "", client).Output(nil)
	for i, d := range [][]byte{
		nil, {22}, {23, 1, 2, 3}, bytes.Repeat([]byte{22}, 200), bytes.Repeat([]byte{0x2f}, 60),
		hello, hello[:len(hello)-1], append(bytes.Clone(hello), hello...),
	} {
		for n := range 100 {
			addr := fmt.Sprintf("stranger %d of %d", n, i)
			w.send(addr, bytes.Clone(d))
			size := 0
			for _, answer := range w.sent(addr) {
				size += len(answer)
			}
			if size > len(d) {
				t.Fatalf("%d bytes for %d", size, len(d))
			}
			if (size > 0) != (i == 5 || i == 7) {
				t.Errorf("datagram %d: answered with %d bytes", i, size)
			}
		}
	}
	if s := l.socket; len(s.peers)+len(s.rising)+s.waiting+len(s.timers.peers) > 0 {
		t.Errorf("something was kept: %d peers, %d waiting", len(s.peers), s.waiting)
	}
	// A cookie is good for one address only.
	c := w.caller(t, "a", client)
	c.Output(nil)
	w.send("a", bytes.Clone(hello))
	c.listen()
	w.send("b", c.Output(nil))
	w.sent("b")
	if n := len(l.socket.peers); n > 0 {
		t.Errorf("%d peers with somebody else's cookie", n)
	}
}

// TestOnFailure: handshakes that fail are told of once, and nothing else is.
func TestOnFailure(t *testing.T) {
	client, server := configs(t)
	var told []string
	w, l := onWire(t, server, PacketConfig{OnFailure: func(peer net.Addr, err error) {
		told = append(told, fmt.Sprintf("%v: %v", peer, err))
	}})
	w.send("stranger", bytes.Repeat([]byte{22}, 200))
	w.caller(t, "no cookie", client).Output(nil)
	w.caller(t, "good", client).speak()
	accept(t, l).Close()
	distrustful := client.Clone()
	distrustful.RootCAs = x509.NewCertPool()
	w.caller(t, "bad", distrustful).speak()
	w.send("bad", bytes.Repeat([]byte{22}, 200))
	w.sent("bad") // what was sent has been worked on
	if want := []string{"bad: peer sent alert unknown_ca"}; !slices.Equal(told, want) {
		t.Errorf("told %q, not %q", told, want)
	}
}

// TestBacklog: handshakes in progress and connections that wait for Accept are
// bounded together; a peer beyond the bound tries again.
func TestBacklog(t *testing.T) {
	client, server := configs(t)
	w, l := onWire(t, server, PacketConfig{Backlog: 2})
	half, whole, late := w.caller(t, "half", client), w.caller(t, "whole", client), w.caller(t, "late", client)
	w.send("half", half.Output(nil))
	half.listen()
	w.send("half", half.Output(nil)) // the second hello, and not a word more
	whole.speak()
	if !whole.HandshakeComplete() {
		t.Fatal("no handshake below the limit")
	}
	late.speak()
	if late.HandshakeComplete() || !late.State().HelloRetryRequest {
		t.Error("a handshake above the limit")
	}
	c := accept(t, l)
	if c.RemoteAddr().String() != "whole" {
		t.Errorf("accepted %v", c.RemoteAddr())
	}
	again := w.caller(t, "late", client)
	again.speak()
	if !again.HandshakeComplete() {
		t.Error("no handshake after Accept")
	}
	accept(t, l)
}

// TestNegativeBacklog: it is the default.
func TestNegativeBacklog(t *testing.T) {
	client, server := configs(t)
	w, l := onWire(t, server, PacketConfig{Backlog: -1})
	w.caller(t, "c", client).speak()
	accept(t, l).Close()
}

// TestPeers: no more connections than there may be, except in place of others.
func TestPeers(t *testing.T) {
	client, server := configs(t)
	w, l := onWire(t, server, PacketConfig{MaxPeers: 2})
	var conns []*Conn
	for _, name := range []string{"a", "b"} {
		w.caller(t, name, client).speak()
		conns = append(conns, accept(t, l))
	}
	c := w.caller(t, "c", client)
	if c.speak(); c.HandshakeComplete() {
		t.Error("a third connection")
	}
	again := w.caller(t, "a", client)
	if again.speak(); !again.HandshakeComplete() {
		t.Error("a peer may not begin anew")
	}
	accept(t, l)
	conns[1].Close()
	c = w.caller(t, "c", client)
	if c.speak(); !c.HandshakeComplete() {
		t.Error("no connection after another has ended")
	}
}

// TestQueue: what nobody reads is dropped from some point on, and datagrams are
// apart.
func TestQueue(t *testing.T) {
	client, server := configs(t)
	w, l := onWire(t, server, PacketConfig{MaxQueued: 3})
	c := w.caller(t, "c", client)
	c.speak()
	conn := accept(t, l)
	for round := range 3 {
		for i := range 5 {
			c.say(strconv.Itoa(round*10 + i))
		}
		w.sent("")
		for i := range 3 {
			hears(t, conn, strconv.Itoa(round*10+i))
		}
	}
	c.say("")
	hears(t, conn, "")
	c.say("a long one")
	buf := make([]byte, 6)
	if n, err := conn.Read(buf); string(buf[:n]) != "a long" || err != io.ErrShortBuffer {
		t.Errorf("%q, %v", buf[:n], err)
	}
	c.say("last words")
	c.Close()
	c.speak()
	hears(t, conn, "last words")
	if _, err := conn.Read(buf); err != io.EOF {
		t.Error(err)
	}
	if _, err := conn.Write(make([]byte, 1<<14+1)); !errors.Is(err, hermetic.ErrInvalidOperation) {
		t.Errorf("a datagram above the limit: %v", err)
	}
}

// TestLargeDatagrams: one has 16,384 bytes at most, and is never split.
func TestLargeDatagrams(t *testing.T) {
	client, server := configs(t)
	c, s := datagramPair(t, client, server)
	largest := bytes.Repeat([]byte("x"), 1<<14)
	if n, err := c.Write(append(largest, 'y')); n != 0 || !errors.Is(err, hermetic.ErrInvalidOperation) || !strings.Contains(err.Error(), "16384") {
		t.Errorf("a byte more: %d, %v", n, err)
	}
	if _, err := c.Write(largest); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 1<<15)
	if n, err := s.Read(got); err != nil || !bytes.Equal(got[:n], largest) {
		t.Errorf("%d bytes came, %v", n, err)
	}
}

// TestSlowReader: what one connection does not read costs it, and not the others.
func TestSlowReader(t *testing.T) {
	client, server := configs(t)
	w, l := onWire(t, server, PacketConfig{MaxQueued: 3})
	slow, other := w.caller(t, "slow", client), w.caller(t, "other", client)
	slow.speak()
	conns := []*Conn{accept(t, l)}
	other.speak()
	conns = append(conns, accept(t, l))
	for i := range 100 {
		slow.say(strconv.Itoa(i))
		other.say(strconv.Itoa(i))
		hears(t, conns[1], strconv.Itoa(i))
	}
	if n := len(conns[0].session.(*peer).queue); n > 3 {
		t.Errorf("%d datagrams wait", n)
	}
	for i := range 3 {
		hears(t, conns[0], strconv.Itoa(i))
	}
	slow.say("again")
	hears(t, conns[0], "again")
}

// TestAnew: a client that has forgotten its connection gets a new one, and the
// old one lives until the new one is whole.
func TestAnew(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client, server := configs(t)
		client.MaxVersion = version
		w, l := onWire(t, server, PacketConfig{})
		first := w.caller(t, "c", client)
		hello := first.Output(nil)
		w.send("c", bytes.Clone(hello))
		first.listen()
		second := first.Output(nil)
		w.send("c", bytes.Clone(second))
		first.listen()
		first.speak()
		old := accept(t, l)

		// A repetition of its hellos is none of this.
		w.send("c", bytes.Clone(hello))
		w.send("c", bytes.Clone(second))
		w.sent("")
		if len(l.socket.rising) > 0 {
			t.Fatal("a repeated hello has begun a handshake")
		}

		anew := w.caller(t, "c", client)
		w.send("c", anew.Output(nil))
		anew.listen()
		w.send("c", anew.Output(nil)) // with a cookie
		if w.sent(""); len(l.socket.rising) != 1 {
			t.Fatal("no new handshake")
		}
		w.send("c", nil) // UDP has empty datagrams, too
		first.say("still here")
		hears(t, old, "still here")
		// Another one begins anew before this one is whole.
		anew = w.caller(t, "c", client)
		w.sent("c")
		anew.speak()
		if !anew.HandshakeComplete() {
			t.Fatal("the new handshake is not complete")
		}
		if _, err := old.Read(make([]byte, 1)); !errors.Is(err, ErrReplaced) {
			t.Errorf("the old connection: %v", err)
		}
		conn := accept(t, l)
		anew.say("hello")
		hears(t, conn, "hello")
		if s := l.socket; len(s.peers) != 1 || len(s.rising) != 0 || s.waiting != 0 {
			t.Errorf("%d peers, %d rising, %d waiting", len(s.peers), len(s.rising), s.waiting)
		}
	}
}

// TestEmptyDatagrams: empty datagrams, which anybody may send to a socket that is wrapped too, hardly
// delay others.
func TestEmptyDatagrams(t *testing.T) {
	client, server := configs(t)
	w, l := onWire(t, server, PacketConfig{})
	c := w.caller(t, "c", client)
	c.speak()
	conn := accept(t, l)
	for range 3 {
		for range 3000 {
			w.send("stranger", nil)
		}
		c.say("a word")
		hears(t, conn, "a word")
	}
	if n := l.Drops().Empty; n < 9000 {
		t.Errorf("%d empty datagrams are counted of 9000", n)
	}
}

// TestLastRecordNumbers: a stranger that begins with the last record number leaves
// none for our answers, which must not be empty datagrams then.
func TestLastRecordNumbers(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client, server := configs(t)
		client.MaxVersion = version
		w, _ := onWire(t, server, PacketConfig{})
		c := w.caller(t, "c", client)
		for range 4 {
			for c.HasOutput() {
				d := c.Output(nil)
				if p, _ := hermetic.PeekDatagram(d, 0); p.Handshake {
					copy(d[5:11], "\xff\xff\xff\xff\xff\xff")
				}
				w.send("c", d)
			}
			for _, d := range w.sent("c") {
				if len(d) == 0 {
					t.Fatalf("%s: an empty datagram", tls.VersionName(version))
				}
				c.Open(d)
			}
		}
	}
}

// TestListenerClose: connections live on, what was not accepted does not, and with
// the last connection the socket is closed.
func TestListenerClose(t *testing.T) {
	client, server := configs(t)
	w, l := onWire(t, server, PacketConfig{})
	a, b := w.caller(t, "a", client), w.caller(t, "b", client)
	a.speak()
	conn := accept(t, l)
	b.speak()
	done := make(chan error)
	go func() {
		accept(t, l) // b
		_, err := l.Accept()
		done <- err
	}()
	for len(l.socket.accept) > 0 {
		runtime.Gosched()
	}
	third := w.caller(t, "third", client)
	w.send("third", third.Output(nil))
	third.listen()
	w.send("third", third.Output(nil))
	w.sent("third")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if err := l.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Close again: %v", err)
	}
	third.speak()
	if third.HandshakeComplete() {
		t.Error("a handshake after Close")
	}
	a.say("still here")
	hears(t, conn, "still here")
	if _, err := conn.Write([]byte("so am I")); err != nil {
		t.Error(err)
	}
	if a.listen(); string(a.got) != "so am I" {
		t.Errorf("got %q", a.got)
	}
	conn.Close()
	b.Close()
	for _, p := range l.socket.all() {
		p.Close()
	}
	<-w.end
}

// TestSocketFails: its error is everybody's.
func TestSocketFails(t *testing.T) {
	client, server := configs(t)
	w, l := onWire(t, server, PacketConfig{})
	c := w.caller(t, "c", client)
	c.speak()
	conn := accept(t, l)
	w.Close()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
}

// windows is a socket that calls it an error when a datagram is larger than the buffer.
type windows struct{ *wire }

var errLarge = errors.New("a message sent on a datagram socket was larger than the buffer")

func (w windows) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := w.wire.ReadFrom(b)
	if n == len(b) {
		return n, from, errLarge
	}
	return n, from, err
}

// TestTooLarge: any number of datagrams that are larger than ours ends nothing.
func TestTooLarge(t *testing.T) {
	client, server := configs(t)
	w := newWire()
	l, err := NewPacketListener(windows{w}, server, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w.l = l
	for range 2 * maxFailures {
		w.send("somebody", make([]byte, 1<<16))
	}
	c := w.caller(t, "c", client)
	c.speak()
	accept(t, l).Close()
}

// TestLoss: the timer sends again what is lost, and gives up in the end.
func TestLoss(t *testing.T) {
	client, server := configs(t)
	server.DTLS.RetransmitTimeout, server.DTLS.MaxRetransmitTimeout = 50*time.Millisecond, 200*time.Millisecond
	server.DTLS.FixedMTU = true
	w, l := onWire(t, server, PacketConfig{})
	c := w.caller(t, "c", client)
	w.send("c", c.Output(nil))
	c.listen()
	for c.HasOutput() {
		w.send("c", c.Output(nil))
	}
	w.send("nobody", nil) // what was sent has been worked on
	for waiting := 1; waiting > 0; runtime.Gosched() {
		l.socket.mu.Lock()
		waiting = l.socket.waiting
		l.socket.mu.Unlock()
	}
	if n := len(w.sent("c")); n == 0 || n%3 != 0 {
		t.Errorf("%d datagrams are not a flight sent three times", n)
	}
	if n := len(l.socket.all()); n > 0 {
		t.Errorf("%d peers after the timeout", n)
	}
}

// TestDTLSServer: one peer on a connection, with a cookie and without.
func TestDTLSServer(t *testing.T) {
	for _, trust := range []bool{false, true} {
		client, server := configs(t)
		server.DTLS.TrustAddress = trust
		client.CurvePreferences = []tls.CurveID{tls.X25519} // else there is a retry for the group
		a, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		b, err := net.DialUDP("udp", nil, a.LocalAddr().(*net.UDPAddr))
		if err != nil {
			t.Fatal(err)
		}
		c, s := ready(t, DTLSClient(b, client), DTLSServer(connected{a, b.LocalAddr()}, server))
		if got := c.State().HelloRetryRequest; got == trust {
			t.Errorf("trust %v: cookie %v", trust, got)
		}
		if _, err := c.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		hears(t, s, "hello")
		if c.NetConn() != net.Conn(b) {
			t.Error("NetConn is another")
		}
	}
}

// TestBothWriteOverPipe: a transport that waits for its other end, as net.Pipe does,
// keeps nobody from reading.
func TestBothWriteOverPipe(t *testing.T) {
	client, server := configs(t)
	a, b := net.Pipe()
	c, s := ready(t, DTLSClient(a, client), DTLSServer(b, server))
	const count = 60 // as many as wait for Read
	talk := func(conn *Conn) func() error {
		return func() error {
			for range count {
				if _, err := conn.Write([]byte("hello")); err != nil {
					return err
				}
			}
			return nil
		}
	}
	both(t, talk(c), talk(s))
	for _, conn := range []*Conn{c, s} {
		for range count {
			hears(t, conn, "hello")
		}
	}
}

// TestHandshakeDeadlines: either ends a handshake with a peer that does not answer, and
// is not fatal.
func TestHandshakeDeadlines(t *testing.T) {
	client, server := configs(t)
	a, b := net.Pipe()
	c := DTLSClient(a, client)
	go b.Read(make([]byte, maxDatagram)) // the hello is lost
	for _, set := range []func(time.Time) error{c.SetReadDeadline, c.SetWriteDeadline, c.SetDeadline} {
		set(past)
		if err := c.Handshake(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		c.SetDeadline(time.Time{})
	}
	ready(t, c, DTLSServer(b, server))
}

// gated is a connection whose writes wait at a gate.
type gated struct {
	net.Conn
	gate      sync.Mutex
	put, came chan struct{} // what is to be written, and what was read
}

func (g *gated) Write(b []byte) (int, error) {
	g.put <- struct{}{}
	g.gate.Lock()
	defer g.gate.Unlock()
	return g.Conn.Write(b)
}

func (g *gated) Read(b []byte) (int, error) {
	n, err := g.Conn.Read(b)
	g.came <- struct{}{}
	return n, err
}

// TestBothUpdateOverPipe: nor when both ends have something to send while neither has
// taken what it has just read.
func TestBothUpdateOverPipe(t *testing.T) {
	client, server := configs(t)
	server.NoTickets = true
	var ends [2]*gated
	a, b := net.Pipe()
	for i, conn := range []net.Conn{a, b} {
		ends[i] = &gated{Conn: conn, put: make(chan struct{}, 1000), came: make(chan struct{}, 1000)}
	}
	c, s := ready(t, DTLSClient(ends[0], client), DTLSServer(ends[1], server))
	if _, err := s.Write([]byte("all acknowledged")); err != nil { // a KeyUpdate would wait for that
		t.Fatal(err)
	}
	hears(t, c, "all acknowledged")
	var inside sync.WaitGroup
	inside.Add(2)
	update := func(conn *Conn, end, other *gated) func() error {
		end.gate.Lock()
		for len(end.put) > 0 {
			<-end.put
		}
		for len(other.came) > 0 {
			<-other.came
		}
		go conn.Write([]byte("hello"))
		<-end.put
		return func() error {
			return conn.Control(func(e *hermetic.Engine) error {
				inside.Done()
				inside.Wait()
				end.gate.Unlock()
				<-other.came
				return e.KeyUpdate(hermetic.UpdateRequested)
			})
		}
	}
	both(t, update(c, ends[0], ends[1]), update(s, ends[1], ends[0]))
	hears(t, c, "hello")
	hears(t, s, "hello")
}

// TestPostedWithoutReader: what waits for the other end has one goroutine, not one each.
func TestPostedWithoutReader(t *testing.T) {
	client, _ := configs(t)
	a, b := net.Pipe()
	defer b.Close()
	p := newSingle(a, hermetic.DTLSClient, client)
	before := runtime.NumGoroutine()
	for range 2 * maxPosted {
		p.post([]byte("datagram"), nil, false)
	}
	if n := runtime.NumGoroutine() - before; n > 10 {
		t.Errorf("%d goroutines", n)
	}
	if n := len(p.out); n > maxPosted {
		t.Errorf("%d datagrams wait", n)
	}
	p.Close()
}

// stuck is a connection that takes nothing more from some time on, until somebody says
// for how long it may.
type stuck struct {
	net.Conn
	jammed      atomic.Bool
	begun, over chan struct{}
}

func (s *stuck) Write(b []byte) (int, error) {
	if !s.jammed.Load() {
		return s.Conn.Write(b)
	}
	s.begun <- struct{}{}
	<-s.over
	return 0, os.ErrDeadlineExceeded
}

func (s *stuck) SetWriteDeadline(time.Time) error { close(s.over); return nil }

// TestCloseWhileWriting: Close ends a Write that waits for the transport.
func TestCloseWhileWriting(t *testing.T) {
	client, server := configs(t)
	a, b := net.Pipe()
	transport := &stuck{Conn: a, begun: make(chan struct{}, 2), over: make(chan struct{})}
	c, _ := ready(t, DTLSClient(transport, client), DTLSServer(b, server))
	transport.jammed.Store(true)
	done := make(chan error)
	go func() {
		_, err := c.Write([]byte("never sent"))
		done <- err
	}()
	<-transport.begun
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write while Close: %v", err)
	}
}

// connected makes a connection of a socket.
type connected struct {
	*net.UDPConn
	peer net.Addr
}

func (c connected) RemoteAddr() net.Addr { return c.peer }
func (c connected) Read(b []byte) (int, error) {
	n, _, err := c.ReadFrom(b)
	return n, err
}
func (c connected) Write(b []byte) (int, error) { return c.WriteTo(b, c.peer) }

// TestManyPeers: a thousand connections on one socket, or HERMETIC_PEERS of them,
// do not cost a goroutine each.
func TestManyPeers(t *testing.T) {
	count := 1000
	if n, err := strconv.Atoi(os.Getenv("HERMETIC_PEERS")); err == nil {
		count = n
	}
	client, server := configs(t)
	server.CurvePreferences = []tls.CurveID{tls.X25519}
	l, err := ListenPacket("udp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	before, heap := runtime.NumGoroutine(), heapInUse()

	const workers = 8
	clients := make(chan *client1, count)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for range (count + w) / workers {
				c, err := dial1(l.Addr().String(), client)
				if err != nil {
					t.Error(err)
					return
				}
				clients <- c
			}
		})
	}
	conns := make([]*Conn, 0, count)
	for range count {
		conns = append(conns, accept(t, l))
	}
	wg.Wait()
	close(clients)
	for _, c := range conns {
		c.SetDeadline(time.Time{})
	}
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) { // what Wait has waited for may still be ending
			t.Fatalf("%d goroutines for %d connections, %d before", runtime.NumGoroutine(), count, before)
		}
	}
	t.Logf("%d connections on one socket: %d goroutines before and now, %d bytes of heap a connection, both ends and the test's own",
		count, before, (heapInUse()-heap)/uint64(count))

	// Each connection is its client's: it sends back its address.
	byAddr := make(map[string]*Conn, count)
	for _, c := range conns {
		byAddr[c.RemoteAddr().String()] = c
	}
	for c := range clients {
		conn := byAddr[c.conn.LocalAddr().String()]
		if conn == nil {
			t.Fatalf("no connection of %v", c.conn.LocalAddr())
		}
		if err := c.exchange(conn); err != nil {
			t.Fatal(err)
		}
		c.conn.Close()
		conn.Close()
	}
	if s := l.socket; len(s.peers)+s.waiting+len(s.timers.peers) > 0 {
		t.Errorf("%d peers left, %d waiting, %d timers", len(s.peers), s.waiting, len(s.timers.peers))
	}
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// client1 is a client without a goroutine.
type client1 struct {
	conn net.Conn
	ctx  *hermetic.Context
}

func dial1(addr string, cfg *hermetic.Config) (*client1, error) {
	conn, err := net.Dial("udp", addr)
	if err != nil {
		return nil, err
	}
	ctx, err := hermetic.NewContext(hermetic.DTLSClient, cfg, conn)
	if err != nil {
		return nil, err
	}
	c := &client1{conn, ctx}
	return c, c.retry(ctx.Handshake)
}

// retry repeats f until it has not waited for the transport.
func (c *client1) retry(f func() error) error {
	for until := time.Now().Add(patience); time.Now().Before(until); {
		wait := patience
		if d, ok := c.ctx.Timeout(); ok {
			wait = d
		}
		c.conn.SetReadDeadline(time.Now().Add(wait))
		err := f()
		if !errors.Is(err, hermetic.ErrWantRead) && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return context.DeadlineExceeded
}

// exchange sends a datagram there and back.
func (c *client1) exchange(server *Conn) error {
	words := []byte(c.conn.LocalAddr().String())
	if _, err := c.ctx.Write(words); err != nil {
		return err
	}
	buf := make([]byte, 100)
	n, err := server.Read(buf)
	if err != nil {
		return err
	}
	if _, err := server.Write(buf[:n]); err != nil {
		return err
	}
	got := make([]byte, 100)
	if err := c.retry(func() error { n, err = c.ctx.Read(got); return err }); err != nil {
		return err
	}
	if !bytes.Equal(got[:n], words) {
		return fmt.Errorf("%q came back, not %q", got[:n], words)
	}
	return nil
}

// loopback is a UDP socket.
func loopback(t *testing.T) *net.UDPConn {
	t.Helper()
	c, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetReadDeadline(time.Now().Add(patience))
	return c
}

// TestFamilies: one socket for IPv6 and IPv4.
func TestFamilies(t *testing.T) {
	client, server := configs(t)
	six, err := net.ListenPacket("udp", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 here: %v", err)
	}
	six.Close()
	l, err := ListenPacket("udp", "[::]:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, host := range []string{"127.0.0.1", "::1"} {
		c, err := Dial(t.Context(), "udp", net.JoinHostPort(host, port), client)
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		s := accept(t, l)
		if got := s.RemoteAddr().String(); got != c.LocalAddr().String() {
			t.Errorf("the peer is at %s, not %v", got, c.LocalAddr())
		}
		if _, err := s.Write([]byte("welcome")); err != nil {
			t.Error(err)
		}
		hears(t, c, "welcome")
		c.Close()
		s.Close()
	}
}

// TestReplyBesideKeyUpdate: while the application replies, the listener continues to read. So a reply
// to data beside a KeyUpdate is under the old keys or the new ones: that depends on whether the ACK of
// our own KeyUpdate arrives after the reply, before it, or never (RFC 9147bis, Section 8). The peer can
// read the reply in each case.
func TestReplyBesideKeyUpdate(t *testing.T) {
	for _, order := range []string{"reply, ACK", "ACK, reply", "reply, the ACK is lost", "the ACK is lost, reply"} {
		t.Run(order, func(t *testing.T) {
			now, client, w, l := quietListener(t, tls.VersionTLS13, PacketConfig{})
			c := w.caller(t, "c", client)
			c.speak()
			conn := accept(t, l)
			c.say("hello")
			hears(t, conn, "hello")
			c.speak()
			reply := func(words string, epoch byte) {
				t.Helper()
				if _, err := conn.Write([]byte(words)); err != nil {
					t.Fatal(err)
				}
				for _, d := range w.sent("c") {
					if d[0]&0xe0 != 0x20 || d[0]&3 != epoch&3 {
						t.Errorf("%q begins with %#x, not in epoch %d", words, d[0], epoch)
					}
					o, err := c.Open(d)
					if err != nil || string(o.Data) != words {
						t.Errorf("the peer reads %q, %v, not %q", o.Data, err, words)
					}
				}
			}
			for round := range byte(3) {
				epoch := 3 + round
				if err := c.KeyUpdate(hermetic.UpdateRequested); err != nil {
					t.Fatal(err)
				}
				w.send("c", c.Output(nil))
				c.listen() // a KeyUpdate
				now.pass(300 * time.Millisecond)
				l.socket.expire()
				c.listen() // and the ACK
				if err := c.Expire(); err != nil {
					t.Fatal(err)
				}
				var ack []byte
				for c.HasOutput() {
					ack = c.Output(ack[:0])
				}
				if c.say("request"); ack == nil {
					t.Fatal("there is no ACK")
				}
				hears(t, conn, "request")
				switch order {
				case "reply, ACK":
					reply("reply", epoch)
					w.send("c", ack)
					w.sent("")
				case "ACK, reply":
					w.send("c", ack)
					w.sent("") // it is worked on
					reply("reply", epoch+1)
				case "reply, the ACK is lost":
					reply("reply", epoch)
				}
				if strings.Contains(order, "lost") {
					reply("in between", epoch)
					now.pass(time.Second)
					l.socket.expire()
					c.listen() // the KeyUpdate again
					now.pass(300 * time.Millisecond)
					if err := c.Expire(); err != nil {
						t.Fatal(err)
					}
					c.speak() // its ACK
				}
				reply("at last", epoch+1)
				if c.err != nil {
					t.Fatal(c.err)
				}
			}
		})
	}
}
