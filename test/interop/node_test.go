package interop

import (
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"github.com/hermetic-tls/hermetic"
)

// node is Node.js, which brings a newer OpenSSL than the system's: it has the
// post-quantum groups. HERMETIC_NODE is its program; scripts/test installs it.
type node struct{}

func (node) name() string { return "Node.js" }

func (node) cannot(c cell) string {
	switch {
	case c.what == "X25519" || c.postQuantum():
		return ""
	}
	return "asked only for what the system's OpenSSL lacks"
}

// program is the Node.js to run, or "".
func (node) program() string {
	path := os.Getenv("HERMETIC_NODE")
	if path == "" {
		return ""
	}
	out, err := exec.Command(path, "-p", "process.versions.openssl").Output()
	if err != nil || len(out) == 0 || string(out) < "3.5" {
		return ""
	}
	return path
}

func (n node) run(t *testing.T, role string, c cell, f files, port int) *process {
	version, group := "TLSv1.3", ""
	if c.version == tls.VersionTLS12 {
		version = "TLSv1.2"
	}
	if c.group != 0 {
		group = hermetic.GroupName(c.group)
	}
	p := start(t, n.program(), "testdata/peer.js", role, fmt.Sprint(port), f.ca, f.cert, f.key, version, group)
	p.feed()
	return p
}

func (n node) serve(t *testing.T, c cell, f files, port int) func() error {
	return n.run(t, "server", c, f, port).received
}

func (n node) connect(t *testing.T, c cell, f files, port int) func() error {
	return n.run(t, "client", c, f, port).received
}
