package flight

import "time"

// The retransmission timer of RFC 9147bis, Section 5.8.2.
const (
	DefaultInitial = time.Second
	DefaultMax     = 60 * time.Second
)

// Timer is the retransmission timer. It runs anew for each transmission of a
// flight, and each time twice as long, until it has run for its full length
// once without an answer. Each flight begins with the initial value: the
// RFC would rather have the value retained until a round trip was measured,
// which a handshake of two flights seldom comes to.
type Timer struct {
	Initial, Max time.Duration
	// Attempts is at which expiry it gives up; 0: at the first one after Max.
	Attempts int

	start    time.Time
	sent     time.Time // the last transmission
	expired  int       // how often in a row
	restarts int       // since it expired
	running  bool
}

// maxRestarts is how often it starts again without having expired: a peer that makes us send
// the flight again and again must not keep us waiting forever.
const maxRestarts = 16

// Start begins to wait for the answer to a transmission.
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

// Stop ends the waiting: an answer is there.
func (t *Timer) Stop() { t.running, t.expired, t.restarts = false, 0, 0 }

// Running reports whether an answer is awaited.
func (t *Timer) Running() bool { return t.running }

// Sent is when the last transmission was.
func (t *Timer) Sent() time.Time { return t.sent }

// Expired is how often it has expired in a row.
func (t *Timer) Expired() int { return t.expired }

// Value is how long it runs now.
func (t *Timer) Value() time.Duration { return t.value(t.expired) }

func (t *Timer) value(expired int) time.Duration {
	d := t.Initial
	for ; expired > 0 && d < t.Max; expired-- {
		d *= 2
	}
	return min(d, t.Max)
}

// Deadline is when it expires, if it runs.
func (t *Timer) Deadline() (time.Time, bool) { return t.start.Add(t.Value()), t.running }

// Due reports whether it has expired.
func (t *Timer) Due(now time.Time) bool {
	deadline, ok := t.Deadline()
	return ok && !now.Before(deadline)
}

// Expire takes note of an expiry, and starts the timer with its next value. It
// returns false when that was the last.
func (t *Timer) Expire(now time.Time) bool {
	last := t.Value() >= t.Max
	t.expired++
	if t.Attempts > 0 {
		last = t.expired >= t.Attempts
	}
	t.start, t.sent, t.restarts = now, now, 0
	return !last
}

// Schedule is how long all its expiries take together.
func (t *Timer) Schedule() (sum time.Duration) {
	for n := 0; ; n++ {
		d := t.value(n)
		sum += d
		if t.Attempts > 0 && n+1 >= t.Attempts || t.Attempts == 0 && d >= t.Max {
			return sum
		}
	}
}
