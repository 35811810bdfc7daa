package hermetic

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/hermetic-tls/hermetic/internal/poison"
	"github.com/hermetic-tls/hermetic/internal/suite"
	"github.com/hermetic-tls/hermetic/trace"
)

// batchMeeting is a meeting after the handshake.
func batchMeeting(t testing.TB, datagram bool, version, id uint16) *meeting {
	t.Helper()
	client, server := configs(t)
	client.MaxVersion = version
	if id != 0 {
		client.CipherSuites, server.CipherSuites = []uint16{id}, []uint16{id}
	}
	m := newMeeting(t, datagram, client, server)
	m.finish()
	return m
}

// sealed are records with data of these sizes, and their data.
func sealed(t testing.TB, e *Engine, sizes ...int) (records, data []byte) {
	t.Helper()
	for i, size := range sizes {
		part := bytes.Repeat([]byte{byte('a' + i%26)}, size)
		var err error
		if records, err = e.Seal(records, part); err != nil {
			t.Fatal(err)
		}
		data = append(data, part...)
	}
	return records, data
}

// TestOpenAll: which records one call consumes, and what it returns.
func TestOpenAll(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, test := range []struct {
			name  string
			sizes []int
			calls []int // how many bytes of data each call returns
		}{
			{"one", []int{10}, []int{10}},
			{"small ones", []int{10, 1, 300, 7}, []int{318}},
			{"empty ones", []int{0, 5, 0, 0, 6, 0}, []int{11}},
			{"a large one", []int{1000, 10}, []int{1000, 10}},
			{"a large one after small ones", []int{10, 20, 1000, 30, 40}, []int{30, 1000, 70}},
			{"many", slices.Repeat([]int{100}, 200), []int{20000}},
		} {
			t.Run(tls.VersionName(version)+" "+test.name, func(t *testing.T) {
				m := batchMeeting(t, false, version, 0)
				in, want := sealed(t, m.client, test.sizes...)
				for _, size := range test.calls {
					o, err := m.server.OpenAll(in)
					if err != nil || o.Kind != KindData || !bytes.Equal(o.Data, want[:size]) {
						t.Fatalf("%d bytes, kind %v, error %v, want %d", len(o.Data), o.Kind, err, size)
					}
					if cap(o.Data) > o.N {
						t.Error("append would write over what is not opened yet")
					}
					in, want = in[o.N:], want[size:]
				}
				if len(in)+len(want) > 0 {
					t.Errorf("%d bytes are left, and %d bytes of data", len(in), len(want))
				}
			})
		}
	}
}

// TestOpenAllInPieces: wherever the input is cut and the calls stop, OpenAll returns what Open does,
// and the trace is the same.
func TestOpenAllInPieces(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		random := rand.New(rand.NewPCG(uint64(version), 1))
		for range 50 {
			m := batchMeeting(t, false, version, 0)
			sizes := make([]int, 30)
			for i := range sizes {
				sizes[i] = min(random.IntN(700), random.IntN(700))
			}
			stream, want := sealed(t, m.client, sizes...)
			var in, got []byte
			for len(stream) > 0 || len(in) > 0 {
				n := min(len(stream), random.IntN(3000))
				in, stream = append(in, stream[:n]...), stream[n:]
				for {
					o, err := m.server.OpenAll(in)
					if err != nil {
						t.Fatal(err)
					}
					got, in = append(got, o.Data...), in[o.N:]
					if o.N == 0 || len(in) == 0 {
						break
					}
				}
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("%v: %d bytes came, want %d", sizes, len(got), len(want))
			}
		}
	}
}

