package hermetic

import (
	"bytes"
	"crypto/tls"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/pkitest"
	"github.com/hermetic-tls/hermetic/trace"
)

// FuzzEngine gives an engine arbitrary bytes in arbitrary pieces: no panic, no
// progress beyond the input, and no completion without a peer. The seeds are
// real flights.
func FuzzEngine(f *testing.F) {
	ca := pkitest.CA(f)
	leaf := ca.Leaf(f, pkitest.Options{})
	client := &Config{Time: atNow, RootCAs: ca.Pool(), ServerName: "localhost", Certificates: []tls.Certificate{leaf}}
	server := &Config{Time: atNow, Certificates: []tls.Certificate{leaf}, ClientAuth: tls.RequestClientCert}
	for _, version := range versions {
		c := client.Clone()
		c.MaxVersion = version
		p := newMeeting(f, false, c, server)
		for i := range 4 {
			from, to := p.client, p.server
			if i%2 == 1 {
				from, to = to, from
			}
			b := from.Output(nil)
			f.Add(i%2 == 0, uint8(7), bytes.Clone(b))
			for len(b) > 0 {
				o, err := to.Open(b)
				if err != nil {
					f.Fatal(err)
				}
				b = b[o.N:]
			}
		}
	}
	f.Fuzz(func(t *testing.T, isServer bool, piece uint8, data []byte) {
		mode, cfg := TLSClient, client
		if isServer {
			mode, cfg = TLSServer, server
		}
		if piece%2 == 0 {
			cfg = cfg.Clone()
			cfg.Trace = func(trace.Event) {}
		}
		e, err := NewEngine(mode, cfg)
		if err != nil {
			t.Fatal(err)
		}
		e.Output(nil)
		var in []byte
		for len(data) > 0 {
			n := min(len(data), int(piece)+1)
			in = append(in, data[:n]...)
			data = data[n:]
			for {
				o, err := e.Open(in)
				if o.N < 0 || o.N > len(in) {
					t.Fatalf("%d bytes used of %d", o.N, len(in))
				}
				e.Output(nil)
				if err != nil {
					if _, again := e.Open(in); again == nil {
						t.Fatal("a fatal error is forgotten")
					}
					return
				}
				if o.N == 0 {
					break
				}
				in = in[o.N:]
			}
		}
		if e.HandshakeComplete() {
			t.Fatal("complete without a peer")
		}
	})
}
