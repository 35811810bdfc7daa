package netconn

import (
	"cmp"
	"context"
	"crypto/cipher"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/hermetic-tls/hermetic"
)

func isUDP(network string) bool { return strings.HasPrefix(network, "udp") }

// PacketConfig holds the options of a [PacketListener]. The zero value is right for most.
type PacketConfig struct {
	// Backlog is the largest number of handshakes under way and of connections that wait for
	// Accept, together. Beyond it, ClientHellos are dropped, and the clients send them again.
	// Zero or less means 1,024.
	Backlog int

	// MaxPeers is the largest number of connections, including handshakes. Beyond it, only
	// peers that already have a connection may start a new one. Zero or less means no limit.
	MaxPeers int

	// MaxQueued is the largest number of datagrams of a connection that wait for Read. Beyond
	// it they are dropped. Zero or less means 64.
	MaxQueued int

	// CompactAfter is the time without a datagram after which a connection is made small: see
	// [hermetic.Engine.Compact]. Zero means a minute, negative never.
	CompactAfter time.Duration

	// AcceptNewPath decides whether a peer is followed to the new address from which its newest
	// authentic record has come. RFC 9146, Section 6, requires a strategy for ensuring that
	// the peer receives there. It must not block, nor use the connection.
	//
	// Nil means that the listener checks whether the peer answers there (RFC 9853), and follows a
	// peer that does not take part in such checks at once. See
	// [hermetic.DTLSConfig].PathValidation. With AcceptNewPath, nothing else decides.
	AcceptNewPath func(from, to net.Addr) bool

	// Import are connections that [PacketListener.Export] has taken from another listener on the
	// same socket. Accept returns them first, in this order. None may be imported a second time,
	// anywhere: delete what was saved before. One that cannot be read is lost, and OnFailure is
	// told. The Config should be like that of the other listener.
	Import []SavedConn

	// ImportKey is the AEAD that has sealed Import, with the same key.
	ImportKey cipher.AEAD

	// OnFailure, if set, is called for each failed handshake of a peer whose cookie was good, and
	// for each connection of Import that cannot be imported. It must not block, nor use the
	// listener.
	OnFailure func(peer net.Addr, err error)
}

func (l *PacketConfig) backlog() int { return cmp.Or(max(l.Backlog, 0), 1024) }
func (l *PacketConfig) queue() int   { return cmp.Or(max(l.MaxQueued, 0), 64) }

func (l *PacketConfig) quiet() time.Duration { return cmp.Or(l.CompactAfter, time.Minute) }

// A PacketListener serves DTLS peers on one socket. One goroutine reads it and drives all
// handshakes, and one timer stands for all deadlines; a connection has neither. The callbacks of
// cfg run on that goroutine: none may block. A goroutine per connection writes datagrams that
// the socket does not take at once, and all datagrams on a net.PacketConn that is not a
// *net.UDPConn.
//
// Unless cfg.DTLS.TrustAddress is set, an unknown peer costs a few hashes and one datagram, and
// nothing is kept of it until its cookie has come back.
//
// A client that starts again from the same address, without ending the old connection, gets a
// new one. The old one fails with [ErrReplaced] when the new handshake is complete.
//
// With a cfg.DTLS.ConnectionIDLength, a client whose address changes keeps its connection:
// RemoteAddr, and where Write sends to, change once the client has answered a challenge at its new
// address (RFC 9853). Meanwhile Write waits, at most for one cfg.DTLS.PathTimeout, or two with
// [hermetic.PathValidationEnhanced]. A client that does not take part in such checks is followed
// at once: an attacker that can delay its newest record and send it from elsewhere can redirect
// our datagrams until the client's next record arrives; PacketConfig.AcceptNewPath may refuse. A Config
// from cfg.GetConfigForClient needs the same ConnectionIDLength, which says where the ID ends.
type PacketListener struct{ socket *socket }

// ListenPacket listens for DTLS on a UDP socket: the network is "udp", "udp4" or "udp6". For a
// [PacketConfig], use [NewPacketListener].
func ListenPacket(network, address string, cfg *hermetic.Config) (*PacketListener, error) {
	if !isUDP(network) {
		return nil, fmt.Errorf("netconn: network %q has no datagrams: use udp, udp4 or udp6, or NewPacketListener", network)
	}
	pc, err := net.ListenPacket(network, address)
	if err != nil {
		return nil, err
	}
	l, err := NewPacketListener(pc, cfg, nil)
	if err != nil {
		pc.Close()
	}
	return l, err
}

// NewPacketListener listens for DTLS on pc. From then on pc belongs to the listener: it is closed
// with the listener and its last connection. Nil opts means the zero value. If cfg cannot be used,
// the error is a *hermetic.ConfigError, and pc stays open.
func NewPacketListener(pc net.PacketConn, cfg *hermetic.Config, opts *PacketConfig) (*PacketListener, error) {
	if _, err := newEngine(hermetic.DTLSServer, cfg); err != nil {
		return nil, err
	}
	if opts != nil && len(opts.Import) > 0 {
		if _, ok := pc.(*net.UDPConn); !ok || opts.ImportKey == nil {
			return nil, errImport
		}
	}
	s := newSocket(newTransport(pc), cfg)
	if opts != nil {
		s.config = *opts
	}
	if cfg.DTLS.ConnectionIDs {
		s.cidSize = cfg.DTLS.ConnectionIDLength
	}
	s.server = s.withDistinctIDs(cfg)
	s.accept = make(chan *peer, s.config.backlog()+len(s.config.Import))
	s.adoptAll(s.config.Import, s.config.ImportKey)
	s.config.Import = nil
	s.start()
	return &PacketListener{s}, nil
}

var errListenerClosed = fmt.Errorf("netconn: the listener is closed: %w", net.ErrClosed)

// Accept returns the next connection whose handshake is complete: a *[Conn]. After Close, or if the
// socket fails, the error is a net.ErrClosed.
func (l *PacketListener) Accept() (net.Conn, error) { return l.accept(context.Background()) }

// AcceptWithContext is [PacketListener.Accept] until ctx is done; then the error is that of ctx.
func (l *PacketListener) AcceptWithContext(ctx context.Context) (net.Conn, error) {
	return l.accept(ctx)
}

func (l *PacketListener) accept(ctx context.Context) (net.Conn, error) {
	s := l.socket
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
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

// Close stops the listener. Connections that Accept has returned continue; the socket is closed
// with the last of them.
func (l *PacketListener) Close() error {
	if !l.socket.stopListening() {
		return net.ErrClosed
	}
	return nil
}

// Addr returns the address of the socket.
func (l *PacketListener) Addr() net.Addr { return l.socket.transport.LocalAddr() }
