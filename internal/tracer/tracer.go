// Package tracer makes the events of package trace. A nil *Tracer means that tracing is off:
// on the path of records callers compare it with nil, and elsewhere its methods do nothing.
package tracer

import (
	"bytes"
	"strconv"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
	"github.com/hermetic-tls/hermetic/trace"
)

// Tracer collects the events of one connection. It delivers them at the end of a call of the
// engine, when a sink that panics, or calls the engine, finds it in a consistent state.
type Tracer struct {
	sink func(trace.Event)
	now  func() time.Time
	conn uint64
	side trace.Side

	busy       bool // a call of the engine is under way
	delivering bool
	queue      []trace.Event

	transport wire.Transport
	version   uint16       // 0 until the hellos have agreed
	suite     *suite.Suite // nil until the ServerHello

	read, write direction
	input       []byte // a copy of what is being opened
	datagramOut int    // where the datagram begins that is being made
	datagramIn  int    // how much of the received datagram was opened before
	timers      [timers]time.Time
	state       string
	expects     wire.TypeSet
}

// direction is what is known of the records of one direction.
type direction struct {
	epoch uint64
	clear uint64 // unprotected records of a stream so far
}

// New returns a Tracer. conn is the connection's number.
func New(sink func(trace.Event), now func() time.Time, conn uint64, server bool, t wire.Transport) *Tracer {
	side := trace.Client
	if server {
		side = trace.Server
	}
	return &Tracer{sink: sink, now: now, conn: conn, side: side, transport: t}
}

// Conn returns the connection's number, or 0 if tracing is off.
func (t *Tracer) Conn() uint64 {
	if t == nil {
		return 0
	}
	return t.conn
}

// Enter begins a call of the engine. It reports whether the call is the outermost one: then it
// ends with Leave.
func (t *Tracer) Enter() bool {
	if t == nil || t.busy {
		return false
	}
	t.busy = true
	return true
}

// Leave delivers the events of a call, unless the call came from the sink: then its events
// follow those that are being delivered. When the sink panics, the rest is delivered by the
// next call.
func (t *Tracer) Leave() {
	t.busy = false
	if t.delivering {
		return
	}
	t.delivering = true
	defer func() { t.delivering = false }()
	for len(t.queue) > 0 {
		e := t.queue[0]
		t.queue[0] = trace.Event{}
		t.queue = t.queue[1:]
		t.sink(e)
	}
	t.queue = nil
}

// Tell adds an event.
func (t *Tracer) Tell(d trace.Data) {
	if t != nil {
		t.queue = append(t.queue, trace.Event{Time: t.now().UTC().Round(0), Conn: t.conn, Side: t.side, Data: d})
	}
}

// Agreed notes what another engine has negotiated before, and the epochs of both directions.
func (t *Tracer) Agreed(c *suite.Suite, read, write uint64) {
	if t == nil {
		return
	}
	t.version, t.suite = c.Version, c
	if c.Version == wire.VersionTLS13 {
		read, write = max(read, applicationEpoch), max(write, applicationEpoch)
	}
	t.read.epoch, t.write.epoch = max(read, 1), max(write, 1)
}

// State notes a state, unless it is the current one.
func (t *Tracer) State(state string, want wire.TypeSet) {
	if t == nil {
		return
	}
	if state == t.state && want == t.expects {
		return
	}
	t.state, t.expects = state, want
	s := &trace.State{State: state}
	for typ := range wire.Type(32) {
		if want.Has(typ) {
			s.Expects = append(s.Expects, typ.String())
		}
	}
	t.Tell(s)
}

// The names of content types.
var contentTypes = map[record.ContentType]string{
	record.ChangeCipherSpec: "change_cipher_spec", record.Alert: "alert", record.Handshake: "handshake",
	record.ApplicationData: "application_data", record.TLS12CID: "tls12_cid", record.ACK: "ack",
	record.RRC: "return_routability_check",
}

func contentType(c record.ContentType) string {
	if name, ok := contentTypes[c]; ok {
		return name
	}
	return "content type " + strconv.Itoa(int(c))
}

// BeginDatagram notes that the datagram to be made begins at that length of the output.
func (t *Tracer) BeginDatagram(at int) {
	if t != nil {
		t.datagramOut = at
	}
}

