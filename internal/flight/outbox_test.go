package flight

import (
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// TestOutbox: what is in the flight, what waits, and what happens when.
func TestOutbox(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(d time.Duration) time.Time { return start.Add(d) }
	hello := wire.AppendMessage(nil, wire.TypeClientHello, make([]byte, 50))
	ticket := wire.AppendMessage(nil, wire.TypeNewSessionTicket, make([]byte, 50))
	cids := wire.AppendMessage(nil, wire.TypeNewConnectionID, make([]byte, 5))
	update := wire.AppendMessage(nil, wire.TypeKeyUpdate, []byte{0})
	request := wire.AppendMessage(nil, wire.TypeKeyUpdate, []byte{1})
	early, late := &fake{}, &fake{record.Number{Epoch: 3}}
	send := func(o *Outbox, now time.Time) {
		if _, err := o.Append(nil, 1000); err != nil {
			t.Fatal(err)
		}
		o.Sent(now)
	}
	for _, test := range []struct {
		name     string
		do       func(o *Outbox)
		pending  bool          // something is to be sent
		queued   int           // messages that wait
		updating bool          // a KeyUpdate is pending
		deadline time.Duration // after start; 0: none
	}{
		{"nothing", func(o *Outbox) {}, false, 0, false, 0},
		{"a message", func(o *Outbox) { o.Send(early, hello, 0) }, true, 0, false, 0},
		{"a message that was sent", func(o *Outbox) { o.Send(early, hello, 0); send(o, start) }, false, 0, false, time.Second},
		{"it is sent again", func(o *Outbox) {
			o.Send(early, hello, 0)
			send(o, start)
			o.Expire(at(time.Second), false)
		}, true, 0, false, 3 * time.Second},
		{"the peer seems to lack it", func(o *Outbox) {
			o.Send(early, hello, 0)
			send(o, start)
			o.Repeat(at(600*time.Millisecond), 500*time.Millisecond)
		}, true, 0, false, time.Second},
		{"but it has just left", func(o *Outbox) {
			o.Send(early, hello, 0)
			send(o, start)
			o.Repeat(at(400*time.Millisecond), 500*time.Millisecond)
		}, false, 0, false, time.Second},
		{"the peer has answered, and pauses", func(o *Outbox) {
			o.Send(early, hello, 0)
			send(o, start)
			o.Answered()
			o.Timer.Stop()
			o.WaitForRest(at(time.Second))
			o.WaitForRest(at(2 * time.Second))
		}, false, 0, false, 11 * time.Second},
		{"a new flight takes the place of the one that was answered", func(o *Outbox) {
			o.Send(early, hello, 0)
			o.Answered()
			o.Send(late, ticket, 1)
			if o.Has(wire.TypeClientHello) || !o.Has(wire.TypeNewSessionTicket) {
				t.Error("the flight is not the new one")
			}
		}, true, 0, false, 0},
		{"a KeyUpdate goes alone", func(o *Outbox) {
			o.Send(late, ticket, 0)
			o.SendKeyUpdate(late, update, 1, suite.Keys{})
			o.Send(late, ticket, 2)
		}, true, 2, true, 0},
		{"once all before it is acknowledged", func(o *Outbox) {
			o.Send(late, ticket, 0)
			o.SendKeyUpdate(late, request, 1, suite.Keys{})
			if o.Delivered(start) != nil || o.RequestsUpdate() {
				t.Error("there are new keys before the KeyUpdate was sent")
			}
			o.MaxFlightPause = -1
			o.Resume(start)
			o.SendQueued(late)
			if !o.RequestsUpdate() {
				t.Error("the KeyUpdate requests nothing")
			}
			o.Abandon()
		}, false, 0, false, 0},
		{"its keys come with its acknowledgment", func(o *Outbox) {
			o.MaxFlightPause = -1
			o.SendKeyUpdate(late, update, 0, suite.Keys{})
			if o.Delivered(start) == nil {
				t.Error("there are no new keys")
			}
		}, false, 0, false, 0},
		{"one NewConnectionId at a time", func(o *Outbox) {
			o.Send(late, cids, 0)
			o.Send(late, cids, 1)
			o.Send(late, ticket, 2)
		}, true, 2, false, 0},
		{"complete by the peer's answer", func(o *Outbox) {
			o.Send(early, hello, 0)
			send(o, start)
			o.Answered()
			o.Complete()
		}, false, 0, false, 0},
		{"complete by our flight", func(o *Outbox) { o.Send(early, hello, 0); o.Complete() }, true, 0, false, 0},
		{"a final flight runs no timer", func(o *Outbox) {
			o.Send(early, hello, 0)
			o.CompleteFinal()
			send(o, start)
			if o.Forget(at(TwiceMSL)) || o.Empty() {
				t.Error("it is not kept")
			}
		}, false, 0, false, 0},
		{"and is dropped in the end", func(o *Outbox) {
			o.Send(early, hello, 0)
			o.CompleteFinal()
			if o.Forget(at(time.Hour)) || o.Arrived() {
				t.Error("it is dropped before it was sent")
			}
			send(o, start)
			if !o.Forget(at(TwiceMSL+1)) || !o.Idle() {
				t.Error("it is still kept")
			}
		}, false, 0, false, 0},
		{"abandoned", func(o *Outbox) {
			o.Send(late, ticket, 0)
			o.SendKeyUpdate(late, update, 1, suite.Keys{})
			o.WaitForPeer(start)
			o.Abandon()
		}, false, 0, false, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := &Outbox{Timer: Timer{Initial: time.Second, Max: 4 * time.Second}, MaxFlightPause: 10 * time.Second}
			test.do(o)
			if o.Pending() != test.pending || len(o.queue) != test.queued || o.KeyUpdatePending() != test.updating {
				t.Errorf("pending: %v, queued: %d, updating: %v; want %v, %d, %v",
					o.Pending(), len(o.queue), o.KeyUpdatePending(), test.pending, test.queued, test.updating)
			}
			deadline, ok := o.Deadline(false)
			if ok != (test.deadline > 0) || ok && !deadline.Equal(at(test.deadline)) {
				t.Errorf("the deadline is %v, %v; want %v after the start", deadline, ok, test.deadline)
			}
		})
	}
}

