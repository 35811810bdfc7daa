package hermetic

import (
	"bytes"
	"container/list"
	"encoding/binary"
	"hash/crc32"
	"sync"
	"time"

	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/pki"
	"github.com/hermetic-tls/hermetic/internal/session"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// A Session is what a client keeps of a connection to resume it. It holds secrets: anyone who
// has it can pose as this client, and read the early data that is sent under it. The zero
// Session is empty, and never offered.
type Session struct {
	state *session.Session
	// verifiedBy is the configuration that has verified the server. A session of
	// another one is verified again before it is offered.
	verifiedBy *plan
	name       string
}

// Version returns tls.VersionTLS12 or tls.VersionTLS13.
func (s *Session) Version() uint16 { return s.known().Version }

// ServerName returns the server name that the client used.
func (s *Session) ServerName() string { return s.known().ServerName }

// Expires returns when the session is no longer offered.
func (s *Session) Expires() time.Time { return s.known().Created.Add(s.known().Lifetime) }

// MaxEarlyData returns how many bytes of early data the session permits; 0 means none.
func (s *Session) MaxEarlyData() uint32 { return s.known().MaxEarlyData }

// SingleUse reports whether a session should be offered only once: in TLS 1.3
// a second use would tell an observer that it is the same client (RFC 9846,
// Appendix C.4).
func (s *Session) SingleUse() bool { return s.known().Version == wire.VersionTLS13 }

// known returns what the session remembers: of the zero Session nothing.
func (s *Session) known() *session.Session {
	if s.state == nil {
		return new(session.Session)
	}
	return s.state
}

var errNoSession = &invalidOperation{"hermetic: the session is empty"}

// MarshalBinary returns the session in a stable form, which later versions of this library
// read. It has a checksum, but is not encrypted. The zero Session is an [ErrInvalidOperation].
func (s *Session) MarshalBinary() ([]byte, error) {
	if s.state == nil {
		return nil, errNoSession
	}
	b := s.state.Append(nil)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b)), nil
}

// UnmarshalBinary reads what MarshalBinary has returned. Other data is an [ErrBadSession].
func (s *Session) UnmarshalBinary(data []byte) error {
	n := len(data) - crc32.Size
	if n < 0 || binary.BigEndian.Uint32(data[n:]) != crc32.ChecksumIEEE(data[:n]) {
		return ErrBadSession
	}
	state, err := session.Parse(bytes.Clone(data[:n]))
	if err != nil {
		return ErrBadSession
	}
	*s = Session{state: state}
	return nil
}

// A SessionCache keeps the sessions of clients. A key names the protocol and the server. A cache
// that persists sessions must store the key with each. The methods may be called from many
// goroutines and must not block: if the cache is across a network, use [AsyncSession].
type SessionCache interface {
	// Get returns a session for key, or nil. A session that is SingleUse must be returned
	// only once.
	Get(key string) *Session
	// Put stores a session. There may be several for a key.
	Put(key string, s *Session)
}

// sessionsPerKey is how many sessions an LRU keeps for each key: as many as a server
// sends at once, for concurrent connections.
const sessionsPerKey = 4

// NewSessionCache returns a cache in memory for the sessions of n servers, up to four of each.
// The least recently used server makes way for a new one.
func NewSessionCache(n int) SessionCache {
	return &lru{max: max(1, n), entries: make(map[string]*list.Element)}
}

// lru is a least recently used cache.
type lru struct {
	mu      sync.Mutex
	max     int
	entries map[string]*list.Element
	order   list.List // of *lruEntry, the newest first
}

type lruEntry struct {
	key      string
	sessions []*Session // the newest last
}

func (c *lru) Get(key string) *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	entry := e.Value.(*lruEntry)
	last := len(entry.sessions) - 1
	if last < 0 {
		return nil // its server will send new ones
	}
	s := entry.sessions[last]
	if s.SingleUse() {
		entry.sessions[last] = nil
		entry.sessions = entry.sessions[:last]
	}
	return s
}

func (c *lru) Put(key string, s *Session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[key]
	if e == nil {
		if len(c.entries) == c.max {
			oldest := c.order.Back()
			delete(c.entries, oldest.Value.(*lruEntry).key)
			c.order.Remove(oldest)
		}
		e = c.order.PushFront(&lruEntry{key: key})
		c.entries[key] = e
	}
	c.order.MoveToFront(e)
	entry := e.Value.(*lruEntry)
	if len(entry.sessions) == sessionsPerKey || !s.SingleUse() {
		entry.sessions = append(entry.sessions[:0], entry.sessions[min(1, len(entry.sessions)):]...)
	}
	entry.sessions = append(entry.sessions, s)
}

