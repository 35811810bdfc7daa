package carrier

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

const (
	// maxEarly is how many bytes of records wait for their keys: half of it of one
	// datagram.
	maxEarly = 16 << 10
	// earlyCost is what each costs beside its bytes.
	earlyCost = 48
)

// errEarly: the keys of a record are not there yet.
var errEarly = errors.New("a record is early")

// opened is a record without its protection.
type opened struct {
	typ     record.ContentType
	number  record.Number
	content []byte
	cid     bool             // it came under our connection ID
	from    *record.Received // of its keys
}

func (r *opened) clear() bool { return r.number.Epoch == 0 }

// receipt is what a handshake record has brought.
type receipt struct {
	fresh   bool // parts of messages that were not delivered yet
	again   bool // the start of the message that was delivered last
	whole   bool // all of it
	refused bool // something that was not kept
}

// Open consumes one record of in, the rest of a datagram. What is not
// authentic, not for us or not for now is dropped. What cannot be parsed
// swallows the rest.
func (d *Datagram) Open(now time.Time, in []byte) (Opened, error) {
	switch {
	case d.handler.Waiting():
		return Opened{}, ErrPending
	case d.exchange != nil && d.err != nil:
		return Opened{}, d.err
	case len(in) == 0:
		return Opened{}, nil
	}
	d.Wake()
	if d.rest == 0 || d.rest != len(in) {
		d.nextDatagram()
	}
	o, err := d.openRecord(now, in)
	d.rest = len(in) - o.N
	if !d.proved {
		d.credit += amplification * o.N
	}
	switch {
	case err == nil && d.exchange != nil:
		err = d.advance(now)
	case err == ErrClosed:
		d.end()
	}
	return o, err
}

// nextDatagram begins another one: none fills by itself what is there for all.
func (d *Datagram) nextDatagram() {
	if d.exchange != nil {
		d.in.NextDatagram()
		d.earlySize = 0
	}
}

// Resume goes on with what was kept while the handler waited.
func (d *Datagram) Resume(now time.Time) error {
	d.begin()
	if d.timer.Running() && d.answered {
		d.timer.Start(now)
	}
	if !d.patience.IsZero() {
		d.waitForPeer(now)
	}
	return d.advance(now)
}

// openRecord consumes one record, but gives no messages to the handler.
func (d *Datagram) openRecord(now time.Time, in []byte) (Opened, error) {
	r, n, err := d.unprotect(now, in)
	if err == nil {
		var o Opened
		if o, err = d.handle(now, &r); err == nil || err == ErrClosed {
			d.used(&r)
		}
		if err == nil {
			o.N = n
			return o, nil
		}
	}
	if err == errEarly {
		d.keepEarly(now, in[:n]) // what follows may be under other keys
		return Opened{N: n}, nil
	}
	if why, ok := err.(record.Drop); ok {
		d.dropped[why]++
		err = nil
	}
	return Opened{N: n}, err
}

// used takes note of a record that was not dropped: its number must not come again.
func (d *Datagram) used(r *opened) {
	if r.number.Compare(d.newest) > 0 {
		d.newest = r.number
	}
	if r.from != nil {
		r.from.Mark(r.number.Sequence)
	}
}

