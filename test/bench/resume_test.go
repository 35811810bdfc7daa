package main

import (
	"crypto/tls"
	"testing"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// resumable lets both sides resume, and makes the first session.
func resumable(tb testing.TB) (client, server *hermetic.Config) {
	ca := pkitest.CA(tb)
	client, server = modern.ours(tb, ca, ca.Leaf(tb, pkitest.Options{}))
	client.SessionCache = hermetic.NewSessionCache(1)
	welcome(tb, client, server)
	return client, server
}

// welcome is a handshake, a ticket and a byte.
func welcome(tb testing.TB, client, server *hermetic.Config) *engines {
	e := modern.connect(tb, client, server)
	e.greet(tb)
	return e
}

// BenchmarkResumption: psk_dhe_ke with X25519, both sides, and a new ticket.
func BenchmarkResumption(b *testing.B) {
	b.Run("hermetic", func(b *testing.B) {
		client, server := resumable(b)
		b.ReportAllocs()
		var e *engines
		for b.Loop() {
			e = welcome(b, client, server)
		}
		if !e.client.State().DidResume {
			b.Fatal("not resumed")
		}
	})
	b.Run("crypto-tls", func(b *testing.B) {
		ca := pkitest.CA(b)
		client, server := modern.theirs(b, ca, ca.Leaf(b, pkitest.Options{}))
		server.SessionTicketsDisabled = false
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		newConns(client, server).greet(b)
		b.ReportAllocs()
		var c *conns
		for b.Loop() {
			c = newConns(client, server)
			c.greet(b)
		}
		if !c.client.ConnectionState().DidResume {
			b.Fatal("not resumed")
		}
	})
}

// TestResumptionAllocations: both sides, with the ticket that comes with it.
func TestResumptionAllocations(t *testing.T) {
	client, server := resumable(t)
	n := testing.AllocsPerRun(100, func() { welcome(t, client, server) })
	t.Logf("%.0f allocations", n)
	if n > 120 {
		t.Errorf("a resumption makes %.0f allocations on both sides, want at most 120", n)
	}
}

// TestCompactMemory: a quiet engine.
func TestCompactMemory(t *testing.T) {
	for name, server := range map[string]bool{"client": false, "server": true} {
		n := idleAfter(t, modern, server, func(e *hermetic.Engine) {
			if err := e.Compact(); err != nil {
				t.Fatal(err)
			}
		})
		t.Logf("%s: %d bytes", name, n)
		if n >= 1024 {
			t.Errorf("a compact %s costs %d bytes of heap, want less than 1 KB", name, n)
		}
	}
}