// SentRecord tells of the record that dst has from at on.
func (t *Tracer) SentRecord(typ record.ContentType, n record.Number, content, dst []byte, at int) {
	r := &trace.Record{
		Sent: true, Type: contentType(typ), Epoch: n.Epoch, Sequence: n.Sequence, Length: len(dst) - at, DataLength: len(content),
		Offset: at - t.datagramOut, Bytes: bytes.Clone(dst[at:]),
	}
	if typ == record.Handshake {
		r.Fragments = fragments(content)
	}
	t.Tell(r)
}

// SentStream is SentRecord over a stream. sequence is the record's number if it is protected.
func (t *Tracer) SentStream(typ record.ContentType, protected bool, sequence uint64, content, rec []byte) {
	n := t.write.number(protected, sequence)
	t.Tell(&trace.Record{
		Sent: true, Type: contentType(typ), Epoch: n.Epoch, Sequence: n.Sequence, Length: len(rec), DataLength: len(content), Bytes: bytes.Clone(rec),
	})
}

// number returns the number of a record of a stream.
func (d *direction) number(protected bool, sequence uint64) record.Number {
	if protected {
		return record.Number{Epoch: d.epoch, Sequence: sequence}
	}
	d.clear++
	return record.Number{Sequence: d.clear - 1}
}

// NextDatagram notes that another datagram is opened.
func (t *Tracer) NextDatagram() {
	if t != nil {
		t.datagramIn = 0
	}
}

// Consumed notes how much of a datagram a record has taken.
func (t *Tracer) Consumed(n int) {
	if t != nil {
		t.datagramIn += n
	}
}

// Opening copies what is about to be decrypted in place.
func (t *Tracer) Opening(in []byte) { t.input = bytes.Clone(in) }

// ReceivedRecord tells of the record that was opened, the first n bytes of the input.
func (t *Tracer) ReceivedRecord(typ record.ContentType, number record.Number, content []byte, n int) {
	r := &trace.Record{
		Type: contentType(typ), Epoch: number.Epoch, Sequence: number.Sequence, Length: n, DataLength: len(content),
		Offset: t.datagramIn, Bytes: t.input[:n:n],
	}
	if typ == record.Handshake {
		r.Fragments = fragments(content)
	}
	t.input = nil
	t.Tell(r)
}

// ReceivedStream is ReceivedRecord over a stream.
func (t *Tracer) ReceivedStream(typ record.ContentType, protected bool, sequence uint64, content []byte) {
	n := t.read.number(protected, sequence)
	t.Tell(&trace.Record{
		Type: contentType(typ), Epoch: n.Epoch, Sequence: n.Sequence, Length: len(t.input), DataLength: len(content), Bytes: t.input,
	})
	t.input = nil
}

// fragments are those of a handshake record.
func fragments(content []byte) (list []trace.Fragment) {
	for len(content) > 0 && len(list) < maxFragments {
		var h wire.FragmentHeader
		_, rest, ok := h.Parse(content)
		if !ok {
			return list
		}
		content = rest
		list = append(list, trace.Fragment{Type: h.Type.String(), Sequence: h.Seq, Offset: h.Offset, Length: h.FragmentLength, Total: h.Length})
	}
	return list
}

// maxFragments bounds the fragments of one record.
const maxFragments = 64

// Skipped tells of early data that was dropped.
func (t *Tracer) Skipped() {
	t.Tell(&trace.Drop{Reason: "early_data", Length: len(t.input), Bytes: t.input})
	t.input = nil
}

// dropReasons are the names of record.Drop.
var dropReasons = map[record.Drop]string{
	record.Malformed: "malformed", record.Foreign: "foreign", record.NoKeys: "no_keys", record.Forged: "forged",
	record.Replayed: "replayed", record.Unprotected: "unprotected", record.Misplaced: "misplaced",
}

// Dropped tells of a record of n bytes that was dropped. A record that was opened has its bytes
// in an event already.
func (t *Tracer) Dropped(why record.Drop, n int) {
	if t == nil {
		return
	}
	d := &trace.Drop{Reason: dropReasons[why], Length: n, Offset: t.datagramIn}
	if t.input != nil && n > 0 {
		d.Bytes = t.input[:n:n]
		t.input = nil
	}
	t.Tell(d)
}

// Keys tells of new keys, for sending or receiving. In TLS 1.2 level is that of the epoch too.
func (t *Tracer) Keys(sent bool, epoch uint64) {
	if t == nil {
		return
	}
	d, sender := &t.read, t.peer()
	if sent {
		d, sender = &t.write, t.side
	}
	d.epoch = epoch
	t.Tell(&trace.KeyChange{Sent: sent, Secret: t.secret(sender, epoch), Epoch: epoch})
}

