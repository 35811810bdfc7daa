package hermetic

import (
	"crypto"
	"crypto/tls"
	"io"
)

// Pending is a question that an engine waits on: a *[ChooseRequest], a
// *[SignRequest] or a *[VerifyRequest]. The caller answers when it can, from
// the goroutine that drives the engine. An answer that comes twice, or after
// Reset, is an ErrInvalidOperation.
type Pending interface{ pending() }

// ChooseRequest asks which certificate to send ([AsyncCertificate]).
type ChooseRequest struct {
	ClientHello        *ClientHello        // on a server
	CertificateRequest *CertificateRequest // on a client
	question
}

// Answer gives the certificate. On a client nil sends none; on a server nil
// leaves the choice to the Config. An error ends the handshake.
func (r *ChooseRequest) Answer(cert *tls.Certificate, err error) error { panic("skeleton") }

// SignRequest asks for a signature ([AsyncSign]).
type SignRequest struct {
	Certificate *tls.Certificate
	Scheme      tls.SignatureScheme
	Message     []byte // to be hashed and signed; the caller may keep it
	question
}

// Sign computes the signature with key: the answer, for a key at hand. It does
// not touch the engine and may run on any goroutine.
func (r *SignRequest) Sign(rand io.Reader, key crypto.Signer) ([]byte, error) { panic("skeleton") }

// Answer gives the signature. An error ends the handshake with internal_error.
func (r *SignRequest) Answer(signature []byte, err error) error { panic("skeleton") }

// VerifyRequest asks for a verdict on the peer ([AsyncVerify]).
type VerifyRequest struct {
	State ConnectionState // with the peer's certificates and VerifiedChains
	question
}

// Answer gives the verdict: nil accepts; an *[AlertError] chooses the alert,
// another error ends the handshake with bad_certificate.
func (r *VerifyRequest) Answer(err error) error { panic("skeleton") }

// question ties a request to the engine that asked it.
type question struct{ engine *Engine }

func (*ChooseRequest) pending() {}
func (*SignRequest) pending()   {}
func (*VerifyRequest) pending() {}
