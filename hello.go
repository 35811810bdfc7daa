package hermetic

import (
	"crypto/tls"
	"errors"

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
	PeerID            []byte // as given to SetPeerID

	criteria *pki.Criteria
}

// SupportsCertificate returns nil if the client can use c, else the reason.
func (h *ClientHello) SupportsCertificate(c *tls.Certificate) error {
	id, err := pki.Prepare(c)
	if err != nil {
		return err
	}
	criteria := *h.criteria
	if id.Fits(&criteria) == 0 {
		return errors.New("the client does not support the certificate's key or its type")
	}
	if h.ServerName != "" && id.Leaf != nil {
		return id.Leaf.VerifyHostname(h.ServerName)
	}
	return nil
}

// newClientHello copies what a caller may want to keep.
func newClientHello(e *Engine, h *wire.ClientHello, criteria *pki.Criteria) *ClientHello {
	hello := &ClientHello{Mode: e.mode, ServerName: h.ServerName, PeerID: e.peerID, criteria: criteria}
	versions := h.SupportedVersions
	if len(versions) == 0 {
		versions = wire.AppendUint16s(nil, wire.VersionTLS12)
	}
	for v := range versions.All() {
		hello.SupportedVersions = append(hello.SupportedVersions, v)
	}
	for v := range h.CipherSuites.All() {
		hello.CipherSuites = append(hello.CipherSuites, v)
	}
	for v := range h.Groups.All() {
		hello.SupportedCurves = append(hello.SupportedCurves, tls.CurveID(v))
	}
	hello.SignatureSchemes = schemeList(h.SignatureSchemes)
	for p := range h.ALPN.All() {
		hello.SupportedProtos = append(hello.SupportedProtos, string(p))
	}
	return hello
}

func schemeList(schemes wire.Uint16s) []tls.SignatureScheme {
	list := make([]tls.SignatureScheme, 0, schemes.Len())
	for v := range schemes.All() {
		list = append(list, tls.SignatureScheme(v))
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
	id, err := pki.Prepare(c)
	if err != nil {
		return err
	}
	if got, _ := pki.Choose([]*pki.Identity{id}, r.criteria, false); got == nil {
		return errors.New("the server does not accept the certificate's issuer, key or type")
	}
	return nil
}

func newCertificateRequest(version uint16, q *handshake.Choose) *CertificateRequest {
	r := &CertificateRequest{SignatureSchemes: schemeList(q.Schemes), Version: version, criteria: &q.Criteria}
	for name := range q.Authorities.All() {
		r.AcceptableCAs = append(r.AcceptableCAs, name)
	}
	return r
}
