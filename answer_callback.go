package hermetic

import (
	"context"
	"crypto/tls"
	"net"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// ClientHello describes a client to the callbacks of its server. It may be kept.
type ClientHello struct {
	// Mode is the server's.
	Mode Mode

	// ServerName is the server_name that the client sent, or "".
	ServerName string

	// SupportedVersions are the client's, such as tls.VersionTLS13, the preferred first. In
	// DTLS they are DTLS's own numbers.
	SupportedVersions []uint16

	// CipherSuites are the client's, the preferred first.
	CipherSuites []uint16

	// SupportedCurves are the client's key exchange groups, the preferred first.
	SupportedCurves []tls.CurveID

	// SignatureSchemes are those that the client verifies, the preferred first.
	SignatureSchemes []tls.SignatureScheme

	// SupportedProtos are the client's ALPN protocols, the preferred first.
	SupportedProtos []string

	// AcceptableCAs are the distinguished names (DER) of the authorities that the client
	// accepts. Empty means any.
	AcceptableCAs [][]byte

	// SupportedPoints are the client's point formats, which only TLS 1.2 has (RFC 8422, Section
	// 5.1.2).
	SupportedPoints []uint8

	// Extensions are the types of all extensions of the ClientHello, in its order.
	Extensions []uint16

	// HelloRetryRequest reports whether this is the client's second ClientHello.
	HelloRetryRequest bool

	// PeerID is what was given to SetPeerID. DTLS only.
	PeerID []byte

	// Conn is what was given to [Engine.SetConn], for its addresses: it must be neither read nor
	// written. Package netconn sets it. It may be nil.
	Conn net.Conn

	criteria *pki.Criteria
	ctx      context.Context
}

// Context returns the context of the handshake: see [Engine.SetContext]. Package netconn sets that of
// HandshakeContext. Without one it is context.Background.
func (h *ClientHello) Context() context.Context { return orBackground(h.ctx) }

func orBackground(ctx context.Context) context.Context {
	if ctx == nil {
		return context.Background()
	}
	return ctx
}

// SupportsCertificate returns nil if the client accepts c, or the reason why it
// does not.
func (h *ClientHello) SupportsCertificate(c *tls.Certificate) error {
	id, err := fits(c, h.criteria, h.AcceptableCAs)
	if err == nil && h.ServerName != "" && id.Leaf != nil {
		return id.Leaf.VerifyHostname(h.ServerName)
	}
	return err
}

// fits is what both forms of SupportsCertificate check.
func fits(c *tls.Certificate, criteria *pki.Criteria, authorities [][]byte) (*pki.Identity, error) {
	id, err := pki.Prepare(c)
	if err != nil {
		return nil, err
	}
	if _, err := id.Fits(criteria); err != nil {
		return nil, err
	}
	if !id.Issued(wire.AppendNames(nil, authorities...)) {
		return nil, pki.ErrIssuer
	}
	return id, nil
}

// newClientHello copies what a caller may want to keep.
func newClientHello(e *Engine, h *wire.ClientHello, criteria *pki.Criteria) *ClientHello {
	hello := &ClientHello{Mode: e.mode, ServerName: h.ServerName, PeerID: e.peerID(), Conn: e.connOf(), criteria: criteria, ctx: e.context()}
	versions := h.SupportedVersions
	if len(versions) == 0 {
		versions = wire.AppendUint16s(nil, wire.VersionTLS12)
	}
	hello.SupportedVersions = listOf[uint16](versions)
	hello.CipherSuites = listOf[uint16](h.CipherSuites)
	hello.SupportedCurves = listOf[tls.CurveID](h.Groups)
	hello.SignatureSchemes = listOf[tls.SignatureScheme](h.SignatureSchemes)
	hello.SupportedPoints = slices.Clone(h.PointFormats)
	hello.Extensions = h.ExtensionTypes()
	hello.HelloRetryRequest = e.conn.Retried
	hello.AcceptableCAs = slices.Collect(h.Authorities.All())
	for p := range h.ALPN.All() {
		hello.SupportedProtos = append(hello.SupportedProtos, string(p))
	}
	return hello
}

func listOf[T ~uint16](values wire.Uint16s) []T {
	list := make([]T, 0, values.Len())
	for v := range values.All() {
		list = append(list, T(v))
	}
	return list
}

// CertificateRequest describes the certificates that a server accepts.
type CertificateRequest struct {
	// AcceptableCAs are the distinguished names (DER) of the authorities that the server
	// accepts. Empty means any.
	AcceptableCAs [][]byte

	// SignatureSchemes are those that the server verifies, the preferred first.
	SignatureSchemes []tls.SignatureScheme

	// Version is the negotiated version, such as tls.VersionTLS13.
	Version uint16

	criteria *pki.Criteria
	ctx      context.Context
}

// Context is [ClientHello.Context] on a client.
func (r *CertificateRequest) Context() context.Context { return orBackground(r.ctx) }

// SupportsCertificate returns nil if the server accepts c, or the reason why it
// does not.
func (r *CertificateRequest) SupportsCertificate(c *tls.Certificate) error {
	_, err := fits(c, r.criteria, r.AcceptableCAs)
	return err
}

func newCertificateRequest(e *Engine, q *handshake.Choose) *CertificateRequest {
	return &CertificateRequest{
		AcceptableCAs:    slices.Collect(q.Criteria.Authorities.All()),
		SignatureSchemes: listOf[tls.SignatureScheme](q.Criteria.Schemes),
		Version:          e.conn.Version,
		criteria:         &q.Criteria,
		ctx:              e.context(),
	}
}
