package trace_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/hermetic-tls/hermetic/trace"
)

var start = time.Date(2026, 11, 1, 12, 0, 0, 123456789, time.UTC)

// every has an event of each type and direction, with all fields set that JSON has.
func every() (list []trace.Event) {
	add := func(d trace.Data) {
		list = append(list, trace.Event{Time: start.Add(time.Duration(len(list)) * 1234567), Conn: 3, Side: trace.Server, Data: d})
	}
	for _, sent := range []bool{true, false} {
		add(&trace.Record{
			Sent: sent, Type: "handshake", Epoch: 2, Sequence: 7, Length: 100, DataLength: 80, Offset: 50,
			Fragments: []trace.Fragment{{Type: "Finished", Sequence: 4, Offset: 8, Length: 4, Total: 12}},
		})
		add(&trace.Message{
			Sent: sent, Type: "ClientHello", Epoch: 1, Sequence: 2, Length: 300, Raw: trace.Bytes{1, 2, 255}, Malformed: true,
			Fields: []trace.Field{{Name: "a", Offset: 4, Length: 9, Fields: []trace.Field{{Name: "b", Value: `"</script>"`, Offset: 5, Length: 2}}}},
		})
		add(&trace.KeyChange{Sent: sent, Secret: "client_write_key", Epoch: 1})
		add(&trace.Alert{Sent: sent, Level: "fatal", Description: "unknown_ca", Number: 48})
	}
	add(&trace.Timer{Timer: "peer", Change: "armed", Deadline: start.Add(time.Hour)})
	add(&trace.Retransmission{Trigger: "timeout", Attempt: 3})
	add(&trace.Drop{Reason: "forged", Length: 40, Offset: 3})
	add(&trace.Path{Change: "mtu", MTU: 600, ConnectionID: trace.Bytes{9}})
	add(&trace.Question{Question: "signature", Async: true})
	add(&trace.Answer{Question: "signature", Failed: true})
	add(&trace.State{State: "waiting", Expects: []string{"Certificate", "Finished"}})
	add(&trace.Completed{
		Version: "TLS 1.3", CipherSuite: "TLS_AES_128_GCM_SHA256", Group: "X25519", ServerName: `"a"`, Protocol: `"h2"`, LocalSignature: "ed25519",
		PeerSignature: "ed25519", Resumed: true, PSK: true, HelloRetryRequest: true, EarlyData: "rejected",
	})
	add(&trace.Failed{Alert: "decrypt_error", Received: true, Cause: "a cause"})
	add(&trace.End{Reason: "limit", Limit: 10})
	return list
}

// written is a trace of those events.
func written(t *testing.T, list []trace.Event, opts *trace.WriterOptions) string {
	t.Helper()
	var b strings.Builder
	w := trace.NewWriter(&b, opts)
	for _, e := range list {
		w.Write(e)
	}
	if err := w.Err(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestRoundTrip: what is written is read again, and no field is forgotten.
func TestRoundTrip(t *testing.T) {
	want := every()
	for _, e := range want {
		v := reflect.ValueOf(e.Data).Elem()
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if v.Field(i).IsZero() && f.Tag.Get("json") != "-" {
				t.Errorf("%s: the test does not set %s", e.Data.Name(), f.Name)
			}
		}
	}
	text := written(t, want, &trace.WriterOptions{Title: "a title"})
	r := trace.NewReader(iotest.OneByteReader(strings.NewReader(text)))
	for i := range want {
		got, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want[i]) {
			t.Errorf("got  %+v %+v\nwant %+v %+v", got, got.Data, want[i], want[i].Data)
		}
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
	if r.Title() != "a title" {
		t.Errorf("the title is %q", r.Title())
	}
	if strings.Contains(text, "</script>") {
		t.Error("HTML is not escaped")
	}
}

// TestBytesOnTheWireStayOut: JSON has no packets.
func TestBytesOnTheWireStayOut(t *testing.T) {
	list := []trace.Event{
		{Time: start, Data: &trace.Record{Bytes: trace.Bytes("packet")}},
		{Time: start, Data: &trace.Drop{Bytes: trace.Bytes("packet")}},
	}
	if text := written(t, list, nil); strings.Contains(text, trace.Bytes("packet").String()) {
		t.Error(text)
	}
}

// TestTimes: times are exact, also before the first event.
func TestTimes(t *testing.T) {
	for _, d := range []time.Duration{0, 1, -1, 999_999, 1_000_000, -1_000_000, -1_500_000, 400 * 24 * time.Hour, -400 * 24 * time.Hour, 123456789} {
		list := []trace.Event{{Time: start, Data: &trace.State{}}, {Time: start.Add(d), Data: &trace.State{}}}
		got, err := trace.ReadAll(strings.NewReader(written(t, list, nil)))
		if err != nil || len(got) != 2 || !got[1].Time.Equal(start.Add(d)) {
			t.Errorf("%v: %v, %v", d, got, err)
		}
	}
}

// TestLimit: a trace ends with an End before it exceeds its limit, apart from that.
func TestLimit(t *testing.T) {
	list := every()
	whole := written(t, list, &trace.WriterOptions{Limit: -1})
	for limit := int64(1); limit < int64(len(whole)); limit += 37 {
		text := written(t, list, &trace.WriterOptions{Limit: limit})
		got, err := trace.ReadAll(strings.NewReader(text))
		if err != nil || len(got) == 0 {
			t.Fatalf("limit %d: %v", limit, err)
		}
		end, ok := got[len(got)-1].Data.(*trace.End)
		if !ok || end.Reason != "limit" || end.Limit != limit {
			t.Errorf("limit %d: the last event is %+v", limit, got[len(got)-1].Data)
		}
		if room := max(limit, 200); int64(len(text)) > room+100 {
			t.Errorf("limit %d: %d bytes", limit, len(text))
		}
	}
	if text := written(t, list, &trace.WriterOptions{Limit: int64(len(whole))}); text != whole {
		t.Error("what fits exactly is cut")
	}
}

// TestDamage: each kind of damage is an error with the offset of its line, after the events
// before it.
func TestDamage(t *testing.T) {
	text := written(t, every(), nil)
	lines := strings.SplitAfter(text, "\n")
	before := func(n int) string { return strings.Join(lines[:n], "") }
	for name, c := range map[string]struct {
		text   string
		offset int
		line   int
		cause  string
	}{
		"nothing":          {"", 0, 1, "not a trace"},
		"not JSON":         {"GET / HTTP/1.1\n", 0, 1, "not a trace"},
		"other JSON":       {"{}\n", 0, 1, "not a trace"},
		"a later version":  {`{"file_schema":"urn:hermetic:trace:2"}` + "\n", 0, 1, "another version"},
		"a cut header":     {lines[0][:20], 0, 1, "cut"},
		"a cut line":       {before(3) + lines[3][:40], len(before(3)), 4, "cut"},
		"no newline":       {strings.TrimSuffix(text, "\n"), len(before(len(lines) - 2)), len(lines) - 1, "cut"},
		"garbage":          {before(2) + "\x00\xff\n", len(before(2)), 3, "invalid"},
		"an empty line":    {before(2) + "\n", len(before(2)), 3, "unexpected end"},
		"an unknown event": {before(2) + `{"time":0,"name":"x\u001b[2J","data":{}}` + "\n", len(before(2)), 3, `x\x1b[2J`},
		"an unknown side":  {before(2) + `{"time":0,"name":"record_sent","side":"x","data":{}}` + "\n", len(before(2)), 3, "side"},
		"no data":          {before(2) + `{"time":0,"name":"record_sent"}` + "\n", len(before(2)), 3, "no data"},
		"null data":        {before(2) + `{"time":0,"name":"record_sent","data":null}` + "\n", len(before(2)), 3, "no data"},
		"a wrong type":     {before(2) + `{"time":0,"name":"record_sent","data":{"length":"x"}}` + "\n", len(before(2)), 3, "length"},
		"wrong hex":        {before(2) + `{"time":0,"name":"message_sent","data":{"raw":"0"}}` + "\n", len(before(2)), 3, "odd length"},
		"a wrong time":     {before(2) + `{"time":1e99,"name":"record_sent","data":{}}` + "\n", len(before(2)), 3, "not a time"},
		"no time":          {before(2) + `{"name":"record_sent","data":{}}` + "\n", len(before(2)), 3, "not a time"},
		"a long line":      {before(2) + strings.Repeat(" ", 17<<20) + "\n", len(before(2)), 3, "too long"},
	} {
		got, err := trace.ReadAll(strings.NewReader(c.text))
		var fault *trace.FormatError
		if !errors.As(err, &fault) || fault.Offset != int64(c.offset) || fault.Line != c.line || !strings.Contains(err.Error(), c.cause) {
			t.Errorf("%s: %v, want %q at %d, line %d", name, err, c.cause, c.offset, c.line)
		}
		if len(got) != max(0, c.line-2) {
			t.Errorf("%s: %d events before line %d", name, len(got), c.line)
		}
	}
}

// TestReaderRepeatsItsError, and returns that of the underlying reader unchanged.
func TestReaderRepeatsItsError(t *testing.T) {
	r := trace.NewReader(strings.NewReader("x\n" + written(t, every(), nil)))
	_, first := r.Next()
	if _, again := r.Next(); first == nil || again != first {
		t.Errorf("%v, then %v", first, again)
	}
	broken := errors.New("broken")
	if _, err := trace.ReadAll(iotest.ErrReader(broken)); err != broken {
		t.Errorf("got %v", err)
	}
}

// brokenWriter fails after some bytes.
type brokenWriter struct{ room int }

var errFull = errors.New("the disk is full")

func (w *brokenWriter) Write(b []byte) (int, error) {
	if len(b) > w.room {
		return w.room, errFull
	}
	w.room -= len(b)
	return len(b), nil
}

// TestWriterFails: a Writer that has failed keeps its first error, and is quiet.
func TestWriterFails(t *testing.T) {
	for room := 0; room < 3000; room += 100 {
		w := trace.NewWriter(&brokenWriter{room}, nil)
		for _, e := range every() {
			w.Write(e)
		}
		if err := w.Err(); err != errFull {
			t.Errorf("%d bytes: %v", room, err)
		}
	}
}

// TestWriterIsShared: many connections may write at once, and lines stay whole.
func TestWriterIsShared(t *testing.T) {
	var b bytes.Buffer
	w := trace.NewWriter(&b, nil)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for _, e := range every() {
				w.Write(e)
			}
		})
	}
	group.Wait()
	if got, err := trace.ReadAll(&b); err != nil || len(got) != 8*len(every()) {
		t.Errorf("%d events, %v", len(got), err)
	}
}

// TestField finds fields by their names.
func TestField(t *testing.T) {
	m := &trace.Message{Fields: []trace.Field{{Name: "extensions", Fields: []trace.Field{
		{Name: "key_share", Fields: []trace.Field{{Name: "client_shares", Fields: []trace.Field{{Value: "X25519"}, {Value: "P-256"}}}}},
	}}}}
	if got := m.Field("extensions", "key_share", "client_shares").Values(); fmt.Sprint(got) != "[X25519 P-256]" {
		t.Errorf("got %v", got)
	}
	if got := m.Field("extensions", "alpn"); got != nil || got.Values() != nil {
		t.Errorf("got %v", got)
	}
}

// FuzzReader: no input makes the reader panic or go on forever, and what it reads is written and
// read again without a difference.
func FuzzReader(f *testing.F) {
	var b strings.Builder
	w := trace.NewWriter(&b, nil)
	for _, e := range every() {
		w.Write(e)
	}
	f.Add([]byte(b.String()))
	f.Add([]byte(`{"file_schema":"urn:hermetic:trace:1"}` + "\n" + `{"time":-0.5,"name":"record_sent","data":{}}` + "\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		list, err := trace.ReadAll(bytes.NewReader(in))
		var fault *trace.FormatError
		if err != nil && (!errors.As(err, &fault) || fault.Offset < 0 || fault.Offset > int64(len(in))) {
			t.Fatal(err)
		}
		var first, second bytes.Buffer
		for _, out := range []*bytes.Buffer{&first, &second} {
			w := trace.NewWriter(out, &trace.WriterOptions{Limit: -1})
			for _, e := range list {
				w.Write(e)
			}
			if w.Err() != nil || len(list) == 0 {
				return // a time that JSON cannot write
			}
			if list, err = trace.ReadAll(bytes.NewReader(out.Bytes())); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		if first.String() != second.String() {
			t.Errorf("written: %s\nread and written again: %s", first.String(), second.String())
		}
	})
}
