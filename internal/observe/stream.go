package observe

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
	"github.com/hermetic-tls/hermetic/trace"
)

// Bytes takes what a side has sent over a stream.
func (o *Observer) Bytes(at time.Time, from trace.Side, data []byte) {
	o.at = at
	e := o.end(from)
	if o.foreign {
		return
	}
	e.input = append(e.input, data...)
	for len(e.input) >= record.HeaderLen {
		n := record.HeaderLen + int(binary.BigEndian.Uint16(e.input[3:]))
		if typ := record.ContentType(e.input[0]); typ < record.ChangeCipherSpec || typ > record.ApplicationData || e.input[1] != 3 ||
			n > record.HeaderLen+record.MaxPlaintext+record.MaxOverhead12 {
			o.foreign, e.input = true, nil
			return
		}
		if len(e.input) < n {
			return
		}
		rec := bytes.Clone(e.input[:n])
		e.input = e.input[n:]
		o.record(e, rec)
	}
}

// record takes a record of a stream.
func (o *Observer) record(e *end, rec []byte) {
	typ, content, ok := o.open(e, rec)
	if !ok {
		o.hidden(e, rec, 0)
		return
	}
	o.do(func() {
		protected := e.stream.Protected() && !(o.is13 && typ == record.ChangeCipherSpec)
		sequence := max(e.stream.Sequence(), 1) - 1
		if e.sent {
			o.t.SentStream(typ, protected, sequence, content, rec)
		} else {
			o.t.Opening(rec)
			o.t.ReceivedStream(typ, protected, sequence, content)
		}
	})
	switch typ {
	case record.Handshake:
		o.messages(e, content)
	case record.Alert:
		o.alert(e, content)
	case record.ChangeCipherSpec:
		if !o.is13 && o.suite != nil {
			o.change12(e)
		}
	}
}

// open decrypts a record, if it can.
func (o *Observer) open(e *end, rec []byte) (record.ContentType, []byte, bool) {
	typ := record.ContentType(rec[0])
	switch {
	case typ == record.ChangeCipherSpec && !e.stream.Protected(), typ == record.ChangeCipherSpec && o.is13:
		return typ, rec[record.HeaderLen:], true
	case !o.is13 && !e.stream.Protected() && e.epoch == 0 && typ != record.ApplicationData:
		return typ, rec[record.HeaderLen:], true
	case o.is13 && e.epoch == 0 && typ != record.ApplicationData:
		return typ, rec[record.HeaderLen:], true
	}
	if e.stream.Protected() {
		if typ, content, err := e.stream.Open(bytes.Clone(rec)); err == nil {
			return typ, content, true
		}
	}
	// The next keys, or those after them: early data may have been rejected.
	for epoch := e.epoch + 1; epoch <= applicationEpoch && (o.is13 || e.sent); epoch++ {
		keys, secret := o.keys13(e, epoch)
		if keys.Suite == nil {
			continue
		}
		var probe record.Stream
		probe.Install(keys)
		if typ, content, err := probe.Open(bytes.Clone(rec)); err == nil {
			e.stream, e.secret, e.epoch = probe, secret, epoch
			o.do(func() { o.t.KeysOfStream(e.sent, epoch) })
			return typ, content, true
		}
	}
	return 0, nil, false
}

// keys13 are the keys of TLS 1.3 for an epoch, if the key log has their secret. Those of early data
// are of a cipher suite that only the session knows: it is found by its secret's size and by trial,
// once the ServerHello has said which one.
func (o *Observer) keys13(e *end, epoch uint64) (suite.Keys, []byte) {
	if o.suite == nil || !o.is13 || epoch == earlyEpoch && !e.sent {
		return suite.Keys{}, nil
	}
	secret := o.secrets.secret(e.label(epoch), o.random[0], o.suite.Hash.Size())
	if secret == nil {
		return suite.Keys{}, nil
	}
	return o.suite.TrafficKeys(o.prefix, secret), secret
}

// change12 begins the keys of TLS 1.2, after a ChangeCipherSpec.
func (o *Observer) change12(e *end) {
	e.epoch = 1
	if keys, ok := o.keys12(e); ok {
		e.stream.Install(keys)
	}
	o.do(func() { o.t.Keys(e.sent, 1) })
}

// keys12 are the keys of TLS 1.2, if the key log has the secret.
func (o *Observer) keys12(e *end) (suite.Keys, bool) {
	if o.suite == nil || o.is13 {
		return suite.Keys{}, false
	}
	secret := o.secrets.secret("CLIENT_RANDOM", o.random[0], 0)
	if secret == nil {
		return suite.Keys{}, false
	}
	client, server := o.suite.Keys12(secret, o.random[0], o.random[1])
	if e.sent {
		return client, true
	}
	return server, true
}

// messages takes the content of handshake records.
func (o *Observer) messages(e *end, content []byte) {
	const header = 4
	e.messages = append(e.messages, content...)
	for len(e.messages) >= header {
		n := header + int(e.messages[1])<<16 + int(binary.BigEndian.Uint16(e.messages[2:]))
		if len(e.messages) < n {
			break
		}
		m := wire.Message{Type: wire.Type(e.messages[0]), Body: bytes.Clone(e.messages[header:n])}
		e.messages = e.messages[n:]
		o.message(e, m)
		if m.Type == wire.TypeKeyUpdate && e.secret != nil {
			suite.UpdateTrafficSecret(o.suite.Hash, o.prefix, e.secret)
			e.stream.Install(o.suite.TrafficKeys(o.prefix, e.secret))
			e.epoch++
			o.do(func() { o.t.KeysOfStream(e.sent, e.epoch) })
		}
	}
	if len(e.messages) > maxBuffered {
		e.messages, o.foreign = nil, true
	}
}
