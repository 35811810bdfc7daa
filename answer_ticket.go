package hermetic

import (
	"crypto/sha256"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/session"
)

// A TicketKey seals session tickets. Anyone who has it can resume all sessions that were sealed
// with it, and decrypt recorded TLS 1.2 connections of those.
type TicketKey [32]byte

// A TicketKeySource has the ticket keys of a server, which may change. Its method may be called
// from many goroutines and must not block: if keys are across a network, use
// [AsyncTicketKeys].
type TicketKeySource interface {
	// TicketKeys returns the keys at that time: the first seals new tickets, and all of them
	// open old ones. Without any, or with an error, the handshake continues without tickets.
	TicketKeys(now time.Time) ([]TicketKey, error)
}

// StaticTicketKeys returns a source of keys that do not change: the first seals. Servers with
// the same keys resume each other's sessions.
func StaticTicketKeys(keys ...TicketKey) TicketKeySource {
	return staticKeys(slices.Clone(keys))
}

type staticKeys []TicketKey

func (k staticKeys) TicketKeys(time.Time) ([]TicketKey, error) { return k, nil }

// rotatingKeys are the keys of a Config and its Clones: each seals for the lifetime of one
// ticket, and opens for another.
type rotatingKeys struct {
	mu    sync.Mutex
	life  time.Duration
	rand  io.Reader
	since time.Time // of keys[0]
	keys  []TicketKey
}

// atLeast makes keys live at least that long.
func (r *rotatingKeys) atLeast(life time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.life = max(r.life, life)
}

func (r *rotatingKeys) TicketKeys(now time.Time) ([]TicketKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// now may be a little before since: this handshake has read the clock before
	// another one made the key.
	age := now.Sub(r.since).Abs()
	if len(r.keys) > 0 && age < r.life {
		return r.keys, nil
	}
	var fresh TicketKey
	if _, err := io.ReadFull(r.rand, fresh[:]); err != nil {
		return nil, err
	}
	keys := []TicketKey{fresh}
	if len(r.keys) > 0 && age < 2*r.life {
		keys = append(keys, r.keys[0])
	}
	r.keys, r.since = keys, now // a new list: callers hold the old one
	return r.keys, nil
}

// A ticket is the name of its key, a nonce, and the sealed session. The nonce is
// long enough to be drawn at random for any number of tickets.
const (
	keyNameLen = 8
	ticketHead = keyNameLen + chacha20poly1305.NonceSizeX
)

func (k *TicketKey) name() [keyNameLen]byte {
	var b [56]byte
	sum := sha256.Sum256(append(append(b[:0], "hermetic ticket key name"...), k[:]...))
	return [keyNameLen]byte(sum[:])
}

func (k *TicketKey) seal(source io.Reader, plain []byte) ([]byte, error) {
	name := k.name()
	ticket := make([]byte, ticketHead, ticketHead+len(plain)+chacha20poly1305.Overhead)
	copy(ticket, name[:])
	if _, err := io.ReadFull(source, ticket[keyNameLen:]); err != nil {
		return nil, err
	}
	aead, err := chacha20poly1305.NewX(k[:])
	if err != nil {
		return nil, err
	}
	return aead.Seal(ticket, ticket[keyNameLen:ticketHead], plain, name[:]), nil
}

// openTicket returns the session in a ticket, or nil when none of keys opens it.
func openTicket(keys []TicketKey, ticket []byte) *session.Session {
	if len(ticket) < ticketHead {
		return nil
	}
	for i := range keys {
		k := &keys[i]
		name := k.name()
		if name != [keyNameLen]byte(ticket) {
			continue
		}
		aead, err := chacha20poly1305.NewX(k[:])
		if err != nil {
			return nil
		}
		plain, err := aead.Open(nil, ticket[keyNameLen:ticketHead], ticket[ticketHead:], name[:])
		if err != nil {
			return nil
		}
		s, err := session.Parse(plain)
		if err != nil {
			return nil
		}
		return s
	}
	return nil
}

// ticketKeys returns the keys for this handshake, or the question for them to the
// caller. Without keys there are no tickets.
func (e *Engine) ticketKeys() ([]TicketKey, Pending) {
	switch keeper := e.keeper(); {
	case e.tickets != nil:
	case keeper.cfg.asks(AsyncTicketKeys):
		return nil, &TicketKeysRequest{question{e}}
	default:
		keys, err := keeper.keys.TicketKeys(e.plan.cfg.now())
		if err != nil {
			keys = nil
		}
		e.tickets = &keys
	}
	return *e.tickets, nil
}

// openTicket returns the session in the ticket that an identity may be, or nil, or the question
// for its keys to the caller.
func (e *Engine) openTicket(q *handshake.FindPSK) (*session.Session, Pending) {
	sealer := e.sealer()
	switch {
	case sealer == nil:
		keys, asked := e.ticketKeys()
		if asked != nil {
			return nil, asked
		}
		return openTicket(keys, q.Identity), nil
	case q.Own:
		return nil, nil // a client must not make us ask any number of times
	}
	q.Asked = true
	s, err := sealer.open(e.State(), q.Identity)
	if err != nil {
		q.Err = callbackError(alert.InternalError, err)
	}
	return s, nil
}

// sealTicket answers with the ticket of a session.
func (e *Engine) sealTicket(q *handshake.SealTicket) Pending {
	if issue := e.plan.cfg.IssueTicket; issue != nil && !issue(e.State()) {
		return nil
	}
	if sealer := e.sealer(); sealer != nil {
		if !q.At(e.plan.cfg.now()) {
			return nil
		}
		var err error
		if q.Ticket, err = sealer.seal(e.State(), q.Session); err != nil {
			q.Err = callbackError(alert.InternalError, err)
		}
		return nil
	}
	keys, asked := e.ticketKeys()
	if len(keys) > 0 && q.At(e.plan.cfg.now()) {
		q.Ticket, _ = keys[0].seal(e.params().Rand, q.Session.Append(nil)) // on an error there is no ticket
	}
	return asked
}