// unprotect opens the record at in[0], n bytes of it.
func (d *Datagram) unprotect(now time.Time, in []byte) (r opened, n int, err error) {
	if record.IsUnified(in[0]) {
		u, n, ok := record.ParseUnified(in, d.cidLen())
		if !ok {
			return r, len(in), d.unparsed()
		}
		if d.foreign(u.CID) {
			return r, len(in), record.Foreign
		}
		r, err = d.protocol.openUnified(now, u)
		return r, n, d.authenticated(&r, err)
	}
	c, n, ok := record.ParseClassic(in, d.cidLen())
	switch {
	case !ok && record.ContentType(in[0]) == record.TLS12CID:
		return r, len(in), d.unparsed()
	case !ok:
		return r, len(in), record.Malformed
	case d.foreign(c.CID):
		return r, len(in), record.Foreign
	case c.Number.Epoch != 0:
		r, err = d.protocol.openClassic(now, c)
		return r, n, d.authenticated(&r, err)
	case d.complete:
		return r, n, record.Unprotected
	}
	r.number = c.Number
	r.typ, r.content, err = d.clearIn.Open(&c)
	if r.typ == record.Handshake && d.opt.Server && d.version == 0 && d.opt.FirstMessage > 0 {
		// RFC 6347, Section 4.2.1: the server goes on with the sequence number
		// of the ClientHello, so that it repeats none of its stateless answer.
		d.clearOut.StartAt(c.Number.Sequence)
	}
	return r, n, err
}

// unparsed: a record with a connection ID does not parse before its size is
// known.
func (d *Datagram) unparsed() error {
	if !d.complete && d.cidLen() == 0 && d.protocol.newest() == 0 {
		return errEarly
	}
	return record.Malformed
}

// authenticated takes note of a record that was protected.
func (d *Datagram) authenticated(r *opened, err error) error {
	if err != nil {
		return err
	}
	d.authentic = true
	if d.version == wire.VersionTLS12 || r.number.Epoch != uint64(handshake.EarlyData) {
		d.proved = true // early data may be a replay, from anywhere
	}
	return nil
}

// keepEarly keeps records that have overtaken what gives us their keys. A
// server keeps nothing for a peer that has not said which version it speaks. A
// client says that it waits, unless a ServerHello comes soon: RFC 9147bis, Section
// 7.1: "Sending an empty ACK can avoid waiting for the server's retransmission
// timeout." They take from the memory for messages, but only what no message needs.
func (d *Datagram) keepEarly(now time.Time, in []byte) {
	size := len(in) + earlyCost
	if d.opt.Server && d.version == 0 || d.complete || d.earlySize+size > maxEarly/2 || d.in.Lent()+size > maxEarly || !d.in.Lend(size) {
		d.dropped[record.NoKeys]++
		return
	}
	d.early = append(d.early, bytes.Clone(in))
	d.earlySize += size
	if !d.opt.Server && d.version == wire.VersionTLS13 {
		d.waitToACK(now)
	}
}

// takeEarly returns the early records, which are kept no longer.
func (d *Datagram) takeEarly() [][]byte {
	early := d.early
	d.early = nil
	d.in.Return()
	return early
}

// advance gives the messages that are whole to the handler, and opens what has
// waited for keys.
func (d *Datagram) advance(now time.Time) error {
	for {
		if err := d.deliver(); err != nil {
			return err
		}
		if d.handler.Waiting() || !d.ready {
			d.endFlight()
			err := d.err
			d.end()
			return err
		}
		d.ready = false
		d.belated = true
		err := d.openEarly(now, d.takeEarly())
		if d.belated = false; err != nil {
			return err
		}
	}
}

func (d *Datagram) openEarly(now time.Time, early [][]byte) error {
	for i, in := range early {
		d.nextDatagram()
		for len(in) > 0 {
			if d.handler.Waiting() {
				for _, rest := range append([][]byte{in}, early[i+1:]...) {
					d.nextDatagram()
					d.keepEarly(now, rest)
				}
				d.ready = true
				return nil
			}
			o, err := d.openRecord(now, in)
			if err != nil {
				return err
			}
			if err := d.deliver(); err != nil {
				return err
			}
			in = in[o.N:]
		}
	}
	return nil
}

// deliver gives the messages that are whole to the handler, in order.
func (d *Datagram) deliver() error {
	for !d.handler.Waiting() {
		m, ok := d.in.Take()
		if !ok {
			return nil
		}
		d.lastClear = d.protocol.newest() == 0
		if d.version != wire.VersionTLS12 {
			for _, n := range d.in.Records() {
				d.received.Add(n)
			}
		}
		if d.complete {
			if err := d.count.message(); err != nil {
				return err
			}
		}
		// During the handshake the peer's next message is the answer to our
		// flight. After it, the peer may not even have our flight.
		d.answered = d.answered || !d.complete
		if err := d.handler.Handle(m); err != nil {
			return err
		}
	}
	return nil
}

