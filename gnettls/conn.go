package gnettls

import (
	"container/list"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/panjf2000/gnet/v2"

	"github.com/hermetic-tls/hermetic"
)

var (
	errEarlyData error = &hermetic.ConfigError{Field: "MaxEarlyData", Reason: "gnettls does not support it, because a gnet.Conn cannot mark early data, which may be a replay: use an Engine"}
	errNotTLS          = errors.New("gnettls: the connection is not one of this package")
	errPending   error = &hermetic.ConfigError{Field: "Async", Reason: "it asks a question, but gnettls.Server.OnPending is not set"}
)

// conn is a gnet.Conn that moves plaintext; for all else it is the connection
// below. It belongs to its event loop, like a gnet.Conn; only closed is also read
// by other goroutines, under mu.
type conn struct {
	gnet.Conn
	events *events
	engine *hermetic.Engine
	ctx    any

	plain      []byte // plaintext that the handler has not taken
	borrowed   bool   // plain lies in gnet's buffer, until OnTraffic returns
	opened     bool   // the inner handler's OnOpen has been called
	peerClosed bool   // the peer's close_notify has come
	err        error  // why TLS failed
	asked      hermetic.Pending

	kept int // bytes that the last event has left in gnet's buffer
	need int // bytes needed in gnet's buffer before the next record is complete

	mu     sync.Mutex // held while the descriptor is in use outside the event loop
	closed bool       // OnClose has returned: the descriptor is no longer this connection's

	deadline time.Time     // of the handshake
	waiting  *list.Element // in handshakes
}

// traffic handles an event: bytes that have arrived, or a Wake. Its cost depends
// on those bytes alone, not on those kept from earlier events.
func (c *conn) traffic() gnet.Action {
	buffered := c.Conn.InboundBuffered()
	if buffered == c.kept { // nothing has arrived
		return c.finish(c.woken())
	}
	c.kept = buffered
	return c.finish(c.receive())
}

// woken calls the inner OnTraffic with the plaintext that is left.
func (c *conn) woken() gnet.Action {
	if !c.opened {
		return gnet.None
	}
	return c.tell()
}

// receive opens the records in gnet's buffer, unless the engine takes no more.
func (c *conn) receive() gnet.Action {
	switch {
	case c.peerClosed:
		// RFC 9846, Section 6.1: "Any data received after a closure alert has
		// been received MUST be ignored."
		c.discard(c.kept)
		return gnet.None
	case c.engine.Pending() != nil && !c.ask():
		return c.wait()
	case c.kept < c.need:
		return gnet.None
	}
	in, err := c.Conn.Peek(-1)
	if err != nil {
		return gnet.None
	}
	used, action := c.open(in)
	c.discard(used)
	return action
}

// discard drops bytes of gnet's buffer.
func (c *conn) discard(n int) {
	if n == 0 || c.closed {
		return // gnet would drop everything
	}
	c.Conn.Discard(n)
	c.kept -= n
}

// wait leaves input where it is while a question is open. gnet cannot be told
// to stop reading, so a peer that continues sending is closed.
func (c *conn) wait() gnet.Action {
	if c.err != nil {
		return gnet.Close
	}
	if limit := c.events.server.maxPendingInput(); c.kept > limit {
		c.err = fmt.Errorf("gnettls: more than %d bytes arrived while a question of the handshake was open: see Server.MaxPendingInput", limit)
		return gnet.Close
	}
	return gnet.None
}

// open opens the records of in, which lie in gnet's buffer, and delivers their
// plaintext. The plaintext of an event is gathered at the front of in, so that
// the handler is called once, as with gnet, however small the records are.
func (c *conn) open(in []byte) (used int, action gnet.Action) {
	plain := in[:0]
	c.need = 0
	var err error
	for {
		var o hermetic.Opened
		o, err = c.engine.OpenAll(in[used:])
		used += o.N
		if err == nil && o.Kind == hermetic.KindEarlyData {
			err = errEarlyData
		}
		if err == hermetic.ErrPending && c.ask() {
			continue // it has been answered already
		}
		if err != nil {
			break
		}
		plain = gather(plain, o.Data)
		if !c.opened && c.engine.HandshakeComplete() {
			if action = c.begin(); action != gnet.None || c.closed {
				return used, action
			}
		}
		if o.N == 0 {
			c.need = len(in) - used + c.engine.Missing(in[used:])
			break
		}
	}
	if fatal(err) && c.err == nil {
		c.err = err
	}
	if len(plain) > 0 {
		action = c.deliver(plain)
	}
	if err != nil && action == gnet.None && !c.closed {
		action = c.stop(err)
	}
	if c.peerClosed {
		used = len(in)
	}
	return used, action
}

