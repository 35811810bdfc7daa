package netconn

import (
	"context"
	"net"
	"time"

	"github.com/hermetic-tls/hermetic"
)

// Dial connects and performs the handshake: DTLS if the network is "udp", "udp4" or "udp6", and
// otherwise TLS. Without cfg.ServerName, the name to verify is the host of address, except with
// cfg.PSKs, cfg.GetClientPSK or cfg.PeerPublicKeys: no certificate is then accepted in their
// place. If ctx is done before the handshake is complete, the error is that of ctx. For options,
// use a [Dialer].
func Dial(ctx context.Context, network, address string, cfg *hermetic.Config) (*Conn, error) {
	return (&Dialer{Config: cfg, HandshakeTimeout: -1}).dial(ctx, network, address)
}

// A Dialer connects as [Dial] does, with options. Its methods may be called from many goroutines at
// once. The zero value is a client without PSKs that trusts the system's authorities.
type Dialer struct {
	// NetDialer makes the connection below. Its Timeout and Deadline also count for the
	// handshake. Nil means the zero net.Dialer.
	NetDialer *net.Dialer

	// Config is the client's configuration. Nil means the zero Config.
	Config *hermetic.Config

	// HandshakeTimeout is how long the handshake may take. Zero means 30 seconds, negative no
	// limit. Its error is a net.Error whose Timeout method returns true. In DTLS it
	// counts beside Config.DTLS.MaxTimeouts and MaxFlightPause.
	HandshakeTimeout time.Duration
}

// Dial is DialContext without a context.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext connects and performs the handshake, see [Dial]. The connection is a *[Conn].
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err // not a nil *Conn in an interface
	}
	return c, nil
}

func (d *Dialer) dial(ctx context.Context, network, address string) (*Conn, error) {
	cfg, err := named(d.Config, address)
	if err != nil {
		return nil, err
	}
	dialer := d.NetDialer
	if dialer == nil {
		dialer = new(net.Dialer)
	}
	// As in crypto/tls, the net.Dialer's limits are for all of it.
	if dialer.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, dialer.Timeout)
		defer cancel()
	}
	if !dialer.Deadline.IsZero() {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, dialer.Deadline)
		defer cancel()
	}
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := Client(conn, cfg)
	if isUDP(network) {
		c = DTLSClient(conn, cfg)
	}
	if err := c.handshakeWithin(ctx, orDefault(d.HandshakeTimeout)); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// named returns cfg with the host of address as its ServerName, if it needs one and has none.
func named(cfg *hermetic.Config, address string) (*hermetic.Config, error) {
	if cfg == nil {
		cfg = &hermetic.Config{}
	}
	if cfg.ServerName != "" || len(cfg.PSKs)+len(cfg.PeerPublicKeys) > 0 || cfg.GetClientPSK != nil {
		return cfg, nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	cfg = cfg.Clone()
	cfg.ServerName = host
	return cfg, nil
}

// orDefault is the effect of a HandshakeTimeout: zero or less means none.
func orDefault(timeout time.Duration) time.Duration {
	if timeout == 0 {
		return handshakeTimeout
	}
	return timeout
}

// handshakeWithin performs the handshake. Zero or less means no timeout.
func (c *Conn) handshakeWithin(ctx context.Context, timeout time.Duration) error {
	if timeout <= 0 {
		return c.HandshakeContext(ctx)
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := c.HandshakeContext(limited)
	if err != nil && ctx.Err() == nil && limited.Err() == err {
		return errHandshakeTimeout
	}
	return err
}
