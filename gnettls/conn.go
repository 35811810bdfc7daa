package gnettls

import (
	"container/list"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/panjf2000/gnet/v2"
	gneterrors "github.com/panjf2000/gnet/v2/pkg/errors"

	"github.com/hermetic-tls/hermetic"
)

var (
	errEarlyData = errors.New("gnettls: MaxEarlyData: a gnet.Conn does not tell early data apart, which may be a replay; use an Engine")
	errNotTLS    = errors.New("gnettls: the connection is not one of this package")
	errPending   = errors.New("gnettls: Config.Async asks a question, but Server.OnPending is not set")
)

// conn is a gnet.Conn with plaintext on top: what is not a matter of bytes is
// the connection's below.
type conn struct {
	gnet.Conn
	events *events
	engine *hermetic.Engine
	ctx    any

	plain    []byte // plaintext that the handler has not taken
	borrowed bool   // plain lies in gnet's buffer, until OnTraffic returns
	opened   bool   // the inner handler's OnOpen has been called
	closed   bool   // the peer's close_notify has come
	err      error  // why TLS has failed
	asked    hermetic.Pending

	deadline time.Time     // of the handshake
	waiting  *list.Element // in handshakes
}

// scratch are buffers for sealed records, on their way into gnet's own.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// chunk is how much plaintext is sealed at once.
const chunk = 64 << 10

// open opens the records of in, which lie in gnet's buffer, and hands on what
// they hold.
func (c *conn) open(in []byte) (used int, action gnet.Action) {
	for action == gnet.None {
		o, err := c.engine.Open(in[used:])
		used += o.N
		if err == nil && o.Kind == hermetic.KindEarlyData {
			err = errEarlyData
		}
		if err != nil {
			return used, c.stop(err)
		}
		if !c.opened && c.engine.HandshakeComplete() {
			if action = c.begin(); action != gnet.None {
				break
			}
		}
		if o.N == 0 {
			break
		}
		if len(o.Data) > 0 {
			action = c.deliver(o.Data)
		}
	}
	return used, action
}

// stop is what follows an error of Open.
func (c *conn) stop(err error) gnet.Action {
	switch {
	case err == hermetic.ErrPending:
		return c.ask()
	case err != hermetic.ErrClosed:
		c.err = err
		return gnet.Close
	case c.closed:
		return gnet.None // and what follows it is nobody's
	}
	c.closed = true
	if h, ok := c.events.inner.(HalfCloser); ok && c.opened {
		return h.OnHalfClose(c)
	}
	return gnet.Close
}

// ask hands a question to OnPending, once.
func (c *conn) ask() gnet.Action {
	p := c.engine.Pending()
	switch {
	case p == nil || p == c.asked:
		return gnet.None
	case c.events.server.OnPending == nil:
		c.err = errPending
		return gnet.Close
	}
	c.asked = p
	c.events.server.OnPending(c, p)
	return gnet.None
}

// begin tells the inner handler of a connection whose handshake is complete.
func (c *conn) begin() gnet.Action {
	c.opened = true
	c.events.handshakes.remove(c)
	c.flush()
	out, action := c.events.inner.OnOpen(c)
	if len(out) > 0 {
		if _, err := c.Write(out); err != nil {
			return gnet.Close
		}
	}
	return action
}

// deliver hands plaintext on. It is copied only if the handler leaves some.
func (c *conn) deliver(data []byte) gnet.Action {
	if len(c.plain) > 0 {
		c.plain = append(c.plain, data...)
	} else {
		c.plain, c.borrowed = data, true
	}
	action := c.events.inner.OnTraffic(c)
	c.keep()
	return action
}

// keep copies what the handler has left in gnet's buffer.
func (c *conn) keep() {
	switch {
	case len(c.plain) == 0:
		c.plain = nil
	case c.borrowed:
		c.plain = append([]byte(nil), c.plain...)
	}
	c.borrowed = false
}

// finish sends what the engine has to say, and close_notify before a close.
func (c *conn) finish(action gnet.Action) gnet.Action {
	if action == gnet.None && c.engine.Pending() != nil {
		action = c.ask()
	}
	if action != gnet.None {
		c.engine.Close()
	}
	c.flush()
	return action
}

// flush writes what the engine has for the peer.
func (c *conn) flush() {
	if !c.engine.HasOutput() {
		return
	}
	buf := scratch.Get().(*[]byte)
	*buf = c.engine.Output((*buf)[:0])
	c.Conn.Write(*buf) // gnet keeps what the socket does not take, and closes it on errors
	scratch.Put(buf)
}

// execute runs f on the event loop and acts on its result.
func (c *conn) execute(f func() gnet.Action) error {
	return c.EventLoop().Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
		if f() == gnet.Close {
			return c.Conn.Close()
		}
		return nil
	}))
}

// Context and SetContext are the handler's: our own stands below.
func (c *conn) Context() any       { return c.ctx }
func (c *conn) SetContext(ctx any) { c.ctx = ctx }

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

// Next is Peek and Discard.
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
	c.plain = c.plain[n:]
	return int64(n), err
}

// Write seals p. Like all that writes, but the asynchronous ones, it belongs on
// the event loop.
func (c *conn) Write(p []byte) (n int, err error) {
	buf := scratch.Get().(*[]byte)
	defer scratch.Put(buf)
	for first := true; first || n < len(p); first = false {
		part := p[n:min(len(p), n+chunk)]
		if *buf, err = c.engine.Seal((*buf)[:0], part); err != nil {
			return n, err
		}
		if _, err = c.Conn.Write(*buf); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

func (c *conn) Writev(bs [][]byte) (n int, err error) {
	for _, b := range bs {
		m, err := c.Write(b)
		if n += m; err != nil {
			return n, err
		}
	}
	return n, nil
}

func (c *conn) ReadFrom(r io.Reader) (n int64, err error) {
	var buf [16 << 10]byte
	for {
		m, err := r.Read(buf[:])
		if m > 0 {
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
}

// SendTo is for datagrams.
func (c *conn) SendTo([]byte, net.Addr) (int, error) { return 0, gneterrors.ErrUnsupportedOp }

// AsyncWrite seals and writes buf on the event loop. buf must not be modified
// before callback is called.
func (c *conn) AsyncWrite(buf []byte, callback gnet.AsyncCallback) error {
	return c.AsyncWritev([][]byte{buf}, callback)
}

func (c *conn) AsyncWritev(bs [][]byte, callback gnet.AsyncCallback) error {
	return c.execute(func() gnet.Action {
		_, err := c.Writev(bs)
		if callback != nil {
			err = callback(c, err)
		}
		if err != nil {
			return gnet.Close
		}
		return gnet.None
	})
}

// Wake calls OnTraffic on the event loop, with the plaintext that is left.
func (c *conn) Wake(callback gnet.AsyncCallback) error {
	return c.execute(func() gnet.Action {
		action := gnet.None
		if c.opened {
			action = c.events.inner.OnTraffic(c)
			c.keep()
		}
		if callback != nil {
			callback(c, nil)
		}
		return c.finish(action)
	})
}

// Close sends close_notify and closes the connection, from any goroutine.
func (c *conn) Close() error { return c.CloseWithCallback(nil) }

func (c *conn) CloseWithCallback(callback gnet.AsyncCallback) error {
	return c.execute(func() gnet.Action {
		c.finish(gnet.Close)
		if callback == nil {
			return gnet.Close
		}
		c.Conn.CloseWithCallback(func(_ gnet.Conn, err error) error { return callback(c, err) })
		return gnet.None
	})
}
