package netconn

import (
	"flag"
	"fmt"
	"testing"
	"testing/synctest"
)

// seeds is for the stateful tests: scripts/test long asks for many.
var seeds = flag.Int("seeds", 0, "how many seeds the stateful tests play; 0 is for each its own small number")

// withSeeds runs a test in a bubble of synctest for each of n seeds, or as many as -seeds
// says; a short run has a sixth.
func withSeeds(t *testing.T, n int, test func(t *testing.T, seed uint64)) {
	if testing.Short() {
		n /= 6
	}
	if *seeds > 0 {
		n = *seeds
	}
	for seed := range uint64(n) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { test(t, seed) })
		})
	}
}
