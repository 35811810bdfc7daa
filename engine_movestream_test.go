package hermetic

import (
	"crypto/tls"
	"errors"
	"fmt"
	"github.com/hermetic-tls/hermetic/internal/roomtest"
	"math/rand/v2"
	"testing"
)

// lane is one direction of a stream between two engines that move.
type lane struct {
	from, to     **Engine
	air          []byte // bytes on their way
	kept         []byte // that have come, of a record that is not whole: they go with a state
	said, heard  []byte
	closed, over bool // close_notify was sent, has come
}

func (l *lane) send(out []byte) { l.air = append(l.air, out...) }

// land brings n bytes of those in the air.
func (l *lane) land(t *testing.T, n int) {
	n = min(n, len(l.air))
	l.kept = append(l.kept, l.air[:n]...)
	l.air = l.air[n:]
	for len(l.kept) > 0 && !l.over {
		o, err := (*l.to).Open(l.kept)
		l.over = errors.Is(err, ErrClosed)
		if err != nil && !l.over {
			t.Fatalf("%v: %v", (*l.to).mode, err)
		}
		l.heard = append(l.heard, o.Data...)
		l.kept = l.kept[o.N:]
		if o.N == 0 {
			return
		}
	}
}

// TestMoveStreamAnywhere: whenever an engine over a stream may move or become small, its
// connection goes on, without a byte lost or repeated.
func TestMoveStreamAnywhere(t *testing.T) {
	moves, rests, refused := 0, 0, 0
	for seed := range 200 / uint64(roomtest.Stride()) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			client, server, _ := sessionConfigs(t, versions[seed%2])
			server.Tickets, server.MaxRecordData, client.MaxRecordData = 3, 512, 512
			m := newMeeting(t, false, client, server)
			lanes := [2]*lane{{from: &m.client, to: &m.server}, {from: &m.server, to: &m.client}}
			for step := range 400 {
				l := lanes[rng.IntN(2)]
				e := l.from
				switch rng.IntN(8) {
				case 0, 1:
					l.land(t, 1+rng.IntN(700))
				case 2:
					l.send((*e).Output(nil))
				case 3, 4:
					words := fmt.Appendf(nil, "%d ", step)
					if out, err := (*e).Seal(nil, words); err == nil {
						l.send(out)
						l.said = append(l.said, words...)
					}
				case 5:
					state, err := (*e).Export(nil, stateAEAD(t, 1))
					if errors.Is(err, ErrInvalidOperation) {
						refused++
						continue
					}
					if err == nil {
						moves++
						*e, err = ImportEngine((*e).plan.cfg, state, stateAEAD(t, 1), nil)
					}
					if err != nil {
						t.Fatal(err)
					}
				case 6:
					if (*e).Compact() == nil {
						rests++
					}
				case 7:
					switch {
					case (*e).HandshakeComplete() && (*e).State().Version == tls.VersionTLS13 && rng.IntN(3) == 0 && !l.closed:
						if err := (*e).KeyUpdate(KeyUpdateRequest(rng.IntN(2) == 0)); err != nil {
							t.Fatal(err)
						}
					case step > 300 && (*e).HandshakeComplete():
						(*e).Close()
						l.closed = true
					}
				}
			}
			for range 10 {
				for _, l := range lanes {
					l.send((*l.from).Output(nil))
					l.land(t, len(l.air))
				}
			}
			for _, l := range lanes {
				if string(l.heard) != string(l.said) || l.over != l.closed {
					t.Errorf("%v said %q, %v heard %q; close_notify sent %v, heard %v", (*l.from).mode, l.said, (*l.to).mode, l.heard, l.closed, l.over)
				}
			}
		})
	}
	if moves < 100 || rests < 100 || refused < 100 {
		t.Errorf("only %d moves, %d rests and %d refusals", moves, rests, refused)
	}
}
