package hermetic

import (
	"crypto/tls"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// ClientHello is what a server knows of its client when it chooses a
// certificate or a Config. It is valid as long as the caller likes.
type ClientHello struct {
	Mode              Mode
	ServerName        string
	SupportedVersions []uint16
	CipherSuites      []uint16
	SupportedCurves   []tls.CurveID
	SignatureSchemes  []tls.SignatureScheme
	SupportedProtos   []string
	AcceptableCAs     [][]byte // DER distinguished names; empty: any
	PeerID            []byte   // as given to SetPeerID

	criteria *pki.Criteria
}

// SupportsCertificate returns nil if the client can use c, else the reason.
func (h *ClientHello) SupportsCertificate(c *tls.Certificate) error {
	id, err := fits(c, h.criteria, h.AcceptableCAs)
	if err == nil && h.ServerName != "" && id.Leaf != nil {
		return id.Leaf.VerifyHostname(h.ServerName)
	}
	return err
}

// fits is what both forms of SupportsCertificate ask.
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
	hello := &ClientHello{Mode: e.mode, ServerName: h.ServerName, PeerID: e.peerID, criteria: criteria}
	versions := h.SupportedVersions
	if len(versions) == 0 {
		versions = wire.AppendUint16s(nil, wire.VersionTLS12)
	}
	hello.SupportedVersions = listOf[uint16](versions)
	hello.CipherSuites = listOf[uint16](h.CipherSuites)
	hello.SupportedCurves = listOf[tls.CurveID](h.Groups)
	hello.SignatureSchemes = listOf[tls.SignatureScheme](h.SignatureSchemes)
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

// CertificateRequest is what a server asks of its client's certificate.
type CertificateRequest struct {
	AcceptableCAs    [][]byte // DER distinguished names; empty: any
	SignatureSchemes []tls.SignatureScheme
	Version          uint16

	criteria *pki.Criteria
}

// SupportsCertificate returns nil if the server would take c, else the reason.
func (r *CertificateRequest) SupportsCertificate(c *tls.Certificate) error {
	_, err := fits(c, r.criteria, r.AcceptableCAs)
	return err
}

func newCertificateRequest(version uint16, q *handshake.Choose) *CertificateRequest {
	return &CertificateRequest{
		AcceptableCAs:    slices.Collect(q.Criteria.Authorities.All()),
		SignatureSchemes: listOf[tls.SignatureScheme](q.Criteria.Schemes),
		Version:          version,
		criteria:         &q.Criteria,
	}
}
