// Package flow turns a trace into what a person looks at. For each connection it has the
// messages in order and in flights, as in the figures of the RFCs, what was negotiated out of
// which offers, and where the time went.
package flow

import (
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic/trace"
)

// Connection is what the trace of one side says about a connection.
type Connection struct {
	// Conn is the number of the connection: see [trace.Event].
	Conn uint64

	// Side is the side that the trace is from.
	Side trace.Side

	// Datagrams says that the connection is DTLS.
	Datagrams bool

	// Start is the time of the first event.
	Start time.Time

	// End is the time of the last event.
	End time.Time

	// Steps are what a drawing shows, in order.
	Steps []Step

	// Choices are what the hellos have negotiated.
	Choices []Choice

	// Completed is what the handshake has negotiated, or nil if it did not succeed.
	Completed *trace.Completed

	// Failed is how the connection has failed, or nil.
	Failed *trace.Failed

	// Ended is why the trace does not have the rest: see [trace.End]. Empty means that it does.
	Ended string

	// RoundTrips is how often this side waited for an answer during the handshake.
	// Retransmissions do not count.
	RoundTrips int

	// Handshake is how long the handshake took; without its end, until the last event.
	Handshake time.Duration

	// Times say what the time of Handshake was spent on.
	Times Times

	// Sent is what this side has sent.
	Sent Volume

	// Received is what this side has received and not dropped.
	Received Volume

	// Events are the events of the connection, in order.
	Events []trace.Event
}

// Volume is an amount of records.
type Volume struct {
	// Records is the number of records.
	Records int

	// Bytes is the number of bytes on the wire, in records.
	Bytes int

	// Data is the number of bytes of application data in them.
	Data int
}

// Times are parts of a handshake's time.
type Times struct {
	// Peer is the time spent waiting for the peer: the network, and the peer's own work.
	Peer time.Duration

	// Caller is the time spent waiting for answers of the caller, with Config.Async.
	Caller time.Duration

	// Timers is the time spent waiting for a timer to expire, because something was lost.
	Timers time.Duration

	// Local is the rest: our own work.
	Local time.Duration
}

// Kind is what a Step is.
type Kind string

const (
	// Message is a handshake message.
	Message Kind = "message"
	// CCS is a ChangeCipherSpec.
	CCS Kind = "change_cipher_spec"
	// Data is one or more records of application data in a row.
	Data Kind = "data"
	// Alert is an alert.
	Alert Kind = "alert"
	// ACK is an ACK of DTLS 1.3.
	ACK Kind = "ack"
	// Retransmission is a flight, or a part of it, that is sent again.
	Retransmission Kind = "retransmission"
	// Drop is a received record that was dropped.
	Drop Kind = "drop"
	// Wait is a question for the caller, until it is answered.
	Wait Kind = "wait"
)

// Step is one arrow of a drawing, or a note between two.
type Step struct {
	// Kind is what the step is.
	Kind Kind

	// Time is when it happened.
	Time time.Time

	// From is the side that has sent it. Notes have the side that has told.
	From trace.Side

	// Label is the text on the arrow: "ClientHello", or "unknown_ca".
	Label string

	// Epoch is the epoch of the keys that protect it: see [trace.Record].
	Epoch uint64

	// Flight numbers the flights, from 1: what one side sends before the other answers.
	Flight int

	// Records is how many records of data, or dropped ones, the step stands for.
	Records int

	// Bytes is the size: of the message, of the data, of the dropped records, or of what was
	// sent again.
	Bytes int

	// Duration is how long a Wait has lasted.
	Duration time.Duration

	// Message is the message of a step that is one.
	Message *trace.Message

	// Event is the index in Connection.Events of the event that the step begins with.
	Event int
}

// Notation returns the label as the RFCs write it: {…} is protected by the handshake's keys,
// […] by those of application data, and (…) by those of early data.
func (s *Step) Notation() string {
	switch {
	case s.Epoch == 0 || s.Kind == Drop || s.Kind == Wait || s.Kind == Retransmission:
		return s.Label
	case s.Epoch == 1 && s.Message == nil && s.Kind == Data:
		return "(" + s.Label + ")"
	case s.Epoch == 2:
		return "{" + s.Label + "}"
	}
	return "[" + s.Label + "]"
}

