package gnettls

import (
	"cmp"
	"errors"
	"io"
)

// The methods of a gnet.Reader, on plaintext. After OnClose there is none left.

func (c *conn) InboundBuffered() int { return len(c.plain) }

// Peek returns the next n bytes, or all of them if n is not positive. They are
// valid until OnTraffic returns.
func (c *conn) Peek(n int) ([]byte, error) {
	if n > len(c.plain) {
		return nil, io.ErrShortBuffer
	}
	if n <= 0 {
		n = len(c.plain)
	}
	return c.plain[:n:n], nil
}

// Next is Peek followed by Discard.
func (c *conn) Next(n int) ([]byte, error) {
	b, err := c.Peek(n)
	c.plain = c.plain[len(b):]
	return b, err
}

// Discard drops the next n bytes, or all of them if n is not positive or more
// than there are.
func (c *conn) Discard(n int) (int, error) {
	if n <= 0 || n > len(c.plain) {
		n = len(c.plain)
	}
	c.plain = c.plain[n:]
	return n, nil
}

func (c *conn) Read(p []byte) (int, error) {
	n := copy(p, c.plain)
	c.plain = c.plain[n:]
	if n == 0 && len(p) > 0 {
		return 0, io.ErrShortBuffer
	}
	return n, nil
}

func (c *conn) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(c.plain)
	if n < 0 || n > len(c.plain) { // or w has closed c
		return 0, cmp.Or(err, errWriter)
	}
	c.plain = c.plain[n:]
	return int64(n), err
}

// errWriter is the error for a broken writer, instead of a panic.
var errWriter = errors.New("gnettls: the writer returned an invalid byte count")
