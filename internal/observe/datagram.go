package observe

import (
	"bytes"
	"time"

	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/wire"
	"github.com/hermetic-tls/hermetic/trace"
)

// opener decrypts the records of one epoch.
type opener interface {
	open(in []byte) (record.Number, record.ContentType, []byte, error)
}

// opener12 and opener13 are those of DTLS 1.2 and 1.3. Both decrypt in place.
type (
	opener12 struct{ r *record.Reader12 }
	opener13 struct{ r *record.Reader13 }
)

func (o opener12) open(in []byte) (record.Number, record.ContentType, []byte, error) {
	c, _, _ := record.ParseClassic(in, 0)
	typ, content, err := o.r.Open(&c)
	if err == nil {
		o.r.Mark(c.Number.Sequence)
	}
	return c.Number, typ, content, err
}

func (o opener13) open(in []byte) (record.Number, record.ContentType, []byte, error) {
	u, _, _ := record.ParseUnified(in, 0)
	n, typ, content, err := o.r.Open(&u)
	if err == nil {
		o.r.Mark(n.Sequence)
	}
	return n, typ, content, err
}

// Datagram takes a datagram that a side has sent. Connection IDs are not followed: a record with
// one is encrypted to us.
func (o *Observer) Datagram(at time.Time, from trace.Side, d []byte) {
	o.at = at
	e := o.end(from)
	o.t.NextDatagram()
	o.t.BeginDatagram(0)
	for offset := 0; offset < len(d); {
		rest := d[offset:]
		n, ok := 0, false
		number, typ, content := record.Number{}, record.ContentType(0), []byte(nil)
		if record.IsUnified(rest[0]) {
			var u record.Unified
			if u, n, ok = record.ParseUnified(rest, 0); ok {
				number, typ, content, ok = o.protected(e, epochOf(e, u.EpochBits), rest[:n])
			}
		} else {
			var c record.Classic
			c, n, ok = record.ParseClassic(rest, 0)
			switch {
			case ok && c.Number.Epoch > 0:
				number, typ, content, ok = o.protected(e, c.Number.Epoch, rest[:n])
			case ok:
				number, typ, content = c.Number, c.Type, c.Body
			}
		}
		if n == 0 {
			n = len(rest)
		}
		if ok {
			o.datagram(e, d, offset, n, number, typ, content)
		} else {
			o.hidden(e, bytes.Clone(rest[:n]), offset)
		}
		o.t.Consumed(n)
		offset += n
	}
}

// epochOf is the epoch with these last two bits: the latest that e has begun, or the next one.
func epochOf(e *end, bits uint8) uint64 {
	epoch := e.epoch + 1
	for epoch > 0 && uint8(epoch&3) != bits {
		epoch--
	}
	if epoch == 0 {
		epoch = uint64(bits)
	}
	return epoch
}

// protected decrypts a record, if it can.
func (o *Observer) protected(e *end, epoch uint64, in []byte) (record.Number, record.ContentType, []byte, bool) {
	r := o.reader(e, epoch)
	if r == nil {
		return record.Number{}, 0, nil, false
	}
	number, typ, content, err := r.open(bytes.Clone(in))
	if err != nil {
		return record.Number{}, 0, nil, false
	}
	if epoch > e.epoch {
		e.epoch = epoch
		o.do(func() { o.t.Keys(e.sent, epoch) })
	}
	return number, typ, content, true
}

// reader returns what opens the records of an epoch, or nil.
func (o *Observer) reader(e *end, epoch uint64) opener {
	if r := e.readers[epoch]; r != nil || epoch > applicationEpoch {
		return r
	}
	var r opener
	if o.is13 {
		if keys, _ := o.keys13(e, epoch); keys.Suite != nil {
			r = opener13{record.NewReader13(epoch, keys)}
		}
	} else if keys, ok := o.keys12(e); ok && epoch == 1 {
		r = opener12{record.NewReader12(epoch, keys, nil)}
	}
	if r == nil {
		return nil
	}
	if e.readers == nil {
		e.readers = map[uint64]opener{}
	}
	e.readers[epoch] = r
	return r
}

// datagram takes a record that is open, n bytes of d.
func (o *Observer) datagram(e *end, d []byte, offset, n int, number record.Number, typ record.ContentType, content []byte) {
	o.do(func() {
		if e.sent {
			o.t.SentRecord(typ, number, content, d[:offset+n], offset)
		} else {
			o.t.Opening(d[offset:])
			o.t.ReceivedRecord(typ, number, content, n)
		}
	})
	switch typ {
	case record.Handshake:
		for len(content) > 0 {
			var h wire.FragmentHeader
			fragment, rest, ok := h.Parse(content)
			if !ok {
				return
			}
			content = rest
			e.datagrams.add(h, fragment, func(m wire.Message) { o.message(e, m) })
		}
	case record.Alert:
		o.alert(e, content)
	}
}

// assembly joins the fragments of one side's messages.
type assembly struct {
	next    uint16
	waiting map[uint16]*partial
}

// partial is a message that is not complete.
type partial struct {
	typ  wire.Type
	body []byte
	have []bool
	left int
}

// The limits of an assembly.
const (
	maxAhead = 16
	maxBody  = 1 << 16
)

// add adds a fragment, and delivers the messages that are complete, in order.
func (a *assembly) add(h wire.FragmentHeader, fragment []byte, deliver func(wire.Message)) {
	if h.Seq < a.next || h.Seq-a.next > maxAhead || h.Length > maxBody {
		return
	}
	if a.waiting == nil {
		a.waiting = map[uint16]*partial{}
	}
	p := a.waiting[h.Seq]
	if p == nil {
		p = &partial{typ: h.Type, body: make([]byte, h.Length), have: make([]bool, h.Length), left: h.Length}
		a.waiting[h.Seq] = p
	}
	if p.typ != h.Type || len(p.body) != h.Length {
		return
	}
	copy(p.body[h.Offset:], fragment)
	for i := h.Offset; i < h.Offset+len(fragment); i++ {
		if !p.have[i] {
			p.have[i] = true
			p.left--
		}
	}
	for {
		p := a.waiting[a.next]
		if p == nil || p.left > 0 {
			return
		}
		delete(a.waiting, a.next)
		m := wire.Message{Type: p.typ, Seq: a.next, Body: p.body}
		a.next++
		deliver(m)
	}
}
