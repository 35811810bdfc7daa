package grpctls

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"

	"google.golang.org/grpc/credentials"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

// h2 is the ALPN protocol of HTTP/2, without which gRPC is not spoken (RFC 9113, Section 3.2).
const h2 = "h2"

// placeholder is the server's name in a client's Config until a connection says it.
const placeholder = "authority.invalid"

// New returns credentials for clients and servers. It uses a Clone of cfg, and of what its
// GetConfigForClient returns, with "h2" appended to NextProtos. A peer that does not agree on h2 is
// refused.
//
// A client verifies the server by the authority of its channel: the host of the target, unless
// cfg.ServerName or grpc.WithAuthority says otherwise. With cfg.PSKs, cfg.GetClientPSK or
// cfg.PeerPublicKeys it does not verify a name, unless cfg has a ServerName: then no certificate is
// accepted in their place.
//
// If cfg cannot be used, the error is a *hermetic.ConfigError. Config.Async is not supported:
// callbacks may block.
func New(cfg *hermetic.Config) (credentials.TransportCredentials, error) {
	if cfg != nil && cfg.Async != 0 {
		return nil, &hermetic.ConfigError{Field: "Async", Reason: "grpctls does not support it: use callbacks, which may block"}
	}
	if _, err := hermetic.NewEngine(hermetic.TLSServer, cfg); err != nil {
		return nil, err
	}
	server := forHTTP2(cfg)
	if ask := cfg.GetConfigForClient; ask != nil {
		server.GetConfigForClient = (&chosen{ask: ask}).forClient
	}
	client := forHTTP2(cfg)
	c := &creds{client: client, server: server, serverName: cfg.ServerName}
	if c.named = cfg.ServerName != "" || len(cfg.PSKs)+len(cfg.PeerPublicKeys) == 0 && cfg.GetClientPSK == nil; c.named {
		client.ServerName = placeholder
	}
	for mode, cfg := range map[hermetic.Mode]*hermetic.Config{hermetic.TLSClient: client, hermetic.TLSServer: server} {
		if _, err := hermetic.NewEngine(mode, cfg); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// forHTTP2 returns a Clone that offers h2.
func forHTTP2(cfg *hermetic.Config) *hermetic.Config {
	cfg = cfg.Clone()
	if !slices.Contains(cfg.NextProtos, h2) {
		cfg.NextProtos = append(slices.Clip(cfg.NextProtos), h2)
	}
	return cfg
}

// chosen has the results of a GetConfigForClient, each with its Clone for HTTP/2: a Config is
// expensive at its first use.
type chosen struct {
	ask func(*hermetic.ClientHello) (*hermetic.Config, error)

	mu     sync.Mutex
	clones [][2]*hermetic.Config // the newest last
}

// maxChosen is how many are kept.
const maxChosen = 64

func (c *chosen) forClient(h *hermetic.ClientHello) (*hermetic.Config, error) {
	cfg, err := c.ask(h)
	if err != nil || cfg == nil || slices.Contains(cfg.NextProtos, h2) {
		return cfg, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, known := range c.clones {
		if known[0] == cfg {
			return known[1], nil
		}
	}
	if len(c.clones) == maxChosen {
		c.clones = append(c.clones[:0], c.clones[1:]...)
	}
	clone := forHTTP2(cfg)
	c.clones = append(c.clones, [2]*hermetic.Config{cfg, clone})
	return clone, nil
}

// creds are credentials.TransportCredentials.
type creds struct {
	client, server *hermetic.Config
	named          bool   // a client verifies a name
	serverName     string // "": that of the channel
}

// ClientHandshake performs a client's handshake. When ctx is done before it is complete, rawConn is
// closed and the error is that of ctx.
func (c *creds) ClientHandshake(ctx context.Context, authority string, rawConn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn := netconn.Client(rawConn, c.client)
	if c.named {
		if err := conn.Control(func(e *hermetic.Engine) error { return e.SetServerName(c.host(authority)) }); err != nil {
			conn.Close()
			return nil, nil, fmt.Errorf("grpctls: the authority %q: %w", authority, err)
		}
	}
	return handshake(ctx, rawConn, conn)
}

// host returns the name to verify: grpc makes the authority from Info().ServerName, or from the
// target.
func (c *creds) host(authority string) string {
	if authority == "" {
		return c.serverName
	}
	if host, _, err := net.SplitHostPort(authority); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(authority, "["), "]") // an IPv6 address without a port
}

// ServerHandshake performs a server's handshake, within the deadline that grpc has set on rawConn:
// see grpc.ConnectionTimeout.
func (c *creds) ServerHandshake(rawConn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return handshake(context.Background(), rawConn, netconn.Server(rawConn, c.server))
}

func handshake(ctx context.Context, rawConn net.Conn, conn *netconn.Conn) (net.Conn, credentials.AuthInfo, error) {
	if err := conn.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, nil, asGRPC(err)
	}
	state := conn.ConnectionState()
	if state.NegotiatedProtocol != h2 {
		conn.Close()
		return nil, nil, fmt.Errorf("grpctls: the peer has not agreed on h2 by ALPN, but on %q: gRPC needs HTTP/2", state.NegotiatedProtocol)
	}
	info := credentials.TLSInfo{
		State:          state,
		CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
		SPIFFEID:       spiffeID(state.PeerCertificates),
	}
	if socket, ok := rawConn.(syscall.Conn); ok {
		return withSocket{conn, socket}, info, nil
	}
	return conn, info, nil
}

// asGRPC makes the alert of a peer an error that is not temporary, as that of crypto/tls is. grpc
// takes all other errors of a handshake to be temporary, and tries again.
func asGRPC(err error) error {
	var fault *hermetic.AlertError
	if errors.As(err, &fault) && fault.Received {
		return &net.OpError{Op: "remote error", Err: err}
	}
	return err
}

// withSocket is a connection whose socket grpc can set options on, such as TCP_USER_TIMEOUT.
type withSocket struct {
	net.Conn
	socket syscall.Conn
}

// SyscallConn returns the socket below TLS.
func (c withSocket) SyscallConn() (syscall.RawConn, error) { return c.socket.SyscallConn() }

// Info describes the credentials, as those of credentials.NewTLS do.
func (c *creds) Info() credentials.ProtocolInfo {
	//lint:ignore SA1019 grpc makes the authority from it
	return credentials.ProtocolInfo{SecurityProtocol: "tls", SecurityVersion: "1.2", ServerName: c.serverName}
}

// Clone returns credentials with the same Config, for another OverrideServerName.
func (c *creds) Clone() credentials.TransportCredentials {
	clone := *c
	return &clone
}

// OverrideServerName sets the name that a client verifies. grpc.WithAuthority does that too.
func (c *creds) OverrideServerName(name string) error {
	c.serverName = name
	if c.named = c.named || name != ""; c.named && c.client.ServerName == "" {
		c.client = c.client.Clone()
		c.client.ServerName = placeholder
	}
	return nil
}
