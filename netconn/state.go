package netconn

import (
	"context"
	"crypto/tls"
	"errors"
	"time"
)

// stateTimeout is how long ConnectionState waits for a handshake.
const stateTimeout = 30 * time.Second

// ConnectionState returns State as a crypto/tls type, for packages that look for this method. All
// fields are set as crypto/tls sets them: see [hermetic.ConnectionState.TLS].
// NegotiatedProtocolIsMutual is always true, and ECHAccepted is false. Its ExportKeyingMaterial is
// that of the connection.
//
// If the handshake is not complete, it is performed first, for at most 30 seconds: net/http calls
// this method once, before it reads. A server then does not agree on "h2", since net/http continues
// with HTTP/1.1: for HTTP/2 use [Serve]. This changes neither a NextProtos of "h2" alone, nor what a
// handshake in another goroutine has already offered or chosen.
func (c *Conn) ConnectionState() tls.ConnectionState {
	if !c.state().HandshakeComplete {
		c.setProtocols(withoutHTTP2)
		ctx, cancel := context.WithTimeout(context.Background(), stateTimeout)
		defer cancel()
		c.handshake(ctx) // the first Read repeats its error
	}
	return c.connectionState()
}

// connectionState does not wait for the handshake.
func (c *Conn) connectionState() tls.ConnectionState {
	s := c.state()
	return s.TLS()
}

// ExportKeyingMaterial returns length bytes that are bound to the connection, label and context
// (RFC 5705; RFC 9846, Section 7.5). See [hermetic.Engine.ExportKeyingMaterial].
func (c *Conn) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	s := c.state()
	return s.ExportKeyingMaterial(label, context, length)
}

// OCSPResponse returns the OCSP response that the server has stapled, if any (RFC 6066, Section 8).
func (c *Conn) OCSPResponse() []byte { return c.state().OCSPResponse }

// What VerifyHostname refuses.
var (
	errHostOfClient   = errors.New("netconn: VerifyHostname is for the connection of a client")
	errHostTooEarly   = errors.New("netconn: VerifyHostname before the handshake is complete")
	errHostUnverified = errors.New("netconn: the handshake did not verify the server's certificate chain")
)

// VerifyHostname checks that the server's certificate, which the handshake must have verified, is
// for this host too.
func (c *Conn) VerifyHostname(host string) error {
	s := c.state()
	switch {
	case s.Mode.IsServer():
		return errHostOfClient
	case !s.HandshakeComplete:
		return errHostTooEarly
	case len(s.VerifiedChains) == 0:
		return errHostUnverified
	}
	return s.PeerCertificates[0].VerifyHostname(host)
}
