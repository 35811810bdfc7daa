package codec

// A Cursor reads a structure from its front. One read beyond the end makes it bad for
// good, and every later read returns zeros: callers check once, at the end. What it
// returns aliases B.
type Cursor struct {
	B   []byte // what is left to read
	Bad bool
}

// Bytes reads n bytes.
func (c *Cursor) Bytes(n int) []byte {
	if c.Bad || n > len(c.B) {
		c.Bad, c.B = true, nil
		return nil
	}
	v := c.B[:n:n]
	c.B = c.B[n:]
	return v
}

// Uint8 reads an 8-bit number.
func (c *Cursor) Uint8() uint8 {
	if v := c.Bytes(1); v != nil {
		return v[0]
	}
	return 0
}

// Uint16 reads a 16-bit number.
func (c *Cursor) Uint16() uint16 {
	if v := c.Bytes(2); v != nil {
		return uint16(v[0])<<8 | uint16(v[1])
	}
	return 0
}

// Uint24 reads a 24-bit number.
func (c *Cursor) Uint24() int {
	if v := c.Bytes(3); v != nil {
		return int(v[0])<<16 | int(v[1])<<8 | int(v[2])
	}
	return 0
}

// Uint32 reads a 32-bit number.
func (c *Cursor) Uint32() uint32 {
	if v := c.Bytes(4); v != nil {
		return uint32(v[0])<<24 | uint32(v[1])<<16 | uint32(v[2])<<8 | uint32(v[3])
	}
	return 0
}

// Uint64 reads a 64-bit number.
func (c *Cursor) Uint64() uint64 { return uint64(c.Uint32())<<32 | uint64(c.Uint32()) }

// Vec8 reads a vector with an 8-bit length. It is not nil unless the cursor is bad.
func (c *Cursor) Vec8() []byte { return c.Bytes(int(c.Uint8())) }

// Vec16 reads a vector with a 16-bit length. It is not nil unless the cursor is bad.
func (c *Cursor) Vec16() []byte { return c.Bytes(int(c.Uint16())) }

// Vec24 reads a vector with a 24-bit length. It is not nil unless the cursor is bad.
func (c *Cursor) Vec24() []byte { return c.Bytes(c.Uint24()) }

// NonEmpty marks the cursor bad if v is empty, and returns v.
func (c *Cursor) NonEmpty(v []byte) []byte {
	if len(v) == 0 {
		c.Bad = true
	}
	return v
}

// Done reports whether everything was read and nothing failed.
func (c *Cursor) Done() bool { return !c.Bad && len(c.B) == 0 }

// More reports whether there is something left to read.
func (c *Cursor) More() bool { return !c.Bad && len(c.B) > 0 }
