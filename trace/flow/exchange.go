package flow

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hermetic-tls/hermetic/trace"
)

// Exchange is a connection as both of its sides tell it, or only one of them.
type Exchange struct {
	// Client is what the client has told, or nil.
	Client *Connection

	// Server is what the server has told, or nil.
	Server *Connection

	// Datagrams are the datagrams that were sent and received, in order. DTLS only.
	Datagrams []Datagram
}

// Views returns the connections that are not nil, the client's first.
func (x *Exchange) Views() []*Connection {
	return slices.DeleteFunc([]*Connection{x.Client, x.Server}, func(c *Connection) bool { return c == nil })
}

// Datagram is a datagram on its way. If only one side has told, the time at the other is not
// known.
type Datagram struct {
	// From is the side that has sent it.
	From trace.Side

	// Sent is when it was sent, or zero if its sender has told nothing.
	Sent time.Time

	// Received is when it was received, or zero if it was not, or if its receiver has told
	// nothing.
	Received time.Time

	// Fate is "received", "lost", "dropped" if its receiver has dropped a part of it, or
	// "unknown" if its receiver has told nothing.
	Fate string

	// Reason is why it was dropped: see [trace.Drop].
	Reason string

	// Again says that all of its messages were sent before.
	Again bool

	// Records is the number of its records.
	Records int

	// Bytes is the number of its bytes.
	Bytes int

	// Labels are what is in it, in order: "ClientHello", "Certificate 0–219 of 800", "ACK".
	Labels []string
}

// Exchanges pairs the two sides of each connection of which both have told: those whose
// ClientHellos have the same random.
func Exchanges(list []*Connection) []*Exchange {
	var all []*Exchange
	waiting := map[string]*Exchange{}
	for _, c := range list {
		id := c.random()
		x := waiting[id]
		if x == nil || id == "" || c.Side == trace.Client && x.Client != nil || c.Side == trace.Server && x.Server != nil {
			x = new(Exchange)
			all = append(all, x)
			waiting[id] = x
		}
		if c.Side == trace.Client {
			x.Client = c
		} else {
			x.Server = c
		}
	}
	for _, x := range all {
		x.datagrams()
	}
	return all
}

// random is that of the ClientHello.
func (c *Connection) random() string {
	for _, e := range c.Events {
		if m, ok := e.Data.(*trace.Message); ok && m.Type == "ClientHello" {
			return value(m, "random")
		}
	}
	return ""
}

// number names a record of one side.
type number struct {
	from            trace.Side
	epoch, sequence uint64
}

// arrivals are what a side has received, and what it has dropped.
type arrivals struct {
	received map[number]time.Time
	sent     map[number]bool
	drops    map[int][]trace.Event // by their length
	late     time.Time             // before that, a server has answered without a trace, if not zero
}

// datagrams finds what became of each datagram.
func (x *Exchange) datagrams() {
	heard := map[trace.Side]*arrivals{}
	for _, c := range x.Views() {
		if c.Datagrams {
			heard[c.Side] = c.arrivals()
		}
	}
	for _, c := range x.Views() {
		if c.Datagrams {
			x.Datagrams = append(x.Datagrams, c.outgoing(heard[c.peer()])...)
			x.Datagrams = append(x.Datagrams, c.incoming(heard[c.peer()])...)
		}
	}
	slices.SortStableFunc(x.Datagrams, func(a, b Datagram) int { return a.when().Compare(b.when()) })
}

// when is when it was sent, as far as that is known.
func (d *Datagram) when() time.Time {
	if d.Sent.IsZero() {
		return d.Received
	}
	return d.Sent
}

func (c *Connection) peer() trace.Side {
	if c.Side == trace.Client {
		return trace.Server
	}
	return trace.Client
}

// arrivals finds what c has received.
func (c *Connection) arrivals() *arrivals {
	a := &arrivals{received: map[number]time.Time{}, sent: map[number]bool{}, drops: map[int][]trace.Event{}}
	if c.Side == trace.Server && c.cookie() {
		a.late = c.Start
	}
	for _, e := range c.Events {
		switch d := e.Data.(type) {
		case *trace.Record:
			if d.Sent {
				a.sent[number{c.Side, d.Epoch, d.Sequence}] = true
				continue
			}
			n := number{c.peer(), d.Epoch, d.Sequence}
			if _, known := a.received[n]; !known {
				a.received[n] = e.Time
			}
		case *trace.Drop:
			a.drops[d.Length] = append(a.drops[d.Length], e)
		}
	}
	return a
}

