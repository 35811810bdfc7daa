package carrier

import (
	"bytes"
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

// maxQueued bounds the messages that wait for their turn. Our own are few. The rest answer
// a peer that requests connection IDs although its last request is not fulfilled.
const maxQueued = 32

var errQueue = alert.New(alert.UnexpectedMessage, "the peer requests connection IDs again and again, and acknowledges none")

// Send adds a message to the flight.
func (d *Datagram) Send(msg []byte) (seq uint16) {
	if d.ended {
		return 0
	}
	d.begin()
	seq, ok := d.takeSeq()
	switch {
	case !ok:
	case d.mustWait(msg) && len(d.queue) == maxQueued:
		d.err = errQueue
	case d.mustWait(msg):
		d.queue = append(d.queue, queued{msg: bytes.Clone(msg), seq: seq})
	default:
		d.add(msg, seq)
	}
	return seq
}

// mustWait reports whether a message must wait for its turn, behind others that
// wait or by itself: "implementations MUST NOT send KeyUpdate, NewConnectionId, or
// RequestConnectionId messages if an earlier message of the same type has not
// yet been acknowledged" (RFC 9147bis, Section 5.8.4).
func (d *Datagram) mustWait(msg []byte) bool {
	t := wire.Type(msg[0])
	alone := t == wire.TypeNewConnectionID || t == wire.TypeRequestConnectionID
	return d.update != nil || len(d.queue) > 0 || alone && d.flight.Has(t)
}

// takeSeq: RFC 9147bis, Section 5.2: "Implementations MUST NOT allow message_seq
// to wrap".
func (d *Datagram) takeSeq() (seq uint16, ok bool) {
	if d.nextOut > 0xffff {
		d.err = errMessages
		return 0, false
	}
	d.nextOut++
	return uint16(d.nextOut - 1), true
}

func (d *Datagram) add(msg []byte, seq uint16) {
	d.Wake()
	d.beginFlight()
	d.flight.Add(d.write, wire.Type(msg[0]), seq, msg[4:])
}

// beginFlight forgets the flight before when the peer has answered it.
func (d *Datagram) beginFlight() {
	d.building = true
	if !d.answered {
		return
	}
	d.answered = false
	d.flight.Clear()
	d.timer.Stop()
	d.patience = time.Time{}
	d.answers = d.write.Next().Epoch <= uint64(handshake.Handshake)
}

// endFlight: a flight of the handshake that is whole answers the peer's, so that
// there is nothing left to acknowledge (RFC 9147bis, Section 7.1).
func (d *Datagram) endFlight() {
	if !d.building || d.handler.Waiting() {
		return
	}
	if d.answers {
		d.nothingToACK()
	}
	d.building, d.answers = false, false
}

// SendChangeCipherSpec adds a ChangeCipherSpec to the flight.
func (d *Datagram) SendChangeCipherSpec(k suite.Keys) {
	d.beginFlight()
	d.flight.AddChangeCipherSpec(d.write)
	d.InstallWrite(handshake.Application, k)
}

// SendCompatibilityCCS: RFC 9147bis, Section 5: "DTLS implementations do not use
// the TLS 1.3 "compatibility mode"".
func (d *Datagram) SendCompatibilityCCS() {}

// InstallWrite begins a new epoch. The messages of the flight keep theirs.
func (d *Datagram) InstallWrite(level handshake.Level, k suite.Keys) {
	d.Wake()
	d.begin()
	if err := d.protocol.installWrite(level, k); err != nil {
		d.err = err
	}
	d.exhausted = false
}

// SendKeyUpdate queues a KeyUpdate. The new keys are in use when it has been
// acknowledged (RFC 9147bis, Section 8).
func (d *Datagram) SendKeyUpdate(msg []byte, next suite.Keys) {
	d.begin()
	seq, ok := d.takeSeq()
	if !ok {
		return
	}
	d.queue = append(d.queue, queued{msg: bytes.Clone(msg), seq: seq, keys: &next})
	d.sendQueued()
}

// KeyUpdatePending reports whether a KeyUpdate is not acknowledged yet.
func (d *Datagram) KeyUpdatePending() bool {
	return d.exchange != nil && (d.update != nil ||
		slices.ContainsFunc(d.queue, func(q queued) bool { return q.keys != nil }))
}

// sendQueued sends what has waited for its turn. A KeyUpdate is the last
// message of its epoch, and the next epoch begins when "the KeyUpdate and all
// preceding messages have been acknowledged": so it goes alone.
func (d *Datagram) sendQueued() {
	for len(d.queue) > 0 && d.update == nil {
		q := d.queue[0]
		if q.keys != nil && !d.flight.Empty() || d.flight.Has(wire.Type(q.msg[0])) {
			return
		}
		d.queue = d.queue[1:]
		d.add(q.msg, q.seq)
		d.update = q.keys
		d.requests = q.keys != nil && q.msg[len(q.msg)-1] == 1
	}
	if len(d.queue) == 0 {
		d.queue = nil
	}
}

// SendAlert queues close_notify behind everything, or a fatal alert in its stead.
// Nothing follows them (RFC 9846, Section 6.1).
func (d *Datagram) SendAlert(description alert.Description) {
	if d.ended {
		return
	}
	d.ended = true
	d.begin()
	if description == alert.CloseNotify {
		d.alerts = append(d.alerts, [2]byte{alertWarning, byte(description)})
		return
	}
	d.flight.Clear()
	d.timer.Stop()
	d.ack, d.patience, d.queue, d.update = acknowledgment{}, time.Time{}, nil, nil
	d.alerts = [][2]byte{{alertFatal, byte(description)}}
}

// room is how large the next datagram may be. The peer's connection ID may be so long
// that nothing fits the MTU, and what is never sent would never time out.
func (d *Datagram) room() int {
	mtu := max(d.mtu, minRecord(d.write))
	if !d.opt.Server && d.version == 0 && d.timer.Expired()%lowerMTU != 0 {
		// Fragments of a first ClientHello are nothing to a server that asks for
		// cookies: every other attempt is whole again.
		mtu = d.fullMTU
	}
	if d.proved {
		return mtu
	}
	return min(mtu, d.credit)
}

// nothingToACK: the peer's flight has been answered.
func (d *Datagram) nothingToACK() {
	d.ack = acknowledgment{}
	d.received.Clear()
}

// waitToACK begins to wait for more to acknowledge.
func (d *Datagram) waitToACK(now time.Time) {
	if !d.ack.waiting && !d.ack.due {
		d.ack.waiting, d.ack.start = true, now
	}
}

// sendable reports whether a part of the flight may leave. It waits until the
// flight is whole.
func (d *Datagram) sendable() bool {
	return !(d.building && d.handler.Waiting()) && d.flight.Pending()
}

// alertsDue reports whether there are alerts, and nothing that must leave before them.
func (d *Datagram) alertsDue() bool { return len(d.alerts) > 0 && !d.flight.Pending() }

// minRecord is what the smallest record that gets anywhere needs.
func minRecord(s record.Sealer) int { return s.Overhead() + wire.FragmentHeaderLen + 16 }

// HasOutput reports whether Output has something to append.
func (d *Datagram) HasOutput() bool {
	return d.exchange != nil && (d.ack.due || d.sendable() || d.alertsDue()) && d.room() >= minRecord(d.write)
}

// Output appends one datagram: the ACK that is due, as much of the flight as
// fits, and alerts behind it.
func (d *Datagram) Output(now time.Time, dst []byte) []byte {
	if !d.HasOutput() {
		return dst
	}
	d.Wake()
	start, room := len(dst), d.room()
	if d.ack.due || d.requests && d.sendable() && !d.received.Empty() {
		// Before a request for a KeyUpdate the peer is told that its last one has come:
		// another request would be one of before that.
		dst = d.appendACK(dst, room)
	}
	if d.sendable() {
		before := len(dst)
		var err error
		if dst, err = d.flight.Append(dst, room-(len(dst)-start)); err != nil {
			d.err = ErrSpent
		}
		if len(dst) > before {
			d.protocol.sent(now)
		}
	}
	if d.alertsDue() {
		dst = d.appendAlerts(dst, start, room)
	}
	if !d.proved {
		d.credit -= len(dst) - start
	}
	d.end()
	return dst
}

// appendACK appends an ACK under the newest keys: RFC 9147bis, Section 7, except
// those of early data.
func (d *Datagram) appendACK(dst []byte, room int) []byte {
	keys := d.notEarly()
	var buf [2 + 16*flight.MaxACK]byte
	body := d.received.Append(buf[:0], room-keys.Overhead())
	d.ack.due = false
	dst, err := keys.Seal(dst, record.ACK, body)
	if err != nil {
		d.err = ErrSpent
	}
	return dst
}

// sealsEarly reports whether the sending keys are those of early data.
func (d *Datagram) sealsEarly() bool {
	return d.version != wire.VersionTLS12 && d.write.Next().Epoch == uint64(handshake.EarlyData)
}

// notEarly are the sending keys for all but early data.
func (d *Datagram) notEarly() record.Sealer {
	if d.sealsEarly() {
		return &d.clearOut
	}
	return d.write
}

// appendAlerts appends alerts under the newest keys. Those of early data are only for the
// close_notify that ends it.
func (d *Datagram) appendAlerts(dst []byte, start, room int) []byte {
	keys := d.notEarly()
	if d.earlySent && len(d.alerts) > 0 && alert.Description(d.alerts[0][1]) == alert.CloseNotify {
		keys = d.write
	}
	for len(d.alerts) > 0 && len(dst)-start+keys.Overhead()+2 <= room {
		dst, _ = keys.Seal(dst, record.Alert, d.alerts[0][:])
		d.alerts = d.alerts[1:]
	}
	if len(d.alerts) == 0 {
		d.alerts = nil
	}
	return dst
}

// Seal appends data as one record: a datagram of its own.
func (d *Datagram) Seal(_ time.Time, dst, data []byte) ([]byte, error) {
	d.Wake()
	size := len(data) + d.write.Overhead()
	switch {
	case !d.protocol.sealsData():
		return dst, ErrNotReady
	case len(data) > d.MaxData():
		return dst, ErrDataSize
	case !d.proved && size > d.credit:
		return dst, errUnproved
	case d.exchange != nil && d.err != nil:
		return dst, d.err
	}
	dst, err := d.write.Seal(dst, record.ApplicationData, data)
	if err != nil {
		return dst, ErrSpent
	}
	if !d.proved {
		d.credit -= size
	}
	if d.write.Exhausted() && !d.exhausted && !d.KeyUpdatePending() {
		d.exhausted = true
		d.handler.KeysExhausted(false)
	}
	return dst, nil
}

// SealEarly is Seal for early data. The ClientHello goes before it, in a
// datagram of its own.
func (d *Datagram) SealEarly(_ time.Time, dst, data []byte) ([]byte, error) {
	switch {
	case d.EarlyDataRoom() == 0:
		return dst, ErrNotReady
	case len(data) > d.EarlyDataRoom() || len(data) > d.MaxData():
		return dst, ErrDataSize
	case d.write.Exhausted():
		return dst, ErrSpent // RFC 9846, Section 5.5: there is no KeyUpdate yet
	}
	out, err := d.write.Seal(dst, record.ApplicationData, data)
	if err != nil {
		return dst, ErrSpent
	}
	d.earlyRoom -= uint32(len(data))
	d.earlySent = true
	return out, nil
}

// EarlyDataRoom is how many more bytes SealEarly takes.
func (d *Datagram) EarlyDataRoom() int {
	if !d.sealsEarly() {
		return 0
	}
	return int(min(d.earlyRoom, math.MaxInt32))
}

// sendAgain sends the flight again because the peer seems to lack it.
func (d *Datagram) sendAgain(now time.Time, wait time.Duration) bool {
	if !d.mayRepeat(now, wait) {
		return false
	}
	d.flight.Doubt()
	d.flight.Restart()
	return true
}

// mayRepeat reports whether there is a flight to send again: not one that has left so
// lately that it may still be on its way. wait is the part of the timer's value that must
// have passed.
func (d *Datagram) mayRepeat(now time.Time, wait time.Duration) bool {
	return !d.flight.Empty() && !d.flight.Pending() && now.Sub(d.timer.Sent()) >= wait
}
