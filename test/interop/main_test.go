package interop

import (
	"flag"
	"os"
	"testing"
)

// TestMain: the cells mostly wait for each other's timers, so that many can run
// side by side.
func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "12")
	ports = findPorts()
	os.Exit(m.Run())
}
