package carrier

import (
	"cmp"
	"errors"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/flight"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var (
	// ErrTimeout: the peer has not answered for as long as the retransmission
	// timer runs.
	ErrTimeout = errors.New("timeout")
	// errUnproved: RFC 9147bis, Section 5.1, see amplification.
	errUnproved = errors.New("the peer's address is not proved yet, and three times what it has sent was sent: wait for its Finished")
	// ErrDataSize: more data than one record takes.
	ErrDataSize = errors.New("more data than one record takes")
)

const (
	// defaultMTU fits nearly every path.
	defaultMTU = 1200
	// minMTU is how far the MTU is lowered.
	minMTU = 256
	// lowerMTU is after how many expiries in a row the MTU is lowered: RFC
	// 9147bis, Section 4.4: "2-3 seems appropriate".
	lowerMTU = 2
	// twiceMSL is twice the maximum segment lifetime of RFC 793: how long old
	// keys and a final flight are kept.
	twiceMSL = 4 * time.Minute
	// amplification is how many bytes may be sent for each one received until
	// the peer's address is proved (RFC 9147bis, Section 5.1).
	amplification = 3
)

// DatagramOptions are what a Datagram needs to know of the configuration.
type DatagramOptions struct {
	Server bool

	// MTU is the largest datagram of a handshake; 0: defaultMTU. FixedMTU does
	// not lower it when flights are lost.
	MTU      int
	FixedMTU bool
	// BoundData makes data that does not fit a datagram of MTU an error.
	BoundData bool

	// RetransmitTimeout and MaxRetransmitTimeout are the retransmission timer's first and
	// last value; 0: 1 s and 60 s. MaxTimeouts is how many of them in a row are
	// too many; 0: as many as it takes for one of MaxRetransmitTimeout.
	RetransmitTimeout, MaxRetransmitTimeout time.Duration
	MaxTimeouts                             int
	// Patience is how long the peer may pause in the middle of its flight when
	// there is nothing for us to send again; 0: as long as all timeouts
	// together, negative: forever.
	Patience time.Duration

	// Memory bounds what is kept of incomplete messages; 0: 64 KiB, or what a
	// larger MaxCertificate needs, and an eighth of it for what overtakes that.
	Memory         int
	MaxCertificate int // largest Certificate message accepted; 0: 64 KiB

	// FirstMessage is 1 on a server whose first ClientHello was answered
	// without state: so many messages have been sent and received before, or
	// more, if there was an answer to another one.
	FirstMessage uint16
	// Unproved says that nobody knows yet whether the peer's address is its
	// own: until it is proved, at most three times the bytes that have come are
	// sent.
	Unproved bool
	// Strict takes unprotected records for the peer's, as the RFC has it: every
	// fault in one is fatal, and what one acknowledges is. Otherwise anybody may have
	// sent it: see trusts.
	Strict bool
}

func (o *DatagramOptions) mtu() int { return cmp.Or(o.MTU, defaultMTU) }
func (o *DatagramOptions) memory() int {
	return cmp.Or(o.Memory, max(flight.DefaultMemory, o.MaxCertificate+o.MaxCertificate/8))
}
func (o *DatagramOptions) maxCertificate() int { return cmp.Or(o.MaxCertificate, maxMessage) }

func (o *DatagramOptions) timer() flight.Timer {
	initial := cmp.Or(o.RetransmitTimeout, flight.DefaultInitial)
	return flight.Timer{
		Initial:  initial,
		Max:      max(cmp.Or(o.MaxRetransmitTimeout, flight.DefaultMax), initial),
		Attempts: o.MaxTimeouts,
	}
}

// Datagram carries a connection over datagrams of DTLS records: RFC 9147bis and
// RFC 6347. This file and its neighbours datagram_open.go and datagram_send.go
// are what both versions have in common; what differs is a protocol.
type Datagram struct {
	handler   handshake.Handler
	opt       *DatagramOptions
	protocol  protocol
	*exchange // nil when no handshake message is on its way

	write     record.Sealer
	localCIDs [][]byte // of one size
	peerCID   []byte   // of the records we send
	received  flight.Received
	newest    record.Number // of all that have authenticated
	closedBy  record.Number // the peer's close_notify, if closed
	nextIn    int           // message_seq of the next message to come
	nextOut   int           // and of the next to go; 1<<16: there is none
	fullMTU   int           // before it was lowered
	mtu       int           // of now
	credit    int           // bytes that may be sent while unproved
	dropped   record.Drops
	earlyRoom uint32 // bytes of early data that may still be sent or come
	version   uint16 // 0 until the hellos have agreed
	count     counts
	rest      int // bytes of the datagram under way that are to come

	complete  bool // the handshake
	proved    bool // the peer's address
	authentic bool // a record has authenticated: nothing new comes in clear
	closed    bool // the peer's close_notify has come
	ended     bool // our last alert was queued: no message and no alert follows
	earlySent bool // early data was
	asleep    bool // the keys are given up: see Sleep
	exhausted bool // the handler has been told that the sending keys are
}

