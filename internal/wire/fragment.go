package wire

import "github.com/hermetic-tls/hermetic/internal/codec"

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
	b = codec.AppendUint16(b, h.Seq)
	b = codec.AppendUint24(b, h.Offset)
	return codec.AppendUint24(b, h.FragmentLength)
}

// Parse reads the header at b[0]. It is false when b is too short for the header
// and the fragment, or when the fragment reaches beyond its message.
func (h *FragmentHeader) Parse(b []byte) (fragment, rest []byte, ok bool) {
	c := codec.Cursor{B: b}
	h.Type = Type(c.Uint8())
	h.Length = c.Uint24()
	h.Seq = c.Uint16()
	h.Offset = c.Uint24()
	h.FragmentLength = c.Uint24()
	fragment = c.Bytes(h.FragmentLength)
	if c.Bad || h.Offset+h.FragmentLength > h.Length {
		return nil, nil, false
	}
	return fragment, c.B, true
}
