package netconn

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// ErrReplaced means that a PacketListener's peer has started a new connection from the same
// address, as after a restart: this one has ended, and Accept returns the new one.
var ErrReplaced = errors.New("netconn: the peer has started a new connection")

// maxFailures is how many errors a socket may return in a row, refusals excepted. Single
// errors are ordinary.
const maxFailures = 16

// After this many reads in a row that bring nothing, each further read is delayed, longer
// each time: a transport whose reads do not wait must not keep a processor busy.
const (
	minPause = time.Millisecond
	maxPause = 100 * time.Millisecond
	slower   = 64 // reads until the delay doubles

	// Empty datagrams of a socket for many peers, in contrast, anybody may send. They must not keep
	// it busy either if the transport makes them up, but others must not wait for them: 20,000 in a
	// second leave time.
	maxEmpty   = 100 // in a row, until one pause
	emptyPause = 5 * time.Millisecond
)

// A socket is a transport of datagrams with DTLS peers on it. One goroutine reads
// and drives all handshakes; one timer stands for all deadlines. A peer's lock is
// taken before the socket's. Neither is held while a goroutine waits for the transport.
type socket struct {
	transport transport
	clock     func() time.Time
	server    *hermetic.Config // for strangers; nil: none are admitted
	answers   *hermetic.Config // makes the cookies of a single peer
	config    PacketConfig
	cidSize   int // of our connection IDs
	accept    chan *peer
	done      chan struct{} // closed with the listener
	started   sync.Once
	ending    sync.Once
	ended     chan struct{} // closed with the transport
	draining  atomic.Bool   // Export has begun: no new handshakes
	progress  chan struct{} // tells Export that a peer has used its engine
	stop      chan struct{} // closed by Export: nothing more is read
	stopped   chan struct{} // closed by the goroutine that reads, when it ends

	mu      sync.Mutex
	live    map[*peer]struct{} // all of them
	peers   map[key]*peer      // by address
	rising  map[key]*peer      // new handshakes of peers that have a connection: not complete yet
	cids    map[string]*peer   // by our connection IDs
	timers  timers
	waiting int   // handshakes in progress, and connections that wait for Accept
	leaving int   // peers that are over but have datagrams that wait for the transport
	closed  bool  // no new peers; the last one closes the transport
	err     error // of the transport
	drops   Drops
}

func newSocket(t transport, cfg *hermetic.Config) *socket {
	s := &socket{
		transport: t,
		clock:     time.Now,
		done:      make(chan struct{}),
		ended:     make(chan struct{}),
		progress:  make(chan struct{}, 1),
		stop:      make(chan struct{}),
		stopped:   make(chan struct{}),
		live:      make(map[*peer]struct{}),
		peers:     make(map[key]*peer),
		rising:    make(map[key]*peer),
		cids:      make(map[string]*peer),
	}
	if cfg != nil && cfg.Time != nil {
		s.clock = cfg.Time
	}
	return s
}

// start starts the goroutine that reads.
func (s *socket) start() { s.started.Do(func() { go s.run() }) }

func (s *socket) run() {
	defer close(s.stopped)
	for _, p := range s.all() {
		p.begin()
	}
	failures, idle, empty := 0, 0, 0 // in a row: errors, reads that have brought nothing, empty datagrams
	take := func(from address, datagram []byte) {
		switch {
		case len(datagram) > 0 || s.transport.waits():
			failures, idle, empty = 0, 0, 0
		case from.addr != nil: // not of a net.Conn, which reads nothing and no datagram alike
			idle, empty = 0, empty+1
		}
		s.handle(from, datagram)
	}
	for {
		idle++
		err := s.transport.read(take)
		switch {
		case idle+empty > 0 && s.isOver() || isDone(s.stop):
			return
		case err == nil || isTemporary(err):
		case isFinal(err):
			s.fail(err)
			return
		case isRefusal(err):
			s.refused(err)
		default:
			if failures++; failures == maxFailures {
				s.fail(fmt.Errorf("netconn: %d read errors in a row: %w", failures, err))
				return
			}
			s.refused(err)
		}
		if pause := pauseAfter(idle, empty); pause > 0 {
			select {
			case <-time.After(pause):
			case <-s.ended:
				return
			}
		}
	}
}

// pauseAfter is how long to wait before the next read.
func pauseAfter(idle, empty int) time.Duration {
	switch {
	case idle > maxFailures:
		return min(maxPause, minPause<<min(idle/slower, 16))
	case idle == 0 && empty > 0 && empty%maxEmpty == 0:
		return emptyPause
	}
	return 0
}

// isOver reports whether the socket is closed, on this side.
func (s *socket) isOver() bool { return isDone(s.ended) }

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// refused ends a handshake with a single peer: the error says that no process
// listens there.
func (s *socket) refused(err error) {
	if _, ok := s.transport.(*single); !ok {
		return
	}
	for _, p := range s.all() {
		p.abortHandshake(err)
	}
}

// all returns the peers.
func (s *socket) all() []*peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.live))
}

// fail ends all connections with the error of the transport.
func (s *socket) fail(err error) {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // an orderly end is a close_notify
	}
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	s.stopListening()
	for _, p := range s.all() {
		p.abort(err)
	}
}