// handle takes a record by its content.
func (d *Datagram) handle(now time.Time, r *opened) (Opened, error) {
	path := r.cid && r.number.Compare(d.newest) > 0
	if r.clear() && d.authentic && r.typ != record.Handshake {
		return Opened{}, record.Unprotected
	}
	if r.typ == record.ApplicationData {
		return d.handleData(r, path)
	}
	d.begin()
	err := d.handleOther(now, r)
	if err == nil && path && d.complete {
		// A peer that moves before it has seen our last ACK says nothing but its
		// Finished again.
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
	case record.ACK:
		return d.protocol.handleACK(now, r.number, r.content)
	case record.ChangeCipherSpec:
		return d.protocol.handleCCS(r.number, r.content)
	}
	if r.clear() {
		return record.Unprotected
	}
	return errContentType
}

// fault is what a mistake in a record comes to: where the record is not
// protected anybody may have made it.
func (d *Datagram) fault(n record.Number, err error) error {
	if !d.trusts(n) {
		return record.Unprotected
	}
	return err
}

// trusts reports whether the peer has sent that record, as far as can be known: anybody may
// have sent one that is not protected.
func (d *Datagram) trusts(n record.Number) bool { return n.Epoch > 0 || d.opt.Strict }

func (d *Datagram) handleData(r *opened, path bool) (Opened, error) {
	if r.clear() {
		return Opened{}, d.fault(r.number, errEarlyAppData)
	}
	kind, err := d.protocol.data(r.number.Epoch)
	if err != nil {
		return Opened{}, err
	}
	if d.exchange != nil && d.belated {
		return Opened{}, record.Misplaced // there is nobody to give it to
	}
	// RFC 9147bis, Section 5.10: "Any data received with an epoch/sequence
	// number pair after that of a valid received closure alert MUST be ignored."
	if d.closed && r.number.Compare(d.closedBy) > 0 {
		return Opened{}, ErrClosed
	}
	if kind == EarlyData {
		if uint64(len(r.content)) > uint64(d.earlyRoom) {
			return Opened{}, errEarlyDataSize
		}
		d.earlyRoom -= uint32(len(r.content))
	}
	if len(r.content) > 0 {
		d.count.messages, d.count.warnings = 0, 0
	}
	if path && kind == Data {
		kind = NewPath
	}
	return Opened{Data: r.content, Kind: kind}, nil
}

// handleAlert: a fatal alert in clear is believed as long as nothing has proved
// that the peer has keys: there is no other way to hear that it does not like our
// hello (RFC 9147bis, Section 4.5.2). A close_notify in clear is not: there is
// nothing to close yet, and anybody could make us deaf to what comes behind it.
func (d *Datagram) handleAlert(r *opened) error {
	level, description, err := parseAlert(r.content, !r.clear())
	switch {
	case err != nil:
		return d.fault(r.number, err)
	case description == alert.CloseNotify && !r.clear():
		d.closed, d.closedBy = true, r.number
		return ErrClosed
	case level == alertFatal:
		return &PeerAlert{description}
	case r.clear():
		return record.Unprotected
	}
	return d.count.warning(description, d.version)
}

