package carrier

import (
	"cmp"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/flight"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/tracer"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

var (
	// ErrTimeout: the peer has not answered any retransmission.
	ErrTimeout = flight.ErrTimeout
	// errUnproved: RFC 9147bis, Section 5.1, see amplification.
	errUnproved = errors.New("anti-amplification limit reached: the peer's address is not proved yet, wait for its Finished")
	// ErrDataSize: more data than one record takes.
	ErrDataSize = errors.New("more data than one record takes")
)

const (
	// defaultMTU fits nearly every path.
	defaultMTU = 1200
	// minMTU is the least that the MTU is lowered to.
	minMTU = 256
	// lowerMTU is after how many expiries in a row the MTU is lowered: RFC
	// 9147bis, Section 4.4: "2-3 seems appropriate".
	lowerMTU = 2
	// amplification is how many bytes may be sent for each one received until
	// the peer's address is proved (RFC 9147bis, Section 5.1).
	amplification = 3
)

// DatagramOptions is the part of the configuration that a Datagram needs.
type DatagramOptions struct {
	Server bool

	// MTU is the largest datagram of a handshake; 0: defaultMTU. With FixedMTU it
	// is not lowered when flights are lost.
	MTU      int
	FixedMTU bool
	// BoundData refuses data that does not fit in a datagram of MTU bytes.
	BoundData bool

	// RetransmitTimeout and MaxRetransmitTimeout are the retransmission timer's first and
	// last value; 0: 1 s and 60 s. After MaxTimeouts expiries in a row the handshake
	// fails; 0: after the first one of MaxRetransmitTimeout.
	RetransmitTimeout, MaxRetransmitTimeout time.Duration
	MaxTimeouts                             int
	// MaxFlightPause is how long the peer may pause in the middle of its flight while
	// we have nothing to retransmit; 0: as long as all timeouts together;
	// negative: forever.
	MaxFlightPause time.Duration

	// Memory bounds the bytes of incomplete messages; 0: 64 KiB, or what a larger
	// MaxCertificate needs, plus an eighth of it for messages that overtake it.
	Memory         int
	MaxCertificate int // largest Certificate message accepted; 0: 64 KiB

	// PathPolicy and PathTimeout, 0 for 1 s, are how a new path is checked, with cookies
	// from Rand.
	PathPolicy  PathPolicy
	PathTimeout time.Duration
	Rand        io.Reader

	// FirstMessage is 1 on a server whose first ClientHello was answered without
	// state: at least that many messages were sent and received before.
	FirstMessage uint16
	// Unproved says that the peer's address may be forged: until it is proved, at
	// most three times the received bytes are sent.
	Unproved bool
	// TrustUnprotected attributes unprotected records to the peer, as the RFC does: every
	// fault in one is fatal, and every acknowledgment in one is believed. Otherwise
	// anybody may have sent them: see trusts.
	TrustUnprotected bool
}

func (o *DatagramOptions) mtu() int { return cmp.Or(o.MTU, defaultMTU) }
func (o *DatagramOptions) memory() int {
	return cmp.Or(o.Memory, max(flight.DefaultMemory, o.MaxCertificate+o.MaxCertificate/8))
}
func (o *DatagramOptions) pathTimeout() time.Duration {
	return cmp.Or(o.PathTimeout, defaultPathTimeout)
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

// trusts reports whether a record is known to be the peer's: anybody may have sent one that
// is not protected.
func (o *DatagramOptions) trusts(n record.Number) bool { return n.Epoch > 0 || o.TrustUnprotected }

// fault is the error for a mistake in a record. An unprotected record is dropped instead,
// since anybody may have made it.
func (o *DatagramOptions) fault(n record.Number, err error) error {
	if !o.trusts(n) {
		return record.Unprotected
	}
	return err
}

// Datagram carries a connection over datagrams of DTLS records: RFC 9147bis and RFC 6347.
// Receiving is in datagram_open.go, sending in datagram_send.go.
//
// Every idle connection has one: it points to what most connections need for a moment only, or
// never.
type Datagram struct {
	handler  Handler
	opt      *DatagramOptions
	trace    *tracer.Tracer // nil: off
	asleep   string         // what is left of protocol and sending; "": awake, see Sleep
	protocol protocol       // nil: asleep
	x        *exchange      // nil when no handshake message is in transit
	sending  record.Sealer  // the newest keys; nil: asleep
	cids     *cids          // nil: none
	path     path
	paths    *paths // nil: there is only one
	ending   ending
	early    earlyData

	newest   order           // of all records that have authenticated
	received flight.Received // acks continues with it
	dropped  *record.Drops   // nil: none
	nextIn   int32           // message_seq of the next message to receive: in continues with it
	nextOut  int32           // message_seq of the next message to send; 1<<16: there is none
	rest     int32           // bytes of the current datagram that are not opened yet
	count    counts
	version  uint16 // 0 until the hellos have agreed

	level     handshake.Level // of sending
	exhausted bool            // sending is, and the handler was told so
	complete  bool            // the handshake
	authentic bool            // a record has authenticated: unencrypted ones are not needed any longer
	paused    bool            // see Pause
}

// order is a record number for comparisons, in half the space: epochs have 16 bits.
type order uint64

func orderOf(n record.Number) order {
	return order(n.Epoch<<48 | min(n.Sequence, record.MaxSequence))
}

// cids are the connection IDs of received records, which have one size, and of sent ones.
type cids struct {
	local [][]byte
	peer  []byte
}

// earlyData is 0-RTT data.
type earlyData struct {
	room uint32 // bytes that may still be sent or received
	sent bool
}

// ending is the state of the close_notify or fatal alert of both sides.
type ending struct {
	closedBy order // the record with the peer's close_notify
	closed   bool  // which has arrived
	ended    bool  // our last alert was queued: no message and no alert follows
}

// exchange is the state that is needed only while handshake messages are in transit: until
// the handshake is complete, and then for each later message.
type exchange struct {
	in        flight.Reassembly
	ahead     ahead
	out       flight.Outbox
	acks      acks
	clearIn   record.Clear
	clearOut  record.Clear
	alerts    [][2]byte     // to be sent
	late      *wire.Message // to be delivered next, outside the order of messages
	lastClear bool          // the last message was unprotected
	err       error         // the error that Send and Output could not return
}

// NewDatagram returns a carrier at the start of a connection. Many connections
// may share opt, which is not modified.
func NewDatagram(h Handler, opt *DatagramOptions) *Datagram {
	d := &Datagram{
		handler: h,
		opt:     opt,
		path:    newPath(opt.mtu(), !opt.Unproved),
		nextIn:  int32(opt.FirstMessage),
		nextOut: int32(opt.FirstMessage),
	}
	d.begin()
	d.sending = &d.x.clearOut
	d.protocol = d.newProtocol()
	return d
}

// newProtocol returns the protocol of the version.
func (d *Datagram) newProtocol() protocol {
	switch d.version {
	case 0:
		return &undecided{d.opt}
	case wire.VersionTLS13:
		return &dtls13{readers13{d: d}}
	}
	return &dtls12{opt: d.opt, complete: d.complete}
}

// begin starts an exchange, unless there is one.
func (d *Datagram) begin() {
	if d.x != nil {
		return
	}
	d.Wake()
	d.x = &exchange{
		in:  flight.Reassembly{Memory: d.opt.memory(), Limit: maxMessage, Certificate: d.opt.maxCertificate()},
		out: flight.Outbox{Flight: flight.Flight{Trace: d.trace}, Timer: d.opt.timer(), MaxFlightPause: d.opt.MaxFlightPause},
	}
	if d.complete {
		d.x.out.MaxFlightPause = -1 // a message after the handshake may be the last
	}
	d.x.in.StartAt(int(d.nextIn))
	d.x.acks.received = d.received
}

// end ends the exchange once nothing of it is left.
func (d *Datagram) end() {
	x := d.x
	if x == nil || !d.complete || !x.acks.idle() || x.err != nil || !x.out.Idle() || len(x.alerts) > 0 || !x.in.Empty() {
		return
	}
	d.nextIn, d.received = int32(x.in.Next()), x.acks.received
	d.x = nil
}

// Trace sets where to tell what happens.
func (d *Datagram) Trace(t *tracer.Tracer) { d.trace, d.x.out.Trace = t, t }

func (d *Datagram) Transport() wire.Transport { return wire.Datagram }

// HelloRoom: the first ClientHello in one record in one datagram.
func (d *Datagram) HelloRoom() int {
	return int(d.path.mtu) - record.ClassicHeaderLen - wire.FragmentHeaderLen + 4
}

// SetVersion decides on the protocol.
func (d *Datagram) SetVersion(version uint16) {
	if d.version == version {
		return
	}
	d.version = version
	d.protocol = d.newProtocol()
	d.x.clearOut.Version = wire.VersionDTLS12
	if version == wire.VersionTLS12 {
		d.x.acks = acks{none: true}
	}
}

// SetMTU changes the largest datagram of the handshake.
func (d *Datagram) SetMTU(bytes int) {
	d.path.setMTU(bytes)
	d.trace.MTU(bytes)
}

// SetTimeout changes the retransmission timer's first value, also for the current wait.
func (d *Datagram) SetTimeout(initial time.Duration) {
	opt := *d.opt
	opt.RetransmitTimeout = initial
	d.opt = &opt
	if d.x != nil {
		changed := opt.timer()
		d.x.out.Timer.Initial, d.x.out.Timer.Max = changed.Initial, changed.Max
	}
}

// SetCIDs sets what the hellos have agreed on, before there are keys: the
// connection ID that the peer sends to us, and the one that we send to it (RFC
// 9146, Section 3). An empty one is none.
func (d *Datagram) SetCIDs(local, peer []byte) {
	if len(local) > 0 {
		d.AddLocalCID(local)
	}
	if len(peer) > 0 {
		d.ids().peer = peer
		d.trace.Path("peer_cid", peer)
	}
}

// AddLocalCID adds a connection ID that the peer may send to us: we have
// offered it in a NewConnectionId. All have one size.
func (d *Datagram) AddLocalCID(cid []byte) {
	ids := d.ids()
	ids.local = append(ids.local, cid)
	d.trace.Path("local_cid", cid)
}

// SetPeerCID changes the connection ID of all records from now on, as the peer
// asked for in a NewConnectionId of usage cid_immediate.
func (d *Datagram) SetPeerCID(cid []byte) {
	d.ids().peer = cid
	d.trace.Path("peer_cid", cid)
	d.sealers(func(s record.Sealer) {
		if e, ok := s.(*record.Writer13); ok {
			e.CID = cid
		}
	})
}

// LimitRecords limits the content of records, also of those that are sent again.
func (d *Datagram) LimitRecords(send, receive int) {
	if d.asleep != "" {
		s := d.left()
		s.limits = [2]uint16{uint16(receive), uint16(send)}
		d.fallAsleep(&s)
		return
	}
	d.sealers(func(s record.Sealer) { s.SetLimit(send) })
	d.protocol.setLimit(receive)
}

// sealers applies set to the sending keys, and to those of the flight.
func (d *Datagram) sealers(set func(record.Sealer)) {
	if d.asleep == "" {
		set(d.sending)
	}
	if d.x != nil {
		d.x.out.Epochs(set)
	}
}

// CIDs returns the connection IDs in use: ours, which may be several, and the
// peer's.
func (d *Datagram) CIDs() (local [][]byte, peer []byte) {
	if d.cids == nil {
		return nil, nil
	}
	return d.cids.local, d.cids.peer
}

// ids returns the connection IDs, to change them.
func (d *Datagram) ids() *cids {
	if d.cids == nil {
		d.cids = new(cids)
	}
	return d.cids
}

// localCID returns the first of our connection IDs, or nil.
func (c *cids) localCID() []byte {
	if c == nil || len(c.local) == 0 {
		return nil
	}
	return c.local[0]
}

// peerCID returns the connection ID of sent records, or nil.
func (c *cids) peerCID() []byte {
	if c == nil {
		return nil
	}
	return c.peer
}

// foreign reports whether a connection ID is not one of ours.
func (c *cids) foreign(cid []byte) bool {
	return len(cid) > 0 && (c == nil || !slices.ContainsFunc(c.local, func(c []byte) bool { return string(c) == string(cid) }))
}

// drop counts a record of that many bytes that is dropped.
func (d *Datagram) drop(why record.Drop, size int) {
	if d.dropped == nil {
		d.dropped = new(record.Drops)
	}
	d.dropped[why]++
	d.trace.Dropped(why, size)
}

// Dropped returns how many records were dropped, and why.
func (d *Datagram) Dropped() (dropped record.Drops) {
	if d.dropped != nil {
		dropped = *d.dropped
	}
	return dropped
}

// MaxData returns how many bytes of data one record takes now.
func (d *Datagram) MaxData() int {
	d.Wake()
	if d.opt.BoundData {
		return max(0, min(int(d.path.mtu)-d.sending.Overhead(), record.MaxPlaintext-1, d.sending.MaxData()))
	}
	return d.sending.MaxData()
}

func (d *Datagram) Overhead() int {
	d.Wake()
	return d.sending.Overhead()
}

// sealsData reports whether there are keys for application data.
func (d *Datagram) sealsData() bool { return d.level == handshake.Application }

// sealsEarly reports whether the sending keys are those of early data.
func (d *Datagram) sealsEarly() bool { return d.level == handshake.EarlyData }

// Speaks reports whether a close_notify can be sent.
func (d *Datagram) Speaks() bool { return d.sealsData() || d.sealsEarly() && d.early.sent }

// KeyUpdatesLeft: a KeyUpdate needs a message_seq and an epoch.
func (d *Datagram) KeyUpdatesLeft() error {
	d.Wake()
	switch {
	case d.nextOut > 0xffff:
		return errMessages
	case d.sending.Next().Epoch >= maxEpoch:
		return errEpochs
	}
	return nil
}

// Forget drops all keys.
func (d *Datagram) Forget() {
	d.stopPaths()
	d.x, d.sending, d.level, d.ending.ended = nil, new(record.Clear), handshake.Initial, true
	d.protocol, d.asleep = &undecided{d.opt}, ""
}

// Acknowledged reports whether the peer has everything that it must have: only then can a
// DTLS 1.3 client forget its handshake.
func (d *Datagram) Acknowledged() bool {
	return d.complete && (d.x == nil || d.x.out.Settled())
}

// Deadline returns when Expire must be called.
func (d *Datagram) Deadline() (t time.Time, ok bool) {
	earlier := func(u time.Time, due bool) {
		if due && (!ok || u.Before(t)) {
			t, ok = u, true
		}
	}
	if d.x != nil {
		earlier(d.x.out.Deadline(d.paused))
		earlier(d.x.acks.deadline(d.ackTimer()))
	}
	if d.paths != nil && d.paths.check != nil {
		earlier(d.paths.check.deadline(), true)
	}
	return t, ok
}

// ackTimer returns the retransmission timer that an ACK must precede. If no flight of ours
// is in transit, that is the peer's timer for a message after the handshake, which may be
// shorter than ours.
func (d *Datagram) ackTimer() time.Duration {
	if d.complete && d.x.out.Empty() {
		return min(d.x.out.Timer.Initial, flight.DefaultInitial)
	}
	return d.x.out.Timer.Value()
}

// Expire does what is due.
func (d *Datagram) Expire(now time.Time) error {
	if err := d.expirePaths(now); err != nil {
		return err
	}
	switch {
	case d.x == nil:
		return nil
	case d.x.err != nil:
		return d.x.err
	}
	if d.x.acks.expire(now, d.ackTimer()) {
		d.trace.Expired(tracer.Acknowledgment)
	}
	expired, err := d.x.out.Expire(now, d.paused)
	switch {
	case expired:
		d.trace.Expired(tracer.Retransmission)
	case err != nil:
		d.trace.Expired(tracer.Peer)
	}
	if expired && err == nil {
		d.trace.Repeats("timeout", d.x.out.Timer.Expired())
		if d.x.out.Timer.Expired()%lowerMTU == 0 && !d.opt.FixedMTU {
			d.path.lower()
			d.trace.MTU(int(d.path.mtu))
		}
	}
	if d.trace != nil {
		d.traceTimers()
	}
	return err
}

// traceTimers tells of the timers that have changed.
func (d *Datagram) traceTimers() {
	var retransmission, ack, peer time.Time
	var sends, acks, waits bool
	if d.x != nil {
		retransmission, sends = d.x.out.Timer.Deadline()
		ack, acks = d.x.acks.deadline(d.ackTimer())
		peer, waits = d.x.out.PeerDeadline()
	}
	d.trace.Timer(tracer.Retransmission, retransmission, sends)
	d.trace.Timer(tracer.Acknowledgment, ack, acks)
	d.trace.Timer(tracer.Peer, peer, waits)
}

// Complete notes the end of the handshake.
func (d *Datagram) Complete() {
	d.complete = true
	d.level = handshake.Application
	d.protocol.completed(d.x)
}

var (
	_ Carrier             = (*Datagram)(nil)
	_ handshake.CIDOutput = (*Datagram)(nil)
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
