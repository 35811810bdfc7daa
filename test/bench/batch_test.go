package main

import (
	"testing"

	"github.com/hermetic-tls/hermetic"
	"github.com/hermetic-tls/hermetic/internal/pkitest"
)

// batchEnds are two ends after the handshake, whose records have at most 512 bytes.
func batchEnds(b *testing.B, bytes int) *engines {
	ca := pkitest.CA(b)
	client, server := modern.ours(b, ca, ca.Leaf(b, pkitest.Options{}))
	client.MaxRecordData = 512
	b.SetBytes(int64(bytes))
	b.ReportAllocs()
	e := newEngines(b, client, server)
	e.handshake(b)
	return e
}

// split returns b in pieces of that size.
func split(b []byte, size int) (pieces [][]byte) {
	for ; len(b) > 0; b = b[min(size, len(b)):] {
		pieces = append(pieces, b[:min(size, len(b))])
	}
	return pieces
}

// sealEach seals each piece with its own call.
func sealEach(b *testing.B, e *hermetic.Engine, dst []byte, pieces [][]byte) []byte {
	for _, piece := range pieces {
		var err error
		if dst, err = e.Seal(dst, piece); err != nil {
			b.Fatal(err)
		}
	}
	return dst
}

// BenchmarkBatchSeal seals 64 records of 512 bytes.
func BenchmarkBatchSeal(b *testing.B) {
	data := make([]byte, 64*512)
	buf := make([]byte, 0, 2*len(data))
	b.Run("one-call", func(b *testing.B) {
		e := batchEnds(b, len(data))
		for b.Loop() {
			if _, err := e.client.Seal(buf, data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("one-by-one", func(b *testing.B) {
		e, pieces := batchEnds(b, len(data)), split(data, 512)
		for b.Loop() {
			sealEach(b, e.client, buf, pieces)
		}
	})
}

// BenchmarkBatchOpen seals 64 records of 64 bytes, and opens them.
func BenchmarkBatchOpen(b *testing.B) {
	pieces := split(make([]byte, 64*64), 64)
	open := func(open func(*hermetic.Engine, []byte) (hermetic.Opened, error)) func(*testing.B) {
		return func(b *testing.B) {
			e := batchEnds(b, 64*64)
			buf := make([]byte, 0, 1<<14)
			for b.Loop() {
				for in := sealEach(b, e.client, buf, pieces); len(in) > 0; {
					o, err := open(e.server, in)
					if err != nil {
						b.Fatal(err)
					}
					in = in[o.N:]
				}
			}
		}
	}
	b.Run("one-call", open((*hermetic.Engine).OpenAll))
	b.Run("one-by-one", open((*hermetic.Engine).Open))
}

// BenchmarkBatchBuffers seals a header of 200 bytes and a body of 1,000: without joining them,
// joined before, and each alone.
func BenchmarkBatchBuffers(b *testing.B) {
	pieces := split(make([]byte, 1200), 200)
	pieces = [][]byte{pieces[0], make([]byte, 1000)}
	buf := make([]byte, 0, 1<<14)
	ends := func(b *testing.B) *hermetic.Engine {
		ca := pkitest.CA(b)
		client, server := modern.ours(b, ca, ca.Leaf(b, pkitest.Options{}))
		e := newEngines(b, client, server)
		e.handshake(b)
		b.SetBytes(1200)
		b.ReportAllocs()
		return e.client
	}
	b.Run("one-call", func(b *testing.B) {
		e := ends(b)
		for b.Loop() {
			if _, err := e.SealBuffers(buf, pieces); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("joined", func(b *testing.B) {
		e, joined := ends(b), make([]byte, 0, 1200)
		for b.Loop() {
			joined = joined[:0]
			for _, p := range pieces {
				joined = append(joined, p...)
			}
			if _, err := e.Seal(buf, joined); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("one-by-one", func(b *testing.B) {
		e := ends(b)
		for b.Loop() {
			sealEach(b, e, buf, pieces)
		}
	})
}
