package test

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"
)

// The numbers of TestGrowth: scripts/test long has 100,000 and 500, which are 1,000 sockets.
var (
	handshakes  = flag.Int("handshakes", 2000, "how many handshakes TestGrowth performs")
	connections = flag.Int("connections", 50, "how many connections TestGrowth keeps open")
)

// TestGrowth: neither handshakes, of which some are resumed, given up or fail, nor open sockets make
// a process grow.
func TestGrowth(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("it reads /proc")
	}
	lua := known[3]
	lua.need(t)
	if err := lua.cmd(t.Context(), ".", "-e", "require 'socket'").Run(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("LuaSocket is missing: scripts/test installs it")
		}
		t.Skip("LuaSocket is missing")
	}
	t.Log("\n" + lua.run(t, "suite", "long/growth.lua", strconv.Itoa(*handshakes), strconv.Itoa(*connections)))
}
