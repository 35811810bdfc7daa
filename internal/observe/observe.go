// Package observe makes the events of package trace out of bytes that two other endpoints send
// each other: unencrypted messages always, and the rest with the secrets of a key log.
package observe

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/tracer"
	"github.com/hermetic-tls/hermetic/internal/wire"
	"github.com/hermetic-tls/hermetic/trace"
)

// maxBuffered bounds what an end has sent and that is not a whole message, in bytes.
const maxBuffered = 1 << 17

// The epochs of TLS 1.3. In TLS 1.2 there is only the first one, which is 1 too.
const earlyEpoch, handshakeEpoch, applicationEpoch = 1, 2, 3

// An Observer follows one connection. Its events are told as the client would tell them: what the
// client sends is sent.
type Observer struct {
	t       *tracer.Tracer
	sink    func(trace.Event)
	secrets *KeyLog
	at      time.Time
	prefix  suite.Prefix

	client, server end
	random         [2][]byte // of the client and the server
	suite          *suite.Suite
	is13           bool
	done           trace.Completed // as far as it is known
	over           bool            // completed or failed
	foreign        bool            // it is no TLS
	encrypted      bool            // something could not be decrypted
}

// end is one of the two sides, and what it has sent.
type end struct {
	sent     bool // by the client
	finished bool
	input    []byte // a part of a record
	messages []byte // a part of a message
	epoch    uint64
	stream   record.Stream
	secret   []byte // the current traffic secret of TLS 1.3

	datagrams assembly
	readers   map[uint64]opener
}

// New returns an Observer of the connection of that number. A nil log has no secrets.
func New(sink func(trace.Event), conn uint64, t wire.Transport, log *KeyLog) *Observer {
	o := &Observer{sink: sink, secrets: log, prefix: suite.TLS}
	if t == wire.Datagram {
		o.prefix = suite.DTLS
	}
	o.client.sent = true
	o.t = tracer.New(o.tell, func() time.Time { return o.at }, conn, false, t)
	o.do(func() { o.t.State("started", 0) })
	return o
}

// end returns the side.
func (o *Observer) end(from trace.Side) *end {
	if from == trace.Client {
		return &o.client
	}
	return &o.server
}

// do tells what f tells.
func (o *Observer) do(f func()) {
	if o.t.Enter() {
		defer o.t.Leave()
	}
	f()
}

// tell passes an event on, and learns from it.
func (o *Observer) tell(e trace.Event) {
	o.sink(e)
	if m, ok := e.Data.(*trace.Message); ok {
		o.learn(m)
	}
}

// value is the value of a field, or "".
func value(m *trace.Message, path ...string) string {
	if f := m.Field(path...); f != nil {
		return f.Value
	}
	return ""
}

// bare is a value without its number.
func bare(s string) string {
	name, _, _ := strings.Cut(s, " (0x")
	return name
}

// learn learns what was negotiated.
func (o *Observer) learn(m *trace.Message) {
	switch m.Type {
	case "ClientHello":
		o.random[0] = randomOf(m)
		o.done.ServerName = value(m, "extensions", "server_name", "server_name_list", "host_name")
	case "HelloRetryRequest":
		o.done.HelloRetryRequest = true
	case "ServerHello":
		o.serverHello(m)
	case "EncryptedExtensions":
		o.done.Protocol = cmp.Or(o.done.Protocol, value(m, "extensions", "application_layer_protocol_negotiation", "protocol_name_list", "protocol_name"))
	case "ServerKeyExchange":
		o.done.Group = bare(value(m, "named_curve"))
	}
}

// The random of a hello follows its type, length and version.
const random, randomEnd = 4 + 2, 4 + 2 + 32

// randomOf is the random of a hello, or nil.
func randomOf(m *trace.Message) []byte {
	if len(m.Raw) <= randomEnd {
		return nil
	}
	return m.Raw[random:randomEnd]
}

func (o *Observer) serverHello(m *trace.Message) {
	if o.random[1] = randomOf(m); o.random[1] == nil {
		return
	}
	selected := value(m, "extensions", "supported_versions", "selected_version")
	o.is13 = selected != ""
	o.done.Version = bare(cmp.Or(selected, value(m, "legacy_version")))
	o.done.CipherSuite = bare(value(m, "cipher_suite"))
	o.done.Group = bare(value(m, "extensions", "key_share", "key_share_entry", "group"))
	o.done.Protocol = value(m, "extensions", "application_layer_protocol_negotiation", "protocol_name_list", "protocol_name")
	o.done.Resumed = o.is13 && m.Field("extensions", "pre_shared_key") != nil
	if at := randomEnd + 1 + int(m.Raw[randomEnd]); at+2 <= len(m.Raw) {
		o.suite = suite.ByID(binary.BigEndian.Uint16(m.Raw[at:]))
	}
}

// message takes a whole message of e.
func (o *Observer) message(e *end, m wire.Message) {
	o.do(func() {
		if e.sent {
			o.t.MessageSent(wire.AppendMessage(nil, m.Type, m.Body), m.Seq)
		} else {
			o.t.MessageReceived(m)
		}
	})
	if m.Type == wire.TypeFinished {
		e.finished = true
		o.complete()
	}
}

// complete tells of the end of the handshake once both have sent Finished.
func (o *Observer) complete() {
	if o.over || !o.client.finished || !o.server.finished {
		return
	}
	o.over = true
	done := o.done
	o.do(func() { o.t.Tell(&done) })
}

// alert takes an alert of e.
func (o *Observer) alert(e *end, content []byte) {
	if len(content) != 2 {
		return
	}
	d := alert.Description(content[1])
	o.do(func() { o.t.Alert(e.sent, content[0], d) })
	if o.over || d == alert.CloseNotify || content[0] == alert.LevelWarning && !o.is13 {
		return
	}
	o.over = true
	from := trace.Server
	if e.sent {
		from = trace.Client
	}
	o.do(func() {
		o.t.Tell(&trace.Failed{Alert: d.String(), Received: !e.sent, Cause: fmt.Sprintf("the %s sent the alert %s", from, d)})
	})
}

// Close ends the connection. It says so if the outcome is hidden.
func (o *Observer) Close(at time.Time) {
	o.at = at
	reason := ""
	switch {
	case o.over:
		return
	case o.foreign:
		reason = "foreign"
	case o.encrypted:
		reason = "encrypted"
	default:
		return
	}
	o.do(func() { o.t.Tell(&trace.End{Reason: reason}) })
}

// ClientRandom is the random of the ClientHello, which a key log knows the connection by, or nil.
func (o *Observer) ClientRandom() []byte { return o.random[0] }

// hidden tells of a record that could not be decrypted.
func (o *Observer) hidden(e *end, rec []byte, offset int) {
	o.encrypted = true
	o.do(func() {
		o.t.Tell(&trace.Record{Sent: e.sent, Type: "encrypted", Epoch: e.epoch, Length: len(rec), Offset: offset, Bytes: rec})
	})
}

// label is the label in a key log of the traffic secret of e for an epoch.
func (e *end) label(epoch uint64) string {
	side := "SERVER"
	if e.sent {
		side = "CLIENT"
	}
	switch epoch {
	case earlyEpoch:
		return "CLIENT_EARLY_TRAFFIC_SECRET"
	case handshakeEpoch:
		return side + "_HANDSHAKE_TRAFFIC_SECRET"
	}
	return side + "_TRAFFIC_SECRET_0"
}
