// Package netconn is TLS and DTLS with the interfaces of package net, over the engine of package
// hermetic: an ordinary net.Conn and net.Listener, for programs without an event loop.
//
// [Client], [Server], [Dial] and [Listen] are used like those of crypto/tls. With
// a "udp" network, or [DTLSClient] and [DTLSServer] over a connection that keeps
// datagrams apart, they speak DTLS. [ListenPacket] serves any number of DTLS peers
// on one socket, with one goroutine and one timer for all of them.
//
// Connections do not support hermetic.Config.Async: use callbacks, which may block here, except
// on a [PacketListener].
//
// net/http serves HTTP/1.1 over these connections, and dials through Transport.DialTLSContext. It
// speaks HTTP/2 only over connections of crypto/tls: leave "h2" out of NextProtos, or do as
// examples/http2 does.
package netconn

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// errPending is the error of a handshake that asks a question of Config.Async.
var errPending = errors.New("netconn: Config.Async is not supported: use callbacks, which may wait here, or an Engine")

// A Conn is a TLS or DTLS connection: a net.Conn. Its methods may be called from
// many goroutines at once. A fatal error is repeated; an expired deadline
// (os.ErrDeadlineExceeded) is not fatal, and what was under way continues later.
//
// A call returns when its deadline passes or the connection ends, whatever another
// goroutine is doing. During the handshake both deadlines count for every call. After
// a fatal error a Write that is blocked returns within five seconds.
//
// Read returns io.EOF after the peer's close_notify, and io.ErrUnexpectedEOF when
// a stream ends without; after Close everything returns net.ErrClosed.
//
// Early data (0-RTT) has calls of its own, ReadEarlyData and WriteEarlyData; a
// DTLSServer's Config with MaxEarlyData is refused.
type Conn struct{ session }

// session is what differs between a stream and datagrams.
type session interface {
	net.Conn
	handshake(context.Context) error
	readEarly(p []byte) (int, error)
	writeEarly(p []byte) (int, error)
	closeWrite() error
	state() hermetic.ConnectionState
	control(func(*hermetic.Engine) error) error
	netConn() net.Conn
	drops() Drops
}

// Client returns a TLS client over a stream. The first use performs the handshake. If cfg cannot
// be used, all methods return the *hermetic.ConfigError.
func Client(conn net.Conn, cfg *hermetic.Config) *Conn {
	return &Conn{newStream(conn, hermetic.TLSClient, cfg)}
}

// Server returns a TLS server over a stream. The first use performs the handshake. If cfg cannot
// be used, all methods return the *hermetic.ConfigError.
func Server(conn net.Conn, cfg *hermetic.Config) *Conn {
	return &Conn{newStream(conn, hermetic.TLSServer, cfg)}
}

// DTLSClient returns a DTLS client over a connection that keeps datagrams apart.
// From the handshake on one goroutine reads conn, until the connection is closed.
// The peer is what conn delivers: its RemoteAddr may change, as it does over ICE, and may be
// nil. Callbacks of cfg may block.
func DTLSClient(conn net.Conn, cfg *hermetic.Config) *Conn {
	return &Conn{newSingle(conn, hermetic.DTLSClient, cfg)}
}

// DTLSServer returns a DTLS server for the one peer of a connection that keeps
// datagrams apart, as with [DTLSClient]. It asks for a cookie unless
// cfg.DTLS.TrustAddress is set, as it should be over ICE.
func DTLSServer(conn net.Conn, cfg *hermetic.Config) *Conn {
	return &Conn{newSingle(conn, hermetic.DTLSServer, cfg)}
}

// Read reads what the peer has sent, after the handshake, which it performs if
// need be. In DTLS it reads one datagram; if p is too small for it, it returns
// io.ErrShortBuffer, and the rest is lost.
func (c *Conn) Read(p []byte) (int, error) { return c.session.Read(p) }

// Write writes p, after the handshake, which it performs if need be. Over a stream
// it returns, with the error of an expired deadline, how many bytes have been
// taken: what the transport has not taken of them leaves with the next Write. In
// DTLS it sends one datagram, of 16,384 bytes at most: more is a
// [hermetic.ErrInvalidOperation], and nothing is sent. A datagram that the transport has
// not taken at the deadline may still leave after it.
func (c *Conn) Write(p []byte) (int, error) { return c.session.Write(p) }

// Close sends close_notify, unless that would have to wait for others, and closes
// the connection below. It interrupts Read and Write. In DTLS it waits for a second at
// most.
func (c *Conn) Close() error { return c.session.Close() }

// CloseWrite sends close_notify: Write fails from now on, Read goes on. The
// connection below stays open.
func (c *Conn) CloseWrite() error { return c.closeWrite() }

// Handshake performs the handshake, if it is not complete. It obeys both deadlines,
// whichever operation it is performed for.
func (c *Conn) Handshake() error { return c.handshake(context.Background()) }

// HandshakeContext performs the handshake, if it is not complete. When ctx is done
// before that, the connection is closed, and the error is the context's; the calls of
// other goroutines return a net.ErrClosed.
func (c *Conn) HandshakeContext(ctx context.Context) error { return c.handshake(ctx) }

// State is what is known of the connection now.
func (c *Conn) State() hermetic.ConnectionState { return c.state() }

// Control calls f with the engine, for what Conn does not offer (KeyUpdate, …), and
// sends what comes of it. f must not wait, and must not call Open, Seal or Output.
func (c *Conn) Control(f func(*hermetic.Engine) error) error { return c.control(f) }

// stateTimeout is how long ConnectionState waits for a handshake.
const stateTimeout = 30 * time.Second

// ConnectionState is what crypto/tls can say of State, for net/http and others
// that look for this method. Since net/http asks once, and before it reads, it
// performs the handshake if need be, for 30 seconds at most. VerifiedChains is
// not set, and ExportKeyingMaterial must not be called: State has its own.
func (c *Conn) ConnectionState() tls.ConnectionState {
	if !c.state().HandshakeComplete {
		ctx, cancel := context.WithTimeout(context.Background(), stateTimeout)
		defer cancel()
		c.handshake(ctx) // the first Read repeats its error
	}
	s := c.state()
	return tls.ConnectionState{
		Version:                     s.Version,
		HandshakeComplete:           s.HandshakeComplete,
		DidResume:                   s.DidResume,
		CipherSuite:                 s.CipherSuite,
		CurveID:                     s.CurveID,
		NegotiatedProtocol:          s.NegotiatedProtocol,
		ServerName:                  s.ServerName,
		PeerCertificates:            s.PeerCertificates,
		SignedCertificateTimestamps: s.SignedCertificateTimestamps,
		OCSPResponse:                s.OCSPResponse,
		HelloRetryRequest:           s.HelloRetryRequest,
	}
}

// NetConn is the connection below, or nil: the peers of a [PacketListener] share
// a socket. To read or write it breaks the session.
func (c *Conn) NetConn() net.Conn { return c.netConn() }