// handle passes a datagram to the peer that it is from.
func (s *socket) handle(from address, datagram []byte) {
	switch {
	case from.nowhere():
		s.drop(&s.drops.NoAddress)
		return
	case len(datagram) == 0:
		s.drop(&s.drops.Empty) // UDP has those; DTLS does not
		return
	case len(datagram) > maxDatagram:
		s.drop(&s.drops.TooLarge)
		return
	}
	peeked, _ := hermetic.PeekDatagram(datagram, s.cidSize)
	old, rising := s.find(from.key, peeked.ConnectionID)
	newest := old
	if rising != nil {
		newest = rising
	}
	begins := len(peeked.HelloRandom) > 0 && (newest == nil || !bytes.Equal(newest.random[:], peeked.HelloRandom))
	switch {
	case s.server != nil && (newest == nil || begins):
		s.meet(from, peeked.HelloRandom, datagram)
	case newest == nil:
		s.drop(&s.drops.NoPeer)
	case rising == nil:
		s.deliver(old, from, datagram)
	case peeked.Handshake:
		s.deliver(rising, from, datagram)
	default:
		// Either peer may have its keys; the other one drops it.
		s.deliver(rising, from, bytes.Clone(datagram))
		s.deliver(old, from, datagram)
	}
}

// meet handles a stranger's datagram: only a ClientHello with a good cookie makes it a
// peer, and nothing is kept before.
func (s *socket) meet(from address, random, datagram []byte) {
	if s.draining.Load() && len(random) > 0 {
		s.drop(&s.drops.Closed)
		return
	}
	if !s.server.DTLS.TrustAddress {
		answer, ok := s.server.AnswerHello(nil, from.id(), datagram)
		if len(answer) > 0 {
			s.transport.answer(from, answer)
		}
		if !ok {
			s.unwelcome(answer)
			return
		}
	} else if len(random) == 0 {
		s.drop(&s.drops.NoPeer)
		return
	}
	p := newPeer(s, from, hermetic.DTLSServer, s.server)
	copy(p.random[:], random)
	if p.err == nil && s.admit(p) {
		s.deliver(p, from, datagram)
	}
}

// unwelcome counts the datagram of a stranger.
func (s *socket) unwelcome(answer []byte) {
	if len(answer) > 0 {
		s.drop(&s.drops.NoCookie)
	} else {
		s.drop(&s.drops.NoPeer)
	}
}

// admit makes room for a new handshake, if another is allowed.
func (s *socket) admit(p *peer) bool {
	s.mu.Lock()
	if why := s.refusal(p); why != nil {
		*why++
		s.mu.Unlock()
		return false
	}
	s.waiting++
	var given *peer
	s.live[p] = struct{}{}
	if s.peers[p.home] == nil {
		s.peers[p.home] = p
	} else {
		given = s.rising[p.home]
		s.rising[p.home] = p
	}
	s.mu.Unlock()
	if given != nil {
		given.abort(ErrReplaced)
	}
	return true
}

// refusal returns the counter for why there is no room for a new handshake, or nil if
// there is. Datagrams that ended peers still have to send take room as well.
func (s *socket) refusal(p *peer) *uint64 {
	switch {
	case s.closed:
		return &s.drops.Closed
	case s.waiting+s.leaving >= s.config.backlog():
		return &s.drops.BacklogFull
	case s.full() && s.peers[p.home] == nil:
		return &s.drops.TooManyPeers
	}
	return nil
}

// full reports whether there are as many connections as there may be.
func (s *socket) full() bool { return s.config.MaxPeers > 0 && len(s.live) >= s.config.MaxPeers }

// deliver passes a datagram to p, and p to Accept if the datagram has completed its
// handshake.
func (s *socket) deliver(p *peer, from address, datagram []byte) {
	if !p.take(from, datagram) || p.dialed {
		return
	}
	s.transport.flush() // the end of the handshake leaves before any data
	s.mu.Lock()
	var old *peer
	if k := p.home; s.rising[k] == p {
		delete(s.rising, k)
		old, s.peers[k] = s.peers[k], p
	}
	closed := s.closed
	if !closed {
		s.accept <- p // it has room for all that may wait
	}
	s.mu.Unlock()
	if old != nil {
		old.abort(ErrReplaced)
	}
	if closed {
		p.closeUnaccepted()
	}
}

// remove forgets a peer whose connection is over.
func (s *socket) remove(p *peer, established, leaving bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, p)
	s.vacate(p)
	s.forget(p)
	if !p.dialed && !established {
		s.waiting--
	}
	if leaving {
		s.leaving++
	}
	s.timers.schedule(p, time.Time{}, s.clock(), s.expire)
}

// left is called when no datagram of a removed peer waits for the transport any longer.
func (s *socket) left() {
	s.mu.Lock()
	s.leaving--
	s.mu.Unlock()
	s.closeLast(false)
}

// closeLast closes the transport after the last peer, and after what has to leave,
// unless that takes too long. Its caller holds no lock, because others may wait for it.
func (s *socket) closeLast(hurry bool) {
	s.mu.Lock()
	last := s.closed && len(s.live) == 0
	waits := s.leaving > 0 && !hurry
	s.mu.Unlock()
	switch {
	case !last:
	case waits:
		time.AfterFunc(moment, func() { s.closeLast(true) })
	default:
		s.ending.Do(func() {
			close(s.ended)
			s.transport.Close()
		})
	}
}

func (s *socket) schedule(p *peer, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timers.schedule(p, at, s.clock(), s.expire)
}

// expire is called by the timer.
func (s *socket) expire() {
	s.mu.Lock()
	due := s.timers.due(s.clock())
	s.timers.set = time.Time{}
	s.timers.arm(s.clock(), s.expire)
	s.mu.Unlock()
	for _, p := range due {
		p.expire()
	}
}

// stopListening ends Accept and the connections that it would have returned.
func (s *socket) stopListening() (first bool) {
	s.mu.Lock()
	if first = !s.closed; first {
		s.closed = true
		close(s.done)
	}
	s.mu.Unlock()
	if first {
		for _, p := range s.all() {
			p.closeUnaccepted()
		}
	}
	s.closeLast(false)
	return first
}
