package main

import (
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// BenchmarkBatch seals 64 records of 512 bytes: in one call, which looks once at what is due and
// makes room once, and one by one.
func BenchmarkBatch(b *testing.B) {
	const records, size = 64, 512
	sealer := func(b *testing.B) *engines {
		ca := pkitest.CA(b)
		client, server := modern.ours(b, ca, ca.Leaf(b, pkitest.Options{}))
		client.MaxRecordData = size
		e := newEngines(b, client, server)
		e.handshake(b)
		b.SetBytes(records * size)
		b.ReportAllocs()
		return e
	}
	data := make([]byte, records*size)
	buf := make([]byte, 0, 2*len(data))
	b.Run("one-call", func(b *testing.B) {
		e := sealer(b)
		for b.Loop() {
			if _, err := e.client.Seal(buf, data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("one-by-one", func(b *testing.B) {
		e := sealer(b)
		for b.Loop() {
			out := buf
			for rest := data; len(rest) > 0; rest = rest[size:] {
				var err error
				if out, err = e.client.Seal(out, rest[:size]); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