// exchange is what is only needed while handshake messages are on their way:
// until the handshake is complete, and then for each message that comes later.
type exchange struct {
	// What comes.
	clearIn   record.Clear
	in        flight.Reassembly
	early     [][]byte // records under keys that are not there yet
	earlySize int      // what the datagram under way has added to them
	lastClear bool     // the last message came without protection
	belated   bool     // the early records are opened
	ready     bool     // new reading keys are there, maybe for early ones

	// What goes.
	clearOut record.Clear
	flight   flight.Flight
	timer    flight.Timer
	building bool        // a flight that may not be whole yet
	answers  bool        // it answers a flight of the peer's handshake
	answered bool        // a message has come since the flight was begun
	queue    []queued    // messages behind a KeyUpdate
	update   *suite.Keys // the next sending keys, while their KeyUpdate is in flight
	requests bool        // it asks for the peer's
	alerts   [][2]byte   // to be sent
	patience time.Time   // when the peer's pause is too long; zero: it makes none
	ack      acknowledgment
	err      error // what Send and Output could not return
}

// acknowledgment is the ACK that is or will be due.
type acknowledgment struct {
	start   time.Time // of the wait for more to acknowledge
	waiting bool
	due     bool
}

// queued is a message that must wait for its turn: a KeyUpdate until all before
// it is acknowledged, one about connection IDs until the last of its type is, the
// others until they are not behind such a message any more.
type queued struct {
	msg  []byte
	seq  uint16
	keys *suite.Keys // of a KeyUpdate
}

// protocol is what differs between DTLS 1.2, 1.3, and not knowing yet.
type protocol interface {
	// openClassic and openUnified open a protected record of that form.
	openClassic(now time.Time, c record.Classic) (opened, error)
	openUnified(now time.Time, u record.Unified) (opened, error)
	// newest is the epoch that new handshake messages must come under.
	newest() uint64
	// installRead and installWrite begin a new epoch.
	installRead(level handshake.Level, k suite.Keys) error
	installWrite(level handshake.Level, k suite.Keys) error
	// took takes note of what a handshake record has brought.
	took(now time.Time, n record.Number, got receipt)
	// late takes a fragment that comes after the handshake, if it is one that
	// has nothing to do with the order of messages.
	late(now time.Time, h *wire.FragmentHeader, fragment []byte) (taken bool, err error)
	// handleACK takes the body of an ACK.
	handleACK(now time.Time, n record.Number, body []byte) error
	// handleCCS takes a ChangeCipherSpec.
	handleCCS(n record.Number, body []byte) error
	// data says what application data of that epoch means.
	data(epoch uint64) (Kind, error)
	// sent says that a transmission of the flight is complete.
	sent(now time.Time)
	// completed says that the handshake is.
	completed()
	// sealsData reports whether there are keys for application data.
	sealsData() bool
	// acknowledged reports whether the peer has all that it must have.
	acknowledged() bool
	// forget drops what has been kept for long enough.
	forget(now time.Time)
	// intake is what has come in the newest epoch, if that is the only one left, and
	// reading its keys. dropOld drops those before it, except what a client's last
	// flight is read with, which it returns. restore begins with both.
	intake() (r *record.Received, epoch uint64, ok bool)
	reading() sleeper
	dropOld() *record.Rested
	restore(c *suite.Suite, s State)
}

// sleeper is keys that can be given up and put back in place.
type sleeper interface {
	Sleep()
	SetKeys(suite.Keys)
}

// NewDatagram returns a carrier at the start of a connection. Many connections
// may share opt, which is not modified.
func NewDatagram(h handshake.Handler, opt *DatagramOptions) *Datagram {
	d := &Datagram{
		handler: h,
		opt:     opt,
		mtu:     opt.mtu(),
		fullMTU: opt.mtu(),
		nextIn:  int(opt.FirstMessage),
		nextOut: int(opt.FirstMessage),
		proved:  !opt.Unproved,
	}
	d.begin()
	d.write = &d.clearOut
	d.protocol = &undecided{d}
	return d
}

