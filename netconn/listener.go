package netconn

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// Dial connects and performs the handshake: TLS, or over "udp", "udp4" and "udp6"
// DTLS. Without cfg.ServerName the name to verify is the host of address, unless
// there are cfg.PSKs or cfg.PeerPublicKeys: then no certificate is accepted in their
// place.
func Dial(ctx context.Context, network, address string, cfg *hermetic.Config) (*Conn, error) {
	if cfg == nil {
		cfg = &hermetic.Config{}
	}
	if cfg.ServerName == "" && len(cfg.PSKs)+len(cfg.PeerPublicKeys) == 0 {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := Client(conn, cfg)
	if isUDP(network) {
		c = DTLSClient(conn, cfg)
	}
	if err := c.HandshakeContext(ctx); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func isUDP(network string) bool { return strings.HasPrefix(network, "udp") }

// Listen listens for TLS, or over "udp", "udp4" and "udp6" for DTLS: then it is
// [ListenPacket]. Its connections are *[Conn]s.
func Listen(network, address string, cfg *hermetic.Config) (net.Listener, error) {
	if isUDP(network) {
		return ListenPacket(network, address, cfg)
	}
	if _, err := newEngine(hermetic.TLSServer, cfg); err != nil {
		return nil, err
	}
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	return NewListener(l, cfg), nil
}

// NewListener returns a listener for TLS over the connections of another.
func NewListener(inner net.Listener, cfg *hermetic.Config) net.Listener {
	return &listener{inner, cfg}
}

type listener struct {
	net.Listener
	cfg *hermetic.Config
}

// Accept returns a connection whose handshake begins with its first use.
func (l *listener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return Server(conn, l.cfg), nil
}

// PacketConfig bound what the peers of a [PacketListener] may take.
type PacketConfig struct {
	// Backlog is how many handshakes may be under way and connections wait for
	// Accept, together. Zero or less: 1,024. Beyond it hellos are dropped, and come again.
	Backlog int
	// Peers is how many connections there may be, handshakes included. Zero: any
	// number. Beyond it only who has a connection already may begin anew.
	Peers int
	// Queue is how many datagrams of a connection wait for Read. Zero: 64. Beyond
	// it they are dropped.
	Queue int
	// Quiet is after how long without a datagram a connection is made small: it
	// gives up its ciphers, see [hermetic.Engine.Compact], and the next datagram
	// makes them again. Zero: a minute. Negative: never.
	Quiet time.Duration
	// Follow decides whether a peer whose newest authentic record has come from
	// another address is followed there: RFC 9146, Section 6, wants a strategy for
	// ensuring that it receives there. It must not wait, nor use the connection.
	// Nil: always.
	Follow func(from, to net.Addr) bool
	// Failed is told of each handshake that has failed, after the cookie of who was
	// there: strangers go unmentioned. It must not wait, nor use the listener. Nil:
	// nobody is told.
	Failed func(peer net.Addr, err error)
}

func (l *PacketConfig) backlog() int { return cmp.Or(max(l.Backlog, 0), 1024) }
func (l *PacketConfig) queue() int   { return cmp.Or(l.Queue, 64) }

func (l *PacketConfig) quiet() time.Duration { return cmp.Or(l.Quiet, time.Minute) }

// A PacketListener serves DTLS peers on one socket: one goroutine reads it and
// drives all handshakes, one timer stands for all deadlines, and a connection has
// neither. The callbacks of cfg run there: none may wait. Where the socket does not take
// a datagram at once, and on a net.PacketConn that is no *net.UDPConn, a goroutine
// writes it, one for each connection, and nobody else waits. Unless
// cfg.DTLS.TrustAddress is set, a stranger costs a few hashes and one datagram,
// and nothing is kept of him before his cookie has come back.
//
// A client that begins anew from the same address, without a word about the old
// connection, gets a new one; the old one fails when the new handshake is complete.
//
// With cfg.DTLS.ConnectionIDs of our own, a client whose address changes keeps
// its connection: RemoteAddr and where Write sends to follow the newest record
// that was authentic. Whoever can hold such a record back and send it from
// elsewhere can lead our datagrams there, until the client's next record comes;
// PacketConfig.Follow may refuse. A Config of cfg.GetConfigForClient needs the same
// ConnectionIDLength, for it says where the ID ends.
type PacketListener struct{ socket *socket }

// ListenPacket listens on a UDP socket.
func ListenPacket(network, address string, cfg *hermetic.Config) (*PacketListener, error) {
	if !isUDP(network) {
		return nil, fmt.Errorf("netconn: network %q has no datagrams: use udp, udp4 or udp6, or NewPacketListener", network)
	}
	pc, err := net.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	l, err := NewPacketListener(pc, cfg, PacketConfig{})
	if err != nil {
		pc.Close()
	}
	return l, err
}

// NewPacketListener listens on pc, which is the listener's from now on: it is
// closed with the listener and its last connection.
func NewPacketListener(pc net.PacketConn, cfg *hermetic.Config, config PacketConfig) (*PacketListener, error) {
	if _, err := newEngine(hermetic.DTLSServer, cfg); err != nil {
		return nil, err
	}
	s := newSocket(newTransport(pc), cfg)
	s.server, s.config = cfg, config
	if cfg.DTLS.ConnectionIDs {
		s.cidSize = cfg.DTLS.ConnectionIDLength
	}
	s.accept = make(chan *peer, s.config.backlog())
	s.start()
	return &PacketListener{s}, nil
}

var errListenerClosed = fmt.Errorf("netconn: the listener is closed: %w", net.ErrClosed)

// Accept returns the next connection whose handshake is complete: a *[Conn].
func (l *PacketListener) Accept() (net.Conn, error) {
	s := l.socket
	select {
	case <-s.done:
	case p := <-s.accept:
		s.mu.Lock()
		p.accepted = true
		s.waiting--
		closed := s.closed
		s.mu.Unlock()
		if !closed {
			return &Conn{p}, nil
		}
		p.Close() // as the listener's Close does
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, fmt.Errorf("%w: %w", errListenerClosed, s.err)
	}
	return nil, errListenerClosed
}

// Close ends the listening. Connections that Accept has returned live on; with
// the last of them the socket is closed.
func (l *PacketListener) Close() error {
	if !l.socket.stopListening() {
		return net.ErrClosed
	}
	return nil
}

// Addr is the socket's.
func (l *PacketListener) Addr() net.Addr { return l.socket.transport.LocalAddr() }
