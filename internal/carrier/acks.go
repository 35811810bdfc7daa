package carrier

import (
	"time"

	"github.com/hermetic-tls/hermetic/internal/flight"
	"github.com/hermetic-tls/hermetic/internal/record"
)

// acks has the ACK that is, or will be, due (RFC 9147bis, Section 7), and the records that
// it will name.
type acks struct {
	received flight.Received
	start    time.Time // when the wait for more records began
	waiting  bool
	due      bool
	none     bool // the protocol has no ACKs
}

// add adds a record to acknowledge.
func (a *acks) add(numbers ...record.Number) {
	if a.none {
		return
	}
	for _, n := range numbers {
		a.received.Add(n)
	}
}

// wait starts to wait for more records to acknowledge.
func (a *acks) wait(now time.Time) {
	if !a.waiting && !a.due {
		a.waiting, a.start = true, now
	}
}

// deadline: RFC 9147bis, Section 7.1: "One approach is to set a timer for 1/4 the current
// retransmit timer value when the first record in the flight is received and then send an
// ACK when that timer expires."
func (a *acks) deadline(retransmit time.Duration) (time.Time, bool) {
	return a.start.Add(retransmit / 4), a.waiting
}

// expire ends a wait that has lasted long enough, and reports whether it did.
func (a *acks) expire(now time.Time, retransmit time.Duration) bool {
	t, ok := a.deadline(retransmit)
	if !ok || now.Before(t) {
		return false
	}
	a.waiting, a.due = false, true
	return true
}

// hurry ends the wait. There may be nothing to acknowledge, if the records were not kept and
// must be sent again.
func (a *acks) hurry() { a.waiting, a.due = false, !a.received.Empty() }

// cancel drops the ACK, but not what it would have named.
func (a *acks) cancel() { a.start, a.waiting, a.due = time.Time{}, false, false }

// answered drops all: our answer to the peer's flight acknowledges it.
func (a *acks) answered() {
	a.cancel()
	a.received.Clear()
}

// idle reports whether no ACK is or will be due.
func (a *acks) idle() bool { return !a.waiting && !a.due }

// take appends the body of an ACK of at most that many bytes. The ACK then counts as sent.
func (a *acks) take(b []byte, room int) []byte {
	a.due = false
	return a.received.Append(b, room)
}
