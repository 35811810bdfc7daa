package wire

import "github.com/hermetic-tls/hermetic/internal/alert"

// malformed is a decode_error that names the message or extension.
func malformed(what string) error {
	return alert.New(alert.DecodeError, what+" does not parse")
}

// cursor reads a message from its front. A read beyond the end, once, makes it
// bad for good: callers check at the end of a structure.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) bytes(n int) []byte {
	if c.bad || n > len(c.b) {
		c.bad, c.b = true, nil
		return nil
	}
	v := c.b[:n:n]
	c.b = c.b[n:]
	return v
}

func (c *cursor) uint8() uint8 {
	if v := c.bytes(1); v != nil {
		return v[0]
	}
	return 0
}

func (c *cursor) uint16() uint16 {
	if v := c.bytes(2); v != nil {
		return uint16(v[0])<<8 | uint16(v[1])
	}
	return 0
}

func (c *cursor) uint24() int {
	if v := c.bytes(3); v != nil {
		return int(v[0])<<16 | int(v[1])<<8 | int(v[2])
	}
	return 0
}

func (c *cursor) uint32() uint32 {
	if v := c.bytes(4); v != nil {
		return uint32(v[0])<<24 | uint32(v[1])<<16 | uint32(v[2])<<8 | uint32(v[3])
	}
	return 0
}

// vec8, vec16 and vec24 read a vector with a length of as many bits. It is
// not nil unless the cursor is bad.
func (c *cursor) vec8() []byte  { return c.bytes(int(c.uint8())) }
func (c *cursor) vec16() []byte { return c.bytes(int(c.uint16())) }
func (c *cursor) vec24() []byte { return c.bytes(c.uint24()) }

// nonEmpty marks the cursor bad when v is empty.
func (c *cursor) nonEmpty(v []byte) []byte {
	if len(v) == 0 {
		c.bad = true
	}
	return v
}

// done reports that all was read, and nothing failed.
func (c *cursor) done() bool { return !c.bad && len(c.b) == 0 }

// more reports that there is something left to read.
func (c *cursor) more() bool { return !c.bad && len(c.b) > 0 }

// begin16 and begin24 start a vector whose length end16 and
// end24 fill in.
func begin16(b []byte) ([]byte, int) { return append(b, 0, 0), len(b) + 2 }
func begin24(b []byte) ([]byte, int) { return append(b, 0, 0, 0), len(b) + 3 }

func end16(b []byte, at int) []byte {
	n := len(b) - at
	b[at-2], b[at-1] = byte(n>>8), byte(n)
	return b
}

func end24(b []byte, at int) []byte {
	n := len(b) - at
	b[at-3], b[at-2], b[at-1] = byte(n>>16), byte(n>>8), byte(n)
	return b
}

func append8(b, v []byte) []byte  { return append(append(b, byte(len(v))), v...) }
func append16(b, v []byte) []byte { return append(appendUint16(b, uint16(len(v))), v...) }
func append24(b, v []byte) []byte { return append(appendUint24(b, len(v)), v...) }

func appendUint16(b []byte, v uint16) []byte { return append(b, byte(v>>8), byte(v)) }
func appendUint24(b []byte, v int) []byte    { return append(b, byte(v>>16), byte(v>>8), byte(v)) }
func appendUint32(b []byte, v uint32) []byte {
	return append(b, byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}
