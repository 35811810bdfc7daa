package main

import (
	"crypto/tls"
	"testing"

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

// TestIdleDatagramMemory: an established connection after the first data, and when it
// has been made small. The ciphers of DTLS 1.3 alone take 2,624 bytes: in each direction 768
// for GCM, and 544 for AES of record numbers, which crypto/aes makes no smaller.
func TestIdleDatagramMemory(t *testing.T) {
	ca := pkitest.CA(t)
	leaf := ca.Leaf(t, pkitest.Options{})
	for _, s := range datagramSettings {
		client, server := s.ours(t, ca, leaf)
		for side, pick := range map[string]func(*engines) *hermetic.Engine{
			"client": func(e *engines) *hermetic.Engine { return e.client },
			"server": func(e *engines) *hermetic.Engine { return e.server },
		} {
			for what, most := range map[string]int{"idle": 3072, "compact": 1536} {
				if what == "idle" && s.version == tls.VersionTLS13 {
					most = 4096
				}
				heap, _ := perConnection(300, func() any {
					e := newDatagramEngines(t, client, server)
					e.transfer(t, []byte("hello"))
					e.settle(t)
					if what == "compact" {
						if err := pick(e).Compact(); err != nil {
							t.Fatal(err)
						}
					}
					return pick(e)
				})
				t.Logf("%s %s %s: %d bytes", what, s.versionName(), side, heap)
				if heap >= most {
					t.Errorf("%s, a %s of %s costs %d bytes of heap, want less than %d", what, side, s.versionName(), heap, most)
				}
			}
		}
	}
}