// gather appends data to plain, which lies before it in the same buffer. Data that is in its place
// already is not moved.
func gather(plain, data []byte) []byte {
	n := len(plain)
	if len(data) > 0 && &plain[:n+1][n] == &data[0] {
		return plain[:n+len(data)]
	}
	return append(plain, data...)
}

// fatal reports whether no more records are opened after err.
func fatal(err error) bool {
	return err != nil && err != hermetic.ErrPending && err != hermetic.ErrClosed
}

// stop returns the action after an error of Open.
func (c *conn) stop(err error) gnet.Action {
	switch {
	case c.err != nil:
		return gnet.Close
	case err != hermetic.ErrClosed:
		return gnet.None // a question is open
	}
	c.peerClosed = true
	if !c.opened {
		c.err = io.ErrUnexpectedEOF
	} else if h, ok := c.events.inner.(HalfCloser); ok {
		return h.OnHalfClose(c)
	}
	return gnet.Close
}

// ask passes a question to OnPending, once, and reports whether it was answered
// there.
func (c *conn) ask() (answered bool) {
	p := c.engine.Pending()
	switch {
	case p == c.asked:
		return false
	case c.events.server.OnPending == nil:
		c.err = errPending
		return false
	}
	c.asked = p
	c.events.server.OnPending(c, p)
	return c.engine.Pending() != p
}

// begin tells the inner handler about a connection whose handshake is complete.
func (c *conn) begin() gnet.Action {
	c.opened = true
	c.events.handshakes.remove(c)
	if c.flush(); c.closed {
		return gnet.None
	}
	out, action := c.events.inner.OnOpen(c)
	if len(out) > 0 && !c.closed {
		if _, err := c.Write(out); err != nil && action == gnet.None {
			action = gnet.Close
		}
	}
	return action
}

// deliver passes plaintext to the handler. It is copied only if the handler leaves some.
func (c *conn) deliver(data []byte) gnet.Action {
	if len(c.plain) > 0 {
		c.plain = append(c.plain, data...)
	} else {
		c.plain, c.borrowed = data, true
	}
	return c.tell()
}

// tell calls the inner OnTraffic, and copies what that has left in gnet's buffer.
func (c *conn) tell() gnet.Action {
	action := c.events.inner.OnTraffic(c)
	switch {
	case len(c.plain) == 0:
		c.plain = nil
	case c.borrowed:
		c.plain = append([]byte(nil), c.plain...)
	}
	c.borrowed = false
	return action
}

// finish sends the engine's output after an event.
func (c *conn) finish(action gnet.Action) gnet.Action {
	c.flush()
	return action
}

// flush writes the engine's output.
func (c *conn) flush() {
	if c.closed || !c.engine.HasOutput() {
		return
	}
	buf := scratch.Get().(*[]byte)
	*buf = c.engine.Output((*buf)[:0])
	c.Conn.Write(*buf) // gnet keeps what the socket does not take, and closes the socket on errors
	scratch.Put(buf)
}

// reason is the error for OnClose and OnFailure, when gnet's is err.
func (c *conn) reason(err error) error {
	switch {
	case c.err != nil:
		return c.err
	case c.peerClosed:
		return nil
	case errors.Is(err, io.EOF):
		return io.ErrUnexpectedEOF
	}
	return err
}

// end tells the inner handler about the end, if it knows the connection, and
// sends close_notify. Afterwards gnet closes the descriptor, and no method uses it.
func (c *conn) end(err error) (action gnet.Action) {
	c.events.handshakes.remove(c)
	if err = c.reason(err); c.opened {
		action = c.events.inner.OnClose(c, err)
		c.engine.Close()
		c.flush()
	} else if report := c.events.server.OnFailure; report != nil {
		if err == nil {
			err = net.ErrClosed // on this side
		}
		report(c.RemoteAddr(), err)
	}
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.plain, c.ctx, c.asked = nil, nil, nil
	return action
}

// Context and SetContext are for the handler: conn itself is the context of gnet's
// connection.
func (c *conn) Context() any       { return c.ctx }
func (c *conn) SetContext(ctx any) { c.ctx = ctx }
