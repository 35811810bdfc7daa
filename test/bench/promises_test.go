package main

import (
	"testing"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// TestHandshakeAllocations: a full handshake, both sides.
func TestHandshakeAllocations(t *testing.T) {
	ca := pkitest.CA(t)
	client, server := modern.ours(t, ca, ca.Leaf(t, pkitest.Options{}))
	newEngines(t, client, server).handshake(t)
	n := testing.AllocsPerRun(100, func() { newEngines(t, client, server).handshake(t) })
	t.Logf("%.0f allocations", n)
	if n > 180 {
		t.Errorf("a full TLS 1.3 handshake makes %.0f allocations on both sides, want at most 180", n)
	}
}

// TestRecordAllocations: sealing and opening a record, none. CCM allocates the counter mode of
// crypto/cipher for each record of more than 1,500 bytes.
func TestRecordAllocations(t *testing.T) {
	ca := pkitest.CA(t)
	leaf := ca.Leaf(t, pkitest.Options{})
	for _, s := range recordSettings {
		client, server := s.ours(t, ca, leaf)
		e := newEngines(t, client, server)
		e.handshake(t)
		for size, want := range map[int]float64{1 << 10: 0, 16 << 10: 0} {
			if s.suite == aes128CCM13 && size > 1500 {
				want = 2
			}
			data := make([]byte, size)
			if n := testing.AllocsPerRun(100, func() { e.transfer(t, data) }); n != want {
				t.Errorf("%s: %.1f allocations for a record of %d bytes, want %.0f", s.name(), n, size, want)
			}
		}
	}
}

// idle is what an established connection costs in heap, on one side.
func idle(t testing.TB, s settings, server bool) int {
	return idleAfter(t, s, server, func(*hermetic.Engine) {})
}

// idleAfter is the same after then.
func idleAfter(t testing.TB, s settings, server bool, then func(*hermetic.Engine)) int {
	ca := pkitest.CA(t)
	clientCfg, serverCfg := s.ours(t, ca, ca.Leaf(t, pkitest.Options{}))
	heap, _ := perConnection(300, func() any {
		e := newEngines(t, clientCfg, serverCfg)
		e.handshake(t)
		kept := e.client
		if server {
			kept = e.server
		}
		then(kept)
		return kept
	})
	return heap
}

// TestIdleMemory: an established idle connection, without its peer's chain,
// which all connections with one peer share.
func TestIdleMemory(t *testing.T) {
	for _, c := range []struct {
		name   string
		s      settings
		server bool
	}{
		{"client", modern, false},
		{"server", modern, true},
		{"server with the client's chain", settings{version: modern.version, group: modern.group, mutual: true}, true},
	} {
		n := idle(t, c.s, c.server)
		t.Logf("%s: %d bytes", c.name, n)
		if n >= 2816 {
			t.Errorf("an idle %s costs %d bytes of heap, want less than 2816", c.name, n)
		}
	}
}
