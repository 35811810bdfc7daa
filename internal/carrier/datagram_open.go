package carrier

import (
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// receipt is what a handshake record contained.
type receipt struct {
	fresh   bool // parts of messages not delivered yet
	again   bool // the start of the message that was delivered last
	whole   bool // all of it
	refused bool // parts that were not kept
}

// Open consumes one record of in, the rest of a datagram. A record that is not
// authentic, not for us or not expected now is dropped. If a record cannot be
// parsed, the rest of the datagram is dropped too.
func (d *Datagram) Open(now time.Time, in []byte) (Opened, int, error) {
	switch {
	case d.x != nil && d.x.err != nil:
		return Opened{}, 0, d.x.err
	case len(in) == 0:
		return Opened{}, 0, nil
	}
	d.Wake()
	if d.rest == 0 || int(d.rest) != len(in) {
		d.nextDatagram()
	}
	o, n, err := d.openRecord(now, in)
	d.trace.Consumed(n)
	d.rest = int32(len(in) - n)
	d.path.received(n)
	if err == ErrClosed {
		d.end()
	}
	return o, n, err
}

// nextDatagram starts another datagram: none may use the room of all.
func (d *Datagram) nextDatagram() {
	d.trace.NextDatagram()
	if d.x != nil {
		d.x.in.NextDatagram()
		d.x.ahead.nextDatagram()
	}
}

// Pause keeps Next from returning more messages until Resume.
func (d *Datagram) Pause() { d.paused = true }

// Resume ends a pause. The deadlines for the peer start again.
func (d *Datagram) Resume(now time.Time) {
	d.paused = false
	d.begin()
	d.x.out.Resume(now)
}

// openRecord consumes one record.
func (d *Datagram) openRecord(now time.Time, in []byte) (Opened, int, error) {
	if d.trace != nil {
		d.trace.Opening(in)
	}
	var r opened
	n, err := d.unprotect(now, in, &r)
	if err == nil {
		if d.trace != nil {
			d.trace.ReceivedRecord(r.typ, r.number, r.content, n)
		}
		var o Opened
		r.size = n
		newer := r.cid && orderOf(r.number) > d.newest
		if o, err = d.handle(now, &r, newer); err == nil || err == ErrClosed {
			d.used(&r)
		}
		if err == nil && d.paths != nil {
			err = d.arrived(now, r.typ, n, newer)
		}
		if err == nil {
			if d.trace != nil {
				d.traceKind(o.Kind)
			}
			return o, n, nil
		}
	}
	if err == errAhead {
		d.keepAhead(now, in[:n]) // the next record may be under other keys
		return Opened{}, n, nil
	}
	if why, ok := err.(record.Drop); ok {
		d.drop(why, n)
		err = nil
	}
	return Opened{}, n, err
}

// traceKind tells what a record says about its path.
func (d *Datagram) traceKind(k Kind) {
	switch k {
	case NewPath:
		d.trace.Path("new_path", nil)
	case PathChanged:
		d.trace.Path("changed", nil)
	}
}

// used marks the number of a record that was not dropped, so that it is not accepted again.
func (d *Datagram) used(r *opened) {
	d.newest = max(d.newest, orderOf(r.number))
	if r.from != nil {
		r.from.Mark(r.number.Sequence)
	}
}

// unprotect opens the record at in[0], n bytes long, into r. After a record under a connection ID
// that is not ours, "the rest of the datagram" is discarded too (RFC 9147bis, Section 4).
func (d *Datagram) unprotect(now time.Time, in []byte, r *opened) (n int, err error) {
	cidLen := len(d.cids.localCID())
	if record.IsUnified(in[0]) {
		var u record.Unified
		n, ok := u.Parse(in, cidLen)
		if !ok {
			return len(in), d.unparsed()
		}
		if d.cids.foreign(u.CID) {
			return len(in), record.Foreign
		}
		err = d.openUnified(now, &u, r)
		r.cid = len(u.CID) > 0
		return n, d.authenticated(now, r, err)
	}
	c, n, ok := record.ParseClassic(in, cidLen)
	switch {
	case !ok && record.ContentType(in[0]) == record.TLS12CID:
		return len(in), d.unparsed()
	case !ok:
		return len(in), record.Malformed
	case d.cids.foreign(c.CID):
		return len(in), record.Foreign
	case c.Number.Epoch != 0:
		err = d.openClassic(&c, r)
		r.cid = len(c.CID) > 0
		return n, d.authenticated(now, r, err)
	case d.complete:
		return n, record.Unprotected
	}
	r.number = c.Number
	r.typ, r.content, err = d.x.clearIn.Open(&c)
	if r.typ == record.Handshake && d.opt.Server && d.version == 0 && d.opt.FirstMessage > 0 {
		// RFC 6347, Section 4.2.1: the server continues with the sequence number
		// of the ClientHello, so that it repeats none of its stateless answer.
		d.x.clearOut.StartAt(c.Number.Sequence)
	}
	return n, err
}

// openUnified and openClassic open a protected record of that form with the keys of the protocol,
// but not through its interface: what is passed through one is allocated.
func (d *Datagram) openUnified(now time.Time, u *record.Unified, r *opened) error {
	switch p := d.protocol.(type) {
	case *dtls13:
		return p.openUnified(now, u, r)
	case *undecided:
		return p.openUnified(u)
	}
	return record.NoKeys
}

func (d *Datagram) openClassic(c *record.Classic, r *opened) error {
	switch p := d.protocol.(type) {
	case *dtls12:
		return p.openClassic(c, r)
	case *undecided:
		return p.openClassic(c)
	}
	return record.NoKeys
}

// unparsed: a record with a connection ID does not parse before its size is
// known.
func (d *Datagram) unparsed() error {
	if !d.complete && d.cids.localCID() == nil && d.protocol.readEpoch() == 0 {
		return d.protocol.ahead()
	}
	return record.Malformed
}

// authenticated notes a record that was protected.
func (d *Datagram) authenticated(now time.Time, r *opened, err error) error {
	if d.x != nil && d.x.out.Forget(now) {
		d.end()
	}
	if err == nil {
		d.authentic = true
		if !d.path.proved && !r.replayable {
			d.path.proved = true
			d.trace.Path("validated", nil)
		}
	}
	return err
}

// renewReading asks the peer for a KeyUpdate, because the keys have met many forgeries,
// unless it is under way.
func (d *Datagram) renewReading() bool {
	if !d.complete || d.KeyUpdatePending() {
		return false
	}
	d.handler.KeysExhausted(true)
	return true
}

// keepAhead keeps records that have overtaken the messages from which their keys are
// derived. A client may tell the server that it waits, unless a ServerHello comes soon.
func (d *Datagram) keepAhead(now time.Time, in []byte) {
	if d.complete || !d.x.ahead.keep(&d.x.in, in) {
		d.drop(record.NoKeys, len(in))
		return
	}
	if d.protocol.asksForRest() {
		d.x.acks.wait(now)
	}
}

// Next returns the next complete message. When there is none, it opens records that waited
// for their keys.
func (d *Datagram) Next(now time.Time) (m wire.Message, ok bool, err error) {
	for d.x != nil && !d.paused {
		if m, ok := d.take(); ok {
			if d.complete {
				err = d.count.message()
			}
			return m, true, err
		}
		x := d.x
		in := x.ahead.next()
		if in == nil {
			d.endFlight()
			break
		}
		d.nextDatagram()
		x.ahead.opening = true
		_, n, err := d.openRecord(now, in)
		x.ahead.opening = false
		if err != nil {
			return m, false, err
		}
		x.ahead.back(in[n:])
	}
	if d.trace != nil {
		d.traceTimers()
	}
	if d.x == nil {
		return m, false, nil
	}
	err = d.x.err
	d.end()
	return m, false, err
}

// endFlight: a complete flight of the handshake answers the peer's, so that there is
// nothing left to acknowledge (RFC 9147bis, Section 7.1).
func (d *Datagram) endFlight() {
	if d.x.out.End() {
		d.x.acks.answered()
	}
}

// take returns the next complete message.
func (d *Datagram) take() (m wire.Message, ok bool) {
	if late := d.x.late; late != nil {
		d.x.late = nil
		return *late, true
	}
	if m, ok = d.x.in.Take(); !ok {
		return m, false
	}
	d.x.lastClear = d.protocol.readEpoch() == 0
	d.x.acks.add(d.x.in.Records()...)
	if !d.complete {
		// During the handshake the peer's next message is the answer to our
		// flight. After it, the peer may not even have our flight.
		d.x.out.Answered()
	}
	return m, true
}

// handle handles a record by its content type. newer says that it has our connection ID and is
// newer than all before it.
func (d *Datagram) handle(now time.Time, r *opened, newer bool) (Opened, error) {
	path := newer && d.callerDecides()
	if r.clear() && d.authentic && r.typ != record.Handshake {
		return Opened{}, record.Unprotected
	}
	switch r.typ {
	case record.ApplicationData:
		return d.handleData(r, path)
	case record.RRC:
		return d.handleRRC(now, r)
	}
	d.begin()
	err := d.handleOther(now, r)
	if err == nil && path && d.complete {
		// A peer that moves before it has seen our last ACK sends only its Finished
		// again.
		return Opened{Kind: NewPath}, nil
	}
	return Opened{}, err
}

func (d *Datagram) handleOther(now time.Time, r *opened) error {
	switch r.typ {
	case record.Handshake:
		return d.handleHandshake(now, r)
	case record.Alert:
		return d.handleAlert(r)
	case record.ACK, record.ChangeCipherSpec:
		v, err := d.protocol.control(d.x, *r)
		if err != nil {
			return err
		}
		return d.follow(now, v)
	}
	if r.clear() {
		return record.Unprotected
	}
	return errContentType
}

func (d *Datagram) handleData(r *opened, path bool) (Opened, error) {
	if r.clear() {
		return Opened{}, d.opt.fault(r.number, errEarlyAppData)
	}
	kind, err := d.protocol.data(r.number.Epoch)
	switch {
	case err != nil:
		return Opened{}, err
	case d.x == nil:
	case d.x.ahead.opening:
		return Opened{}, record.Misplaced // the caller asks for messages, not for data
	case kind == Data && d.x.out.Arrived(): // a peer that sends data has our last flight
		d.end()
	}
	// RFC 9147bis, Section 5.10: "Any data received with an epoch/sequence
	// number pair after that of a valid received closure alert MUST be ignored."
	if d.ending.closed && orderOf(r.number) > d.ending.closedBy {
		return Opened{}, ErrClosed
	}
	if kind == EarlyData {
		if uint64(len(r.content)) > uint64(d.early.room) {
			return Opened{}, errEarlyDataSize
		}
		d.early.room -= uint32(len(r.content))
	}
	if len(r.content) > 0 {
		d.count.messages, d.count.warnings = 0, 0
	}
	if path && kind == Data {
		kind = NewPath
	}
	return Opened{Data: r.content, Kind: kind}, nil
}

// handleAlert: an unencrypted fatal alert is believed until something proves that the peer
// has keys: there is no other way to learn that it rejects our hello (RFC 9147bis, Section
// 4.5.2). An unencrypted close_notify is not believed: there is nothing to close yet, and
// anybody could make us ignore everything after it.
func (d *Datagram) handleAlert(r *opened) error {
	level, description, err := parseAlert(r.content, !r.clear())
	if err == nil {
		d.trace.Alert(false, level, description)
	}
	switch {
	case err != nil:
		return d.opt.fault(r.number, err)
	case description == alert.CloseNotify && !r.clear():
		d.ending.closed, d.ending.closedBy = true, orderOf(r.number)
		return ErrClosed
	case level == alertFatal:
		return &PeerAlert{description}
	case r.clear():
		return record.Unprotected
	case !d.protocol.warns(description):
		return errBadAlert
	}
	return d.count.warning()
}

// handleHandshake handles the fragments of a handshake record.
func (d *Datagram) handleHandshake(now time.Time, r *opened) error {
	if len(r.content) == 0 {
		return d.opt.fault(r.number, errEmptyHandshake)
	}
	var got receipt
	for b := r.content; len(b) > 0; {
		var h wire.FragmentHeader
		fragment, rest, ok := h.Parse(b)
		if !ok {
			return d.opt.fault(r.number, errBadFragment)
		}
		b = rest
		d.continueFrom(&h)
		if d.complete {
			v := d.protocol.late(d.x, h, fragment)
			if v&deliver != 0 {
				d.x.late = &wire.Message{Type: h.Type, Seq: h.Seq, Body: fragment}
			}
			if err := d.follow(now, v); err != nil {
				return err
			}
			if v&drop != 0 {
				continue
			}
		}
		if err := d.handleFragment(r, &h, fragment, &got); err != nil {
			return err
		}
	}
	if got.fresh && !d.x.out.Timer.Running() {
		d.x.out.WaitForRest(now)
	}
	return d.follow(now, d.protocol.took(now, d.x, r.number, got))
}

// handleFragment handles a fragment, and adds it to the record's receipt.
func (d *Datagram) handleFragment(r *opened, h *wire.FragmentHeader, fragment []byte, got *receipt) error {
	switch {
	case d.x.in.Old(h.Seq):
		last := d.x.in.Last(h.Seq) && (d.x.lastClear || !r.clear())
		got.again = got.again || last && h.Offset == 0
		got.whole = got.whole || last && h.FragmentLength == h.Length
		return nil
	case r.number.Epoch == d.protocol.readEpoch():
	case d.authentic && r.clear():
		return record.Unprotected
	default:
		return d.opt.fault(r.number, errOldKeys)
	}
	kept, err := d.assemble(r, h, fragment)
	if err != nil {
		return err
	}
	got.fresh = got.fresh || kept || d.opt.trusts(r.number)
	got.refused = got.refused || !kept
	return nil
}

// continueFrom continues with the message_seq of the ClientHello with the cookie, if there
// was more than one stateless answer before it.
func (d *Datagram) continueFrom(h *wire.FragmentHeader) {
	first := int(d.opt.FirstMessage)
	if first > 0 && d.x.in.Next() == first && d.x.in.Empty() && h.Type == wire.TypeClientHello && int(h.Seq) > first {
		d.x.in.StartAt(int(h.Seq))
		d.nextOut = int32(h.Seq)
	}
}

// assemble adds a fragment to its message. A record that is not trusted is acknowledged only
// after its message was accepted, and only if it contains nothing else.
func (d *Datagram) assemble(r *opened, h *wire.FragmentHeader, fragment []byte) (kept bool, err error) {
	switch {
	case d.opt.trusts(r.number):
		kept, err = d.x.in.Add(h, fragment)
	case wire.FragmentHeaderLen+len(fragment) == len(r.content):
		kept, err = d.x.in.AddUnprotected(h, fragment, r.number)
	default:
		kept, err = d.x.in.AddUnprotected(h, fragment)
	}
	for range d.x.ahead.yield(&d.x.in) {
		d.drop(record.NoKeys, 0)
	}
	if err != nil {
		return false, d.opt.fault(r.number, err)
	}
	return kept, nil
}

// InstallRead starts a new epoch. A part of a message left under the old keys can only be
// a violation (RFC 9846, Section 5.1) or a forgery.
func (d *Datagram) InstallRead(level handshake.Level, k suite.Keys) error {
	d.begin()
	if !d.x.in.Empty() {
		if d.protocol.readEpoch() > 0 || d.opt.TrustUnprotected {
			return errKeyBoundary
		}
		d.x.in.Discard()
		d.drop(record.Unprotected, 0)
	}
	d.x.ahead.retry(&d.x.in)
	err := d.protocol.install(level, k, d.cids.localCID())
	if err == nil {
		d.trace.Keys(false, d.protocol.readEpoch())
	}
	return err
}

// ExpectChangeCipherSpec: the epoch in each record says which keys it has, so
// the ChangeCipherSpec itself is not needed, and may be lost or overtaken. From
// here on all new messages come under the new keys.
func (d *Datagram) ExpectChangeCipherSpec(k suite.Keys) error {
	return d.InstallRead(handshake.Application, k)
}

// LimitEarlyData sets how many bytes of early data may be sent or received.
func (d *Datagram) LimitEarlyData(bytes uint32) { d.early.room = bytes }

// SkipEarlyData: records name their epoch, and those without keys are dropped.
func (d *Datagram) SkipEarlyData(uint32) {}
