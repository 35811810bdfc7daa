package handshake

import (
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/session"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// Question is one of the types below: what a handshake does not decide itself. The driver
// of the machine fills in the answer and calls Resume, now or later.
type Question interface{ failure() error }

// Failure is the error that the answer to a question ends the handshake with, or nil.
func Failure(q Question) error { return q.failure() }

// outcome is embedded in every question: a non-nil Err ends the handshake.
type outcome struct{ Err error }

func (o *outcome) failure() error { return o.Err }

// Configure asks a server which configuration is for this client.
type Configure struct {
	Hello  *wire.ClientHello // valid until the answer
	Params *Params           // the answer; nil: no other
	outcome
}

// Choose asks which certificate to send.
type Choose struct {
	Hello    *wire.ClientHello // on a server
	Criteria pki.Criteria      // to choose by
	// The answer: nil sends none (clients), or fails (servers).
	Identity *pki.Identity
	Scheme   suite.Scheme
	outcome
}

func (q *Choose) failure() error {
	if q.Err == nil && q.Identity == nil && q.Hello != nil {
		return errNoCertFits
	}
	return q.Err
}

// Sign asks for a signature over Message with the key of Identity.
type Sign struct {
	Identity  *pki.Identity
	Scheme    suite.Scheme
	Message   []byte
	Signature []byte // the answer
	outcome
}

func (q *Sign) failure() error {
	if q.Err == nil {
		return nil
	}
	return alert.Wrap(alert.InternalError, "the private key failed to sign", q.Err)
}

// Verify asks whether the peer's certificate is trusted. Without one Peer is
// nil, and a server that accepts this is asked nothing.
type Verify struct {
	Peer    *Peer
	Staples [][]byte // in TLS 1.3, the OCSP responses of the certificates after the leaf
	Resumed bool     // the certificate was verified when the session began
	outcome          // nil, or an *alert.Error
}

// Offer asks a client which session to offer.
type Offer struct {
	Session *session.Session // the answer; nil: none
	outcome
}

// FindPSK asks a server what an identity stands for: a ticket that it issued, an external
// PSK, or nothing.
type FindPSK struct {
	Identity          []byte
	Tickets, External bool // what it may be
	Own               bool // only look in the server's own configuration
	Last              bool // it is the client's last
	Asked             bool // the caller or a callback was asked
	PSK               *PSK // the answer; nil: not known
	outcome
}

// Resume asks a server whether to resume the session of a ticket that it knows. In TLS 1.3
// the client has proved that it has the session.
type Resume struct {
	Session *session.Session
	Decline bool // the answer: a full handshake
	Renew   bool // the answer: a new ticket, in TLS 1.2 too
	outcome
}

// ClientPSK asks a client for its PSK.
type ClientPSK struct {
	Version uint16       // that it is for
	Hint    []byte       // psk_identity_hint of TLS 1.2; nil: none
	Began   *session.PSK // of the session that would be offered; nil: it is for a full handshake
	PSKs    []PSK        // the answer, the forms of one PSK; none: those of the configuration
	outcome
}

// SealTicket asks a server for the ticket that holds a session.
type SealTicket struct {
	Session *session.Session
	Ticket  []byte // the answer; nil: none
	outcome
}

// At sets the time at which the ticket is made, which may be long after the question. The
// session's age counts from then, since its client counts from the ticket's arrival. At
// reports whether any lifetime is left.
func (q *SealTicket) At(now time.Time) bool {
	s := q.Session
	s.Created = now.Truncate(time.Millisecond)
	s.Lifetime = min(s.Lifetime, (maxTicketLife - s.Created.Sub(s.Began)).Truncate(time.Second))
	return s.Lifetime > 0
}

// Unseen asks a server whether it sees this early data for the first time: RFC 9846,
// Section 8.
type Unseen struct {
	ID []byte // 16 bytes of the ticket, 16 of the ClientHello
	OK bool   // the answer
	outcome
}
