package main

import (
	"container/heap"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// The limits of a server. A peer costs some kilobytes, and less than two when it is quiet.
const (
	cidLength     = 8                // of the connection IDs that peers send to us
	maxPeers      = 100_000          // connections and handshakes
	maxHandshakes = 1_000            // of them, handshakes: they cost the most
	maxSilence    = 10 * time.Minute // then a peer is forgotten
)

// A server is used by one goroutine. So no engine needs a lock.
type server struct {
	socket *net.UDPConn
	config *hermetic.Config
	now    func() time.Time

	byAddress map[netip.AddrPort]*peer // where a datagram without a connection ID belongs
	rising    map[netip.AddrPort]*peer // handshakes from an address that has a connection already
	byID      map[string]*peer         // by the connection IDs that we have given
	timers    timers                   // one entry for each peer
	shaking   int                      // how many peers are in the middle of a handshake
	out       []byte                   // room for a datagram to send

	counts counts
}

// counts says what became of datagrams that reached no connection, and of connections.
type counts struct {
	stray    int // neither of a peer nor a ClientHello
	cookies  int // ClientHellos that were answered by a cookie
	full     int // ClientHellos beyond a limit
	complete int // handshakes
	failed   int // handshakes
	replaced int // connections whose peer has begun anew
	moved    int // changes of a peer's address
	silent   int // connections that ended because nothing came
}

// A peer is a connection, or a handshake.
type peer struct {
	engine   *hermetic.Engine
	address  netip.AddrPort // that it was found at first, or has proved to be at
	random   [32]byte       // of its ClientHello: it tells a repetition from a new connection
	ids      [][]byte       // its keys in byID
	complete bool           // the handshake is
	heard    time.Time      // when an authentic record has come last

	at    time.Time // when the timer is due
	index int       // in the heap
}

func newServer(socket *net.UDPConn, config *hermetic.Config) *server {
	return &server{
		socket:    socket,
		config:    config,
		now:       time.Now,
		byAddress: make(map[netip.AddrPort]*peer),
		rising:    make(map[netip.AddrPort]*peer),
		byID:      make(map[string]*peer),
	}
}

// run reads datagrams until the socket is closed.
func (s *server) run() error {
	in := make([]byte, 1<<16)
	for {
		// Wait for a datagram, but not beyond the first deadline of all peers.
		s.socket.SetReadDeadline(s.expire())
		n, from, err := s.socket.ReadFromUDPAddrPort(in)
		switch {
		case err == nil:
			// An IPv6 socket says ::ffff:192.0.2.1 for 192.0.2.1: use one form everywhere.
			from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
			s.datagram(from, in[:n])
		case errors.Is(err, os.ErrDeadlineExceeded): // a timer is due
		case errors.Is(err, net.ErrClosed):
			return err
		default: // an ICMP error of an earlier datagram, for example: anybody may cause it
		}
	}
}

// datagram passes a datagram to the peer that it is from. Until an engine has opened it, nothing
// in it is authentic.
func (s *server) datagram(from netip.AddrPort, in []byte) {
	peeked, ok := hermetic.PeekDatagram(in, cidLength)
	if !ok {
		s.counts.stray++
		return
	}
	known := s.byAddress[from]
	if moved := s.byID[string(peeked.ConnectionID)]; moved != nil {
		s.open(moved, from, in) // a connection ID finds its peer wherever that is
		return
	}
	newest := known
	if p := s.rising[from]; p != nil {
		newest = p
	}
	switch {
	case newest == nil:
		s.meet(from, peeked.HelloRandom, in)
	case peeked.HelloRandom != nil && string(peeked.HelloRandom) != string(newest.random[:]):
		// A device has started again, or an attacker claims so: RFC 9147, Section 5.11. The old
		// connection goes on until the new handshake is complete.
		s.meet(from, peeked.HelloRandom, in)
	case newest == known:
		s.open(known, from, in)
	case peeked.Handshake:
		s.open(newest, from, in)
	default:
		// Either may have the keys. The other one drops it, but Open overwrites what it opens.
		s.open(newest, from, append([]byte(nil), in...))
		if s.byAddress[from] == known { // the newest has not taken its place just now
			s.open(known, from, in)
		}
	}
}

// meet answers a stranger. Nothing is kept of one before its cookie has come back, so a flood from
// forged addresses costs a few hashes a datagram, and no memory. The answer is never larger
// than the datagram, so that nobody can be flooded by way of us.
func (s *server) meet(from netip.AddrPort, random, in []byte) {
	id := from.String() // what the cookie is bound to
	answer, ok := s.config.AnswerHello(s.out[:0], []byte(id), in)
	if len(answer) > 0 {
		s.socket.WriteToUDPAddrPort(answer, from)
		s.counts.cookies++
	}
	switch {
	case !ok && len(answer) == 0:
		s.counts.stray++
		return
	case !ok:
		return
	case s.shaking >= maxHandshakes || len(s.timers) >= maxPeers:
		s.counts.full++ // the client sends its ClientHello again
		return
	}
	engine, err := hermetic.NewEngine(hermetic.DTLSServer, s.config)
	if err == nil {
		err = engine.SetPeerID([]byte(id)) // the engine checks the cookie again
	}
	if err != nil {
		s.counts.failed++ // the Config has an error: the first engine would have told
		return
	}
	p := &peer{engine: engine, address: from, index: -1, heard: s.now()}
	copy(p.random[:], random)
	s.shaking++
	// With a good cookie, another handshake from there was given up. A
	// connection stays until this handshake is complete.
	for _, given := range []*peer{s.rising[from], s.byAddress[from]} {
		if given != nil && !given.complete {
			s.forget(given)
		}
	}
	if s.byAddress[from] == nil {
		s.byAddress[from] = p
	} else {
		s.rising[from] = p
	}
	s.open(p, from, in)
}

// open gives a datagram to an engine, record by record.
func (s *server) open(p *peer, from netip.AddrPort, in []byte) {
	var end error
	for len(in) > 0 && end == nil {
		// The engine must know where the record is from, to check a new address (RFC 9853).
		o, err := p.engine.OpenFrom(hermetic.Path{Remote: from}, in)
		if o.Kind != hermetic.KindNone {
			p.heard = s.now()
		}
		switch o.Kind {
		case hermetic.KindNewPath:
			// A newer record from a new address, of a peer that does not answer challenges. An
			// attacker may have forwarded it. We follow; a server that sends much more than
			// it gets should not (RFC 9146, Section 6).
			if p.engine.Path().Remote != from {
				p.engine.SetPath(hermetic.Path{Remote: from})
				s.move(p)
			}
		case hermetic.KindPathChanged: // the peer has proved that it is there
			s.move(p)
		}
		if o.Data != nil { // o.Data is valid until the next call of this engine
			s.data(p, o.Data)
		}
		if end = err; o.N == 0 {
			break // an error has used nothing
		}
		in = in[o.N:]
	}
	s.after(p, end)
}

// data is your application: here it sends everything back.
func (s *server) data(p *peer, data []byte) {
	out, err := p.engine.Seal(s.out[:0], data)
	if err != nil {
		return // the connection is over, or data is larger than the peer takes
	}
	s.socket.WriteToUDPAddrPort(out, p.engine.Path().Remote)
	s.out = out
}

// after does what can be due after each use of an engine: it sends, and sets the timer.
func (s *server) after(p *peer, end error) {
	// Each OutputTo is one datagram. The engine retransmits by itself, so an error of the
	// socket is only a loss.
	for p.engine.HasOutput() {
		out, to := p.engine.OutputTo(s.out[:0])
		if len(out) == 0 {
			break
		}
		s.socket.WriteToUDPAddrPort(out, to.Remote)
		s.out = out
	}
	if end != nil { // the peer has closed, or the handshake has failed; an alert has been sent
		if errors.Is(end, hermetic.ErrClosed) {
			p.engine.Close() // answers with our close_notify
			if out, to := p.engine.OutputTo(s.out[:0]); len(out) > 0 {
				s.socket.WriteToUDPAddrPort(out, to.Remote)
			}
		}
		s.forget(p)
		return
	}
	if !p.complete && p.engine.HandshakeComplete() {
		s.completed(p)
	}
	// Spare connection IDs come and go during the connection.
	if ids, _ := p.engine.ConnectionIDs(); len(ids) != len(p.ids) {
		s.register(p, ids)
	}
	at := p.heard.Add(maxSilence)
	if deadline, ok := p.engine.Deadline(); ok && deadline.Before(at) {
		at = deadline
	}
	s.timers.set(p, at)
}

// completed makes a handshake a connection, which replaces the last one from that address.
func (s *server) completed(p *peer) {
	p.complete = true
	s.shaking--
	s.counts.complete++
	if s.rising[p.address] == p {
		delete(s.rising, p.address)
		if old := s.byAddress[p.address]; old != nil {
			s.forget(old)
			s.counts.replaced++
		}
		s.byAddress[p.address] = p
	}
}

// register makes the peer known by its connection IDs.
func (s *server) register(p *peer, ids [][]byte) {
	s.unregister(p)
	for _, id := range ids {
		if s.byID[string(id)] == nil { // they are random; of two that are equal the first counts
			s.byID[string(id)] = p
			p.ids = append(p.ids, id)
		}
	}
}

func (s *server) unregister(p *peer) {
	for _, id := range p.ids {
		delete(s.byID, string(id))
	}
	p.ids = nil
}

// move enters the peer under its new address. Another one there keeps it: the connection ID
// finds this one in any case.
func (s *server) move(p *peer) {
	s.counts.moved++
	s.leave(p)
	p.address = p.engine.Path().Remote
	if s.byAddress[p.address] == nil {
		s.byAddress[p.address] = p
	}
}

func (s *server) leave(p *peer) {
	if s.rising[p.address] == p {
		delete(s.rising, p.address)
	}
	if s.byAddress[p.address] != p {
		return
	}
	delete(s.byAddress, p.address)
	if next := s.rising[p.address]; next != nil {
		delete(s.rising, p.address)
		s.byAddress[p.address] = next
	}
}

// forget removes the peer from every table.
func (s *server) forget(p *peer) {
	if !p.complete {
		s.shaking--
		s.counts.failed++
	}
	s.leave(p)
	s.unregister(p)
	s.timers.remove(p)
}

// expire serves the timers that are due, and returns when the next one is; zero: there is none.
func (s *server) expire() time.Time {
	for len(s.timers) > 0 {
		p := s.timers[0]
		now := s.now()
		if now.Before(p.at) {
			return p.at
		}
		var end error
		if now.Before(p.heard.Add(maxSilence)) {
			end = p.engine.Expire() // retransmits, or gives up
		} else {
			s.counts.silent++
			end = os.ErrDeadlineExceeded
		}
		s.after(p, end)
	}
	return time.Time{}
}

// timers is a heap of peers, the one that is due first on top.
type timers []*peer

func (t *timers) set(p *peer, at time.Time) {
	p.at = at
	if p.index < 0 {
		heap.Push(t, p)
	} else {
		heap.Fix(t, p.index)
	}
}

func (t *timers) remove(p *peer) {
	if p.index >= 0 {
		heap.Remove(t, p.index)
	}
}

// The methods of heap.Interface.

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at.Before(t[j].at) }

func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].index, t[j].index = i, j
}

func (t *timers) Push(p any) {
	p.(*peer).index = len(*t)
	*t = append(*t, p.(*peer))
}

func (t *timers) Pop() any {
	last := len(*t) - 1
	p := (*t)[last]
	(*t)[last] = nil
	*t = (*t)[:last]
	p.index = -1
	return p
}
