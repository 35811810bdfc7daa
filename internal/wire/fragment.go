package wire

// FragmentHeader is the header of a handshake message, or a piece of one, in
// DTLS (RFC 9147bis, Section 5.2).
type FragmentHeader struct {
	Type           Type
	Length         int // of the whole message
	Seq            uint16
	Offset         int
	FragmentLength int
}

// FragmentHeaderLen is its size.
const FragmentHeaderLen = 12

// Append appends the header.
func (h *FragmentHeader) Append(b []byte) []byte {
	b = AppendHeader(b, h.Type, h.Length)
	b = appendUint16(b, h.Seq)
	b = appendUint24(b, h.Offset)
	return appendUint24(b, h.FragmentLength)
}

// Parse reads the header at b[0]. It is false when b is too short for the header
// and the fragment, or when the fragment reaches beyond its message.
func (h *FragmentHeader) Parse(b []byte) (fragment, rest []byte, ok bool) {
	c := cursor{b: b}
	h.Type = Type(c.uint8())
	h.Length = c.uint24()
	h.Seq = c.uint16()
	h.Offset = c.uint24()
	h.FragmentLength = c.uint24()
	fragment = c.bytes(h.FragmentLength)
	if c.bad || h.Offset+h.FragmentLength > h.Length {
		return nil, nil, false
	}
	return fragment, c.b, true
}