// TestOpenAllEnds: anything other than data ends the batch. The next call returns an error: a caller
// makes it, because it calls until its input is used up.
func TestOpenAllEnds(t *testing.T) {
	forged := func(t *testing.T, m *meeting) []byte {
		rec, _ := sealed(t, m.client, 10)
		rec[len(rec)-1] ^= 1
		return rec
	}
	for _, test := range []struct {
		name  string
		after func(t *testing.T, m *meeting) []byte
		want  error // of the second call
	}{
		{"close_notify", func(_ *testing.T, m *meeting) []byte { m.client.Close(); return m.client.Output(nil) }, ErrClosed},
		{"a forgery", forged, &AlertError{Alert: AlertBadRecordMAC}},
		{"no TLS", func(*testing.T, *meeting) []byte { return []byte("GET / HTTP/1.1\r\n") }, &AlertError{Alert: AlertProtocolVersion}},
		{"half a record", func(t *testing.T, m *meeting) []byte { rec, _ := sealed(t, m.client, 10); return rec[:20] }, nil},
		{"half a header", func(t *testing.T, m *meeting) []byte { rec, _ := sealed(t, m.client, 10); return rec[:3] }, nil},
	} {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			t.Run(tls.VersionName(version)+" "+test.name, func(t *testing.T) {
				m := batchMeeting(t, false, version, 0)
				in, want := sealed(t, m.client, 10, 20)
				n := len(in)
				in = append(in, test.after(t, m)...)
				o, err := m.server.OpenAll(in)
				if err != nil || o.N != n || !bytes.Equal(o.Data, want) {
					t.Fatalf("%d bytes are used of %d, %q, %v", o.N, n, o.Data, err)
				}
				for again := range 2 {
					o, err := m.server.OpenAll(in[n:])
					var got, want *AlertError
					if errors.As(test.want, &want) && errors.As(err, &got) && got.Alert == want.Alert {
						err = test.want
					}
					used := 0
					if err == ErrClosed && again == 0 {
						used = len(in) - n
					}
					if o.N != used || o.Data != nil || err != test.want {
						t.Errorf("then %d bytes are used, %q, error %v, want %d, %v", o.N, o.Data, err, used, test.want)
					}
				}
			})
		}
	}
}

// TestOpenAllMessages: a KeyUpdate between data ends the batch, and is used.
func TestOpenAllMessages(t *testing.T) {
	m := batchMeeting(t, false, tls.VersionTLS13, 0)
	in, want := sealed(t, m.client, 10, 20)
	if err := m.client.KeyUpdate(UpdateRequested); err != nil {
		t.Fatal(err)
	}
	in = m.client.Output(in)
	more, last := sealed(t, m.client, 30)
	o, err := m.server.OpenAll(append(in, more...))
	if err != nil || o.N != len(in) || !bytes.Equal(o.Data, want) || o.Kind != KindData {
		t.Fatalf("%d bytes are used of %d, %q, kind %v, error %v", o.N, len(in), o.Data, o.Kind, err)
	}
	if o, err = m.server.OpenAll(more); err != nil || !bytes.Equal(o.Data, last) {
		t.Errorf("%q, %v", o.Data, err)
	}
	alone, answered := len("\x17\x03\x03\x00\x11")+1+16, 5+5+1+16
	if out, err := m.server.Seal(nil, nil); err != nil || len(out) != alone+answered {
		t.Errorf("the peer's request is not answered: %d bytes, %v", len(out), err)
	}
}

// TestOpenAllEarlyData: early data is joined with nothing else.
func TestOpenAllEarlyData(t *testing.T) {
	client, server, _ := earlyConfigs(t)
	newMeeting(t, false, client, server).finish()
	m := newMeeting(t, false, client, server)
	in := m.client.Output(nil)
	for _, word := range []string{"a ", "question"} {
		var err error
		if in, err = m.client.SealEarlyData(in, []byte(word)); err != nil {
			t.Fatal(err)
		}
	}
	o, err := m.server.OpenAll(in)
	for err == nil && o.Kind == KindNone && o.N > 0 { // the hello, and a ChangeCipherSpec
		in = in[o.N:]
		o, err = m.server.OpenAll(in)
	}
	if err != nil || o.Kind != KindEarlyData || string(o.Data) != "a question" || o.N != len(in) {
		t.Errorf("%q, kind %v, %d bytes are used of %d, error %v", o.Data, o.Kind, o.N, len(in), err)
	}
	m.finish()
}

// TestOpenAllDatagrams: over datagrams OpenAll is Open.
func TestOpenAllDatagrams(t *testing.T) {
	m := batchMeeting(t, true, tls.VersionTLS13, 0)
	in, _ := sealed(t, m.client, 10, 20)
	o, err := m.server.OpenAll(in)
	if err != nil || len(o.Data) != 10 || o.N >= len(in) {
		t.Fatalf("%q, %d bytes are used of %d, error %v", o.Data, o.N, len(in), err)
	}
}