// handleHandshake takes the fragments of a handshake record.
func (d *Datagram) handleHandshake(now time.Time, r *opened) error {
	if len(r.content) == 0 {
		return d.fault(r.number, errEmptyHandshake)
	}
	var got receipt
	for b := r.content; len(b) > 0; {
		var h wire.FragmentHeader
		fragment, rest, ok := h.Parse(b)
		if !ok {
			return d.fault(r.number, errBadFragment)
		}
		b = rest
		d.goOnFrom(&h)
		if d.complete {
			if taken, err := d.protocol.late(now, &h, fragment); err != nil {
				return err
			} else if taken {
				continue
			}
		}
		if d.in.Old(h.Seq) {
			last := d.in.Last(h.Seq) && (d.lastClear || !r.clear())
			got.again = got.again || last && h.Offset == 0
			got.whole = got.whole || last && h.FragmentLength == h.Length
			continue
		}
		if r.number.Epoch != d.protocol.newest() {
			if d.authentic && r.clear() {
				return record.Unprotected
			}
			return d.fault(r.number, errOldKeys)
		}
		kept, err := d.assemble(r, &h, fragment)
		if err != nil {
			return err
		}
		got.fresh = got.fresh || kept || d.trusts(r.number)
		got.refused = got.refused || !kept
	}
	if got.fresh && !d.timer.Running() && d.patience.IsZero() {
		d.waitForPeer(now)
	}
	d.protocol.took(now, r.number, got)
	return nil
}

// goOnFrom goes on with the message_seq of the ClientHello that has shown its
// cookie, where there were more stateless answers than one before it.
func (d *Datagram) goOnFrom(h *wire.FragmentHeader) {
	first := int(d.opt.FirstMessage)
	if first > 0 && d.in.Next() == first && d.in.Empty() && h.Type == wire.TypeClientHello && int(h.Seq) > first {
		d.in.StartAt(int(h.Seq))
		d.nextOut = int(h.Seq)
	}
}

// assemble adds a fragment to its message. Unless the record may be trusted, it is
// acknowledged only when its message has been taken, and only if it holds nothing else.
func (d *Datagram) assemble(r *opened, h *wire.FragmentHeader, fragment []byte) (kept bool, err error) {
	switch {
	case d.trusts(r.number):
		kept, err = d.in.Add(h, fragment)
	case wire.FragmentHeaderLen+len(fragment) == len(r.content):
		kept, err = d.in.AddUnprotected(h, fragment, r.number)
	default:
		kept, err = d.in.AddUnprotected(h, fragment)
	}
	if d.in.Lent() == 0 && len(d.early) > 0 {
		d.dropped[record.NoKeys] += uint64(len(d.takeEarly()))
	}
	if err != nil {
		return false, d.fault(r.number, err)
	}
	return kept, nil
}

// InstallRead begins a new epoch. What is left of messages under the old keys
// can only be a violation (RFC 9846, Section 5.1) or a forgery.
func (d *Datagram) InstallRead(level handshake.Level, k suite.Keys) error {
	d.begin()
	if !d.in.Empty() {
		if d.protocol.newest() > 0 || d.opt.Strict {
			return errKeyBoundary
		}
		d.in.Discard()
		d.dropped[record.Unprotected]++
	}
	d.ready = true
	return d.protocol.installRead(level, k)
}

// ExpectChangeCipherSpec: the epoch in each record says which keys it has, so
// the ChangeCipherSpec itself is not needed, and may be lost or overtaken. From
// here on all new messages come under the new keys.
func (d *Datagram) ExpectChangeCipherSpec(k suite.Keys) error {
	return d.InstallRead(handshake.Application, k)
}

// LimitEarlyData says how many bytes of early data may be sent, or come.
func (d *Datagram) LimitEarlyData(bytes uint32) { d.earlyRoom = bytes }

// SkipEarlyData: datagrams have their epoch on them, and one without keys is
// dropped.
func (d *Datagram) SkipEarlyData(uint32) {}

// foreign reports whether a record is under a connection ID that is not one of
// ours. Then so is what comes behind it: RFC 9147bis, Section 4, has "the rest of
// the datagram" discarded.
func (d *Datagram) foreign(cid []byte) bool {
	return len(cid) > 0 && !slices.ContainsFunc(d.localCIDs, func(c []byte) bool { return string(c) == string(cid) })
}
