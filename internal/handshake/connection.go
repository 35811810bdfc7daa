package handshake

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"

	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/session"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// Connection is what survives a handshake: what both versions have, and the secrets,
// which know the version. The order of its fields leaves no gaps: every idle connection
// has one.
type Connection struct {
	Transport wire.Transport
	EarlyData EarlyDataState
	Version   uint16
	Group     suite.Group
	SRTP      uint16 // the profile that was negotiated, or 0
	RecordLimits
	// LocalCompressor and PeerCompressor are the algorithms of the compressed certificates;
	// 0: not compressed.
	LocalCompressor, PeerCompressor uint16
	LocalScheme                     suite.Scheme
	PeerScheme                      suite.Scheme
	EMS                             bool // TLS 1.2 only, see ExtendedMainSecret
	Retried                         bool // by HelloRetryRequest
	Resumed                         bool
	rawLocal                        bool // we have shown a raw public key, in this handshake or the session's first

	Suite      *suite.Suite
	ServerName string
	ALPN       string
	Peer       *Peer            // nil: it has not shown a certificate
	Local      *tls.Certificate // nil: we have not shown one
	PSK        *session.PSK     // the external PSK, of this handshake or of the session's first; nil: none

	ticket  *session.Session // received and not taken yet, see TakeSession
	began   int64            // when the peers have authenticated, if before this handshake, in Unix milliseconds
	secrets secrets          // nil: not agreed on yet, or forgotten
}

// RecordLimits are the sizes that were negotiated.
type RecordLimits struct {
	// SizeLimit and PeerSizeLimit are record_size_limit as it was sent and received, and
	// FragmentLength is max_fragment_length in bytes; 0: not negotiated.
	SizeLimit, PeerSizeLimit, FragmentLength uint16
}

// secrets are what a connection keeps of the key schedule of its version, and what that
// version can do with them after the handshake.
type secrets interface {
	// keys makes the current traffic keys.
	keys(c *Connection, server bool) (read, write suite.Keys)

	// export derives keying material.
	export(c *Connection, label string, context []byte, n int) ([]byte, error)

	// handle takes a message after the handshake.
	handle(c *Connection, out Output, p *Params, msg wire.Message) error

	// ended is what is left when the connection has ended well: the exporter.
	ended() secrets

	// save fills in a form's part of the version, and restore takes it over. The main
	// secret of TLS 1.2 and the exporter secret of TLS 1.3 are the session's.
	save(*form)
	restore(*form, *suite.Suite) bool
}

// EarlyDataState says what became of 0-RTT data.
type EarlyDataState uint8

const (
	NoEarlyData EarlyDataState = iota
	EarlyDataOffered
	EarlyDataAccepted
	EarlyDataRejected
)

// Peer is the certificate that the peer has shown.
type Peer struct {
	Chain  *pki.Chain       // nil for a raw public key
	RawKey crypto.PublicKey // RFC 7250
	came   *staples         // with the certificate; nil: nothing did

	// Verified are the chains that verification has built, now or when the session was
	// accepted; nil: none was demanded.
	Verified [][]*x509.Certificate
}

// staples are what a certificate came with.
type staples struct {
	ocsp []byte
	scts []byte // SignedCertificateTimestampList, length included
}

// OCSP is the response that the peer has stapled, or nil.
func (p *Peer) OCSP() []byte {
	if p.came == nil {
		return nil
	}
	return p.came.ocsp
}

// SCTs is the list that the peer has sent, or nil.
func (p *Peer) SCTs() []byte {
	if p.came == nil {
		return nil
	}
	return p.came.scts
}

// staple keeps what is not nil.
func (p *Peer) staple(ocsp, scts []byte) {
	if ocsp == nil && scts == nil {
		return
	}
	if p.came == nil {
		p.came = new(staples)
	}
	if ocsp != nil {
		p.came.ocsp = ocsp
	}
	if scts != nil {
		p.came.scts = scts
	}
}

// PublicKey is the key that signs the handshake.
func (p *Peer) PublicKey() crypto.PublicKey {
	if p.Chain == nil {
		return p.RawKey
	}
	return p.Chain.PublicKey()
}

// prefix is what the labels of the key schedule begin with.
func (c *Connection) prefix() suite.Prefix {
	if c.Transport == wire.Datagram {
		return suite.DTLS
	}
	return suite.TLS
}

// ExtendedMainSecret reports whether the keys are bound to the handshake: in TLS 1.3
// always, in TLS 1.2 by RFC 7627.
func (c *Connection) ExtendedMainSecret() bool { return c.EMS || c.Version == wire.VersionTLS13 }

// Handle takes a message after the handshake.
func (c *Connection) Handle(out Output, p *Params, msg wire.Message) error {
	return c.secrets.handle(c, out, p, msg)
}

// Keys are the current traffic keys, made again from their secrets.
func (c *Connection) Keys(server bool) (read, write suite.Keys) { return c.secrets.keys(c, server) }

// Renewable reports whether keys and connection IDs can be replaced, which only TLS 1.3
// has messages for.
func (c *Connection) Renewable() bool {
	_, ok := c.secrets.(*secrets13)
	return ok
}

// UpdateKeys sends a KeyUpdate, which changes the sending keys. With request it asks for
// the peer's. A connection that is not Renewable has none.
func (c *Connection) UpdateKeys(out Output, request bool) {
	if s, ok := c.secrets.(*secrets13); ok {
		s.updateKeys(c, out, request)
	}
}

// UpdateDue reports whether a KeyUpdate is due, because the peer has asked for it, or a
// request had to wait.
func (c *Connection) UpdateDue() bool {
	s, ok := c.secrets.(*secrets13)
	return ok && s.updates.due()
}

// SendDueUpdate sends the KeyUpdate that is due, if there is one and it may be sent.
func (c *Connection) SendDueUpdate(out Output) {
	if s, ok := c.secrets.(*secrets13); ok {
		s.sendDueUpdate(c, out)
	}
}

// Forget returns what is known of a connection that is over, without its secrets (RFC
// 9846, Section 6). One that has ended well keeps its exporter. c itself
// does not change.
func (c *Connection) Forget(failed bool) *Connection {
	f := *c
	if failed {
		f.secrets, f.ticket = nil, nil
	} else if f.secrets != nil {
		f.secrets = f.secrets.ended()
	}
	return &f
}

// HasExporter reports whether Export can be called: the handshake has derived its secrets,
// and they are not forgotten.
func (c *Connection) HasExporter() bool { return c.secrets != nil }

// Export derives keying material: RFC 9846, Section 7.5; RFC 5705. A nil context differs
// from an empty one in TLS 1.2 only, where it may be refused with ErrNoEMS or
// ErrReservedLabel.
func (c *Connection) Export(label string, context []byte, n int) ([]byte, error) {
	return c.secrets.export(c, label, context, n)
}
