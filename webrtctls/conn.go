package webrtctls

import (
	"errors"
	"fmt"
	"net"

	"github.com/pion/srtp/v3"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/netconn"
)

// A Conn is DTLS over ICE, and the packets of SRTP beside it. The embedded Conn is DTLS: what it
// reads and writes is for SCTP, as the NetConn of its Config. The first use performs the
// handshake; HandshakeContext bounds it.
//
// It lives as long as the ICE connection: restarts, other pairs and other addresses are the same
// connection to it. While ICE has no pair, what is written is lost like any other datagram: DTLS
// and SCTP send it again.
//
// Close sends close_notify and closes the ICE connection, with SRTP and SRTCP.
type Conn struct {
	netconn.Conn
	mux *mux
}

// New returns a DTLS client or server over an ICE connection, such as a *ice.Conn of pion: any
// net.Conn that keeps datagrams apart and whose Read ends after Close. The role follows from the
// SDP: see [Role]. From then on one goroutine reads conn until it is closed, and nothing else may.
//
// If role is not [hermetic.DTLSClient] or [hermetic.DTLSServer], it is a server.
func New(conn net.Conn, role hermetic.Mode, cfg *hermetic.Config) *Conn {
	m := newMux(conn)
	if role == hermetic.DTLSClient {
		return &Conn{*netconn.DTLSClient(m.dtls, cfg), m}
	}
	return &Conn{*netconn.DTLSServer(m.dtls, cfg), m}
}

// SRTP returns the packets of SRTP, for [srtp.NewSessionSRTP]. Those that arrive before somebody
// reads are kept, up to 1 MiB. Its Close leaves the others open.
func (c *Conn) SRTP() net.Conn { return c.mux.srtp }

// SRTCP returns the packets of SRTCP, for [srtp.NewSessionSRTCP], as SRTP does. They share the
// transport (RFC 5761): the SDP must say a=rtcp-mux.
func (c *Conn) SRTCP() net.Conn { return c.mux.srtcp }

var (
	errHandshake = errors.New("webrtctls: the keys of SRTP are not there until the DTLS handshake is complete")
	errProfile   = errors.New("webrtctls: the peer has agreed on no protection profile of SRTP")
)

// SRTPConfig returns the Config for pion's sessions of SRTP and SRTCP, with the profile that was
// agreed on and the keys that DTLS has made (RFC 5764, Section 4.2). It is an error before the
// handshake is complete, and without use_srtp.
func (c *Conn) SRTPConfig() (*srtp.Config, error) {
	state := c.State()
	switch {
	case !state.HandshakeComplete:
		return nil, errHandshake
	case state.SRTPProfile == 0:
		return nil, errProfile
	}
	cfg := &srtp.Config{Profile: srtp.ProtectionProfile(state.SRTPProfile)}
	if err := cfg.ExtractSessionKeysFromDTLS(&state, !state.Mode.IsServer()); err != nil {
		return nil, fmt.Errorf("webrtctls: the keys of SRTP: %w", err)
	}
	return cfg, nil
}

// Lost returns what was lost between ICE and the three protocols.
func (c *Conn) Lost() Lost { return c.mux.lost() }