// begin begins an exchange, if none is under way.
func (d *Datagram) begin() {
	if d.exchange != nil {
		return
	}
	d.exchange = &exchange{
		in:    flight.Reassembly{Memory: d.opt.memory(), Limit: maxMessage, Certificate: d.opt.maxCertificate()},
		timer: d.opt.timer(),
	}
	d.in.StartAt(d.nextIn)
}

// end ends the exchange when nothing is left of it.
func (d *Datagram) end() {
	if d.exchange == nil || !d.complete || d.ack.waiting || d.ack.due || d.err != nil ||
		!d.flight.Empty() || len(d.queue)+len(d.alerts) > 0 || !d.in.Empty() {
		return
	}
	d.nextIn = d.in.Next()
	d.exchange = nil
}

func (d *Datagram) Transport() wire.Transport { return wire.Datagram }

// HelloRoom: the first ClientHello in one record in one datagram.
func (d *Datagram) HelloRoom() int {
	return d.mtu - record.ClassicHeaderLen - wire.FragmentHeaderLen + 4
}

// SetVersion decides what the protocol is.
func (d *Datagram) SetVersion(version uint16) {
	if d.version == version {
		return
	}
	d.version = version
	d.clearOut.Version = wire.VersionDTLS12
	if version == wire.VersionTLS13 {
		d.protocol = &dtls13{Datagram: d}
	} else {
		d.protocol = &dtls12{Datagram: d}
	}
}

// SetMTU changes the largest datagram of the handshake.
func (d *Datagram) SetMTU(bytes int) { d.mtu, d.fullMTU = bytes, bytes }

// SetTimeout changes the retransmission timer's first value, also for the wait
// that is under way.
func (d *Datagram) SetTimeout(initial time.Duration) {
	opt := *d.opt
	opt.RetransmitTimeout = initial
	d.opt = &opt
	if d.exchange != nil {
		changed := opt.timer()
		d.timer.Initial, d.timer.Max = changed.Initial, changed.Max
	}
}

// SetCIDs sets what the hellos have agreed on, before there are keys: the
// connection ID that the peer sends to us, and the one that we send to it (RFC
// 9146, Section 3). An empty one is none.
func (d *Datagram) SetCIDs(local, peer []byte) {
	if len(local) > 0 {
		d.localCIDs = [][]byte{local}
	}
	d.peerCID = peer
}

// AddLocalCID adds a connection ID that the peer may send to us: we have
// offered it in a NewConnectionId. All have one size.
func (d *Datagram) AddLocalCID(cid []byte) { d.localCIDs = append(d.localCIDs, cid) }

// SetPeerCID changes the connection ID of all records from now on, as the peer
// asked for in a NewConnectionId of usage cid_immediate.
func (d *Datagram) SetPeerCID(cid []byte) {
	d.peerCID = cid
	set := func(s record.Sealer) {
		if e, ok := s.(*record.Writer13); ok {
			e.CID = cid
		}
	}
	set(d.write)
	if d.exchange != nil {
		d.flight.Epochs(set)
	}
}

// CIDs returns the connection IDs that are in use: ours, which may be several,
// and the peer's.
func (d *Datagram) CIDs() (local [][]byte, peer []byte) { return d.localCIDs, d.peerCID }

func (d *Datagram) cidLen() int {
	if len(d.localCIDs) == 0 {
		return 0
	}
	return len(d.localCIDs[0])
}

// Dropped is how many records were dropped, and why.
func (d *Datagram) Dropped() record.Drops { return d.dropped }

// Missing is for streams.
func (d *Datagram) Missing([]byte) int { return 0 }

// MaxData is how many bytes of data one record takes now.
func (d *Datagram) MaxData() int {
	if d.opt.BoundData {
		return max(0, min(d.mtu-d.write.Overhead(), record.MaxPlaintext-1))
	}
	if d.version == wire.VersionTLS12 && len(d.peerCID) > 0 {
		// RFC 9146, Section 5: with its type it "MUST NOT exceed 2^14".
		return record.MaxPlaintext - 1
	}
	return record.MaxPlaintext
}

func (d *Datagram) Overhead() int { return d.write.Overhead() }

// Speaks reports whether a close_notify has a place.
func (d *Datagram) Speaks() bool {
	return d.protocol.sealsData() || d.sealsEarly() && d.earlySent
}

