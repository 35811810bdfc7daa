package netconn

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// TestDatagramStates plays connections over bad networks, alone or on a listener, with
// calls of all methods at once and a stranger that injects, from a seed. Its time is
// synctest's, where a leaked goroutine is a failure.
func TestDatagramStates(t *testing.T) {
	client, server := configs(t)
	withSeeds(t, 40, func(t *testing.T, seed uint64) { newStorm(t, seed, client, server).run() })
}

// storm is a network, connections over it, and their users.
type storm struct {
	*testing.T
	ether
	client, server *hermetic.Config
	l              *PacketListener // nil: each connection has its own two ends
	listener       *station
	over           chan struct{} // no user begins anything from now on
	actors         sync.WaitGroup

	users struct {
		sync.Mutex
		list  []*user
		ended bool              // finish waits for the actors: none may begin
		sent  map[string]string // the sender of each datagram
	}
}

func newStorm(t *testing.T, seed uint64, client, server *hermetic.Config) *storm {
	s := &storm{T: t, client: client.Clone(), server: server.Clone(), over: make(chan struct{})}
	s.rand = rand.New(rand.NewPCG(seed, 1))
	s.calm = s.chance(3)
	s.stations, s.users.sent = map[wireAddr]*station{}, map[string]string{}
	start := time.Now()
	now := func() time.Time { return pkitest.Now.Add(time.Since(start)) }
	s.client.Time, s.server.Time = now, now
	s.client.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256} // those are cheap
	if s.chance(2) {
		s.client.MaxVersion = tls.VersionTLS12
	}
	s.client.DTLS.MaxRetransmitTimeout, s.server.DTLS.MaxRetransmitTimeout = 8*time.Second, 8*time.Second
	s.server.DTLS.TrustAddress = s.chance(2)
	if s.chance(2) {
		s.client.DTLS.ConnectionIDs = true
		s.server.DTLS.ConnectionIDs, s.server.DTLS.ConnectionIDLength = true, 4
	}
	if s.chance(2) {
		s.listener = s.station("server", "")
		l, err := NewPacketListener(s.listener, s.server, &PacketConfig{Backlog: 3, MaxPeers: 5, MaxQueued: 10, CompactAfter: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		s.l = l
	}
	return s
}

func (s *storm) run() {
	if s.l != nil {
		go s.accept()
	}
	for i := range 1 + s.int(3) {
		s.connect(i)
	}
	if !s.calm {
		go s.inject()
	}
	if s.calm {
		time.Sleep(5 * time.Minute)
	} else {
		time.Sleep(time.Duration(1+s.int(60)) * time.Second)
	}
	close(s.over)
	s.arrived()
	s.finish()
	s.check()
}

// connect begins a connection, with users at its ends.
func (s *storm) connect(i int) {
	name := wireAddr(fmt.Sprintf("client %d", i))
	to := wireAddr("server")
	if s.l == nil {
		to = wireAddr(fmt.Sprintf("server %d", i))
		st := s.station(to, name)
		s.use(&user{name: string(to), station: st, conn: DTLSServer(st, s.server)})
	}
	st := s.station(name, to)
	s.use(&user{name: string(name), station: st, conn: DTLSClient(st, s.client), dialed: true})
}

// arrived: over a calm network each connection has its handshake, and some data both ways.
func (s *storm) arrived() {
	if !s.calm {
		return
	}
	s.users.Lock()
	defer s.users.Unlock()
	clients, reached := 0, 0
	for _, u := range s.users.list {
		u.mu.Lock()
		if u.dialed {
			clients++
		}
		if len(u.got) > 0 {
			reached++
		}
		u.mu.Unlock()
	}
	if reached < 2*clients {
		s.Errorf("with %d clients, %d ends have read something", clients, reached)
	}
}

func (s *storm) accept() {
	for {
		conn, err := s.l.Accept()
		if err != nil {
			return
		}
		s.use(&user{name: "accepted " + conn.RemoteAddr().String(), conn: conn.(*Conn)})
	}
}

// use lets a few use a connection.
func (s *storm) use(u *user) *user {
	u.storm = s
	s.users.Lock()
	defer s.users.Unlock()
	if s.users.ended {
		u.conn.Close() // accepted too late for anybody to use it
		return u
	}
	s.users.list = append(s.users.list, u)
	if s.calm {
		s.actors.Go(func() { u.everySecond(func() { u.write(100) }) })
		s.actors.Go(func() { u.everySecond(u.read) })
	}
	for range 1 + s.int(4) {
		r := rand.New(rand.NewPCG(uint64(s.int(1<<30)), 2))
		s.actors.Go(func() { u.act(r) })
	}
	return u
}

// finish ends all connections, with a deadline before or without: all calls return.
func (s *storm) finish() {
	s.users.Lock()
	list := s.users.list
	s.users.ended = true
	s.users.Unlock()
	done := make(chan struct{})
	go func() {
		s.actors.Wait()
		close(done)
	}()
	returned := func(what string) {
		select {
		case <-done:
			return
		case <-time.After(4 * moment): // they may have been about to sleep, and Close waits
		}
		for _, u := range list {
			u.calls.Range(func(_, call any) bool {
				s.Errorf("%s: %v still waits after %s", u.name, call, what)
				return true
			})
		}
	}
	if s.chance(2) {
		for _, u := range list {
			set := u.conn.SetDeadline
			if !u.conn.State().HandshakeComplete { // either counts
				set = []func(time.Time) error{set, u.conn.SetReadDeadline, u.conn.SetWriteDeadline}[s.int(3)]
			}
			set(time.Now().Add(time.Second))
		}
		time.Sleep(2 * time.Second)
		for _, u := range list {
			u.conn.SetDeadline(time.Now()) // its handshake may have become complete
		}
		returned("its deadline")
	}
	if s.l != nil {
		s.l.Close()
	}
	for _, u := range list {
		go u.close()
	}
	returned("Close")
}

// check checks what is left: nothing.
func (s *storm) check() {
	time.Sleep(2 * moment)
	synctest.Wait()
	s.users.Lock()
	defer s.users.Unlock()
	for _, u := range s.users.list {
		if u.conn.SetDeadline(time.Time{}) == nil { // it was accepted at the last moment
			u.conn.Close()
		}
	}
	time.Sleep(2 * moment)
	synctest.Wait()
	for _, u := range s.users.list {
		if p := u.conn.session.(*peer); !p.removed || len(p.out) > 0 {
			s.Errorf("%s: removed: %v, %d datagrams left", u.name, p.removed, len(p.out))
		}
	}
	if s.l != nil {
		sock := s.l.socket
		if sock.waiting != len(sock.accept) {
			s.Errorf("%d handshakes are waited for, and %d connections", sock.waiting, len(sock.accept))
		}
		if len(sock.live)+len(sock.peers)+len(sock.rising)+len(sock.cids)+len(sock.timers.peers)+sock.leaving > 0 {
			s.Errorf("the listener has %d peers, %d addresses, %d rising, %d IDs, %d timers, %d leaving", len(sock.live), len(sock.peers),
				len(sock.rising), len(sock.cids), len(sock.timers.peers), sock.leaving)
		}
	}
	for name, st := range s.stations {
		select {
		case <-st.end:
		default:
			s.Errorf("%s: the transport is not closed", name)
		}
		// What nobody has sent is read once, and what is written comes of something.
		if n, of := st.reads.Load(), st.delivered.Load()+st.odd.Load()+2; n > of {
			s.Errorf("%s: %d reads for %d datagrams and oddities", name, n, of)
		}
		if n, of := st.writes.Load(), 200+10*(st.delivered.Load()+s.count.Load()); n > of {
			s.Errorf("%s: %d writes", name, n)
		}
	}
}

// user is a connection, with what has been done with it.
type user struct {
	*storm
	name    string
	conn    *Conn
	station *station // nil: it is on a listener
	dialed  bool
	closed  atomic.Int32
	calls   sync.Map // by actor: what it waits for

	mu   sync.Mutex // guards the following
	n    int        // datagrams written
	got  map[string]bool
	from string // the other end
}

func (u *user) close() {
	u.closed.Add(1)
	u.conn.Close()
}

// everySecond does something again and again, whatever deadlines others have left.
func (u *user) everySecond(f func()) {
	for {
		u.calls.Store(u, "every second")
		select {
		case <-u.over:
			return
		case <-time.After(time.Second):
			u.count.Add(1)
			u.conn.SetDeadline(time.Time{})
			f()
		}
	}
}

// act does random things.
func (u *user) act(r *rand.Rand) {
	defer u.calls.Delete(r)
	soon := func() time.Time { return time.Now().Add(time.Duration(r.IntN(5000)) * time.Millisecond) }
	for range 5 + r.IntN(30) {
		what := r.IntN(24)
		call := [...]string{"Write", "Write", "Write", "Write", "Read", "Read", "Read", "Read", "Read", "SetReadDeadline", "SetWriteDeadline", "SetDeadline",
			"no deadline", "Control", "Control", "State", "Drops", "HandshakeContext", "Handshake", "move", "sleep", "sleep", "CloseWrite", "Close"}[what]
		u.calls.Store(r, call)
		select {
		case <-u.over:
			return
		default:
		}
		u.count.Add(1)
		switch call {
		case "Write":
			u.write(r.IntN(1000))
		case "Read":
			u.read()
		case "SetReadDeadline":
			u.conn.SetReadDeadline(soon())
		case "SetWriteDeadline":
			u.conn.SetWriteDeadline(soon())
		case "SetDeadline":
			u.conn.SetDeadline(soon())
		case "no deadline":
			u.conn.SetDeadline(time.Time{})
		case "Control":
			u.conn.Control(func(e *hermetic.Engine) error { return e.KeyUpdate(hermetic.KeyUpdateRequest(r.IntN(2) == 0)) })
		case "State":
			u.conn.State()
			if !u.calm { // after half a minute it ends the handshake
				u.conn.ConnectionState()
			}
		case "Drops":
			u.conn.Drops()
			u.conn.RemoteAddr()
		case "HandshakeContext":
			if u.calm || r.IntN(3) > 0 {
				continue
			}
			ctx, cancel := context.WithDeadline(context.Background(), soon().Add(20*time.Second))
			if err := u.conn.HandshakeContext(ctx); err != nil && ctx.Err() != nil {
				u.closed.Add(1)
			}
			cancel()
		case "Handshake":
			u.conn.Handshake()
		case "move":
			// In the handshake its cookie would be another's then.
			if u.station != nil && !u.calm && r.IntN(20) == 0 {
				u.station.stubborn.Store(true)
			}
			if u.station != nil && u.l != nil && u.server.DTLS.ConnectionIDs && u.conn.State().HandshakeComplete {
				u.station.move(wireAddr(fmt.Sprintf("%s at %d", u.name, r.IntN(3))))
			}
		case "sleep":
			time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
		case "CloseWrite":
			if !u.calm && r.IntN(10) == 0 {
				u.conn.CloseWrite()
			}
		case "Close":
			if !u.calm && r.IntN(10) == 0 {
				u.close()
			}
		}
	}
}

func (u *user) write(size int) {
	u.mu.Lock()
	u.n++
	data := fmt.Sprintf("%s, %d: %s", u.name, u.n, bytes.Repeat([]byte{byte(u.n)}, size))
	if u.station == nil {
		data = fmt.Sprintf("%p %s", u, data) // a client may have begun anew
	}
	u.mu.Unlock()
	u.users.Lock()
	u.users.sent[data] = fmt.Sprintf("%p", u)
	u.users.Unlock()
	u.conn.Write([]byte(data))
}

func (u *user) read() {
	b := make([]byte, 2000)
	n, err := u.conn.Read(b)
	if err != nil {
		return
	}
	u.users.Lock()
	from, known := u.users.sent[string(b[:n])]
	u.users.Unlock()
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case !known:
		u.Errorf("%s: %.60q has never been sent", u.name, b[:n])
	case u.got[string(b[:n])]:
		u.Errorf("%s: %.60q has come twice", u.name, b[:n])
	case u.from != "" && u.from != from || from == fmt.Sprintf("%p", u):
		u.Errorf("%s: %.60q is from another connection", u.name, b[:n])
	}
	if u.got == nil {
		u.got = map[string]bool{}
	}
	u.got[string(b[:n])], u.from = true, from
}

