package gnettls

import (
	"net"
	"time"
)

// The methods of a gnet.Socket may be called by any goroutine at any time. After
// OnClose the descriptor's number may be another connection's, so none of them
// uses it then, as with gnet on Windows.

// socket runs f, which uses the descriptor. OnClose waits for f.
func (c *conn) socket(f func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	return f()
}

// Fd returns the descriptor, or -1 after OnClose. It is closed after OnClose: use
// Dup for one that stays open.
func (c *conn) Fd() int {
	fd := -1
	c.socket(func() error {
		fd = c.Conn.Fd()
		return nil
	})
	return fd
}

func (c *conn) Dup() (int, error) {
	fd := -1
	err := c.socket(func() (err error) {
		fd, err = c.Conn.Dup()
		return err
	})
	return fd, err
}

func (c *conn) SetReadBuffer(size int) error {
	return c.socket(func() error { return c.Conn.SetReadBuffer(size) })
}

func (c *conn) SetWriteBuffer(size int) error {
	return c.socket(func() error { return c.Conn.SetWriteBuffer(size) })
}

func (c *conn) SetLinger(secs int) error {
	return c.socket(func() error { return c.Conn.SetLinger(secs) })
}

func (c *conn) SetNoDelay(noDelay bool) error {
	return c.socket(func() error { return c.Conn.SetNoDelay(noDelay) })
}

func (c *conn) SetKeepAlivePeriod(d time.Duration) error {
	return c.socket(func() error { return c.Conn.SetKeepAlivePeriod(d) })
}

func (c *conn) SetKeepAlive(enabled bool, idle, interval time.Duration, count int) error {
	return c.socket(func() error { return c.Conn.SetKeepAlive(enabled, idle, interval, count) })
}
