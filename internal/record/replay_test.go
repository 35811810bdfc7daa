package record

import (
	"math/rand/v2"
	"testing"
)

func TestWindow(t *testing.T) {
	type step struct {
		n     uint64
		fresh bool
	}
	for _, test := range []struct {
		name  string
		steps []step
	}{
		{"in order", []step{{0, true}, {1, true}, {2, true}}},
		{"the same twice", []step{{0, true}, {0, false}, {7, true}, {7, false}}},
		{"out of order", []step{{5, true}, {3, true}, {4, true}, {3, false}, {0, true}}},
		{"a jump clears what it passes", []step{{0, true}, {63, true}, {256 + 63, true}, {64, true}, {63, false}, {256, true}}},
		{"the left edge", []step{{1000, true}, {1000 - 255, true}, {1000 - 256, false}, {0, false}}},
		{"a jump by exactly a window", []step{{10, true}, {266, true}, {10, false}, {11, true}, {265, true}}},
		{"a jump far ahead", []step{{1 << 40, true}, {1, false}, {1<<40 - 1, true}, {1<<40 + 1, true}}},
		{"backwards in groups", []step{{255, true}, {254, true}, {0, true}, {511, true}, {256, true}, {255, false}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var w window
			for i, s := range test.steps {
				if got := w.Fresh(s.n); got != s.fresh {
					t.Fatalf("step %d: number %d: fresh is %v, want %v", i, s.n, got, s.fresh)
				}
				w.Mark(s.n)
			}
		})
	}
}

// TestWindowModel compares with a set of all numbers.
func TestWindowModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var w window
	seen := map[uint64]bool{}
	var highest uint64
	for range 20000 {
		n := highest + uint64(rng.IntN(300))
		if n >= 280 {
			n -= 280
		}
		if rng.IntN(100) == 0 {
			n += uint64(rng.IntN(1000))
		}
		want := !seen[n] && (n >= highest || highest-n < windowSize)
		if got := w.Fresh(n); got != want {
			t.Fatalf("number %d with %d the highest: fresh is %v, want %v", n, highest, got, want)
		}
		w.Mark(n)
		if !w.Old(n) {
			seen[n] = true
		}
		highest = max(highest, n)
	}
	if w.Next() != highest+1 {
		t.Errorf("Next is %d, want %d", w.Next(), highest+1)
	}
}
