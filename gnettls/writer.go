package gnettls

import (
	"cmp"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/panjf2000/gnet/v2"
)

// scratch has buffers for sealed records on their way into gnet's own.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// chunk is how much plaintext is sealed at once.
const chunk = 64 << 10

// Write seals p and sends it. Like all methods that write, except the
// asynchronous ones, it must be called on the event loop.
func (c *conn) Write(p []byte) (int, error) {
	if c.closed {
		return 0, net.ErrClosed
	}
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	*buf = (*buf)[:0]
	if err := c.seal(buf, p); err != nil {
		return 0, err
	}
	return c.send(buf, len(p))
}

// Writev seals the slices of bs and sends them together. It seals up to 64 KiB as if they were
// joined; beyond that, each slice has its own records.
func (c *conn) Writev(bs [][]byte) (n int, err error) {
	if c.closed {
		return 0, net.ErrClosed
	}
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	*buf = (*buf)[:0]
	for _, b := range bs {
		n += len(b)
	}
	if 0 < n && n <= chunk {
		*buf, err = c.engine.SealBuffers(*buf, bs)
	} else {
		for _, b := range bs {
			if err = c.seal(buf, b); err != nil {
				break
			}
		}
	}
	if err != nil {
		return 0, err
	}
	return c.send(buf, n)
}

// seal adds p to buf, and sends what would make that large.
func (c *conn) seal(buf *[]byte, p []byte) (err error) {
	for len(p) > 0 {
		part := p[:min(len(p), chunk)]
		p = p[len(part):]
		if *buf, err = c.engine.Seal(*buf, part); err != nil {
			return err
		}
		if len(*buf) >= chunk {
			if _, err = c.send(buf, 0); err != nil {
				return err
			}
			*buf = (*buf)[:0]
		}
	}
	return nil
}

// send writes buf and returns n, or an error: then gnet has closed the connection.
func (c *conn) send(buf *[]byte, n int) (int, error) {
	if len(*buf) > 0 {
		if _, err := c.Conn.Write(*buf); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// ReadFrom sends what it reads from r at once: there is nothing to flush.
func (c *conn) ReadFrom(r io.Reader) (n int64, err error) {
	if c.closed {
		return 0, net.ErrClosed
	}
	buf := make([]byte, 16<<10)
	for idle := 0; idle < 100; idle++ { // the bound of bufio and io
		m, err := r.Read(buf)
		switch {
		case m < 0 || m > len(buf):
			return n, cmp.Or(err, errReader)
		case m > 0:
			idle = 0
			if _, err := c.Write(buf[:m]); err != nil {
				return n, err
			}
			n += int64(m)
		}
		switch err {
		case nil:
		case io.EOF:
			return n, nil
		default:
			return n, err
		}
	}
	return n, io.ErrNoProgress
}

// errReader is the error for a broken reader, instead of a panic.
var errReader = errors.New("gnettls: the reader returned an invalid byte count")

// Flush sends what gnet has buffered, as far as the socket takes it.
func (c *conn) Flush() error {
	if c.flush(); c.closed {
		return nil // as gnet does, which has nothing buffered then
	}
	return c.Conn.Flush()
}

// AsyncWrite seals and writes buf on the event loop. buf must not be modified
// before callback is called.
func (c *conn) AsyncWrite(buf []byte, callback gnet.AsyncCallback) error {
	return c.AsyncWritev([][]byte{buf}, callback)
}

// AsyncWritev queues an empty write in gnet and seals in its callback. So writes
// keep their order, gnet itself decides whether the connection is still open, and
// the callback is called exactly once.
func (c *conn) AsyncWritev(bs [][]byte, callback gnet.AsyncCallback) error {
	return c.queue(func() error {
		return c.Conn.AsyncWritev(nil, func(_ gnet.Conn, err error) error {
			if err == nil {
				_, err = c.Writev(bs)
			}
			if callback != nil {
				callback(c, err)
			}
			return nil
		})
	})
}