// TestSealBuffers: data in several slices is sealed as if it were joined.
func TestSealBuffers(t *testing.T) {
	a, b := bytes.Repeat([]byte("a"), 300), bytes.Repeat([]byte("b"), 40_000)
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		for _, id := range []uint16{
			tls.TLS_AES_128_GCM_SHA256, tls.TLS_CHACHA20_POLY1305_SHA256, 0x1304, 0x1305,
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, 0xc0ac,
		} {
			if suite.ByID(id).Version != version {
				continue
			}
			m, joined := batchMeeting(t, datagram, version, id), batchMeeting(t, datagram, version, id)
			for _, data := range [][][]byte{
				nil, {}, {nil, nil}, {a[:1]}, {a[:1], a[:2]}, {nil, a, nil, b[:900], nil}, {a, b[:16384-300]}, {a, b[:16384]}, {b, a, b}, slices.Repeat([][]byte{a[:3]}, 300),
			} {
				all := bytes.Join(data, nil)
				if datagram && len(all) > m.client.MaxData() {
					continue
				}
				before := fmt.Sprint(data)
				out, err := m.client.SealBuffers([]byte("kept"), data)
				want, wantErr := joined.client.Seal([]byte("kept"), all)
				if err != nil || wantErr != nil || len(out) != len(want) || !bytes.HasPrefix(out, []byte("kept")) {
					t.Fatalf("%#04x, %d slices: %d bytes, %v; joined %d, %v", id, len(data), len(out), err, len(want), wantErr)
				}
				if fmt.Sprint(data) != before {
					t.Errorf("%#04x: the slices are modified", id)
				}
				m.got.server = nil
				if in := out[4:]; m.open(m.server, &in) != nil || !bytes.Equal(m.got.server, all) {
					t.Errorf("%#04x, %d slices: %d bytes come, want %d", id, len(data), len(m.got.server), len(all))
				}
			}
		}
	})
}

// TestSealBuffersRefused: it fails as Seal does, and leaves dst as it was.
func TestSealBuffersRefused(t *testing.T) {
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		client, server := configs(t)
		client.MaxVersion = version
		m := newMeeting(t, datagram, client, server)
		data := [][]byte{[]byte("a"), []byte("b")}
		refused := func(when string, data [][]byte) {
			t.Helper()
			if out, err := m.client.SealBuffers([]byte("kept"), data); !errors.Is(err, ErrInvalidOperation) || string(out) != "kept" {
				t.Errorf("%s: %q, %v", when, out, err)
			}
		}
		refused("before the handshake", data)
		m.finish()
		if datagram {
			refused("too much", [][]byte{make([]byte, 16384), data[0]})
		}
		m.client.Close()
		refused("after Close", data)
	})
}

// TestBatchesTraced: a batch is traced as its records are.
func TestBatchesTraced(t *testing.T) {
	client, server := configs(t)
	var sent, received int
	client.Trace = func(e trace.Event) { count(e, &sent) }
	server.Trace = func(e trace.Event) { count(e, &received) }
	m := newMeeting(t, false, client, server)
	m.finish()
	sent, received = 0, 0
	in, err := m.client.SealBuffers(nil, [][]byte{make([]byte, 20_000), make([]byte, 13_000)})
	if err == nil {
		in, err = m.client.Seal(in, []byte("small"))
	}
	if err != nil {
		t.Fatal(err)
	}
	for len(in) > 0 {
		o, err := m.server.OpenAll(in)
		if err != nil {
			t.Fatal(err)
		}
		in = in[o.N:]
	}
	if sent != 4 || received != 4 {
		t.Errorf("%d records are traced as sent, %d as received, want 4", sent, received)
	}
}

// count counts records with data.
func count(e trace.Event, n *int) {
	if r, ok := e.Data.(*trace.Record); ok && r.Type == "application_data" {
		*n++
	}
}

// TestBatchAllocations: neither call allocates.
func TestBatchAllocations(t *testing.T) {
	if poison.Copies {
		t.Skip("in a build with poison each result is a copy")
	}
	fourModes(t, func(t *testing.T, datagram bool, version uint16) {
		m := batchMeeting(t, datagram, version, 0)
		data := [][]byte{make([]byte, 100), make([]byte, 300)}
		buf := make([]byte, 0, 4096)
		if n := testing.AllocsPerRun(100, func() {
			in := buf
			for range 2 {
				var err error
				if in, err = m.client.SealBuffers(in, data); err != nil {
					t.Fatal(err)
				}
			}
			for len(in) > 0 {
				o, err := m.server.OpenAll(in)
				if err != nil {
					t.Fatal(err)
				}
				in = in[o.N:]
			}
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
