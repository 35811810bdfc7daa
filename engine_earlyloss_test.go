package hermetic

import (
	"bytes"
	"fmt"
	"github.com/hermetic-tls/hermetic/internal/roomtest"
	"sync"
	"sync/atomic"
	"testing"
)

// TestEarlyDataLoss: whichever of the first five datagrams, the ClientHello, its early
// data and what comes next, are lost, or come late and twice: the handshake ends well, and
// early data comes once at most, and as such.
func TestEarlyDataLoss(t *testing.T) {
	const (
		arrives = iota
		lost
		late
		fates
	)
	for fate := range fates * fates * fates * fates * fates {
		if testing.Short() && fate%roomtest.Stride() != 0 {
			continue
		}
		client, server, now := earlyConfigs(t)
		server.ReplayGuard = anew{} // what is under test keeps repetitions out by itself
		newMeeting(t, true, client, server).settle(now)
		n := newMeeting(t, true, client, server)
		n.clock = now

		left := fate
		var delayed [][]byte
		seen := map[string]int{}
		deliver := func(d []byte) {
			what := left % fates
			left /= fates
			switch what {
			case lost:
				return
			case late:
				delayed = append(delayed, d, d)
				return
			}
			for in := bytes.Clone(d); len(in) > 0; {
				o, err := n.server.Open(in)
				if err != nil {
					t.Fatalf("fate %d: %v", fate, err)
				}
				if o.Kind == KindEarlyData {
					seen[string(o.Data)]++
				} else if o.Data != nil {
					t.Errorf("fate %d: %q is not marked as early", fate, o.Data)
				}
				in = in[o.N:]
			}
		}
		deliver(n.client.Output(nil))
		for i := range 3 {
			out, err := n.client.SealEarlyData(nil, fmt.Append(nil, i))
			if err != nil {
				t.Fatal(err)
			}
			deliver(out)
		}
		for d := n.server.Output(nil); len(d) > 0; d = n.server.Output(nil) {
			if err := n.give(n.client, d); err != nil {
				t.Fatal(err)
			}
		}
		for n.client.HasOutput() {
			deliver(n.client.Output(nil))
		}
		for len(delayed) > 0 {
			d := delayed[len(delayed)-1]
			delayed = delayed[:len(delayed)-1]
			deliver(d)
		}
		n.lose = func() bool { return false }
		if err := n.wait(); err != nil {
			t.Errorf("fate %d: %v", fate, err)
		}
		for words, times := range seen {
			if times > 1 || !n.client.State().EarlyDataAccepted {
				t.Errorf("fate %d: %s came %d times, accepted %v", fate, words, times, n.client.State().EarlyDataAccepted)
			}
		}
		n.exchangeDatagrams()
	}
}

// TestEarlyDataReplayAtOnce: a hello that comes to many connections at the same time
// is new to one of them.
func TestEarlyDataReplayAtOnce(t *testing.T) {
	overBoth(t, func(t *testing.T, datagram bool) {
		client, server, _ := earlyConfigs(t)
		newMeeting(t, datagram, client, server).finish()
		hello := newMeeting(t, datagram, client, server).client.Output(nil)
		var accepted atomic.Int32
		var all sync.WaitGroup
		for range 16 {
			m := newMeeting(t, datagram, client, server)
			all.Go(func() {
				if _, err := m.server.Open(bytes.Clone(hello)); err != nil {
					t.Error(err)
				}
				if m.server.State().EarlyDataAccepted {
					accepted.Add(1)
				}
			})
		}
		if all.Wait(); accepted.Load() != 1 {
			t.Errorf("it is accepted %d times", accepted.Load())
		}
	})
}
