package hermetic

import (
	"crypto/sha256"
	"io"
	"sync"
	"time"
)

// shared is what a Config keeps by itself and its Clones keep with it: a session or a
// cookie of one is good with the others. Each part is made when it is first needed.
type shared struct {
	mu     sync.Mutex
	keys   *rotatingKeys
	guard  ReplayGuard // for those keys
	late   ReplayGuard // for other keys
	cookie []byte
}

// shared returns what c has in common with its Clones.
func (c *Config) shared() *shared {
	if c.compile.shared.Load() == nil {
		c.compile.shared.CompareAndSwap(nil, new(shared))
	}
	return c.compile.shared.Load()
}

// ticketKeys are the keys for tickets that live so long. They are made together with
// their guard: no ticket is older than that.
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

// replayGuard is the guard for ticketKeys, or for the keys of others.
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

// cookieSecret is drawn at first use.
func (s *shared) cookieSecret(source io.Reader) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cookie == nil {
		secret := make([]byte, sha256.Size)
		if _, err := io.ReadFull(source, secret); err != nil {
			// Without randomness nobody's cookie is good.
			panic("hermetic: the random source failed: " + err.Error())
		}
		s.cookie = secret
	}
	return s.cookie
}

// keeper is the Config whose ticket keys count, and with them its replay guard: where
// GetConfigForClient has returned one that says nothing of ticket keys, it is the one
// that was asked, as in crypto/tls.
func (e *Engine) keeper() *compiled {
	if e.asked != nil && e.cfg.TicketKeys == nil && !e.cfg.asks(AsyncTicketKeys) {
		return e.asked
	}
	return e.cfg
}
