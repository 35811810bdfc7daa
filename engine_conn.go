package hermetic

import (
	"context"
	"net"

	"github.com/hermetic-tls/hermetic/internal/handshake"
)

// handshaking is what an engine has until the handshake is complete, or after a failure.
type handshaking struct {
	machine *handshake.Machine
	pending Pending         // what the caller is asked: the public form of the machine's question
	tickets []TicketKey     // for this handshake
	keyed   bool            // tickets are known, there may be none
	peerID  []byte          // see SetPeerID
	conn    net.Conn        // see SetConn
	ctx     context.Context // see SetContext
	owed    string          // the bytes that must still be sent after a failure
}

// during returns what the engine has for a while, to change it.
func (e *Engine) during() *handshaking {
	if e.hs == nil {
		e.hs = new(handshaking)
	}
	return e.hs
}

// SetConn sets what callbacks get as [ClientHello].Conn. The engine only passes it on. It is an
// [ErrInvalidOperation] once the handshake is complete. Reset forgets it.
func (e *Engine) SetConn(conn net.Conn) error {
	if e.complete {
		return errComplete
	}
	e.during().conn = conn
	return nil
}

// SetContext sets what callbacks get as [ClientHello.Context] and [CertificateRequest.Context]. The
// engine only passes it on, and does not stop when it is canceled. It is an
// [ErrInvalidOperation] once the handshake is complete. Reset forgets it.
func (e *Engine) SetContext(ctx context.Context) error {
	if e.complete {
		return errComplete
	}
	e.during().ctx = ctx
	return nil
}

var errComplete = &invalidOperation{"the handshake is complete: call this before, or after Reset"}

// connOf returns the connection of SetConn, or nil.
func (e *Engine) connOf() net.Conn {
	if e.hs == nil {
		return nil
	}
	return e.hs.conn
}

// context returns the context of SetContext, or context.Background.
func (e *Engine) context() context.Context {
	if e.hs == nil || e.hs.ctx == nil {
		return context.Background()
	}
	return e.hs.ctx
}

// peerID returns the identity of SetPeerID, or nil.
func (e *Engine) peerID() []byte {
	if e.hs == nil {
		return nil
	}
	return e.hs.peerID
}