// KeyUpdatesLeft: a KeyUpdate needs a message_seq and an epoch.
func (d *Datagram) KeyUpdatesLeft() error {
	switch {
	case d.nextOut > 0xffff:
		return errMessages
	case d.write.Next().Epoch >= maxEpoch:
		return errEpochs
	}
	return nil
}

// Forget gives up all keys.
func (d *Datagram) Forget() {
	d.exchange, d.write, d.ended = nil, new(record.Clear), true
	d.protocol = &undecided{d}
}

// Acknowledged reports whether the peer has all that it must have: a DTLS 1.3
// client's handshake is only then safe to be forgotten.
func (d *Datagram) Acknowledged() bool {
	return d.complete && (d.exchange == nil || d.protocol.acknowledged())
}

// Deadline is when Expire must be called.
func (d *Datagram) Deadline() (t time.Time, ok bool) {
	earliest := func(u time.Time) {
		if !ok || u.Before(t) {
			t, ok = u, true
		}
	}
	if d.exchange == nil {
		return t, false
	}
	if u, running := d.timer.Deadline(); running && !d.paused() {
		earliest(u)
	}
	if d.ack.waiting {
		earliest(d.ackDeadline())
	}
	if !d.patience.IsZero() && !d.handler.Waiting() {
		earliest(d.patience)
	}
	return t, ok
}

// paused reports that it is not the peer who makes us wait: it has answered,
// and somebody must decide about it.
func (d *Datagram) paused() bool { return d.answered && d.handler.Waiting() }

// ackDeadline: RFC 9147bis, Section 7.1: "One approach is to set a timer for 1/4
// the current retransmit timer value when the first record in the flight is
// received and then send an ACK when that timer expires."
func (d *Datagram) ackDeadline() time.Time { return d.ack.start.Add(d.timer.Value() / 4) }

// Expire does what is due.
func (d *Datagram) Expire(now time.Time) error {
	if d.exchange == nil {
		return nil
	}
	if d.err != nil {
		return d.err
	}
	if d.ack.waiting && !now.Before(d.ackDeadline()) {
		d.ack.waiting, d.ack.due = false, true
	}
	if !d.patience.IsZero() && !d.handler.Waiting() && !now.Before(d.patience) {
		return ErrTimeout
	}
	if d.paused() || !d.timer.Due(now) {
		return nil
	}
	if !d.timer.Expire(now) {
		return ErrTimeout
	}
	if d.timer.Expired()%lowerMTU == 0 && !d.opt.FixedMTU {
		d.mtu = max(min(minMTU, d.mtu), d.mtu/2)
	}
	if d.flight.Doubt(); !d.flight.Pending() {
		d.flight.Restart()
	}
	return nil
}

// waitForPeer begins to lose patience, while the retransmission timer does not
// run and the handshake is not over.
func (d *Datagram) waitForPeer(now time.Time) {
	switch {
	case d.complete || d.opt.Patience < 0:
	case d.opt.Patience > 0:
		d.patience = now.Add(d.opt.Patience)
	default:
		d.patience = now.Add(d.timer.Schedule())
	}
}

// Complete tells that the handshake is over.
func (d *Datagram) Complete() {
	d.complete = true
	d.patience = time.Time{}
	d.protocol.completed()
}

var (
	_ Carrier  = (*Datagram)(nil)
	_ protocol = (*undecided)(nil)
	_ protocol = (*dtls12)(nil)
	_ protocol = (*dtls13)(nil)
)

var (
	errOldKeys     = alert.New(alert.UnexpectedMessage, "a handshake message comes under keys that have been replaced")
	errBadFragment = alert.New(alert.DecodeError, "a handshake record does not parse")
	errBadACK      = alert.New(alert.DecodeError, "an ACK does not parse")
	errACKEpoch    = alert.New(alert.IllegalParameter, "an ACK names a record of a later epoch than its own")
	errACKVersion  = alert.New(alert.UnexpectedMessage, "an ACK comes in DTLS 1.2")
	errDataEpoch   = alert.New(alert.UnexpectedMessage, "application data comes under handshake keys")
	errKeyUpdates  = alert.New(alert.UnexpectedMessage, "more key updates than there are epochs")
	errEpochs      = alert.New(alert.InternalError, "no epoch is left for another key update")
	errMessages    = alert.New(alert.InternalError, "no message_seq is left for another message")
)
