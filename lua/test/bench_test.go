package test

import (
	"strings"
	"testing"
)

// TestBenchmark runs bench/bench.lua for a moment: it must go on working. What
// it measures is no test.
func TestBenchmark(t *testing.T) {
	eachLua(t, func(t *testing.T, lua interpreter) {
		out := lua.run(t, ".", "../bench/bench.lua", "0.05")
		if strings.Count(out, "×") < 5 {
			t.Errorf("rows are missing:\n%s", out)
		}
		t.Log("\n" + out)
	})
}
