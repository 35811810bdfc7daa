//go:build !race

package hermetic

import (
	"crypto/tls"
	"math"
	"testing"
)

// TestUnknownPSKCostsTheSame: where there are only PSKs an identity that is not known
// costs a server what one costs that is, with a wrong key: it computes the same, which
// shows in what it allocates. With the race detector pools lose what they have, at random.
func TestUnknownPSKCostsTheSame(t *testing.T) {
	right := []byte("0123456789abcdef")
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		for name, test := range map[string]struct {
			callback, imported bool
		}{"PSKs": {false, false}, "GetPSK": {true, false}, "PSKs, imported": {false, true}, "GetPSK, imported": {true, true}} {
			if test.imported && version == tls.VersionTLS12 {
				continue
			}
			known := PSK{Identity: []byte("known"), Key: right, Import: test.imported}
			server := &Config{Time: atNow, PSKs: []PSK{known}, NoTickets: true}
			if test.callback {
				server.PSKs, server.GetPSK = nil, func(identity []byte) (*PSK, error) {
					if string(identity) != "known" {
						return nil, nil
					}
					p := known
					return &p, nil
				}
			}
			// The least of some measurements: the garbage collector empties pools.
			cost := func(identity string) float64 {
				client := &Config{Time: atNow, MaxVersion: version, PSKs: []PSK{{Identity: []byte(identity), Key: []byte("another key, of the same size")[:16], Import: test.imported}}}
				least := math.Inf(1)
				for range 5 {
					least = min(least, testing.AllocsPerRun(10, func() {
						m := newMeeting(t, datagram, client, server)
						m.run()
						if m.server.HandshakeComplete() {
							t.Error("the key is wrong, and nobody minds")
						}
					}))
				}
				return least
			}
			// Some more are the alert's cause. Without the binder of an unknown identity there
			// would be eight fewer, or fourteen.
			if a, b := cost("known"), cost("other"); b < a-4 || b > a+16 {
				t.Errorf("%s: a known identity makes %v allocations, an unknown one %v", name, a, b)
			}
		}
	})
}