// sessionKey is the key of this client's sessions: its protocol and the server's
// name. Clients without a name share one key, and may offer a session to the
// wrong server, which will not recognize it.
func (e *Engine) sessionKey() string {
	t := e.carrier.Transport()
	if e.serverName == e.plan.cfg.ServerName {
		return e.plan.sessionKeys[t]
	}
	return sessionKey(t, e.serverName)
}

func sessionKey(t wire.Transport, serverName string) string {
	if t == wire.Datagram {
		return "dtls:" + serverName
	}
	return "tls:" + serverName
}

// offer answers which session to offer.
func (e *Engine) offer(q *handshake.Offer) Pending {
	key := e.sessionKey()
	if e.plan.cfg.asks(AsyncSession) {
		return &SessionRequest{Key: key, question: question{e}}
	}
	e.offered(q, e.plan.cfg.SessionCache.Get(key))
	return nil
}

// offered offers a session of the cache, if its server would still pass verification.
func (e *Engine) offered(q *handshake.Offer, s *Session) {
	if s == nil || s.state == nil || !s.state.Keepable() {
		return
	}
	peer, err := handshake.RestorePeer(s.state, &e.plan.chains)
	if err != nil || peer == nil && !e.mayHavePSK(s.state.PSK) {
		return
	}
	elsewhere := s.verifiedBy != e.plan || s.name != e.serverName
	state := *s.state // the cache's may be in use elsewhere
	switch {
	case elsewhere || peer != nil && e.expired(peer):
		state.Verified, err = e.verifyPeer(peer, nil)
	case peer != nil && peer.Chain != nil && e.plan.rootsMayDiffer():
		state.Verified, err = e.verifyChain(peer.Chain)
	}
	if err != nil {
		return
	}
	if peer != nil {
		peer.Verified = state.Verified
	}
	if elsewhere && state.MaxEarlyData > 0 && !e.acceptsSession(&state, peer) {
		state.MaxEarlyData = 0
	}
	q.Session = &state
}

// acceptsSession asks VerifyConnection about the server of a session that another Config
// established. It does so before early data is sent: in the handshake it would be too late.
func (e *Engine) acceptsSession(s *session.Session, peer *handshake.Peer) bool {
	cfg := e.plan.cfg
	switch {
	case cfg.asks(AsyncVerify):
		return false // the caller is asked only in the handshake
	case cfg.VerifyConnection == nil || !cfg.EarlyData:
		return true
	}
	return cfg.VerifyConnection(e.recalled(s, peer)) == nil
}

// recalled returns what a session remembers of its connection.
func (e *Engine) recalled(s *session.Session, peer *handshake.Peer) ConnectionState {
	as := &Engine{mode: e.mode, plan: e.plan, carrier: e.carrier, conn: handshake.Recall(s, peer)}
	return as.State()
}

// rootsMayDiffer reports whether RootCAs may judge a server otherwise than before: it has a
// constraint, or other roots.
func (c *plan) rootsMayDiffer() bool {
	pool := c.cfg.RootCAs
	return pool != nil && (pki.Constrained(pool) || !pool.Equal(c.roots))
}

// expired reports whether the peer's certificate has expired, or its OCSP response may have.
func (e *Engine) expired(p *handshake.Peer) bool {
	return p.Chain != nil && (e.plan.cfg.OCSPCheck != OCSPCheckNone || e.plan.cfg.now().After(p.Chain.Certificates()[0].NotAfter))
}

// admits reports whether a server still accepts the client of a session: its
// requirements may have changed since it issued the ticket. The session remembers the chains.
func (e *Engine) admits(s *session.Session) bool {
	peer, err := handshake.RestorePeer(s, &e.plan.chains)
	switch p := e.params(); {
	case err != nil:
		return false
	case peer == nil:
		return !p.RequireCertificate && (s.PSK != nil || !p.OnlyPSK)
	case !p.RequestCertificate:
		return false
	}
	s.Verified, err = e.verifyPeer(peer, nil)
	return err == nil
}

// keep puts a new session into the cache.
func (e *Engine) keep() {
	state := e.conn.TakeSession()
	if state == nil || !state.Keepable() || e.plan.cfg.SessionCache == nil {
		return
	}
	s := &Session{state: state, verifiedBy: e.plan, name: e.serverName}
	if e.moved {
		s.verifiedBy = nil
	}
	e.plan.cfg.SessionCache.Put(e.sessionKey(), s)
}
