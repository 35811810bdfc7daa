// Package netconn is TLS and DTLS with the interfaces of package net, over the engine of package
// hermetic: an ordinary net.Conn and net.Listener, for programs without an event loop.
//
// [Client], [Server], [Dial] and [Listen] are used like those of crypto/tls. With
// a "udp" network, or [DTLSClient] and [DTLSServer] over a connection that keeps
// datagrams apart, they speak DTLS. [ListenPacket] serves any number of DTLS peers
// on one socket, with one goroutine and one timer for all of them.
//
// Connections do not support hermetic.Config.Async: use callbacks. They may block, except on a
// [PacketListener].
//
// [Serve] serves HTTP/1.1 and HTTP/2 with net/http, and [Transport] is a client for both.
package netconn

import (
	"context"
	"io"
	"net"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// errPending is the error of a handshake that asks a question of Config.Async.
var errPending error = &hermetic.ConfigError{Field: "Async", Reason: "netconn does not support it: use callbacks, which may block, or an Engine"}

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
// Early data (0-RTT) has its own methods, ReadEarlyData and WriteEarlyData. They are for
// TLS only: over datagrams they are a [hermetic.ErrInvalidOperation], and a server's Config with
// MaxEarlyData is refused.
type Conn struct{ session }

// session is what differs between a stream and datagrams.
type session interface {
	net.Conn
	handshake(context.Context) error
	readEarly(p []byte) (int, error)
	writeEarly(p []byte) (int, error)
	writeBuffers(data [][]byte) (int, error)
	WriteTo(w io.Writer) (int64, error)
	closeWrite() error
	state() hermetic.ConnectionState
	control(func(*hermetic.Engine) error) error
	netConn() net.Conn
	drops() Drops
	setProtocols(func(protos []string) []string)
}

// Client returns a TLS client over a stream. The first use performs the handshake. If cfg cannot
// be used, all methods return the *hermetic.ConfigError.
func Client(conn net.Conn, cfg *hermetic.Config) *Conn {
	return &Conn{newStream(conn, hermetic.TLSClient, &handshakes{cfg: cfg})}
}

// Server returns a TLS server over a stream. The first use performs the handshake. If cfg cannot
// be used, all methods return the *hermetic.ConfigError.
func Server(conn net.Conn, cfg *hermetic.Config) *Conn {
	return &Conn{newStream(conn, hermetic.TLSServer, &handshakes{cfg: cfg})}
}

// DTLSClient returns a DTLS client over a connection that keeps datagrams apart, such as a
// connected UDP socket. The first use performs the handshake. From then on one goroutine reads
// conn, until the connection is closed. Whatever conn delivers is taken to be from the peer: its
// RemoteAddr may change, as it does over ICE, and may be nil. Callbacks of cfg may block. If cfg
// cannot be used, all methods return the *hermetic.ConfigError.
func DTLSClient(conn net.Conn, cfg *hermetic.Config) *Conn {
	return &Conn{newSingle(conn, hermetic.DTLSClient, cfg)}
}

// DTLSServer returns a DTLS server for the one peer of a connection that keeps
// datagrams apart, as with [DTLSClient]. It asks for a cookie unless
// cfg.DTLS.TrustAddress is set, as it should be over ICE.
func DTLSServer(conn net.Conn, cfg *hermetic.Config) *Conn {
	return &Conn{newSingle(conn, hermetic.DTLSServer, cfg)}
}

// Read reads data from the peer. It first performs the handshake if that is not complete.
//
// In DTLS it reads one datagram. If p is too small for it, the error is io.ErrShortBuffer, and
// the rest is lost.
func (c *Conn) Read(p []byte) (int, error) { return c.session.Read(p) }

// Write writes p. It first performs the handshake if that is not complete.
//
// Over a stream, a Write whose deadline expires returns how many bytes of p were taken. Those
// that the transport has not taken yet are sent by the next Write.
//
// In DTLS it sends one datagram, of at most 16,384 bytes. A longer p is a
// [hermetic.ErrInvalidOperation], and nothing is sent. A datagram that the transport has not
// taken at the deadline may still be sent later.
//
// For data in several slices, see [Conn.WriteBuffers].
//
// A peer that does not read, even one that has sent its close_notify, blocks a Write over a stream
// until the write deadline, as with crypto/tls: set one.
//
// After the peers have agreed on the ALPN protocol "h2", a first Write that begins like HTTP/1 is
// [ErrNotHTTP2], and nothing is sent.
func (c *Conn) Write(p []byte) (int, error) { return c.session.Write(p) }

// WriteBuffers is like Write, but takes data in several slices, such as a header and a body, or a
// net.Buffers. It seals and writes them as if they were joined, without another copy. Up to 64 KiB
// take one Write of the connection below. In DTLS, all slices together are one datagram. The slices
// are not modified. Use it instead of net.Buffers.WriteTo, which calls Write for each slice.
func (c *Conn) WriteBuffers(data [][]byte) (int, error) { return c.writeBuffers(data) }

// WriteTo implements io.WriterTo, which io.Copy uses. It writes data from the peer to w, without a
// copy in between, until the peer's close_notify, which is not an error. Read waits until WriteTo
// returns. Data that w does not take is left for Read.
//
// In DTLS, each datagram is one Write, and what w does not take of it is lost.
func (c *Conn) WriteTo(w io.Writer) (int64, error) { return c.session.WriteTo(w) }

// Close sends close_notify, unless it would have to wait for another call, and closes the
// connection below. It interrupts Read and Write. In DTLS it takes at most a second.
func (c *Conn) Close() error { return c.session.Close() }

// CloseWrite sends close_notify: from then on Write fails, and Read still works. The connection
// below stays open. Before the handshake is complete it is a [hermetic.ErrInvalidOperation].
func (c *Conn) CloseWrite() error { return c.closeWrite() }

// Handshake performs the handshake, if it is not complete. Both deadlines apply to it.
func (c *Conn) Handshake() error { return c.handshake(context.Background()) }

// HandshakeContext performs the handshake, if it is not complete. If ctx is done before that, the
// connection is closed and the error is that of ctx; calls of other goroutines return a
// net.ErrClosed.
func (c *Conn) HandshakeContext(ctx context.Context) error { return c.handshake(ctx) }

// LocalAddr returns the local address of the connection below.
func (c *Conn) LocalAddr() net.Addr { return c.session.LocalAddr() }

// RemoteAddr returns the peer's address, to which Write sends. On a [PacketListener] with
// connection IDs it may change.
func (c *Conn) RemoteAddr() net.Addr { return c.session.RemoteAddr() }

// SetDeadline sets both the read and the write deadline. The zero time means none.
func (c *Conn) SetDeadline(t time.Time) error { return c.session.SetDeadline(t) }

// SetReadDeadline sets the deadline of Read and ReadEarlyData. The zero time means none.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.session.SetReadDeadline(t) }

// SetWriteDeadline sets the deadline of Write, WriteEarlyData and CloseWrite. The zero time means
// none.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.session.SetWriteDeadline(t) }

// State describes the connection. Until the handshake is complete, fields that are not known yet
// are zero.
func (c *Conn) State() hermetic.ConnectionState { return c.state() }

// Control calls f with the engine, for what Conn does not have itself, such as KeyUpdate, and
// then sends the engine's output. f must not block, and must not call Open, Seal, SealEarlyData,
// Output, Close, Reset or Export. Control returns f's error.
func (c *Conn) Control(f func(*hermetic.Engine) error) error { return c.control(f) }

// NetConn returns the connection below. It is nil on a [PacketListener], whose peers share a
// socket. Reading or writing it corrupts the TLS or DTLS connection.
func (c *Conn) NetConn() net.Conn { return c.netConn() }