// Connections returns the connections of a trace, in the order of their first events. What belongs to
// none is left out, such as the ClientHellos that Config.AnswerHello has answered.
func Connections(events []trace.Event) []*Connection {
	type key struct {
		conn uint64
		side trace.Side
	}
	known := map[key]*builder{}
	var order []*builder
	for _, e := range events {
		if e.Side == "" {
			continue
		}
		k := key{e.Conn, e.Side}
		b := known[k]
		if b == nil {
			b = &builder{Connection: Connection{Conn: e.Conn, Side: e.Side, Start: e.Time, End: e.Time}}
			known[k], order = b, append(order, b)
		}
		b.add(e)
	}
	list := make([]*Connection, 0, len(order))
	for _, b := range order {
		if b.answersOnly() {
			continue
		}
		b.finish()
		list = append(list, &b.Connection)
	}
	return list
}

// answersOnly reports whether the events of b belong to no connection. Those of a connection include
// that its engine has started.
func (b *builder) answersOnly() bool {
	return b.Conn == 0 && b.Side == trace.Server && !slices.ContainsFunc(b.Events, func(e trace.Event) bool {
		_, started := e.Data.(*trace.State)
		return started
	})
}

// builder makes a Connection of events.
type builder struct {
	Connection
	sending uint64 // the epoch of our sending keys
	flight  int
	last    trace.Side // that has sent something, for flights
	held    []Step     // each a ChangeCipherSpec that goes with what its side sends next
	waiting int        // the step of the question that the caller has not answered, plus 1
	again   int        // the step of the retransmission under way, plus 1
	sent    bool       // we have sent a flight
	done    bool       // the handshake is over
}

func (b *builder) from(sent bool) trace.Side {
	if sent {
		return b.Side
	}
	return b.peer()
}

// add adds an event.
func (b *builder) add(e trace.Event) {
	b.pass(e)
	b.End = e.Time
	b.Events = append(b.Events, e)
	switch d := e.Data.(type) {
	case *trace.Message:
		b.step(Step{Kind: Message, Time: e.Time, From: b.from(d.Sent), Label: d.Type, Epoch: d.Epoch, Bytes: d.Length, Message: d})
	case *trace.Record:
		b.record(e, d)
	case *trace.Alert:
		s := Step{Kind: Alert, Time: e.Time, From: b.from(d.Sent), Label: d.Description, Bytes: 2}
		if last := b.lastRecord(); last != nil && !d.Sent && last.Type == "alert" {
			s.Epoch = last.Epoch
		} else if d.Sent {
			s.Epoch = b.sending
		}
		b.step(s)
	case *trace.KeyChange:
		if d.Sent {
			b.sending = d.Epoch
		}
	case *trace.Retransmission:
		b.note(Step{Kind: Retransmission, Label: d.Trigger, Time: e.Time})
		b.again = len(b.Steps)
	case *trace.Drop:
		b.drop(e, d)
	case *trace.Question:
		if d.Async {
			b.note(Step{Kind: Wait, Label: d.Question, Time: e.Time})
			b.waiting = len(b.Steps)
		}
	case *trace.Answer:
		if b.waiting > 0 {
			s := &b.Steps[b.waiting-1]
			s.Duration, b.waiting = e.Time.Sub(s.Time), 0
		}
	case *trace.Completed:
		b.Completed, b.done = d, true
		b.Handshake = e.Time.Sub(b.Start)
	case *trace.Failed:
		b.Failed = d
	case *trace.Timer:
		b.Datagrams = true
	case *trace.End:
		b.Ended = d.Reason
	}
}

