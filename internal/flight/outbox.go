package flight

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// ErrTimeout means that the peer did not answer before the last timeout.
var ErrTimeout = errors.New("timeout")

const (
	// TwiceMSL is twice the maximum segment lifetime of RFC 793: how long old keys
	// and a final flight are kept.
	TwiceMSL = 4 * time.Minute
	// handshakeEpoch is the last epoch of a handshake (RFC 9147bis, Section 6.1).
	handshakeEpoch = 2
)

// Outbox holds the handshake messages for the peer: the current flight, the timer
// that repeats it, and the messages that wait for their turn. Some methods take
// paused: it says that the caller waits for an answer, a signature for example, and
// not for the peer.
type Outbox struct {
	Flight
	Timer Timer
	// MaxFlightPause is how long the peer may pause in the middle of its own flight.
	// Zero means all timeouts of Timer together, a negative value forever.
	MaxFlightPause time.Duration

	queue    []queued
	update   *suite.Keys // the next sending keys, until the peer acknowledges their KeyUpdate
	requests bool        // that KeyUpdate requests one of the peer
	building bool        // the flight may be incomplete
	answers  bool        // the flight answers one of the peer's handshake
	answered bool        // a message of the peer has come since the flight began
	final    bool        // the peer does not answer this flight
	kept     time.Time   // when a final flight is dropped; zero: it was not sent yet
	peerDue  time.Time   // deadline for the rest of the peer's flight; zero: none is expected
}

// queued is a message that waits for its turn: a KeyUpdate until everything before it
// is acknowledged, a message about connection IDs until the last one of its type is,
// any other until no such message is before it.
type queued struct {
	msg  []byte
	seq  uint16
	keys *suite.Keys // of a KeyUpdate
}

// Send adds a message to the flight, under the keys of w, or to the queue.
func (o *Outbox) Send(w record.Sealer, msg []byte, seq uint16) {
	if o.mustWait(msg) {
		o.queue = append(o.queue, queued{msg: bytes.Clone(msg), seq: seq})
		return
	}
	o.add(w, msg, seq)
}

// mustWait reports whether a message must wait for its turn: "implementations MUST NOT
// send KeyUpdate, NewConnectionId, or RequestConnectionId messages if an earlier message
// of the same type has not yet been acknowledged" (RFC 9147bis, Section 5.8.4).
func (o *Outbox) mustWait(msg []byte) bool {
	t := wire.Type(msg[0])
	alone := t == wire.TypeNewConnectionID || t == wire.TypeRequestConnectionID
	return o.update != nil || len(o.queue) > 0 || alone && o.Has(t)
}

func (o *Outbox) add(w record.Sealer, msg []byte, seq uint16) {
	o.begin(w)
	o.Flight.Add(w, wire.Type(msg[0]), seq, msg[4:])
}

// SendChangeCipherSpec adds a ChangeCipherSpec to the flight.
func (o *Outbox) SendChangeCipherSpec(w record.Sealer) {
	o.begin(w)
	o.AddChangeCipherSpec(w)
}

// SendKeyUpdate queues a KeyUpdate. Delivered returns next once the peer has
// acknowledged it.
func (o *Outbox) SendKeyUpdate(w record.Sealer, msg []byte, seq uint16, next suite.Keys) {
	o.queue = append(o.queue, queued{msg: bytes.Clone(msg), seq: seq, keys: &next})
	o.SendQueued(w)
}

// SendQueued sends the messages whose turn has come. A KeyUpdate is the last message of
// its epoch, and the next epoch begins when "the KeyUpdate and all preceding messages
// have been acknowledged": so it goes alone.
func (o *Outbox) SendQueued(w record.Sealer) {
	for len(o.queue) > 0 && o.update == nil {
		q := o.queue[0]
		if q.keys != nil && !o.Empty() || o.Has(wire.Type(q.msg[0])) {
			return
		}
		o.queue = o.queue[1:]
		o.add(w, q.msg, q.seq)
		o.update = q.keys
		o.requests = q.keys != nil && q.msg[len(q.msg)-1] == 1
	}
	if len(o.queue) == 0 {
		o.queue = nil
	}
}

// Queued returns how many messages wait for their turn.
func (o *Outbox) Queued() int { return len(o.queue) }

// KeyUpdatePending reports whether a KeyUpdate is not acknowledged yet.
func (o *Outbox) KeyUpdatePending() bool {
	return o.update != nil || slices.ContainsFunc(o.queue, func(q queued) bool { return q.keys != nil })
}

// RequestsUpdate reports whether the flight requests a KeyUpdate of the peer.
func (o *Outbox) RequestsUpdate() bool { return o.requests }

// begin begins a flight, or continues the current one if nothing has answered it.
func (o *Outbox) begin(w record.Sealer) {
	o.building = true
	if !o.answered {
		return
	}
	o.answered = false
	o.Clear()
	o.Timer.Stop()
	o.peerDue = time.Time{}
	o.answers = w.Next().Epoch <= handshakeEpoch
}

// End ends the flight that is being built, and reports whether it answers one of the
// peer's handshake.
func (o *Outbox) End() (answers bool) {
	answers = o.building && o.answers
	o.building, o.answers = false, false
	return answers
}

// Answered notes the peer's answer: its next handshake message.
func (o *Outbox) Answered() { o.answered = true }

