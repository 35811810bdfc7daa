package hermetic

import (
	"context"
	"net"
)

// A handshakeCaller is what callbacks see of the program that drives a handshake.
type handshakeCaller struct {
	conn net.Conn
	ctx  context.Context
}

// SetConn sets what callbacks get as [ClientHello].Conn. The engine only passes it on. It is an
// [ErrInvalidOperation] once the handshake is complete. Reset forgets it.
func (e *Engine) SetConn(conn net.Conn) error {
	return e.setCaller(func(c *handshakeCaller) { c.conn = conn })
}

// SetContext sets what callbacks get as [ClientHello.Context] and [CertificateRequest.Context]. The
// engine only passes it on, and does not stop when it is canceled. It is an
// [ErrInvalidOperation] once the handshake is complete. Reset forgets it.
func (e *Engine) SetContext(ctx context.Context) error {
	return e.setCaller(func(c *handshakeCaller) { c.ctx = ctx })
}

func (e *Engine) setCaller(set func(*handshakeCaller)) error {
	if e.complete {
		return errComplete
	}
	if e.caller == nil {
		e.caller = new(handshakeCaller)
	}
	set(e.caller)
	return nil
}

var errComplete = &invalidOperation{"the handshake is complete: call this before, or after Reset"}

// connOf returns the connection of SetConn, or nil.
func (e *Engine) connOf() net.Conn {
	if e.caller == nil {
		return nil
	}
	return e.caller.conn
}

// context returns the context of SetContext, or context.Background.
func (e *Engine) context() context.Context {
	if e.caller == nil || e.caller.ctx == nil {
		return context.Background()
	}
	return e.caller.ctx
}
