package carrier

import (
	"slices"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic/internal/flight"
	"github.com/hermetic-tls/hermetic/internal/handshake"
	"github.com/hermetic-tls/hermetic/internal/record"
	"github.com/hermetic-tls/hermetic/internal/wire"
)

// TestGenerations: which reading keys of DTLS 1.3 are kept, and for how long.
func TestGenerations(t *testing.T) {
	const hs, app = handshake.Handshake, handshake.Application
	start := time.Unix(1000, 0)
	install := func(levels ...handshake.Level) func(*testing.T, *readers13) {
		return func(t *testing.T, r *readers13) {
			for _, level := range levels {
				epoch := nextEpoch(level, r.readEpoch())
				if err := r.install(level, keys(wire.VersionTLS13, true, epoch), nil); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	comes := func(epoch uint64, after time.Duration, want error) func(*testing.T, *readers13) {
		return func(t *testing.T, r *readers13) {
			w := record.NewWriter13(epoch, keys(wire.VersionTLS13, true, epoch), nil)
			rec, err := w.Seal(nil, record.ApplicationData, []byte("data"))
			if err != nil {
				t.Fatal(err)
			}
			u, _, ok := record.ParseUnified(rec, 0)
			if !ok {
				t.Fatal("the record does not parse")
			}
			var o opened
			err = r.openUnified(start.Add(after), &u, &o)
			if err != want || err == nil && (o.number.Epoch != epoch || string(o.content) != "data") {
				t.Errorf("a record of epoch %d: got error %v, want %v; %+v", epoch, err, want, o)
			}
		}
	}
	for _, test := range []struct {
		name  string
		steps []func(*testing.T, *readers13)
		want  []uint64 // the epochs that are left
	}{
		{"a record of the handshake before its keys", []func(*testing.T, *readers13){comes(2, 0, errAhead)}, nil},
		{"of a later epoch", []func(*testing.T, *readers13){comes(3, 0, record.NoKeys)}, nil},
		{"the handshake's keys after those of early data", []func(*testing.T, *readers13){install(handshake.EarlyData, hs), comes(1, 0, nil), comes(2, 0, nil)}, []uint64{1, 2}},
		{"application keys, not used yet", []func(*testing.T, *readers13){install(hs, app), comes(2, 0, nil)}, []uint64{2, 3}},
		{"application keys in use", []func(*testing.T, *readers13){install(hs, app), comes(2, 0, nil), comes(3, 0, nil), comes(2, 0, nil)}, []uint64{2, 3}},
		{"the ones before are dropped after a while", []func(*testing.T, *readers13){
			install(hs, app), comes(2, 0, nil), comes(3, time.Second, nil), comes(3, time.Second+flight.TwiceMSL, nil)}, []uint64{3}},
		{"not earlier", []func(*testing.T, *readers13){
			install(hs, app), comes(2, 0, nil), comes(3, time.Second, nil), comes(2, flight.TwiceMSL, nil)}, []uint64{2, 3}},
		{"three generations at most", []func(*testing.T, *readers13){install(app, app), comes(3, 0, nil), comes(4, 0, nil), install(app), comes(5, 0, nil)}, []uint64{4, 5}},
		{"the next keys wait without end", []func(*testing.T, *readers13){install(app), comes(3, 0, nil), install(app), comes(3, flight.TwiceMSL, nil)}, []uint64{3, 4}},
		{"two epochs with the same bits", []func(*testing.T, *readers13){install(app, app, app, app, app), comes(7, 0, nil)}, []uint64{6, 7}},
		{"the handshake's are dropped", []func(*testing.T, *readers13){install(hs, app), func(_ *testing.T, r *readers13) { r.dropHandshake() }}, []uint64{3}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := &readers13{d: new(Datagram)}
			for _, step := range test.steps {
				step(t, r)
			}
			var got []uint64
			for _, g := range r.generations {
				got = append(got, g.Epoch())
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("the epochs %d are left, want %d", got, test.want)
			}
			inUse := -1
			for i, g := range r.generations {
				if g.used {
					inUse = i
				}
			}
			for i, g := range r.generations {
				if want := i < inUse || !g.used && g.Epoch() >= uint64(app); g.Resting() != want {
					t.Errorf("epoch %d rests: %v", g.Epoch(), !want)
				}
			}
		})
	}
}
