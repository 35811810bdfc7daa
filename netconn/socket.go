package netconn

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hermetic-tls/hermetic"
)

var errReplaced = errors.New("netconn: the peer has begun anew")

// maxFailures is how many errors a socket may give in a row, beside refusals. One by one
// they are ordinary.
const maxFailures = 16

// A socket is a transport of datagrams with DTLS peers on it. One goroutine reads,
// and drives all handshakes; one timer stands for all deadlines. A peer's lock is
// taken before the socket's.
type socket struct {
	transport transport
	clock     func() time.Time
	server    *hermetic.Config // for strangers; nil: there are none
	answers   *hermetic.Config // makes the cookies of a single peer
	limits    Limits
	cidSize   int // of our connection IDs
	accept    chan *peer
	done      chan struct{} // closed with the listener
	started   sync.Once

	mu      sync.Mutex
	live    map[*peer]struct{} // all of them
	peers   map[key]*peer      // by address
	rising  map[key]*peer      // those that begin anew: not yet in place of the old
	cids    map[string]*peer   // by our connection IDs
	timers  timers
	waiting int   // handshakes under way, and connections that nobody has accepted
	closed  bool  // no more peers; the last one closes the transport
	err     error // of the transport
}

func newSocket(t transport, cfg *hermetic.Config) *socket {
	s := &socket{
		transport: t,
		clock:     time.Now,
		done:      make(chan struct{}),
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
	failures := 0
	take := func(from address, datagram []byte) {
		failures = 0
		s.handle(from, datagram)
	}
	for {
		err := s.transport.read(take)
		switch {
		case err == nil:
		case s.isOver():
			return
		case errors.Is(err, net.ErrClosed):
			s.fail(err)
			return
		case isRefusal(err):
			s.refused(err)
		default:
			if failures++; failures == maxFailures {
				s.fail(fmt.Errorf("netconn: %d read errors in a row: %w", failures, err))
				s.transport.Close()
				return
			}
			s.refused(err)
		}
	}
}

// isOver reports that the socket is closed, by ourselves.
func (s *socket) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed && len(s.live) == 0
}

// refused: while a connection to one peer is being made, an error says that
// nobody is there.
func (s *socket) refused(err error) {
	if _, ok := s.transport.(*single); !ok {
		return
	}
	for _, p := range s.all(func(*peer) bool { return true }) {
		p.abortHandshake(err)
	}
}

// all returns the peers that f admits.
func (s *socket) all(f func(*peer) bool) (list []*peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p := range s.live {
		if f(p) {
			list = append(list, p)
		}
	}
	return list
}

// fail ends everything with the error of the transport.
func (s *socket) fail(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
	s.stopListening()
	for _, p := range s.all(func(*peer) bool { return true }) {
		p.abort(err)
	}
}

// handle gives a datagram to the peer that it is from.
func (s *socket) handle(from address, datagram []byte) {
	if len(datagram) == 0 {
		return // UDP has those, and DTLS has not
	}
	old, rising := s.find(from.key, datagram)
	newest := old
	if rising != nil {
		newest = rising
	}
	random, hello := helloRandom(datagram)
	switch {
	case s.server != nil && (newest == nil || hello && newest.random != random):
		s.meet(from, random, datagram)
	case newest == nil:
	case rising == nil:
		s.deliver(old, from, datagram)
	case datagram[0] == handshakeRecord:
		s.deliver(rising, from, datagram)
	default:
		// It is not known whose keys it is under: who does not have them drops it.
		s.deliver(rising, from, bytes.Clone(datagram))
		s.deliver(old, from, datagram)
	}
}

// What a datagram with the start of a ClientHello looks like: RFC 9147bis,
// Sections 4 and 5.2. The first 25 bytes are the headers of record and message.
const (
	handshakeRecord = 22
	clientHello     = 1
	randomAt        = 13 + 12 + 2
)

// helloRandom returns the random of a ClientHello, which is the same in both hellos
// of a handshake and in their repetitions, and in no other handshake.
func helloRandom(d []byte) (random [32]byte, ok bool) {
	ok = len(d) >= randomAt+32 && d[0] == handshakeRecord && d[3]|d[4] == 0 && d[13] == clientHello && d[19]|d[20]|d[21] == 0
	if ok {
		copy(random[:], d[randomAt:])
	}
	return random, ok
}

// meet takes a stranger's datagram: only a ClientHello with a good cookie makes a
// peer of him, and nothing is kept before.
func (s *socket) meet(from address, random [32]byte, datagram []byte) {
	if !s.server.Datagram.TrustAddress {
		answer, ok := s.server.AnswerHello(nil, from.id(), datagram)
		if len(answer) > 0 {
			s.transport.reply(from, answer)
		}
		if !ok {
			return
		}
	} else if random == [32]byte{} {
		return
	}
	p := newPeer(s, from, hermetic.DTLSServer, s.server)
	p.random = random
	if p.err == nil && s.admit(p) {
		s.deliver(p, from, datagram)
	}
}

// admit makes room for a new handshake, if there may be one more.
func (s *socket) admit(p *peer) bool {
	s.mu.Lock()
	if s.closed || s.waiting == s.limits.backlog() || s.full() && s.peers[p.home] == nil {
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
		given.abort(errReplaced)
	}
	return true
}

// full reports whether there are as many connections as there may be.
func (s *socket) full() bool { return s.limits.Peers > 0 && len(s.live) >= s.limits.Peers }

// deliver gives p a datagram, and hands p to Accept when that has completed its
// handshake.
func (s *socket) deliver(p *peer, from address, datagram []byte) {
	if !p.take(from, datagram) || p.dialed {
		return
	}
	s.transport.flush() // what completes the handshake goes before all data
	s.mu.Lock()
	var old *peer
	if k := p.home; s.rising[k] == p {
		delete(s.rising, k)
		old, s.peers[k] = s.peers[k], p
	}
	closed := s.closed
	if !closed {
		s.accept <- p // as many fit as may wait
	}
	s.mu.Unlock()
	if old != nil {
		old.abort(errReplaced)
	}
	if closed {
		p.Close()
	}
}

// remove forgets a peer whose connection is over.
func (s *socket) remove(p *peer, established bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, p)
	s.vacate(p)
	s.forget(p)
	if !p.dialed && !established {
		s.waiting--
	}
	s.timers.schedule(p, time.Time{}, s.clock(), s.expire)
	s.closeLast()
}

// closeLast closes the transport behind the last peer.
func (s *socket) closeLast() {
	if s.closed && len(s.live) == 0 {
		s.transport.Close()
	}
}

func (s *socket) schedule(p *peer, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timers.schedule(p, at, s.clock(), s.expire)
}

// expire is what the timer calls.
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

// stopListening ends Accept, and what it would have returned.
func (s *socket) stopListening() (first bool) {
	s.mu.Lock()
	if first = !s.closed; first {
		s.closed = true
		close(s.done)
	}
	s.closeLast()
	s.mu.Unlock()
	if first {
		for _, p := range s.all(func(p *peer) bool { return !p.dialed && !p.accepted }) {
			p.Close()
		}
	}
	return first
}