// record adds what is no message: those have steps already.
func (b *builder) record(e trace.Event, r *trace.Record) {
	v := &b.Received
	if r.Sent {
		v = &b.Sent
	}
	v.Records++
	v.Bytes += r.Length
	b.Datagrams = b.Datagrams || len(r.Fragments) > 0
	s := Step{Time: e.Time, From: b.from(r.Sent), Epoch: r.Epoch, Records: 1, Bytes: r.DataLength}
	switch r.Type {
	case "application_data", "encrypted":
		v.Data += r.DataLength
		s.Kind, s.Label = Data, "Application Data"
		if r.Type == "encrypted" {
			s.Label, s.Epoch, s.Bytes, r = "encrypted", 0, r.Length, &trace.Record{DataLength: r.Length}
		}
		if n := len(b.Steps); n > 0 && b.Steps[n-1].Kind == Data && b.Steps[n-1].From == s.From && b.Steps[n-1].Notation() == s.Notation() {
			b.Steps[n-1].Records++
			b.Steps[n-1].Bytes += r.DataLength
			return
		}
	case "change_cipher_spec":
		s.Kind, s.Label = CCS, "ChangeCipherSpec"
	case "ack":
		s.Kind, s.Label = ACK, "ACK"
	default:
		if r.Sent && b.again > 0 {
			b.Steps[b.again-1].Bytes += r.Length
			b.Steps[b.again-1].Records++
		}
		return
	}
	b.step(s)
}

func (b *builder) drop(e trace.Event, d *trace.Drop) {
	if n := len(b.Steps); n > 0 && b.Steps[n-1].Kind == Drop && b.Steps[n-1].Label == d.Reason {
		b.Steps[n-1].Records++
		b.Steps[n-1].Bytes += d.Length
		return
	}
	b.note(Step{Kind: Drop, Label: d.Reason, Time: e.Time, Records: 1, Bytes: d.Length})
}

// note adds a step that is no arrow.
func (b *builder) note(s Step) {
	s.From, s.Flight, s.Event = b.Side, b.flight, len(b.Events)-1
	b.Steps = append(b.Steps, s)
}

// step adds an arrow. A ChangeCipherSpec begins no flight: in TLS 1.3 it means nothing, and
// leaves with the next messages.
func (b *builder) step(s Step) {
	s.Event = len(b.Events) - 1
	if s.From != b.last && s.Kind == CCS {
		b.held = append(b.held, s)
		return
	}
	if s.From != b.last && s.Kind != ACK {
		b.flight++
		b.last = s.From
		if s.From != b.Side && b.sent && !b.done {
			b.RoundTrips++
		}
	}
	b.sent = b.sent || s.From == b.Side
	b.again = 0
	b.release(s.From)
	s.Flight = b.flight
	b.Steps = append(b.Steps, s)
}

// release adds what was held of that side.
func (b *builder) release(from trace.Side) {
	b.held = slices.DeleteFunc(b.held, func(s Step) bool {
		if s.From != from {
			return false
		}
		s.Flight = b.flight
		b.Steps = append(b.Steps, s)
		return true
	})
}

// lastRecord is the record before the last event, or nil.
func (b *builder) lastRecord() *trace.Record {
	if n := len(b.Events); n > 1 {
		r, _ := b.Events[n-2].Data.(*trace.Record)
		return r
	}
	return nil
}

// pass accounts for the time since the last event.
func (b *builder) pass(e trace.Event) {
	d := e.Time.Sub(b.End)
	if d <= 0 || b.done {
		return
	}
	switch data := e.Data.(type) {
	case *trace.Record:
		if data.Sent {
			b.Times.Local += d
		} else {
			b.Times.Peer += d
		}
	case *trace.Drop:
		b.Times.Peer += d
	case *trace.Timer:
		if data.Change == "expired" {
			b.Times.Timers += d
		} else {
			b.Times.Local += d
		}
	case *trace.Answer:
		b.Times.Caller += d
	default:
		b.Times.Local += d
	}
}

// finish completes a connection whose events have ended.
func (b *builder) finish() {
	if !b.done {
		b.Handshake = b.End.Sub(b.Start)
	}
	if b.waiting > 0 {
		s := &b.Steps[b.waiting-1]
		s.Duration = b.End.Sub(s.Time)
	}
	b.release(trace.Client)
	b.release(trace.Server)
	b.Choices = choices(b.Events)
}
