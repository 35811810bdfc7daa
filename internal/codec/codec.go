// Package codec reads and writes structures of bytes: numbers in network byte order, and
// vectors, which are bytes after their length. A structure has one method that names its
// fields in their order, for both directions, so that what is appended is what parses.
//
//	func (m *CertificateVerify) fields(c *codec.Coder) {
//		c.Uint16(&m.Scheme)
//		c.Vec16(&m.Signature)
//	}
//
// A structure that is appended is only read: goroutines may share it.
package codec

import "encoding/binary"

// A Coder goes through the fields of a structure in one of two directions: it reads them
// from In, or it appends them to Out.
type Coder struct {
	Appending bool
	In        Cursor
	Out       []byte
}

// Append appends the structure with those fields to b.
func Append(b []byte, fields func(*Coder)) []byte {
	c := Coder{Appending: true, Out: b}
	fields(&c)
	return c.Out
}

// Parse reads the structure with those fields, and reports whether it is all of b. The
// structure aliases b.
func Parse(b []byte, fields func(*Coder)) bool {
	c := Coder{In: Cursor{B: b}}
	fields(&c)
	return c.In.Done()
}

// Require makes what is read malformed unless ok.
func (c *Coder) Require(ok bool) { c.In.Bad = c.In.Bad || !ok }

// Const8 is an 8-bit number that is always the same.
func (c *Coder) Const8(v uint8) {
	got := v
	c.Uint8(&got)
	c.Require(got == v)
}

// Uint8 is an 8-bit number.
func (c *Coder) Uint8(v *uint8) {
	if c.Appending {
		c.Out = append(c.Out, *v)
	} else {
		*v = c.In.Uint8()
	}
}

// Uint16 is a 16-bit number.
func (c *Coder) Uint16(v *uint16) {
	if c.Appending {
		c.Out = AppendUint16(c.Out, *v)
	} else {
		*v = c.In.Uint16()
	}
}

// Uint24 is a 24-bit number.
func (c *Coder) Uint24(v *int) {
	if c.Appending {
		c.Out = AppendUint24(c.Out, *v)
	} else {
		*v = c.In.Uint24()
	}
}

// Uint32 is a 32-bit number.
func (c *Coder) Uint32(v *uint32) {
	if c.Appending {
		c.Out = AppendUint32(c.Out, *v)
	} else {
		*v = c.In.Uint32()
	}
}

// Uint64 is a 64-bit number.
func (c *Coder) Uint64(v *uint64) {
	if c.Appending {
		c.Out = AppendUint64(c.Out, *v)
	} else {
		*v = c.In.Uint64()
	}
}

// Varint is a number that takes a byte for each seven of its bits that are in use, in the form of
// encoding/binary.
func (c *Coder) Varint(v *uint64) {
	if c.Appending {
		c.Out = binary.AppendUvarint(c.Out, *v)
		return
	}
	got, n := binary.Uvarint(c.In.B)
	c.Require(n > 0)
	*v, c.In.B = got, c.In.B[max(0, n):]
}

// Flags are up to eight bits of one byte, the first flag the lowest. A bit without a flag
// is malformed.
func (c *Coder) Flags(flags ...*bool) {
	var bits uint8
	if c.Appending {
		for i, set := range flags {
			if *set {
				bits |= 1 << i
			}
		}
	}
	c.Uint8(&bits)
	c.Require(int(bits)>>len(flags) == 0)
	if !c.Appending {
		for i, set := range flags {
			*set = bits&(1<<i) != 0
		}
	}
}

// Fixed is bytes without a length.
func (c *Coder) Fixed(v []byte) {
	if c.Appending {
		c.Out = append(c.Out, v...)
	} else {
		copy(v, c.In.Bytes(len(v)))
	}
}

// Vec8 is a vector with an 8-bit length.
func (c *Coder) Vec8(v *[]byte) {
	if c.Appending {
		c.Out = Append8(c.Out, *v)
	} else {
		*v = c.In.Vec8()
	}
}

// Vec16 is a vector with a 16-bit length.
func (c *Coder) Vec16(v *[]byte) {
	if c.Appending {
		c.Out = Append16(c.Out, *v)
	} else {
		*v = c.In.Vec16()
	}
}

// Vec24 is a vector with a 24-bit length.
func (c *Coder) Vec24(v *[]byte) {
	if c.Appending {
		c.Out = Append24(c.Out, *v)
	} else {
		*v = c.In.Vec24()
	}
}

// Filled8 is a vector with an 8-bit length that must not be empty.
func (c *Coder) Filled8(v *[]byte) {
	c.Vec8(v)
	c.Require(len(*v) > 0)
}

// Filled16 is a vector with a 16-bit length that must not be empty.
func (c *Coder) Filled16(v *[]byte) {
	c.Vec16(v)
	c.Require(len(*v) > 0)
}

// Optional8 is a vector with an 8-bit length; an empty one is read as nil.
func (c *Coder) Optional8(v *[]byte) {
	c.Vec8(v)
	if !c.Appending && len(*v) == 0 {
		*v = nil
	}
}

// Optional24 is a vector with a 24-bit length; an empty one is read as nil.
func (c *Coder) Optional24(v *[]byte) {
	c.Vec24(v)
	if !c.Appending && len(*v) == 0 {
		*v = nil
	}
}

// String8 is a string with an 8-bit length.
func (c *Coder) String8(v *string) {
	if c.Appending {
		c.Out = append(append(c.Out, byte(len(*v))), *v...)
	} else {
		*v = string(c.In.Vec8())
	}
}

// String16 is a string with a 16-bit length.
func (c *Coder) String16(v *string) {
	if c.Appending {
		c.Out = append(AppendUint16(c.Out, uint16(len(*v))), *v...)
	} else {
		*v = string(c.In.Vec16())
	}
}

// List8 is an 8-bit number of elements and these, each coded by element.
func List8[T any](c *Coder, list *[]T, element func(*T)) {
	n := uint8(len(*list))
	c.Uint8(&n)
	if !c.Appending {
		*list = nil
	}
	for i := range int(n) {
		if c.Appending {
			element(&(*list)[i])
			continue
		}
		if c.In.Bad {
			return
		}
		var v T
		element(&v)
		*list = append(*list, v)
	}
}

// Nested24 is another structure, after its length in 24 bits.
func (c *Coder) Nested24(fields func(*Coder)) {
	if !c.Appending {
		v := c.In.Vec24()
		c.Require(Parse(v, fields))
		return
	}
	out, at := Begin24(c.Out)
	c.Out = End24(Append(out, fields), at)
}

// Rest is all that is left.
func (c *Coder) Rest(v *[]byte) {
	if c.Appending {
		c.Out = append(c.Out, *v...)
	} else {
		*v, c.In.B = c.In.B, nil
	}
}

// Skip passes over all that is left: what is read does not matter.
func (c *Coder) Skip() { c.In.B = nil }
