package hermetic

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/hkdf"
	"crypto/sha256"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/session"
	"github.com/hermetic-tls/hermetic/internal/suite"
)

// A TicketKey seals session tickets. Anyone who has it can resume all sessions that were sealed
// with it, and decrypt recorded TLS 1.2 connections of those.
//
// Tickets are sealed with XChaCha20-Poly1305 by default. They are sealed with AES-256-GCM if
// GODEBUG=fips140=on is set, or if a [Policy] permits no ChaCha20-Poly1305, as in all presets: then
// each ticket has its own key (HKDF-SHA256) and a random nonce from crypto/cipher. A server declines
// a ticket that is sealed the other way, and the handshake is a full one.
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

// A ticket is the name of its key, a salt, and the sealed session. The salt is long enough to be drawn
// at random for any number of tickets.
const (
	keyNameLen = 8
	ticketSalt = chacha20poly1305.NonceSizeX
	ticketHead = keyNameLen + ticketSalt
)

// A ticketForm is a way to seal tickets. Each form has its own names for keys. So a ticket of another
// form has an unknown key, and the handshake is a full one.
type ticketForm struct {
	label string // of the key's name
	aead  func(k *TicketKey, salt []byte) (aead cipher.AEAD, nonce []byte, err error)
}

// xchachaTickets are sealed with XChaCha20-Poly1305, whose nonce is the salt. Even without AES
// instructions it is fast, and takes the same time for all keys.
var xchachaTickets = &ticketForm{"hermetic ticket key name", func(k *TicketKey, salt []byte) (cipher.AEAD, []byte, error) {
	aead, err := chacha20poly1305.NewX(k[:])
	return aead, salt, err
}}

// gcmTickets follow the rules of FIPS 140-3: AES-256-GCM with a random nonce that the library makes
// (NIST SP 800-38D, Section 8.2.2). With one key, such nonces suffice for 2^32 tickets only, so the
// salt gives each ticket its own key.
var gcmTickets = &ticketForm{"hermetic ticket key name, AES-256-GCM", func(k *TicketKey, salt []byte) (cipher.AEAD, []byte, error) {
	key, err := hkdf.Expand(sha256.New, k[:], "hermetic ticket, AES-256-GCM "+string(salt), 32)
	if err != nil {
		return nil, nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return aead, nil, err
}}

// ticketForm returns how tickets are sealed. They follow the rules of FIPS 140-3 if Go is in that
// mode, or if the policy permits no ChaCha20-Poly1305.
func (p *Policy) ticketForm() *ticketForm {
	chacha := func(id uint16) bool { return suite.ByID(id).WithoutAES }
	if fips140.Enabled() || p.CipherSuites != nil && !slices.ContainsFunc(p.CipherSuites, chacha) {
		return gcmTickets
	}
	return xchachaTickets
}

func (f *ticketForm) name(k *TicketKey) [keyNameLen]byte {
	var b [80]byte
	sum := sha256.Sum256(append(append(b[:0], f.label...), k[:]...))
	return [keyNameLen]byte(sum[:])
}

func (f *ticketForm) seal(k *TicketKey, source io.Reader, plain []byte) ([]byte, error) {
	name := f.name(k)
	var salt [ticketSalt]byte
	if _, err := io.ReadFull(source, salt[:]); err != nil {
		return nil, err
	}
	aead, nonce, err := f.aead(k, salt[:])
	if err != nil {
		return nil, err
	}
	ticket := make([]byte, 0, ticketHead+len(plain)+aead.Overhead())
	ticket = append(append(ticket, name[:]...), salt[:]...)
	return aead.Seal(ticket, nonce, plain, name[:]), nil
}

// open returns the session in a ticket, or nil when none of keys opens it.
func (f *ticketForm) open(keys []TicketKey, ticket []byte) *session.Session {
	if len(ticket) < ticketHead {
		return nil
	}
	for i := range keys {
		k := &keys[i]
		name := f.name(k)
		if name != [keyNameLen]byte(ticket) {
			continue
		}
		aead, nonce, err := f.aead(k, ticket[keyNameLen:ticketHead])
		if err != nil {
			return nil
		}
		plain, err := aead.Open(nil, nonce, ticket[ticketHead:], name[:])
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
	case e.hs.keyed:
	case keeper.cfg.asks(AsyncTicketKeys):
		return nil, &TicketKeysRequest{question{e}}
	default:
		keys, err := keeper.keys.TicketKeys(e.plan.cfg.now())
		if err != nil {
			keys = nil
		}
		e.hs.tickets, e.hs.keyed = keys, true
	}
	return e.hs.tickets, nil
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
		return e.plan.tickets.open(keys, q.Identity), nil
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
		q.Ticket, _ = e.plan.tickets.seal(&keys[0], e.params().Rand, q.Session.Append(nil)) // on an error there is no ticket
	}
	return asked
}
