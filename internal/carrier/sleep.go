package carrier

import (
	"errors"
	"time"

	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// State is all of an established connection's carrier but its keys.
type State struct {
	Read, Write record.Number // the next ones; over streams without epochs
	Seen        [4]uint64     // datagrams: the replay window
	NextIn      int           // datagrams: message_seq of the next message
	NextOut     int
	LocalCIDs   [][]byte
	PeerCID     []byte
	Closed      bool // the peer's close_notify has come
}

var (
	errBusyHandshake = errors.New("the handshake is not complete")
	errBusyOutput    = errors.New("there is output that was not taken")
	errBusyMessage   = errors.New("a part of a handshake message has come")
	errBusyAnswer    = errors.New("an answer is awaited")
	errBusyUpdate    = errors.New("the peer has not used its new keys yet")
	errBusyExchange  = errors.New("a handshake message is on its way")
)

// Sleep gives up the keys.
func (s *Stream) Sleep() (State, error) {
	switch {
	case !s.complete:
		return State{}, errBusyHandshake
	case s.handler.Waiting():
		return State{}, errBusyAnswer
	case s.HasOutput():
		return State{}, errBusyOutput
	case len(s.kept) > 0:
		return State{}, errBusyMessage
	}
	state := State{
		Read:   record.Number{Sequence: s.in.Sequence()},
		Write:  record.Number{Sequence: s.out.Sequence()},
		Closed: s.closed,
	}
	s.asleep = true
	s.in.Sleep()
	s.out.Sleep()
	return state, nil
}

// Wake makes the keys again.
func (s *Stream) Wake() {
	if s.asleep {
		s.asleep = false
		read, write := s.handler.Keys()
		s.in.Resume(read, s.in.Sequence())
		s.out.Resume(write, s.out.Sequence())
	}
}

// Restore goes on from a state.
func (s *Stream) Restore(c *suite.Suite, state State) {
	s.version, s.complete, s.started, s.closed, s.asleep = c.Version, true, true, state.Closed, true
	s.reads, s.write = handshake.Application, handshake.Application
	s.in.Resume(suite.Keys{Suite: c}, state.Read.Sequence)
	s.out.Resume(suite.Keys{Suite: c}, state.Write.Sequence)
}

// Sleep gives up the keys. What comes under older ones from now on is lost.
func (d *Datagram) Sleep() (State, error) {
	switch {
	case !d.complete:
		return State{}, errBusyHandshake
	case d.handler.Waiting():
		return State{}, errBusyAnswer
	case d.exchange != nil && d.HasOutput():
		return State{}, errBusyOutput
	case d.exchange != nil && !d.lastFlightOnly():
		return State{}, errBusyExchange
	}
	state := State{NextIn: d.nextIn, NextOut: d.nextOut, LocalCIDs: d.localCIDs, PeerCID: d.peerCID, Closed: d.closed}
	if d.exchange != nil {
		state.NextIn = d.in.Next()
	}
	state.Write = d.write.Next()
	window, epoch, ok := d.protocol.window()
	if !ok {
		return State{}, errBusyUpdate
	}
	state.Read.Epoch = epoch
	state.Read.Sequence, state.Seen = window.State()
	d.nextIn, d.exchange = state.NextIn, nil
	d.protocol.sleep()
	d.asleep = true
	return state, nil
}

// lastFlightOnly reports that what is left of the exchange is a final flight of
// DTLS 1.2, kept in case that the peer lacks it; what it has sent since proves
// that it does not, and otherwise it has had its time.
func (d *Datagram) lastFlightOnly() bool {
	return d.version == wire.VersionTLS12 && d.err == nil && d.in.Empty() && len(d.queue)+len(d.alerts) == 0 &&
		d.newest.Epoch == 1 && d.newest.Sequence > 0
}

// Wake makes the keys again.
func (d *Datagram) Wake() {
	if d.asleep {
		d.asleep = false
		d.protocol.setKeys(d.handler.Keys())
	}
}

// Restore goes on from a state.
func (d *Datagram) Restore(c *suite.Suite, s State) {
	d.SetVersion(c.Version)
	d.clearOut.Version = wire.VersionDTLS12
	d.localCIDs, d.peerCID, d.nextIn, d.nextOut = s.LocalCIDs, s.PeerCID, s.NextIn, s.NextOut
	d.complete, d.proved, d.authentic, d.closed, d.asleep = true, true, true, s.Closed, true
	d.closedBy = record.Number{Epoch: s.Read.Epoch, Sequence: s.Read.Sequence}
	d.newest = d.closedBy
	d.protocol.restore(c, s)
	d.exchange = nil
}

func (p *undecided) window() (*record.Window, uint64, bool) { return nil, 0, false }
func (p *undecided) setKeys(_, _ suite.Keys)                {}
func (p *undecided) sleep()                                 {}
func (p *undecided) restore(*suite.Suite, State)            {}

func (p *dtls12) window() (*record.Window, uint64, bool) { return p.read.Window(), 1, true }

func (p *dtls12) setKeys(read, write suite.Keys) {
	p.read.SetKeys(read)
	p.write.(*record.Writer12).SetKeys(write)
}

func (p *dtls12) sleep() {
	p.read.Sleep()
	p.write.(*record.Writer12).Sleep()
	p.keep = time.Time{}
}

func (p *dtls12) restore(c *suite.Suite, s State) {
	p.installRead(handshake.Application, suite.Keys{Suite: c})
	p.installWrite(handshake.Application, suite.Keys{Suite: c})
	p.read.Window().SetState(s.Read.Sequence, s.Seen)
	p.write.(*record.Writer12).SetNext(s.Write.Sequence)
}

func (p *dtls13) window() (*record.Window, uint64, bool) {
	newest := &p.reads[len(p.reads)-1]
	return newest.Window(), newest.Epoch(), newest.used || newest.Epoch() == uint64(handshake.Application)
}

func (p *dtls13) sleep() {
	p.reads = []reader{p.reads[len(p.reads)-1]}
	p.reads[0].Sleep()
	p.write.(*record.Writer13).Sleep()
}

func (p *dtls13) setKeys(read, write suite.Keys) {
	p.reads[0].SetKeys(read)
	p.write.(*record.Writer13).SetKeys(write)
}

func (p *dtls13) restore(c *suite.Suite, s State) {
	p.reads = []reader{{Reader13: record.NewReader13(s.Read.Epoch, suite.Keys{Suite: c}), used: true}}
	p.reads[0].Window().SetState(s.Read.Sequence, s.Seen)
	w := record.NewWriter13(s.Write.Epoch, suite.Keys{Suite: c}, p.peerCID)
	w.SetNext(s.Write.Sequence)
	p.write = w
}
