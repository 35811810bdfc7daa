package codec

import "encoding/binary"

// Begin16 starts a vector with a 16-bit length, which End16 fills in.
func Begin16(b []byte) (out []byte, at int) { return append(b, 0, 0), len(b) + 2 }

// Begin24 starts a vector with a 24-bit length, which End24 fills in.
func Begin24(b []byte) (out []byte, at int) { return append(b, 0, 0, 0), len(b) + 3 }

// End16 ends the vector whose content starts at at.
func End16(b []byte, at int) []byte {
	n := len(b) - at
	b[at-2], b[at-1] = byte(n>>8), byte(n)
	return b
}

// End24 ends the vector whose content starts at at.
func End24(b []byte, at int) []byte {
	n := len(b) - at
	b[at-3], b[at-2], b[at-1] = byte(n>>16), byte(n>>8), byte(n)
	return b
}

// Append8 appends a vector with an 8-bit length.
func Append8(b, v []byte) []byte { return append(append(b, byte(len(v))), v...) }

// Append16 appends a vector with a 16-bit length.
func Append16(b, v []byte) []byte { return append(AppendUint16(b, uint16(len(v))), v...) }

// Append24 appends a vector with a 24-bit length.
func Append24(b, v []byte) []byte { return append(AppendUint24(b, len(v)), v...) }

// AppendUint16 appends a 16-bit number.
func AppendUint16(b []byte, v uint16) []byte { return binary.BigEndian.AppendUint16(b, v) }

// AppendUint24 appends a 24-bit number.
func AppendUint24(b []byte, v int) []byte { return append(b, byte(v>>16), byte(v>>8), byte(v)) }

// AppendUint32 appends a 32-bit number.
func AppendUint32(b []byte, v uint32) []byte { return binary.BigEndian.AppendUint32(b, v) }

// AppendUint64 appends a 64-bit number.
func AppendUint64(b []byte, v uint64) []byte { return binary.BigEndian.AppendUint64(b, v) }
