package wire

import "github.com/hermetic-tls/hermetic/internal/codec"

// FragmentHeader is the header of a handshake message in DTLS, or of a fragment of one
// (RFC 9147bis, Section 5.2).
type FragmentHeader struct {
	Type           Type
	Length         int // of the whole message
	Seq            uint16
	Offset         int
	FragmentLength int
}

// FragmentHeaderLen is the size of a FragmentHeader, in bytes.
const FragmentHeaderLen = 12

// Append appends the header.
func (h *FragmentHeader) Append(b []byte) []byte {
	b = AppendHeader(b, h.Type, h.Length)
	b = codec.AppendUint16(b, h.Seq)
	b = codec.AppendUint24(b, h.Offset)
	return codec.AppendUint24(b, h.FragmentLength)
}

// Parse reads the header at b[0], and returns the fragment and what follows it. ok is
// false if b is too short for both, or if the fragment exceeds its message.
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