// inject is a stranger's: garbage, what others have sent, and both mixed.
func (s *storm) inject() {
	for {
		select {
		case <-s.over:
			return
		case <-time.After(time.Duration(s.int(2000)) * time.Millisecond):
		}
		s.mu.Lock()
		var d []byte
		if len(s.seen) > 0 && s.rand.IntN(4) > 0 {
			d = bytes.Clone(s.seen[s.rand.IntN(len(s.seen))])
			if s.rand.IntN(2) == 0 {
				d[s.rand.IntN(len(d))] ^= 1 << s.rand.IntN(8)
			}
		} else {
			d = make([]byte, s.rand.IntN(100))
			for i := range d {
				d[i] = byte(s.rand.Uint32())
			}
		}
		var names []wireAddr
		for _, name := range []wireAddr{"client 0", "client 1", "server", "server 0", "server 1", "client 0 at 1"} {
			if s.stations[name] != nil {
				names = append(names, name)
			}
		}
		from, to := wireAddr("stranger"), names[s.rand.IntN(len(names))]
		if s.rand.IntN(2) == 0 {
			from = names[s.rand.IntN(len(names))]
		}
		s.mu.Unlock()
		s.deliver(from, to, d)
	}
}

// ether moves datagrams between stations, or not.
type ether struct {
	calm  bool
	count atomic.Int64 // calls of all users

	mu       sync.Mutex // guards the following
	rand     *rand.Rand
	stations map[wireAddr]*station
	seen     [][]byte
}

