package main

import (
	"crypto/tls"
	"testing"
	"time"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

var datagramSettings = []settings{
	{version: tls.VersionTLS12, datagrams: true, group: tls.CurveP256, suite: tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	{version: tls.VersionTLS13, datagrams: true, group: tls.X25519, suite: tls.TLS_AES_128_GCM_SHA256},
}

func BenchmarkDatagramHandshake(b *testing.B) {
	ca := pkitest.CA(b)
	leaf := ca.Leaf(b, pkitest.Options{})
	for _, s := range datagramSettings {
		b.Run(s.versionName()+"/hermetic", func(b *testing.B) {
			client, server := s.ours(b, ca, leaf)
			b.ReportAllocs()
			for b.Loop() {
				newDatagramEngines(b, client, server)
			}
		})
	}
}

// BenchmarkSmallDatagram seals and opens datagrams of 64 bytes.
func BenchmarkSmallDatagram(b *testing.B) {
	ca := pkitest.CA(b)
	leaf := ca.Leaf(b, pkitest.Options{})
	data := make([]byte, 64)
	for _, s := range datagramSettings {
		b.Run(s.versionName()+"/hermetic", func(b *testing.B) {
			client, server := s.ours(b, ca, leaf)
			e := newDatagramEngines(b, client, server)
			b.ReportAllocs()
			for b.Loop() {
				e.transfer(b, data)
			}
		})
	}
}

// BenchmarkDatagram seals and opens datagrams of 1 KB.
func BenchmarkDatagram(b *testing.B) {
	const size, window = 1 << 10, 16
	ca := pkitest.CA(b)
	leaf := ca.Leaf(b, pkitest.Options{})
	data := make([]byte, size)
	measure := func(b *testing.B, batch func()) {
		b.SetBytes(size * window)
		b.ReportAllocs()
		for b.Loop() {
			batch()
		}
		b.ReportMetric(float64(b.N*window)/b.Elapsed().Seconds(), "datagrams/s")
	}
	for _, s := range datagramSettings {
		b.Run(s.versionName()+"/hermetic", func(b *testing.B) {
			client, server := s.ours(b, ca, leaf)
			e := newDatagramEngines(b, client, server)
			measure(b, func() {
				for range window {
					e.transfer(b, data)
				}
			})
		})
	}
}

// TestDatagramAllocations: sealing and opening a datagram, none.
func TestDatagramAllocations(t *testing.T) {
	ca := pkitest.CA(t)
	leaf := ca.Leaf(t, pkitest.Options{})
	for _, s := range datagramSettings {
		client, server := s.ours(t, ca, leaf)
		e := newDatagramEngines(t, client, server)
		data := make([]byte, 1<<10)
		if n := testing.AllocsPerRun(100, func() { e.transfer(t, data) }); n != 0 {
			t.Errorf("%s: %.1f allocations a datagram", s.versionName(), n)
		}
	}
}

// exchange carries data both ways.
func (e *engines) exchange(tb testing.TB) {
	e.transfer(tb, []byte("hello"))
	back := &engines{client: e.server, server: e.client, buf: e.buf}
	back.transfer(tb, []byte("hello"))
}

// idleCase is a connection to measure.
type idleCase struct {
	name   string
	suites [2]uint16 // of DTLS 1.2 and 1.3; 0: the default
	mutual bool
	ids    bool                            // both have connection IDs of 8 bytes
	then   func(tb testing.TB, e *engines) // after the handshake and the first data
}

var (
	idleTime = pkitest.Now // of the connections

	aes256    = [2]uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_AES_256_GCM_SHA384}
	idleCases = []idleCase{
		{name: "as it is"},
		{name: "AES-256", suites: aes256},
		{name: "ChaCha20", suites: [2]uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_CHACHA20_POLY1305_SHA256}},
		{name: "CCM", suites: [2]uint16{0xc0ac, 0x1304}},
		{name: "mutual", mutual: true},
		{name: "connection IDs", ids: true},
		{name: "AES-256, mutual, connection IDs", suites: aes256, mutual: true, ids: true},
		{name: "after 600 records", then: func(tb testing.TB, e *engines) {
			for range 300 {
				e.exchange(tb)
			}
		}},
		{name: "after two key updates", then: updateKeys},
	}
)

// updateKeys changes the keys of both sides twice, in DTLS 1.3.
func updateKeys(tb testing.TB, e *engines) {
	for range 2 {
		if e.client.KeyUpdate(hermetic.UpdateRequested) != nil {
			return // DTLS 1.2 has none
		}
		for range 2 { // each side acknowledges after a while
			e.settle(tb)
			idleTime = idleTime.Add(time.Second)
			for _, end := range []*hermetic.Engine{e.client, e.server} {
				if err := end.Expire(); err != nil {
					tb.Fatal(err)
				}
			}
		}
		e.settle(tb)
		e.exchange(tb)
	}
}

// configs are those of a case.
func (c *idleCase) configs(tb testing.TB, version int) (client, server *hermetic.Config) {
	s := datagramSettings[version]
	s.suite, s.mutual = c.suites[version], c.mutual
	ca := pkitest.CA(tb)
	client, server = s.ours(tb, ca, ca.Leaf(tb, pkitest.Options{}))
	client.Time = func() time.Time { return idleTime }
	server.Time = client.Time
	if c.ids {
		client.DTLS.ConnectionIDs, server.DTLS.ConnectionIDs = true, true
		client.DTLS.ConnectionIDLength, server.DTLS.ConnectionIDLength = 8, 8
	}
	return client, server
}

// end returns one end of a new connection, idle or compact.
func (c *idleCase) end(tb testing.TB, client, server *hermetic.Config, serves, small bool) *hermetic.Engine {
	e := newDatagramEngines(tb, client, server)
	e.transfer(tb, []byte("hello"))
	e.settle(tb)
	if c.then != nil {
		c.then(tb, e)
	}
	kept := e.client
	if serves {
		kept = e.server
	}
	if small {
		if err := kept.Compact(); err != nil {
			tb.Fatal(err)
		}
	}
	return kept
}

// TestIdleDatagramMemory: what an established connection costs in heap after the first data,
// and when it has been made small.
func TestIdleDatagramMemory(t *testing.T) {
	for _, c := range idleCases {
		for version, s := range datagramSettings {
			client, server := c.configs(t, version)
			for i := range 4 {
				serves, small := i&1 != 0, i&2 != 0
				n, _ := perConnection(100, func() any { return c.end(t, client, server, serves, small) })
				what, most, role := "idle", 3072, "client"
				if small {
					what, most = "compact", 1024
				}
				if serves {
					role = "server"
				}
				t.Logf("%s %s %s, %s: %d bytes", what, s.versionName(), role, c.name, n)
				if n > most {
					t.Errorf("%s %s %s, %s: %d bytes of heap, want at most %d", what, s.versionName(), role, c.name, n, most)
				}
			}
		}
	}
}
