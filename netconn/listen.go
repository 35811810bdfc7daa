package netconn

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// Listen listens for DTLS, as [ListenPacket] does, if the network is "udp", "udp4" or "udp6", and
// otherwise for TLS. The result is a *[PacketListener] or a *[Listener]. Its connections are *[Conn]s,
// and their handshakes may take 30 seconds. For options, use a [ListenConfig].
func Listen(network, address string, cfg *hermetic.Config) (net.Listener, error) {
	return (&ListenConfig{Config: cfg}).Listen(context.Background(), network, address)
}

// NewListener returns a listener for TLS over the connections of another. Its connections are
// *[Conn]s, and perform their handshake with the first use. For options, use
// [ListenConfig.NewListener].
func NewListener(inner net.Listener, cfg *hermetic.Config) *Listener {
	return (&ListenConfig{Config: cfg}).NewListener(inner)
}

// A ListenConfig listens as [Listen] does, with options.
type ListenConfig struct {
	// NetListenConfig makes the socket. Nil means the zero net.ListenConfig.
	NetListenConfig *net.ListenConfig

	// Config is the server's configuration.
	Config *hermetic.Config

	// HandshakeTimeout is how long a handshake over a stream may take, from the first use of the
	// connection. Then the connection is closed, and the error is a net.Error whose Timeout
	// method returns true. Zero means 30 seconds, negative no limit. For DTLS use
	// Config.DTLS.MaxTimeouts and MaxFlightPause.
	HandshakeTimeout time.Duration

	// OnFailure, if set, is called once for each connection whose handshake has failed, or was
	// under way when the connection was closed: then err is net.ErrClosed, or
	// os.ErrDeadlineExceeded after a deadline has passed. It must not block, nor use the
	// connection. A DTLS listener uses it unless Packet.OnFailure is set.
	OnFailure func(peer net.Addr, err error)

	// Packet holds the options that only a DTLS listener has.
	Packet PacketConfig
}

// Listen listens for DTLS if the network is "udp", "udp4" or "udp6", and otherwise for TLS: the
// listener is a *[PacketListener] or a *[Listener]. ctx bounds the resolution of address. If
// Config cannot be used, the error is a *hermetic.ConfigError.
func (lc *ListenConfig) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	sockets := lc.NetListenConfig
	if sockets == nil {
		sockets = new(net.ListenConfig)
	}
	if isUDP(network) {
		return lc.listenPacket(ctx, sockets, network, address)
	}
	if _, err := newEngine(hermetic.TLSServer, lc.Config); err != nil {
		return nil, err
	}
	l, err := sockets.Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return lc.NewListener(l), nil
}

func (lc *ListenConfig) listenPacket(ctx context.Context, sockets *net.ListenConfig, network, address string) (net.Listener, error) {
	pc, err := sockets.ListenPacket(ctx, network, address)
	if err != nil {
		return nil, err
	}
	opts := lc.Packet
	if opts.OnFailure == nil {
		opts.OnFailure = lc.OnFailure
	}
	l, err := NewPacketListener(pc, lc.Config, &opts)
	if err != nil {
		pc.Close()
		return nil, err // not a nil *PacketListener in an interface
	}
	return l, nil
}

// NewListener returns a listener for TLS over the connections of another.
func (lc *ListenConfig) NewListener(inner net.Listener) *Listener {
	return &Listener{
		inner: inner,
		common: &handshakes{
			cfg:       lc.Config,
			timeout:   orDefault(lc.HandshakeTimeout),
			onFailure: lc.OnFailure,
		},
	}
}

// A Listener accepts TLS connections over a stream. A peer that does not continue its handshake
// does not delay Accept: the handshake begins with the first use of the connection.
type Listener struct {
	inner  net.Listener
	common *handshakes

	mu      sync.Mutex
	waiting chan accepted // for the call of inner's Accept that is under way; nil: none is
	closed  bool
}

// accepted is a result of Accept.
type accepted struct {
	conn net.Conn
	err  error
}

// Accept returns the next connection, a *[Conn], whose handshake begins with its first use.
func (l *Listener) Accept() (net.Conn, error) { return l.AcceptWithContext(context.Background()) }

// AcceptWithContext is [Listener.Accept] until ctx is done; then the error is that of ctx. A
// connection that arrives later waits for the next call.
func (l *Listener) AcceptWithContext(ctx context.Context) (net.Conn, error) {
	for {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		waiting := l.wait()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case a, ok := <-waiting:
			if !ok {
				continue // it was another call's
			}
			l.taken(waiting)
			if a.err != nil {
				return nil, a.err
			}
			return &Conn{newStream(a.conn, hermetic.TLSServer, l.common)}, nil
		}
	}
}

// wait calls inner's Accept on a separate goroutine, unless such a call is under way: a context
// cannot end it, and its result must not be lost.
func (l *Listener) wait() chan accepted {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.waiting == nil {
		waiting := make(chan accepted, 1)
		l.waiting = waiting
		go func() {
			conn, err := l.inner.Accept()
			l.mu.Lock()
			defer l.mu.Unlock()
			if l.closed && err == nil {
				conn.Close()
				err = net.ErrClosed
			}
			waiting <- accepted{conn, err}
		}()
	}
	return l.waiting
}

// taken wakes those who wait for a result that this call has received.
func (l *Listener) taken(waiting chan accepted) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = nil
	close(waiting)
}

// Close closes the listener below. Connections that Accept has returned continue.
func (l *Listener) Close() error {
	l.mu.Lock()
	l.closed = true
	select {
	case a := <-l.waiting: // of a call that its context has ended
		if a.err == nil {
			a.conn.Close()
		}
		l.waiting <- accepted{err: net.ErrClosed}
	default:
	}
	l.mu.Unlock()
	return l.inner.Close()
}

// Addr returns the address of the listener below.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }
