package hermetic

import (
	"bytes"
	"crypto/cipher"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/hermetic-tls/hermetic/internal/alert"
	"github.com/hermetic-tls/hermetic/internal/record"
)

// twin has the states of two ends after a handshake, for tests that need the same connection
// more than once.
type twin struct {
	client, server           *Config
	clientState, serverState []byte
	aead                     cipher.AEAD
	written                  uint64 // records of the client under its current keys
}

func newTwin(t testing.TB, version uint16) *twin {
	m := batchMeeting(t, false, version, 0)
	w := &twin{client: m.client.plan.cfg, server: m.server.plan.cfg}
	var err error
	if w.aead, err = chacha20poly1305.NewX(make([]byte, 32)); err != nil {
		t.Fatal(err)
	}
	if version == tls.VersionTLS12 {
		w.written = 1 // the Finished
	}
	if w.clientState, err = m.client.Export(nil, w.aead); err != nil {
		t.Fatal(err)
	}
	if w.serverState, err = m.server.Export(nil, w.aead); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *twin) end(t testing.TB, cfg *Config, state []byte) *Engine {
	t.Helper()
	e, err := ImportEngine(cfg, state, w.aead, nil)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// sends returns what the client sends: each two bytes of script are an action and its size.
func (w *twin) sends(t testing.TB, script []byte) (stream []byte) {
	client, written := w.end(t, w.client, w.clientState), w.written
	raw := func(typ record.ContentType, content []byte) {
		_, keys := client.conn.Keys(false)
		var out record.Stream
		out.Resume(keys, written)
		stream = out.Seal(stream, typ, content)
	}
	for ; len(script) > 1; script = script[2:] {
		size := int(script[1])
		content := bytes.Repeat(script[:1], size)
		var err error
		switch action := script[0] % 16; action {
		case 1, 2:
			if client.State().Version == tls.VersionTLS13 {
				err = client.KeyUpdate([]KeyUpdateRequest{UpdateNotRequested, UpdateRequested}[action-1])
				stream, written = client.Output(stream), 0
			}
		case 3:
			client.Close()
			return append(client.Output(stream), content...)
		case 4:
			client.carrier.SendAlert(alert.Description(size))
			return client.Output(stream)
		case 5: // padding only, or another type
			raw(record.ContentType(size%32), make([]byte, size/8))
			return stream
		case 6: // a message that is no message here
			raw(record.Handshake, content)
			return stream
		case 7:
			return append(stream, content...)
		case 8, 9:
			if stream, err = client.Seal(stream, content); err == nil {
				stream[len(stream)-1-size%20] ^= 1
				return stream
			}
		case 10:
			content = bytes.Repeat(content, 40)
			fallthrough
		default:
			stream, err = client.Seal(stream, content)
			written++
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return stream
}

// hears calls open until in is used up, as its doc says.
func hears(open func([]byte) (Opened, error), in []byte) (n int, data []byte, err error) {
	for len(in) > 0 {
		o, err := open(in)
		n += o.N
		data, in = append(data, o.Data...), in[o.N:]
		if err != nil {
			return n, data, err
		}
		if o.N == 0 {
			break
		}
	}
	return n, data, nil
}

// FuzzOpenAll: OpenAll returns what Open does of the same input, byte for byte: the data, the error
// and how much is used; and the engine then sends the same.
func FuzzOpenAll(f *testing.F) {
	twins := [2]*twin{newTwin(f, tls.VersionTLS12), newTwin(f, tls.VersionTLS13)}
	random := rand.New(rand.NewPCG(1, 2))
	for last := range byte(16) {
		for range 4 {
			script := make([]byte, 2*random.IntN(8))
			for i := range script {
				script[i] = byte(random.IntN(256))
			}
			f.Add(last%2 == 0, uint16(random.IntN(2000)), append(script, 0, 10, 0, 20, last, byte(random.IntN(256))))
		}
		f.Add(true, uint16(60_000), []byte{0, 10, 0, 20, last, byte(alert.InternalError)})
		f.Add(false, uint16(60_000), []byte{0, 10, 0, 20, last, byte(alert.InternalError)})
	}
	f.Fuzz(func(t *testing.T, old bool, piece uint16, script []byte) {
		w := twins[1]
		if old {
			w = twins[0]
		}
		stream := w.sends(t, script[:min(len(script), 100)])
		one, all := w.end(t, w.server, w.serverState), w.end(t, w.server, w.serverState)
		for from, to := 0, 0; from < len(stream) && to < len(stream); {
			to = min(len(stream), to+1+int(piece))
			n, data, err := hears(one.Open, bytes.Clone(stream[from:to]))
			gotN, gotData, gotErr := hears(all.OpenAll, bytes.Clone(stream[from:to]))
			if n != gotN || !bytes.Equal(data, gotData) || fmt.Sprint(err) != fmt.Sprint(gotErr) {
				t.Fatalf("OpenAll uses %d bytes, returns %d, error %v; Open %d, %d, %v", gotN, len(gotData), gotErr, n, len(data), err)
			}
			if a, b := one.Output(nil), all.Output(nil); !bytes.Equal(a, b) {
				t.Fatalf("after Open, it sends %x, after OpenAll %x", a, b)
			}
			if from += n; err != nil {
				break
			}
		}
		a, aErr := one.Seal(nil, []byte("answer"))
		b, bErr := all.Seal(nil, []byte("answer"))
		if !bytes.Equal(a, b) || fmt.Sprint(aErr) != fmt.Sprint(bErr) {
			t.Fatalf("after Open, Seal makes %x, %v; after OpenAll %x, %v", a, aErr, b, bErr)
		}
	})
}

// TestOpenAllPutsOff: until the caller has come to the record that ends the connection, it answers
// the data before it, and has its state and its secrets.
func TestOpenAllPutsOff(t *testing.T) {
	for _, test := range []struct {
		name  string
		ends  []byte // see sends
		alert bool   // we send one
		left  int    // bytes after close_notify
	}{
		{"a forgery", []byte{8, 20}, true, 0},
		{"no content", []byte{5, 32}, true, 0},
		{"a message", []byte{6, 32}, true, 0},
		{"a fatal alert", []byte{4, byte(alert.InternalError)}, false, 0},
		{"close_notify", []byte{3, 7}, false, 7},
	} {
		for _, version := range versions {
			t.Run(tls.VersionName(version)+" "+test.name, func(t *testing.T) {
				w := newTwin(t, version)
				in := w.sends(t, append([]byte{0, 10, 0, 20}, test.ends...))
				e := w.end(t, w.server, w.serverState)
				o, err := e.OpenAll(in)
				if err != nil || len(o.Data) != 30 {
					t.Fatalf("%d bytes of data, %v", len(o.Data), err)
				}
				if o, err := e.OpenAll(in[o.N : o.N+4]); o.N != 0 || err != nil {
					t.Errorf("with less than the record, %d bytes are used, %v", o.N, err)
				}
				if e.HasOutput() {
					t.Error("an alert is sent too early")
				}
				if _, err := e.ExportKeyingMaterial("EXPERIMENTAL", nil, 32); err != nil {
					t.Error(err)
				}
				if _, err := e.Export(nil, w.aead); !errors.Is(err, ErrInvalidOperation) {
					t.Errorf("exported: %v", err)
				}
				if err := e.Compact(); err != nil {
					t.Error(err)
				}
				if _, err := e.Seal(nil, []byte("answer")); err != nil {
					t.Error(err)
				}
				last, err := e.OpenAll(in[o.N:])
				if err == nil || (err == ErrClosed) != (test.left > 0) || e.HasOutput() != test.alert {
					t.Errorf("then %d bytes are used, error %v, and an alert is sent: %v", last.N, err, e.HasOutput())
				}
				if left := len(in) - o.N - last.N; test.left > 0 && left != test.left || test.left == 0 && last.N > 0 {
					t.Errorf("%d bytes are left, want %d", left, test.left)
				}
				if _, again := e.OpenAll(in[o.N+last.N:]); again == nil {
					t.Error("the end is forgotten")
				}
			})
		}
	}
}
