package hermetic

import (
	"cmp"
	"iter"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// AnswerHello answers a datagram from an unknown peer of a DTLS server. It needs no engine and
// keeps nothing. peerID identifies where the datagram came from, such as the address.
//
// If ok is true, the datagram has a ClientHello with a good cookie: make an engine, and call its
// [Engine.SetPeerID] with peerID and its [Engine.Open] with the datagram. Otherwise send the
// answer back, unless it is empty. It is appended to dst, and never larger than the datagram. It
// requests a cookie, or is an alert if the ClientHello offers nothing that we support.
//
// A fragmented ClientHello must have its cookie in the first fragments, those that this datagram
// has without a gap. A datagram without the start of a ClientHello gets no answer. DTLS only.
//
// [Config.Trace] gets events for each ClientHello that is answered, and for the answer, with
// connection number 0. Anyone can cause any number of them.
func (c *Config) AnswerHello(dst, peerID, datagram []byte) (answer []byte, ok bool) {
	plan, err := c.plan()
	if err != nil {
		return dst, false
	}
	h, found := findHello(datagram)
	if !found {
		return dst, false
	}
	jar := &cookieJar{c, peerID, c.now()}
	var message []byte // or alert
	var verdict handshake.Verdict
	if len(h.start) < h.length {
		message, verdict = handshake.AnswerFragment(&plan.server, jar, h.start)
	} else {
		message, verdict = handshake.AnswerHello(&plan.server, jar, h.start)
	}
	switch verdict {
	case handshake.Welcome:
		return dst, h.seq > 0 // the first hello cannot have our cookie
	case handshake.Refuse:
		answer = appendClear(dst, record.Alert, h.number, message)
		c.traceHello(datagram, &h, message, answer, len(dst))
		return answer, false
	case handshake.Answer:
		// The answer has the hello's message_seq: a client whose cookie has expired
		// would take message_seq 0 for a repetition of the first answer.
		header := wire.FragmentHeader{Type: wire.Type(message[0]), Seq: h.seq, Length: len(message) - 4, FragmentLength: len(message) - 4}
		out := appendClear(dst, record.Handshake, h.number, append(header.Append(nil), message[4:]...))
		if len(out)-len(dst) <= len(datagram) {
			c.traceHello(datagram, &h, message, out, len(dst))
			return out, false
		}
	}
	return dst, false
}

// foundHello is the part of a ClientHello that a datagram has.
type foundHello struct {
	number record.Number // of the record with its first byte
	seq    uint16
	length int    // of the whole message
	start  []byte // the message up to the first gap
}

// findHello looks for a ClientHello in a datagram. Of several it returns the newest: the
// one that may have a cookie.
func findHello(datagram []byte) (h foundHello, ok bool) {
	var fragments []helloFragment
	for f := range helloFragments(datagram) {
		switch {
		case len(fragments) == 0 || f.Seq > h.seq:
			h = foundHello{seq: f.Seq, length: f.Length}
			fragments = fragments[:0]
		case f.Seq < h.seq || f.Length != h.length:
			continue
		}
		fragments = append(fragments, f)
	}
	slices.SortStableFunc(fragments, func(a, b helloFragment) int { return cmp.Compare(a.Offset, b.Offset) })
	for i, f := range fragments {
		have := len(h.start)
		switch {
		case i == 0 && f.Offset == 0:
			h.number, h.start = f.number, slices.Clip(f.data) // usually the only one
		case f.Offset <= have && f.Offset+len(f.data) > have:
			h.start = append(h.start, f.data[have-f.Offset:]...)
		}
	}
	return h, len(h.start) > 0
}

// helloFragment is a fragment of a ClientHello, and the number of its record.
type helloFragment struct {
	wire.FragmentHeader
	number record.Number
	data   []byte
}

// helloFragments yields the fragments of ClientHellos in a datagram, until something does
// not parse. A datagram may have many records and a record many fragments, and some
// transports join datagrams.
func helloFragments(datagram []byte) iter.Seq[helloFragment] {
	return func(yield func(helloFragment) bool) {
		for len(datagram) > 0 {
			r, n, ok := record.ParseClassic(datagram, 0)
			if !ok {
				return
			}
			datagram = datagram[n:]
			if r.Type != record.Handshake || r.Number.Epoch != 0 {
				continue
			}
			for b := r.Body; len(b) > 0; {
				f := helloFragment{number: r.Number}
				if f.data, b, ok = f.Parse(b); !ok {
					return
				}
				if f.Type == wire.TypeClientHello && !yield(f) {
					return
				}
			}
		}
	}
}

// appendClear appends an unprotected record, with the number of the record that
// it answers (RFC 6347, Section 4.2.1).
func appendClear(dst []byte, typ record.ContentType, number record.Number, body []byte) []byte {
	var clear record.Clear
	clear.StartAt(number.Sequence)
	out, err := clear.Seal(dst, typ, body)
	if err != nil {
		return dst
	}
	return out
}
