package hermetic

import (
	"io"
	"time"
)

// A Context is an engine behind a non-blocking transport: the callback API of
// the Lua module mbedtls.ssl, in Go. See the package documentation for its
// contract with the BIO. It is not safe for concurrent use.
type Context struct {
}

// NewContext returns a context over bio, whose Read returns (0, nil) or an
// EAGAIN when it would block, and whose Write may take fewer bytes than given,
// or none, with a nil error. Nothing is called before the first operation.
func NewContext(mode Mode, cfg *Config, bio io.ReadWriter) (*Context, error) { panic("skeleton") }

// Handshake performs the handshake, or as much of it as the transport allows.
// On a DTLS server the first nil says that a verified ClientHello has come, the
// second that the handshake is complete.
func (c *Context) Handshake() error { panic("skeleton") }

// Read reads up to len(p) bytes of what the peer sent, after the handshake,
// which it performs if need be.
func (c *Context) Read(p []byte) (int, error) { panic("skeleton") }

// Write writes data, at most one record of it (16,384 bytes): it may return
// less than len(data), with a nil error. After ErrWantWrite repeat it with the
// same data.
func (c *Context) Write(data []byte) (int, error) { panic("skeleton") }

// Close sends close_notify.
func (c *Context) Close() error { panic("skeleton") }

// Reset makes the context ready for a new session.
func (c *Context) Reset() error { panic("skeleton") }

// SetBIO replaces the transport, at any time outside of its methods.
func (c *Context) SetBIO(bio io.ReadWriter) error { panic("skeleton") }

// SetPeerID sets the peer's identity. DTLS servers only.
func (c *Context) SetPeerID(id []byte) error { panic("skeleton") }

// SetServerName is Engine.SetServerName.
func (c *Context) SetServerName(name string) error { panic("skeleton") }

// Timeout returns how long the caller may wait before it repeats the
// unfinished operation. Always false for TLS.
func (c *Context) Timeout() (time.Duration, bool) { panic("skeleton") }

// Engine returns the engine below, for what the Context does not offer: its
// State, Pending, KeyUpdate. Its Open, Seal and Output must not be called.
func (c *Context) Engine() *Engine { panic("skeleton") }
