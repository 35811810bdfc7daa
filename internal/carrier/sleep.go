package carrier

import (
	"errors"
	"slices"
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
	Forged      uint64        // datagrams: the records that did not authenticate
	NextIn      int           // datagrams: message_seq of the next message
	NextOut     int
	LocalCIDs   [][]byte
	PeerCID     []byte
	Closed      bool // the peer's close_notify has come
	Ended       bool // ours was sent
	// Finished is a DTLS 1.3 server's: what a client's last flight is read with if it
	// comes again; nil: it does not.
	Finished *record.Rested
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
func (s *Stream) Sleep(time.Time) (State, error) {
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
	s.ended = state.Ended
	s.reads, s.write = handshake.Application, handshake.Application
	s.in.Resume(suite.Keys{Suite: c}, state.Read.Sequence)
	s.out.Resume(suite.Keys{Suite: c}, state.Write.Sequence)
}

// Sleep gives up the keys. What comes under older ones from now on is lost, except
// those of a server's handshake: a client's last flight may come again, and must be
// acknowledged again (RFC 9147bis, Section 5.8.1).
func (d *Datagram) Sleep(now time.Time) (State, error) {
	d.protocol.forget(now)
	switch {
	case !d.complete:
		return State{}, errBusyHandshake
	case d.handler.Waiting():
		return State{}, errBusyAnswer
	case d.exchange != nil && d.HasOutput():
		return State{}, errBusyOutput
	case d.exchange != nil:
		return State{}, errBusyExchange
	}
	state := State{NextIn: d.nextIn, NextOut: d.nextOut, LocalCIDs: d.localCIDs, PeerCID: d.peerCID, Closed: d.closed}
	state.Write = d.write.Next()
	received, epoch, ok := d.protocol.intake()
	if !ok {
		return State{}, errBusyUpdate
	}
	state.Read.Epoch = epoch
	state.Read.Sequence, state.Seen, state.Forged = received.State()
	state.Finished = d.protocol.dropOld()
	d.protocol.reading().Sleep()
	d.write.(sleeper).Sleep()
	d.asleep = true
	return state, nil
}

// Wake makes the keys again.
func (d *Datagram) Wake() {
	if d.asleep {
		d.asleep = false
		read, write := d.handler.Keys()
		d.protocol.reading().SetKeys(read)
		d.write.(sleeper).SetKeys(write)
	}
}

// Restore goes on from a state.
func (d *Datagram) Restore(c *suite.Suite, s State) {
	d.SetVersion(c.Version)
	d.clearOut.Version = wire.VersionDTLS12
	d.localCIDs, d.peerCID, d.nextIn, d.nextOut = s.LocalCIDs, s.PeerCID, s.NextIn, s.NextOut
	d.complete, d.proved, d.authentic, d.closed, d.ended, d.asleep = true, true, true, s.Closed, s.Ended, true
	d.newest = record.Number{Epoch: s.Read.Epoch - 1, Sequence: record.MaxSequence}
	if s.Read.Sequence > 0 {
		d.newest = record.Number{Epoch: s.Read.Epoch, Sequence: s.Read.Sequence - 1}
	}
	d.closedBy = d.newest
	d.protocol.restore(c, s)
	d.exchange = nil
}

func (p *undecided) intake() (*record.Received, uint64, bool) { return nil, 0, false }
func (p *undecided) reading() sleeper                         { return nil }
func (p *undecided) dropOld() *record.Rested                  { return nil }
func (p *undecided) restore(*suite.Suite, State)              {}

func (p *dtls12) intake() (*record.Received, uint64, bool) { return &p.read.Received, 1, true }
func (p *dtls12) reading() sleeper                         { return p.read }
func (p *dtls12) dropOld() *record.Rested                  { return nil }

func (p *dtls12) restore(c *suite.Suite, s State) {
	p.installRead(handshake.Application, suite.Keys{Suite: c})
	p.installWrite(handshake.Application, suite.Keys{Suite: c})
	p.read.SetState(s.Read.Sequence, s.Seen, s.Forged)
	p.write.(*record.Writer12).SetNext(s.Write.Sequence)
}

func (p *dtls13) intake() (*record.Received, uint64, bool) {
	newest := &p.reads[len(p.reads)-1]
	return &newest.Received, newest.Epoch(), newest.used || newest.Epoch() == uint64(handshake.Application)
}

func (p *dtls13) reading() sleeper { return p.reads[len(p.reads)-1].Reader13 }

func (p *dtls13) dropOld() (finished *record.Rested) {
	last := len(p.reads) - 1
	resting := slices.DeleteFunc(p.reads[:last:last], func(r reader) bool { return !r.Resting() })
	p.reads = append(resting, p.reads[last])
	for _, r := range resting {
		if r.Epoch() == uint64(handshake.Handshake) {
			finished = r.Rested()
		}
	}
	return finished
}

func (p *dtls13) restore(c *suite.Suite, s State) {
	newest := reader{Reader13: record.NewReader13(s.Read.Epoch, suite.Keys{Suite: c}), used: true}
	newest.SetState(s.Read.Sequence, s.Seen, s.Forged)
	if s.Finished != nil {
		finished := record.NewRested13(uint64(handshake.Handshake), c, s.Finished)
		p.reads = []reader{{Reader13: finished, used: true}}
		newest.used = false // from its next record on the other one has its time
	}
	p.reads = append(p.reads, newest)
	w := record.NewWriter13(s.Write.Epoch, suite.Keys{Suite: c}, p.peerCID)
	w.SetNext(s.Write.Sequence)
	p.write = w
}
