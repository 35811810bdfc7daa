// Package flight makes datagrams reliable for handshake messages: a flight is
// cut into fragments and retransmitted until the peer has it, received fragments are
// reassembled, and DTLS 1.3 acknowledges both (RFC 9147bis, Sections 5 and 7).
// Callers pass the time; nothing here reads a clock.
package flight

import (
	"slices"

	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/tracer"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// maxSent is how many sent records are remembered, for ACKs that name them. The
// content of a forgotten record is sent once more than necessary.
const maxSent = 64

// flightBytes and flightMessages are as much as most flights have.
const flightBytes, flightMessages = 1 << 10, 6

// Flight has the messages that are sent together, and retransmitted until the peer
// has them. It is data: each transmission makes new records from the messages,
// under the keys with which they were first sent.
type Flight struct {
	Trace    *tracer.Tracer // nil: off
	messages []message
	bytes    []byte // of all messages' bodies
	at       position
	sent     []sentRecord // a ring
	oldest   int          // of sent, when it is full
	payload  []byte       // room for a record's content
}

// message is one handshake message, or a ChangeCipherSpec.
type message struct {
	epoch      record.Sealer
	typ        wire.Type
	seq        uint16
	ccs        bool
	start, end int // of the body, in bytes
	acked      ranges
	doubted    bool // some of acked is hearsay: see Doubt
}

// position is a place in a flight.
type position struct{ message, offset int }

// sentRecord is the content of a sent record: everything from first to last that
// was not acknowledged then.
type sentRecord struct {
	number      record.Number
	first, last position
}

// size is how many bytes must be acknowledged. A message without a body counts
// as one byte, for its header.
func (m *message) size() int { return max(1, m.end-m.start) }

func (m *message) done() bool { return m.acked.cover(m.size()) }

// Add appends a message, which is copied.
func (f *Flight) Add(epoch record.Sealer, typ wire.Type, seq uint16, body []byte) {
	if f.bytes == nil {
		f.bytes, f.messages = make([]byte, 0, flightBytes), make([]message, 0, flightMessages)
	}
	start := len(f.bytes)
	f.bytes = append(f.bytes, body...)
	f.messages = append(f.messages, message{epoch: epoch, typ: typ, seq: seq, start: start, end: len(f.bytes)})
}

// AddChangeCipherSpec appends a ChangeCipherSpec: it is not a handshake message, but
// keeps its place among them each time the flight is sent.
func (f *Flight) AddChangeCipherSpec(epoch record.Sealer) {
	f.messages = append(f.messages, message{epoch: epoch, ccs: true})
}

// Empty reports whether there is nothing to send or retransmit.
func (f *Flight) Empty() bool { return len(f.messages) == 0 }

// Has reports whether a message of that type is in the flight.
func (f *Flight) Has(t wire.Type) bool {
	return slices.ContainsFunc(f.messages, func(m message) bool { return !m.ccs && m.typ == t })
}

// Clear forgets the flight: the peer has it. The next one reuses its memory.
func (f *Flight) Clear() {
	clear(f.messages)
	*f = Flight{Trace: f.Trace, messages: f.messages[:0], bytes: f.bytes[:0], sent: f.sent[:0], payload: f.payload[:0]}
}

// Restart sends the flight again, from its first message on.
func (f *Flight) Restart() { f.at = position{} }

// Pending reports whether a part of this transmission is still to be sent.
func (f *Flight) Pending() bool {
	f.skip()
	return f.at.message < len(f.messages)
}

// skip moves on to the next part that has not been acknowledged.
func (f *Flight) skip() {
	for ; f.at.message < len(f.messages); f.at = (position{f.at.message + 1, 0}) {
		m := &f.messages[f.at.message]
		gap := m.acked.gap(f.at.offset, m.size())
		if gap.from < gap.to {
			f.at.offset = gap.from
			return
		}
	}
}

// Acknowledge notes that the peer has the record with that number. It reports whether
// the whole flight is now acknowledged. Hearsay says that anybody may have sent the
// acknowledgment: see Doubt.
func (f *Flight) Acknowledge(n record.Number, hearsay bool) (all bool) {
	for i := range f.sent {
		if s := &f.sent[i]; s.number == n {
			f.mark(s.first, s.last, hearsay)
		}
	}
	return f.Acknowledged()
}

// Doubt forgets acknowledgments that are hearsay, because the peer does not answer.
func (f *Flight) Doubt() {
	for i := range f.messages {
		if m := &f.messages[i]; m.doubted {
			m.acked, m.doubted = nil, false
		}
	}
}

func (f *Flight) mark(first, last position, hearsay bool) {
	for i := first.message; i <= last.message && i < len(f.messages); i++ {
		m := &f.messages[i]
		from, to := 0, m.size()
		if i == first.message {
			from = first.offset
		}
		if i == last.message {
			to = last.offset
		}
		m.acked.add(from, to)
		m.doubted = m.doubted || hearsay
	}
}

// Acknowledged reports whether the peer has everything.
func (f *Flight) Acknowledged() bool {
	for i := range f.messages {
		if !f.messages[i].done() {
			return false
		}
	}
	return true
}

// remember records the content of a sent record.
func (f *Flight) remember(s sentRecord) {
	if f.sent == nil {
		f.sent = make([]sentRecord, 0, flightMessages)
	}
	if len(f.sent) < maxSent {
		f.sent = append(f.sent, s)
		return
	}
	f.sent[f.oldest] = s
	f.oldest = (f.oldest + 1) % maxSent
}

// Epochs calls do with the keys of each message, which may be the same ones.
func (f *Flight) Epochs(do func(record.Sealer)) {
	for i := range f.messages {
		do(f.messages[i].epoch)
	}
}
