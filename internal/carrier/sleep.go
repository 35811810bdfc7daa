package carrier

import (
	"errors"
	"time"

	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
)

// State is an established connection's carrier without its keys.
type State struct {
	Read, Write record.Number // the next ones; over streams without epochs
	Seen        [4]uint64     // datagrams: the replay window
	Forged      uint64        // datagrams: the records that did not authenticate
	NextIn      int           // datagrams: message_seq of the next message
	NextOut     int
	LocalCIDs   [][]byte
	PeerCID     []byte
	Closed      bool // the peer's close_notify has arrived
	Ended       bool // ours was sent
	ChecksPaths bool // datagrams: rrc was negotiated
	// Finished is a DTLS 1.3 server's: the keys for a repetition of the client's last
	// flight; nil: there can be none.
	Finished *record.Rested
}

var (
	errBusyHandshake = errors.New("the handshake is not complete")
	errBusyOutput    = errors.New("there is output that was not sent")
	errBusyMessage   = errors.New("a handshake message has arrived only in part")
	errBusyAnswer    = errors.New("an answer is awaited")
	errBusyUpdate    = errors.New("the peer has not used its new keys yet")
	errBusyExchange  = errors.New("a handshake message is in transit")
	errBusyPath      = errors.New("a new path is being checked: wait for its deadline")
)

// Sleep gives up the keys.
func (s *Stream) Sleep(time.Time) (State, error) {
	switch {
	case !s.complete:
		return State{}, errBusyHandshake
	case s.paused:
		return State{}, errBusyAnswer
	case s.HasOutput():
		return State{}, errBusyOutput
	case len(s.unread) > 0:
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

// Restore continues from a state.
func (s *Stream) Restore(c *suite.Suite, state State) {
	s.version, s.complete, s.started, s.closed, s.asleep = c.Version, true, true, state.Closed, true
	s.ended = state.Ended
	s.reads, s.write = handshake.Application, handshake.Application
	s.in.Resume(suite.Keys{Suite: c}, state.Read.Sequence)
	s.out.Resume(suite.Keys{Suite: c}, state.Write.Sequence)
}

// Sleep drops the keys. Records under older ones are lost from now on, except under those
// of a server's handshake: a client's last flight may be repeated, and must be
// acknowledged again (RFC 9147bis, Section 5.8.1).
func (d *Datagram) Sleep(now time.Time) (State, error) {
	d.readers.forget(now)
	if d.x != nil && d.x.out.Forget(now) {
		d.end()
	}
	switch {
	case !d.complete:
		return State{}, errBusyHandshake
	case d.paused:
		return State{}, errBusyAnswer
	case d.paths != nil && d.paths.check != nil:
		return State{}, errBusyPath
	case d.HasOutput():
		return State{}, errBusyOutput
	case d.x != nil:
		return State{}, errBusyExchange
	}
	state := State{
		Write:     d.sending.Next(),
		NextIn:    int(d.nextIn),
		NextOut:   int(d.nextOut),
		LocalCIDs: d.cids.local,
		PeerCID:   d.cids.peer,
		Closed:    d.ending.closed,

		ChecksPaths: d.checksPaths,
	}
	if !d.readers.sleep(&state) {
		return State{}, errBusyUpdate
	}
	d.sending.Sealer.(sleeper).Sleep()
	d.asleep = true
	return state, nil
}

// sleeper has sending keys that can be dropped and put back.
type sleeper interface {
	Sleep()
	SetKeys(suite.Keys)
	SetNext(sequence uint64)
}

// Wake makes the keys again.
func (d *Datagram) Wake() {
	if d.asleep {
		d.asleep = false
		read, write := d.handler.Keys()
		d.readers.wake(read)
		d.sending.Sealer.(sleeper).SetKeys(write)
	}
}

// Restore continues from a state.
func (d *Datagram) Restore(c *suite.Suite, s State) {
	d.SetVersion(c.Version)
	d.Complete()
	d.nextIn, d.nextOut = int32(s.NextIn), int32(s.NextOut)
	d.cids = cids{s.LocalCIDs, s.PeerCID}
	d.path.proved, d.authentic, d.asleep = true, true, true
	d.checksPaths = s.ChecksPaths
	d.newestRecord = record.Number{Epoch: s.Read.Epoch - 1, Sequence: record.MaxSequence}
	if s.Read.Sequence > 0 {
		d.newestRecord = record.Number{Epoch: s.Read.Epoch, Sequence: s.Read.Sequence - 1}
	}
	d.ending = ending{closed: s.Closed, closedBy: d.newestRecord, ended: s.Ended}
	d.readers.restore(c, &s, d.cids.localCID())
	epoch := min(max(s.Write.Epoch, 1), maxEpoch)
	d.sending.Sealer, _ = d.protocol.writer(handshake.Application, epoch-1, suite.Keys{Suite: c}, s.PeerCID)
	d.sending.Sealer.(sleeper).SetNext(s.Write.Sequence)
	d.x = nil
}
