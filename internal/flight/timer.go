package flight

import "time"

// The retransmission timer of RFC 9147bis, Section 5.8.2.
const (
	DefaultInitial = time.Second
	DefaultMax     = 60 * time.Second
)

// Timer is the retransmission timer. It starts for each transmission of a flight,
// and runs twice as long each time, until it has run for its maximum once without
// an answer. Each flight begins with the initial value: the RFC prefers to retain
// the value until a round trip is measured, which a handshake of two flights
// seldom can.
type Timer struct {
	Initial, Max time.Duration
	// Attempts is the expiry at which it gives up; 0: the first one after Max.
	Attempts int

	start    time.Time
	sent     time.Time // the last transmission
	expired  int       // how often in a row
	restarts int       // since it expired
	running  bool
}

// maxRestarts is how often it restarts without an expiry: a peer that makes us retransmit
// again and again must not keep us waiting forever.
const maxRestarts = 16

// Start starts to wait for the answer to a transmission.
func (t *Timer) Start(now time.Time) {
	t.sent = now
	if t.running && now.After(t.start) {
		if t.restarts == maxRestarts {
			return
		}
		t.restarts++
	}
	t.start, t.running = now, true
}

// Stop ends the wait: an answer has arrived.
func (t *Timer) Stop() { t.running, t.expired, t.restarts = false, 0, 0 }

// Running reports whether an answer is awaited.
func (t *Timer) Running() bool { return t.running }

// Sent returns the time of the last transmission.
func (t *Timer) Sent() time.Time { return t.sent }

// Expired returns how often it has expired in a row.
func (t *Timer) Expired() int { return t.expired }

// Value returns how long it currently runs.
func (t *Timer) Value() time.Duration { return t.value(t.expired) }

func (t *Timer) value(expired int) time.Duration {
	d := t.Initial
	for ; expired > 0 && d < t.Max; expired-- {
		d *= 2
	}
	return min(d, t.Max)
}

// Deadline returns when it expires, if it runs.
func (t *Timer) Deadline() (time.Time, bool) { return t.start.Add(t.Value()), t.running }

// Due reports whether it has expired.
func (t *Timer) Due(now time.Time) bool {
	deadline, ok := t.Deadline()
	return ok && !now.Before(deadline)
}

// Expire notes an expiry, and starts the timer with its next value. It returns
// false if that was the last.
func (t *Timer) Expire(now time.Time) bool {
	last := t.Value() >= t.Max
	t.expired++
	if t.Attempts > 0 {
		last = t.expired >= t.Attempts
	}
	t.start, t.sent, t.restarts = now, now, 0
	return !last
}

// Schedule returns how long all its expiries take together.
func (t *Timer) Schedule() (sum time.Duration) {
	for n := 0; ; n++ {
		d := t.value(n)
		sum += d
		if t.Attempts > 0 && n+1 >= t.Attempts || t.Attempts == 0 && d >= t.Max {
			return sum
		}
	}
}
