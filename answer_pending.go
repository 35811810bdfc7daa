package hermetic

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"fmt"
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

// ChooseRequest asks which certificate to send ([AsyncChoose]).
type ChooseRequest struct {
	ClientHello        *ClientHello        // on a server
	CertificateRequest *CertificateRequest // on a client
	question
}

// Answer gives the certificate. On a client nil sends none; on a server nil
// leaves the choice to the Config. An error ends the handshake.
func (r *ChooseRequest) Answer(cert *tls.Certificate, err error) error {
	return answer(r.engine, r, "choice of a certificate", func(q *handshake.Choose) {
		switch {
		case err != nil:
			q.Err = callbackError(alert.InternalError, err)
		case cert == nil && r.engine.mode.IsServer():
			r.engine.chooseOwn(q)
		default:
			r.engine.chosen(q, cert)
		}
	})
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
	return answer(r.engine, r, "signature", func(q *handshake.Sign) {
		q.Signature, q.Err = slices.Clone(signature), err
	})
}

// VerifyRequest asks for a verdict on the peer ([AsyncVerify]).
type VerifyRequest struct {
	State ConnectionState // with the peer's certificates and VerifiedChains
	question
}

// Answer gives the verdict: nil accepts; an *[AlertError] chooses the alert,
// another error ends the handshake with bad_certificate.
func (r *VerifyRequest) Answer(err error) error {
	return answer(r.engine, r, "verdict", func(q *handshake.Verify) {
		if err != nil {
			q.Err = callbackError(alert.BadCertificate, err)
		}
	})
}

// SessionRequest asks a client which session to offer ([AsyncSession]).
type SessionRequest struct {
	Key string // what it was kept under
	question
}

// Answer gives the session, or nil for none. An error is none as well: the
// handshake is then a full one.
func (r *SessionRequest) Answer(s *Session, err error) error {
	return answer(r.engine, r, "session", func(q *handshake.Offer) {
		if err == nil {
			r.engine.offered(q, s)
		}
	})
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
	return answer(r.engine, r, "PSK", func(q *handshake.FindPSK) { r.engine.foundPSK(q, p, err) })
}

// ReplayRequest asks a server whether early data is new ([AsyncReplay]).
type ReplayRequest struct {
	// ID is 32 bytes that no other ClientHello has: the first 16 name the ticket, the
	// last 16 the ClientHello. See [ReplayGuard].
	ID []byte

	// Until is the time after which ID need not be remembered.
	Until time.Time

	question
}

// Answer says whether ID was not seen before, anywhere. If not, or with an error,
// the early data is rejected, and the handshake goes on.
func (r *ReplayRequest) Answer(unseen bool, err error) error {
	return answer(r.engine, r, "verdict on a replay", func(q *handshake.Unseen) { q.OK = unseen && err == nil })
}

// question ties a request to the engine that asked it.
type question struct{ engine *Engine }

func (question) pending() {}

// answer answers the question of the handshake that r stands for, and goes on; or
// nobody waits for it any more.
func answer[Q handshake.Question](e *Engine, r Pending, what string, fill func(Q)) error {
	if e.pending != r {
		return stale(what)
	}
	fill(e.question.(Q))
	e.answered()
	return nil
}

// stale is the error of an answer that nobody waits for.
func stale(what string) error {
	return &invalidOperation{fmt.Sprintf("nobody waits for this %s: it was answered before, or the engine was reset", what)}
}
