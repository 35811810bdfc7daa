package wire

import "iter"

// NewSessionTicket13 is RFC 9846, Section 4.7.1.
type NewSessionTicket13 struct {
	Lifetime     uint32 // seconds
	AgeAdd       uint32
	Nonce        []byte
	Ticket       []byte
	Has          ExtensionSet
	MaxEarlyData uint32
}

// NewSessionTicket12 is RFC 5077, Section 3.3.
type NewSessionTicket12 struct {
	Lifetime uint32 // seconds, a hint
	Ticket   []byte
}

// KeyUpdate is RFC 9846, Section 4.7.3.
type KeyUpdate struct {
	RequestUpdate uint8 // 0 or 1; another value is illegal_parameter
}

// RequestConnectionID is RFC 9147bis, Section 9.
type RequestConnectionID struct {
	Count uint8
}

// NewConnectionID is RFC 9147bis, Section 9.
type NewConnectionID struct {
	CIDs  []byte // each with an 8-bit length, without the outer length
	Usage uint8  // 0: cid_immediate, 1: cid_spare
}

// Parse reads the body of a NewSessionTicket of TLS 1.3.
func (m *NewSessionTicket13) Parse(body []byte) error {
	*m = NewSessionTicket13{}
	c := cursor{b: body}
	m.Lifetime = c.uint32()
	m.AgeAdd = c.uint32()
	m.Nonce = c.vec8()
	m.Ticket = c.nonEmpty(c.vec16())
	x := extensions{cursor: cursor{b: c.vec16()}, illegal: true}
	if !c.done() {
		return malformed("NewSessionTicket")
	}
	for {
		e, ext, ok, err := x.next()
		if err != nil {
			return err
		}
		if !ok {
			m.Has = x.has
			return x.within(Extensions(ExtEarlyData))
		}
		if e == ExtEarlyData {
			m.MaxEarlyData = ext.uint32()
		} else {
			ext.b = nil // unknown ones are to be ignored
		}
		if !ext.done() {
			return malformed(e.String())
		}
	}
}

// Append appends the whole message.
func (m *NewSessionTicket13) Append(b []byte) []byte {
	b, at := beginMessage(b, TypeNewSessionTicket)
	b = appendUint32(appendUint32(b, m.Lifetime), m.AgeAdd)
	b = append16(append8(b, m.Nonce), m.Ticket)
	b, list := begin16(b)
	if m.Has.Has(ExtEarlyData) {
		var ext int
		b, ext = beginExtension(b, ExtEarlyData)
		b = end16(appendUint32(b, m.MaxEarlyData), ext)
	}
	return endMessage(end16(b, list), at)
}

// Parse reads the body of a NewSessionTicket of TLS 1.2.
func (m *NewSessionTicket12) Parse(body []byte) error {
	c := cursor{b: body}
	m.Lifetime = c.uint32()
	m.Ticket = c.vec16()
	if !c.done() {
		return malformed("NewSessionTicket")
	}
	return nil
}

// Append appends the whole message.
func (m *NewSessionTicket12) Append(b []byte) []byte {
	b, at := beginMessage(b, TypeNewSessionTicket)
	return endMessage(append16(appendUint32(b, m.Lifetime), m.Ticket), at)
}

// Parse reads the body of a KeyUpdate.
func (m *KeyUpdate) Parse(body []byte) error {
	if len(body) != 1 {
		return malformed("KeyUpdate")
	}
	m.RequestUpdate = body[0]
	return nil
}

// Append appends the whole message.
func (m *KeyUpdate) Append(b []byte) []byte {
	return append(AppendHeader(b, TypeKeyUpdate, 1), m.RequestUpdate)
}

// Parse reads the body of a RequestConnectionId.
func (m *RequestConnectionID) Parse(body []byte) error {
	if len(body) != 1 {
		return malformed("RequestConnectionId")
	}
	m.Count = body[0]
	return nil
}

// Append appends the whole message.
func (m *RequestConnectionID) Append(b []byte) []byte {
	return append(AppendHeader(b, TypeRequestConnectionID, 1), m.Count)
}

// Parse reads the body of a NewConnectionId.
func (m *NewConnectionID) Parse(body []byte) error {
	c := cursor{b: body}
	m.CIDs = c.vec16()
	m.Usage = c.uint8()
	for l := (cursor{b: m.CIDs}); l.more(); {
		l.vec8()
		c.bad = c.bad || l.bad
	}
	if !c.done() {
		return malformed("NewConnectionId")
	}
	return nil
}

// All yields the connection IDs.
func (m *NewConnectionID) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for c := (cursor{b: m.CIDs}); c.more(); {
			if !yield(c.vec8()) {
				return
			}
		}
	}
}

// AppendCID appends one of at most 255 bytes to NewConnectionID.CIDs.
func AppendCID(b, cid []byte) []byte { return append8(b, cid) }

// Append appends the whole message.
func (m *NewConnectionID) Append(b []byte) []byte {
	b, at := beginMessage(b, TypeNewConnectionID)
	return endMessage(append(append16(b, m.CIDs), m.Usage), at)
}