// KeysOfStream is Keys for a stream, whose records do not name their epoch. level is that of
// the new keys.
func (t *Tracer) KeysOfStream(sent bool, level uint64) {
	if t == nil {
		return
	}
	epoch := t.read.epoch
	if sent {
		epoch = t.write.epoch
	}
	if t.version == wire.VersionTLS12 {
		t.Keys(sent, 1)
		return
	}
	if level >= applicationEpoch {
		level = max(level, epoch+1)
	}
	t.Keys(sent, level)
}

// The epochs of TLS 1.3: see handshake.Level.
const earlyEpoch, handshakeEpoch, applicationEpoch = 1, 2, 3

func (t *Tracer) peer() trace.Side {
	if t.side == trace.Client {
		return trace.Server
	}
	return trace.Client
}

// secret is what the keys of an epoch are derived from.
func (t *Tracer) secret(sender trace.Side, epoch uint64) string {
	switch {
	case epoch == 0:
		return "none"
	case t.version == wire.VersionTLS12:
		return string(sender) + "_write_key"
	case epoch == earlyEpoch:
		return "client_early_traffic_secret"
	case epoch == handshakeEpoch:
		return string(sender) + "_handshake_traffic_secret"
	}
	return string(sender) + "_application_traffic_secret_" + strconv.FormatUint(epoch-applicationEpoch, 10)
}

// Alert tells of an alert.
func (t *Tracer) Alert(sent bool, level byte, d alert.Description) {
	if t == nil {
		return
	}
	name := "fatal"
	if level == alert.LevelWarning {
		name = "warning"
	}
	t.Tell(&trace.Alert{Sent: sent, Level: name, Description: d.String(), Number: uint8(d)})
}

// The timers.
const (
	Retransmission = iota
	Acknowledgment
	Peer

	timers
)

var timerNames = [timers]string{"retransmission", "acknowledgment", "peer"}

// Timer tells of a timer, if it has changed. ok is false if it does not run.
func (t *Tracer) Timer(which int, deadline time.Time, ok bool) {
	if !ok {
		deadline = time.Time{}
	}
	if t.timers[which].Equal(deadline) {
		return
	}
	t.timers[which] = deadline
	d := &trace.Timer{Timer: timerNames[which], Change: "armed", Deadline: deadline.UTC().Round(0)}
	if !ok {
		d.Change, d.Deadline = "stopped", time.Time{}
	}
	t.Tell(d)
}

// Expired tells of a timer that has expired.
func (t *Tracer) Expired(which int) {
	if t != nil {
		t.timers[which] = time.Time{}
		t.Tell(&trace.Timer{Timer: timerNames[which], Change: "expired"})
	}
}

// Repeats tells that our flight is sent again.
func (t *Tracer) Repeats(trigger string, attempt int) {
	if t != nil {
		t.Tell(&trace.Retransmission{Trigger: trigger, Attempt: attempt})
	}
}

// MTU tells of another size of datagrams, and Path of another change of the path.
func (t *Tracer) MTU(bytes int) {
	if t != nil {
		t.Tell(&trace.Path{Change: "mtu", MTU: bytes})
	}
}

// Path tells of a change of the path, with the connection ID that it is about.
func (t *Tracer) Path(change string, cid []byte) {
	if t != nil {
		t.Tell(&trace.Path{Change: change, ConnectionID: bytes.Clone(cid)})
	}
}

// MessageSent tells of a message in the form that it has over a stream.
func (t *Tracer) MessageSent(msg []byte, seq uint16) {
	if t != nil {
		t.Tell(t.message(true, msg, seq))
	}
}

// MessageReceived tells of a message.
func (t *Tracer) MessageReceived(m wire.Message) {
	if t != nil {
		t.Tell(t.message(false, wire.AppendMessage(nil, m.Type, m.Body), m.Seq))
	}
}

// maxRaw bounds Message.Raw: a Certificate may be as large as its Config permits.
const maxRaw = 1 << 16

func (t *Tracer) message(sent bool, msg []byte, seq uint16) *trace.Message {
	d, name := &t.read, wire.Type(msg[0]).String()
	if sent {
		d = &t.write
	}
	m := &trace.Message{Sent: sent, Type: name, Epoch: d.epoch, Sequence: seq, Length: len(msg), Raw: bytes.Clone(msg[:min(len(msg), maxRaw)])}
	t.dissect(m)
	return m
}
