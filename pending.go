package hermetic

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"io"
	"slices"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/suite"
)

// Pending is a question that an engine waits on: a *[ChooseRequest],
// *[SignRequest], *[VerifyRequest], *[SessionRequest], *[TicketKeysRequest],
// *[PSKRequest] or *[ReplayRequest]. The caller answers when it can, from
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

// SessionRequest asks a client which session to offer ([AsyncSession]).
type SessionRequest struct {
	Key string // what it was kept under
	question
}

// Answer gives the session, or nil for none. An error is none as well: the
// handshake is then a full one.
func (r *SessionRequest) Answer(s *Session, err error) error {
	e := r.engine
	if e.pending != Pending(r) {
		return stale("session")
	}
	if err == nil {
		e.offered(e.question.(*handshake.Offer), s)
	}
	e.answered()
	return nil
}

// TicketKeysRequest asks a server for the keys of its tickets
// ([AsyncTicketKeys]), once in a handshake that needs them.
type TicketKeysRequest struct{ question }

// Answer gives the keys: the first seals, and all open. Without any, or with an
// error, the handshake goes on without tickets.
func (r *TicketKeysRequest) Answer(keys []TicketKey, err error) error {
	e := r.engine
	if e.pending != Pending(r) {
		return stale("list of ticket keys")
	}
	if e.tickets = keys; err != nil || keys == nil {
		e.tickets = []TicketKey{}
	}
	e.answerAgain()
	return nil
}

// PSKRequest asks a server for the external PSK of an identity ([AsyncPSK]).
type PSKRequest struct {
	Identity []byte // of an imported PSK: the one that it was made of
	question
}

// Answer gives the PSK, or nil when the identity is not known. An error ends the
// handshake.
func (r *PSKRequest) Answer(p *PSK, err error) error {
	e := r.engine
	if e.pending != Pending(r) {
		return stale("PSK")
	}
	e.foundPSK(e.question.(*handshake.FindPSK), p, err)
	e.answered()
	return nil
}

// ReplayRequest asks a server whether early data is new ([AsyncReplay]).
type ReplayRequest struct {
	ID    []byte    // 16 bytes that no other ClientHello has
	Until time.Time // afterwards it need not be remembered
	question
}

// Answer says whether ID was not seen before, anywhere. If not, or with an error,
// the early data is rejected, and the handshake goes on.
func (r *ReplayRequest) Answer(unseen bool, err error) error {
	e := r.engine
	if e.pending != Pending(r) {
		return stale("verdict on a replay")
	}
	e.question.(*handshake.Unseen).OK = unseen && err == nil
	e.answered()
	return nil
}

// question ties a request to the engine that asked it.
type question struct{ engine *Engine }

func (*ChooseRequest) pending()     {}
func (*SignRequest) pending()       {}
func (*VerifyRequest) pending()     {}
func (*SessionRequest) pending()    {}
func (*TicketKeysRequest) pending() {}
func (*PSKRequest) pending()        {}
func (*ReplayRequest) pending()     {}
