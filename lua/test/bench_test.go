package test

import (
	"os"
	"strings"
	"testing"
)

// TestBenchmark runs bench/bench.lua for a moment: it must go on working. What it measures is no
// test. HERMETIC_ORIGINAL names the original module, built for Lua 5.4, which is measured beside
// ours.
func TestBenchmark(t *testing.T) {
	original := os.Getenv("HERMETIC_ORIGINAL")
	eachLua(t, func(t *testing.T, lua interpreter) {
		seconds := "0.02"
		if t.Setenv("HERMETIC_ORIGINAL", ""); lua.name == "5.4" && original != "" {
			t.Setenv("HERMETIC_ORIGINAL", original)
			seconds = "0.2"
		}
		out := lua.run(t, ".", "../bench/bench.lua", seconds)
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if len(lines) != 13 {
			t.Errorf("rows are missing:\n%s", out)
		}
		for _, line := range lines[1:] {
			if !strings.HasSuffix(line, " us") && !strings.HasSuffix(line, " ms") && !strings.HasSuffix(line, " times") {
				t.Errorf("not measured: %s", line)
			}
		}
		t.Log("\n" + out)
	})
}
