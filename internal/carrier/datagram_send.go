package carrier

import (
	"math"
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/flight"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// maxQueued bounds the messages that wait for their turn. Our own are few. The others answer
// a peer that requests connection IDs before its last request is fulfilled.
const maxQueued = 32

// maxPadding is how much a short record of DTLS 1.3 is padded at most.
const maxPadding = 16

var errQueue = alert.New(alert.UnexpectedMessage, "the peer keeps requesting connection IDs, and acknowledges none")

// Send adds a message to the flight.
func (d *Datagram) Send(msg []byte) (seq uint16) {
	if d.ending.ended {
		return 0
	}
	d.begin()
	seq, ok := d.takeSeq()
	switch {
	case !ok:
	case d.x.out.Queued() == maxQueued:
		d.x.err = errQueue
	default:
		d.Wake()
		d.x.out.Send(d.sending, msg, seq)
		d.trace.MessageSent(msg, seq)
	}
	return seq
}

// takeSeq: RFC 9147bis, Section 5.2: "Implementations MUST NOT allow message_seq
// to wrap".
func (d *Datagram) takeSeq() (seq uint16, ok bool) {
	if d.nextOut > 0xffff {
		d.x.err = errMessages
		return 0, false
	}
	d.nextOut++
	return uint16(d.nextOut - 1), true
}

// SendChangeCipherSpec adds a ChangeCipherSpec to the flight. The new keys are those of the
// Finished: data may be sent once the handshake is complete.
func (d *Datagram) SendChangeCipherSpec(k suite.Keys) {
	d.begin()
	d.x.out.SendChangeCipherSpec(d.sending)
	d.InstallWrite(handshake.Handshake, k)
}

// SendCompatibilityCCS: RFC 9147bis, Section 5: "DTLS implementations do not use
// the TLS 1.3 "compatibility mode"".
func (d *Datagram) SendCompatibilityCCS() {}

// InstallWrite starts a new epoch. The messages of the flight keep theirs.
func (d *Datagram) InstallWrite(level handshake.Level, k suite.Keys) {
	d.Wake()
	d.begin()
	if err := d.installWrite(level, k); err != nil {
		d.x.err = err
	}
}

func (d *Datagram) installWrite(level handshake.Level, k suite.Keys) error {
	var next record.Sealer = &d.x.clearOut // early data was rejected before there was an answer
	if level != handshake.Initial {
		var err error
		if next, err = d.protocol.writer(level, d.sending.Next().Epoch, k, d.cids.peerCID()); err != nil {
			return err
		}
	}
	next.SetLimit(d.sending.Limit())
	d.sending, d.level, d.exhausted = next, level, false
	d.trace.Keys(true, next.Next().Epoch)
	return nil
}

// SendKeyUpdate queues a KeyUpdate. The new keys are in use when it has been
// acknowledged (RFC 9147bis, Section 8).
func (d *Datagram) SendKeyUpdate(msg []byte, next suite.Keys) {
	d.begin()
	if seq, ok := d.takeSeq(); ok {
		d.Wake()
		d.x.out.SendKeyUpdate(d.sending, msg, seq, next)
		d.trace.MessageSent(msg, seq)
	}
}

// HasEpochs: each record names its epoch.
func (d *Datagram) HasEpochs() bool { return true }

// KeyUpdatePending reports whether a KeyUpdate is not acknowledged yet.
func (d *Datagram) KeyUpdatePending() bool { return d.x != nil && d.x.out.KeyUpdatePending() }

// SendAlert queues close_notify after everything else, or a fatal alert in place of
// everything. Nothing follows them (RFC 9846, Section 6.1).
func (d *Datagram) SendAlert(description alert.Description) {
	if d.ending.ended {
		return
	}
	d.ending.ended = true
	d.stopPaths()
	d.begin()
	if description == alert.CloseNotify {
		d.trace.Alert(true, alertWarning, description)
		d.x.alerts = append(d.x.alerts, [2]byte{alertWarning, byte(description)})
		return
	}
	d.trace.Alert(true, alertFatal, description)
	d.x.out.Abandon()
	d.x.acks.cancel()
	d.x.alerts = [][2]byte{{alertFatal, byte(description)}}
}

// room returns how large the next datagram may be. The peer's connection ID may be so long
// that nothing fits in the MTU; then a datagram is larger, because what is never sent would
// never time out.
func (d *Datagram) room() int {
	mtu := max(int(d.path.mtu), minRecord(d.sending))
	if !d.opt.Server && d.version == 0 && d.x.out.Timer.Expired()%lowerMTU != 0 {
		// A server that asks for cookies may not reassemble a first ClientHello: every
		// other attempt is complete again.
		mtu = int(d.path.fullMTU)
	}
	return d.path.room(mtu)
}

// sendable reports whether a part of the flight may leave.
func (d *Datagram) sendable() bool { return d.x.out.Sendable(d.paused) }

// alertsDue reports whether there are alerts, and nothing that must leave before them.
func (d *Datagram) alertsDue() bool { return len(d.x.alerts) > 0 && !d.x.out.Pending() }

// minRecord is the size of the smallest useful record.
func minRecord(s record.Sealer) int { return s.Overhead() + wire.FragmentHeaderLen + 16 }

// HasOutput reports whether Output has something to append.
func (d *Datagram) HasOutput() bool { return d.hasRRC() || d.hasOutput() }

// hasOutput is HasOutput without messages about paths.
func (d *Datagram) hasOutput() bool {
	return d.x != nil && (d.x.acks.due || d.sendable() || d.alertsDue()) && d.room() >= minRecord(d.sending)
}

// Output appends one datagram. It is for the current path, unless the caller tells paths and
// asks OutputTo.
func (d *Datagram) Output(now time.Time, dst []byte) []byte {
	dst, _ = d.OutputTo(now, dst)
	return dst
}

// OutputTo appends one datagram, and returns the path that it is for.
func (d *Datagram) OutputTo(now time.Time, dst []byte) (out []byte, to Path) {
	if d.hasRRC() {
		return d.appendRRC(dst)
	}
	return d.output(now, dst), d.Path()
}

// output appends the ACK that is due, as much of the flight as fits, and alerts after it.
func (d *Datagram) output(now time.Time, dst []byte) []byte {
	if !d.hasOutput() {
		return dst
	}
	d.Wake()
	start, room := len(dst), d.room()
	d.trace.BeginDatagram(start)
	if d.x.acks.due || d.sendable() && d.x.out.RequestsUpdate() && !d.x.acks.received.Empty() {
		// Before a request for a KeyUpdate the peer is told that its last one has arrived:
		// otherwise it might take another request for one of an earlier epoch.
		dst = d.appendACK(dst, room)
	}
	if d.sendable() {
		before := len(dst)
		var err error
		if dst, err = d.x.out.Append(dst, room-(len(dst)-start)); err != nil {
			d.x.err = ErrSpent
		}
		if len(dst) > before {
			d.x.out.Sent(now)
		}
	}
	if d.alertsDue() {
		dst = d.appendAlerts(dst, start, room)
	}
	d.path.sent(len(dst) - start)
	d.end()
	if d.trace != nil {
		d.traceTimers()
	}
	return dst
}

// appendACK appends an ACK under the newest keys: RFC 9147bis, Section 7, except
// those of early data.
func (d *Datagram) appendACK(dst []byte, room int) []byte {
	keys := d.notEarly()
	var buf [2 + 16*flight.MaxACK]byte
	body := d.x.acks.take(buf[:0], min(room-keys.Overhead(), keys.MaxData()))
	dst, err := d.seal(keys, dst, record.ACK, body)
	if err != nil {
		d.x.err = ErrSpent
	}
	return dst
}

// notEarly returns the sending keys for everything except early data.
func (d *Datagram) notEarly() record.Sealer {
	if d.sealsEarly() {
		return &d.x.clearOut
	}
	return d.sending
}

// appendAlerts appends alerts under the newest keys. Those of early data are only for the
// close_notify that ends it.
func (d *Datagram) appendAlerts(dst []byte, start, room int) []byte {
	keys := d.notEarly()
	alerts := d.x.alerts
	if d.early.sent && alert.Description(alerts[0][1]) == alert.CloseNotify {
		keys = d.sending
	}
	for len(alerts) > 0 && len(dst)-start+keys.Overhead()+2 <= room {
		dst, _ = d.seal(keys, dst, record.Alert, alerts[0][:])
		alerts = alerts[1:]
	}
	d.x.alerts = alerts
	return dst
}

// seal appends a record that is neither of the flight nor data.
func (d *Datagram) seal(keys record.Sealer, dst []byte, typ record.ContentType, content []byte) ([]byte, error) {
	number, start := keys.Next(), len(dst)
	dst, err := keys.Seal(dst, typ, content)
	if d.trace != nil && err == nil {
		d.trace.SentRecord(typ, number, content, dst, start)
	}
	return dst, err
}

// Seal appends data as one record, in its own datagram.
func (d *Datagram) Seal(dst, data []byte) ([]byte, error) {
	d.Wake()
	size := len(data) + d.sending.Overhead()
	switch {
	case !d.sealsData():
		return dst, ErrNotReady
	case len(data) > d.MaxData():
		return dst, ErrDataSize
	case !d.path.permits(size):
		return dst, errUnproved
	case d.x != nil && d.x.err != nil:
		return dst, d.x.err
	}
	start := len(dst)
	var number record.Number // for the trace
	if d.trace != nil {
		number = d.sending.Next()
	}
	dst, err := d.sending.Seal(dst, record.ApplicationData, data)
	if err != nil {
		return dst, ErrSpent
	}
	if d.trace != nil {
		d.traceData(number, data, dst, start)
	}
	d.path.sent(size)
	if d.sending.Exhausted() {
		d.reportExhausted()
	}
	return dst, nil
}

// SealParts is Seal for data in several slices. They are joined in dst, beyond the room for the
// record.
func (d *Datagram) SealParts(dst []byte, parts [][]byte) ([]byte, error) {
	d.Wake()
	data := record.NewParts(parts)
	n := data.Len()
	if n > d.MaxData() {
		return dst, ErrDataSize
	}
	room := d.sending.Overhead() + n + maxPadding
	dst = slices.Grow(dst, room+n)
	return d.Seal(dst, data.Append(dst[len(dst)+room:len(dst)+room], n))
}

// reportExhausted tells the handler, once, that the sending keys approach their limit.
func (d *Datagram) reportExhausted() {
	if d.sending.Exhausted() && !d.exhausted && !d.KeyUpdatePending() {
		d.exhausted = true
		d.handler.KeysExhausted(false)
	}
}

// traceData tells of a datagram with data.
func (d *Datagram) traceData(n record.Number, data, dst []byte, start int) {
	d.trace.BeginDatagram(start)
	d.trace.SentRecord(record.ApplicationData, n, data, dst, start)
}

// SealEarly is Seal for early data. The ClientHello goes before it, in
// its own datagram.
func (d *Datagram) SealEarly(dst, data []byte) ([]byte, error) {
	switch {
	case d.EarlyDataRoom() == 0:
		return dst, ErrNotReady
	case len(data) > d.EarlyDataRoom() || len(data) > d.MaxData():
		return dst, ErrDataSize
	case d.sending.Exhausted():
		return dst, ErrSpent // RFC 9846, Section 5.5: there is no KeyUpdate yet
	}
	number, start := d.sending.Next(), len(dst)
	out, err := d.sending.Seal(dst, record.ApplicationData, data)
	if err != nil {
		return dst, ErrSpent
	}
	if d.trace != nil {
		d.traceData(number, data, out, start)
	}
	d.early.room -= uint32(len(data))
	d.early.sent = true
	return out, nil
}

// EarlyDataRoom returns how many more bytes SealEarly takes.
func (d *Datagram) EarlyDataRoom() int {
	if !d.sealsEarly() {
		return 0
	}
	return int(min(d.early.room, math.MaxInt32))
}
