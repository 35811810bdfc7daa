package hermetic

import (
	"sync"
	"time"

	"github.com/hermetic-tls/hermetic/internal/carrier"
	"github.com/hermetic-tls/hermetic/internal/handshake"
)

var errNoEarlyData = &invalidOperation{"there is no early data to answer: nothing is sent to a client that has not authenticated yet"}

// SealEarlyData is Seal for 0-RTT data, which a client sends before the server
// has answered (in DTLS behind the ClientHello, which is in Output): to a server
// that it has a session with that permits it, and with Config.EarlyData. It is an
// ErrInvalidOperation to send more than EarlyDataRoom, which is 0 from the server's
// answer on.
//
// Whoever records early data can send it again: it must be harmless when it
// comes twice. It has no forward secrecy. When the server rejects it,
// [ConnectionState].EarlyDataAccepted is false after the handshake, and the
// caller sends it again as ordinary data, if it still makes sense: another ALPN
// protocol may have been chosen. In DTLS it may be lost although it is accepted.
//
// On a server it is Seal for the answer, which only a client gets whose early data was
// accepted: any other one may not have shown a certificate yet that it must have.
func (e *Engine) SealEarlyData(dst, data []byte) ([]byte, error) {
	e.start()
	switch server := e.mode.IsServer(); {
	case e.err != nil:
		return dst, e.err
	case server && !e.HandshakeComplete() && (!e.exportsEarly() || e.pending != nil):
		return dst, errNoEarlyData
	case server:
		return e.Seal(dst, data)
	}
	out, err := e.carrier.SealEarly(e.now(), dst, data)
	switch err {
	case nil:
		return out, nil
	case carrier.ErrNotReady:
		return dst, &invalidOperation{"no early data can be sent: no session permits it, or the server has answered"}
	case carrier.ErrDataSize:
		return dst, &invalidOperation{"more early data than the session permits"}
	}
	return dst, &invalidOperation{err.Error()}
}

// EarlyDataRoom is how many more bytes SealEarlyData takes: 2^31-1 if there are more.
func (e *Engine) EarlyDataRoom() int {
	e.start()
	if e.err != nil {
		return 0
	}
	return e.carrier.EarlyDataLeft()
}

// A ReplayGuard tells a server which early data is new: RFC 9846, Section 8. Its
// method may be called from many goroutines. The engine waits for it: where a
// connection has no goroutine of its own, a guard beyond a network is asked through
// [AsyncReplay].
type ReplayGuard interface {
	// Unseen reports whether id was not given before, and remembers it until
	// the given time. When in doubt it answers false: the early data is then
	// rejected, and nothing else.
	Unseen(id []byte, until time.Time) bool
}

// replayWindow is how long an id must be remembered: a ClientHello that comes
// later has a ticket age that does not fit any more.
const replayWindow = 30 * time.Second

// NewReplayGuard returns a guard in memory that remembers up to n ids. When it is
// full it lets no early data pass until the oldest are forgotten. Nor does it in its
// first 30 s: the process before it may have accepted what comes (RFC 9846, Section
// 8.2); nor where its clock was set back, until it has caught up.
func NewReplayGuard(n int, now func() time.Time) ReplayGuard {
	return &replayGuard{max: max(1, n), now: now, opens: now().Add(replayWindow)}
}

// replayGuard forgets by generations, each as long as ids are to be remembered.
type replayGuard struct {
	mu           sync.Mutex
	max          int
	now          func() time.Time
	opens        time.Time // zero: no ticket is older than the guard
	since        time.Time
	young, older map[string]struct{}
}

func (g *replayGuard) Unseen(id []byte, until time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now().Round(0) // without its monotonic reading, which tickets do not have
	if g.young == nil || now.Sub(g.since) >= replayWindow {
		g.older, g.young, g.since = g.young, make(map[string]struct{}), now
	}
	// Where the clock was set back, what came at its time may have been forgotten.
	if now.Before(g.since) || now.Before(g.opens) || until.Sub(now) > replayWindow || len(g.young)+len(g.older) >= g.max {
		return false
	}
	_, young := g.young[string(id)]
	_, older := g.older[string(id)]
	if young || older {
		return false
	}
	g.young[string(id)] = struct{}{}
	return true
}

// unseen answers whether early data is new.
func (e *Engine) unseen(q *handshake.Unseen) Pending {
	until := e.cfg.now().Add(replayWindow)
	if e.cfg.asks(AsyncReplay) {
		return &ReplayRequest{ID: q.ID, Until: until, question: question{e}}
	}
	q.OK = e.cfg.guard.Unseen(q.ID, until)
	return nil
}
