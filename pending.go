package hermetic

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"io"
	"slices"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/suite"
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
func (r *ChooseRequest) Answer(cert *tls.Certificate, err error) error {
	e := r.engine
	if e.pending != Pending(r) {
		return stale("choice of a certificate")
	}
	q := e.question.(*handshake.Choose)
	switch {
	case err != nil:
		q.Err = callbackError(alert.InternalError, err)
	case cert == nil && e.mode.IsServer():
		e.chooseOwn(q)
	default:
		e.chosen(q, cert)
	}
	e.answered()
	return nil
}

// SignRequest asks for a signature ([AsyncSign]).
type SignRequest struct {
	Certificate *tls.Certificate
	Scheme      tls.SignatureScheme
	Message     []byte // to be hashed and signed; the caller may keep it
	question
}

// Sign computes the signature with key: the answer, for a key at hand. It does
// not touch the engine and may run on any goroutine. A nil source of randomness
// is crypto/rand.Reader.
func (r *SignRequest) Sign(source io.Reader, key crypto.Signer) ([]byte, error) {
	if source == nil {
		source = rand.Reader
	}
	return suite.Scheme(r.Scheme).Sign(source, key, r.Message)
}

// Answer gives the signature. An error ends the handshake with internal_error.
func (r *SignRequest) Answer(signature []byte, err error) error {
	e := r.engine
	if e.pending != Pending(r) {
		return stale("signature")
	}
	q := e.question.(*handshake.Sign)
	q.Signature, q.Err = slices.Clone(signature), err
	e.answered()
	return nil
}

// VerifyRequest asks for a verdict on the peer ([AsyncVerify]).
type VerifyRequest struct {
	State ConnectionState // with the peer's certificates and VerifiedChains
	question
}

// Answer gives the verdict: nil accepts; an *[AlertError] chooses the alert,
// another error ends the handshake with bad_certificate.
func (r *VerifyRequest) Answer(err error) error {
	e := r.engine
	if e.pending != Pending(r) {
		return stale("verdict")
	}
	if err != nil {
		e.question.(*handshake.Verify).Err = callbackError(alert.BadCertificate, err)
	}
	e.answered()
	return nil
}

// question ties a request to the engine that asked it.
type question struct{ engine *Engine }

func (*ChooseRequest) pending() {}
func (*SignRequest) pending()   {}
func (*VerifyRequest) pending() {}
