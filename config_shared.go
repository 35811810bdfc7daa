package hermetic

import (
	"crypto/sha256"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// shared is the state that a Config shares with its Clones: a session or cookie of one is
// valid with the others. Each part is made when it is first needed.
type shared struct {
	conns  atomic.Uint64 // connections that have a trace
	mu     sync.Mutex
	keys   *rotatingKeys
	guard  ReplayGuard // for keys
	late   ReplayGuard // for keys from elsewhere
	cookie []byte
}

// shared returns the state that c shares with its Clones.
func (c *Config) shared() *shared {
	if c.compile.shared.Load() == nil {
		c.compile.shared.CompareAndSwap(nil, new(shared))
	}
	return c.compile.shared.Load()
}

// ticketKeys returns the keys for tickets with that lifetime. They are made together with
// their guard, so that no ticket is older than the guard.
func (s *shared) ticketKeys(life time.Duration, c *Config) TicketKeySource {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = &rotatingKeys{rand: c.random()}
		s.guard = &replayGuard{max: replayIDs, now: c.now}
	}
	s.keys.atLeast(life)
	return s.keys
}

// replayGuard returns the guard for ticketKeys, or for keys from elsewhere.
func (s *shared) replayGuard(own bool, c *Config) ReplayGuard {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own {
		return s.guard
	}
	if s.late == nil {
		s.late = NewReplayGuard(replayIDs, c.now)
	}
	return s.late
}

// cookieSecret returns the secret, which is made at first use.
func (s *shared) cookieSecret(source io.Reader) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cookie == nil {
		secret := make([]byte, sha256.Size)
		if _, err := io.ReadFull(source, secret); err != nil {
			// Without randomness no cookie is safe.
			panic("hermetic: the random source failed: " + err.Error())
		}
		s.cookie = secret
	}
	return s.cookie
}

// keeper returns the Config whose ticket keys and replay guard count. If
// GetConfigForClient has returned one without ticket keys, it is the original one, as
// in crypto/tls.
func (e *Engine) keeper() *plan {
	c := e.plan.cfg
	if e.asked == nil || c.TicketKeys != nil || c.asks(AsyncTicketKeys) || c.tickets != nil && c.tickets.explicit() {
		return e.plan
	}
	return e.asked
}
