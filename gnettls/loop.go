package gnettls

import (
	"context"
	"net"

	"github.com/panjf2000/gnet/v2"
	gneterrors "github.com/panjf2000/gnet/v2/pkg/errors"
)

// queue runs f, which gives gnet a task for the event loop. While the connection
// is open, its loop runs; afterwards the engine may have stopped, and the
// descriptor that wakes the loop may have been reused.
func (c *conn) queue(f func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		c.events.running.RLock()
		defer c.events.running.RUnlock()
		if c.events.stopped {
			return gneterrors.ErrEngineInShutdown
		}
	}
	return f()
}

// execute runs f on the event loop and acts on its result, unless the connection
// is closed by then.
func (c *conn) execute(f func() gnet.Action) error {
	return c.socket(func() error {
		loop := c.Conn.EventLoop()
		return loop.Execute(context.Background(), gnet.RunnableFunc(func(context.Context) error {
			if c.closed {
				return nil
			}
			switch f() {
			case gnet.Close:
				return loop.Close(c.Conn)
			case gnet.Shutdown:
				return gneterrors.ErrEngineShutdown
			}
			return nil
		}))
	})
}

// callback calls f with c in place of the connection below.
func (c *conn) callback(f gnet.AsyncCallback) gnet.AsyncCallback {
	if f == nil {
		return nil
	}
	return func(_ gnet.Conn, err error) error { return f(c, err) }
}

// Wake calls OnTraffic on the event loop, with the remaining plaintext.
func (c *conn) Wake(callback gnet.AsyncCallback) error {
	return c.queue(func() error { return c.Conn.Wake(c.callback(callback)) })
}

// Close closes the connection on the event loop. It may be called from any
// goroutine. A close_notify is sent after OnClose.
func (c *conn) Close() error { return c.queue(c.Conn.Close) }

func (c *conn) CloseWithCallback(callback gnet.AsyncCallback) error {
	return c.queue(func() error { return c.Conn.CloseWithCallback(c.callback(callback)) })
}

func (c *conn) EventLoop() gnet.EventLoop { return eventLoop{c.Conn.EventLoop()} }

// eventLoop is a gnet.EventLoop for the connections of this package.
type eventLoop struct{ gnet.EventLoop }

// Close closes c, which must belong to this loop, at once.
func (l eventLoop) Close(c gnet.Conn) error {
	if tls, ok := c.(*conn); ok {
		c = tls.Conn
	}
	return l.EventLoop.Close(c)
}

// Register is not supported: it would dial, and be a TLS server on that connection.
func (eventLoop) Register(context.Context, net.Addr) (<-chan gnet.RegisteredResult, error) {
	return nil, gneterrors.ErrUnsupportedOp
}

// enrolled is the context of a connection from Enroll.
type enrolled struct {
	ctx  any
	conn *conn
}

// Enroll serves TLS on nc. The handshake of the Conn in the result has not started:
// OnOpen is called when it is complete.
func (l eventLoop) Enroll(ctx context.Context, nc net.Conn) (<-chan gnet.RegisteredResult, error) {
	e := &enrolled{ctx: gnet.FromContext(ctx)}
	registered, err := l.EventLoop.Enroll(gnet.NewContext(ctx, e), nc)
	if err != nil {
		return nil, err
	}
	results := make(chan gnet.RegisteredResult, 1)
	go func() {
		defer close(results)
		r := <-registered
		switch {
		case r.Err != nil:
		case e.conn == nil:
			r = gnet.RegisteredResult{Err: net.ErrClosed}
		default:
			r.Conn = e.conn
		}
		results <- r
	}()
	return results, nil
}
