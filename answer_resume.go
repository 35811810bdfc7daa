package hermetic

import (
	"fmt"
	"time"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/handshake"
)

// Resumption is what a server does with a session: see [Config.ResumeSession].
type Resumption uint8

const (
	// ResumeAccept resumes the session. In TLS 1.3 the client gets new tickets, in TLS 1.2 it
	// keeps the ticket that it has.
	ResumeAccept Resumption = iota
	// ResumeRenew resumes the session, and issues a new ticket in TLS 1.2 too, which expires
	// at most seven days after the session's full handshake.
	ResumeRenew
	// ResumeDecline ignores the ticket: the handshake is a full one, unless the client offers
	// another session.
	ResumeDecline
)

// String returns "accept", "renew" or "decline".
func (r Resumption) String() string {
	switch r {
	case ResumeAccept:
		return "accept"
	case ResumeRenew:
		return "renew"
	case ResumeDecline:
		return "decline"
	}
	return fmt.Sprintf("Resumption(%d)", uint8(r))
}

// ResumableSession describes a session to [Config.ResumeSession].
type ResumableSession struct {
	// State is what the session remembers of its connection: the version, the names and the
	// peer's certificates. Its DidResume is true.
	State ConnectionState

	// Began is when the full handshake took place.
	Began time.Time

	// Issued is when the ticket was made.
	Issued time.Time

	// Expires is when the ticket expires.
	Expires time.Time
}

// decide asks whether to resume a session.
func (e *Engine) decide(q *handshake.Resume) Pending {
	s := q.Session
	peer, err := handshake.RestorePeer(s, &e.plan.chains)
	if err != nil {
		q.Decline = true
		return nil
	}
	switch r := e.plan.cfg.ResumeSession(&ResumableSession{e.recalled(s, peer), s.Began, s.Created, s.Created.Add(s.Lifetime)}); r {
	case ResumeAccept:
	case ResumeRenew:
		q.Renew = true
	case ResumeDecline:
		q.Decline = true
	default:
		q.Err = alert.Wrap(alert.InternalError, errCallback, fmt.Errorf("ResumeSession returned %v", r))
	}
	return nil
}
