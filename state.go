package hermetic

import (
	"crypto"
	"crypto/tls"
	"crypto/x509"
)

// ConnectionState is what is known of a connection.
type ConnectionState struct {
	Mode              Mode
	Version           uint16 // tls.VersionTLS12 or tls.VersionTLS13, for DTLS too
	HandshakeComplete bool
	CipherSuite       uint16
	Curve             tls.CurveID // the group; 0 without (EC)DHE

	ServerName         string // server_name: sent by the client
	NegotiatedProtocol string // ALPN
	DidResume          bool
	HelloRetryRequest  bool

	// ExtendedMasterSecret is true in TLS 1.3 and in TLS 1.2 with RFC 7627.
	ExtendedMasterSecret bool

	// LocalSignatureScheme and PeerSignatureScheme are what each side signed
	// the handshake with; zero: it did not.
	LocalSignatureScheme tls.SignatureScheme
	PeerSignatureScheme  tls.SignatureScheme

	PeerCertificates []*x509.Certificate // leaf first, as sent
	// VerifiedChains is set only in VerifyConnection and in a VerifyRequest:
	// a connection does not keep it.
	VerifiedChains [][]*x509.Certificate
	PeerPublicKey  crypto.PublicKey // of the leaf, or the raw public key (RFC 7250)

	OCSPResponse                []byte
	SignedCertificateTimestamps [][]byte

	exporter func(label string, context []byte, length int) ([]byte, error)
}

// ExportKeyingMaterial is [Engine.ExportKeyingMaterial], for VerifyConnection.
func (s *ConnectionState) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	panic("skeleton")
}