// TestOutboxPaused: what waits while the caller owes an answer.
func TestOutboxPaused(t *testing.T) {
	start := time.Unix(1000, 0)
	o := &Outbox{Timer: Timer{Initial: time.Second, Max: time.Second}, MaxFlightPause: time.Minute}
	k := &fake{}
	o.Send(k, wire.AppendMessage(nil, wire.TypeServerHello, make([]byte, 50)), 0)
	if o.Sendable(true) || !o.Sendable(false) {
		t.Error("a flight leaves before it is complete")
	}
	if o.End() {
		t.Error("a first flight answers another one")
	}
	if !o.Sendable(true) {
		t.Error("a complete flight does not leave")
	}
	o.Append(nil, 1000)
	o.Sent(start)
	if _, ok := o.Deadline(true); !ok {
		t.Error("the timer does not run while the peer has not answered")
	}
	o.Answered()
	o.WaitForPeer(start)
	if _, ok := o.Deadline(true); ok {
		t.Error("there is a deadline while our own answer is awaited")
	}
	if expired, err := o.Expire(start.Add(time.Hour), true); expired || err != nil {
		t.Errorf("it expires: %v, %v", expired, err)
	}
	resumed := start.Add(time.Hour)
	o.Resume(resumed)
	if deadline, ok := o.Deadline(false); !ok || !deadline.Equal(resumed.Add(time.Second)) {
		t.Errorf("after the pause the deadline is %v, %v", deadline, ok)
	}
	if expired, err := o.Expire(resumed.Add(time.Second), false); !expired || err != ErrTimeout {
		t.Errorf("at the last timeout: %v, %v", expired, err)
	}
	o.Timer.Stop()
	if _, err := o.Expire(resumed.Add(time.Minute), false); err != ErrTimeout {
		t.Errorf("when the peer has paused too long: %v", err)
	}
}
