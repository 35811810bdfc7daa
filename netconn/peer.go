package netconn

import (
	"bytes"
	"net"
	"sync"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// peer is a DTLS connection on a socket. The socket's goroutine brings what arrives;
// callers that wait do so at wake.
type peer struct {
	socket   *socket
	engine   *hermetic.Engine // nil: err says why. Only the goroutine that has set busy uses it
	dialed   bool             // not by a listener
	stranger bool             // a server's peer without a good cookie yet; only the reader uses it
	random   [32]byte         // of its first ClientHello

	// The socket's lock guards these.
	home     key       // the address that it is known by
	cids     [][]byte  // the connection IDs that it is known by
	at       time.Time // its deadline in the timers
	index    int
	accepted bool // Accept has returned it

	// mu guards the following. It is not held while a callback runs or while a goroutine
	// waits for the transport.
	mu          sync.Mutex
	wake        sync.Cond
	addr        address
	where       *whereabouts // nil: paths are not checked
	busy        bool         // the engine is being used
	established bool
	ended       bool // the peer has sent close_notify
	closed      bool // on this side
	removed     bool // from the socket
	leaving     bool // a goroutine sends what is in out
	exporting   bool // the engine is being exported
	active      bool // a datagram came or went since the last look
	err         error
	queue       [][]byte // datagrams not read yet
	next        int      // the first of them
	unread      uint64   // datagrams dropped because the queue was full
	out         []*outgoing
	data        *outgoing // of the Write under way
	scheduled   time.Time
	look        time.Time // when to check whether it is quiet; zero: it is
	registered  int       // how many connection IDs are registered
	read, write deadline
}

const (
	// maxPosted is how many datagrams of a peer may wait for the transport: more than
	// the largest flight has
	maxPosted = 256
	// moment is how long a connection that is over waits: its close_notify for the
	// transport, and its calls for a callback that uses the engine
	moment = time.Second
)

func newPeer(s *socket, addr address, mode hermetic.Mode, cfg *hermetic.Config) *peer {
	p := &peer{socket: s, addr: addr, home: addr.key, index: -1}
	p.wake.L = &p.mu
	if s.cidSize > 0 && s.config.AcceptNewPath == nil {
		p.where = new(whereabouts)
	}
	if p.engine, p.err = newEngine(mode, cfg); p.err == nil && mode.IsServer() {
		p.engine.SetConn(&Conn{p})
	}
	if p.err == nil && mode.IsServer() && !cfg.DTLS.TrustAddress {
		p.err = p.engine.SetPeerID(addr.id())
	}
	return p
}

// newSingle returns the only peer of a connection.
func newSingle(conn net.Conn, mode hermetic.Mode, cfg *hermetic.Config) *peer {
	t := newSingleTransport(conn)
	s := newSocket(t, cfg)
	s.closed = true // no other peer may come
	p := newPeer(s, t.peer, mode, cfg)
	p.dialed = true
	p.stranger = p.err == nil && mode.IsServer() && !cfg.DTLS.TrustAddress
	if p.stranger {
		s.answers = cfg
	}
	s.peers[p.home], s.live[p] = p, struct{}{}
	return p
}

// take handles a datagram, and reports whether it has completed the handshake.
func (p *peer) take(from address, datagram []byte) (established bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.busy && p.over() == nil {
		p.wake.Wait()
	}
	if p.over() != nil {
		p.socket.drop(&p.socket.drops.Closed)
		return false
	}
	before := p.established
	p.active = true
	p.use(true, func() error { return p.open(from, datagram) })
	return p.established && !before
}

// open opens a datagram. Its caller has set busy.
func (p *peer) open(from address, datagram []byte) error {
	if p.stranger && !p.welcome(datagram) {
		return nil
	}
	for len(datagram) > 0 {
		o, err := p.openRecord(from, datagram)
		switch o.Kind { // before the data can be answered
		case hermetic.KindNewPath:
			p.follow(from)
		case hermetic.KindPathChanged:
			p.moveTo(from)
		}
		switch {
		case err == hermetic.ErrClosed:
			p.locked(func() { p.ended = true })
		case err != nil:
			return err
		case o.Data != nil:
			p.locked(func() { p.keep(o.Data) })
		}
		if o.N == 0 {
			break
		}
		datagram = datagram[o.N:]
	}
	return nil
}

// openRecord opens a record. Where the peers check paths the engine needs to know where it has
// come from.
func (p *peer) openRecord(from address, datagram []byte) (hermetic.Opened, error) {
	if p.where == nil {
		return p.engine.Open(datagram)
	}
	o, err := p.engine.OpenFrom(from.path(), datagram)
	checked, ok := p.engine.NewPath()
	p.locked(func() {
		p.where.from = from
		if ok && checked == from.path() {
			p.where.next = from
		}
	})
	return o, err
}

func (p *peer) locked(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// welcome answers a stranger without a good cookie.
func (p *peer) welcome(datagram []byte) bool {
	answer, ok := p.socket.answers.AnswerHello(nil, p.home.id(), datagram)
	if len(answer) > 0 {
		p.post(answer, nil, true)
	}
	if !ok {
		p.socket.unwelcome(answer)
	}
	p.stranger = !ok
	return ok
}

// keep queues a datagram, or drops it when too many wait, as a socket would.
func (p *peer) keep(data []byte) {
	if len(p.queue)-p.next >= p.socket.config.queue() {
		p.unread++
		p.socket.drop(&p.socket.drops.QueueFull)
		return
	}
	if p.next > 0 && len(p.queue) == cap(p.queue) {
		n := copy(p.queue, p.queue[p.next:])
		clear(p.queue[n:])
		p.queue, p.next = p.queue[:n], 0
	}
	p.queue = append(p.queue, bytes.Clone(data))
}

// use runs f, which uses the engine. Then it sends the engine's output, sets the
// deadline, and wakes the goroutines that wait. An error of f ends the connection.
//
// The caller holds mu and has seen that busy is not set. mu is free while f runs: f may
// run callbacks of the Config, which may wait, and no other goroutine may wait for them.
func (p *peer) use(reply bool, f func() error) {
	p.busy = true
	p.mu.Unlock()
	after := p.run(reply, f)
	p.socket.tellExport()
	if p.removed {
		return
	}
	if p.err == nil {
		p.err = after.err
	}
	if p.err != nil {
		p.finish()
		return
	}
	p.established = after.complete
	if p.where != nil {
		p.where.checking = after.checking
	}
	if n := len(after.cids); n != p.registered {
		p.registered = n
		p.socket.register(p, after.cids)
	}
	p.schedule(after.deadline)
}

// outcome is the engine's state after a use.
type outcome struct {
	err      error
	complete bool
	checking bool      // a new path
	deadline time.Time // zero: none
	cids     [][]byte  // of a listener's peer
}

// run runs f without mu, and takes mu again.
func (p *peer) run(reply bool, f func() error) (after outcome) {
	defer func() { // also if f panics: its caller may recover
		p.mu.Lock()
		p.busy = false
		p.wake.Broadcast()
	}()
	drops := p.engine.Drops()
	after.err = f()
	for p.engine.HasOutput() {
		room := writes.Get().(*[]byte)
		var to hermetic.Path
		*room, to = p.engine.OutputTo((*room)[:0])
		if len(*room) > 0 { // there is no room once the keys are exhausted
			p.post(*room, p.elsewhere(to), reply)
		}
		writes.Put(room)
	}
	if after.err == nil && p.engine.Pending() != nil {
		after.err = errPending
	}
	after.complete = p.engine.HandshakeComplete()
	after.deadline, _ = p.engine.Deadline()
	_, after.checking = p.engine.NewPath()
	if !p.dialed {
		after.cids, _ = p.engine.ConnectionIDs()
	}
	p.socket.dropRecords(drops, p.engine.Drops())
	return after
}

// schedule sets the timer to the engine's deadline or the next look, whichever comes
// first.
func (p *peer) schedule(at time.Time) {
	if p.established && p.active && p.look.IsZero() && p.socket.config.CompactAfter >= 0 {
		p.look = p.socket.clock().Add(p.socket.config.quiet())
	}
	if !p.look.IsZero() && (at.IsZero() || p.look.Before(at)) {
		at = p.look
	}
	if !at.Equal(p.scheduled) {
		p.scheduled = at
		p.socket.schedule(p, at)
	}
}

// expire is called when the deadline has passed. If the engine is in use, its user sets
// the next one.
func (p *peer) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.scheduled = time.Time{}
	if p.removed || p.busy {
		return
	}
	now := p.socket.clock()
	looks := !p.look.IsZero() && !now.Before(p.look)
	rests := looks && !p.active
	if looks {
		p.active, p.look = false, now.Add(p.socket.config.quiet())
	}
	p.use(false, func() error {
		if rests && p.engine.Compact() == nil {
			p.locked(p.rest)
		}
		return p.engine.Expire()
	})
}

// rest makes the connection small if nothing has gone either way since the last look.
func (p *peer) rest() {
	p.look = time.Time{}
	if len(p.queue) == 0 {
		p.queue = nil
	}
}

// begin sends a client's first flight.
func (p *peer) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over() == nil && !p.busy {
		p.use(false, func() error { return nil })
	}
}

// abort ends the connection without sending anything.
func (p *peer) abort(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.finish()
}

// abortHandshake is abort, unless the handshake is complete.
func (p *peer) abortHandshake(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil && !p.established {
		p.err = err
		p.finish()
	}
}

// over is the error of all operations from now on.
func (p *peer) over() error {
	if p.closed {
		return net.ErrClosed
	}
	return p.err
}

// late reports whether an operation's deadline has passed; during the handshake both count.
func (p *peer) late(d *deadline) bool {
	return d.passed() || !p.established && (p.read.passed() || p.write.passed())
}

// turn waits until the engine is free. Once the connection is over, or a deadline has
// passed, it waits only for a moment, because a callback may take any time.
func (p *peer) turn() bool {
	var limit time.Time
	for p.busy {
		switch {
		case !limit.IsZero():
			if !time.Now().Before(limit) {
				return false
			}
		case p.over() != nil || p.read.passed() || p.write.passed():
			limit = time.Now().Add(moment)
			defer time.AfterFunc(moment, p.broadcast).Stop()
		}
		p.wake.Wait()
	}
	return true
}
