package wire

import (
	"iter"

	"github.com/hermetic-tls/hermetic/internal/codec"
)

// NewSessionTicket13 is RFC 9846, Section 4.7.1.
type NewSessionTicket13 struct {
	Lifetime     uint32 // seconds
	AgeAdd       uint32
	Nonce        []byte
	Ticket       []byte
	Has          ExtensionSet
	MaxEarlyData uint32
}

func (m *NewSessionTicket13) Parse(body []byte) error {
	*m = NewSessionTicket13{}
	c := parser("NewSessionTicket", body)
	m.fields(&c)
	c.only(inNewSessionTicket, m.Has)
	return c.end()
}

func (m *NewSessionTicket13) Append(b []byte) []byte {
	c := appender(b, TypeNewSessionTicket)
	m.fields(&c)
	return c.message()
}

func (m *NewSessionTicket13) fields(c *coder) {
	c.Uint32(&m.Lifetime)
	c.Uint32(&m.AgeAdd)
	c.Vec8(&m.Nonce)
	c.Filled16(&m.Ticket)
	c.illegalTwice = true
	c.extensions(&m.Has, inNewSessionTicket, func(e Extension) {
		if e == ExtEarlyData {
			c.Uint32(&m.MaxEarlyData)
		} else {
			c.Skip() // unrecognized extensions are ignored
		}
	})
}

// NewSessionTicket12 is RFC 5077, Section 3.3.
type NewSessionTicket12 struct {
	Lifetime uint32 // seconds, a hint
	Ticket   []byte
}

func (m *NewSessionTicket12) Parse(body []byte) error {
	c := parser("NewSessionTicket", body)
	m.fields(&c)
	return c.end()
}

func (m *NewSessionTicket12) Append(b []byte) []byte {
	c := appender(b, TypeNewSessionTicket)
	m.fields(&c)
	return c.message()
}

func (m *NewSessionTicket12) fields(c *coder) {
	c.Uint32(&m.Lifetime)
	c.Vec16(&m.Ticket)
}

// KeyUpdate is RFC 9846, Section 4.7.3.
type KeyUpdate struct {
	RequestUpdate uint8 // 0 or 1; another value is illegal_parameter
}

func (m *KeyUpdate) Parse(body []byte) error {
	c := parser("KeyUpdate", body)
	c.Uint8(&m.RequestUpdate)
	return c.end()
}

func (m *KeyUpdate) Append(b []byte) []byte {
	return AppendMessage(b, TypeKeyUpdate, []byte{m.RequestUpdate})
}

// RequestConnectionID is RFC 9147bis, Section 9.
type RequestConnectionID struct {
	Count uint8
}

func (m *RequestConnectionID) Parse(body []byte) error {
	c := parser("RequestConnectionId", body)
	c.Uint8(&m.Count)
	return c.end()
}

func (m *RequestConnectionID) Append(b []byte) []byte {
	return AppendMessage(b, TypeRequestConnectionID, []byte{m.Count})
}

// NewConnectionID is RFC 9147bis, Section 9.
type NewConnectionID struct {
	CIDs  []byte // the content of cids, without the length: see All and AppendCID
	Usage uint8  // 0: cid_immediate, 1: cid_spare
}

func (m *NewConnectionID) Parse(body []byte) error {
	c := parser("NewConnectionId", body)
	m.fields(&c)
	return c.end()
}

func (m *NewConnectionID) Append(b []byte) []byte {
	c := appender(b, TypeNewConnectionID)
	m.fields(&c)
	return c.message()
}

func (m *NewConnectionID) fields(c *coder) {
	c.Vec16(&m.CIDs)
	for l := (codec.Cursor{B: m.CIDs}); l.More(); {
		l.Vec8()
		c.Require(!l.Bad)
	}
	c.Uint8(&m.Usage)
}

// All yields the connection IDs.
func (m *NewConnectionID) All() iter.Seq[[]byte] { return vectors8(m.CIDs) }

// AppendCID appends a connection ID, of at most 255 bytes, to NewConnectionID.CIDs.
func AppendCID(b, cid []byte) []byte { return codec.Append8(b, cid) }
