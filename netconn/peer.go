package netconn

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// peer is a DTLS connection on a socket. The socket's goroutine brings what comes;
// whoever waits does so at wake.
type peer struct {
	socket *socket
	dialed bool     // not by a listener
	random [32]byte // of the ClientHello that it began with

	// The socket's lock guards these.
	home     key       // where it is known
	cids     [][]byte  // what it is known by
	at       time.Time // in the timers
	index    int
	accepted bool // Accept has returned it

	sending sync.Mutex // one Write after the other: taken before mu

	mu          sync.Mutex // guards the following
	wake        sync.Cond
	addr        address
	engine      *hermetic.Engine
	stranger    bool // a server's peer without a good cookie yet
	started     bool
	established bool
	ended       bool // the peer has sent close_notify
	closed      bool // by us
	removed     bool // from the socket
	err         error
	queue       [][]byte // datagrams not read yet
	next        int      // the first of them
	scheduled   time.Time
	registered  int // how many connection IDs
	read, write deadline
	active      bool      // since the last look
	look        time.Time // when to look whether it is quiet; zero: it is
}

func newPeer(s *socket, addr address, mode hermetic.Mode, cfg *hermetic.Config) *peer {
	p := &peer{socket: s, addr: addr, home: addr.key, index: -1}
	p.wake.L = &p.mu
	p.engine, p.err = newEngine(mode, cfg)
	if p.err == nil && mode.IsServer() && !cfg.Datagram.TrustAddress {
		p.err = p.engine.SetPeerID(addr.id())
	}
	return p
}

// newSingle is the only peer of a connection.
func newSingle(conn net.Conn, mode hermetic.Mode, cfg *hermetic.Config) *peer {
	t := &single{Conn: conn, buf: make([]byte, maxDatagram)}
	s := newSocket(t, cfg)
	s.closed = true // nobody else may come
	p := newPeer(s, t.peer(), mode, cfg)
	p.dialed = true
	p.stranger = mode.IsServer() && cfg != nil && !cfg.Datagram.TrustAddress
	if p.stranger {
		s.answers = cfg
	}
	s.peers[p.home], s.live[p] = p, struct{}{}
	return p
}

// take takes a datagram, and reports whether it has completed the handshake.
func (p *peer) take(from address, datagram []byte) (established bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.removed || p.stranger && !p.welcome(datagram) {
		return false
	}
	p.active = true
	for len(datagram) > 0 && p.err == nil {
		o, err := p.engine.Open(datagram)
		switch {
		case err == hermetic.ErrClosed:
			p.ended = true
		case err != nil:
			p.err = err
		case o.Data != nil:
			p.keep(o.Data)
		}
		if o.Kind == hermetic.KindNewPath {
			p.follow(from)
		}
		if o.N == 0 {
			break
		}
		datagram = datagram[o.N:]
	}
	before := p.established
	p.settleWith(p.socket.transport.reply)
	return p.established && !before
}

// welcome answers a stranger without a good cookie.
func (p *peer) welcome(datagram []byte) bool {
	answer, ok := p.socket.answers.AnswerHello(nil, p.addr.id(), datagram)
	if len(answer) > 0 {
		p.socket.transport.reply(p.addr, answer)
	}
	p.stranger = !ok
	return ok
}

// keep queues a datagram, or drops it when too many wait: as a socket would.
func (p *peer) keep(data []byte) {
	if len(p.queue)-p.next >= p.socket.limits.queue() {
		return
	}
	if p.next > 0 && len(p.queue) == cap(p.queue) {
		n := copy(p.queue, p.queue[p.next:])
		clear(p.queue[n:])
		p.queue, p.next = p.queue[:n], 0
	}
	p.queue = append(p.queue, bytes.Clone(data))
}

// settle does what follows a call of the engine: sends what is to be sent, sets
// the deadline, and tells who waits.
func (p *peer) settle() {
	p.settleWith(p.socket.transport.post)
}

func (p *peer) settleWith(write func(address, []byte)) {
	if p.removed {
		return
	}
	for p.engine != nil && p.engine.HasOutput() {
		room := writes.Get().(*[]byte)
		*room = p.engine.Output((*room)[:0])
		if len(*room) > 0 { // keys that are spent give nothing
			write(p.addr, *room)
		}
		writes.Put(room)
	}
	if p.err == nil && p.engine.Pending() != nil {
		p.err = errPending
	}
	if p.err == nil {
		p.established = p.engine.HandshakeComplete()
	}
	p.wake.Broadcast()
	if p.err != nil || p.closed {
		p.removed = true
		p.socket.remove(p, p.established)
		if failed := p.socket.limits.Failed; failed != nil && p.err != nil && !p.established {
			failed(p.addr.netAddr(), p.err)
		}
		return
	}
	if cids, _ := p.engine.ConnectionIDs(); len(cids) != p.registered && !p.dialed {
		p.registered = len(cids)
		p.socket.register(p, cids)
	}
	p.schedule()
}

// schedule sets the timer to what comes first: the engine's deadline, or the next
// look.
func (p *peer) schedule() {
	if p.established && p.active && p.look.IsZero() && p.socket.limits.Quiet >= 0 {
		p.look = p.socket.clock().Add(p.socket.limits.quiet())
	}
	at, ok := p.engine.Deadline()
	if !p.look.IsZero() && (!ok || p.look.Before(at)) {
		at = p.look
	}
	if !at.Equal(p.scheduled) {
		p.scheduled = at
		p.socket.schedule(p, at)
	}
}