// cookie reports whether the first ClientHello that c knows is the second one: then
// Config.AnswerHello has answered the first, which keeps nothing.
func (c *Connection) cookie() bool {
	for i := range c.Steps {
		if m := c.Steps[i].Message; m != nil {
			return m.Type == "ClientHello" && m.Sequence > 0
		}
	}
	return false
}

// outgoing are the datagrams that c has sent, and what the other side heard of them.
func (c *Connection) outgoing(heard *arrivals) (list []Datagram) {
	said := map[uint16]int{} // of each message, how much
	for _, e := range c.Events {
		r, ok := e.Data.(*trace.Record)
		if !ok || !r.Sent {
			continue
		}
		if n := len(list); r.Offset == 0 || n == 0 || !list[n-1].Sent.Equal(e.Time) {
			list = append(list, Datagram{From: c.Side, Sent: e.Time, Fate: "unknown", Again: true})
		}
		d := &list[len(list)-1]
		d.add(r, said)
		if heard == nil {
			continue
		}
		d.arrive(heard, number{c.Side, r.Epoch, r.Sequence}, r.Length)
	}
	return list
}

// arrive finds out what became of a record of the datagram.
func (d *Datagram) arrive(heard *arrivals, n number, length int) {
	if at, ok := heard.received[n]; ok {
		d.Received = at
		if d.Fate != "dropped" {
			d.Fate = "received"
		}
		return
	}
	drops := heard.drops[length]
	for len(drops) > 0 && drops[0].Time.Before(d.Sent) {
		drops = drops[1:]
	}
	switch {
	case len(drops) > 0:
		d.Received, d.Fate, d.Reason = drops[0].Time, "dropped", drops[0].Data.(*trace.Drop).Reason
		heard.drops[length] = drops[1:]
	case d.Fate == "unknown" && !d.Sent.Before(heard.late):
		d.Fate = "lost"
	}
}

// incoming are the datagrams that c has received and whose sender has told nothing of them. Those
// that were dropped belong to them if it has told nothing at all.
func (c *Connection) incoming(sender *arrivals) (list []Datagram) {
	said := map[uint16]int{}
	for _, e := range c.Events {
		switch d := e.Data.(type) {
		case *trace.Drop:
			if sender == nil && d.Length > 0 {
				list = append(list, Datagram{
					From: c.peer(), Received: e.Time, Fate: "dropped", Reason: d.Reason, Records: 1, Bytes: d.Length, Labels: []string{"a record"},
				})
			}
		case *trace.Record:
			if d.Sent || sender != nil && sender.sent[number{c.peer(), d.Epoch, d.Sequence}] {
				continue
			}
			if n := len(list); d.Offset == 0 || n == 0 || !list[n-1].Received.Equal(e.Time) || list[n-1].Fate != "received" {
				list = append(list, Datagram{From: c.peer(), Received: e.Time, Fate: "received", Again: true})
			}
			list[len(list)-1].add(d, said)
		}
	}
	return list
}

// add adds a record.
func (d *Datagram) add(r *trace.Record, said map[uint16]int) {
	d.Records++
	d.Bytes += r.Length
	if len(r.Fragments) == 0 {
		label := map[string]string{"application_data": "Application Data", "change_cipher_spec": "ChangeCipherSpec", "ack": "ACK", "alert": "Alert"}[r.Type]
		if label == "" {
			label = strings.ReplaceAll(r.Type, "_", " ")
		}
		d.label(label)
		d.Again = d.Again && label == "ChangeCipherSpec"
		return
	}
	for _, f := range r.Fragments {
		end := f.Offset + f.Length
		before, known := said[f.Sequence]
		d.Again = d.Again && known && end <= before
		said[f.Sequence] = max(end, before)
		if f.Offset == 0 && f.Length == f.Total {
			d.label(f.Type)
		} else {
			d.label(fmt.Sprintf("%s %d–%d of %d", f.Type, f.Offset, end-1, f.Total))
		}
	}
}

// label adds a label, unless it repeats the last one.
func (d *Datagram) label(s string) {
	if n := len(d.Labels); n == 0 || d.Labels[n-1] != s {
		d.Labels = append(d.Labels, s)
	}
}
