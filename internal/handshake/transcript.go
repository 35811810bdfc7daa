package handshake

import (
	"crypto"
	"hash"

	"github.com/hermetic-tls/hermetic/internal/wire"
)

// transcript is the handshake messages so far: as bytes until the ServerHello selects
// their hash, and for as long as TLS 1.2 may have to sign them with another hash.
type transcript struct {
	messages []byte
	first    wire.Message // header of the first message, for DTLS 1.2
	keep     bool         // keep messages beside the hash
	hash     hash.Hash
	buf      [wire.FragmentHeaderLen]byte
	out      [48]byte // of sum and partial: a hash
	headers  wire.Transport
}

// add appends a message.
func (t *transcript) add(m wire.Message) {
	if t.hash == nil {
		if len(t.messages) == 0 {
			t.first = wire.Message{Type: m.Type, Seq: m.Seq}
		}
		t.messages = append(wire.AppendHeader(t.messages, m.Type, len(m.Body)), m.Body...)
		return
	}
	h := t.header(t.buf[:0], m)
	t.hash.Write(h)
	t.hash.Write(m.Body)
	if t.keep {
		t.messages = append(append(t.messages, h...), m.Body...)
	}
}

// header is the message's header as the transcript has it: in DTLS 1.2 that of
// datagrams, as if each message were one fragment.
func (t *transcript) header(b []byte, m wire.Message) []byte {
	if t.headers == wire.Datagram {
		h := wire.FragmentHeader{Type: m.Type, Length: len(m.Body), Seq: m.Seq, FragmentLength: len(m.Body)}
		return h.Append(b)
	}
	return wire.AppendHeader(b, m.Type, len(m.Body))
}

// start selects the hash and the form of the headers. // RFC 9147bis, Section 5.2: DTLS 1.3 hashes those of TLS, DTLS 1.2 its own. One
// message, a ClientHello, has come before it.
func (t *transcript) start(alg crypto.Hash, headers wire.Transport) {
	hello := t.messages[4:]
	t.hash, t.headers, t.messages = alg.New(), headers, nil
	t.add(wire.Message{Type: t.first.Type, Seq: t.first.Seq, Body: hello})
}

// partial is the transcript hash up to a part of the next message, for a PSK's
// binder, valid like sum. The hash may not be known yet: a first ClientHello
// begins it.
func (t *transcript) partial(alg crypto.Hash, part []byte) []byte {
	h := alg.New()
	if t.hash != nil {
		clone, err := t.hash.(hash.Cloner).Clone()
		if err != nil {
			panic(err) // the standard library's hashes can
		}
		h = clone
	}
	h.Write(part)
	return h.Sum(t.out[:0])
}

// forget empties a transcript: RFC 6347, Section 4.2.1, omits the first
// ClientHello and the HelloVerifyRequest.
func (t *transcript) forget() { *t = transcript{keep: t.keep} }

// retry replaces the first ClientHello with its hash: RFC 9846, Section 4.1.
func (t *transcript) retry() {
	sum := t.sum()
	t.hash.Reset()
	t.add(wire.Message{Type: wire.TypeMessageHash, Body: sum})
}

// resume starts the transcript of a server that kept nothing of the first ClientHello
// except its hash, which is in the cookie.
func (t *transcript) resume(alg crypto.Hash, firstHello []byte) {
	*t = transcript{hash: alg.New()}
	t.add(wire.Message{Type: wire.TypeMessageHash, Body: firstHello})
}

// release ends keep: no other hash is needed anymore.
func (t *transcript) release() { t.keep, t.messages = false, nil }

// sum is the current transcript hash, valid until the next call of sum or partial.
func (t *transcript) sum() []byte { return t.hash.Sum(t.out[:0]) }
