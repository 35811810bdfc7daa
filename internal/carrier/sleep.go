package carrier

import (
	"errors"
	"time"

	"github.com/hermetic-tls/hermetic/internal/codec"
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
	d.Wake() // old keys are dropped by their time
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
	var s sleeping
	if !d.protocol.sleep(now, &s) {
		return State{}, errBusyUpdate
	}
	s.write, s.limits[1] = d.sending.Next(), uint16(d.sending.Limit())
	d.fallAsleep(&s)
	local, peer := d.CIDs()
	return State{
		Read:      s.read,
		Write:     s.write,
		Seen:      s.seen,
		Forged:    s.forged,
		NextIn:    int(d.nextIn),
		NextOut:   int(d.nextOut),
		LocalCIDs: local,
		PeerCID:   peer,
		Closed:    d.ending.closed,
		Finished:  s.finished,

		ChecksPaths: d.path.checked,
	}, nil
}

// sleeping is what is left of the keys of an idle connection, besides the secrets that they
// are derived from again.
type sleeping struct {
	read, write record.Number  // the next ones
	seen        [4]uint64      // the replay window
	forged      uint64         // the records that did not authenticate
	limits      [2]uint16      // of the content of records: received, sent
	used        bool           // a record has arrived under the reading keys
	threatened  bool           // the peer was asked for new ones
	finished    *record.Rested // see State
	expire      uint64         // when it is dropped, in Unix milliseconds; 0: not known yet
}

// fields is its form while it sleeps. Most numbers are small.
func (s *sleeping) fields(c *codec.Coder) {
	finished := s.finished != nil
	c.Flags(&s.used, &s.threatened, &finished)
	c.Varint(&s.read.Epoch)
	c.Varint(&s.read.Sequence)
	c.Varint(&s.write.Epoch)
	c.Varint(&s.write.Sequence)
	for i := range s.seen {
		c.Varint(&s.seen[i])
	}
	c.Varint(&s.forged)
	c.Uint16(&s.limits[0])
	c.Uint16(&s.limits[1])
	if finished {
		if !c.Appending {
			s.finished = new(record.Rested)
		}
		s.finished.Pack(c)
		c.Varint(&s.expire)
	}
}

// fallAsleep keeps only s.
func (d *Datagram) fallAsleep(s *sleeping) {
	var room [256]byte
	d.asleep = string(codec.Append(room[:0], s.fields))
	d.protocol, d.sending = nil, nil
}

// left returns what a sleeping carrier has kept.
func (d *Datagram) left() (s sleeping) {
	codec.Parse([]byte(d.asleep), s.fields)
	return s
}

// Wake makes the keys again.
func (d *Datagram) Wake() {
	if d.asleep != "" {
		d.wake()
	}
}

func (d *Datagram) wake() {
	s := d.left()
	d.asleep = ""
	read, write := d.handler.Keys()
	d.protocol = d.newProtocol()
	d.protocol.wake(read, &s, d.cids.localCID())
	sealer := d.protocol.rewriter(write, s.write, d.cids.peerCID())
	sealer.SetLimit(int(s.limits[1]))
	d.sending = sealer
}

// Restore continues from a state.
func (d *Datagram) Restore(c *suite.Suite, s State) {
	d.version, d.complete, d.x = c.Version, true, nil
	d.level = handshake.Application
	d.nextIn, d.nextOut = int32(s.NextIn), int32(s.NextOut)
	if len(s.LocalCIDs) > 0 || len(s.PeerCID) > 0 {
		d.cids = &cids{s.LocalCIDs, s.PeerCID}
	}
	d.path.proved, d.authentic = true, true
	d.path.checked = s.ChecksPaths
	newest := record.Number{Epoch: s.Read.Epoch - 1, Sequence: record.MaxSequence}
	if s.Read.Sequence > 0 {
		newest = record.Number{Epoch: s.Read.Epoch, Sequence: s.Read.Sequence - 1}
	}
	d.newest = orderOf(newest)
	d.ending = ending{closed: s.Closed, closedBy: d.newest, ended: s.Ended}
	// With keys for a client's last flight, the next record starts their expiry: see use.
	d.fallAsleep(&sleeping{read: s.Read, write: s.Write, seen: s.Seen, forged: s.Forged, used: s.Finished == nil, finished: s.Finished})
}
