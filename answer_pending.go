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

// Pending is a question that an engine waits on: a *[ConfigRequest], *[ChooseRequest],
// *[SignRequest], *[VerifyRequest], *[SessionRequest], *[TicketKeysRequest], *[PSKRequest],
// *[ClientPSKRequest] or *[ReplayRequest]. The caller answers it at any later time, from the goroutine that drives
// the engine. A second answer, or one after Reset, is an [ErrInvalidOperation].
type Pending interface{ pending() }

// ConfigRequest asks a server which Config to use for a client ([AsyncConfig]).
type ConfigRequest struct {
	// ClientHello describes the client.
	ClientHello *ClientHello

	question
}

// Answer returns the Config to the engine, as [Config].GetConfigForClient does: nil keeps the
// engine's own, and an error ends the handshake. The questions that follow are those of the
// Config that was chosen.
func (r *ConfigRequest) Answer(cfg *Config, err error) error {
	return reply(r.engine, r, "choice of a Config", func(q *handshake.Configure) { r.engine.configured(q, cfg, err) })
}

// ChooseRequest asks which certificate to send ([AsyncChoose]).
type ChooseRequest struct {
	// ClientHello, on a server, describes the client. It is nil on a client.
	ClientHello *ClientHello

	// CertificateRequest, on a client, is what the server accepts. It is nil on a server.
	CertificateRequest *CertificateRequest

	question
}

// Answer returns the certificate to the engine. Nil sends none on a client, and leaves the
// choice to the Config on a server. An error ends the handshake.
func (r *ChooseRequest) Answer(cert *tls.Certificate, err error) error {
	return reply(r.engine, r, "choice of a certificate", func(q *handshake.Choose) {
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
	// Certificate is the certificate whose key must sign.
	Certificate *tls.Certificate

	// Scheme is the signature scheme to use.
	Scheme tls.SignatureScheme

	// Message is the data to hash and sign. The caller may keep it.
	Message []byte

	question
}

// Sign computes the signature with key, for a key in this process. It does not touch the
// engine and may run on any goroutine. A nil source of randomness means crypto/rand.Reader.
func (r *SignRequest) Sign(source io.Reader, key crypto.Signer) ([]byte, error) {
	if source == nil {
		source = rand.Reader
	}
	return suite.Scheme(r.Scheme).Sign(source, key, r.Message)
}

// Answer returns the signature to the engine. An error ends the handshake with
// internal_error.
func (r *SignRequest) Answer(signature []byte, err error) error {
	return reply(r.engine, r, "signature", func(q *handshake.Sign) {
		q.Signature, q.Err = slices.Clone(signature), err
	})
}

// VerifyRequest asks for a verdict on the peer ([AsyncVerify]).
type VerifyRequest struct {
	// State describes the connection, with the peer's certificates and VerifiedChains.
	State ConnectionState

	question
}

// Answer returns the verdict to the engine. Nil accepts the peer. An error ends the
// handshake with bad_certificate, or with the alert of an *[AlertError].
func (r *VerifyRequest) Answer(err error) error {
	return reply(r.engine, r, "verdict", func(q *handshake.Verify) {
		if err != nil {
			q.Err = callbackError(alert.BadCertificate, err)
		}
	})
}

// SessionRequest asks a client which session to offer ([AsyncSession]).
type SessionRequest struct {
	// Key is the key that the session was stored under: see [SessionCache].
	Key string

	question
}

// Answer returns the session to the engine. After nil, or an error, the handshake is a full
// one.
func (r *SessionRequest) Answer(s *Session, err error) error {
	return reply(r.engine, r, "session", func(q *handshake.Offer) {
		if err == nil {
			r.engine.offered(q, s)
		}
	})
}

// TicketKeysRequest asks a server for the keys of its tickets ([AsyncTicketKeys]), at most
// once in a handshake.
type TicketKeysRequest struct{ question }

// Answer returns the keys to the engine: the first seals, and all open. Without any, or
// with an error, the handshake continues without tickets.
func (r *TicketKeysRequest) Answer(keys []TicketKey, err error) error {
	e := r.engine
	if e.Pending() != Pending(r) {
		return stale("list of ticket keys")
	}
	if err != nil {
		keys = nil
	}
	e.hs.tickets, e.hs.keyed = keys, true
	e.resume()
	return nil
}

// PSKRequest asks a server for the external PSK of an identity ([AsyncPSK]).
type PSKRequest struct {
	// Identity is what the client sent; for an imported PSK, that of the PSK it is derived
	// from (RFC 9258).
	Identity []byte

	question
}

// Answer returns the PSK to the engine, or nil if the identity is unknown. An error ends
// the handshake.
func (r *PSKRequest) Answer(p *PSK, err error) error {
	return reply(r.engine, r, "PSK", func(q *handshake.FindPSK) { r.engine.foundPSK(q, p, err) })
}

// ClientPSKRequest asks a client for its external PSK ([AsyncClientPSK]), up to three times in a
// handshake: see [PSKQuery].
type ClientPSKRequest struct {
	// Query says what the PSK is for.
	Query *PSKQuery

	question
}

// Answer returns the PSK to the engine, as [Config].GetClientPSK does: nil leaves the choice to
// PSKs, and an error ends the handshake.
func (r *ClientPSKRequest) Answer(p *PSK, err error) error {
	return reply(r.engine, r, "PSK", func(q *handshake.ClientPSK) { r.engine.foundClientPSK(q, p, err) })
}

// ReplayRequest asks a server whether early data is new ([AsyncReplay]).
type ReplayRequest struct {
	// ID is 32 bytes that no other ClientHello has: the first 16 identify the ticket, the
	// last 16 the ClientHello. See [ReplayGuard].
	ID []byte

	// Until is when ID may be forgotten.
	Until time.Time

	question
}

// Answer tells the engine whether ID was never seen before, on any server. If it was, or with an
// error, the early data is rejected and the handshake continues.
func (r *ReplayRequest) Answer(unseen bool, err error) error {
	return reply(r.engine, r, "verdict on a replay", func(q *handshake.Unseen) { q.OK = unseen && err == nil })
}

// question ties a request to the engine that asked it.
type question struct{ engine *Engine }

func (question) pending() {}

// reply answers the handshake's question of which r is the public form, and continues,
// or returns the error of stale.
func reply[Q handshake.Question](e *Engine, r Pending, what string, fill func(Q)) error {
	if e.Pending() != r {
		return stale(what)
	}
	fill(e.hs.machine.Question().(Q))
	e.proceed()
	return nil
}

// stale is the error of an answer that the engine does not wait for.
func stale(what string) error {
	return &invalidOperation{fmt.Sprintf("the engine does not wait for this %s: it was answered before, or the engine was reset", what)}
}