// Sendable reports whether a part of the flight may leave. A flight leaves once it is
// complete.
func (o *Outbox) Sendable(paused bool) bool { return !(o.building && paused) && o.Pending() }

// Sent notes that a datagram of the flight has left.
func (o *Outbox) Sent(now time.Time) {
	o.Timer.Start(now)
	if o.final {
		o.Timer.Stop()
		o.kept = now.Add(TwiceMSL)
	}
}

// Delivered notes that the peer has acknowledged the whole flight. If that was a
// KeyUpdate, it returns the keys to use from now on.
func (o *Outbox) Delivered(now time.Time) (next *suite.Keys) {
	o.Clear()
	o.Timer.Stop()
	o.WaitForPeer(now)
	next, o.update = o.update, nil
	return next
}

// Idle reports whether there is nothing to send or to retransmit.
func (o *Outbox) Idle() bool { return o.Empty() && len(o.queue) == 0 }

// Settled reports whether the peer has all that it must have after the handshake.
func (o *Outbox) Settled() bool { return o.final || o.Idle() }

// Complete notes the end of the handshake. Either the peer's answer completes it, or our
// flight does.
func (o *Outbox) Complete() {
	o.peerDue, o.MaxFlightPause = time.Time{}, -1
	if o.answered {
		o.Clear()
		o.Timer.Stop()
	}
}

// CompleteFinal is Complete for a protocol in which nothing answers the last flight. It
// is kept for a while after it was sent.
func (o *Outbox) CompleteFinal() {
	o.Complete()
	o.Timer.Stop()
	o.final = true
}

// Arrived notes that the peer has the final flight, if it was sent. It reports whether it
// was.
func (o *Outbox) Arrived() bool {
	if o.kept.IsZero() {
		return false
	}
	o.kept = time.Time{}
	o.Clear()
	return true
}

// Forget drops a final flight that was kept long enough. It reports whether it did.
func (o *Outbox) Forget(now time.Time) bool { return now.After(o.kept) && o.Arrived() }

// Abandon drops everything: a fatal alert takes its place.
func (o *Outbox) Abandon() {
	o.Clear()
	o.Timer.Stop()
	o.peerDue, o.queue, o.update = time.Time{}, nil, nil
}

// Repeat sends the flight again because the peer seems to lack it, unless it left less
// than wait ago.
func (o *Outbox) Repeat(now time.Time, wait time.Duration) bool {
	if !o.mayRepeat(now, wait) {
		return false
	}
	o.Doubt()
	o.Restart()
	return true
}

// RepeatRest sends what the peer has not acknowledged, on the same condition.
func (o *Outbox) RepeatRest(now time.Time, wait time.Duration) bool {
	if !o.mayRepeat(now, wait) {
		return false
	}
	o.Restart()
	return true
}

// mayRepeat reports whether there is a flight to send again: not one that left so
// recently that it may still be in transit.
func (o *Outbox) mayRepeat(now time.Time, wait time.Duration) bool {
	return !o.Empty() && !o.Pending() && now.Sub(o.Timer.Sent()) >= wait
}

// WaitForPeer sets the deadline for the rest of the peer's flight.
func (o *Outbox) WaitForPeer(now time.Time) {
	switch {
	case o.MaxFlightPause < 0:
	case o.MaxFlightPause > 0:
		o.peerDue = now.Add(o.MaxFlightPause)
	default:
		o.peerDue = now.Add(o.Timer.Schedule())
	}
}

// WaitForRest is WaitForPeer, unless a deadline is set already.
func (o *Outbox) WaitForRest(now time.Time) {
	if o.peerDue.IsZero() {
		o.WaitForPeer(now)
	}
}

// Resume starts the deadlines again after a pause.
func (o *Outbox) Resume(now time.Time) {
	if o.Timer.Running() && o.answered {
		o.Timer.Start(now)
	}
	if !o.peerDue.IsZero() {
		o.WaitForPeer(now)
	}
}

// waitsForTimer reports whether the retransmission timer counts: not while it is our own
// answer to the peer that is awaited.
func (o *Outbox) waitsForTimer(paused bool) bool { return !(paused && o.answered) }

// PeerDeadline returns when the rest of the peer's flight is due, if one is expected.
func (o *Outbox) PeerDeadline() (time.Time, bool) { return o.peerDue, !o.peerDue.IsZero() }

// Deadline returns when Expire must be called.
func (o *Outbox) Deadline(paused bool) (t time.Time, ok bool) {
	t, ok = o.Timer.Deadline()
	ok = ok && o.waitsForTimer(paused)
	if !o.peerDue.IsZero() && !paused && (!ok || o.peerDue.Before(t)) {
		return o.peerDue, true
	}
	return t, ok
}

// Expire does what is due, and reports whether the retransmission timer has expired. The
// flight is then sent again.
func (o *Outbox) Expire(now time.Time, paused bool) (expired bool, err error) {
	switch {
	case !o.peerDue.IsZero() && !paused && !now.Before(o.peerDue):
		return false, ErrTimeout
	case !o.waitsForTimer(paused) || !o.Timer.Due(now):
		return false, nil
	case !o.Timer.Expire(now):
		return true, ErrTimeout
	}
	if o.Doubt(); !o.Pending() {
		o.Restart()
	}
	return true, nil
}
