package carrier

import (
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/record"
)

func TestACKs(t *testing.T) {
	start := time.Unix(1000, 0)
	const retransmit = time.Second
	at := func(d time.Duration) time.Time { return start.Add(d) }
	for _, test := range []struct {
		name  string
		do    func(a *acks)
		due   bool
		wait  time.Duration // until the deadline; 0: there is none
		named int           // records that the ACK would name
	}{
		{"nothing has come", func(a *acks) {}, false, 0, 0},
		{"a record waits for more", func(a *acks) { a.add(record.Number{Epoch: 2}); a.wait(start) }, false, retransmit / 4, 1},
		{"more does not lengthen the wait", func(a *acks) { a.wait(start); a.wait(at(200 * time.Millisecond)) }, false, retransmit / 4, 0},
		{"before the deadline", func(a *acks) { a.wait(start); a.expire(at(249*time.Millisecond), retransmit) }, false, retransmit / 4, 0},
		{"at the deadline", func(a *acks) { a.wait(start); a.expire(at(250*time.Millisecond), retransmit) }, true, 0, 0},
		{"no wait, no deadline", func(a *acks) { a.expire(at(time.Hour), retransmit) }, false, 0, 0},
		{"one that is due waits no longer", func(a *acks) { a.due = true; a.wait(start) }, true, 0, 0},
		{"hurry", func(a *acks) { a.add(record.Number{Epoch: 2}); a.wait(start); a.hurry() }, true, 0, 1},
		{"hurry with nothing to acknowledge", func(a *acks) { a.wait(start); a.hurry() }, false, 0, 0},
		{"sent", func(a *acks) { a.add(record.Number{Epoch: 2}); a.hurry(); a.take(nil, 100) }, false, 0, 1},
		{"canceled", func(a *acks) { a.add(record.Number{Epoch: 2}); a.wait(start); a.cancel() }, false, 0, 1},
		{"answered", func(a *acks) { a.add(record.Number{Epoch: 2}); a.wait(start); a.answered() }, false, 0, 0},
		{"a protocol without ACKs", func(a *acks) { a.none = true; a.add(record.Number{Epoch: 2}) }, false, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			var a acks
			test.do(&a)
			if a.due != test.due {
				t.Errorf("an ACK is due: %v", a.due)
			}
			deadline, ok := a.deadline(retransmit)
			if ok != (test.wait > 0) || ok && !deadline.Equal(at(test.wait)) {
				t.Errorf("the deadline is %v, %v; want %v after the start", deadline, ok, test.wait)
			}
			if a.idle() != (!test.due && test.wait == 0) {
				t.Errorf("idle: %v", a.idle())
			}
			if n := (len(a.take(nil, 1000)) - 2) / 16; n != test.named {
				t.Errorf("it names %d records, want %d", n, test.named)
			}
		})
	}
}
