package hermetic

import (
	"slices"
	"sync"
	"time"

	"github.com/hermetic-tls/hermetic/internal/handshake"
)

// A ReplayGuard tells a server which early data is new (RFC 9846, Section 8). Its method may be
// called from many goroutines. The engine waits for it: if the guard is across a network and
// connections share a goroutine, use [AsyncReplay].
type ReplayGuard interface {
	// Unseen reports whether id was never given before, and remembers it until the given
	// time. When in doubt it returns false: then only the early data is rejected.
	//
	// An id is 32 bytes: the first 16 identify the ticket, the last 16 the ClientHello. A
	// client can make any number of ClientHellos with one ticket, so a guard limits how many
	// ids a ticket may use.
	Unseen(id []byte, until time.Time) bool
}

const (
	// replayWindow is how long an id must be remembered: the ticket age of a
	// ClientHello that arrives later is wrong.
	replayWindow = 30 * time.Second
	// replayDelay is how long after a ClientHello a guard may be asked about it. Two
	// ClientHellos with the same ticket age arrive at most 20 s apart, so the first is
	// still remembered then.
	replayDelay = 10 * time.Second
	// ticketIDs is how many ids of one ticket are remembered. A client uses a ticket
	// once (RFC 9846, Appendix C.4); the others are for retries.
	ticketIDs = 4
	// replayIDLen is the length of an engine's ids. The first half names the ticket.
	replayIDLen = 32
)

// NewReplayGuard returns a guard in memory that remembers up to n ids: of one ticket at most 4,
// and no more than a quarter of n. When it is full it rejects all early data until the oldest
// ids are forgotten. It also rejects early data during its first 30 s, since the previous
// process may have accepted the same (RFC 9846, Section 8.2), more than 10 s after its
// ClientHello, and after its clock was set back, until that has caught up. now is the clock;
// nil means time.Now.
func NewReplayGuard(n int, now func() time.Time) ReplayGuard {
	if now == nil {
		now = new(Config).now
	}
	return &replayGuard{max: max(1, n), now: now, opens: now().Add(replayWindow)}
}

// replayGuard forgets by generations, each as long as ids must be remembered.
type replayGuard struct {
	mu           sync.Mutex
	max          int
	now          func() time.Time
	opens        time.Time // early data is rejected before it; zero: no ticket is older than the guard
	since        time.Time
	young, older generation
}

// generation has the ids of a period, by their tickets.
type generation struct {
	tickets map[string][]string
	ids     int
}

func (g *replayGuard) Unseen(id []byte, until time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now().Round(0) // without the monotonic reading, which tickets lack
	if g.young.tickets == nil || now.Sub(g.since) >= replayWindow {
		g.older, g.young, g.since = g.young, generation{tickets: make(map[string][]string)}, now
	}
	left := until.Sub(now)
	// If the clock was set back, ids of that time may have been forgotten.
	if now.Before(g.since) || now.Before(g.opens) || left > replayWindow || left < replayWindow-replayDelay || g.young.ids+g.older.ids >= g.max {
		return false
	}
	ticket := string(id)
	if len(id) == replayIDLen {
		ticket = ticket[:replayIDLen/2]
	}
	young, older := g.young.tickets[ticket], g.older.tickets[ticket]
	if slices.Contains(young, string(id)) || slices.Contains(older, string(id)) || len(young)+len(older) >= min(ticketIDs, max(1, g.max/4)) {
		return false
	}
	g.young.tickets[ticket] = append(young, string(id))
	g.young.ids++
	return true
}

// unseen answers whether early data is new.
func (e *Engine) unseen(q *handshake.Unseen) Pending {
	until := e.plan.cfg.now().Add(replayWindow)
	plan := e.plan
	if plan.cfg.ReplayGuard == nil && !plan.cfg.asks(AsyncReplay) {
		plan = e.keeper()
	}
	if plan.cfg.asks(AsyncReplay) {
		return &ReplayRequest{ID: q.ID, Until: until, question: question{e}}
	}
	q.OK = plan.guard.Unseen(q.ID, until)
	return nil
}