func (e *ether) int(n int) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.rand.IntN(n)
}

func (e *ether) chance(of int) bool { return e.int(of) == 0 }

func (e *ether) station(at, to wireAddr) *station {
	st := &station{ether: e, to: to, at: at, in: make(chan parcel, 100), end: make(chan struct{})}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stations[at] = st
	return st
}

// send loses, repeats, delays and damages.
func (e *ether) send(from, to wireAddr, d []byte) {
	d = bytes.Clone(d)
	e.mu.Lock()
	if e.rand.IntN(10) == 0 && len(e.seen) < 50 {
		e.seen = append(e.seen, bytes.Clone(d))
	}
	e.mu.Unlock()
	if !e.calm && len(d) > 0 && e.chance(30) {
		d[e.int(len(d))] ^= 1 << e.int(8)
	}
	if !e.calm && len(d) > 0 && e.chance(30) {
		d = d[:e.int(len(d))]
	}
	copies := 1
	switch lost := e.int(16); {
	case lost == 0 || !e.calm && lost < 3:
		copies = 0
	case lost < 5:
		copies = 2
	}
	for range copies {
		later := time.Duration(e.int(20)) * time.Millisecond
		if e.chance(5) {
			later *= 100
		}
		time.AfterFunc(later, func() { e.deliver(from, to, bytes.Clone(d)) })
	}
}

