package hermetic

import (
	"bytes"
	"crypto/tls"
	"errors"
	"reflect"
	"strings"
	"sync"

	"github.com/hermetic-tls/hermetic/internal/session"
)

// Sessions travel through crypto/tls, to its caches and in its tickets, as one of the Extra
// entries of a tls.SessionState that is otherwise empty.

// carrierState is that state, encoded: the version, the type (a server's), the cipher suite, the
// time, a secret of one byte, no Extra, two flags, no certificate and no chain. Its version is none of TLS,
// so that crypto/tls ignores it where both share ticket keys or a cache.
const carrierState = "\xff\xff" + "\x01" + "\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00" + "\x01\x00" + "\x00\x00\x00" + "\x00\x00" + "\x00\x00\x00" + "\x00\x00\x00"

// extraPrefix marks our entry, which may be one of many: applications may append others.
const extraPrefix = "hermetic session\x00"

// wrapped returns a state of crypto/tls that carries ours.
func wrapped(ours []byte) (*tls.SessionState, error) {
	s, err := tls.ParseSessionState([]byte(carrierState))
	if err != nil {
		return nil, err
	}
	s.Extra = append(s.Extra, append([]byte(extraPrefix), ours...))
	return s, nil
}

// unwrapped returns what wrapped has put into s, or nil.
func unwrapped(s *tls.SessionState) []byte {
	if s == nil {
		return nil
	}
	for _, extra := range s.Extra {
		if ours, ok := bytes.CutPrefix(extra, []byte(extraPrefix)); ok {
			return ours
		}
	}
	return nil
}

// A tlsCache keeps a client's sessions in a cache of crypto/tls. Its keys are the server's name,
// as in crypto/tls, or for DTLS "dtls:" and the name. A session of TLS 1.3 is removed when it is
// used.
type tlsCache struct {
	mu     sync.Mutex
	theirs tls.ClientSessionCache
}

func (c *tlsCache) Get(key string) *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	key = strings.TrimPrefix(key, "tls:")
	found, ok := c.theirs.Get(key)
	if !ok {
		return nil
	}
	_, state, err := found.ResumptionState()
	s := new(Session)
	if err != nil || s.UnmarshalBinary(unwrapped(state)) != nil {
		return nil // of crypto/tls, or damaged
	}
	if s.SingleUse() {
		c.theirs.Put(key, nil)
	}
	return s
}

func (c *tlsCache) Put(key string, s *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ours, err := s.MarshalBinary()
	if err != nil {
		return
	}
	state, err := wrapped(ours)
	if err != nil {
		return
	}
	if stored, err := tls.NewResumptionState(bytes.Clone(s.state.Ticket), state); err == nil {
		c.theirs.Put(strings.TrimPrefix(key, "tls:"), stored)
	}
}

// A ticketSealer seals and opens tickets in place of ticket keys.
type ticketSealer interface {
	seal(ConnectionState, *session.Session) ([]byte, error)
	// open returns nil for a ticket that it has not made.
	open(ConnectionState, []byte) (*session.Session, error)
	// explicit reports whether its keys were set, rather than made by itself.
	explicit() bool
}

// seal makes a ticket with WrapSession, or with the ticket keys: only crypto/tls can read those.
func (b *tlsBridge) seal(state ConnectionState, s *session.Session) ([]byte, error) {
	wrap := b.theirs.WrapSession
	if wrap == nil {
		wrap = b.theirs.EncryptTicket
	}
	carried, err := wrapped(s.Append(nil))
	if err != nil {
		return nil, err
	}
	return wrap(state.TLS(), carried)
}

func (b *tlsBridge) open(state ConnectionState, ticket []byte) (*session.Session, error) {
	unwrap := b.theirs.UnwrapSession
	if unwrap == nil {
		unwrap = b.theirs.DecryptTicket
	}
	carried, err := unwrap(bytes.Clone(ticket), state.TLS())
	if err != nil {
		return nil, err
	}
	s, err := session.Parse(unwrapped(carried))
	if errors.Is(err, session.ErrFormat) {
		return nil, nil // of crypto/tls, or damaged
	}
	return s, err
}

func (b *tlsBridge) explicit() bool {
	if b.theirs.WrapSession != nil || b.theirs.UnwrapSession != nil {
		return true
	}
	c := b.theirs.Clone() // which takes the lock of the keys
	//lint:ignore SA1019 a caller that still sets it is served
	key := c.SessionTicketKey
	keys := reflect.ValueOf(c).Elem().FieldByName("sessionTicketKeys")
	return keys.IsValid() && keys.Len() > 0 || key != [32]byte{} && !bytes.HasPrefix(key[:], []byte("DEPRECATED"))
}

// sealer returns what makes tickets in place of ticket keys, or nil.
func (e *Engine) sealer() ticketSealer {
	if c := e.keeper().cfg; c.TicketKeys == nil && !c.asks(AsyncTicketKeys) {
		return c.tickets
	}
	return nil
}