// rest makes the connection small when nothing has gone either way since the last
// look.
func (p *peer) rest(now time.Time) {
	if !p.active && p.engine.Compact() == nil {
		p.look = time.Time{}
		if len(p.queue) == 0 {
			p.queue = nil
		}
		return
	}
	p.active, p.look = false, now.Add(p.socket.limits.quiet())
}

// expire is called when the deadline has passed.
func (p *peer) expire() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.scheduled = time.Time{}
	if p.removed {
		return
	}
	if now := p.socket.clock(); !p.look.IsZero() && !now.Before(p.look) {
		p.rest(now)
	}
	p.err = p.engine.Expire()
	p.settle()
}

// abort ends the connection without a word.
func (p *peer) abort(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.settle()
}

// abortHandshake is abort, unless the handshake is complete.
func (p *peer) abortHandshake(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil && !p.established {
		p.err = err
		p.settle()
	}
}

// start begins the handshake with the first operation.
func (p *peer) start() {
	if p.started || p.removed || p.err != nil {
		return
	}
	p.started = true
	p.socket.start()
	p.settle()
}

// over is the error of all operations from now on.
func (p *peer) over() error {
	if p.closed {
		return net.ErrClosed
	}
	return p.err
}

func (p *peer) handshake(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start()
	if p.established {
		return p.over()
	}
	stop := context.AfterFunc(ctx, p.broadcast)
	defer stop()
	for {
		switch {
		case p.closed || p.err != nil:
			return p.over()
		case p.established:
			return nil
		case ctx.Err() != nil:
			p.close()
			return ctx.Err()
		case p.read.passed() || p.write.passed():
			return os.ErrDeadlineExceeded
		}
		p.wake.Wait()
	}
}

func (p *peer) broadcast() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wake.Broadcast()
}

func (p *peer) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start()
	for {
		switch {
		case p.closed:
			return 0, net.ErrClosed
		case p.read.passed():
			return 0, os.ErrDeadlineExceeded
		case p.established && p.next < len(p.queue):
			return p.dequeue(b)
		case p.err != nil:
			return 0, p.err
		case p.ended:
			return 0, io.EOF
		}
		p.wake.Wait()
	}
}

func (p *peer) readEarly([]byte) (int, error)  { return 0, errEarlyDatagrams }
func (p *peer) writeEarly([]byte) (int, error) { return 0, errEarlyDatagrams }

func (p *peer) dequeue(b []byte) (int, error) {
	d := p.queue[p.next]
	p.queue[p.next] = nil
	if p.next++; p.next == len(p.queue) {
		p.queue, p.next = p.queue[:0], 0
	}
	n := copy(b, d)
	if n < len(d) {
		return n, io.ErrShortBuffer
	}
	return n, nil
}

func (p *peer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.start()
	for {
		switch {
		case p.closed || p.err != nil:
			return 0, p.over()
		case p.write.passed():
			return 0, os.ErrDeadlineExceeded
		case p.established:
			return p.seal(b)
		}
		p.wake.Wait()
	}
}

// seal sends b. Who brings what comes need not wait until the transport takes it;
// other Writes do, for what others overtake by far looks like a replay to the peer.
func (p *peer) seal(b []byte) (int, error) {
	p.mu.Unlock()
	p.sending.Lock()
	defer p.sending.Unlock()
	p.mu.Lock()
	switch err := p.over(); {
	case err != nil:
		return 0, err
	case p.write.passed():
		return 0, os.ErrDeadlineExceeded
	}
	room := writes.Get().(*[]byte)
	defer writes.Put(room)
	var err error
	if *room, err = p.engine.Seal((*room)[:0], b); err != nil {
		return 0, err
	}
	p.active = true
	to := p.addr
	p.mu.Unlock()
	err = p.socket.transport.write(to, *room)
	p.mu.Lock()
	switch {
	case err == nil:
		p.settle()
		return len(b), nil
	case p.closed:
		return 0, net.ErrClosed
	}
	return 0, err
}

func (p *peer) closeWrite() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closed || p.err != nil:
		return p.over()
	case !p.established:
		return errEarlyCloseWrite
	}
	p.engine.Close()
	p.settle()
	return nil
}

func (p *peer) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return net.ErrClosed
	}
	p.close()
	return nil
}

func (p *peer) close() {
	p.closed = true
	p.queue, p.next = nil, 0
	p.read.stop()
	p.write.stop()
	if p.engine != nil {
		p.engine.Close()
	}
	p.settle()
	p.wake.Broadcast()
}

func (p *peer) state() hermetic.ConnectionState {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.engine == nil {
		return hermetic.ConnectionState{}
	}
	return p.engine.State()
}

func (p *peer) control(f func(*hermetic.Engine) error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.err != nil {
		return p.over()
	}
	p.active = true
	err := f(p.engine)
	p.settle()
	return err
}

func (p *peer) SetDeadline(t time.Time) error {
	p.SetReadDeadline(t)
	return p.SetWriteDeadline(t)
}

func (p *peer) SetReadDeadline(t time.Time) error  { return p.setDeadline(&p.read, t) }
func (p *peer) SetWriteDeadline(t time.Time) error { return p.setDeadline(&p.write, t) }

func (p *peer) setDeadline(d *deadline, t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return net.ErrClosed
	}
	d.set(t, p.broadcast)
	p.wake.Broadcast()
	return nil
}

func (p *peer) LocalAddr() net.Addr { return p.socket.transport.LocalAddr() }

func (p *peer) RemoteAddr() net.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addr.netAddr()
}

func (p *peer) netConn() net.Conn {
	if t, ok := p.socket.transport.(*single); ok {
		return t.Conn
	}
	return nil
}

// deadline is that of an operation.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) set(t time.Time, wake func()) {
	d.stop()
	d.at = t
	if wait := time.Until(t); !t.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, wake)
	}
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}