func (e *ether) deliver(from, to wireAddr, d []byte) {
	e.mu.Lock()
	st := e.stations[to]
	e.mu.Unlock()
	if st == nil {
		return
	}
	select {
	case st.in <- parcel{from, d}:
	default:
	}
}

// station is a transport, of one peer and of many.
type station struct {
	*ether
	to  wireAddr // of one peer
	in  chan parcel
	end chan struct{}

	once                          sync.Once
	reads, writes, delivered, odd atomic.Int64
	stubborn                      atomic.Bool // it brings nothing any more, and does not wait
	refusals                      atomic.Int64

	at wireAddr // the ether's lock guards it
}

// move gives the station another address.
func (st *station) move(to wireAddr) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.stations[to] == nil {
		delete(st.stations, st.at)
		st.at, st.stations[to] = to, st
	}
}

func (st *station) where() wireAddr {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.at
}

func (st *station) ReadFrom(b []byte) (int, net.Addr, error) {
	if st.stubborn.Load() {
		if n := st.refusals.Add(1); n > 2000 {
			panic(fmt.Sprintf("%d reads have brought nothing", n))
		}
		return 0, nil, []error{nil, os.ErrDeadlineExceeded}[st.int(2)]
	}
	st.reads.Add(1)
	if !st.calm && st.chance(20) {
		st.odd.Add(1)
		switch st.int(8) {
		case 0:
			return -1, nil, nil
		case 1:
			return len(b) + 1, wireAddr("odd"), nil
		case 2:
			return 0, nil, nil
		case 3:
			return 10, nil, nil
		case 4:
			return 0, (*wireAddr)(nil), errTemporary
		case 5:
			return 0, nil, os.ErrDeadlineExceeded
		case 6:
			return len(b), wireAddr("odd"), errOdd
		default:
			return 0, nil, os.NewSyscallError("read", syscall.ECONNREFUSED)
		}
	}
	select {
	case p := <-st.in:
		st.delivered.Add(1)
		if !st.calm && st.chance(20) {
			return copy(b, p.data), nil, nil
		}
		var err error
		if !st.calm && st.chance(20) {
			err = errTemporary
		}
		return copy(b, p.data), p.peer, err
	case <-st.end:
		return 0, nil, net.ErrClosed
	}
}

func (st *station) Read(b []byte) (int, error) {
	n, _, err := st.ReadFrom(b)
	return n, err
}

func (st *station) WriteTo(b []byte, to net.Addr) (int, error) {
	st.writes.Add(1)
	select {
	case <-st.end:
		return 0, net.ErrClosed
	default:
	}
	if !st.calm && st.chance(15) {
		switch st.int(6) {
		case 0, 1: // it takes nothing for a while
			select {
			case <-time.After(time.Duration(st.int(60)) * time.Second):
			case <-st.end:
				return 0, net.ErrClosed
			}
		case 2:
			return 0, errTemporary
		case 3:
			return -1, os.ErrDeadlineExceeded
		case 4:
			return len(b) / 2, nil
		default:
			return 0, os.NewSyscallError("write", syscall.ECONNREFUSED)
		}
	}
	st.send(st.where(), to.(wireAddr), b)
	return len(b), nil
}

func (st *station) Write(b []byte) (int, error) { return st.WriteTo(b, st.to) }

func (st *station) Close() error {
	st.once.Do(func() { close(st.end) })
	return nil
}

// RemoteAddr is anything.
func (st *station) RemoteAddr() net.Addr {
	if st.calm {
		return st.to
	}
	return []net.Addr{st.to, nil, (*wireAddr)(nil), new(nameless), wireAddr("elsewhere")}[st.int(5)]
}

func (st *station) LocalAddr() net.Addr              { return nil }
func (st *station) SetDeadline(time.Time) error      { return nil }
func (st *station) SetReadDeadline(time.Time) error  { return errOdd }
func (st *station) SetWriteDeadline(time.Time) error { return nil }
